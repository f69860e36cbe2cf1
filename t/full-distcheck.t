#!/bin/bash
# The release tarball has every file, builds out of its tree, installs and uninstalls. The tests
# themselves have run in the tree; of each kind one shows that the tarball can run them.
. "$XO_SRCDIR/t/tap/full.sh"
unset LD_LIBRARY_PATH MAKEFLAGS MFLAGS MAKELEVEL
export XZ_OPT=-1
some_tests="t/vectors t/0001-layers.t t/0600-wordcount.t t/0900-readme.t
    python/tests/test_package.py python/tests/test_readme.py"

# The files that git knows and the tarball lacks, but for those that only a clone needs.
missing_files() {
    tar -tf "$XO_BUILDDIR"/xo-*.tar.xz | sed 's,^[^/]*/,,' | sort >"$work/packed"
    git -C "$XO_SRCDIR" ls-files | grep -vx .gitignore | sort | comm -23 - "$work/packed"
}

has_all_files() {
    missing_files >"$work/missing"
    sed 's/^/error: not in the tarball: /' "$work/missing"
    [ ! -s "$work/missing" ]
}

# The compiler has had its say in the tree, where all the tests were built, too.
try "make distcheck" make -s -C "$XO_BUILDDIR" distcheck TESTS="${some_tests//$'\n'/ }" \
    check_PROGRAMS=t/vectors check_LTLIBRARIES= \
    DISTCHECK_CONFIGURE_FLAGS='--disable-lto --disable-werror CFLAGS=-O0' || finish
git -C "$XO_SRCDIR" rev-parse >/dev/null 2>&1 && try "every file is in the tarball" has_all_files
finish
