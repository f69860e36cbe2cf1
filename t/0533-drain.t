#!/usr/bin/env python3
"""xo drain: two brokers on one Redis, of which one leaves in order."""

import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, CALL, Node, Server, redis, refusal, run, until  # noqa: E402

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
CONFIG = f"[pool c]\ncommand = xo-pool\nmodules = {MODULE}\nrecover = actors\n"
CREATE = 10
SLOW_MS = 4000  # longer than it takes to see that drain waits, on a busy machine, too
TIMEOUT = 6  # xo's exit status


def start(place, server, name):
    env = {"XO_RUN_DIR": os.path.join(place.path, name)}
    os.makedirs(env["XO_RUN_DIR"], 0o700, exist_ok=True)
    node = Node(place, "--registry", f"unix://{server.socket}", config=CONFIG, env=env)
    node.env = dict(place.env, **env)
    node.wait_registry()
    node.id = node.call("status")["id"]
    return node


def nodes(place):
    server = Server(place).start()
    both = [start(place, server, name) for name in ("leaves", "stays")]
    until(lambda: len(both[0].pools("ready")) == 2, "both pools")
    return server, *both


def pool_of(node):
    return next(p["address"] for p in node.pools() if p["node"] == node.id)


def create(node, uid, options=None):
    """None, or the error."""
    body = [[], {}, options] if options else [[], {}]
    words = ["relay", pool_of(node), CREATE, uid, "Counter", body]
    done = subprocess.run([CALL, node.endpoint, words[0], *map(json.dumps, words[1:])], env=node.env,
                          stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout) if done.returncode else None


def xo(node, *words):
    return subprocess.run(["xo", words[0], "--node", node.endpoint, *words[1:]], env=node.env, text=True,
                          capture_output=True, check=False)


def state_of(node, seen_by):
    return next((n["state"] for n in seen_by.call("nodes") if n["id"] == node.id), None)


def ends_in_order(place):
    """it takes nothing new, lets its actors finish, and says so everywhere"""
    server, leaves, stays = nodes(place)
    for uid in ("slow", "idle", "xo:name"):
        assert create(leaves, uid) is None
    # Accepted by the pool's lane, before anything that is sent there later.
    assert xo(leaves, "call", "--tell", "slow", "slow_add", "1", str(SLOW_MS)).returncode == 0
    early = xo(leaves, "drain", "--timeout", "0.2")
    assert early.returncode == TIMEOUT, early
    for words in ("goes on draining, with ", " actors left", "xo actors", "xo stop"):
        assert words in early.stderr, early.stderr
    # Those that have nothing to do may be gone already; the other node's do not count.
    assert 1 <= int(re.search(r"with (\d+) actors", early.stderr)[1]) <= 3, early.stderr
    assert state_of(leaves, leaves) == "draining"
    assert xo(leaves, "call", "slow", "peek").stdout.strip() == "0"
    until(lambda: state_of(leaves, stays) == "draining", "the other to see it")
    error = create(leaves, "new")
    assert error["code"] == "ServerClosed" and error["executed"] == "no", error
    assert "drained" in error["message"], error
    for refused in (refusal(leaves.call, "place.take", "new", "least", "", ""),
                    refusal(leaves.call, "pool.start", {"argv": ["xo-pool"]}),
                    refusal(leaves.call, "group.create", "g", {})):
        assert refused.code == "ServerClosed" and "drained" in str(refused), refused
    done = xo(leaves, "drain")
    assert done.returncode == 0, done.stderr
    assert state_of(leaves, leaves) == "drained"
    assert not [a for a in leaves.call("actors") if a["node"] == leaves.id]
    downs = {e["uid"]: e["reason"] for e in leaves.events("actor.down")}
    assert set(downs) == {"slow", "idle", "xo:name"}, downs
    assert set(downs.values()) == {"its node is being drained"}, downs
    for kind in ("node.draining", "node.drained"):
        until(lambda k=kind: [e["node"] for e in stays.events(k)] == [leaves.id], kind)
    assert create(stays, "xo:name") is None
    assert xo(leaves, "drain").returncode == 0
    assert xo(leaves, "stop").returncode == 0
    leaves.process.wait()
    until(lambda: state_of(leaves, stays) is None, "its lease to be given back")
    assert redis(server.socket, "exists", f"xo:{{default}}:node:{leaves.id}") == ["0"]
    stays.stop()
    server.stop()


def broker_is_killed(place):
    """the next broker of a node goes on draining it"""
    server, leaves, stays = nodes(place)
    assert create(leaves, "slow") is None
    assert xo(leaves, "call", "--tell", "slow", "slow_add", "1", str(SLOW_MS)).returncode == 0
    assert xo(leaves, "drain", "--timeout", "0.1").returncode == TIMEOUT
    leaves.process.kill()
    leaves.process.wait()
    again = start(place, server, "leaves")
    assert again.id == leaves.id and state_of(again, again) == "draining"
    assert create(again, "new")["code"] == "ServerClosed"
    assert xo(again, "drain").returncode == 0
    assert [e["uid"] for e in again.events("actor.down")] == ["slow"]
    assert state_of(again, stays) == "drained"
    for node in (again, stays):
        node.stop()
    server.stop()


def stops_groups(place):
    """groups stop, failed actors go, and a pool that links later creates nothing either"""
    server, leaves, stays = nodes(place)
    leaves.call("group.create", "pair", {})
    assert create(leaves, "member", {"group": "pair"}) is None
    assert create(leaves, "alone") is None
    assert xo(leaves, "drain").returncode == 0
    assert not leaves.call("groups")
    assert len(leaves.events("group.stopped")) == 1
    generation = next(p["generation"] for p in leaves.pools() if p["node"] == leaves.id)
    leaves.call("pool.kill", pool_of(leaves))
    until(lambda: [p for p in leaves.pools("ready") if p["node"] == leaves.id and
                   p["generation"] > generation], "the next process")
    assert create(leaves, "new")["code"] == "ServerClosed"
    assert state_of(leaves, leaves) == "drained"
    leaves.stop()
    stays.stop()
    server.stop()


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(ends_in_order, broker_is_killed, stops_groups)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
