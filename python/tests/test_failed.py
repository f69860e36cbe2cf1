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


class Late(xo.Actor):
    """Cannot be created again as long as a file has something in it."""

    def __init__(self, path):
        self.path = path

    async def __post_create__(self):
        left = self.take()
        if left:
            raise LookupError(f"{left} more")

    def take(self):
        with open(self.path, "r+", encoding="utf-8") as file:
            left = len(file.read())
            file.truncate(max(left - 1, 0))
        return left

    def touch(self):
        return True


async def events(address, kind):
    found = await xo.ActorRef(address, "xo.broker").events("$-1000", 1000)
    return [event for event in found if event["type"] == kind]


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
        with pytest.raises(xo.ActorNotExist, match="FileNotFoundError.*given up after 5 restarts"):
            await ref.touch()
        for address in (one, two):
            with pytest.raises(xo.ActorNotExist, match="FileNotFoundError"):
                await xo.actor_ref(address, "picky")
        assert not await xo.has_actor(ref)
        (failed,) = await events(two, "actor.failed")
        tries = await events(two, "actor.restart")
        assert len(tries) == 5, "the kill that was asked for is none"
        for event in (*tries, failed):
            assert event["uid"] == "picky" and "FileNotFoundError" in event["reason"]
            assert event["traceback"].startswith("Traceback")
            assert "in __init__" in event["traceback"] and path in event["traceback"]
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


async def one_whose_uid_is_no_text(path):
    pool, one, _ = await start()
    async with pool:
        policy = xo.RestartPolicy(intensity=0)
        address = pool.external_address
        group = await xo.create_group("g", address=address, restart_policy=policy)
        ref = await xo.create_actor(Picky, path, uid=b"\xff", address=one, group=group)
        os.unlink(path)
        await xo.kill_actor(ref)
        while (info := await group.info())["state"] != "failed":
            pass
        assert 'actor "%FF" could not be created again: ' in info["reason"]


def test_one_whose_uid_is_no_text(tmp_path):
    path = tmp_path / "condition"
    path.write_text("")
    asyncio.run(asyncio.wait_for(one_whose_uid_is_no_text(str(path)), DEADLINE_S))


async def one_that_comes_back_in_the_end(path):
    pool, one, two = await start()
    async with pool:
        ref = await xo.create_actor(Late, path, uid="late", address=one)
        with open(path, "w", encoding="utf-8") as file:
            file.write("...")
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(one)
        assert await ref.touch(), "callers wait"
        tries = await events(two, "actor.restart")
        assert [event["reason"].split()[1] for event in tries] == ["3", "2", "1"]
        assert all("in __post_create__" in event["traceback"] for event in tries)
        assert not await events(two, "actor.failed")
        assert await xo.actor_ref(two, "late") == ref


def test_an_actor_that_is_created_again_in_the_end(tmp_path):
    path = tmp_path / "left"
    path.write_text("")
    asyncio.run(asyncio.wait_for(one_that_comes_back_in_the_end(str(path)), DEADLINE_S))


async def call_xo(*arguments):
    process = await asyncio.create_subprocess_exec("xo", *arguments, stderr=subprocess.PIPE)
    _, text = await process.communicate()
    return process.returncode, text.decode()


async def one_that_is_revived(path):
    pool, one, two = await start()
    async with pool:
        ref = await xo.create_actor(Picky, path, uid="picky", address=one)
        other = await xo.create_actor(Picky, path, uid="other", address=one)
        os.unlink(path)
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(one)
        with pytest.raises(xo.ActorNotExist, match="has failed"):
            await other.touch()
        for _ in range(2):  # it fails, and so does the first try to revive it
            with pytest.raises(xo.ActorNotExist, match="FileNotFoundError"):
                await ref.touch()
            status, text = await call_xo("revive", "picky")
            assert status == 4 and "FileNotFoundError" in text and "in __init__" in text
        with open(path, "w", encoding="utf-8"):
            pass
        assert await call_xo("revive", f"{one}/picky") == (0, "")
        assert await ref.touch()
        status, text = await call_xo("revive", "picky", "--at", one)
        assert status == 5 and "has failed" in text
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(one)
        assert await ref.touch(), "its arguments are known still"
        with pytest.raises(xo.ActorNotExist, match="has failed"):
            await other.touch()


def test_an_actor_that_is_revived(tmp_path):
    path = tmp_path / "condition"
    path.write_text("")
    asyncio.run(asyncio.wait_for(one_that_is_revived(str(path)), DEADLINE_S))


async def exit_until_given_up(ref, address):
    while True:
        with pytest.raises(xo.ServerClosed, match="died") as caught:
            await ref.exit()
        assert caught.value.reason == "exit status 3" and caught.value.executed == "maybe"
        text = f"{ref.address} died (exit status 3); the method may have run"
        assert str(caught.value) == text
        try:
            await xo.wait_actor_pool_recovered(address)
        except xo.ServerClosed as error:
            assert "given up" in str(error)
            return


async def one_whose_pool_was_given_up(path):
    pool, one, two = await start()
    async with pool:
        ref = await xo.create_actor(Picky, path, uid="picky", address=one)
        await exit_until_given_up(ref, one)
        for known in (pool.external_address, None):
            with pytest.raises(xo.ServerClosed, match="given up after 5 restarts") as caught:
                await xo.wait_actor_pool_recovered(one, known)
            assert caught.value.reason.startswith("exit status 3; given up after 5 restarts")
            assert caught.value.address == one
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
        status, text = await call_xo("call", f"{one}/picky", "touch")
        assert status == 1 and "has failed: exit status 3; given up after" in text
        assert await call_xo("revive", one) == (0, "")
        assert await ref.touch() and await xo.actor_ref(two, "picky") == ref


def test_a_pool_that_was_given_up():
    asyncio.run(asyncio.wait_for(one_whose_pool_was_given_up(__file__), DEADLINE_S))
