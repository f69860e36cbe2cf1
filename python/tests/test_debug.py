"""Debug options: where they come from, and what is said when they are on.

The pools of a test's own process log into caplog; a sub pool's log is what it writes to stderr.
"""

import asyncio
import json
import logging
import os
import pickle
import subprocess
import sys

import pytest

import xoscar as xo
from actors import DEADLINE_S, Echo
from xoscar import debug

SOON_S = 0.02  # a timeout that a test waits for


@pytest.fixture(autouse=True)
def off():
    yield
    xo.set_debug_options(None)


def options(**fields):
    """All is off except what is said."""
    nothing = dict.fromkeys(
        ("actor_call_timeout", "process_message_timeout", "actor_lock_timeout"), None
    )
    flags = {"log_unhandled_errors": False, "log_cycle_send": False}
    return xo.DebugOptions(**{**nothing, **flags, **fields})


# ---- options ----


def test_defaults():
    assert xo.get_debug_options() is None
    made = xo.DebugOptions()
    assert (
        made.actor_call_timeout,
        made.process_message_timeout,
        made.actor_lock_timeout,
        made.log_unhandled_errors,
        made.log_cycle_send,
    ) == (10, 30, 30, True, True)
    assert made == xo.DebugOptions(10, 30, 30) and made != xo.DebugOptions(11)
    assert pickle.loads(pickle.dumps(made)) == made
    xo.set_debug_options(made)
    assert xo.get_debug_options() is made
    xo.set_debug_options(None)
    assert xo.get_debug_options() is None


@pytest.mark.parametrize(
    "fields,error",
    [
        ({"actor_call_timeout": "1"}, TypeError),
        ({"actor_lock_timeout": True}, TypeError),
        ({"process_message_timeout": 0}, ValueError),
        ({"process_message_timeout": -1}, ValueError),
        ({"process_message_timeout": float("nan")}, ValueError),
        ({"log_cycle_send": 1}, TypeError),
        ({"nothing": 1}, TypeError),
    ],
)
def test_bad_options(fields, error):
    with pytest.raises(error, match=next(iter(fields))):
        xo.DebugOptions(**fields)


def test_what_are_no_options():
    with pytest.raises(TypeError, match="DebugOptions"):
        xo.set_debug_options({"actor_call_timeout": 1})


@pytest.mark.parametrize(
    "text,expected",
    [
        ("1", xo.DebugOptions()),
        ("true", xo.DebugOptions()),
        ("{}", xo.DebugOptions()),
        ("0", None),
        ("", None),
        (
            '{"actor_call_timeout": 3.5, "log_cycle_send": false}',
            xo.DebugOptions(3.5, 30, 30, True, False),
        ),
        ('{"actor_lock_timeout": null}', xo.DebugOptions(10, 30, None)),
    ],
)
def test_environment(monkeypatch, text, expected):
    monkeypatch.setenv("DEBUG_OSCAR", text)
    debug.reload_debug_opts_from_env()
    assert xo.get_debug_options() == expected


@pytest.mark.parametrize(
    "text,reason",
    [
        ("yes please", "Expecting value"),
        ("[1]", "JSON object"),
        ("2", "JSON object"),
        ('{"call_timeout": 1}', "no option 'call_timeout'; there are actor_call_timeout"),
        ('{"actor_call_timeout": "1"}', "number of seconds"),
        ('{"log_cycle_send": 1}', "True or False"),
    ],
)
def test_bad_environment(monkeypatch, text, reason):
    monkeypatch.setenv("DEBUG_OSCAR", text)
    with pytest.raises(ValueError, match="DEBUG_OSCAR=.*" + reason):
        debug.reload_debug_opts_from_env()


def python(code, variable):
    env = {**os.environ, "DEBUG_OSCAR": variable}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=DEADLINE_S
    )


def test_import_reads_the_environment():
    said = python("import xoscar; print(xoscar.get_debug_options())", '{"actor_call_timeout": 7}')
    assert "actor_call_timeout=7" in said.stdout
    said = python("import xoscar", "nonsense")
    assert said.returncode and "ValueError" in said.stderr and "DEBUG_OSCAR" in said.stderr


# ---- warnings ----


class Worker(xo.Actor):
    """Does what the tests warn of."""

    def __init__(self):
        self.event = asyncio.Event()

    async def wait(self):
        await self.event.wait()
        return "done"

    async def gives_way(self):
        yield self.event.wait()
        raise xo.Return("done")

    def returns_awaitable(self):
        return self.event.wait()

    @xo.no_lock
    def open(self):
        self.event.set()

    def block(self, seconds):
        import time

        time.sleep(seconds)

    def fails(self):
        raise ValueError("plain")

    @xo.extensible
    def fails_extensibly(self):
        raise ValueError("extensible")

    async def fails_later(self):
        raise ValueError("later")

    def options(self):
        return repr(xo.get_debug_options())

    def own_ref(self):
        return type(self.ref()).__name__

    async def call(self, other, method, *args):
        return await getattr(other, method)(*args)

    async def yield_call(self, other, method, *args):
        result = yield getattr(other, method)(*args)
        raise xo.Return(result)

    def pass_on(self, other, method, *args):
        return getattr(other, method)(*args)

    def noop(self):
        return "noop"

    async def anoop(self):
        return "noop"

    async def try_call(self, other, method):
        """Gives up once the warning is there."""
        call = getattr(other, method)()
        call.abandon()
        return "tried"

    async def in_background(self, other):
        self.task = asyncio.ensure_future(self.later(other))

    async def later(self, other):
        await self.event.wait()
        return await other.call(self.ref(), "noop")

    @xo.no_lock
    async def background_result(self):
        return await self.task


class Free(xo.StatelessActor):
    async def call(self, other, method, *args):
        return await getattr(other, method)(*args)

    def noop(self):
        return "noop"


class Messages:
    """What the logger said, to be waited for."""

    def __init__(self, caplog):
        self._caplog = caplog

    def __call__(self):
        return [r.getMessage() for r in self._caplog.records if r.name == "xoscar.debug"]

    async def until(self, count, part):
        while sum(part in text for text in self()) < count:
            await asyncio.sleep(0)
        return [text for text in self() if part in text]


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.WARNING, "xoscar.debug")
    return Messages(caplog)


async def make_pool():
    return await xo.create_actor_pool("127.0.0.1", n_process=0)


async def test_a_call_without_an_answer(messages):
    async with await make_pool() as pool:
        worker = await xo.create_actor(Worker, uid="w")
        xo.set_debug_options(options(actor_call_timeout=SOON_S))
        call = worker.wait()
        said = await messages.until(2, "no answer")
        assert f"Calling 'wait' of actor b'w' at {pool.external_address}" in said[0]
        assert "since " in said[0]
        await worker.open()
        assert await call == "done"
        assert await worker.anoop() == "noop"


async def test_the_caller_is_named(messages):
    async with await make_pool():
        first, second = [await xo.create_actor(Worker, uid=u) for u in ("first", "second")]
        xo.set_debug_options(options(actor_call_timeout=SOON_S))
        call = first.call(second, "wait")
        (said, *_) = await messages.until(1, "called by")
        assert "'wait' of actor b'second'" in said and "called by 'call' of actor b'first'" in said
        await second.open()
        assert await call == "done"


@pytest.mark.parametrize("method", ["wait", "gives_way", "returns_awaitable"])
async def test_a_method_that_runs_long(messages, method):
    async with await make_pool():
        worker = await xo.create_actor(Worker, uid="w")
        xo.set_debug_options(options(process_message_timeout=SOON_S))
        call = getattr(worker, method)()
        (said, *_) = await messages.until(1, "has been running")
        assert f"{method!r} of actor b'w'" in said
        await worker.open()
        await call


async def test_a_method_that_blocks_its_pool(messages):
    async with await make_pool():
        worker = await xo.create_actor(Worker, uid="w")
        xo.set_debug_options(options(process_message_timeout=SOON_S))
        await worker.block(2 * SOON_S)
        (said,) = messages()
        assert "'block' of actor b'w'" in said and "kept its pool" in said


async def test_a_lock_that_is_held_long(messages):
    async with await make_pool():
        worker = await xo.create_actor(Worker, uid="w")
        xo.set_debug_options(options(actor_lock_timeout=SOON_S))
        call = worker.wait()
        (said, *_) = await messages.until(1, "lock")
        assert "'wait' of actor b'w'" in said and "held its actor's lock" in said
        await worker.open()
        await call


async def test_who_holds_no_lock_is_not_warned_of(messages):
    async with await make_pool():
        worker = await xo.create_actor(Worker)
        xo.set_debug_options(options(actor_lock_timeout=SOON_S, process_message_timeout=3 * SOON_S))
        calls = [worker.gives_way(), worker.returns_awaitable()]
        await messages.until(2, "has been running")
        assert not any("lock" in text for text in messages())
        await worker.open()
        await asyncio.gather(*calls)


async def test_errors_of_methods(messages, caplog):
    async with await make_pool():
        worker = await xo.create_actor(Worker, uid="w")
        xo.set_debug_options(options(log_unhandled_errors=True))
        for method in ("fails", "fails_extensibly", "fails_later"):
            with pytest.raises(ValueError):
                await getattr(worker, method)()
        assert [text.partition(" at ")[0] for text in messages()] == [
            "Unhandled error in 'fails' of actor b'w'",
            "Unhandled error in 'fails_extensibly' of actor b'w'",
            "Unhandled error in 'fails_later' of actor b'w'",
        ]
        assert all(record.exc_info for record in caplog.records if record.name == "xoscar.debug")
        xo.set_debug_options(options())
        with pytest.raises(ValueError):
            await worker.fails()
        assert len(messages()) == 3


# ---- cycles ----


async def test_a_cycle(messages):
    async with await make_pool() as pool:
        a, b = [await xo.create_actor(Worker, uid=u) for u in "ab"]
        xo.set_debug_options(options(log_cycle_send=True))
        assert await a.call(b, "try_call", a, "noop") == "tried"
        (said,) = messages()
        at = f"at {pool.external_address}"
        assert [line.strip() for line in said.splitlines()[1:]] == [
            f"'call' of actor b'a' {at}",
            f"'try_call' of actor b'b' {at}",
            f"'noop' of actor b'a' {at}",
        ]


async def test_what_is_no_cycle(messages):
    """Those who wait hold no lock, or do not wait."""
    async with await make_pool():
        a, b = [await xo.create_actor(Worker, uid=u) for u in "ab"]
        free = await xo.create_actor(Free, uid="free")
        xo.set_debug_options(options(log_cycle_send=True))
        assert await a.yield_call(b, "call", a, "noop") == "noop"
        assert await a.pass_on(b, "call", a, "noop") == "noop"
        assert await free.call(b, "call", free, "noop") == "noop"
        assert await a.call(b, "noop") == "noop"
        await a.in_background(b)
        await a.open()
        assert await a.background_result() == "noop"
        assert messages() == []


async def test_references_are_plain_while_cycles_are_looked_for():
    async with await make_pool() as pool:
        worker = await xo.create_actor(Worker, uid="w")
        assert (type(worker), await worker.own_ref()) == (xo.LocalActorRef, "LocalActorRef")
        xo.set_debug_options(options(log_cycle_send=True))
        found = await xo.actor_ref(pool.external_address, "w")
        made = await xo.create_actor(Worker)
        assert type(found) is type(made) is xo.ActorRef
        assert await worker.own_ref() == "ActorRef"
        xo.set_debug_options(options())
        assert type(await xo.actor_ref("w", address=pool.external_address)) is xo.LocalActorRef


def test_sub_pools_have_the_options_too():
    """And a cycle through two processes is seen by the one that closes it."""
    code = """
import asyncio, sys
import xoscar as xo
from test_debug import Worker

async def main():
    xo.set_debug_options(xo.DebugOptions(77))
    async with await xo.create_actor_pool("127.0.0.1", n_process=2) as pool:
        places = list(pool.sub_processes)
        a, b = [await xo.create_actor(Worker, uid=u, address=p) for u, p in zip("ab", places)]
        print(await a.options())
        print(await a.call(b, "try_call", a, "noop"))

asyncio.run(main())
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    env.pop("DEBUG_OSCAR", None)
    said = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert said.returncode == 0, said.stderr
    first, tried = said.stdout.splitlines()
    assert first == repr(xo.DebugOptions(77)) and tried == "tried"
    (start,) = [i for i, x in enumerate(said.stderr.splitlines()) if "Call cycle" in x]
    chain = said.stderr.splitlines()[start + 1 : start + 4]
    assert [line.split(" at ")[0].strip() for line in chain] == [
        "'call' of actor b'a'",
        "'try_call' of actor b'b'",
        "'noop' of actor b'a'",
    ]


def test_the_environment_of_sub_pools(monkeypatch):
    assert debug.sub_pool_env() == {}
    xo.set_debug_options(options(actor_call_timeout=5))
    (text,) = debug.sub_pool_env().values()
    assert xo.DebugOptions(**json.loads(text)) == xo.get_debug_options()
    xo.set_debug_options(None)
    monkeypatch.setenv("DEBUG_OSCAR", "1")
    assert debug.sub_pool_env() == {"DEBUG_OSCAR": "0"}


class SwitchesOff:
    def __reduce__(self):
        xo.set_debug_options(None)
        return int, ()


async def test_switched_off_while_a_call_is_written():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        config = await xo.get_pool_config(pool.external_address)
        ref = await xo.create_actor(Echo, address=config.get_external_address(1))
        xo.set_debug_options(xo.DebugOptions())
        assert await ref.echo(SwitchesOff()) == 0
