#!/usr/bin/env python3
"""A process that runs several pools: they go down together and come back together."""

import json
import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, CALL, DEADLINE_S, Node, refusal, run, until  # noqa: E402

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
CREATE = 10  # the kind of message, doc/wire.md
SLOW = "backoff_ms = 60000\nbackoff_max_ms = 60000\n"
# Time for a test to do something between a death and the restart; equal jitter halves it.
LATER = "backoff_ms = 2000\nbackoff_max_ms = 2000\n"


def crew(settings="", command="xo-pool"):
    """A section with three pools in a process."""
    return f"[pool crew]\ncommand = {command} --pools 3 --module {MODULE}\n{settings}"


def start(place, settings="", **more):
    """A node with the process, and the records of its pools, the first first."""
    node = Node(place, config=crew(settings, **more))
    pools = node.wait_pools(3)
    assert len({pool["pid"] for pool in pools}) == 1
    return node, sorted(pools, key=lambda pool: pool["label"])


def ready_in(node, generation):
    return sorted((pool for pool in node.pools("ready") if pool["generation"] == generation),
                  key=lambda pool: pool["label"])


def kill(pools, signum=signal.SIGKILL):
    os.kill(pools[0]["pid"], signum)


def create(node, pool, uid):
    """A Counter of the module in the pool."""
    words = map(json.dumps, (pool["address"], CREATE, uid, "Counter", [[], {}]))
    subprocess.run([CALL, node.endpoint, "relay", *words], env=node.place.env, check=True,
                   stdout=subprocess.DEVNULL)  # an answer with bytes, which JSON has no word for
    until(lambda: node.call("lookup", uid), f"{uid} to be known")


def kill_twice(node, pools):
    """The first restart is at once, the second one waits for the backoff."""
    kill(pools)
    until(lambda: len(ready_in(node, 2)) == 3, "generation 2")
    kill(ready_in(node, 2))


def assert_same_places(before, after):
    for old, new in zip(before, after):
        for key in ("id", "index", "address", "label"):
            assert old[key] == new[key], (key, old, new)
        assert new["restarts"] == old["restarts"] + 1, new
        assert new["pid"] == after[0]["pid"] != old["pid"]


def listen(address):
    """A socket that has the address; None if somebody else has it."""
    host, port = address.rsplit(":", 1)
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, int(port)))
        taken.listen()
    except OSError:
        taken.close()
        return None
    return taken


def killed(place):
    """all pools of a killed process come back at their places, in the next generation"""
    node, first = start(place)
    assert {pool["generation"] for pool in first} == {1}
    before = first
    for generation in (2, 3):
        kill(before)
        until(lambda g=generation: len(ready_in(node, g)) == 3, f"generation {generation}")
        after = ready_in(node, generation)
        assert_same_places(before, after)
        before = after
    assert len(node.pools()) == 3
    assert node.stop()[0] == 0
    place.assert_clean()


def reasons(place):
    """each of them is down at once, for the reason that the process has"""
    node, pools = start(place, SLOW)
    node.wait_registry()
    kill_twice(node, pools)
    node.wait_pools(3, "restarting")
    until(lambda: len(node.events("pool.down")) == 6, "the events")
    downs = node.events("pool.down")
    expected = {(pool["id"], generation) for pool in pools for generation in (1, 2)}
    assert {(down["pool"], down["generation"]) for down in downs} == expected
    assert {down["reason"] for down in downs} == {"signal 9 (Killed)"}, downs
    assert not [line for line in node.log().splitlines() if "suspect" in line]


def next_port_taken(place):
    """it does not matter who has the port after the first one's now"""
    node, before = start(place)
    own = {pool["address"] for pool in before}
    host, port = before[0]["address"].rsplit(":", 1)
    neighbours = [f"{host}:{int(port) + k}" for k in (1, 2)]
    taken = [listen(address) for address in neighbours if address not in own]
    kill(before)
    until(lambda: len(ready_in(node, 2)) == 3, "generation 2")
    assert_same_places(before, ready_in(node, 2))
    for one in filter(None, taken):
        one.close()


def own_port_taken(place):
    """where a place is taken meanwhile, all fail together, and say so"""
    node, pools = start(place, LATER + "intensity = 2\n")
    node.wait_registry()
    kill_twice(node, pools)
    taken = until(lambda: listen(pools[2]["address"]), "its port")
    node.wait_pools(3, "failed")
    taken.close()
    failed = node.pools("failed")
    assert {pool["id"] for pool in failed} == {pool["id"] for pool in pools}
    assert {pool["restarts"] for pool in failed} == {2}
    until(lambda: len(node.events("pool.failed")) == 3, "the events")
    (reason,) = {event["reason"] for event in node.events("pool.failed")}
    assert "exit status 1 before it was ready" in reason and "given up after 2" in reason, reason
    node.call("pool.stop", pools[1]["address"])
    assert node.pools() == []


def not_all_again(place):
    """a process that does not bring all of them back is not ready, and is given up"""
    script = place.write("pool.sh", "#!/bin/sh\n[ $XO_POOL_GENERATION = 1 ] || shift 2\n"
                                    'exec xo-pool "$@"\n')
    os.chmod(script, 0o755)
    node, pools = start(place, "ready_ms = 1500\nbackoff_ms = 1\nintensity = 1\n", command=script)
    node.wait_registry()
    kill(pools)
    node.wait_pools(3, "failed")
    until(lambda: len(node.events("pool.failed")) == 3, "the events")
    (reason,) = {event["reason"] for event in node.events("pool.failed")}
    assert "(crew-" in reason and "not ready within 1500 ms" in reason, reason


def stopped(place):
    """pool.stop of any of them stops the process, and with it all"""
    node, pools = start(place)
    assert node.call("pool.stop", pools[2]["id"]) is None
    assert node.pools() == [] and not os.path.exists(f"/proc/{pools[0]['pid']}")
    node.wait_registry()
    until(lambda: len(node.events("pool.down")) == 3, "the events")
    assert {down["reason"] for down in node.events("pool.down")} == {"exit status 0"}


def stopped_while_away(place):
    """pool.stop of one that waits for its restart forgets all of them"""
    node, pools = start(place, SLOW)
    kill_twice(node, pools)
    node.wait_pools(3, "restarting")
    node.call("pool.stop", pools[1]["address"])
    assert node.pools() == []


def transient(place):
    """with a policy that lets it go, all of them go"""
    node, pools = start(place, "restart = transient\n")
    kill(pools, signal.SIGTERM)
    until(lambda: not node.pools(), "them to be gone")


def shell(place):
    """it may be a shell script that runs them"""
    script = place.write("pool.sh", '#!/bin/sh\nxo-pool "$@"\nexit $?\n')
    os.chmod(script, 0o755)
    node, before = start(place, command=script)
    kill(before)
    until(lambda: len(ready_in(node, 2)) == 3, "generation 2")
    assert_same_places(before, ready_in(node, 2))


def recovered(place):
    """the actors of each of them are created again"""
    node, before = start(place, "recover = actors\n")
    for number, pool in enumerate(before):
        create(node, pool, f"c{number}")
    kill(before)
    until(lambda: len(ready_in(node, 2)) == 3, "generation 2")
    assert_same_places(before, ready_in(node, 2))
    for number, pool in enumerate(before):
        (actor,) = node.call("lookup", f"c{number}")
        assert actor["state"] == "running" and actor["address"] == pool["address"], actor


def asked_to_die(place):
    """pool.kill of one of them kills the process, and all come back"""
    node, before = start(place)
    node.call("pool.kill", before[1]["address"])
    until(lambda: len(ready_in(node, 2)) == 3, "generation 2")
    assert_same_places(before, ready_in(node, 2))


def impostor(place):
    """a process that claims the place of one of them is refused"""
    node, pools = start(place)
    with open(f"/proc/{pools[0]['pid']}/environ", encoding="utf-8") as file:
        env = dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)
    for id_, words in ((pools[1]["id"], "is not the one"),
                       (f"{int(pools[0]['id'], 16) + 200:016x}", "is not the one")):
        env.update(XO_POOL_ID=id_, XO_POOL_ADDRESS="127.0.0.1:0")
        done = subprocess.run(["xo-pool", "--module", MODULE], env=env, stderr=subprocess.PIPE,
                              text=True, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    assert [pool["generation"] for pool in node.pools("ready")] == [1, 1, 1]


def bad_values(place):
    """what XO_POOL_SIBLINGS says wrongly is named"""
    for value in ("nonsense", "0,1,127.0.0.1:1", "1,127.0.0.1:1", "1,2,nowhere", "1,2,1.2.3.4:x",
                  "256,1,127.0.0.1:1", "1,2,127.0.0.1:1;2"):
        done = subprocess.run(["xo-pool", "--module", MODULE, "--broker", "none"],
                              env=dict(place.env, XO_POOL_SIBLINGS=value), stderr=subprocess.PIPE,
                              text=True, check=False, timeout=DEADLINE_S)
        assert done.returncode == 1, value
        assert f"XO_POOL_SIBLINGS={value}: " in done.stderr, done.stderr


def configured_address(place):
    """ports that are given count up, and stay"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spare = [listen(f"127.0.0.1:{port + k}") for k in range(3)]
    for one in filter(None, spare):
        one.close()
    if None in spare or port > 65000:
        return  # somebody has them
    node, before = start(place, f"address = 127.0.0.1:{port}\n")
    assert [pool["address"] for pool in before] == [f"127.0.0.1:{port + k}" for k in range(3)]
    kill(before)
    until(lambda: len(ready_in(node, 2)) == 3, "generation 2")
    assert_same_places(before, ready_in(node, 2))
    assert refusal(node.call, "pool.stop", f"127.0.0.1:{port + 3}").code == "Refused"


run(killed, reasons, next_port_taken, own_port_taken, not_all_again, stopped, stopped_while_away,
    transient, shell, recovered, asked_to_die, impostor, bad_values, configured_address)
