"""Creations that take too long, when actors are created again."""

import asyncio
import os
import signal

import pytest

import xoscar as xo
from actors import Echo, on_node

Policy = xo.RestartPolicy


class Friend(Echo):
    """Needs an answer of another actor while it is created, if that one is there."""

    def __init__(self, address, uid):
        super().__init__()
        self.other = address, uid

    async def __post_create__(self):
        try:
            other = await xo.actor_ref(*self.other)
            self.other = await other.echo(self.other)
        except xo.ActorNotExist:
            pass


class Changed(Echo):
    """What its creation does, once a file is there."""

    def __init__(self, path, *other):
        super().__init__()
        self.path = path
        self.changed = os.path.exists(path)
        self.other = other

    async def __post_create__(self):
        if self.changed:
            with open(f"{self.path}.begun", "w", encoding="utf-8") as begun:
                begun.write("x")
            await self.do()


class Needy(Changed):
    async def do(self):
        await xo.ActorRef(*self.other).echo()


class Endless(Changed):
    async def do(self):
        await asyncio.Event().wait()


class Stubborn(Changed):
    async def do(self):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass


class Reluctant(Changed):
    """Cannot be cancelled as long as the file is there, and is not created."""

    async def do(self):
        while os.path.exists(self.path):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                pass
        raise LookupError("it has been there")


async def events(main, kind):
    found = await xo.ActorRef(main, "xo.broker").events("$-1000", 1000)
    return [event for event in found if event["type"] == kind]


async def die_at_once(*refs):
    pids = [await ref.pid() for ref in refs]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def die_and_begin(path, ref):
    """Ends a process, and waits until the creation that the path changes has begun."""
    fifo = f"{path}.begun"
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR)  # who writes need not wait for who reads
    begun = asyncio.Event()
    asyncio.get_running_loop().add_reader(fd, begun.set)
    path.touch()
    await die_at_once(ref)
    await begun.wait()
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)
    os.unlink(fifo)


async def call(ref):
    """Calls it, once its node has noticed that its process had died."""
    while True:
        try:
            return await ref.echo()
        except xo.ServerClosed:
            pass


@on_node(restart_policy=Policy(intensity=60, create_timeout=0.5))
async def test_two_that_wait_for_each_other_come_apart(main, one, two, tmp_path):
    a = await xo.create_actor(Friend, two, "b", uid="a", address=one)
    b = await xo.create_actor(Friend, one, "a", uid="b", address=two)
    await die_at_once(a, b)
    await asyncio.gather(call(a), call(b))
    late = [event for event in await events(main, "actor.restart") if event["uid"] in "ab"]
    assert late
    for event in late:
        said = "within 500 ms (create_timeout_ms), and was cancelled: stopped in __post_create__ ("
        assert said in event["reason"]
        assert "in __post_create__" in event["traceback"]
    assert not await events(main, "actor.failed")


@on_node
async def test_two_that_cannot_do_without_are_given_up(main, one, two, tmp_path):
    path = tmp_path / "changed"
    policy = Policy(intensity=1, create_timeout=0.5)
    a = await xo.create_actor(
        Needy, path, two, "b", uid="a", address=one, restart_policy=policy
    )
    b = await xo.create_actor(
        Needy, path, one, "a", uid="b", address=two, restart_policy=policy
    )
    path.touch()
    await die_at_once(a, b)
    for ref in (a, b):
        with pytest.raises(xo.ActorNotExist, match="has failed: .*given up after 1 restarts"):
            await call(ref)
    failed = await events(main, "actor.failed")
    assert {event["uid"] for event in failed} == {"a", "b"}
    assert any("(create_timeout_ms)" in event["reason"] for event in failed)


@on_node
async def test_one_that_never_ends_is_given_up(main, one, two, tmp_path):
    path = tmp_path / "changed"
    # the period is shorter than a try
    policy = Policy(intensity=2, period=0.1, create_timeout=0.2)
    ref = await xo.create_actor(Endless, path, uid="e", address=one, restart_policy=policy)
    path.touch()
    await die_at_once(ref)
    with pytest.raises(xo.ActorNotExist, match="within 200 ms .*given up after 2 restarts"):
        await call(ref)
    (failed,) = await events(main, "actor.failed")
    assert "stopped in do (test_create_timeout.py, line" in failed["reason"]
    assert "await asyncio.Event().wait()" in failed["reason"]
    tries = [event for event in await events(main, "actor.restart") if event["uid"] == "e"]
    assert len(tries) in (1, 2), "its process may have died longer ago than a period"
    path.unlink()
    await xo.ActorRef(main, "xo.broker").revive("e")
    await call(ref)


@on_node
async def test_one_that_is_revived_is_cancelled_too(main, one, two, tmp_path):
    path = tmp_path / "changed"
    policy = Policy(intensity=0, create_timeout=0.2)
    ref = await xo.create_actor(Endless, path, uid="e", address=one, restart_policy=policy)
    path.touch()
    await die_at_once(ref)
    with pytest.raises(xo.ActorNotExist, match="has failed: .*given up after 0 restarts"):
        await call(ref)
    with pytest.raises(RuntimeError, match="within 200 ms .*, and was cancelled"):
        await xo.ActorRef(main, "xo.broker").revive("e")
    with pytest.raises(xo.ActorNotExist, match="has failed: it was not there within 200 ms"):
        await call(ref)


@on_node
async def test_one_that_cannot_be_cancelled_goes_with_its_process(main, one, two, tmp_path):
    path = tmp_path / "changed"
    group = await xo.create_group("g", restart_policy=Policy(intensity=1), address=main)
    ref = await xo.create_actor(
        Stubborn,
        path,
        uid="s",
        address=one,
        group=group,
        shutdown_timeout=0.2,
        restart_policy=Policy(create_timeout=2),  # by then it has begun
    )
    other = await xo.create_actor(Echo, address=one)
    path.touch()
    await die_at_once(ref)
    with pytest.raises(xo.ActorNotExist, match="does not let itself be cancelled"):
        await call(ref)
    await call(other)
    downs = [event["reason"] for event in await events(main, "pool.down")]
    assert any('the creation of actor "s" does not let itself be cancelled' in r for r in downs)


@on_node
async def test_one_whose_group_is_stopped_is_cancelled(main, one, two, tmp_path):
    path = tmp_path / "changed"
    group = await xo.create_group("g", "one_for_all", address=main)
    ref = await xo.create_actor(
        Endless, path, uid="e", address=one, group=group, shutdown_timeout=60
    )
    behind = await xo.create_actor(Echo, address=two, group=group)
    await die_and_begin(path, ref)
    calls = [asyncio.ensure_future(call(who)) for who in (ref, behind)]
    await group.stop()
    for calling in calls:
        with pytest.raises(xo.ActorNotExist, match="its group was stopped"):
            await calling
    assert len(await events(main, "pool.down")) == 1, "its pool goes on"


@on_node
async def test_one_whose_group_begins_anew_is_cancelled(main, one, two, tmp_path):
    path = tmp_path / "changed"
    group = await xo.create_group("g", "one_for_all", address=main)
    front = await xo.create_actor(Echo, address=two, group=group)
    ref = await xo.create_actor(Endless, path, uid="e", address=one, group=group)
    await die_and_begin(path, ref)
    path.unlink()
    calling = asyncio.ensure_future(call(ref))
    await die_at_once(front)
    await calling
    await call(front)
    assert len(await events(main, "pool.down")) == 2, "its pool goes on"


@on_node
async def test_its_process_goes_with_one_that_cannot_be_cancelled(main, one, two, tmp_path):
    path = tmp_path / "changed"
    broker = xo.ActorRef(main, "xo.broker")
    group = await xo.create_group("g", address=main)
    ref = await xo.create_actor(
        Stubborn, path, uid="s", address=one, group=group, shutdown_timeout=0.2
    )
    before = (await broker.status())["pid"]
    await die_and_begin(path, ref)
    await group.stop()
    downs = [event["reason"] for event in await events(main, "pool.down")]
    assert 'signal 9 (Killed): actor "s" did not stop in time' in downs
    assert (await broker.status())["pid"] == before


@on_node
async def test_a_main_pool_goes_on_with_one_that_cannot_be_cancelled(main, one, two, tmp_path):
    path = tmp_path / "changed"
    group = await xo.create_group("g", "one_for_all", address=main)
    # In this time it ends first, too, when the other is killed; so it is no shorter.
    ref = await xo.create_actor(
        Reluctant, path, uid="r", address=main, group=group, shutdown_timeout=2
    )
    behind = await xo.create_actor(Echo, address=one, group=group)
    await die_and_begin(path, behind)
    calling = asyncio.ensure_future(call(ref))
    await group.stop()
    path.unlink()
    with pytest.raises(xo.ActorNotExist):
        await calling


async def test_of_a_group_it_is_no_setting():
    with pytest.raises(ValueError, match="create_timeout is a member's"):
        await xo.create_group("g", restart_policy=Policy(create_timeout=1), address="127.0.0.1:1")
