#!/usr/bin/env python3
"""A Redis that fails over has lost what it acknowledged last: two redis-servers, the second of which
no longer hears what the first is told, and then takes its place.
"""

import contextlib
import json
import os
import shutil
import signal
import socket as socketlib
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import CALL, redis, refusal, run, until  # noqa: E402
from movers import ANY, CONFIG, CREATE, MODULE, SLOW, Mover, finds, moves, record  # noqa: E402

REFILLING = "is being refilled"
KEY = "xo:{default}:"


class Pair:
    """A Redis and its replica. Nodes know them by one path, which leads to the one that counts."""

    def __init__(self, place):
        self.front = os.path.join(place.path, "front.sock")
        self.sockets = [os.path.join(place.path, f"redis-{name}.sock") for name in "ab"]
        self.master, port = start(place, self.sockets[0])
        start(place, self.sockets[1], "--replicaof", "127.0.0.1", port,
              "--repl-diskless-sync-delay", "0")
        until(lambda: "master_link_status:up" in redis(self.sockets[1], "info", "replication"),
              "the replica")
        for user in ("one", "two", "three"):
            self.admit(user)
        self.lead_to(0)

    def lead_to(self, number):
        self.socket = self.sockets[number]
        os.symlink(self.socket, f"{self.front}.new")
        os.rename(f"{self.front}.new", self.front)

    def url(self, user):
        return f"unix://{user}:secret@{self.front}"

    def admit(self, user):
        for socket in self.sockets:
            redis(socket, "acl", "setuser", user, "on", ">secret", "~*", "&*", "+@all")

    def shut_out(self, user):
        """Of the second one."""
        redis(self.sockets[1], "acl", "setuser", user, "off")

    def cut(self):
        """From now on the second one is told nothing."""
        until(self.is_even, "the replica to have all")
        redis(self.sockets[1], "replicaof", "127.0.0.1", "1")

    def is_even(self):
        said = [dict(line.split(":", 1) for line in redis(socket, "info", "replication")
                     if ":" in line) for socket in self.sockets]
        return said[0]["master_repl_offset"] == said[1]["slave_repl_offset"]

    def fail_over(self):
        self.master.kill()
        self.master.wait()
        redis(self.sockets[1], "replicaof", "no", "one")
        self.lead_to(1)


def start(place, socket, *options):
    """Gives (process, port)."""
    with socketlib.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    process = place.other("redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket",
                          socket, "--save", "", "--dir", place.path, *options)
    until(lambda: redis(socket, "ping") == ["PONG"], "redis-server")
    return process, port


@contextlib.contextmanager
def nodes(place, *names, config=CONFIG):
    pair = Pair(place)
    made = [Mover(place, pair.url(name), name, config) for name in names]
    yield pair, *made
    for node in made:
        if node.process.poll() is None:
            node.stop()


def has_moved(pair, node, uid="xo:job"):
    """`node`, and no other, has it."""
    return record(pair, "name", uid).get("node") == node.id


def goes_to(two, place, pair, one):
    """The actor of `one`, which dies, goes to `two`, and the second Redis does not hear of it."""
    assert one.create("xo:job", 5) is None and one.add("xo:job") == 6
    until(lambda: two.where("xo:job"), "the registry to know it")
    old = one.own_pool()
    until(lambda: redis(pair.socket, "exists", f"{KEY}spec:xo:job@{old['id']}") == ["1"], "its spec")
    pair.cut()
    one.kill()
    moves(two, "xo:job", old["address"])
    assert two.add("xo:job") == 6
    return f"{KEY}actor:xo:job@{old['id']}"


def claim_is_lost(place):
    """who has got an actor keeps it, and its epoch, though the registry has forgotten that"""
    with nodes(place, "one", "two") as (pair, one, two):
        ahead = int(time.time() * 1000) + 86400000  # the clock alone would not do
        redis(pair.socket, "set", f"{KEY}fence", str(ahead))
        old = goes_to(two, place, pair, one)
        (before,) = two.call("lookup", "xo:job")
        assert before["epoch"] > ahead, before
        three = Mover(place, pair.url("three"), "three")
        pair.fail_over()
        assert redis(pair.socket, "exists", old) == ["1"]  # which says that anybody may have it
        until(lambda: has_moved(pair, two), "its name to be told")
        until(lambda: redis(pair.socket, "exists", old) == ["0"], "the others to have tried")
        (found,) = three.call("lookup", "xo:job")
        assert (found["epoch"], found["address"]) == (before["epoch"], before["address"]), found
        assert three.add("xo:job") == 7 and two.add("xo:job") == 8  # one and the same
        assert int(redis(pair.socket, "get", f"{KEY}fence")[0]) >= before["epoch"]
        two.kill()
        moves(three, "xo:job", before["address"])
        (after,) = three.call("lookup", "xo:job")
        assert after["epoch"] > before["epoch"], (before, after)
        three.stop()


def cut_off_with_it(place):
    """one whose claim is forgotten while its node is cut off is fenced before another has it"""
    with nodes(place, "one", "two") as (pair, one, two):
        goes_to(two, place, pair, one)
        (before,) = two.call("lookup", "xo:job")
        three = Mover(place, pair.url("three"), "three")
        pair.shut_out("two")
        pair.fail_over()
        until(lambda: has_moved(pair, three), "another one to have it")
        error = two.ask("xo:job", "add", [[1], {}])
        assert error["code"] == "ServerClosed" and error["executed"] == "no", error
        until(lambda: three.add("xo:job") == 6, "it to be created")
        (found,) = three.call("lookup", "xo:job")
        assert found["epoch"] > before["epoch"], (before, found)
        pair.admit("two")
        until(lambda: three.events("name.lost"), "the old one to be found out")
        until(lambda: two.where("xo:job") == [found["address"]], "it to end")
        assert two.add("xo:job") == 7 and three.add("xo:job") == 8
        three.stop()


def older_epoch(place):
    """nor does its old one go on when the one with the larger epoch has died meanwhile"""
    with nodes(place, "one", "two") as (pair, one, two):
        goes_to(two, place, pair, one)
        three = Mover(place, pair.url("three"), "three")
        pair.shut_out("two")
        pair.fail_over()
        until(lambda: has_moved(pair, three), "another one to have it")
        until(lambda: three.add("xo:job") == 6, "it to be created")
        (newer,) = three.call("lookup", "xo:job")
        three.kill()
        until(lambda: redis(pair.socket, "exists", f"{KEY}node:{three.id}") == ["0"], "its end")
        pair.admit("two")
        two.wait_registry()
        until(lambda: two.events("name.lost"), "the old one to be found out")
        until(lambda: two.add("xo:job") == 6, "it to be created once more")
        (found,) = two.call("lookup", "xo:job")
        assert found["epoch"] > newer["epoch"], (newer, found)


def name_is_lost(place):
    """nobody gets a name that the registry may have forgotten, nor hears that there is no such actor"""
    with nodes(place, "two", "three", config=SLOW) as (pair, two, three):
        pair.cut()
        assert two.create("xo:fresh", options={}) is None
        pair.shut_out("two")
        pair.fail_over()
        until(lambda: redis(pair.socket, "exists", f"{KEY}refill") == ["1"], "it to be noticed")
        for uid in ("xo:fresh", "never"):
            refused = refusal(three.call, "lookup", uid)
            assert refused.code == "Unavailable" and REFILLING in str(refused), refused
        words = ["relay", three.own_pool()["address"], CREATE, "xo:fresh", "Counter", [[], {}, ANY]]
        # pylint: disable=consider-using-with
        creates = subprocess.Popen([CALL, three.endpoint, words[0], *map(json.dumps, words[1:])],
                                   env=place.env, stdout=subprocess.PIPE)
        pair.admit("two")
        error = json.loads(creates.communicate()[0])
        assert error["code"] in ("ActorAlreadyExist", "Unavailable"), error
        until(lambda: has_moved(pair, two, "xo:fresh"), "the one that has it to say so")
        until(lambda: finds(three, "xo:fresh"), "it to be found")
        assert three.create("xo:fresh")["code"] == "ActorAlreadyExist"
        assert two.add("xo:fresh") == 1 and not two.events("name.lost")
        until(lambda: not finds(three, "never", [True]), "the registry to be full again")
        assert three.create("xo:new") is None


def emptied(place):
    """the same where somebody has emptied it"""
    with nodes(place, "two", "three", config=SLOW) as (pair, two, three):
        assert two.create("counts", options={}) is None
        until(lambda: three.where("counts"), "the registry to know it")
        # Nothing is remembered of it by then.
        two.process.send_signal(signal.SIGSTOP)
        redis(pair.socket, "flushall")
        until(lambda: redis(pair.socket, "exists", f"{KEY}refill") == ["1"], "it to be noticed")
        refused = refusal(three.call, "lookup", "counts")
        assert refused.code == "Unavailable" and REFILLING in str(refused), refused
        two.process.send_signal(signal.SIGCONT)
        until(lambda: finds(three, "counts"), "it to be found")


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(claim_is_lost, cut_off_with_it, older_epoch, name_is_lost, emptied)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
