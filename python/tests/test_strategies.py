"""Where a new actor goes: the allocation strategies."""

import asyncio
import os
import signal

import pytest

import xoscar as xo
from actors import Echo, Gate, until
from xoscar.backends import allocate_strategy as strategy


async def make(labels, **options):
    count = len(labels) - 1
    return await xo.create_actor_pool("127.0.0.1", n_process=count, labels=labels, **options)


async def addresses_of(pool):
    return (await xo.get_pool_config(pool.external_address)).get_external_addresses()


async def where(address, choice, **options):
    ref = await xo.create_actor(Echo, address=address, allocate_strategy=choice, **options)
    return ref.address


class Fails(xo.Actor):
    def __init__(self):
        raise KeyError("not today")


class Held(xo.Actor):
    """Is created once the gate is open."""

    def __init__(self, gate):
        self.gate = gate

    async def __post_create__(self):
        await self.gate.hold("creation")


class Creator(xo.Actor):
    """Creates actors from another process."""

    async def create(self, address, choice, count):
        async def one():
            try:
                return await where(address, choice)
            except xo.errors.NoIdleSlot:
                return None

        return await asyncio.gather(*[one() for _ in range(count)])


# ---- by the node's configuration ----


async def test_the_ones_that_choose_a_pool():
    async with await make(["m", "a", "a", "b"]) as pool:
        main, one, two, three = await addresses_of(pool)
        for asked in (main, two):
            assert await where(asked, strategy.MainPool()) == main
            assert await where(asked, strategy.AddressSpecified(two)) == two
            assert await where(asked, strategy.ProcessIndex(process_index=0)) == main
            assert await where(asked, strategy.ProcessIndex(3)) == three
            assert await where(asked, strategy.ProcessIndex(-1)) == three
            assert await where(asked, strategy.RandomLabel("b")) == three
            for _ in range(5):
                assert await where(asked, strategy.RandomLabel("a")) in (one, two)
                assert await where(asked, strategy.RandomSubPool()) in (one, two, three)
                assert await where(asked, strategy.Random()) in (main, one, two, three)
        assert await where(None, strategy.ProcessIndex(1)) == one  # this process's node


async def test_random_ones_reach_every_pool():
    async with await make(["m", "a", "a"]) as pool:
        main, *subs = await addresses_of(pool)
        config = await xo.get_pool_config(main)
        for choice, reachable in [
            (strategy.Random(), {main, *subs}),
            (strategy.RandomSubPool(), set(subs)),
            (strategy.RandomLabel("a"), set(subs)),
            (strategy.RandomLabel(None), {main, *subs}),
        ]:
            assert {choice._choose(config) for _ in range(200)} == reachable


async def test_pools_that_are_not_there():
    async with await make(["m"]) as pool:
        main = pool.external_address
        for choice in [
            strategy.RandomLabel("nobody's"),
            strategy.RandomSubPool(),
            strategy.ProcessIndex(1),
            strategy.ProcessIndex(-2),
        ]:
            with pytest.raises(IndexError, match="the node has"):
                await where(main, choice)
        with pytest.raises(xo.ServerClosed):
            await where(main, strategy.AddressSpecified("127.0.0.1:1"))


async def test_what_is_no_strategy():
    async with await make(["m"]) as pool:
        with pytest.raises(TypeError, match="allocate_strategy is one of"):
            await where(pool.external_address, "a")
        with pytest.raises(TypeError, match="two strings"):
            strategy.IdleLabel("a", 1)
        with pytest.raises(TypeError, match="reference"):
            strategy.Near(pool.external_address)


async def test_one_of_one_s_own():
    class Last(strategy.AllocateStrategy):
        async def get_allocated_address(self, address):
            return (await xo.get_pool_config(address)).get_external_addresses()[-1]

    async with await make(["m", "a"]) as pool:
        assert await where(pool.external_address, Last()) == (await addresses_of(pool))[1]


# ---- IdleLabel ----


async def test_idle_label_takes_each_pool_once():
    async with await make(["m", "a", "a"]) as pool:
        main, one, two = await addresses_of(pool)
        assert await where(main, strategy.IdleLabel("a", "x")) == one
        assert await where(two, strategy.IdleLabel("a", "x")) == two
        with pytest.raises(xo.errors.NoIdleSlot, match="'a'.*'x'"):
            await where(main, strategy.IdleLabel("a", "x"))
        assert await where(main, strategy.IdleLabel("a", "y")) == one
        with pytest.raises(xo.errors.NoIdleSlot):
            await where(main, strategy.IdleLabel("nobody's", "x"))
        got = [await where(main, strategy.IdleLabel(None, "x")) for _ in range(3)]
        assert got == [main, one, two]
        with pytest.raises(xo.errors.NoIdleSlot):
            await where(main, strategy.IdleLabel(None, "x"))


async def test_a_slot_is_idle_again_when_its_actor_is_destroyed():
    async with await make(["m", "a"]) as pool:
        main, one = await addresses_of(pool)
        choice = strategy.IdleLabel("a", "x")
        for _ in range(20):  # at once: the pool's news of the end may be on their way
            ref = await xo.create_actor(Echo, address=main, allocate_strategy=choice)
            assert ref.address == one
            await ref.destroy()


async def test_a_slot_is_given_back_when_the_creation_fails():
    async with await make(["m", "a"]) as pool:
        main, one = await addresses_of(pool)
        choice = strategy.IdleLabel("a", "x")
        with pytest.raises(KeyError, match="not today"):
            await xo.create_actor(Fails, address=main, allocate_strategy=choice)
        assert await where(main, choice, uid="one") == one
        with pytest.raises(xo.ActorAlreadyExist):
            await where(main, strategy.IdleLabel("a", "y"), uid="one")
        assert await where(main, strategy.IdleLabel("a", "y"), uid="two") == one
        with pytest.raises(xo.errors.NoIdleSlot):  # that of the actor that is there is its own
            await where(main, choice)


@pytest.mark.parametrize("end", ["created", "cancelled"])
async def test_a_slot_is_taken_while_its_actor_is_created(end):
    async with await make(["m", "a"]) as pool:
        main, one = await addresses_of(pool)
        choice = strategy.IdleLabel("a", "x")
        gate = await xo.create_actor(Gate, address=main)
        options = {"address": main, "allocate_strategy": choice}
        creation = asyncio.ensure_future(xo.create_actor(Held, gate, **options))
        while await gate.log() != ["creation in"]:
            pass
        with pytest.raises(xo.errors.NoIdleSlot):
            await where(main, choice)
        if end == "created":
            await gate.open()
            assert (await creation).address == one
            with pytest.raises(xo.errors.NoIdleSlot):
                await where(main, choice)
        else:
            creation.cancel()
            with pytest.raises(asyncio.CancelledError):
                await creation
            assert await where(main, choice) == one


async def test_the_broker_refuses_what_is_no_place():
    async with await make(["m"]) as pool:
        broker = xo.ActorRef(pool.external_address, b"xo.broker")
        take, free = getattr(broker, "place.take"), getattr(broker, "place.free")
        for wrong, match in [
            ((b"u", "most", "", ""), "most"),
            ((b"", "idle", "", ""), "a uid has"),
            ((b"u" * 256, "idle", "", ""), "a uid has"),
            ((b"u", "idle", "l" * 64, ""), "a label has"),
            ((b"u", "idle", "", "m" * 256), "a mark at most"),
            ((b"u", "idle", 1, ""), "expected"),
            ((b"u", "idle"), "takes"),
        ]:
            with pytest.raises(ValueError, match=match):
                await take(*wrong)
        with pytest.raises(ValueError, match="takes"):
            await free(b"u", "idle", "", "")
        assert await free(b"u", "idle", "", "", "127.0.0.1:1") is None


async def test_a_slot_goes_with_its_pool_and_a_new_pool_brings_one():
    async with await make(["m", "a"]) as pool:
        main, one = await addresses_of(pool)
        choice = strategy.IdleLabel("a", "x")
        assert await where(main, choice) == one
        late = await pool.append_sub_pool(label="a")
        assert await where(main, choice) == late
        await pool.remove_sub_pool(one)
        with pytest.raises(xo.errors.NoIdleSlot):
            await where(main, choice)


async def test_a_slot_stays_while_its_actor_recovers():
    back = asyncio.Event()
    options = {"auto_recover": "actor", "on_process_recover": lambda pool, address: back.set()}
    async with await make(["m", "a"], **options) as pool:
        main, one = await addresses_of(pool)
        choice = strategy.IdleLabel("a", "x")
        ref = await xo.create_actor(Echo, uid="it", address=main, allocate_strategy=choice)
        pool.sub_processes[one].kill()
        await back.wait()
        assert await ref.echo(1) == 1
        with pytest.raises(xo.errors.NoIdleSlot):
            await where(main, choice)


async def test_a_slot_is_idle_after_a_restart_without_actors():
    back = asyncio.Event()
    options = {"auto_recover": "process", "on_process_recover": lambda pool, address: back.set()}
    async with await make(["m", "a"], **options) as pool:
        main, one = await addresses_of(pool)
        choice = strategy.IdleLabel("a", "x")
        assert await where(main, choice) == one
        pool.sub_processes[one].kill()
        await back.wait()
        assert await where(main, choice) == one


async def test_idle_label_from_several_processes_at_once():
    labels = ["m", "c", "c", *["a"] * 4]
    async with await make(labels) as pool:
        main, *others = await addresses_of(pool)
        creators = [await xo.create_actor(Creator, address=a) for a in (main, *others[:2])]
        choice = strategy.IdleLabel("a", "x")
        got = sum(await asyncio.gather(*[c.create(main, choice, 5) for c in creators]), [])
        assert sorted(a for a in got if a) == sorted(others[2:])
        assert got.count(None) == 15 - 4


# ---- ours ----


async def test_least_loaded_counts_also_at_once():
    async with await make(["m", "a", "a"]) as pool:
        main, one, two = await addresses_of(pool)
        await xo.create_actor(Echo, address=main)
        choice = strategy.LeastLoaded()
        got = await asyncio.gather(*[where(main, choice) for _ in range(5)])
        assert sorted(got) == sorted([main, one, one, two, two])
        assert await where(main, strategy.LeastLoaded("a")) in (one, two)
        with pytest.raises(xo.errors.NoFreeSlot, match="nobody's"):
            await where(main, strategy.LeastLoaded("nobody's"))
        assert await choice.get_allocated_address(main) in (main, one, two)


async def test_gpu_finds_the_pools_that_have_one(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    masks = ["0", "1,2", "-1"]
    envs = [{"CUDA_VISIBLE_DEVICES": mask} for mask in masks]
    async with await make(["m", "a", "a", "a"], envs=envs) as pool:
        main, one, two, three = await addresses_of(pool)
        assert await where(main, strategy.GPU(0)) == one
        assert await where(main, strategy.GPU(index=2)) == two
        assert await where(three, strategy.GPU("1")) == two
        await xo.create_actor(Echo, address=two)
        assert await where(main, strategy.GPU()) == one
        with pytest.raises(xo.errors.NoFreeSlot, match="GPU 7"):
            await where(main, strategy.GPU(7))


async def test_a_suspect_pool_is_taken_where_no_other_is_left(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    envs = [{"CUDA_VISIBLE_DEVICES": "0"}] * 2
    async with await make(["m", "a", "a"], envs=envs) as pool:
        main, one, two = await addresses_of(pool)
        broker = xo.ActorRef(main, b"xo.broker")
        pids = {r["address"]: r["pid"] for r in await broker.pools()}

        async def suspects():
            return [r["address"] for r in await broker.pools() if r["state"] == "suspect"]

        os.kill(pids[one], signal.SIGSTOP)
        try:
            while await suspects() != [one]:
                await asyncio.sleep(0.05)
            assert await strategy.GPU().get_allocated_address(main) == two
            await pool.remove_sub_pool(two)
            assert await strategy.GPU().get_allocated_address(main) == one
        finally:
            os.kill(pids[one], signal.SIGCONT)


async def test_gpu_where_nobody_has_one(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    async with await make(["m"]) as pool:
        with pytest.raises(xo.errors.NoFreeSlot, match="CUDA_VISIBLE_DEVICES"):
            await where(pool.external_address, strategy.GPU())


async def test_node():
    async with await make(["m", "a"]) as pool:
        main, one = await addresses_of(pool)
        (node,) = {r["node"] for r in await xo.ActorRef(main, b"xo.broker").pools()}
        await xo.create_actor(Echo, address=main)
        assert await where(main, strategy.Node(node)) == one
        await xo.create_actor(Echo, address=one)
        assert await where(one, strategy.Node(main)) == main
        with pytest.raises(xo.errors.NoFreeSlot, match="0123456789abcdef"):
            await where(main, strategy.Node("0123456789abcdef"))


async def test_near_is_the_node_of_the_actor():
    async with await make(["m", "a", "a"]) as near, await make(["m"]) as far:
        main, one, two = await addresses_of(near)
        ref = await xo.create_actor(Gate, address=one)
        await xo.create_actor(Echo, address=main)
        # Pools tell the broker of actors without waiting for it.
        await until(xo.list_actors, lambda actors: {main, one} <= {a.address for a in actors})
        assert await where(far.external_address, strategy.Near(ref)) == two
        alone = await xo.create_actor(Echo, address=far.external_address)
        assert await where(main, strategy.Near(alone)) == far.external_address


async def test_near_prefers_the_numa_node(monkeypatch):
    from xoscar.backends import config

    def record(index, numa):
        fields = {"index": index, "address": f"h:{index}", "numa": numa, "actors": 10 - index}
        return {**fields, "state": "ready", "language": "python", "node": "n"}

    async def records(address):
        return {i: record(i, numa) for i, numa in enumerate([0, 1, 1, 0])}

    monkeypatch.setattr(config, "node_records", records)
    near = strategy.Near(xo.ActorRef("h:1", b"x"))
    assert await near.get_allocated_address("h:0") == "h:2"


@pytest.mark.skipif(not os.path.exists("/sys/devices/system/node/node0"), reason="no NUMA nodes")
async def test_pools_say_on_which_numa_node_they_are():
    async with await make(["m", "a"]) as pool:
        records = await xo.ActorRef(pool.external_address, b"xo.broker").pools()
        assert {type(r["numa"]) for r in records} == {int}


async def test_strategies_say_what_they_are():
    assert repr(strategy.IdleLabel("a", "b")) == "IdleLabel(label='a', mark='b')"


@pytest.mark.parametrize(
    "make_one,error,match",
    [
        (lambda: strategy.AddressSpecified("nonsense"), ValueError, "host:port.*'nonsense'"),
        (lambda: strategy.AddressSpecified(5), ValueError, "host:port.*5"),
        (lambda: strategy.ProcessIndex("a"), TypeError, "pool's index.*int.*'a'"),
        (lambda: strategy.ProcessIndex(True), TypeError, "pool's index.*int.*True"),
        (lambda: strategy.RandomLabel(5), TypeError, "label.*str or None.*5"),
        (lambda: strategy.LeastLoaded(5), TypeError, "label.*str or None.*5"),
        (lambda: strategy.GPU(1.5), TypeError, "GPU.*int or str or None.*1.5"),
        (lambda: strategy.Node(5), TypeError, "node's id.*str.*5"),
    ],
)
def test_what_can_be_no_strategy(make_one, error, match):
    with pytest.raises(error, match=match):
        make_one()


def test_indexes_are_any_library_s():
    class Index:
        def __index__(self):
            return 1

    assert strategy.ProcessIndex(Index()).process_index == 1 and strategy.GPU(Index()).index == 1
