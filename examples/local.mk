# Examples in C are built with everything else (noinst_PROGRAMS, and modules as noinst_LTLIBRARIES
# with -module -rpath /nowhere, which are then examples/.libs/NAME.so). Those in Python: EXTRA_DIST.
noinst_PROGRAMS += examples/client
examples_client_SOURCES = examples/client.c
examples_client_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
examples_client_LDADD = libxo.la

EXTRA_DIST += \
	examples/anywhere.py \
	examples/greeter.py \
	examples/two-nodes \
	examples/wordcount.py

noinst_LTLIBRARIES += examples/counter.la examples/keeper.la examples/wordmerge.la
examples_counter_la_SOURCES = examples/counter.c
examples_counter_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
examples_counter_la_LIBADD = libxo.la
examples_keeper_la_SOURCES = examples/keeper.c
examples_keeper_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
examples_keeper_la_LIBADD = libxo.la
examples_wordmerge_la_SOURCES = examples/wordmerge.c
examples_wordmerge_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
examples_wordmerge_la_LIBADD = libxo.la
