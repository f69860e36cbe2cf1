#!/usr/bin/env python3
"""Garbage on the ports of a node: a fixed number of connections, made from a seed, change nothing
but counters. XO_GARBAGE_CONNECTIONS (3000) and XO_GARBAGE_SEED (1) say how many, and which."""

import collections
import os
import random
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, DEADLINE_S, Node, run, until  # noqa: E402

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
POOLS = f"""[pool one]
command = xo-pool --create Counter:hits
modules = {MODULE}
[pool two]
command = xo-pool
modules = {MODULE}
"""
CONNECTIONS = int(os.environ.get("XO_GARBAGE_CONNECTIONS", "3000"))
SEED = int(os.environ.get("XO_GARBAGE_SEED", "1"))
OPEN_AT_MOST = 64
GROWN_KIB = 8 << 10  # what a heap may gain without there being a leak

GREETING = bytes([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1])
TEXTS = (b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
         b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
         b"SSH-2.0-OpenSSH_9.2\r\n", b"*1\r\n$4\r\nPING\r\n", b"\n" * 1000)


def greeting(rng, mechanism=b"CURVE"):
    return GREETING + mechanism.ljust(20, b"\0") + bytes([rng.randint(0, 1)]) + bytes(31)


def command(name, body, size=None):
    body = bytes([len(name)]) + name + body
    size = len(body) if size is None else size
    if size < 256:
        return bytes([4, size]) + body
    return bytes([6]) + struct.pack(">Q", size) + body


def hello(rng):
    return command(b"HELLO", bytes([1, 0]) + bytes(72) + rng.randbytes(32 + 8 + 80))


def cut(rng, data):
    return data[:rng.randrange(len(data) + 1)]


def flipped(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


SHAPES = (
    lambda rng: rng.randbytes(rng.randint(1, 4096)),
    lambda rng: rng.choice(TEXTS),
    lambda rng: greeting(rng, rng.choice((b"NULL", b"PLAIN", b"GSSAPI", b"", b"CURVE"))),
    lambda rng: greeting(rng, b"NULL") + command(b"READY", rng.randbytes(rng.randint(0, 300))),
    lambda rng: greeting(rng) + hello(rng),
    lambda rng: cut(rng, greeting(rng) + hello(rng)),
    lambda rng: flipped(rng, greeting(rng) + hello(rng)),
    lambda rng: greeting(rng) + command(b"INITIATE", rng.randbytes(rng.randint(0, 1000))),
    lambda rng: greeting(rng) + command(b"HELLO", b"", rng.getrandbits(64)),
    lambda rng: greeting(rng) + bytes([rng.getrandbits(8)]) + rng.randbytes(rng.randint(0, 500)),
    lambda rng: b"",
)


def socks(name):
    """What is said at a node's port to be led to `name`."""
    return bytes([5, 1, 0, 5, 1, 0, 3, len(name)]) + name + bytes(2)


def behind(rng, port):
    """A name that may be somebody's behind that port."""
    return rng.choice((b"p%d0001.127.0.0.1" % port, b"p%d0002.x" % port, b"p%d.127.0.0.1" % port,
                       b"p0.broker", b"p%d" % rng.getrandbits(40), b"t%x" % rng.getrandbits(64),
                       rng.randbytes(rng.randint(0, 255)), b"p%d5000.127.0.0.1" % port))


def at_a_port(port):
    """What comes to the one port of a node besides."""
    return (
        lambda rng: socks(behind(rng, port)),
        lambda rng: cut(rng, socks(behind(rng, port))),
        lambda rng: flipped(rng, socks(behind(rng, port))),
        lambda rng: socks(behind(rng, port)) + rng.choice(SHAPES)(rng),
        lambda rng: bytes([5, rng.getrandbits(8)]) + rng.randbytes(rng.randint(0, 600)),
        lambda rng: bytes([4, 1]) + rng.randbytes(rng.randint(0, 60)),
    )


def throw(rng, ports, shapes, count):
    """So many connections, of which some stay open for a while and some are reset."""
    waiting = collections.deque()
    for _ in range(count):
        fd = socket.create_connection(rng.choice(ports))
        try:
            fd.sendall(rng.choice(shapes)(rng))
        except OSError:
            pass  # it has hung up already
        waiting.append(fd)
        if rng.random() < 0.1:
            fd.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if len(waiting) > OPEN_AT_MOST or rng.random() < 0.5:
            waiting.popleft().close()
    for fd in waiting:
        fd.close()


class Caller(threading.Thread):
    """Calls the actor all the while, over links of its own: by turns as a process of this machine
    and, by tcp, as one of another machine would. Each answer tells how many calls there were."""

    def __init__(self, place, address):
        super().__init__()
        self.ways = [dict(place.env, XO_RUN_DIR=os.path.join(place.path, "away"), XO_LANES="tcp"),
                     dict(place.env)]
        self.address = address
        self.calls = 0
        self.error = None
        self.done = False

    def call(self):
        command = f"xo call --node {self.address} --timeout {DEADLINE_S} hits add 1"
        done = subprocess.run(command.split(), env=self.ways[self.calls % 2], text=True,
                              capture_output=True, check=False)
        self.calls += 1
        assert done.stdout.strip() == str(self.calls), (self.calls, done.stdout, done.stderr)

    def run(self):
        try:
            while not self.done:
                self.call()
        except AssertionError as error:
            self.error = error


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def drops(pools):
    """All counters of what was dropped, but of what was refused."""
    return {name: value for pool in pools for name, value in pool.items()
            if name.startswith("drops_") and name != "drops_refused" and int(value)}


def refused(node):
    """By its broker, its port, and its pools."""
    told = node.call("status")["drops"]
    return sum(told[reason] for reason in ("refused", "no-route", "malformed"))


def survives(place, config, ports_of, shapes):
    """The node changes nothing but counters."""
    print(f"# {CONNECTIONS} connections from seed {SEED}")
    node = Node(place, config=config)
    pools = node.wait_pools(2)
    same = {pool["id"]: (pool["pid"], pool["generation"]) for pool in pools}
    pids = [node.process.pid] + [pool["pid"] for pool in pools]
    ports = [("127.0.0.1", port) for port in ports_of(node, pools)]
    caller = Caller(place, pools[0]["address"])
    caller.call()
    caller.call()
    before = [descriptors(pid) for pid in pids]

    def settled():
        return all(descriptors(pid) <= count for pid, count in zip(pids, before))

    def counts():
        return f"{before} descriptors, now {[descriptors(pid) for pid in pids]}"

    rng = random.Random(SEED)
    caller.start()
    try:
        throw(rng, ports, shapes, CONNECTIONS // 2)
        resident = [resident_kib(pid) for pid in pids]
        throw(rng, ports, shapes, CONNECTIONS - CONNECTIONS // 2)
    finally:
        caller.done = True
        caller.join()
    assert caller.error is None, caller.error
    print(f"# {caller.calls} calls meanwhile")
    until(settled, counts)
    grown = [resident_kib(pid) - kib for pid, kib in zip(pids, resident)]
    # AddressSanitizer keeps what has been freed; it knows of leaks by itself.
    assert max(grown) < GROWN_KIB or "ASAN_OPTIONS" in os.environ, grown
    caller.call()
    until(lambda: refused(node) > CONNECTIONS // 2, lambda: node.call("status"))
    pools = node.pools("ready")
    assert {pool["id"]: (pool["pid"], pool["generation"]) for pool in pools} == same, pools
    assert not drops(pools), pools
    assert refused(node) <= CONNECTIONS, node.call("status")
    lines = [line for line in node.log().splitlines() if "refused" in line]
    assert len(lines) < 20, lines
    for kind in ("pool.down", "pool.restart", "actor.down", "key.refused"):
        assert not node.events(kind), node.events(kind)
    assert node.stop()[0] == 0
    place.assert_clean()


def garbage(place):
    """garbage on its ports changes nothing but counters"""
    def ports_of(node, pools):
        addresses = {pool["address"] for pool in pools} | {node.call("status")["address"]}
        return [int(address.rsplit(":", 1)[1]) for address in sorted(addresses)]

    survives(place, POOLS, ports_of, SHAPES)


def at_one_port(place):
    """nor does garbage on the port of a node that has one for everything, and behind it"""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    config = f"[node]\nport = 127.0.0.1:{port}\n{POOLS}"
    survives(place, config, lambda *_: [port], SHAPES + at_a_port(port))


if os.path.exists(MODULE):
    run(garbage, at_one_port)
else:
    print("1..0 # SKIP counter.so is not built")
