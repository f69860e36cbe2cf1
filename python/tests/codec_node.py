"""Programs for test_codec: codec_node.py hostile FOLDER, or plain FOLDER. And their actors."""

import asyncio
import os
import sys

import _xo
import xoscar as xo
from actors import Echo

MARK = os.path.join(sys.argv[2], "unpickled") if len(sys.argv) > 2 else ""


class Bomb:
    """Whoever unpickles it makes a file."""

    def __reduce__(self):
        return open, (MARK, "w")


class BombError(Exception):
    __reduce__ = Bomb.__reduce__


class Hostile(xo.Actor):
    """Lives in a pool that sends pickles."""

    def bomb(self):
        return Bomb()

    def in_tuple(self):
        return (1, {"k": [Bomb()]})

    def fail(self):
        raise BombError("boom")

    @xo.generator
    def stream(self):
        yield [Bomb()]


class Victim(xo.Actor):
    """Lives in a pool that refuses them."""

    def __init__(self, tag=None):
        self.count = 0

    def note(self, value=None):
        self.count += 1

    def count_notes(self):
        return self.count

    async def ask(self, ref, method):
        try:
            return repr(await getattr(ref, method)())
        except Exception as e:
            return f"{type(e).__name__}: {e}"

    async def consume(self, ref):
        try:
            return [item async for item in await ref.stream()]
        except Exception as e:
            return f"{type(e).__name__}: {e}"


class Raiser(xo.Actor):
    def key(self):
        return {}["k"]

    def value(self):
        raise ValueError("no")

    def gone(self):
        raise xo.ActorNotExist("none")

    def own(self):
        raise BombError("mine")

    def plain(self):
        return object()

    def array(self):
        return bytes(1 << 20)


async def refused(awaitable):
    """The text of the PickleRefused that it raises."""
    try:
        got = await awaitable
    except xo.PickleRefused as e:
        assert isinstance(e, TypeError) and "codec = msgpack" in str(e), e
        return str(e)
    raise AssertionError(f"not refused: {got!r}")


async def hostile():
    assert not _xo.refuses_pickle() and _xo.run_dir()  # what this process is from now on
    os.environ["XO_CODEC"] = "msgpack"  # for the node and its pools
    weaker = [{"XO_CODEC": "pickle"}]
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, envs=weaker)
    config = await xo.get_pool_config(pool.external_address)
    other = config.get_external_addresses()[1]
    await refused(xo.create_actor(Victim, address=other))
    await refused(xo.create_actor(Victim, Bomb(), address=other))
    await refused(xo.create_actor(Victim, tag=Bomb(), address=other))
    victim = await xo.create_actor("codec_node:Victim", address=other)
    await refused(victim.note(Bomb()))
    await refused(victim.note(value=(1, [Bomb()])))
    await refused(victim.note(bytearray(1 << 20)))  # with buffers beside it
    await refused(victim.note.batch(victim.note.delay(1), victim.note.delay(Bomb())))
    await victim.note.tell(Bomb())
    await victim.note(1)
    assert await victim.count_notes() == 1
    mine = await xo.create_actor(Hostile, address=pool.external_address)
    for method in ("bomb", "in_tuple"):
        assert (await victim.ask(mine, method)).startswith("PickleRefused: "), method
    assert "BombError: boom" in await victim.ask(mine, "fail")
    assert (await victim.consume(mine)).startswith("PickleRefused: ")
    raiser = await xo.create_actor("codec_node:Raiser", address=other)
    await refused(raiser.plain())
    assert not os.path.exists(MARK)
    lanes = _xo.lane_totals()
    await pool.stop()
    print("lanes", *sorted(lanes))


async def plain():
    assert _xo.refuses_pickle()
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2)
    config = await xo.get_pool_config(pool.external_address)
    other = config.get_external_addresses()[1]
    tag = (1, {"k": {2}}, b"x", 2**70, 1.5, None)
    echo = await xo.create_actor(Echo, tag=tag, uid="echo", address=other)
    assert await echo.tagged() == tag
    assert await (await xo.actor_ref(other, "echo")).me() == echo
    assert await echo.echo([echo, tag]) == [echo, tag]
    assert await echo.echo.batch(echo.echo.delay(1), echo.echo.delay("b")) == [1, "b"]
    text = await refused(echo.echo({"k": [1, object()]}))
    assert text.startswith("builtins.object (at [0][0]['k'][1]) would need a pickle"), text
    once = [1]
    assert "twice" in await refused(echo.echo([once, once]))
    assert "codec_node.Bomb" in await refused(echo.note.tell(Bomb()))
    assert "codec_node.Bomb" in await refused(xo.create_actor(Echo, Bomb(), address=other))

    class Inner(xo.Actor):
        pass

    assert "Inner" in await refused(xo.create_actor(Inner, address=other))
    raiser = await xo.create_actor("codec_node:Raiser", address=other)
    assert len(await raiser.array()) == 1 << 20
    assert "builtins.object" in await refused(raiser.plain())
    for method, cls, said in (
        ("key", KeyError, "'k'"),
        ("value", ValueError, "no"),
        ("gone", xo.ActorNotExist, "none"),
        ("own", RuntimeError, "BombError: mine"),
    ):
        try:
            raise AssertionError(await getattr(raiser, method)())
        except cls as e:
            assert type(e).__name__ == cls.__name__ and said in str(e), (e, method)
            assert f"in {method}" in f"{e}{e.__cause__}"
    here = await xo.create_actor(Echo, address=pool.external_address)
    thing = object()
    assert await here.echo(thing) is thing  # it does not leave the process
    assert not os.path.exists(MARK)
    await pool.stop()
    print("done")


if __name__ == "__main__":
    sys.modules["codec_node"] = sys.modules["__main__"]
    for _class in (Bomb, BombError, Hostile, Raiser, Victim):
        _class.__module__ = "codec_node"
    asyncio.run({"hostile": hostile, "plain": plain}[sys.argv[1]]())
