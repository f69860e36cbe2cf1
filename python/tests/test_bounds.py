"""Mailboxes are bounded: who sends too much waits, and nothing is lost or overtaken."""

import asyncio
import os
import shutil
import tempfile

import xoscar as xo
from actors import in_each_pool, make


class Counting(xo.Actor):
    def __init__(self):
        self.taken = []

    async def hold(self, fifo):
        """Keeps the lock until somebody opens the fifo: messages could not get in any more."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: open(fifo).close())

    def take(self, number, data=b""):
        self.taken.append(number)

    def order(self):
        return self.taken


async def held_actor(address):
    fifo = os.path.join(tempfile.mkdtemp(prefix="xo-py-"), "fifo")
    os.mkfifo(fifo)
    actor = await make(Counting, address)
    held = actor.hold(fifo)
    return actor, fifo, held


async def let_go(fifo, held):
    open(fifo, "w").close()
    await held
    shutil.rmtree(os.path.dirname(fifo))


async def stands_still(count):
    """Returns when count() stays the same over many rounds of the loop: what has room or credit is
    accepted within one, and neither comes back while the actor is held."""
    seen, rounds = None, 0
    while rounds < 1000:
        rounds = rounds + 1 if seen == count() else 0
        seen = count()
        await asyncio.sleep(0)


@in_each_pool
async def test_a_full_mailbox_pushes_back(address):
    actor, fifo, held = await held_actor(address)
    accepted = 0

    async def flood():
        nonlocal accepted
        for number in range(80_000):
            await actor.take.tell(number)
            accepted += 1

    flooding = asyncio.ensure_future(flood())
    await stands_still(lambda: accepted)
    assert 0 < accepted < 80_000 and not flooding.done()
    behind = actor.order()  # after a tell that waits already
    told = accepted + 1
    await let_go(fifo, held)
    await flooding
    order = await behind
    assert order == list(range(len(order))) and len(order) >= told
    assert await actor.order() == list(range(80_000))


@in_each_pool
async def test_a_mailbox_is_bounded_in_bytes(address):
    actor, fifo, held = await held_actor(address)
    data = b"x" * (16 << 20)
    tells = [actor.take.tell(i, data) for i in range(24)]
    await stands_still(lambda: sum(tell.done() for tell in tells))
    assert 0 < sum(tell.done() for tell in tells) < 24
    await let_go(fifo, held)
    await asyncio.gather(*tells)
    assert await actor.order() == list(range(24))
