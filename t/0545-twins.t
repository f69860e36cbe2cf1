#!/usr/bin/env python3
"""Two nodes, or their pools, that advertise one address: xo doctor names both, and the later node."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, Node, Server, free_port, run, until  # noqa: E402

HOST = "127.0.0.1"
MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")


def free_ports(count):
    ports = []
    for _ in range(count):
        ports.append(free_port(*ports))
    return ports


def make(place, server, name, port, bound, more=""):
    config = f"[node]\nheartbeat_ms = 100\nport = {HOST}:{port}\nbind = {HOST}:{bound}\n{more}"
    env = {"XO_RUN_DIR": os.path.join(place.path, name)}
    os.mkdir(env["XO_RUN_DIR"], 0o700)
    node = Node(place, "--registry", f"unix://{server.socket}", config=config, env=env)
    node.id = node.call("status")["id"]
    return node


def doctor(place, server, check="nodes"):
    done = subprocess.run(["xo", "doctor", "--registry", f"unix://{server.socket}"], text=True,
                          env=place.env, capture_output=True, check=False)
    return [line for line in done.stdout.splitlines() if f" {check}: " in line]


def told(node):
    return [line for line in node.log().splitlines() if "advertises" in line]


def twins(place):
    """two nodes that live and advertise one address are named, in the log, by an event and xo doctor"""
    server = Server(place).start()
    shown, *bound = free_ports(4)
    assert doctor(place, server) == ["ok nodes: 0, each at an address of its own"]
    one = make(place, server, "one", shown, bound[0])
    other = make(place, server, "other", bound[1], bound[1])
    two = make(place, server, "two", shown, bound[2])
    event = until(lambda: two.events("node.twin"), "an event")[0]
    for text in (event["reason"], until(lambda: told(two), "a line of its log")[0]):
        assert f"{HOST}:{shown}" in text and one.id in text and two.id in text, text
    assert event["node"] in (one.id, two.id), event
    (line,) = doctor(place, server)
    assert line.startswith("error nodes: ") and f"{HOST}:{shown}" in line, line
    assert one.id in line and two.id in line and other.id not in line, line
    one.stop()
    assert doctor(place, server) == ["ok nodes: 2, each at an address of its own"]
    assert not told(other)
    for node in (two, other):
        node.stop()
    server.stop()


def killed(place):
    """one that was killed, and whose place another has taken, is not named"""
    server = Server(place).start()
    shown, bound = free_ports(2)
    one = make(place, server, "one", shown, bound)
    one.process.kill()
    one.process.wait()
    two = make(place, server, "two", shown, bound)
    three = make(place, server, "three", shown, free_port(shown, bound))
    until(lambda: [e for e in two.events("node.twin") if three.id in e["reason"]], "an event")
    assert not [e for e in two.events("node.twin") if one.id in e["reason"]]
    for node in (two, three):
        node.stop()
    server.stop()


def pools(place):
    """two nodes whose pools advertise one address are named by xo doctor, and no others are"""
    server = Server(place).start()
    shown, *bound = free_ports(6)
    assert doctor(place, server, "pools") == ["ok pools: 0, each at an address of its own"]
    nodes = [make(place, server, name, bound[i], bound[i],
                  f"[pool fixed]\ncommand = xo-pool\nmodules = '{MODULE}'\n"
                  f"address = {HOST}:{shown}\nbind = {HOST}:{bound[i + 2]}\n"
                  f"[pool behind]\ncommand = xo-pool\nmodules = '{MODULE}'\n")
             for i, name in enumerate(("one", "two"))]
    nodes[0].wait_pools(4)
    (line,) = until(lambda: [line for line in doctor(place, server, "pools") if "error" in line],
                    "both to be in the registry")
    assert f" {HOST}:{shown}: " in line, line
    assert all(f"of node {node.id}" in line for node in nodes), line
    assert doctor(place, server) == ["ok nodes: 2, each at an address of its own"]
    nodes[0].stop()
    assert doctor(place, server, "pools") == ["ok pools: 2, each at an address of its own"]
    nodes[1].stop()
    server.stop()


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif shutil.which("redis-server") and shutil.which("redis-cli"):
    run(twins, killed, pools)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
