"""Chaos: a mixed load on a node while its processes are killed and stopped, with a ledger.

    ./quickstart exec python3 t/chaos/chaos.py [--seed N] [--seconds S] [--faults LIST]

Calls, tells, batches, streams, large buffers and creations go from this process and between sub
pools, to actors in Python and in C. Meanwhile faults happen in an order that the seed gives. Every
call must get exactly one answer in a bounded time; nothing may run twice, or out of order, or be
said not to have run if it did; an actor whose process lives keeps its state; in the end everything
permanent is up, and nothing is left over. Exit status 0: the ledger is clean.
"""
import argparse
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

BIG_BYTES = 200_000
STOP_S = 2.0  # a process stands still for at most so long
PYTHON_POOLS = 3
RECOVERY_S = 60
# A pool that dies more often is given up (the default: more than 5 restarts within 60 s).
KILLS, PERIOD_S = 4, 65


def say(text):
    """A line for people, between those of TAP."""
    print(f"# {text}", flush=True)


def processes(run_dir):
    """{pid: name} of those that have this run directory in their environment."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                mine = f"XO_RUN_DIR={run_dir}".encode() in file.read().split(b"\0")
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                name = file.read().strip()
        except OSError:
            continue
        if mine and int(pid) != os.getpid():
            found[int(pid)] = name
    return found


class World:
    """The node, its actors, and who dies when."""

    def __init__(self, seed, ledger):
        self.random = random.Random(seed)
        self.ledger = ledger
        self.pool = None
        self.addresses = []  # of the sub pools
        self.tallies = []
        self.counters = []  # (ref, Range)
        self.deaths = {}  # by address
        self.killed = {}  # by address: when
        self.over = False

    async def open(self):
        """Starts the pools and creates the permanent actors."""
        self.pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
        for _ in range(PYTHON_POOLS):
            self.addresses.append(await self.pool.append_sub_pool())
        module = os.path.join(os.environ["XO_BUILDDIR"], "examples", ".libs", "counter.so")
        for _ in range(2):
            self.addresses.append(await self.pool.append_c_pool([module]))
        self.deaths = dict.fromkeys(self.addresses, 0)
        self.killed = {address: [] for address in self.addresses}
        for i, address in enumerate(self.addresses[:PYTHON_POOLS] * 2):
            name = f"tally{i}"
            ref = await xo.create_actor(
                Tally, name, self.ledger.path, uid=name, address=address
            )
            self.tallies.append(ref)
        for i, address in enumerate(self.addresses[PYTHON_POOLS:] * 2):
            ref = await xo.create_actor("Counter", uid=f"counter{i}", address=address)
            self.counters.append(ref)

    async def pids(self):
        """{address: pid} of the sub pools that live, as far as that can be asked."""
        try:
            listed = await xo.list_pools(self.pool.external_address)
        except Exception as error:  # pylint: disable=broad-except
            say(f"the list of pools: {error}")
            listed = []
        return {p.address: p.pid for p in listed if p.address in self.deaths and p.pid}

    async def victims(self, count):
        """[(address, pid)] of at most so many sub pools that may die now. They are counted as
        dead from now on."""
        now = time.monotonic()
        pids = await self.pids()
        able = [a for a in pids if len([t for t in self.killed[a] if t > now - PERIOD_S]) < KILLS]
        chosen = self.random.sample(sorted(able), min(count, len(able)))
        for address in chosen:
            self.killed[address].append(now)
            self.deaths[address] += 1
        return [(address, pids[address]) for address in chosen]


# ---- the load ----


async def load_tally(world, sender):
    """Everything that a Tally can be asked, in an order of its own."""
    ledger, draw = world.ledger, random.Random(f"{world.random.random()}")
    number = 0

    def next_note():
        nonlocal number
        number += 1
        return sender, number

    while not world.over:
        # Only the first calls the second: two that wait for each other wait for ever.
        first, second = sorted(draw.sample(range(len(world.tallies)), 2))
        ref, other = world.tallies[first], world.tallies[second]
        kind = draw.choice(["calls", "tells", "batch", "slow", "through", "stream", "large"])
        if kind == "calls":
            notes = [next_note() for _ in range(draw.randint(1, 20))]
            calls = [(ref.note(*note), note) for note in notes]
            await asyncio.gather(*[ledger.call("call", *call) for call in calls])
        elif kind == "tells":
            for _ in range(draw.randint(1, 20)):
                note = next_note()
                await ledger.call("tell", ref.note.tell(*note))
        elif kind == "batch":
            notes = [next_note() for _ in range(draw.randint(1, 20))]
            delays = [ref.note_each.delay(*note) for note in notes]
            result = await ledger.call("batch", ref.note_each.batch(*delays), *notes)
            ledger.expect(result in (None, [n for _, n in notes]), f"a batch gave {result}")
        elif kind == "slow":
            note = next_note()
            await ledger.call("slow call", ref.note_slowly(*note), note)
        elif kind == "through":
            note = next_note()
            through = ref.note_through(other, *note, number)
            # That it was not delivered may be said of the call that the method made.
            if await ledger.call("call through", through, note) is None:
                ledger.outcomes[note] = "maybe"
        elif kind == "stream":
            await ledger.call("stream", read_stream(ref, draw.randint(1, 100)))
        else:
            await load_large(ledger, ref, draw)
        await asyncio.sleep(draw.random() * 0.01)


async def read_stream(ref, count):
    """All of a stream, which must be whole and in order if it ends."""
    got = []
    async for item in await ref.stream(count):
        got.append(item)
    if got != list(range(count)):
        raise AssertionError(f"a stream of {count} gave {got}")


async def load_large(ledger, ref, draw):
    """A buffer there, or there and back."""
    data = draw.randbytes(BIG_BYTES)
    if draw.random() < 0.5:
        checksum = await ledger.call("large call", ref.checksum(data))
        ledger.expect(checksum in (None, zlib.crc32(data)), "a large argument changed")
    else:
        result = await ledger.call("large call", ref.back(data))
        ledger.expect(result is None or bytes(result) == data, "a large result changed")


async def load_counter(world, ref):
    """Adds 1, and knows what that must come to."""
    ledger, value = world.ledger, Range()
    deaths = world.deaths[ref.address]
    while not world.over:
        value.sent()
        result = await ledger.call("call of C", ref.add(1))
        value.deaths += world.deaths[ref.address] - deaths
        deaths = world.deaths[ref.address]
        if result is not None:
            low, high = value.low, value.high
            good = value.holds(result)
            ledger.expect(good, f"{ref.uid} gave {result}, not from {low + 1} to {high}")
        await asyncio.sleep(0.002)


async def load_creations(world, name):
    """Actors that come and go."""
    ledger, draw = world.ledger, random.Random(f"{world.random.random()}")
    number = 0
    while not world.over:
        number += 1
        address = draw.choice(world.addresses[:PYTHON_POOLS])
        uid = f"{name}-{number}"
        ref = await ledger.call("creation", xo.create_actor(Passing, uid=uid, address=address))
        if ref is None:
            continue
        answer = await ledger.call("call of a new one", ref.ping())
        ledger.expect(answer in (None, "pong"), f"a ping gave {answer}")
        await ledger.call("destruction", ref.destroy())
        await asyncio.sleep(draw.random() * 0.05)


# ---- the faults ----


def send_signal(pid, number):
    """False: it is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


async def kill_pool(world):
    """SIGKILL to one of the sub pools."""
    for _, pid in await world.victims(1):
        send_signal(pid, signal.SIGKILL)


async def kill_pools(world):
    """SIGKILL to two at the same time."""
    for _, pid in await world.victims(2):
        send_signal(pid, signal.SIGKILL)


async def stop_for_a_while(world, pid):
    """SIGSTOP, and after a moment SIGCONT."""
    if not send_signal(pid, signal.SIGSTOP):
        return
    try:
        await asyncio.sleep(world.random.random() * STOP_S)
    finally:
        send_signal(pid, signal.SIGCONT)


async def stop_pool(world):
    """One of the sub pools stands still."""
    pids = await world.pids()
    if pids:
        await stop_for_a_while(world, world.random.choice(sorted(pids.values())))


async def stop_and_kill_pool(world):
    """One stands still, and is killed as it does."""
    for _, pid in await world.victims(1):
        if send_signal(pid, signal.SIGSTOP):
            await asyncio.sleep(world.random.random() * STOP_S / 4)
            send_signal(pid, signal.SIGKILL)


def named(name):
    """Processes of the node of that name."""
    return [p for p, n in processes(os.environ["XO_RUN_DIR"]).items() if n == name]


async def kill_redis(world):
    """The registry is gone, and comes back empty."""
    for pid in named("redis-server"):
        send_signal(pid, signal.SIGKILL)


async def stop_redis(world):
    """The registry does not answer for a while."""
    for pid in named("redis-server"):
        await stop_for_a_while(world, pid)


async def stop_broker(world):
    """The broker stands still for a moment."""
    for pid in named("xo-broker"):
        await stop_for_a_while(world, pid)


FAULTS = {
    fault.__name__: fault
    for fault in (
        kill_pool,
        kill_pools,
        stop_pool,
        stop_and_kill_pool,
        kill_redis,
        stop_redis,
        stop_broker,
    )
}


async def make_faults(world, names, seconds):
    """One after the other, until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(world.random.random())
        name = world.random.choice(names)
        world.ledger.counts[f"fault: {name}"] += 1
        await FAULTS[name](world)


# ---- a run ----


async def check_all_up(world):
    """Everything permanent answers again."""
    for ref in world.tallies + world.counters:
        call = (lambda: ref.checksum(b"")) if ref in world.tallies else ref.get
        end = time.monotonic() + RECOVERY_S
        while True:
            if await world.ledger.call("call in the end", call()) is not None:
                break
            if time.monotonic() > end:
                world.ledger.complain(f"{ref.uid} is not up again")
                break
            await asyncio.sleep(0.05)


async def check_registry(world):
    """Everything permanent is in the registry again."""
    wanted = {ref.uid for ref in world.tallies + world.counters}
    end = time.monotonic() + RECOVERY_S
    missing = wanted
    while missing and time.monotonic() < end:
        try:
            listed = await xo.list_actors(world.pool.external_address)
            missing = wanted - {actor.uid for actor in listed}
        except Exception as error:  # pylint: disable=broad-except
            say(f"the list of actors: {error}")
        await asyncio.sleep(0.05)
    world.ledger.expect(not missing, f"not in the registry: {missing}")


def show_tasks():
    """What everything waits for: for a run that hangs (kill -USR1)."""
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stdout)


async def chaos(world, names, seconds):
    """The load with the faults, and what must be true afterwards."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, show_tasks)
    await world.open()
    loads = [load_tally(world, f"sender{i}") for i in range(4)]
    loads += [load_counter(world, ref) for ref in world.counters]
    loads += [load_creations(world, f"passing{i}") for i in range(2)]
    loads = [asyncio.ensure_future(load) for load in loads]
    try:
        await make_faults(world, names, seconds)
    finally:
        world.over = True
        await asyncio.wait(loads)
    for load in loads:
        await load
    await check_all_up(world)
    await check_registry(world)
    await world.pool.stop()


def descriptors():
    """This process's, and what they are."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:  # that of the listing
            pass
    return found


async def open_and_close():
    """A node, and nothing done with it."""
    async with await xo.create_actor_pool("127.0.0.1", n_process=0):
        pass


def check_leftovers(ledger, run_dir):
    """Nothing is left of the node."""
    environment = {k: v for k, v in os.environ.items() if k != "XO_RUN_DIR"}
    end = time.monotonic() + 20
    while True:
        left = subprocess.run(
            [os.path.join(SOURCE, "t", "leftovers.sh"), run_dir],
            env=environment, capture_output=True, text=True, check=False,
        ).stdout
        # This process is one of those that have the run directory in their environment.
        lines = [line for line in left.splitlines() if f"process {os.getpid()} " not in line]
        if not lines or time.monotonic() > end:
            break
        time.sleep(0.1)
    for line in lines:
        ledger.complain(f"left over: {line}")


def report(ledger, ran):
    """The ledger, for people."""
    for what, count in sorted(ledger.counts.items()):
        say(f"{count:8} {what}")
    say(f"{ran} notes; the longest call took {ledger.longest_s:.2f} s")
    print(f"{'not ok' if ledger.complaints else 'ok'} 1 - the ledger is clean")
    print("1..1")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="of the order of faults")
    parser.add_argument("--seconds", type=float, default=60, help="how long faults are made")
    parser.add_argument("--faults", default=",".join(FAULTS), help="which, of: %(default)s")
    options = parser.parse_args()
    names = options.faults.split(",")
    if not set(names) <= set(FAULTS):
        parser.error(f"faults are {', '.join(FAULTS)}")
    return options, names


def main():
    """Runs it in a run directory of its own."""
    options, names = arguments()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    say(f"--seed {seed} --seconds {options.seconds:g} --faults {','.join(names)}")
    place = tempfile.mkdtemp(prefix="xo-chaos-")
    run_dir = os.path.join(place, "run")
    for name, path in (("XO_RUN_DIR", run_dir), ("XO_CONFIG_DIR", os.path.join(place, "config"))):
        os.mkdir(path, 0o700)
        os.environ[name] = path
    asyncio.run(open_and_close())  # what stays as long as the process does is there
    before = descriptors()
    ledger = Ledger(os.path.join(place, "notes"), say)
    world = World(seed, ledger)
    try:
        asyncio.run(chaos(world, names, options.seconds))
        left = descriptors() - before
        ledger.expect(not left, f"descriptors left over: {left}")
        check_leftovers(ledger, run_dir)
        report(ledger, ledger.check_what_ran())
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return 1 if ledger.complaints else 0


if __name__ == "__main__":
    import xoscar as xo
    from chaos_actors import Passing, Tally
    from ledger import Ledger, Range

    sys.exit(main())
