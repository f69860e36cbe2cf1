"""copy_to: bulk data into memory and files of other processes.

Each pool that is copied to gets one actor of the system's, on demand, which has the process's table
of references. Blocks go to it as arguments of calls, out of band, a bounded number at a time.
"""
from __future__ import annotations

import asyncio
import collections
from pickle import PickleBuffer
from typing import Any, Iterator

import _xo

from . import _buffers
from ._buffers import BufferRef, FileObjectRef
from ._shown import shown
from .core import ActorRef, StatelessActor
from .errors import ActorAlreadyExist, ActorNotExist

_UID = b"xo.copy"
_BLOCK_BYTES = 4 << 20
_WINDOW = 4  # blocks under way to one pool: enough to keep a link busy


class Copier(StatelessActor):
    """Writes into its process's buffers and files for others' copy_to."""

    def __init__(self) -> None:
        self._files: Any = None  # file object -> _FileCopy

    def check(self, refs: list) -> list:
        """How many bytes fit into each target, None for a file; LookupError, TypeError."""
        return [None if _is_file(r) else _buffers.target(r.local()).nbytes for r in refs]

    def write(self, ref: BufferRef, start: int, stop: int, block: Any) -> None:
        """Writes a block into a buffer."""
        _buffers.target(ref.local())[start:stop] = block

    async def append(self, ref: FileObjectRef, copy: bytes, offset: int, block: Any) -> None:
        """Writes a block at a file's position. An empty one is the last.

        Blocks come in order; once one could not be written, none after it is.
        """
        file = ref.local()
        if self._files is None:
            import weakref

            self._files = weakref.WeakKeyDictionary()
        state = self._files.setdefault(file, _FileCopy())
        await state.write(file, copy, offset, block)


class _FileCopy:
    """How far a copy into a file has come."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()  # waiters get it in the order in which they came
        self._next: Any = None  # (copy, offset)

    async def write(self, file: Any, copy: bytes, offset: int, block: Any) -> None:
        async with self._lock:
            if offset and self._next != (copy, offset):
                raise OSError("a block before this one was not written, or another copy began")
            self._next = None
            if len(block):
                await _write_all(file, block)
                self._next = copy, offset + len(block)
            else:
                await file.flush()


async def _write_all(file: Any, block: Any) -> None:
    rest = block
    while len(rest):
        written = await file.write(rest)
        if not written:
            raise OSError("the file took no more bytes")
        rest = rest[written:]


# ---- what goes where ----


def _is_file(ref: Any) -> bool:
    return isinstance(ref, FileObjectRef)


def _check_pair(local: Any, ref: Any) -> None:
    from .aio import AioFileObject

    if not isinstance(ref, (BufferRef, FileObjectRef)):
        raise TypeError(f"copy_to takes a BufferRef or a FileObjectRef, not {shown(ref)}")
    if _is_file(ref) and not isinstance(local, AioFileObject):
        raise TypeError(
            f"into a file goes an AioFileObject, not {type(local).__name__}: AioFileObject(file)"
        )
    if not _is_file(ref) and isinstance(local, AioFileObject):
        raise TypeError("into a buffer goes a buffer, not a file object: read the file before")


def _check_arguments(local: Any, refs: Any, block_size: Any) -> None:
    for what, given in (("local", local), ("remote_refs", refs)):
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"copy_to takes lists; {what} is a {type(given).__name__}")
    if not local or len(local) != len(refs):
        raise ValueError(
            f"copy_to copies one to one: {len(local)} local ones do not go into {len(refs)} refs"
        )
    if block_size is not None and (not isinstance(block_size, int) or block_size < 1):
        raise ValueError(f"block_size is a positive number of bytes, not {block_size!r}")
    for pair in zip(local, refs):
        _check_pair(*pair)


def _fit(pairs: list, sizes: list) -> list:
    """The pairs, with no more of a buffer than its target takes."""
    return [
        (source if size is None else source[:size], ref)
        for (source, ref), size in zip(pairs, sizes)
    ]


# ---- the way there ----


async def _ask_service(address: str, refs: list) -> tuple[ActorRef, list]:
    """The pool's Copier, made if it has none, and what it says of the targets."""
    service = ActorRef(address, _UID)
    try:
        return service, await service.check(refs)
    except ActorNotExist:
        pass
    try:
        await _xo.create(address, _UID, f"{__name__}:Copier", (Copier, (), None))
    except ActorAlreadyExist:  # somebody else's copy_to was first
        pass
    return service, await service.check(refs)


class _Window:
    """Calls under way, a bounded number of them. Its end waits for them all, unless somebody
    cancels it, who is kept waiting by nobody."""

    def __init__(self) -> None:
        self._calls: collections.deque = collections.deque()

    async def add(self, call: Any) -> None:
        self._calls.append(call)
        if len(self._calls) >= _WINDOW:
            await self._calls.popleft()

    async def __aenter__(self) -> _Window:
        return self

    async def __aexit__(self, cls: Any, *exc_info: Any) -> None:
        if cls is not None and issubclass(cls, asyncio.CancelledError):
            for call in self._calls:
                call.abandon()
            return
        results = await asyncio.gather(*self._calls, return_exceptions=True)
        for result in results:
            if cls is None and isinstance(result, BaseException):
                raise result


def _blocks(pairs: list, block_size: int) -> Iterator[tuple]:
    for view, ref in pairs:
        for offset in range(0, view.nbytes, block_size):
            yield view, ref, offset, min(offset + block_size, view.nbytes)


def _send(service: ActorRef, view: memoryview, ref: BufferRef, start: int, stop: int) -> Any:
    """The call that writes a block. The buffer does not outlive it: CPython's garbage collector
    crashes when it finds a buffer over a memoryview in a cycle, an exception's frames for example.
    """
    block = PickleBuffer(view[start:stop])
    call = service.write(ref, start, stop, block)
    call.add_done_callback(lambda _: block.release())
    return call


async def _copy_buffers(service: ActorRef, pairs: list, block_size: int) -> None:
    async with _Window() as window:
        for block in _blocks(pairs, block_size):
            await window.add(_send(service, *block))


async def _copy_file(service: ActorRef, file: Any, ref: FileObjectRef, block_size: int) -> None:
    import os

    copy, offset, block = os.urandom(8), 0, None
    async with _Window() as window:
        while block is None or len(block):
            block = await file.read(block_size)
            await window.add(service.append(ref, copy, offset, block))
            offset += len(block)


async def _copy_to_pool(service: ActorRef, pairs: list, block_size: int) -> None:
    """Buffers share a window; each file has one, since it may be slow."""
    buffers = [pair for pair in pairs if not _is_file(pair[1])]
    files = [pair for pair in pairs if _is_file(pair[1])]
    await _all(
        [_copy_buffers(service, buffers, block_size)]
        + [_copy_file(service, file, ref, block_size) for file, ref in files]
    )


async def _all(coroutines: list) -> list:
    """Their results, or the first one's exception once all have ended."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def copy_all(local: Any, refs: Any, block_size: int | None) -> None:
    """What copy_to does. Nothing is written before all targets have been checked."""
    _check_arguments(local, refs, block_size)
    by_address: dict[str, list] = {}
    for thing, ref in zip(local, refs):
        source = thing if _is_file(ref) else _buffers.source(thing)
        by_address.setdefault(ref.address, []).append((source, ref))
    found = await _all(
        [_ask_service(address, [ref for _, ref in p]) for address, p in by_address.items()]
    )
    await _all(
        [
            _copy_to_pool(service, _fit(pairs, sizes), block_size or _BLOCK_BYTES)
            for (service, sizes), pairs in zip(found, by_address.values())
        ]
    )
