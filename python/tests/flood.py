"""What test_backpressure.py runs, with the bounds in its environment: floods an actor that takes
nothing, while another one behind the same links answers, and prints by how many bytes each process
has grown then, as JSON."""

import asyncio
import json
import os
import signal
import sys
import tempfile

import xoscar as xo

from test_bounds import stands_still


class Slow(xo.Actor):
    """Takes nothing while it is held."""

    def __init__(self):
        self.taken = 0

    async def hold(self, fifo):
        """Keeps the lock until somebody opens the fifo."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: open(fifo).close())

    def take(self, data):
        self.taken += 1

    def back(self, size):
        self.taken += 1
        return b"x" * size

    @xo.no_lock
    def count(self):
        return self.taken

    @xo.no_lock
    def pid(self):
        return os.getpid()


class Sender(xo.Actor):
    """Tells, or calls, as fast as it may."""

    def __init__(self):
        self.accepted = 0
        self.flooding = None

    @xo.no_lock
    async def flood(self, ref, count, size):
        """Goes on until all has been accepted; `accepted` says how far it is."""
        data = b"x" * size
        for _ in range(count):
            await ref.take.tell(data)
            self.accepted += 1

    @xo.no_lock
    async def call(self, ref, count, size, sent):
        """Says to `sent` that all calls have left; the number of answers that came."""
        calls = [ref.back(size) for _ in range(count)]
        await sent.set.tell()
        return len([answer for answer in await asyncio.gather(*calls) if len(answer) == size])

    @xo.no_lock
    async def still(self, other=None):
        """Returns when nothing more is accepted. `other` is behind the same link: once it has
        answered, what was accepted before has arrived, and its credit has come back."""
        before = None
        while before != self.accepted:
            before = self.accepted
            if other:
                assert await other.count() == 0
            await stands_still(lambda: self.accepted)
        return self.accepted

    @xo.no_lock
    def pid(self):
        return os.getpid()


class Event(xo.Actor):
    def __init__(self):
        self.event = asyncio.Event()

    def set(self):
        self.event.set()

    @xo.no_lock
    async def wait(self):
        await self.event.wait()


def memory(pid):
    """What the process takes: shared pages are counted once for all that have them."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))


class Growth:
    def __init__(self, **pids):
        self.pids = pids
        self.before = {name: memory(pid) for name, pid in pids.items()}

    def now(self):
        return {name: memory(pid) - self.before[name] for name, pid in self.pids.items()}


async def hold(actor):
    fifo = os.path.join(tempfile.mkdtemp(prefix="xo-py-"), "fifo")
    os.mkfifo(fifo)
    held = actor.hold(fifo)
    await actor.count()  # behind it
    return fifo, held


async def let_go(fifo, held):
    open(fifo, "w").close()
    await held
    os.unlink(fifo)
    os.rmdir(os.path.dirname(fifo))


async def handled(actor, count):
    while await actor.count() < count:
        await asyncio.sleep(0)


async def flooded(addresses, count, size, stopped=False):
    """One process against one actor that is held, or whose process stands still."""
    slow, other = [await xo.create_actor(Slow, address=addresses[1]) for _ in range(2)]
    sender = await xo.create_actor(Sender, address=addresses[0])
    await sender.flood(slow, 8, size)
    await handled(slow, 8)
    pid = await slow.pid()
    growth = Growth(sender=os.getpid(), receiver=pid)
    held = None if stopped else await hold(slow)
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    flood = sender.flood(slow, count, size)
    accepted = await sender.still(None if stopped else other) - 8
    grown = growth.now()
    if stopped:
        os.kill(pid, signal.SIGCONT)
    else:
        await let_go(*held)
    await flood
    await handled(slow, 8 + count)
    return {"accepted": accepted, "grown": grown}


async def held(addresses, count, size):
    return await flooded(addresses, count, size)


async def stopped(addresses, count, size):
    return await flooded(addresses, count, size, stopped=True)


async def many(addresses, count, size):
    """Each of the sub pools against an actor of the main pool."""
    slow, other = [await xo.create_actor(Slow, address=addresses[0]) for _ in range(2)]
    senders = [await xo.create_actor(Sender, address=address) for address in addresses[1:]]
    await asyncio.gather(*[sender.flood(slow, 8, size) for sender in senders])
    pids = {f"sender {i}": await sender.pid() for i, sender in enumerate(senders)}
    growth = Growth(receiver=os.getpid(), **pids)
    fifo = await hold(slow)
    floods = [sender.flood(slow, count, size) for sender in senders]
    accepted = await asyncio.gather(*[sender.still(other) for sender in senders])
    grown = growth.now()
    await let_go(*fifo)
    await asyncio.gather(*floods)
    await handled(slow, (8 + count) * len(senders))
    return {"accepted": sum(accepted) - 8 * len(senders), "grown": grown}


async def answers(addresses, count, size):
    """The caller's process stands still while its calls are answered."""
    slow = await xo.create_actor(Slow, address=addresses[0])
    sent = await xo.create_actor(Event, address=addresses[0])
    caller = await xo.create_actor(Sender, address=addresses[1])
    await caller.call(slow, 8, size, sent)
    await sent.wait()
    pid = await caller.pid()
    growth = Growth(callee=os.getpid(), caller=pid)
    fifo = await hold(slow)
    sent = await xo.create_actor(Event, address=addresses[0])
    calls = caller.call(slow, count, size, sent)
    await sent.wait()
    os.kill(pid, signal.SIGSTOP)
    await let_go(*fifo)
    taken = 0

    async def look():
        nonlocal taken
        while True:
            taken = await slow.count()

    looking = asyncio.ensure_future(look())
    await stands_still(lambda: taken)
    looking.cancel()
    grown = growth.now()
    os.kill(pid, signal.SIGCONT)
    assert await calls == count
    return {"accepted": taken - 8, "grown": grown}


async def main(case, pools, count, size):
    pool = await xo.create_actor_pool("127.0.0.1", n_process=pools)
    async with pool:
        config = await xo.get_pool_config(pool.external_address)
        addresses = config.get_external_addresses()
        print(json.dumps(await case(addresses, count, size)))


if __name__ == "__main__":
    asyncio.run(main(globals()[sys.argv[1]], *map(int, sys.argv[2:])))
