#!/usr/bin/env python3
"""Keys that are revoked on one machine, on the others: two brokers, each with keys of its own, on one
Redis."""

import copy
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, Node, Server, redis, run, seconds_until, until  # noqa: E402
from movers import Mover, finds  # noqa: E402

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
POOL = f"[pool c]\ncommand = xo-pool\nmodules = {MODULE}\n"
LATEST_S = 1  # within which a key that was revoked is out everywhere


class Machine:
    """A configuration directory, and `xo keys` there."""

    def __init__(self, place, name):
        self.place = place
        self.name = name
        self.env = {"XO_CONFIG_DIR": os.path.join(place.path, name)}

    def xo(self, *words, give=None, **env):
        return subprocess.run(["xo", *words], input=give, text=True, capture_output=True, check=False,
                              env=dict(self.place.env, **self.env, **env))

    def keys(self, *words, give=None):
        done = self.xo("keys", *words, give=give)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def join(self, first):
        self.keys("import", give=first.keys("export", self.name))
        return self

    def state(self, name):
        """Of the key of this name, as this machine's list has it."""
        lines = [line.split() for line in self.keys("list").splitlines()]
        return next((words[2] for words in lines if words[0] == name), None)

    def digits(self, name):
        (line,) = [line for line in self.keys("list", "--json").splitlines()
                   if f'"name":"{name}"' in line]
        return line.split('"fingerprint":"')[1][:64]

    def node(self, server, **more):
        node = Node(self.place, "--registry", f"unix://{server.socket}", env=self.env, **more)
        node.wait_registry()
        return node


def machines(place, *names):
    """The first makes the cluster, and all know all."""
    first = Machine(place, names[0])
    first.keys("generate", names[0])
    others = [Machine(place, name).join(first) for name in names[1:]]
    for other in others:
        other.join(first)
    return first, *others


def key_of(digits):
    return f"xo:{{default}}:key:{digits}"


def reaches_the_others(place):
    """a key that is revoked is out on the other machine within a second"""
    server = Server(place).start()
    here, there, lost = machines(place, "here", "there", "lost")
    one, two = here.node(server), there.node(server, config=POOL)
    (pool,) = two.wait_pools(1)

    def dial():
        # By tcp, with a run directory of its own, as from afar.
        return lost.xo("nodes", "--node", pool["address"], "--timeout", "10", XO_LANES="tcp",
                       XO_RUN_DIR=os.path.join(place.path, "lost-run"))
    assert dial().returncode == 0, dial().stderr
    digits = here.digits("lost")
    here.keys("revoke", "lost")
    seconds = seconds_until(lambda: there.state("lost") == "revoked", "the other machine's list")
    assert seconds < LATEST_S, seconds
    until(lambda: f" lost ({digits[:16]}) was revoked on another machine" in two.log(), two.log)
    until(lambda: dial().returncode != 0, "it to be refused there")
    record = redis(server.socket, "hgetall", key_of(digits))
    record = dict(zip(record[::2], record[1::2]))
    assert record["name"] == "lost" and int(record["revoked"]) > 0, record
    assert len(record["mac"]) == 64, record
    (event,) = one.events("key.revoked")
    assert event["key"] == digits and event["name"] == "lost", event
    assert len(two.events("key.revoked")) == 1
    one.stop()
    two.stop()
    server.stop()


def later(place):
    """who comes later learns of it, and tells it on where Redis has lost it"""
    server = Server(place).start()
    here, there, lost = machines(place, "here", "there", "lost")
    one = here.node(server)
    here.keys("revoke", "lost")
    digits = here.digits("lost")
    until(lambda: redis(server.socket, "exists", key_of(digits)) == ["1"], "the key")
    assert there.state("lost") == "allowed"
    two = there.node(server)
    until(lambda: there.state("lost") == "revoked", "the list of who came later")
    one.stop()
    redis(server.socket, "del", key_of(digits))
    until(lambda: redis(server.socket, "exists", key_of(digits)) == ["1"], "the key again")
    redis(server.socket, "flushall")
    until(lambda: redis(server.socket, "exists", key_of(digits)) == ["1"], "the key once more")
    assert lost.state("here") == "allowed"
    two.stop()
    server.stop()


def forged(place):
    """who writes to Redis revokes nobody, and an event says that it was tried"""
    server = Server(place).start()
    here, there, lost = machines(place, "here", "there", "lost")
    one, two = here.node(server), there.node(server)
    digits = here.digits("there")
    here.keys("revoke", "lost")
    until(lambda: there.state("lost") == "revoked", "a revocation")
    mac = redis(server.socket, "hget", key_of(here.digits("lost")), "mac")[0]
    forgeries = [
        (digits, ("name", "there", "revoked", "1", "mac", mac)),
        (digits[:-1] + ("0" if digits[-1] != "0" else "1"), ("name", "x", "revoked", "1")),
        ("no-key", ("name", "x" * 100, "revoked", "-1", "mac", "0" * 64)),
        (here.digits("lost"), ("name", "lost", "revoked", "0", "mac", mac)),
    ]
    for id_, fields in forgeries:
        redis(server.socket, "del", key_of(id_))
        redis(server.socket, "hset", key_of(id_), *fields)
        redis(server.socket, "sadd", "xo:{default}:keys", id_)
    for node in (one, two):
        until(lambda n=node: len([e for e in n.events("key.refused")
                                  if e["node"] == n.call("status")["id"]]) == len(forgeries),
              "the events")
    (event, *_) = [e for e in one.events("key.refused") if e["key"] == digits]
    assert "wrong MAC" in event["reason"], event
    assert "wrong MAC" in one.log(), one.log()
    assert here.state("there") == there.state("here") == "allowed"
    assert here.state("lost") == there.state("lost") == "revoked"
    one.stop()
    two.stop()
    server.stop()


def unread(place):
    """one that could not be read at first is out within a second of when it can"""
    server = Server(place).start()
    here, there, _ = machines(place, "here", "there", "lost")
    one, two = here.node(server), there.node(server)
    digits = here.digits("lost")
    two.process.send_signal(signal.SIGSTOP)
    here.keys("revoke", "lost")
    until(lambda: redis(server.socket, "exists", key_of(digits)) == ["1"], "the key")
    one.process.send_signal(signal.SIGSTOP)
    for command in (("rename", "xo:{default}:keys", "kept"), ("set", "xo:{default}:keys", "no set")):
        assert redis(server.socket, *command) == ["OK"]
    redis(server.socket, "config", "resetstat")
    two.process.send_signal(signal.SIGCONT)
    until(lambda: "WRONGTYPE" in str(redis(server.socket, "info", "errorstats")), "it to be read")
    assert redis(server.socket, "rename", "kept", "xo:{default}:keys") == ["OK"]
    seconds = seconds_until(lambda: there.state("lost") == "revoked", "the other machine's list")
    assert seconds < LATEST_S, seconds
    one.process.send_signal(signal.SIGCONT)
    one.stop()
    two.stop()
    server.stop()


def own(place):
    """a machine whose own key was revoked says so"""
    server = Server(place).start()
    here, there = machines(place, "here", "there")
    one, two = here.node(server), there.node(server)
    here.keys("revoke", "there")
    until(lambda: there.state("there") == "revoked", "its own list")
    until(lambda: f"own key, there ({here.digits('there')[:16]}), was revoked" in two.log(), two.log)
    one.stop()
    two.stop()
    server.stop()


def takes_nothing(place):
    """a node whose machine's key was revoked says so, and takes no actors that move"""
    server = Server(place).start()
    here, there = machines(place, "here", "there")

    def start(machine, name):
        own = copy.copy(place)
        own.env = dict(place.env, **machine.env)
        return Mover(own, f"unix://{server.socket}", name)
    one, two = start(here, "one"), start(there, "two")
    assert one.create("xo:job") is None
    here.keys("revoke", "there")
    until(lambda: "takes no actors that move" in two.log(), "it to know")
    two.stop()
    two = start(there, "two")
    assert "takes no actors that move" in two.log(), two.log()
    one.call("node.drain")
    # It begins to look for actors when the other has done so for long.
    three = start(here, "three")
    until(lambda: finds(three, "xo:job"), "the actor to be somewhere")
    assert finds(three, "xo:job") == [three.own_pool()["address"]], three.call("lookup", "xo:job")
    for node in (one, two, three):
        node.stop()
    server.stop()


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(reaches_the_others, later, forged, unread, own, takes_nothing)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
