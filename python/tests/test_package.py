"""The package as a whole: what importing it costs, and that what is public is documented."""

import ast
import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys
import textwrap

import pytest

import xoscar as xo
from surface import IMPORTED, everything, modules

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


def test_what_pip_installs_is_the_whole_package():
    tree = pathlib.Path(os.environ.get("XO_SRCDIR", pathlib.Path(__file__).parents[2])) / "python"
    text = (tree / "pyproject.toml").read_text()
    listed = re.search(r"(?m)^packages = \[(.*)\]$", text).group(1)
    there = [path.parent.relative_to(tree) for path in tree.glob("xoscar/**/__init__.py")]
    assert sorted(re.findall(r'"(.*?)"', listed)) == sorted(".".join(p.parts) for p in there)


MADE_BY_FUNCTIONS = {"MainActorPool"}


def parameters(thing):
    """The names of what it is called with. Exceptions and references are as their bases are."""
    if isinstance(thing, property):
        return []
    if inspect.isclass(thing) and (
        not inspect.isfunction(vars(thing).get("__init__")) or thing.__name__ in MADE_BY_FUNCTIONS
    ):
        return []
    names = [p.name for p in inspect.signature(thing).parameters.values()]
    return [name for name in names if name not in ("self", "cls")]


def gives(thing):
    """Does it return something? What is written in C says so in its docstring alone."""
    return inspect.isfunction(thing) and thing.__annotations__.get("return") != "None"


def raises(thing):
    """The names of the exceptions that its own code raises."""
    if not inspect.isfunction(thing):
        return set()
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    found, nodes = set(), list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found.add(ast.unparse(node.exc.func).rpartition(".")[2])
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            nodes.extend(ast.iter_child_nodes(node))
    return found


def section(text, title):
    """A section of a docstring in numpy's style, or an empty one."""
    found = re.search(rf"^{title}\n-{{{len(title)}}}\n((?:.|\n)*?)(?=^\w+\n---|\Z)", text, re.M)
    return found[1] if found else ""


def undocumented(thing):
    """What its docstring lacks."""
    text = inspect.getdoc(thing)
    if not text:
        return "a docstring"
    if inspect.isfunction(thing) and "return" not in thing.__annotations__:
        return "an annotation of what it returns"
    if gives(thing) and not section(text, "Returns"):
        return "a section Returns"
    told = section(text, "Parameters") + section(text, "Attributes")
    missing = [name for name in parameters(thing) if not re.search(rf"\b{name}\b", told)]
    if missing:
        return f"parameters {', '.join(missing)}"
    told = section(text, "Raises")
    missing = sorted(name for name in raises(thing) if name not in told)
    return f"errors {', '.join(missing)}" if missing else None


def test_what_is_public_is_documented():
    lacking = {name: undocumented(thing) for name, thing in everything().items()}
    assert len(lacking) > 120
    assert [f"{name} lacks {what}" for name, what in lacking.items() if what] == []


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_all_names_what_is_there(module):
    assert module.__doc__
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name), name


TOP = (
    "Actor StatelessActor no_lock extensible generator create_actor create_actor_ref actor_ref"
    " has_actor destroy_actor kill_actor create_actor_pool get_pool_config wait_for"
    " wait_actor_pool_recovered buffer_ref file_object_ref copy_to setup_cluster DebugOptions"
    " set_debug_options get_debug_options monitor link unlink list_actors list_pools list_nodes"
    " ActorRef LocalActorRef ActorRefType MainActorPoolType Monitor ActorRecord PoolRecord"
    " NodeRecord allocate_strategy errors ActorNotExist"
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
