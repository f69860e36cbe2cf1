"""Nodes whose actors may move to others."""

import contextlib
import json
import os
import signal
import subprocess

from brokers import BUILD, CALL, Machine, Refused, Server, redis, until

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
# Leases last 2 s: a busy machine may hold up a node that lives for a second.
CONFIG = f"""[node]
heartbeat_ms = 400
[pool c]
command = xo-pool
modules = {MODULE}
recover = actors
"""
SLOW = CONFIG.replace("400", "2000")
CALL_KIND, CREATE = 3, 10
GOOD, BAD = r"'\147\145\005'", r"'\147\145\192'"  # creation's arguments: 5, nil
ANY = {"restart": "permanent", "placement": "any"}


class Mover(Machine):
    """Its actors may move."""

    def __init__(self, place, url, name, config=CONFIG):
        super().__init__(place, url, name, config)

    def create(self, uid, *args, options=None):
        """None, or the error."""
        body = [list(args), {}, ANY if options is None else options]
        return self.ask(uid, "Counter", body, CREATE)

    def ask(self, uid, method, body, kind=CALL_KIND):
        """Of the actor in the node's own pool: what it answers, or the error."""
        words = ["relay", self.own_pool()["address"], kind, uid, method, body]
        done = subprocess.run([CALL, self.endpoint, words[0], *map(json.dumps, words[1:])],
                              env=self.place.env, stdout=subprocess.PIPE, check=False)
        return json.loads(done.stdout) if kind != CREATE or done.returncode else None

    def where(self, uid):
        try:
            found = self.call("lookup", uid)
        except Refused as refused:
            if refused.code != "ActorNotExist":
                raise
            found = []
        return [record["address"] for record in found if record["state"] == "running"]

    def begin_add(self, uid):
        # pylint: disable=consider-using-with
        return subprocess.Popen(["xo", "call", "--node", self.endpoint, uid, "add", "1"], text=True,
                                env=dict(self.place.env, **self.env), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def add(self, uid):
        """What it counts then; or the error."""
        return added(self.begin_add(uid))

    def pids(self):
        return [self.process.pid] + [p["pid"] for p in self.pools() if p["node"] == self.id]

    def kill(self):
        """All of its processes at once, as when its machine loses power."""
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def nodes(place, *configs):
    """A Redis, and nodes that share it, one with each of these settings."""
    server = Server(place).start()
    url = f"unix://{server.socket}"
    made = [Mover(place, url, f"node{i}", config) for i, config in enumerate(configs)]
    yield server, *made
    for node in made:
        if node.process.poll() is None:
            node.stop()
    server.stop()


def added(process):
    """What came of begin_add."""
    output, error = process.communicate()
    return int(output) if process.returncode == 0 else error


def edit_spec(server, uid, pool, old, new):
    """In what creates it again."""
    key = f"xo:{{default}}:spec:{uid}@{pool['id']}"
    until(lambda: redis(server.socket, "exists", key) == ["1"], "its spec")
    redis(server.socket, "eval", f"return redis.call('SET', KEYS[1], "
          f"(redis.call('GET', KEYS[1]):gsub({old}, {new})))", "1", key)


def record(server, kind, id_):
    fields = redis(server.socket, "hgetall", f"xo:{{default}}:{kind}:{id_}")
    return dict(zip(fields[::2], fields[1::2]))


def finds(node, uid, otherwise=()):
    """What the registry says; `otherwise`: while it says nothing."""
    try:
        return node.where(uid)
    except Refused as refused:
        assert refused.code == "Unavailable", refused
        return otherwise


def moves(node, uid, old):
    """Waits until it runs elsewhere than at the address `old`."""
    until(lambda: [a for a in finds(node, uid) if a != old], f"{uid} to move")
