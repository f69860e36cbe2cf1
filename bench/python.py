#!/usr/bin/env python3
"""Measure the xoscar API and print the figures as one JSON object.

Only the public API is used, so this runs against any package that can be imported as ``xoscar``.
Names say the unit: _us is a time (less is better), _per_s and _gib_s are rates (more is better).
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time

IMPORT_START = time.perf_counter()
import xoscar as xo  # noqa: E402

IMPORT_S = time.perf_counter() - IMPORT_START

WARM_UP_CALLS = 200
BULK_BYTES = 64 << 20
BULK_CALLS = 4
KILLS = 3


class Echo(xo.Actor):
    def __init__(self):
        self._told = 0

    def echo(self, value):
        return value

    def told(self, value):
        self._told += value

    def count(self):
        return self._told

    def size(self, data):
        return len(data)

    def pid(self):
        return os.getpid()

    @xo.extensible
    def item(self, value):
        return value


class Source(xo.Actor):
    @xo.generator
    async def numbers(self, count):
        for i in range(count):
            yield i


def percentile(times, part):
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] * 1e6


async def call_times(ref, calls):
    times = []
    for i in range(calls):
        start = time.perf_counter()
        await ref.echo(i)
        times.append(time.perf_counter() - start)
    return times


class Caller(xo.Actor):
    """Calls another actor from its own pool."""

    def __init__(self, ref):
        self._ref = ref

    async def times(self, calls):
        return await call_times(self._ref, calls)


async def rate(count, work):
    """How many a second; `work` is called here, since a call may begin before it is awaited."""
    start = time.perf_counter()
    await work()
    return count / (time.perf_counter() - start)


async def tell_all(ref, count):
    base = await ref.count()
    for _ in range(count):
        await ref.told.tell(1)
    if await ref.count() != base + count:
        sys.exit("bench/python.py: a call overtook a tell")


async def measure_calls(ref, local, caller, k):
    await call_times(ref, WARM_UP_CALLS)
    times = await call_times(ref, 1000 * k)
    out = {"call_p50_us": percentile(times, 0.5), "call_p99_us": percentile(times, 0.99)}
    await caller.times(WARM_UP_CALLS)
    times = await caller.times(1000 * k)
    out["sub_to_sub_p50_us"] = percentile(times, 0.5)
    out["same_pool_p50_us"] = percentile(await call_times(local, 2000 * k), 0.5)
    return out


async def consume(source, count):
    total = 0
    async for item in await source.numbers(count):
        total += item
    if total != count * (count - 1) // 2:
        sys.exit("bench/python.py: items of a stream were lost")


async def measure_streams(source, k):
    return {"stream_items_per_s": await rate(2000 * k, lambda: consume(source, 2000 * k))}


async def measure_rates(ref, k):
    calls = 2000 * k

    def gathered():
        return asyncio.gather(*[ref.echo(i) for i in range(calls)])

    def batch():
        return ref.item.batch(*[ref.item.delay(i) for i in range(calls)])

    return {
        "calls_per_s": await rate(calls, gathered),
        "tells_per_s": await rate(calls, lambda: tell_all(ref, calls)),
        "batch_items_per_s": await rate(calls, batch),
    }


async def measure_bulk(ref):
    data = bytes(BULK_BYTES)
    await ref.size(data)

    async def send():
        for _ in range(BULK_CALLS):
            if await ref.size(data) != BULK_BYTES:
                sys.exit("bench/python.py: bytes were lost")

    return {"send_64mib_gib_s": await rate(BULK_CALLS * BULK_BYTES / (1 << 30), send)}


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
        local = await xo.create_actor(Echo, address=main, uid="local")
        caller = await xo.create_actor(Caller, ref, address=second, uid="caller")
        out.update(await measure_calls(ref, local, caller, k))
        out.update(await measure_rates(ref, k))
        source = await xo.create_actor(Source, address=first, uid="source")
        out.update(await measure_streams(source, k))
        out.update(await measure_bulk(ref))
        out.update(await measure_recovery(ref))
    finally:
        await pool.stop()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the work")
    args = parser.parse_args()
    json.dump(asyncio.run(measure(1 if args.quick else 5)), sys.stdout)
    print()


if __name__ == "__main__":
    main()
