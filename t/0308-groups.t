#!/bin/bash
# 0308-groups.t - groups of C actors, made through the C API, and what an operator sees of them.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

modules=$XO_BUILDDIR/examples/.libs
[ -e "$modules/counter.so" ] || skip_all "counter.so is not built"
command -v xo-broker >/dev/null || skip_all "xo-broker is not built"

cat >"$work/node.ini" <<INI
[pool work]
command = xo-pool
modules = "$modules/counter.so"
count = 2
recover = actors

[pool bare]
command = xo-pool
modules = "$modules/counter.so"
recover = none
INI

group() { "$XO_BUILDDIR/t/group" "$@"; }
# value KEY: the text under a key, from JSON on stdin, one a line.
value() { grep -oE "\"$1\":(\"[^\"]*\"|[^,}]*)" | sed -E "s/^\"$1\"://; s/^\"(.*)\"\$/\\1/"; }
# pools LABEL KEY: of the pools with this label
pools() { xo pools --json | grep "\"label\":\"$1\"" | value "$2"; }

start_node --config "$work/node.ini"
until_true pools_are_up || bail_out "the pools do not run"
one=$(pools work address | sed -n 1p)
two=$(pools work address | sed -n 2p)

run group "$one" make g rest_for_one
is "$status" 0 "a group is made"
run group "$one" make g rest_for_one
is "$status" 0 "once more is the same"
run group "$one" make g one_for_all
is "$status" 1 "with other settings it is another one"
like "$errors" "a group 'g' already, with other settings" "which is said"
run group "$one" make h all_for_one
like "$errors" "strategy 'all_for_one': not one of" "a strategy that is none"
run group "$one" create Counter a g
is "$status" 0 "an actor in a group"
run group "$one" make inner one_for_one g
is "$status" 0 "a group in a group"
run group "$one" make lost one_for_one nobody
like "$errors" "no group 'nobody'" "a parent that is none"

run group "$two" create Counter b inner
is "$status" 0 "one in the group in it"
run group "$two" create Counter c g
is "$status" 0 "another one"
run group "$two" create Counter d nobody
is "$status" 1 "not in one that is not there"
like "$errors" "no group 'nobody'" "which is said"
run xo call "$two/d" get
is "$status" 5 "and nothing is left of it"
run group "$(pools bare address)" create Counter d g
like "$errors" "in no group: its pool's actors are not created again" "nor where nothing comes back"

run xo groups --json
is "$(printf '%s\n' "$out" | value name | paste -sd ' ')" "g inner" "groups lists them"
is "$(printf '%s\n' "$out" | value members | paste -sd ' ')" "3 1" "and counts their members"
is "$(printf '%s\n' "$out" | value parent)" g "and names the parent"
run xo actors --json
is "$(printf '%s\n' "$out" | value group | sort | paste -sd ' ')" "g g inner" "actors names the groups"

xo call "$one/a" add 5 >"$work/out"
xo call "$two/b" add 6 >"$work/out"
kill -KILL "$(pools work pid | sed -n 1p)"
is_restarted() { [ "$(xo groups --json | value restarts | sed -n 1p)" = 1 ] && is_running; }
is_running() { [ "$(xo groups --json | value state | paste -sd ' ')" = "running running" ]; }
ok "it is restarted" until_true is_restarted
run xo call "$two/b" get
is "$out" 0 "with the one that came after the first"
run xo events --json --lines 100
like "$out" '"type":"group.restart"[^}]*"name":"g"' "an event says so"
run xo events --lines 100
like "$out" '  group\.restart +name=g ' "and names it in the table, too"
like "$out" '  pool\.recovered +address=' "a long type of an event is not cut in a pipe"
run env COLUMNS=60 xo events --lines 100
like "$out" '  pool\.recovered ' "nor where lines have an end"

run group "$one" stop g
is "$status" 0 "it is stopped"
run xo call "$one/a" get
is "$status" 5 "with its members"
run xo groups
like "$errors" "no groups" "nothing is left of it"

stop_node
is "$(leftovers)" "" "nothing is left"

# ---- a node stops ------------------------------------------------------------------------------

# slow_node LIMIT_MS: c, b and a end in this order, b not at all by itself, and has so long.
slow_node() {
    : >"$work/diary"
    start_node --config "$work/slow.ini"
    until_true pools_are_up || bail_out "the pools do not run"
    mapfile -t pools < <(pools slow address)
    group "${pools[0]}" make g one_for_all
    group "${pools[0]}" create Slow a g 3000
    group "${pools[1]}" create Endless b g "$1"
    group "${pools[2]}" create Slow c g 3000
}
diary() { paste -sd ' ' "$work/diary"; }
holds() { grep -qF "?$1" "$work/diary"; }
is_without() { ! grep -q "$1" "$2"; }
# took COMMAND...: how many ms; its status is in $status.
took() {
    local began
    began=$(date +%s%N)
    status=0
    "$@" || status=$?
    ms=$((($(date +%s%N) - began) / 1000000))
}

cat >"$work/slow.ini" <<INI
[pool slow]
command = xo-pool
modules = "$XO_BUILDDIR/t/.libs/module-stuck.so"
count = 3
recover = actors
env.DIARY = $work/diary
INI
slow_node 300
xo stop >"$work/stop.out" 2>&1 &
stopping=$!
ok "a node that is told to stop begins with its groups" until_true holds c
run xo events
like "$out" "node\\.stopping .*reason=asked to; its groups end first, within 20 s" "an event says so"
run xo nodes --wide
like "$out" " stopping .*actor \"[abc]\" of group 'g'" "nodes tells whom it waits for"
run group "${pools[0]}" make h one_for_all
like "$errors" "the node is stopping" "nothing new begins"
ok "xo stop waits" wait "$stopping"
is "$(diary)" "?c -c ?b ?a -a" "they end backwards, each in its time; one that does not is killed"
like "$(cat "$work/stop.out")" "waiting for actor \"c\" of group 'g' to end" "and says for whom"
like "$(cat "$work/stop.out")" "waiting for actor \"b\" of group 'g' to end" "each time"
ok "the node has ended in order" wait "$node"
like "$(cat "$work/node.log")" 'actor "b" did not stop in time' "the log says who was killed"
ok "and that nothing was started again" is_without "generation 2" "$work/node.log"
is "$(leftovers)" "" "nothing is left"

slow_node 60000
kill -TERM "$node"
ok "SIGTERM stops it in the same way" until_true holds b
kill -TERM "$node"
took wait "$node"
is "$status:$(diary)" "0:?c -c ?b" "told once more it waits for nobody"
ok "and ends at once ($ms ms)" [ "$ms" -lt 2000 ]
is "$(leftovers)" "" "nothing is left"

XO_STOP_TIMEOUT_MS=100 slow_node 60000
took stop_node
is "$status" 0 "stop_timeout_ms is what all groups have together"
like "$(cat "$work/node.log")" "groups have not ended in time: actor \"c\" of group 'g'" "as the log says"
ok "and ends them ($ms ms)" [ "$ms" -lt 2000 ]
is "$(leftovers)" "" "nothing is left"

# A broker that is killed meanwhile: the next one was not told to stop.
slow_node 300
kill -TERM "$node"
ok "a group ends with its node" until_true holds b
kill -KILL "$node"
wait "$node"
start_node --config "$work/slow.ini"
has_no_groups() { xo groups 2>&1 | grep -q "no groups"; }
ok "if the broker is killed then, the next one ends it" until_true has_no_groups
is "$(diary)" "?c -c ?b ?a -a" "from where it was"
are_ready() { [ "$(pools slow state | paste -sd ' ')" = "ready ready ready" ]; }
ok "and goes on with the rest" until_true are_ready
stop_node
is "$(leftovers)" "" "nothing is left"

run env XO_STOP_TIMEOUT_MS=soon timeout 60 xo-broker
is "$status" 2 "it is a number"
like "$errors" "XO_STOP_TIMEOUT_MS may be 0 to 2147483647, not 'soon'" "which is said"
done_testing
