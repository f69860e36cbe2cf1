# xo, the operator's tool: uncomment when cmd/main.c is there.
#bin_PROGRAMS += xo
#xo_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_C_CFLAGS)
#xo_LDADD = registry/libxo-registry.la libxo.la $(JSON_C_LIBS)
#xo_SOURCES = \
#	cmd/main.c
