#!/bin/bash
# The unit tests that start threads, built with ThreadSanitizer.
. "$XO_SRCDIR/t/tap/full.sh"
export TSAN_OPTIONS="suppressions=$XO_SRCDIR/t/tap/tsan.supp halt_on_error=0 exitcode=66"

try "configure --enable-sanitizers=thread" \
    other_tree tsan --enable-sanitizers=thread CFLAGS='-g -O1' || finish
try "make" make -s -j "$jobs" $(make -s print-threaded-tests) || finish
# The runtime of gcc 12 cannot live with the address layouts of newer kernels.
run_each_test "under TSan" threaded-tests setarch -R
finish
