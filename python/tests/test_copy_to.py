"""copy_to: bulk data into the memory and the files of other processes."""

import asyncio
import ctypes
import io
import os
import pickle
import threading

import pytest

import xoscar as xo
from actors import DEADLINE_S, in_each_pool, make
from xoscar.aio import AioFileObject
from xoscar.core import BufferRef, FileObjectRef

np = pytest.importorskip("numpy")

MIB = 1 << 20


class Memory(xo.Actor):
    """Has memory and files that others write into."""

    def zeros(self, *sizes):
        self.arrays = [np.zeros(size, "u1") for size in sizes]
        return [xo.buffer_ref(self.address, a) for a in self.arrays]

    def of_type(self, shape, dtype):
        self.arrays = [np.zeros(shape, dtype)]
        return xo.buffer_ref(self.address, self.arrays[0])

    def byte_array(self, size):
        self.bytes = bytearray(size)
        return xo.buffer_ref(self.address, self.bytes)

    def files(self, *paths, mode="w+b"):
        self.open_files = [AioFileObject(open(p, mode)) for p in paths]
        return [xo.file_object_ref(self.address, f) for f in self.open_files]

    async def close(self):
        for file in self.open_files:
            await file.close()

    def get(self):
        return self.arrays

    def get_bytes(self):
        return bytes(self.bytes)

    def forget(self):
        self.arrays = None

    async def fill(self, ref, value):
        await xo.copy_to([np.full(10, value, "u1")], [ref])


@in_each_pool
async def test_one_to_one(address):
    actor = await make(Memory, address)
    refs = await actor.zeros(4, 6, 10)
    assert all(type(r) is BufferRef and r.address == address for r in refs)
    assert await xo.copy_to([b"0123", bytearray(b"abcdef"), memoryview(b"ABC")], refs) is None
    got = [a.tobytes() for a in await actor.get()]
    assert got == [b"0123", b"abcdef", b"ABC" + bytes(7)]
    await actor.destroy()


@in_each_pool
async def test_block_sizes(address):
    actor = await make(Memory, address)
    data = np.random.default_rng(1).integers(0, 255, 9 * MIB + 5, "u1")
    for block_size in (None, MIB + 1, 64 * MIB):
        refs = await actor.zeros(len(data))
        await xo.copy_to([data], refs, block_size=block_size)
        assert np.array_equal((await actor.get())[0], data)
    refs = await actor.zeros(10)
    await xo.copy_to([b"0123456789"], refs, block_size=3)
    assert (await actor.get())[0].tobytes() == b"0123456789"
    await actor.destroy()


@in_each_pool
async def test_several_pools_at_once(address):
    other = await xo.create_actor(Memory, address=xo_main())
    actor = await make(Memory, address)
    refs = await actor.zeros(3) + await other.zeros(3)
    await xo.copy_to([b"abc", b"def"], refs)
    assert (await actor.get())[0].tobytes() == b"abc"
    assert (await other.get())[0].tobytes() == b"def"
    await actor.destroy()
    await other.destroy()


def xo_main():
    import _xo

    return _xo.pool().address


ARRAYS = [
    np.arange(12, dtype="i4").reshape(3, 4),
    np.asfortranarray(np.arange(12, dtype="f8").reshape(3, 4)),
    np.arange(24, dtype="u2").reshape(4, 6)[::2, ::3],
    np.arange(5, dtype=">i8"),
    np.array(["2020-01-01", "2021-02-03"], "M8[D]"),
    np.array([(1, 2.5), (3, 4.5)], [("Ox", "i4"), ("y", "f8")]),
    np.zeros(0),
    np.array(7),
    np.array([True, False]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}-{a.shape}")
def test_arrays_go_in_c_order(node, array):
    run, addresses = node

    async def test():
        actor = await make(Memory, addresses[1])
        ref = await actor.of_type(array.shape, array.dtype)
        await xo.copy_to([array], [ref])
        (got,) = await actor.get()
        assert got.dtype == array.dtype and np.array_equal(got, array)
        await actor.destroy()

    run(test())


@in_each_pool
async def test_a_bytearray_stays_until_it_is_released(address):
    actor = await make(Memory, address)
    ref = await actor.byte_array(5)
    await xo.copy_to([b"hello"], [ref])
    assert await actor.get_bytes() == b"hello"
    await actor.destroy()


def test_release():
    ref = xo.buffer_ref("127.0.0.1:1", bytearray(3))
    assert BufferRef.get_buffer(ref) == bytearray(3)
    ref.release()
    with pytest.raises(LookupError):
        BufferRef.get_buffer(ref)


@in_each_pool
async def test_a_reference_does_not_keep_memory(address):
    actor = await make(Memory, address)
    (ref,) = await actor.zeros(5)
    await actor.forget()
    with pytest.raises(LookupError, match="gone"):
        await xo.copy_to([b"hello"], [ref])
    await actor.destroy()


@in_each_pool
async def test_an_unknown_reference(address):
    with pytest.raises(LookupError, match="no buffer 6e6f6e65"):
        await xo.copy_to([b"x"], [BufferRef(address, b"none")])
    with pytest.raises(LookupError, match="no file object"):
        await xo.copy_to([AioFileObject(io.BytesIO())], [FileObjectRef(address, b"none")])


@in_each_pool
async def test_a_buffer_is_sliced_to_fit_its_target(address):
    actor = await make(Memory, address)
    for block_size in (None, 1, 3, 4, 5, 1000):
        refs = await actor.zeros(4, 0, 4, 6)
        await xo.copy_to([b"0123", b"45", b"67890", b"abcde"], refs, block_size=block_size)
        got = [bytes(array) for array in await actor.get()]
        assert got == [b"0123", b"", b"6789", b"abcde\0"]
    await actor.destroy()


def test_references_go_anywhere(node):
    run, addresses = node

    async def test():
        memory = await make(Memory, addresses[1])
        writer = await make(Memory, addresses[2])
        (ref,) = await memory.zeros(10)
        back = pickle.loads(pickle.dumps(ref))
        assert back == ref and hash(back) == hash(ref) and {back: 1}[ref] == 1
        assert back != FileObjectRef(ref.address, ref.uid)
        await writer.fill(ref, 7)
        assert (await memory.get())[0].tolist() == [7] * 10
        await memory.destroy()
        await writer.destroy()

    run(test())


def test_into_memory_of_the_caller(node):
    run, addresses = node

    async def test():
        mine = np.zeros(10, "u1")
        writer = await make(Memory, addresses[2])
        await writer.fill(xo.buffer_ref(addresses[0], mine), 9)
        assert mine.tolist() == [9] * 10
        await writer.destroy()

    run(test())


def test_a_pool_that_dies(node):
    run, addresses = node

    async def test():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover=False)
        async with pool:
            (process,) = pool.sub_processes.values()
            memory = await make(Memory, process.address)
            refs = await memory.zeros(3)
            await xo.copy_to([b"abc"], refs)
            process.kill()
            with pytest.raises(xo.ServerClosed):
                while True:
                    await xo.copy_to([b"abc"], refs)

    run(test())


def test_bad_targets():
    address = "127.0.0.1:1"
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    for bad in (b"abc", memoryview(b"abc"), frozen):
        with pytest.raises(TypeError, match="read-only"):
            xo.buffer_ref(address, bad)
    for bad in (None, "abc", 5, [1]):
        with pytest.raises(TypeError, match="no buffer"):
            xo.buffer_ref(address, bad)
    with pytest.raises(TypeError, match="objects"):
        xo.buffer_ref(address, np.array([None]))
    for bad in (np.zeros((3, 4)).T, np.zeros(10)[::2]):
        with pytest.raises(ValueError, match="contiguous"):
            xo.buffer_ref(address, bad)
    for bad in (None, 5, "nowhere"):
        with pytest.raises(ValueError, match="address"):
            xo.buffer_ref(bad, bytearray(1))
    with pytest.raises(TypeError, match="AioFileObject"):
        xo.file_object_ref(address, io.BytesIO())


@pytest.mark.parametrize(
    "local,refs,options,error,text",
    [
        ([], [], {}, ValueError, "one to one"),
        ([b"a"], [], {}, ValueError, "one to one"),
        (b"a", [BufferRef("a:1", b"u")], {}, TypeError, "lists"),
        ([b"a"], BufferRef("a:1", b"u"), {}, TypeError, "lists"),
        ([b"a"], ["u"], {}, TypeError, "BufferRef"),
        (["a"], [BufferRef("a:1", b"u")], {}, TypeError, "no buffer"),
        ([np.array([None])], [BufferRef("a:1", b"u")], {}, TypeError, "objects"),
        ([b"a"], [BufferRef("a:1", b"u")], {"block_size": 0}, ValueError, "block_size"),
        ([b"a"], [BufferRef("a:1", b"u")], {"block_size": "1"}, ValueError, "block_size"),
        ([b"a"], [FileObjectRef("a:1", b"u")], {}, TypeError, "AioFileObject"),
        ([AioFileObject(None)], [BufferRef("a:1", b"u")], {}, TypeError, "buffer"),
    ],
)
async def test_bad_arguments(local, refs, options, error, text):
    with pytest.raises(error, match=text):
        await xo.copy_to(local, refs, **options)


# ---- files ----


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("block_size", [None, 1000])
def test_files(node, tmp_path, index, block_size):
    run, addresses = node
    paths = [str(tmp_path / name) for name in "ab"]
    data = [os.urandom(100001), b""]

    async def test():
        actor = await make(Memory, addresses[index])
        refs = await actor.files(*paths)
        assert all(type(r) is FileObjectRef for r in refs)
        files = [AioFileObject(io.BytesIO(d)) for d in data]
        await xo.copy_to(files, refs, block_size=block_size)
        assert [open_and_read(p) for p in paths] == data  # flushed
        await xo.copy_to([AioFileObject(io.BytesIO(b"more"))], refs[:1])
        await actor.close()
        assert open_and_read(paths[0]) == data[0] + b"more"
        with pytest.raises(ValueError, match="closed"):
            await xo.copy_to([AioFileObject(io.BytesIO(b"more"))], refs[:1])
        await actor.destroy()

    run(test())


def open_and_read(path):
    with open(path, "rb") as file:
        return file.read()


def test_text_files(node, tmp_path):
    run, addresses = node

    async def test():
        actor = await make(Memory, addresses[1])
        refs = await actor.files(str(tmp_path / "t"), mode="w")
        await xo.copy_to([AioFileObject(io.StringIO("é" * 1000))], refs, block_size=7)
        await actor.close()
        assert (tmp_path / "t").read_text() == "é" * 1000
        await actor.destroy()

    run(test())


def test_no_block_is_written_after_one_that_was_not(node, tmp_path):
    """The second of several blocks on their way fails: the third must not follow the first."""
    run, addresses = node

    class Fails(io.BytesIO):
        writes = 0

        def write(self, data):
            self.writes += 1
            if self.writes == 2:
                raise OSError("no space left")
            return super().write(data)

    async def test():
        file = Fails()
        wrapped = AioFileObject(file)
        ref = xo.file_object_ref(addresses[0], wrapped)
        with pytest.raises(OSError, match="no space left"):
            await xo.copy_to([AioFileObject(io.BytesIO(b"abcdef"))], [ref], block_size=2)
        assert file.getvalue() == b"ab"
        await xo.copy_to([AioFileObject(io.BytesIO(b"xyz"))], [ref])  # another copy goes
        assert file.getvalue() == b"abxyz"

    run(test())


def test_cancelling_waits_for_no_block(node):
    """The first block is being written, and others wait for it."""
    run, addresses = node
    go_on, writing = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def write(self, data):
            writing.set()
            go_on.wait(DEADLINE_S)
            return super().write(data)

    async def test():
        file = AioFileObject(Slow())
        ref = xo.file_object_ref(addresses[0], file)
        copy = xo.copy_to([AioFileObject(io.BytesIO(b"abcdef"))], [ref], block_size=1)
        task = asyncio.ensure_future(copy)
        await asyncio.get_running_loop().run_in_executor(None, writing.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    run(test())


async def test_file_object(tmp_path):
    path = tmp_path / "f"
    async with AioFileObject(open(path, "w+b")) as file:
        assert await file.write(b"one\ntwo\n") == 8
        await file.flush()
        assert await file.seek(0) == 0
        assert await file.read(3) == b"one"
        assert await file.tell() == 3
        assert await file.readable() and await file.seekable() and not await file.isatty()
        assert (file.fileno(), file.name, file.mode, file.closed) == (
            file.fileno(),
            str(path),
            "rb+",
            False,
        )
        await file.seek(0)
        assert [line async for line in file] == [b"one\n", b"two\n"]
        with pytest.raises(AttributeError):
            file.nothing
    assert file.closed
    await file.close()
    with pytest.raises(ValueError):
        await file.read()


def test_gpu_memory_without_a_driver():
    class Fake:
        __cuda_array_interface__ = {
            "shape": (3,),
            "typestr": "<f8",
            "data": (4096, False),
            "version": 3,
        }

    try:
        ctypes.CDLL("libcuda.so.1")
        pytest.skip("there is a driver")
    except OSError:
        pass
    with pytest.raises(RuntimeError, match="driver"):
        asyncio.run(xo.copy_to([Fake()], [BufferRef("a:1", b"u")]))


def test_gpu_memory_must_be_contiguous():
    class Strided:
        __cuda_array_interface__ = {
            "shape": (3, 2),
            "strides": (8, 24),
            "typestr": "<f8",
            "data": (4096, False),
            "version": 3,
        }

    with pytest.raises(ValueError, match="contiguous"):
        xo.buffer_ref("a:1", Strided())


class FakeDriver:
    """Does with host memory what libcuda does with a GPU's."""

    def __init__(self, has_context):
        self.has_context = has_context
        self.pushed = self.synchronized = 0

    def cuPointerGetAttribute(self, answer, attribute, pointer):
        answer._obj.value = 0xC0DE if attribute == 1 and self.has_context else 0
        return 0

    def cuDevicePrimaryCtxRetain(self, answer, device):
        answer._obj.value = 0xD0
        return 0

    def cuCtxPushCurrent_v2(self, context):
        assert context.value == (0xC0DE if self.has_context else 0xD0)
        self.pushed += 1
        return 0

    def cuCtxPopCurrent_v2(self, context):
        self.pushed -= 1
        return 0

    def cuStreamSynchronize(self, stream):
        assert stream.value == 1
        self.synchronized += 1
        return 0

    def cuMemcpyDtoH_v2(self, host, device, count):
        ctypes.memmove(host, device.value, count.value)
        return 0

    def cuMemcpyHtoD_v2(self, device, host, count):
        ctypes.memmove(device.value, host, count.value)
        return 0


class FakeGpuArray:
    def __init__(self, size):
        self.memory = np.zeros(size, "i4")
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "<i4",
            "data": (self.memory.ctypes.data, False),
            "stream": 1,
            "version": 3,
        }


@pytest.mark.parametrize("has_context", [True, False])
def test_gpu_memory(node, monkeypatch, has_context):
    from xoscar import _cuda

    run, addresses = node
    driver = FakeDriver(has_context)
    _cuda._primary.cache_clear()
    monkeypatch.setattr(_cuda, "_driver", lambda: driver)

    async def test():
        one, other = FakeGpuArray(1000), FakeGpuArray(1001)
        ref = xo.buffer_ref(addresses[0], one)
        await xo.copy_to([np.arange(1000, dtype="i4")], [ref], block_size=100)
        assert one.memory.tolist() == list(range(1000))
        await xo.copy_to([one], [xo.buffer_ref(addresses[0], other)])
        assert other.memory.tolist() == [*range(1000), 0]
        other.memory[:] = range(1001)
        await xo.copy_to([other], [ref])
        assert one.memory.tolist() == list(range(1000))
        actor = await make(Memory, addresses[1])
        refs = await actor.zeros(4000)
        await xo.copy_to([one], refs)
        assert (await actor.get())[0].view("i4").tolist() == list(range(1000))
        await actor.destroy()

    run(test())
    assert driver.pushed == 0 and driver.synchronized > 40
    _cuda._primary.cache_clear()
