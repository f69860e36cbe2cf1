"""Two main pools in one loop: what an actor does without an address is done in its own pool."""

import asyncio
import contextlib

import pytest

import xoscar as xo
from actors import Echo, make
from xoscar.backends.router import Router


class Creator(xo.Actor):
    """Creates actors without saying where, in all ways."""

    def __init__(self):
        self.at_first = Router.get_instance().external_address

    async def __post_create__(self):
        self.child = await xo.create_actor(Echo)

    def children(self):
        return self.at_first, self.child.address

    async def create(self):
        return (await xo.create_actor(Echo)).address

    async def create_after(self, ref):
        await ref.routed()
        return await self.create()

    def create_outside(self):  # awaited after the method
        return self.create()

    def start(self):
        self.task = asyncio.get_running_loop().create_task(self.create())

    async def started(self):
        return await self.task

    async def create_in_tasks(self):
        return await asyncio.gather(self.create(), asyncio.create_task(self.create()))

    def call_later(self):
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(lambda: done.set_result(Router.get_instance().external_address))
        return done

    def routed(self):
        return Router.get_instance().external_address

    async def in_a_thread(self):
        def use():
            return asyncio.run(no_pool())

        return await asyncio.get_running_loop().run_in_executor(None, use)

    @xo.generator
    async def stream(self):
        yield await self.create()


async def no_pool():
    return Router.get_instance()


class Stateless(Creator, xo.StatelessActor):
    pass


@contextlib.asynccontextmanager
async def two_pools():
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as one:
        async with await xo.create_actor_pool("127.0.0.1", n_process=1) as two:
            yield one, two


async def everything(ref, other):
    """Where the actor has created and looked."""
    await ref.start()
    found = [*await ref.children(), await ref.create(), await ref.create_after(other)]
    found += [await ref.create_outside(), await ref.started(), *await ref.create_in_tasks()]
    found += [await ref.call_later(), await ref.routed()]
    async for address in await ref.stream():
        found.append(address)
    return set(found)


@pytest.mark.parametrize("cls", [Creator, Stateless])
async def test_each_actor_s_own(cls):
    async with two_pools() as (one, two):
        addresses = one.external_address, two.external_address
        refs = [await make(cls, address) for address in addresses]
        for mine, other in ((0, 1), (1, 0)):
            assert await everything(refs[mine], refs[other]) == {addresses[mine]}
        (sub,) = two.sub_processes
        assert await everything(await make(cls, sub), refs[0]) == {sub}
        assert (await xo.create_actor(Echo)).address == addresses[0]
        assert Router.get_instance().external_address == addresses[0]


async def test_who_calls_does_not_count():
    async with two_pools() as (one, two):
        first = await make(Creator, one.external_address)
        second = await make(Relay, two.external_address)
        assert await second.ask(first) == [one.external_address] * 2
        assert await second.where() == two.external_address


class Relay(xo.Actor):
    async def ask(self, ref):
        return [await ref.create(), await ref.routed()]

    async def where(self):
        return (await xo.create_actor(Echo)).address


async def test_a_loop_of_a_thread_has_none():
    async with two_pools() as (_, two):
        ref = await make(Creator, two.external_address)
        assert await ref.in_a_thread() is None


async def test_the_first_one_ends():
    one = await xo.create_actor_pool("127.0.0.1", n_process=0)
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as two:
        ref = await make(Creator, two.external_address)
        assert await ref.create() == two.external_address
        await one.stop()
        assert await ref.create() == two.external_address
        assert await ref.routed() == two.external_address
