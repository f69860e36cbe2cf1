"""Actors for Python on the xo runtime.

    import asyncio
    import xoscar as xo

    class Counter(xo.Actor):
        def __init__(self):
            self.n = 0

        def add(self, n):
            self.n += n
            return self.n

    async def main():
        async with await xo.create_actor_pool("127.0.0.1", n_process=2) as pool:
            config = await xo.get_pool_config(pool.external_address)
            ref = await xo.create_actor(Counter, address=config.get_external_address(1))
            print(await ref.add(3))

    asyncio.run(main())
"""
from . import errors
from ._group import Group
from ._restart import RestartPolicy
from .api import (
    actor_ref,
    buffer_ref,
    copy_to,
    create_actor,
    create_actor_pool,
    create_actor_ref,
    create_group,
    destroy_actor,
    file_object_ref,
    generator,
    get_pool_config,
    has_actor,
    kill_actor,
    link,
    list_actors,
    list_nodes,
    list_pools,
    monitor,
    setup_cluster,
    unlink,
    wait_actor_pool_recovered,
    wait_for,
)
from .backends import allocate_strategy
from .batch import extensible
from .core import (
    TYPE_CHECKING,
    Actor,
    ActorRef,
    ActorRefType,
    LocalActorRef,
    StatelessActor,
    lane_totals,
    lent_bytes,
    no_lock,
)
from .debug import DebugOptions, get_debug_options, set_debug_options
from .errors import (
    ActorAlreadyExist,
    ActorNotExist,
    PickleRefused,
    Return,
    SendMessageFailed,
    ServerClosed,
)

__version__ = "0.1.0"  # as in configure.ac and pyproject.toml

# Found when they are first asked for: importing the package stays cheap.
if TYPE_CHECKING:
    from . import aio as aio
    from . import context as context
    from . import metrics as metrics
    from . import serialization as serialization
    from . import utils as utils
    from ._monitor import Monitor
    from ._records import ActorRecord, NodeRecord, PoolRecord
    from .backends.pool import MainActorPoolType
else:
    _MODULES = ("aio", "context", "metrics", "serialization", "utils")
    _PLACES = {
        "ActorRecord": "_records",
        "MainActorPoolType": "backends.pool",
        "Monitor": "_monitor",
        "NodeRecord": "_records",
        "PoolRecord": "_records",
    }

    def __getattr__(name):
        import importlib

        if name in _MODULES:
            return importlib.import_module("." + name, __name__)
        if name in _PLACES:
            return getattr(importlib.import_module("." + _PLACES[name], __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *_MODULES, *_PLACES})


__all__ = [
    "Actor",
    "ActorAlreadyExist",
    "ActorNotExist",
    "ActorRecord",
    "ActorRef",
    "ActorRefType",
    "DebugOptions",
    "Group",
    "LocalActorRef",
    "MainActorPoolType",
    "Monitor",
    "NodeRecord",
    "PickleRefused",
    "PoolRecord",
    "RestartPolicy",
    "Return",
    "SendMessageFailed",
    "ServerClosed",
    "StatelessActor",
    "actor_ref",
    "allocate_strategy",
    "buffer_ref",
    "copy_to",
    "create_actor",
    "create_actor_pool",
    "create_actor_ref",
    "create_group",
    "destroy_actor",
    "errors",
    "extensible",
    "file_object_ref",
    "generator",
    "get_debug_options",
    "get_pool_config",
    "has_actor",
    "kill_actor",
    "lane_totals",
    "lent_bytes",
    "link",
    "list_actors",
    "list_nodes",
    "list_pools",
    "monitor",
    "no_lock",
    "set_debug_options",
    "setup_cluster",
    "unlink",
    "wait_actor_pool_recovered",
    "wait_for",
]
