"""Actors that look at each message before it is handled: __on_receive__, overridden."""

import asyncio

import pytest

import xoscar as xo
from actors import Gate, in_each_pool, make, until


class Watcher(Gate):
    def __init__(self):
        super().__init__()
        self.messages, self.results = [], []

    async def __on_receive__(self, message):
        if message[0] == "forbidden":
            raise PermissionError("not this one")
        self.messages.append(message)
        result = await super().__on_receive__(message)
        self.results.append(result)
        return result

    def echo(self, *args, **kwargs):
        return args, kwargs

    async def later(self, value):
        await asyncio.sleep(0)
        return value

    def awaitable(self, value):
        return self.later(value), value

    async def yields(self, value):
        got = yield self.later(value)
        raise xo.Return([got])

    @xo.extensible
    def both(self, n):
        return n

    @both.batch
    def both(self, args_list, kwargs_list):
        return [self.both.bind(*a, **k).n * 10 for a, k in zip(args_list, kwargs_list)]

    def forbidden(self):
        return "never"

    @xo.no_lock
    def seen(self):
        return self.messages[:-1], self.results[:]


class PlainWatcher(Watcher):
    def __on_receive__(self, message):
        return super().__on_receive__(message)


CLASSES = pytest.mark.parametrize("cls", [Watcher, PlainWatcher])


def of_each_class(test):
    @CLASSES
    @pytest.mark.parametrize("index", [0, 1])
    def wrapped(node, index, cls):
        run, addresses = node

        async def use():
            await test(await make(cls, addresses[index]))

        run(use())

    wrapped.__name__ = test.__name__
    return wrapped


@of_each_class
async def test_messages_and_results_pass_through(ref):
    assert await ref.echo(1, k=2) == ((1,), {"k": 2})
    assert await ref.later("x") == "x"
    assert await ref.awaitable("y") == ("y", "y")
    assert await ref.yields("z") == ["z"]
    assert await ref.both.batch(ref.both.delay(1), ref.both.delay(n=2)) == [10, 20]
    assert await ref.later.batch(ref.later.delay(1), ref.later.delay(2)) == [1, 2]
    with pytest.raises(PermissionError):
        await ref.forbidden()
    messages, results = await ref.seen()
    assert messages == [
        ("echo", 0, (1,), {"k": 2}),
        ("later", 0, ("x",), {}),
        ("awaitable", 0, ("y",), {}),
        ("yields", 0, ("z",), {}),
        ("both", 1, ([(1,), ()], [{}, {"n": 2}]), None),
        ("later", 1, ([(1,), (2,)], [{}, {}]), None),
    ]
    assert results == [((1,), {"k": 2}), "x", ("y", "y"), ["z"], [10, 20], [1, 2]]


@of_each_class
async def test_the_lock_is_as_without_it(ref):
    calls = [ref.hold("a"), ref.hold("b")]
    await until(ref.log, lambda log: log == ["a in"])
    await ref.open()
    assert await asyncio.gather(*calls) == ["a", "b"]
    assert await ref.log() == ["a in", "a out", "b in", "b out"]


@of_each_class
async def test_yielding_gives_the_lock_up(ref):
    calls = [ref.gives_way("a"), ref.gives_way("b")]
    await until(ref.log, lambda log: log == ["a in", "b in"])
    await ref.open()
    assert await asyncio.gather(*calls) == [("a", True), ("b", True)]


@of_each_class
async def test_private_methods_and_missing_ones(ref):
    with pytest.raises(AttributeError):
        await getattr(ref, "no_such_method")()


class Answers(xo.Actor):
    """Answers on its own, whatever the method is called."""

    def __on_receive__(self, message):
        return "plain", message[0]

    def anything(self):
        return "never called"


@in_each_pool
async def test_an_answer_of_its_own(address):
    assert await (await make(Answers, address)).anything() == ("plain", "anything")
