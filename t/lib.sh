# lib.sh - what system tests in bash share: sourced by t/NNNN-name.t.
#
# Gives the test a directory of its own, $work, in which its node lives ($XO_RUN_DIR, $XO_CONFIG_DIR),
# and functions that write TAP. When the test ends, in whatever way, what it started is ended and
# $work goes.
set -u

: "${XO_SRCDIR:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${XO_BUILDDIR:=$XO_SRCDIR/build}"
# Seconds after which the wait for an event counts as failed. Generous: the machine may be busy.
patience=60

work=$(mktemp -d "${TMPDIR:-/tmp}/xo-t.XXXXXX") || exit 1
XO_RUN_DIR=$work/run
XO_CONFIG_DIR=$work/config
export XO_RUN_DIR XO_CONFIG_DIR
unset XO_NODE XO_CLUSTER COLUMNS
LC_ALL=C.UTF-8
export LC_ALL

tests=0
failures=0
started=

# ---- TAP ---------------------------------------------------------------------------------------

say() { printf '%s\n' "$*" | sed 's/^/# /'; }

pass() {
    tests=$((tests + 1))
    echo "ok $tests - $1"
}

# fail WHAT [EXPLANATION]
fail() {
    tests=$((tests + 1))
    failures=$((failures + 1))
    echo "not ok $tests - $1"
    [ -z "${2:-}" ] || say "$2"
}

# ok WHAT CMD...: CMD succeeds.
ok() {
    local what=$1
    shift
    if "$@" >"$work/ok.out" 2>&1; then pass "$what"; else fail "$what" "status $? from: $*
$(cat "$work/ok.out")"; fi
}

# is GOT EXPECTED WHAT
is() {
    if [ "$1" = "$2" ]; then pass "$3"; else fail "$3" "got:      $1
expected: $2"; fi
}

# like TEXT PATTERN WHAT: an extended regular expression that matches a line of TEXT.
like() {
    if printf '%s\n' "$1" | grep -Eq -e "$2"; then pass "$3"; else fail "$3" "no match for: $2
in: $1"; fi
}

# run CMD...: sets $status, $out and $errors.
run() {
    status=0
    "$@" >"$work/run.out" 2>"$work/run.err" </dev/null || status=$?
    out=$(cat "$work/run.out")
    errors=$(cat "$work/run.err")
}

# value KEY: the text under a key, from JSON on stdin, one a line.
value() { grep -oE "\"$1\":(\"[^\"]*\"|[^,}]*)" | sed -E "s/^\"$1\"://; s/^\"(.*)\"\$/\\1/"; }

skip_all() {
    echo "1..0 # SKIP $*"
    trap - EXIT
    rm -rf "$work"
    exit 0
}

bail_out() {
    say "$*"
    [ ! -s "$work/node.log" ] || say "$(cat "$work/node.log")"
    echo "Bail out! $1"
    exit 1
}

done_testing() {
    echo "1..$tests"
    [ "$failures" -eq 0 ]
    exit
}

# ---- processes ---------------------------------------------------------------------------------

# until_true CMD...: waits until CMD succeeds.
until_true() {
    local end=$(($(date +%s) + patience))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# Processes, files, sockets and segments that belong to this test.
leftovers() { env -u XO_RUN_DIR "$XO_SRCDIR/t/leftovers.sh" "$XO_RUN_DIR"; }

is_gone() { ! kill -0 "$1"; }

# start_node [ARG...]: `xo start ARG...` in the background, ready when this returns; $node is its pid.
start_node() {
    local option before= cluster=default
    for option; do
        [ "$before" != --cluster ] || cluster=$option
        before=$option
    done
    xo start "$@" >"$work/node.log" 2>&1 &
    node=$!
    started="$started $node"
    until_true node_answers_or_ended "$cluster" || bail_out "the node does not answer"
    xo status --cluster "$cluster" >/dev/null 2>&1 || bail_out "the node ended at once"
}

node_answers_or_ended() { is_gone "$node" || xo status --cluster "$1"; }

# No pool of the node is starting: they are up, and have their addresses.
pools_are_up() {
    local listed
    listed=$(xo pools --json) && [[ $listed != *'"state":"starting"'* ]]
}

# stop_node: asks the node to end and waits for it; its status is the node's.
stop_node() {
    kill -TERM "$node" 2>/dev/null
    wait "$node"
}

clean_up() {
    local status=$? pid kind left
    trap - EXIT
    for pid in $started; do kill -TERM "$pid" 2>/dev/null; done
    patience=10
    for pid in $started; do
        until_true is_gone "$pid" || kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    # What is left now was lost by its owner.
    left=$(leftovers)
    while read -r kind pid _; do
        [ "$kind" = process ] || continue
        say "left over: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
        kill -KILL "$pid"
    done <<<"$left" 2>/dev/null
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
