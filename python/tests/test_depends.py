"""Actors whose creation needs others, when they are created again while those are away."""

import asyncio
import os
import signal

import pytest

import xoscar as xo
from actors import Echo, on_node, until

Policy = xo.RestartPolicy


class User(Echo):
    """Calls another actor while it is created, and notes each try in a file."""

    def __init__(self, address, uid, notes, wraps=False):
        super().__init__()
        self.other = address, uid
        self.notes = notes
        self.wraps = wraps

    async def __post_create__(self):
        with open(self.notes, "a", encoding="utf-8") as file:
            file.write("try\n")
        try:
            other = await xo.actor_ref(*self.other)
            await other.echo()
        except xo.ServerClosed:
            if self.wraps:
                raise LookupError("no connection to the other")
            raise


class Late(Echo):
    """Needs somebody at an address once a file is there."""

    def __init__(self, address, path):
        super().__init__()
        self.address_of_other = address
        self.path = path

    async def __post_create__(self):
        if os.path.exists(self.path):
            await xo.ActorRef(self.address_of_other, "other").echo()


async def events(main, kind, uid):
    found = await xo.ActorRef(main, "xo.broker").events("$-1000", 1000)
    return [event for event in found if event["type"] == kind and event["uid"] == uid]


async def die(ref):
    """Its process dies; nobody has noticed yet."""
    os.kill(await ref.pid(), signal.SIGKILL)


async def dies(ref):
    """The same; its pool is back afterwards."""
    await die(ref)
    with pytest.raises(xo.ServerClosed):
        while True:
            await ref.pid()
    await xo.wait_actor_pool_recovered(ref.address)


async def once_it_is_noticed(ref):
    """Calls it when its process has died."""
    while True:
        try:
            return await ref.echo()
        except xo.ServerClosed:
            pass


def tries(path):
    return path.read_text().count("try")


# The second restart in a row waits: that long the pool of the other is away.
SLOW = Policy(backoff=6, backoff_max=6)
# Would give up at the second try that counts.
STRICT = Policy(intensity=1, backoff=0.01, backoff_max=0.1)


async def waits_for_another(main, one, two, notes, wraps):
    other = await xo.create_actor(Echo, uid="other", address=two)
    user = await xo.create_actor(
        User, two, "other", str(notes), wraps, uid="user", address=one, restart_policy=STRICT
    )
    await dies(other)
    await die(other)
    await die(user)

    async def count():
        assert not await events(main, "actor.failed", "user")
        return tries(notes)

    await until(count, lambda found: found >= 4)
    waiting = await until(lambda: events(main, "actor.waiting", "user"), len)
    assert len(waiting) == 1 and f"it waits for {two}: " in waiting[0]["reason"]
    (record,) = await xo.ActorRef(main, "xo.broker").lookup("user")
    assert record["state"] in ("recovering", "running")
    await once_it_is_noticed(user)
    assert not await events(main, "actor.restart", "user")
    assert not await events(main, "actor.failed", "user")


@on_node(restart_policy=SLOW)
async def test_who_waits_for_another_is_not_at_fault(main, one, two, tmp_path):
    await waits_for_another(main, one, two, tmp_path / "notes", False)


@on_node(restart_policy=SLOW)
async def test_also_if_it_says_so_in_its_own_words(main, one, two, tmp_path):
    await waits_for_another(main, one, two, tmp_path / "notes", True)


@on_node(restart_policy=Policy(intensity=1))
async def test_a_pool_that_has_failed_counts(main, one, two, tmp_path):
    other = await xo.create_actor(Echo, uid="other", address=two)
    notes = tmp_path / "notes"
    user = await xo.create_actor(
        User, two, "other", str(notes), uid="user", address=one, restart_policy=STRICT
    )
    await dies(other)
    await die(other)
    with pytest.raises(xo.ServerClosed):
        await xo.wait_actor_pool_recovered(two)
    await die(user)
    with pytest.raises(xo.ActorNotExist, match="has failed.*given up after 1 restarts"):
        await once_it_is_noticed(user)


@on_node
async def test_one_that_nobody_knows_has_a_while_to_come(main, one, two, tmp_path):
    policy = Policy(intensity=2, period=1.5, backoff=0.01, backoff_max=0.2)
    path = tmp_path / "path"
    late = await xo.create_actor(
        Late, "127.0.0.1:1", str(path), uid="late", address=one, restart_policy=policy
    )
    path.touch()
    await die(late)
    await until(lambda: events(main, "actor.failed", "late"), len)
    (waiting,) = await events(main, "actor.waiting", "late")
    (failed,) = await events(main, "actor.failed", "late")
    assert "it waits for 127.0.0.1:1: " in waiting["reason"]
    assert "given up after 2 restarts" in failed["reason"]
    with pytest.raises(xo.ActorNotExist, match="127.0.0.1:1"):
        await late.echo()
