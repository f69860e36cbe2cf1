"""References: what they are, where they come from, what they compare to."""

import asyncio
import copy
import pickle
import weakref

import pytest

import xoscar as xo
from actors import Echo, in_each_pool, make, until


class Keeper(xo.Actor):
    """Keeps values under references."""

    def __init__(self):
        self.kept = {}

    def keep(self, ref, value):
        self.kept[ref] = value

    def get(self, ref):
        return self.kept.get(ref), ref in {ref: 1, self.ref(): 2}

    async def local_types(self):
        own = await xo.actor_ref(self.ref())
        assert type(self.ref()) is xo.LocalActorRef
        new = await xo.create_actor(Echo)
        at = await xo.create_actor(Echo, address=self.address, uid="beside the keeper")
        again = await xo.actor_ref(self.address, "beside the keeper")
        names = [type(ref).__name__ for ref in (own, new, at, again)]
        try:
            new.no_such_method
        except AttributeError as e:
            names.append(str(e))
        await new.destroy()
        await at.destroy()
        return names


@in_each_pool
async def test_in_its_own_pool_a_reference_is_local(address):
    ref = await make(Keeper, address)
    refusal = "Echo has no method 'no_such_method'"
    assert await ref.local_types() == ["LocalActorRef"] * 4 + [refusal]
    assert issubclass(xo.LocalActorRef, xo.ActorRef) and isinstance(ref, xo.ActorRef)


class Evaluated(xo.Actor):
    evaluated = 0

    @property
    def prop(self):
        self.evaluated += 1
        return lambda: self.evaluated

    def __getattr__(self, name):
        if name == "broken":
            raise ZeroDivisionError("in __getattr__")
        raise AttributeError(name)


@in_each_pool
async def test_looking_a_method_up_runs_nothing(address):
    ref = await make(Evaluated, address)
    ref.prop, ref.prop, ref.prop
    assert await ref.prop() == 1
    with pytest.raises(ZeroDivisionError):
        await ref.broken()


@in_each_pool
async def test_references_compare_and_hash_by_address_and_uid(address):
    ref = await xo.create_actor(Echo, address=address, uid="compared")
    same = xo.ActorRef(address, "compared")
    local = xo.LocalActorRef(address, b"compared")
    assert ref == same == local and hash(ref) == hash(same) == hash(local)
    assert len({ref, same, local}) == 1
    for other in (xo.ActorRef(address, "other"), xo.ActorRef("127.0.0.1:1", "compared")):
        assert ref != other and hash(ref) != hash(other)
    assert ref != "compared" and ref != (address, b"compared") and not ref == None  # noqa: E711
    with pytest.raises(TypeError):
        ref < same
    assert copy.copy(ref) is ref and copy.deepcopy([ref])[0] is ref
    assert weakref.ref(ref)() is ref
    assert "compared" in repr(ref) and address in repr(ref)
    with pytest.raises(AttributeError):
        ref.uid = b"x"
    await ref.destroy()


@in_each_pool
async def test_references_pickle_small(address):
    uid = "x" * 255
    ref = await xo.create_actor(Echo, address=address, uid=uid)
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(ref, protocol)
        assert len(data) <= len(address) + len(uid) + 64
        assert pickle.loads(data) == ref
    await ref.destroy()


def test_references_are_keys_in_other_processes(node):
    run, addresses = node

    async def use():
        keeper = await make(Keeper, addresses[1])
        refs = [await make(Echo, address) for address in addresses]
        for number, ref in enumerate(refs):
            await keeper.keep(ref, number)
        for number, ref in enumerate(refs):
            assert await keeper.get(ref) == (number, True)
            assert await keeper.get(xo.ActorRef(ref.address, ref.uid)) == (number, True)
        back = await refs[0].echo({refs[1]: [refs[2]]})
        assert back == {refs[1]: [refs[2]]} and await back[refs[1]][0].echo(1) == 1
        assert await (await refs[2].echo(refs[1])).echo(2) == 2

    run(use())


@in_each_pool
async def test_a_reference_outlives_its_actor(address):
    ref = await xo.create_actor(Echo, "first", address=address, uid="again")
    method = ref.tagged
    assert await method() == "first"
    assert await xo.has_actor(ref)
    await ref.destroy()
    assert not await xo.has_actor(ref)
    for call in (ref.tagged(), ref.tagged.batch(ref.tagged.delay()), xo.destroy_actor(ref)):
        with pytest.raises(xo.ActorNotExist):
            await call
    await xo.create_actor(Echo, "second", address=address, uid="again")
    assert await method() == "second" and await xo.has_actor(ref)
    await xo.destroy_actor(ref)


@in_each_pool
async def test_all_ways_to_ask_for_a_reference(address):
    ref = await xo.create_actor(Echo, address=address, uid="asked for")
    for found in (
        xo.actor_ref(address, "asked for"),
        xo.actor_ref(address, b"asked for"),
        xo.actor_ref("asked for", address=address),
        xo.actor_ref(uid="asked for", address=address),
        xo.actor_ref(address, uid="asked for"),
        xo.actor_ref(ref),
        xo.actor_ref("asked for"),
    ):
        assert await found == ref
    for uid in (5, None, 1.5, ["asked for"], "", b"", "x" * 256, "ä" * 128):
        with pytest.raises(ValueError, match="uid"):
            await xo.actor_ref(address, uid)
        if uid is not None:
            with pytest.raises(ValueError, match="uid"):
                await xo.create_actor(Echo, address=address, uid=uid)
        with pytest.raises(ValueError, match="uid"):
            xo.ActorRef(address, uid)
    for wrong in (lambda: xo.actor_ref(), lambda: xo.actor_ref(1, 2, 3)):
        with pytest.raises(TypeError):
            await wrong()
    await ref.destroy()


@in_each_pool
async def test_what_is_no_reference(address):
    for function in (xo.has_actor, xo.destroy_actor):
        for wrong in (5, None, "uid"):
            with pytest.raises(TypeError, match="ActorRef"):
                await function(wrong)


def test_each_pool_finds_the_actors_of_the_others(node):
    run, addresses = node

    async def use():
        finder = [await make(Finder, address) for address in addresses]
        for home in addresses:
            ref = await xo.create_actor(Echo, address=home, uid="hidden")
            for asked in addresses:
                assert await xo.actor_ref(asked, "hidden") == ref
                for f in finder:
                    assert await f.find(asked, "hidden") == ref
            await ref.destroy()
            for asked in addresses:
                with pytest.raises(xo.ActorNotExist):
                    await xo.actor_ref(asked, "hidden")

    run(use())


class Finder(xo.Actor):
    async def find(self, address, uid):
        return await xo.actor_ref(address, uid)


# ---- tells, delays, options ----


@in_each_pool
async def test_tells_with_a_delay(address):
    ref = await make(Echo, address)
    later = ref.note.tell_delay("later", delay=0.01)
    assert asyncio.isfuture(later)
    await ref.note.tell_delay("now", delay=0)
    await ref.note.tell_delay("too")
    await until(ref.noted, lambda noted: noted == ["now", "too", "later"])
    await later
    for wrong in ("1", -1, float("nan"), [1]):
        with pytest.raises((TypeError, ValueError)):
            ref.note.tell_delay("never", delay=wrong)


@in_each_pool
async def test_options(address):
    ref = await make(Echo, address)
    method = ref.echo.options(timeout=60, idempotent=True)
    assert await method(1) == 1 and await method.send(2) == 2
    assert await method.batch(method.delay(3), ref.echo.delay(4)) == [3, 4]
    await ref.note.options(timeout=60).tell(5)
    assert await ref.noted() == [5]
    for wrong in ({"nosuch": 1}, {"timeout": "1"}, {"time": 1}):
        with pytest.raises(TypeError):
            ref.echo.options(**wrong)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timeout"):
            ref.echo.options(timeout=wrong)


@pytest.mark.parametrize(
    "address", ["nonsense", "", "127.0.0.1", "127.0.0.1:0", "host:port", "two words:1"]
)
async def test_what_is_no_address(address):
    for make_one in (xo.ActorRef, xo.LocalActorRef, xo.create_actor_ref):
        with pytest.raises(ValueError, match="address"):
            make_one(address, "uid")
    for use in (
        lambda: xo.create_actor(Echo, address=address),
        lambda: xo.actor_ref(address, "uid"),
        lambda: xo.get_pool_config(address),
        lambda: xo.list_pools(address),
        lambda: xo.wait_actor_pool_recovered(address),
        lambda: xo.wait_actor_pool_recovered("127.0.0.1:1", address),
    ):
        with pytest.raises(ValueError, match="address"):
            await use()


async def test_what_is_no_address_of_any_kind():
    for use in (
        lambda: xo.create_actor(Echo, address=5),
        lambda: xo.actor_ref(5, "uid"),
        lambda: xo.wait_actor_pool_recovered(5),
    ):
        with pytest.raises(ValueError, match='an address is a str, "host:port", not 5'):
            await use()


def test_endpoints_are_addresses():
    assert xo.ActorRef("ipc:///run/xo/1", "uid").address == "ipc:///run/xo/1"
