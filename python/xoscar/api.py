"""The functions of the package: creating, finding and ending actors and pools."""
import _xo

from . import errors
from .core import Actor, ActorRef, LocalActorRef, StatelessActor, no_lock

_BROKER = b"xo.broker"  # the uid under which every node's broker answers (doc/wire.md)


def _uid_bytes(uid):
    if isinstance(uid, str):
        uid = uid.encode()
    if not isinstance(uid, bytes) or not 1 <= len(uid) <= 255:
        raise ValueError(f"a uid is a str or bytes of 1 to 255 bytes, not {uid!r}")
    return uid


def _own_address():
    pool = _xo.pool()
    if pool is None:
        raise ValueError("this process has no pool: say address=")
    return pool.address


def _localize(ref):
    """As a LocalActorRef, if the actor lives in a pool of this loop."""
    if _xo.pool_at(ref.address) is None:
        return ref
    return LocalActorRef(ref.address, ref.uid)


async def create_actor(
    actor_cls, *args, uid=None, address=None, allocate_strategy=None, **kwargs
):
    """Creates an actor and returns a reference to it.

    actor_cls: a subclass of Actor; or, for an actor in another language, its class's name.
    uid: str or bytes, at most 255 bytes; None: a random one.
    address: of the pool, "host:port"; None: this process's.
    allocate_strategy: of xo.allocate_strategy; chooses among the pools of the node at ``address``.

    ActorAlreadyExist; what ``__init__`` or ``__post_create__`` raises. No actor is left then.
    """
    if address is None:
        address = _own_address()
    if allocate_strategy is not None:
        address = await allocate_strategy.get_allocated_address(address)
    foreign = isinstance(actor_cls, str)
    name = actor_cls if foreign else f"{actor_cls.__module__}:{actor_cls.__qualname__}"
    uid = b"" if uid is None else _uid_bytes(uid)
    what = (actor_cls, args, kwargs or None)
    return _localize(await _xo.create(address, uid, name[:1024], what))


async def _lookup(uid):
    """A reference for a uid alone: the node's broker and the registry know where it lives."""
    pool = _xo.pool()
    where = pool.address if pool is not None else _xo.find_node()
    found = await ActorRef(where, _BROKER).lookup(uid)
    if not found:
        raise errors.ActorNotExist(f"Actor {uid!r} does not exist in the cluster")
    if len(found) > 1:
        addresses = ", ".join(record["address"] for record in found)
        raise errors.XoscarError(f"Actor {uid!r} exists more than once: at {addresses}")
    return found[0]["address"]


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


async def actor_ref(*args, address=None, uid=None):
    """A reference to an actor that exists; ActorNotExist.

    actor_ref(address, uid), actor_ref(uid, address=...), actor_ref(uid=..., address=...),
    actor_ref(ref), or actor_ref(uid) for a uid that is unique in the cluster.
    """
    address, uid = _ref_arguments(args, address, uid)
    uid = _uid_bytes(uid)
    if address is None:
        address = await _lookup(uid)
    return _localize(await _xo.ref(address, uid))


async def has_actor(ref):
    """Does the actor exist?"""
    return await _xo.has(ref.address, ref.uid)


async def destroy_actor(ref):
    """Runs the actor's ``__pre_destroy__`` and ends it. ActorNotExist."""
    return await _xo.destroy(ref.address, ref.uid)


async def wait_for(awaitable, timeout):
    """The result of awaitable; asyncio.TimeoutError after ``timeout`` seconds (None: no limit),
    even if the one that has to answer hangs. What was called is cancelled then."""
    import asyncio

    loop = asyncio.get_running_loop()
    future = asyncio.ensure_future(awaitable)
    waiter = loop.create_future()

    def wake(*_):
        if not waiter.done():
            waiter.set_result(None)

    timer = None if timeout is None else loop.call_later(timeout, wake)
    future.add_done_callback(wake)
    try:
        await _until_done(future, waiter)
    finally:
        if timer is not None:
            timer.cancel()
        future.remove_done_callback(wake)
    if not future.done():
        _abandon(future)
        raise asyncio.TimeoutError
    return future.result()


async def _until_done(future, waiter):
    """Cancelling who waits cancels what is waited for, whose outcome then counts."""
    import asyncio

    while not waiter.done():
        try:
            await asyncio.shield(waiter)
        except asyncio.CancelledError:
            if waiter.done() or not future.cancel():
                raise


def _abandon(future):
    if isinstance(future, _xo.Call):
        future.abandon()
    else:
        future.cancel()


async def get_pool_config(address):
    """The ActorPoolConfig of the node whose pool has this address."""
    from .backends.config import read_config

    return await read_config(address)


async def create_actor_pool(address, n_process=None, **options):
    """Starts a main pool in this process and n_process sub pools; see xoscar.backends.pool."""
    from .backends.pool import create_actor_pool

    return await create_actor_pool(address, n_process, **options)


__all__ = [
    "Actor",
    "ActorRef",
    "LocalActorRef",
    "StatelessActor",
    "actor_ref",
    "create_actor",
    "create_actor_pool",
    "destroy_actor",
    "get_pool_config",
    "has_actor",
    "no_lock",
    "wait_for",
]
