# full.sh: what the scripts of `make check-full` share. Each step is one TAP test.
set -u
count=0
started=0
work=$(mktemp -d "${TMPDIR:-/tmp}/xo-full.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
jobs=$(nproc)
export XO_TEST_LIMIT_S=1200
# The unit tests that link processes, or pools as if they were some, by whatever lane there is.
lane_tests="broker broker-group broker-recover pool-again pool-group pool-join pool-link
    pool-monitor pool-recover stall target"

# try NAME COMMAND...: a test that passes when COMMAND does; a failure shows the end of its output.
try() {
    local name=$1
    shift
    count=$((count + 1))
    if "$@" >"$work/log" 2>&1 </dev/null; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        {
            grep -E '^(FAIL|ERROR|not ok)|error:' "$work/log" | head -n 20
            tail -n 40 "$work/log"
        } | sed 's/^/# /'
        return 1
    fi
}

# Does somebody want all of it? What CI runs is to take 20 minutes at most, on two cores.
is_everything() { [ "${XO_FULL:-}" = all ]; }

# skip NAME WHY: a test that cannot be made here.
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

# beside FUNCTION...: runs a function that tries, or `try` itself, without waiting: a few run
# at the same time, as many tests wait more than they work. `finish` prints their results.
beside() {
    local place=$work/$((++started))
    mkdir "$place"
    [ "$(jobs -rp | wc -l)" -le "$jobs" ] || wait -n
    (work=$place && in_turn "$@") >"$place.tap" &
}

# All parts together run one more at a time than there are cores: tests have deadlines.
in_turn() {
    local turn i
    mkdir -p "$XO_BUILDDIR/full"
    for ((i = started; ; i++)); do
        exec {turn}>"$XO_BUILDDIR/full/turn-$((i % (jobs + 1)))"
        ! flock -w 0.2 "$turn" || break
        exec {turn}>&-
    done
    "$@" {turn}>&-
}

# Waits for those beside, and numbers their tests behind the others.
finish() {
    wait
    for ((i = 1; i <= started; i++)); do cat "$work/$i.tap"; done |
        awk -v count="$count" '/^(not )?ok / { sub(/ok [0-9]+/, "ok " ++count) } { print }
            END { print "1.." count }'
    exit 0
}

# other_tree NAME FLAGS...: configures another tree, $XO_BUILDDIR/full/NAME, kept from run to run.
# The environment of the tests is not that of a build.
other_tree() {
    tree=$XO_BUILDDIR/full/$1
    shift
    unset LD_LIBRARY_PATH PYTHONPATH MAKEFLAGS MFLAGS MAKELEVEL TESTS check_PROGRAMS
    mkdir -p "$tree" && cd "$tree" || exit 1
    [ -f Makefile ] || "$XO_SRCDIR/configure" --enable-werror --without-python "$@" || return 1
    make -s Makefile
}

# run_each_test TITLE LIST COMMAND...: runs each program that `make print-LIST` names, by COMMAND.
run_each_test() {
    local title=$1 list=$2 test
    shift 2
    for test in $(make -s "print-$list"); do
        beside try "$test $title" passes "$@" "./$test"
    done
}

# Runs each script that `make print-system-tests` names with the programs of the tree in $tree.
# Those that need Python's package, which such a tree has not, skip themselves.
run_system_tests() {
    local title=$1 test
    for test in $(make -s print-system-tests); do
        beside try "$test $title" passes "$XO_SRCDIR/$test"
    done
}

# Runs a test against the tree in the working directory; neither its status nor its TAP may
# complain.
passes() {
    env XO_BUILDDIR="$PWD" LD_LIBRARY_PATH="$PWD/.libs" \
        PATH="$XO_BUILDDIR/bin:$PWD/.libs:$PWD:$PATH" sh "$XO_SRCDIR/t/tap/run" "$@" >"$work/tap"
    local status=$?
    cat "$work/tap"
    [ $status -eq 0 ] && ! grep -q '^not ok' "$work/tap"
}
