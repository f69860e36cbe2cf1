"""Values as arguments and results of calls: equal and of the same type, or a clear error."""

import asyncio
import functools
import pickle

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("pandas")

import xoscar as xo
from actors import DEADLINE_S
from values import (
    ARRAYS,
    BECOMES,
    FRAMES,
    OBJECTS,
    PLAIN,
    READ_ONLY,
    Custom,
    FailsToPickle,
    FailsToUnpickle,
    OfMissingModule,
    nested,
    same,
)


class Mirror(xo.Actor):
    """Gives back what it gets, as it is, within other things, raised."""

    def echo(self, value):
        return value

    async def aecho(self, *, value):
        return value

    def same(self, a, b):
        return a is b[0]

    def same_second(self, a, b):
        return a[1] is b[1]

    def keep(self, pair):
        """Is its list the one that came last?"""
        last, self.last = getattr(self, "last", None), pair[1]
        return last is self.last

    def raises(self, error):
        raise error

    def writeable(self, array):
        return array.flags.writeable

    def looks_like(self, buffer):
        view = memoryview(buffer)
        return bytes(view), view.readonly

    def double(self, array):
        array *= 2
        return array

    def call(self, function, *args):
        return function(*args)

    def generator(self):
        return (i for i in range(3))

    async def nested_generator(self):
        return {"k": [1, (i for i in range(3))]}

    def fails_to_unpickle(self):
        return FailsToUnpickle()


@pytest.fixture(scope="module", params=["local", "remote"])
def mirror(node, request):
    """(run, ref) of a Mirror in this process or another one."""
    run, addresses = node
    address = addresses[request.param == "remote"]
    ref = run(xo.create_actor(Mirror, address=address))

    def bounded(call):
        async def wait():
            return await asyncio.wait_for(call(ref), DEADLINE_S)

        return run(wait())

    yield bounded
    run(ref.destroy())


@pytest.fixture(scope="module")
def remote(node):
    run, addresses = node

    async def create():
        return await xo.create_actor(Mirror, address=addresses[1])

    ref = run(create())

    def bounded(call):
        async def wait():
            return await asyncio.wait_for(call(ref), DEADLINE_S)

        return run(wait())

    yield bounded
    run(ref.destroy())


@pytest.mark.parametrize(
    "value", PLAIN + OBJECTS + ARRAYS + FRAMES, ids=lambda v: f"{type(v).__name__}"
)
def test_comes_back_the_same(mirror, value):
    assert same(mirror(lambda a: a.echo(value)), value)
    assert same(mirror(lambda a: a.aecho(value=[value, {"k": value}])), [value, {"k": value}])


@pytest.mark.parametrize("value,becomes", BECOMES, ids=lambda v: type(v).__name__)
def test_views_arrive_as_bytes(remote, value, becomes):
    assert same(remote(lambda a: a.echo(value)), becomes)


def test_self_reference(mirror):
    loop = [1]
    loop.append(loop)
    loop.append({"loop": loop})
    back = mirror(lambda a: a.echo(loop))
    assert back[1] is back and back[2]["loop"] is back and back[0] == 1


def test_identity_between_arguments(mirror):
    shared = [1]
    assert mirror(lambda a: a.same(shared, [shared])) is True
    assert mirror(lambda a: a.same([1], [[1]])) is False
    pair = (1, shared)
    assert mirror(lambda a: a.same_second(pair, pair)) is True
    assert mirror(lambda a: a.same_second(pair, b=pair)) is True
    assert mirror(lambda a: a.keep.batch(a.keep.delay(pair), a.keep.delay(pair)))[1] is True
    array = np.zeros(100000)
    assert mirror(lambda a: a.same(array, [array])) is True


def test_functions(mirror):
    base = 16
    assert mirror(lambda a: a.call(lambda text: int(text, base), "ff")) == 255
    assert mirror(lambda a: a.call(functools.partial(int, base=2), "101")) == 5
    assert mirror(lambda a: a.echo(lambda: base))() == 16


def test_classes_of_a_function(mirror):
    class Local:
        def __init__(self, x):
            self.x = x

    back = mirror(lambda a: a.echo(Local([1])))
    assert type(back).__name__ == "Local" and back.x == [1]


def test_exceptions_are_values_too(mirror):
    back = mirror(lambda a: a.echo(Custom(1, b=2)))
    assert type(back) is Custom and (back.a, back.b, str(back)) == (1, 2, "1 and 2")
    with pytest.raises(Custom, match="1 and 2") as caught:
        mirror(lambda a: a.raises(Custom(1, b=2)))
    assert (caught.value.a, caught.value.b) == (1, 2)


# ---- arrays on arrival ----


@pytest.mark.parametrize("size", [10, 100000])
def test_an_array_that_arrives_can_be_written_to(mirror, size):
    array = np.arange(size)
    assert mirror(lambda a: a.writeable(array))
    back = mirror(lambda a: a.double(array.copy()))
    assert back.flags.writeable and np.array_equal(back, 2 * array)
    back += 1


def test_what_is_read_only_stays_so(mirror):
    assert not mirror(lambda a: a.writeable(READ_ONLY))
    assert not mirror(lambda a: a.echo(READ_ONLY)).flags.writeable


def test_a_copy_of_the_callers(remote):
    array = np.zeros(100000)
    assert remote(lambda a: a.double(array + 1)).sum() == 200000
    remote(lambda a: a.double(array))
    assert not array.any()


@pytest.mark.parametrize("data", [b"x" * 70000, bytearray(b"x" * 70000)], ids=["bytes", "array"])
def test_large_pickle_buffers(remote, data):
    got = remote(lambda a: a.looks_like(pickle.PickleBuffer(data)))
    assert got == (bytes(data), isinstance(data, bytes))


# ---- what cannot be sent ----


def still_there(bounded):
    assert bounded(lambda a: a.echo(1)) == 1


@pytest.mark.parametrize(
    "value,text",
    [
        ((i for i in range(3)), r"generator \(at \[0\]\[0\]\) cannot be pickled"),
        ({"k": [1, FailsToPickle()]}, r"FailsToPickle .*\['k'\]\[1\].*not me"),
        (nested(100000), "cannot be pickled.*recursion"),
    ],
    ids=["generator", "reduce", "deep"],
)
def test_an_argument_that_cannot_be_pickled(remote, value, text):
    with pytest.raises(xo.SendMessageFailed, match=text):
        remote(lambda a: a.echo(value))
    still_there(remote)


@pytest.mark.parametrize(
    "value,text",
    [
        (FailsToUnpickle(), "cannot be unpickled there: ValueError: not here"),
        (OfMissingModule(), "cannot be unpickled there: ModuleNotFoundError.*no_such_module"),
    ],
    ids=["setstate", "module"],
)
def test_an_argument_that_cannot_be_unpickled(remote, value, text):
    with pytest.raises(xo.SendMessageFailed, match=text):
        remote(lambda a: a.echo(value))
    still_there(remote)


@pytest.mark.parametrize(
    "method,text",
    [
        ("generator", "generator cannot be pickled"),
        ("nested_generator", r"generator \(at \['k'\]\[1\]\) cannot be pickled"),
        ("fails_to_unpickle", "cannot be unpickled there: ValueError: not here"),
    ],
)
def test_a_result_that_cannot_be_sent(remote, method, text):
    with pytest.raises(xo.SendMessageFailed, match=text):
        remote(lambda a: getattr(a, method)())
    still_there(remote)


def test_an_actor_whose_argument_cannot_be_sent(node):
    run, addresses = node

    async def create(value):
        await xo.create_actor(Mirror, value, uid="bad", address=addresses[1])

    with pytest.raises(xo.SendMessageFailed, match="generator"):
        run(create(i for i in range(3)))
    with pytest.raises(xo.SendMessageFailed, match="unpickled there: ValueError: not here"):
        run(create(FailsToUnpickle()))
    assert run(xo.has_actor(xo.ActorRef(addresses[1], "bad"))) is False


def test_within_a_process_objects_are_passed_as_they_are(node):
    run, addresses = node

    async def test():
        actor = await xo.create_actor(Mirror, address=addresses[0])
        value = FailsToPickle()
        assert await actor.echo(value) is value
        await actor.destroy()

    run(test())
