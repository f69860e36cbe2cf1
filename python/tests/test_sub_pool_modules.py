"""What sub pools can import: another interpreter's own packages, and what PYTHONPATH names."""

import asyncio
import os
import sys
import sysconfig
import types
import venv

import pytest

import xoscar as xo
from actors import make
from test_pools import Environment


class Imports(xo.Actor):
    def imported(self, name):
        return __import__(name).__file__

    def path(self):
        return os.environ.get("PYTHONPATH"), sys.path

    def prefix(self):
        return sys.prefix

    def loop(self):
        return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def module(folder, name, text=""):
    """A module that is there to be found; its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """(python, site-packages) of an interpreter with packages of its own."""
    prefix = tmp_path_factory.mktemp("venv")
    venv.create(prefix, symlinks=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return str(prefix / "bin" / "python"), prefix / "lib" / version / "site-packages"


async def test_another_interpreter_has_its_own_packages(other, tmp_path, monkeypatch):
    python, packages = other
    only_there = module(packages, "only_there")
    added = module(tmp_path / "added", "added_by_the_program")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "added")])
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        address = await pool.append_sub_pool(start_python=python, modules=["only_there"])
        ref = await make(Imports, address)  # of a module next to this program
        assert await ref.imported("only_there") == only_there
        assert await ref.imported("added_by_the_program") == added
        found, path = await ref.path()
        assert sysconfig.get_path("purelib") not in path and found == os.environ.get("PYTHONPATH")
        assert str(packages) in path and len(set(path)) == len(path)


async def test_an_interpreter_of_its_own_is_asked_for_uvloop(other, tmp_path, monkeypatch):
    python, _ = other
    module(tmp_path, "uvloop", "raise ImportError('not in this one')")
    options = {"start_python": python, "env": {"PYTHONPATH": str(tmp_path)}}
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        ref = await make(Imports, await pool.append_sub_pool(**options))
        assert await ref.loop() == "asyncio"
        with pytest.raises(ImportError, match="use_uvloop=True needs uvloop"):
            await pool.append_sub_pool(**options, use_uvloop=True)


@pytest.mark.parametrize("own_python", [False, True])
async def test_a_pythonpath_of_a_sub_pool_s_own(own_python, other, tmp_path):
    named, folder = module(tmp_path / "one", "named_by_pythonpath"), str(tmp_path / "one")
    value = os.pathsep.join([folder, "/no/such/folder"])
    python = other[0] if own_python else None
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        address = await pool.append_sub_pool(start_python=python, env={"PYTHONPATH": value})
        ref = await make(Imports, address)
        found, path = await ref.path()
        assert found == value and path[:2] == [folder, "/no/such/folder"]
        assert await ref.imported("named_by_pythonpath") == named


async def test_the_pythonpaths_of_envs(tmp_path):
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    files = [module(tmp_path / name, "of_one_pool") for name in ("one", "two")]
    envs = [{"PYTHONPATH": folder} for folder in folders]
    async with await xo.create_actor_pool("127.0.0.1", n_process=2, envs=envs) as pool:
        refs = [await make(Imports, address) for address in sorted_by_index(pool)]
        assert [(await ref.path())[0] for ref in refs] == folders
        assert [await ref.imported("of_one_pool") for ref in refs] == files


def sorted_by_index(pool):
    return sorted(pool.sub_processes, key=lambda address: pool.sub_processes[address].index)


async def test_any_mapping_is_an_environment(monkeypatch):
    monkeypatch.setenv("XO_TEST", "inherited")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, envs=[os.environ]) as pool:
        late = await pool.append_sub_pool(env=types.MappingProxyType({"XO_TEST": "late"}))
        for address, value in zip([*pool.sub_processes][:1] + [late], ["inherited", "late"]):
            ref = await make(Environment, address)
            assert await ref.get("XO_TEST") == value
            assert await ref.get("CUDA_VISIBLE_DEVICES") == "4,6"
            assert set(filter(None, sys.path)) <= set(await ref.path())
