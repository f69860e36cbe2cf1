"""The programs of doc/python.md, run as a reader would: each prints what its comments say."""

import inspect
import os
import re
import subprocess
import sys

import pytest

import xoscar as xo
from surface import IMPORTED, everything

ROOT = os.environ.get("XO_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
GUIDE = os.path.join(ROOT, "doc", "python.md")


def guide():
    with open(GUIDE, encoding="utf-8") as file:
        return file.read()


def programs():
    """(name, text) of each fenced block of Python, named after the heading above it."""
    heading, block = "", None
    for line in guide().splitlines():
        if line == "```" and block is not None:
            yield pytest.param("\n".join(block) + "\n", id=heading)
            block = None
        elif block is not None:
            block.append(line)
        elif line == "```python":
            block = []
        elif line.startswith("## "):
            heading = line[3:].replace(" ", "-")


def promised(program):
    """The comments behind calls of print, and those that stand alone after a loop."""
    lines = []
    for line in program.splitlines():
        found = re.match(r" *print\(.*\) +# (.*)$", line) or re.match(r" {8}# (.+)$", line)
        if found:
            lines.append(found[1])
    return lines


@pytest.mark.parametrize("program", list(programs()))
def test_a_program_prints_what_it_promises(program, tmp_path):
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-X", "dev", "-W", "error", "program.py"]
    ran = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == promised(program), ran.stderr


def test_the_guide_names_what_the_package_has():
    names = set(re.findall(r"\bxo\.([A-Za-z_]+)", guide()))
    assert names - set(dir(xo)) == set()


# Methods that the package itself calls, in classes that applications use.
INTERNAL = {"create", "forget", "options", "stop_now"}


def surface():
    """What applications can name."""
    yield from (name.rpartition(".")[2] for name in everything())
    yield from IMPORTED
    for function in xo.create_actor_pool, xo.MainActorPoolType.append_sub_pool:
        yield from inspect.signature(function).parameters
    for cls in xo.DebugOptions, xo.RestartPolicy:
        yield from inspect.signature(cls).parameters
    for names in IMPORTED.values():
        yield from names.split()
    yield from ("block_size", "default_uid", "__on_exit__", "__on_receive__")
    yield from ("__post_create__", "__pre_destroy__")


def test_the_guide_names_all_that_is_public():
    found = re.findall(r"```python\n(.*?)```|`([^`\n]+)`", guide(), re.DOTALL)
    code = "\n".join(block or span for block, span in found)
    needless = INTERNAL | {"self", "unknown", "_ExtensibleWrapper"}
    names = sorted(set(surface()) - needless)
    assert len(names) > 150
    assert [name for name in names if not re.search(rf"(?<!\w){name}(?!\w)", code)] == []


# ---- coming from xoscar ----

# The names in xoscar 0.12.2 itself, which dir() gives there.
THERE = set(
    "Actor ActorAlreadyExist ActorNotExist ActorRef ActorRefType DebugOptions"
    " MainActorPoolType Return SendMessageFailed ServerClosed StatelessActor actor_ref aio"
    " allocate_strategy api backend backends batch buffer_ref constants context copy_to core"
    " create_actor create_actor_pool create_actor_ref debug destroy_actor driver errors"
    " extensible file_object_ref generator get_debug_options get_pool_config has_actor"
    " kill_actor metrics no_lock nvutils profiling serialization set_debug_options"
    " setup_cluster utils wait_actor_pool_recovered wait_for".split()
)
OPTIONS_THERE = set(
    "address auto_recover enable_internal_addresses envs external_address_schemes extra_conf"
    " labels logging_conf modules n_process on_process_down on_process_recover ports"
    " proxy_conf subprocess_start_method suspend_sigint use_uvloop".split()
)


def test_the_page_for_those_who_come_from_xoscar_names_what_differs():
    with open(os.path.join(ROOT, "doc", "coming-from-xoscar.md"), encoding="utf-8") as file:
        text = file.read()
    options = set(inspect.signature(xo.create_actor_pool).parameters) - {"unknown"}
    differs = (set(xo.__all__) ^ THERE) - (THERE & set(dir(xo))) | (options ^ OPTIONS_THERE)
    assert {"lent_bytes", "hang_timeout", "nvutils"} < differs
    assert [name for name in sorted(differs) if not re.search(rf"\b{name}\b", text)] == []
