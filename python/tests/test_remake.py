"""Exceptions whose constructors do not take their args, from process to process."""

import copyreg
import dataclasses
import pickle
import sys

import pytest

import xoscar as xo
from actors import Echo, make
from xoscar import _pickle


class Made(Exception):
    """Counts how often one is made."""

    count = 0

    def __init__(self, *args):
        super().__init__(*args)
        Made.count += 1


class TwoParts(Made):
    def __init__(self, a, b):
        super().__init__(f"{a}:{b}")
        self.a, self.b = a, b


class KeywordOnly(Made):
    def __init__(self, *, code):
        super().__init__()
        self.code = code


class Slotted(TwoParts):
    __slots__ = ("slot",)

    def __init__(self, a):
        super().__init__(a, a)
        self.slot = [a]


class OfTheSystem(OSError):
    def __init__(self, path):
        super().__init__(2, "missing", path)
        self.tried = [path]


class New(ValueError):
    def __new__(cls, text, *, what):
        self = super().__new__(cls, text)
        self.what = what
        return self

    def __init__(self, text, *, what):
        super().__init__(f"{text} {what}")


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    a: int
    b: str


class OwnProtocol(Exception):
    """Its own way wins."""

    def __init__(self, a, b):
        super().__init__(f"{a}:{b}")
        self.a, self.b = a, b

    def __reduce__(self):
        return OwnProtocol, (self.a, f"{self.b} reduced")


class Registered(TwoParts):
    pass


copyreg.pickle(Registered, lambda error: (Registered, (error.a, "registered")))


def state(error):
    slots = {name: getattr(error, name, None) for name in ("slot", "errno", "filename")}
    attributes = {name: value for name, value in vars(error).items() if name != "_xo_where"}
    return type(error).__qualname__, error.args, attributes, slots


ERRORS = [
    lambda: TwoParts(1, "b"),
    lambda: KeywordOnly(code=3),
    lambda: Slotted("s"),
    lambda: OfTheSystem("/no/such"),
    lambda: New("text", what="news"),
    lambda: Frozen(1, "c"),
]


class Raises(xo.Actor):
    def fail(self, index):
        raise ERRORS[index]()

    def fail_with(self, error):
        raise error

    async def pass_on(self, ref, index):
        await ref.fail(index)

    def made(self):
        return Made.count

    def has(self, errors):
        return [(state(error), Made.count) for error in errors]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_one_that_is_raised(node, index):
    run, addresses = node
    expected = ERRORS[index]()

    async def use():
        here, there = await make(Raises, addresses[0]), await make(Raises, addresses[1])
        before = Made.count
        for call in (there.fail(index), here.pass_on(there, index)):
            with pytest.raises(type(expected)) as caught:
                await call
            assert state(caught.value) == state(expected)
            assert f"[address={addresses[1]}" in str(caught.value)
        dressed = caught.value
        with pytest.raises(type(expected)) as caught:
            await there.fail_with(dressed)
        assert state(caught.value) == state(expected)
        assert Made.count == before

    run(use())


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_one_that_is_a_value(node, index):
    run, addresses = node
    error = ERRORS[index]()

    async def use():
        echo = await make(Echo, addresses[1])
        before = Made.count
        for value in (error, [error], {"e": (error, 1)}, {1: {"deep": [error, error]}}):
            back = await echo.echo(value)
            while not isinstance(back, Exception):
                assert type(back) is type(value)
                back = list(back.values())[0] if isinstance(back, dict) else back[0]
                value = list(value.values())[0] if isinstance(value, dict) else value[0]
            assert type(back) is type(error) and state(back) == state(error)
        assert Made.count == before

    run(use())


def test_no_constructor_runs_where_they_arrive(node):
    run, addresses = node

    async def use():
        ref = await make(Raises, addresses[1])
        before = await ref.made()
        errors = [TwoParts(1, 2), KeywordOnly(code=1), Slotted(1)]
        assert await ref.has(errors) == [(state(error), before) for error in errors]

    run(use())


def test_one_that_holds_others(node):
    run, addresses = node

    async def use():
        echo = await make(Echo, addresses[1])
        outer, inner = TwoParts("outer", KeywordOnly(code=1)), KeywordOnly(code=[1])
        outer.inner, outer.itself = inner, outer
        back = await echo.echo(outer)
        assert back.itself is back and state(back.inner) == state(inner) and back.b.code == 1

    run(use())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="from Python 3.11 on")
def test_groups(node):
    run, addresses = node

    async def use():
        echo, raises = await make(Echo, addresses[1]), await make(Raises, addresses[1])
        group = make_group()([TwoParts(1, 2), ValueError("plain")])
        group.add_note("noted")
        back = await echo.echo(group)
        with pytest.raises(ExceptionGroup) as caught:  # noqa: F821
            await raises.fail_with(group)
        for error in (back, caught.value):
            assert [state(e) for e in error.exceptions] == [state(e) for e in group.exceptions]
            assert (error.message, repr(error.args)) == (group.message, repr(group.args))
            assert error.__notes__ == ["noted"]

    run(use())


def make_group():
    class Group(ExceptionGroup):  # noqa: F821
        def __new__(cls, errors):
            return super().__new__(cls, f"{len(errors)} errors", errors)

    return Group


def test_its_own_protocol_wins(node):
    run, addresses = node

    async def use():
        echo = await make(Echo, addresses[1])
        assert (await echo.echo(OwnProtocol(1, 2))).b == "2 reduced reduced"  # there and back
        assert (await echo.echo(Registered(1, 2))).b == "registered"
        raises = await make(Raises, addresses[1])
        with pytest.raises(OwnProtocol) as caught:
            await raises.fail_with(OwnProtocol(1, 2))
        assert caught.value.b == "2 reduced reduced"

    run(use())


class Plain:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Plain and other.x == self.x


def test_what_is_no_such_exception_is_pickled_as_ever():
    values = [Plain(1), [Plain(i) for i in range(10)], ValueError("text", 1), Plain, len]
    for value in values:
        assert _pickle.dumps_whole(value) == pickle.dumps(value, 5)


def test_a_type_that_is_registered_later(monkeypatch):
    class Late:
        pass

    monkeypatch.setattr(sys.modules[__name__], "Late", Late, raising=False)
    Late.__qualname__ = "Late"
    assert type(pickle.loads(_pickle.dumps_whole(Late()))) is Late
    copyreg.pickle(Late, lambda value: (str, ("registered",)))
    try:
        assert pickle.loads(_pickle.dumps_whole(Late())) == "registered"
    finally:
        del copyreg.dispatch_table[Late]
