"""Remote generators whose call had a deadline."""

import asyncio
import os
import signal

import _xo
import pytest

from actors import in_each_pool, make, until
from test_generator_ends import Custom, Diary, FreeSource, Reader, Source, destroy, diary_and_source


async def in_time(begin):
    """The streams that begin(seconds) opens, with a deadline that has not passed when their first
    items come."""
    seconds = 0.1
    while True:
        try:
            handles = await begin(seconds)
            assert [await handle.__anext__() for handle in handles] == [0] * len(handles)
            return handles
        except asyncio.TimeoutError:
            seconds *= 2


async def opened(method, *args):
    async def begin(seconds):
        return [await method.options(timeout=seconds)(*args)]

    (handle,) = await in_time(begin)
    return handle


async def is_late(handle):
    with pytest.raises(asyncio.TimeoutError):
        async for _ in handle:
            pass
    with pytest.raises(StopAsyncIteration):
        await handle.__anext__()


async def has_written(diary, line):
    await until(diary.read, lambda read: line in read)


class Pair(Source):
    def both(self):
        return self.endless(), self.endless()


@in_each_pool
async def test_a_deadline_is_that_of_each_stream_in_a_tuple(address):
    diary, ref = await diary_and_source(address, Pair)
    for handle in await in_time(lambda seconds: ref.both.options(timeout=seconds)()):
        await is_late(handle)
    await until(diary.read, lambda read: read.count("endless closed") >= 2)
    await destroy(ref, diary)


@in_each_pool
async def test_a_deadline_passes_while_items_come(address):
    for cls in (Source, FreeSource):
        diary, ref = await diary_and_source(address, cls)
        await is_late(await opened(ref.endless))
        await has_written(diary, "endless closed")
        await destroy(ref, diary)
    diary, ref = await diary_and_source(address)
    await is_late(await opened(ref.endless_plain))
    await has_written(diary, "endless_plain closed")
    await destroy(ref, diary)


@in_each_pool
async def test_a_deadline_passes_while_an_item_is_awaited(address):
    for cls in (Source, FreeSource):
        diary, ref = await diary_and_source(address, cls)
        await is_late(await opened(ref.stuck, (0, 1)))
        await has_written(diary, "stuck cancelled")
        await has_written(diary, "stuck closed")
        await destroy(ref, diary)


@in_each_pool
async def test_a_deadline_passes_while_nobody_reads(address):
    diary, ref = await diary_and_source(address)
    handle = await opened(ref.endless)
    await has_written(diary, "endless closed")
    await is_late(handle)  # whatever had been sent ahead
    await destroy(ref, diary)


@in_each_pool
async def test_a_deadline_goes_with_the_handle(address):
    diary, ref = await diary_and_source(address)
    reader = await make(Reader, address, ref)
    with pytest.raises(asyncio.TimeoutError):
        await reader.read_to_the_end(await opened(ref.endless))
    await has_written(diary, "endless closed")
    await destroy(ref, reader, diary)


@in_each_pool
async def test_a_batch_s_deadline_is_that_of_each_of_its_streams(address):
    for cls in (Source, FreeSource):
        diary, ref = await diary_and_source(address, cls)

        def begin(seconds):
            return ref.endless.options(timeout=seconds).batch(*[ref.endless.delay()] * 3)

        for handle in await in_time(begin):
            await is_late(handle)
        await until(diary.read, lambda read: read.count("endless closed") >= 3)
        await destroy(ref, diary)


@in_each_pool
async def test_a_stream_that_ends_in_time_is_not_late(address):
    _, ref = await diary_and_source(address)
    handle = await ref.failing.options(timeout=60)(2)
    with pytest.raises(Custom):
        async for _ in handle:
            pass
    handle = await ref.stubborn.options(timeout=60)()
    item = asyncio.ensure_future(handle.__anext__())
    await until(ref.is_in_step, bool)
    item.cancel()
    assert await item == "all the same"
    assert [item async for item in handle] == ["more"]
    await ref.destroy()


def test_a_deadline_passes_while_the_producer_stands_still(node):
    run, addresses = node

    async def use():
        diary = await make(Diary, addresses[0])
        ref = await make(Source, addresses[1], diary)
        pid, handle = await ref.pid(), await opened(ref.stuck, (0,))
        os.kill(pid, signal.SIGSTOP)
        try:
            await is_late(handle)
        finally:
            os.kill(pid, signal.SIGCONT)
        await has_written(diary, "stuck closed")
        await destroy(ref, diary)

    run(use())


def test_nothing_is_kept_of_what_was_late(node):
    run, addresses = node

    async def use():
        diary, ref = await diary_and_source(addresses[0])
        await is_late(await opened(ref.endless))
        streams = _xo.find_actor(ref)._xo_extras["streams"].streams

        async def left():
            await asyncio.sleep(0)
            return len(streams)

        await until(left, lambda count: count == 0)
        await destroy(ref, diary)

    run(use())
