"""A pool's life: started, stopped, joined, cancelled, within others; sub pools come and go."""

import asyncio
import errno
import os
import pathlib
import signal
import socket
import sys
import tempfile
import threading

import pytest

import xoscar as xo
from xoscar import _node
from actors import Echo, Gate, children, node_files, until


async def make(n_process=1, **options):
    return await xo.create_actor_pool("127.0.0.1", n_process=n_process, **options)


class Farewell(xo.Actor):
    """Writes down that it was destroyed in order."""

    def __init__(self, path):
        self.path = path

    async def __pre_destroy__(self):
        with open(self.path, "w") as file:
            file.write("bye")


class Starter(xo.Actor):
    """Creates a node within its process."""

    async def begin(self, n_process):
        self.pool = await make(n_process)
        ref = await xo.create_actor(Echo, "inner", address=self.pool.external_address)
        return self.pool.external_address, ref

    async def end(self):
        await self.pool.stop()
        return self.pool.stopped


class Waiter(Echo):
    waits = False

    async def until_written(self, pipe):
        self.waits = True
        await asyncio.get_running_loop().run_in_executor(None, pathlib.Path(pipe).read_bytes)
        return self.tag

    @xo.no_lock
    def is_waiting(self):
        return self.waits


# ---- start, stop, join ----


async def test_started_and_stopped_several_times():
    before = children()
    pool = await make()
    for _ in range(2):
        assert not pool.stopped
        await pool.start()  # it is started
        (address,) = pool.sub_processes
        assert await (await xo.create_actor(Echo, address=address)).echo(1) == 1
        await pool.stop()
        assert pool.stopped and children() == before
        await pool.stop()  # it is stopped
        await pool.start()
    await pool.stop()
    assert children() == before and node_files() == []


async def test_stopping_twice_at_once():
    pool = await make()
    await asyncio.gather(pool.stop(), pool.stop())
    assert pool.stopped and node_files() == []


async def test_join_returns_when_it_is_stopped_or_at_the_timeout():
    pool = await make(0)
    await pool.join(0)
    assert not pool.stopped
    joined = asyncio.ensure_future(pool.join())
    await asyncio.sleep(0)
    assert not joined.done()
    await pool.stop()
    await joined
    await pool.join()


async def test_a_block_stops_it_at_its_end():
    with pytest.raises(KeyError):
        async with await make() as pool:
            raise KeyError
    assert pool.stopped and node_files() == []


@pytest.mark.parametrize("late", [False, True])
async def test_stopped_while_it_starts(late, monkeypatch):
    from xoscar.backends.pool import MainActorPool

    before = children()
    pool = await make(0)
    await pool.stop()
    all_there = asyncio.Event()
    start_all = MainActorPool._start_all

    async def never_done(self):
        await start_all(self)
        all_there.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(MainActorPool, "_start_all", never_done)
    starting = asyncio.ensure_future(pool.start())
    await asyncio.sleep(0)
    if late:
        await all_there.wait()
    await pool.stop()
    with pytest.raises(xo.errors.ActorPoolNotStarted, match="while it started"):
        await starting
    assert pool.stopped and children() == before and node_files() == []


async def test_actors_come_back_where_somebody_ends_their_pool():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        address = (await xo.get_pool_config(pool.external_address)).get_external_addresses()[1]
        ref = await xo.create_actor(Echo, "tag", address=address)
        pid = await ref.pid()
        os.kill(pid, signal.SIGTERM)
        with pytest.raises((xo.ServerClosed, xo.ActorNotExist)):
            while True:
                await ref.pid()
        await xo.wait_actor_pool_recovered(address)
        assert await ref.pid() != pid


async def test_what_is_told_to_end_takes_nothing_new(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover="actor") as pool:
        ((address, process),) = pool.sub_processes.items()
        ref = await xo.create_actor(Waiter, "done", address=address)
        pid, held = await ref.pid(), asyncio.ensure_future(ref.until_written(str(pipe)))
        await until(ref.is_waiting, bool)
        os.kill(pid, signal.SIGTERM)
        pools = xo.ActorRef(pool.external_address, "xo.broker").pools

        def is_stopping(records):
            return ["stopping"] == [r["state"] for r in records if r["address"] == address]

        await until(pools, is_stopping)
        for call in (ref.pid(), ref.is_waiting(), xo.create_actor(Echo, address=address)):
            with pytest.raises(xo.ServerClosed, match="is stopping") as caught:
                await call  # at once, though the actor is busy
            assert (caught.value.reason, caught.value.executed) == ("the pool is stopping", "no")
        again = asyncio.ensure_future(ref.pid.options(idempotent=True)())
        recovered = asyncio.ensure_future(xo.wait_actor_pool_recovered(address))
        assert is_stopping(await pools())
        assert not (held.done() or again.done() or recovered.done())
        pipe.write_bytes(b"go on")
        assert await held == "done"
        await recovered
        assert await again == await ref.pid() != pid


async def test_a_cancel_is_not_lost_when_a_broker_is_just_ready():
    for passes in range(6):
        ready, done = os.pipe()
        reading = asyncio.ensure_future(_node._read_line(ready, 5))
        await asyncio.sleep(0)
        os.write(done, b"endpoint\n")
        for _ in range(passes):
            await asyncio.sleep(0)
        if reading.cancel():  # it had not ended
            with pytest.raises(asyncio.CancelledError):
                await reading
        os.close(ready)
        os.close(done)


@pytest.mark.parametrize("when", ["at once", "broker", "sub pools"])
async def test_cancelling_the_creation_leaves_nothing(when, monkeypatch):
    before = children()
    requested = asyncio.Event()
    from xoscar.backends.pool import MainActorPool

    request = MainActorPool._request

    async def watched(self, *args):
        requested.set()
        if when == "broker":  # which is all that there is
            await asyncio.Event().wait()
        return await request(self, *args)

    monkeypatch.setattr(MainActorPool, "_request", watched)
    creating = asyncio.ensure_future(make(2))
    await asyncio.sleep(0)
    if when != "at once":
        await requested.wait()
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert children() == before and node_files() == []


# ---- several ----


async def test_two_main_pools_of_one_loop_are_apart():
    async with await make(0) as one, await make(1) as two:
        a = await xo.create_actor(Echo, "a", uid="same", address=one.external_address)
        b = await xo.create_actor(Echo, "b", uid="same", address=two.external_address)
        assert [await a.tagged(), await b.tagged()] == ["a", "b"]
        configs = [await xo.get_pool_config(p.external_address) for p in (one, two)]
        assert [c.n_pool for c in configs] == [1, 2]
        await one.stop()
        assert await b.tagged() == "b"


def test_main_pools_in_loops_of_two_threads():
    addresses, errors = [], []
    meet = threading.Barrier(2, timeout=60)

    async def use(own):
        async with await make(1) as pool:
            await xo.create_actor(Echo, own, uid="echo", address=pool.external_address)
            addresses.append(pool.external_address)
            meet.wait()
            (other,) = set(addresses) - {pool.external_address}
            # Another loop's pool is reached like any other; while this loop waits at the barrier
            # the other's answers nothing, hence to_thread.
            ref = await xo.actor_ref(other, "echo")
            tag = await ref.tagged()
            await asyncio.get_running_loop().run_in_executor(None, meet.wait)
            return tag

    def run(own):
        try:
            assert asyncio.run(use(own)) != own
        except BaseException as e:
            errors.append(e)
            meet.abort()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


async def test_a_pool_belongs_to_its_loop():
    async with await make(0) as pool:

        def elsewhere():
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(pool.stop())
            return True

        assert await asyncio.get_running_loop().run_in_executor(None, elsewhere)
        assert not pool.stopped


@pytest.mark.parametrize("n_process", [0, 1])
async def test_a_node_within_a_sub_pool_s_actor(n_process):
    async with await make() as pool:
        (address,) = pool.sub_processes
        starter = await xo.create_actor(Starter, address=address)
        inner, ref = await starter.begin(n_process)
        assert await ref.tagged() == "inner" and ref.address == inner
        assert (await xo.get_pool_config(inner)).n_pool == n_process + 1
        assert (await xo.get_pool_config(address)).n_pool == 2
        assert await starter.end() is True
        with pytest.raises(xo.ServerClosed):
            await ref.tagged()


NESTED = """
    import asyncio, os, select
    import xoscar as xo
    from actors import Echo
    from test_pool_life import Starter

    async def main():
        async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
            (address,) = pool.sub_processes
            starter = await xo.create_actor(Starter, address=address)
            inner, ref = await starter.begin(1)
            sub = (await xo.get_pool_config(inner)).get_external_addresses()[1]
            deep = await xo.create_actor(Echo, address=sub)
            watched = os.pidfd_open(await deep.pid())
            await pool.remove_sub_pool(address, force=True)
            print(select.select([watched], [], [], 60)[0] == [watched])

    asyncio.run(main())
"""


def test_a_nested_node_goes_with_its_process(tmp_path):
    from test_pools import run_script

    place = pathlib.Path(tempfile.mkdtemp(prefix="xo-py-"))  # tmp_path may be too long for a socket
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "XO_RUN_DIR": str(place), "PYTHONPATH": path}
    done = run_script(tmp_path, NESTED, env=env)
    assert done.stdout == "True\n", done.stderr
    while list(place.glob("**/*")):  # the inner broker, which nobody waits for, leaves last
        pass


# ---- sub pools that come and go ----


async def test_appended_with_all_arguments(tmp_path):
    from test_create_pool import Inside

    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    async with await make(1, modules=["colorsys"], use_uvloop=False) as pool:
        address = await pool.append_sub_pool(
            label="late",
            external_address="127.0.0.1:0",
            env={"XO_TEST": "late"},
            modules=["wave"],
            suspend_sigint=True,
            use_uvloop=False,
            logging_conf={"level": "ERROR"},
            start_python=str(python),
        )
        assert address in pool.sub_processes
        ref = await xo.create_actor(Inside, address=address)
        assert await ref.env("XO_TEST") == "late"
        assert await ref.module("wave") and not await ref.module("colorsys")
        assert (await ref.logging())[0] == 40 and await ref.loop() == "asyncio"
        await ref.interrupt()
        assert (await ref.python())[0] == str(python)
        for where in [pool.external_address, *pool.sub_processes]:
            config = await xo.get_pool_config(where)
            assert config.get_external_addresses("late") == [address]
            assert config.get_process_index(address) == 2


async def test_what_append_is_not_given_is_the_pool_s():
    from test_create_pool import Inside

    async with await make(0, modules=["colorsys"], use_uvloop=False) as pool:
        ref = await xo.create_actor(Inside, address=await pool.append_sub_pool())
        assert await ref.module("colorsys") and await ref.loop() == "asyncio"


@pytest.mark.parametrize(
    "error,match,options",
    [
        (ValueError, "is no address", {"external_address": "127.0.0.1:x"}),
        (ValueError, "longer than 63", {"label": "x" * 64}),
        (TypeError, "dicts of environment", {"env": ["A"]}),
        (TypeError, "modules is a list", {"modules": "colorsys"}),
        (ImportError, "no_such_module", {"modules": ["no_such_module"]}),
        (ValueError, "use_uvloop is", {"use_uvloop": 5}),
        (FileNotFoundError, "/no/such", {"logging_conf": "/no/such"}),
        (FileNotFoundError, "no-such-python", {"start_python": "no-such-python"}),
    ],
    ids=str,
)
async def test_append_refuses_and_the_others_go_on(error, match, options):
    async with await make() as pool:
        before = list(pool.sub_processes)
        with pytest.raises(error, match=match):
            await pool.append_sub_pool(**options)
        assert list(pool.sub_processes) == before
        assert (await xo.get_pool_config(before[0])).n_pool == 2


async def test_append_at_a_port_in_use():
    async with await make() as pool:
        (taken,) = pool.sub_processes
        with pytest.raises(OSError, match=taken) as caught:
            await pool.append_sub_pool(external_address=taken)
        assert caught.value.errno == errno.EADDRINUSE
        assert await (await xo.create_actor(Echo, address=taken)).echo(1) == 1


async def test_nothing_is_appended_to_a_pool_that_is_stopped():
    pool = await make(0)
    await pool.stop()
    with pytest.raises(xo.errors.ActorPoolNotStarted):
        await pool.append_sub_pool()


@pytest.mark.parametrize("force", [False, True])
async def test_removing_destroys_actors_in_order_unless_forced(tmp_path, force):
    async with await make() as pool:
        (address,) = pool.sub_processes
        path = tmp_path / "farewell"
        ref = await xo.create_actor(Farewell, str(path), address=address)
        await pool.remove_sub_pool(address, force=force)
        assert path.exists() != force
        assert pool.sub_processes == {}
        assert (await xo.get_pool_config(pool.external_address)).n_pool == 1
        with pytest.raises(xo.ServerClosed):
            await ref.destroy()


async def test_removing_kills_at_the_timeout():
    async with await make() as pool:
        (address,) = pool.sub_processes
        gate = await xo.create_actor(Gate, address=address)
        held = asyncio.ensure_future(gate.hold("for ever"))
        while await gate.log() != ["for ever in"]:
            pass
        await pool.remove_sub_pool(address, timeout=0.05)
        with pytest.raises(xo.ServerClosed):
            await held


async def test_what_cannot_be_removed():
    async with await make(0) as pool:
        with pytest.raises(ValueError, match="main pool"):
            await pool.remove_sub_pool(pool.external_address)
        with pytest.raises(ValueError, match="no sub pool at 127.0.0.1:1"):
            await pool.remove_sub_pool("127.0.0.1:1")
        address = await pool.append_sub_pool()
        with pytest.raises(ValueError, match="timeout"):
            await pool.remove_sub_pool(address, timeout=-1)
        await pool.remove_sub_pool(address)
        with pytest.raises(ValueError):
            await pool.remove_sub_pool(address)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
async def test_nothing_is_left_of_a_broker_that_was_killed(signum, monkeypatch):
    before = children()
    pool = await make()
    broker = pool._broker.process
    os.kill(broker.pid, signum)
    monkeypatch.setattr(_node, "STOP_S", 0)  # SIGSTOP: it will not stop, however long one waits
    if signum == signal.SIGKILL:
        broker.wait()
    await pool.stop()
    assert node_files() == []  # the sub pool's sockets neither
    assert children() == before


async def test_what_is_no_message_is_logged(caplog):
    async with await make() as pool:
        (path,) = [
            os.path.join(directory, pool.external_address)
            for directory, _, names in os.walk(os.environ["XO_RUN_DIR"])
            if pool.external_address in names
        ]
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)
            caller.sendall(b"garbage " * 600)
        while not [r for r in caplog.records if r.name == "xoscar"]:
            await asyncio.sleep(0.01)
        (record,) = [r for r in caplog.records if r.name == "xoscar"]
        assert record.getMessage().startswith(f"refused somebody at ipc://{path}: ")
        assert record.levelname == "WARNING"
