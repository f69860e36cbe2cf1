"""serialize and deserialize."""

import pickle

import pytest

import xoscar as xo
from xoscar.serialization import deserialize, serialize


@pytest.mark.parametrize("value", [None, 1, "a\ud800", [1, (2, {3})], {"k": b"x" * 100000}])
def test_round_trip(value):
    header, buffers = serialize(value)
    assert isinstance(header, tuple) and isinstance(buffers, list)
    back = deserialize(pickle.loads(pickle.dumps(header)), [bytes(b) for b in buffers])
    assert back == value and type(back) is type(value)


def test_identity_and_cycles():
    loop = [[]]
    loop.append(loop)
    loop.append(loop[0])
    back = deserialize(*serialize(loop))
    assert back[1] is back and back[2] is back[0]


def test_buffers_are_not_copied():
    np = pytest.importorskip("numpy")
    array = np.zeros((300, 500))
    header, buffers = serialize({"a": array, "small": np.arange(3)})
    assert len(header[0]) < 1000 and [b.nbytes for b in buffers] == [array.nbytes]
    array[1, 2] = 7
    back = deserialize(header, buffers)
    assert np.array_equal(back["a"], array) and back["small"].tolist() == [0, 1, 2]
    assert np.shares_memory(back["a"], array)
    fortran = np.asfortranarray(np.random.rand(300, 500))
    back = deserialize(*serialize(fortran))
    assert np.array_equal(back, fortran) and back.flags.f_contiguous


def test_errors():
    with pytest.raises(xo.SendMessageFailed, match="generator"):
        serialize(i for i in range(3))
    with pytest.raises(ValueError, match="header"):
        deserialize({}, [])
