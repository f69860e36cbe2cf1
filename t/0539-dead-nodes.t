#!/usr/bin/env python3
"""What becomes of a node that dies: who lives says so, and removes what it has put into Redis."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import CALL, redis, refusal, run, until  # noqa: E402
from movers import CALL_KIND, CONFIG, MODULE, Mover, nodes  # noqa: E402

OTHER = CONFIG.replace("counter.so", "keeper.so")
KEEP_MS = 60 * 5 * 400  # 60 leases of 5 heartbeats
REASON = "its lease has lapsed"

# What a pool that had very many actors has left, half of them with a spec; one that may move, to a
# pool of a language that there is not; and a group.
MANY = """
local node, pool, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i = 1, count do
  local uid = 'many' .. i
  local id = uid .. '@' .. pool
  redis.call('HSET', 'xo:{default}:actor:' .. id, 'owner', node, 'node', node, 'uid', uid)
  redis.call('SADD', 'xo:{default}:actors', id)
  redis.call('SADD', 'xo:{default}:actors:' .. node, id)
  redis.call('SADD', 'xo:{default}:uid:' .. uid, pool)
  if i % 2 == 0 then redis.call('SET', 'xo:{default}:spec:' .. id, 'spec') end
end
local id = 'xo:moves@' .. pool
redis.call('HSET', 'xo:{default}:actor:' .. id, 'owner', node, 'node', node, 'uid', 'xo:moves',
  'placement', 'any', 'language', 'none', 'class', 'Counter', 'state', 'running')
for _, set in ipairs({'actors', 'actors:' .. node, 'movable:' .. node}) do
  redis.call('SADD', 'xo:{default}:' .. set, id)
end
redis.call('SADD', 'xo:{default}:uid:xo:moves', pool)
redis.call('SADD', 'xo:{default}:movable', node)
redis.call('SET', 'xo:{default}:spec:' .. id, 'spec')
redis.call('HSET', 'xo:{default}:group:g@' .. node, 'owner', node, 'name', 'g', 'node', node)
redis.call('SADD', 'xo:{default}:groups', 'g@' .. node)
redis.call('SADD', 'xo:{default}:groups:' .. node, 'g@' .. node)
"""


def key(name):
    return f"xo:{{default}}:{name}"


def size(server, name):
    return int(redis(server.socket, "scard", key(name))[0])


def downs(node):
    return node.events("node.down")


def is_told(node, dead):
    return re.search(rf"node {dead.id} on \S+ is gone: {REASON}", node.log())


def has_died(dead, *others):
    """Kills it, and waits until the others have seen that."""
    dead.kill()
    for other in others:
        until(lambda other=other: is_told(other, dead), "that to be seen")


def time_passes(server, *dead):
    """As much as what is theirs is kept for."""
    for node in dead:
        redis(server.socket, "zincrby", key("dead"), str(-KEEP_MS), node.id)


def is_gone(node, uid):
    """Whether a lookup says so. The sentence names the node."""
    with contextlib.suppress(AssertionError):
        return refusal(node.call, "lookup", uid, True)
    return None


def beats(server, node, count):
    """So many of its heartbeats."""
    lease = key(f"node:{node.id}")
    for _ in range(count):
        until(lambda: int(redis(server.socket, "pttl", lease)[0]) < 1800, "its heartbeat")
        until(lambda: int(redis(server.socket, "pttl", lease)[0]) > 1800, "its next one")


def says_so(place):
    """a node that dies is one event, and a line in the log of each that lives"""
    with nodes(place, CONFIG, CONFIG, CONFIG) as (server, one, two, three):
        has_died(one, two, three)
        (event,) = downs(two)
        assert event["node"] == one.id and event["reason"] == REASON, event
        assert event["host"] == os.uname().nodename, event
        three.stop()
        until(lambda: len(downs(two)) == 2, "its own event")
        beats(server, two, 2)  # until it has asked once more
        assert [event["node"] for event in downs(two)] == [one.id, three.id], downs(two)
        assert not is_told(two, three)
        assert redis(server.socket, "zrange", key("dead"), "0", "-1") == [one.id]


def found_out(place):
    """an actor whose node is dead does not exist, though Redis still has it, of several nodes too"""
    with nodes(place, CONFIG, CONFIG, OTHER) as (server, one, two, three):
        for node in (one, two):
            assert node.create("b7", options={}) is None
        until(lambda: len(three.where("b7")) == 2, "the registry to know both")
        has_died(one, three)
        address = two.own_pool()["address"]
        until(lambda: [found["address"] for found in three.call("lookup", "b7", True)] == [address],
              "one to be left")
        has_died(two, three)
        error = until(lambda: is_gone(three, "b7"), "both to be gone")
        assert error.code == "ActorNotExist", error.answer
        assert one.id in str(error) or two.id in str(error), error
        done = subprocess.run(["xo", "call", "--node", three.endpoint, "b7", "add", "1"], text=True,
                              env=dict(place.env, **three.env), capture_output=True, check=False)
        assert done.returncode == 5 and "gone with its node" in done.stderr, done
        assert size(server, "uid:b7") == 2


def removed(place):
    """what a dead node has put goes after a time, but for what is to move; each once, by whoever"""
    with nodes(place, CONFIG, OTHER, OTHER) as (server, one, two, three):
        pool = one.own_pool()["id"]
        assert one.create("plain", options={}) is None
        until(lambda: two.where("plain"), "the registry to know it")
        redis(server.socket, "eval", MANY, "0", one.id, pool, "1000")
        has_died(one, two, three)
        until(lambda: two.call("lookup", "xo:moves")[0]["state"] == "waiting", "it to wait")
        assert size(server, "actors") == 1002
        time_passes(server, one)
        until(lambda: redis(server.socket, "exists", key("dead")) == ["0"], "the rest to go")
        kept = f"xo:moves@{pool}"
        assert redis(server.socket, "smembers", key("actors")) == [kept]
        assert redis(server.socket, "smembers", key(f"actors:{one.id}")) == [kept]
        left = [name for name in redis(server.socket, "keys", "*") if one.id in name or pool in name]
        assert sorted(left) == sorted(key(name) for name in (
            f"actor:{kept}", f"spec:{kept}", f"actors:{one.id}", f"movable:{one.id}",
            f"reaped:{one.id}")), left
        assert not any(redis(server.socket, "keys", key("uid:many*")))
        assert size(server, "groups") == 0
        assert not two.call("lookup", "plain")
        (found,) = two.call("lookup", "xo:moves")
        assert found["state"] == "waiting", found
        assert len(downs(two)) == 1


def stood_still(place):
    """a node that only stood still writes once more what has been removed, specs too"""
    with nodes(place, CONFIG, OTHER) as (server, one, two):
        pool = one.own_pool()["id"]
        assert one.create("stays", options={"restart": "permanent"}) is None
        spec = key(f"spec:stays@{pool}")
        until(lambda: redis(server.socket, "exists", spec) == ["1"], "its spec")
        pids = one.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: is_told(two, one), "its lease to be over")
        time_passes(server, one)
        until(lambda: redis(server.socket, "exists", key("dead")) == ["0"], "it to be removed")
        assert redis(server.socket, "exists", spec) == ["0"] and size(server, "actors") == 0
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        until(lambda: two.where("stays"), "it to be there again")
        until(lambda: redis(server.socket, "exists", spec) == ["1"], "its spec")
        assert two.add("stays") == 1
        assert redis(server.socket, "exists", key(f"reaped:{one.id}")) == ["0"]


def back_in_time(place):
    """one that is back before that keeps all, and is dead anew when it dies"""
    with nodes(place, CONFIG, OTHER) as (server, one, two):
        assert one.create("stays", options={}) is None
        until(lambda: two.where("stays"), "the registry to know it")
        one.process.send_signal(signal.SIGSTOP)
        until(lambda: is_told(two, one), "its lease to be over")
        one.process.send_signal(signal.SIGCONT)
        until(lambda: two.where("stays"), "it to be there again")
        assert redis(server.socket, "exists", key("dead")) == ["0"]
        one.kill()
        until(lambda: len(downs(two)) == 2, "it to be seen once more")
        assert {event["node"] for event in downs(two)} == {one.id}


def is_without_a_broker(one, two):
    """Kills one's broker, and waits until its node is taken for dead."""
    one.process.kill()
    one.process.wait()
    until(lambda: is_told(two, one), "that to be seen")


def add_there(place, node, address):
    """What "stays" counts there, which that node calls by its address."""
    words = ["relay", address, CALL_KIND, "stays", "add", [[1], {}]]
    done = subprocess.run([CALL, node.endpoint, words[0], *map(json.dumps, words[1:])],
                          env=place.env, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)


def next_broker(place, server, one):
    """Of the same node."""
    return Mover(place, f"unix://{server.socket}", os.path.basename(one.env["XO_RUN_DIR"]))


def without_a_broker(place):
    """one whose broker alone is away for so long seems dead, loses nothing, and is back with it"""
    with nodes(place, CONFIG, OTHER) as (server, one, two):
        assert one.create("stays", options={"restart": "permanent"}) is None
        until(lambda: two.where("stays"), "the registry to know it")
        pool = one.own_pool()
        is_without_a_broker(one, two)
        error = until(lambda: is_gone(two, "stays"), "it to seem gone")
        assert error.code == "ActorNotExist" and one.id in str(error), error
        assert [p["id"] for p in two.pools()] == [two.own_pool()["id"]], two.pools()
        assert add_there(place, two, pool["address"]) == 1
        again = next_broker(place, server, one)
        assert again.id == one.id
        until(lambda: two.where("stays") == [pool["address"]], "it to be there again")
        assert two.add("stays") == 2
        (found,) = [p for p in two.pools() if p["id"] == pool["id"]]
        assert (found["pid"], found["generation"]) == (pool["pid"], pool["generation"]), found
        assert redis(server.socket, "exists", key("dead")) == ["0"]
        assert [event["node"] for event in two.events("node.down")] == [one.id]
        assert not two.events("actor.nospec") and not two.events("actor.down")
        os.kill(pool["pid"], signal.SIGKILL)
        until(lambda: again.own_pool().get("generation") == 2 and two.where("stays"),
              "it to come back with its pool")
        assert two.add("stays") == 1
        again.stop()


def without_a_broker_for_long(place):
    """after the time for which things are kept its actors go on, but do not come back any more"""
    with nodes(place, CONFIG, OTHER) as (server, one, two):
        assert one.create("stays", options={"restart": "permanent"}) is None
        until(lambda: two.where("stays"), "the registry to know it")
        beats(server, one, 5)  # until its pool does not keep any more what creates it
        is_without_a_broker(one, two)
        time_passes(server, one)
        until(lambda: redis(server.socket, "exists", key("dead")) == ["0"], "it to be removed")
        again = next_broker(place, server, one)
        until(lambda: two.where("stays"), "it to be there again")
        assert two.add("stays") == 1
        (event,) = until(lambda: two.events("actor.nospec"), "that to be said")
        assert event["uid"] == "stays", event
        until(lambda: redis(server.socket, "exists", key(f"reaped:{one.id}")) == ["0"],
              "it to hear what was removed")
        again.stop()


def nobody_left(place):
    """where nobody lives the next node that starts does both"""
    with nodes(place, CONFIG) as (server, one):
        assert one.create("plain", options={}) is None
        until(lambda: size(server, "actors") == 1, "the registry to know it")
        one.kill()
        until(lambda: redis(server.socket, "exists", key(f"node:{one.id}")) == ["0"], "its lease")
        two = Mover(place, f"unix://{server.socket}", "next", OTHER)
        until(lambda: is_told(two, one), "that to be seen")
        assert [event["node"] for event in downs(two)] == [one.id]
        assert size(server, "actors") == 1
        time_passes(server, one)
        until(lambda: size(server, "actors") == 0, "it to be removed")
        two.stop()


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(says_so, found_out, removed, stood_still, back_in_time, without_a_broker,
        without_a_broker_for_long, nobody_left)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
