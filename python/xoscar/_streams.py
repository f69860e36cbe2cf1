"""The streams of each actor: found by their names, and closed with whoever consumed them."""
import asyncio
import os
from types import AsyncGeneratorType, GeneratorType

import _xo

from . import errors
from ._stream import Stream, by_peer


class _Table:
    """The streams of one actor."""

    def __init__(self, actor):
        self.loop = asyncio.get_running_loop()
        self.address = actor.address
        self.ref = _xo.ActorRef(actor.address, actor.uid)
        self.era = os.urandom(8).hex()  # of this actor, not of one that had its uid before
        self.streams = {}
        self.count = 0

    def add(self, generator, token, locked, left):
        self.count += 1
        ident = f"{self.era}-{self.count}"
        self.streams[ident] = Stream(self, ident, generator, token, locked, left)
        return ident

    def report(self, exception):
        what = "a generator that is consumed remotely failed while it was closed"
        self.loop.call_exception_handler({"message": what, "exception": exception})

    async def end(self):
        for stream in list(self.streams.values()):
            await stream.actor_ends()


def is_generator(value):
    return isinstance(value, (GeneratorType, AsyncGeneratorType))


def add_stream(actor, generator, token, locked, left):
    """Keeps a generator for whoever has the token, for `left` seconds (None: as long as it takes);
    gives the stream's name."""
    if actor._xo_extras is None:
        actor._xo_extras = {}
    table = actor._xo_extras.get("streams")
    if table is None:
        table = actor._xo_extras["streams"] = _Table(actor)
    return table.add(generator, token, locked, left)


def _find(actor, ident):
    table = (actor._xo_extras or {}).get("streams")
    stream = table.streams.get(ident) if table is not None else None
    if stream is not None:
        return stream
    if table is None or not ident.startswith(table.era):
        raise errors.ActorNotExist(
            f"the actor that had stream {ident} has ended; actor {actor.uid!r} was created since"
        )
    raise RuntimeError(f"stream {ident} of actor {actor.uid!r} has been closed")


def serve(actor, name, args, sender):
    """What a consumer, or the stream itself, sent to an actor."""
    if name == "__xo_next":
        ident, token, start, have, hungry = args
        stream = _find(actor, ident)
        stream.claim(token, have, sender)
        return stream.pull(token, start, have, hungry)
    if name in ("__xo_take", "__xo_take_free"):
        ident, token, start, have = args
        stream = _find(actor, ident)
        stream.claim(token, have, sender)
        return stream.take(token, start, have)
    if name == "__xo_cancel":
        ident, token, start = args
        return _find(actor, ident).cancel(token, start)
    if name == "__xo_claim":
        ident, token, have, *former = args
        stream = _find(actor, ident)
        claim = stream.take_back if former else stream.claim
        return claim(token, have, sender, *former)
    if name == "__xo_close":
        return _release(actor, *args)
    if name in ("__xo_produce", "__xo_produce_free") and not sender:
        return _find(actor, *args).produce()
    raise AttributeError(f"{type(actor).__name__} has no method {name!r} for others")


def _release(actor, ident, token, handed):
    try:
        stream = _find(actor, ident)
    except (RuntimeError, errors.ActorNotExist):
        return None  # it has ended already
    stream.release(token, handed)
    return _closed(stream) if stream.closing else None


async def _closed(stream):
    await asyncio.shield(stream.closed)


def peer_gone(endpoint):
    """Closes the streams that this endpoint consumed."""
    for stream in list(by_peer.pop(endpoint, ())):
        stream.table.loop.call_soon(stream.close)
