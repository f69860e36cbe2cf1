"""What the package has for applications: modules, functions, classes and their methods."""

import importlib
import inspect
import pkgutil

import xoscar as xo
from xoscar.backends._sub_process import SubProcess
from xoscar.metrics import Counter, Gauge, Histogram, Meter

# What applications import (xoscar's modules), name by name.
IMPORTED = {
    "xoscar.aio": "AioFileObject",
    "xoscar.api": "IteratorWrapper Actor StatelessActor",
    "xoscar.backends.allocate_strategy": (
        "AddressSpecified MainPool Random RandomSubPool RandomLabel ProcessIndex IdleLabel"
        " LeastLoaded GPU Node Near"
    ),
    "xoscar.backends.config": "ActorPoolConfig",
    "xoscar.backends.pool": "MainActorPoolType create_actor_pool",
    "xoscar.backends.router": "Router",
    "xoscar.batch": "extensible _ExtensibleWrapper",
    "xoscar.context": "get_context",
    "xoscar.core": "ActorRef LocalActorRef BufferRef FileObjectRef NO_LOCK_ATTRIBUTE_HINT",
    "xoscar.debug": "DebugOptions set_debug_options get_debug_options",
    "xoscar.errors": (
        "ActorNotExist ActorAlreadyExist ServerClosed SendMessageFailed Return XoscarError"
        " NoIdleSlot NoFreeSlot SlotStateError ReconstructWorkerError ActorPoolNotStarted"
        " CannotCancelTask DeadlockError"
    ),
    "xoscar.metrics": "init_metrics Metrics",
    "xoscar.serialization": "serialize deserialize",
    "xoscar.utils": (
        "get_next_port lazy_import is_linux is_windows is_zero_ip is_v6_ip fix_all_zero_ip"
    ),
}


def modules():
    """The package and its public modules."""
    yield xo
    for found in pkgutil.walk_packages(xo.__path__, "xoscar."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            if found.name != "xoscar.pool":  # a program
                yield importlib.import_module(found.name)


def is_ours(thing):
    return (getattr(thing, "__module__", None) or "").partition(".")[0] in ("xoscar", "_xo")


def methods(cls):
    """(name, function or property) of a class's public ones, also of those that it inherits."""
    for name in dir(cls):
        owner = next((c for c in cls.__mro__ if name in vars(c)), object)
        if is_ours(owner) and not name.startswith("_"):
            thing = vars(owner)[name]
            thing = getattr(thing, "__func__", thing)  # of a staticmethod or classmethod
            if inspect.isroutine(thing) or isinstance(thing, property):
                yield f"{owner.__module__}.{owner.__qualname__}.{name}", thing


def public(module, names):
    """(name, object) of the package's functions and classes in it, and of the classes' methods."""
    for name in names:
        thing = getattr(module, name)
        if not name.startswith("_") and (inspect.isroutine(thing) or inspect.isclass(thing)):
            if is_ours(thing):
                yield f"{thing.__module__}.{thing.__qualname__}", thing
                if inspect.isclass(thing):
                    yield from methods(thing)


def everything():
    """What applications can name, and what they get by it."""
    found = {}
    for module in modules():
        where = module.__name__
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == where]
        found.update(public(module, getattr(module, "__all__", own)))
    method = xo.ActorRef("127.0.0.1:1", "uid").method
    extensible = xo.extensible(methods).__get__(method)
    for cls in type(method), type(extensible), SubProcess, Counter, Gauge, Histogram, Meter:
        found.update(methods(cls))
    return found
