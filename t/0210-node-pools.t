#!/bin/bash
# 0210-node-pools.t - pools of C actors on a node: found through each other, restarted, joined by hand.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

modules=$XO_BUILDDIR/examples/.libs
[ -e "$modules/counter.so" ] || skip_all "counter.so is not built"
command -v xo-broker >/dev/null || skip_all "xo-broker is not built"
call() { "$XO_BUILDDIR/t/call" "$@"; }

cat >"$work/node.ini" <<INI
[pool one]
command = xo-pool --create Counter:a:[1] --create Counter:twin
modules = "$modules/counter.so"

[pool two]
command = xo-pool --create Counter:b:[20] --create Counter:twin
modules = "$modules/counter.so"
INI

value() { grep -oE "\"$1\":(\"[^\"]*\"|[^,}]*)" | sed -E "s/^\"$1\"://; s/^\"(.*)\"\$/\\1/"; }
address_of() { xo pools --json | grep "\"label\":\"$1\"" | value address; }
pid_of() { xo pools --json | grep "\"label\":\"$1\"" | value pid; }

start_node --config "$work/node.ini"
until_true call "$(address_of one)" a get || bail_out "no actor a"
until_true call "$(address_of two)" b get || bail_out "no actor b"
one=$(address_of one)
two=$(address_of two)

# ---- any pool of a node finds the actors of all ------------------------------------------------

like "$(call -r "$one" a)" "\"$one\"" "a pool knows its own actors"
like "$(call -r "$one" b)" "\"$two\"" "and finds those of another pool of the node"
like "$(call -r "$two" a)" "\"$one\"" "the other way round too"
run call -r "$one" nobody
like "$errors" '^ActorNotExist: actor "nobody"' "but nobody is not found"
like "$(call -r "$one" twin)" "\"$one\"" "its own actor comes first"
is "$(call "$one" a sum_with "$two" b)" 21 "actors of two pools call each other"
uids() { xo actors --json | value uid | sort | tr '\n' ' '; }
knows_all() { [ "$(uids)" = "a b twin twin " ]; }
until_true knows_all
is "$(uids)" "a b twin twin " "the broker knows all"

# ---- a pool that dies --------------------------------------------------------------------------

call -b "$two" b slow_add 1 60000 >"$work/slow.out" 2>"$work/slow.err" &
caller=$!
started="$started $caller"
until_true grep -q begun "$work/slow.out"
before=$(pid_of two)
kill -KILL "$before"
wait "$caller"
like "$(cat "$work/slow.err")" "ServerClosed.*signal 9 \(Killed\)" \
    "who called an actor of a pool that dies, and knows only that pool, is told why"
restarted() { [ "$(pid_of two)" != "$before" ] && call "$two" b get; }
until_true restarted
is "$(call "$two" b get)" 20 "the pool is there again, at the same address"
like "$(call -r "$one" b)" "\"$two\"" "and its actors are found"

# ---- a pool that joins by hand -----------------------------------------------------------------

xo-pool --module "$modules/counter.so" --label hand --pools 2 --create 'Counter:c:[300]' \
    --ready-fd 3 3>"$work/ready" >/dev/null 2>"$work/hand.err" &
hand=$!
started="$started $hand"
until_true test -s "$work/ready"
third=$(sed -n 1p "$work/ready")
fourth=$(sed -n 2p "$work/ready")
is "$(xo pools --json | value label | sort | tr '\n' ' ')" "hand hand-1 one two " \
    "the broker takes pools that it did not start"
like "$(call -r "$one" c)" "\"$third\"" "their actors are found"
like "$(call -r "$fourth" a)" "\"$one\"" "and they find the others"
run xo call xo.broker pool.stop "\"$fourth\""
is "$status" 0 "the broker can stop one"
status=0
wait "$hand" || status=$?
is "$status" 0 "which ends the process, in order"
is "$(cat "$work/hand.err")" "" "without a complaint"
c_is_gone() { ! call -r "$one" c; }
until_true c_is_gone
run call -r "$one" c
like "$errors" '^ActorNotExist' "and its actors are gone"

# ---- the end -----------------------------------------------------------------------------------

stop_node
is "$?" 0 "the node stops in order"
is "$(leftovers)" "" "and nothing is left"

# ---- actors that the broker creates again, by their policies -----------------------------------

cat >"$work/again.ini" <<INI
[pool again]
command = xo-pool --create Counter:always --create Counter --restart-policy temporary --create Counter:once --restart-policy transient,intensity=1,period_ms=600000 --create Counter:frail
modules = "$modules/counter.so"
recover = actors
backoff_ms = 0
INI

start_node --config "$work/again.ini"
actors() { xo actors --json | value "$1" | sort | tr '\n' ' '; }
all_there() { [ "$(xo actors --json | wc -l)" -eq 4 ]; }
until_true all_there
is "$(actors restart)" "permanent permanent temporary transient " "actors have the policies of --restart-policy"
drawn=$(xo actors --json | value uid | grep -Ev '^(always|once|frail)$')
again=$(address_of again)

# die: the pool's process, which comes back.
die() {
    before=$(pid_of again)
    kill -KILL "$before"
    until_true is_back
}
is_back() { [ "$(pid_of again)" != "$before" ] && xo pools --json | grep -q '"state":"ready"'; }
die
is "$(actors uid)" "$(printf '%s\n' always frail "$drawn" | sort | tr '\n' ' ')" \
    "the temporary one is gone, and the others have come back once"
die
is "$(actors state)" "failed running running " "one that dies too often is given up"
run call "$again" frail get
like "$errors" "given up after 1 restarts within 600 s" "and its callers hear why"
die
is "$(actors state)" "failed running running " "which the command line does not change"
run xo revive frail
is "$status" 0 "it is revived"
is "$(call "$again" frail get)" 0 "and answers"
run call -d "$again" always
is "$status" 0 "one is destroyed"
die
is "$(call "$again" always get)" 0 "what the broker does not know is created at the start"
stop_node

# ---- a pool that was given up ------------------------------------------------------------------

# revived SETTING: of a pool that dies once too often, and is revived.
revived() {
    cat >"$work/revived.ini" <<INI
[pool again]
command = xo-pool --create Counter:one --create Counter:two
modules = "$modules/counter.so"
intensity = 0
$1
INI
    start_node --config "$work/revived.ini"
    again=$(address_of again)
    until_true both_there
    kill -KILL "$(pid_of again)"
    until_true is_given_up
    is "$(actors state)" "$2" "${1:-as it is by default}: what its actors are when it is given up"
    run xo revive "$again"
    is "$status" 0 "it is revived"
    is "$(call "$again" one get) $(call "$again" two get)" "0 0" "and the actors of --create are there"
    stop_node
}
both_there() { [ "$(xo actors --json | grep -c '"state":"running"')" -eq 2 ]; }
is_given_up() { xo pools --json | grep -q '"state":"failed"'; }
revived "" "failed failed "
revived "recover = none" ""
done_testing
