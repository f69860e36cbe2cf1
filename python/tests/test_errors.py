"""What can go wrong, and how the caller hears of it."""

import asyncio
import os
import pickle
import traceback

import pytest

import xoscar as xo
from actors import Gate, in_each_pool, make, until
from xoscar import _failure


class Custom(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")
        self.a, self.b = a, b

    def __reduce__(self):
        return Custom, (self.a, self.b)


class Awkward(Exception):
    """Cannot be unpickled, as it says how it is to be."""

    def __init__(self, one, two):
        super().__init__("awkward")

    def __reduce__(self):
        return Awkward, ("one",)


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("unpicklable")
        self.lock = (i for i in ())


class Failing(xo.Actor):
    def __init__(self, fail=False):
        if fail:
            raise OSError(28, "no space for actors")

    def fail(self, error):
        if error == "custom":
            raise Custom(1, [2])
        if error == "awkward":
            raise Awkward(1, 2)
        if error == "unpicklable":
            raise Unpicklable()
        if error == "local class":
            raise type("Local", (ValueError,), {})("of a class made here")
        raise error

    async def afail(self, error):
        await asyncio.sleep(0)
        raise error

    def generator(self):
        return (i for i in ())

    def chain(self):
        try:
            raise KeyError("inner")
        except KeyError as e:
            raise ValueError("outer") from e

    def ok(self):
        return "ok"

    def pid(self):
        return os.getpid()


class FailingHooks(xo.Actor):
    def __init__(self, fail_in):
        self.fail_in = fail_in

    async def __post_create__(self):
        if self.fail_in == "post_create":
            raise KeyError("in post_create")

    async def __pre_destroy__(self):
        if self.fail_in == "pre_destroy":
            raise KeyError("in pre_destroy")


def shown(error):
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


ERRORS = [
    ValueError("boom", 3),
    KeyError("k"),
    OSError(2, "no such thing", "name"),
    StopAsyncIteration(5),
    UnicodeDecodeError("utf8", b"\xff", 0, 1, "why"),
    AssertionError(),
    xo.Return(3),
]


@in_each_pool
async def test_errors_keep_their_type(address):
    ref = await make(Failing, address)
    for error in ERRORS:
        with pytest.raises(type(error)) as caught:
            await ref.fail(error)
        assert caught.value.args == error.args
        assert type(caught.value).__name__ == type(error).__name__
    for error in (ValueError("async", 1), asyncio.TimeoutError("t")):
        with pytest.raises(type(error)) as caught:
            await ref.afail(error)
        assert caught.value.args == error.args
    with pytest.raises(RuntimeError, match="StopIteration"):
        await ref.fail(StopIteration(5))
    assert await ref.ok() == "ok"


def test_remote_errors_say_where(node):
    run, addresses = node

    async def use():
        ref = await make(Failing, addresses[1])
        pid = await ref.pid()
        with pytest.raises(ValueError) as caught:
            await ref.fail(ValueError("boom", 3))
        where = f"[address={addresses[1]}, pid={pid}]"
        assert str(caught.value) == f"{where} ('boom', 3)"
        text = shown(caught.value)
        assert where in text and "in fail" in text and "raise error" in text
        with pytest.raises(Custom) as caught:
            await ref.fail("custom")
        assert (caught.value.a, caught.value.b) == (1, [2])
        assert str(caught.value) == f"{where} 1 and [2]"
        with pytest.raises(ValueError) as caught:
            await ref.chain()
        assert "KeyError: 'inner'" in shown(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is ValueError and again.args == ("outer",)

    run(use())


def test_errors_through_two_actors(node):
    run, addresses = node

    async def use():
        last = await make(Failing, addresses[2])
        first = await make(Through, addresses[1], last)
        with pytest.raises(ValueError) as caught:
            await first.through()
        assert caught.value.args == ("deep",)
        text = shown(caught.value)
        assert addresses[1] in text and addresses[2] in text and "in afail" in text

    run(use())


class Through(xo.Actor):
    def __init__(self, ref):
        self.ref = ref

    async def through(self):
        await self.ref.afail(ValueError("deep"))


def test_errors_that_do_not_travel(node):
    run, addresses = node

    async def use():
        ref = await make(Failing, addresses[1])
        for name, error in (("awkward", Awkward), ("unpicklable", Unpicklable)):
            with pytest.raises(RuntimeError) as caught:
                await ref.fail(name)
            assert error.__name__ in str(caught.value) and "in fail" in str(caught.value)
            assert not isinstance(caught.value, error)
        with pytest.raises(ValueError, match="of a class made here"):
            await ref.fail("local class")
        with pytest.raises(xo.SendMessageFailed, match="generator"):
            await ref.generator()
        with pytest.raises(xo.SendMessageFailed):
            await ref.fail(i for i in ())
        assert await ref.ok() == "ok"

    run(use())


@in_each_pool
async def test_actors_that_exist_or_not(address):
    ref = await xo.create_actor(Failing, address=address, uid="twice")
    with pytest.raises(xo.ActorAlreadyExist):
        await xo.create_actor(Failing, address=address, uid="twice")
    with pytest.raises(xo.ActorNotExist):
        await xo.actor_ref(address, "nobody")
    await ref.destroy()
    for call in (ref.ok, ref.destroy):
        with pytest.raises(xo.ActorNotExist):
            await call()
    with pytest.raises(xo.ActorNotExist):
        await xo.destroy_actor(ref)
    ref2 = await xo.create_actor(Failing, address=address, uid="twice")
    assert ref2 == ref and await ref.ok() == "ok"
    await ref.destroy()


@in_each_pool
async def test_ways_to_name_an_actor(address):
    ref = await xo.create_actor(Failing, address=address, uid="named")
    for found in (
        await xo.actor_ref(address, "named"),
        await xo.actor_ref("named", address=address),
        await xo.actor_ref(uid=b"named", address=address),
        await xo.actor_ref(ref),
        await xo.actor_ref("named"),
    ):
        assert found == ref
    for uid in (5, None, "", "x" * 256):
        with pytest.raises(ValueError):
            await xo.actor_ref(address, uid)
    await ref.destroy()


def test_a_node_finds_its_actors(node):
    run, addresses = node

    async def use():
        for home in addresses:
            ref = await xo.create_actor(Failing, address=home, uid="somewhere")
            for address in addresses:
                assert (await xo.actor_ref(address, "somewhere")).address == home
            await ref.destroy()

    run(use())


@in_each_pool
async def test_creating_fails_and_leaves_nothing(address):
    for cls, arg, error in ((Failing, True, OSError), (FailingHooks, "post_create", KeyError)):
        with pytest.raises(error) as caught:
            await xo.create_actor(cls, arg, address=address, uid="unborn")
        assert caught.value.args
        with pytest.raises(xo.ActorNotExist):
            await xo.actor_ref(address, "unborn")
    with pytest.raises(TypeError):
        await xo.create_actor(Failing, 1, 2, 3, address=address)
    with pytest.raises(TypeError):
        await xo.create_actor(dict, address=address)


@in_each_pool
async def test_an_error_before_the_end_reaches_who_destroys(address):
    ref = await xo.create_actor(FailingHooks, "pre_destroy", address=address)
    with pytest.raises(KeyError):
        await ref.destroy()
    assert not await xo.has_actor(ref)


@in_each_pool
async def test_what_is_no_method(address):
    ref = await make(Failing, address)
    with pytest.raises(AttributeError):
        await ref.no_such_method()
    with pytest.raises(AttributeError):
        ref._private
    with pytest.raises(TypeError):
        await ref.ok(1, 2)


LONG = "x" * 100_000


@in_each_pool
async def test_errors_do_not_repeat_what_is_long(address):
    ref = await make(Failing, address)
    attempts = [
        lambda: xo.create_actor(Failing, uid=LONG, address=address),
        lambda: xo.create_actor(Failing, uid=[LONG], address=address),
        lambda: xo.create_actor(Failing, address=LONG),
        lambda: xo.create_actor([LONG], address=address),
        lambda: xo.create_actor(LONG, address=address),
        lambda: xo.create_actor(Failing, address=address, allocate_strategy=LONG),
        lambda: xo.actor_ref(address, LONG),
        lambda: xo.actor_ref(LONG.encode()),
        lambda: xo.ActorRef(address, [LONG]),
        lambda: xo.has_actor(LONG),
        lambda: xo.destroy_actor(LONG),
        lambda: xo.kill_actor(LONG),
        lambda: xo.monitor(LONG, print),
        lambda: xo.buffer_ref(LONG, bytearray(1)),
        lambda: xo.copy_to([b""], [LONG]),
        lambda: xo.create_actor_pool(LONG),
        lambda: xo.create_actor_pool("127.0.0.1", n_process=1, labels=[LONG, LONG]),
        lambda: xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover=LONG),
        lambda: getattr(ref, LONG)(),
        lambda: getattr(ref, "_" + LONG),
        lambda: ref.fail.batch(LONG),
    ]
    for number, attempt in enumerate(attempts):
        with pytest.raises((TypeError, ValueError, ImportError, AttributeError)) as caught:
            await attempt()
        assert 0 < len(str(caught.value)) < 500, number


def test_nobody_there(node):
    run, addresses = node

    async def use():
        with pytest.raises(xo.ServerClosed) as caught:
            await xo.actor_ref("127.0.0.1:1", "anybody")
        assert caught.value.executed == "no" and caught.value.reason
        assert isinstance(caught.value, ConnectionError)
        with pytest.raises(ValueError):
            await xo.actor_ref("not an address:port:x", "anybody")

    run(use())


def test_a_killed_pool_answers_at_once():
    async def use():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover=False)
        async with pool:
            config = await xo.get_pool_config(pool.external_address)
            ref = await make(Hanging, config.get_external_address(1))
            calls = [ref.hang() for _ in range(3)]
            assert await ref.is_hanging()
            pool.sub_processes[ref.address].kill()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(r) for r in results] == [xo.ServerClosed] * 3
            assert all(r.executed in ("maybe", "no") and r.reason for r in results)
            assert all(r.reason in str(r) for r in results)
            with pytest.raises(xo.ServerClosed):
                await ref.is_hanging()

    asyncio.run(asyncio.wait_for(use(), 60))


def test_a_tell_that_waits_hears_who_was_killed():
    async def use():
        bounds = {"XO_WINDOW_MESSAGES": "4", "XO_MAILBOX_MESSAGES": "4"}
        pool = await xo.create_actor_pool("127.0.0.1", 1, auto_recover=False, envs=[bounds])
        async with pool:
            config = await xo.get_pool_config(pool.external_address)
            ref = await make(Gate, config.get_external_address(1))
            under_way = ref.hold("first")
            await until(ref.log, lambda log: log == ["first in"])
            tells = [ref.hold.tell("more") for _ in range(16)]  # than there is room for
            pool.sub_processes[ref.address].kill()
            *_, last = await asyncio.gather(under_way, *tells, return_exceptions=True)
            assert type(last) is xo.ServerClosed
            assert (last.executed, last.address) == ("no", ref.address)
            assert "signal 9 (Killed)" in last.reason
            assert ref.address in str(last) and last.reason in str(last)

    asyncio.run(asyncio.wait_for(use(), 60))


CLIENT = """
    import asyncio, os, signal, sys
    import xoscar as xo

    async def main():
        for address in sys.argv[1:]:
            ref = await xo.actor_ref(address, "victim")
            call = ref.hang()
            await ref.is_hanging()
            os.kill(await ref.pid(), signal.SIGKILL)
            try:
                await call
            except xo.ServerClosed as e:
                print(e.reason.split(",")[0], e.executed, str(e).startswith(f"{address} died"))

    asyncio.run(main())
"""


def test_who_knows_only_the_pool_hears_what_ended_it(tmp_path):
    from test_pools import run_script

    async def use():
        async with await xo.create_actor_pool("127.0.0.1", n_process=2) as pool:
            for address in pool.sub_processes:
                await xo.create_actor(Hanging, uid="victim", address=address)
            loop = asyncio.get_running_loop()
            args = (run_script, tmp_path, CLIENT, *pool.sub_processes)
            done = await loop.run_in_executor(None, *args)
            line = "signal 9 (Killed) maybe True\n"
            assert done.stdout == line * 2, done.stderr

    asyncio.run(asyncio.wait_for(use(), 60))


class Hanging(xo.Actor):
    def __init__(self):
        self.entered = asyncio.Event()

    @xo.no_lock
    async def hang(self):
        self.entered.set()
        await asyncio.Event().wait()

    @xo.no_lock
    def pid(self):
        return os.getpid()

    @xo.no_lock
    async def is_hanging(self):
        await self.entered.wait()
        return True


@pytest.mark.parametrize(
    ("message", "reason", "executed", "text"),
    [
        ("a:1 died", "signal 9", "maybe", "a:1 died (signal 9); the method may have run"),
        ("a:1 died", "exit status 3", "no", "a:1 died (exit status 3)"),
        ("a:1 died", "", "ran", "a:1 died; the method ran"),
        ("given up: exit status 3", "exit status 3", "", "given up: exit status 3"),
        ("", "closing", "no", "closing"),
    ],
)
def test_what_a_closed_server_says(message, reason, executed, text):
    fields = dict.fromkeys(("type", "traceback", "exception"), "")
    fields.update(code="ServerClosed", message=message, reason=reason, executed=executed)
    error = _failure.failure({**fields, "address": "a:1", "pid": 0})
    assert (str(error), error.reason) == (text, reason)


def test_the_package_has_its_errors():
    names = (
        "ActorNotExist ActorAlreadyExist ServerClosed SendMessageFailed Return XoscarError "
        "NoIdleSlot NoFreeSlot SlotStateError ReconstructWorkerError ActorPoolNotStarted "
        "CannotCancelTask DeadlockError"
    ).split()
    for name in names:
        assert issubclass(getattr(xo.errors, name), xo.errors.XoscarError)
    error = xo.ServerClosed("text", "reason", "a:1", "no")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason, again.address, again.executed) == (
        "text",
        "reason",
        "a:1",
        "no",
    )
