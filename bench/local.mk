# Measurements: `make bench` builds EXTRA_PROGRAMS and runs bench/run. Nothing here is a test.
