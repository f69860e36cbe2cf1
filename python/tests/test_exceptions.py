"""Exceptions of unusual kinds, and those that nobody waits for."""

import asyncio
import gc
import os
import sys
import traceback

import pytest

import xoscar as xo
from actors import Echo, in_each_pool, make


class Fails(xo.Actor):
    def fail(self, error):
        raise error

    async def fail_later(self, error):
        await asyncio.sleep(0)
        raise error

    @xo.generator
    def fails_in_the_middle(self):
        yield 1
        raise ValueError("in the middle")

    def exit(self, status):
        sys.exit(status)

    async def exit_later(self, status):
        await asyncio.sleep(0)
        sys.exit(status)

    def interrupt(self):
        raise KeyboardInterrupt("in a method")

    def chain(self):
        try:
            try:
                raise KeyError("first")
            except KeyError as e:
                raise IndexError("second") from e
        except IndexError:
            raise ValueError("third")

    def note(self):
        error = ValueError("noted")
        error.add_note("a note of the method's")
        raise error

    def group(self):
        raise ExceptionGroup(  # noqa: F821: from Python 3.11 on
            "several", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])]  # noqa: F821
        )

    def attributes(self):
        error = OSError(2, "missing", "file name")
        error.extra = [1, 2]
        raise error

    def str_fails(self):
        raise StrFails()

    def pid(self):
        return os.getpid()

    def ok(self):
        return "ok"


class StrFails(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Particular(Exception):
    """One whose constructor takes what its args are not, and counts."""

    made = 0
    __slots__ = ("slot",)

    def __init__(self, number, *, why):
        Particular.made += 1
        super().__init__(f"{number} because of {why}")
        self.why, self.slot = why, [number]


class Asks(xo.Actor):
    async def ask(self, ref):
        await ref.fail(KeyError("asked"))

    def particular(self):
        raise Particular(7, why="this")


def shown(error):
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


@in_each_pool
async def test_chains_are_shown(address):
    ref = await make(Fails, address)
    with pytest.raises(ValueError) as caught:
        await ref.chain()
    text = shown(caught.value)
    assert "KeyError: 'first'" in text and "IndexError: second" in text and "third" in text
    assert "direct cause" in text and "During handling" in text


@in_each_pool
async def test_the_text_says_where(address):
    ref = await make(Fails, address)
    where = f"[address={address}, pid={await ref.pid()}] "
    for method in (ref.fail, ref.fail_later):
        with pytest.raises(ValueError) as caught:
            await method(ValueError("text", 2))
        assert str(caught.value) == where + "('text', 2)" and caught.value.args == ("text", 2)
        text = shown(caught.value)
        assert f"ValueError: {where}" in text and "raise error" in text and "in fail" in text
    with pytest.raises(KeyError) as caught:
        await ref.fail.batch(ref.fail.delay(KeyError(1)))
    assert str(caught.value) == where + "1"


def test_the_text_says_where_it_was_raised_first(node):
    run, addresses = node

    async def use(far, near):
        ref, asks = await make(Fails, far), await make(Asks, near)
        with pytest.raises(KeyError) as caught:
            await asks.ask(ref)
        assert str(caught.value) == f"[address={far}, pid={await ref.pid()}] 'asked'"
        assert "in ask" in shown(caught.value) and "in fail" in shown(caught.value)
        with pytest.raises(xo.ActorNotExist) as caught:
            await asks.ask(xo.ActorRef(far, "nobody"))
        assert str(caught.value).count("[address=") == 1 and far in str(caught.value)

    for far in addresses[:2]:
        for near in addresses[:2]:
            run(use(far, near))


def test_a_constructor_of_its_own_is_not_run_again(node):
    run, addresses = node

    async def use():
        asks = await make(Asks, addresses[0])
        before = Particular.made
        with pytest.raises(Particular) as caught:
            await asks.particular()
        assert Particular.made == before + 1
        error = caught.value
        assert (error.why, error.slot, error.args) == ("this", [7], ("7 because of this",))
        assert str(error).endswith("] 7 because of this") and type(error).__name__ == "Particular"

    run(use())


def test_members_of_built_in_exceptions_stay(node):
    run, addresses = node

    async def use():
        ref = await make(Fails, addresses[0])
        with pytest.raises(ImportError) as caught:
            await ref.fail(ImportError("text", name="a name", path="a path"))
        assert (caught.value.name, caught.value.path) == ("a name", "a path")
        with pytest.raises(FileNotFoundError) as caught:
            await ref.fail(OSError(2, "missing", "one", None, "two"))
        assert (caught.value.filename, caught.value.filename2) == ("one", "two")
        for error in (OSError("text"), TimeoutError(), OSError(2, "missing", "one")):
            with pytest.raises(OSError) as caught:
                await ref.fail(error)
            assert str(caught.value).partition("] ")[2] == str(error)
        with pytest.raises(BlockingIOError) as caught:
            await ref.fail(BlockingIOError(11, "again", 5))
        assert caught.value.characters_written == 5
        if sys.version_info >= (3, 10):
            error = AttributeError("text", name="a name", obj=ref)
            with pytest.raises(AttributeError) as caught:
                await ref.fail(error)
            assert (caught.value.name, caught.value.obj) == ("a name", ref)

    run(use())


@in_each_pool
async def test_a_generators_error_says_where(address):
    ref = await make(Fails, address)
    with pytest.raises(ValueError) as caught:
        async for _ in await ref.fails_in_the_middle():
            pass
    assert str(caught.value) == f"[address={address}, pid={await ref.pid()}] in the middle"


@in_each_pool
async def test_attributes_stay(address):
    ref = await make(Fails, address)
    with pytest.raises(FileNotFoundError) as caught:
        await ref.attributes()
    error = caught.value
    assert (error.errno, error.filename, error.extra) == (2, "file name", [1, 2])
    with pytest.raises(StrFails):
        await ref.str_fails()
    assert await ref.ok() == "ok"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="from Python 3.11 on")
@in_each_pool
async def test_notes_and_groups(address):
    ref = await make(Fails, address)
    with pytest.raises(ValueError) as caught:
        await ref.note()
    assert caught.value.__notes__ == ["a note of the method's"]
    with pytest.raises(ExceptionGroup) as caught:  # noqa: F821
        await ref.group()
    matched, rest = caught.value.split(ValueError)
    assert [type(e) for e in matched.exceptions] == [ValueError]
    assert [type(e) for e in rest.exceptions[0].exceptions] == [KeyError]
    assert caught.value.message == "several"


@in_each_pool
async def test_what_is_no_exception_of_a_program(address):
    ref = await make(Fails, address)
    errors = [StopAsyncIteration(1), asyncio.InvalidStateError("i")]
    if sys.version_info < (3, 12):  # later ones close the coroutines that it passes through
        errors.append(GeneratorExit("g"))
    for error in errors:
        for method in (ref.fail, ref.fail_later):
            with pytest.raises(type(error)) as caught:
                await method(error)
            assert caught.value.args == error.args
    for method in (ref.fail, ref.fail_later):
        with pytest.raises(asyncio.CancelledError):
            await method(asyncio.CancelledError())
        with pytest.raises(RuntimeError, match="raised StopIteration$") as caught:
            await method(StopIteration(1))
        assert str(caught.value).startswith(f"[address={address}, pid={await ref.pid()}] ")
        assert str(caught.value).count("[address") == 1
    assert await ref.ok() == "ok"


def test_exits_in_a_sub_pool_end_the_method_only(node):
    run, addresses = node

    async def caught(call, kind):
        with pytest.raises(kind) as caught:
            await call
        return caught.value.args

    async def use():
        ref, neighbour = await make(Fails, addresses[1]), await make(Echo, addresses[1])
        pid = await ref.pid()
        assert await caught(ref.exit(3), SystemExit) == (3,)
        assert await caught(ref.exit_later(4), SystemExit) == (4,)
        assert await caught(ref.interrupt(), KeyboardInterrupt) == ("in a method",)
        assert await ref.pid() == pid and await neighbour.echo(1) == 1

    # An exit that reaches asyncio's loop ends that, so it is caught within.
    run(use())


# ---- exceptions that nobody waits for ----


@in_each_pool
async def test_an_exception_that_nobody_sees_is_reported(address):
    ref = await make(Fails, address)
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    try:
        ref.fail(ValueError("unseen"))
        await ref.ok()
        gc.collect()
        seen = ref.fail(ValueError("seen"))
        await ref.ok()
        assert isinstance(seen.exception(), ValueError)
        del seen
        await asyncio.gather(ref.fail(KeyError()), ref.fail(KeyError()), return_exceptions=True)
        with pytest.raises(ValueError):
            await asyncio.gather(ref.fail(ValueError()), ref.fail_later(ValueError()))
        await ref.ok()
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert [(r["exception"].args, r["message"]) for r in reports] == [
        (("unseen",), "The exception of a call was never retrieved")
    ]


# ---- the names ----

NAMES = {
    "XoscarError": Exception,
    "ActorNotExist": xo.errors.XoscarError,
    "ActorAlreadyExist": xo.errors.XoscarError,
    "ServerClosed": (xo.errors.XoscarError, ConnectionError),
    "SendMessageFailed": xo.errors.XoscarError,
    "Return": xo.errors.XoscarError,
    "NoIdleSlot": xo.errors.XoscarError,
    "NoFreeSlot": xo.errors.XoscarError,
    "SlotStateError": xo.errors.XoscarError,
    "ReconstructWorkerError": xo.errors.XoscarError,
    "ActorPoolNotStarted": xo.errors.XoscarError,
    "CannotCancelTask": xo.errors.XoscarError,
    "DeadlockError": xo.errors.XoscarError,
}


@pytest.mark.parametrize("name", NAMES)
def test_names_and_bases(name):
    cls, bases = getattr(xo.errors, name), NAMES[name]
    for base in bases if isinstance(bases, tuple) else (bases,):
        assert issubclass(cls, base)
    assert cls.__doc__ and cls.__module__ == "xoscar.errors"


def test_the_first_five_are_at_the_top():
    for name in "ActorNotExist ActorAlreadyExist ServerClosed SendMessageFailed Return".split():
        assert getattr(xo, name) is getattr(xo.errors, name)


@in_each_pool
async def test_all_of_them_travel(address):
    ref = await make(Fails, address)
    for name in NAMES:
        cls = getattr(xo.errors, name)
        with pytest.raises(cls) as caught:
            await ref.fail(cls("text"))
        assert caught.value.args == ("text",) and type(caught.value).__name__ == name
    with pytest.raises(xo.ServerClosed) as caught:
        await ref.fail(xo.ServerClosed("text", "a reason", "host:1", "no"))
    error = caught.value
    assert (error.reason, error.address, error.executed) == ("a reason", "host:1", "no")
