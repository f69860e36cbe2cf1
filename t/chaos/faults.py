"""The faults that t/chaos/chaos.py makes, in an order that its seed gives."""
import asyncio
import collections
import contextlib
import os
import random
import signal

from connections import connections
from place import SHM
from world import HANG_S, POOLS, PYTHON_POOLS

GAP_S = 0.4  # between the beginnings of two, on average
STOP_S = 2.0  # what stands still, is full or away, is so for at most so long
PROMISED, PERIOD_S = 2, 60  # of each kind there are so many in each period
FEWER = {"kill_node_core": 1}  # since it takes a broker, as kill_broker does
WAIT_S = 300  # so long one of these waits until it can be made
PATIENCE_S = 90  # when one of these is so late, no others are made
RETRY_S = 0.1
JOIN_S = 10  # so long after its start a process may not have joined
HUNG_S = 60  # so long after it began to stand still a pool must have been killed
READY_S = 60  # what a pool in Python may take to start
POLL_S = 0.05
STARVED_S = 20  # so long after it was full a pool may still find out that it could not start
# A process that is killed more often is given up: the broker by the program that embeds it (5
# restarts within 60 s), a pool by the policy that it has here.
KILLS, KILLS_S = {"xo-broker": 4}, 65
POOL_KILLS = 25

Fault = collections.namedtuple("Fault", "at_s name victim share promised")


def schedule(seed, names, seconds):
    """[Fault]: when, which, whom (a number that is taken modulo how many there are), how much.
    Those that are promised are made in any case, as soon as they can be; others only if they can be
    at their time."""
    draw = random.Random(f"{seed}/faults")
    faults, at_s = [], draw.random() * GAP_S
    while at_s < seconds:
        faults.append(_drawn(draw, at_s, draw.choice(names), False))
        at_s += 2 * GAP_S * draw.random()
    for name in names:
        count = FEWER.get(name, PROMISED)
        for _ in range(max(1, round(count * seconds / PERIOD_S))):
            faults.append(_drawn(draw, draw.random() * seconds, name, True))
    return sorted(faults)


def _drawn(draw, at_s, name, promised):
    return Fault(at_s, name, draw.randrange(1 << 16), draw.random(), promised)


class Faults:
    """Makes them. A kind's method returns whether it has been made, or cannot ever be."""

    def __init__(self, world, faults):
        self.world = world
        self.ledger = world.ledger
        self.faults = faults
        self.killed = collections.defaultdict(list)  # by label: when
        self.hung = set()  # pids of those that nobody but the broker is to end
        self.turn = asyncio.Lock()  # of broker and Redis
        self.rows = collections.defaultdict(asyncio.Lock)  # by name: who waits to be made
        self.late = set()  # names of those that have waited for too long
        self.began = 0.0

    async def run(self):
        """All, each at its time; several may be under way."""
        loop = asyncio.get_running_loop()
        self.ledger.began = self.began = loop.time()
        under_way = []
        for fault in self.faults:
            await asyncio.sleep(max(0.0, self.began + fault.at_s - loop.time()))
            if self.late and not fault.promised:
                self.say(fault, f"gives way to {', '.join(sorted(self.late))}")
                continue
            under_way.append(asyncio.ensure_future(self._make(fault)))
        for one in under_way:
            await one

    async def _make(self, fault):
        """One that cannot be made yet stands in a row with the others of its kind: each look costs,
        and with many that look this program's own clock hardly moves."""
        make = getattr(self, fault.name)
        if await make(fault) or not fault.promised:
            return
        async with self.rows[fault.name]:
            end = self.ledger.clock.now() + WAIT_S
            while not await make(fault):
                if self._now() > fault.at_s + PATIENCE_S:
                    self.late.add(fault.name)
                if self.ledger.clock.now() > end:
                    self.ledger.complain(f"{fault.name} could not be made within {WAIT_S} s")
                    break
                await asyncio.sleep(RETRY_S)
            self.late.discard(fault.name)

    def say(self, fault, text):
        """What happens, and when."""
        self.world.say(f"{self._now():7.2f} s: {fault.name} {text}")

    def _now(self):
        return asyncio.get_running_loop().time() - self.began

    @contextlib.contextmanager
    def held_up(self):
        """Meanwhile, something cannot go on."""
        span = [self.ledger.clock.now(), float("inf")]
        self.ledger.holdups.append(span)
        try:
            yield
        finally:
            span[1] = self.ledger.clock.now()

    # ---- whom ----

    def _may_die(self, label):
        now = self.ledger.clock.now()
        recent = [when for when in self.killed[label] if when > now - KILLS_S]
        return len(recent) < KILLS.get(label, POOL_KILLS)

    def _choose(self, fault, labels, dies):
        """One of the processes with these labels, held. None, and that is said: there is none, or
        it may not die."""
        processes = self.world.processes()
        found = [process for process in processes if process.label in labels]
        chosen = found[fault.victim % len(found)] if found else None
        for process in processes:
            if process is not chosen:
                process.close()
        if chosen is None:
            self.say(fault, "finds nobody")
            return contextlib.nullcontext()
        if dies and not self._may_die(chosen.label):
            self.say(fault, f"spares {chosen}")
            chosen.close()
            return contextlib.nullcontext()
        if dies:
            self.killed[chosen.label].append(self.ledger.clock.now())
            self.world.doomed.add(chosen.pid)
        self.say(fault, str(chosen))
        return chosen

    def _kill(self, fault, labels):
        with self._choose(fault, labels, True) as process:
            if process:
                process.send(signal.SIGKILL)
                self.ledger.tells.end(process.life)
                self.ledger.counts[f"fault: {fault.name}"] += 1
            return process is not None

    async def _stop(self, fault, labels, kills=False):
        with self._choose(fault, labels, kills) as process:
            if not process or not process.send(signal.SIGSTOP):
                return False
            self.ledger.counts[f"fault: {fault.name}"] += 1
            if kills:
                self.ledger.tells.end(process.life)
            try:
                with self.held_up():
                    await asyncio.sleep(fault.share * STOP_S)
            finally:
                if kills or process.pid not in self.hung:
                    process.send(signal.SIGKILL if kills else signal.SIGCONT)
            return True

    # ---- processes ----

    async def kill_pool(self, fault):
        """SIGKILL to one of the sub pools' processes."""
        return self._kill(fault, POOLS)

    async def kill_pools(self, fault):
        """To two at the same time, unless one of them may not die so soon again."""
        first = self._kill(fault, POOLS)
        return self._kill(fault._replace(victim=fault.victim + 1), POOLS) or first

    async def stop_pool(self, fault):
        """One stands still for a while."""
        return await self._stop(fault, POOLS)

    async def stop_and_kill_pool(self, fault):
        """One stands still, and is killed as it does."""
        return await self._stop(fault, POOLS, kills=True)

    async def hang_pool(self, fault):
        """One stands still, in a method or by SIGSTOP, until the broker has it killed."""
        with self._choose(fault, POOLS, True) as process:
            if not process:
                return False
            self.hung.add(process.pid)
            joins = process.age_s() < JOIN_S
            loops = fault.share < 0.5 and process.label in PYTHON_POOLS
            with self.held_up():
                if not await (self._loop(process) if loops else self._freeze(process)):
                    self.hung.discard(process.pid)
                    return False
                self.ledger.counts[f"fault: {fault.name}"] += 1
                await self._is_ended(process, HUNG_S + joins * READY_S)
            self.hung.discard(process.pid)  # soon another's
            return True

    async def _freeze(self, process):
        if not process.send(signal.SIGSTOP):
            return False
        self.ledger.tells.end(process.life)
        return True

    async def _loop(self, process):
        """False: its end has come before, by something else."""
        uid = f"{process.label}-0".encode()
        ref = next(ref for ref in self.world.actors if ref.uid == uid)
        path = os.path.join(self.world.place.path, f"hung-{process.pid}")
        call = asyncio.ensure_future(
            self.ledger.call("call that hangs", ref.hang(process.pid, path)))
        while not os.path.exists(path):
            if call.done():
                return False
            await asyncio.sleep(POLL_S)
        self.ledger.tells.end(process.life)
        return True

    async def _is_ended(self, process, limit_s):
        end = self.ledger.clock.now() + limit_s
        while process.send(0):
            if self.ledger.clock.now() > end:
                self.ledger.complain(f"{process} has stood still for {limit_s} s, and lives, "
                                     f"though its hang_timeout is {HANG_S} s")
                process.send(signal.SIGKILL)
                break
            await asyncio.sleep(POLL_S)

    async def kill_broker(self, fault):
        """The program that embeds the node starts another one."""
        async with self._turn(fault) as has_turn:
            if has_turn:
                self._spare_who_joins()
            return has_turn and self._kill(fault, ["xo-broker"])

    def _spare_who_joins(self):
        """A pool's process that has not joined yet ends when it cannot; the next broker starts one
        again."""
        for process in self.world.processes():
            with process:
                if process.label in POOLS and process.age_s() < JOIN_S:
                    self.world.doomed.add(process.pid)

    async def stop_broker(self, fault):
        """The broker stands still for a while."""
        return await self._stop(fault, ["xo-broker"])

    # ---- the registry ----

    @contextlib.asynccontextmanager
    async def _turn(self, fault):
        """What creates the actors again is in the broker and in Redis; one fills the other, which
        must not die meanwhile: gives whether both have all."""
        async with self.turn:
            lacks = await self.world.lacks()
            if lacks and not fault.promised:
                self.say(fault, f"waits for its turn: {lacks}")
            yield not lacks

    async def kill_redis(self, fault):
        """It is gone, and comes back empty; a node's own with what it had."""
        async with self._turn(fault) as has_turn:
            if not has_turn or self.world.redis:
                return has_turn and await self._start_redis_again(fault, keeps=False)
            return self._kill(fault, ["redis-server"])

    async def kill_node_core(self, fault):
        """The broker and its private Redis at the same time: the next broker starts one that reads
        what the other has kept."""
        if self.world.redis:
            return True
        async with self._turn(fault) as has_turn:
            if not has_turn:
                return False
            self._spare_who_joins()
            with self._choose(fault, ["redis-server"], False) as server:
                killed = server is not None and self._kill(fault, ["xo-broker"])
                if killed:
                    server.send(signal.SIGKILL)
                return killed

    async def restart_redis(self, fault):
        """It is gone, and comes back with what it had written down. A node's own always does."""
        if self.world.redis is None:
            return True
        async with self._turn(fault) as has_turn:
            return has_turn and await self._start_redis_again(fault, keeps=True)

    async def _start_redis_again(self, fault, keeps):
        if keeps and not await self.world.redis.save():
            return False
        self.say(fault, "outside the node")
        self.ledger.counts[f"fault: {fault.name}"] += 1
        self.world.redis.kill()
        with self.held_up():
            await asyncio.sleep(fault.share * STOP_S)
        self.world.redis.start(keeps)
        return True

    async def stop_redis(self, fault):
        """It does not answer for a while."""
        return await self._stop(fault, ["redis-server"])

    # ---- room ----

    async def _fill(self, fault, directory):
        if directory not in self.world.place.small:
            return True
        by_inodes = fault.victim % 2 == 1
        self.say(fault, "has no inodes" if by_inodes else "has no bytes")
        self.ledger.counts[f"fault: {fault.name}"] += 1
        files = self.world.place.fill(directory, by_inodes)
        try:
            with self.held_up():
                self.world.starved = float("inf")
                await asyncio.sleep(fault.share * STOP_S)
        finally:
            self.world.place.empty(files)
            self.world.starved = self.ledger.clock.now() + STARVED_S
        return True

    async def fill_run_dir(self, fault):
        """No room where the sockets are."""
        return await self._fill(fault, self.world.place.run_dir)

    async def fill_shm(self, fault):
        """No room in /dev/shm."""
        return await self._fill(fault, SHM)

    # ---- lanes ----

    async def close_lane(self, fault):
        """One of a process's connections ends, though both of its processes live."""
        with self._choose(fault, [*POOLS, "xo-broker"], False) as process:
            if not process:
                return False
            with contextlib.closing(connections(process.pid, process.fd)) as found:
                self.say(fault, f"{process}: {found.shut(fault.share)}")
                self.ledger.counts["fault: close_lane"] += found.count > 0
                return found.count > 0


NAMES = (
    "kill_pool", "kill_pools", "stop_pool", "stop_and_kill_pool", "hang_pool", "kill_broker",
    "stop_broker", "kill_node_core", "kill_redis", "restart_redis", "stop_redis", "fill_run_dir",
    "fill_shm", "close_lane",
)
