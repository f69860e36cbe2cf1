"""What a broker that is killed takes with it: nothing. The process of its node starts another."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap

import pytest

import xoscar as xo
from xoscar import _lookup, _node
from actors import DEADLINE_S, Echo, children, node_files


class Counter(Echo):
    """Has a state, and remembers what it was made of."""

    def __init__(self, made_of):
        super().__init__()
        self.made_of = made_of
        self.count = 0

    def add(self):
        self.count += 1
        return self.count

    def told(self):
        return self.made_of


class Needy(Echo):
    """Can be created as long as there is a file."""

    def __init__(self, path):
        super().__init__()
        os.stat(path)


async def make(n_process=2, **options):
    return await xo.create_actor_pool("127.0.0.1", n_process=n_process, **options)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def kill_broker(pool):
    os.kill(pool._broker.process.pid, signal.SIGKILL)


def broker(pool):
    return xo.ActorRef(pool.external_address, "xo.broker")


async def ask(pool, method, *args):
    """The broker's answer, from whichever broker it is that gives one."""
    while True:
        try:
            return await getattr(broker(pool), method)(*args)
        except xo.ServerClosed:
            await asyncio.sleep(0.01)


async def all_ready(pool):
    """Waits until all pools are. Returns their records."""
    while True:
        records = await ask(pool, "pools")
        if [r["state"] for r in records] == ["ready"] * (len(pool.sub_processes) + 1):
            return records
        await asyncio.sleep(0.01)


async def taken_over(pool, before):
    """Waits until another broker has all pools. Returns their records."""
    await until(lambda: pool._broker.process.pid != before)
    return await all_ready(pool)


async def another_broker(pool):
    await ask(pool, "events", "0", 1)  # when they are read, what was written before is there
    pid = pool._broker.process.pid
    kill_broker(pool)
    await taken_over(pool, pid)


async def comes_back(ref, *errors):
    """Waits until it answers; these errors may come before."""
    while True:
        try:
            return await ref.pid()
        except errors:
            await asyncio.sleep(0.01)


async def dies(ref):
    """Its process is killed, and it comes back."""
    pid = await ref.pid()
    os.kill(pid, signal.SIGKILL)
    while await comes_back(ref, xo.ServerClosed) == pid:
        pass


async def test_all_goes_on():
    async with await make() as pool:
        first, second = pool.sub_processes
        one = await xo.create_actor(Counter, [1], uid="one", address=first)
        two = await xo.create_actor(Counter, [2], uid="two", address=second)
        await xo.create_actor(Counter, [0], uid="ours", address=pool.external_address)
        before = {r["id"]: (r["pid"], r["generation"]) for r in await ask(pool, "pools")}
        pid = pool._broker.process.pid
        assert await one.add() == 1
        kill_broker(pool)
        assert await one.add() == 2 and await two.add() == 1  # whether there is a broker or not
        records = await taken_over(pool, pid)
        assert {r["id"]: (r["pid"], r["generation"]) for r in records} == before
        assert await one.add() == 3
        assert {r["uid"] for r in await ask(pool, "actors")} >= {"one", "two", "ours"}
        assert await (await xo.actor_ref(first, "one")).add() == 4
        three = await xo.create_actor(Counter, [3], uid="three", address=second)
        assert await three.add() == 1
        events = await ask(pool, "events", "0", 1000)
        (event,) = [event for event in events if event["type"] == "broker.restarted"]
        assert event["pid"] == pool._broker.process.pid
        up = [event["uid"] for event in events if event["type"] == "actor.up"]
        assert up.count("one") == up.count("two") == 1  # though pools tell the next broker, too
        assert "2 pools" in event["reason"]
    assert node_files() == []


async def test_actors_come_back_though_another_broker_had_their_specs():
    async with await make(1, auto_recover="actor") as pool:
        ((address, process),) = pool.sub_processes.items()
        uids = [f"c{i}" for i in range(20)]
        refs = [await xo.create_actor(Counter, [uid], uid=uid, address=address) for uid in uids]
        # The last may not be in the registry yet.
        pid = pool._broker.process.pid
        kill_broker(pool)
        await taken_over(pool, pid)
        process.kill()
        await no_more(refs[0])
        await all_ready(pool)
        assert [await ref.told() for ref in refs] == [[uid] for uid in uids]
        events = await ask(pool, "events", "0", 1000)
        assert not [event for event in events if event["type"] == "actor.nospec"]


async def no_more(ref):
    """Calls it until its process is dead."""
    with pytest.raises(xo.ServerClosed):
        while True:
            await ref.add()


@pytest.mark.skipif("shm" not in os.environ.get("XO_LANES", "shm"), reason="needs shared memory")
@pytest.mark.parametrize("dies", [True, False], ids=["killed", "going on"])
async def test_actors_come_back_that_no_broker_had_heard_of(dies):
    """Their creators were answered while it stood still, and then it or their process died."""
    async with await make(1, auto_recover="actor") as pool:
        ((address, process),) = pool.sub_processes.items()
        pid = pool._broker.process.pid
        os.kill(pid, signal.SIGSTOP)
        refs = [await xo.create_actor(Counter, [i], address=address) for i in range(20)]
        if dies:
            kill_broker(pool)
            await taken_over(pool, pid)
        process.kill()
        await no_more(refs[0])
        if not dies:
            os.kill(pid, signal.SIGCONT)
        while max(record["generation"] for record in await all_ready(pool)) < 2:
            pass  # the broker is asked anew
        assert [await ref.told() for ref in refs] == [[i] for i in range(20)]


async def test_who_looks_an_actor_up_does_not_wait_for_one_that_stands_still(monkeypatch):
    async with await make(1) as pool:
        (address,) = pool.sub_processes
        await xo.create_actor(Counter, None, uid="counter", address=address)
        os.kill(pool._broker.process.pid, signal.SIGSTOP)
        try:
            for wait_for in (asyncio.wait_for, xo.wait_for):
                with pytest.raises(asyncio.TimeoutError):
                    await wait_for(xo.actor_ref("counter"), 0.1)
            monkeypatch.setattr(_lookup, "_ANSWER_S", 0.1)
            with pytest.raises(xo.errors.XoscarError, match=r"broker .* stands still"):
                await xo.actor_ref("counter")
        finally:
            os.kill(pool._broker.process.pid, signal.SIGCONT)
        monkeypatch.undo()
        assert await (await xo.actor_ref("counter")).add() == 1


async def test_an_actor_s_restarts_are_not_forgotten():
    async with await make(1, auto_recover="actor") as pool:
        (address,) = pool.sub_processes
        policy = xo.RestartPolicy(intensity=2)
        ref = await xo.create_actor(Counter, None, address=address, restart_policy=policy)
        for _ in range(2):
            await dies(ref)
        await another_broker(pool)
        with pytest.raises(xo.ActorNotExist, match="given up after 2 restarts within 60 s"):
            await dies(ref)


async def test_one_that_waits_for_its_next_try_is_created_again(tmp_path):
    path = tmp_path / "needed"
    path.touch()
    async with await make(1, auto_recover="actor") as pool:
        (address,) = pool.sub_processes
        policy = xo.RestartPolicy(intensity=10, backoff=3600, backoff_max=3600)
        ref = await xo.create_actor(Needy, str(path), address=address, restart_policy=policy)
        path.unlink()
        os.kill(await ref.pid(), signal.SIGKILL)
        while "actor.restart" not in [e["type"] for e in await ask(pool, "events", "0", 1000)]:
            pass
        path.touch()
        await another_broker(pool)
        await comes_back(ref, xo.ServerClosed, xo.ActorNotExist)


async def test_a_broker_that_keeps_dying_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(_node, "_INTENSITY", 1)
    before = children()
    async with await make(1) as pool:
        (address,) = pool.sub_processes
        ref = await xo.create_actor(Counter, None, address=address)
        pid = pool._broker.process.pid
        kill_broker(pool)
        await taken_over(pool, pid)
        kill_broker(pool)
        await until(lambda: [r for r in caplog.records if "not started again" in r.getMessage()])
        assert await ref.add() == 1  # calls go on all the same
    assert node_files() == [] and children() == before


async def test_a_pool_may_be_stopped_whenever_its_broker_dies():
    before = children()
    for delay in (0, 0.01, 0.03, 0.1):
        pool = await make(1)
        kill_broker(pool)
        await asyncio.sleep(delay)
        await pool.stop()
        assert node_files() == [] and children() == before


SCRIPT = """
    import asyncio, os, signal, time
    import xoscar as xo

    async def main():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=2)
        first = pool._broker.process.pid
        os.kill(first, signal.SIGKILL)
        RESTARTED
        pids = [process.pid for process in pool.sub_processes.values()]
        print(*pids, flush=True)
        time.sleep(600)

    asyncio.run(main())
"""

RESTARTED = """while pool._broker.process.pid == first:
            await asyncio.sleep(0.01)"""


@pytest.mark.parametrize("restarted", ["pass", RESTARTED], ids=["without", "with"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_nothing_is_left_when_the_owner_dies_too(tmp_path, restarted, signum):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.replace("RESTARTED", restarted)))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    watched = [os.pidfd_open(int(word)) for word in process.stdout.readline().split()]
    assert len(watched) == 2
    process.send_signal(signum)
    process.wait()
    process.stdout.close()
    for fd in watched:
        assert select.select([fd], [], [], DEADLINE_S)[0] == [fd]
        os.close(fd)
    while node_files():
        pass
