# Tests. All speak TAP on standard output.
#
#   t/NAME.c        a unit test with cmocka, linked statically: add t/NAME to unit_tests. Its source
#                   is t/NAME.c unless t_NAME_SOURCES says otherwise.
#   t/NNNN-NAME.t   a system test, an executable script (sh, bash, python): add it to system_tests.
#   t/test_NAME.py  tests in Python for pytest: add it to python_tests.
#   t/fuzz-NAME.c   a libFuzzer target: add t/fuzz-NAME to fuzz_targets.
#
# One file a line, sorted.
unit_tests =

system_tests =

python_tests =

fuzz_targets =

LDADD += $(unit_test_libs)
unit_test_libs = \
	registry/libxo-registry.la \
	pool/libxo-pool.la \
	libxo/libxo-core.la \
	$(CMOCKA_LIBS)

if CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
TESTS += $(system_tests)
EXTRA_DIST += $(system_tests) $(python_tests) t/tap/pytest-tap.py
if PYTHON
TESTS += $(python_tests)
endif

# `make fuzzers` after ./configure CC=clang --enable-fuzzers; each target also needs the line
#   t_fuzz_NAME_LDFLAGS = $(libfuzzer_flags)
EXTRA_PROGRAMS += $(fuzz_targets)
libfuzzer_flags = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzzers: $(fuzz_targets)
.PHONY: fuzzers

# Tests find the programs, modules and packages of this build as `./quickstart exec` does.
AM_TESTS_ENVIRONMENT = \
	XO_SRCDIR='$(abs_top_srcdir)'; export XO_SRCDIR; \
	XO_BUILDDIR='$(abs_top_builddir)'; export XO_BUILDDIR; \
	PYTHON='$(PYTHON)'; export PYTHON; \
	PATH="$$XO_BUILDDIR/.libs:$$XO_BUILDDIR:$$PATH"; export PATH; \
	PYTHONPATH="$$XO_SRCDIR/python:$$XO_BUILDDIR/python$${PYTHONPATH:+:$$PYTHONPATH}"; export PYTHONPATH; \
	LD_LIBRARY_PATH="$$XO_BUILDDIR/.libs$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}"; export LD_LIBRARY_PATH; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE;

TEST_EXTENSIONS = .t .py
tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(tap_driver)
T_LOG_DRIVER = $(tap_driver)
PY_LOG_DRIVER = $(tap_driver)
PY_LOG_COMPILER = $(PYTHON) $(srcdir)/t/tap/pytest-tap.py
