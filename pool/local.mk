# The pool library, a part of libxo.so.
noinst_LTLIBRARIES += pool/libxo-pool.la
pool_libxo_pool_la_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS) -DXO_MODULE_DIR='"$(moduledir)"'
pool_libxo_pool_la_LIBADD = $(SYSTEM_LIBS)
# Sources, and headers that are not installed. One file a line, sorted.
pool_libxo_pool_la_SOURCES = \
	pool/actor.c \
	pool/batch.c \
	pool/bootstrap.c \
	pool/duplicate.c \
	pool/host_c.c \
	pool/host_impl.h \
	pool/join.c \
	pool/lookup.c \
	pool/module.c \
	pool/module_call.c \
	pool/pool.c \
	pool/pool_impl.h \
	pool/request.c \
	pool/serve.c \
	pool/stop.c \
	pool/text.c \
	pool/turn.c

# The public headers, installed as $(includedir)/xo/pool/NAME.h.
poolincludedir = $(includedir)/xo/pool
poolinclude_HEADERS = \
	pool/host_c.h \
	pool/module.h \
	pool/pool.h
