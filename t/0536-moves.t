#!/usr/bin/env python3
"""Actors with the placement "any" go on when their node dies: brokers on one Redis."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, CALL, Node, Server, redis, run, until  # noqa: E402

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
CONFIG = f"""[node]
heartbeat_ms = 100
[pool c]
command = xo-pool
modules = {MODULE}
recover = actors
"""
EMPTY = CONFIG.replace(f"modules = {MODULE}\n", "")
CREATE = 10
ANY = {"restart": "permanent", "placement": "any"}


class Machine(Node):
    """A node that shares nothing with the others but Redis."""

    def __init__(self, place, url, name, config=CONFIG):
        self.env = {"XO_RUN_DIR": os.path.join(place.path, name)}
        os.makedirs(self.env["XO_RUN_DIR"], 0o700, exist_ok=True)
        super().__init__(place, "--registry", url, config=config, env=self.env)
        self.wait_registry()
        self.id = self.call("status")["id"]
        until(lambda: self.own_pool()["state"] == "ready", "its pool")

    def own_pool(self):
        return next((p for p in self.pools() if p["node"] == self.id), {"state": ""})

    def create(self, uid, *args, options=None):
        """None, or the error."""
        body = [list(args), {}, ANY if options is None else options]
        words = ["relay", self.own_pool()["address"], CREATE, uid, "Counter", body]
        done = subprocess.run([CALL, self.endpoint, words[0], *map(json.dumps, words[1:])],
                              env=self.place.env, stdout=subprocess.PIPE, check=False)
        return json.loads(done.stdout) if done.returncode else None

    def where(self, uid):
        return [record["address"] for record in self.call("lookup", uid)
                if record["state"] == "running"]

    def add(self, uid):
        """What it counts then; or the error."""
        done = subprocess.run(["xo", "call", "--node", self.endpoint, uid, "add", "1"], text=True,
                              env=dict(self.place.env, **self.env), capture_output=True, check=False)
        return int(done.stdout) if done.returncode == 0 else done.stderr

    def pids(self):
        return [self.process.pid] + [p["pid"] for p in self.pools() if p["node"] == self.id]

    def kill(self):
        """All of its processes at once, as when its machine loses power."""
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def nodes(place, *configs):
    server = Server(place).start()
    url = f"unix://{server.socket}"
    names = ["one", "two", "three"]
    made = [Machine(place, url, name, config) for name, config in zip(names, configs)]
    yield server, *made
    for node in made:
        if node.process.poll() is None:
            node.stop()
    server.stop()


def record(server, kind, id_):
    fields = redis(server.socket, "hgetall", f"xo:{{default}}:{kind}:{id_}")
    return dict(zip(fields[::2], fields[1::2]))


def moves(node, uid, old):
    """Waits until it runs elsewhere than at the address `old`."""
    until(lambda: [a for a in node.where(uid) if a != old], f"{uid} to move")


def node_dies(place):
    """the actors of a node that dies go on on one of the others, each on exactly one"""
    with nodes(place, CONFIG, CONFIG, CONFIG) as (server, one, two, three):
        uids = [f"xo:job{i}" for i in range(20)]
        for uid in uids:
            assert one.create(uid, 5) is None
        assert one.create("xo:stays", options={}) is None
        assert one.add("xo:job0") == 6
        before = {uid: one.call("lookup", uid)[0] for uid in uids}
        until(lambda: redis(server.socket, "scard", f"xo:{{default}}:movable:{one.id}") == ["20"],
              "the registry to know all")
        old = one.own_pool()["address"]
        one.kill()
        for uid in uids:
            moves(two, uid, old)
        homes = {two.own_pool()["address"], three.own_pool()["address"]}
        for uid in uids:
            (found,) = two.call("lookup", uid)
            assert found["address"] in homes and found["state"] == "running", found
            assert found["incarnation"] > before[uid]["incarnation"], (found, before[uid])
            assert found["epoch"] > 0 and found["placement"] == "any", found
            name = record(server, "name", uid)
            assert name["address"] == found["address"] and int(name["epoch"]) == found["epoch"], name
            assert two.add(uid) == 6 and three.add(uid) == 7  # one and the same
        epochs = [two.call("lookup", uid)[0]["epoch"] for uid in uids]
        assert len(set(epochs)) == len(uids), epochs
        moved = [event["uid"] for event in two.events("actor.moved")]
        assert sorted(moved) == sorted(uids), moved
        assert one.id in two.events("actor.moved")[0]["reason"]
        assert redis(server.socket, "exists", f"xo:{{default}}:movable:{one.id}") == ["0"]
        assert not two.where("xo:stays")


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(node_dies)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
