#!/usr/bin/env python3
"""Actors with the placement "any" go on when their node dies: brokers on one Redis."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import CALL, Node, Server, redis, run, until  # noqa: E402
from movers import (ANY, BAD, CALL_KIND, CONFIG, GOOD, MODULE, SLOW, Mover, edit_spec,  # noqa: E402
                    moves, record)

OTHER = CONFIG.replace("counter.so", "keeper.so")
PAIR = CONFIG + "count = 2\nbackoff_ms = 60000\nbackoff_max_ms = 60000\n"
LATER = dict(ANY, backoff_ms=60000, backoff_max_ms=60000)
DESTROY = 11  # a kind


@contextlib.contextmanager
def nodes(place, *configs):
    server = Server(place).start()
    url = f"unix://{server.socket}"
    names = ["one", "two", "three"]
    made = [Mover(place, url, name, config) for name, config in zip(names, configs)]
    yield server, *made
    for node in made:
        if node.process.poll() is None:
            node.stop()
    server.stop()


class Forgetful:
    """Between a node and Redis: it loses the answer to a claim, with the connection, when told."""

    def __init__(self, place, server):
        self.server = server
        self.path = os.path.join(place.path, "between.sock")
        self.loses = threading.Event()
        self.lost = threading.Event()
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(self.path)
        self.door.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            here, there = self.door.accept()[0], socket.socket(socket.AF_UNIX)
            there.connect(self.server.socket)
            threading.Thread(target=self.relay, args=(here, there), daemon=True).start()

    def relay(self, here, there):
        with here, there:
            while True:
                for side in select.select([here, there], [], [])[0]:
                    data = side.recv(1 << 20)
                    if not data:
                        return
                    (there if side is here else here).sendall(data)
                    if self.loses.is_set() and b":fence" in data and b":spec:" in data:
                        there.recv(1 << 20)
                        self.loses.clear()
                        self.lost.set()
                        return


def relayed(place, node, address):
    """A call of xo:job there, which that node makes."""
    words = ["relay", address, CALL_KIND, "xo:job", "add", [[1], {}]]
    # pylint: disable=consider-using-with
    return subprocess.Popen([CALL, node.endpoint, words[0], *map(json.dumps, words[1:])],
                            env=place.env, stdout=subprocess.PIPE)


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


def stopped(place):
    """a node that stood still comes back after its actors have moved: its own say nothing, and end"""
    with nodes(place, CONFIG, CONFIG) as (server, one, two):
        assert one.create("xo:job") is None and one.add("xo:job") == 1
        old = one.own_pool()["address"]
        pids = one.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        moves(two, "xo:job", old)
        assert two.add("xo:job") == 1
        # What came while it stood still, and what comes before its broker knows.
        waits = relayed(place, two, old)
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        error = json.loads(waits.communicate()[0])
        assert error["code"] in ("ServerClosed", "ActorNotExist") and error["executed"] == "no", error
        until(lambda: two.events("name.lost"), "the old one to be found out")
        (event,) = two.events("name.lost")
        assert event["uid"] == "xo:job" and event["node"] == one.id, event
        until(lambda: one.where("xo:job") == [two.own_pool()["address"]], "it to end")
        until(lambda: record(server, "node", one.id).get("actors") == "0", "it to be gone")
        assert one.add("xo:job") == 2 and two.add("xo:job") == 3


def dies_before_it_ends(place):
    """one whose pool dies before it has heard that another node has got its name is gone with it"""
    with nodes(place, CONFIG, CONFIG) as (_, one, two):
        assert one.create("xo:job") is None
        pool = one.own_pool()
        pids = one.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        moves(two, "xo:job", pool["address"])
        os.kill(one.process.pid, signal.SIGCONT)
        until(lambda: two.events("name.lost"), "the old one to be found out")
        os.kill(pool["pid"], signal.SIGKILL)
        until(lambda: one.own_pool().get("generation") == 2 and one.own_pool()["state"] == "ready",
              "its pool")
        (found,) = one.call("lookup", "xo:job")
        assert found["address"] == two.own_pool()["address"], found
        assert one.add("xo:job") == 1 and two.add("xo:job") == 2


def moves_while_its_pool_is_away(place):
    """one whose name another node gets while its own pool is away does not come back with that"""
    with nodes(place, PAIR, CONFIG) as (_, one, two):
        until(lambda: len(one.pools("ready")) == 3, "all pools")
        assert one.create("xo:job") is None
        old, other = [pool for pool in one.pools() if pool["node"] == one.id]
        for generation in (1, 2):  # the first time it is started again at once
            until(lambda: one.where("xo:job") and one.own_pool()["generation"] == generation,
                  "it to be there")
            os.kill(one.own_pool()["pid"], signal.SIGKILL)
        until(lambda: one.call("lookup", "xo:job")[0]["state"] == "recovering", "its end")
        for pid in (one.process.pid, other["pid"]):
            os.kill(pid, signal.SIGSTOP)
        moves(two, "xo:job", old["address"])
        for pid in (one.process.pid, other["pid"]):
            os.kill(pid, signal.SIGCONT)
        until(lambda: two.events("name.lost"), "the old one to be found out")
        (found,) = one.call("lookup", "xo:job")
        assert found["address"] == two.own_pool()["address"], found
        assert one.add("xo:job") == 1
        two.kill()
        until(lambda: one.where("xo:job") == [other["address"]], "it to come back")
        (found,) = one.call("lookup", "xo:job")  # in one place
        assert one.add("xo:job") == 1


def leaves_nothing(place):
    """a node that stops in order leaves nothing in the registry, also where it is the last one"""
    with nodes(place, CONFIG) as (server, one):
        assert one.create("xo:job") is None
        until(lambda: redis(server.socket, "exists", f"xo:{{default}}:movable:{one.id}") == ["1"],
              "the registry to know it")
        one.stop()
        left = {key.partition("}:")[2] for key in redis(server.socket, "keys", "*")}
        assert left <= {"schema", "epoch", "lineage", "events", "reaper"}, left


def moves_while_it_is_tried_again(place):
    """who waits where one is to be tried again hears of it when another node gets its name"""
    with nodes(place, CONFIG, CONFIG) as (server, one, two):
        assert one.create("xo:job", 5, options=LATER) is None
        edit_spec(server, "xo:job", one.own_pool(), GOOD, BAD)
        one.kill()
        failed = "could not be created again"
        until(lambda: two.log().count(failed) == 2, "it to wait for its third try")
        old = two.own_pool()
        edit_spec(server, "xo:job", old, BAD, GOOD)
        waits = relayed(place, two, old["address"])
        three = Mover(place, f"unix://{server.socket}", "three")
        pids = two.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        moves(three, "xo:job", old["address"])
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        error = json.loads(waits.communicate()[0])
        assert error["code"] == "ActorNotExist" and error["executed"] == "no", error
        assert two.add("xo:job") == 6
        three.stop()


def cut_off(place):
    """a node that cannot reach the registry lets none of them work once its lease is over"""
    server = Server(place).start()
    for user in ("one", "two"):
        redis(server.socket, "acl", "setuser", user, "on", ">secret", "~*", "&*", "+@all")
    one, two = [Mover(place, f"unix://{user}:secret@{server.socket}", user)
                for user in ("one", "two")]
    assert one.create("xo:job") is None and one.create("xo:stays", options={}) is None
    redis(server.socket, "acl", "setuser", "one", "off")
    redis(server.socket, "client", "kill", "user", "one")
    until(lambda: "lease has lapsed" in str(one.ask("xo:job", "add", [[1], {}])),
          "its lease to be over")
    error = one.ask("xo:job", "add", [[1], {}])
    assert error["code"] == "ServerClosed" and error["executed"] == "no", error
    assert one.ask("xo:stays", "add", [[1], {}]) == 1
    until(lambda: one.call("status")["state"] == "isolated", "it to say so")
    assert "lease has lapsed" in one.log()
    error = one.create("xo:other")
    assert error["code"] == "Unavailable", error
    moves(two, "xo:job", one.own_pool()["address"])
    assert two.add("xo:job") == 1
    redis(server.socket, "acl", "setuser", "one", "on")
    until(lambda: two.events("name.lost"), "it to be noticed")
    until(lambda: one.call("status")["state"] == "ready", "it to be well again")
    until(lambda: one.where("xo:job") == [two.own_pool()["address"]], "the old one to end")
    assert one.create("xo:other") is None and one.add("xo:other") == 1
    for node in (one, two):
        node.stop()
    server.stop()


def dies_cut_off(place):
    """one whose pool dies while its node's lease is over comes back with that"""
    server = Server(place).start()
    redis(server.socket, "acl", "setuser", "one", "on", ">secret", "~*", "&*", "+@all")
    one = Mover(place, f"unix://one:secret@{server.socket}", "one")
    assert one.create("xo:job") is None and one.add("xo:job") == 1
    until(lambda: record(server, "name", "xo:job"), "the registry to know it")
    redis(server.socket, "acl", "setuser", "one", "off")
    redis(server.socket, "client", "kill", "user", "one")
    until(lambda: one.call("status")["state"] == "isolated", "its lease to be over")
    os.kill(one.own_pool()["pid"], signal.SIGKILL)
    until(lambda: one.own_pool().get("generation") == 2 and one.own_pool()["state"] == "ready",
          "its pool")
    redis(server.socket, "acl", "setuser", "one", "on")
    until(lambda: one.add("xo:job") == 1, "it to be there again")
    one.stop()
    server.stop()


def registry_comes_back(place):
    """when the registry comes back, and leases have lapsed meanwhile, those who live keep theirs"""
    server = Server(place).start()
    for user in ("one", "two"):
        redis(server.socket, "acl", "setuser", user, "on", ">secret", "~*", "&*", "+@all")
    one, two = [Mover(place, f"unix://{user}:secret@{server.socket}", user, SLOW)
                for user in ("one", "two")]
    assert one.create("xo:job") is None
    until(lambda: record(server, "name", "xo:job"), "the registry to know it")
    redis(server.socket, "acl", "setuser", "one", "off")
    for user in ("one", "two"):
        redis(server.socket, "client", "kill", "user", user)
    until(lambda: "user=two" in " ".join(redis(server.socket, "client", "list")),
          "the other one to be back first")
    lapses = [f"xo:{{default}}:{key}" for key in (f"node:{one.id}", "name:xo:job")]
    assert redis(server.socket, "del", *lapses) == ["2"]
    beat = f"xo:{{default}}:node:{two.id}"
    until(lambda: int(redis(server.socket, "pttl", beat)[0]) < 9000, "its heartbeat")
    until(lambda: int(redis(server.socket, "pttl", beat)[0]) > 9000, "its next one")
    redis(server.socket, "acl", "setuser", "one", "on")
    until(lambda: record(server, "name", "xo:job"), "the name to be somebody's")
    assert record(server, "name", "xo:job")["node"] == one.id
    assert one.add("xo:job") == 1 and two.add("xo:job") == 2
    assert not two.events("actor.moved") and not two.events("name.lost")
    for node in (one, two):
        node.stop()
    server.stop()


def claim_is_lost(place):
    """one that the registry has given to a node that did not hear of it goes on all the same"""
    server = Server(place).start()
    between = Forgetful(place, server)
    one = Mover(place, f"unix://{server.socket}", "one")
    two = Mover(place, f"unix://{between.path}", "two")
    assert one.create("xo:job", 5) is None
    until(lambda: two.where("xo:job"), "the registry to know it")
    between.loses.set()
    old = one.own_pool()["address"]
    one.kill()
    assert between.lost.wait(20)
    moves(two, "xo:job", old)
    assert two.add("xo:job") == 6
    two.stop()
    server.stop()


def claim_is_inherited(place):
    """one that the registry gave to a node, of which only its last broker heard, goes on"""
    with nodes(place, CONFIG, OTHER) as (server, one, two):
        assert one.create("xo:job") is None
        old = one.own_pool()
        until(lambda: two.where("xo:job"), "the registry to know it")
        kept, index = f"xo:job@{old['id']}", f"xo:{{default}}:actors:{one.id}"
        keys = [f"xo:{{default}}:{kind}:{kept}" for kind in ("actor", "spec")]
        for key in keys:
            assert redis(server.socket, "copy", key, f"{key}-kept") == ["1"]
        one.ask("xo:job", "", [], DESTROY)
        until(lambda: not two.where("xo:job"), "it to be gone")
        one.process.kill()
        one.process.wait()
        again = Node(place, "--registry", f"unix://{server.socket}", config=CONFIG, env=one.env)
        assert again.endpoint == one.endpoint and "knows 0 actors" in again.log()
        script = " ".join([f"redis.call('RENAME', '{key}-kept', '{key}')"
                           for key in keys]
                          + [f"redis.call('SADD', '{index}', '{kept}')"])
        redis(server.socket, "eval", script, "0")  # as by a claim that was on its way
        until(lambda: one.add("xo:job") == 1, "it to come back")
        again.stop()


def claim_is_forgotten(place):
    """one that ended since it had moved goes on if the registry forgets that, and nobody has it"""
    with nodes(place, CONFIG, CONFIG) as (server, one, two):
        assert one.create("xo:job") is None
        until(lambda: two.where("xo:job"), "the registry to know it")
        pids = one.pids()
        old = one.own_pool()
        here, there = [f"xo:{{default}}:{kind}:xo:job@{old['id']}" for kind in ("actor", "spec")]
        for key in (here, there):
            assert redis(server.socket, "copy", key, f"{key}-kept") == ["1"]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        moves(two, "xo:job", old["address"])
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        until(lambda: two.events("name.lost"), "the old one to be found out")
        until(lambda: record(server, "node", one.id).get("actors") == "0", "it to be gone")
        two.kill()
        new = record(server, "name", "xo:job")["pool"]
        for key in (f"actor:xo:job@{new}", f"spec:xo:job@{new}", "name:xo:job"):
            redis(server.socket, "del", f"xo:{{default}}:{key}")
        for key in (here, there):
            redis(server.socket, "rename", f"{key}-kept", key)
        for name, value in (("actors", f"xo:job@{old['id']}"), ("uid:xo:job", old["id"]),
                            ("movable", one.id), (f"movable:{one.id}", f"xo:job@{old['id']}")):
            redis(server.socket, "sadd", f"xo:{{default}}:{name}", value)
        until(lambda: one.add("xo:job") == 1, "it to come back")


def nobody_can(place):
    """one that no other node can create waits, says so, and moves when one can"""
    with nodes(place, CONFIG, OTHER) as (server, one, two):
        assert one.create("xo:job") is None
        until(lambda: redis(server.socket, "exists", f"xo:{{default}}:movable:{one.id}") == ["1"],
              "the registry to know it")
        one.kill()
        until(lambda: two.events("actor.waiting"), "that to be said")
        (found,) = two.call("lookup", "xo:job")
        assert found["state"] == "waiting" and "Counter" in found["reason"], found
        assert "xo:job" in two.log() and "Counter" in two.log()
        three = Mover(place, f"unix://{server.socket}", "three")
        until(lambda: three.where("xo:job"), "it to move")
        assert two.add("xo:job") == 1
        three.stop()


def seemed_to_wait(place):
    """a node that has its lease again takes back that its actors wait for another one"""
    with nodes(place, CONFIG, OTHER) as (_, one, two):
        assert one.create("xo:job") is None
        until(lambda: two.where("xo:job"), "the registry to know it")
        one.process.send_signal(signal.SIGSTOP)
        until(lambda: two.events("actor.waiting"), "its lease to be over")
        one.process.send_signal(signal.SIGCONT)
        until(lambda: two.where("xo:job"), "it to be there again")
        assert two.add("xo:job") == 1


def drained(place):
    """a node that is drained leaves them to others, and those that called them find them there"""
    with nodes(place, CONFIG, CONFIG) as (server, one, two):
        assert one.create("xo:job", 5) is None and one.create("xo:ends", options={}) is None
        assert one.add("xo:job") == 6
        old = one.own_pool()["address"]
        subprocess.run(["xo", "drain", "--node", one.endpoint], env=dict(place.env, **one.env),
                       check=True, stdout=subprocess.DEVNULL)
        assert one.call("status")["state"] == "drained"
        moves(two, "xo:job", old)
        assert two.add("xo:job") == 6 and one.add("xo:job") == 7
        assert not two.where("xo:ends")
        assert [e["uid"] for e in two.events("actor.waiting")] == ["xo:job"]


def drained_unheard(place):
    """one that leaves while Redis dies goes on elsewhere, while its node lives, and is drained then"""
    for options in (["--appendonly", "yes", "--appendfsync", "always"], []):
        server = Server(place, *options).start()
        one, two = [Mover(place, f"unix://{server.socket}", name) for name in ("one", "two")]
        assert one.create("xo:job", 5) is None
        spec = f"xo:{{default}}:spec:xo:job@{one.own_pool()['id']}"
        until(lambda: two.where("xo:job"), "the registry to know it")
        until(lambda key=spec: redis(server.socket, "exists", key) == ["1"], "what creates it")
        old = one.own_pool()["address"]
        server.process.send_signal(signal.SIGSTOP)
        # pylint: disable=consider-using-with
        drain = subprocess.Popen(["xo", "drain", "--node", one.endpoint],
                                 env=dict(place.env, **one.env), stdout=subprocess.DEVNULL)
        until(lambda: one.call("status")["actors"] == 0, "it to leave")
        server.process.kill()
        server.process.wait()
        server.start()
        moves(two, "xo:job", old)
        assert two.add("xo:job") == 6 and one.add("xo:job") == 7
        assert drain.wait(20) == 0 and one.call("status")["state"] == "drained"
        for node in (one, two):
            node.stop()
        server.stop()


def broker_restarts(place):
    """the next broker of a node goes on with one that has moved there, under its epoch"""
    with nodes(place, CONFIG, CONFIG) as (server, one, two):
        assert one.create("xo:job") is None
        old = one.own_pool()["address"]
        until(lambda: two.where("xo:job"), "the registry to know it")
        one.kill()
        moves(two, "xo:job", old)
        (before,) = two.call("lookup", "xo:job")
        two.process.kill()
        two.process.wait()
        again = Mover(place, f"unix://{server.socket}", "two")
        assert again.id == two.id and again.add("xo:job") == 1
        (found,) = again.call("lookup", "xo:job")
        assert found["epoch"] == before["epoch"], (before, found)
        os.kill(again.own_pool()["pid"], signal.SIGKILL)
        until(lambda: again.own_pool().get("generation") == 2 and again.where("xo:job"), "its pool")
        (found,) = again.call("lookup", "xo:job")
        assert found["epoch"] == before["epoch"] and found["incarnation"] > before["incarnation"]
        assert again.add("xo:job") == 1
        name = record(server, "name", "xo:job")
        assert int(name["epoch"]) == found["epoch"], name
        again.stop()


def refused(place):
    """what cannot move is refused, by its pool and by who sends it"""
    with nodes(place, CONFIG) as (_, one):
        error = one.create("job")
        assert error["code"] == "Refused" and "needs a name" in error["message"], error
        for options in (dict(ANY, restart="transient"), dict(ANY, group="g")):
            error = one.create("xo:job", options=options)
            assert error["code"] == "Refused", (options, error)
        done = subprocess.run(["xo-pool", "--module", MODULE, "--restart-policy",
                               "permanent,placement=there", "--create", "Counter:xo:job"],
                              env=place.env, capture_output=True, text=True, check=False)
        assert done.returncode != 0 and "node, any" in done.stderr, done.stderr


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(node_dies, stopped, leaves_nothing, dies_before_it_ends, moves_while_its_pool_is_away,
        moves_while_it_is_tried_again, cut_off, dies_cut_off, registry_comes_back, claim_is_lost,
        claim_is_inherited, claim_is_forgotten, nobody_can, seemed_to_wait, drained,
        drained_unheard, broker_restarts, refused)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
