#!/bin/bash
# 0530-keys.t - xo keys: two machines (two configuration directories), from the first key to its end.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

modules=$XO_BUILDDIR/examples/.libs
[ -e "$modules/counter.so" ] || skip_all "counter.so is not built"

away() { XO_CONFIG_DIR=$work/away XO_RUN_DIR=$work/away-run "$@"; }

# refused WHAT PATTERN ARG...: `xo keys ARG...` fails with a sentence, and prints nothing else.
refused() {
    local what=$1 pattern=$2
    shift 2
    run xo keys "$@"
    is "$status" 1 "$what: exit status"
    like "$errors" "^xo: keys.*$pattern" "$what: the sentence"
    is "$out" "" "$what: nothing on stdout"
}

run xo nodes
is "$status" 3 "xo without a node"
ok "which makes no key: this machine may be about to become a member of a cluster" \
    [ ! -e "$work/config/default.key" ]
refused "no key yet" "no key here, $work/config/default.key.*generate.*import" list
refused "a bad name" "'no/good'" generate no/good
run xo keys generate first
is "$status" 0 "xo keys generate"
like "$out" '^first [0-9a-f]{16}$' "it says name and key"
is "$(stat -c %a "$work/config" "$work/config/default.key" | tr '\n' ' ')" "700 600 " "the modes"
refused "a second key" "has a key already, $work/config/default.key" generate second

printf '[pool p]\ncommand = xo-pool\nmodules = "%s/counter.so"\n' "$modules" >"$work/node.ini"
start_node --config "$work/node.ini"
has_pool() {
    address=$(xo pools --json | value address)
    [[ $address == *:* && $address != *:0 ]]
}
until_true has_pool || bail_out "the node's pool does not run"

run xo keys export gpu1
is "$status" 0 "xo keys export"
cp "$work/run.out" "$work/exported"
run xo keys export gpu1
is "$status" 0 "export for a machine that has its key"
is "$(printf '%s\n' "$out" | grep -c secret-key)" 0 "prints no secret"
like "$out" 'allowed = "gpu1 ' "but the list"
cp "$work/run.out" "$work/list"
refused "the own name" "'first' already" export first
mkdir -m 0700 "$work/full"
cp -p "$work/config/default.key" "$work/config/default.members" "$work/full"
for i in {1..4097}; do printf '    allowed = "m%d %040d"\n' "$i" "$i"; done >>"$work/full/default.members"
run env XO_CONFIG_DIR="$work/full" xo keys list
is "$status" 1 "a list with too many keys"
like "$errors" "full/default.members has more than 4096 keys" "the file and the limit are named"
away xo keys import <"$work/exported" >"$work/import.out"
is "$?" 0 "xo keys import"
like "$(cat "$work/import.out")" "member of the cluster 'default'" "it says so"
is "$(stat -c %a "$work/away/default.key" "$work/away/default.members" | tr '\n' ' ')" "600 600 " \
    "the modes of what was imported"
away xo keys import --cluster other <"$work/exported" 2>"$work/errors"
is "$?" 1 "another cluster's name"
like "$(cat "$work/errors")" "'default', not of 'other'" "both are named"
XO_CONFIG_DIR=$work/none xo keys import <"$work/list" 2>"$work/errors"
is "$?" 1 "the list alone, where there is no key"
like "$(cat "$work/errors")" "list of keys alone.*$work/none/default.key" "the file is named"
XO_CONFIG_DIR=$work/third xo keys generate >/dev/null
XO_CONFIG_DIR=$work/third xo keys import <"$work/list" 2>"$work/errors"
is "$?" 1 "the list of another cluster"
XO_CONFIG_DIR=$work/third xo keys import <"$work/exported" 2>"$work/errors"
is "$?" 1 "another key is there"
like "$(cat "$work/errors")" "$work/third/default.key" "its file is named"
echo rubbish | xo keys import 2>"$work/errors"
is "$?" 1 "rubbish"
like "$(cat "$work/errors")" "no key that xo keys export" "what it is not"
refused "nothing" "has nothing" import
for name in 'a b' .. 'a"b' "$(printf %064d 0)"; do
    refused "a cluster that can have no node" "'$name' is no name of a cluster" \
        generate --cluster "$name"
done

run xo keys list
like "$out" '^first +[0-9a-f]{16} +own' "the list has the own key"
like "$out" '^gpu1 +[0-9a-f]{16} +allowed' "and the other"
like "$(away xo keys list)" '^first +[0-9a-f]{16} +allowed' "the other machine knows us"
xo keys export third >/dev/null
like "$(xo keys export gpu1 | away xo keys import)" "merged" "the list goes to the other machine"
like "$(away xo keys list)" '^third +[0-9a-f]{16} +allowed' "which knows all now"
is "$(away xo keys list | grep -c '^gpu1 .* own')" 1 "and itself once"
away xo keys revoke gpu1 2>"$work/errors"
like "$(cat "$work/errors")" "own key" "it cannot revoke itself, on the list or not"
key=$(xo keys list --json | grep '"name":"gpu1"' | value fingerprint)
is "${#key}" 64 "the fingerprint in JSON is whole"
secret=$(sed -n '/^member/,$s/ *secret-key = "\(.*\)"/\1/p' "$work/exported")
is "${#secret}" 40 "a secret was exported"
is "$(grep -rlF -e "$secret" "$work/config" "$work/node.log")" "" "its secret half does not stay here"

# What is no member at all is counted, told once, and disturbs nobody.
garbage() { for _ in 1 2 3 4 5 6 7 8 9 10; do echo garbage >"/dev/tcp/${address%:*}/${address##*:}" || return; done; }
ok "garbage reaches the port" garbage
all_counted() { [ "$(xo pools --json | value drops_refused)" = 10 ]; }
ok "each is counted" until_true all_counted
# A connection that is gone before it was looked at has no address, and is somebody's.
told() { grep -oE 'refused (somebody|[0-9.]+) at .* no handshake of ZeroMQ' "$work/node.log"; }
is "$(told | sort | uniq -c | awk '$1 > 1')" "" "and no source is told twice"
like "$(told)" "refused" "but one is told"

# By tcp, with a run directory of its own, as another machine would come.
dial() { away env XO_LANES=tcp xo nodes --node "$address" --timeout 10; }
ok "the new member dials a pool that ran before it was one" until_true dial

refused "an unknown name" "no key 'nobody'" revoke nobody
refused "too few digits" "no key '${key:0:7}'" revoke "${key:0:7}"
refused "the own key" "own key" revoke first
run xo keys revoke "${key:0:8}"
is "$out" "revoked gpu1 ${key:0:16}" "xo keys revoke"
refused "once more" "revoked already" revoke gpu1
like "$(xo keys list)" '^gpu1 +[0-9a-f]{16} +revoked +[0-9]+s' "the list says so"
away xo keys import <"$work/exported" >/dev/null
xo keys import <"$work/list" >/dev/null
like "$(xo keys list)" '^gpu1 +[0-9a-f]{16} +revoked' "an older list does not bring it back"
is_out() { ! dial; }
ok "it is out" until_true is_out
like "$(dial 2>&1)" "refused the encrypted handshake" "and told why"
ok "this machine is not" env XO_LANES=tcp XO_RUN_DIR="$work/other-run" xo nodes --node "$address"

xo keys export gpu1 >"$work/again"
away xo keys import <"$work/again" >/dev/null 2>"$work/errors"
is "$?" 1 "a new key does not take the place of one that was revoked"
like "$(cat "$work/errors")" "'gpu1', was revoked.*default\.key.*remove that file" "it says what to do"

chmod 644 "$work/config/default.members"
refused "a list others can read" "$work/config/default.members.*chmod 600" list
chmod 600 "$work/config/default.members"
echo 'members
    x' >"$work/config/default.members"
refused "a list that is none" "$work/config/default.members" list
rm "$work/config/default.members"

run xo keys
is "$status" 2 "no word: exit status"
run xo keys frob
like "$errors" "'frob' is none of" "a wrong word"
run xo keys export
like "$errors" "export: it needs NAME" "no name"
run xo keys list more
like "$errors" "too many: 'more'" "a word too many"

# ---- completion --------------------------------------------------------------------------------

complete_line() {
    # shellcheck source=/dev/null
    (. "$XO_SRCDIR/etc/completion/xo" && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _xo "$1" && echo "${COMPREPLY[@]}")
}
xo keys export gpu2 >/dev/null
is "$(complete_line xo keys re)" "revoke" "completion knows the words"
is "$(complete_line xo keys revoke gp)" "gpu2" "and the names"
is "$(complete_line xo call --b)" "" "of options only the command's own"
is "$(complete_line xo nodes --j)" "--json" "those with a letter, too"
is "$(complete_line xo start --bi)" "--bind" "and those of xo-broker"

done_testing
