"""Batches: many calls of a method as one message, with and without a batch version."""

import asyncio
import gc
import weakref

import pytest

import xoscar as xo
from actors import Gate, in_each_pool, make, until


class Batching(xo.Actor):
    """In the names: what the single version is, then what the batch version is."""

    def __init__(self):
        self.log = []

    def plain(self, n, k=0):
        self.log.append(n)
        if n == "bad":
            raise KeyError(n)
        return n, k

    async def plain_async(self, n, k=0):
        await asyncio.sleep(0)
        return self.plain(n, k)

    @xo.extensible
    def sync_none(self, n, k=0):
        return self.plain(n, k)

    @xo.extensible
    async def async_none(self, n, k=0):
        return await self.plain_async(n, k)

    @xo.extensible
    def sync_sync(self, n, k=0):
        return self.plain(n, k)

    @sync_sync.batch
    def sync_sync(self, args_list, kwargs_list):
        return self.many(self.sync_sync, args_list, kwargs_list)

    @xo.extensible
    def sync_async(self, n, k=0):
        return self.plain(n, k)

    @sync_async.batch
    async def sync_async(self, args_list, kwargs_list):
        await asyncio.sleep(0)
        return self.many(self.sync_async, args_list, kwargs_list)

    @xo.extensible
    async def async_sync(self, n, k=0):
        return await self.plain_async(n, k)

    @async_sync.batch
    def async_sync(self, args_list, kwargs_list):
        return self.many(self.async_sync, args_list, kwargs_list)

    @xo.extensible
    async def async_async(self, n, k=0):
        return await self.plain_async(n, k)

    @async_async.batch
    async def async_async(self, args_list, kwargs_list):
        await asyncio.sleep(0)
        return self.many(self.async_async, args_list, kwargs_list)

    def many(self, method, args_list, kwargs_list):
        self.log.append(f"batch of {len(args_list)}")
        return [self.plain(*method.bind(*a, **k)) for a, k in zip(args_list, kwargs_list)]

    def taken(self):
        log, self.log = self.log, []
        return log


WITHOUT = ("plain", "plain_async", "sync_none", "async_none")
WITH = ("sync_sync", "sync_async", "async_sync", "async_async")


@in_each_pool
async def test_all_combinations(address):
    ref = await make(Batching, address)
    for name in WITHOUT + WITH:
        method = getattr(ref, name)
        assert await method(1, k=2) == (1, 2), name
        assert await ref.taken() == [1]
        delays = [method.delay("a"), method.delay("b", 1), method.delay(n="c", k=2)]
        assert await method.batch(*delays) == [("a", 0), ("b", 1), ("c", 2)], name
        first = ["batch of 3"] if name in WITH else []
        assert await ref.taken() == [*first, "a", "b", "c"]
        await method.batch(method.delay("told"), send=False)
        assert (await ref.taken())[-1] == "told"
        assert await method.batch() == []
        await ref.taken()


@in_each_pool
async def test_an_error_in_one_of_a_batch(address):
    ref = await make(Batching, address)
    for name in WITHOUT + WITH:
        method = getattr(ref, name)
        with pytest.raises(KeyError):
            await method.batch(*[method.delay(n) for n in (1, "bad", 3)])
        assert [n for n in await ref.taken() if n != "batch of 3"] == [1, "bad"], name
        with pytest.raises(TypeError):
            await method.batch(method.delay(1), method.delay(1, 2, 3), method.delay(4))
        assert [n for n in await ref.taken() if n != "batch of 3"] == [1], name


class OnlyBatch(xo.Actor):
    @xo.extensible
    def double(self, n):
        raise NotImplementedError

    @double.batch
    def double(self, args_list, kwargs_list):
        return [2 * self.double.bind(*a, **k).n for a, k in zip(args_list, kwargs_list)]

    @xo.extensible
    async def double_async(self, n):
        raise NotImplementedError

    @double_async.batch
    async def double_async(self, args_list, kwargs_list):
        delays = [self.double.delay(*a, **k) for a, k in zip(args_list, kwargs_list)]
        return self.double.batch(*delays)

    @xo.extensible
    def nothing(self):
        raise NotImplementedError

    @nothing.batch
    def nothing(self, args_list, kwargs_list):
        pass

    @xo.extensible
    def too_many(self):
        raise NotImplementedError

    @too_many.batch
    def too_many(self, args_list, kwargs_list):
        return [1, 2]

    @xo.extensible
    def neither(self):
        raise NotImplementedError("neither")


@in_each_pool
async def test_single_calls_go_to_the_batch_version(address):
    ref = await make(OnlyBatch, address)
    assert await ref.double(3) == 6 and await ref.double(n=4) == 8
    assert await ref.double_async(5) == 10
    assert await ref.double_async.batch(ref.double_async.delay(6)) == [12]
    assert await ref.nothing() is None
    with pytest.raises(ValueError, match="2 results"):
        await ref.too_many()
    with pytest.raises(NotImplementedError, match="neither"):
        await ref.neither()
    with pytest.raises(NotImplementedError, match="neither"):
        await ref.neither.batch(ref.neither.delay())
    with pytest.raises(TypeError):
        await ref.double(1, 2)


class Binding(xo.Actor):
    @xo.extensible
    def take(self, a, b=2, *rest, only=3, **others):
        raise NotImplementedError

    @take.batch
    def take(self, args_list, kwargs_list):
        bound = [self.take.bind(*a, **k) for a, k in zip(args_list, kwargs_list)]
        return [(b.a, b.b, b.rest, b.only, b.others) for b in bound]

    @xo.extensible
    def unpack(self, a, b=2):
        raise NotImplementedError

    @unpack.batch
    def unpack(self, args_list, kwargs_list):
        results = []
        for args, kwargs in zip(args_list, kwargs_list):
            a, b = self.unpack.bind(*args, **kwargs)
            results.append([a, b])
        return results


@in_each_pool
async def test_bind_fills_defaults_in(address):
    ref = await make(Binding, address)
    take, unpack = ref.take, ref.unpack
    assert await take.batch(take.delay(1), take.delay(1, 5, 6, 7, only=8, more=9)) == [
        (1, 2, (), 3, {}),
        (1, 5, (6, 7), 8, {"more": 9}),
    ]
    assert await unpack.batch(unpack.delay(1), unpack.delay(b=1, a=0)) == [[1, 2], [0, 1]]
    with pytest.raises(TypeError):
        await unpack()


# ---- inheritance ----


class Base(xo.Actor):
    @xo.extensible
    async def name(self, n):
        return f"base {n}"

    @name.batch
    async def name(self, args_list, kwargs_list):
        return [f"base batch {n}" for (n,) in args_list]


class Inherits(Base):
    pass


class OtherSingle(Base):
    @xo.extensible
    async def name(self, n):
        return "other " + await super().name(n)


class OtherBatch(Base):
    @Base.name.batch
    async def name(self, args_list, kwargs_list):
        theirs = await Base.name.many(self, args_list, kwargs_list)
        return [f"other {name}" for name in theirs]


class PlainAgain(Base):
    def name(self, n):
        return f"plain {n}"


@in_each_pool
async def test_overriding_either_version(address):
    for cls, single, batch in (
        (Inherits, "base 1", "base batch 1"),
        (OtherSingle, "other base 1", "other base 1"),
        (OtherBatch, "base 1", "other base batch 1"),
        (PlainAgain, "plain 1", "plain 1"),
    ):
        ref = await make(cls, address)
        assert await ref.name(1) == single, cls
        assert await ref.name.batch(ref.name.delay(1)) == [batch], cls


# ---- from within ----


class Within(xo.Actor):
    @xo.extensible
    def plain(self, n):
        return n

    @xo.extensible
    async def waits(self, n):
        return self.plain(n) + 1

    async def use(self):
        plain = self.plain.batch(*[self.plain.delay(n) for n in range(3)])
        waits = await self.waits.batch(*[self.waits.delay(n=n) for n in range(3)])
        return plain, waits, self.plain(7), await self.waits(8)

    async def use_wrongly(self):
        return self.plain.batch(self.waits.delay(1))


@in_each_pool
async def test_extensible_methods_call_one_another(address):
    ref = await make(Within, address)
    assert await ref.use() == ([0, 1, 2], [1, 2, 3], 7, 9)
    with pytest.raises(ValueError):
        await ref.use_wrongly()


# ---- the lock, awaitables ----


class Waiting(Gate):
    @xo.extensible
    @xo.no_lock
    async def beside(self, name):
        return await self.hold(name)

    @beside.batch
    async def beside(self, args_list, kwargs_list):
        return [await self.hold(name) for (name,) in args_list]

    @xo.extensible
    async def yields(self, name):
        raise NotImplementedError

    @yields.batch
    async def yields(self, args_list, kwargs_list):
        self.events.append(f"{args_list[0][0]} in")
        opened = yield self.event.wait()
        self.events.append(f"{args_list[0][0]} out")
        raise xo.Return([(name, opened) for (name,) in args_list])

    async def _later(self, value):
        await self.event.wait()
        return value

    def awaitable(self, value):
        return self._later(value) if value != "plain" else value

    def several(self, value):
        return value, self._later(value)


@in_each_pool
async def test_batches_keep_the_lock_as_single_calls_do(address):
    gate = await make(Waiting, address)
    calls = [gate.hold.batch(gate.hold.delay("a"), gate.hold.delay("b")), gate.hold("c")]
    await until(gate.log, lambda log: log == ["a in"])
    calls.append(gate.beside.batch(gate.beside.delay("d")))
    await until(gate.log, lambda log: log == ["a in", "d in"])
    await gate.open()
    assert await asyncio.gather(*calls) == [["a", "b"], "c", ["d"]]
    log = [event for event in await gate.log() if event[0] != "d"]
    assert log == ["a in", "a out", "b in", "b out", "c in", "c out"]


@in_each_pool
async def test_batches_that_yield(address):
    gate = await make(Waiting, address)
    calls = [
        gate.yields.batch(gate.yields.delay("a"), gate.yields.delay("b")),
        gate.yields("c"),
        gate.gives_way.batch(gate.gives_way.delay("d"), gate.gives_way.delay("e")),
    ]
    await until(gate.log, lambda log: log == ["a in", "c in", "d in"])
    await gate.open()
    assert await asyncio.gather(*calls) == [
        [("a", True), ("b", True)],
        ("c", True),
        [("d", True), ("e", True)],
    ]


@in_each_pool
async def test_awaitables_as_results_of_a_batch(address):
    gate = await make(Waiting, address)
    awaitable, several = gate.awaitable, gate.several
    calls = [
        awaitable.batch(awaitable.delay("plain"), awaitable.delay("x"), awaitable.delay("y")),
        several.batch(several.delay(1), several.delay(2)),
    ]
    await gate.open()  # without the lock, or it would wait
    assert await asyncio.gather(*calls) == [["plain", "x", "y"], [(1, 1), (2, 2)]]


# ---- what is no batch ----


@in_each_pool
async def test_what_is_no_batch(address):
    ref, other = await make(Batching, address), await make(Batching, address)
    for wrong in (ref.plain_async.delay(1), other.plain.delay(1), 5, ref.plain(1)):
        with pytest.raises(ValueError):
            ref.plain.batch(ref.plain.delay(0), wrong)
    with pytest.raises(TypeError, match="send"):
        ref.plain.batch(ref.plain.delay(0), wait=True)
    assert [entry for entry in await ref.taken() if entry != 1] == []


# ---- what the garbage collector has to do with it ----


class Thing:
    pass


def test_delayed_calls_are_freed():
    """Those of plain values are nothing for the garbage collector, those that may be part of a
    circle are."""
    ref, thing = xo.ActorRef("127.0.0.1:1", "a"), Thing()
    assert not gc.is_tracked(ref.plain.delay(1, "two", (3.0, None)))
    circle, freed = [thing], weakref.ref(thing)
    circle.append(ref.plain.delay(circle))
    circle.append(ref.plain.delay(k=circle))
    del circle, thing
    gc.collect()
    assert freed() is None
    owner = type("Ref", (xo.ActorRef,), {})("127.0.0.1:1", "a")
    freed = weakref.ref(owner)
    owner.method, owner.delay = owner.plain, owner.plain.delay(1)
    del owner
    gc.collect()
    assert freed() is None


@in_each_pool
async def test_a_batch_of_several_says_what_differs(address):
    ref, other = await make(Batching, address), await make(Batching, address)
    with pytest.raises(ValueError, match="call of 'plain_async'> is not of 'plain'$"):
        ref.plain.batch(ref.plain_async.delay(1))
    with pytest.raises(ValueError, match="call of 'plain'> is of .*, not of ") as caught:
        ref.plain.batch(ref.plain.delay(1), other.plain.delay(1))
    assert str(caught.value).endswith(f" is of {other!r}, not of {ref!r}")
