#!/usr/bin/env python3
"""The broker as a service of systemd: what it tells the manager, and the units."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import DEADLINE_S, FAKE_POOL, Node, run, until  # noqa: E402

ETC = os.path.join(os.environ.get("XO_SRCDIR", "."), "etc")
UNITS = {"xo-broker.service": 25, "xo-broker-relaxed.service": 40}  # tenths of what is all exposed
POOL = f"[pool work]\ncommand = {FAKE_POOL}\n"
WATCHDOG_MS = 200
STOPPING = "STOPPING=1\nEXTEND_TIMEOUT_USEC=24000000"  # stop_timeout_ms, and the rest
OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@contextlib.contextmanager
def manager(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1))
        listener.settimeout(DEADLINE_S)
        yield listener


def hears(listener):
    return listener.recv(4096).decode()


def environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return dict(entry.split("=", 1) for entry in file.read().decode().split("\0") if "=" in entry)


def tells(place, name):
    with manager(name) as listener:
        env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": str(WATCHDOG_MS * 1000)}
        node = Node(place, config=POOL, env=env)
        assert hears(listener) == "READY=1"
        for _ in range(3):
            assert hears(listener) == "WATCHDOG=1"
        (pool,) = node.wait_pools(1)
        assert not set(OURS) & set(environment_of(pool["pid"])), environment_of(pool["pid"])
        node.process.send_signal(signal.SIGTERM)
        said = hears(listener)
        while said == "WATCHDOG=1":
            said = hears(listener)
        assert said == STOPPING, said
        assert node.process.wait(DEADLINE_S) == 0


def path(place):
    """it tells a socket that it is ready, that it lives, and that it stops; pools do not"""
    tells(place, os.path.join(place.path, "notify"))


def abstract(place):
    """also one in the abstract namespace"""
    tells(place, f"@xo-test-{os.getpid()}")


def others(place):
    """without a watchdog, or with one for another process, it gives no signs of life"""
    with manager(os.path.join(place.path, "notify")) as listener:
        env = {"NOTIFY_SOCKET": listener.getsockname(), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
        node = Node(place, env=env)
        assert hears(listener) == "READY=1"
        node.stop()
        assert hears(listener) == STOPPING


def again(place):
    """one that takes over says that it is ready when it has"""
    with manager(os.path.join(place.path, "notify")) as listener:
        env = {"NOTIFY_SOCKET": listener.getsockname()}
        first = Node(place, config=POOL, env=env)
        assert hears(listener) == "READY=1"
        first.wait_pools(1)
        first.process.kill()
        first.process.wait()
        second = Node(place, config=POOL, env=env)
        assert hears(listener) == "READY=1"
        assert len(second.events("broker.restarted")) == 1
        second.stop()


def nonsense(place):
    """what is no socket is a line in the log, and no more"""
    for name in ("relative", os.path.join(place.path, "nobody"), "/" + "x" * 200):
        node = Node(place, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1e9"})
        until(lambda n=node: "service manager" in n.log() or "NOTIFY_SOCKET" in n.log(), "a line")
        node.stop()


def units(place):
    """systemd finds nothing wrong with the units, nor them exposed"""
    if not shutil.which("systemd-analyze"):
        return "systemd-analyze is not installed"
    for unit, exposure in UNITS.items():
        with open(os.path.join(ETC, unit), encoding="utf-8") as file:
            text = file.read()
        # It looks for programs, users and man pages of this machine.
        text = text.replace("ExecStart=xo-broker", f"ExecStart={shutil.which('true')}")
        text = text.replace("User=xo\n", "User=daemon\n").replace("Documentation=", "#")
        name = place.write(unit, text)
        for words in (["verify"], ["security", "--offline=true", f"--threshold={exposure}"]):
            done = subprocess.run(["systemd-analyze", *words, name], text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert done.returncode == 0, (unit, done.stdout)
    return None


if __name__ == "__main__":
    run(path, abstract, others, again, nonsense, units)
