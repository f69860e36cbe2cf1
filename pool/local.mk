# The pool library, a part of libxo.so.
noinst_LTLIBRARIES += pool/libxo-pool.la
pool_libxo_pool_la_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS) $(HWLOC_CFLAGS)
# Sources, and headers that are not installed. One file a line, sorted.
pool_libxo_pool_la_SOURCES =

# The public headers, installed as $(includedir)/xo/pool/NAME.h.
poolincludedir = $(includedir)/xo/pool
poolinclude_HEADERS = \
	pool/module.h \
	pool/pool.h

# The program: uncomment when pool/main.c is there.
#bin_PROGRAMS += xo-pool
#xo_pool_CPPFLAGS = $(AM_CPPFLAGS) $(HWLOC_CFLAGS)
#xo_pool_LDADD = libxo.la $(HWLOC_LIBS) $(SYSTEM_LIBS)
#xo_pool_SOURCES = \
#	pool/main.c
