#!/bin/bash
# 0620-two-nodes.t - examples/two-nodes, and what is left of it.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

"${PYTHON:-python3}" -c 'import xoscar' 2>"$work/import.err" ||
    skip_all "no Python package: $(tail -n 1 "$work/import.err")"
command -v redis-server >/dev/null || skip_all "redis-server is needed"

two_nodes=$XO_SRCDIR/examples/two-nodes
mark=TWO_NODES_OF=$work
export TMPDIR=$work

left_of_it() {
    grep -lszxF -e "$mark" /proc/[0-9]*/environ
    find "$work" -mindepth 1 ! -name 'run.*' ! -name 'ok.*' ! -name import.err
}
nothing_is_left() { [ -z "$(left_of_it)" ]; }

run env "$mark" "$two_nodes"
[ "$status" -ne 77 ] || skip_all "$errors"
is "$status" 0 "it works"
[ "$status" -eq 0 ] || say "$out
$errors"
like "$out" '^[0-9a-f]{16} +one .* ready' "a node on the first machine"
like "$out" '^[0-9a-f]{16} +two .* ready' "and one on the second"
like "$out" '^--check: .* agrees' "both count, and right"
like "$out" '^192\.0\.2\.1:7001: [1-9][0-9]* calls? \(' "the first has counted"
like "$out" '^192\.0\.2\.2:7001: [1-9][0-9]* calls? \(.*tcp' "so has the second, over tcp"
like "$out" '^[1-9][0-9]* calls? to pools that died, given to others' "calls were under way then"
like "$out" '^that is [0-9]+ times' "and none is missing"
like "$errors" 'tcp://192\.0\.2\.2:7001 is gone.*its work goes to others' "it says so"
like "$out" '^xo:anywhere is on two, in the pool at 192\.0\.2\.2:7001; asked 1$' "an actor is on the second"
like "$out" '^xo:anywhere is on one, in the pool at 192\.0\.2\.1:' "and on the first when that is dead"
nodes=$(printf '%s\n' "$out" | sed -n '/== The first machine is alone/,$p')
like "$nodes" '^[0-9a-f]{16} +one .* ready' "at last there is the first"
is "$(printf '%s\n' "$nodes" | grep -cE '^[0-9a-f]{16} +two ')" 0 "and not the second"
ok "nothing is left" until_true nothing_is_left

# ended SIGNAL PATTERN: somebody ends it when it has printed that.
ended() {
    env --default-signal=INT "$mark" "$two_nodes" >"$work/run.out" 2>&1 &
    it=$!
    said_or_gone() { grep -q -e "$1" "$work/run.out" || is_gone "$it"; }
    until_true said_or_gone "$2"
    kill -"$1" "$it"
    wait "$it"
    is "$?" $((128 + $(kill -l "$1"))) "SIG$1: exit status"
    ok "SIG$1: nothing is left" until_true nothing_is_left
    say "$(left_of_it)"
} 2>/dev/null
ended TERM '^--check'
ended INT '^one. xo start'
ended KILL '^two. xo start'

run "$two_nodes" --help
is "$status" 0 "--help"
run "$two_nodes" three
is "$status" 2 "a wrong use"
# Where there can be no namespaces.
mkdir "$work/bin"
printf '#!/bin/sh\necho "unshare: Operation not permitted" >&2\nexit 1\n' >"$work/bin/unshare"
chmod +x "$work/bin/unshare"
PATH=$work/bin:$PATH run "$two_nodes"
is "$status" 77 "no namespaces: exit status"
like "$errors" 'namespaces.*CAP_SYS_ADMIN.*Operation not permitted' "no namespaces: what it takes, and why"

done_testing
