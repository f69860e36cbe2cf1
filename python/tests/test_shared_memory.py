"""Large buffers between processes of a node: they arrive where they were written, belong to who
received them, and their memory is given back when the last view dies."""

import asyncio
import gc
import os
import signal
import warnings

import numpy as np
import pytest

import xoscar as xo

pytestmark = pytest.mark.skipif(
    "shm" not in os.environ.get("XO_LANES", "shm"), reason="needs shared memory"
)
COUNT = 100_000
BYTES = 8 * COUNT


def is_view(array):
    return not array.flags.owndata and array.base is not None


class Holder(xo.StatelessActor):
    """Keeps what it gets."""

    def __init__(self):
        self.held = None

    def hold(self, value):
        self.held = value
        return is_view(value), bool(value.flags.writeable)

    def drop(self):
        self.held = None
        gc.collect()

    def total(self):
        return float(self.held.sum())

    def add(self, number):
        self.held += number

    def get(self):
        return self.held

    def make(self, number):
        self.held = np.full(COUNT, number)
        return self.held

    def send_to(self, other):
        return other.hold(self.held)

    def lent_bytes(self):
        return xo.lent_bytes()

    def pid(self):
        return os.getpid()

    def fork(self):
        """A child that looks at what is held when it is asked to."""
        there, self.ready = os.pipe()
        with warnings.catch_warnings():  # of threads, from Python 3.12 on
            warnings.simplefilter("ignore")
            self.child = os.fork()
        if self.child == 0:
            os.close(self.ready)
            os.read(there, 1)
            os._exit(0 if self.held.sum() == COUNT else 1)
        os.close(there)

    def end_of_child(self):
        os.close(self.ready)
        return os.waitpid(self.child, 0)[1]


async def holders(pool):
    return [
        await xo.create_actor(Holder, address=address, uid=f"holder-{i}")
        for i, address in enumerate(pool.sub_processes)
    ]


async def node(n_process=1):
    return await xo.create_actor_pool("127.0.0.1", n_process=n_process)


async def test_an_argument_arrives_as_a_view():
    async with await node() as pool:
        (holder,) = await holders(pool)
        array = np.ones(COUNT)
        assert await holder.hold(array) == (True, True)
        assert BYTES <= xo.lent_bytes() < 2 * BYTES
        array[:] = 2  # the sender's own
        assert await holder.total() == COUNT
        await holder.add(1)
        assert await holder.total() == 2 * COUNT and array.sum() == 2 * COUNT
        await holder.drop()
        assert xo.lent_bytes() == 0


async def test_a_result_arrives_as_a_view():
    async with await node() as pool:
        (holder,) = await holders(pool)
        array = await holder.make(3)
        assert is_view(array) and array.flags.writeable
        assert await holder.lent_bytes() >= BYTES
        await holder.add(1)  # the actor's own
        array *= 2
        assert array.sum() == 6 * COUNT and await holder.total() == 4 * COUNT
        part = array[10:20]
        del array
        assert await holder.lent_bytes() >= BYTES
        assert part.sum() == 60
        del part
        assert await holder.lent_bytes() == 0


async def test_a_tell_is_written_down_at_once():
    async with await node() as pool:
        (holder,) = await holders(pool)
        array = np.ones(COUNT)
        for _ in range(20):
            tells = holder.hold.tell(array)
            array += 1
            await tells
        assert await holder.total() == 20 * COUNT


async def test_what_arrived_is_sent_on():
    async with await node(2) as pool:
        one, two = await holders(pool)
        await one.hold(np.ones(COUNT))
        assert await one.send_to(two) == (True, True)
        await one.add(1)
        assert await two.total() == COUNT and await one.total() == 2 * COUNT
        back = await two.get()
        await one.drop()
        await two.drop()
        assert back.sum() == COUNT and xo.lent_bytes() == 0


async def test_memory_is_used_again():
    async with await node() as pool:
        (holder,) = await holders(pool)
        for i in range(50):
            assert (await holder.hold(np.full(COUNT, i))) == (True, True)
            assert xo.lent_bytes() < 4 * BYTES
            assert await holder.total() == i * COUNT


async def test_who_is_killed_gives_back():
    async with await node() as pool:
        (holder,) = await holders(pool)
        await holder.hold(np.ones(COUNT))
        theirs = await holder.make(5)
        assert xo.lent_bytes() == 0 and await holder.hold(np.ones(COUNT))
        assert xo.lent_bytes() >= BYTES
        os.kill(await holder.pid(), signal.SIGKILL)
        with pytest.raises(xo.errors.ServerClosed):
            while True:
                await holder.pid()
        while xo.lent_bytes():  # once the link has ended, too
            await asyncio.sleep(0)
        theirs += 1  # is still there
        assert theirs.sum() == 6 * COUNT


async def test_a_child_keeps_what_its_parent_had():
    async with await node() as pool:
        (holder,) = await holders(pool)
        await holder.hold(np.ones(COUNT))
        await holder.fork()
        for _ in range(10):
            await holder.hold(np.full(COUNT, 7))
        assert await holder.end_of_child() == 0
