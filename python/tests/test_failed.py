"""What callers hear of actors and pools that have failed, or are being started again."""

import asyncio
import os
import subprocess

import pytest

import xoscar as xo
from actors import DEADLINE_S


class Picky(xo.Actor):
    """Can be created only as long as a file is there."""

    def __init__(self, path):
        with open(path, encoding="utf-8"):
            pass

    def touch(self):
        return True

    def exit(self):
        os._exit(3)


async def start():
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2, auto_recover="actor")
    return (pool, *pool.sub_processes)


async def one_that_could_not_be_created_again(path):
    pool, one, two = await start()
    async with pool:
        ref = await xo.create_actor(Picky, path, uid="picky", address=one)
        os.unlink(path)
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(one)
        for call in (ref.touch(), xo.actor_ref(one, "picky"), xo.actor_ref(two, "picky")):
            with pytest.raises(xo.ActorNotExist, match="FileNotFoundError"):
                await call
        assert not await xo.has_actor(ref)
        with open(path, "w", encoding="utf-8"):
            pass
        await xo.create_actor(Picky, path, uid="picky", address=one)
        assert await ref.touch() and await xo.actor_ref(two, "picky") == ref
        with pytest.raises(xo.ActorNotExist) as caught:
            await xo.actor_ref(two, "never was")
        assert "failed" not in str(caught.value)


def test_an_actor_that_could_not_be_created_again(tmp_path):
    path = tmp_path / "condition"
    path.write_text("")
    asyncio.run(asyncio.wait_for(one_that_could_not_be_created_again(str(path)), DEADLINE_S))


async def exit_until_given_up(ref, address):
    while True:
        with pytest.raises(xo.ServerClosed, match="died") as caught:
            await ref.exit()
        assert caught.value.reason == "exit status 3" and caught.value.executed == "maybe"
        try:
            await xo.wait_actor_pool_recovered(address)
        except xo.ServerClosed as error:
            assert "given up" in str(error)
            return


async def call_with_xo(address):
    process = await asyncio.create_subprocess_exec(
        "xo", "call", f"{address}/picky", "touch", stderr=subprocess.PIPE
    )
    _, text = await process.communicate()
    return process.returncode, text.decode()


async def one_whose_pool_was_given_up(path):
    pool, one, two = await start()
    async with pool:
        ref = await xo.create_actor(Picky, path, uid="picky", address=one)
        await exit_until_given_up(ref, one)
        with pytest.raises(xo.ServerClosed, match="given up after 5 restarts"):
            await xo.wait_actor_pool_recovered(one, pool.external_address)
        calls = (
            ref.touch(),
            xo.actor_ref(one, "picky"),
            xo.actor_ref(two, "picky"),
            xo.create_actor(Picky, path, address=one),
        )
        for call in calls:
            with pytest.raises(xo.ServerClosed, match="has failed") as caught:
                await call
            assert caught.value.reason.startswith("exit status 3; given up after 5 restarts")
            assert caught.value.executed == "no"
        status, text = await call_with_xo(one)
        assert status == 1 and "has failed: exit status 3; given up after" in text


def test_a_pool_that_was_given_up():
    asyncio.run(asyncio.wait_for(one_whose_pool_was_given_up(__file__), DEADLINE_S))
