#!/usr/bin/env python3
"""Operations of Python within one pool, as bench/count.c has those of C: `count.py once` for
callgrind --dump-before=getloadavg, `count.py ROUNDS` for the nanoseconds of the best round."""

import asyncio
import json
import logging
import os
import sys
import time

import xoscar as xo


class Echo(xo.Actor):
    def echo(self, value):
        return value

    @xo.extensible
    def item(self, value):
        return value


class Kinds:
    """Each does `count` operations."""

    def __init__(self, address, ref):
        self._address = address
        self._ref = ref
        self._created = 0

    async def floor_futures(self, count):
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(count)]
        for future in futures:
            loop.call_soon(future.set_result, None)
        await asyncio.gather(*futures)

    async def python_call(self, count):
        for i in range(count):
            await self._ref.echo(i)

    async def python_gather(self, count):
        await asyncio.gather(*[self._ref.echo(i) for i in range(count)])

    async def python_tell(self, count):
        for i in range(count):
            await self._ref.echo.tell(i)
        await self._ref.echo(0)

    async def python_batch(self, count):
        await self._ref.item.batch(*[self._ref.item.delay(i) for i in range(count)])

    async def python_create(self, count):
        for _ in range(count):
            self._created += 1
            await xo.create_actor(Echo, address=self._address, uid=f"a{self._created}")


COUNTS = {"floor_futures": 1000, "python_call": 1000, "python_gather": 1000, "python_tell": 1000,
          "python_batch": 1000, "python_create": 200}


async def once(kinds):
    for name, count in COUNTS.items():
        os.getloadavg()  # what callgrind counted since the last time is written now
        await getattr(kinds, name)(count)
        os.getloadavg()
    return COUNTS


async def best_of(kinds, rounds):
    best = {}
    for _ in range(rounds):
        for name, count in COUNTS.items():
            start = time.perf_counter_ns()
            await getattr(kinds, name)(count)
            each = (time.perf_counter_ns() - start) / count
            best[name] = min(each, best.get(name, each))
    return best


async def main(how):
    logging.disable(logging.WARNING)
    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    try:
        ref = await xo.create_actor(Echo, address=pool.external_address, uid="echo")
        kinds = Kinds(pool.external_address, ref)
        for name in COUNTS:  # caches are warm then
            await getattr(kinds, name)(5)
        if how == "once":
            print(json.dumps(await once(kinds)), flush=True)
            os._exit(0)  # stopping waits by pidfd_open(2), which valgrind does not know
        print(json.dumps(await best_of(kinds, int(how))))
    finally:
        await pool.stop()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: count.py once, or count.py ROUNDS")
    asyncio.run(main(sys.argv[1]))
