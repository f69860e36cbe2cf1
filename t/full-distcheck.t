#!/bin/bash
# The release tarball builds, passes its tests, installs and uninstalls.
. "$XO_SRCDIR/t/tap/full.sh"
export XO_TEST_LIMIT_S=300
unset LD_LIBRARY_PATH MAKEFLAGS MFLAGS MAKELEVEL

try "make distcheck" make -s -C "$XO_BUILDDIR" distcheck
finish
