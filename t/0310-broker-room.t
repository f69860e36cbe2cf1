#!/usr/bin/env python3
"""A run directory that has no room for one more socket: a tmpfs of a mount namespace of ours."""

import contextlib
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import Node, run, until  # noqa: E402

FILES = 64  # more than a node has
COUNTER = os.path.join(os.environ.get("XO_BUILDDIR", "."), "examples/.libs/counter.so")
POOL = ["xo-pool", "--module", COUNTER]
OURS = ["unshare", "--user", "--map-root-user", "--mount"]


@contextlib.contextmanager
def small(place):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=0700,nr_inodes={FILES}", "xo",
                    place.run_dir], check=True)
    try:
        yield
    finally:
        for pid in place.processes():
            os.kill(pid, 9)
        subprocess.run(["umount", "--lazy", place.run_dir], check=True)


def fill(place):
    """Makes files until there is no room for another one."""
    made = []
    with contextlib.suppress(OSError):
        for number in range(FILES):
            path = os.path.join(place.run_dir, f"full-{number}")
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            made.append(path)
    assert len(made) < FILES
    return made


def sockets(place, pool):
    name = pool["address"]
    return sorted(file for file in place.files() if os.path.basename(file).startswith(name))


def call(place, pool, *words):
    done = subprocess.run(["xo", "call", "--at", pool["address"], *words], env=place.env,
                          stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def registry_is_kept(place):
    """a Redis that cannot start for want of room leaves to the next one what the last one had kept"""
    broken = os.path.join(place.path, "broken")
    program = place.write("redis", f"#!/bin/sh\n[ ! -e {broken} ] || exit 1\nexec redis-server \"$@\"\n")
    os.chmod(program, 0o700)
    with small(place):
        node = Node(place, env={"XO_REDIS_SERVER": program})
        node.wait_registry()
        old = until(lambda: node.events("node.up"), "the event")
        files = fill(place)
        place.write("broken", "")
        for pid, line in place.processes().items():
            if line.startswith("redis-server"):
                os.kill(pid, signal.SIGKILL)
        until(lambda: node.log().count("exited with status 1") >= 4, "it to have failed often")
        os.remove(broken)
        for file in files:
            os.remove(file)
        node.wait_registry()
        assert node.events("node.up") == old, "it was lost"
        assert not node.events("registry.lost")
        assert node.stop()[0] == 0


def by_tcp(place):
    """a pool for whose sockets there is no room is reached by tcp, and an event says so"""
    with small(place):
        node = Node(place, config=f"[pool work]\ncommand = xo-pool\nmodules = {COUNTER}\n")
        (first,) = node.wait_pools(1)
        node.wait_registry()
        assert sockets(place, first) and not node.events("pool.tcp_only")
        files = fill(place)
        pool = node.call("pool.start", {"argv": [*POOL, "--create", "Counter:c:[3]"]})
        assert pool["state"] == "ready" and not sockets(place, pool)
        until(lambda: node.call("actors"), "the actor, which comes after its pool")
        assert call(place, pool, "c", "add", "1") == "4"
        (event,) = node.events("pool.tcp_only")
        assert event["address"] == pool["address"]
        assert "No space left on device" in event["reason"], event
        for file in files:
            os.remove(file)
        assert sockets(place, node.call("pool.start", {"argv": POOL}))
        assert len(node.events("pool.tcp_only")) == 1
        assert node.stop()[0] == 0


if not os.path.exists(COUNTER):
    print("1..0 # SKIP counter.so is not built")
    sys.exit()
if os.environ.get("XO_TEST_ROOM") is None:
    if subprocess.run([*OURS, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("1..0 # SKIP no mount namespace may be made here")
        sys.exit()
    os.environ["XO_TEST_ROOM"] = "1"
    os.execvp(OURS[0], [*OURS, sys.executable, *sys.argv])
run(by_tcp, registry_is_kept)
