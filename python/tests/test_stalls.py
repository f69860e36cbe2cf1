"""Sub pools whose event loop stands still: shown as suspect, ended only if that was asked for."""

import asyncio
import os
import struct
import time

import pytest

import xoscar as xo
from actors import DEADLINE_S, Stuck


async def start(**options):
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, **options)
    config = await xo.get_pool_config(pool.external_address)
    return pool, config.get_external_address(1)


async def sub_pool(address, wanted):
    """Its record, once it is as wanted."""
    while True:
        (record,) = (r for r in await xo.list_pools() if r.address == address)
        if wanted(record):
            return record
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("method", ["spin", "spin_later"])
async def test_a_method_that_never_awaits_makes_its_pool_suspect(tmp_path, method):
    pool, address = await start()
    async with pool:
        ref = await xo.create_actor(Stuck, uid="stuck", address=address)
        file = tmp_path / "spin"
        file.touch()
        call = getattr(ref, method)(str(file))
        record = await sub_pool(address, lambda r: r.state == "suspect")
        assert record.busy_actor == "stuck" and record.busy_method == method
        assert abs(time.time() - record.busy_since) < DEADLINE_S
        assert f'in method "{method}" of actor "stuck"' in record.reason
        file.unlink()
        assert await call == record.pid
        record = await sub_pool(address, lambda r: r.state == "ready")
        assert record.busy_method is None and record.generation == 1


def is_asleep(pid):
    """Does the progress page of the pool's process (doc/wire.md) say that its loop sleeps?"""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        if os.path.lexists(path) and os.readlink(path).startswith("/memfd:"):
            with open(path, "rb") as file:
                magic, count = struct.unpack("8sQ", file.read(16))
            if magic.startswith(b"xoprog"):
                return count % 4 == 3
    raise AssertionError("there is no progress page")


@pytest.mark.skipif(os.environ.get("XO_TEST_LOOP") == "uvloop", reason="uvloop does not say so")
async def test_a_main_pool_shows_that_its_loop_sleeps(node):
    """Its loop is another thread's than the one that looks."""
    while not is_asleep(os.getpid()):
        await asyncio.sleep(0.01)


async def test_what_is_no_method_makes_its_pool_suspect_too(tmp_path):
    pool, address = await start(use_uvloop=False)
    async with pool:
        ref = await xo.create_actor(Stuck, uid="stuck", address=address)
        file = tmp_path / "spin"
        file.touch()
        await ref.spin_outside(str(file))
        record = await sub_pool(address, lambda r: r.state == "suspect")
        assert record.busy_method is None and record.reason == "lost heartbeats"
        assert not is_asleep(record.pid)
        file.unlink()
        await sub_pool(address, lambda r: r.state == "ready" and is_asleep(r.pid))


async def test_a_thread_that_keeps_the_gil_makes_its_pool_suspect(tmp_path):
    """What wakes its loop up shows on its progress page, although Python code cannot go on."""
    pool, address = await start(use_uvloop=False)
    async with pool:
        ref = await xo.create_actor(Stuck, uid="stuck", address=address)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        await ref.keep_gil_later(str(pipe))
        await sub_pool(address, lambda r: is_asleep(r.pid))
        with open(pipe, "wb"):
            record = await sub_pool(address, lambda r: r.state == "suspect")
            assert record.busy_method is None and not is_asleep(record.pid)
        await sub_pool(address, lambda r: r.state == "ready")


async def test_what_a_pool_is_in_is_seen_before_it_is_suspect(tmp_path):
    pool, address = await start()
    async with pool:
        ref = await xo.create_actor(Stuck, uid="stuck", address=address)
        file = tmp_path / "spin"
        file.touch()
        call = ref.spin(str(file))
        record = await sub_pool(address, lambda r: r.busy_method == "spin")
        assert record.state == "ready" or record.state == "suspect"
        file.unlink()
        await call


async def test_with_a_hang_timeout_it_is_killed_and_comes_back(tmp_path):
    pool, address = await start(hang_timeout=8)
    async with pool:
        ref = await xo.create_actor(Stuck, "kept", uid="stuck", address=address)
        file = tmp_path / "spin"
        file.touch()
        with pytest.raises(xo.ServerClosed) as raised:
            await ref.spin(str(file))
        assert raised.value.executed == "maybe"
        if raised.value.reason != "connection lost":  # a machine that is slow to end a process
            assert raised.value.reason.startswith("hang: its loop stood still for ")
            assert raised.value.reason.endswith('in method "spin" of actor "stuck"')
        await xo.wait_actor_pool_recovered(address)
        assert await ref.tagged() == "kept"


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
async def test_a_hang_timeout_is_positive(wrong):
    with pytest.raises(ValueError, match="hang_timeout is from"):
        await xo.create_actor_pool("127.0.0.1", n_process=1, hang_timeout=wrong)


@pytest.mark.parametrize("wrong", ["1", True, []])
async def test_a_hang_timeout_is_a_number(wrong):
    with pytest.raises(TypeError, match="hang_timeout is a number"):
        await xo.create_actor_pool("127.0.0.1", n_process=1, hang_timeout=wrong)
