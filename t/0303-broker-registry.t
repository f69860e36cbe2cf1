#!/usr/bin/env python3
"""The broker and Redis: what is written, and what is said when it is away."""

import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, FAKE_POOL, Node, Refused, Server, redis, refusal  # noqa: E402
from brokers import run, seconds_until, start_pool, until  # noqa: E402

WHOLE_S = 5  # within which the registry is whole again once Redis is there
POOL = f"[pool work]\ncommand = {FAKE_POOL} actor=alice\n"


def hash_of(lines):
    return dict(zip(lines[::2], lines[1::2]))


def keys(place):
    """redis-cli shows the documented keys, in words"""
    node = Node(place, config=POOL)
    (pool,) = node.wait_pools(1)
    node.wait_registry()
    until(lambda: node.redis("exists", f"xo:{{default}}:actor:alice@{pool['id']}") == ["1"],
          "the actor's key")
    record = hash_of(node.redis("hgetall", f"xo:{{default}}:pool:{pool['id']}"))
    assert record["address"] == pool["address"] and record["state"] == "ready", record
    assert record["pid"] == str(pool["pid"]) and record["generation"] == "1", record
    until(lambda: node.redis("hget", f"xo:{{default}}:pool:{pool['id']}", "language") == ["fake"],
          "the language, which the first heartbeat tells")
    record = hash_of(node.redis("hgetall", f"xo:{{default}}:node:{pool['node']}"))
    assert record["pid"] == str(node.process.pid) and record["state"] == "ready", record
    record = hash_of(node.redis("hgetall", f"xo:{{default}}:actor:alice@{pool['id']}"))
    assert record["class"] == "Fake" and record["state"] == "running", record
    assert record["uid"] == "alice" and record["node"] == pool["node"], record
    assert 0 < int(node.redis("pttl", f"xo:{{default}}:pool:{pool['id']}")[0]) <= 5000
    kinds = [event["type"] for event in node.call("events", "0", 100)]
    for kind in ("node.up", "pool.start", "pool.up", "actor.up", "registry.up"):
        assert kind in kinds, (kind, kinds)
    (start,) = [e for e in node.call("events", "0", 100) if e["type"] == "pool.start"]
    assert "address" not in start and start["pid"] == pool["pid"], start
    assert len(node.call("events", "$-2", 100)) == 2


def long_types(place):
    """xo events cuts no event's type, however long it is"""
    node = Node(place, config=POOL)
    node.wait_pools(1)
    node.wait_registry()
    kind = "pool.of.a.later.version"
    node.redis("xadd", "xo:{default}:events", "*", "type", kind, "reason", "none")
    for env, words in (({}, f"{kind}  reason=none\n"),
                       ({"COLUMNS": "60"}, f"{kind}\n{'':32}reason=none\n")):
        shown = subprocess.run(["xo", "events", "--node", node.endpoint], env={**place.env, **env},
                               text=True, stdout=subprocess.PIPE, check=True).stdout
        assert f"  {words}" in shown, shown


def until_renewed(server, key, times):
    last_ms, renewals = -2, 0

    def is_renewed_often():  # where the machine stands still for its 250 ms, it lapses, and is back
        nonlocal last_ms, renewals
        left_ms = int(redis(server.socket, "pttl", key)[0])
        renewals += 0 <= last_ms < left_ms
        last_ms = left_ms
        return renewals >= times

    until(is_renewed_often, lambda: f"renewals of the lease, there were {renewals}")


def leases_renewed(place):
    """leases are renewed for as long as their owner lives, and go when it ends"""
    server = Server(place).start()
    node = Node(place, "--registry", f"unix://{server.socket}",
                config="[node]\nheartbeat_ms = 50\n" + POOL)
    node.wait_pools(1)
    node.wait_registry()
    key = f"xo:{{default}}:node:{node.call('status')['id']}"
    until_renewed(server, key, 8)
    node.stop()
    left = redis(server.socket, "keys", "xo:{default}:*")
    assert not [key for key in left if key.split(":")[2] in ("node", "pool", "actor")], left
    kinds = redis(server.socket, "xrange", "xo:{default}:events", "-", "+")
    assert "node.down" in kinds, kinds
    server.stop()


def lease_of_one_that_stops(place):
    """a node that waits for its groups to end keeps its lease"""
    server = Server(place).start()
    stuck, group = (os.path.join(BUILD, "t", name) for name in (".libs/module-stuck.so", "group"))
    node = Node(place, "--registry", f"unix://{server.socket}",
                config=f"[node]\nheartbeat_ms = 50\n[pool c]\ncommand = xo-pool\n"
                f"modules = '{stuck}'\nenv.DIARY = {place.path}/diary\n")
    (pool,) = node.wait_pools(1)
    node.wait_registry()
    for words in ("make g one_for_all", "create Endless a g 60000"):
        subprocess.run([group, pool["address"], *words.split()], env=place.env, check=True)
    node.process.terminate()
    until(lambda: node.call("status").get("reason") == "actor \"a\" of group 'g'", "it to wait")
    key = f"xo:{{default}}:node:{pool['node']}"
    until_renewed(server, key, 8)
    assert redis(server.socket, "hget", key, "state") == ["stopping"]
    node.stop()
    server.stop()


def wrong_type(place):
    """a key that somebody has written with another type is named, but not over and over"""
    server = Server(place).start()
    node = Node(place, "--registry", f"unix://{server.socket}", config="[node]\nheartbeat_ms = 50\n")
    node.wait_registry()
    (key,) = redis(server.socket, "keys", "*:node:*")
    redis(server.socket, "config", "resetstat")
    redis(server.socket, "set", key, "not of the right type")

    def refused():
        stats = str(redis(server.socket, "info", "errorstats"))
        return int((re.findall(r"WRONGTYPE:count=(\d+)", stats) or ["0"])[0])
    until(lambda: refused() > 20, "it to be refused often")
    lines = [line for line in node.log().splitlines() if "WRONGTYPE" in line]
    assert 1 <= len(lines) <= 5 and key in lines[0] and "remove it" in lines[0], lines
    redis(server.socket, "del", key)
    until(lambda: redis(server.socket, "type", key) == ["hash"], "it to be written again")
    node.stop()
    server.stop()


def two_nodes(place):
    """two nodes on one registry list and look up each other's"""
    server = Server(place).start()
    url = f"unix://{server.socket}"
    one = Node(place, "--registry", url, config=POOL)
    two = Node(place, "--registry", url)
    one.wait_pools(1)
    two.call("pool.start", start_pool("actor=bob"))
    for node in (one, two):
        until(lambda n=node: len(n.call("nodes")) == 2, "both nodes")
        until(lambda n=node: len(n.call("pools")) == 2, "both pools")
        until(lambda n=node: len(n.call("actors")) == 2, "both actors")
        assert node.call("lookup", "alice")[0]["address"] == one.call("pools")[0]["address"]
        assert len(node.call("lookup", "bob")) == 1
        assert node.call("lookup", "carol") == []
        for kind in ("nodes", "pools", "actors"):  # another's come as text
            own, others = node.call(kind)
            assert {key: type(own[key]) for key in own if key in others} == {
                key: type(others[key]) for key in others if key in own}, (own, others)
    one.call("pool.start", start_pool("actor=bob"))
    until(lambda: len(two.call("lookup", "bob")) == 2, "a second bob")
    one.stop()
    # What it knew of the other node goes with that node's events.
    until(lambda: len(two.call("lookup", "bob")) == 1, "one bob")
    until(lambda: two.call("lookup", "alice") == [], "no alice")
    two.stop()
    server.stop()


def odd_uids(place):
    """an event tells an actor's uid as it is, whatever is in that"""
    node = Node(place, config=POOL.replace("alice", "a%41@b"))
    node.wait_pools(1)
    node.wait_registry()
    (up,) = until(lambda: node.events("actor.up"), "the actor")
    assert up["uid"] == "a%41@b", up


def lists_of_less(place):
    """who lists what nodes have hears it when the registry does not tell what the others have"""
    server = Server(place).start()
    url = f"unix://{server.socket}"
    one, two = Node(place, "--registry", url, config=POOL), Node(place, "--registry", url)

    def xo():
        return subprocess.run(["xo", "actors", "--node", two.endpoint], env=place.env, text=True,
                              capture_output=True, check=False)
    until(lambda: len(two.call("actors")) == 1, "the other's actor")
    assert xo().stderr == "", xo()
    key = "xo:{default}:actors"
    for command in (("rename", key, "kept"), ("set", key, "no set")):
        assert redis(server.socket, *command) == ["OK"]
    refused = refusal(two.call, "actors")
    assert refused.code == "Unavailable" and "WRONGTYPE" in str(refused), refused.answer
    assert xo().returncode == 1 and "WRONGTYPE" in xo().stderr, xo()
    server.stop()
    until(lambda: two.call("status")["registry_state"] != "up", "it to be seen")
    assert two.call("actors") == []
    assert xo().returncode == 0 and "no actors" in xo().stderr, xo()
    assert "does not reach its registry" in xo().stderr and url in xo().stderr, xo()
    one.stop()
    two.stop()


def found(node, uid):
    """None while the registry is being refilled."""
    try:
        return node.call("lookup", uid)
    except Refused as refused:
        assert "is being refilled" in str(refused), refused
        return None


def comes_and_goes(place):
    """while Redis is away the node works, and says so; when it is back all is there again"""
    server = Server(place)
    url = f"unix://{server.socket}"
    node = Node(place, "--registry", url, config=POOL)
    node.wait_pools(1)
    assert len(node.call("lookup", "alice")) == 1
    refused = refusal(node.call, "lookup", "bob")
    assert refused.code == "Unavailable" and url in str(refused), refused.answer
    until(lambda: url in node.call("status")["registry_state"], "its state")
    for round_ in range(2):
        server.start()
        assert seconds_until(lambda: any("alice@" in key for key in
                                         redis(server.socket, "keys", "*")),
                             "the actor to be published") < WHOLE_S
        node.wait_registry()
        until(lambda: found(node, "bob") == [], "it to be full again")
        if round_ > 0:
            (up,) = node.events("registry.up")  # the stream, too, is new
            assert "it was away for" in up["reason"] and "it was empty" in up["reason"], up
        server.stop()
        until(lambda: node.call("status")["registry_state"] != "up", "it to be seen")
        assert len(node.call("nodes")) == 1 and len(node.call("lookup", "alice")) == 1
        refused = refusal(node.call, "lookup", "bob")
        assert refused.code == "Unavailable" and url in str(refused), refused.answer
    assert node.stop()[0] == 0


def emptied(place):
    """a registry that was emptied is filled again"""
    node = Node(place, config=POOL)
    node.wait_pools(1)
    node.wait_registry()

    def named():
        return [key for key in node.redis("keys", "*") if "alice@" in key or ":pool:" in key]
    until(lambda: len(named()) == 3, "pool, actor and its spec")
    node.redis("flushall")
    assert seconds_until(lambda: len(named()) == 3, "all of them again") < WHOLE_S
    (up,) = until(lambda: node.events("registry.up"), "an event")
    assert up["reason"] == "it was empty, and is filled again", up


def specs(place):
    """what creates an actor again is in a key of its own, as long as the actor is there"""
    node = Node(place, config="[node]\nheartbeat_ms = 50\n" + POOL + "recover = actors\n")
    pool = node.wait_pools(1)[0]
    key = f"xo:{{default}}:spec:alice@{pool['id']}"
    until(lambda: node.redis("exists", key) == ["1"], "the spec")
    before = node.redis("strlen", key)
    node.redis("flushall")
    until(lambda: node.redis("strlen", key) == before, "the spec again")
    node.call("pool.stop", pool["address"])
    until(lambda: node.redis("keys", "*alice*") in ([], [""]), "it to go with the actor")


def private_server_dies(place):
    """a private redis-server that dies is started again, and filled again"""
    node = Node(place, config=POOL)
    node.wait_pools(1)
    node.wait_registry()
    server = next(pid for pid, line in place.processes().items() if "redis-server" in line)
    os.kill(server, 9)
    until(lambda: [key for key in node.redis("keys", "*") if "alice@" in key], "the actor")
    assert node.stop()[0] == 0
    place.assert_clean()


def private_server_cannot_start(place):
    """... and soon after it can be, however often it could not"""
    broken, program = place.write("broken", ""), place.write("redis", "")
    with open(program, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\n[ ! -e {broken} ] || exit 1\nexec redis-server "$@"\n')
    os.chmod(program, 0o700)
    os.rename(broken, f"{broken}-not-yet")
    node = Node(place, config=POOL, env={"XO_REDIS_SERVER": program})
    node.wait_registry()
    os.rename(f"{broken}-not-yet", broken)
    server = next(pid for pid, line in place.processes().items() if "redis-server" in line)
    os.kill(server, 9)
    until(lambda: node.log().count("exited with status 1") == 7, "it not to start many times")
    os.unlink(broken)
    began_s = time.monotonic()
    node.wait_registry()
    assert time.monotonic() - began_s < 2 * WHOLE_S, node.log()
    assert node.stop()[0] == 0
    place.assert_clean()


def wrong_password(place):
    """a wrong password is told, without the password"""
    server = Server(place, "--requirepass", "right").start()
    node = Node(place, "--registry", f"unix://:wrong@{server.socket}")
    until(lambda: "password" in node.call("status")["registry_state"], "the sentence")
    state = node.call("status")["registry_state"]
    assert server.socket in state and "wrong@" not in state, state
    assert "wrong@" not in node.log() and "wrong@" not in str(node.call("status"))
    node.stop()
    server.stop()


def hidden_password(place):
    """user and password of --registry are not in the list of processes, the rest is"""
    for option in ([f"--registry=unix://me:s3cr@t@{place.path}/no.sock"],
                   ["--registry", f"unix://me:s3cr@t@{place.path}/no.sock"]):
        node = Node(place, *option)
        with open(f"/proc/{node.process.pid}/cmdline", encoding="utf-8") as file:
            line = file.read()
        assert not any(word in line for word in ("me:", "s3cr", "@t")), line
        assert f"@{place.path}/no.sock" in line and "--ready-fd" in line, line
        until(lambda n=node: "no.sock" in n.call("status")["registry_state"], "the sentence")
        assert node.stop()[0] == 0


def bad_url(place):
    """a URL that cannot be is an error, without the password"""
    for url, words in (("gopher://user:secret@host/", "gopher"), ("redis://u:secret@h:99999", "h")):
        done = subprocess.run(["xo-broker", "--registry", url], env=place.env, check=False,
                              stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1, done
        assert words in done.stderr and "secret" not in done.stderr, done.stderr
    place.assert_clean()


def no_redis(place):
    """without redis-server the registry is memory, and that is said"""
    node = Node(place, config=POOL, env={"XO_REDIS_SERVER": "/nonexistent/redis-server"})
    node.wait_pools(1)
    assert node.call("status")["registry"] == "memory:"
    assert "in memory" in node.log()
    until(lambda: node.call("lookup", "alice"), "its actor")
    assert [event["type"] for event in node.call("events", "0", 10)][0] == "node.up"
    assert node.stop()[0] == 0
    place.assert_clean()


def password_file(place):
    """its password can be in a file, is nowhere else, and may change"""
    server = Server(place).start()
    redis(server.socket, "acl", "setuser", "xo", "on", ">first-secret", "~xo:*", "+@all")
    redis(server.socket, "acl", "setuser", "default", "off")
    path = place.write("redis password", "first-secret\n")
    os.chmod(path, 0o600)
    url = f"unix://xo@{server.socket}?password_file={path.replace(' ', '%20')}"
    node = Node(place, "--registry", url)
    node.wait_registry()
    place.write("redis password", "second-secret\n")
    login = ("--user", "xo", "--no-auth-warning", "--pass")
    redis(server.socket, *login, "first-secret", "acl", "setuser", "xo", "resetpass", ">second-secret")
    redis(server.socket, *login, "second-secret", "client", "kill", "type", "normal", "skipme", "yes")
    # By its log: until then it has no events to tell.
    until(lambda: node.log().count("registry: up at") == 2, "it to log in with the new one")
    status = node.call("status")
    assert status["registry"] == f"unix://xo@{server.socket}", status
    assert "-secret" not in node.log() and "-secret" not in str(status)
    with open(f"/proc/{node.process.pid}/cmdline", "rb") as file:
        assert b"-secret" not in file.read()
    node.stop()
    server.stop()


def loopback_is_warned_of(place):
    """that other machines cannot reach a pool at the loopback is said where they may be"""
    warning = "other machines that share the registry cannot reach it there"
    # 127.1 is no address to xo, so it could be another machine's; but nothing is asked of anybody.
    for url, count in (("redis://127.1:1", 1), ("redis://127.0.0.1:1", 0)):
        node = Node(place, "--registry", url, config=POOL)
        node.wait_pools(1)
        assert node.log().count(warning) == count, node.log()
        node.stop()


if shutil.which("redis-server") and shutil.which("redis-cli"):
    run(keys, long_types, odd_uids, leases_renewed, lease_of_one_that_stops,
        wrong_type, two_nodes,
        lists_of_less, comes_and_goes, emptied, specs, private_server_dies,
        private_server_cannot_start, wrong_password, hidden_password, password_file,
        loopback_is_warned_of, bad_url, no_redis)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
