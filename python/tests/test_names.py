"""actor_ref(uid) and names across nodes: two nodes of this process on one Redis."""

import asyncio
import shutil
import signal

import pytest
import xoscar as xo
from actors import until

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server")


class Counter(xo.Actor):
    value = 0

    def add(self, by):
        self.value += by
        return self.value


async def two_nodes():
    nodes = [await xo.create_actor_pool("127.0.0.1", n_process=1) for _ in range(2)]
    await until(xo.list_nodes, lambda known: len(known) == 2)
    return nodes, [node.external_address for node in nodes]


async def find(uid):
    """As soon as the registry has been told: a creator of the same node does not wait for that."""
    while True:
        try:
            return await xo.actor_ref(uid)
        except xo.ActorNotExist:
            pass  # the registry is asked anew


async def create(uid, address):
    """As soon as the name, if it is one, has been given back."""
    while True:
        try:
            return await xo.create_actor(Counter, uid=uid, address=address)
        except xo.ActorAlreadyExist:
            pass  # as above


async def test_a_uid_alone_finds_actors_of_other_nodes(redis):
    nodes, (_, there) = await two_nodes()
    for uid in ("plain", b"\xff bytes"):
        made = await xo.create_actor(Counter, uid=uid, address=there)
        assert await find(uid) == made
        assert await (await xo.actor_ref(uid=uid)).add(1) == 1
        await xo.destroy_actor(made)
        with pytest.raises(xo.ActorNotExist):
            await xo.actor_ref(uid)
    for node in nodes:
        await node.stop()


async def test_what_was_created_on_another_node_is_found_at_once(redis):
    nodes, _ = await two_nodes()
    (there,) = nodes[1].sub_processes  # in a process of its own
    for uid in [f"{prefix}{i}" for i in range(20) for prefix in ("plain", "xo:")]:
        made = await xo.create_actor(Counter, uid=uid, address=there)
        assert await xo.actor_ref(uid) == made
    for node in nodes:
        await node.stop()


async def test_a_uid_of_two_nodes_names_neither(redis):
    nodes, addresses = await two_nodes()
    for address in addresses:
        await xo.create_actor(Counter, uid="both", address=address)
    await until(xo.list_actors, lambda known: [a.uid for a in known].count(b"both") == 2)
    with pytest.raises(xo.errors.XoscarError) as caught:
        await xo.actor_ref("both")
    assert all(address in str(caught.value) for address in addresses)
    for node in nodes:
        await node.stop()


async def test_of_two_that_create_a_name_one_does(redis):
    nodes, addresses = await two_nodes()
    for i in range(10):
        uid = f"xo:one {i}"
        made = await asyncio.gather(
            *(xo.create_actor(Counter, uid=uid, address=address) for address in addresses),
            return_exceptions=True,
        )
        (ref,) = [one for one in made if not isinstance(one, Exception)]
        (error,) = [one for one in made if isinstance(one, Exception)]
        assert isinstance(error, xo.ActorAlreadyExist) and uid in str(error)
        assert await find(uid) == ref
    for node in nodes:
        await node.stop()


async def test_what_is_sent_to_a_name_that_is_being_taken_waits(redis):
    nodes, (here, _) = await two_nodes()
    creation = asyncio.ensure_future(xo.create_actor(Counter, uid="xo:soon", address=here))
    await asyncio.sleep(0)
    assert await xo.create_actor_ref(here, "xo:soon").add(2) == 2
    assert (await creation).uid == b"xo:soon"
    for node in nodes:
        await node.stop()


async def test_what_was_found_is_found_without_redis(redis):
    nodes, (here, there) = await two_nodes()
    for uid in ("known", "xo:known"):
        made = await xo.create_actor(Counter, uid=uid, address=there)
        assert await find(uid) == made
    redis.send_signal(signal.SIGSTOP)
    for uid in ("known", "xo:known"):
        assert (await xo.wait_for(xo.actor_ref(uid), 3)).address == there
        # It is gone, and no event can say so: its pool refuses, and nobody knows more.
        await xo.destroy_actor(xo.create_actor_ref(there, uid))
        asking = asyncio.ensure_future(xo.actor_ref(uid))
        redis.send_signal(signal.SIGCONT)
        with pytest.raises(xo.ActorNotExist):
            await asking
        made = await create(uid, here)
        assert await find(uid) == made
        redis.send_signal(signal.SIGSTOP)
    redis.send_signal(signal.SIGCONT)
    for node in nodes:
        await node.stop()


async def test_who_moves_is_found_at_once(redis):
    nodes, addresses = await two_nodes()
    third = await xo.create_actor_pool("127.0.0.1", n_process=0)
    addresses = [addresses[1], third.external_address]
    for i in range(10):
        made = await create("xo:moves", addresses[i % 2])
        # The registry is told after the creator; what is remembered never names another actor.
        assert await find("xo:moves") == made
        assert await made.add(i) == i
        await xo.destroy_actor(made)
    for node in [*nodes, third]:
        await node.stop()
