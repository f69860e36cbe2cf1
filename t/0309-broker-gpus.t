#!/usr/bin/env python3
"""A pool with GPUs of its own is started again when their memory is free."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import FAKE_POOL, Node, run, until  # noqa: E402

# Lists what the test has written down, and writes down that it was asked.
SMI = """#!/bin/sh
echo "$@" >>"$XO_TEST_GPUS.asked"
cat "$XO_TEST_GPUS" || exit 9
"""

# Writes down who it is, and never answers.
HUNG = """#!/bin/sh
echo $$ >>"$XO_TEST_GPUS.asked"
exec sleep 600
"""


class Driver:
    """What nvidia-smi says on the node's PATH."""

    def __init__(self, place, smi):
        self.path = os.path.join(place.path, "gpus")
        folder = os.path.join(place.path, "bin")
        os.mkdir(folder)
        with open(os.path.join(folder, "nvidia-smi"), "w", encoding="utf-8") as file:
            file.write(smi)
            os.fchmod(file.fileno(), 0o755)
        self.env = {"PATH": f"{folder}:{os.environ['PATH']}", "XO_TEST_GPUS": self.path}

    def list(self, *pids):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.writelines(f"{pid}\n" for pid in pids)
        os.rename(self.path + ".new", self.path)

    def asked(self):
        try:
            with open(self.path + ".asked", encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []


def start(place, node="", env="env.CUDA_VISIBLE_DEVICES = 1\n", smi=SMI):
    driver = Driver(place, smi)
    config = f"[node]\n{node}[pool work]\ncommand = {FAKE_POOL}\n{env}"
    node = Node(place, config=config, env=driver.env)
    (pool,) = node.wait_pools(1)
    node.wait_registry()
    return driver, node, pool


def waits(place):
    """it waits while the process that ended is listed, and says so"""
    driver, node, pool = start(place)
    driver.list(1, f"1{pool['pid']}", pool["pid"])
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: len(driver.asked()) > 2, "some questions")
    assert driver.asked()[0] == "--query-compute-apps=pid --format=csv,noheader"
    (busy,) = node.events("pool.gpu_busy")
    assert busy["reason"] == f"process {pool['pid']}, which ended, has memory of a GPU still", busy
    assert [p["state"] for p in node.pools()] == ["restarting"]
    driver.list(1, f"1{pool['pid']}")
    (after,) = node.wait_pools(1)
    assert after["generation"] == 2 and len(node.events("pool.gpu_busy")) == 1


def limit(place):
    """it does not wait for longer than it may"""
    driver, node, pool = start(place, "gpu_free_timeout_ms = 1000\n")
    driver.list(pool["pid"])
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: [p for p in node.pools("ready") if p["generation"] == 2], "generation 2")
    reason = node.events("pool.gpu_busy")[1]["reason"]
    assert reason == (f"process {pool['pid']} has memory of a GPU after 1000 ms, "
                      "started all the same"), reason


def hangs(place):
    """nor for one that never says, which is killed"""
    driver, node, pool = start(place, "gpu_free_timeout_ms = 1000\n", smi=HUNG)
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: [p for p in node.pools("ready") if p["generation"] == 2], "generation 2")
    (late,) = node.events("pool.gpu_busy")
    assert late["reason"] == ("nvidia-smi has not said within 1000 ms whether process "
                              f"{pool['pid']} has memory of a GPU, started all the same"), late
    (pid,) = driver.asked()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "nvidia-smi to be gone")


def stopped_hanging(place):
    """a node stops while it is not answered"""
    driver, node, pool = start(place, smi=HUNG)
    os.kill(pool["pid"], signal.SIGKILL)
    until(driver.asked, "a question")
    assert node.stop()[0] == 0
    place.assert_clean()


def stopped(place):
    """a node that waits stops as any other"""
    driver, node, pool = start(place)
    driver.list(pool["pid"])
    os.kill(pool["pid"], signal.SIGKILL)
    until(lambda: driver.asked(), "a question")
    assert node.stop()[0] == 0
    place.assert_clean()


def not_asked(place):
    """who has no GPUs is not waited for, nor where it is not wanted or nobody knows"""
    for node, env, questions in (("", "", 0), ("", "env.CUDA_VISIBLE_DEVICES = -1\n", 0),
                                 ("gpu_free_timeout_ms = 0\n", "env.CUDA_VISIBLE_DEVICES = 0\n", 0),
                                 ("", "env.CUDA_VISIBLE_DEVICES = GPU-1\n", 1)):
        driver, node, pool = start(place, node, env)
        os.kill(pool["pid"], signal.SIGKILL)
        until(lambda n=node: [p for p in n.pools("ready") if p["generation"] == 2], "generation 2")
        assert len(driver.asked()) == questions, (env, driver.asked())
        assert not node.events("pool.gpu_busy")
        assert node.stop()[0] == 0
        for name in ("bin/nvidia-smi", "gpus.asked"):
            if os.path.exists(os.path.join(place.path, name)):
                os.remove(os.path.join(place.path, name))
        os.rmdir(os.path.join(place.path, "bin"))


run(waits, limit, hangs, stopped, stopped_hanging, not_asked)
