#!/bin/bash
# 0500-xo-usage.t - the tool's help, its mistakes and its exit statuses where no node is needed.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

commands="start drain stop status nodes pools actors groups call events dead-letters revive keys doctor help version"

run xo help
is "$status" 0 "xo help succeeds"
for command in $commands; do
    like "$out" "^  $command +[A-Z]" "xo help lists $command"
done
is "$(printf '%s\n' "$out" | awk 'length > 80')" "" "xo help fits 80 columns"

for command in $commands; do
    run xo "$command" --help
    is "$status" 0 "xo $command --help succeeds"
    like "$out" "^usage: xo $command" "xo $command --help shows its usage"
    like "$out" "^examples:" "xo $command --help has examples"
    is "$(printf '%s\n' "$out" | awk 'length > 80')" "" "xo $command --help fits 80 columns"
    run xo help "$command"
    is "$status" 0 "xo help $command succeeds"
done

run xo version
like "$out" '^xo [0-9]+\.[0-9]+\.[0-9]+ ' "xo version says it"
run xo --version
like "$out" '^xo [0-9]' "so does xo --version"

# wrong WHAT PATTERN ARG...: `xo ARG...` exits with 2 and a sentence on stderr.
wrong() {
    local what=$1 pattern=$2
    shift 2
    run xo "$@"
    is "$status" 2 "$what: exit status"
    like "$errors" "^xo: .*$pattern" "$what: the sentence"
    is "$out" "" "$what: nothing on stdout"
}
wrong "no command" "see: xo help"
wrong "an unknown command" "'frob'.*xo help" frob
wrong "a slip" "'actor'.*'actors'" actor
wrong "an option in front" "after the command" --json nodes
wrong "an unknown option" "'--frob'.*xo nodes --help" nodes --frob
wrong "an unknown letter" "'-Z'" nodes -Z
wrong "a missing value" "must follow '--timeout'" nodes --timeout
wrong "a bad number" "SECONDS, not 'soon'" nodes --timeout soon
wrong "a number below zero" "not '-1'" nodes --timeout -1
wrong "a bad count" "not '1x'" events -n 1x
wrong "too many arguments" "'more'" nodes more
wrong "call without a method" "METHOD" call counter
wrong "an argument that is not JSON" "argument 2, 'five', is not JSON.*'\"text\"'" call c add 1 five
wrong "a long argument" "argument 1, 'a{80}\.\.\.', is not" call c add "$(printf '%90000s' | tr ' ' a)"
wrong "a node without a port" "'foo' has no port.*HOST:PORT" nodes --node foo
wrong "JSON that is cut off" "argument 1, .*unexpected end" call c add '[1, 2'
wrong "a number too large" "out of range, at character 2" call c add '[99999999999999999999]'
wrong "options behind the UID" "before the UID" call c add --timeout 3
wrong "bytes that are no hex digits" "hex digits" call c add '{"$bytes": "0g"}'
wrong "an empty uid" "1 to 255 bytes" call "" add
wrong "a uid too long" "not 256" call "$(printf '%256s' | tr ' ' u)" add
wrong "a bad --at" "host:port, not 'nowhere'" call --at nowhere c add
wrong "a bad cluster" "cluster" nodes --cluster 'no/good'
wrong "help for an unknown command" "'frob'" help frob

run xo nodes
is "$status" 3 "without a node: exit status"
like "$errors" "no node.*'default'.*xo start" "without a node: what to do"
run xo nodes --cluster other
like "$errors" "'other'" "without a node: the cluster's name"
run xo call counter add 1
is "$status" 3 "a call without a node: exit status"
run xo nodes --node 127.0.0.1:1
is "$status" 3 "nobody at --node: exit status"
like "$errors" "127.0.0.1:1" "nobody at --node: named"

run xo nodes --node "$(printf 'x\033]0;gotcha\007:1')"
is "$(printf '%s' "$errors" | LC_ALL=C tr -d '\n' | LC_ALL=C tr -cd '\000-\037\177')" "" \
    "control characters are escaped"

xo version >/dev/full 2>/dev/null
is "$?" 1 "a full disk is noticed"

done_testing
