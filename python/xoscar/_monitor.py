"""monitor and link: being told when an actor ends, and ending with it.

A monitor stands on a call that the actor's pool answers when the actor has ended (pool/watch.c).
Its other ways to end say the same of the pool: ServerClosed that it died, ActorNotExist that there
was no such actor. Links are the pools' (pool/link.c): they are asked for here.
"""
from __future__ import annotations

import _xo

from . import errors
from ._shown import shown
from .core import ActorRef

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Callable, Optional, Union

_running = set()  # tasks of callbacks: asyncio itself keeps none of them alive


class Monitor:
    """What ``monitor`` gives: who is watched, and the means to stop it.

    Attributes
    ----------
    ref : ActorRef
        The actor that is watched.
    callback : callable
        Who is told; no attribute.
    reason : str or None
        Why it ended; None as long as it has not.
    """

    def __init__(self, ref: ActorRef, callback: Callable[[str], Union[None, Awaitable[None]]]):
        self.ref: ActorRef = ActorRef(ref.address, ref.uid)
        self.reason: Optional[str] = None
        self._callback = callback
        self._watch = _xo.method(self.ref, "__xo_watch")()
        self._watch.add_done_callback(self._ended)

    def stop(self) -> None:
        """Watch no longer: the callback will not be called. Any number of times."""
        watch, self._watch, self._callback = self._watch, None, None
        if watch is not None:
            watch.abandon()

    def _ended(self, watch):
        callback, self._watch, self._callback = self._callback, None, None
        if callback is None or watch.cancelled():
            return
        self.reason = _reason(watch)
        result = callback(self.reason)
        if hasattr(result, "__await__"):
            _run(result)

    def __repr__(self) -> str:
        state = "stopped" if self._callback is None else "watches"
        return f"<Monitor of {self.ref!r}: {self.reason or state}>"


def _reason(watch):
    error = watch.exception()
    if error is None:
        return watch.result()
    return getattr(error, "reason", None) or str(error)


def _run(awaitable):
    import asyncio

    task = asyncio.ensure_future(awaitable)
    _running.add(task)
    task.add_done_callback(_running.discard)


def _check_ref(ref, what):
    if not isinstance(ref, ActorRef):
        raise TypeError(f"{what} takes a reference to an actor, not {shown(ref)}")


async def monitor(
    ref: ActorRef, callback: Callable[[str], Union[None, Awaitable[None]]]
) -> Monitor:
    """Be told, once, when an actor ends.

    From anywhere: an actor's method, the main process, a client. When this returns, the actor is
    watched, whatever happens to it from then on. One that has ended before is reported as well.
    An actor that is created again after its end is another one, which is not watched.

    Parameters
    ----------
    ref : ActorRef
        The actor, in whatever language it is written.
    callback : callable
        Called with the reason, a str: "destroyed", what was said when it was destroyed, or how its
        process, pool or node ended. ``def`` or ``async def``. It runs in this loop and without
        any actor's lock. What it raises goes to the loop's exception handler.

    Returns
    -------
    Monitor
        Its ``stop()`` ends the watching.

    Raises
    ------
    TypeError
        If ``ref`` is no reference, or ``callback`` cannot be called.
    """
    _check_ref(ref, "monitor")
    if not callable(callback):
        raise TypeError(f"monitor calls its second argument, which {callback!r} does not allow")
    watching = Monitor(ref, callback)
    try:
        await _xo.has(ref.address, ref.uid)  # answered after the watch has been taken note of
    except errors.ServerClosed:
        pass  # so is the watch
    except BaseException:
        watching.stop()
        raise
    return watching


# ---- links ----


def _linked(ref, what):
    """A reference to the actor whose method calls `what`, which its pool answers."""
    _check_ref(ref, what)
    run = _xo.current_run()
    actor = run.actor if run is not None else None
    if actor is None:
        raise RuntimeError(f"{what} is for the methods of actors: await it in an async def method")
    own = ActorRef(actor.address, actor.uid)
    if (ref.address, ref.uid) == (own.address, own.uid):
        raise ValueError(f"actor {actor.uid!r} cannot be linked to itself")
    if _xo.find_actor(own) is not actor:  # another one may have its uid by now
        raise errors.ActorNotExist(f"actor {actor.uid!r} has ended")
    return own


async def link(ref: ActorRef) -> None:
    """Link the actor that calls this to another one: when either ends, so does the other.

    To be awaited in a method of an actor. Whichever way one of the two ends (it is destroyed, its
    process dies, its node is gone), the other is destroyed, in its turn: what its mailbox holds is
    handled before, and ``__pre_destroy__`` runs. The reason, which ``monitor`` tells, names the one
    that ended first and why that ended. An actor whose class has a method ``__on_exit__`` is not
    destroyed: that is called, with a reference to the other one and the reason.

    To link two actors again changes nothing. An actor that is created again is not linked any more.

    Parameters
    ----------
    ref : ActorRef
        The other actor, in whatever language it is written.

    Raises
    ------
    TypeError
        If ``ref`` is no reference.
    RuntimeError
        If it is not called in an actor's method.
    ActorNotExist, ServerClosed
        If the other one has ended already, unless the caller has ``__on_exit__``, which is called
        then; nothing is linked. Also if the caller itself has ended.
    ValueError
        If an actor is to be linked to itself.
    """
    own = _linked(ref, "link")
    await _xo.method(own, "__xo_link")(ref.address, ref.uid)


async def unlink(ref: ActorRef) -> None:
    """End the link between the actor that calls this and another one, whichever of them made it.

    To be awaited in a method of an actor. When it returns, neither ends with the other any more. An
    ``__on_exit__`` that waits in the mailbox by then is still called. If there is no link, nothing
    happens.

    Parameters
    ----------
    ref : ActorRef
        The other actor.

    Raises
    ------
    TypeError
        If ``ref`` is no reference.
    RuntimeError
        If it is not called in an actor's method.
    ActorNotExist
        If the caller itself has ended.
    ValueError
        If it is the caller's own reference.
    """
    own = _linked(ref, "unlink")
    await _xo.method(own, "__xo_unlink")(ref.address, ref.uid)
