#!/usr/bin/env python3
"""A broker that is started again while its Redis is away: what that has to say when it is back."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import DEADLINE_S, Node, Server, redis, run, until  # noqa: E402
from movers import ANY, SLOW, Mover, record  # noqa: E402


def admit(server):
    redis(server.socket, "acl", "setuser", "one", "on", ">secret", "~*", "&*", "+@all")
    return f"unix://one:secret@{server.socket}"


def start_without(place, server, node, socket_path=None):
    """The node's next broker, which cannot reach the registry."""
    redis(server.socket, "acl", "setuser", "one", "off")
    redis(server.socket, "client", "kill", "user", "one")
    node.process.kill()
    node.process.wait()
    url = f"unix://one:secret@{socket_path or server.socket}"
    return Node(place, "--registry", url, config=SLOW, env=node.env)


def runs_since(server, actor, incarnation):
    """It runs in a later one."""
    found = record(server, "actor", actor)
    return found["state"] == "running" and int(found["incarnation"]) > int(incarnation)


def with_actor(place, server, uid, options):
    """A node with an actor, whose pool has not what creates it, and that one's id."""
    one = Mover(place, admit(server), "one", SLOW)
    actor = f"{uid}@{one.own_pool()['id']}"
    assert one.create(uid, options=options) is None
    until(lambda: redis(server.socket, "exists", f"xo:{{default}}:spec:{actor}") == ["1"],
          "what creates it")
    first = record(server, "actor", actor)["incarnation"]
    kill_pool(one, 1)
    until(lambda: runs_since(server, actor, first), "the registry to know it")
    return one, actor


def kill_pool(node, generation):
    """It comes back, with its actor."""
    (pool,) = node.pools()
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: [p["generation"] for p in node.pools("ready")] == [generation + 1], "its pool")


def started_while_it_is_away(place):
    """what Redis says of actors stays if a node's broker is started again while it is away"""
    server = Server(place).start()
    one, actor = with_actor(place, server, "xo:job", ANY)
    for kind, name in (("actor", actor), ("name", "xo:job")):  # as of one that has moved
        redis(server.socket, "hset", f"xo:{{default}}:{kind}:{name}", "epoch", "7")
    before = record(server, "actor", actor), record(server, "name", "xo:job")
    one = start_without(place, server, one)
    until(lambda: one.call("status")["actors"] == 1, "its pool to say what it has")
    admit(server)
    until(lambda: "1 can be created again" in one.log(), "what creates it")
    one.wait_registry()
    after = record(server, "actor", actor), record(server, "name", "xo:job")
    assert after == before, (before, after)
    one.stop()
    left = {key.partition("}:")[2] for key in redis(server.socket, "keys", "*")}
    assert left <= {"schema", "epoch", "lineage", "events", "fence", "reaper"}, left
    server.stop()


def linked_after_it_was_away(place):
    """nor is what creates them lost if their pool links only when it is back"""
    server = Server(place).start()
    one, actor = with_actor(place, server, "stays", {})
    (pool,) = one.pools()
    os.kill(pool["pid"], signal.SIGSTOP)
    one = start_without(place, server, one)
    admit(server)
    until(lambda: "1 can be created again" in one.log(), "what creates it")
    os.kill(pool["pid"], signal.SIGCONT)
    one.wait_pools(1)
    assert redis(server.socket, "exists", f"xo:{{default}}:spec:{actor}") == ["1"]
    kill_pool(one, 2)
    assert one.call("status")["actors"] == 1 and not one.events("actor.nospec")
    one.stop()
    server.stop()


class Valve:
    """In front of a Redis: holds back what is sent to it from the first such word on."""

    def __init__(self, place, server, word):
        self.server, self.word = server, word
        self.path = os.path.join(place.path, "valve.sock")
        self.held, self.opened = threading.Event(), threading.Event()
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(self.path)
        self.door.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.door.accept()
            redis_end = socket.socket(socket.AF_UNIX)
            redis_end.connect(self.server.socket)
            for ends in ((client, redis_end, self.word), (redis_end, client, None)):
                threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def pump(self, source, target, word):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if word is not None and word in data:
                    self.held.set()
                    self.opened.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def asking(place, uid, options):
    """A node that asks what creates its actor, since that was away, and is not told yet."""
    server = Server(place).start()
    one, actor = with_actor(place, server, uid, options)
    (pool,) = one.pools()
    valve = Valve(place, server, b":spec:")
    one = start_without(place, server, one, valve.path)
    until(lambda: one.call("status")["actors"] == 1, "its pool to say what it has")
    admit(server)
    assert valve.held.wait(DEADLINE_S)
    return server, valve, one, actor, pool


def dies_while_it_is_asked(place):
    """nor if their pool dies while it is asked what creates them"""
    server, valve, one, actor, pool = asking(place, "stays", {})
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: "recovering, process" in one.log(), "its next process")
    valve.opened.set()
    one.wait_pools(1)
    assert [a["state"] for a in one.call("actors")] == ["running"]
    assert redis(server.socket, "exists", f"xo:{{default}}:spec:{actor}") == ["1"]
    one.stop()
    server.stop()


def drained_while_it_is_asked(place):
    """and a node that is drained meanwhile leaves to others what may move"""
    server, valve, one, actor, _ = asking(place, "xo:job", ANY)
    # pylint: disable=consider-using-with
    drain = subprocess.Popen(["xo", "drain", "--node", one.endpoint], env=place.env)
    until(lambda: one.call("status")["state"] == "draining", "it to be drained")
    assert one.call("status")["actors"] == 1
    valve.opened.set()
    assert drain.wait(DEADLINE_S) == 0
    assert record(server, "actor", actor)["node"] == "0" * 16
    assert redis(server.socket, "exists", f"xo:{{default}}:spec:{actor}") == ["1"]
    one.stop()
    server.stop()


if shutil.which("redis-server") and shutil.which("redis-cli"):
    run(started_while_it_is_away, linked_after_it_was_away, dies_while_it_is_asked,
        drained_while_it_is_asked)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
