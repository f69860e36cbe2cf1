#!/bin/bash
# The release tarball builds, passes its tests, installs and uninstalls.
. "$XO_SRCDIR/t/tap/full.sh"
unset LD_LIBRARY_PATH MAKEFLAGS MFLAGS MAKELEVEL

try "make distcheck" make -s -C "$XO_BUILDDIR" distcheck
finish
