"""What xoscar.debug sees: the extension reports calls and methods to a Watcher while it is on.

Each method under way knows the chain of methods that wait for it, from the trace in its message; a
call that it makes carries the chain on, with itself at the end.
"""
from __future__ import annotations

import contextvars
import logging
import time
from typing import Any, Callable

import _xo

from .core import NO_LOCK_ATTRIBUTE_HINT, StatelessActor, actor_traits

logger = logging.getLogger("xoscar.debug")

_MARK = b"xo.chain"  # what other traces do not begin with
_TRACE_BYTES = 255  # XO_TRACE_BYTES_MAX


class _Link:
    """A method under way: the end of a chain of (address, uid, method)."""

    def __init__(self, chain: list):
        self.chain = chain
        self.waits = True  # whoever called it still does


_link: contextvars.ContextVar = contextvars.ContextVar("xoscar_chain", default=None)


# ---- the chain in a message ----


def _pack(chain: list) -> bytes | None:
    """As much of the chain's end as a trace holds."""
    for first in range(len(chain)):
        trace = _MARK + _xo.encode([list(entry) for entry in chain[first:]])[0]
        if len(trace) <= _TRACE_BYTES:
            return trace
    return None


def _unpack(trace: bytes) -> list:
    if not trace.startswith(_MARK):
        return []
    try:
        return [(str(a), bytes(u), str(m)) for a, u, m in _xo.decode(trace[len(_MARK) :], [])]
    except Exception:  # it is from elsewhere
        return []


# ---- warnings that come again ----


def _since(start: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time.time() - (time.monotonic() - start)))


class _Alarm:
    """Says a sentence after `timeout` seconds, and again whenever twice as many have passed."""

    def __init__(self, timeout: float | None, sentence: Callable[[], str]):
        self._sentence = sentence
        self._start = time.monotonic()
        self._timer = None
        if timeout:
            import asyncio

            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(timeout, self._ring, timeout)

    def _ring(self, timeout: float) -> None:
        took = time.monotonic() - self._start
        logger.warning("%s for %.3f s, since %s", self._sentence(), took, _since(self._start))
        self._timer = self._loop.call_later(timeout, self._ring, 2 * timeout)

    def cancel(self, *_: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()


# ---- who is told ----


def _name(entry: tuple) -> str:
    address, uid, method = entry
    return f"{method!r} of actor {uid!r} at {address}"


def _caller() -> str:
    link = _link.get()
    return f", called by {_name(link.chain[-1])}," if link is not None and link.chain else ""


def _is_private(method: str) -> bool:
    """One of ours: who consumes a stream, for example, waits as long as it takes."""
    return method.startswith("_")


def _is_lockless(actor: Any, method: Any) -> bool:
    if isinstance(actor, StatelessActor):
        return True
    names = actor_traits(type(actor))[1]
    return bool(names and method in names) or bool(
        getattr(getattr(actor, method, None), NO_LOCK_ATTRIBUTE_HINT, False)
    )


class Watcher:
    """Is told of each request before and after it is sent, and of each method that was begun.

    Parameters
    ----------
    options : xoscar.debug.DebugOptions
        What to say.
    """

    def __init__(self, options: Any):
        self._options = options

    # ---- calls ----

    def sending(self, address: str, uid: bytes, method: str) -> bytes | None:
        """The trace that the request is to carry."""
        link = _link.get()
        if not self._options.log_cycle_send or link is None or not link.waits:
            return None
        if any(entry[:2] == (address, uid) for entry in link.chain):
            self._warn_of_cycle([*link.chain, (address, uid, method)])
        return _pack(link.chain)

    def _warn_of_cycle(self, chain: list) -> None:
        logger.warning(
            "Call cycle: a method calls an actor that waits for it, and holds its lock:\n%s",
            "\n".join(f"    {_name(entry)}" for entry in chain),
        )

    def sent(self, call: Any, address: str, uid: bytes, method: str) -> None:
        """A request is under way."""
        if call.done() or _is_private(method) or uid == b"xo.broker":
            return
        target, caller = _name((address, uid, method)), _caller()
        alarm = _Alarm(
            self._options.actor_call_timeout,
            lambda: f"Calling {target}{caller} has had no answer",
        )
        call.add_done_callback(alarm.cancel)

    # ---- methods ----

    def handled(
        self,
        actor: Any,
        method: str,
        trace: bytes,
        took: float,
        holds_lock: bool,
        result: Any,
        exception: Any,
    ) -> Any:
        """A method has returned or raised. What to take for its result."""
        entry = (actor.address, actor.uid, method)
        self._check_duration(entry, took)
        if exception is not None:
            self._log_error(entry, exception)
            return None
        if not _is_pending(result) or _is_private(method):
            return result
        # Only a coroutine surely holds the lock in its awaits: what yields gives it up, and what a
        # plain method returned is awaited without.
        holds_lock = holds_lock and hasattr(result, "cr_await") and not _is_lockless(actor, method)
        return self._watched(_settle(result), entry, trace, holds_lock)

    def _check_duration(self, entry: tuple, took: float) -> None:
        timeout = self._options.process_message_timeout
        if timeout and took > timeout:
            logger.warning("%s has kept its pool from all else for %.3f s", _name(entry), took)

    def _log_error(self, entry: tuple, exception: BaseException) -> None:
        if self._options.log_unhandled_errors and isinstance(exception, Exception):
            logger.error("Unhandled error in %s", _name(entry), exc_info=exception)

    async def _watched(self, coroutine: Any, entry: tuple, trace: bytes, holds_lock: bool) -> Any:
        link = _Link([*_unpack(trace), entry] if holds_lock else [])
        _link.set(link)
        alarms = [
            _Alarm(
                self._options.process_message_timeout,
                lambda: f"{_name(entry)} has been running",
            )
        ]
        if holds_lock:
            alarms.append(
                _Alarm(
                    self._options.actor_lock_timeout,
                    lambda: f"{_name(entry)} has held its actor's lock",
                )
            )
        try:
            return await coroutine
        except BaseException as e:
            self._log_error(entry, e)
            raise
        finally:
            link.waits = False
            for alarm in alarms:
                alarm.cancel()


def _is_pending(value: Any) -> bool:
    from ._settle import is_pending

    return is_pending(value)


def _settle(value: Any) -> Any:
    from ._glue import settle

    return value if hasattr(value, "cr_await") else settle(value)
