"""monitor and link: being told of an actor's end, and ending with it."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import _xo
import xoscar as xo
from actors import Echo, in_each_pool, make, until


class Book(xo.Actor):
    """Writes down what it is told, and watches others."""

    def __init__(self):
        self.lines = []
        self.monitors = []

    def write(self, line):
        self.lines.append(line)

    def read(self):
        return self.lines

    async def watch(self, ref, name):
        def told(reason):
            self.lines.append((name, reason))

        self.monitors.append(await xo.monitor(ref, told))


class Partner(xo.Actor):
    """Links itself to others; says so in a book when it ends."""

    def __init__(self, name="", book=None):
        self.name, self.book = name, book

    async def __pre_destroy__(self):
        if self.book is not None:
            await self.book.write(f"{self.name} ends")

    async def link(self, ref):
        await xo.link(ref)

    async def link_myself(self):
        await xo.link(self.ref())

    async def unlink(self, ref):
        await xo.unlink(ref)

    async def link_in_a_task(self, ref):
        await asyncio.get_running_loop().create_task(xo.link(ref))


class Heir(Partner):
    """Does not end with others: writes down who did."""

    def __init__(self):
        super().__init__()
        self.lines = []

    async def __on_exit__(self, ref, reason):
        await asyncio.sleep(0)
        self.lines.append((ref, reason))

    def read(self):
        return self.lines

    async def hold(self, others):
        """Links itself and lets them end, with its lock: it is told of all afterwards."""
        for ref in others:
            await xo.link(ref)
            await ref.destroy()
        return list(self.lines)


class PlainHeir(Heir):
    def __on_exit__(self, ref, reason):
        self.lines.append((ref, reason))


class Teller:
    """A callback, and what it was told."""

    def __init__(self):
        self.told = []
        self.event = asyncio.Event()

    def __call__(self, reason):
        self.told.append(reason)
        self.event.set()

    async def later(self, reason):
        await asyncio.sleep(0)
        self(reason)

    async def reason(self):
        """The reason; a second call of the callback would be seen."""
        await self.event.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(self.told) == 1
        return self.told[0]


def example_modules():
    """examples/counter.so and keeper.so of the build tree."""
    for directory in sys.path:
        modules = os.path.join(directory, "..", "examples", ".libs")
        if os.path.exists(os.path.join(modules, "keeper.so")):
            return [os.path.join(modules, name) for name in ("counter.so", "keeper.so")]
    pytest.skip("examples/keeper.so is not built")


async def gone(ref):
    while await xo.has_actor(ref):
        pass


# ---- monitor ----


@in_each_pool
async def test_told_once_that_it_was_destroyed(address):
    ref, teller, later = await make(Echo, address), Teller(), Teller()
    first = await xo.monitor(ref, teller)
    second = await xo.monitor(ref, later.later)
    assert first.ref == ref and first.reason is None
    assert await ref.echo(1) == 1 and teller.told == []
    await ref.destroy()
    assert await teller.reason() == await later.reason() == "destroyed"
    assert first.reason == second.reason == "destroyed"
    first.stop()


@in_each_pool
async def test_told_of_one_that_was_gone_already(address):
    ref = await make(Echo, address)
    await ref.destroy()
    teller = Teller()
    await xo.monitor(ref, teller)
    assert "does not exist" in await teller.reason()


@in_each_pool
async def test_told_nothing_after_stop(address):
    ref, stopped, teller = await make(Echo, address), Teller(), Teller()
    watching = await xo.monitor(ref, stopped)
    await xo.monitor(ref, teller)
    watching.stop()
    watching.stop()
    await ref.destroy()
    await teller.reason()
    assert stopped.told == [] and watching.reason is None


@in_each_pool
async def test_the_next_one_with_its_uid_is_not_watched(address):
    ref = await xo.create_actor(Echo, uid="again", address=address)
    teller = Teller()
    await xo.monitor(ref, teller)
    await ref.destroy()
    ref = await xo.create_actor(Echo, uid="again", address=address)
    await ref.destroy()
    assert await teller.reason() == "destroyed"


@in_each_pool
async def test_watching_holds_nothing_up(address):
    """Neither the actor's lock nor the credit of the link."""
    ref, tellers = await make(Echo, address), [Teller() for _ in range(300)]
    watching = await asyncio.gather(*[xo.monitor(ref, teller) for teller in tellers])
    assert await asyncio.gather(*[ref.echo(i) for i in range(500)]) == list(range(500))
    for each in watching[:100]:
        each.stop()
    await ref.destroy()
    assert {await teller.reason() for teller in tellers[100:]} == {"destroyed"}
    assert not any(teller.told for teller in tellers[:100])


@in_each_pool
async def test_an_actor_watches(address):
    book, ref = await make(Book, address), await make(Echo, address)
    await book.watch(ref, "echo")
    await ref.destroy()
    await until(book.read, lambda lines: lines == [("echo", "destroyed")])
    await book.destroy()


@in_each_pool
async def test_what_cannot_be_watched(address):
    ref = await make(Echo, address)
    with pytest.raises(TypeError, match="reference"):
        await xo.monitor("no reference", print)
    with pytest.raises(TypeError, match="calls its second argument"):
        await xo.monitor(ref, None)
    with pytest.raises(ValueError):
        await xo.monitor(xo.ActorRef("no address", "uid"), print)
    await ref.destroy()


async def test_a_failing_callback_is_reported():
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        ref, teller = await make(Echo, pool.external_address), Teller()

        def failing(reason):
            raise LookupError(reason)

        await xo.monitor(ref, failing)
        await xo.monitor(ref, teller)
        await ref.destroy()
        await teller.reason()
        assert [str(s["exception"]) for s in said] == ["destroyed"]


async def test_told_of_a_process_that_dies():
    async with await xo.create_actor_pool("127.0.0.1", n_process=2) as pool:
        first, second = pool.sub_processes
        ref, teller = await make(Echo, first), Teller()
        book = await make(Book, second)
        await xo.monitor(ref, teller)
        await book.watch(ref, "echo")
        pool.sub_processes[first].kill()
        assert "signal 9" in await teller.reason()
        (told,) = await until(book.read, bool)
        assert told[0] == "echo" and "signal 9" in told[1]


async def test_told_of_a_pool_that_is_removed():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        (address,) = pool.sub_processes
        ref, teller = await make(Echo, address), Teller()
        await xo.monitor(ref, teller)
        await pool.remove_sub_pool(address)
        assert await teller.reason()
        teller = Teller()
        await xo.monitor(ref, teller)  # nobody is there any more
        assert await teller.reason()


CLIENT = """
    import asyncio, sys
    import xoscar as xo

    async def main():
        ref = await xo.actor_ref(sys.argv[1], "watched")
        told = asyncio.get_running_loop().create_future()
        await xo.monitor(ref, told.set_result)
        print("watches", flush=True)
        print(await told, flush=True)

    asyncio.run(main())
"""


async def client_line(client):
    loop = asyncio.get_running_loop()
    return (await loop.run_in_executor(None, client.stdout.readline)).decode().strip()


@pytest.mark.parametrize("how", ["destroy", "stop", "kill"])
async def test_a_client_watches(how):
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover=False)
    (address,) = pool.sub_processes
    ref = await xo.create_actor(Echo, uid="watched", address=address)
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), address]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert await client_line(client) == "watches"
        if how == "destroy":
            await ref.destroy()
            assert await client_line(client) == "destroyed"
        elif how == "kill":
            pool.sub_processes[address].kill()
            assert await client_line(client)
        await pool.stop()
        if how == "stop":
            assert await client_line(client)


async def test_a_client_that_dies_is_not_kept():
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        address = pool.external_address
        ref = await xo.create_actor(Echo, uid="watched", address=address)
        command = [sys.executable, "-c", textwrap.dedent(CLIENT), address]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
            assert await client_line(client) == "watches"
            client.send_signal(signal.SIGKILL)
        teller = Teller()
        await xo.monitor(ref, teller)
        await ref.destroy()
        assert await teller.reason() == "destroyed"


async def test_an_actor_in_c_is_watched_too():
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        address = await pool.append_c_pool(example_modules())
        ref, teller = await xo.create_actor("Counter", address=address), Teller()
        await xo.monitor(ref, teller)
        await ref.destroy()
        assert await teller.reason() == "destroyed"


async def test_actors_in_c_watch():
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        address = await pool.append_c_pool(example_modules())
        keeper = await xo.create_actor("Keeper", address=address)
        ref = await xo.create_actor(Echo, uid="watched", address=pool.external_address)
        await keeper.watch(ref.address, ref.uid)
        await keeper.watch(ref.address, "nobody")
        await ref.destroy()
        lines = dict(await until(keeper.ended, lambda lines: len(lines) == 2))
        assert lines["watched"] == "destroyed" and "does not exist" in lines["nobody"]


# ---- link ----


@pytest.mark.parametrize("linker", [0, 1])
@pytest.mark.parametrize("ends_first", [0, 1])
def test_linked_actors_end_together(node, linker, ends_first):
    run, addresses = node

    async def use():
        book = await make(Book, addresses[0])
        refs = [await xo.create_actor(Partner, f"p{i}", book, address=addresses[i]) for i in (0, 1)]
        await refs[linker].link(refs[1 - linker])
        await refs[linker].link(refs[1 - linker])  # which changes nothing
        teller = Teller()
        await xo.monitor(refs[1 - ends_first], teller)
        await refs[ends_first].destroy()
        reason = await teller.reason()
        assert "linked" in reason and "destroyed" in reason
        assert refs[ends_first].uid.decode() in reason and refs[ends_first].address in reason
        assert sorted(await book.read()) == ["p0 ends", "p1 ends"]
        await book.destroy()

    run(use())


@in_each_pool
async def test_a_chain_of_links(address):
    refs = [await make(Partner, address) for _ in range(4)]
    for ref, other in zip(refs, refs[1:]):
        await ref.link(other)
    await refs[1].destroy()
    for ref in refs:
        await gone(ref)


@in_each_pool
async def test_one_that_is_created_again_is_not_linked(address):
    first, second = [await xo.create_actor(Partner, uid=u, address=address) for u in ("a", "b")]
    await first.link(second)
    await first.destroy()
    await gone(second)
    first, second = [await xo.create_actor(Partner, uid=u, address=address) for u in ("a", "b")]
    await first.destroy()
    assert await xo.has_actor(second)
    await second.destroy()


async def test_a_link_to_a_process_that_dies():
    async with await xo.create_actor_pool("127.0.0.1", n_process=2, auto_recover=False) as pool:
        first, second = pool.sub_processes
        book = await make(Book, pool.external_address)
        survivors = [await xo.create_actor(Partner, n, book, address=second) for n in "ab"]
        victim = await make(Partner, first)
        await survivors[0].link(victim)
        await victim.link(survivors[1])
        teller = Teller()
        await xo.monitor(survivors[0], teller)
        os.kill(pool.sub_processes[first].pid, signal.SIGKILL)
        assert "signal 9" in await teller.reason()
        await until(book.read, lambda lines: sorted(lines) == ["a ends", "b ends"])


@in_each_pool
async def test_who_is_told_does_not_end(address):
    for kind in (Heir, PlainHeir):
        heir = await make(kind, address)
        others = [await make(Partner, address) for _ in range(3)]
        await heir.link(others[0])
        await others[1].link(heir)
        await heir.link(others[2])
        await heir.unlink(others[2])
        for ref in others:
            await ref.destroy()
        await until(heir.read, lambda lines: len(lines) == 2)
        assert await heir.read() == [(ref, "destroyed") for ref in others[:2]]
        await heir.link(others[0])  # which is dead
        ((ref, reason),) = (await until(heir.read, lambda lines: len(lines) == 3))[2:]
        assert ref == others[0] and "does not exist" in reason
        partner = await make(Partner, address)
        await heir.link(partner)
        await heir.destroy()
        await gone(partner)


@in_each_pool
async def test_who_is_told_waits_for_its_turn(address):
    heir = await make(Heir, address)
    others = [await make(Partner, address) for _ in range(3)]
    assert await heir.hold(others) == []
    await until(heir.read, lambda lines: [ref for ref, _ in lines] == others)
    await heir.destroy()


@in_each_pool
async def test_unlinked_actors_do_not_end_together(address):
    for i in (0, 1):
        refs = [await make(Partner, address) for _ in range(3)]
        first, second, third = refs
        await first.link(second)
        await refs[i].unlink(refs[1 - i])
        await refs[i].unlink(refs[1 - i])  # which changes nothing
        await first.link(third)
        await second.destroy()
        assert await xo.has_actor(first)
        await third.destroy()
        await gone(first)


@in_each_pool
async def test_nobody_else_says_that_one_has_ended(address):
    heir = await make(Heir, address)
    with pytest.raises(Exception, match="only pools send that"):
        await _xo.method(heir, "__xo_exit")(address, b"uid", "reason")
    assert await heir.read() == []
    await heir.destroy()


async def test_links_to_actors_in_c():
    async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
        here, there = pool.external_address, await pool.append_c_pool(example_modules())
        keeper = await xo.create_actor("Keeper", address=there)
        for i, kind in enumerate([Partner, Heir]):
            counter = await xo.create_actor("Counter", uid=f"c{i}", address=there)
            ref = await xo.create_actor(kind, uid=f"p{i}", address=here)
            await ref.link(counter)
            await keeper.keep(ref.address, ref.uid)
            teller = Teller()
            await xo.monitor(ref, teller)
            await counter.destroy()
            if kind is Heir:
                await until(ref.read, lambda lines: lines == [(counter, "destroyed")])
                await ref.destroy()
            assert await teller.reason()
        ended = await until(keeper.ended, lambda lines: len(lines) == 2)
        assert ended[0][0] == "p0" and f'"c0" at {there}, to which it was linked' in ended[0][1]
        assert ended[1] == ["p1", "destroyed"]
        ref, other = await make(Partner, here), await make(Partner, here)
        await keeper.keep(ref.address, ref.uid)
        await keeper.keep(other.address, other.uid)
        await keeper.leave(other.address, other.uid)
        await keeper.destroy()
        await gone(ref)
        assert await xo.has_actor(other)
        await other.destroy()


@in_each_pool
async def test_what_cannot_be_linked(address):
    ref, dead = await make(Partner, address), await make(Partner, address)
    await dead.destroy()
    with pytest.raises(xo.ActorNotExist):
        await ref.link(dead)
    with pytest.raises(ValueError, match="itself"):
        await ref.link_myself()
    with pytest.raises(TypeError, match="reference"):
        await ref.link(5)
    with pytest.raises(RuntimeError, match="methods of actors"):
        await xo.link(ref)
    with pytest.raises(RuntimeError, match="methods of actors"):
        await xo.unlink(ref)
    with pytest.raises(RuntimeError, match="methods of actors"):
        await ref.link_in_a_task(ref)
    assert await xo.has_actor(ref)
    await ref.destroy()


@in_each_pool
async def test_who_destroys_may_say_why(address):
    ref, teller = await make(Echo, address), Teller()
    await xo.monitor(ref, teller)
    await _xo.destroy(ref.address, ref.uid, "no longer nötig")
    assert await teller.reason() == "no longer nötig"
