"""Sub pools whose event loop stands still: shown as suspect, ended only if that was asked for."""

import asyncio
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
