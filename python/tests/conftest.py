"""What all tests share: a run directory of their own, coroutines as tests, a node to use.

Tests wait for events. DEADLINE_S only ends a run that hangs. XO_TEST_LOOP=uvloop runs them
on uvloop's event loops.
"""

import asyncio
import functools
import inspect
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings

import pytest

from actors import node_files

DEADLINE_S = 60


def use_uvloop():
    """Has asyncio.run and asyncio.new_event_loop make loops of uvloop's."""
    import uvloop

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # policies end with Python 3.16
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


if os.environ.get("XO_TEST_LOOP") == "uvloop":
    use_uvloop()


@pytest.fixture
def redis(tmp_path, monkeypatch):
    """A redis-server that nodes share; its process."""
    socket = tmp_path / "r.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL) as server:
        monkeypatch.setenv("XO_REGISTRY", f"unix://{socket}")
        yield server
        server.send_signal(signal.SIGCONT)
        server.terminate()


@pytest.fixture(scope="module")
def node():
    """(run, addresses) of a node whose loop is a thread's, as in a program that is asynchronous
    only in part: run(coroutine) gives its result."""
    import xoscar as xo

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)  # also if a pool fails
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(DEADLINE_S)

    pool = run(xo.create_actor_pool("127.0.0.1", n_process=2))
    config = run(xo.get_pool_config(pool.external_address))
    yield run, config.get_external_addresses()
    run(pool.stop())
    run(loop.shutdown_asyncgens())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


_places = tempfile.mkdtemp(prefix="xo-py-")
os.environ["XO_RUN_DIR"] = os.path.join(_places, "run")
os.environ["XO_CONFIG_DIR"] = os.path.join(_places, "config")
for _path in (os.environ["XO_RUN_DIR"], os.environ["XO_CONFIG_DIR"]):
    os.mkdir(_path, 0o700)
for _name in ("XO_CLUSTER", "XO_NODE", "XO_REGISTRY"):
    os.environ.pop(_name, None)


def run(coroutine, deadline=DEADLINE_S):
    """asyncio.run, which gives up after the deadline."""

    async def bounded():
        return await asyncio.wait_for(coroutine, deadline)

    return asyncio.run(bounded())


def coroutine_test(function):
    """A test that is a coroutine function."""

    @functools.wraps(function)
    def test(*args, **kwargs):
        return run(function(*args, **kwargs))

    return test


def pytest_pycollect_makeitem(collector, name, obj):
    """Coroutine functions are tests, too."""
    if name.startswith("test") and inspect.iscoroutinefunction(obj):
        setattr(collector.obj, name, coroutine_test(obj))
    return None


@pytest.fixture(scope="session", autouse=True)
def places():
    yield
    left = node_files()
    shutil.rmtree(_places, ignore_errors=True)
    assert left == [], "left in the run directory"


sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
