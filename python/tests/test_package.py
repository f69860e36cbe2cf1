"""The package as a whole: what importing it costs, and that what is public is documented."""

import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import xoscar as xo

HEAVY = {"asyncio", "cloudpickle", "numpy", "pandas", "psutil", "scipy", "typing", "uvloop"}


def test_importing_it_imports_nothing_heavy():
    command = [sys.executable, "-I", "-S", "-X", "importtime", "-c"]
    path = f"import sys; sys.path[:] = {sys.path!r}; import xoscar"
    ran = subprocess.run([*command, path], text=True, capture_output=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "xoscar" in imported
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()


def test_the_version_is_the_same_everywhere():
    tree = pathlib.Path(os.environ.get("XO_SRCDIR", pathlib.Path(__file__).parents[2]))
    for name, pattern in (
        ("configure.ac", r"AC_INIT\(\[xo\], \[([^]]*)\]"),
        ("python/pyproject.toml", r'(?m)^version = "(.*)"$'),
    ):
        assert re.search(pattern, (tree / name).read_text()).group(1) == xo.__version__


MADE_BY_FUNCTIONS = {"MainActorPool"}


def modules():
    """The package and its public modules."""
    yield xo
    for found in pkgutil.walk_packages(xo.__path__, "xoscar."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            if found.name != "xoscar.pool":  # a program
                yield importlib.import_module(found.name)


def public(space, names):
    """(name, object) of the package's functions and classes in it, and of the classes' methods."""
    for name in names:
        thing = getattr(space, name)
        if name.startswith("_") or not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        if (thing.__module__ or "").partition(".")[0] in ("xoscar", "_xo"):
            yield f"{thing.__module__}.{thing.__qualname__}", thing
            if inspect.isclass(thing):
                yield from public(thing, list(vars(thing)))


def everything():
    found = {}
    for module in modules():
        where = module.__name__
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == where]
        found.update(public(module, getattr(module, "__all__", own)))
    return found


def parameters(thing):
    """The names of what it is called with. Exceptions and references are as their bases are."""
    if inspect.isclass(thing) and (
        not inspect.isfunction(vars(thing).get("__init__")) or thing.__name__ in MADE_BY_FUNCTIONS
    ):
        return []
    names = [p.name for p in inspect.signature(thing).parameters.values()]
    return [name for name in names if name not in ("self", "cls")]


def undocumented(thing):
    """What its docstring lacks."""
    text = inspect.getdoc(thing)
    if not text:
        return "a docstring"
    missing = [name for name in parameters(thing) if not re.search(rf"\b{name}\b", text)]
    if missing:
        return f"parameters {', '.join(missing)}"
    if parameters(thing) and not re.search(r"^(Parameters|Attributes)\n-+$", text, re.MULTILINE):
        return "a section Parameters"
    return None


def test_what_is_public_is_documented():
    lacking = {name: undocumented(thing) for name, thing in everything().items()}
    assert [f"{name} lacks {what}" for name, what in lacking.items() if what] == []


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_all_names_what_is_there(module):
    assert module.__doc__
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name), name


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
TOP = (
    "Actor StatelessActor no_lock extensible generator create_actor create_actor_ref actor_ref"
    " has_actor destroy_actor kill_actor create_actor_pool get_pool_config wait_for"
    " wait_actor_pool_recovered buffer_ref file_object_ref copy_to setup_cluster DebugOptions"
    " set_debug_options get_debug_options monitor link list_actors list_pools list_nodes ActorRef"
    " LocalActorRef ActorRefType MainActorPoolType Monitor ActorRecord PoolRecord NodeRecord"
    " allocate_strategy errors ActorNotExist"
    " ActorAlreadyExist ServerClosed SendMessageFailed Return aio context debug metrics"
    " serialization utils"
)


@pytest.mark.parametrize("module", IMPORTED)
def test_applications_find_what_they_import(module):
    found = importlib.import_module(module)
    assert [name for name in IMPORTED[module].split() if not hasattr(found, name)] == []


def test_the_package_has_what_applications_use():
    assert [name for name in TOP.split() if not hasattr(xo, name)] == []
    assert [name for name in TOP.split() if name not in dir(xo)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xo.nothing


def test_a_reference_is_made_without_asking():
    ref = xo.create_actor_ref("127.0.0.1:1", "uid")
    assert (ref.address, ref.uid) == ("127.0.0.1:1", b"uid")
    assert xo.create_actor_ref(uid=b"uid", address="127.0.0.1:1") == ref
    with pytest.raises(ValueError, match="address"):
        xo.create_actor_ref("uid")
    with pytest.raises(ValueError, match="uid"):
        xo.create_actor_ref("127.0.0.1:1", 3)
