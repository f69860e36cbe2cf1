"""The actors that several tests use; a module that sub pools import. And what uses them."""

import asyncio
import ctypes
import functools
import os
import threading

import xoscar as xo

DEADLINE_S = 60  # ends a test that hangs


class Echo(xo.Actor):
    """Gives back what it gets."""

    def __init__(self, tag=None):
        self.tag = tag
        self.seen = []

    def echo(self, value=None):
        return value

    async def aecho(self, value=None):
        return value

    def note(self, value):
        self.seen.append(value)

    def noted(self):
        return self.seen

    def arguments(self, *args, **kwargs):
        return args, kwargs

    def pid(self):
        return os.getpid()

    def tagged(self):
        return self.tag

    def me(self):
        return self.ref()

    def identity(self):
        return self.uid, self.address


class Stuck(Echo):
    """Runs without awaiting until a file is gone."""

    def spin(self, path):
        while os.path.exists(path):
            pass
        return os.getpid()

    async def spin_later(self, path):
        await asyncio.sleep(0)
        return self.spin(path)

    def spin_outside(self, path):
        """Not in a method, but in what the loop does when it has slept."""
        asyncio.get_running_loop().call_later(0.01, self.spin, path)

    def keep_gil_later(self, path):
        """A thread has it while somebody has this pipe open for writing, but does not write."""

        def keep():
            with open(path, "rb") as file:
                ctypes.PyDLL(None).read(file.fileno(), ctypes.create_string_buffer(1), 1)

        threading.Thread(target=keep).start()


class Gate(xo.Actor):
    """Holds callers until somebody opens it; methods that wait say so in `events`."""

    def __init__(self):
        self.event = asyncio.Event()
        self.events = []

    async def hold(self, name):
        self.events.append(f"{name} in")
        try:
            await self.event.wait()
        except asyncio.CancelledError:
            self.events.append(f"{name} cancelled")
            raise
        self.events.append(f"{name} out")
        return name

    @xo.no_lock
    async def hold_lockless(self, name):
        return await self.hold(name)

    @xo.no_lock
    def open(self):
        self.event.set()

    @xo.no_lock
    def close(self):
        self.event.clear()

    @xo.no_lock
    def log(self):
        return list(self.events)

    async def stubborn(self):
        """Does not let itself be cancelled."""
        self.events.append("stubborn in")
        try:
            await self.event.wait()
        except asyncio.CancelledError:
            return "finished all the same"

    async def gives_way(self, name):
        self.events.append(f"{name} in")
        await_it = self.event.wait()
        got = yield await_it
        self.events.append(f"{name} out")
        raise xo.Return((name, got))


async def until(call, wanted):
    """Calls until the answer is as wanted: waits for an event in another process."""
    while True:
        answer = await call()
        if wanted(answer):
            return answer


async def runs_out(gate, call, *cancelled):
    """Awaits call(seconds), which has a time limit, until its method began before that was over; it
    then says `cancelled`."""
    seconds, before = 0.01, await gate.log()
    while await gate.log() == before:
        try:
            await call(seconds)
        except asyncio.TimeoutError:
            seconds *= 2
        else:
            raise AssertionError("it came back in time")
    await until(gate.log, lambda log: log[len(before) :] == list(cancelled))


async def make(cls, address, *args):
    return await xo.create_actor(cls, *args, address=address)


def children():
    """Process ids of this process's children."""
    pid = os.getpid()
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return set(file.read().split())


def node_files():
    """The files that nodes have left in the run directory, which the last to leave removes."""
    return [
        os.path.join(directory, name)
        for directory, _, names in os.walk(os.environ["XO_RUN_DIR"])
        for name in names
    ]


def in_each_pool(test):
    """The test for an actor in the main pool and for one in a sub pool. It runs in the node's loop,
    where the main pool is local."""
    import pytest

    @pytest.mark.parametrize("index", [0, 1])
    def wrapped(node, index):
        run, addresses = node
        run(asyncio.wait_for(test(addresses[index]), DEADLINE_S))

    wrapped.__name__ = test.__name__
    wrapped.__doc__ = test.__doc__
    return wrapped


def on_node(test=None, **options):
    """The test gets the addresses of a main pool and of two sub pools, and a folder."""

    def decorate(test):
        @functools.wraps(test)
        def wrapped(tmp_path):
            async def run():
                pool = await xo.create_actor_pool("127.0.0.1", n_process=2, **options)
                async with pool:
                    await test(pool.external_address, *pool.sub_processes, tmp_path)

            asyncio.run(asyncio.wait_for(run(), DEADLINE_S))

        del wrapped.__wrapped__
        return wrapped

    return decorate(test) if test else decorate
