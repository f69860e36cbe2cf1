#!/usr/bin/env python3
"""Pools: started, watched, started again, stopped."""

import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import CALL, FAKE_POOL, STOP_S, Node, refusal, run, start_pool, until  # noqa: E402

PYTHON = os.environ.get("PYTHON") or sys.executable
TWO_POOLS = f"[pool work]\ncommand = {FAKE_POOL} actor=alice\ncount = 2\nenv.COLOUR = blue\n"


def environment(pid):
    with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
        return dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def configured(place):
    """the pools of the configuration are started, and get their environment"""
    node = Node(place, config=TWO_POOLS)
    pools = node.wait_pools(2)
    assert [pool["index"] for pool in pools] == [0, 1]
    assert {pool["label"] for pool in pools} == {"work"}
    assert all(not pool["address"].endswith(":0") for pool in pools)
    env = environment(pools[1]["pid"])
    assert env["COLOUR"] == "blue"
    assert env["XO_POOL_ID"] == pools[1]["id"] and env["XO_POOL_INDEX"] == "1"
    assert env["XO_BROKER"] == node.endpoint and env["XO_RUN_DIR"] == place.run_dir
    assert env["XO_CLUSTER"] == "default" and "XO_OWNER_PID" not in env
    assert os.readlink(f"/proc/{pools[0]['pid']}/fd/0") == "/dev/null"
    assert os.getpgid(pools[0]["pid"]) == pools[0]["pid"]
    assert node.stop()[0] == 0
    place.assert_clean()


def killed(place):
    """a pool that is killed comes back, in generation 2, at its place"""
    node = Node(place, config=TWO_POOLS + "recover = none\n")
    before = node.wait_pools(2)[0]
    node.wait_registry()
    until(lambda: len(node.call("lookup", "alice")) == 2, "both actors")
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: node.pools()[0]["generation"] == 2, "generation 2")
    after = node.wait_pools(2)[0]
    for same in ("id", "index", "address", "label"):
        assert before[same] == after[same]
    assert after["pid"] != before["pid"] and after["restarts"] == 1
    (down,) = node.events("pool.down")
    assert down["reason"] == "signal 9 (Killed)" and down["generation"] == 1, down
    (restart,) = node.events("pool.restart")
    assert restart["generation"] == 2
    until(lambda: len(node.call("lookup", "alice")) == 2, "its actor to be named again")
    gone = [event for event in node.events("actor.down") if event["pool"] == before["id"]]
    assert len(gone) == 1 and gone[0]["reason"] == "signal 9 (Killed)"


def drops(place):
    """what pools drop is in their records, here and in the registry, and in the node's sum"""
    node = Node(place, config="[node]\nheartbeat_ms = 20\n" + TWO_POOLS)
    node.wait_registry()
    until(lambda: all(pool.get("drops_no_actor") == 3 for pool in node.wait_pools(2)), "drops")
    pool = node.pools()[0]
    assert not [name for name in pool if name.startswith("drops") and name != "drops_no_actor"]
    key = "xo:{default}:pool:" + pool["id"]
    until(lambda: node.redis("hget", key, "drops_no_actor") == ["3"], "the registry's record")
    status = node.call("status")
    assert status["drops"]["no-actor"] == 6 and status["drops"]["stale"] == 0, status


def lookups(place):
    """a lookup finds all actors of that uid, and a pool that has just told is never missed"""
    node = Node(place, config=TWO_POOLS)
    node.wait_pools(2)
    until(lambda: len(node.call("lookup", "alice")) == 2, "both actors")
    found = node.call("lookup", "alice")
    assert {actor["address"] for actor in found} == {pool["address"] for pool in node.pools()}
    assert {actor["state"] for actor in found} == {"running"} and found[0]["class"] == "Fake"
    assert node.call("lookup", "nobody") == []
    for number in range(5):
        node.call("pool.start", start_pool(f"actor=new{number}"))
        assert len(node.call("lookup", f"new{number}")) == 1


def on_request(place):
    """pool.start answers with the pool's record once it is ready"""
    node = Node(place)
    pool = node.call("pool.start", start_pool(label="w", index=7, env={"A": "b"}))
    assert pool["state"] == "ready" and pool["index"] == 7 and pool["label"] == "w"
    assert environment(pool["pid"])["A"] == "b"
    refused = refusal(node.call, "pool.start", start_pool(index=7))
    assert refused.code == "Refused" and "index 7" in str(refused)
    assert node.call("pool.start", start_pool())["index"] == 0
    node.call("pool.stop", pool["address"])
    assert not alive(pool["pid"])
    assert [other["index"] for other in node.pools()] == [0]
    node.call("pool.stop", node.pools()[0]["id"])
    assert node.pools() == []


def failing_starts(place):
    """pool.start says why a pool did not become ready, and forgets it"""
    node = Node(place)
    assert "No such file" in str(refusal(node.call, "pool.start", {"argv": ["no-such-program"]}))
    text = str(refusal(node.call, "pool.start", start_pool("exit=3")))
    assert "exit status 3 before it was ready" in text, text
    text = str(refusal(node.call, "pool.start", start_pool("mute", ready_ms=100)))
    assert "not ready within 100 ms" in text, text
    assert node.pools() == []
    until(lambda: all("fake-pool" not in line for line in place.processes().values()),
          "the mute one to be killed")


def never_ready(place):
    """one that is never ready is given up, though its starts take as long as the period"""
    node = Node(place, config=f"[pool p]\ncommand = {FAKE_POOL} mute\nready_ms = 400\n"
                              "intensity = 2\nperiod_ms = 500\nbackoff_ms = 1\n")
    (pool,) = until(lambda: node.pools("failed"), "it to be given up")
    assert "not ready within 400 ms; given up after 2 restarts" in pool["reason"], pool


def output_file(place):
    """a pool's output can go to a file, and its last words into the reason"""
    output = os.path.join(place.path, "pool.log")
    node = Node(place, config=f"[pool p]\ncommand = {FAKE_POOL} exit=4\noutput = {output}\n"
                              "intensity = 1\nbackoff_ms = 1\n")
    (pool,) = node.wait_pools(1, "failed")
    # A pid of 0 would be the group of who passes it to kill.
    assert "pid" not in pool and "started" not in pool, pool
    node.wait_registry()
    until(lambda: node.events("pool.failed"), "the event")
    reason = node.events("pool.failed")[0]["reason"]
    assert "exit status 4 before it was ready: fake-pool: its last words" in reason, reason
    assert "given up after 1 restarts" in reason, reason
    assert pool["restarts"] == 1
    with open(output, encoding="utf-8") as file:
        assert file.read().count("its last words") == 2


def has_python():
    return not subprocess.run([PYTHON, "-c", "import xoscar"], capture_output=True,
                              check=False).returncode


def last_words(place):
    """without such a file its last words go where the node's do, and into the reason"""
    node = Node(place)
    says = {
        ("xo-pool", "--module", "/none.so"): "exit status 1 .*: .*/none.so: no such file",
        ("xo-pool", "--nonsense"): "exit status 2 .*: option --nonsense: not known",
        ("/dev/null",): "/dev/null: Permission denied",
    }
    if has_python():
        says[PYTHON, "-m", "xoscar.pool", "--module", "none"] = (
            "exit status 1 .*: ImportError: cannot import none.* No module named 'none'")
        says[PYTHON, "-m", "xoscar.pool", "--none"] = "exit status 1 .*: not understood: --none"
    for argv, words in says.items():
        text = str(refusal(node.call, "pool.start", {"argv": argv}))
        assert re.search(words, text), text
        last = text.rpartition(": ")[2]
        assert argv == ("/dev/null",) or f"{last}\n" in node.log(), node.log()
    assert not [name for name in os.listdir(node.directory) if name.startswith("why")]


def gives_up(place):
    """after too many restarts a pool is failed, and so are its actors"""
    node = Node(place, config=f"[pool p]\ncommand = {FAKE_POOL} actor=alice\nintensity = 2\n"
                              "backoff_ms = 1\nrecover = actors\n")
    for generation in (1, 2, 3):
        until(lambda g=generation: [p for p in node.pools("ready") if p["generation"] == g],
              f"generation {generation}")
        until(lambda: [a for a in node.call("lookup", "alice") if a["state"] == "running"],
              "its actor")
        os.kill(node.pools()[0]["pid"], signal.SIGKILL)
    node.wait_pools(1, "failed")
    assert [actor["state"] for actor in node.call("lookup", "alice")] == ["failed"]
    node.call("pool.stop", node.pools()[0]["id"])
    assert node.pools() == [] and node.call("actors") == []


def table_of_actors(place, node):
    return subprocess.run(["xo", "actors", "--wide", "--node", node.endpoint], env=place.env,
                          stdout=subprocess.PIPE, text=True, check=True).stdout


def revived(place):
    """a pool that has failed is started again when somebody says so, and has its actors"""
    node = Node(place, config=f"[pool p]\ncommand = {FAKE_POOL} actor=alice\nintensity = 0\n"
                              "recover = actors\n")
    until(lambda: [a for a in node.call("lookup", "alice") if a["state"] == "running"],
          "its actor")
    (pool,) = node.wait_pools(1)
    assert "has not failed, it is ready" in str(refusal(node.call, "revive", pool["address"]))
    assert refusal(node.call, "revive", "alice").code == "ActorNotExist"
    for generation in (2, 3):
        os.kill(node.pools()[0]["pid"], signal.SIGKILL)
        (failed,) = node.wait_pools(1, "failed")
        assert "given up" in failed["reason"]
        (actor,) = node.call("lookup", "alice")
        assert table_of_actors(place, node).endswith(f"  {actor['reason']}\n")
        assert "revive that" in str(refusal(node.call, "revive", "alice"))
        node.call("revive", pool["id"] if generation == 2 else pool["address"])
        (back,) = node.pools("ready")
        assert back["generation"] == generation and "reason" not in back
        assert "REASON" not in table_of_actors(place, node)
        assert [actor["state"] for actor in node.call("lookup", "alice")] == ["running"]


def recovering(place):
    """while a pool is away, its actors are recovering, unless they are not to come back at all"""
    for recover, states in (("", ["recovering"]), ("recover = actors\n", ["recovering"]),
                            ("recover = none\n", [])):
        node = Node(place, config=f"[pool p]\ncommand = {FAKE_POOL} actor=alice\n"
                                  "backoff_ms = 60000\nbackoff_max_ms = 60000\n"
                                  + recover)
        for generation in (1, 2):  # the first restart is at once
            until(lambda g=generation: [p for p in node.pools("ready") if p["generation"] == g],
                  f"generation {generation}")
            until(lambda: [a for a in node.call("lookup", "alice") if a["state"] == "running"],
                  "its actor")
            os.kill(node.pools()[0]["pid"], signal.SIGKILL)
        node.wait_pools(1, "restarting")
        assert [actor["state"] for actor in node.call("lookup", "alice")] == states
        assert node.stop()[0] == 0
        place.assert_clean()


def created_again(place):
    """the actors of a pool that recovers are created again before it is ready"""
    node = Node(place, config=f"[pool p]\ncommand = {FAKE_POOL} actor=alice\nrecover = actors\n")
    (pool,) = node.wait_pools(1)
    node.wait_registry()
    until(lambda: node.call("lookup", "alice"), "its actor")
    node.call("pool.kill", pool["address"])
    node.call("pool.wait", pool["address"])
    assert [p["state"] for p in node.pools()] == ["ready"]
    assert [a["state"] for a in node.call("lookup", "alice")] == ["running"]
    types = [event["type"] for event in node.call("events", "0", 1000)]
    order = [kind for kind in types if kind.startswith("pool.")]
    assert order[-5:] == ["pool.down", "pool.restart", "pool.start", "pool.up", "pool.recovered"]
    (down,) = node.events("pool.down")
    assert down["reason"].startswith("signal 9 (Killed)")
    assert refusal(node.call, "pool.wait", "127.0.0.1:1").code == "ServerClosed"
    assert refusal(node.call, "pool.kill", "127.0.0.1:1").code == "Refused"
    assert node.stop()[0] == 0
    place.assert_clean()


def temporary(place):
    """a temporary pool is not started again"""
    node = Node(place)
    pool = node.call("pool.start", start_pool("actor=alice", restart="temporary"))
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: not node.pools(), "it to be gone")
    assert node.call("actors") == []


def sleepers(place):
    return [pid for pid, line in place.processes().items() if line.startswith("sleep ")]


def family(place):
    """what a pool started goes with it, when it dies and when it is stopped"""
    node = Node(place)
    for kind in ("child", "daemon"):
        for end in ("kill", "stop"):
            pool = node.call("pool.start", start_pool(kind, restart="temporary"))
            child = until(lambda: sleepers(place), "its child")[0]
            if end == "kill":
                os.kill(pool["pid"], signal.SIGKILL)
            else:
                node.call("pool.stop", pool["address"])
            until(lambda pid=child: pid not in place.processes(), "the child to be gone")


def families(place):
    """only what the dead pool started goes with it; the rest when the node ends"""
    node = Node(place)
    first = node.call("pool.start", start_pool("daemon"))
    (daemon,) = until(lambda: sleepers(place), "its daemon")
    node.call("pool.start", start_pool("daemon"))
    until(lambda: len(sleepers(place)) == 2, "the other's daemon")
    (other,) = set(sleepers(place)) - {daemon}
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: daemon not in sleepers(place), "its daemon to be gone")
    until(lambda: len(sleepers(place)) == 2, "that of its next process")
    assert other in sleepers(place)
    status, seconds = node.stop()
    assert status == 0 and seconds < STOP_S, (status, seconds)
    place.assert_clean()


def stubborn(place):
    """one that ignores SIGTERM is killed: by pool.stop after its time, at the end after a second"""
    node = Node(place)
    pool = node.call("pool.start", start_pool("stubborn"))
    node.call("pool.stop", pool["address"], 50)
    assert not alive(pool["pid"])
    for _ in range(3):
        node.call("pool.start", start_pool("stubborn", "child"))
    status, seconds = node.stop()
    assert status == 0 and seconds < STOP_S, (status, seconds)
    place.assert_clean()


def by_itself(place):
    """a pool that the broker did not start joins by its hello, is asked to end, not restarted"""
    node = Node(place)
    env = dict(place.env, XO_BROKER=node.endpoint, XO_NODE_ID="0", XO_POOL_ID="abc",
               XO_POOL_GENERATION="1", XO_POOL_INDEX="-1", XO_POOL_LABEL="guest",
               XO_POOL_ADDRESS="127.0.0.1:0", XO_HEARTBEAT_MS="1000")
    for end in ("kill", "ask"):
        with subprocess.Popen([FAKE_POOL, "actor=alice"], env=env) as guest:
            (pool,) = node.wait_pools(1)
            assert pool["pid"] == guest.pid and pool["label"] == "guest" and pool["index"] == 0
            until(lambda: node.call("lookup", "alice"), "its actor")
            thief = subprocess.run([FAKE_POOL], env=env, stderr=subprocess.PIPE, text=True,
                                   check=False)
            assert "is not the one" in thief.stderr, thief.stderr
            if end == "kill":
                guest.kill()
            else:
                node.call("pool.stop", pool["address"])
            until(lambda: not node.pools(), "it to be gone")
            assert node.call("actors") == []


def impostor(place):
    """a process that claims the place of a pool of another generation is refused"""
    node = Node(place)
    pool = node.call("pool.start", start_pool())
    env = environment(pool["pid"])
    for generation, words in (("2", "generation"), ("1", "is not the one")):
        env["XO_POOL_GENERATION"] = generation
        env["XO_POOL_ADDRESS"] = "127.0.0.1:0"
        done = subprocess.run([FAKE_POOL], env=env, stderr=subprocess.PIPE, text=True, check=False)
        assert words in done.stderr, done.stderr
    assert [one["pid"] for one in node.pools("ready")] == [pool["pid"]]


def refused(place):
    """a Python pool that is refused, as by a node that stops, says so in one line"""
    if not has_python():
        return "there is no package xoscar"
    node = Node(place)
    env = environment(node.call("pool.start", start_pool())["pid"])
    env.update(XO_POOL_GENERATION="2", XO_POOL_ADDRESS="127.0.0.1:0")
    done = subprocess.run([PYTHON, "-m", "xoscar.pool"], env=env, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("xoscar.pool: ") and "another process took its place" in line, line
    return None


def silent(place):
    """a pool that is silent for three heartbeats is suspect until it is heard again"""
    node = Node(place, config="[node]\nheartbeat_ms = 50\n")
    pool = node.call("pool.start", start_pool())
    os.kill(pool["pid"], signal.SIGSTOP)
    node.wait_pools(1, "suspect")
    os.kill(pool["pid"], signal.SIGCONT)
    node.wait_pools(1, "ready")
    assert node.pools()[0]["generation"] == 1


def relayed(place):
    """relay passes a call on to an address and hands the answer back"""
    node = Node(place)
    pool = node.call("pool.start", start_pool())
    has = 13
    assert node.call("relay", pool["address"], has, "", "", None) is True
    tell = 4
    assert node.call("relay", pool["address"], tell, "alice", "hear", [[], {}]) is None
    until(lambda: "told hear" in node.log(), "the tell to arrive")
    port = pool["address"].rsplit(":", 1)[1]
    node.call("pool.stop", pool["address"])
    refused = refusal(node.call, "relay", f"127.0.0.1:{port}", has, "", "", None)
    assert refused.code == "ServerClosed" and refused.answer["executed"] == "no", refused.answer
    refused = refusal(node.call, "relay", f"127.0.0.1:{port}", tell, "a", "b", [[], {}])
    assert refused.code == "ServerClosed" and "dead letter" in str(refused), refused.answer


def death_answers(place):
    """calls under way to a pool that is killed are answered at once, with the reason"""
    node = Node(place)
    pool = node.call("pool.start", start_pool())
    call = 3
    with subprocess.Popen([CALL, node.endpoint, "relay", json.dumps(pool["address"]), str(call),
                           '"alice"', '"hang"', "[[], {}]"], env=place.env,
                          stdout=subprocess.PIPE) as caller:
        until(lambda: "called hang" in node.log(), "the call to arrive")
        os.kill(pool["pid"], signal.SIGKILL)
        answer = json.loads(caller.stdout.read())
    assert answer["code"] == "ServerClosed" and answer["executed"] == "maybe", answer
    assert "signal 9 (Killed)" in answer["reason"], answer


run(death_answers, configured, killed, drops, lookups, on_request, failing_starts, never_ready,
    output_file, last_words, gives_up, revived, recovering, created_again, temporary, family,
    families, stubborn, by_itself, impostor, refused, silent, relayed)
