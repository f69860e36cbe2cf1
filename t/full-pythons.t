#!/bin/bash
# The Python tests in which Pythons differ, on the oldest (3.9 and later) and the newest Python here,
# with `-X dev -W error`, and on the newest on uvloop; on one of each version between them a
# few that need no other packages, or with XO_FULL=all the same. `make check` runs all on its own.
. "$XO_SRCDIR/t/tap/full.sh"
modules="cloudpickle mypy numpy pandas prometheus_client pytest pytest_asyncio uvloop"
differ="actor_classes batch by_value calls cancel create_pool exceptions fork generator guide lean
    loops main_module metrics package remake serialization sub_pool_modules typing utils values
    values_calls views yield"
few="actor_classes batch calls exceptions serialization yield"
few_modules="cloudpickle pytest pytest_asyncio"
own=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
unset PYTHONPATH

# Lines "3.11 /path/of/python3", one a version, those that can build an extension.
find_pythons() {
    local candidate
    for candidate in "$PYTHON" $(compgen -c python3. | grep -xE 'python3\.[0-9]+' | sort -u) \
        "$HOME"/.pyenv/versions/*/bin/python3; do
        "$candidate" -c 'if True:
            import ensurepip, os, sys, sysconfig
            header = os.path.join(sysconfig.get_path("include"), "Python.h")
            if sys.version_info >= (3, 9) and os.path.exists(header):
                print("%d.%d" % sys.version_info[:2], sys.executable)' 2>/dev/null
    done | sort -t' ' -k1,1V -u
}

# What pkg-config says of the library that is built and not installed.
write_pc() {
    cat >"$work/libxo.pc" <<PC
exec_prefix=$XO_BUILDDIR
libdir=$XO_BUILDDIR/.libs
Name: libxo
Description: the tree
Version: 0
Cflags: -I$XO_SRCDIR -I$XO_BUILDDIR
Libs: -L$XO_BUILDDIR/.libs -lxo
PC
    export PKG_CONFIG_PATH=$work${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
}

# The modules $1, kept from run to run.
get_modules() {
    [ "$(cat "$place/.done" 2>/dev/null)" = "$1" ] && return
    rm -rf "$place"
    # shellcheck disable=SC2086
    "$python" -m pip install -q --no-warn-script-location --target "$place" setuptools $1 &&
        echo "$1" >"$place/.done"
}

build_extension() {
    cp -r "$XO_SRCDIR/python" "$work/$version" && chmod -R u+w "$work/$version" &&
        cd "$work/$version" &&
        PYTHONPATH=$place "$python" setup.py -q build_ext --inplace --parallel "$jobs"
}

# run_tests LOOP NAMES FLAGS...: all of them in one process.
run_tests() {
    local loop=$1 name status files=()
    for name in $2; do files+=("$XO_SRCDIR/python/tests/test_$name.py"); done
    shift 2
    env XO_TEST_LOOP="$loop" PYTHON="$python" PYTHONPATH="$work/$version:$place" \
        sh "$XO_SRCDIR/t/tap/run" "$python" "$@" "$XO_SRCDIR/t/tap/pytest-tap.py" \
        "${files[@]}" >"$work/tap" 2>&1
    status=$?
    grep -A 60 '^not ok' "$work/tap" | grep -v '^ok'
    [ $status -eq 0 ] && grep -q '^1\.\.[1-9]' "$work/tap" && ! grep -q '^not ok' "$work/tap"
}

is_between() { [ "$1" != "$oldest" ] && [ "$1" != "$newest" ]; }

# test_python VERSION PYTHON: all of one version.
test_python() {
    local version=$1 python=$2 place=$XO_BUILDDIR/full/modules-$1
    local tests=$differ needed=$modules
    ! is_between "$version" || is_everything || tests=$few needed=$few_modules
    try "Python $version: modules" get_modules "$needed" || return
    try "Python $version: the extension" build_extension || return
    [ "$version" = "$own" ] ||
        try "Python $version: -X dev -W error" run_tests asyncio "$tests" -X dev -W error
    [ "$version" != "$newest" ] || try "Python $version: uvloop" run_tests uvloop "$tests"
}

write_pc
mapfile -t pythons < <(find_pythons)
[ ${#pythons[@]} -gt 0 ] || skip_all "no Python with its headers"
oldest=${pythons[0]%% *} newest=${pythons[-1]%% *}
for ((i = ${#pythons[@]} - 1; i >= 0; i--)); do # the one that takes longest first
    version=${pythons[i]%% *}
    [ "$version" != "$own" ] || [ "$version" = "$newest" ] || continue
    beside test_python "$version" "${pythons[i]#* }"
done
finish
