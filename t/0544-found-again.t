#!/usr/bin/env python3
"""xo call finds an actor that is on its way to another node, as references that are held do."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import redis, run, until  # noqa: E402
from movers import ANY, BAD, CONFIG, GOOD, MODULE, Mover, added, edit_spec, nodes  # noqa: E402

OTHER = CONFIG.replace("counter.so", "keeper.so")
ONCE = dict(ANY, intensity=0)


def is_looked_for(node):
    """Waits until somebody has asked that node's broker for something several times."""
    before = node.call("status")["handled"]
    asked = iter(range(1, 1 << 30))  # by us
    until(lambda: node.call("status")["handled"] - before - next(asked) > 4, "it to be looked for")


def whose_node_has_died(place):
    """one whose node has died is waited for until it is elsewhere; what is nowhere is not"""
    with nodes(place, CONFIG, CONFIG) as (_, one, two):
        assert one.create("xo:job", 5) is None
        assert one.create("xo:stays", options={}) is None
        until(lambda: two.where("xo:job") and two.where("xo:stays"), "the registry to know them")
        one.kill()
        assert two.add("xo:job") == 6
        error = two.add("xo:none")
        assert "no such actor" in error, error
        error = two.add("xo:stays")  # which does not move
        assert one.id in error, error


def which_waits(place):
    """one that nobody can create yet is waited for until somebody can"""
    with nodes(place, CONFIG, OTHER) as (server, one, two):
        assert one.create("xo:job") is None
        until(lambda: redis(server.socket, "exists", f"xo:{{default}}:movable:{one.id}") == ["1"],
              "the registry to know it")
        one.kill()
        until(lambda: two.events("actor.waiting"), "it to wait")
        call = two.begin_add("xo:job")
        is_looked_for(two)
        assert call.poll() is None, added(call)
        three = Mover(place, f"unix://{server.socket}", "three")
        assert added(call) == 1
        three.stop()


def which_left(place):
    """one that its own node has given away is waited for there, too, and not at an address"""
    with nodes(place, CONFIG, OTHER) as (server, one, _):
        assert one.create("xo:job") is None
        address = one.own_pool()["address"]
        # pylint: disable=consider-using-with
        drain = subprocess.Popen(["xo", "drain", "--node", one.endpoint],
                                 env=dict(place.env, **one.env), stdout=subprocess.DEVNULL)
        until(lambda: one.call("status")["actors"] == 0, "it to leave")
        call = one.begin_add("xo:job")
        error = one.add(f"{address}/xo:job")
        assert "ActorNotExist" in error, error
        three = Mover(place, f"unix://{server.socket}", "three")
        assert added(call) == 1 and drain.wait(20) == 0
        three.stop()


def that_is_given_up(place):
    """one that cannot be created elsewhere is waited for until it is given up, and said why"""
    with nodes(place, CONFIG, CONFIG) as (server, one, two):
        assert one.create("xo:job", 5, options=ONCE) is None
        until(lambda: two.where("xo:job"), "the registry to know it")
        edit_spec(server, "xo:job", one.own_pool(), GOOD, BAD)
        one.kill()
        error = two.add("xo:job")
        assert "ActorNotExist" in error and "it has failed: class Counter" in error, error


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(whose_node_has_died, which_waits, which_left, that_is_given_up)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
