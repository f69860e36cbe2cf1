"""Groups of actors that are restarted together."""
import asyncio
import os
import signal
import threading

import pytest

import xoscar as xo
from actors import DEADLINE_S, until


class Member(xo.Actor):
    """Writes down when it comes and goes; cannot be created while there is a file with its name."""

    def __init__(self, diary, name):
        self.diary = diary
        self.name = name
        if os.path.exists(f"{diary}.{name}"):
            raise LookupError(f"{name} may not be created")

    def write(self, what):
        with open(self.diary, "a", encoding="utf-8") as file:
            file.write(f"{what}{self.name} ")

    async def held(self):
        """Says so, and goes on when there is no file any more."""
        self.write("?")
        while os.path.exists(f"{self.diary}.slow"):
            await asyncio.sleep(0.01)

    async def __post_create__(self):
        self.write("+")

    async def __pre_destroy__(self):
        self.write("-")

    def touch(self):
        return self.name

    async def make(self, group):
        """Of what cannot be pickled, which is no matter within a pool."""
        return await xo.create_actor(
            Member, threading.Lock(), "no", uid="no", address=self.address, group=group
        )

    def exit(self, status=1):
        os._exit(status)


class Diary:
    def __init__(self, path):
        self.path = str(path)

    def take(self):
        """What has been written since it was asked for last."""
        with open(self.path, "r+", encoding="utf-8") as file:
            text = file.read()
            file.truncate(0)
        return text.strip()

    def peek(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    async def holds(self, name):
        """Waits until that member is held."""
        while f"?{name}" not in self.peek():
            await asyncio.sleep(0.01)

    async def create(self, name, address, group, **options):
        return await xo.create_actor(
            Member, self.path, name, uid=name, address=address, group=group, **options
        )


def on_node(test):
    """The test gets the addresses of a main pool and of three sub pools, and a diary."""

    async def run(path, wrapped):
        pool = await xo.create_actor_pool("127.0.0.1", n_process=3, auto_recover="actor")
        async with pool:
            await wrapped([pool.external_address, *pool.sub_processes], Diary(path))

    def synchronous(tmp_path):
        path = tmp_path / "diary"
        path.write_text("")
        asyncio.run(asyncio.wait_for(run(path, test), DEADLINE_S))

    synchronous.__name__, synchronous.__doc__ = test.__name__, test.__doc__
    return synchronous


async def events(address, *kinds):
    found = await xo.ActorRef(address, "xo.broker").events("$-1000", 1000)
    return [event for event in found if event["type"] in kinds]


async def is_running(group):
    """Waits until it is, after something that is known to have failed."""
    await until(group.info, lambda info: info["state"] == "running")


async def all_answer(refs, names):
    """Waits until they do, with their names: some are still to come back."""
    while True:
        try:
            assert [await ref.touch() for ref in refs] == names
            return
        except (xo.ActorNotExist, xo.ServerClosed):
            await asyncio.sleep(0.01)


async def three(diary, pools, strategy, **options):
    group = await xo.create_group("g", strategy, address=pools[0], **options)
    refs = [await diary.create(name, pools[i + 1], group) for i, name in enumerate("abc")]
    assert diary.take() == "+a +b +c"
    return group, refs


async def dies(ref, status=1):
    """Returns when its pool is there again."""
    with pytest.raises(xo.ServerClosed):
        await ref.exit(status)
    await xo.wait_actor_pool_recovered(ref.address)


@on_node
async def test_one_for_all(pools, diary):
    group, (a, b, c) = await three(diary, pools, "one_for_all")
    await dies(b)
    assert [await ref.touch() for ref in (c, b, a)] == ["c", "b", "a"], "callers wait"
    await is_running(group)
    assert diary.take() == "-c -a +a +b +c"
    (restart,) = await events(pools[0], "group.restart")
    assert restart["name"] == "g" and restart["reason"] == "exit status 1"


@on_node
async def test_rest_for_one(pools, diary):
    group, (a, b, c) = await three(diary, pools, "rest_for_one")
    await dies(b)
    assert [await ref.touch() for ref in (a, b, c)] == ["a", "b", "c"]
    await is_running(group)
    assert diary.take() == "-c +b +c"


@on_node
async def test_one_for_one(pools, diary):
    group, (a, b, c) = await three(diary, pools, "one_for_one")
    await dies(b)
    assert [await ref.touch() for ref in (a, b, c)] == ["a", "b", "c"]
    await is_running(group)
    assert diary.take() == "+b"


class Caller(Member):
    """Calls another member, also while it is created."""

    def __init__(self, diary, name, other=None, early=None):
        super().__init__(diary, name)
        self.other = other
        self.early = early

    async def __post_create__(self):
        if self.early and os.path.exists(f"{self.diary}.early"):
            await self.early.touch()
        self.write("+")

    async def ask(self):
        """Calls it until it is down because of their group."""
        while True:
            try:
                await self.other.touch()
            except xo.ServerClosed:
                await asyncio.sleep(0.01)
            except xo.ActorNotExist as error:
                return str(error)


@on_node
async def test_members_that_call_one_another_do_not_wait_for_ever(pools, diary):
    """A method that waits for a member that is down would keep its own actor from ending."""
    group = await xo.create_group("g", "one_for_all", address=pools[0])
    a = await diary.create("a", pools[1], group)
    b = await xo.create_actor(
        Caller, diary.path, "b", a, uid="b", address=pools[2], group=group, shutdown_timeout=1000
    )
    asking = asyncio.ensure_future(b.ask())
    with pytest.raises(xo.ServerClosed):
        await a.exit()
    assert "group is being restarted" in await asking
    assert await b.touch() == "b" and await a.touch() == "a"
    assert diary.take() == "+a +b -b +a +b"


@on_node
async def test_a_member_that_needs_a_later_one_cannot_be_created(pools, diary):
    policy = xo.RestartPolicy(intensity=2, backoff=0)
    group = await xo.create_group("g", "one_for_all", address=pools[0], restart_policy=policy)
    later = xo.create_actor_ref(pools[2], "b")
    a = await xo.create_actor(
        Caller, diary.path, "a", None, later, uid="a", address=pools[1], group=group
    )
    await diary.create("b", pools[2], group)
    open(f"{diary.path}.early", "w").close()
    await dies(a)
    with pytest.raises(xo.ActorNotExist, match="group is being restarted.*given up after 2"):
        await a.touch()
    assert (await group.info())["state"] == "failed"


@on_node
async def test_a_creation_that_fails_is_a_failure(pools, diary):
    policy = xo.RestartPolicy(intensity=3, backoff=0)
    group, (a, b, c) = await three(diary, pools, "one_for_all", restart_policy=policy)
    open(f"{diary.path}.b", "w").close()
    await dies(c)
    for ref in (a, b, c):
        with pytest.raises(xo.ActorNotExist, match="LookupError: b may not.*given up after 3"):
            await ref.touch()
    tries = await events(pools[0], "actor.restart")
    assert [event["uid"] for event in tries] == ["b"] * 3
    assert all("in __init__" in event["traceback"] for event in tries)
    (failed,) = await events(pools[0], "group.failed")
    assert failed["name"] == "g" and "b may not be created" in failed["reason"]


async def call_xo(*arguments):
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("xo", *arguments, stdout=pipe, stderr=pipe)
    text, error = await process.communicate()
    return process.returncode, (text or error).decode()


@on_node
async def test_one_that_failed_is_revived(pools, diary):
    policy = xo.RestartPolicy(intensity=0)
    group, (a, b, c) = await three(diary, pools, "rest_for_one", restart_policy=policy)
    await dies(b)
    for ref in (a, b, c):
        with pytest.raises(xo.ActorNotExist, match="exit status 1; given up after 0 restarts"):
            while True:  # a and c end in their turn
                await ref.touch()
    assert diary.take() == "-c -a"
    with pytest.raises(ValueError, match="'g' is failed"):
        await diary.create("d", pools[1], group)
    assert not await xo.has_actor(xo.create_actor_ref(pools[1], "d"))
    status, text = await call_xo("groups", "--wide")
    assert status == 0 and "rest_for_one" in text and "failed" in text and "given up" in text
    status, text = await call_xo("revive", "b")
    assert status == 1 and "is in group 'g'" in text
    assert await call_xo("revive", "g") == (0, "")
    assert [await ref.touch() for ref in (a, b, c)] == ["a", "b", "c"]
    diary.take()
    open(f"{diary.path}.b", "w").close()
    await dies(c)
    with pytest.raises(xo.ActorNotExist):
        while True:
            await a.touch()
    status, text = await call_xo("revive", "g")
    assert status == 1 and "b may not be created" in text
    assert (await group.info())["state"] == "failed"


@on_node
async def test_groups_in_groups(pools, diary):
    outer = await xo.create_group("outer", "rest_for_one", address=pools[0])
    await diary.create("a", pools[1], outer)
    policy = xo.RestartPolicy(intensity=1, backoff=0)
    inner = await xo.create_group("inner", "one_for_all", parent=outer, restart_policy=policy)
    b = await diary.create("b", pools[2], inner)
    await diary.create("c", pools[3], inner)
    await diary.create("d", pools[1], outer)
    assert diary.take() == "+a +b +c +d"
    await dies(b)
    assert await b.touch() == "b"
    await is_running(inner)
    assert diary.take() == "-c +b +c"
    await dies(b)
    assert await b.touch() == "b"
    await is_running(outer)
    assert diary.take() == "-d -c +b +c +d"
    (event,) = await events(pools[0], "group.escalated")
    assert event["name"] == "inner" and event["parent"] == "outer"
    assert "given up after 1" in event["reason"]
    assert (await inner.info())["parent"] == "outer"
    await outer.stop()
    assert diary.take() == "-d -c -b -a"
    with pytest.raises(LookupError):
        await inner.info()


@on_node
async def test_who_is_destroyed_stays_away(pools, diary):
    group, (a, b, c) = await three(diary, pools, "one_for_all")
    await xo.destroy_actor(c)
    assert diary.take() == "-c"
    await until(group.info, lambda info: info["members"] < 3)  # its broker is told a little later
    await dies(b)
    assert [await ref.touch() for ref in (b, a)] == ["b", "a"]
    assert not await xo.has_actor(c)
    await is_running(group)
    assert diary.take() == "-a +a +b"


class Stubborn(Member):
    async def __pre_destroy__(self):
        self.write("?")
        while os.path.exists(self.diary):
            pass


@on_node
async def test_one_that_does_not_end(pools, diary):
    group = await xo.create_group("g", "one_for_all", address=pools[0])
    a = await diary.create("a", pools[1], group)
    b = await xo.create_actor(
        Stubborn, diary.path, "b", uid="b", address=pools[2], group=group, shutdown_timeout=0.1
    )
    beside = await xo.create_actor(Member, diary.path, "c", address=pools[2])
    assert diary.take() == "+a +b +c"
    with pytest.raises(xo.ServerClosed):
        await a.exit()
    with pytest.raises(xo.ServerClosed) as caught:
        while True:
            await beside.touch()
    assert caught.value.reason == 'signal 9 (Killed): actor "b" did not stop in time'
    for address in pools[1:3]:
        await xo.wait_actor_pool_recovered(address)
    assert await b.touch() == "b" and await a.touch() == "a" and await beside.touch() == "c"
    assert (await group.info())["restarts"] == 1


@on_node
async def test_a_creator_hears_of_what_cannot_be(pools, diary):
    group = await xo.create_group("g", address=pools[0])
    with pytest.raises(ValueError, match="no group 'h'"):
        await diary.create("a", pools[1], xo.Group("h", pools[0]))
    assert not await xo.has_actor(xo.create_actor_ref(pools[1], "a"))
    with pytest.raises(ValueError, match="other settings"):
        await xo.create_group("g", "one_for_all", address=pools[0])
    assert (await xo.create_group("g", address=pools[0])).name == "g"
    with pytest.raises(ValueError, match="no group 'h'"):
        await xo.create_group("k", parent=xo.Group("h", pools[0]))
    with pytest.raises(ValueError, match="1 to 64"):
        await xo.create_group("a b", address=pools[0])
    with pytest.raises(ValueError, match="strategy is one of"):
        await xo.create_group("k", "all", address=pools[0])
    a = await diary.create("a", pools[1], group)
    with pytest.raises(ValueError, match="no group: .*pickle"):
        await a.make(group)
    assert not await xo.has_actor(xo.create_actor_ref(pools[1], "no"))
    with pytest.raises(ValueError, match="shutdown_timeout"):
        await diary.create("a", pools[1], group, shutdown_timeout=0)
    with pytest.raises(ValueError, match="no group 'h'"):
        await xo.Group("h", pools[0]).stop()


async def stopped_with_the_node(diary):
    async with await xo.create_actor_pool("127.0.0.1", n_process=3) as pool:
        await three(diary, [pool.external_address, *pool.sub_processes], "one_for_one")
    assert diary.take() == "-c -b -a"


def test_a_node_that_stops_ends_groups_in_their_order(tmp_path):
    path = tmp_path / "diary"
    path.write_text("")
    asyncio.run(asyncio.wait_for(stopped_with_the_node(Diary(path)), DEADLINE_S))


@on_node
async def test_watchers_are_told(pools, diary):
    _, (a, b, c) = await three(diary, pools, "one_for_all")
    reasons = asyncio.Queue()
    monitor = await xo.monitor(c, reasons.put_nowait)
    await dies(b)
    assert await reasons.get() == "stopped by its group" == monitor.reason


class Slow(Member):
    """Does not end as long as there is a file."""

    async def __pre_destroy__(self):
        await self.held()
        self.write("-")


async def another_broker(pool, addresses):
    """Kills the node's broker, and returns when the next one has all pools."""
    before = pool._broker.process.pid
    os.kill(before, signal.SIGKILL)
    while pool._broker.process.pid == before:
        await asyncio.sleep(0.01)
    for address in addresses[1:]:
        await recovered(address)


async def recovered(address):
    while True:
        try:
            await xo.wait_actor_pool_recovered(address)
            return
        except xo.ServerClosed:
            await asyncio.sleep(0.01)


class SlowToCome(Member):
    """Is not created as long as there is a file."""

    async def __post_create__(self):
        await self.held()
        self.write("+")


async def killed_between_groups(diary):
    async with await xo.create_actor_pool("127.0.0.1", n_process=3, auto_recover="actor") as pool:
        addresses = [pool.external_address, *pool.sub_processes]
        outer = await xo.create_group("outer", "rest_for_one")
        a = await diary.create("a", addresses[1], outer)
        inner = await xo.create_group("inner", parent=outer)
        c = await xo.create_actor(
            SlowToCome, diary.path, "c", uid="c", address=addresses[2], group=inner
        )
        d = await diary.create("d", addresses[3], outer)
        diary.take()
        open(f"{diary.path}.slow", "w").close()
        await dies(a)
        await diary.holds("c")
        await another_broker(pool, addresses)
        assert "+d" not in diary.peek()
        os.unlink(f"{diary.path}.slow")
        await all_answer((a, c, d), ["a", "c", "d"])
        await is_running(outer)
        assert diary.take().endswith("+c +d")


def test_a_broker_that_is_killed_between_groups(tmp_path):
    path = tmp_path / "diary"
    path.write_text("")
    asyncio.run(asyncio.wait_for(killed_between_groups(Diary(path)), DEADLINE_S))


async def killed_between_restarts(diary):
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover="actor") as pool:
        addresses = [pool.external_address, *pool.sub_processes]
        policy = xo.RestartPolicy(intensity=2, backoff=0)
        group = await xo.create_group("g", address=addresses[0], restart_policy=policy)
        a = await diary.create("a", addresses[1], group)
        for _ in range(2):
            await dies(a)
            assert await a.touch() == "a"
        await is_running(group)
        await events(addresses[0])  # when they are read, what was written before is there
        await another_broker(pool, addresses)
        await dies(a)
        with pytest.raises(xo.ActorNotExist, match="given up after 2 restarts"):
            await a.touch()


def test_a_broker_that_is_killed_does_not_forget_restarts(tmp_path):
    path = tmp_path / "diary"
    path.write_text("")
    asyncio.run(asyncio.wait_for(killed_between_restarts(Diary(path)), DEADLINE_S))


async def killed_in_the_middle(diary):
    async with await xo.create_actor_pool("127.0.0.1", n_process=3, auto_recover="actor") as pool:
        addresses = [pool.external_address, *pool.sub_processes]
        group = await xo.create_group("g", "one_for_all", address=addresses[0])
        outer = await xo.create_group("failed", restart_policy=xo.RestartPolicy(intensity=0))
        refs = [await diary.create(name, addresses[i], group) for i, name in ((1, "a"), (2, "b"))]
        refs.append(
            await xo.create_actor(
                Slow, diary.path, "c", address=addresses[3], group=group, shutdown_timeout=1000
            )
        )
        await diary.create("x", addresses[1], outer)
        diary.take()
        open(f"{diary.path}.slow", "w").close()
        with pytest.raises(xo.ServerClosed):
            await refs[0].exit()
        await diary.holds("c")
        await events(addresses[0])  # then it is written that the other one has failed
        await another_broker(pool, addresses)
        os.unlink(f"{diary.path}.slow")
        await all_answer(refs, ["a", "b", "c"])
        await is_running(group)
        assert diary.take().endswith("-b +a +b +c")
        assert (await xo.Group("failed", addresses[0]).info())["state"] == "failed"
        await dies(refs[1])
        await is_running(group)
        assert diary.take() == "?c -c -a +a +b +c", "in the order in which they came"


def test_a_broker_that_is_killed_in_the_middle(tmp_path):
    path = tmp_path / "diary"
    path.write_text("")
    asyncio.run(asyncio.wait_for(killed_in_the_middle(Diary(path)), DEADLINE_S))
