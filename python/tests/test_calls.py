"""Calls, tells and batches: order, many at once, the lock, cancelling, what a Call is."""

import asyncio
import contextvars
import gc
import os
import weakref

import pytest

import _xo
import xoscar as xo
from actors import Echo, Gate, in_each_pool, make, runs_out, until


# ---- order and numbers ----


@in_each_pool
async def test_ten_thousand_gathered_calls(address):
    ref = await make(Echo, address)
    assert await asyncio.gather(*[ref.echo(i) for i in range(10000)]) == list(range(10000))


@in_each_pool
async def test_calls_and_tells_arrive_in_order(address):
    ref = await make(Echo, address)
    calls = []
    for i in range(0, 3000, 3):
        calls.append(ref.note(i))
        tell = ref.note.tell(i + 1)
        calls.append(ref.note.batch(ref.note.delay(i + 2)))
        await tell
    await asyncio.gather(*calls)
    assert await ref.noted() == list(range(3000))


@in_each_pool
async def test_a_batch_of_ten_thousand(address):
    ref = await make(Echo, address)
    delays = [ref.echo.delay(value=i) for i in range(10000)]
    assert await ref.echo.batch(*delays) == list(range(10000))
    assert await ref.echo.batch() == []
    await ref.note.batch(*[ref.note.delay(i) for i in range(3)], send=False)
    assert await ref.noted() == [0, 1, 2]


@in_each_pool
async def test_a_batch_is_of_one_method(address):
    ref, other = await make(Echo, address), await make(Echo, address)
    for delay in (ref.note.delay(1), other.echo.delay(1), 5):
        with pytest.raises(ValueError):
            await ref.echo.batch(ref.echo.delay(1), delay)


@in_each_pool
async def test_more_tells_than_credit(address):
    ref = await make(Echo, address)
    for i in range(20000):
        await ref.note.tell(i)
    assert len(await ref.noted()) == 20000


# ---- the lock ----


@in_each_pool
async def test_async_methods_keep_the_lock(address):
    gate = await make(Gate, address)
    a, b = gate.hold("a"), gate.hold("b")
    await until(gate.log, lambda log: log == ["a in"])
    await gate.open()
    assert await asyncio.gather(a, b) == ["a", "b"]
    assert await gate.log() == ["a in", "a out", "b in", "b out"]


@in_each_pool
async def test_no_lock(address):
    gate = await make(Gate, address)
    calls = [gate.hold_lockless(name) for name in "abc"]
    await until(gate.log, lambda log: log == ["a in", "b in", "c in"])
    await gate.open()
    assert await asyncio.gather(*calls) == ["a", "b", "c"]


@in_each_pool
async def test_a_method_that_yields_gives_way(address):
    gate = await make(Gate, address)
    calls = [gate.gives_way(name) for name in "ab"]
    await until(gate.log, lambda log: log == ["a in", "b in"])
    await gate.open()
    assert await asyncio.gather(*calls) == [("a", True), ("b", True)]


class Yielder(xo.Actor):
    def __init__(self, echo):
        self.echo = echo

    async def values(self):
        one = yield self.echo.echo(1)
        two = yield self.echo.echo(2), 3, self.echo.aecho(4)
        plain = yield "plain"
        raise xo.Return([one, two, plain])

    async def falls_off(self):
        yield self.echo.echo(1)

    async def catches(self):
        try:
            yield self.echo.no_such_method()
        except AttributeError as e:
            raise xo.Return(f"caught {type(e).__name__}")

    async def fails(self):
        yield self.echo.echo(1)
        raise KeyError("after the yield")

    def awaitable(self):
        return self.echo.echo("later")

    def several(self):
        return 1, self.echo.echo(2), self.values()

    async def awaitable_from_async(self):
        return self.echo.echo("twice")


@in_each_pool
async def test_yielding_and_returning_awaitables(address):
    echo = await make(Echo, address)
    ref = await make(Yielder, address, echo)
    assert await ref.values() == [1, (2, 3, 4), "plain"]
    assert await ref.falls_off() is None
    assert await ref.catches() == "caught AttributeError"
    with pytest.raises(KeyError):
        await ref.fails()
    assert await ref.awaitable() == "later"
    assert await ref.awaitable_from_async() == "twice"
    assert (await ref.several())[:2] == (1, 2)


class Crowd(xo.StatelessActor):
    def __init__(self):
        self.waiting = 0
        self.full = asyncio.Event()

    async def meet(self, count):
        self.waiting += 1
        if self.waiting == count:
            self.full.set()
        await self.full.wait()
        return self.waiting


@in_each_pool
async def test_stateless_actors_handle_all_at_once(address):
    ref = await make(Crowd, address)
    assert await asyncio.gather(*[ref.meet(50) for _ in range(50)]) == [50] * 50


# ---- tasks and contexts ----


class Tasks(xo.Actor):
    variable = contextvars.ContextVar("variable", default="unset")

    async def task_name(self):
        first = asyncio.current_task()
        await asyncio.sleep(0)
        return first is not None and asyncio.current_task() is first

    async def timeout(self):
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except asyncio.TimeoutError:
            return "timed out"

    def set_variable(self):
        before = Tasks.variable.get()
        Tasks.variable.set("set")
        return before

    async def set_variable_async(self):
        return self.set_variable()

    def start_task(self):
        self.task = asyncio.ensure_future(self.task_name())

    async def join_task(self):
        return await self.task


@in_each_pool
async def test_methods_run_in_tasks_with_contexts_of_their_own(address):
    ref = await make(Tasks, address)
    assert await ref.task_name()
    assert await ref.timeout() == "timed out"
    await ref.start_task()
    assert await ref.join_task()
    for _ in range(2):
        assert await ref.set_variable() == "unset"
        assert await ref.set_variable_async() == "unset"


# ---- cancelling, deadlines ----


@in_each_pool
async def test_cancelling_reaches_the_method(address):
    gate = await make(Gate, address)
    task = asyncio.ensure_future(wait_for_it(gate.hold("a")))
    await until(gate.log, lambda log: log == ["a in"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gate.log() == ["a in", "a cancelled"]


async def wait_for_it(awaitable):
    return await awaitable


@in_each_pool
async def test_what_a_cancelled_method_returns_counts(address):
    gate = await make(Gate, address)
    task = asyncio.ensure_future(wait_for_it(gate.stubborn()))
    await until(gate.log, lambda log: log == ["stubborn in"])
    task.cancel()
    assert await task == "finished all the same"


class Toucher(xo.Actor):
    def touch(self, path):
        open(path, "w").close()
        return "touched"


def test_a_result_on_its_way_does_not_swallow_a_cancellation(node, tmp_path):
    run, addresses = node
    path = tmp_path / "touched"

    async def cancel_too_late():
        toucher = await make(Toucher, addresses[1])
        task = asyncio.ensure_future(wait_for_it(toucher.touch(str(path))))
        await asyncio.sleep(0)  # one round: it is sent
        while not path.exists():  # the loop stands still: the result is not taken in
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel_too_late())


@in_each_pool
async def test_cancelling_what_waits(address):
    gate = await make(Gate, address)
    first, second = gate.hold("a"), gate.hold("b")
    await until(gate.log, lambda log: log == ["a in"])
    assert second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert second.cancelled() and not first.done()
    await gate.open()
    assert await first == "a"
    assert await gate.log() == ["a in", "a out"]


@in_each_pool
async def test_deadlines(address):
    gate = await make(Gate, address)
    await runs_out(gate, lambda s: gate.hold.options(timeout=s)("a"), "a in", "a cancelled")
    await runs_out(gate, lambda s: xo.wait_for(gate.hold("b"), s), "b in", "b cancelled")
    await gate.open()
    assert await xo.wait_for(gate.hold("c"), 60) == "c"
    with pytest.raises(ValueError):
        gate.hold.options(timeout=0)


@in_each_pool
async def test_a_deadline_of_what_waits_for_a_busy_actor(address):
    gate = await make(Gate, address)
    first = gate.hold("a")
    await until(gate.log, lambda log: log == ["a in"])
    with pytest.raises(asyncio.TimeoutError):
        await gate.hold.options(timeout=0.01)("b")
    await gate.open()
    assert await first == "a"
    assert await gate.log() == ["a in", "a out"]


@in_each_pool
async def test_tell_delay(address):
    ref = await make(Echo, address)
    await ref.note.tell_delay("now")
    await ref.note.tell_delay("later", delay=0.001)
    assert await ref.noted() == ["now", "later"]


# ---- Calls as coroutines and as futures ----


@in_each_pool
async def test_calls_are_coroutines_and_futures(address):
    ref = await make(Echo, address)
    assert asyncio.iscoroutine(ref.echo(1)) and asyncio.isfuture(ref.echo(1))
    assert await asyncio.create_task(ref.echo(1)) == 1
    assert await asyncio.wait_for(ref.aecho(2), 60) == 2
    assert await asyncio.shield(ref.echo(3)) == 3
    assert await asyncio.gather(ref.echo(4), ref.aecho(5)) == [4, 5]
    assert [await c for c in asyncio.as_completed([ref.echo(6)])] == [6]
    done, pending = await asyncio.wait([asyncio.create_task(ref.echo(i)) for i in range(3)])
    assert sorted(task.result() for task in done) == [0, 1, 2] and not pending
    call = ref.echo(7)
    assert await call == 7 and await call == 7
    assert call.done() and call.result() == 7 and call.exception() is None
    assert call.get_loop() is asyncio.get_running_loop()
    assert not call.cancel() and not call.cancelled()


@in_each_pool
async def test_calls_can_be_waited_for_as_futures(address):
    ref = await make(Echo, address)
    calls = {asyncio.ensure_future(ref.echo(i)) for i in range(3)}
    done, pending = await asyncio.wait(calls)
    assert {call.result() for call in done} == {0, 1, 2} and not pending
    gate = await make(Gate, address)
    held, free = asyncio.ensure_future(gate.hold("a")), asyncio.ensure_future(ref.aecho(1))
    done, pending = await asyncio.wait([held, free], return_when=asyncio.FIRST_COMPLETED)
    assert (done, pending) == ({free}, {held})
    await gate.open()
    assert await held == "a"


@in_each_pool
async def test_a_task_goes_on_with_a_call_that_is_asked_for_as_a_future(address):
    ref, gate = await make(Echo, address), await make(Gate, address)
    call = gate.hold("a")
    task = asyncio.create_task(call)
    assert await ref.echo(1) == 1  # the task has begun to run the call
    both = asyncio.gather(call, task)
    await gate.open()
    assert await both == ["a", "a"]


@in_each_pool
async def test_callbacks(address):
    ref = await make(Echo, address)
    seen = []
    call = ref.aecho("x")
    with pytest.raises(asyncio.InvalidStateError):
        call.result()
    call.add_done_callback(seen.append)
    call.add_done_callback(seen.append)
    call.add_done_callback(print)
    assert call.remove_done_callback(print) == 1
    await call
    await asyncio.sleep(0)
    assert seen == [call, call]
    call.add_done_callback(seen.append)
    assert len(seen) == 2
    await asyncio.sleep(0)
    assert len(seen) == 3


@in_each_pool
async def test_callbacks_that_fail_are_reported(address):
    ref = await make(Echo, address)
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    try:
        call = ref.aecho(1)
        call.add_done_callback(lambda call: 1 / 0)
        await call
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert [type(r["exception"]) for r in reports] == [ZeroDivisionError]


@in_each_pool
async def test_a_call_that_nobody_awaits_is_sent(address):
    ref = await make(Echo, address)
    ref.note("unawaited")
    ref.no_such_method_but_nobody_looks if address is None else None
    assert await ref.noted() == ["unawaited"]


@in_each_pool
async def test_exceptions_of_gathered_calls(address):
    ref = await make(Echo, address)
    results = await asyncio.gather(ref.echo(1), ref.echo(1, 2), return_exceptions=True)
    assert results[0] == 1 and isinstance(results[1], TypeError)


def test_calls_made_outside_of_a_loop(node):
    run, addresses = node
    ref = run(make(Echo, addresses[1]))
    call = ref.echo("from outside")
    assert asyncio.iscoroutine(call) and not asyncio.isfuture(call)
    assert run(call) == "from outside"
    assert run(ref.echo.batch(ref.echo.delay(1))) == [1]
    assert run(ref.arguments(1, k=2)) == ((1,), {"k": 2})
    run(ref.note.tell("told"))
    assert run(ref.noted()) == ["told"]
    ref.echo("never sent").close()


def test_a_loop_without_a_pool_is_a_client(node):
    run, addresses = node

    async def use():
        ref = await xo.create_actor(Echo, "by a client", address=addresses[2])
        assert await ref.tagged() == "by a client"
        assert await asyncio.gather(*[ref.echo(i) for i in range(1000)]) == list(range(1000))
        allowed = os.environ.get("XO_LANES", "shm,ipc").split(",")
        assert {"inproc", *allowed} & set(xo.lane_totals())
        await ref.destroy()

    for _ in range(2):
        asyncio.run(use())


# ---- references ----


@in_each_pool
async def test_references_to_oneself(address):
    ref = await make(Echo, address)
    assert await ref.me() == ref
    assert await ref.identity() == (ref.uid, ref.address)
    other = await make(Echo, address, ref)
    assert await other.tagged() == ref


def test_local_references_know_their_methods(node):
    run, addresses = node

    async def use():
        ref = await make(Echo, addresses[0])
        assert isinstance(ref, xo.LocalActorRef)
        with pytest.raises(AttributeError):
            ref.no_such_method
        far = await make(Echo, addresses[1])
        assert not isinstance(far, xo.LocalActorRef)
        with pytest.raises(AttributeError):
            await far.no_such_method()

    run(use())


def test_local_calls_pass_objects_as_they_are(node):
    run, addresses = node

    async def use():
        ref = await make(Echo, addresses[0])
        thing = object()
        assert await ref.echo(thing) is thing
        assert await ref.aecho(thing) is thing
        assert (await ref.echo.batch(ref.echo.delay(thing)))[0] is thing

    run(use())


def test_actors_are_freed(node):
    run, addresses = node

    async def use():
        ref = await make(Echo, addresses[0])
        actor = weakref.ref(_xo.find_actor(ref))
        assert actor() is not None
        call = weakref.ref(ref.echo(1))
        await ref.echo(2)
        await ref.destroy()
        gc.collect()
        assert actor() is None and call() is None

    run(use())
