#!/bin/bash
# 0541-deploy.t - what doc/deploy.md has an operator do: its code blocks are run, in order, on three
# machines. One is run if its fence says where: ```sh node1, ```sh node2 node3.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/machines.sh"
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "root is needed: it makes users"
for program in redis-server redis-cli make runuser; do
    command -v "$program" >/dev/null || skip_all "$program is needed"
done
[ -e /usr/lib/systemd/system/redis-server.service ] || skip_all "Debian's redis-server is needed"
[ -e "$XO_BUILDDIR/examples/.libs/counter.so" ] || skip_all "counter.so is not built"
prefix=$(sed -n 's/^prefix = //p' "$XO_BUILDDIR/Makefile")
[ "$prefix" = /usr/local ] || skip_all "this tree is made for $prefix"

nodes=(node1 node2 node3)
lay_cables "${nodes[@]}" || bail_out "no network"
ln -s "$XO_SRCDIR/t/fake/systemctl" "$XO_SRCDIR/t/fake/pip.py" "$bin"
for node in "${nodes[@]}"; do power_on "$node"; done
serve_ssh

# Blocks, a file each: its first line says where and from which line of the document.
awk -v to="$work/block-" '
    $0 == "```" { inside = 0 }
    inside { print >file }
    /^##+ / { section = $2 }
    /^```sh node/ {
        inside = 1
        file = sprintf("%s%02d-%s", to, ++count, section)
        sub(/^```sh /, "")
        print "# " NR ": " $0 >file
    }' "$XO_SRCDIR/doc/deploy.md"
ok "there are blocks to run" test -e "$work/block-10-Monitor"

# The tree that is installed; in it the operator builds.
mkdir "$work/tree" && ln -s "$XO_BUILDDIR" "$work/tree/build"
ln -s "$XO_SRCDIR/python" "$work/tree"
cd "$work/tree" || exit 1

# The machines' own Python is to be the one that the extension is for.
version='import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])'
python=$(on node1 python3 -c "$version")
[ -e "$XO_BUILDDIR/python/_xo.so" ] && [ "$("$PYTHON" -c "$version")" = "$python" ] || python=
cloudpickle=$("$PYTHON" -c 'import cloudpickle; print(cloudpickle.__path__[0])') || python=
ln -s "$cloudpickle" "$bin/cloudpickle"

for block in "$work"/block-*; do
    if [ -z "$python" ] && grep -q opt/xo "$block"; then
        pass "${block##*/} # SKIP python3-venv, for the tree's Python, and cloudpickle are needed"
        continue
    fi
    if [[ $block = *-Failover && ! -e /usr/lib/systemd/system/redis-sentinel.service ]]; then
        pass "${block##*/} # SKIP Debian's redis-sentinel is needed"
        continue
    fi
    line=$(sed -n '1s/^# \([0-9]*\): .*/\1/p' "$block")
    for node in $(sed -n '1s/^# [0-9]*: //p' "$block"); do
        run on "$node" timeout 200 env PYTHONPATH="$bin" \
            bash -e -o pipefail -c "cd $work/tree && . $block"
        is "$status" 0 "line $line on $node: $(sed -n 2p "$block" | cut -c 1-60)"
        say "$out
$errors"
        echo "$out" >"$work/out-$line-$node"
        [ "$status" -eq 0 ] || bail_out "the rest builds on it"
    done
done

is "$(grep -hE '^(warning|error) (run-dir|nofile)' "$work"/out-*)" "" "xo doctor finds nothing wrong"
names=$(on node2 as-xo xo nodes --json | value host | sort | tr '\n' ' ')
is "$names" "node1 node2 node3 " "all are there"

cat >"$work/greet.py" <<'PY'
import asyncio
import sys

import xoscar as xo


class Greeter(xo.Actor):
    def where(self):
        return f"{sys.executable}, {self.address}"


async def main():
    ref = await xo.create_actor(Greeter, address="node2:7011", uid="greeter")
    print(await ref.where())
    await xo.destroy_actor(ref)


asyncio.run(main())
PY
if [ -n "$python" ]; then
    is "$(on node1 as-xo /opt/xo/bin/python - <"$work/greet.py" 2>&1)" \
        "/opt/xo/bin/python, node2:7011" "an actor in Python, on another machine"
    if command -v systemd-analyze >/dev/null; then
        found=$(on node1 systemd-analyze verify --man=no xo-broker.service 2>&1)
        is "$(grep xo-broker <<<"$found")" "" "systemd knows what the drop-in says"
    fi
fi
pid=$(on node1 as-xo xo pools --json | grep '"node1:7001"' | value pid)
on node1 kill -STOP "$pid"

# finds NODE PATTERN: check-xo says there that something is wrong, this too.
finds() {
    ! on "$1" check-xo "${nodes[@]}" >"$work/found" && grep -Eq "$2" "$work/found"
}
all_is_well() { on node1 check-xo "${nodes[@]}" && on node3 check-xo "${nodes[@]}"; }

ok "a pool that stands still is found" until_true finds node2 '"suspect"'
like "$(cat "$work/found")" '"node1:7001".*"suspect"' "and named"
on node1 kill -CONT "$pid"
ok "until it goes on" until_true all_is_well
on node2 kill -KILL "$(on node2 as-xo xo nodes --json | grep '"node2"' | value pid)"
ok "a node that has died is missing" until_true finds node1 '^no node on node2$'
ok "where it was there is none" finds node2 '^no answer'
on node2 systemctl start xo-broker
ok "until it is back" until_true all_is_well
on node3 ip link set eth0 down
ok "a node that is cut off is missing" until_true finds node1 '^no node on node3$'
ok "and is isolated" until_true finds node3 '"state":"isolated"'
on node3 systemctl restart xo-broker
ok "one that begins cut off says why" until_true finds node3 '"host":"node3".*"reason":"[^"]*node1'
on node3 ip link set eth0 up
ok "until it is not" until_true all_is_well

# The upgrade as it is typed, so without -e, where a node is not drained in time.
mkdir "$work/stubs"
for program in ssh tar as-xo check-xo; do
    cat >"$work/stubs/$program" <<'STUB'
#!/bin/sh
echo "${0##*/} $*" >>"$calls"
case "$*" in
*drain*) exit 6 ;;
esac
STUB
done
chmod +x "$work"/stubs/*
calls=$work/calls PATH=$work/stubs:$PATH timeout 60 bash "$work"/block-*-Upgrade
is "$(grep -c '^ssh' "$work/calls")" 1 "an upgrade ends at the node that is not drained"
is "$(grep -c '^tar' "$work/calls")" 0 "of which nothing is replaced"
done_testing
