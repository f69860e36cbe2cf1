"""Processes that wait to become sub pools: who gets one, and that they are nobody's before."""

import os
import signal
import sys

import xoscar as xo
from actors import Echo
from test_broker_dies import another_broker, dies, kill_broker, until


class Pool(Echo):
    """Looks at its process."""

    def variables(self):
        return dict(os.environ)

    def surroundings(self):
        return sys.argv[1:], sys.path, os.getcwd(), os.read(0, 1), os.readlink("/proc/self/fd/0")

    def daemon(self):
        """A fork that has left its group; its process id."""
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.pause()
        return pid


def is_spare(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0XO_SPARE=1\0" in b"\0" + file.read()
    except OSError:
        return False


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def spares(pool):
    """The process ids of a node's spares that wait."""
    broker = pool._broker.process.pid
    with open(f"/proc/{broker}/task/{broker}/children", encoding="ascii") as file:
        pids = {int(pid) for pid in file.read().split()}
    return {pid for pid in pids if is_spare(pid)} - {p.pid for p in pool.sub_processes.values()}


async def has_spares(pool):
    await until(lambda: len(spares(pool)) == 2)
    return spares(pool)


async def make(**options):
    """(a node, an actor in its sub pool, whose death has brought spares)"""
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, **options)
    ref = await xo.create_actor(Pool, address=next(iter(pool.sub_processes)), uid="one")
    await dies(ref)
    return pool, ref


async def test_a_pool_comes_back_in_one():
    pool, ref = await make(envs=[{"LETTER": "a"}])
    async with pool:
        waiting = await has_spares(pool)
        assert await ref.pid() not in waiting
        variables, surroundings = await ref.variables(), await ref.surroundings()
        for _ in range(2):
            await dies(ref)
            assert await ref.pid() in waiting
            waiting.remove(await ref.pid())
        again = await ref.variables()
        assert again.pop("XO_POOL_GENERATION") == "4"
        del variables["XO_POOL_GENERATION"]
        assert again == variables
        assert await ref.surroundings() == surroundings


async def test_they_come_when_nothing_has_died():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        await has_spares(pool)


async def test_who_dies_more_often_comes_back_all_the_same():
    pool, ref = await make(restart_policy=xo.RestartPolicy(intensity=10))
    async with pool:
        await has_spares(pool)
        pids = {await ref.pid()}
        for _ in range(5):
            await dies(ref)
            pids.add(await ref.pid())
        assert len(pids) == 6


async def test_they_are_no_pools():
    pool, ref = await make()
    async with pool:
        waiting = await has_spares(pool)
        records = await xo.list_pools(pool.external_address)
        assert [r.address for r in records] == [pool.external_address, ref.address]
        for pid in waiting:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not spares(pool))
        records = await xo.list_pools(pool.external_address)
        assert [(r.state, r.generation) for r in records] == [("ready", 1), ("ready", 2)]
        await dies(ref)
        await has_spares(pool)


async def test_who_has_another_environment_gets_none():
    pool = await xo.create_actor_pool(
        "127.0.0.1", n_process=2, envs=[{"LETTER": "a"}, {"LETTER": "b"}]
    )
    async with pool:
        refs = [await xo.create_actor(Pool, address=address) for address in pool.sub_processes]
        await dies(refs[0])
        await has_spares(pool)  # like it
        for ref in refs:
            letter = (await ref.variables())["LETTER"]
            await dies(ref)
            assert (await ref.variables())["LETTER"] == letter


async def test_who_never_comes_back_needs_none():
    """...but one pool that does brings some."""
    async with await xo.create_actor_pool("127.0.0.1", 1, auto_recover=False) as pool:
        ref = await xo.create_actor(Pool, address=next(iter(pool.sub_processes)))
        other, _ = await make()
        async with other:
            await has_spares(other)
        assert not spares(pool)
        assert "XO_SPARE" not in await ref.variables()


async def test_they_end_with_the_node_and_the_last_pool():
    pool, ref = await make()
    async with pool:
        waiting = await has_spares(pool)
        await pool.remove_sub_pool(ref.address)
        await until(lambda: all(is_gone(pid) for pid in waiting))
        await dies(await xo.create_actor(Pool, address=await pool.append_sub_pool()))
        waiting = await has_spares(pool)
    assert all(is_gone(pid) for pid in waiting)


async def test_they_end_with_the_broker():
    pool, ref = await make()
    async with pool:
        waiting = await has_spares(pool)
        kill_broker(pool)
        await until(lambda: all(is_gone(pid) for pid in waiting))
        await dies(ref)
        await has_spares(pool)


async def test_what_it_forks_ends_with_it_also_after_the_broker():
    pool, ref = await make()
    async with pool:
        await has_spares(pool)
        await dies(ref)
        assert is_spare(await ref.pid())
        daemon = await ref.daemon()
        await dies(ref)
        await until(lambda: is_gone(daemon))
        assert is_spare(await ref.pid())
        daemon = await ref.daemon()
        await another_broker(pool)
        await dies(ref)
        await until(lambda: is_gone(daemon))
