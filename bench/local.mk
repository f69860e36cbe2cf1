# Measurements: `make bench` builds and runs them, `make bench ARGS=--quick` a little of each.
# Nothing here is a test. One file a line, sorted.
bench_programs = \
	bench/bulk \
	bench/chain \
	bench/count \
	bench/entries \
	bench/lane \
	bench/micro \
	bench/pool \
	bench/raw \
	bench/relay \
	bench/scale

EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)
bench_common = bench/hist.c bench/out.c
bench_station = bench/actors.c bench/station.c $(bench_common)

bench_count_SOURCES = bench/count.c $(bench_station)
bench_count_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_count_LDADD = libxo.la $(ZMQ_LIBS)
bench_bulk_SOURCES = bench/bulk.c $(bench_station)
bench_bulk_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_bulk_LDADD = libxo.la $(ZMQ_LIBS)
bench_chain_SOURCES = bench/chain.c $(bench_common)
bench_entries_SOURCES = bench/entries.c $(bench_common)
bench_entries_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_entries_LDADD = registry/libxo-registry.la libxo/libxo-core.la
bench_lane_SOURCES = bench/lane.c $(bench_common)
bench_lane_LDADD = libxo/libxo-core.la
bench_micro_SOURCES = bench/micro.c $(bench_common)
bench_micro_LDADD = libxo/libxo-core.la
bench_pool_SOURCES = bench/pool.c $(bench_station)
bench_pool_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_pool_LDADD = libxo.la $(ZMQ_LIBS)
bench_raw_SOURCES = bench/raw.c $(bench_common)
bench_raw_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_raw_LDADD = $(ZMQ_LIBS)
bench_relay_SOURCES = bench/relay.c $(bench_station)
bench_relay_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_relay_LDADD = libxo.la $(ZMQ_LIBS)
bench_scale_SOURCES = bench/scale.c $(bench_station)
bench_scale_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS)
bench_scale_LDADD = libxo.la $(ZMQ_LIBS)

noinst_HEADERS += \
	bench/actors.h \
	bench/hist.h \
	bench/out.h \
	bench/station.h
EXTRA_DIST += \
	bench/actors.erl \
	bench/baseline.json \
	bench/caf.cpp \
	bench/count.py \
	bench/erlang.py \
	bench/floor.py \
	bench/goals.py \
	bench/hist.py \
	bench/plot \
	bench/programs.py \
	bench/python.py \
	bench/ratios.py \
	bench/run \
	bench/scratch.py \
	bench/supervision.py \
	bench/tables.py

# A program in C++, made where the library that it measures is there.
CLEANFILES += bench/caf
bench-caf: $(bench_programs)
	@if echo '#include <caf/all.hpp>' | $(CXX) -x c++ -E - >/dev/null 2>&1; then \
	    $(CXX) -std=c++17 -O2 -D_GNU_SOURCE -I$(srcdir) -o bench/caf $(srcdir)/bench/caf.cpp \
	        bench/hist.$(OBJEXT) bench/out.$(OBJEXT) -lcaf_io -lcaf_core; \
	fi

bench: all bench-caf
	$(AM_TESTS_ENVIRONMENT) '$(PYTHON)' $(srcdir)/bench/run $(ARGS)
.PHONY: bench bench-caf
