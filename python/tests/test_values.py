"""Values on the wire: the vectors that C is held to as well, types, identity, pickles."""

import collections
import math
import os
import pathlib
import pickle

import pytest

import _xo
import xoscar as xo

TOP = pathlib.Path(os.environ.get("XO_SRCDIR") or pathlib.Path(__file__).parents[2])


# ---- the vectors ----


def read_hex(text):
    """The frames of a vector; a word DD*N is its bytes N times, "/" ends a frame."""
    frames = [b""]
    for word in text.split():
        if word == "/":
            frames.append(b"")
        elif word != "-":
            digits, _, times = word.partition("*")
            frames[-1] += bytes.fromhex(digits) * int(times or 1)
    return frames


def vectors(*sorts):
    lines = (TOP / "t" / "vectors.txt").read_text().splitlines()
    found = []
    for line in lines:
        if line and not line.startswith("#"):
            sort, name, data, _, python = [f.strip() for f in line.split(" | ")]
            if sort in sorts:
                found.append(pytest.param(read_hex(data), python, id=name))
    assert found
    return found


def same(a, b):
    """Equal, and of the same types; NaN is NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and str(a) == str(b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    return a == b


def evaluate(python):
    return eval(python, {"inf": math.inf, "nan": math.nan})


@pytest.mark.parametrize("frames,python", vectors("value", "value-read"))
def test_vector_is_read(frames, python):
    if python == "-":
        pytest.skip("no Python value")
    assert same(_xo.decode(frames[0], frames[1:]), evaluate(python))


@pytest.mark.parametrize("frames,python", vectors("value"))
def test_vector_is_written(frames, python):
    if python == "-":
        pytest.skip("no Python value")
    value = evaluate(python)
    if isinstance(value, bytes) and len(value) >= 65536:
        pytest.skip("goes as a buffer")
    assert _xo.encode(value) == (frames[0], frames[1:])


@pytest.mark.parametrize("frames,python", vectors("bad-value", "bad-ext"))
def test_bad_vector_is_refused(frames, python):
    with pytest.raises(ValueError):
        _xo.decode(frames[0], [])


# ---- round trips ----


def round_trip(value):
    return _xo.decode(*_xo.encode(value))


def is_pickle(value):
    """The first byte of an ext is its header's; type 7 comes last in it."""
    data = _xo.encode(value)[0]
    return data[0] in (0xC7, 0xC8, 0xC9) and data[{0xC7: 2, 0xC8: 3, 0xC9: 5}[data[0]]] == 7


PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    -(2**63),
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    10**100,
    -(10**100),
    0.0,
    -0.0,
    math.inf,
    math.nan,
    1e-300,
    "",
    "é\0\U0001f600",
    "x" * 100000,
    b"",
    b"\xff" * 1000,
    b"big" * 50000,
    1 + 2j,
    [],
    [1, [2, [3]]],
    (),
    (1, (2, (3,))),
    {},
    {"a": 1, 2: "b", None: 3, (1, 2): [4], b"k": {5}, 1.5: 6, True: 7},
    set(),
    {1, "a", (2,)},
    frozenset({1, frozenset({2})}),
    [None, True, {"k": ((1, 2), [b"x", 3.5])}],
    xo.ActorRef("127.0.0.1:1", b"u\xff"),
    [xo.ActorRef("[::1]:1", "u")],
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda v: repr(v)[:40])
def test_plain_values_need_no_pickle(value):
    assert same(round_trip(value), value)
    assert not is_pickle(value)


class Text(str):
    pass


Point = collections.namedtuple("Point", "x y")

PICKLED = [
    bytearray(b"abc"),
    Text("sub"),
    Point(1, 2),
    collections.OrderedDict(a=1),
    [1, Text("sub")],
    {"a": Point(1, 2)},
    range(3),
    "lone \ud800 surrogate",
    pathlib.PurePosixPath("/a/b"),
    ValueError,
]


@pytest.mark.parametrize("value", PICKLED, ids=lambda v: ascii(v)[:40])
def test_other_values_are_one_pickle(value):
    assert is_pickle(value)
    assert same(round_trip(value), value)


def test_identity_survives():
    shared = [1]
    a, b = round_trip([shared, shared])
    assert a is b
    a, b = round_trip((shared, {"k": shared}))
    assert a is b["k"]
    loop = []
    loop.append(loop)
    back = round_trip(loop)
    assert back[0] is back


def test_identity_survives_in_a_tuple_that_is_met_twice():
    pair = (1, [2])
    a, b = round_trip([pair, pair])
    assert a[1] is b[1] and a == pair
    a, b = round_trip((pair, {"k": (pair,)}))
    assert a[1] is b["k"][0][1]
    outer = ((), (pair,))  # changeable only far inside
    a, b = round_trip([outer, outer])
    assert a[1][0][1] is b[1][0][1]


def test_tuples_without_identity_are_plain():
    pair = (1, "two", (3.0, frozenset([4])))
    assert not is_pickle([pair, pair, (pair, pair)])
    assert not is_pickle([[(i, [i], {}) for i in range(200)]])


def test_containers_of_one_owner_are_plain_however_many():
    assert not is_pickle([{"rows": [[i] for i in range(200)]}, {i: {i} for i in range(200)}])


def test_equal_containers_stay_two():
    a, b = round_trip([[1], [1]])
    assert a == b and a is not b
    a, b = round_trip([([1],), ([1],)])
    assert a[0] is not b[0]


def test_depth():
    def nest(depth):
        value = 0
        for _ in range(depth):
            value = [value]
        return value

    assert not is_pickle(nest(64))
    assert is_pickle(nest(65))
    assert round_trip(nest(65)) == nest(65)
    assert round_trip(nest(400)) == nest(400)


def test_large_buffers_leave_the_body():
    data, buffers = _xo.encode([b"s" * 100, b"b" * 65536])
    assert len(data) < 200 and buffers == [b"b" * 65536]


def test_pickled_buffers_are_views_that_can_be_written():
    class Holder:
        def __init__(self, data):
            self.data = data

        def __reduce_ex__(self, protocol):
            return list, ([pickle.PickleBuffer(self.data)],)

    data, buffers = _xo.encode(Holder(bytearray(b"z" * 70000)))
    assert len(data) < 1000 and buffers == [b"z" * 70000]
    view = _xo.decode(data, buffers)[0]
    view = memoryview(view)
    assert not view.readonly
    view[0] = 65
    assert bytes(view[:2]) == b"Az"


def test_what_cannot_be_pickled_says_so():
    with pytest.raises(xo.SendMessageFailed, match="generator"):
        _xo.encode(i for i in range(3))


def test_references_keep_their_type():
    for ref in (xo.ActorRef("a:1", "u"), xo.LocalActorRef("a:1", "u")):
        back = round_trip(ref)
        assert type(back) is xo.ActorRef and back == ref


# ---- references ----


def test_references_compare_and_pickle():
    a, b = xo.ActorRef("a:1", "u"), xo.ActorRef("a:1", b"u")
    assert a == b and hash(a) == hash(b) and not a != b
    assert a != xo.ActorRef("a:2", "u") and a != xo.ActorRef("a:1", "v") and a != 1
    assert pickle.loads(pickle.dumps(a)) == a
    assert len(pickle.dumps(a, 5)) < 80
    assert (a.uid, a.address) == (b"u", "a:1")


@pytest.mark.parametrize("uid", ["", "x" * 256, 5, None, ["u"]])
def test_bad_uids(uid):
    with pytest.raises(ValueError):
        xo.ActorRef("a:1", uid)


def test_private_names_are_no_methods():
    ref = xo.ActorRef("a:1", "u")
    for name in ("_private", "__len__", "__await__"):
        with pytest.raises(AttributeError):
            getattr(ref, name)
