# Used by xo-broker, xo and the tests. Whoever links it links libxo.la too.
noinst_LTLIBRARIES += registry/libxo-registry.la
registry_libxo_registry_la_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
registry_libxo_registry_la_LIBADD = $(HIREDIS_LIBS) $(EV_LIBS)
# One file a line, sorted.
registry_libxo_registry_la_SOURCES = \
	registry/base.c \
	registry/base.h \
	registry/blobs.c \
	registry/blobs.h \
	registry/fields.c \
	registry/fields.h \
	registry/memory.c \
	registry/private.c \
	registry/private.h \
	registry/private_guard.c \
	registry/private_guard.h \
	registry/proc.c \
	registry/proc.h \
	registry/records.c \
	registry/records.h \
	registry/redis-commands.c \
	registry/redis-connection.c \
	registry/redis-moves.c \
	registry/redis-queue.c \
	registry/redis-reply.c \
	registry/redis-scripts.c \
	registry/redis-scripts.h \
	registry/redis-sentinel.c \
	registry/redis-watch.c \
	registry/redis.c \
	registry/redis.h \
	registry/registry.c \
	registry/registry.h \
	registry/resolve.c \
	registry/resolve.h \
	registry/text.c \
	registry/text.h \
	registry/tree.c \
	registry/tree.h \
	registry/url.c \
	registry/url.h \
	registry/watches.c \
	registry/watches.h
