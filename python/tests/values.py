"""Values of all kinds, and what it means that one came back the same."""

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import pickle

import numpy as np
import pandas as pd


class Int(int):
    pass


class Str(str):
    pass


class List(list):
    pass


class Dict(dict):
    pass


class Number(enum.IntEnum):
    ONE = 1


class Color(enum.Enum):
    RED = "red"


class Name(str, enum.Enum):
    A = "a"


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Record:
    a: int
    b: list


class Custom(Exception):
    """Has a constructor of its own, and says how to make it anew."""

    def __init__(self, a, *, b):
        super().__init__(f"{a} and {b}")
        self.a, self.b = a, b

    def __reduce__(self):
        return functools.partial(Custom, b=self.b), (self.a,)


class FailsToUnpickle:
    def __init__(self):
        self.x = 1

    def __setstate__(self, state):
        raise ValueError("not here")


class FailsToPickle:
    def __reduce__(self):
        raise ValueError("not me")


def _missing():
    import importlib

    return importlib.import_module("no_such_module")


class OfMissingModule:
    """Its pickle asks for a module that no pool has."""

    def __reduce__(self):
        return _missing, ()


def nested(depth):
    value = "bottom"
    for _ in range(depth):
        value = [value]
    return value


PLAIN = [
    None,
    True,
    0,
    -1,
    2**63,
    10**1000,
    -(10**1000),
    1.5,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    2 - 3j,
    "",
    "nul \0, non-BMP \U0001f600",
    "lone \ud800 surrogate",
    b"",
    b"\0\xff" * 50000,
    bytearray(b"abc"),
    (),
    (1, [2, (3,)]),
    [1, (2, [3])],
    {3, 1, 2},
    frozenset({1, (2,)}),
    {"z": 1, 2: "a", (1, 2): None, None: True, 1.5: []},
    range(3),
    slice(1, 2),
    ...,
    NotImplemented,
    int,
]

OBJECTS = [
    Int(3),
    Str("x"),
    List([1]),
    Dict(a=1),
    Number.ONE,
    Color.RED,
    Name.A,
    Point(1, [2]),
    Record(1, [2]),
    decimal.Decimal("1.10"),
    datetime.datetime(2024, 2, 29, 1, 2, 3, 4, datetime.timezone.utc),
    datetime.timedelta(days=1, microseconds=1),
    collections.OrderedDict(b=1, a=2),
    collections.defaultdict(list, a=[1]),
    collections.Counter("aab"),
    collections.deque([1, 2], maxlen=5),
    Record,
    math,
    np,
    len,
    nested(300),
]

ARRAYS = [
    np.float32(1.5),
    np.int8(-3),
    np.bool_(True),
    np.datetime64("2020-01-01"),
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24).reshape(4, 6)[::2, ::-3],
    np.arange(200000)[::2],
    np.asfortranarray(np.arange(60000.0).reshape(200, 300)),
    np.zeros((0, 3)),
    np.array(7),
    np.array([1, "a", None, [2]], object),
    np.array(["2020-01-01"], "M8[D]"),
    np.arange(3, dtype=">i4"),
    np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
    np.rec.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
    np.array(["ab", "c"]),
    np.ma.array([1, 2], mask=[False, True]),
]

FRAMES = [
    pd.DataFrame({"a": [1, 2], "b": ["x", None], "t": pd.to_datetime(["2020", "2021"])}),
    pd.DataFrame(np.arange(100000.0).reshape(-1, 10)),
    pd.DataFrame(),
    pd.DataFrame({1: [1.5]}, index=pd.MultiIndex.from_tuples([("x", 1)], names=["k", "n"])),
    pd.Series([1, 2], name="s"),
    pd.Series(pd.Categorical(["a", "b", "a"], ordered=True)),
    pd.Timestamp("2020-01-01", tz="UTC"),
]

READ_ONLY = np.arange(20000)
READ_ONLY.flags.writeable = False

# What pickle knows to be bytes only.
BECOMES = [
    (memoryview(b"abc"), b"abc"),
    (pickle.PickleBuffer(b"abc"), b"abc"),
    (pickle.PickleBuffer(bytearray(b"abc")), bytearray(b"abc")),
]


def _same_array(a, b):
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.flags.f_contiguous and not a.flags.c_contiguous and not b.flags.f_contiguous:
        return False
    if isinstance(a, np.ma.MaskedArray):
        return np.array_equal(a.mask, b.mask) and np.array_equal(a.compressed(), b.compressed())
    return bool(np.all(a == b))


def same(a, b):
    """Equal and of the same types; NaN is NaN and -0.0 is not 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return repr(a) == repr(b)
    if isinstance(a, np.ndarray):
        return _same_array(a, b)
    if isinstance(a, (pd.DataFrame, pd.Series)):
        return a.equals(b) and a.index.equals(b.index)
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b
