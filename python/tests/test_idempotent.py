"""Calls marked idempotent, when what they went to dies: sent again to the next incarnation."""

import asyncio
import os
import signal

import pytest

import xoscar as xo
from actors import DEADLINE_S, Echo


class Job(Echo):
    """Writes down each run, and waits for ever while `gate` is not there."""

    def __init__(self, path, gate):
        super().__init__()
        self.path, self.gate = path, gate

    async def run(self, n):
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()} {n}\n")
        if not os.path.exists(self.gate):
            await asyncio.Event().wait()
        return n

    @xo.no_lock
    def ready(self):
        return True


class Runs:
    """What the jobs of a test have written down."""

    def __init__(self, path):
        self.path, self.gate = str(path / "runs"), str(path / "gate")
        open(self.path, "w").close()

    def __call__(self):
        with open(self.path) as file:
            return [tuple(line.split()) for line in file]

    async def count(self, n):
        while len(self()) < n:
            await asyncio.sleep(0.005)

    def open(self):
        open(self.gate, "w").close()


async def start(n_process=1, **options):
    pool = await xo.create_actor_pool("127.0.0.1", n_process=n_process, **options)
    return pool, list(pool.sub_processes)


async def job_at(address, runs):
    return await xo.create_actor(Job, runs.path, runs.gate, uid="job", address=address)


def kill(pool, address):
    pid = pool.sub_processes[address].pid
    os.kill(pid, signal.SIGKILL)
    return str(pid)


def test_running_and_queued_ones_are_sent_again(tmp_path):
    async def use():
        runs = Runs(tmp_path)
        pool, (address,) = await start()
        async with pool:
            job = await job_at(address, runs)
            again = job.run.options(idempotent=True, timeout=DEADLINE_S)
            calls = [again("a"), again("b"), job.run("c"), again("d")]
            await runs.count(1)
            assert await job.ready()  # the others are queued there
            runs.open()
            pid = kill(pool, address)
            with pytest.raises(xo.ServerClosed) as caught:
                await calls[2]
            assert caught.value.executed == "maybe"
            assert [await call for call in (calls[0], calls[1], calls[3])] == ["a", "b", "d"]
            assert [n for p, n in runs() if p == pid] == ["a"]
            assert sorted(n for p, n in runs() if p != pid) == ["a", "b", "d"]

    asyncio.run(asyncio.wait_for(use(), DEADLINE_S))
