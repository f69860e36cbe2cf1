#!/usr/bin/env python3
"""A broker that is killed takes nothing with it, and the next one takes over (contract 14)."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import FAKE_POOL, STOP_S, Node, run, seconds_until, until  # noqa: E402

POOLS = (f"[pool work]\ncommand = {FAKE_POOL} faithful child actor=alice\n"
         "count = 2\nrecover = actors\nlabel = work\n")
TOLD_ONCE = POOLS.replace("faithful", "faithful once")
PR_SET_CHILD_SUBREAPER = 36
# Before Linux 6.15 the kernel does not tell who is no parent.
OLD_KERNEL = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) < (6, 15)
ENDED_BY_KILL = ["signal 9 (Killed)"] + ["it ended"] * OLD_KERNEL
SAME = ("id", "index", "address", "label", "pid", "generation", "restarts", "started")


def same(pools):
    return {pool["id"]: [pool[key] for key in SAME] for pool in pools}


def kill(node):
    node.process.kill()
    node.process.wait()


def actors(node):
    return sorted((actor["uid"], actor["pool"], actor["incarnation"], actor["state"])
                  for actor in node.call("actors"))


def taken_over(place):
    """the next broker has the same node, pools, actors and registry"""
    node = Node(place, config=POOLS)
    before = same(node.wait_pools(2))
    until(lambda: len(actors(node)) == 2, "the actors")
    known = actors(node)
    node.wait_registry()
    old = node.events("node.up")
    kill(node)
    assert len(place.processes()) == 2 * 2 + 2, place.processes()
    again = Node(place, config=POOLS)
    assert again.directory == node.directory
    assert same(again.wait_pools(2)) == before, (same(again.pools()), before)
    assert actors(again) == known
    again.wait_registry()
    assert again.events("node.up") == old, "the stream of events was lost"
    restarted = again.events("broker.restarted")
    assert len(restarted) == 1 and "2 pools" in restarted[0]["reason"], restarted
    assert restarted[0]["pid"] == again.process.pid
    assert os.path.realpath(os.path.join(os.path.dirname(again.directory), "default")) \
        == again.directory
    assert again.stop()[0] == 0
    place.assert_clean()


def supervised(place):
    """it goes on restarting and stopping them, and has their specs"""
    kill(Node(place, config=POOLS))
    node = Node(place, config=POOLS)
    one, two = node.wait_pools(2)
    os.kill(one["pid"], signal.SIGKILL)
    until(lambda: [p for p in node.pools("ready") if p["id"] == one["id"] and p["generation"] == 2],
          "the pool to be there again")
    down = until(lambda: node.events("pool.down"), "the event")
    assert down[0]["reason"] in ENDED_BY_KILL, down
    until(lambda: len(actors(node)) == 2 and {a[3] for a in actors(node)} == {"running"},
          "its actor to be there again")
    node.call("pool.stop", two["address"])
    assert len(node.pools()) == 1
    assert node.stop()[0] == 0
    place.assert_clean()


def transient(place):
    """one that it took over and that ends in order has not failed"""
    config = f"[pool work]\ncommand = {FAKE_POOL} faithful\nrestart = transient\n"
    kill(Node(place, config=config))
    node = Node(place, config=config)
    (pool,) = node.wait_pools(1)
    os.kill(pool["pid"], signal.SIGTERM)
    until(lambda: not node.pools(), "the pool to be gone")
    down = until(lambda: node.events("pool.down"), "the event")
    assert [event["reason"] for event in down] == ["exit status 0"], down
    assert node.stop()[0] == 0
    place.assert_clean()


def transient_meanwhile(place):
    """nor has one that ended in order while there was no broker, if its parent has left it"""
    config = f"[pool work]\ncommand = {FAKE_POOL} faithful\nrestart = transient\n"
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    node = Node(place, config=config)
    (pool,) = node.wait_pools(1)
    node.wait_registry()
    kill(node)
    os.kill(pool["pid"], signal.SIGTERM)
    os.waitid(os.P_PID, pool["pid"], os.WEXITED | os.WNOWAIT)
    node = Node(place, config=config)
    until(lambda: not node.pools(), "the pool to be gone")
    down = until(lambda: node.events("pool.down"), "the event")
    assert [event["reason"] for event in down] == ["exit status 0 while the node had no broker"]
    os.waitpid(pool["pid"], 0)
    assert node.stop()[0] == 0
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)
    place.assert_clean()


def failed_meanwhile(place):
    """why a pool could not start is known, too, if there was no broker then"""
    gate = os.path.join(place.path, "gate")
    os.mkfifo(gate)
    start = place.write("start", f"read _ <{gate}\nexec xo-pool --module /none.so\n")
    config = f"[pool work]\ncommand = sh {start}\nintensity = 0\n"
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    node = Node(place, config=config)
    pid = until(lambda: node.pools()[0].get("pid"), "its process")
    kill(node)
    with open(gate, "w", encoding="utf-8") as file:
        file.write("\n")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    node = Node(place, config=config)
    (pool,) = node.wait_pools(1, "failed")
    assert pool["reason"].startswith("exit status 1 while the node had no broker: "), pool
    assert "/none.so: no such file" in pool["reason"], pool
    node.call("pool.stop", pool["id"])
    assert node.stop()[0] == 0
    place.assert_clean()


def stopped_meanwhile(place):
    """what stands still when it dies goes on all the same"""
    node = Node(place, config=POOLS)
    before = same(node.wait_pools(2))
    node.wait_registry()
    old = node.events("node.up")
    pids = list(place.processes())
    pids.remove(node.process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    kill(node)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    again = Node(place, config=POOLS)
    assert same(again.wait_pools(2)) == before, (same(again.pools()), before)
    again.wait_registry()
    assert again.events("node.up") == old, "the registry was lost"
    assert again.stop()[0] == 0
    place.assert_clean()


def not_ready_in_time(place):
    """the time that a pool has to start does not begin anew with each broker"""
    config = "[pool work]\ncommand = sleep 600\nready_ms = 2000\nintensity = 0\n"
    node = Node(place, config=config)
    pid = until(lambda: node.pools()[0].get("pid"), "its process")

    def is_ended_by_a_next_one():
        nonlocal node
        kill(node)
        node = Node(place, config=config)
        return pid not in place.processes()

    until(is_ended_by_a_next_one, "its process to be ended")
    node.call("pool.stop", node.wait_pools(1, "failed")[0]["id"])
    assert node.stop()[0] == 0
    place.assert_clean()


def no_room(place):
    """it knows the processes that were started when no file could be written"""
    node = Node(place, config=POOLS)
    for pool, has_file in zip(node.wait_pools(2), (True, False)):
        path = os.path.join(node.directory, f"pool-{pool['id']}")
        os.mkdir(f"{path}.new")  # so there is none
        if not has_file:
            os.unlink(path)
        os.kill(pool["pid"], signal.SIGKILL)
        until(lambda: [p for p in node.pools("ready") if p["id"] == pool["id"]
                       and p["generation"] == 2], "the pool to be there again")
        if not has_file:
            os.rmdir(f"{path}.new")  # there is room again
            until(lambda: os.path.exists(path), "the file")
    before = same(node.pools())
    kill(node)
    again = Node(place, config=POOLS)
    assert same(again.wait_pools(2)) == before, (same(again.pools()), before)
    for name in os.listdir(node.directory):
        if name.endswith(".new"):
            os.rmdir(os.path.join(node.directory, name))
    assert again.stop()[0] == 0
    place.assert_clean()


def died_meanwhile(place):
    """a pool that died while there was no broker is started again, with its actors"""
    node = Node(place, config=POOLS)
    pools = node.wait_pools(2)
    specs = [f"xo:{{default}}:spec:alice@{pool['id']}" for pool in pools]
    until(lambda: all(node.redis("exists", spec) == ["1"] for spec in specs), "the specs")
    kill(node)
    os.kill(pools[0]["pid"], signal.SIGKILL)
    until(lambda: pools[0]["pid"] not in place.processes(), "the pool to be gone")
    node = Node(place, config=POOLS)
    until(lambda: {p["id"] for p in node.pools("ready")} == {p["id"] for p in pools}, "both")
    again = next(pool for pool in node.pools() if pool["id"] == pools[0]["id"])
    assert again["generation"] == 2 and again["address"] == pools[0]["address"], again
    until(lambda: len(actors(node)) == 2 and {a[3] for a in actors(node)} == {"running"},
          "its actor to be there again")
    assert any("no broker" in event["reason"] for event in node.events("pool.down"))
    assert node.stop()[0] == 0
    place.assert_clean()


def kill_with_its_registry(node, pools):
    """Once the registry has what creates the pools' actors."""
    specs = [f"xo:{{default}}:spec:alice@{pool['id']}" for pool in pools]
    until(lambda: all(node.redis("exists", spec) == ["1"] for spec in specs), "the specs")
    kill(node)
    server = [pid for pid, line in node.place.processes().items() if "redis" in line]
    for pid in server:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not set(server) & set(node.place.processes()), "its Redis to be gone")


def comes_back(node, pool):
    """The pool dies, and is there again with its actor."""
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: [p for p in node.pools("ready") if p["generation"] == 2], "generation 2")
    until(lambda: len(actors(node)) == 2 and {a[3] for a in actors(node)} == {"running"},
          "its actor to be there again")


def with_its_registry(place):
    """what it knew is not lost if its private Redis is killed with it"""
    node = Node(place, config=TOLD_ONCE)
    pools = node.wait_pools(2)
    old = until(lambda: node.events("node.up"), "the event")
    kill_with_its_registry(node, pools)
    node = Node(place, config=TOLD_ONCE)
    node.wait_pools(2)
    node.wait_registry()
    assert node.events("node.up") == old, "the stream of events was lost"
    comes_back(node, pools[0])
    assert not node.events("actor.nospec") and not node.events("registry.lost")
    assert node.stop()[0] == 0
    place.assert_clean()


def xo(node, *words):
    done = subprocess.run(["xo", *words], env=dict(node.place.env, COLUMNS="500"), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout


def followed(place):
    """xo events --follow goes on with the next broker after the last event shown, and says so"""
    node = Node(place, config=POOLS)
    node.wait_pools(2)
    node.wait_registry()
    path = os.path.join(place.path, "followed")
    with open(path, "w", encoding="utf-8") as out, \
            subprocess.Popen(["xo", "events", "--follow", "--json"], env=place.env, stdout=out,
                             stderr=subprocess.PIPE, text=True) as follower:
        def shown():
            with open(path, encoding="utf-8") as file:
                return [json.loads(line) for line in file.read().split("\n")[:-1]]
        try:
            until(lambda: len([e for e in shown() if e["type"] == "pool.up"]) == 2, "the first")
            kill(node)
            until(lambda: "the node went away" in follower.stderr.readline(), "it to be told")
            node = Node(place, config=POOLS)
            until(lambda: [e for e in shown() if e["type"] == "broker.restarted"], "the next")
            ids = [e["id"] for e in shown()]
            assert len(ids) == len(set(ids)), ids
        finally:
            follower.kill()
    assert node.stop()[0] == 0


def no_registry_for_now(place):
    """the next one starts, and takes over, though it cannot start a Redis, and does when it can"""
    node = Node(place, config=TOLD_ONCE)
    before = node.wait_pools(2)
    old = until(lambda: node.events("node.up"), "the event")
    kill_with_its_registry(node, before)
    program = os.path.join(place.path, "program")
    node = Node(place, config=TOLD_ONCE, env={"XO_REDIS_SERVER": program})
    assert same(node.wait_pools(2)) == same(before)
    words = "the private redis-server cannot be started, and is tried again: XO_REDIS_SERVER is"
    until(lambda: words in node.call("status")["registry_state"], words)
    assert words in xo(node, "nodes"), xo(node, "nodes")
    assert re.search(f"^error node: .*{words}", xo(node, "doctor"), re.M), xo(node, "doctor")
    until(lambda: len(actors(node)) == 2, "the actors")
    os.symlink(shutil.which("redis-server"), program)
    node.wait_registry()
    assert "REASON" not in xo(node, "nodes"), xo(node, "nodes")
    assert re.search("^ok node: ", xo(node, "doctor"), re.M), xo(node, "doctor")
    assert node.events("node.up") == old, "the stream of events was lost"
    assert words in node.events("registry.up")[-1]["reason"], node.events("registry.up")
    until(lambda: {actor["restart"] for actor in node.call("actors")} == {"permanent"},
          "what creates them")
    comes_back(node, before[0])
    assert not node.events("actor.nospec")
    assert node.stop()[0] == 0
    place.assert_clean()


def spoilt(place):
    """that what its Redis had kept cannot be read is an event, and that its actors are not safe"""
    node = Node(place, config=TOLD_ONCE)
    pools = node.wait_pools(2)
    kill_with_its_registry(node, pools)
    for folder, _, files in os.walk(os.path.join(node.directory, "redis")):
        for name in files:
            with open(os.path.join(folder, name), "r+b") as file:
                file.write(b"nonsense")
    node = Node(place, config=TOLD_ONCE)
    node.wait_pools(2)
    node.wait_registry()
    (lost,) = until(lambda: node.events("registry.lost"), "the event")
    assert lost["reason"].startswith("what the registry held cannot be read and is lost: "), lost
    until(lambda: len(node.events("actor.nospec")) == 2, "the actors' events")
    assert node.stop()[0] == 0
    place.assert_clean()


def restarts_count_on(place):
    """a pool that died too often under several brokers is given up"""
    config = f"[pool work]\ncommand = {FAKE_POOL} faithful\nintensity = 2\nbackoff_ms = 0\n"
    node = Node(place, config=config)
    for generation in (1, 2):
        (pool,) = until(lambda: [p for p in node.pools("ready") if p["generation"] == generation],
                        f"generation {generation}")
        os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: [p for p in node.pools("ready") if p["generation"] == 3], "generation 3")
    kill(node)
    again = Node(place, config=config)
    (pool,) = again.wait_pools(1)
    assert (pool["generation"], pool["restarts"]) == (3, 2), pool
    os.kill(pool["pid"], signal.SIGKILL)
    (pool,) = until(lambda: again.pools("failed"), "the pool to be given up")
    assert "given up after 2 restarts" in pool["reason"], pool
    assert again.stop()[0] == 0
    place.assert_clean()


def died_with_a_daemon(place):
    """what a pool had started goes with it, also where it died while there was no broker"""
    node = Node(place, config=f"[pool work]\ncommand = {FAKE_POOL} daemon\n")
    (pool,) = node.wait_pools(1)
    daemon = until(lambda: [pid for pid, line in place.processes().items()
                            if line.startswith("sleep ")], "its daemon")[0]
    kill(node)
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: pool["pid"] not in place.processes(), "the pool to be gone")
    assert daemon in place.processes()
    node = Node(place, config=f"[pool work]\ncommand = {FAKE_POOL} daemon\n")
    until(lambda: [p for p in node.pools("ready") if p["generation"] == 2], "generation 2")
    until(lambda: daemon not in place.processes(), "the first one's daemon to be gone")
    assert node.stop()[0] == 0
    place.assert_clean()


def all_died(place):
    """a node of which nothing lives is not taken over: the next one begins anew"""
    node = Node(place, config=POOLS)
    node.wait_pools(2)
    node.wait_registry()
    kill(node)
    for pid in place.processes():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not place.processes(), "all to be gone")
    again = Node(place, config=POOLS)
    assert again.directory != node.directory and not os.path.exists(node.directory)
    assert {pool["generation"] for pool in again.wait_pools(2)} == {1}
    assert again.stop()[0] == 0
    place.assert_clean()


def another_configuration(place):
    """a broker of another configuration leaves it alone"""
    node = Node(place, config=POOLS)
    before = same(node.wait_pools(2))
    kill(node)
    other = Node(place)
    assert other.directory != node.directory and other.pools() == []
    assert other.stop()[0] == 0
    again = Node(place, config=POOLS)
    assert again.directory == node.directory and same(again.wait_pools(2)) == before
    assert again.stop()[0] == 0
    place.assert_clean()


def many_times(place):
    """however often it dies"""
    node = Node(place, config=POOLS)
    before = same(node.wait_pools(2))
    for _ in range(5):
        kill(node)
        node = Node(place, config=POOLS)
    assert same(node.wait_pools(2)) == before
    until(lambda: len(actors(node)) == 2, "the actors")
    assert node.stop()[0] == 0
    place.assert_clean()


def owned(place):
    """an owner's node is taken over by its id, and goes with the owner all the same"""
    owner = place.other("sleep", "600")
    node = Node(place, "--owner", str(owner.pid), config=POOLS)
    before = same(node.wait_pools(2))
    name = os.path.basename(node.directory)[2:]
    kill(node)
    another = Node(place, "--owner", str(owner.pid))
    assert another.directory != node.directory
    again = Node(place, "--owner", str(owner.pid), "--adopt", name)
    assert same(again.wait_pools(2)) == before, (same(again.pools()), before)
    owner.kill()
    owner.wait()
    assert seconds_until(lambda: not place.processes(), "all to be gone") < STOP_S
    place.assert_clean()


def nobody_is_left(place):
    """when the owner dies while there is no broker, nothing is left either, daemons included"""
    owner = place.other("sleep", "600")
    daemons = f"[pool daemons]\ncommand = {FAKE_POOL} faithful daemon\n"
    node = Node(place, "--owner", str(owner.pid), config=POOLS + daemons)
    node.wait_pools(3)
    until(lambda: any(line.startswith("sleep ") for line in place.processes().values()),
          "the daemon")
    node.wait_registry()
    kill(node)
    owner.kill()
    owner.wait()
    until(lambda: not place.processes(), "all to be gone")
    until(lambda: not place.files(), f"files to be gone: {place.files()}")


def stopped_at_once(place):
    """a broker that is told to stop while it takes over stops what it has found"""
    node = Node(place, config=POOLS)
    node.wait_pools(2)
    kill(node)
    again = Node(place, config=POOLS)
    assert again.stop()[0] == 0
    place.assert_clean()


def not_there(place):
    """--adopt of what cannot be taken over is an error that says so"""
    node = Node(place, config=POOLS)
    name = os.path.basename(node.directory)[2:]
    for wanted in (name, "0123456789abcdef"):
        try:
            Node(place, "--adopt", wanted, config=POOLS)
            raise RuntimeError("it has started")
        except AssertionError as error:
            assert wanted in str(error), error
    assert node.stop()[0] == 0


run(taken_over, supervised, transient, transient_meanwhile, failed_meanwhile, stopped_meanwhile, not_ready_in_time, no_room, died_meanwhile, with_its_registry,
    followed, no_registry_for_now, spoilt, restarts_count_on, died_with_a_daemon, all_died, another_configuration, many_times, owned, nobody_is_left, stopped_at_once, not_there)
