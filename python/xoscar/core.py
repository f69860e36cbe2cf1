"""References, and what actors are made of."""
from __future__ import annotations

import weakref

TYPE_CHECKING = False  # as typing has it, which takes longer to import than this package
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    from ._types import ActorRef, BaseActor, LocalActorRef, lane_totals, lent_bytes

    _F = TypeVar("_F", bound=Callable[..., Any])
else:
    from _xo import ActorRef, BaseActor, LocalActorRef, lane_totals, lent_bytes

from ._buffers import BufferRef, FileObjectRef
from ._settle import call_batch, within
from ._shown import shown

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
        """Called once, after __init__, before the first message.

        While it waits for something, which may be a call of its own actor, messages are handled.
        """

    async def __pre_destroy__(self) -> None:
        """Called before the actor is destroyed; an error here reaches destroy_actor's caller.

        While it waits for something, messages are handled, as in __post_create__.
        """

    async def __on_exit__(self, ref: ActorRef, reason: str) -> None:
        """Called once, in its turn, when an actor that this one is linked to has ended.

        Whose class overrides it, with ``def`` or ``async def``, is not destroyed then.

        Parameters
        ----------
        ref : ActorRef
            The one that has ended, or that had before ``link`` was called.
        reason : str
            Why, as ``monitor`` tells it.
        """

    async def __on_receive__(self, message: tuple[Any, ...]) -> Any:
        """Handle a message. Who overrides it calls ``super()``.

        Parameters
        ----------
        message : tuple
            (method's name, kind, args, kwargs). Kind 0 is a call; 1 a batch, whose args are
            (list of args, list of kwargs) and whose kwargs are None.

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
            raise AttributeError(f"{type(self).__name__} has no method {shown(name)} for others")
        method = getattr(self, name)
        if kind == CALL:
            return await within(method, method(*args, **kwargs))
        return await within(method, call_batch(method, *args))


class StatelessActor(Actor):
    """An actor without a lock: it handles as many messages at a time as come."""


# ---- what the host asks about a class ----

_traits = weakref.WeakKeyDictionary()


def _is_no_lock(cls, name):
    for klass in cls.__mro__:
        if name in vars(klass):
            found = vars(klass)[name]
            marked = (found, getattr(found, "__func__", None))  # of a staticmethod or classmethod
            return any(getattr(m, NO_LOCK_ATTRIBUTE_HINT, False) for m in marked)
    return False


def _find_traits(cls):
    names = {name for klass in cls.__mro__ for name in vars(klass)}
    no_lock = {name for name in names if _is_no_lock(cls, name)}
    on_receive = cls.__on_receive__ is not Actor.__on_receive__
    on_exit = cls.__on_exit__ is not Actor.__on_exit__
    return issubclass(cls, StatelessActor), no_lock or None, on_receive, on_exit


def actor_traits(cls):
    """(stateless, names of methods that take no lock or None, has its own __on_receive__, and
    __on_exit__)"""
    traits = _traits.get(cls)
    if traits is None:
        if not issubclass(cls, Actor):
            raise TypeError(f"{cls!r} is no subclass of Actor")
        traits = _traits[cls] = _find_traits(cls)
    return traits


def hook(actor, name):
    """Calls __post_create__ or __pre_destroy__, unless it is Actor's own, which does nothing."""
    if name == "__pre_destroy__" and actor._xo_extras:
        return _end_extras(actor)
    if getattr(type(actor), name) is getattr(Actor, name):
        return None
    return getattr(actor, name)()


async def _end_extras(actor):
    """The user's __pre_destroy__, and the end of the actor's streams."""
    try:
        await actor.__pre_destroy__()
    finally:
        for extra in list(actor._xo_extras.values()):
            await extra.end()


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
