#!/bin/bash
# 0520-dead-letters.t - xo dead-letters: what could not be delivered, from all processes of a node.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

modules=$XO_BUILDDIR/examples/.libs
[ -e "$modules/counter.so" ] || skip_all "counter.so is not built"
command -v xo-broker >/dev/null || skip_all "xo-broker is not built"

cat >"$work/node.ini" <<INI
[pool plain]
command = xo-pool
modules = "$modules/counter.so"

[pool keeps]
command = xo-pool
modules = "$modules/counter.so"
env.XO_LETTER_BYTES = 64
INI

letters() { xo dead-letters --json | grep -c "\"uid\":\"$1\"" | grep -qx "$2"; }

start_node --config "$work/node.ini"
until_true pools_are_up || bail_out "the pools do not run"
plain=$(xo pools --json | grep '"label":"plain"' | value address)
keeps=$(xo pools --json | grep '"label":"keeps"' | value address)

run xo dead-letters
is "$status:$out:$errors" "0::no dead letters" "at first there are none"
run xo dead-letters --json
is "$status:$(printf %s "$out" | tr -d '\n ')" "0:[]" "in JSON, too"

xo call --tell --at "$plain" first add 1
until_true letters first 1 || bail_out "the first letter does not come"
xo call --tell --at "$keeps" second add 2
until_true letters second 1 || bail_out "the second letter does not come"

run xo dead-letters
is "$(printf '%s\n' "$out" | wc -l)" 3 "a title and a line each"
like "$out" '^ *TIME +REASON +KIND +UID +METHOD +AT ' "the columns"
like "$out" '^[0-9:.]+ +no-actor +tell +first +add ' "what it was, and why it was dropped"
is "$(printf '%s\n' "$out" | grep -c PAYLOAD)" 0 "no contents"
is "$(printf '%s\n' "$out" | awk 'length > 80')" "" "it fits 80 columns"
run xo dead-letters --json
is "$(printf '%s\n' "$out" | value uid | tr '\n' ' ')" "first second " "in order, over all pools"
is "$(printf '%s\n' "$out" | value address | tr '\n' ' ')" "$plain $keeps " "with the pool"
is "$(printf '%s\n' "$out" | grep -c payload)" 0 "--json has no contents either"
run xo dead-letters -n 1 --json
is "$(printf '%s\n' "$out" | value uid)" second "the last ones"

run xo dead-letters --json --payload
like "$out" '"uid":"second".*"payload":\[\[2\],\{\}\]' "contents, of who keeps them"
is "$(printf '%s\n' "$out" | grep -c payload)" 1 "and of nobody else"
run xo dead-letters --payload --wide
like "$out" 'second.* \[\[2\],' "in the table as well"

# A pool that is stopped does not keep the others' from being read.
pid=$(xo pools --json | grep '"label":"plain"' | value pid)
kill -STOP "$pid"
run xo dead-letters --json
is "$status" 0 "with a pool that does not answer"
like "$errors" "the pool at $plain did not answer" "which is named"
is "$(printf '%s\n' "$out" | value uid)" second "the others' letters are there"
kill -CONT "$pid"
until_true letters first 1
is $? 0 "and those of the pool again when it goes on"

# Tells on their way to a pool when it dies: the broker has passed these on. The first of all may
# count, too: the pool took it, but says so in portions.
is_lost() { xo dead-letters --json | grep '"reason":"lost"' | value count | grep -qx '[34]'; }
kill -STOP "$pid"
for i in 1 2 3; do xo call --tell --at "$plain" third add "$i"; done
kill -KILL "$pid"
until_true is_lost
is $? 0 "what had left for a pool that died is counted"
run xo dead-letters
like "$out" '^[0-9:.]+ +lost +tell +[34] to ' "with how many there were"
run xo status --json
like "$out" '"lost": ?[34]' "xo status counts them"

stop_node
is $? 0 "the node ends"
done_testing
