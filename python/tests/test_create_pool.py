"""create_actor_pool: each argument, checked before anything starts, and what it does."""

import asyncio
import errno
import os
import pathlib
import signal
import socket
import sys

import pytest

import xoscar as xo
from actors import Echo, children, node_files
from xoscar.backends.pool import MainActorPoolType

INI = """
[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=f
[logger_root]
level=ERROR
handlers=h
[handler_h]
class=StreamHandler
formatter=f
args=(sys.stderr,)
[formatter_f]
format=INI %(message)s
"""

DICT = {
    "version": 1,
    "formatters": {"f": {"format": "DICT %(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
    "root": {"level": "CRITICAL", "handlers": ["h"]},
}


class Inside(xo.Actor):
    """Says what its process is like."""

    def env(self, name):
        return os.environ.get(name)

    def cwd(self):
        return os.getcwd()

    def module(self, name):
        return name in sys.modules

    def loop(self):
        return type(asyncio.get_running_loop()).__module__.partition(".")[0]

    def python(self):
        return sys.executable, sys.warnoptions, sys._xoptions, sys.path

    def logging(self):
        import logging

        root = logging.getLogger()
        return root.level, [h.formatter._fmt for h in root.handlers if h.formatter]

    def interrupt(self):
        os.kill(os.getpid(), signal.SIGINT)
        return os.getpid()


async def inside(pool, index=1):
    config = await xo.get_pool_config(pool.external_address)
    return await xo.create_actor(Inside, address=config.get_external_address(index))


async def refused(error, match, *args, **options):
    """Creating raises this, and nothing has started or is left."""
    before = children()
    with pytest.raises(error, match=match) as caught:
        await xo.create_actor_pool(*args, **options)
    assert children() == before and node_files() == []
    return caught.value


# ---- what is refused ----


@pytest.mark.parametrize(
    "error,match,options",
    [
        (ValueError, "labels needs 2", {"labels": ["a"]}),
        (ValueError, "labels needs 2", {"labels": []}),
        (TypeError, "labels is a list", {"labels": "ab"}),
        (TypeError, "labels holds strings", {"labels": ["a", 1]}),
        (ValueError, "longer than 63", {"labels": ["a", "b" * 64]}),
        (ValueError, "envs needs 1", {"envs": [{}, {}]}),
        (TypeError, "envs is a list", {"envs": {"A": "1"}}),
        (TypeError, "envs holds dicts", {"envs": ["A=1"]}),
        (ValueError, "A=B", {"envs": [{"A=B": "1"}]}),
        (ValueError, "ports needs 2", {"ports": [1]}),
        (ValueError, "ports needs 2", {"ports": [1, 2, 3]}),
        (ValueError, "65536", {"ports": [0, 65536]}),
        (TypeError, "ports holds numbers", {"ports": [0, "80"]}),
        (ValueError, "4444 is given to more", {"ports": [4444, 4444]}),
        (ValueError, "n_process is 0 or more", {"n_process": -1}),
        (TypeError, "n_process is a number", {"n_process": "2"}),
        (TypeError, "n_process is a number", {"n_process": 1.5}),
        (ValueError, "auto_recover is", {"auto_recover": "sometimes"}),
        (ValueError, "external_address_schemes needs 2", {"external_address_schemes": [None]}),
        (TypeError, "external_address_schemes holds", {"external_address_schemes": [None, 1]}),
        (ValueError, "enable_internal_addresses needs", {"enable_internal_addresses": [True]}),
        (TypeError, "enable_internal_addresses holds", {"enable_internal_addresses": [1, "x"]}),
        (TypeError, "modules is a list", {"modules": "colorsys"}),
        (TypeError, "modules holds", {"modules": [sys]}),
        (TypeError, "suspend_sigint", {"suspend_sigint": "yes"}),
        (ValueError, "use_uvloop is", {"use_uvloop": "always"}),
        (TypeError, "logging_conf is a dict or", {"logging_conf": 7}),
        (ValueError, "no use for leven", {"logging_conf": {"leven": "INFO"}}),
        (ValueError, "no level 'LOUD'", {"logging_conf": {"level": "LOUD"}}),
        (FileNotFoundError, "/no/such/file", {"logging_conf": {"file": "/no/such/file"}}),
        (FileNotFoundError, "/no/such/file", {"logging_conf": "/no/such/file"}),
        (TypeError, "plain values", {"logging_conf": {"version": 1, "handlers": {"h": object()}}}),
        (TypeError, "proxy_conf maps addresses", {"proxy_conf": ["a"]}),
        (ValueError, "is no address", {"proxy_conf": {"a:1": "b:port"}}),
        (TypeError, "on_process_down is a function", {"on_process_down": 1}),
        (TypeError, "on_process_recover is a function", {"on_process_recover": "f"}),
        (TypeError, "extra_conf is a dict", {"extra_conf": True}),
    ],
    ids=str,
)
async def test_bad_arguments_start_nothing(monkeypatch, error, match, options):
    from xoscar import _node

    monkeypatch.setattr(_node, "_spawn", None)  # a start would fail otherwise
    await refused(error, match, "127.0.0.1", **{"n_process": 1, **options})


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:", "", ":80", "[::1", "1.2.3", "a b", "::1::2"],
)
async def test_an_address_that_does_not_parse(address):
    await refused(ValueError, "is no address", address, n_process=0)


async def test_an_address_that_is_no_text():
    await refused(TypeError, "an address is a str", None, n_process=0)
    await refused(TypeError, "an address is a str", 80, n_process=0)


async def test_ports_count_with_a_port_in_the_address():
    await refused(ValueError, "ports needs 1", "127.0.0.1:0", n_process=1, ports=[0, 0])


def test_n_process_none_is_the_number_of_cpus(monkeypatch):
    from xoscar.backends._plan import Plan

    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert Plan("127.0.0.1", None, None, None, None).count == 3


@pytest.fixture
def taken():
    """A port that somebody else listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


async def test_the_main_pool_s_port_is_in_use(taken):
    error = await refused(OSError, str(taken), f"127.0.0.1:{taken}", n_process=1)
    assert error.errno == errno.EADDRINUSE


async def test_a_sub_pool_s_port_is_in_use(taken):
    error = await refused(OSError, str(taken), "127.0.0.1", n_process=2, ports=[0, 0, taken])
    assert error.errno == errno.EADDRINUSE


async def test_a_module_that_is_not_there():
    error = await refused(
        ImportError, "no_such_module_anywhere", "127.0.0.1", n_process=1,
        modules=["colorsys", "no_such_module_anywhere"],
    )
    assert error.name == "no_such_module_anywhere"
    assert "Traceback" in str(error.__cause__) and "ModuleNotFoundError" in str(error.__cause__)


@pytest.mark.parametrize(
    "text,what", [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(3)", "SystemExit: 3")]
)
async def test_a_module_that_fails(tmp_path, monkeypatch, text, what):
    (tmp_path / "fails_at_import.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    error = await refused(
        ImportError, f"fails_at_import.*{what}", "127.0.0.1", n_process=1,
        modules=["fails_at_import"],
    )
    assert "fails_at_import.py" in str(error.__cause__)


async def test_uvloop_that_is_not_installed(tmp_path):
    (tmp_path / "uvloop.py").write_text("raise ImportError('it is not here')")
    envs = [{"PYTHONPATH": str(tmp_path)}]
    await refused(ImportError, "uvloop", "127.0.0.1", n_process=1, envs=envs, use_uvloop=True)


async def test_what_is_unused_is_named_to_who_wrote_it():
    for unused, named in (
        ({"colour": 1, "shape": 2}, "colour, shape"),
        ({"extra_conf": {"speed": 1}}, "extra_conf.*speed"),
        ({"proxy_conf": {"10.0.0.1:1": "10.0.0.2:2"}}, "proxy_conf"),
    ):
        with pytest.warns(UserWarning, match=named) as warned:
            pool = await xo.create_actor_pool("127.0.0.1", n_process=0, **unused)
        await pool.stop()
        assert [w.filename for w in warned] == [__file__]


# ---- what the arguments do ----


@pytest.mark.filterwarnings("error")
async def test_arguments_that_change_nothing_are_accepted():
    pool = await xo.create_actor_pool(
        "127.0.0.1",
        n_process=1,
        external_address_schemes=[None, "ucx"],
        enable_internal_addresses=[True, False],
        proxy_conf={},
        extra_conf={},
        subprocess_start_method="spawn",
    )
    async with pool:
        assert await (await inside(pool)).module("sys")
    assert isinstance(pool, MainActorPoolType)


async def test_ports_are_the_pools_in_their_order():
    with socket.socket() as one, socket.socket() as two:
        for s in (one, two):
            s.bind(("127.0.0.1", 0))
        ports = [s.getsockname()[1] for s in (one, two)]
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, ports=ports)
    async with pool:
        config = await xo.get_pool_config(pool.external_address)
        assert config.get_external_addresses() == [f"127.0.0.1:{p}" for p in ports]


async def test_labels_are_none_or_up_to_63_bytes():
    labels = [None, "x" * 63]
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, labels=labels, envs=[None])
    async with pool:
        config = await xo.get_pool_config(pool.external_address)
        assert [config.get_pool_config(i)["label"] for i in (0, 1)] == labels


@pytest.mark.parametrize(
    "inherited,mask,seen",
    [
        ("4,6", "1", "6"), ("4,6", "1,0", "6,4"), ("4,6", "-1", "-1"), ("4,6", "", ""),
        ("4,6", "GPU-a", "GPU-a"), (None, "1", "1"), ("", "1", "1"),
    ],
)
def test_gpu_masks_are_composed(monkeypatch, inherited, mask, seen):
    from xoscar.backends._plan import compose_env

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if inherited is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert compose_env({"CUDA_VISIBLE_DEVICES": mask}) == {"CUDA_VISIBLE_DEVICES": seen}


async def test_a_gpu_that_is_not_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    await refused(
        ValueError, "GPU 2", "127.0.0.1", n_process=1, envs=[{"CUDA_VISIBLE_DEVICES": "2"}]
    )


@pytest.mark.parametrize(
    "conf,level,formats",
    [
        (DICT, 50, ["DICT %(message)s"]),
        ({"dict": DICT}, 50, ["DICT %(message)s"]),
        ("INI", 40, ["INI %(message)s"]),
        ({"file": "INI"}, 40, ["INI %(message)s"]),
        ({"level": "DEBUG", "format": "F %(message)s"}, 10, ["F %(message)s"]),
        ({"level": 20}, 20, ["%(levelname)s:%(name)s:%(message)s"]),
        ({}, 30, []),
        (None, 30, []),
    ],
    ids=["dict", "in-dict", "path", "file", "level+format", "level", "empty", "none"],
)
async def test_logging(tmp_path, conf, level, formats):
    path = tmp_path / "log.ini"
    path.write_text(INI)
    if conf == "INI":
        conf = str(path)
    elif conf == {"file": "INI"}:
        conf = {"file": path}
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, logging_conf=conf) as pool:
        assert await (await inside(pool)).logging() == (level, formats)


@pytest.mark.parametrize("choice", [True, False, "auto", None])
async def test_event_loops(choice):
    pytest.importorskip("uvloop")
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, use_uvloop=choice) as pool:
        ref = await inside(pool)
        assert await ref.loop() == ("asyncio" if choice is False else "uvloop")
        assert await ref.module("uvloop") == (choice is not False)


async def test_sub_pools_ignore_sigint_if_asked():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, suspend_sigint=True) as pool:
        ref = await inside(pool)
        pid = await ref.interrupt()
        assert pid == await ref.interrupt() == list(pool.sub_processes.values())[0].pid


async def test_the_working_directory_and_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        assert await (await inside(pool)).cwd() == os.path.realpath(tmp_path)
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
        monkeypatch.syspath_prepend(str(tmp_path / "more"))
        await pool.append_sub_pool()
        ref = await inside(pool, 2)
        assert await ref.cwd() == os.path.realpath(tmp_path / "below")
        assert (await ref.python())[3][0] == str(tmp_path / "more")


def test_the_interpreter_s_options_are_the_sub_pools_too(tmp_path):
    from test_pools import run_script

    text = """
        import asyncio, sys
        import xoscar as xo

        class Inside(xo.Actor):
            def look(self):
                return sys.warnoptions, sys._xoptions, sys.flags.optimize, sys.flags.dev_mode

            def wrong(self):
                assert False

        async def main():
            async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
                ref = await xo.create_actor(Inside, address=list(pool.sub_processes)[0])
                print(await ref.look())

        asyncio.run(main())
    """
    flags = ["-X", "dev", "-X", "xoscar_test=1", "-W", "ignore::UserWarning", "-O"]
    done = run_script(tmp_path, text, flags=flags)
    assert done.returncode == 0, done.stderr
    warnings, xoptions, optimize, dev_mode = eval(done.stdout)
    assert "ignore::UserWarning" in warnings and optimize == 1 and dev_mode
    assert xoptions["dev"] is True
    assert pathlib.Path(sys.executable).exists()
