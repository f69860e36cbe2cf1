#!/usr/bin/env python3
"""Measure the xoscar API and print the figures as one JSON object.

Only the public API is used, so this runs against any package that can be imported as ``xoscar``.
Names say the unit: _us is a time (a histogram, bench/hist.py), _s and _mb are less if better,
_per_s and _gib_s are rates. With --far PREFIX it measures calls to a pool of another program only.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time

IMPORT_START = time.perf_counter()
import xoscar as xo  # noqa: E402

IMPORT_S = time.perf_counter() - IMPORT_START

from hist import Hist  # noqa: E402

WARM_UP_CALLS = 200
BULK_MIB = 64
BULK_CALLS = 4
KILLS = 3


class Echo(xo.Actor):
    def __init__(self):
        self._told = 0

    def echo(self, value):
        return value

    async def echo_async(self, value):
        return value

    def told(self, value):
        self._told += value

    def count(self):
        return self._told

    def size(self, data):
        return getattr(data, "nbytes", None) or len(data)

    def pid(self):
        return os.getpid()

    def resident_mb(self):
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @xo.extensible
    def item(self, value):
        return value


class Source(xo.Actor):
    @xo.generator
    async def numbers(self, count):
        for i in range(count):
            yield i


async def call_times(method, calls):
    times = []
    for i in range(WARM_UP_CALLS + calls):
        start = time.perf_counter()
        await method(i)
        times.append(time.perf_counter() - start)
    return times[WARM_UP_CALLS:]


def figures_of(times):
    hist = Hist()
    for seconds in times:
        hist.record(seconds)
    return hist.figures()


class Caller(xo.Actor):
    """Calls another actor from its own pool."""

    def __init__(self, ref):
        self._ref = ref

    async def times(self, calls):
        return await call_times(self._ref.echo, calls)


async def rate(count, work):
    """How many a second; `work` is called here, since a call may begin before it is awaited."""
    start = time.perf_counter()
    await work()
    return count / (time.perf_counter() - start)


async def gather(count, make):
    await asyncio.gather(*[make(i) for i in range(count)])


async def one_by_one(count, make):
    for i in range(count):
        await make(i)


async def tell_all(ref, count):
    base = await ref.count()
    for _ in range(count):
        await ref.told.tell(1)
    while await ref.count() != base + count:  # it may overtake tells, in another implementation
        await asyncio.sleep(0.001)


async def measure_calls(ref, local, caller, k):
    return {
        "call_us": figures_of(await call_times(ref.echo, 1000 * k)),
        "call_async_us": figures_of(await call_times(ref.echo_async, 500 * k)),
        "sub_to_sub_us": figures_of(await caller.times(1000 * k)),
        "same_pool_us": figures_of(await call_times(local.echo, 2000 * k)),
    }


async def consume(source, count):
    total = 0
    async for item in await source.numbers(count):
        total += item
    if total != count * (count - 1) // 2:
        sys.exit("bench/python.py: items of a stream were lost")


async def measure_rates(ref, source, k):
    calls, items = 2000 * k, 4000 * k

    def batch():
        return ref.item.batch(*[ref.item.delay(i) for i in range(items)])

    return {
        "calls_per_s": await rate(calls, lambda: gather(calls, ref.echo)),
        "tells_per_s": await rate(calls, lambda: tell_all(ref, calls)),
        "batch_items_per_s": await rate(items, batch),
        "stream_items_per_s": await rate(2000 * k, lambda: consume(source, 2000 * k)),
    }


async def measure_creation(first, second, k):
    def at(address, name):
        return lambda i: xo.create_actor(Echo, address=address, uid=f"{name}{i}")

    one, many = 50 * k, 100 * k
    return {
        "creations_per_s": await rate(one, lambda: one_by_one(one, at(first, "s"))),
        "creations_gathered_per_s": await rate(many, lambda: gather(many, at(second, "g"))),
    }


def bulk_data():
    """The package that has the arrays is the user's; without it bytes are sent."""
    try:
        import numpy
    except ImportError:
        return bytes(BULK_MIB << 20)
    return numpy.ones(BULK_MIB << 17)


async def bulk_rate(ref, name):
    data = bulk_data()

    async def send(_):
        if await ref.size(data) != BULK_MIB << 20:
            sys.exit("bench/python.py: bytes were lost")

    await send(0)
    gib = BULK_CALLS * BULK_MIB / 1024
    return {name: await rate(gib, lambda: one_by_one(BULK_CALLS, send))}


async def measure_recovery(ref):
    """From the death of an actor's process until the actor answers again."""
    times = []
    for _ in range(KILLS):
        pid = await ref.pid()
        start = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        while await pid_or_none(ref) in (None, pid):
            await asyncio.sleep(0.002)
        times.append(time.perf_counter() - start)
    return {"recover_s": sorted(times)[KILLS // 2]}


async def pid_or_none(ref):
    try:
        return await xo.wait_for(ref.pid(), 5)
    except Exception:  # whatever an implementation says of a process that is away
        return None


async def measure(k):
    out = {"import_s": IMPORT_S}
    start = time.perf_counter()
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2)
    out["start_2_pools_s"] = time.perf_counter() - start
    try:
        config = await xo.get_pool_config(pool.external_address)
        main, first, second = config.get_external_addresses()
        ref = await xo.create_actor(Echo, address=first, uid="echo")
        out["sub_pool_mb"] = await ref.resident_mb()
        local = await xo.create_actor(Echo, address=main, uid="local")
        caller = await xo.create_actor(Caller, ref, address=second, uid="caller")
        source = await xo.create_actor(Source, address=first, uid="source")
        out.update(await measure_calls(ref, local, caller, k))
        out.update(await measure_rates(ref, source, k))
        out.update(await measure_creation(first, second, k))
        out.update(await bulk_rate(ref, "bulk_64mib_gib_s"))
        out.update(await measure_recovery(ref))
    finally:
        await pool.stop()
    return out


# ---- to a pool of another program --------------------------------------------------------------


async def serve(address):
    pool = await xo.create_actor_pool(address, n_process=0)
    await xo.create_actor(Echo, address=address, uid="echo")
    print("ready", flush=True)
    await pool.join()


async def measure_far(name, k):
    address = f"127.0.0.1:{xo.utils.get_next_port()}"
    command = [sys.executable, __file__, "--serve", address]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    pool = None
    try:
        if server.stdout.readline().strip() != b"ready":
            sys.exit("bench/python.py: the other program does not start")
        pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
        ref = await xo.actor_ref(address, "echo")
        return {
            f"{name}_call_us": figures_of(await call_times(ref.echo, 1000 * k)),
            f"{name}_calls_per_s": await rate(1000 * k, lambda: gather(1000 * k, ref.echo)),
            **await bulk_rate(ref, f"{name}_64mib_gib_s"),
        }
    finally:
        if pool:
            await pool.stop()
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the work")
    parser.add_argument("--far", metavar="PREFIX", help="of the names of the figures")
    parser.add_argument("--serve", metavar="ADDRESS", help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    if args.serve:
        asyncio.run(serve(args.serve))
        return
    k = 1 if args.quick else 5
    json.dump(asyncio.run(measure_far(args.far, k) if args.far else measure(k)), sys.stdout)
    print()


if __name__ == "__main__":
    main()
