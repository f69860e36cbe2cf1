"""GPU memory as copy_to needs it: anything with ``__cuda_array_interface__``.

Copies go through the CUDA driver, opened when first needed: no other package has to be there.
https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html
"""
from __future__ import annotations

import contextlib
import functools
from typing import Any

# CUpointer_attribute of cuda.h.
_CONTEXT = 1
_DEVICE_ORDINAL = 9


def is_device(buffer: Any) -> bool:
    """Is it GPU memory?"""
    return getattr(buffer, "__cuda_array_interface__", None) is not None


@functools.lru_cache(maxsize=None)
def _driver() -> Any:
    import ctypes

    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as e:
        raise RuntimeError(
            f"the buffer is GPU memory, but the CUDA driver cannot be opened ({e}): "
            "install it, or copy from and into host memory"
        ) from None
    _check(driver, "cuInit", driver.cuInit(0))
    return driver


def _check(driver: Any, what: str, status: int) -> None:
    if status:
        import ctypes

        name = ctypes.c_char_p()
        driver.cuGetErrorName(status, ctypes.byref(name))
        raise RuntimeError(f"{what} failed: {(name.value or b'?').decode()} ({status})")


def _ask(driver: Any, answer: Any, attribute: int, pointer: int) -> None:
    import ctypes

    status = driver.cuPointerGetAttribute(
        ctypes.byref(answer), attribute, ctypes.c_uint64(pointer)
    )
    _check(driver, "cuPointerGetAttribute", status)


@functools.lru_cache(maxsize=None)
def _primary(device: int) -> Any:
    """The context of a device that the CUDA runtime uses; kept until the process ends."""
    import ctypes

    driver, context = _driver(), ctypes.c_void_p()
    status = driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    _check(driver, "cuDevicePrimaryCtxRetain", status)
    return context


def _find_context(driver: Any, pointer: int) -> Any:
    """The one in which the memory was allocated; memory of a stream-ordered pool has none."""
    import ctypes

    context, device = ctypes.c_void_p(), ctypes.c_int()
    _ask(driver, context, _CONTEXT, pointer)
    if context:
        return context
    _ask(driver, device, _DEVICE_ORDINAL, pointer)
    return _primary(device.value)


@contextlib.contextmanager
def _context_of(driver: Any, pointer: int) -> Any:
    """Makes the memory's context the thread's own."""
    import ctypes

    context = _find_context(driver, pointer)
    _check(driver, "cuCtxPushCurrent", driver.cuCtxPushCurrent_v2(context))
    try:
        yield
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(context))


def _itemsize(typestr: str) -> int:
    return int(typestr[2:])


def _is_contiguous(shape: tuple, strides: Any, itemsize: int) -> bool:
    expected = itemsize
    for length, stride in zip(reversed(shape), reversed(strides or ())):
        if length > 1 and stride != expected:
            return False
        expected *= length
    return True


class Array:
    """C-contiguous GPU memory: slices of it can be assigned from host memory."""

    def __init__(self, buffer: Any):
        fields = buffer.__cuda_array_interface__
        self._owner = buffer
        self._pointer, self.readonly = fields["data"]
        self._stream = fields.get("stream")
        itemsize = _itemsize(fields["typestr"])
        if not _is_contiguous(fields["shape"], fields.get("strides"), itemsize):
            raise ValueError("GPU memory to copy must be C-contiguous: make a contiguous copy")
        self.nbytes = itemsize
        for length in fields["shape"]:
            self.nbytes *= length

    def _synchronize(self, driver: Any) -> None:
        """Waits for what the producer still has under way (version 3 of the interface)."""
        if self._stream is not None:
            import ctypes

            status = driver.cuStreamSynchronize(ctypes.c_void_p(self._stream))
            _check(driver, "cuStreamSynchronize", status)

    def _copy(self, name: str, pointer: int, first: Any, second: Any, count: int) -> None:
        import ctypes

        driver = _driver()
        with _context_of(driver, pointer):
            self._synchronize(driver)
            _check(driver, name, getattr(driver, name)(first, second, ctypes.c_size_t(count)))

    def to_host(self) -> bytearray:
        """A copy of it in host memory."""
        import ctypes

        host = bytearray(self.nbytes)
        if self.nbytes:
            place = (ctypes.c_char * self.nbytes).from_buffer(host)
            device = ctypes.c_uint64(self._pointer)
            self._copy("cuMemcpyDtoH_v2", self._pointer, place, device, self.nbytes)
        return host

    def __setitem__(self, part: slice, data: Any) -> None:
        import ctypes

        block = bytes(data)  # ctypes takes no pointer to read-only memory but a bytes
        start, stop, _ = part.indices(self.nbytes)
        if stop - start != len(block):
            raise ValueError(f"{len(block)} bytes do not fit into {stop - start}")
        if block:
            device = ctypes.c_uint64(self._pointer + start)
            self._copy("cuMemcpyHtoD_v2", self._pointer, device, block, len(block))
