"""References, and what actors are made of."""
from __future__ import annotations

import weakref
from types import AsyncGeneratorType

TYPE_CHECKING = False  # as typing has it, which takes longer to import than this package
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    from ._types import ActorRef, BaseActor, LocalActorRef

    _F = TypeVar("_F", bound=Callable[..., Any])
else:
    from _xo import ActorRef, BaseActor, LocalActorRef

from ._buffers import BufferRef, FileObjectRef

#: For annotations: ``ActorRefType[MyActor]`` is a reference to an actor of the class MyActor.
ActorRefType = ActorRef

#: The attribute that marks a method which runs without its actor's lock.
NO_LOCK_ATTRIBUTE_HINT = "_xoscar_no_lock"

# The kinds of __on_receive__'s messages.
CALL, BATCH = 0, 1


def no_lock(func: _F) -> _F:
    """Mark a method of an Actor: it runs without the actor's lock, beside whatever else runs.

    Parameters
    ----------
    func : function
        The method, ``def`` or ``async def``.

    Returns
    -------
    function
        The same.
    """
    setattr(func, NO_LOCK_ATTRIBUTE_HINT, True)
    return func


class Actor(BaseActor):
    """A stateful actor: it handles one message at a time, in the order in which they came.

    An ``async def`` method keeps the others waiting until it has returned, across its awaits; one
    that yields gives way while what it yielded is awaited.
    """

    @classmethod
    def default_uid(cls) -> str:
        """Return the class's name.

        Returns
        -------
        str
        """
        return cls.__name__

    async def __post_create__(self) -> None:
        """Called once, after __init__; no message is handled before it has returned."""

    async def __pre_destroy__(self) -> None:
        """Called before the actor is destroyed; an error here reaches destroy_actor's caller."""

    async def __on_receive__(self, message: tuple[Any, ...]) -> Any:
        """Handle a message. Who overrides it calls ``super()``.

        Parameters
        ----------
        message : tuple
            (method's name, kind, args, kwargs).

        Returns
        -------
        object
            What the method returned.

        Raises
        ------
        AttributeError
            If the name begins with an underscore: such methods are not for others.
        """
        name, kind, args, kwargs = message
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no method {name!r} for others")
        method = getattr(self, name)
        if kind == CALL:
            return method(*args, **kwargs)
        many = getattr(method, "_xo_many", None)
        if many is not None:
            return many(args)
        return await settle_each([method(*a, **k or {}) for a, k in args])


class StatelessActor(Actor):
    """An actor without a lock: it handles as many messages at a time as come."""


# ---- what the host asks about a class ----

_traits = weakref.WeakKeyDictionary()


def _is_no_lock(cls, name):
    for klass in cls.__mro__:
        if name in vars(klass):
            return bool(getattr(vars(klass)[name], NO_LOCK_ATTRIBUTE_HINT, False))
    return False


def _find_traits(cls):
    names = {name for klass in cls.__mro__ for name in vars(klass)}
    no_lock = {name for name in names if _is_no_lock(cls, name)}
    on_receive = cls.__on_receive__ is not Actor.__on_receive__
    return issubclass(cls, StatelessActor), no_lock or None, on_receive


def actor_traits(cls):
    """(stateless, names of methods that take no lock or None, has its own __on_receive__)"""
    traits = _traits.get(cls)
    if traits is None:
        if not issubclass(cls, Actor):
            raise TypeError(f"{cls!r} is no subclass of Actor")
        traits = _traits[cls] = _find_traits(cls)
    return traits


def hook(actor, name):
    """Calls __post_create__ or __pre_destroy__, unless it is Actor's own, which does nothing."""
    if getattr(type(actor), name) is getattr(Actor, name):
        return None
    return getattr(actor, name)()


# ---- what a method returned that has to be awaited ----


def _is_async_generator(value):
    return isinstance(value, AsyncGeneratorType)


def _is_pending(value):
    return hasattr(value, "__await__") or _is_async_generator(value)


async def _await(value):
    if _is_async_generator(value):
        return await _drive(value, None)
    return await value


async def _gather(values):
    """The values of a tuple, those that are pending awaited together."""
    import asyncio

    pending = [_await(v) if _is_async_generator(v) else v for v in values if _is_pending(v)]
    results = iter(await asyncio.gather(*pending))
    return tuple(next(results) if _is_pending(v) else v for v in values)


async def _come_to(value):
    if isinstance(value, tuple):
        return await _gather(value)
    return await _await(value) if _is_pending(value) else value


async def _yielded(item, run):
    """What a yielded item comes to, awaited while the lock is given up."""
    if run is None:
        return await _come_to(item)
    run.unlock()
    try:
        return await _come_to(item)
    finally:
        await run.lock()


async def _drive(generator, run):
    """Runs a method that yields: each item is awaited, and its result or exception sent back in."""
    from .errors import Return

    send, value = generator.asend, None
    try:
        while True:
            item = await send(value)
            try:
                send, value = generator.asend, await _yielded(item, run)
            except BaseException as e:
                send, value = generator.athrow, e
    except StopAsyncIteration:
        return None
    except Return as result:
        return result.value


async def _drive_method(generator):
    from _xo import current_run

    return await _drive(generator, current_run())


def settle(value):
    """A coroutine that gives what a method's result comes to."""
    if _is_async_generator(value):
        return _drive_method(value)
    return _come_to(value)


async def settle_each(values):
    """The same for a batch's results, one after the other, as single calls would run."""
    return [await _come_to(value) for value in values]


__all__ = [
    "Actor",
    "ActorRef",
    "ActorRefType",
    "BufferRef",
    "FileObjectRef",
    "LocalActorRef",
    "NO_LOCK_ATTRIBUTE_HINT",
    "StatelessActor",
    "no_lock",
]
