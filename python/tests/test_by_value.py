"""Modules that were given to cloudpickle.register_pickle_by_value."""

import subprocess
import sys
import types

import cloudpickle
import pytest

import xoscar as xo
from actors import DEADLINE_S, Echo, make

TEXT = """
import xoscar as xo

FACTOR = 2

class Value:
    def __init__(self, x):
        self.x = x

    def times(self):
        return self.x * FACTOR

class Actor(xo.Actor):
    def times(self, x):
        return Value(x).times()
"""


def add_module(name):
    module = types.ModuleType(name)
    exec(TEXT, vars(module))
    sys.modules[name] = module
    return module


@pytest.fixture(params=["only_here", "only_here.below"])
def module(request):
    """One that no other process could import, and that is registered, or the one above it."""
    top, module = add_module("only_here"), add_module(request.param)
    if request.param == "only_here":
        top = module
    cloudpickle.register_pickle_by_value(top)
    yield module
    cloudpickle.unregister_pickle_by_value(top)
    for name in {"only_here", request.param}:
        del sys.modules[name]


class Uses(xo.Actor):
    def times(self, values):
        return [value.times() for value in values]


def test_values(node, module):
    run, addresses = node

    async def use():
        uses, echo = await make(Uses, addresses[1]), await make(Echo, addresses[1])
        assert await uses.times([module.Value(1), module.Value(2)]) == [2, 4]
        assert type(await echo.echo(module.Value(1))) is module.Value
        assert (await echo.echo({"class": module.Value}))["class"] is module.Value

    run(use())


def test_actor_classes(node, module):
    run, addresses = node

    async def use():
        ref = await make(module.Actor, addresses[1])
        assert await ref.times(3) == 6
        module.FACTOR = 5  # what the class uses has changed
        ref = await make(module.Actor, addresses[1])
        assert await ref.times(3) == 15

    run(use())


def test_one_that_is_unregistered_goes_by_name(node, module):
    run, addresses = node

    async def use():
        echo = await make(Echo, addresses[1])
        top = sys.modules["only_here"]
        cloudpickle.unregister_pickle_by_value(top)
        try:
            with pytest.raises(xo.SendMessageFailed, match="only_here"):
                await echo.echo(module.Value(1))
        finally:
            cloudpickle.register_pickle_by_value(top)

    run(use())


def test_cloudpickle_is_imported_only_when_it_is_needed():
    program = "import sys; from xoscar import _pickle; _pickle.dumps({1}); print(*sys.modules)"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE_S)
    assert "xoscar._pickle" in ran.stdout and "cloudpickle" not in ran.stdout
