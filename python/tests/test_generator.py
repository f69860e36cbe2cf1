"""Remote generators: @xo.generator. What goes wrong with them is in test_generator_ends.py."""

import asyncio
import inspect
import pickle

import pytest

import xoscar as xo
from actors import in_each_pool, make, until
from xoscar import api
from xoscar._stream import WINDOW_ITEMS


class Source(xo.Actor):
    """Has generators, and notes how far they have got."""

    def __init__(self):
        self.log = []
        self.queue = asyncio.Queue()
        self.flag = asyncio.Event()

    @xo.no_lock
    def noted(self):
        return list(self.log)

    @xo.no_lock
    def count(self):
        return len(self.log)

    @xo.no_lock
    def open(self):
        self.flag.set()

    def put(self, item):
        self.queue.put_nowait(item)

    @xo.generator
    async def numbers(self, count):
        """Counts."""
        for i in range(count):
            self.log.append(i)
            yield i

    @xo.generator
    def plain_numbers(self, count):
        for i in range(count):
            self.log.append(i)
            yield i

    @xo.generator
    async def queued(self, count):
        for _ in range(count):
            yield await self.queue.get()

    @xo.generator
    async def waiting(self, count):
        for i in range(count):
            self.log.append(f"waits for {i}")
            await self.flag.wait()
            yield i

    @xo.no_lock
    @xo.generator
    async def lockless(self):
        await self.flag.wait()
        yield "open"

    @xo.generator
    @xo.no_lock
    async def lockless_too(self):
        await self.flag.wait()
        yield "open"

    @xo.generator
    def something(self, value):
        return value

    @xo.generator
    async def something_async(self, value):
        await asyncio.sleep(0)
        return value

    @xo.generator
    def made_elsewhere(self):
        return (i * i for i in range(4))

    @xo.generator
    async def changing(self):
        items = []
        for i in range(4):
            items.append(i)
            yield items

    @xo.generator
    async def values(self, values):
        for value in values:
            yield value

    @xo.generator
    async def awaited(self, ref):
        got = yield ref.echo("from afar")
        yield got

    async def of_my_own(self):
        handle = await self.plain_numbers(2)
        return type(handle).__name__

    async def unmarked(self):
        got = yield asyncio.sleep(0, "awaited")
        raise xo.Return(got)


class FreeSource(xo.StatelessActor):
    def __init__(self):
        self.log = []
        self.flag = asyncio.Event()

    waiting, numbers = Source.waiting, Source.numbers
    count, noted, open = Source.count, Source.noted, Source.open

    @xo.generator
    async def sleepy(self, count):
        for i in range(count):
            self.log.append(i)
            await asyncio.sleep(0)
            yield i


class Consumer(xo.Actor):
    """Consumes what others give it."""

    async def consume(self, handle):
        return [item async for item in handle]

    async def fetch(self, ref, count):
        return await ref.numbers(count)

    async def take(self, handle, count):
        """Some items, and the handle for the rest."""
        return [await handle.__anext__() for _ in range(count)], handle

    def echo(self, value):
        return value


class Router(Source):
    """Sees all messages; the package's own are none of them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __on_receive__(self, message):
        self.seen.append(message[0])
        return super().__on_receive__(message)

    def saw(self):
        return self.seen


async def collect(handle):
    return [item async for item in handle]


@in_each_pool
async def test_items_arrive_in_order_and_end(address):
    ref = await make(Source, address)
    for method in (ref.numbers, ref.plain_numbers):
        handle = await method(5)
        assert isinstance(handle, api.IteratorWrapper)
        assert handle.__aiter__() is handle
        assert await collect(handle) == [0, 1, 2, 3, 4]
        assert await collect(handle) == []
        with pytest.raises(StopAsyncIteration):
            await handle.__anext__()
    assert await collect(await ref.numbers(0)) == []
    assert await collect(await ref.made_elsewhere()) == [0, 1, 4, 9]
    await ref.destroy()


@in_each_pool
async def test_what_is_no_generator_comes_as_it_is(address):
    ref = await make(Source, address)
    for method in (ref.something, ref.something_async):
        for value in (None, 5, [1, 2], {"a": (1,)}, "text"):
            got = await method(value)
            assert got == value and type(got) is type(value)
    assert await ref.of_my_own() == "IteratorWrapper"
    assert await ref.unmarked() == "awaited"
    await ref.destroy()


def test_the_decorator_keeps_what_the_method_is():
    method = Source.numbers
    assert (method.__name__, method.__doc__, method.__module__) == ("numbers", "Counts.", __name__)
    assert list(inspect.signature(method).parameters) == ["self", "count"]


@in_each_pool
async def test_nothing_runs_before_the_first_item_is_asked_for(address):
    ref = await make(Source, address)
    handle = await ref.numbers(3)
    assert await ref.noted() == []
    assert await handle.__anext__() == 0
    await handle.aclose()
    await ref.destroy()


@in_each_pool
async def test_the_generator_is_ahead_by_a_bounded_number_of_items(address):
    for cls in (Source, FreeSource):
        ref = await make(cls, address)
        handle = await ref.numbers(10 * WINDOW_ITEMS)
        assert await handle.__anext__() == 0
        await until(ref.count, lambda count: count >= WINDOW_ITEMS)
        for _ in range(50):  # whatever is under way has its time
            count = await ref.count()
        assert count <= 2 * WINDOW_ITEMS
        assert await handle.__anext__() == 1
        await handle.aclose()
        await ref.destroy()


@in_each_pool
async def test_bytes_are_bounded_too(address):
    ref = await make(Source, address)
    mib = 1 << 20
    handle = await ref.values([bytes(4 * mib)] * 3 + [bytes(30 * mib), b"last"])
    sizes = [len(item) async for item in handle]
    assert sizes == [4 * mib] * 3 + [30 * mib, 4]
    await ref.destroy()


@in_each_pool
async def test_an_item_is_what_it_was_when_it_was_yielded(address):
    """However far ahead the generator is."""
    ref = await make(Source, address)
    got = [list(item) async for item in await ref.changing()]
    assert got == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    await ref.destroy()


@in_each_pool
async def test_values_keep_their_types(address):
    np = pytest.importorskip("numpy")
    ref = await make(Source, address)
    values = [None, True, 1 << 80, 1.5, 1j, "té", b"\0", (1, (2, "x")), [1, [2]], {"a": {1}}]
    values += [(1, [2]), frozenset((1,)), ref]
    got = await collect(await ref.values(values))
    assert got == values and [type(g) for g in got] == [type(v) for v in values]
    arrays = [np.arange(3), np.full((300, 300), 7.0), np.zeros(0), np.asfortranarray(np.eye(200))]
    got = await collect(await ref.values(arrays + ["end"]))
    for a, b in zip(got, arrays):
        assert (a == b).all() and a.dtype == b.dtype and a.flags.writeable
        a += 1
    assert got[-1] == "end"
    await ref.destroy()


@in_each_pool
async def test_a_yielded_awaitable_is_awaited(address):
    ref, other = await make(Source, address), await make(Consumer, address)
    assert await collect(await ref.awaited(other)) == ["from afar", None]
    await ref.destroy()
    await other.destroy()


@in_each_pool
async def test_many_small_items(address):
    for cls, name in ((Source, "numbers"), (Source, "plain_numbers"), (FreeSource, "numbers")):
        ref = await make(cls, address)
        handle = await getattr(ref, name)(20_000)
        assert await collect(handle) == list(range(20_000))
        await ref.destroy()


@in_each_pool
async def test_many_streams_at_once(address):
    ref = await make(FreeSource, address)
    handles = await asyncio.gather(*[ref.sleepy(3) for _ in range(1000)])
    assert await asyncio.gather(*map(collect, handles)) == [[0, 1, 2]] * 1000
    await ref.destroy()


def test_streams_of_several_actors_side_by_side(node):
    run, addresses = node

    async def use():
        refs = [await make(Source, address) for address in addresses]
        handles = [await ref.numbers(100) for ref in refs for _ in range(3)]
        got = [[] for _ in handles]
        for _ in range(100):
            for items, handle in zip(got, handles):
                items.append(await handle.__anext__())
        assert got == [list(range(100))] * len(handles)
        for ref in refs:
            await ref.destroy()

    run(use())


# ---- the lock ----


@in_each_pool
async def test_a_wanted_item_keeps_the_lock(address):
    ref = await make(Source, address)
    handle = await ref.waiting(2)
    item = asyncio.ensure_future(handle.__anext__())
    await until(ref.noted, lambda log: log == ["waits for 0"])
    locked = ref.something("later")
    await ref.noted()
    assert not locked.done()
    await ref.open()
    assert await item == 0 and await locked == "later"
    assert await handle.__anext__() == 1
    await ref.destroy()


@in_each_pool
async def test_a_generator_that_is_ahead_keeps_nobody_waiting(address):
    """What it waits for may be what its consumer does next."""
    ref = await make(Source, address)
    await ref.put(0)
    handle = await ref.queued(5)
    for i in range(5):
        assert await handle.__anext__() == i
        await ref.put(i + 1)
    assert await collect(handle) == []
    await ref.destroy()


@in_each_pool
async def test_no_lock_and_stateless(address):
    for cls, name, args in (
        (Source, "lockless", ()),
        (Source, "lockless_too", ()),
        (FreeSource, "waiting", (1,)),
    ):
        ref = await make(cls, address)
        items = asyncio.ensure_future(collect(await getattr(ref, name)(*args)))
        await asyncio.sleep(0)
        assert type(await ref.noted()) is list and not items.done()
        if cls is Source:
            assert await ref.something(1) == 1 and not items.done()
        await ref.open()
        assert len(await items) == 1
        await ref.destroy()


@in_each_pool
async def test_others_get_their_turn_beside_a_long_stream(address):
    ref = await make(Source, address)
    items = asyncio.ensure_future(collect(await ref.plain_numbers(30_000)))
    for i in range(20):
        assert await ref.something(i) == i
    assert len(await items) == 30_000
    await ref.destroy()


@in_each_pool
async def test_messages_of_the_package_are_not_the_users(address):
    ref = await make(Router, address)
    assert await collect(await ref.numbers(3)) == [0, 1, 2]
    assert await ref.saw() == ["numbers", "saw"]
    await ref.destroy()


# ---- handing it on ----


@in_each_pool
async def test_a_handle_is_argument_and_result(address):
    ref, other = await make(Source, address), await make(Consumer, address)
    assert await other.consume(await ref.numbers(3)) == [0, 1, 2]
    assert await collect(await other.fetch(ref, 3)) == [0, 1, 2]
    assert await other.consume(await other.fetch(ref, 3)) == [0, 1, 2]
    await ref.destroy()
    await other.destroy()


def test_a_handle_in_use_goes_on_where_it_was(node):
    run, addresses = node

    async def use():
        for home in addresses:
            ref = await make(Source, home)
            others = [await make(Consumer, address) for address in addresses]
            handle, got = await ref.numbers(3000), []
            for _ in range(3):
                for other in others:
                    items, handle = await other.take(handle, 100)
                    got += items
                got += [await handle.__anext__() for _ in range(100)]
            got += await others[-1].consume(handle)
            assert got == list(range(3000))
            for actor in (ref, *others):
                await actor.destroy()

    run(use())


@in_each_pool
async def test_the_one_who_gave_it_away_cannot_use_it(address):
    ref = await make(Source, address)
    handle = await ref.numbers(3000)
    assert await handle.__anext__() == 0
    copy = pickle.loads(pickle.dumps(handle))
    assert await copy.__anext__() == 1
    with pytest.raises(RuntimeError, match="handed to another consumer"):
        await collect(handle)
    del handle  # which closes nothing
    assert len(await collect(copy)) == 2998
    assert await collect(pickle.loads(pickle.dumps(copy))) == []
    await ref.destroy()


@in_each_pool
async def test_items_at_hand_are_not_read_by_the_giver_too(address):
    ref, other = await make(Source, address), await make(Consumer, address)
    handle = await ref.numbers(100)
    assert await handle.__anext__() == 0 and len(handle._items) > 0
    assert await other.consume(pickle.loads(pickle.dumps(handle))) == list(range(1, 100))
    with pytest.raises(RuntimeError, match="handed to another consumer"):
        await handle.__anext__()
    with pytest.raises(StopAsyncIteration):
        await handle.__anext__()
    await ref.destroy()


@in_each_pool
async def test_a_copy_that_nobody_got_takes_nothing(address):
    ref = await make(Source, address)
    handle = await ref.numbers(3000)
    assert await handle.__anext__() == 0
    data = pickle.dumps(handle)
    assert await handle.__anext__() == 1
    data = pickle.dumps(handle)
    assert [await handle.__anext__() for _ in range(1000)] == list(range(2, 1002))
    late = pickle.loads(data)  # whoever comes too late is told
    with pytest.raises(RuntimeError, match="handed to another consumer"):
        await collect(late)
    del late
    assert await collect(handle) == list(range(1002, 3000))
    await ref.destroy()


@in_each_pool
async def test_closing_what_was_given_away_closes_nothing(address):
    ref = await make(Source, address)
    handle = await ref.numbers(30)
    assert await handle.__anext__() == 0
    data = pickle.dumps(handle)
    await handle.aclose()
    assert await collect(pickle.loads(data)) == list(range(1, 30))
    await ref.destroy()


@in_each_pool
async def test_who_handed_it_on_cannot_take_it_back_with_a_late_message(address):
    ref = await make(Source, address)
    loop, data = asyncio.get_running_loop(), pickle.dumps(await ref.numbers(9))
    first = await loop.run_in_executor(None, pickle.loads, data)  # where nothing can be sent
    second = pickle.loads(pickle.dumps(first))
    assert await second.__anext__() == 0
    with pytest.raises(RuntimeError, match="handed to another consumer"):
        await first._send("__xo_claim", 0)
    assert await collect(second) == [1, 2, 3, 4, 5, 6, 7, 8]
    await ref.destroy()


async def test_a_plain_object_gives_its_generator_itself():
    generator = await Source().numbers(2)
    assert [i async for i in generator] == [0, 1]
