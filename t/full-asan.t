#!/bin/bash
# The unit tests, and the system tests of the programs, built with AddressSanitizer and
# UndefinedBehaviorSanitizer, some of them over ipc as well.
. "$XO_SRCDIR/t/tap/full.sh"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1

try "configure --enable-sanitizers=address,undefined" \
    other_tree asan --enable-sanitizers=address,undefined CFLAGS='-g -O1' || finish
try "make" make -s -j "$jobs" check-programs || finish
run_each_test "under ASan and UBSan" unit-tests
run_system_tests "under ASan and UBSan"
export XO_LANES=ipc,tcp
for test in $lane_tests; do
    beside try "t/$test over ipc, under ASan and UBSan" passes "./t/$test"
done
finish
