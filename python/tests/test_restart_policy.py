"""Restart policies of actors and pools."""
import asyncio
import os

import pytest

import xoscar as xo
from actors import DEADLINE_S

Policy = xo.RestartPolicy


class Kept(xo.Actor):
    def __init__(self, *args, restart_policy=None):
        self.given = args, restart_policy

    def told(self):
        return self.given

    def exit(self, status):
        os._exit(status)

    async def make(self, uid, *args, restart_policy=None):
        return await xo.create_actor(
            Kept, *args, uid=uid, address=self.address, restart_policy=restart_policy
        )


def on_node(test=None, **options):
    """The test gets the addresses of a main pool and of a sub pool."""

    async def run(wrapped, **values):
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1, **options)
        async with pool:
            await wrapped(pool.external_address, *pool.sub_processes, **values)

    def decorate(wrapped):
        def synchronous():
            asyncio.run(asyncio.wait_for(run(wrapped), DEADLINE_S))

        synchronous.__name__, synchronous.__doc__ = wrapped.__name__, wrapped.__doc__
        return synchronous

    return decorate(test) if test else decorate


async def records(main, *uids):
    """Those of all actors, once the broker has been told of these: for one that is not created
    again nobody waits until it has."""
    while True:
        found = {record["uid"]: record for record in await xo.ActorRef(main, "xo.broker").actors()}
        if found.keys() >= set(uids):
            return found


async def exits(ref, status):
    """Its process ends by itself, and the pool is back when this returns."""
    with pytest.raises(xo.ServerClosed):
        await ref.exit(status)
    await xo.wait_actor_pool_recovered(ref.address)


async def gone(ref):
    with pytest.raises(xo.ActorNotExist) as caught:
        await ref.told()
    return str(caught.value)


@on_node
async def test_permanent_transient_temporary(main, address):
    kinds = ("permanent", "transient", "temporary")
    refs = [
        await xo.create_actor(Kept, k, uid=k, address=address, restart_policy=Policy(k))
        for k in kinds
    ]
    assert await refs[1].told() == (("transient",), None)
    found = await records(main, *kinds)
    assert [found[k]["restart"] for k in kinds] == list(kinds)
    events = await xo.ActorRef(main, "xo.broker").events("0", 100)
    up = {event["uid"]: event["restart"] for event in events if event["type"] == "actor.up"}
    assert up == {k: k for k in kinds}  # as in what else the registry gets
    await exits(refs[0], 1)
    assert await refs[0].told() == (("permanent",), None)
    assert await refs[1].told() == (("transient",), None)
    assert "failed" not in await gone(refs[2])
    await exits(refs[0], 0)
    assert await refs[0].told() == (("permanent",), None)
    assert "failed" not in await gone(refs[1])
    assert set(await records(main)) == {"permanent"}


@on_node
async def test_one_is_given_up_before_its_pool(main, address):
    fragile = await xo.create_actor(
        Kept, uid="fragile", address=address, restart_policy=Policy(intensity=1, period=1000)
    )
    other = await xo.create_actor(Kept, uid="other", address=address)
    await exits(other, 3)
    assert await fragile.told() == ((), None)
    await exits(other, 3)
    assert "exit status 3; given up after 1 restarts within 1000 s" in await gone(fragile)
    assert await other.told() == ((), None)
    found = await records(main, "fragile", "other")
    assert found["fragile"]["state"] == "failed" and found["other"]["state"] == "running"
    await xo.ActorRef(main, "xo.broker").revive("fragile")
    assert await fragile.told() == ((), None)


@on_node(restart_policy=Policy(intensity=0))
async def test_a_kill_that_was_asked_for_is_no_failure(main, address):
    """Where no failure is fine."""
    ref = await xo.create_actor(Kept, uid="a", address=address)
    for _ in range(2):
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(address)
        assert await ref.told() == ((), None)
    with pytest.raises(xo.ServerClosed):
        await ref.exit(3)
    with pytest.raises(xo.ServerClosed, match="given up after 0 restarts"):
        await xo.wait_actor_pool_recovered(address, main)


@on_node(restart_policy=Policy(intensity=1, period=1000, backoff=0.001, backoff_max=0.002))
async def test_that_of_a_pool(main, address):
    ref = await xo.create_actor(Kept, uid="a", address=address)
    await exits(ref, 3)
    assert await ref.told() == ((), None)
    with pytest.raises(xo.ServerClosed):
        await ref.exit(3)
    with pytest.raises(xo.ServerClosed, match="given up after 1 restarts within 1000 s"):
        await xo.wait_actor_pool_recovered(address, main)


@on_node
async def test_what_an_actor_creates_in_its_own_pool(main, address):
    maker = await xo.create_actor(Kept, address=address)
    lock = await maker.make("once", [1], restart_policy=Policy("temporary"))
    kept = await maker.make("kept", [2], restart_policy=Policy("transient"))
    assert (await records(main, "kept"))["kept"]["restart"] == "transient"
    await xo.kill_actor(maker)
    await xo.wait_actor_pool_recovered(address)
    assert await kept.told() == (([2],), None)
    await gone(lock)


@on_node
async def test_what_is_no_policy_is_the_actors_own(main, address):
    for where in (main, address):
        ref = await xo.create_actor(Kept, 1, address=where, restart_policy="mine")
        assert await ref.told() == ((1,), "mine")


@on_node
async def test_in_a_pool_of_this_process(main, address):
    ref = await xo.create_actor(Kept, 1, uid="m", address=main, restart_policy=Policy())
    assert await ref.told() == ((1,), None)
    assert (await records(main, "m"))["m"]["restart"] == "temporary", "it ends with this process"


def test_of_an_actor_in_c():
    async def run():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
        async with pool:
            modules = os.path.join(os.environ["XO_BUILDDIR"], "examples", ".libs", "counter.so")
            address = await pool.append_c_pool([modules])
            ref = await xo.create_actor(
                "Counter", uid="c", address=address, restart_policy=Policy("transient")
            )
            assert await ref.add(2) == 2
            found = await records(pool.external_address, "c")
            assert found["c"]["restart"] == "transient"
            await xo.kill_actor(ref)
            await xo.wait_actor_pool_recovered(address)
            assert await ref.add(3) == 3

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"restart": "always"}, ValueError),
        ({"intensity": -1}, ValueError),
        ({"intensity": 65}, ValueError),
        ({"intensity": 1.5}, TypeError),
        ({"intensity": True}, TypeError),
        ({"period": -1}, ValueError),
        ({"period": "1"}, TypeError),
        ({"backoff": 1e9}, ValueError),
        ({"backoff_max": float("nan")}, ValueError),
        ({"create_timeout": -0.1}, ValueError),
    ],
)
def test_what_cannot_be(values, error):
    with pytest.raises(error, match=next(iter(values))):
        Policy(**values)


def test_what_it_says():
    policy = Policy("transient", intensity=0, period=1.5, backoff=0)
    assert policy.options() == {
        "restart": "transient", "intensity": 0, "period_ms": 1500, "backoff_ms": 0
    }
    assert repr(policy) == "RestartPolicy('transient', intensity=0, period=1.5, backoff=0)"
    assert Policy(create_timeout=0.5).options()["create_timeout_ms"] == 500
    assert Policy().options() == {"restart": "permanent"}


def test_a_pool_takes_nothing_else():
    with pytest.raises(TypeError, match="RestartPolicy"):
        asyncio.run(xo.create_actor_pool("127.0.0.1", n_process=1, restart_policy="always"))
