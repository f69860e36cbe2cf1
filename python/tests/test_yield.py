"""Methods that yield, and those that return what has to be awaited."""

import asyncio
import types

import pytest

import xoscar as xo
from actors import Echo, Gate, in_each_pool, make, until


class Yields(Gate):
    def __init__(self, echo=None):
        super().__init__()
        self.echo = echo

    async def one(self, value):
        await asyncio.sleep(0)
        return value

    async def fail(self, error):
        await asyncio.sleep(0)
        raise error

    async def all_kinds(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result("future")
        task = asyncio.ensure_future(self.one("task"))
        coroutine = self.one("coroutine")
        got = yield "plain", coroutine, None, future, task, self.inner(2), self.echo.echo(3)
        nothing = yield
        empty = yield ()
        single = yield future
        raise xo.Return([got, nothing, empty, single])

    async def inner(self, value):
        got = yield self.one(value)
        if got == "fail":
            raise LookupError("inner")
        raise xo.Return([got])

    async def nested(self, value):
        got = yield self.inner(value)
        again = yield (self.inner(got), self.inner("x"))
        raise xo.Return((got, again))

    async def in_a_loop(self, count):
        total = 0
        for i in range(count):
            total += yield self.one(i)
        raise xo.Return(total)

    async def falls_off(self):
        yield self.one(1)

    async def catches(self):
        caught = []
        for item in (
            self.fail(KeyError("one")),
            ("plain", self.fail(IndexError("of a tuple"))),
            self.inner("fail"),
            self.echo.echo(1, 2),
        ):
            try:
                yield item
            except (LookupError, TypeError) as e:
                caught.append(type(e).__name__)
        raise xo.Return(caught)

    async def lets_through(self):
        yield self.fail(KeyError("not caught"))

    async def fails_after(self):
        yield self.one(1)
        raise IndexError("after")

    async def returns_awaitable(self):
        yield self.one(1)
        raise xo.Return((self.one(2), 3))

    async def cleans_up(self):
        self.events.append("cleans_up in")
        try:
            yield self.event.wait()
        except asyncio.CancelledError:
            self.events.append("cancelled")
            await asyncio.sleep(0)
            raise
        finally:
            self.events.append("cleaned up")

    async def survives(self):
        self.events.append("survives in")
        try:
            yield self.event.wait()
        except asyncio.CancelledError:
            got = yield self.one("and yields again")
            raise xo.Return(got)


@in_each_pool
async def test_yields(address):
    ref = await make(Yields, address, await make(Echo, address))
    assert await ref.all_kinds() == [
        ("plain", "coroutine", None, "future", "task", [2], 3),
        None,
        (),
        "future",
    ]
    assert await ref.nested(1) == ([1], ([[1]], ["x"]))
    assert await ref.in_a_loop(100) == sum(range(100))
    assert await ref.falls_off() is None
    assert await ref.returns_awaitable() == (2, 3)


@in_each_pool
async def test_exceptions_come_back_at_the_yield(address):
    ref = await make(Yields, address, await make(Echo, address))
    assert await ref.catches() == ["KeyError", "IndexError", "LookupError", "TypeError"]
    with pytest.raises(KeyError):
        await ref.lets_through()
    with pytest.raises(IndexError):
        await ref.fails_after()
    with pytest.raises(LookupError):
        await ref.nested("fail")


@in_each_pool
async def test_cancelled_while_yielded(address):
    ref = await make(Yields, address)
    call = ref.cleans_up()
    await until(ref.log, lambda log: log == ["cleans_up in"])
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await ref.log() == ["cleans_up in", "cancelled", "cleaned up"]
    call = ref.survives()
    await until(ref.log, lambda log: log[-1] == "survives in")
    call.cancel()
    assert await call == "and yields again"


@in_each_pool
async def test_clean_up_after_a_yield_has_the_lock(address):
    ref = await make(Yields, address)
    yielding = ref.cleans_up()
    await until(ref.log, lambda log: log == ["cleans_up in"])
    holding = ref.hold("other")
    await until(ref.log, lambda log: log[-1] == "other in")
    yielding.cancel()  # it gets the lock only after the other
    await ref.open()
    with pytest.raises(asyncio.CancelledError):
        await yielding
    assert await holding == "other"
    assert await ref.log() == [
        "cleans_up in",
        "other in",
        "other out",
        "cancelled",
        "cleaned up",
    ]


@in_each_pool
async def test_cancelled_while_it_waits_for_the_lock(address):
    """What was yielded has come; another method has the lock. The cancellation comes after it."""
    ref = await make(WaitsForLock, address)
    yielding = ref.yields()
    await until(ref.log, lambda log: log == ["yields in"])
    holding = ref.take_over()
    await until(ref.log, lambda log: log[-1] == "has come")
    yielding.cancel()
    await ref.open()
    with pytest.raises(asyncio.CancelledError):
        await yielding
    await holding
    assert (await ref.log())[2:] == ["let go", "cancelled with the lock"]


class WaitsForLock(Gate):
    def __init__(self):
        super().__init__()
        self.come = asyncio.Event()
        self.locked = False

    async def yields(self):
        self.events.append("yields in")
        try:
            yield self.come.wait()
        except asyncio.CancelledError:
            self.events.append(f"cancelled with{'out' if self.locked else ''} the lock")
            raise

    async def take_over(self):
        self.locked = True
        self.come.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.events.append("has come")
        await self.event.wait()
        self.events.append("let go")
        self.locked = False


# ---- awaitables as results ----


class Results(xo.StatelessActor):
    def __init__(self):
        self.loop = asyncio.get_running_loop()

    async def one(self, value):
        await asyncio.sleep(0)
        return value

    async def generator(self, value):
        got = yield self.one(value)
        raise xo.Return(got)

    @types.coroutine
    def old_style(self, value):
        yield from asyncio.sleep(0).__await__()
        return value

    def task(self, value):
        return self.loop.create_task(self.one(value))

    def future(self, value):
        future = self.loop.create_future()
        self.loop.call_soon(future.set_result, value)
        return future

    def custom(self, value):
        return Custom(self.one(value))

    def a_generator(self, value):
        return self.generator(value)

    def everything(self, value):
        ways = (self.one, self.task, self.future, self.custom, self.generator, self.old_style)
        return (value, *[way(value) for way in ways])

    async def twice(self, value):
        return self.task(value)

    async def thrice(self, value):
        return self.twice(value), self.generator(value)

    async def named(self, value):
        return Pair(value, value)

    def failing(self):
        return self.one(1), self.loop.create_task(self.fail())

    async def fail(self):
        raise KeyError("in a task")

    async def no_yield_but_return(self):
        raise xo.Return(5)


class Pair(tuple):
    """A tuple of a class of its own is a value."""

    def __new__(cls, *values):
        return super().__new__(cls, values)

    def __reduce__(self):
        return Pair, tuple(self)


class Custom:
    def __init__(self, coroutine):
        self.coroutine = coroutine

    def __await__(self):
        return self.coroutine.__await__()


@in_each_pool
async def test_awaitables_as_results(address):
    ref = await make(Results, address)
    for name in "one task future custom generator a_generator old_style twice".split():
        assert await getattr(ref, name)(name) == name
    assert await ref.everything(1) == (1,) * 7
    assert await ref.thrice(4) == (4, 4)
    named = await ref.named(2)
    assert type(named) is Pair and named == (2, 2)
    with pytest.raises(KeyError, match="in a task"):
        await ref.failing()
    with pytest.raises(xo.Return) as caught:
        await ref.no_yield_but_return()
    assert caught.value.value == 5
