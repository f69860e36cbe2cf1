"""Chaos: a mixed load on a node while all that can fail fails, with a ledger.

    ./quickstart exec python3 t/chaos/chaos.py [--seed N] [--seconds S] [--faults LIST]

Calls, tells, batches, streams, large buffers and creations go from this process and between pools,
to actors in Python and in C, over all lanes. Meanwhile faults happen in an order that the seed
gives, of most kinds two a minute or more. Every call must get exactly one answer in a bounded time;
nothing may run twice, unless it is idempotent, or out of order, or be said not to have run if it
did; a tell that is accepted arrives, is a dead letter, or goes with a process; an actor whose
process lives keeps its state; no process ends that was not killed; in the end everything permanent
is up, and nothing is left over. Exit status 0: the ledger is clean.

What gets full are file systems of its own, in a mount namespace of its own (see place.py).
"""
import argparse
import asyncio
import os
import random
import shutil
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def say(text):
    """A line for people, between those of TAP."""
    print(f"# {text}", flush=True)


def show_tasks():
    """What everything waits for: for a run that hangs (kill -USR1)."""
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stdout)


async def run(world, seed, plan):
    """The load with the faults, and what must be true afterwards, as long as the node is there."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, show_tasks)
    loop.set_exception_handler(lambda _, told: world.ledger.complain(f"the loop was told: {told}"))
    ticking = asyncio.ensure_future(world.ledger.clock.run())
    await world.open()
    before = checks.count_descriptors(world)
    watching = asyncio.ensure_future(world.watch())
    reading = asyncio.ensure_future(world.ledger.tells.watch(world.broker()))
    await loads.during(world, loads.all_of(world, seed), faults.Faults(world, plan).run())
    await checks.all_up(world)
    await checks.in_registry(world)
    await checks.no_call_is_open(world)
    await checks.letters_are_read(world)
    await checks.descriptors_given_back(world, before)
    await checks.all_come_back(world)
    for task in (ticking, watching, reading):
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
    await world.pool.stop()


async def open_and_close():
    """A node, and nothing done with it: what stays as long as the process does is there."""
    async with await xo.create_actor_pool("127.0.0.1", n_process=0):
        pass


def chaos(place, ledger, redis, seed, plan):
    """A whole run. Gives the world, for its ledger."""
    asyncio.run(open_and_close())
    before = checks.own_descriptors()
    if redis:
        redis.start()
        os.environ["XO_REGISTRY"] = redis.url()
    world = World(place, ledger, redis, say)
    try:
        asyncio.run(run(world, seed, plan))
        checks.no_keys(ledger, redis)
    finally:
        if redis:
            redis.kill()
    checks.own_given_back(ledger, before)
    checks.no_children(ledger)
    checks.nothing_left(world)
    notes = ledger.check_what_ran()
    for what, count in sorted(ledger.counts.items()):
        say(f"{count:8} {what}")
    say(f"{notes} notes; the longest was a {ledger.longest[1]}: {ledger.longest[0]:.2f} s")
    return world


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="of the order of faults")
    parser.add_argument("--seconds", type=float, default=60, help="how long faults are made")
    parser.add_argument("--faults", default=",".join(faults.NAMES), help="of: %(default)s")
    parser.add_argument("--registry", choices=["own", "outside"],
                        help="the node's own Redis, or another one (drawn)")
    parser.add_argument("--sabotage", action="store_true",
                        help="falsify the ledger afterwards, to see that it is noticed")
    options = parser.parse_args()
    options.faults = options.faults.split(",")
    if not set(options.faults) <= set(faults.NAMES):
        parser.error(f"faults are {', '.join(faults.NAMES)}")
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "big")
    if options.registry is None:
        drawn = random.Random(f"{options.seed}/registry").choice(["own", "outside"])
        options.registry = drawn if shutil.which("redis-server") else "own"
    return options


def end_in_order(*_):
    """SIGTERM: and clean up on the way out."""
    sys.exit(1)


def main():
    """Runs it in a place of its own."""
    options = arguments()
    words = (f"--seed {options.seed} --seconds {options.seconds:g} "
             f"--faults {','.join(options.faults)} --registry {options.registry}")
    say(words)
    signal.signal(signal.SIGTERM, end_in_order)
    place = Place()
    try:
        place.mount()
        if place.refused:
            say(f"no file system of its own, so nothing gets full: {place.refused}")
        ledger = Ledger(place.notes, say)
        redis = OutsideRedis(place.path) if options.registry == "outside" else None
        plan = faults.schedule(options.seed, options.faults, options.seconds)
        world = chaos(place, ledger, redis, options.seed, plan)
        print(f"{'not ok' if ledger.complaints else 'ok'} 1 - the ledger is clean")
        say(words)
        noticed = not options.sabotage or sabotage.all_noticed(world)
        print(f"1..{1 + len(sabotage.KINDS) if options.sabotage else 1}")
    finally:
        place.remove()
    return 0 if noticed and not ledger.complaints else 1


if __name__ == "__main__":
    import xoscar as xo
    import checks
    import faults
    import loads
    import sabotage
    from ledger import Ledger
    from place import Place
    from world import OutsideRedis, World

    sys.exit(main())
