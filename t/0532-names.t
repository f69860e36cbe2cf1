#!/usr/bin/env python3
"""Names, which one actor of the cluster has alone: two brokers on one Redis."""

import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, CALL, Machine, Node, Server, redis, run, until  # noqa: E402

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
CONFIG = f"""[node]
heartbeat_ms = 100
[pool c]
command = xo-pool
modules = {MODULE}
recover = actors
"""
CREATE, DESTROY = 10, 11
PAIRS = 20  # of creations at the same time


class Namer(Machine):
    """Its actors have names."""

    def __init__(self, place, url, name):
        super().__init__(place, url, name, CONFIG)

    def begin(self, kind, uid, method="", body=None, address=None):
        """Asks the node's own pool for something; finish() gives what came of it."""
        words = ["relay", address or self.own_pool()["address"], kind, uid, method, body]
        # pylint: disable=consider-using-with
        return subprocess.Popen([CALL, self.endpoint, words[0], *map(json.dumps, words[1:])],
                                env=self.place.env, stdout=subprocess.PIPE)

    def create(self, uid, *args):
        return finish(self.begin(CREATE, uid, "Counter", [list(args), {}]))

    def destroy(self, uid):
        assert finish(self.begin(DESTROY, uid)) is None

    def where(self, uid):
        return [record["address"] for record in self.call("lookup", uid)]

    def add(self, uid, expected):
        done = subprocess.run(["xo", "call", "--node", self.endpoint, uid, "add", "1"], text=True,
                              env=dict(self.place.env, **self.env), capture_output=True, check=False)
        assert done.stdout.strip() == str(expected), (done.stdout, done.stderr)


def finish(process):
    """None, or the error."""
    answer = process.communicate()[0]
    return json.loads(answer) if process.returncode else None


def two(place):
    server = Server(place).start()
    url = f"unix://{server.socket}"
    return server, Namer(place, url, "one"), Namer(place, url, "two")


def end(server, *nodes):
    for node in nodes:
        node.stop()
    server.stop()


def name_key(uid):
    return f"xo:{{default}}:name:{uid}"


def exactly_one_wins(place):
    """of two that create an actor with the same name at the same time, on two nodes, one does"""
    server, one, other = two(place)
    won = set()
    for i in range(PAIRS):
        uid = f"xo:job {i}"
        errors = [finish(p) for p in [n.begin(CREATE, uid, "Counter", [[], {}]) for n in (one, other)]]
        (error,) = [e for e in errors if e]
        winner = one if errors[0] is None else other
        won.add(winner)
        address = winner.own_pool()["address"]
        assert error["code"] == "ActorAlreadyExist" and error["executed"] == "no", error
        assert address in error["message"] and uid in error["message"], error
        for node in (one, other):
            until(lambda n=node, u=uid: n.where(u), "the registry to know it")
            assert node.where(uid) == [address], node.where(uid)
        one.add(uid, 1)
        other.add(uid, 2)
    record = redis(server.socket, "hgetall", name_key("xo:job%200"))
    record = dict(zip(record[::2], record[1::2]))
    assert record["uid"] == "xo:job%200" and record["lease_ms"] == "500", record
    assert record["owner"] == record["node"] and record["address"] in (
        one.own_pool()["address"], other.own_pool()["address"]), record
    end(server, one, other)


def plain_ones_share(place):
    """other uids are unique in their pool only"""
    server, one, other = two(place)
    assert one.create("job") is None and other.create("job") is None
    assert one.create("job")["code"] == "ActorAlreadyExist"
    until(lambda: len(one.where("job")) == 2, "both")
    assert redis(server.socket, "exists", name_key("job")) == ["0"]
    end(server, one, other)


def goes_with_its_actor(place):
    """a name is free again when its actor has ended, was never made, or its node has stopped"""
    server, one, other = two(place)
    assert one.create("xo:job") is None
    assert one.create("xo:job")["code"] == "ActorAlreadyExist"
    one.destroy("xo:job")
    until(lambda: redis(server.socket, "exists", name_key("xo:job")) == ["0"], "it to be given back")
    assert other.create("xo:job") is None
    other.destroy("xo:job")
    error = one.create("xo:bad", "no number")
    assert error["code"] == "Refused", error
    until(lambda: redis(server.socket, "exists", name_key("xo:bad")) == ["0"], "it to be given back")
    assert other.create("xo:bad") is None
    other.stop()
    assert one.create("xo:bad") is None
    end(server, one)


def outlives_its_process(place):
    """an actor that is created again has kept its name, as it does under the next broker"""
    server, one, other = two(place)
    assert one.create("xo:job") is None
    pool = one.own_pool()
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: one.own_pool()["generation"] == 2 and one.own_pool()["state"] == "ready",
          "its pool again")
    assert other.create("xo:job")["code"] == "ActorAlreadyExist"
    one.add("xo:job", 1)
    one.process.kill()
    one.process.wait()
    again = Namer(place, f"unix://{server.socket}", "one")
    assert again.id == one.id
    assert other.create("xo:job")["code"] == "ActorAlreadyExist"
    again.add("xo:job", 2)
    other.add("xo:job", 3)
    end(server, again, other)


def taken_over(place):
    """the next broker keeps a name for a pool that has not linked yet"""
    server, one, other = two(place)
    other.stop()
    assert one.create("xo:job") is None
    holder = one.own_pool()
    second = one.call("pool.start", {"argv": ["xo-pool", "--module", MODULE]})
    os.kill(holder["pid"], signal.SIGSTOP)
    one.process.kill()
    one.process.wait()
    again = Node(place, "--registry", f"unix://{server.socket}", config=CONFIG, env=one.env)
    until(lambda: [p for p in again.pools("ready") if p["id"] == second["id"]], "the other pool")
    words = ["relay", second["address"], CREATE, "xo:job", "Counter", [[], {}]]
    done = subprocess.run([CALL, again.endpoint, words[0], *map(json.dumps, words[1:])],
                          env=place.env, stdout=subprocess.PIPE, text=True, check=False)
    os.kill(holder["pid"], signal.SIGCONT)
    assert done.returncode and json.loads(done.stdout)["code"] == "ActorAlreadyExist", done.stdout
    until(lambda: len(again.pools("ready")) == 2, "the first pool")
    assert [a["address"] for a in again.call("lookup", "xo:job")] == [holder["address"]]
    end(server, again)


def without_registry(place):
    """while the registry is away nobody gets a name, and who asks hears why"""
    server, one, other = two(place)
    server.stop()
    until(lambda: one.call("status")["registry_state"] != "up", "the end of Redis")
    error = one.create("xo:job")
    assert error["code"] == "Unavailable" and "xo:job" in error["message"], error
    assert "shared.sock" in error["message"], error
    assert one.create("job") is None
    server.start()
    until(lambda: one.create("xo:job") is None, "Redis")
    end(server, one, other)


def given_back_while_away(place):
    """a name whose actor ended while Redis was away is free again when that is back"""
    server = Server(place, "--appendonly", "yes", "--appendfsync", "always").start()
    url = f"unix://{server.socket}"
    one, other = Namer(place, url, "one"), Namer(place, url, "two")
    assert one.create("xo:job") is None and one.create("xo:kept") is None
    server.stop()
    until(lambda: one.call("status")["registry_state"] != "up", "the end of Redis")
    one.destroy("xo:job")
    server.start()
    until(lambda: redis(server.socket, "exists", name_key("xo:job")) == ["0"], "it to be given back")
    until(lambda: other.create("xo:job") is None, "Redis")
    assert other.create("xo:kept")["code"] == "ActorAlreadyExist"
    end(server, one, other)


def taken_in_vain(place):
    """a name that Redis gave when nobody waited for it any more is free again"""
    server, one, other = two(place)
    address = one.own_pool()["address"]
    os.kill(server.process.pid, signal.SIGSTOP)
    error = finish(one.begin(CREATE, "xo:job", "Counter", [[], {}], address))
    os.kill(server.process.pid, signal.SIGCONT)
    assert error["code"] == "Unavailable" and "xo:job" in error["message"], error
    for node in (one, other):
        node.wait_registry()
        until(lambda n=node: redis(server.socket, "exists", f"xo:{{default}}:node:{n.id}") == ["1"],
              "the lease that its names last by")
    until(lambda: other.create("xo:job") is None, "it to be given back")
    end(server, one, other)


def costs_nothing(place):
    """a name is written once, and not with each heartbeat of its node"""
    server, one, other = two(place)
    assert one.create("xo:job") is None
    redis(server.socket, "hset", name_key("xo:job"), "mark", "1")
    beats = [f"xo:{{default}}:node:{one.id}", "mark"]
    for _ in range(2):
        redis(server.socket, "hset", *beats, "1")
        until(lambda: redis(server.socket, "hexists", *beats) == ["0"], "a heartbeat")
    assert redis(server.socket, "hget", name_key("xo:job"), "mark") == ["1"]
    assert other.create("xo:job")["code"] == "ActorAlreadyExist"
    end(server, one, other)


def cut_off(place):
    """a node that comes back from where it could not reach Redis ends what has moved"""
    server = Server(place).start()
    for user in ("one", "two"):
        redis(server.socket, "acl", "setuser", user, "on", ">secret", "~*", "&*", "+@all")
    urls = [f"unix://{user}:secret@{server.socket}" for user in ("one", "two")]
    one, other = Namer(place, urls[0], "one"), Namer(place, urls[1], "two")
    assert one.create("xo:job") is None and one.create("xo:mine") is None
    redis(server.socket, "acl", "setuser", "one", "off")
    redis(server.socket, "client", "kill", "user", "one")
    until(lambda: redis(server.socket, "exists", f"xo:{{default}}:node:{one.id}") == ["0"],
          "its lease to lapse")
    assert other.create("xo:job") is None
    one.add("xo:job", 1)
    redis(server.socket, "acl", "setuser", "one", "on")
    until(lambda: other.events("name.lost"), "it to be noticed")
    (event,) = other.events("name.lost")
    assert event["uid"] == "xo:job" and event["node"] == one.id, event
    until(lambda: one.where("xo:job") == [other.own_pool()["address"]], "it to end")
    one.add("xo:job", 1)
    one.add("xo:mine", 1)
    until(lambda: redis(server.socket, "hget", name_key("xo:mine"), "node") == [one.id],
          "the other name again")
    end(server, one, other)


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(exactly_one_wins, plain_ones_share, goes_with_its_actor, outlives_its_process, taken_over,
        without_registry, given_back_while_away, taken_in_vain, costs_nothing, cut_off)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
