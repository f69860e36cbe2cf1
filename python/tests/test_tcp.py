"""A pool that is reached by tcp only, as one on another machine: large buffers, both ways, in
order, and small calls beside them."""

import os
import subprocess
import sys

from actors import DEADLINE_S

PROGRAM = '''
import asyncio

import numpy as np
import xoscar as xo


class Store(xo.Actor):
    def __init__(self):
        self.log = []

    def put(self, name, value=None):
        self.log.append((name, None if value is None else float(value.sum())))
        return len(self.log)

    def get(self, count):
        return np.arange(count)

    def all(self):
        return self.log


async def main():
    big = np.ones(3_000_000)
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        sub = list(pool.sub_processes)[0]
        store = await xo.create_actor(Store, address=sub)
        other = await xo.create_actor(Store, address=sub)
        puts = [store.put("big", big), store.put("small"), store.put("big", big * 2)]
        await asyncio.gather(*puts, *[other.put(i) for i in range(100)])
        assert await store.all() == [("big", 3e6), ("small", None), ("big", 6e6)]
        assert [name for name, _ in await other.all()] == list(range(100))
        got, again = await asyncio.gather(store.get(1_000_000), other.get(300_000))
        assert (got == np.arange(1_000_000)).all() and (again == np.arange(300_000)).all()
        assert not np.may_share_memory(got, again)


asyncio.run(main())
'''


def test_large_values_over_tcp():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=dict(os.environ, XO_LANES="tcp"),
        timeout=DEADLINE_S,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
