"""The code blocks of the "APIs" section of xoscar's README, each as it stands there."""

import asyncio

import xoscar as xo

# ---- Define an actor ----


class MyActor(xo.Actor):
    def __init__(self, *args, **kwargs):
        self.created_with = args, kwargs
        self.hooks = []

    async def __post_create__(self):
        # called after created
        self.hooks.append("post_create")

    async def __pre_destroy__(self):
        # called before destroy
        if "witness" in self.created_with[1]:
            await self.created_with[1]["witness"].saw("pre_destroy")

    def method_a(self, arg_1, arg_2, **kw_1):  # user-defined function
        return "a", arg_1, arg_2, kw_1

    async def method_b(self, arg_1, arg_2, **kw_1):  # user-defined async function
        await asyncio.sleep(0)
        return "b", arg_1, arg_2, kw_1

    def what(self):
        return self.created_with, self.hooks


class Witness(xo.Actor):
    def __init__(self):
        self.what = []

    def saw(self, what):
        self.what.append(what)

    def all(self):
        return self.what


class ExampleActor(xo.Actor):
    @xo.extensible
    async def single_only(self, a, b=None):
        return a, b

    @xo.extensible
    async def batch_method(self, a, b=None):
        raise NotImplementedError  # this will redirect all requests to the batch version

    @batch_method.batch
    async def batch_method(self, args_list, kwargs_list):
        results = []
        for args, kwargs in zip(args_list, kwargs_list):
            a, b = self.batch_method.bind(*args, **kwargs)
            # process the request
            result = (len(args_list), a, b)
            results.append(result)
        return results  # return a list of results


async def test_create_reference_invoke_destroy():
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1)
    async with pool:
        config = await xo.get_pool_config(pool.external_address)
        for address in config.get_external_addresses():
            await use_an_actor(address)


async def use_an_actor(address):
    witness = await xo.create_actor(Witness, address=address, uid="witness")

    # Create an actor
    actor_ref = await xo.create_actor(
        MyActor, 1, 2, a=1, b=2, witness=witness, address=address, uid="UniqueActorName"
    )
    assert actor_ref.uid == b"UniqueActorName" and actor_ref.address == address

    # Get an actor reference
    actor_id = "UniqueActorName"
    actor_ref = await xo.actor_ref(address, actor_id)
    (args, kwargs), hooks = await actor_ref.what()
    assert args == (1, 2) and kwargs == {"a": 1, "b": 2, "witness": witness}
    assert hooks == ["post_create"]

    # Invoke a method: send
    expected = ("a", 1, 2, {"a": 1, "b": 2})
    assert await actor_ref.method_a.send(1, 2, a=1, b=2) == expected
    # equivalent to actor_ref.method_a.send
    assert await actor_ref.method_a(1, 2, a=1, b=2) == expected
    assert await actor_ref.method_b(1, 2, a=1) == ("b", 1, 2, {"a": 1})
    # tell, it sends a message asynchronously and does not wait for a response.
    await actor_ref.method_a.tell(1, 2, a=1, b=2)

    assert await xo.has_actor(actor_ref)
    await xo.destroy_actor(actor_ref)
    assert not await xo.has_actor(actor_ref)
    assert await witness.all() == ["pre_destroy"]
    await witness.destroy()
    assert not await xo.has_actor(witness)


async def test_batch_methods():
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1)
    async with pool:
        config = await xo.get_pool_config(pool.external_address)
        for address in config.get_external_addresses():
            await use_batches(address)


async def use_batches(address):
    await xo.create_actor(ExampleActor, uid="ExampleActor", address=address)

    # Invoke a batch method
    ref = await xo.actor_ref(uid="ExampleActor", address=address)
    results = await ref.batch_method.batch(
        ref.batch_method.delay(10, b=20),
        ref.batch_method.delay(20),
    )
    assert results == [(2, 10, 20), (2, 20, None)]
    assert await ref.batch_method(7) == (1, 7, None)

    results = await ref.single_only.batch(
        ref.single_only.delay(1), ref.single_only.delay(a=2, b=3)
    )
    assert results == [(1, None), (2, 3)]
    assert await ref.single_only(4, 5) == (4, 5)
    await xo.destroy_actor(ref)
