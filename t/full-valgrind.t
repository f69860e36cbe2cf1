#!/bin/bash
# The unit tests of this tree under valgrind, but for those that t/local.mk calls unfit for it.
. "$XO_SRCDIR/t/tap/full.sh"
command -v valgrind >/dev/null || skip_all "valgrind is not installed"
cd "$XO_BUILDDIR" || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL

run_each_test "under valgrind" valgrind-tests \
    valgrind -q --fair-sched=try --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite \
    --child-silent-after-fork=yes --suppressions="$XO_SRCDIR/t/tap/valgrind.supp"
finish
