"""References to memory and to files of a process, for copy_to of another one.

A process keeps a table of what it has handed out references to. The table does not keep memory
alive, as far as Python lets it: a numpy array that nobody else refers to is gone, and copying to
its reference is an error. What Python cannot refer to weakly (a bytearray) stays until its
reference is released, or the process ends.
"""
from __future__ import annotations

import os
import weakref

import _xo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .aio import AioFileObject

_UID_BYTES = 16


class _Kept:
    """Stands for a weak reference to what has none."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any):
        self.thing = thing

    def __call__(self) -> Any:
        return self.thing


class _Ref:
    """What BufferRef and FileObjectRef have in common: a name for something of a process."""

    __slots__ = ("address", "uid")
    _what = "thing"
    _table: dict[bytes, Any] = {}

    def __init__(self, address: str, uid: bytes):
        self.address = address
        self.uid = uid

    @classmethod
    def create(cls, thing: Any, address: str, uid: bytes | None = None) -> Any:
        """A reference to a thing of this process.

        Parameters
        ----------
        thing
            What the reference is to.
        address : str
            The address of a pool of this process.
        uid : bytes, optional
            Its name; a random one by default.

        Returns
        -------
        BufferRef or FileObjectRef
        """
        ref = cls(address, uid or os.urandom(_UID_BYTES))
        table = cls._table
        try:
            table[ref.uid] = weakref.ref(thing, lambda _, key=ref.uid: table.pop(key, None))
        except TypeError:
            table[ref.uid] = _Kept(thing)
        return ref

    def local(self) -> Any:
        """The thing itself, in the process that it belongs to.

        Returns
        -------
        object

        Raises
        ------
        LookupError
            The reference is not to anything of this process, or that is gone.
        """
        found = self._table.get(self.uid)
        thing = None if found is None else found()
        if thing is None:
            raise LookupError(
                f"the pool at {self.address} has no {self._what} {self.uid.hex()}: it is gone, "
                f"since a reference does not keep it, or was never there"
            )
        return thing

    def release(self) -> None:
        """Makes the reference void, in the process that it belongs to."""
        self._table.pop(self.uid, None)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self.address, self.uid) == (other.address, other.uid)

    def __hash__(self) -> int:
        return hash((type(self), self.address, self.uid))

    def __reduce__(self) -> tuple:
        return type(self), (self.address, self.uid)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(uid={self.uid.hex()}, address={self.address})"


class BufferRef(_Ref):
    """Names memory of another process, as a target of copy_to.

    Attributes
    ----------
    address : str
        Of the pool whose process has the memory.
    uid : bytes
        Its name there.
    """

    __slots__ = ()
    _what = "buffer"
    _table: dict[bytes, Any] = {}

    @classmethod
    def get_buffer(cls, ref: BufferRef) -> Any:
        """The buffer behind a reference of this process.

        Parameters
        ----------
        ref : BufferRef
            A reference.

        Returns
        -------
        object
            What buffer_ref got.

        Raises
        ------
        LookupError
            It is not of this process, or gone.
        """
        return ref.local()


class FileObjectRef(_Ref):
    """Names an open file of another process, as a target of copy_to.

    Attributes
    ----------
    address : str
        Of the pool whose process has the file open.
    uid : bytes
        Its name there.
    """

    __slots__ = ()
    _what = "file object"
    _table: dict[bytes, Any] = {}

    @classmethod
    def get_local_file_object(cls, ref: FileObjectRef) -> Any:
        """The file object behind a reference of this process.

        Parameters
        ----------
        ref : FileObjectRef
            A reference.

        Returns
        -------
        AioFileObject

        Raises
        ------
        LookupError
            It is not of this process, or gone.
        """
        return ref.local()


# ---- memory ----


def _names_no_objects(buffer: Any, view: memoryview) -> bool:
    dtype = getattr(buffer, "dtype", None)
    if dtype is not None and hasattr(dtype, "hasobject"):
        return not dtype.hasobject
    import re

    return "O" not in re.sub(":[^:]*:", "", view.format)  # without the names of fields


def _exporter(buffer: Any) -> Any:
    """The buffer, or a view of it for a numpy type that exports no memory: datetime64 and such."""
    try:
        with memoryview(buffer):
            return buffer
    except ValueError:
        return buffer.view(f"V{buffer.itemsize}")
    except TypeError:
        raise TypeError(f"{type(buffer).__name__} is no buffer") from None


def _check(exporter: Any) -> tuple[bool, bool]:
    """(read-only, C-contiguous)"""
    with memoryview(exporter) as view:
        if not _names_no_objects(exporter, view):
            raise TypeError("a buffer of Python objects cannot be copied: it holds only pointers")
        return view.readonly, view.c_contiguous


def _bytes_of(exporter: Any) -> memoryview:
    """Its memory as bytes, at the first remove: a memoryview over another memoryview can crash
    CPython, when the garbage collector finds both in a cycle."""
    from pickle import PickleBuffer

    if not isinstance(exporter, memoryview):
        return PickleBuffer(exporter).raw()
    try:
        return exporter.cast("B")
    except TypeError:
        raise TypeError(
            f"a memoryview of format {exporter.format!r} cannot be looked at as bytes: "
            "give the object behind it"
        ) from None


def source(buffer: Any) -> memoryview:
    """The bytes of a buffer in C order; copied only if they do not lie so."""
    from . import _cuda

    if _cuda.is_device(buffer):
        return memoryview(_cuda.Array(buffer).to_host())
    exporter = _exporter(buffer)
    _, contiguous = _check(exporter)
    if contiguous:
        return _bytes_of(exporter)
    with memoryview(exporter) as view:
        return memoryview(view.tobytes())


def target(buffer: Any) -> Any:
    """Something with `nbytes` into which slices of bytes can be assigned: host or GPU memory.

    TypeError for what cannot be written to; ValueError for what does not lie in C order.
    """
    from . import _cuda

    if _cuda.is_device(buffer):
        return _cuda.Array(buffer)
    exporter = _exporter(buffer)
    readonly, contiguous = _check(exporter)
    if readonly:
        raise TypeError(f"{type(buffer).__name__} is read-only: copy_to writes into the buffer")
    if not contiguous:
        raise ValueError("a buffer to copy into must be C-contiguous: make a contiguous copy")
    return _bytes_of(exporter)


# ---- the functions of the package ----


def buffer_ref(address: str, buf: Any) -> BufferRef:
    """A reference to memory of this process, into which others can copy_to.

    The reference does not keep the memory alive, except a bytearray's, which Python cannot refer
    to weakly: that stays until ``ref.release()`` or the end of the process.

    Parameters
    ----------
    address : str
        The address of a pool of this process: in an actor, ``self.address``.
    buf
        Writable C-contiguous memory: a numpy array, bytearray, memoryview, or anything else with
        the buffer protocol; or GPU memory, with ``__cuda_array_interface__``.

    Returns
    -------
    BufferRef
        It can be sent to other actors and processes.

    Raises
    ------
    TypeError
        It is no buffer, read-only, or holds Python objects.
    ValueError
        It is not contiguous; or address is none.
    """
    _xo.check_address(address)
    target(buf)
    return BufferRef.create(buf, address)


def file_object_ref(address: str, fileobj: AioFileObject) -> FileObjectRef:
    """A reference to a file of this process, into which others can copy_to.

    Parameters
    ----------
    address : str
        The address of a pool of this process: in an actor, ``self.address``.
    fileobj : AioFileObject
        Open for writing. The reference does not keep it open.

    Returns
    -------
    FileObjectRef
        It can be sent to other actors and processes.

    Raises
    ------
    TypeError
        It is no AioFileObject.
    ValueError
        The address is none.
    """
    from .aio import AioFileObject

    _xo.check_address(address)
    if not isinstance(fileobj, AioFileObject):
        raise TypeError(f"not an AioFileObject: {fileobj!r}; make one: AioFileObject(file)")
    return FileObjectRef.create(fileobj, address)


async def copy_to(
    local: Sequence[Any],
    remote_refs: Sequence[BufferRef] | Sequence[FileObjectRef],
    block_size: int | None = None,
) -> None:
    """Copies buffers into remote buffers, or files into remote files, one to one.

    A buffer goes to the beginning of its target, which may be larger; of one that is larger than
    its target, what fits is copied. An array that is not C-contiguous is copied in C order. A file
    is read from its position to its end, and written at the position of its target, which is
    flushed at the end.

    Parameters
    ----------
    local : list
        Buffers (also read-only ones, and GPU memory) or AioFileObjects.
    remote_refs : list of BufferRef or FileObjectRef
        As many; they may be of several pools.
    block_size : int, optional
        How many bytes, or for text files characters, go as one message; 4 MiB by default. A few
        are under way at a time.

    Raises
    ------
    TypeError
        What is no buffer; a file for a buffer, or the other way round.
    ValueError
        The lists have different lengths or are empty. Nothing has been written then.
    LookupError
        A target is gone, or never was.
    ServerClosed
        A target's pool is gone.
    """
    from ._copy import copy_all

    await copy_all(local, remote_refs, block_size)
