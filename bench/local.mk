# Measurements: `make bench` builds and runs them. Nothing here is a test. One file a line, sorted.
bench_programs = \
	bench/micro

EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)
bench_micro_SOURCES = bench/micro.c
bench_micro_LDADD = libxo/libxo-core.la

bench: $(bench_programs)
	bench/micro
.PHONY: bench
