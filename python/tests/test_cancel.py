"""Cancelling calls, and waiting for them with asyncio's means."""

import asyncio
import os
import signal
import sys

import pytest

import xoscar as xo
from actors import Echo, Gate, in_each_pool, make, runs_out, until


class Waits(Gate):
    async def twice_stubborn(self):
        """Has to be cancelled twice."""
        self.events.append("in")
        for _ in range(2):
            try:
                await self.event.wait()
            except asyncio.CancelledError:
                self.events.append("cancelled")
        return "after all"

    async def fails_when_cancelled(self):
        self.events.append("in")
        try:
            await self.event.wait()
        except asyncio.CancelledError:
            raise KeyError("instead")

    @xo.extensible
    async def many(self, name):
        raise NotImplementedError

    @many.batch
    async def many(self, args_list, kwargs_list):
        return [await self.hold(name) for (name,) in args_list]

    async def pass_on(self, ref):
        self.events.append("pass on")
        return await ref.hold("passed on")

    def pid(self):
        return os.getpid()


async def result_of(awaitable):
    return await awaitable


async def cancelled(task):
    await asyncio.sleep(0)  # a task that has not begun awaits nothing yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_each_pool
async def test_a_running_method(address):
    gate = await make(Waits, address)
    for number, method in enumerate((gate.hold, gate.hold.send, gate.hold_lockless)):
        task = asyncio.ensure_future(result_of(method("x")))
        await until(gate.log, lambda log: len(log) == 2 * number + 1)
        await cancelled(task)
        assert (await gate.log())[-1] == "x cancelled"


@in_each_pool
async def test_a_batch(address):
    gate = await make(Waits, address)
    for number, method in enumerate((gate.hold, gate.many)):
        task = asyncio.ensure_future(result_of(method.batch(method.delay("a"), method.delay("b"))))
        await until(gate.log, lambda log: len(log) == 2 * number + 1)
        await cancelled(task)
        assert await gate.log() == ["a in", "a cancelled"] * (number + 1)


@in_each_pool
async def test_what_waits_never_runs(address):
    gate = await make(Waits, address)
    first = gate.hold("a")
    await until(gate.log, lambda log: log == ["a in"])
    waiting = [gate.hold("b"), gate.many.batch(gate.many.delay("c")), gate.pid()]
    for call in waiting:
        await cancelled(asyncio.ensure_future(result_of(call)))
    await gate.open()
    assert await first == "a" and await gate.log() == ["a in", "a out"]


@in_each_pool
async def test_the_outcome_is_the_methods(address):
    gate = await make(Waits, address)
    task = asyncio.ensure_future(result_of(gate.fails_when_cancelled()))
    await until(gate.log, lambda log: log == ["in"])
    await asyncio.sleep(0)  # see cancelled
    task.cancel()
    with pytest.raises(KeyError, match="instead"):
        await task
    task = asyncio.ensure_future(result_of(gate.twice_stubborn()))
    await until(gate.log, lambda log: log[1:] == ["in"])
    await asyncio.sleep(0)  # see cancelled
    task.cancel()
    await until(gate.log, lambda log: log[1:] == ["in", "cancelled"])
    assert not task.done()
    task.cancel()
    assert await task == "after all"


def test_it_goes_on_to_what_the_method_awaits(node):
    run, addresses = node

    async def use():
        near, far = await make(Waits, addresses[1]), await make(Waits, addresses[2])
        task = asyncio.ensure_future(result_of(near.pass_on(far)))
        await until(far.log, lambda log: log == ["passed on in"])
        await cancelled(task)
        assert await far.log() == ["passed on in", "passed on cancelled"]

    run(use())


# ---- asyncio's means ----


@in_each_pool
async def test_gather_and_as_completed(address):
    gate = await make(Waits, address)
    gathered = asyncio.gather(gate.hold_lockless("a"), gate.hold_lockless("b"))
    await until(gate.log, lambda log: log == ["a in", "b in"])
    await cancelled(gathered)
    await until(gate.log, lambda log: sorted(log[2:]) == ["a cancelled", "b cancelled"])
    await gate.open()
    calls = [gate.hold_lockless(name) for name in "cde"]
    assert sorted([await call for call in asyncio.as_completed(calls)]) == ["c", "d", "e"]
    tasks = [asyncio.create_task(gate.hold_lockless(name)) for name in "fg"]
    done, pending = await asyncio.wait(tasks)
    assert sorted(task.result() for task in done) == ["f", "g"] and not pending


@in_each_pool
async def test_others_are_told_when_the_first_has_been_removed(address):
    gate = await make(Waits, address)
    call = gate.hold("a")
    told = asyncio.get_running_loop().create_future()
    call.add_done_callback(print)
    call.add_done_callback(told.set_result)
    assert call.remove_done_callback(print) == 1
    await gate.open()
    assert await told is call and await call == "a"


@in_each_pool
async def test_shield(address):
    gate = await make(Waits, address)
    call = gate.hold("a")
    shielded = asyncio.shield(call)
    await until(gate.log, lambda log: log == ["a in"])
    await cancelled(shielded)
    await gate.open()
    assert await call == "a"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="from Python 3.11 on")
@in_each_pool
async def test_timeout_and_task_group(address):
    gate = await make(Waits, address)

    async def within(seconds):
        async with asyncio.timeout(seconds):
            await gate.hold("a")

    await runs_out(gate, within, "a in", "a cancelled")
    with pytest.raises(ExceptionGroup) as caught:  # noqa: F821: from Python 3.11 on
        async with asyncio.TaskGroup() as group:
            group.create_task(gate.hold_lockless("b"))
            await until(gate.log, lambda log: log[-1] == "b in")
            group.create_task(fails())
    assert [type(e) for e in caught.value.exceptions] == [KeyError]
    assert (await gate.log())[-1] == "b cancelled"
    await gate.open()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(gate.hold(name)) for name in "de"]
    assert [task.result() for task in tasks] == ["d", "e"]


async def fails():
    raise KeyError("ends the group")


@in_each_pool
async def test_wait_for(address):
    gate = await make(Waits, address)
    await runs_out(gate, lambda s: xo.wait_for(gate.hold("a"), s), "a in", "a cancelled")
    await runs_out(gate, lambda s: xo.wait_for(result_of(gate.hold("b")), s), "b in", "b cancelled")
    await runs_out(gate, lambda s: xo.wait_for(result_of(gate.fails_when_cancelled()), s), "in")
    task = asyncio.ensure_future(xo.wait_for(gate.hold("c"), 60))
    await until(gate.log, lambda log: log[-1] == "c in")
    await cancelled(task)
    assert (await gate.log())[-1] == "c cancelled"
    await gate.open()
    assert await xo.wait_for(gate.hold("d"), None) == "d"
    assert await xo.wait_for(result_of(gate.hold("e")), 60) == "e"
    with pytest.raises(AttributeError):
        await xo.wait_for(xo.ActorRef(address, gate.uid).no_such_method(), 60)


@in_each_pool
async def test_deadlines_of_batches(address):
    gate = await make(Waits, address)

    def batch(seconds):
        method = gate.hold.options(timeout=seconds)
        return method.batch(method.delay("a"), method.delay("b"))

    await runs_out(gate, batch, "a in", "a cancelled")


def test_waiting_for_a_pool_that_hangs(node):
    run, addresses = node

    async def use():
        gate, other = await make(Waits, addresses[1]), await make(Echo, addresses[2])
        pid = await gate.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            for call in (gate.hold("a"), result_of(gate.hold("b")), gate.pid()):
                with pytest.raises(asyncio.TimeoutError):
                    await xo.wait_for(call, 0.01)
            with pytest.raises(asyncio.TimeoutError):
                await gate.pid.options(timeout=0.01)()
            assert await other.echo("others go on") == "others go on"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert await gate.pid() == pid
        await gate.open()
        assert await gate.hold("c") == "c"

    run(use())



@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL])
def test_cancelling_while_the_pool_stands_still(node, end):
    run, addresses = node

    async def use():
        gate, other = await make(Waits, addresses[1]), await make(Echo, addresses[2])
        pid = await gate.pid()
        task = asyncio.ensure_future(gate.hold("a"))
        await until(gate.log, lambda log: log == ["a in"])
        os.kill(pid, signal.SIGSTOP)
        try:
            task.cancel()
            assert await other.echo("others go on") == "others go on"
            assert not task.done()
        finally:
            os.kill(pid, end)
        with pytest.raises(asyncio.CancelledError if end == signal.SIGCONT else xo.ServerClosed):
            await task
        if end == signal.SIGCONT:
            assert (await gate.log())[-1] == "a cancelled"

    run(use())
