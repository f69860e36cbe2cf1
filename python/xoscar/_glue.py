"""What the extension _xo calls for what is rare: one name for each, found when first needed."""
import sys

from ._failure import (
    describe,
    dress_local,
    failure,
    local_error,
    missed,
    no_broker,
)
from ._pickle import dumps, loads, plain_create, portable_create
from ._settle import holds_lock, settle, settle_rest
from ._shown import shown
from .core import Actor, ActorRef, actor_traits, hook

__all__ = [
    "actor_traits",
    "describe",
    "dress_local",
    "dumps",
    "failure",
    "holds_lock",
    "hook",
    "internal",
    "loads",
    "local_error",
    "missed",
    "no_broker",
    "no_post_create",
    "peer_gone",
    "plain_create",
    "portable_create",
    "settle",
    "settle_rest",
]


no_post_create = Actor.__post_create__  # does nothing


# ---- values ----


def int_to_bytes(value):
    """Two's complement, little-endian, as short as it gets."""
    bits = (value if value >= 0 else ~value).bit_length()
    return value.to_bytes(bits // 8 + 1, "little", signed=True)


def int_from_bytes(data):
    return int.from_bytes(data, "little", signed=True)


def full_pairs(pairs):
    """(args, kwargs) pairs with {} where _xo says None."""
    return [(args, kwargs or {}) for args, kwargs in pairs]


def columns(pairs):
    """The pairs as (list of args, list of kwargs), as batch versions take them."""
    return [args for args, _ in pairs], [kwargs or {} for _, kwargs in pairs]


def flatten(args, kwargs):
    """args and kwargs as vectorcall takes them: (values, names)."""
    return args + tuple(kwargs.values()), tuple(kwargs)


def create_request(value, name):
    """(class, args, kwargs) of a create message: a pickle's, or plain ones for the class `name`."""
    if isinstance(value, list) and len(value) == 3:  # the third is the broker's
        value = value[0] if value[1] is None else value[:2]
    if isinstance(value, tuple) and len(value) == 3:
        if isinstance(value[1], tuple) and isinstance(value[2], (dict, type(None))):
            return value
        raise ValueError("malformed value: arguments")
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], list)):
        raise ValueError("malformed value: arguments")
    args, kwargs = value
    return find_class(name), tuple(args), kwargs


def find_class(name):
    """The class "module:Qualified.Name", also written "module.Name"."""
    import importlib

    module, _, path = name.partition(":") if ":" in name else name.rpartition(".")[::1]
    if not module or not path:
        raise ImportError(f"{shown(name)} names no class: write module:Class")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


# ---- the loop ----


async def _guardian(runtime):
    try:
        yield
    finally:
        from ._node import shut_down

        await shut_down(runtime)


def guard(runtime):
    """Notices the end of asyncio's loop: asyncio.run closes the async generators that are open,
    and this one ends the pools that were forgotten, and the connections."""
    from ._node import at_exit

    at_exit()
    generator = _guardian(runtime)
    try:
        generator.asend(None).send(None)
    except StopIteration:
        pass
    runtime.guardian = generator


class _Epoll:
    """The epoll(7) instance of a selector, as it is; but it is the runtime that waits on it."""

    __slots__ = ("epoll", "fileno", "modify", "poll", "register", "unregister")

    def __init__(self, epoll, runtime):
        self.epoll = epoll
        for name in ("fileno", "modify", "register", "unregister"):
            setattr(self, name, getattr(epoll, name))
        runtime.epoll_fd = epoll.fileno()
        self.poll = runtime.poll

    def close(self):
        self.poll = self.epoll.poll  # which says that it is closed
        self.epoll.close()


def watch_sleep(runtime):
    """Has the runtime wait for asyncio's loop, so that it knows when that sleeps. Other loops than
    asyncio's own, uvloop's for one, have nothing by which they could be told to."""
    import select
    import selectors

    selector = getattr(runtime.loop, "_selector", None)
    if not isinstance(selector, getattr(selectors, "EpollSelector", ())):
        return
    epoll = getattr(selector, "_selector", None)  # _fork.py wants it, too
    if isinstance(epoll, _Epoll):
        epoll = epoll.epoll
    if isinstance(epoll, select.epoll):
        selector._selector = _Epoll(epoll, runtime)


def report(loop, what, exception):
    loop.call_exception_handler({"message": what, "exception": exception})


def report_lost(loop, call, exception):
    loop.call_exception_handler(
        {
            "message": "The exception of a call was never retrieved",
            "exception": exception,
            "future": call,
        }
    )


def log(text):
    import logging

    logging.getLogger("xoscar").warning("%s", text)


# ---- references ----

_later = set()  # tasks of tell_delay: asyncio itself keeps none of them alive


def tell_delay(method, args, kwargs):
    import asyncio

    kwargs = dict(kwargs or {})
    delay = kwargs.pop("delay", None)
    if delay is not None and not 0 <= delay < float("inf"):
        raise ValueError(f"a delay is a number of seconds from 0 on, not {delay!r}")

    async def tell():
        if delay:
            await asyncio.sleep(delay)
        return await method.tell(*args, **kwargs)

    task = asyncio.get_running_loop().create_task(tell())
    _later.add(task)
    task.add_done_callback(_later.discard)
    return task


def destroy_actor(ref):
    from .api import destroy_actor

    return destroy_actor(ref)


# ---- methods of the package's own ----


def internal(actor, name, args, sender):
    """Runs the method __xo_... of an actor, sent by the endpoint `sender` (0: this pool): gives a
    coroutine or the result."""
    if name == "__xo_exit":
        address, uid, reason = args
        return actor.__on_exit__(ActorRef(address, uid), reason)
    from ._streams import serve

    return serve(actor, name, args, sender)


def peer_gone(endpoint):
    """An endpoint is gone for good: nobody reads its streams any more."""
    streams = sys.modules.get("xoscar._streams")
    if streams is not None:
        streams.peer_gone(endpoint)
