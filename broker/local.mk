# Uncomment when broker/main.c is there. The objects besides main.c go into the archive, so that
# unit tests can link them (add broker/libxo-broker.la to the test's _LDADD).
#noinst_LTLIBRARIES += broker/libxo-broker.la
#broker_libxo_broker_la_CPPFLAGS = $(AM_CPPFLAGS) $(INIH_CFLAGS)
#broker_libxo_broker_la_LIBADD = $(INIH_LIBS)
#broker_libxo_broker_la_SOURCES =

#bin_PROGRAMS += xo-broker
#xo_broker_LDADD = broker/libxo-broker.la registry/libxo-registry.la libxo.la
#xo_broker_SOURCES = \
#	broker/main.c
