#!/bin/bash
# 0510-xo-node.t - xo's commands against a node with two pools of C actors.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

modules=$XO_BUILDDIR/examples/.libs
[ -e "$modules/counter.so" ] || skip_all "counter.so is not built"
command -v xo-broker >/dev/null || skip_all "xo-broker is not built"

cat >"$work/node.ini" <<INI
[pool one]
command = xo-pool
modules = "$modules/counter.so"

[pool two]
command = xo-pool
modules = "$modules/counter.so"
INI

hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }

# create ADDRESS UID [JSON-ARGS]: makes a Counter, by the broker's relay (10 is the kind "create").
create() {
    xo call xo.broker relay "\"$1\"" 10 "{\"\$bytes\": \"$(hex "$2")\"}" '"Counter"' \
        "[[${3:-}], {}]"
}

fits() { is "$(printf "%s\n" "$1" | while IFS= read -r line; do [ ${#line} -le "$2" ] || echo "$line"; done)" "" "$3"; }

start_node --config "$work/node.ini"

# ---- status, nodes, pools ----------------------------------------------------------------------

run xo status
is "$status" 0 "status succeeds"
like "$out" '^cluster +default$' "status names the cluster"
like "$out" "^pid +$node\$" "status names the process"
like "$out" '^pools +2$' "status counts the pools"
like "$out" '^registry +[a-z]' "status names the registry"
like "$out" '^LANE ' "status counts the traffic"
fits "$out" 80 "status fits 80 columns"
run xo status --json
is "$(printf '%s\n' "$out" | wc -l)" 1 "status --json is one line"
is "$(printf '%s\n' "$out" | value pid)" "$node" "status --json has the pid"

run xo nodes
is "$(printf '%s\n' "$out" | wc -l)" 2 "nodes has a title and a row"
fits "$out" 80 "nodes fits 80 columns"
run xo nodes --json
like "$out" '^\[$' "nodes --json is an array"
is "$(printf '%s\n' "$out" | value pools)" 2 "nodes --json has the record"

run xo pools
is "$(printf '%s\n' "$out" | grep -c ' ready ')" 2 "pools are ready"
fits "$out" 80 "pools fits 80 columns"
run xo pools --json
addresses=$(printf '%s\n' "$out" | value address)
is "$(printf '%s\n' "$addresses" | wc -l)" 2 "pools --json has both"
first=$(printf '%s\n' "$addresses" | sed -n 1p)
second=$(printf '%s\n' "$addresses" | sed -n 2p)

# ---- a broker that stands still ----------------------------------------------------------------

kill -STOP "$node"
began=$(date +%s%N)
run xo status -t 0.3
took_ms=$((($(date +%s%N) - began) / 1000000))
is "$status:$out" "6:" "a broker that stands still gives no answer in time"
like "$errors" "^xo: the broker \\(process $node\\) does not answer within 0.3 s; .*kill -CONT $node" \
    "which is said, with what to do"
ok "-t is how long it waits for that ($took_ms ms)" [ "$took_ms" -lt 5000 ]
# Longer than a handshake may take (5 s): what began to wait before goes on with the broker.
xo status -t 60 >"$work/waited" 2>&1 &
waiting=$!
run xo status -t 6
is "$status" 6 "longer than a handshake, too"
kill -CONT "$node"
ok "who still waits when the broker goes on is answered" wait "$waiting"

# ---- actors and calls --------------------------------------------------------------------------

run xo actors
is "$status:$out" "0:" "there are no actors yet"
like "$errors" "no actors" "which is said"
is "$(xo actors --json)" "[]" "in JSON it is an empty array"

run xo actors --pool "$first"
is "$status:$errors" "0:no actors in this pool" "nor in one of the pools"
run xo actors --pool bogus
is "$status:$out" "5:" "a pool that does not exist is not an empty one"
like "$errors" "^xo: actors: no pool 'bogus'" "which is said"

ok "an actor is created" create "$first" counter
long=$(printf '%0200d' 7)
ok "one with a long uid" create "$second" "$long"
hostile=$(printf 'e\033]0;gotcha\007')
ok "one with a hostile uid" create "$second" "$hostile"
ok "one with a slash" create "$second" "127.0.0.1:9/x"
ok "one with a uid in UTF-8" create "$second" "größe"

run xo actors
is "$(printf '%s\n' "$out" | wc -l)" 6 "actors lists all"
fits "$out" 80 "actors fits 80 columns"
like "$out" '^0000+…0+7 ' "a long uid loses its middle"
like "$out" '^e\\x1b\]0;gotcha\\x07 ' "a hostile uid is escaped"
like "$out" '^größe ' "UTF-8 stays"
is "$(printf '%s' "$out" | LC_ALL=C tr -cd '\000-\011\013-\037\177')" "" "no control characters"
run xo actors --wide
like "$out" "^$long " "--wide cuts nothing"
run env COLUMNS=50 xo actors
fits "$out" 50 "COLUMNS makes it narrower"
run xo actors --pool "$first"
is "$(printf '%s\n' "$out" | wc -l)" 2 "--pool keeps one pool's"
run xo actors --json
is "$(printf '%s\n' "$out" | value uid | grep -c .)" 5 "actors --json has all"
is "$(printf '%s' "$out" | LC_ALL=C tr -cd '\000-\011\013-\037\177')" "" "JSON without control characters"

is "$(xo call counter add 5)" 5 "a call gives the result"
is "$(xo call counter add -2)" 3 "an argument may be negative"
is "$(xo call --node "$second" counter add 1)" 4 "a pool passes it on, wherever the actor is"
is "$(xo call "$first/counter" add 1)" 5 "the address may be named"
is "$(xo call --at "$second" 127.0.0.1:9/x add 1)" 1 "with --at the uid may hold a slash"
is "$(xo call "größe" add 1)" 1 "a uid in UTF-8"
is "$(xo call "$hostile" add 1)" 1 "a hostile uid"
run xo call --tell counter add 10
is "$status:$out" "0:" "a tell prints nothing"
is "$(xo call counter add 0)" 15 "but arrives, in order"

run xo call nobody add 1
is "$status" 5 "an unknown uid: exit status"
like "$errors" "nobody.*cluster 'default'.*xo actors" "an unknown uid: what to do"
run xo call "$first/nobody" add 1
is "$status" 5 "an unknown actor at an address: exit status"
run xo call counter frobnicate
is "$status" 1 "an unknown method: exit status"
like "$errors" "frobnicate" "an unknown method: named"
run xo call counter add '"five"'
is "$status" 1 "arguments that do not fit: exit status"
ok "the same uid in another pool" create "$second" counter
run xo call counter add 1
is "$status" 5 "a uid in two pools: exit status"
like "$errors" "^  $first/counter\$" "a uid in two pools: the first candidate"
like "$errors" "^  $second/counter\$" "a uid in two pools: the second candidate"
is "$(xo call "$second/counter" add 1)" 1 "a uid in two pools: naming one helps"
is "$(xo call xo.broker ping)" '"pong"' "the broker can be called"

# ---- Ctrl-C ------------------------------------------------------------------------------------

stopped=$(xo pools --json | grep "\"address\":\"$second\"" | value pid)
kill -STOP "$stopped"
# What a script starts in the background ignores SIGINT; until it is xo, the shell blocks it, too, and
# while xo starts a thread it blocks all signals.
env --default-signal=INT xo call "$second/counter" add 1 2>"$work/call.err" &
caller=$!
is_xo() { grep -qE '^Name:.*xo$' "/proc/$caller/status"; }
listens() { is_xo && grep -qE '^SigBlk:[[:space:]]*0*2$' "/proc/$caller/status"; }
until_true listens
kill -INT "$caller"
wait "$caller"
is "$?" 130 "Ctrl-C ends a call that hangs"
like "$(cat "$work/call.err")" "^xo: call $second/counter add: interrupted" "and says so"
kill -CONT "$stopped"

# ---- events ------------------------------------------------------------------------------------

run xo events -n 100
like "$out" ' pool\.up +' "events has the pools"
like "$out" "actor\.up .* uid=counter class=Counter address=$first\$" "a pipe gets all on one line"
run env COLUMNS=60 xo events -n 100
fits "$out" 60 "events fits the columns that there are"
like "$out" "^ {32}address=$first\$" "and goes on in the next line"
run xo events -n 2 --json
is "$(printf '%s\n' "$out" | value id | grep -cE '^[0-9]+-[0-9]+$')" 2 "events -n 2 --json has two"
last=$(printf '%s\n' "$out" | value id | tail -n 1)
is "$(xo events --since "$last" --json)" "[]" "nothing since the last one"

xo events --follow --json -n 0 -t 2 >"$work/followed" 2>"$work/follow.err" &
follower=$!
started="$started $follower"
create_and_look() { create "$first" "seen-$RANDOM-$RANDOM" && grep -q '"uid":"seen-' "$work/followed"; }
ok "--follow shows what happens" until_true create_and_look
is "$(grep -vc '^{.*}$' "$work/followed")" 0 "--follow --json is one object a line"

# ---- stop --------------------------------------------------------------------------------------

run xo stop
left=$(find "$XO_RUN_DIR" -mindepth 2)
is "$status" 0 "stop succeeds"
is "$left" "" "when the node's files are gone"
wait "$node"
is "$?" 0 "the node ends with status 0"
wait "$follower"
is "$?" 1 "--follow ends with the node, if that does not come back"
like "$(cat "$work/follow.err")" "the node went away, and did not come back" "and says why"
is "$(leftovers)" "" "nothing is left"
run xo stop
is "$status" 3 "a second stop finds nothing"

# ---- start -------------------------------------------------------------------------------------

run xo start --frobnicate
is "$status" 2 "start passes the broker's exit status on"
start_node --cluster "other"
is "$(xo status --cluster other | awk '$1 == "cluster" { print $2 }')" other "a cluster with a name"
run xo status
is "$status" 3 "which is not the default one"
stop_node
is "$?" 0 "SIGTERM ends a node with status 0"
is "$(leftovers)" "" "and leaves nothing"

done_testing
