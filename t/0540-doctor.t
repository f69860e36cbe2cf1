#!/bin/bash
# 0540-doctor.t - xo doctor, on this machine and on machines with something wrong.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

unset XO_REGISTRY CUDA_VISIBLE_DEVICES
export RES_OPTIONS="timeout:1 attempts:1" # where there is no name server

# says STATE CHECK PATTERN WHAT: the last run has a line of this check that does.
says() { like "$out" "^$1 $2: .*$3" "$4"; }

run xo doctor
is "$status" 0 "nothing is wrong that is an error"
is "$(printf '%s\n' "$out" | grep -Evc '^(ok|warning) [a-z-]+: .')" 0 "each line has its three parts"
is "$errors" "" "nothing on stderr"
says ok run-dir "$work/run/default" "the run directory"
says ok keys "no key here yet" "no keys yet"
is "$(leftovers)" "" "it leaves no run directory"
ok "and makes no key" test ! -e "$work/config/default.key"
run xo doctor --json
is "$(printf '%s\n' "$out" | value state | grep -Evc '^(ok|warning)$')" 0 "JSON: the states"
is "$(printf '%s\n' "$out" | value check | grep -c '^run-dir$')" 1 "JSON: a record for each"

# ---- addresses ---------------------------------------------------------------------------------

run xo doctor 0.0.0.0:7001
is "$status" 1 "an address that nobody can dial: exit status"
says error address "0\.0\.0\.0:7001.*bind = 0\.0\.0\.0:7001" "it says what to do"
run xo doctor no-such-host.invalid
says error address "no-such-host\.invalid resolves to nothing" "a name that is none"
run xo doctor 127.0.0.1:7001 192.0.2.1
is "$status" 0 "warnings only"
says warning address "127\.0\.0\.1: only this machine" "the loopback"
says warning address "192\.0\.2\.1, which no interface" "somebody else's"
run xo doctor 'a b'
says error address '"a b"' "no address"

# ---- keys --------------------------------------------------------------------------------------

xo keys generate first >/dev/null
run xo doctor
says ok keys "'first'" "a key"
chmod 644 "$work/config/default.key"
run xo doctor
is "$status" 1 "a key that others can read: exit status"
says error keys "$work/config/default.key.*chmod 600" "it says what to do"
chmod 600 "$work/config/default.key"
chmod 755 "$work/config"
run xo doctor
says error keys "$work/config.*chmod 700" "a directory that others can read"
chmod 700 "$work/config"
xo keys export gpu1 | XO_CONFIG_DIR=$work/away xo keys import >/dev/null
xo keys revoke gpu1 >/dev/null
xo keys export gpu2 | XO_CONFIG_DIR=$work/away xo keys import >/dev/null
XO_CONFIG_DIR=$work/away run xo doctor
says error keys "'gpu1', was revoked: remove default.key" "a key that was revoked"

# ---- the run directory, memory, limits ---------------------------------------------------------

mkdir -m 777 "$work/open"
XO_RUN_DIR=$work/open run xo doctor
is "$status" 1 "a run directory that others can write to: exit status"
says error run-dir "$work/open.*chmod 700" "it says what to do"
XO_RUN_DIR=$work/none/run run xo doctor
says error run-dir "$work/none/run" "one that cannot be made"

run bash -c 'ulimit -n 256 && xo doctor'
says warning nofile "256.*ulimit -n" "few descriptors"
small='mount -t tmpfs -o size=1m tmpfs /dev/shm && mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" && XO_RUN_DIR=$0 xo doctor'
if unshare -rm sh -c 'mount -t tmpfs -o size=1m tmpfs /dev/shm' 2>/dev/null; then
    mkdir "$work/small"
    run unshare -rm sh -c "$small" "$work/small"
    says warning shm "has 1\.0MiB of 1\.0MiB left|has 1MiB of 1MiB left" "a small /dev/shm"
    says warning run-dir "$work/small/default has" "a small run directory"
else
    say "no file systems of one's own: small ones are not tried"
fi

# ---- GPUs --------------------------------------------------------------------------------------

mkdir "$work/bin"
printf '#!/bin/sh\necho "NVIDIA H100, 81559 MiB"\necho "NVIDIA H100, 81559 MiB"\n' >"$work/bin/nvidia-smi"
chmod +x "$work/bin/nvidia-smi"
CUDA_VISIBLE_DEVICES=0,1 PATH=$work/bin:$PATH run xo doctor
says ok gpu "2, the first is NVIDIA H100" "two GPUs"
CUDA_VISIBLE_DEVICES=1,2 PATH=$work/bin:$PATH run xo doctor
is "$status" 1 "a GPU that is not there: exit status"
says error gpu "is 1,2, and there are 2 GPUs" "it says which"
printf '#!/bin/sh\necho "NVIDIA-SMI has failed: no driver"\nexit 9\n' >"$work/bin/nvidia-smi"
CUDA_VISIBLE_DEVICES=0 PATH=$work/bin:$PATH run xo doctor
says error gpu "no driver" "no driver"

# ---- the registry ------------------------------------------------------------------------------

run xo doctor --registry "unix://$work/redis.sock"
is "$status" 1 "a Redis that is not there: exit status"
says error registry "$work/redis.sock" "it is named"
run xo doctor --registry nonsense
says error registry "nonsense" "no URL"
run env PATH="$work/none" "$(command -v xo)" doctor
says warning registry "redis-server is not on PATH" "no redis-server"

if command -v redis-server >/dev/null && command -v redis-cli >/dev/null; then
    redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --dir "$work" --requirepass secret \
        >"$work/redis.log" 2>&1 &
    started="$started $!"
    answers() { redis-cli -s "$work/redis.sock" -a secret ping 2>&1 | grep -q PONG; }
    until_true answers || bail_out "redis-server does not answer"
    XO_REGISTRY=unix://:secret@$work/redis.sock run xo doctor
    is "$status" 0 "a Redis"
    says ok registry "can be read and written" "it can be used"
    says ok clock "Redis'" "its clock is ours"
    is "$(printf '%s\n' "$out" | grep -c secret)" 0 "the password is not shown"
    XO_REGISTRY=unix://$work/redis.sock run xo doctor
    is "$status" 1 "no password: exit status"
    says error registry "password" "it says so"
    if redis-cli -s "$work/redis.sock" -a secret acl setuser dull on '>dull' '~xo:*' +@read +@connection 2>/dev/null | grep -q OK; then
        XO_REGISTRY=unix://dull:dull@$work/redis.sock run xo doctor
        is "$status" 1 "a user who may not write: exit status"
        says error registry "den(y|ies)|permission" "it says so"
    fi
fi

done_testing
