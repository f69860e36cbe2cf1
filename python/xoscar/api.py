"""The functions of the package: creating, finding and ending actors and pools."""
from __future__ import annotations

import _xo

from . import debug, errors
from ._buffers import buffer_ref, copy_to, file_object_ref
from ._cluster import setup_cluster
from ._create_pool import create_actor_pool
from ._generator import IteratorWrapper, generator
from ._group import Group, create_group, shutdown_ms
from ._lookup import NAME, abandon, find
from ._monitor import link, monitor, unlink
from ._restart import RestartPolicy
from ._shown import shown
from ._views import list_actors, list_nodes, list_pools
from .backends.config import own_address
from .backends.recovery import kill_actor, wait_actor_pool_recovered
from .core import (
    TYPE_CHECKING,
    Actor,
    ActorRef,
    ActorRefType,
    LocalActorRef,
    StatelessActor,
    no_lock,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, TypeVar

    from .backends.allocate_strategy import AllocateStrategy
    from .backends.config import ActorPoolConfig

    _A = TypeVar("_A", bound=Actor)
    _R = TypeVar("_R")

_NAME_BYTES = 1024  # of a class, at most (libxo/msg.h)
_SYSTEM = b"xo."


def _uid_bytes(uid):
    if isinstance(uid, str):
        uid = uid.encode()
    if not isinstance(uid, bytes) or not 1 <= len(uid) <= 255:
        raise ValueError(f"a uid is a str or bytes of 1 to 255 bytes, not {shown(uid)}")
    return uid


def _new_uid(uid):
    found = _uid_bytes(uid)
    if found.startswith(_SYSTEM):
        raise ValueError(f"uids that begin with xo. are those of the system's actors: {uid!r}")
    return found


def _own_address():
    pool = _xo.home()
    if pool is None:
        raise ValueError("this process has no pool: say address=")
    return pool.address


def _localize(ref):
    """As a LocalActorRef, if the actor lives in a pool of this loop; calls to those that are in a
    circle could not be seen."""
    if _xo.pool_at(ref.address) is None or debug.logs_cycles():
        return ref
    return LocalActorRef(ref.address, ref.uid)


def _plain_class(actor_cls):
    """Of a generic alias, such as ``Box[int]``, the class: arguments of types do nothing here."""
    is_class = issubclass(type(actor_cls), type)  # isinstance believes some aliases
    return actor_cls if is_class else getattr(actor_cls, "__origin__", actor_cls)


def _class_name(actor_cls):
    """What a create message names the class, or the one of another language."""
    if isinstance(actor_cls, str):
        name = actor_cls
    elif isinstance(actor_cls, type) and issubclass(actor_cls, Actor):
        name = f"{actor_cls.__module__}:{actor_cls.__qualname__}"
    else:
        raise TypeError(f"{shown(actor_cls)} is no subclass of xoscar.Actor")
    if len(name) <= _NAME_BYTES // 4:  # of UTF-8, at most 4 each
        return name
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


def _take_options(kwargs):
    """The options of a create request, or None. What is none is the actor's own argument."""
    options = {}
    if isinstance(kwargs.get("restart_policy"), RestartPolicy):
        options.update(kwargs.pop("restart_policy").options())
    if isinstance(kwargs.get("group"), Group):
        options["group"] = kwargs.pop("group").name
        if "shutdown_timeout" in kwargs:
            options["shutdown_ms"] = shutdown_ms(kwargs.pop("shutdown_timeout"))
    return options or None


def _check_placement(options, uid):
    """Others find an actor that has moved by its name."""
    if options.get("placement") != "any":
        return
    if not uid.startswith(NAME):
        raise ValueError(f'with the placement any a uid begins with "xo:", unlike {uid!r}')
    if "group" in options:
        raise ValueError("a group is of one node: its members cannot have the placement any")


async def create_actor(
    actor_cls: type[_A] | str,
    *args: Any,
    uid: str | bytes | None = None,
    address: str | None = None,
    allocate_strategy: AllocateStrategy | None = None,
    **kwargs: Any,
) -> ActorRefType[_A]:
    """Create an actor.

    Parameters
    ----------
    actor_cls : type or str
        A subclass of Actor, also as a generic alias (``Box[int]``); for an actor in another
        language, its class's name.
    *args, **kwargs
        For the actor's ``__init__``.
    uid : str or bytes, optional
        1 to 255 bytes, unique in its pool, and not beginning with "xo.". One that begins with
        "xo:" is a name, unique in the cluster. A random one by default.
    address : str, optional
        "host:port" of a pool. By default, in an actor's code the actor's own pool, elsewhere the
        oldest of the running loop.
    allocate_strategy : AllocateStrategy, optional
        One of ``xo.allocate_strategy``: chooses among the pools of the node at ``address``.
    restart_policy : RestartPolicy, optional
        When the actor is created again. Anything else of this name is for ``__init__``.
    group : Group, optional
        See ``create_group``: the actor becomes the last member of this group of its node. Of its
        restart_policy only `restart` and `create_timeout` count then. Anything else of this name is
        for ``__init__``.
    shutdown_timeout : float, optional
        With `group`: how many seconds the actor may take to end when its group stops it, 5 by
        default; then the process of its pool is killed.

    Returns
    -------
    ActorRef
        A LocalActorRef if the actor lives in a pool of this process.

    Raises
    ------
    ActorAlreadyExist
        If the pool, for a name the cluster, has an actor with this uid.
    XoscarError
        For a name while the registry, which says who has it, is away.
    TypeError, ValueError
        For a class that is no actor, a uid or an address that is none. Nothing is sent then.
    Exception
        What ``__init__`` or ``__post_create__`` raises. No actor is left then.
    """
    actor_cls = _plain_class(actor_cls)
    name = _class_name(actor_cls)
    uid = b"" if uid is None else _new_uid(uid)
    address = _own_address() if address is None else _xo.check_address(address)
    options = _take_options(kwargs) if kwargs else None
    what = (actor_cls, args, kwargs or None)
    if options is not None:
        _check_placement(options, uid)
        what = (*what, options)
    if allocate_strategy is not None:
        return await _create_by(allocate_strategy, address, uid, name, what)
    try:
        return await _xo.create(address, uid, name, what)
    except errors.ServerClosed as e:
        return await _xo.create(own_address(e), uid, name, what)


async def _create_by(strategy, address, uid, name, what):
    if not hasattr(strategy, "allocate"):
        raise TypeError(f"allocate_strategy is one of xo.allocate_strategy, not {shown(strategy)}")
    address, uid, give_back = await strategy.allocate(address, uid)
    try:
        return await _xo.create(address, uid, name, what)
    except BaseException:
        if give_back is not None:
            await _in_any_case(give_back())
        raise


async def _in_any_case(coroutine):
    """Awaits it, cancelled or not; that it fails hides no other error."""
    import asyncio

    await asyncio.wait([asyncio.ensure_future(coroutine)])


def _ref_arguments(args, address, uid):
    """(address or None, uid) from the ways to write them."""
    if len(args) == 2 and address is None and uid is None:
        return args
    if len(args) == 1 and isinstance(args[0], ActorRef) and address is None and uid is None:
        return args[0].address, args[0].uid
    if len(args) == 1 and uid is None:
        return address, args[0]
    if len(args) == 1 and address is None:
        return args[0], uid
    if not args and uid is not None:
        return address, uid
    raise TypeError("actor_ref(address, uid), actor_ref(uid, address=...) or actor_ref(ref)")


async def actor_ref(
    *args: Any, address: str | None = None, uid: str | bytes | None = None
) -> ActorRef[Any]:
    """Find an actor that exists.

    Written ``actor_ref(address, uid)``, ``actor_ref(uid, address=...)``, ``actor_ref(uid=...,
    address=...)``, ``actor_ref(ref)``, or ``actor_ref(uid)`` for a uid that is unique in the
    cluster.

    Parameters
    ----------
    *args
        As above.
    address : str, optional
        "host:port" of any pool of the actor's node. By default the registry is asked.
    uid : str or bytes
        The actor's.

    Returns
    -------
    ActorRef
        A LocalActorRef if the actor lives in a pool of this process. One with the placement "any"
        whose node has died, or that waits for another one, is waited for, as its calls wait.

    Raises
    ------
    ActorNotExist
        If there is none.
    ValueError
        For a uid that is no str or bytes of 1 to 255 bytes, an address that is none.
    XoscarError
        If the uid alone names several actors; the text says where they are. If the node's broker
        has not answered for 3 s.
    """
    address, uid = _ref_arguments(args, address, uid)
    uid = _uid_bytes(uid)
    if address is None:
        return await find(uid)
    address = _xo.check_address(address)
    try:
        return await _xo.ref(address, uid)
    except errors.ServerClosed as e:
        return await _xo.ref(own_address(e), uid)


def _check_ref(ref):
    if not isinstance(ref, ActorRef):
        raise TypeError(f"an ActorRef is needed, not {shown(ref)}")


def create_actor_ref(
    *args: Any, address: str | None = None, uid: str | bytes | None = None
) -> ActorRef[Any]:
    """Make a reference without asking whether the actor exists.

    Parameters
    ----------
    *args
        As those of ``actor_ref``.
    address : str
        "host:port" of the actor's pool.
    uid : str or bytes
        The actor's.

    Returns
    -------
    ActorRef

    Raises
    ------
    ValueError
        For a uid or an address that is none, or without an address.
    """
    address, uid = _ref_arguments(args, address, uid)
    if address is None:
        raise ValueError("a reference needs an address: create_actor_ref(address, uid)")
    return _localize(ActorRef(address, _uid_bytes(uid)))


async def has_actor(ref: ActorRef[Any]) -> bool:
    """Ask whether an actor exists. One that is on its way to another node does: it is waited for.

    Parameters
    ----------
    ref : ActorRef

    Returns
    -------
    bool

    Raises
    ------
    ServerClosed
        If its pool cannot be reached.
    """
    _check_ref(ref)
    if not ref.uid.startswith(NAME):
        return await _xo.has(ref.address, ref.uid)
    try:  # what asks for it follows it, as calls do
        await _xo.ref(ref.address, ref.uid)
    except errors.ActorNotExist:
        return False
    return True


async def destroy_actor(ref: ActorRef[Any]) -> None:
    """Run an actor's ``__pre_destroy__`` and end it. One that moves to another node is waited for.

    Parameters
    ----------
    ref : ActorRef

    Raises
    ------
    ActorNotExist
        If there is none.
    Exception
        What ``__pre_destroy__`` raises.
    """
    _check_ref(ref)
    return await _xo.destroy(ref.address, ref.uid)


async def wait_for(awaitable: Awaitable[_R], timeout: float | None = None) -> _R:
    """Wait for a result for a limited time.

    It comes back at the timeout even if the one that has to answer hangs; what was called is
    cancelled then.

    Parameters
    ----------
    awaitable : awaitable
        A call, a coroutine or a future.
    timeout : float, optional
        Seconds; no limit by default.

    Returns
    -------
    object
        What the awaitable gives.

    Raises
    ------
    asyncio.TimeoutError
        If there was no result in time.
    """
    import asyncio

    future = asyncio.ensure_future(awaitable)
    await until_done(future, timeout)
    if not future.done():
        abandon(future)
        raise asyncio.TimeoutError
    return future.result()


async def until_done(future, timeout):
    """Waits until the future is done, or for `timeout` seconds."""
    import asyncio

    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(*_):
        if not waiter.done():
            waiter.set_result(None)

    timer = None if timeout is None else loop.call_later(timeout, wake)
    future.add_done_callback(wake)
    try:
        await _until_woken(future, waiter)
    finally:
        if timer is not None:
            timer.cancel()
        future.remove_done_callback(wake)


async def _until_woken(future, waiter):
    """Cancelling who waits cancels what is waited for, whose outcome then counts."""
    import asyncio

    while not waiter.done():
        try:
            await asyncio.shield(waiter)
        except asyncio.CancelledError:
            if waiter.done() or not future.cancel():
                raise


async def get_pool_config(address: str) -> ActorPoolConfig:
    """Ask which pools a node has.

    Parameters
    ----------
    address : str
        "host:port" of any of its pools.

    Returns
    -------
    ActorPoolConfig

    Raises
    ------
    ServerClosed
        If there is no pool at the address.
    """
    from .backends.config import read_config

    return await read_config(address)


__all__ = [
    "Actor",
    "ActorRef",
    "ActorRefType",
    "IteratorWrapper",
    "LocalActorRef",
    "StatelessActor",
    "actor_ref",
    "buffer_ref",
    "copy_to",
    "create_actor",
    "create_actor_pool",
    "create_actor_ref",
    "create_group",
    "destroy_actor",
    "file_object_ref",
    "generator",
    "get_pool_config",
    "has_actor",
    "kill_actor",
    "link",
    "list_actors",
    "list_nodes",
    "list_pools",
    "monitor",
    "no_lock",
    "setup_cluster",
    "unlink",
    "wait_actor_pool_recovered",
    "wait_for",
]
