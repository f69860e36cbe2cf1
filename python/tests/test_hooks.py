"""__post_create__ and __pre_destroy__ that wait for calls: of their own actor, and of others that
call it back."""

import asyncio

import pytest

import xoscar as xo
from actors import DEADLINE_S, in_each_pool, make, until


class Friend(xo.Actor):
    async def call_back(self, ref, method):
        return await getattr(ref, method)()


class Child(xo.Actor):
    def __init__(self, parent):
        self.parent = parent

    async def __post_create__(self):
        self.got = await self.parent.plain()

    def get(self):
        return self.got


class Hooked(xo.Actor):
    """Does `what` in `hook`; a Friend hears what came of it."""

    def __init__(self, hook, what, friend):
        self.hook = hook
        self.what = what
        self.friend = friend
        self.got = None

    def plain(self):
        return "plain"

    async def waits(self):
        await asyncio.sleep(0)
        return "waits"

    @xo.no_lock
    def lockless(self):
        return "lockless"

    def result(self):
        return self.got

    async def own(self, method):
        return await getattr(self.ref(), method)()

    async def child(self, method):
        child = await xo.create_actor(Child, self.ref(), address=self.address)
        got = await child.get()
        await child.destroy()
        return got

    async def other(self, method):
        return await self.friend.call_back(self.ref(), method)

    async def batch(self, method):
        return await self.ref().plain.batch(self.ref().plain.delay())

    async def has(self, method):
        return await xo.has_actor(self.ref())

    async def named(self, method):
        return await xo.actor_ref(self.address, self.uid) == self.ref()

    async def do(self):
        way, _, method = self.what.partition(" ")
        self.got = await getattr(self, way)(method)
        if self.hook == "__pre_destroy__":
            raise ValueError(self.got)

    async def __post_create__(self):
        if self.hook == "__post_create__":
            await self.do()

    async def __pre_destroy__(self):
        if self.hook == "__pre_destroy__":
            await self.do()


WHAT = {
    "own plain": "plain",
    "own waits": "waits",
    "own lockless": "lockless",
    "other plain": "plain",
    "other waits": "waits",
    "other lockless": "lockless",
    "child": "plain",
    "batch": ["plain"],
    "has": True,
    "named": True,
}


@in_each_pool
async def test_what_hooks_may_wait_for(address):
    friend = await make(Friend, address)
    for what, expected in WHAT.items():
        making = make(Hooked, address, "__post_create__", what, friend)
        ref = await asyncio.wait_for(making, DEADLINE_S)
        assert await ref.result() == expected, what
        await ref.destroy()
        ref = await make(Hooked, address, "__pre_destroy__", what, friend)
        with pytest.raises(ValueError) as caught:
            await asyncio.wait_for(ref.destroy(), DEADLINE_S)
        assert caught.value.args == (expected,), what
        assert not await xo.has_actor(ref)
    await friend.destroy()


class Logging(xo.Actor):
    """Messages that come in a hook are handled one at a time, and after its first step."""

    def __init__(self):
        self.log = []

    async def slow(self, name):
        self.log.append(f"{name} in")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.log.append(f"{name} out")

    async def __post_create__(self):
        calls = [asyncio.create_task(self.ref().slow(name)) for name in "ab"]
        self.log.append("begun")
        await asyncio.gather(*calls)
        self.log.append("created")

    def get(self):
        return self.log


@in_each_pool
async def test_hooks_keep_one_message_at_a_time(address):
    ref = await make(Logging, address)
    assert await ref.get() == ["begun", "a in", "a out", "b in", "b out", "created"]
    await ref.destroy()


class Ends(xo.Actor):
    """Destroys itself in a method and in its hooks."""

    def __init__(self, where, witness):
        self.where = where
        self.witness = witness

    async def destroy_myself(self):
        await self.ref().destroy()

    async def end(self):
        await self.destroy_myself()
        return "ended"

    async def __post_create__(self):
        if self.where == "post_create":
            await self.destroy_myself()

    async def __pre_destroy__(self):
        await self.witness.note(self.where)
        if self.where == "pre_destroy":
            await self.destroy_myself()


class EndsByATask(Ends):
    """The same, in a task of its own that it waits for, and in one of that."""

    async def destroy_myself(self):
        await asyncio.wait_for(asyncio.create_task(super().destroy_myself()), DEADLINE_S)


class Witness(xo.Actor):
    def __init__(self):
        self.seen = []

    def note(self, what):
        self.seen.append(what)

    def all(self):
        return self.seen


async def end_in_each_way(cls, address):
    witness = await make(Witness, address)
    ref = await make(cls, address, "method", witness)
    assert await asyncio.wait_for(ref.end(), DEADLINE_S) == "ended"
    assert not await xo.has_actor(ref)
    with pytest.raises(xo.ActorNotExist, match="destroyed itself while it was created"):
        await asyncio.wait_for(make(cls, address, "post_create", witness), DEADLINE_S)
    ref = await make(cls, address, "pre_destroy", witness)
    with pytest.raises(xo.ActorNotExist, match="it is being destroyed"):
        await asyncio.wait_for(ref.destroy(), DEADLINE_S)
    assert not await xo.has_actor(ref)
    assert await witness.all() == ["method", "post_create", "pre_destroy"]
    await witness.destroy()


@in_each_pool
async def test_an_actor_may_destroy_itself(address):
    await end_in_each_way(Ends, address)


@in_each_pool
async def test_an_actor_may_wait_for_a_task_of_its_own_that_destroys_it(address):
    await end_in_each_way(EndsByATask, address)


class LeavesATask(xo.Actor):
    """Its task goes on when its method has returned: it waits its turn like everybody."""

    def __init__(self):
        self.started, self.go_on = asyncio.Event(), asyncio.Event()

    async def leave(self):
        self.task = asyncio.create_task(self.destroy_later())

    async def destroy_later(self):
        await self.started.wait()
        destroying = asyncio.ensure_future(self.ref().destroy())
        await self.ref().open()
        await destroying

    async def work(self):
        self.started.set()
        await self.go_on.wait()
        return await xo.has_actor(self.ref())

    @xo.no_lock
    def open(self):
        self.go_on.set()


@in_each_pool
async def test_a_task_of_a_method_that_is_over_waits_for_the_next_one(address):
    ref = await make(LeavesATask, address)
    await ref.leave()
    assert await asyncio.wait_for(ref.work(), DEADLINE_S)
    while await xo.has_actor(ref):
        pass


class Patient(xo.Actor):
    async def __pre_destroy__(self):
        await asyncio.sleep(0)
        await self.ref().touch()

    def touch(self):
        pass


@in_each_pool
async def test_who_destroys_at_the_same_time_hears_that_it_is_gone(address):
    ref = await make(Patient, address)
    first, second = await asyncio.gather(ref.destroy(), ref.destroy(), return_exceptions=True)
    assert first is None and isinstance(second, xo.ActorNotExist)


class Worker(xo.Actor):
    """Reports to its boss while it is created, which calls it back."""

    def __init__(self, boss):
        self.boss = boss
        self.ready = False

    async def __post_create__(self):
        assert await asyncio.create_task(self.ref().size()) == 1
        await self.boss.report(self.ref())
        self.ready = True

    def size(self):
        return 1

    def is_ready(self):
        return self.ready


class Boss(xo.Actor):
    def __init__(self):
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.reports = 0

    async def report(self, worker):
        assert await worker.size() == 1
        self.reports += 1
        await self.go_on.wait()
        assert await asyncio.create_task(worker.size()) == 1

    @xo.no_lock
    def count(self):
        return self.reports

    @xo.no_lock
    def let(self, go_on):
        self.go_on.set() if go_on else self.go_on.clear()


async def recover_worker():
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover="actor")
    async with pool:
        boss = await xo.create_actor(Boss, address=pool.external_address)
        (address,) = pool.sub_processes
        worker = await xo.create_actor(Worker, boss, uid="worker", address=address)
        await boss.let(False)
        await xo.kill_actor(worker)
        await until(boss.count, lambda count: count == 2)
        ready = worker.is_ready()
        assert await xo.has_actor(worker) and not ready.done()
        await boss.let(True)
        assert await ready
        await xo.wait_actor_pool_recovered(address)


def test_hooks_of_actors_that_are_created_again_may_be_called_back_by_whom_they_call():
    """Others wait until the actor is there."""
    asyncio.run(asyncio.wait_for(recover_worker(), DEADLINE_S))


class Late(xo.Actor):
    def __init__(self):
        self.hooked = False

    def get(self):
        return self.hooked


async def get_a_hook_late(monkeypatch):
    async def hook(self):
        self.hooked = True

    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        first = await xo.create_actor(Late, address=pool.external_address)
        monkeypatch.setattr(Late, "__post_create__", hook, raising=False)
        second = await xo.create_actor(Late, address=pool.external_address)
        assert (await first.get(), await second.get()) == (False, True)


def test_a_class_may_get_its_hook_after_its_first_actor(monkeypatch):
    asyncio.run(asyncio.wait_for(get_a_hook_late(monkeypatch), DEADLINE_S))
