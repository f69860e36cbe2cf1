"""Where an actor is of which only the uid is known."""
from __future__ import annotations

import _xo

from . import errors
from .core import TYPE_CHECKING, ActorRef

if TYPE_CHECKING:
    from typing import Any

NAME = b"xo:"  # how a uid begins that one actor of the cluster has alone
_BROKER = b"xo.broker"  # the uid under which every node's broker answers (doc/wire.md)
_ANSWER_S = 3  # which is 3 heartbeats: a broker that is silent for so long is no help


def abandon(future: Any) -> None:
    """Nobody waits for it any more."""
    if isinstance(future, _xo.Call):
        future.abandon()
    else:
        future.cancel()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody else looks


async def _answer(question, where):
    """What the broker answers. A question changes nothing: whoever is cancelled, or has waited for
    as long as it may take, does not wait for what becomes of it."""
    import asyncio

    future = asyncio.ensure_future(question)
    try:
        await asyncio.wait({future}, timeout=_ANSWER_S)
        if future.done():
            return future.result()
    finally:
        if not future.done():
            abandon(future)
    raise errors.XoscarError(
        f"the broker of the node at {where} has not answered for {_ANSWER_S} s: it stands still, "
        "or the registry that it asks does"
    )


async def _lookup(uid, refused=False):
    """The address for a uid alone: the node's broker and the registry know where it lives. What the
    broker remembers may be out of date: `refused` says that it was."""
    pool = _xo.home()
    where = pool.address if pool is not None else _xo.find_node()
    found = await _answer(ActorRef(where, _BROKER).lookup(uid, refused), where)
    if not found:
        raise errors.ActorNotExist(f"Actor {uid!r} does not exist in the cluster")
    if len(found) > 1:
        addresses = ", ".join(record["address"] for record in found)
        raise errors.XoscarError(f"Actor {uid!r} exists more than once: at {addresses}")
    return found[0]["address"]


async def find(uid: bytes) -> ActorRef[Any]:
    """The actor with this uid, wherever it is. One with a name that is not where it was is looked
    for by the call that asks whether it is there (libxo/seek.c)."""
    address = await _lookup(uid)
    try:
        return await _xo.ref(address, uid)
    except (errors.ActorNotExist, errors.ServerClosed):
        before, address = address, await _lookup(uid, True)
        if uid.startswith(NAME) and address == before:
            raise
    return await _xo.ref(address, uid)
