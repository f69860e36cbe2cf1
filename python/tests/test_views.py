"""The registry's view, and the functions as a context's methods."""

import inspect
import os
import subprocess
import sys
import textwrap

import pytest

import xoscar as xo
from actors import Echo, make
from xoscar.context import get_context


def of_node(records, node):
    return [record for record in records if record.node == node]


async def test_the_views_of_a_node():
    labels = ["main", "a", None]
    async with await xo.create_actor_pool("127.0.0.1", n_process=2, labels=labels) as pool:
        config = await xo.get_pool_config(pool.external_address)
        addresses = config.get_external_addresses()
        refs = [
            await xo.create_actor(Echo, uid=uid, address=address)
            for uid, address in zip(("one", b"\xff\0", "three"), addresses)
        ]
        actors = await xo.list_actors()
        assert {(a.uid, a.address) for a in actors} == {(r.uid, r.address) for r in refs}
        assert {a.ref for a in actors} == set(refs)
        assert {(a.class_name, a.state) for a in actors} == {("actors:Echo", "running")}
        assert len({a.incarnation for a in actors}) >= 1 and len({a.pool for a in actors}) == 3

        (node,) = await xo.list_nodes()
        assert node.state == "ready" and node.pools == 3 and node.actors == 3
        assert node.address in addresses and node.pid != os.getpid() and node.started > 1e9

        pools = await xo.list_pools()
        assert {p.node for p in pools} == {a.node for a in actors} == {node.id}
        assert {p.id for p in pools} == {a.pool for a in actors}
        by_index = {p.index: p for p in pools}
        assert [by_index[i].address for i in range(3)] == addresses
        assert [by_index[i].label for i in range(3)] == labels
        assert by_index[0].pid == os.getpid() and by_index[1].state == "ready"
        for address in addresses:
            assert {a.uid for a in await xo.list_actors(address)} == {r.uid for r in refs}
        await refs[1].destroy()
        assert b"\xff\0" not in {a.uid for a in await xo.list_actors()}


async def test_an_actor_is_listed_as_soon_as_it_is_there():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        (address,) = pool.sub_processes
        for i in range(50):
            ref = await make(Echo, address)
            assert ref.uid in {a.uid for a in await xo.list_actors()}
            await ref.destroy()
            assert ref.uid not in {a.uid for a in await xo.list_actors()}


CLIENT = """
    import asyncio, sys
    import xoscar as xo

    async def main():
        address = sys.argv[1] if len(sys.argv) > 1 else None
        for view in xo.list_actors, xo.list_pools, xo.list_nodes:
            print(len(await view(address)))

    asyncio.run(main())
"""


def ask(*args):
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), *args]
    return subprocess.run(command, capture_output=True, text=True)


async def test_from_a_process_without_a_pool():
    import asyncio

    loop = asyncio.get_running_loop()
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        await make(Echo, pool.external_address)
        for args in ((), (pool.external_address,)):
            answer = await loop.run_in_executor(None, lambda args=args: ask(*args))
            assert answer.stdout.split() == ["1", "2", "1"], answer.stderr


async def test_where_there_is_no_node():
    for view in (xo.list_actors, xo.list_pools, xo.list_nodes):
        with pytest.raises(xo.ServerClosed):
            await view("127.0.0.1:1")
        with pytest.raises(ValueError):
            await view("no address")
    assert "no node" in ask().stderr


async def test_the_context_has_the_functions():
    context = get_context()
    assert get_context() is context
    names = [name for name in xo.__all__ if inspect.isroutine(getattr(xo, name))]
    assert {"create_actor", "extensible", "set_debug_options", "setup_cluster"} < set(names)
    for name in names:
        assert getattr(context, name) is getattr(xo, name) and name in dir(context)
    with pytest.raises(AttributeError, match="no_such_thing"):
        context.no_such_thing
    async with await context.create_actor_pool("127.0.0.1", n_process=0) as pool:
        ref = await context.create_actor(Echo, "tag", address=pool.external_address)
        assert await (await context.actor_ref(ref)).tagged() == "tag"
        assert await context.wait_for(ref.echo(1), 30) == 1
        assert await context.has_actor(ref)
        await context.destroy_actor(ref)
        assert not await context.has_actor(ref)


async def test_the_system_s_actors_are_nobody_s():
    labels = [None, "same", "same"]
    async with await xo.create_actor_pool("127.0.0.1", n_process=2, labels=labels) as pool:
        config = await xo.get_pool_config(pool.external_address)
        first = config.get_external_address(1)
        target = bytearray(4)
        ref, memory = await make(Holds, first), xo.buffer_ref(pool.external_address, target)
        await xo.copy_to([b"data"] * 2, [memory, await ref.hold()])
        copiers = [xo.create_actor_ref(a, "xo.copy") for a in (pool.external_address, first)]
        assert [await xo.has_actor(copier) for copier in copiers] == [True, True]
        assert [actor.uid for actor in await xo.list_actors()] == [ref.uid]
        assert {p.address: p.actors for p in await xo.list_pools()}[first] == 1
        assert [node.actors for node in await xo.list_nodes()] == [1]
        await ref.destroy()
        emptiest = xo.allocate_strategy.LeastLoaded("same")
        new = await xo.create_actor(Holds, allocate_strategy=emptiest)
        assert new.address == first
        await xo.kill_actor(new)
        await xo.wait_actor_pool_recovered(first)
        assert not await xo.has_actor(copiers[1])
        await xo.copy_to([b"more"], [await new.hold()])
        assert await new.held() == b"more"


async def test_uids_of_the_system_are_not_for_others():
    async with await xo.create_actor_pool("127.0.0.1", n_process=0):
        for uid in ("xo.copy", b"xo.mine"):
            with pytest.raises(ValueError, match="xo.*system"):
                await xo.create_actor(Echo, uid=uid)
        assert await (await xo.create_actor(Echo, uid="xo")).echo(1) == 1


class Holds(xo.Actor):
    def hold(self):
        self.memory = bytearray(4)
        return xo.buffer_ref(self.address, self.memory)

    def held(self):
        return bytes(self.memory)
