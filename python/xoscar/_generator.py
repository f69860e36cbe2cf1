"""@xo.generator: a method's generator, consumed elsewhere. This is the consumer's side; the other
one is _stream.py, which also says what goes between them."""
from __future__ import annotations

import weakref
from time import monotonic

import _xo

from . import errors
from .core import NO_LOCK_ATTRIBUTE_HINT, StatelessActor

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

_LOW = 512  # with fewer items at hand the next ones are asked for


def generator(func: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Mark a method whose generator is consumed by its caller.

    The caller writes ``async for item in await ref.method()``. The generator, ``def`` or ``async
    def``, runs in the actor and is ahead of its consumer by a bounded number of items and bytes.
    What it raises reaches the consumer, with its type and remote traceback, after the items before
    it. It is closed, so its ``finally`` runs, when the consumer is dropped, leaves the loop, or
    dies, and when the timeout of the call that opened it has passed since then: the consumer gets
    an ``asyncio.TimeoutError``, whatever items it has not consumed. A method that returns something
    else than a generator returns it as it is.

    Parameters
    ----------
    func : callable
        A method of an actor. ``no_lock`` may be applied beside it, in any order.

    Returns
    -------
    callable
        The method, as others see it: calling it gives an ``IteratorWrapper``.

    Notes
    -----
    The generator's code runs only while it has the actor's lock, which it takes for each turn. It
    keeps the lock across an await if its consumer waits for the item. The first time that it has
    to wait before anybody wants the item, the lock is given up until it goes on, and from then on
    items are produced only when they are wanted. Generators of stateless actors and ``no_lock``
    ones have no lock to wait for, and are always ahead.
    """

    async def method(self, *args, **kwargs):
        result = func(self, *args, **kwargs)
        if hasattr(result, "__await__"):
            result = await result
        return _offer(self, result, getattr(method, NO_LOCK_ATTRIBUTE_HINT, False))

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(method, name, getattr(func, name, None))
    method.__dict__.update(getattr(func, "__dict__", {}))
    method.__wrapped__ = func
    return method


def _offer(actor, result, no_lock):
    from ._settle import calling_run
    from ._streams import add_stream, is_generator

    if not is_generator(result) or actor.uid is None:
        return result
    handle = IteratorWrapper(None, actor.address, actor.uid)
    locked = not (no_lock or isinstance(actor, StatelessActor))
    run = calling_run()
    left = run.left if run is not None and run.actor is actor else None
    handle._ident = add_stream(actor, result, handle._token, locked, left)
    handle._be_due_in(left)
    return handle


def _running_loop():
    runtime = _xo.runtime()
    return None if runtime is None else runtime.loop


def _token(hops):
    """Of a handle that has been handed on so many times: later ones are greater."""
    import os

    return hops.to_bytes(4, "big") + os.urandom(8)


class IteratorWrapper:
    """The remote generator that a call of a method marked with ``generator`` gives.

    It is an asynchronous iterator. It can be an argument or a result, also when some items have
    been consumed: the one who gets it goes on with the next item, and the one who gave it away
    cannot use it any more. Whichever of the two reads first has the rest to itself; the other gets
    a RuntimeError. No item is read twice.

    Parameters
    ----------
    uid : str
        The stream's name at its actor.
    actor_addr : str
        The address of the actor's pool.
    actor_uid : bytes
        The actor's uid.
    index : int
        How many items have been consumed.
    hops : int
        How often the handle has been handed on.
    """

    _ident = _loop = None  # for a __del__ after a failed __init__

    def __init__(
        self, uid: str, actor_addr: str, actor_uid: bytes, index: int = 0, hops: int = 0
    ) -> None:
        from collections import deque

        self._ident = uid
        self._ref = _xo.ActorRef(actor_addr, actor_uid)
        self._hops = hops
        self._token = _token(hops)
        self._index = index  # how many items have been consumed
        self._items = deque()
        self._end = None  # (how, what) once it is known
        self._over = False  # and told
        self._cancelled = False  # who waited has seen CancelledError already
        self._take = None  # how to ask for one item, if the stream is on demand
        self._pull = None  # the request for more under way
        self._handed = False  # a copy has been pickled
        self._successor = None  # the token with which this handle takes the stream back
        self._due = None  # when the deadline of the call that opened it passes
        self._loop = _running_loop()

    def _be_due_in(self, left):
        self._due = None if left is None else monotonic() + left

    def _send(self, name, *args):
        self._loop = _running_loop()
        return _xo.method(self._ref, name)(self._ident, self._token, *args)

    # ---- iterating ----

    def __aiter__(self) -> IteratorWrapper:
        return self

    async def __anext__(self) -> Any:
        if self._due is not None and monotonic() >= self._due:
            self._be_late()
        if self._handed and not self._over:
            await self._take_back()
        while not self._items:
            if self._end is not None or self._over:
                self._raise_end()
            await self._more()
        return self._pop()

    def _be_late(self):
        """No more items come, nor count, unless all have been consumed.

        The request under way is not cancelled: that would disturb the generator's ``finally``."""
        if not self._over and (self._end is None or self._items):
            self._items.clear()
            self._end, self._pull, self._handed = ("late", None), None, False

    async def _take_back(self):
        """A copy was pickled. If nobody has got that yet, this handle goes on, and whoever gets it
        later gets an error; else the error is here. So no item is read twice."""
        if self._successor is None:
            self._hops += 2  # one more than the copy
            self._successor = _token(self._hops)
        self._pull = None  # its answer, if one is under way, is that of the former token
        args = self._ident, self._successor, self._index, self._token
        try:
            await _xo.method(self._ref, "__xo_claim")(*args)
        except Exception as e:
            if isinstance(e, RuntimeError):  # another has it, or has read it to its end already
                e = RuntimeError("the stream has been handed to another consumer")
            self._items.clear()
            self._end = ("raise", e)
        else:
            self._token = self._successor
        self._handed, self._successor = False, None

    def _pop(self):
        item = self._items.popleft()
        self._index += 1
        if len(self._items) < _LOW and self._pull is None:
            self._ask_ahead()
        return _unpack(item) if type(item) is _Packed else item

    def _ask(self, hungry):
        start = self._index + len(self._items)
        if self._take is None:
            self._pull = pull = self._send("__xo_next", start, self._index, hungry)
        else:
            self._pull = pull = self._send(self._take, start, self._index)
        weak = weakref.ref(self)  # whoever only waits in vain must not keep it alive

        def arrived(call):
            handle = weak()
            if handle is not None:
                handle._arrived(call)

        pull.add_done_callback(arrived)
        return pull

    def _ask_ahead(self):
        if self._take is None and self._end is None and len(self._items) < _LOW:
            self._ask(False)

    async def _more(self):
        pull = self._pull or self._ask(True)
        try:
            await (pull if self._due is None else self._in_time(pull))
        except Exception:
            pass  # _arrived has it
        except BaseException:  # CancelledError
            if pull.cancelled():  # perhaps before the owner had looked at it
                self._send("__xo_cancel", self._index)
                self._cancelled = True
            raise
        if pull.done():
            self._arrived(pull)
        else:
            self._be_late()

    async def _in_time(self, pull):
        """What the pull gives, or nothing if it does not come by the deadline."""
        from .api import until_done

        await until_done(pull, self._due - monotonic())
        if pull.done():
            pull.result()

    def _arrived(self, pull):
        error = None if pull.cancelled() else pull.exception()
        if self._pull is not pull:
            return
        self._pull = None
        if pull.cancelled():
            return
        if error is not None:
            self._end = ("raise", error)
            return
        first, items, packed, end, self._take = pull.result()
        if first != self._index + len(self._items):
            return
        for i in packed:
            items[i] = _Packed(items[i])
        self._items.extend(items)
        if end is not None:
            self._end = end
        if items:
            self._ask_ahead()

    def _raise_end(self):
        if self._over:
            raise StopAsyncIteration
        self._over = True
        self._let_go()
        how, what = self._end
        if how == "cancelled" and self._cancelled:
            raise StopAsyncIteration
        raise _end_exception(how, what, self._ref.address)

    # ---- the end ----

    async def aclose(self) -> None:
        """End the generator; what it does in its ``finally`` is over when this returns.

        Raises
        ------
        ServerClosed
            If the actor's pool cannot be reached any more.
        """
        if self._over:
            return
        self._over = True
        self._items.clear()
        self._loop, pull = None, self._pull
        self._pull = None
        if pull is not None:
            pull.abandon()
        try:
            await _xo.method(self._ref, "__xo_close")(self._ident, self._token, self._handed)
        except errors.ActorNotExist:
            pass

    async def destroy(self) -> None:
        """The same as ``aclose``."""
        await self.aclose()

    def _let_go(self):
        """Tells the owner that this handle is not used any more."""
        loop, self._loop, pull, self._pull = self._loop, None, self._pull, None
        if loop is None or loop.is_closed():
            return
        # From within a garbage collection, in whatever thread: nothing may be sent here.
        args = self._ref, self._ident, self._token, self._handed, pull
        try:
            loop.call_soon_threadsafe(_tell_close, *args)
        except RuntimeError:
            pass  # it was closed meanwhile

    def __del__(self):
        if self._ident is not None and self._loop is not None:
            self._let_go()

    # ---- on its way ----

    def __reduce__(self):
        self._handed = True
        index = None if self._over else self._index
        left = None if self._due is None else self._due - monotonic()  # clocks need not agree
        where = self._ident, self._ref.address, self._ref.uid
        return _restore, (*where, index, self._hops + 1, left)

    def __repr__(self):
        return f"<generator {self._ident} of {self._ref!r}, {self._index} items consumed>"


def _restore(ident, address, uid, index, hops, left=None):
    handle = IteratorWrapper(ident, address, uid, index or 0, hops)
    handle._be_due_in(left)
    if index is None:
        handle._over, handle._loop = True, None
    elif handle._loop is not None:
        _xo.method(handle._ref, "__xo_claim").tell(ident, handle._token, index)
    return handle


def _tell_close(ref, ident, token, handed, pull):
    if pull is not None:
        pull.abandon()
    _xo.method(ref, "__xo_close").tell(ident, token, handed)


# ---- what arrives ----


class _Packed:
    """An item that is still a pickle: what cannot be unpickled fails in its turn."""

    __slots__ = ("parts",)

    def __init__(self, parts):
        self.parts = parts


def _unpack(item):
    from ._pickle import loads

    data, *buffers = item.parts
    return loads(data, [_writable(buffer) for buffer in buffers])


def _writable(buffer):
    """A received message's memory is ours alone; a buffer of this process must be copied."""
    view = memoryview(buffer)
    return bytearray(view) if type(view.obj) is bytes else memoryview(view.obj)


def _end_exception(how, what, address):
    if how == "end":
        return StopAsyncIteration()
    if how == "raise":
        return what
    if how == "gone":
        return errors.ActorNotExist(what)
    if how == "cancelled":
        import asyncio

        return asyncio.CancelledError("the generator was cancelled")
    if how == "late":
        import asyncio

        return asyncio.TimeoutError("the deadline of the stream has passed")
    if isinstance(what, BaseException):
        return _local_error(what, address)
    return _remote_error(*what)


def _local_error(exception, address):
    from ._failure import dress_local

    return dress_local(exception, address) if isinstance(exception, Exception) else exception


def _remote_error(message, type, traceback, exception, address, pid):
    from ._failure import failure

    fields = {"code": "MethodError", "executed": "ran", "reason": "", "message": message}
    fields.update(type=type, traceback=traceback, exception=exception, address=address, pid=pid)
    return failure(fields)
