"""Processes that programs and actors start: what forks is the user's, and is left alone."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import textwrap
import warnings

import pytest

import xoscar as xo
from actors import DEADLINE_S, Echo, make


def fork():
    with warnings.catch_warnings():  # of threads, from Python 3.12 on
        warnings.simplefilter("ignore")
        return os.fork()


def work(connection):
    connection.send(sum(range(10)))
    connection.close()


def wait_forever(connection):
    connection.send("ready")
    connection.recv()


def call_back(connection, ref):
    connection.send(asyncio.run(echo(ref)))


async def echo(ref):
    return await ref.echo("from the child")


class Starter(xo.Actor):
    """Its methods give the exit codes of children."""

    def fork_and(self, what):
        pid = fork()
        if pid == 0:
            sys.stderr = open(os.devnull, "w")
            if what == "_exit":
                os._exit(5)
            if what == "exit":
                sys.exit(6)
            if what == "raise":
                raise ValueError("in the child")
            return "from the child"
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    async def fork_later_and(self, what):
        await asyncio.sleep(0)
        return self.fork_and(what)

    def start(self, method, target, *args):
        ours, theirs = multiprocessing.get_context(method).Pipe()
        process = multiprocessing.get_context(method).Process(target=target, args=(theirs, *args))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            process.start()
        theirs.close()
        return process, ours

    def work(self, method):
        process, connection = self.start(method, work)
        result = connection.recv()
        process.join()
        connection.close()
        return result, process.exitcode

    def terminate(self, method):
        process, connection = self.start(method, wait_forever)
        connection.recv()
        process.terminate()
        process.join()
        connection.close()
        return process.exitcode

    @xo.no_lock
    async def call_back(self):
        process, connection = self.start("fork", call_back, self.ref())
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(None, connection.recv)
        await loop.run_in_executor(None, process.join)
        connection.close()
        return result, process.exitcode

    def run(self):
        return subprocess.run([sys.executable, "-c", "print(5)"], stdout=subprocess.PIPE).stdout

    async def run_async(self):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print(6)", stdout=subprocess.PIPE
        )
        return (await process.communicate())[0]

    def echo(self, value):
        return value


@pytest.fixture(scope="module")
def starter(node):
    run, addresses = node
    ref = run(make(Starter, addresses[1]))

    def call(name, *args):
        result = run(asyncio.wait_for(getattr(ref, name)(*args), DEADLINE_S))
        assert run(ref.echo("still there")) == "still there"
        return result

    return call


def test_forks_in_methods(starter):
    for way in ("fork_and", "fork_later_and"):
        assert starter(way, "_exit") == 5
        assert starter(way, "exit") == 6
        assert starter(way, "raise") == 1
        assert starter(way, "return") == 1


def test_multiprocessing_in_methods(starter):
    for method in ("fork", "spawn", "forkserver"):
        assert starter("work", method) == (45, 0)


def test_ending_a_child_does_not_end_the_pool(starter):
    assert starter("terminate", "fork") == -15


def test_a_child_that_calls_its_parent(starter):
    assert starter("call_back") == ("from the child", 0)


def test_subprocesses_in_methods(starter):
    assert starter("run") == b"5\n"
    assert starter("run_async") == b"6\n"


# ---- the program ----

PROGRAM = """
    import asyncio, os, sys, warnings
    import xoscar as xo
    from actors import Echo

    async def call(ref):
        return await ref.echo(8)

    def child(how, ref):
        if how == "exit":
            sys.exit(7)
        if how == "_exit":
            os._exit(7)
        if how == "raise":
            raise LookupError("of the child")
        if how == "run":
            sys.exit(asyncio.run(call(ref)))

    async def main(how):
        async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
            config = await xo.get_pool_config(pool.external_address)
            ref = await xo.create_actor(Echo, address=config.get_external_address(1))
            under_way = asyncio.ensure_future(call(ref))
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
            if pid == 0:
                child(how, ref)
                await ref.echo("no loop of mine")
            loop = asyncio.get_running_loop()
            _, status = await loop.run_in_executor(None, os.waitpid, pid, 0)
            print(os.waitstatus_to_exitcode(status), await ref.echo("there"), await under_way)
            assert pool.sub_processes[ref.address].is_alive()

    asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "how, status, words",
    [
        ("_exit", 7, ""),
        ("exit", 7, ""),
        ("raise", 1, "of the child"),
        ("run", 8, ""),
        ("go on", 1, "no running event loop"),
    ],
)
def test_forks_of_the_program(tmp_path, how, status, words):
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), how],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout == f"{status} there 8\n", done.stderr
    assert done.returncode == 0
    if words:
        assert words in done.stderr
    else:
        assert done.stderr == ""
