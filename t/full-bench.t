#!/bin/bash
# No figure that bench/baseline.json watches has become much worse. Ratios to a floor of the same run,
# most of them of instructions: neither the machine's speed nor its load matters.
# ./quickstart bench --update-baseline makes the baseline anew.
. "$XO_SRCDIR/t/tap/full.sh"
command -v valgrind >/dev/null || skip_all "valgrind is not installed"
"$PYTHON" -c 'import xoscar' 2>/dev/null || skip_all "there is no Python package"
make -s -C "$XO_BUILDDIR" V=0 bench/count >"$work/make" 2>&1 || {
    sed 's/^/# /' "$work/make"
    echo "Bail out! bench/count does not build"
    exit 1
}
exec "$PYTHON" "$XO_SRCDIR/bench/run" --check
