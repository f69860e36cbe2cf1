"""Calls of plain methods of idle actors of the caller's own pool, which run where they are made: in
all that can be seen they are like those that go by message."""

import asyncio
import contextvars
import gc
import os
import sys
import threading

import pytest

import _xo
import xoscar as xo
from actors import Echo, Gate, make, runs_out, until


def in_main_pool(test):
    """The test runs in the node's loop, with the main pool's address."""

    def wrapped(node):
        run, addresses = node
        run(asyncio.wait_for(test(addresses[0]), 60))

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


class Log(xo.Actor):
    def __init__(self):
        self.log = []

    def note(self, what):
        self.log.append(what)
        return list(self.log)

    async def note_slowly(self, what, gate):
        self.log.append(what)
        await gate.hold(what)
        self.log.append(what + " over")

    def note_oneself(self, ref):
        self.later = ref.note("inner")
        self.log.append("outer")
        return self.later.done()

    async def end(self):
        return await self.later


@in_main_pool
async def test_such_a_call_is_done_when_it_is_made(address):
    ref = await make(Echo, address)
    call = ref.echo(7)
    assert call.done() and call.result() == 7 and await call == 7
    assert await asyncio.gather(*[ref.echo(i) for i in range(50)]) == list(range(50))
    assert await asyncio.create_task(ref.echo("in a task")) == "in a task"
    assert not ref.aecho(1).done()
    ref.echo(1).cancel()  # which is too late


@in_main_pool
async def test_it_overtakes_nothing(address):
    ref = await make(Log, address)
    for i in range(3):
        ref.note.tell(i)
    assert not (call := ref.note(3)).done()
    assert await call == [0, 1, 2, 3]
    assert ref.note(4).result() == [0, 1, 2, 3, 4]


@in_main_pool
async def test_it_waits_for_the_lock(address):
    ref, gate = await make(Log, address), await make(Gate, address)
    slow = ref.note_slowly("slow", gate)
    await until(gate.log, lambda log: log == ["slow in"])
    call = ref.note("after")
    assert not call.done()
    await gate.open()
    assert await call == ["slow", "slow over", "after"]
    await slow


@in_main_pool
async def test_within_a_method_it_is_a_message(address):
    ref = await make(Log, address)
    assert await ref.note_oneself(ref) is False
    assert await ref.end() == ["outer", "inner"]


class Chain(xo.Actor):
    def __init__(self, next_one, done):
        self.next_one, self.done = next_one, done

    def pass_on(self, n):
        if self.next_one is None:
            self.done.set_result(n)
        else:
            self.next_one.pass_on(n + 1)


@in_main_pool
async def test_a_chain_of_actors_does_not_nest(address):
    done, ref, length = asyncio.get_running_loop().create_future(), None, 3000
    for _ in range(length):
        ref = await make(Chain, address, ref, done)
    assert length > sys.getrecursionlimit() / 2
    ref.pass_on(1)
    assert await done == length


@in_main_pool
async def test_who_calls_in_a_row_lets_the_loop_have_its_turn(address):
    ref, seen = await make(Echo, address), []
    asyncio.get_running_loop().call_soon(seen.append, True)
    while not seen:
        await ref.echo()


class Asking(xo.Actor):
    """Plain methods whose results have to be awaited, outside the lock."""

    def __init__(self, gate):
        self.gate = gate

    def ask(self, name):
        return self.gate.hold(name)

    def ask_twice(self, a, b):
        return self.gate.hold(a), 5, self.gate.hold_lockless(b)

    def own(self, name):
        return self._own(name)

    async def _own(self, name):
        return await self.gate.hold(name)

    def free(self):
        return "free"


@in_main_pool
async def test_what_it_returns_is_awaited_outside_the_lock(address):
    gate = await make(Gate, address)
    ref = await make(Asking, address, gate)
    call = ref.own("own")
    await until(gate.log, lambda log: log == ["own in"])
    assert await ref.free() == "free" and not call.done()
    await gate.open()
    assert await call == "own"
    assert await ref.ask("asked") == "asked"
    assert await ref.ask_twice("a", "b") == ("a", 5, "b")


@in_main_pool
async def test_what_is_awaited_can_be_cancelled_and_outlives_the_actor(address):
    gate = await make(Gate, address)
    ref = await make(Asking, address, gate)
    await runs_out(gate, lambda s: xo.wait_for(ref.own("own"), s), "own in", "own cancelled")
    call = ref.own("again")
    await until(gate.log, lambda log: log[-1] == "again in")
    await ref.destroy()
    await gate.open()
    assert await call == "again"


class Failing(xo.Actor):
    def fail(self, exception):
        raise exception

    def stats(self):
        pool = _xo.pool().stats()
        return pool["handled"], pool["failed"]


@in_main_pool
async def test_errors_are_the_calls(address):
    ref = await make(Failing, address)
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        await ref.fail(error)
    assert caught.value.args == error.args
    assert str(caught.value) == f"[address={address}, pid={os.getpid()}] 'mine'"
    ref = await make(Failing, address)  # by message: so what comes next is the first of a row
    call = ref.fail(asyncio.CancelledError("in a method"))
    assert call.cancelled()
    with pytest.raises(RuntimeError, match="StopIteration"):
        await ref.fail(StopIteration(1))
    with pytest.raises(TypeError, match="argument"):
        await ref.fail()


@in_main_pool
async def test_an_error_that_nobody_sees_is_told(address):
    ref, told = await make(Failing, address), []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
    try:
        ref.fail(ValueError("unseen"))
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert [error.args for error in told] == [("unseen",)]


@in_main_pool
async def test_it_counts_as_handled(address):
    ref = await make(Failing, address)
    handled, failed = await ref.stats()
    with pytest.raises(ValueError):
        await ref.fail(ValueError())
    assert await ref.stats() == (handled + 2, failed + 1)


variable = contextvars.ContextVar("variable", default="nothing")


class Contextual(xo.Actor):
    def swap(self, value):
        old = variable.get()
        variable.set(value)
        return old

    def run_is_mine(self):
        return _xo.current_run() is None

    async def ask(self, ref):
        return _xo.current_run() is not None and await ref.run_is_mine()


@in_main_pool
async def test_its_context_is_its_own(address):
    ref, other = await make(Contextual, address), await make(Contextual, address)
    variable.set("the caller's")
    assert await ref.swap("the method's") == "nothing"
    assert await ref.swap("again") == "nothing"
    assert variable.get() == "the caller's"
    assert await ref.ask(other)


class Unusual(xo.Actor):
    """Methods for which more has to be done than to call them."""

    def __init__(self):
        self.evaluated = 0
        self.shadowed = lambda: "the object's"

    def shadowed(self):
        return "the class's"

    @property
    def prop(self):
        self.evaluated += 1
        return lambda: self.evaluated

    @staticmethod
    def static(a, *, b=2):
        return a, b

    @classmethod
    def of_class(cls, *args, **kwargs):
        return cls.__name__, args, kwargs

    def many(self, a, b, c, d, e, f, g, /, h, *args, i=9, **rest):
        return a, b, c, d, e, f, g, h, args, i, rest


@in_main_pool
async def test_whatever_the_method_is(address):
    ref = await make(Unusual, address)
    assert await ref.shadowed() == "the object's"
    assert await ref.prop() == 1
    assert await ref.static(1, b=3) == (1, 3)
    assert await ref.of_class(1, a=2) == ("Unusual", (1,), {"a": 2})
    assert await ref.many(*range(9), i=1, z=2) == (*range(8), (8,), 1, {"z": 2})
    with pytest.raises(AttributeError):
        await _xo.method(ref, "_hidden")()
    with pytest.raises(AttributeError, match="not for others"):
        await _xo.method(ref, "__xo_settle")(1, 2)


def test_another_loop_is_another_pool(node):
    """An actor of one loop is not touched in the thread of another."""
    run, addresses = node

    async def create():
        return await make(Threads, addresses[0])

    ref = run(create())
    assert asyncio.run(xo.wait_for(ref.thread(), 60)) != threading.get_ident()


class Threads(xo.Actor):
    def thread(self):
        return threading.get_ident()
