"""What must be true after t/chaos/chaos.py has made its faults."""
import asyncio
import itertools
import os
import signal
import subprocess
import time

import xoscar as xo
from tells import END
from world import POOLS, ask_redis

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECOVERY_S = 60
QUIET_S = 30  # after the load: until what is kept for a while has been given back
GONE_S = 20
# Of each of the node's other processes a process may have lanes that it had not in the beginning.
FDS_A_PEER = 6
KEYS_FOR_EVER = {"schema", "epoch", "events", "lineage"}  # what is watched goes by itself

_ends = itertools.count()  # of the notes in the end


async def all_up(world):
    """Everything permanent answers again."""
    clock = world.ledger.clock
    end = clock.now() + RECOVERY_S
    for ref in world.actors:
        while True:
            note = END, next(_ends)
            if await world.ledger.call("call in the end", ref.note(*note), note) is not None:
                break
            if clock.now() > end:
                world.ledger.complain(f"{ref.uid} is not up again")
                break
            await asyncio.sleep(0.05)


async def letters_are_read(world):
    """All processes have told of their dead letters."""
    end = world.ledger.clock.now() + RECOVERY_S
    while not await world.ledger.tells.collect(world.broker()):
        if world.ledger.clock.now() > end:
            world.ledger.complain("the dead letters cannot be read")
            break
        await asyncio.sleep(0.2)


async def all_come_back(world):
    """Nothing has been lost that creates the actors again: all pools die once more."""
    for process in world.processes():
        with process:
            if process.label in POOLS:
                world.doomed.add(process.pid)
                process.send(signal.SIGKILL)
    await all_up(world)
    await in_registry(world)


async def in_registry(world):
    """Everything permanent is in the registry again, and all pools are ready."""
    wanted = {ref.uid for ref in world.actors}
    end = world.ledger.clock.now() + RECOVERY_S
    missing, states, why = wanted, {}, None
    while (missing or set(states.values()) != {"ready"}) and world.ledger.clock.now() < end:
        try:
            missing = wanted - {actor.uid for actor in await xo.list_actors(world.address())
                                if actor.state == "running"}
            states = {pool.label: pool.state for pool in await xo.list_pools(world.address())}
            why = None
        except Exception as error:  # pylint: disable=broad-except
            why = error
        await asyncio.sleep(0.2)
    if why:
        world.say(f"the lists: {why}")
    world.ledger.expect(not missing, f"not in the registry: {missing}")
    world.ledger.expect(set(states.values()) == {"ready"}, f"pools in the registry: {states}")


async def no_call_is_open(world):
    """Each call that an actor in C made had its answer."""
    for ref in world.in_c:
        count = await world.ledger.call("call in the end", ref.open_calls())
        world.ledger.expect(count in (None, 0), f"{ref.uid}: {count} calls without an answer")
    ledger = world.ledger
    ledger.expect(ledger.asked == ledger.answered,
                  f"{ledger.asked} calls had {ledger.answered} answers")


def count_descriptors(world):
    """{label: how many} of the node's processes."""
    counts = {}
    for process in world.processes():
        with process:
            try:
                counts[process.label] = len(os.listdir(f"/proc/{process.pid}/fd"))
            except OSError:  # it is gone
                pass
    return counts


async def descriptors_given_back(world, before):
    """No process of the node has many more than in the beginning."""
    allowed = FDS_A_PEER * len(before)
    end = world.ledger.clock.now() + QUIET_S
    while True:
        now = count_descriptors(world)
        many = {label: count for label, count in now.items()
                if count > before.get(label, count) + allowed}
        if not many or world.ledger.clock.now() > end:
            break
        await asyncio.sleep(0.2)
    world.say(f"descriptors: {before} became {now}")
    world.ledger.expect(not many, f"descriptors: {before} became {many}")


def own_descriptors():
    """This process's, and what they are."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:  # that of the listing
            pass
    return found


def own_given_back(ledger, before):
    """This process has no other descriptors than before."""
    left = own_descriptors() - before
    ledger.expect(not left, f"descriptors left over: {left}")


def no_keys(ledger, redis):
    """A registry that outlives the node has nothing of it."""
    if redis is None:
        return
    keys = set(ask_redis(redis.socket, "KEYS", "*"))
    left = {key for key in keys
            if key.rpartition(":")[2] not in KEYS_FOR_EVER and ":watch:" not in key}
    ledger.expect(not left, f"keys left over: {left}")


def no_children(ledger):
    """Not even zombies."""
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    ledger.complain(f"a child is left over: {pid or 'it lives'}")


def nothing_left(world, patience_s=GONE_S):
    """No process, file, socket or segment of the node."""
    end = time.monotonic() + patience_s
    while True:
        left = _left(world)
        if not left or time.monotonic() > end:
            break
        time.sleep(0.1)
    for line in left:
        world.ledger.complain(f"left over: {line}")


def _left(world):
    environment = {k: v for k, v in os.environ.items() if k != "XO_RUN_DIR"}
    text = subprocess.run(
        [os.path.join(SOURCE, "t", "leftovers.sh"), world.place.run_dir],
        env=environment, capture_output=True, text=True, check=False,
    ).stdout
    # This process is one of those that have the run directory in their environment.
    lines = [line for line in text.splitlines() if not line.startswith("process")]
    for process in world.processes():
        with process:
            lines.append(f"process {process}")
    return lines
