"""Members of groups in a main pool, whose process nobody starts again."""
import asyncio
import os
import threading

import pytest

import xoscar as xo
from actors import DEADLINE_S, until
from test_groups import (
    Diary,
    Member,
    SlowToCome,
    all_answer,
    another_broker,
    call_xo,
    dies,
    events,
    is_running,
    on_node,
)


class Stuck(Member):
    """Does not end as long as there is a file, though its group cancels it, which happens once."""

    async def __pre_destroy__(self):
        self.write("?")
        cancelled = False
        while os.path.exists(f"{self.diary}.slow"):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                if cancelled:  # by a test that has failed
                    raise
                cancelled = True
        self.write("-")


async def stuck(diary, address, group):
    """A member that is so."""
    ref = await xo.create_actor(
        Stuck, diary.path, "a", uid="a", address=address, group=group, shutdown_timeout=0.1
    )
    open(f"{diary.path}.slow", "w").close()
    return ref


async def gone_because(ref, why):
    """Waits until callers hear that: some hear before that its group is being restarted."""
    while True:
        try:
            await ref.touch()
        except xo.ActorNotExist as error:
            if why in str(error):
                return


async def is_failed(group):
    await until(group.info, lambda info: info["state"] == "failed")


@on_node
async def test_it_is_created_again_in_the_living_process(pools, diary):
    group = await xo.create_group("g", "one_for_all", address=pools[0])
    a = await diary.create("a", pools[0], group)
    b = await diary.create("b", pools[1], group)
    c = await diary.create("c", pools[0], group)
    assert diary.take() == "+a +b +c"
    await dies(b)
    assert [await ref.touch() for ref in (c, b, a)] == ["c", "b", "a"], "callers wait"
    await is_running(group)
    assert diary.take() == "-c -a +a +b +c"
    await xo.destroy_actor(c)
    await until(group.info, lambda info: info["members"] < 3)
    with pytest.raises(ValueError, match="main pool"):
        await xo.kill_actor(a)
    await group.stop()
    assert diary.take() == "-c -b -a"


@on_node
async def test_one_that_cannot_be_created_again(pools, diary):
    policy = xo.RestartPolicy(intensity=2, backoff=0)
    group = await xo.create_group("g", "one_for_all", address=pools[0], restart_policy=policy)
    a = await diary.create("a", pools[0], group)
    b = await diary.create("b", pools[1], group)
    open(f"{diary.path}.a", "w").close()
    await dies(b)
    with pytest.raises(xo.ActorNotExist, match="LookupError: a may not.*given up after 2"):
        await a.touch()
    tries = await events(pools[0], "actor.restart")
    assert [event["uid"] for event in tries] == ["a"] * 2
    assert all("in __init__" in event["traceback"] for event in tries)
    os.unlink(f"{diary.path}.a")
    assert await call_xo("revive", "g") == (0, "")
    assert [await ref.touch() for ref in (a, b)] == ["a", "b"]


@on_node
async def test_one_that_does_not_end_has_failed(pools, diary):
    group = await xo.create_group("g", "one_for_all", address=pools[0])
    a = await stuck(diary, pools[0], group)
    b = await diary.create("b", pools[1], group)
    c = await diary.create("c", pools[2], group)
    diary.take()
    await dies(b)
    await is_failed(group)
    why = f'actor "a" did not stop in time, and its process, {os.getpid()}, is not'
    await gone_because(c, why)
    (failed,) = [e for e in await events(pools[0], "actor.failed") if e["uid"] == "a"]
    assert why in failed["reason"]
    assert await a.touch() == "a", "as long as it is there"
    os.unlink(f"{diary.path}.slow")
    await gone_because(a, why)
    assert await call_xo("revive", "g") == (0, "")
    assert [await ref.touch() for ref in (a, b, c)] == ["a", "b", "c"]


@on_node
async def test_one_that_is_in_a_method(pools, diary):
    """What was late to stop it stops it when the method is over."""
    group = await xo.create_group("g", "one_for_all", address=pools[0])
    a = await xo.create_actor(
        Member, diary.path, "a", uid="a", address=pools[0], group=group, shutdown_timeout=0.1
    )
    b = await diary.create("b", pools[1], group)
    diary.take()
    open(f"{diary.path}.slow", "w").close()
    holding = asyncio.ensure_future(a.held())
    await diary.holds("a")
    await dies(b)
    await is_failed(group)
    assert not holding.done()
    os.unlink(f"{diary.path}.slow")
    await holding
    await gone_because(a, '"a" did not stop in time')
    assert diary.take() == "?a -a"


@on_node
async def test_one_that_has_not_ended_is_revived_when_it_has(pools, diary):
    group = await xo.create_group("g", "one_for_all", address=pools[0])
    a = await stuck(diary, pools[0], group)
    b = await diary.create("b", pools[1], group)
    diary.take()
    await dies(b)
    await is_failed(group)
    reviving = asyncio.ensure_future(call_xo("revive", "g"))
    await until(group.info, lambda info: info["state"] == "restarting")
    os.unlink(f"{diary.path}.slow")
    assert await reviving == (0, "")
    assert [await ref.touch() for ref in (a, b)] == ["a", "b"]
    assert diary.take() == "?a -a +a +b"


@on_node
async def test_a_group_that_is_stopped_goes_without_who_does_not_end(pools, diary):
    group = await xo.create_group("g", address=pools[0])
    await stuck(diary, pools[0], group)
    await diary.create("b", pools[1], group)
    diary.take()
    await group.stop()
    with pytest.raises(LookupError):
        await group.info()
    (down,) = [e for e in await events(pools[0], "actor.down") if e["uid"] == "a"]
    assert "did not stop in time" in down["reason"]
    os.unlink(f"{diary.path}.slow")


@on_node
async def test_only_members_are_kept(pools, diary):
    """What creates others need not be picklable; what creates these must be."""
    group = await xo.create_group("g", address=pools[0])
    lock = threading.Lock()
    await xo.create_actor(Member, diary.path, lock, uid="x", address=pools[0])
    with pytest.raises(ValueError, match="no group: .*pickle"):
        await xo.create_actor(
            Member, diary.path, lock, uid="no", address=pools[0], group=group
        )
    assert not await xo.has_actor(xo.create_actor_ref(pools[0], "no"))
    assert (await group.info())["members"] == 0
    assert await events(pools[0], "actor.nospec") == []


async def killed_broker(diary):
    async with await xo.create_actor_pool("127.0.0.1", n_process=3, auto_recover="actor") as pool:
        addresses = [pool.external_address, *pool.sub_processes]
        group = await xo.create_group("g", "one_for_all", address=addresses[0])
        a = await diary.create("a", addresses[0], group)
        b = await diary.create("b", addresses[1], group)
        beside = await xo.create_actor(Member, diary.path, "c", uid="c", address=addresses[0])
        await events(addresses[0])  # when they are read, what was written before is in the registry
        await another_broker(pool, addresses)
        await until(group.info, lambda info: info["members"] == 2)
        assert diary.take() == "+a +b +c", "nobody was restarted"
        await dies(b)
        await all_answer((a, b, beside), ["a", "b", "c"])
        await is_running(group)
        assert diary.take() == "-a +a +b", "in the order in which they came"


def test_the_next_broker_knows_it(tmp_path):
    path = tmp_path / "diary"
    path.write_text("")
    asyncio.run(asyncio.wait_for(killed_broker(Diary(path)), DEADLINE_S))


async def killed_between(diary):
    async with await xo.create_actor_pool("127.0.0.1", n_process=3, auto_recover="actor") as pool:
        addresses = [pool.external_address, *pool.sub_processes]
        group = await xo.create_group("g", "one_for_all", address=addresses[0])
        a = await diary.create("a", addresses[0], group)
        b = await xo.create_actor(
            SlowToCome, diary.path, "b", uid="b", address=addresses[1], group=group
        )
        c = await diary.create("c", addresses[0], group)
        d = await diary.create("d", addresses[2], group)
        diary.take()
        open(f"{diary.path}.slow", "w").close()
        with pytest.raises(xo.ServerClosed):
            await d.exit()
        await diary.holds("b")  # c is down, and its turn comes after b's
        await another_broker(pool, addresses)
        os.unlink(f"{diary.path}.slow")
        await all_answer((a, b, c, d), ["a", "b", "c", "d"])
        await is_running(group)
        assert diary.take().endswith("+c +d")


def test_one_that_was_down_when_the_broker_was_killed(tmp_path):
    path = tmp_path / "diary"
    path.write_text("")
    asyncio.run(asyncio.wait_for(killed_between(Diary(path)), DEADLINE_S))
