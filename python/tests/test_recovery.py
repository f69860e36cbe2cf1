"""Recovery: what comes back when the process of a sub pool dies, and what its users see of it."""

import asyncio
import functools
import inspect
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

import xoscar as xo
from actors import DEADLINE_S, Echo, Gate, until


class Kept(Echo):
    """Remembers what it was made of, and that __post_create__ ran."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.made_of = args, kwargs
        self.post_created = False

    async def __post_create__(self):
        self.post_created = True

    def told(self):
        return self.made_of, self.post_created


class Parent(Echo):
    """Creates a child in its pool while it is created itself."""

    async def __post_create__(self):
        try:
            await xo.actor_ref(self.address, "no such child")
        except xo.ActorNotExist:
            self.child = await xo.create_actor(Echo, "child", uid="child", address=self.address)

    async def childs_tag(self):
        return await self.child.tagged()


class Maker(Echo):
    """Creates others in its pool, at its own address."""

    async def make(self, uid, *args):
        return await xo.create_actor(Kept, *args, uid=uid)

    async def make_with_lock(self, uid):
        return await xo.create_actor(Kept, threading.Lock(), uid=uid)


class Picky(Echo):
    """Can be created only as long as a file is there."""

    def __init__(self, path):
        super().__init__()
        with open(path, encoding="utf-8") as file:
            self.text = file.read()


async def start(n_process=1, **options):
    pool = await xo.create_actor_pool("127.0.0.1", n_process=n_process, **options)
    config = await xo.get_pool_config(pool.external_address)
    return pool, config.get_external_addresses()


def on_node(test):
    """The test, on a node that such tests share, with the addresses of its main pool and of a sub
    pool, in the node's loop."""

    @functools.wraps(test)
    def wrapped(node, **fixtures):
        run, addresses = node
        run(asyncio.wait_for(test(*addresses[:2], **fixtures), DEADLINE_S))

    parameters = list(inspect.signature(test).parameters.values())[2:]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wrapped.__signature__ = inspect.Signature([inspect.Parameter("node", kind), *parameters])
    del wrapped.__wrapped__
    return wrapped


async def die(ref):
    """Kills the process of an actor from outside, and waits until its node has noticed."""
    os.kill(await ref.pid(), signal.SIGKILL)
    with pytest.raises(xo.ServerClosed):
        while True:
            await ref.pid()


async def events(address, kind):
    found = await xo.ActorRef(address, "xo.broker").events("$-1000", 1000)
    return [event for event in found if event["type"] == kind]


# ---- auto_recover ----


@pytest.mark.parametrize("mode", ["actor", True])
async def test_actors_come_back(mode):
    pool, (_, address) = await start(auto_recover=mode)
    async with pool:
        ref = await xo.create_actor(Kept, 1, [2], name="x", uid="kept", address=address)
        pid = await ref.pid()
        await ref.note("lost")
        await die(ref)
        await xo.wait_actor_pool_recovered(address)
        assert await ref.pid() != pid
        assert await ref.told() == (((1, [2]), {"name": "x"}), True)
        assert await ref.noted() == [], "it is a new one"
        assert ref == await xo.actor_ref(address, "kept")
        assert await ref.identity() == (b"kept", address)


async def test_each_time_it_dies():
    pool, (_, address) = await start()
    async with pool:
        ref = await xo.create_actor(Echo, "tag", address=address)
        incarnations = []
        for _ in range(3):
            (record,) = await xo.ActorRef(pool.external_address, "xo.broker").lookup(ref.uid)
            incarnations.append(record["incarnation"])
            await die(ref)
            await xo.wait_actor_pool_recovered(address)
            assert await ref.tagged() == "tag"
        assert incarnations == sorted(set(incarnations))


async def test_the_process_alone():
    back = asyncio.Event()
    pool, (_, address) = await start(
        auto_recover="process", on_process_recover=lambda pool, address: back.set()
    )
    async with pool:
        ref = await xo.create_actor(Echo, uid="e", address=address)
        await die(ref)
        await xo.wait_actor_pool_recovered(address)
        await back.wait()
        with pytest.raises(xo.ActorNotExist):
            await ref.echo()
        assert not await xo.has_actor(ref)
        again = await xo.create_actor(Echo, "again", uid="e", address=address)
        assert again == ref and await ref.tagged() == "again"


async def test_nothing():
    seen = []
    pool, (_, address) = await start(
        auto_recover=False,
        on_process_down=lambda pool, address: seen.append("down"),
        on_process_recover=lambda pool, address: seen.append("recover"),
    )
    async with pool:
        ref = await xo.create_actor(Echo, address=address)
        await die(ref)
        for call in (ref.echo(), xo.create_actor(Echo, address=address), xo.has_actor(ref)):
            with pytest.raises(xo.ServerClosed) as caught:
                await call
            assert caught.value.executed == "no"
        with pytest.raises(xo.ServerClosed):
            await xo.wait_actor_pool_recovered(address)
    assert seen == ["down"]


@pytest.mark.parametrize("mode", ["sometimes", None, 2, "Actor", ["actor"]])
async def test_an_unknown_value_starts_nothing(mode):
    with pytest.raises(ValueError, match="auto_recover"):
        await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover=mode)


# ---- what comes back ----


@on_node
async def test_a_class_of_the_main_module_and_large_arguments(main, address):
    np = pytest.importorskip("numpy")
    array = np.arange(100_000)

    class Local(xo.Actor):
        def __init__(self, values, scale):
            values += 1  # its own, not what it is created again from
            self.total = int((values * scale).sum())

        def get(self):
            return self.total, os.getpid()

    ref = await xo.create_actor(Local, array.copy(), 2, address=address)
    total, pid = await ref.get()
    assert total == int(((array + 1) * 2).sum())
    await xo.kill_actor(ref)
    await xo.wait_actor_pool_recovered(address)
    assert (await ref.get())[0] == total and (await ref.get())[1] != pid


@on_node
async def test_what_an_actor_created_in_its_own_pool(main, address):
    maker = await xo.create_actor(Maker, address=address)
    made = await maker.make("made", {"a": 1})
    await xo.kill_actor(maker)
    await xo.wait_actor_pool_recovered(address)
    assert await made.told() == ((({"a": 1},), {}), True)


@on_node
async def test_a_child_that_its_parent_creates_in_its_creation(main, address):
    parent = await xo.create_actor(Parent, address=address)
    for _ in range(2):
        await xo.kill_actor(parent)
        await xo.wait_actor_pool_recovered(address)
        assert await parent.childs_tag() == "child"
    with pytest.raises(xo.ActorAlreadyExist):
        await xo.create_actor(Echo, uid="child", address=address)


@on_node
async def test_destroyed_ones_stay_away(main, address):
    stays = await xo.create_actor(Echo, address=address)
    gone = await xo.create_actor(Echo, address=address)
    await gone.destroy()
    await xo.kill_actor(stays)
    await xo.wait_actor_pool_recovered(address)
    assert await xo.has_actor(stays) and not await xo.has_actor(gone)


@on_node
async def test_many_in_the_order_of_their_creation(main, address):
    refs = await asyncio.gather(
        *[xo.create_actor(Kept, i, uid=f"a{i}", address=address) for i in range(300)]
    )
    await xo.kill_actor(refs[0])
    await xo.wait_actor_pool_recovered(address)
    assert await asyncio.gather(*[r.told() for r in refs]) == [
        (((i,), {}), True) for i in range(300)
    ]


@on_node
async def test_one_that_fails_does_not_stop_the_others(main, address, tmp_path):
    path = tmp_path / "needed"
    path.write_text("here")
    picky = await xo.create_actor(Picky, str(path), uid="picky", address=address)
    other = await xo.create_actor(Echo, "other", address=address)
    path.unlink()
    await xo.kill_actor(picky)
    await xo.wait_actor_pool_recovered(address)
    assert await other.tagged() == "other"
    with pytest.raises(xo.ActorNotExist):
        await picky.echo()
    (failed,) = await until(lambda: events(main, "actor.failed"), len)
    assert failed["uid"] == "picky" and "FileNotFoundError" in failed["reason"]
    assert str(path) in failed["reason"]
    (record,) = await xo.ActorRef(main, "xo.broker").lookup("picky")
    assert record["state"] == "failed"
    path.write_text("again")
    assert await xo.create_actor(Picky, str(path), uid="picky", address=address) == picky


@on_node
async def test_what_cannot_be_kept_is_said(main, address):
    maker = await xo.create_actor(Maker, address=address)
    await maker.make_with_lock("locked")
    big = await xo.create_actor(Kept, b"x" * (17 << 20), uid="big", address=address)
    first, second = await until(lambda: events(main, "actor.nospec"), lambda e: len(e) == 2)
    assert first["uid"] == "locked" and "pickle" in first["reason"]
    assert second["uid"] == "big" and "at most" in second["reason"]
    await xo.kill_actor(maker)
    await xo.wait_actor_pool_recovered(address)
    assert await xo.has_actor(maker) and not await xo.has_actor(big)


async def test_a_pool_that_was_appended():
    pool, _ = await start(n_process=0)
    async with pool:
        address = await pool.append_sub_pool()
        ref = await xo.create_actor(Echo, "kept", address=address)
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(address)
        assert await ref.tagged() == "kept"


async def test_actors_in_c():
    pool, _ = await start(n_process=0)
    async with pool:
        modules = os.path.join(os.environ["XO_BUILDDIR"], "examples", ".libs", "counter.so")
        address = await pool.append_c_pool([modules])
        ref = await xo.create_actor("Counter", uid="c", address=address)
        assert await ref.add(2) == 2
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(address)
        assert await ref.add(3) == 3
        assert pool.sub_processes[address].is_alive()
        await pool.remove_sub_pool(address)
        with pytest.raises(xo.ServerClosed):
            await ref.add(1)


async def test_a_removed_one_is_not_brought_back():
    down = []
    pool, (main, address) = await start(on_process_down=lambda pool, address: down.append(address))
    async with pool:
        ref = await xo.create_actor(Echo, address=address)
        await pool.remove_sub_pool(address)
        with pytest.raises(xo.ServerClosed):
            await ref.echo()
        with pytest.raises(xo.ServerClosed):
            await xo.wait_actor_pool_recovered(address, main)
        assert (await xo.get_pool_config(main)).n_pool == 1
        assert down == [], "it was not a death"


# ---- callbacks ----


async def test_callbacks_once_for_each_death_and_recovery():
    seen = []
    recovered = asyncio.Event()

    async def on_recover(pool, address):
        seen.append(("recover", pool, address, await ref.tagged()))
        recovered.set()

    pool, (_, address) = await start(
        on_process_down=lambda pool, address: seen.append(("down", pool, address)),
        on_process_recover=on_recover,
    )
    async with pool:
        ref = await xo.create_actor(Echo, "there", address=address)
        for _ in range(2):
            recovered.clear()
            await xo.kill_actor(ref)
            await recovered.wait()
        assert seen == [("down", pool, address), ("recover", pool, address, "there")] * 2


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_callback_that_fails_is_logged(asynchronous, caplog):
    def fails(pool, address):
        raise KeyError("of the callback")

    async def fails_later(pool, address):
        fails(pool, address)

    callback = fails_later if asynchronous else fails
    pool, (_, address) = await start(on_process_down=callback, on_process_recover=callback)
    with caplog.at_level(logging.ERROR, "xoscar"):
        async with pool:
            ref = await xo.create_actor(Echo, "fine", address=address)
            await xo.kill_actor(ref)
            await xo.wait_actor_pool_recovered(address)
            assert await ref.tagged() == "fine"
            while sum("of the callback" in (r.exc_text or "") for r in caplog.records) < 2:
                await asyncio.sleep(0)
    assert all(address in r.getMessage() for r in caplog.records if r.name == "xoscar")


# ---- waiting ----


@on_node
async def test_a_pool_that_is_up_is_not_waited_for(main, address):
    for one in (main, address):
        await xo.wait_actor_pool_recovered(one)
        await xo.wait_actor_pool_recovered(one, main)


async def test_a_pool_that_never_was():
    pool, (main,) = await start(n_process=0)
    async with pool:
        with pytest.raises(xo.ServerClosed, match="127.0.0.1:1"):
            await xo.wait_actor_pool_recovered("127.0.0.1:1", main)
        with pytest.raises(xo.ServerClosed, match="main_pool_address"):
            await xo.wait_actor_pool_recovered("127.0.0.1:1")


class Waiter(Echo):
    """Kills another pool and waits for it."""

    async def kill_and_wait(self, ref):
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(ref.address)
        return await ref.tagged()


async def test_from_another_sub_pool():
    pool, (_, one, two) = await start(n_process=2)
    async with pool:
        waiter = await xo.create_actor(Waiter, address=one)
        ref = await xo.create_actor(Echo, "back", address=two)
        assert await waiter.kill_and_wait(ref) == "back"


@on_node
async def test_from_a_client_that_knows_the_main_pool_only(main, address):
    script = """
        import asyncio, sys
        import xoscar as xo

        async def main(main_pool, address):
            ref = await xo.actor_ref(main_pool, "known")
            pid = await ref.pid()
            await xo.kill_actor(ref)
            await xo.wait_actor_pool_recovered(address, main_pool)
            assert await ref.pid() != pid
            await xo.wait_actor_pool_recovered(address, main_pool_address=main_pool)
            await xo.wait_actor_pool_recovered(address)  # it says for itself that it is up
            print("ok")

        asyncio.run(main(*sys.argv[1:]))
    """
    await xo.create_actor(Echo, uid="known", address=address)
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(script), main, address, stdout=subprocess.PIPE
    )
    output, _ = await client.communicate()
    assert output == b"ok\n"


# ---- kill_actor ----


@on_node
async def test_kill_actor_refuses_what_it_cannot_kill(main, address):
    mine = await xo.create_actor(Echo, address=main)
    with pytest.raises(ValueError, match="main pool"):
        await xo.kill_actor(mine)
    assert await mine.echo(1) == 1
    for where in (main, address):
        with pytest.raises(xo.ActorNotExist):
            await xo.kill_actor(xo.ActorRef(where, "nobody"))


@on_node
async def test_kill_actor_as_often_as_one_likes(main, address):
    ref = await xo.create_actor(Echo, "kept", address=address)
    for _ in range(6):  # more often than what may die by itself
        await xo.kill_actor(ref)
        await xo.wait_actor_pool_recovered(address)
    assert await ref.tagged() == "kept"


@on_node
async def test_calls_under_way_when_a_pool_is_killed(main, address):
    gate = await xo.create_actor(Gate, address=address)
    held = gate.hold("a")
    await until(gate.log, lambda log: "a in" in log)
    await xo.kill_actor(gate)
    with pytest.raises(xo.ServerClosed) as caught:
        await held
    assert caught.value.executed == "maybe" and caught.value.address == address
    assert "signal 9" in caught.value.reason
    await xo.wait_actor_pool_recovered(address)
    assert await gate.log() == []


class Slow(Echo):
    """Is created only when its gate lets it."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    async def __post_create__(self):
        await self.gate.hold("slow")


@on_node
async def test_calls_wait_for_an_actor_that_is_coming_back(main, address):
    gate = await xo.create_actor(Gate, address=main)
    await gate.open()
    first = await xo.create_actor(Slow, gate, uid="first", address=address)
    pid = await first.pid()
    await gate.close()
    await xo.kill_actor(first)
    broker = xo.ActorRef(main, "xo.broker")
    await until(gate.log, lambda log: log.count("slow in") == 2)
    (record,) = [r for r in await broker.pools() if r["address"] == address]
    assert record["state"] == "recovering"
    assert [a["state"] for a in await broker.lookup("first")] == ["recovering"]
    call = first.pid()
    waits = asyncio.ensure_future(xo.wait_actor_pool_recovered(address))
    assert not await xo.has_actor(xo.ActorRef(address, "unknown"))
    assert not call.done() and not waits.done()
    await gate.open()
    await waits
    assert await call != pid
