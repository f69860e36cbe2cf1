#!/bin/bash
# 0610-client.t - examples/client.c, a plain C program, against an actor in Python and one in C.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

"${PYTHON:-python3}" -c 'import xoscar' 2>"$work/import.err" ||
    skip_all "no Python package: $(tail -n 1 "$work/import.err")"

mkfifo "$work/stop"
"${PYTHON:-python3}" "$XO_SRCDIR/examples/greeter.py" <"$work/stop" >"$work/where" 2>"$work/err" &
greeter=$!
started="$started $greeter"
exec 8>"$work/stop" # its end is the end of greeter.py's input
ready_or_gone() { [ -s "$work/where" ] || is_gone "$greeter"; }
until_true ready_or_gone || bail_out "greeter.py does not answer"
[ -s "$work/where" ] || bail_out "greeter.py failed: $(cat "$work/err")"

# shellcheck disable=SC2046 # four words
run "$XO_BUILDDIR/examples/client" $(cat "$work/where")
is "$status" 0 "the client succeeds"
is "$errors" "" "without a complaint"
is "$(printf '%s\n' "$out" | sed -n 1p)" "call: 5" "a call"
is "$(printf '%s\n' "$out" | sed -n 2p)" "batch: 16 18 21" "a tell, then a batch"
like "$out" "^callback: Hello, Ada!" "a callback"
like "$out" "^callback: Hello, Grace!" "another"
like "$out" "^error: .*a name is a text, not 7" "an error of the method"
run "$XO_BUILDDIR/examples/client"
is "$status" 2 "usage"
run "$XO_BUILDDIR/examples/client" 127.0.0.1:1 a 127.0.0.1:1 b
is "$status" 1 "nobody there"
like "$errors" "127.0.0.1:1" "nobody there: named"

exec 8>&-
wait "$greeter"
is "$?" 0 "greeter.py ends with its input"
is "$(leftovers)" "" "nothing is left"
done_testing
