"""The owner's side of @xo.generator: a generator, and what it has produced ahead of its consumer.

Messages of the consumer are calls of methods of the actor that are not the user's (_xo/internal.h):

    __xo_next(stream, token, start, have, hungry)  the items from `start` on, once there is one
    __xo_take(stream, token, start, have)          the same, of a stream on demand
    __xo_cancel(stream, token, start)              who waited for item `start` was cancelled
    __xo_claim(stream, token, have)                somebody has got the handle
    __xo_claim(stream, token, have, former)        who had it as `former` goes on with it
    __xo_close(stream, token, handed)              somebody has no use for it any more

and of the stream itself __xo_produce, which takes its turn as any message to the actor does, runs
the generator under the actor's lock, and ends after a bounded number of items, bytes and
milliseconds. So does __xo_take, for one item. For a generator that needs no lock they are
__xo_produce_free and __xo_take_free.

Items are kept until the consumer has consumed them (`have` in its next message), so a handle can
go to another process at any time, and what is kept bounds how far the generator runs ahead.
"""
import asyncio
import weakref
from time import monotonic
from types import AsyncGeneratorType, coroutine

import _xo

from . import _failure, _pickle

#: How far a generator may be ahead of what its consumer has consumed: items, and bytes.
WINDOW_ITEMS = 1024
WINDOW_BYTES = 16 << 20

TOKEN_HOPS_BYTES = 4  # of a token, in front: how many times the handle was handed on

_ANSWER_BYTES = 4 << 20  # a message takes no further item beyond this
_BURST_S = 0.005  # after this the actor's other messages get their turn
_LEASE_S = 60  # for a handle on its way to another process, until it is claimed there
_ITEM_BYTES = 64  # what an item counts beyond the buffers and texts in it

_SCALARS = frozenset((type(None), bool, int, float, complex))
_TEXTS = frozenset((str, bytes))

by_peer = {}  # endpoint -> WeakSet of the streams that it consumes


# ---- items ----


class _Packed:
    """An item as it was when it was yielded: the generator may change the object afterwards."""

    __slots__ = ("data", "buffers")

    def __init__(self, item):
        self.data, buffers = _pickle.dumps(item)
        self.buffers = [bytes(buffer.raw()) for buffer in buffers]

    def size(self):
        return len(self.data) + sum(map(len, self.buffers))

    def parts(self):
        """As part of an answer: large buffers go by reference."""
        from pickle import PickleBuffer

        return [self.data, *map(PickleBuffer, self.buffers)]


def _frozen_size(item):
    """The bytes of an item that cannot change; None: it can."""
    kind = type(item)
    if kind in _SCALARS:
        return _ITEM_BYTES
    if kind in _TEXTS:
        return _ITEM_BYTES + len(item)
    if kind is not tuple:
        return None
    size = _ITEM_BYTES
    for part in item:
        inner = _frozen_size(part)
        if inner is None:
            return None
        size += inner
    return size


# ---- the stream ----


class Stream:
    """One generator and its consumer."""

    def __init__(self, table, ident, generator, token, locked, left):
        self.table, self.ident, self.generator = table, ident, generator
        self.locked = locked
        self.items, self.sizes = [], []
        self.first = 0  # how manieth item items[0] is
        self.bytes = 0
        self.end = None  # (how, what)
        self.on_demand = False  # only what the consumer waits for is produced
        self.waiters = []  # of pulls: (future, hungry)
        self.producing = None  # the message to the actor under way
        self.stepper = None  # the task in which the generator runs, or awaits something
        self.taking = False  # somebody waits for the item of this very step
        self.closing = self.destroyed = False
        self.expired = False  # closing, but kept until the consumer has been told
        self.closed = table.loop.create_future()
        self.holder, self.peer, self.former, self.lease = token, 0, set(), None
        self.expiry = None if left is None else table.loop.call_later(left, self._expire)

    # ---- who consumes it ----

    def claim(self, token, have, peer):
        """`token` consumes it from now on, unless somebody does to whom it was handed on since:
        messages of different processes overtake each other."""
        older = token[:TOKEN_HOPS_BYTES] < self.holder[:TOKEN_HOPS_BYTES]
        if older or token in self.former or have < self.first:
            raise RuntimeError("the stream has been handed to another consumer, which has used it")
        if token != self.holder:
            self.former.add(self.holder)
            self.holder = token
            self._wake()
        self._drop_lease()
        if peer != self.peer:
            self._leave_peer()
            self.peer = peer
            if peer:
                by_peer.setdefault(peer, weakref.WeakSet()).add(self)

    def take_back(self, token, have, peer, former):
        """Whoever consumed it as `former` goes on as `token`, if no copy of it was used."""
        if self.holder not in (former, token):
            raise RuntimeError("the stream has been handed to another consumer")
        self.claim(token, have, peer)

    def _leave_peer(self):
        streams = by_peer.get(self.peer)
        if streams is not None:
            streams.discard(self)
            if not streams:
                del by_peer[self.peer]

    def _drop_lease(self):
        if self.lease is not None:
            self.lease.cancel()
            self.lease = None

    def release(self, token, handed):
        """The consumer's handle is gone; `handed`: a copy of it may be on its way elsewhere."""
        if token != self.holder:
            return
        if not handed:
            self.close()
        elif self.lease is None:
            self.lease = self.table.loop.call_later(_LEASE_S, self.close)

    # ---- what the consumer asks ----

    def pull(self, token, start, have, hungry):
        """An answer, or a coroutine that gives one when there is something to answer."""
        if start < have:
            raise ValueError(f"item {start} has been consumed, since {have} have been")
        self._forget(have)
        if self._is_ready(start, hungry):
            return self._answer(start)
        return self._pull_later(token, start, hungry)

    async def _pull_later(self, token, start, hungry):
        cancelled = False
        while not self._is_ready(start, hungry):
            future = self.table.loop.create_future()
            self.waiters.append((future, hungry))
            self._kick()
            try:
                await future
            except asyncio.CancelledError:
                if cancelled or self.stepper is None:
                    raise
                cancelled = True  # what the generator makes of it is the outcome
                self.stepper.cancel()
            finally:
                self.waiters = [w for w in self.waiters if w[0] is not future]
            if token != self.holder:
                raise RuntimeError("the stream has been handed to another consumer")
        return self._answer(start)

    async def take(self, token, start, have):
        """An answer, once the generator has made one more step; in the actor's turn."""
        self._forget(have)
        if self._is_ready(start, True):
            return self._answer(start)
        if self.stepper is not None or self.producing is not None or self.closing:
            _xo.current_run().unlock()  # for the step that is under way
            return await self._pull_later(token, start, True)
        self.taking = True
        try:
            await self._turn()
        finally:
            self.taking = False
        return self._answer(start)

    def cancel(self, token, start):
        """Whoever waited for item `start` has been cancelled before its message was looked at."""
        awaited = start == self.first + len(self.items)
        if self.stepper is not None and token == self.holder and awaited:
            self.stepper.cancel()

    def _is_ready(self, start, hungry):
        if start < self.first + len(self.items) or self.end is not None:
            return True
        if hungry:
            return False
        # Who asks ahead gets nothing where nothing would come before more has been consumed.
        return self.on_demand or (self.producing is None and not self._may_produce())

    def _forget(self, have):
        count = have - self.first
        if count > 0:
            self.bytes -= sum(self.sizes[:count])
            del self.items[:count], self.sizes[:count]
            self.first = have

    def _take(self, start):
        """The items of one answer."""
        at = start - self.first
        if self.bytes <= _ANSWER_BYTES:
            return self.items[at:]
        stop, room = at, _ANSWER_BYTES
        while stop < len(self.items) and room > 0:
            room -= self.sizes[stop]
            stop += 1
        return self.items[at:stop]

    def _answer(self, start):
        """[first, items, which of them are packed, end, how to ask for each further item]"""
        items = self._take(start)
        packed = [i for i, item in enumerate(items) if type(item) not in _SCALARS]
        packed = [i for i in packed if self._goes_packed(items[i])]
        for i in packed:
            item = items[i]
            items[i] = (item if type(item) is _Packed else _Packed(item)).parts()
        end = None
        if self.end is not None and start + len(items) == self.first + len(self.items):
            end = self._describe_end()
        self._kick()
        take = "__xo_take" if self.locked else "__xo_take_free"
        return [start, items, packed, end, take if self.on_demand else None]

    def _goes_packed(self, item):
        return type(item) is _Packed or (self.peer and _frozen_size(item) is None)

    def _describe_end(self):
        how, what = self.end
        if how != "error" or not self.peer:
            return [how, what]
        import os

        return [how, [*_failure.describe(what), self.table.address, os.getpid()]]

    # ---- producing ----

    def _may_produce(self):
        if self.end is not None or self.closing:
            return False
        if self.on_demand:
            return self._is_wanted()
        return len(self.items) < WINDOW_ITEMS and self.bytes < WINDOW_BYTES

    def _is_wanted(self):
        return self.taking or any(hungry and not f.done() for f, hungry in self.waiters)

    def _kick(self):
        """Sends the message that runs the generator, if it is to run."""
        if self.producing is None and not self.destroyed and (self.closing or self._may_produce()):
            name = "__xo_produce" if self.locked else "__xo_produce_free"
            self.producing = _xo.method(self.table.ref, name)(self.ident)
            self.producing.add_done_callback(self._produced)

    def _produced(self, call):
        self.producing = None
        error = None if call.cancelled() else call.exception()
        if error is not None and self.end is None:
            self._finish("error", error)
        if not self.closed.done():
            self._kick()
        self._wake()

    async def produce(self):
        """Runs the generator, until there is enough for now."""
        if self.stepper is None and (self.closing or self._may_produce()):
            await self._turn()

    async def _turn(self):
        self.stepper = asyncio.current_task()
        try:
            if not self.closing:
                await self._burst()
        finally:
            if self.closing or self.end is not None:
                await self._close_generator()
            self.stepper = None
            self._wake()

    async def _burst(self):
        burst = self._items_async if isinstance(self.generator, AsyncGeneratorType) else self._items
        try:
            await burst(monotonic() + _BURST_S)
        except StopAsyncIteration:
            self._finish("end", None)
        except BaseException as e:
            self._fail(e)

    async def _items(self, deadline):
        for item in self.generator:
            size = _frozen_size(item)
            self._add(item, size) if size is not None else await self._add_changeable(item)
            if self._is_enough(deadline):
                return
        self._finish("end", None)

    async def _items_async(self, deadline):
        advance = self.generator.__anext__
        while True:
            step = advance()
            try:
                waits_for = step.send(None)
            except StopIteration as result:
                item = result.value
            else:
                item = await self._wait(step, waits_for)
            size = _frozen_size(item)
            self._add(item, size) if size is not None else await self._add_changeable(item)
            if self._is_enough(deadline):
                return

    async def _add_changeable(self, item):
        if hasattr(item, "__await__"):  # yielded to be awaited: its result is the item
            item = await item
        if self.peer:
            packed = _Packed(item)
            self._add(packed, packed.size())
            return
        # In this process it goes out as it is, before the generator goes on.
        self.on_demand = True
        self._add(item, _ITEM_BYTES)

    def _add(self, item, size):
        self.items.append(item)
        self.sizes.append(size)
        self.bytes += size

    def _is_enough(self, deadline):
        if self.on_demand or self.closing or self.end is not None or monotonic() > deadline:
            return True
        return len(self.items) >= WINDOW_ITEMS or self.bytes >= WINDOW_BYTES

    def _fail(self, exception):
        if isinstance(exception, asyncio.CancelledError):
            self._finish("cancelled", None)
            return
        self._finish("error", exception)
        if not isinstance(exception, Exception):  # Ctrl-C and exit are the program's
            raise exception

    def _finish(self, how, what):
        if self.end is None:
            self.end = (how, what)
        self._wake()

    def _wake(self):
        for future, _ in self.waiters:
            if not future.done():
                future.set_result(None)

    # ---- a generator that waits ----

    @coroutine
    def _wait(self, step, waits_for):
        """The rest of a step of the generator that awaits something.

        It keeps the actor's lock if the consumer waits for the item. If nobody does, the lock is
        given up until it goes on, so that it never keeps the consumer's own calls waiting.
        """
        run = self._give_way() if self.locked else None
        self._wake()
        try:
            while True:
                thrown = None
                try:
                    value = yield waits_for
                except GeneratorExit:
                    step.close()
                    raise
                except BaseException as e:
                    thrown = e
                if run is not None:
                    thrown = (yield from self._lock_again(run)) or thrown
                    run = None
                waits_for = step.send(value) if thrown is None else step.throw(thrown)
        except StopIteration as result:
            return result.value

    def _give_way(self):
        """Gives the lock up if it is ahead of its consumer, and gives the run that had it. It will
        not be ahead again."""
        self.on_demand = True
        if self._is_wanted() and not self.items:
            return None
        run = _xo.current_run()
        run.unlock()
        return run

    def _lock_again(self, run):
        """What is thrown in while it waits is for the generator, not for the lock."""
        thrown = None
        lock = run.lock()
        while not lock.done() and not self.destroyed:
            future = self.table.loop.create_future()
            lock.add_done_callback(lambda _, f=future: f.done() or f.set_result(None))
            try:
                yield from future
            except BaseException as e:
                thrown = e
        return thrown

    # ---- the end ----

    def close(self):
        """Nobody consumes it any more: its generator ends. Gives a future for that."""
        self._drop_lease()
        self.expired = False
        if not self.closing:
            self.closing = True
            if self.stepper is None and self.end is not None:
                self._leave()
            else:
                self._stop()
        return self.closed

    def _stop(self):
        """Has the generator closed, by whoever runs it."""
        if self.stepper is not None:
            self.stepper.cancel()
        else:
            self._kick()

    def _expire(self):
        """The deadline of the call that opened it has passed."""
        if self.end is None and not self.closing:
            self.closing = self.expired = True
            self._finish("late", None)
            self._stop()

    async def _close_generator(self):
        try:
            if isinstance(self.generator, AsyncGeneratorType):
                await self.generator.aclose()
            else:
                self.generator.close()
        except Exception as e:
            self.table.report(e)
        self._finish("cancelled", None)
        if self.destroyed or (self.closing and not self.expired):
            self._leave()
        else:
            self.closing = self.expired = False

    def _leave(self):
        self._drop_lease()
        if self.expiry is not None:
            self.expiry.cancel()
        self._leave_peer()
        self.table.streams.pop(self.ident, None)
        if not self.closed.done():
            self.closed.set_result(None)

    async def actor_ends(self):
        """The actor is destroyed; whoever does that holds its lock."""
        self.destroyed = True
        self._finish("gone", f"actor {self.table.ref.uid!r} was destroyed")
        if self.stepper is not None:
            self.stepper.cancel()
        else:
            await self._close_generator()
