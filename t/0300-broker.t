#!/usr/bin/env python3
"""A broker alone: how it starts, answers and ends."""

import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import DEADLINE_S, STOP_S, Node, refusal, run, until  # noqa: E402


def answers(place):
    """it listens where --ready-fd says, and answers"""
    node = Node(place)
    assert node.call("ping") == "pong"
    status = node.call("status")
    assert status["state"] == "ready" and status["pid"] == node.process.pid, status
    assert status["id"] in node.endpoint
    assert sum(lane[0] for lane in status["lanes"].values()) > 0 and status["drops"]["malformed"] == 0
    assert [record["id"] for record in node.call("nodes")] == [status["id"]]
    assert node.call("pools") == node.call("actors") == []


def garbage(place):
    """what comes to its socket and is no message is logged, with where and why, and counted"""
    node = Node(place, "--log", "info")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(node.endpoint[len("ipc://"):])
        caller.sendall(b"garbage " * 600)
    line = f"warn node: refused somebody at {node.endpoint}: "
    until(lambda: line in node.log(), "the line in the log")
    assert node.call("status")["drops"]["refused"] == 1


def unknown_method(place):
    """an unknown method is NoSuchMethod and lists the known ones"""
    refused = refusal(Node(place).call, "pools.start")
    assert refused.code == "NoSuchMethod", refused.answer
    assert "'pools.start'" in str(refused) and "pool.start" in str(refused)


def bad_arguments(place):
    """bad arguments are Refused, naming the method and the mistake"""
    node = Node(place)
    for call, words in [
            (("ping", 1), ["ping:", "1 arguments"]),
            (("lookup", 5), ["lookup:"]),
            (("lookup", ""), ["lookup:", "1 to 255"]),
            (("pool.start", 1), ["pool.start:", "a map"]),
            (("pool.start", {}), ["pool.start:", "argv is missing"]),
            (("pool.start", {"argv": []}), ["pool.start:", "argv", "one or more"]),
            (("pool.start", {"argv": ["x"], "size": 1}), ["pool.start:", "'size'"]),
            (("pool.start", {"argv": ["x"], "address": "a:b:c:d"}), ["pool.start: address"]),
            (("pool.start", {"argv": ["x"], "env": {"A=": "1"}}), ["env", "'A='"]),
            (("pool.start", {"argv": ["x"], "restart": "maybe"}), ["restart", "'maybe'"]),
            (("pool.stop", "127.0.0.1:1"), ["pool.stop:", "127.0.0.1:1"]),
            (("events", "0", 0), ["events:", "from 1"]),
            (("relay", "127.0.0.1:1", 16, "", "", None), ["relay:", "kind"]),
            (("actor.up", "a", 1, "C", False), ["actor.up:", "only a pool"]),
    ]:
        refused = refusal(node.call, *call)
        assert refused.code == "Refused" and refused.answer["executed"] == "no", refused.answer
        for word in words:
            assert word in str(refused), (word, str(refused))
    assert node.call("ping") == "pong"


def stops(place):
    """SIGTERM, SIGINT and node.stop end it with status 0, and nothing is left"""
    for end in (signal.SIGTERM, signal.SIGINT, None):
        node = Node(place)
        node.wait_registry()
        if end is None:
            assert node.call("node.stop") is None
            status, seconds = node.process.wait(DEADLINE_S), 0
        else:
            status, seconds = node.stop(end)
        assert status == 0, node.log()
        assert seconds < STOP_S
        place.assert_clean()


def default_node(place):
    """the first node is the user's default, until it ends"""
    first, second = Node(place), Node(place)
    link = os.path.join(os.path.dirname(first.directory), "default")
    assert os.path.realpath(link) == first.directory
    second.stop()
    assert os.path.realpath(link) == first.directory
    third = Node(place)
    first.stop()
    assert not os.path.lexists(link)
    fourth = Node(place)
    assert os.path.realpath(link) == fourth.directory
    third.stop()
    fourth.stop()
    place.assert_clean()


def killed_leaves_no_litter(place):
    """what a killed node left is removed when the next one starts"""
    node = Node(place)
    node.wait_registry()
    node.process.kill()
    node.process.wait()
    for pid in place.processes():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not place.processes(), "the private redis-server to be gone")
    assert os.path.isdir(node.directory)
    other = Node(place)
    assert not os.path.exists(node.directory)
    link = os.path.join(os.path.dirname(other.directory), "default")
    assert os.path.realpath(link) == other.directory
    other.stop()
    place.assert_clean()


def cluster_of_its_own(place):
    """clusters do not see one another"""
    one, two = Node(place), Node(place, "--cluster", "two")
    refused = refusal(two.call, "ping")
    assert "cluster" in str(refused), refused.answer
    assert one.call("ping") == "pong"


def run_dir_too_long(place):
    """a run directory too long for sockets is named"""
    long = os.path.join(place.path, "x" * 80)
    done = subprocess.run(["xo-broker"], env=dict(place.env, XO_RUN_DIR=long), check=False,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "XO_RUN_DIR" in done.stderr, done.stderr


run(answers, garbage, unknown_method, bad_arguments, stops, default_node, killed_leaves_no_litter,
    cluster_of_its_own, run_dir_too_long)
