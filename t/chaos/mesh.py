"""Chaos over several nodes: machines that lose their power, stand still, and are cut off.

    ./quickstart exec python3 t/chaos/mesh.py [--seed N] [--seconds S] [--faults LIST]

Each machine is a network namespace with a node of its own, a hub has the registry and the node of
this program, which makes the load of chaos.py: calls, tells, batches, streams and large buffers, in
Python and in C, to actors that may be anywhere (placement=any), from here, between them, and from
each node; and creations of others. Every call must get exactly one answer in a bounded time;
nothing may run twice or out of order; a tell that is accepted arrives, is a dead letter, or goes
with who had it; of an actor that moves, the old one must never run again once the new one has; in
the end all are up, each in one place, all nodes are seen, a partition heals within 5 s, and nothing
is left over. Exit status 0: the ledger is clean, or it may not be done here.
"""
import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
MACHINES = 3
SENDERS = 16  # most wait, at any time, for a machine that is away
IN_HUB = "XO_CHAOS_HUB"  # what this program's environment has when it runs there


def say(text):
    """A line for people, between those of TAP."""
    print(f"# {text}", flush=True)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="of the order of faults")
    parser.add_argument("--seconds", type=float, default=60, help="how long faults are made")
    parser.add_argument("--faults", default=",".join(mesh_faults.NAMES), help="of: %(default)s")
    options = parser.parse_args()
    options.faults = options.faults.split(",")
    if not set(options.faults) <= set(mesh_faults.NAMES):
        parser.error(f"faults are {', '.join(mesh_faults.NAMES)}")
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "big")
    return options


def outside(options):
    """Makes the network, and runs this program again in its hub."""
    network = machines.Network(f"xo-chaos-{os.getpid()}", MACHINES)
    place = Place()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        network.build()
    except (OSError, subprocess.CalledProcessError) as error:
        network.remove()
        place.remove()
        print(f"1..0 # SKIP no network of its own: {getattr(error, 'stderr', None) or error}")
        return 0
    words = [sys.executable, os.path.abspath(__file__), "--seed", str(options.seed), "--seconds",
             f"{options.seconds:g}", "--faults", ",".join(options.faults)]
    try:
        environment = dict(os.environ, **{IN_HUB: f"{network.prefix} {place.path}"})
        return subprocess.run(machines.inside(network.hub, *words), env=environment,
                              check=False).returncode
    finally:
        network.remove()
        place.remove()


def notices(lines):
    """Would the ledger complain of these?"""
    ledger = MeshLedger(os.devnull, lambda _: None)
    ledger.check_lives(lines)
    return bool(ledger.complaints)


def notices_disorder(sender_lives):
    """Would it of two notes that another actor sent, in these lives, and that changed places?"""
    ledger = MeshLedger(os.devnull, lambda _: None)
    first, second = sender_lives
    ledger.check_notes([f"b x {first} 1 s 1", f"b y {second} {1 + (first == second)} s 2",
                        "a z 1 1 s-by-b 2", "a z 1 2 s-by-b 1"])
    return bool(ledger.complaints)


def notices_vanished(ended):
    """Would it of a tell that is nowhere, though the next one arrived where it should have?
    ended: the life of what was killed meanwhile."""
    ledger = MeshLedger(os.devnull, lambda _: None)
    ledger.tells.accept("a", ("s", 1), ledger.tells.begin("here", "there"))
    ledger.tells.end(ended)
    ledger.tells.check(["a x.1@there 1 1 s 2"])
    return bool(ledger.complaints)


def notices_read(reads):
    """Would it of one that went to a process that was killed after its letters had been read so
    often?"""
    ledger = MeshLedger(os.devnull, lambda _: None)
    ledger.tells.accept("a", ("s", 1), ledger.tells.begin("here", "there"))
    since = time.monotonic_ns() + mesh_tells.ON_ITS_WAY_NS
    ledger.tells.reads["there"] = [since + i for i in range(reads)]
    ledger.tells.ends["x.1@there"] = since + reads
    ledger.tells.check(["a y.1@elsewhere 1 1 s 2"])
    return bool(ledger.complaints)


def notices_keys():
    """Would it of keys that belong to nobody, and only of these?"""
    dead = {"dead": ["n"], "actor:a@p": ["owner", "n"], "actors:n": ["a@p"], "uid:a": ["p"],
            "spec:a@p": "", "name:a": ["uid", "a", "node", "n", "pool", "p"]}
    left = {"spec:b@p": "", "uid:b": ["p"], "movable": ["n"], "actor:c@p": ["owner", "m"],
            "name:d": ["uid", "d", "node", "n", "pool", "p"], "stray": ""}
    found = {text.partition(": ")[0] for text in keys.Left(dead | left).of_nobody()}
    return found == set(left) and not keys.Left(dead).of_nobody()


def finds_letters():
    """Has each tell a letter, if the first may have those of both, and the second one of them?"""
    ledger = MeshLedger(os.devnull, lambda _: None)
    for number, source in enumerate(("here", "elsewhere")):
        ledger.tells.accept("a", ("s", number), ledger.tells.begin(source, "there"))
    now = time.time()
    ledger.tells.letters[Letter("no-actor", "tell", "there", "a", None, now, 1)] = 1
    ledger.tells.letters[Letter("lost", "tell", "here", "", "there", now, 1)] = 1
    ledger.tells.check([])
    return not ledger.complaints


def in_hub(options, prefix, path):
    """The load, the faults, and what must be true."""
    network = machines.Network(prefix, MACHINES)
    place = Place(path)
    ledger = MeshLedger(place.notes, say)
    words = (f"--seed {options.seed} --seconds {options.seconds:g} "
             f"--faults {','.join(options.faults)}")
    say(words)
    plan = faults.schedule(options.seed, options.faults, options.seconds)
    redis = HubRedis(place.path)
    redis.start()
    os.environ["XO_REGISTRY"] = redis.url()
    world = MeshWorld(network, place, ledger, redis, say)
    try:
        asyncio.run(run(world, options.seed, plan))
    finally:
        for machine in world.machines:
            if machine.process:
                machine.kill()
        redis.kill()
    notes = ledger.check_what_ran()
    if ledger.complaints:
        world.show_logs()
    for what, count in sorted(ledger.counts.items()):
        say(f"{count:8} {what}")
    say(f"{notes} notes; the longest was a {ledger.longest[1]}: {ledger.longest[0]:.2f} s")
    print(f"{'not ok' if ledger.complaints else 'ok'} 1 - the ledger is clean")
    say(words)
    # One actor in two places, and one that went on as if nothing had been.
    noticed = notices(["a x 1 1 s 0", "a y 2 1 s 1", "a x 1 2 s 2"]) and notices(
        ["a x 1 2 s 0"]) and notices_vanished("y.1@elsewhere") and not notices_vanished(
            "x.1@there") and finds_letters()
    noticed = noticed and notices_disorder((1, 1)) and not notices_disorder((1, 2))
    noticed = noticed and notices_keys() and not notices_read(1) and notices_read(2)
    print(f"{'ok' if noticed else 'not ok'} 2 - the ledger notices what it is there for")
    print("1..2")
    return 0 if noticed and not ledger.complaints else 1


async def run(world, seed, plan):
    """All of it, as long as the node is there."""
    ticking = asyncio.ensure_future(world.ledger.clock.run())
    await world.open()
    keeping = asyncio.ensure_future(world.keep())
    reading = asyncio.ensure_future(world.ledger.tells.watch(world.broker()))
    load = loads.all_of(world, seed, SENDERS)
    await loads.during(world, load, mesh_faults.MeshFaults(world, plan).run())
    await checks.all_up(world)
    await world.in_one_place()
    await world.all_nodes_seen()
    await checks.no_call_is_open(world)
    await checks.letters_are_read(world)
    await world.heals()
    world.ledger.tells.read_events(world.redis)
    for task in (keeping, ticking, reading):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await world.close()


if __name__ == "__main__":
    import checks
    import faults
    import keys
    import loads
    import machines
    import mesh_faults
    import mesh_tells
    from mesh_world import HubRedis, MeshLedger, MeshWorld
    from place import Place
    from tells import Letter

    chosen = arguments()
    where = os.environ.get(IN_HUB)
    sys.exit(in_hub(chosen, *where.split()) if where else outside(chosen))
