# The pool library, a part of libxo.so.
noinst_LTLIBRARIES += pool/libxo-pool.la
pool_libxo_pool_la_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS) -DXO_MODULE_DIR='"$(moduledir)"'
pool_libxo_pool_la_CFLAGS = $(AM_CFLAGS) $(XO_LTO)
pool_libxo_pool_la_LIBADD = $(SYSTEM_LIBS)
# Sources, and headers that are not installed. One file a line, sorted.
pool_libxo_pool_la_SOURCES = \
	pool/actor.c \
	pool/batch.c \
	pool/behind.c \
	pool/bootstrap.c \
	pool/duplicate.c \
	pool/failed.c \
	pool/group.c \
	pool/guard.c \
	pool/guard.h \
	pool/host_c.c \
	pool/host_impl.h \
	pool/join.c \
	pool/lease.c \
	pool/link.c \
	pool/lookup.c \
	pool/mailbox.h \
	pool/module.c \
	pool/module_call.c \
	pool/mute.c \
	pool/name.c \
	pool/own.h \
	pool/pending.c \
	pool/pool.c \
	pool/pool_impl.h \
	pool/recover.c \
	pool/request.c \
	pool/respond.c \
	pool/serve.c \
	pool/stop.c \
	pool/target.c \
	pool/text.c \
	pool/tie.c \
	pool/told.c \
	pool/turn.c \
	pool/watch.c \
	pool/whereabouts.c

# The public headers, installed as $(includedir)/xo/pool/NAME.h.
poolincludedir = $(includedir)/xo/pool
poolinclude_HEADERS = \
	pool/host_c.h \
	pool/module.h \
	pool/pool.h

# The program.
bin_PROGRAMS += xo-pool
xo_pool_CPPFLAGS = $(AM_CPPFLAGS) $(HWLOC_CFLAGS) $(JSON_C_CFLAGS)
xo_pool_LDADD = libxo.la $(HWLOC_LIBS) $(JSON_C_LIBS) $(SYSTEM_LIBS)
xo_pool_SOURCES = \
	pool/bind.c \
	pool/bind.h \
	pool/create.c \
	pool/create.h \
	pool/crew.c \
	pool/crew.h \
	pool/main.c \
	pool/options.c \
	pool/options.h
