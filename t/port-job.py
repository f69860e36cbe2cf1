"""Both ends of t/0538-port.t:

serve ADDRESS [POOLS]   a node whose actors do what they are asked; prints its pools' addresses
ask ADDRESS THEIRS...   asks all that goes between nodes, in both directions, and says "ok"
wait ADDRESS THEIRS...  waits for answers until theirs have gone
"""

import asyncio
import os
import sys
import time

import xoscar as xo

CALLS = 500
BULK = bytes(range(256)) * (8 << 12)  # 8 MiB


class Server(xo.Actor):
    def __init__(self):
        self.seen = []

    def echo(self, value):
        return value

    def note(self, value):
        self.seen.append(value)

    def notes(self):
        return self.seen

    def fail(self):
        raise ValueError("as it was asked to")

    def die(self):
        os._exit(3)

    async def nest(self):
        """A node within this node's pool."""
        pool, addresses, refs = await make_node("127.0.0.1:0", 1)
        assert [await ref.echo(1) for ref in refs] == [1, 1]
        await pool.stop()
        return addresses

    @xo.no_lock
    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    @xo.generator
    async def count(self, number):
        for i in range(number):
            yield i, b"x" * (i % 2 * 100_000)

    async def call_back(self, ref, value):
        return await ref.echo(value)

    @xo.no_lock
    async def pass_on(self, other, ref, value):
        """Has another actor of this node call back, which may never have heard of that one."""
        return await other.call_back(ref, value)


async def make_node(address, pools):
    pool = await xo.create_actor_pool(address, n_process=pools)
    addresses = [pool.external_address, *(p.address for p in pool.sub_processes.values())]
    return pool, addresses, [await xo.create_actor(Server, uid=f"server {i}", address=a)
                             for i, a in enumerate(addresses)]


async def serve(address, pools="2"):
    pool, addresses, _ = await make_node(address, int(pools))
    print(*addresses, flush=True)
    await pool.join()


async def calls(ref):
    assert await ref.echo({"a": [1, None]}) == {"a": [1, None]}
    assert await ref.echo(BULK) == BULK
    numbers = list(range(CALLS))
    await asyncio.gather(*(ref.note(n) for n in numbers))
    for n in numbers:
        await ref.note.send(n) if n % 7 else await ref.note.tell(n)
    assert await ref.notes() == numbers * 2
    assert await ref.echo.batch(*(ref.echo.delay(n) for n in numbers)) == numbers


async def ends(ref):
    try:
        await ref.fail()
        raise AssertionError("no exception")
    except ValueError as error:
        assert "as it was asked to" in str(error), error
    items = [item async for item in await ref.count(100)]
    assert [i for i, _ in items] == list(range(100)), items
    for limit in (xo.wait_for, asyncio.wait_for):
        try:
            await limit(ref.sleep(3600), 0.1)
            raise AssertionError("no timeout")
        except asyncio.TimeoutError:
            pass
    assert await ref.echo(1) == 1  # nothing is in its way


async def deaths(ref):
    """Who watches it is told, and who waits for it, and when it is back it is reached again."""
    told = asyncio.get_running_loop().create_future()
    await xo.monitor(ref, told.set_result)
    waiting = asyncio.ensure_future(ref.sleep(3600))
    await ref.echo(1)
    for call in (ref.die(), waiting):
        try:
            await call
            raise AssertionError("no ServerClosed")
        except xo.errors.ServerClosed:
            pass
    assert await told
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            await xo.create_actor(Server, uid="again", address=ref.address)
            return
        except (xo.errors.ServerClosed, xo.errors.ActorAlreadyExist):
            await asyncio.sleep(0.05)
    raise AssertionError("it did not come back")


async def ask(address, *theirs):
    pool, _, ours = await make_node(address, 1)
    start = time.monotonic()
    refs = [await xo.actor_ref(a, f"server {i}") for i, a in enumerate(theirs)]
    print("seconds", time.monotonic() - start, flush=True)
    for ref in refs:
        await calls(ref)
        await ends(ref)
    for own in ours:
        for ref in refs:
            assert await ref.call_back(own, "there and back") == "there and back"
            assert await refs[0].pass_on(ref, own, BULK) == BULK
    assert len(await refs[1].nest()) == 2
    await deaths(refs[-1])
    try:
        host, _, number = theirs[0].rpartition(":")
        await xo.actor_ref(f"{host}:{int(number) + 900}", "nobody")
        raise AssertionError("no ServerClosed")
    except xo.errors.ServerClosed as error:
        print("nobody:", error, flush=True)
    await pool.stop()
    print("ok", flush=True)


async def wait(address, *theirs):
    """Is told that the machine of those it waits for has fallen silent."""
    pool, _, _ = await make_node(address, 1)
    refs = [await xo.actor_ref(a, f"server {i}") for i, a in enumerate(theirs)]
    calls_ = [asyncio.ensure_future(ref.sleep(3600)) for ref in refs]
    for ref in refs:
        await ref.echo(1)
    print("waiting", flush=True)
    for call in calls_:
        try:
            await call
            raise AssertionError("no ServerClosed")
        except xo.errors.ServerClosed:
            pass
    await pool.stop()
    print("ok", flush=True)


asyncio.run({"serve": serve, "ask": ask, "wait": wait}[sys.argv[1]](*sys.argv[2:]))
