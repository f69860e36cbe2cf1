# Measurements: `make bench` builds and runs them, `make bench ARGS=--quick` a little of each.
# Nothing here is a test. One file a line, sorted.
bench_programs = \
	bench/lane \
	bench/micro \
	bench/pool \
	bench/raw

EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)
bench_lane_SOURCES = bench/lane.c
bench_lane_LDADD = libxo/libxo-core.la
bench_micro_SOURCES = bench/micro.c
bench_micro_LDADD = libxo/libxo-core.la
bench_pool_SOURCES = bench/pool.c
bench_pool_LDADD = libxo.la
bench_raw_SOURCES = bench/raw.c
bench_raw_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_raw_LDADD = $(ZMQ_LIBS)

EXTRA_DIST += \
	bench/python.py \
	bench/run

bench: all $(bench_programs)
	$(AM_TESTS_ENVIRONMENT) '$(PYTHON)' $(srcdir)/bench/run $(ARGS)
.PHONY: bench
