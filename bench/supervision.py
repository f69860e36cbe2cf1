#!/usr/bin/env python3
"""Measure what supervision gives, and what it costs, and print the figures as one JSON object.

From the SIGKILL of a pool until its actors answer again, one and a thousand of them, in C and in
Python; and the part of a core that a node takes whose pools, a hundred in C, have nothing to do,
and how often they wake up. Those in Python are twenty, since a hundred take 2.3 GB, and the figures
five times theirs, their broker's part with them.
"""

import argparse
import asyncio
import contextlib
import glob
import json
import logging
import os
import re
import signal
import statistics
import subprocess
import sys
import time

import xoscar as xo

from scratch import scratch

KILLS = 3
MANY = 1000
IDLE_POOLS = 100
IDLE_PYTHON_POOLS = 20
SETTLE_S = 2  # after the start, until nobody has news any more
READY_S = 60


class Counter(xo.Actor):
    """As in examples/counter.c."""

    def __init__(self):
        self._value = 0

    def add(self, number):
        self._value += number
        return self._value

    def get(self):
        return self._value


# ---- recovery ----


async def value_or_none(ref):
    try:
        return await ref.get()
    except xo.ServerClosed:
        return None


async def recover_s(pid, refs):
    """From the death of their process until all answer again, and have forgotten all."""
    await asyncio.gather(*[ref.add(1) for ref in refs])
    start = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    while await value_or_none(refs[0]) != 0:
        await asyncio.sleep(0.001)
    if any(await asyncio.gather(*[ref.get() for ref in refs])):
        sys.exit("bench/supervision.py: an actor is not a new one")
    return time.perf_counter() - start


async def create(actor_class, address, count):
    return await asyncio.gather(*[
        xo.create_actor(actor_class, address=address, uid=f"{address}-{i}") for i in range(count)])


async def pid_of(address, node=None):
    return next(pool.pid for pool in await xo.list_pools(node) if pool.address == address)


async def measure_c():
    """In a node with two pools."""
    one, other = [pool.address for pool in await ready_pools(2)]
    first, many = await create("Counter", one, 1), await create("Counter", other, MANY)
    times = [await recover_s(await pid_of(one), first) for _ in range(KILLS)]
    return {"c_recover_s": statistics.median(times),
            "c_recover_1000_s": await recover_s(await pid_of(other), many)}


async def measure_python():
    """A sub pool's; a single one is a matter of bench/python.py."""
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        config = await xo.get_pool_config(pool.external_address)
        _, address = config.get_external_addresses()
        refs = await create(Counter, address, MANY)
        pid = await pid_of(address, pool.external_address)
        return {"python_recover_1000_s": await recover_s(pid, refs)}


# ---- a node of its own ----


@contextlib.contextmanager
def node(pools, *options, python=False):
    """A broker with so many pools, which ends with them. Gives its pid."""
    module = os.path.join(os.environ["XO_BUILDDIR"], "examples", ".libs", "counter.so")
    command = (f"{sys.executable} -m xoscar.pool" if python
               else f'xo-pool\nmodules = "{module}"')
    with scratch() as place:
        config = os.path.join(place, "node.ini")
        with open(config, "w") as file:
            file.write(f"[pool one]\ncommand = {command}\ncount = {pools}\nrecover = actors\n")
        command = ["xo-broker", "--config", config, "--log", "error", *options]
        broker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            yield broker.pid
        finally:
            broker.terminate()
            broker.wait()


async def ready_pools(count):
    """All of the node's, once they are ready."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        with contextlib.suppress(xo.ServerClosed, OSError):
            pools = await xo.list_pools()
            if [pool.state for pool in pools] == ["ready"] * count:
                return pools
        await asyncio.sleep(0.05)
    sys.exit(f"bench/supervision.py: {count} pools are not ready within {READY_S} s")


# ---- what it costs ----


def family(pid):
    """A process and its children."""
    found = [pid]
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path) as file:
            if int(file.read().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.split("/")[2]))
    return found


def used_ns(pids):
    """Their processor time."""
    total = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with open(path) as file:
                total += int(file.read().split()[0])
    return total


def wake_ups(pids):
    """How often their main threads have gone to sleep."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as file:
            total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)$", file.read(), re.M)[1])
    return total


async def idle(broker, count, servers, seconds):
    """(percent of a core that all take, wake-ups a second that the pools do in all) of a node with
    so many pools and other servers."""
    pools = [pool.pid for pool in await ready_pools(count)]
    await asyncio.sleep(SETTLE_S)
    pids = family(broker)
    if len(pids) != 1 + count + servers:
        sys.exit(f"bench/supervision.py: the node has {len(pids)} processes, not "
                 f"{1 + count + servers}")
    used, woken, start = used_ns(pids), wake_ups(pools), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - start
    return (used_ns(pids) - used) / took / 1e7, (wake_ups(pools) - woken) / took


def idle_nodes(seconds):
    memory = ["--registry", "memory:"]
    out = {}
    for name, registry, servers in (("", memory, 0), ("redis_", [], 1)):
        with node(IDLE_POOLS, *registry) as pid:
            percent, woken = asyncio.run(idle(pid, IDLE_POOLS, servers, seconds))
            out[f"idle_pools_{name}percent"] = percent
            out[f"idle_pools_{name}wakeups_per_s"] = woken
    with node(IDLE_PYTHON_POOLS, *memory, python=True) as pid:
        scaled = [value * IDLE_POOLS / IDLE_PYTHON_POOLS
                  for value in asyncio.run(idle(pid, IDLE_PYTHON_POOLS, 0, seconds))]
        out["idle_python_pools_percent"], out["idle_python_pools_wakeups_per_s"] = scaled
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="idle pools are looked at for 5 s")
    seconds = 5 if parser.parse_args().quick else 30
    logging.disable(logging.WARNING)
    out = asyncio.run(measure_python())
    with node(2, "--registry", "memory:"):
        out.update(asyncio.run(measure_c()))
    out.update(idle_nodes(seconds))
    json.dump(out, sys.stdout)
    print()


if __name__ == "__main__":
    main()
