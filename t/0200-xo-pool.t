#!/bin/bash
# 0200-xo-pool.t - the program xo-pool, standing alone.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

modules=$XO_BUILDDIR/examples/.libs
[ -e "$modules/counter.so" ] || skip_all "counter.so is not built"
call() { "$XO_BUILDDIR/t/call" "$@"; }

# start_pool [OPTION]...: in the background; $pool is its pid, $addresses what it is ready at.
start_pool() {
    : >"$work/ready"
    xo-pool --module "$modules/counter.so" --broker none "$@" --ready-fd 3 \
        3>"$work/ready" >"$work/pool.out" 2>"$work/pool.err" &
    pool=$!
    started="$started $pool"
    until_true ready_or_ended
    addresses=$(cat "$work/ready")
}
ready_or_ended() { [ -s "$work/ready" ] || is_gone "$pool"; }

# stop_pool [SIGNAL]: sets $status, and $took in milliseconds. It counts its own naps, so that a
# machine that stands still meanwhile is not taken for a slow pool.
stop_pool() {
    took=0
    status=0
    kill "-${1:-TERM}" "$pool"
    until is_ended "$pool" || [ "$took" -gt 20000 ]; do
        sleep 0.02
        took=$((took + 20))
    done
    wait "$pool" || status=$?
}
is_ended() { ! grep -qs '^State:[[:space:]]*[^Z]' "/proc/$1/status"; }

run env XO_POOL_LABEL="$(printf "%062d" 0)" xo-pool --broker none --pools 2 --module "$modules/counter.so"
is "$status" 1 "a label that is too long for the second of several pools is refused"
like "$errors" "longer than 63 bytes" "which is said"

# ---- without a pool ----------------------------------------------------------------------------

run xo-pool --help
is "$status" 0 "--help succeeds"
like "$out" '^Usage: xo-pool ' "--help says how it is used"
run xo-pool --version
is "$status" 0 "--version succeeds"
like "$out" '^xo-pool .* [0-9]' "--version says which"

run xo-pool --module "$modules/counter.so" --module "$modules/wordmerge.so" --list
is "$status" 0 "--list succeeds"
like "$out" '^  Counter: ' "--list has the classes"
like "$out" '^  Adder \(stateless\)' "--list says what is stateless"
like "$out" '^    slow_add +slow_add\(N, MS\)' "--list has the methods and what they do"
like "$out" '^  WordMerge: ' "--list has all modules"
XO_MODULE_PATH=$modules run xo-pool --module wordmerge --list
like "$out" '^wordmerge$' "XO_MODULE_PATH is searched"

usage() {
    run xo-pool "$@"
    is "$status" 2 "wrong usage: $*"
    like "$errors" '^xo-pool: ' "and it is told"
}
usage
usage --module "$modules/counter.so" surplus
usage --module "$modules/counter.so" --pools 0
usage --module "$modules/counter.so" --pools many
usage --module "$modules/counter.so" --bind socket
usage --module "$modules/counter.so" --nonsense
usage --module "$modules/counter.so" --create ':uid'
# shellcheck disable=SC2046
usage --module "$modules/counter.so" $(printf -- '--create Counter:%s ' {1..65})
like "$errors" "too many, 64 can be" "how many actors one can create"
usage --module "$modules/counter.so" --create 'Counter:c:{"no": "array"}'
usage --module "$modules/counter.so" --create 'Counter:c:[1'
bad_policy() {
    usage --module "$modules/counter.so" --restart-policy "$1" --create Counter
    like "$errors" "--restart-policy $1: $2" "what is wrong with it is said"
}
bad_policy always "'always' is not one of permanent, transient, temporary"
bad_policy "" "'' is not one of"
bad_policy transient, "'' is not one of"
bad_policy speed=3 "'speed' is not one of intensity, period_ms"
bad_policy temporary,intensity=65 "intensity must be from 0 to 64"
bad_policy intensity=two "intensity=two: not a whole number"
bad_policy backoff_ms=-1 "backoff_ms=-1: not a whole number"
bad_policy create_timeout_ms=1s "create_timeout_ms=1s: not a whole number"
bad_policy period_ms=2147483648 "period_ms=2147483648: not a whole number from 0 to 2147483647"
bad_policy "intensity=$(printf '%0300d' 1)" "longer than 255 bytes"
usage --module "$modules/counter.so" --create Counter --restart-policy transient
like "$errors" "--restart-policy transient: no --create follows" "a policy for nobody is a mistake"
usage --module "$modules/counter.so" --restart-policy transient --restart-policy temporary --create Counter
completed() {
    (. "$XO_SRCDIR/etc/completion/xo-pool" && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _xo_pool && echo "${COMPREPLY[@]}")
}
is "$(completed xo-pool --rest)" "--restart-policy" "completion knows the options"
is "$(completed xo-pool --restart-policy t)" "transient temporary" "and the words of a policy"

refused() {
    local pattern=$1
    shift
    run xo-pool "$@"
    is "$status" 1 "cannot start: $*"
    like "$errors" "$pattern" "and it says why"
}
echo nonsense >"$work/text.so"
refused "text.so: " --module "$work/text.so" --broker none
refused "$work/none.so: no such file" --module "$work/none.so" --broker none
refused "module-abi.so: .*version" --module "$XO_BUILDDIR/t/.libs/module-abi.so" --broker none
refused "no broker to join.*--broker none" --module "$modules/counter.so"
refused "no-such-broker" --module "$modules/counter.so" --broker "ipc://$work/no-such-broker"
refused "1\.2\.3\.4" --module "$modules/counter.so" --broker none --address 1.2.3.4:0
refused "class Counter: .*str" --module "$modules/counter.so" --broker none \
    --create 'Counter:c:["text"]'
refused "no class \"Nothing\"" --module "$modules/counter.so" --broker none --create Nothing
refused "73010001 is a place behind a node's port.* none" --module "$modules/counter.so" \
    --broker none --address 127.0.0.1:73010001
XO_PORT=127.0.0.1:7400 refused "73010001 is no place .*127\.0\.0\.1:7400" \
    --module "$modules/counter.so" --broker none --address 127.0.0.1:73010001
XO_POOL_INDEX=first refused "XO_POOL_INDEX=first" --module "$modules/counter.so" --broker none
is "$(leftovers)" "" "nothing is left of what did not start"

# ---- one pool ----------------------------------------------------------------------------------

start_pool --create 'Counter:hits:[5]' --create 'Adder:plus' --create Counter --bind core
is "$(printf '%s\n' "$addresses" | wc -l)" 1 "--ready-fd has the address"
like "$(cat "$work/pool.out")" \
    "^pool 0 $addresses bound to core ([0-9]+) \(numa [0-9]+\), I/O on core \\1$" "the place is printed"
cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$pool/status")
like "$cpus" '^[0-9]+$' "the thread is bound to one processor"
is "$(cat "$work/pool.err")" "" "and there is nothing to complain about"
is "$(call "$addresses" hits add 2)" 7 "an actor of --create has its arguments"
is "$(call "$addresses" plus add 1 2)" 3.0 "and so has a stateless one"
run call "$addresses" nobody get
is "$status" 1 "a call to nobody fails"
like "$errors" "ActorNotExist: actor \"nobody\" .*$addresses" "and names the uid and the address"
is "$(tr -d '\0' <"/proc/$pool/comm")" xo-pool "the process has its name"
# garbage FAMILY ADDRESS: what is no message, from somebody who then hangs up.
garbage() {
    "${PYTHON:-python3}" - "$@" <<'END'
import socket, sys
family, address = sys.argv[1:]
host, _, port = address.rpartition(":")
with socket.socket(getattr(socket, family)) as caller:
    caller.connect((host, int(port)) if family == "AF_INET" else address)
    caller.sendall(b"garbage " * 600)
END
}
near=$(find "$XO_RUN_DIR" -type s -name "$addresses*")
find "$XO_RUN_DIR" -type s -exec touch -d '1 minute ago' {} +
start_node
stop_node
is "$(call "$addresses" hits add 0)" 7 "a node that starts leaves the sockets of others alone"
is "$(cat "$work/pool.err")" "" "and is not refused for looking at them"
case ${XO_LANES:-shm,ipc} in *shm*ipc*) kinds=2 ;; *) kinds=1 ;; esac
is "$(printf '%s\n' "$near" | wc -l)" "$kinds" "it has a socket of each kind for its neighbours"
for socket in $near $addresses; do
    case $socket in /*) family=AF_UNIX ;; *) family=AF_INET ;; esac
    garbage "$family" "$socket"
    until_true grep -Eq "^xo-pool: refused (somebody|127.0.0.1) at [a-z]*://$socket: " "$work/pool.err"
    like "$(cat "$work/pool.err")" "refused (somebody|127.0.0.1) at [a-z]*://$socket: " \
        "what comes to ${socket##*/} by $family and is no message is logged"
done
is "$(call "$addresses" hits get)" 7 "and harms nobody"
is "$(xo call "$addresses/hits" add 1)" 8 "xo call reaches it by its address"
run xo call --node "$addresses" --tell "$addresses/hits" add 1
is "$status:$out" "0:" "also when that is named as the node"
is "$(xo call --node "$addresses" "$addresses/hits" get)" 9 "a tell arrives"
run xo call "$addresses/nobody" get
is "$status" 5 "who is not there is told from"
run xo call 127.0.0.1:1/hits get
is "$status" 3 "a pool that is not there"

stop_pool TERM
is "$status" 0 "SIGTERM ends it in order"
if [ "$took" -lt 2000 ]; then pass "within 2 s"; else fail "within 2 s" "$took ms"; fi
is "$(leftovers)" "" "and nothing is left"

start_pool --create Counter:hits
call -b "$addresses" hits slow_add 1 60000 >"$work/slow.out" 2>"$work/slow.err" &
caller=$!
started="$started $caller"
until_true grep -q begun "$work/slow.out"
stop_pool INT
is "$status" 0 "SIGINT ends it in order, with a method under way"
if [ "$took" -lt 2000 ]; then pass "within 2 s"; else fail "within 2 s" "$took ms"; fi
status=0
wait "$caller" || status=$?
is "$status" 1 "whose caller is told"
like "$(cat "$work/slow.err")" "ServerClosed" "that the pool is gone"
is "$(leftovers)" "" "and nothing is left"

# ---- several pools -----------------------------------------------------------------------------

start_pool --pools 3 --label many --create 'Counter:first:[100]' --bind numa
is "$(printf '%s\n' "$addresses" | sort -u | wc -l)" 3 "three pools have an address each"
like "$(cat "$work/pool.out")" '^pool 2 .* bound to numa [0-9]+' "and a place each"
first=$(printf '%s\n' "$addresses" | sed -n 1p)
third=$(printf '%s\n' "$addresses" | sed -n 3p)
is "$(call "$first" first get)" 100 "--create creates in the first"
run call "$third" first get
is "$status" 1 "and only there"
names=$(cat "/proc/$pool/task"/*/comm | grep -c '^xo-pool-[12]$')
is "$names" 2 "the threads have names"
stop_pool TERM
is "$status" 0 "SIGTERM ends all"
is "$(leftovers)" "" "and nothing is left"

cpu=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | sed 's/.*[-,]//')
start_taskset() {
    : >"$work/ready"
    taskset -c "$cpu" xo-pool --module "$modules/counter.so" --broker none --pools 2 --bind core \
        --ready-fd 3 3>"$work/ready" >"$work/pool.out" 2>"$work/pool.err" &
    pool=$!
    started="$started $pool"
    until_true ready_or_ended
}
start_taskset
like "$(cat "$work/pool.out")" '^2 pools share 1 core$' "with fewer cores than pools, they share"
stop_pool TERM
is "$status" 0 "and end in order"

port=$((20000 + $$ % 10000)) # not one that the kernel gives to others
if xo-pool --module "$modules/counter.so" --broker none --address "127.0.0.1:$port" --pools 2 \
    --create Nothing 2>&1 | grep -q "no class"; then
    start_pool --address "127.0.0.1:$port" --pools 2
    is "$addresses" "127.0.0.1:$port
127.0.0.1:$((port + 1))" "ports count up"
    stop_pool TERM
else
    pass "ports count up # SKIP port $port is taken"
fi

# ---- the owner ---------------------------------------------------------------------------------

sleep 1000 &
owner=$!
started="$started $owner"
XO_OWNER_PID=$owner start_pool
{ kill -KILL "$owner" && wait "$owner"; } 2>/dev/null
status=0
wait "$pool" || status=$?
is "$status" 0 "the pool ends when its owner does"
is "$(leftovers)" "" "and nothing is left"

done_testing
