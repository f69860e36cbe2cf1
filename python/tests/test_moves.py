"""Actors with the placement "any": callers find them where they are, when their node is gone."""

import asyncio
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest
import xoscar as xo
from actors import DEADLINE_S, node_files, until

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server")
ANY = xo.RestartPolicy(placement="any")


class Counter(xo.Actor):
    value = 0

    def add(self, by):
        self.value += by
        return self.value

    def where(self):
        return os.getpid()

    async def wait(self):
        await asyncio.Event().wait()


async def serve():
    """Another node, in a process of its own."""
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    ((address, sub_pool),) = node.sub_processes.items()
    print(address, sub_pool.pid, flush=True)
    await asyncio.Event().wait()  # until it is killed


@contextlib.contextmanager
def serving(*envs):
    """For each a process with a node, the address of its sub pool, and a pidfd of that."""
    script = "import asyncio, test_moves; asyncio.run(test_moves.serve())"
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    nodes = []
    with contextlib.ExitStack() as stack:
        for env in envs:
            process = subprocess.Popen(
                [sys.executable, "-c", script],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": path, **env},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            there, pid = process.stdout.readline().split()
            sub_pool = os.pidfd_open(int(pid))
            stack.callback(os.close, sub_pool)
            nodes.append((process, there, sub_pool))
        yield nodes
    end = time.monotonic() + DEADLINE_S
    while node_files() and time.monotonic() < end:  # what it leaves others remove
        time.sleep(0.01)


@pytest.fixture
def other(redis):
    with serving({}) as (one,):
        yield one


async def kill(process, sub_pool):
    """Kills the node's main process. Its pool answers until the broker has seen that."""
    process.kill()
    process.wait()
    ended, _, _ = await asyncio.to_thread(select.select, [sub_pool], [], [], DEADLINE_S)
    assert ended == [sub_pool]


def brokers():
    return {path for path in node_files() if path.endswith("broker.sock")}


async def drained(broker):
    command = ["xo", "drain", "--node", f"ipc://{broker}"]
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


@contextlib.asynccontextmanager
async def client_of(broker, script):
    """A program without pools. What is yielded has it do something, and returns what it says."""
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "XO_NODE": f"ipc://{broker}"},
    )

    async def ask():
        client.stdin.write(b"\n")
        return await asyncio.wait_for(client.stdout.readline(), DEADLINE_S)

    try:
        yield ask
    finally:
        client.stdin.close()
        await client.wait()


async def known(uid, address):
    def is_there(actors):
        return (uid, address) in [(actor.uid, actor.address) for actor in actors]

    await until(xo.list_actors, is_there)


async def test_references_follow(other):
    process, there, _ = other
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    ref = await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    again = await xo.create_actor(Counter, uid="xo:again", address=there, restart_policy=ANY)
    assert await ref.add(1) == 1 and await again.add(1) == 1
    await known(b"xo:job", there)
    await known(b"xo:again", there)
    under_way = asyncio.ensure_future(ref.wait())
    sent_again = asyncio.ensure_future(again.where.options(idempotent=True)())
    before = await sent_again
    process.kill()
    with pytest.raises(xo.ServerClosed):
        await under_way
    assert await ref.add(1) == 1  # it waits until the actor is there
    assert await again.where.options(idempotent=True)() != before
    assert await ref.add(1) == 2
    await ref.add.tell(1)
    assert await ref.add(1) == 4
    assert (await xo.actor_ref("xo:job")).address == list(node.sub_processes)[0]
    await node.stop()


CLIENT_ASKS = """
import asyncio, sys
import xoscar as xo

async def main():
    ref = await xo.actor_ref("xo:job")
    for line in sys.stdin:
        print(await xo.has_actor(ref), flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["drained", "killed"])
async def test_one_that_moves_exists(other, way):
    """Whoever asks, and wherever it was last; one that is nowhere does not."""
    process, there, sub_pool = other
    others = brokers()
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    (broker,) = brokers() - others
    ref = await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    await known(b"xo:job", there)
    asks = [
        ref,
        xo.create_actor_ref(node.external_address, "xo:job"),
        xo.create_actor_ref(list(node.sub_processes)[0], "xo:job"),
    ]
    async with client_of(broker, CLIENT_ASKS) as ask:
        assert await ask() == b"True\n"
        if way == "killed":
            await kill(process, sub_pool)
        else:
            (left,) = others
            await drained(left)
        answers = await asyncio.gather(*map(xo.has_actor, asks), ask(), return_exceptions=True)
        assert answers == [True] * 3 + [b"True\n"]
        assert await ref.add(1) == 1
        nobody = xo.create_actor_ref(node.external_address, "xo:nobody")
        assert not await xo.has_actor(nobody)
        await xo.destroy_actor(await xo.actor_ref("xo:job"))
        assert not await xo.has_actor(asks[2])
        if way == "drained":
            assert not await xo.has_actor(ref)
            assert await ask() == b"False\n"
    await node.stop()


async def test_who_has_sent_before_it_has_a_node_follows(other):
    """What it sends goes on coming from the same sender, for the order's sake."""
    process, there, sub_pool = other
    ref = await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    assert await ref.add(1) == 1
    await known(b"xo:job", there)
    await kill(process, sub_pool)
    assert await ref.add(1) == 1
    assert await (await xo.actor_ref("xo:job")).add(1) == 2
    await node.stop()


class Fragile(Counter):
    """Cannot be created again once there is a file."""

    def __init__(self, path):
        if os.path.exists(path):
            raise ValueError("there is a file")


async def test_who_looks_for_it_waits_too(other):
    """Whose node has died, or which waits: however it is looked for."""
    process, there, sub_pool = other
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    ref = await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    assert await ref.add(1) == 1
    await known(b"xo:job", there)
    await kill(process, sub_pool)
    finds = [
        xo.actor_ref("xo:job"),
        xo.actor_ref(uid="xo:job", address=there),
        xo.actor_ref("xo:job", address=node.external_address),
    ]
    found = await asyncio.gather(*finds)
    (home,) = node.sub_processes
    assert [each.address for each in found] == [home] * 3
    assert [await each.add(1) for each in found] == [1, 2, 3]
    await node.stop()


async def test_what_does_not_exist_is_not_waited_for(other):
    process, there, sub_pool = other
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    await xo.create_actor(Counter, uid="xo:stays", address=there)
    await known(b"xo:stays", there)
    await kill(process, sub_pool)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for address in (None, node.external_address):
        with pytest.raises(xo.ActorNotExist, match="xo:none"):
            await xo.actor_ref("xo:none", address=address)
    for uid in ("xo:none", "xo:stays"):
        with pytest.raises(xo.ServerClosed, match=there):
            await xo.actor_ref(uid, address=there)
    assert loop.time() - begin < 30  # as long as an actor that moves is looked for
    await node.stop()


async def test_what_is_given_up_says_why(other, tmp_path):
    process, there, sub_pool = other
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    path = tmp_path / "file"
    policy = xo.RestartPolicy(placement="any", intensity=0)
    await xo.create_actor(Fragile, str(path), uid="xo:job", address=there, restart_policy=policy)
    await known(b"xo:job", there)
    path.touch()
    await kill(process, sub_pool)
    finds = [xo.actor_ref("xo:job"), xo.actor_ref(uid="xo:job", address=there)]
    for error in await asyncio.gather(*finds, return_exceptions=True):
        assert isinstance(error, xo.ActorNotExist) and "there is a file" in str(error), error
    await node.stop()


async def test_where_pickles_are_refused_it_does_not_stay(redis):
    with serving({"XO_CODEC": "msgpack"}, {}) as ((_, refusing, _), (process, there, sub_pool)):
        await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)

        def is_at(address, state):
            return lambda actors: [(one.address, one.state) for one in actors] == [(address, state)]

        await kill(process, sub_pool)
        await until(lambda: xo.list_actors(refusing), is_at(refusing, "waiting"))
        node = await xo.create_actor_pool("127.0.0.1", n_process=1)
        (home,) = node.sub_processes
        await until(xo.list_actors, is_at(home, "running"))
        assert await (await xo.actor_ref("xo:job", address=home)).add(1) == 1
        await node.stop()


CLIENT = """
import asyncio, sys
import xoscar as xo

async def main():
    ref = await xo.actor_ref("xo:job")
    for line in sys.stdin:
        print(await ref.add.options(idempotent=True)(1), flush=True)

asyncio.run(main())
"""


async def test_references_of_a_client_follow(other):
    """A program without pools, which has asked the node here where the actor is."""
    process, there, sub_pool = other
    others = brokers()
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    (broker,) = brokers() - others
    await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    await known(b"xo:job", there)
    async with client_of(broker, CLIENT) as add:
        assert [await add(), await add()] == [b"1\n", b"2\n"]
        await kill(process, sub_pool)
        assert await add() == b"1\n"  # it waits until the actor is there
        assert await add() == b"2\n"
    await node.stop()


async def test_a_lease_that_is_had_again(redis):
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    there = list(node.sub_processes)[0]
    ref = await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    assert await ref.add(1) == 1
    await known(b"xo:job", there)
    redis.send_signal(signal.SIGSTOP)
    try:
        while True:
            call = asyncio.ensure_future(ref.add(0))
            if not (await asyncio.wait([call], timeout=1))[0]:
                break  # the lease has lapsed
    finally:
        redis.send_signal(signal.SIGCONT)
    assert await call == 1
    await node.stop()


@pytest.mark.parametrize("way", ["drained", "killed"])
async def test_one_that_moves_can_be_destroyed(other, way):
    """By a reference to where it was: its end follows it, as calls do."""
    process, there, sub_pool = other
    (left,) = brokers()
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    ref = await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    near = xo.create_actor_ref(node.external_address, "xo:job")
    await known(b"xo:job", there)
    if way == "killed":
        await kill(process, sub_pool)
    else:
        await drained(left)
    await xo.destroy_actor(ref)
    for each in (near, ref):
        with pytest.raises((xo.ActorNotExist, xo.ServerClosed)):
            await xo.destroy_actor(each)
    with pytest.raises(xo.ActorNotExist, match="xo:job"):
        await xo.actor_ref("xo:job")
    await node.stop()


async def test_destroyed_is_gone(other):
    _, there, _ = other
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    ref = await xo.create_actor(Counter, uid="xo:job", address=there, restart_policy=ANY)
    await xo.destroy_actor(ref)
    with pytest.raises(xo.ActorNotExist, match="xo:job"):
        await ref.add(1)
    await node.stop()


async def test_what_cannot_be(other):
    _, there, _ = other
    node = await xo.create_actor_pool("127.0.0.1", n_process=1)
    with pytest.raises(ValueError, match="xo:"):
        await xo.create_actor(Counter, uid="job", address=there, restart_policy=ANY)
    with pytest.raises(ValueError, match="permanent"):
        xo.RestartPolicy("transient", placement="any")
    with pytest.raises(ValueError, match="placement"):
        xo.RestartPolicy(placement="here")
    with pytest.raises(ValueError, match="a group"):
        await xo.create_group("g", restart_policy=ANY, address=there)
    with pytest.raises(ValueError, match="a pool"):
        await xo.create_actor_pool("127.0.0.1", n_process=1, restart_policy=ANY)
    await node.stop()
