#!/usr/bin/env python3
"""An embedded node: it does not outlive the process that owns it (contract 15)."""

import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import BUILD, FAKE_POOL, STOP_S, Node, Server, run, seconds_until, until  # noqa: E402

MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
STUCK = os.path.join(BUILD, "t", ".libs", "module-stuck.so")
GROUP = os.path.join(BUILD, "t", "group")
POOLS = f"[pool work]\ncommand = {FAKE_POOL} stubborn child\ncount = 2\n"


def owned(place, *options, **more):
    owner = place.other("sleep", "600")
    node = Node(place, "--owner", str(owner.pid), *options, config=POOLS, **more)
    node.wait_pools(2)
    return owner, node


def owner_killed(place):
    """when the owner is killed, all is gone within 2 s"""
    owner, node = owned(place)
    node.wait_registry()
    owner.kill()
    owner.wait()
    seconds = seconds_until(lambda: node.process.poll() is not None, "the node to follow")
    assert node.process.returncode == 0 and seconds < STOP_S
    place.assert_clean()


def owner_ends(place):
    """when the owner ends in order, too"""
    owner, node = owned(place)
    owner.terminate()
    owner.wait()
    assert node.process.wait() == 0
    place.assert_clean()


def owner_is_gone_already(place):
    """an owner that is gone already is an error"""
    owner = place.other("true")
    owner.wait()
    done = subprocess.run(["xo-broker", "--owner", str(owner.pid)], env=place.env, check=False,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and f"--owner {owner.pid}" in done.stderr, done.stderr
    place.assert_clean()


def sockets_go(place):
    """a node that ends leaves no sockets of processes that were killed, though others live there"""
    other, node = Node(place), Node(place)
    path = os.path.join(place.run_dir, "default", "127.0.0.1:1.shm")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.utime(path, (0, 0))
        Node(place).stop()
        assert os.path.exists(path)  # somebody listens
    node.stop()
    assert not os.path.exists(path)
    assert os.path.exists(other.endpoint[len("ipc://"):])
    other.stop()


def broker_killed(place):
    """the private redis-server outlives a broker that was killed, but not the owner"""
    owner, node = owned(place)
    node.wait_registry()

    def servers():
        return [line for line in place.processes().values() if "redis-server" in line]
    node.process.kill()
    node.process.wait()
    assert len(servers()) == 1
    owner.kill()
    owner.wait()
    until(lambda: not servers(), "the redis-server to be gone")


def broker_stopped(place):
    """all is gone within 2 s when the broker stands still, too"""
    owner, node = owned(place)
    node.wait_registry()
    node.process.send_signal(signal.SIGSTOP)
    owner.kill()
    owner.wait()
    took_s = seconds_until(
        lambda: node.process.poll() is not None and not place.processes() and not place.files(),
        "all to be gone")
    assert took_s < STOP_S and node.process.returncode == -signal.SIGKILL, took_s


def all_follow(place, node, owner, server=None):
    """within 2 s, but for the server, which is nobody's of the node"""
    def left():
        return set(place.processes()) - ({server.process.pid} if server else set())
    owner.kill()
    owner.wait()
    took_s = seconds_until(
        lambda: node.process.poll() is not None and not left() and not place.files(),
        "all to be gone")
    assert took_s < STOP_S, took_s


def broker_stopped_elsewhere(place):
    """... and when its registry is another's, or memory"""
    server = Server(place).start()
    for registry in (f"unix://{server.socket}", "memory:"):
        owner, node = owned(place, "--registry", registry)
        node.process.send_signal(signal.SIGSTOP)
        all_follow(place, node, owner, server)
        assert node.process.returncode == -signal.SIGKILL
    server.stop()


def both_killed_elsewhere(place):
    """when broker and owner are killed, nothing is left of a node whose registry is another's"""
    owner, node = owned(place, "--registry", "memory:")
    node.process.kill()
    node.process.wait()
    all_follow(place, node, owner)


def adopted_elsewhere(place):
    """the next broker of such a node has the same guard, and ends it"""
    owner, node = owned(place, "--registry", "memory:")
    guard = guards(place)
    assert len(guard) == 1
    node.process.kill()
    node.process.wait()
    again = Node(place, "--owner", str(owner.pid), "--adopt", os.path.basename(node.directory)[2:],
                 "--registry", "memory:")
    assert guards(place) == guard
    assert again.stop()[0] == 0
    place.assert_clean()


def guards(place):
    found = []
    for pid in place.processes():
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            if file.read() == "xo-node-guard\n":
                found.append(pid)
    return found


def pools_know(place):
    """its pools are told the owner, so that they go even when the broker cannot see to it"""
    owner, node = owned(place)
    pid = node.pools()[0]["pid"]
    with open(f"/proc/{pid}/environ", "rb") as file:
        assert f"XO_OWNER_PID={owner.pid}".encode() in file.read().split(b"\0")
    owner.kill()
    owner.wait()
    node.process.wait()


def real_pools_follow(place):
    """pools outlive a broker that was killed, but not the owner"""
    owner = place.other("sleep", "600")
    node = Node(place, "--owner", str(owner.pid),
                config=f"[pool c]\ncommand = xo-pool\nmodules = '{MODULE}'\ncount = 2\n")
    pids = {pool["pid"] for pool in node.wait_pools(2)}
    node.process.kill()
    node.process.wait()
    assert pids < set(place.processes())
    owner.kill()
    owner.wait()
    assert seconds_until(lambda: not pids & set(place.processes()), "the pools to follow") < STOP_S
    until(lambda: not place.processes() and not place.files(), "all else to follow")


def groups(place):
    """groups that take their time do not hold it up, nor does a stop in order that is under way"""
    for stops in (False, True):
        diary = os.path.join(place.path, f"diary-{stops}")
        owner = place.other("sleep", "600")
        node = Node(place, "--owner", str(owner.pid), config=f"[pool c]\ncommand = xo-pool\n"
                    f"modules = '{STUCK}'\nenv.DIARY = {diary}\n")
        address = node.wait_pools(1)[0]["address"]
        for words in ("make g one_for_all", "create Endless a g 60000"):
            subprocess.run([GROUP, address, *words.split()], env=place.env, check=True)
        if stops:
            node.process.send_signal(signal.SIGTERM)
            until(lambda path=diary: os.path.exists(path), "its group to end")
            assert node.call("status")["state"] == "stopping"
        all_follow(place, node, owner)
        assert node.process.returncode == 0


def not_default(place):
    """it is not the user's default node, and leaves SIGINT to its owner"""
    owner, node = owned(place)
    assert not os.path.lexists(os.path.join(os.path.dirname(node.directory), "default"))
    node.process.send_signal(signal.SIGINT)
    assert node.call("ping") == "pong"
    assert node.stop(signal.SIGTERM)[0] == 0
    owner.kill()
    owner.wait()
    place.assert_clean()


run(owner_killed, owner_ends, owner_is_gone_already, sockets_go, broker_killed, broker_stopped,
    broker_stopped_elsewhere, both_killed_elsewhere, adopted_elsewhere, pools_know,
    real_pools_follow, groups, not_default)
