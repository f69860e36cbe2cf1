"""Event loops: of asyncio and uvloop, one after the other, several at once, in debug mode."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading

import pytest

import xoscar as xo
from actors import DEADLINE_S, Echo, Gate, make, node_files, until


async def use_a_pool(n_process=1):
    """Everything that a loop can do, on a node of its own."""
    async with await xo.create_actor_pool("127.0.0.1", n_process=n_process) as pool:
        config = await xo.get_pool_config(pool.external_address)
        refs = [await make(Echo, address) for address in config.get_external_addresses()]
        for ref in refs:
            assert await asyncio.gather(*[ref.aecho(i) for i in range(20)]) == list(range(20))
            await ref.note.tell(1)
            assert await ref.noted() == [1]
        gate = await make(Gate, refs[-1].address)
        call = gate.gives_way("a")
        await until(gate.log, lambda log: log == ["a in"])
        await gate.open()
        assert await call == ("a", True)
        with pytest.raises(asyncio.TimeoutError):
            await xo.wait_for((await make(Gate, refs[-1].address)).hold("b"), 0.01)
    return "used"


async def bounded(coroutine):
    return await asyncio.wait_for(coroutine, DEADLINE_S)


def new_loops():
    kinds = [pytest.param(asyncio.SelectorEventLoop, id="asyncio")]
    try:
        import uvloop
    except ImportError:
        return kinds
    return [*kinds, pytest.param(uvloop.new_event_loop, id="uvloop")]


LOOPS = pytest.mark.parametrize("new_loop", new_loops())


def run_on(loop, coroutine):
    """What asyncio.run does, with a loop that is given."""
    try:
        return loop.run_until_complete(bounded(coroutine))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@LOOPS
def test_loops_one_after_the_other(new_loop):
    for _ in range(2):
        assert run_on(new_loop(), use_a_pool()) == "used"
    assert node_files() == []


@LOOPS
def test_debug_mode(new_loop, caplog):
    loop = new_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = DEADLINE_S
    with caplog.at_level(logging.WARNING, "asyncio"):
        assert run_on(loop, use_a_pool()) == "used"
    assert caplog.records == []


@LOOPS
def test_a_loop_that_is_closed_without_a_word(new_loop):
    loop = new_loop()
    pools = []

    async def leave_open():
        pools.append(await xo.create_actor_pool("127.0.0.1", n_process=1))
        config = await xo.get_pool_config(pools[0].external_address)
        return await make(Echo, config.get_external_address(1))

    ref = loop.run_until_complete(bounded(leave_open()))
    assert loop.run_until_complete(ref.echo(1)) == 1
    loop.run_until_complete(pools[0].stop())
    loop.close()  # its asynchronous generators are never closed
    gc.collect()
    assert asyncio.run(bounded(use_a_pool(0))) == "used"


def test_pausing_and_going_on():
    """run_until_complete, again and again: what was sent meanwhile arrives."""
    loop = asyncio.new_event_loop()

    async def start():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1)
        config = await xo.get_pool_config(pool.external_address)
        return pool, await make(Echo, config.get_external_address(1))

    async def send(ref, value):
        return ref.echo(value)

    async def wait(call):
        return await call

    pool, ref = loop.run_until_complete(bounded(start()))
    calls = [loop.run_until_complete(send(ref, i)) for i in range(5)]
    assert [loop.run_until_complete(wait(call)) for call in calls] == list(range(5))
    run_on(loop, pool.stop())


@LOOPS
def test_loops_in_several_threads(new_loop):
    results = {}

    def run(number):
        try:
            results[number] = run_on(new_loop(), use_a_pool())
        except BaseException as e:
            results[number] = e

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: "used" for number in range(3)}


def test_threads_that_share_a_node(node):
    run, addresses = node
    ref = run(make(Echo, addresses[1]))
    results = []

    async def call(number):
        return await asyncio.gather(*[ref.echo((number, i)) for i in range(50)])

    def client(number):
        results.append(asyncio.run(bounded(call(number))))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [[(number, i) for i in range(50)] for number in range(4)]


def test_a_call_belongs_to_its_loop(node):
    run, addresses = node
    ref = run(make(Echo, addresses[1]))
    gate = run(make(Gate, addresses[1]))

    async def call():
        return gate.hold("x")

    async def wait(call):
        await call

    held = run(call())
    with pytest.raises(RuntimeError, match="loop"):
        asyncio.run(bounded(wait(held)))
    run(gate.open())
    assert run(wait_for_it(held)) == "x" and run(ref.echo(1)) == 1


async def wait_for_it(call):
    return await call


# ---- pytest-asyncio ----

SUITE = """
    import asyncio
    import pytest
    import pytest_asyncio
    import xoscar as xo
    from actors import Echo

    @pytest_asyncio.fixture
    async def pool():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1)
        async with pool:
            yield pool

    loops = set()

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", range(3))
    async def test_each_has_a_loop_and_a_pool(pool, number):
        loops.add(id(asyncio.get_running_loop()))
        config = await xo.get_pool_config(pool.external_address)
        for address in config.get_external_addresses():
            ref = await xo.create_actor(Echo, address=address, uid="same uid each time")
            assert await ref.echo(number) == number

    @pytest.mark.asyncio
    async def test_a_pool_of_its_own():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
        ref = await xo.create_actor(Echo, address=pool.external_address)
        assert await ref.aecho(1) == 1
        await pool.stop()

    def test_without_a_loop():
        assert asyncio.run(alone()) == 5

    async def alone():
        async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
            return await (await xo.create_actor(Echo, address=pool.external_address)).echo(5)
"""


def test_pytest_asyncio(tmp_path):
    pytest.importorskip("pytest_asyncio")
    (tmp_path / "test_suite.py").write_text(textwrap.dedent(SUITE))
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    options = ["-p", "no:cacheprovider"]
    if sys.version_info >= (3, 10):  # the last one for 3.9 leaves a loop open
        options += ["-W", "error"]
    options += ["-o", "asyncio_default_fixture_loop_scope=function", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "pytest", "-q", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout + done.stderr
