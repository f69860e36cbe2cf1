"""How remote generators end: with errors, without their consumer, without their actor."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

import xoscar as xo
from actors import Echo, in_each_pool, make, until


class Custom(Exception):
    def __init__(self, first, second):
        super().__init__(first, second)
        self.first, self.second = first, second


class Diary(xo.Actor):
    """Where generators write down that they ended, also when their actor is gone."""

    def __init__(self):
        self.lines = []

    def write(self, line):
        self.lines.append(line)

    def read(self):
        return self.lines


class Source(xo.Actor):
    def __init__(self, diary=None):
        self.diary = diary
        self.never = asyncio.Event()
        self.in_step = False

    @xo.no_lock
    def is_in_step(self):
        return self.in_step

    @xo.generator
    async def endless(self):
        i = 0
        try:
            while True:
                yield i
                i += 1
        finally:
            await self.diary.write("endless closed")

    @xo.generator
    def endless_plain(self):
        i = 0
        try:
            while True:
                yield i
                i += 1
        finally:
            self.diary.write("endless_plain closed")

    @xo.generator
    async def stuck(self, first=()):
        try:
            for item in first:
                yield item
            self.in_step = True
            await self.never.wait()
        except asyncio.CancelledError:
            await self.diary.write("stuck cancelled")
            raise
        finally:
            self.in_step = False
            await self.diary.write("stuck closed")

    @xo.generator
    async def stubborn(self):
        self.in_step = True
        try:
            await self.never.wait()
        except asyncio.CancelledError:
            yield "all the same"
        yield "more"

    @xo.generator
    async def failing(self, count):
        for i in range(count):
            yield i
        raise Custom(count, "no more")

    @xo.generator
    def failing_plain(self, count):
        for i in range(count):
            yield i
        raise Custom(count, "no more")

    @xo.generator
    async def unpicklable(self):
        try:
            yield 1
            yield threading.Lock()
            yield 3
        finally:
            await self.diary.write("unpicklable closed")

    @xo.generator
    async def fragile(self):
        yield 1
        yield CannotComeBack()
        yield 3

    @xo.generator
    async def fails_at_the_end(self):
        try:
            for i in range(1_000_000):
                yield i
        finally:
            raise ValueError("in finally")

    def pid(self):
        return os.getpid()


class FreeSource(xo.StatelessActor):
    __init__ = Source.__init__
    endless, stuck, is_in_step = Source.endless, Source.stuck, Source.is_in_step


def _fail():
    raise LookupError("cannot be unpickled")


class CannotComeBack:
    def __reduce__(self):
        return _fail, ()


class Reader(xo.Actor):
    """Consumes one item and keeps the handle."""

    def __init__(self, ref):
        self.ref = ref

    async def begin(self):
        self.handle = await self.ref.endless()
        return await self.handle.__anext__()

    def keep(self, handle):
        self.handle = handle

    def forget(self):
        del self.handle

    async def read_to_the_end(self, handle):
        async for _ in handle:
            pass


async def diary_and_source(address, cls=Source):
    diary = await make(Diary, address)
    return diary, await make(cls, address, diary)


async def written(diary, *lines):
    return await until(diary.read, lambda read: sorted(read) == sorted(lines))


async def destroy(*refs):
    for ref in refs:
        await ref.destroy()


# ---- errors ----


@in_each_pool
async def test_an_error_comes_after_the_items_before_it(address):
    _, ref = await diary_and_source(address)
    for method in (ref.failing, ref.failing_plain):
        for count in (0, 3, 3000):
            got, handle = [], await method(count)
            with pytest.raises(Custom) as caught:
                async for item in handle:
                    got.append(item)
            assert got == list(range(count))
            assert (caught.value.first, caught.value.second) == (count, "no more")
            with pytest.raises(StopAsyncIteration):
                await handle.__anext__()
    await ref.destroy()


def test_an_error_brings_its_remote_traceback(node):
    run, addresses = node

    async def use():
        _, ref = await diary_and_source(addresses[1])
        with pytest.raises(Custom, match=f"address={addresses[1]}, pid=") as caught:
            async for _ in await ref.failing(1):
                pass
        assert "in failing" in str(caught.value.__cause__)
        await ref.destroy()

    run(use())


def test_what_cannot_be_pickled_ends_the_stream(node):
    run, addresses = node

    async def use():
        diary, ref = await diary_and_source(addresses[1])
        got = []
        with pytest.raises(xo.SendMessageFailed, match="lock"):
            async for item in await ref.unpicklable():
                got.append(item)
        assert got == [1]
        await written(diary, "unpicklable closed")
        assert await ref.pid() > 0
        await destroy(ref, diary)

    run(use())


def test_what_cannot_be_unpickled_fails_in_its_turn(node):
    run, addresses = node

    async def use():
        _, ref = await diary_and_source(addresses[1])
        handle = await ref.fragile()
        assert await handle.__anext__() == 1
        with pytest.raises(xo.SendMessageFailed, match="cannot be unpickled"):
            await handle.__anext__()
        assert await handle.__anext__() == 3
        await ref.destroy()

    run(use())


# ---- the consumer has enough ----


@in_each_pool
async def test_leaving_the_loop_closes_the_generator(address):
    for cls in (Source, FreeSource):
        diary, ref = await diary_and_source(address, cls)
        async for item in await ref.endless():
            if item == 5:
                break
        gc.collect()
        await written(diary, "endless closed")
        await destroy(ref, diary)


@in_each_pool
async def test_dropping_the_handle_closes_the_generator(address):
    diary, ref = await diary_and_source(address)
    handle = await ref.endless()
    assert await handle.__anext__() == 0
    unused, plain = await ref.endless(), await ref.endless_plain()
    assert await plain.__anext__() == 0
    del handle, unused, plain
    gc.collect()
    await written(diary, "endless closed", "endless_plain closed")
    await destroy(ref, diary)


@in_each_pool
async def test_aclose_returns_when_the_generator_is_closed(address):
    diary, ref = await diary_and_source(address)
    handle = await ref.endless()
    assert await handle.__anext__() == 0
    await handle.aclose()
    assert await diary.read() == ["endless closed"]
    await handle.aclose()
    assert [item async for item in handle] == []
    handle = await ref.stuck()
    item = asyncio.ensure_future(handle.__anext__())
    await until(ref.is_in_step, bool)
    await handle.destroy()
    assert (await diary.read())[1:] == ["stuck cancelled", "stuck closed"]
    with pytest.raises((asyncio.CancelledError, StopAsyncIteration)):
        await item
    await destroy(ref, diary)


async def test_an_error_in_finally_is_reported_where_it_happened():
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said_: said.append(said_))
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        ref = await make(Source, pool.external_address)
        handle = await ref.fails_at_the_end()
        assert await handle.__anext__() == 0
        await handle.aclose()
        assert [str(s["exception"]) for s in said] == ["in finally"]


# ---- cancelling ----


@in_each_pool
async def test_cancelling_reaches_the_generator(address):
    for cls in (Source, FreeSource):
        diary, ref = await diary_and_source(address, cls)
        handle = await ref.stuck((1, 2))
        assert [await handle.__anext__(), await handle.__anext__()] == [1, 2]
        item = asyncio.ensure_future(handle.__anext__())
        await until(ref.is_in_step, bool)
        await asyncio.sleep(0)
        item.cancel()
        with pytest.raises(asyncio.CancelledError):
            await item
        await written(diary, "stuck cancelled", "stuck closed")
        with pytest.raises(StopAsyncIteration):
            await handle.__anext__()
        await destroy(ref, diary)


@in_each_pool
async def test_what_the_generator_makes_of_it_counts(address):
    _, ref = await diary_and_source(address)
    handle = await ref.stubborn()
    item = asyncio.ensure_future(handle.__anext__())
    await until(ref.is_in_step, bool)
    item.cancel()
    assert await item == "all the same"
    assert [item async for item in handle] == ["more"]
    await ref.destroy()


@in_each_pool
async def test_wait_for_gives_up(address):
    diary, ref = await diary_and_source(address)
    handle = await ref.stuck()
    with pytest.raises(asyncio.TimeoutError):
        await xo.wait_for(handle.__anext__(), 0.05)
    await written(diary, "stuck cancelled", "stuck closed")
    await destroy(ref, diary)


# ---- the consumer dies ----


async def test_a_killed_consumer_is_noticed():
    async with await xo.create_actor_pool("127.0.0.1", n_process=2, auto_recover=False) as pool:
        first, second = pool.sub_processes
        for home in (pool.external_address, first):
            diary, ref = await diary_and_source(home)
            reader = await make(Reader, second, ref)
            assert await reader.begin() == 0
            handle = await ref.stuck()
            await reader.keep(handle)  # claimed, and never used
            del handle
            if home == first:
                pool.sub_processes[second].kill()
            else:
                await reader.forget()
                assert await reader.begin() == 0
                await reader.destroy()
            gc.collect()
            closed = ["endless closed"] * (1 if home == first else 2)
            await written(diary, *closed)
            await destroy(ref, diary)


CLIENT = """
    import asyncio, sys
    import xoscar as xo

    async def main():
        ref = await xo.actor_ref(sys.argv[1], "source")
        handle = await ref.endless()
        print(await handle.__anext__(), flush=True)
        await asyncio.sleep(3600)

    asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_a_client_that_dies_is_noticed(how):
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        diary = await make(Diary, pool.external_address)
        await xo.create_actor(Source, diary, uid="source", address=pool.external_address)
        command = [sys.executable, "-c", textwrap.dedent(CLIENT), pool.external_address]
        loop = asyncio.get_running_loop()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            line = await loop.run_in_executor(None, client.stdout.readline)
            assert line == b"0\n"
            client.send_signal(how)
            await written(diary, "endless closed")


# ---- the actor goes ----


@in_each_pool
async def test_destroying_the_actor_ends_its_streams(address):
    for cls in (Source, FreeSource):
        diary, ref = await diary_and_source(address, cls)
        began = await ref.endless()
        assert await began.__anext__() == 0
        fresh = await ref.endless()
        await ref.destroy()
        await written(diary, "endless closed")
        with pytest.raises(xo.ActorNotExist):
            while True:
                await began.__anext__()
        with pytest.raises(xo.ActorNotExist):
            await fresh.__anext__()
        await diary.destroy()


@in_each_pool
async def test_who_waits_for_an_item_is_told_of_the_end(address):
    diary, ref = await diary_and_source(address, FreeSource)
    handle = await ref.stuck()
    item = asyncio.ensure_future(handle.__anext__())
    await until(ref.is_in_step, bool)
    await ref.destroy()
    with pytest.raises(xo.ActorNotExist, match="was destroyed"):
        await item
    await written(diary, "stuck cancelled", "stuck closed")
    await diary.destroy()


@in_each_pool
async def test_another_actor_with_the_uid_is_another_one(address):
    first = await xo.create_actor(Source, None, uid="again", address=address)
    handle = await first.failing(5000)
    assert await handle.__anext__() == 0
    await first.destroy()
    second = await xo.create_actor(Source, None, uid="again", address=address)
    with pytest.raises(xo.ActorNotExist):
        while True:
            await handle.__anext__()
    await second.destroy()


async def test_a_killed_pool_ends_its_streams():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover=False) as pool:
        (address,) = pool.sub_processes
        diary = await make(Diary, pool.external_address)
        ref = await make(Source, address, diary)
        began, waits = await ref.endless(), await ref.stuck()
        assert await began.__anext__() == 0
        item = asyncio.ensure_future(waits.__anext__())
        await until(ref.is_in_step, bool)
        pool.sub_processes[address].kill()
        with pytest.raises(xo.ServerClosed):
            await item
        with pytest.raises(xo.ServerClosed):
            while True:
                await began.__anext__()


async def test_stopping_the_node_ends_its_streams():
    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    ref = await make(Source, pool.external_address, await make(Diary, pool.external_address))
    handle = await ref.endless()
    assert await handle.__anext__() == 0
    await pool.stop()
    with pytest.raises((xo.ServerClosed, xo.ActorNotExist)):
        while True:
            await handle.__anext__()


def test_nothing_is_kept_of_what_has_ended(node):
    run, addresses = node

    async def use():
        import _xo
        from xoscar import _stream

        diary, ref = await diary_and_source(addresses[0])
        actor = _xo.find_actor(ref)
        for _ in range(3):
            with pytest.raises(Custom):
                async for _ in await ref.failing(2):
                    pass
            await (await ref.endless()).aclose()
        streams = actor._xo_extras["streams"].streams

        async def left():
            return len(streams)

        await until(left, lambda count: count == 0)
        assert not _stream.by_peer
        echo = await make(Echo, addresses[1])
        assert await echo.echo(1) == 1
        await destroy(ref, diary, echo)

    run(use())
