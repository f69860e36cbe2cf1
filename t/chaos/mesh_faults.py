"""The faults that t/chaos/mesh.py makes between machines, in an order that its seed gives."""
import asyncio
import os
import signal

from faults import Faults
from machines import pids_in, signal_all
from world import life_of

# A node that is silent for five heartbeats has lost its lease; so long, and as long again, one is
# away, stands still or is cut off at most.
AWAY_S = 6.0
DOWN = 2  # machines at most that are so at the same time: one goes on

NAMES = ("kill_node", "stop_node", "cut_node", "cut_pair", "kill_a_pool", "kill_a_broker",
         "stop_a_pool", "restart_registry")


class MeshFaults(Faults):
    """Makes them."""

    def __init__(self, world, plan):
        super().__init__(world, plan)
        self.down = set()  # machines

    def _machine(self, fault, exclusive):
        """The one that is meant, or None: it is away already, or too many are."""
        machines = self.world.machines
        chosen = machines[fault.victim % len(machines)]
        if chosen in self.down or (exclusive and len(self.down) >= DOWN):
            return None
        return chosen

    async def _take_away(self, fault, take, give_back):
        machine = self._machine(fault, True)
        if machine is None:
            return False
        self.say(fault, f"machine {machine.index}")
        self.ledger.counts[f"fault: {fault.name}"] += 1
        self.down.add(machine)
        try:
            with self.held_up():
                take(machine)
                await asyncio.sleep(fault.share * AWAY_S)
        finally:
            give_back(machine)
            self.down.discard(machine)
        self.say(fault, f"machine {machine.index} is back")
        return True

    async def kill_node(self, fault):
        """The power of a machine is gone; later its node begins anew."""
        return await self._take_away(fault, self._kill_machine, lambda one: one.start())

    def _kill_machine(self, machine):
        lives = [life_of(pid) for pid in pids_in(machine.namespace)]
        machine.kill()
        for life in lives:
            self.ledger.tells.end(life)

    async def stop_node(self, fault):
        """All its processes stand still."""
        return await self._take_away(
            fault, lambda one: signal_all(one.namespace, signal.SIGSTOP),
            lambda one: signal_all(one.namespace, signal.SIGCONT))

    async def cut_node(self, fault):
        """A machine hears nothing of all others, nor of the registry."""
        network = self.world.network
        return await self._take_away(fault, lambda one: network.cut(one.index, True),
                                     lambda one: network.cut(one.index, False))

    async def cut_pair(self, fault):
        """Two machines do not hear each other, but all others."""
        machines = self.world.machines
        i = fault.victim % len(machines)
        j = (i + 1) % len(machines)
        pair = (i, j)
        if pair in self.world.cut:
            return False
        self.say(fault, f"machines {i} and {j}")
        self.ledger.counts[f"fault: {fault.name}"] += 1
        self.world.cut.add(pair)
        self.world.network.cut_between(i, j, True)
        try:
            with self.held_up():
                await asyncio.sleep(fault.share * AWAY_S)
        finally:
            self.world.network.cut_between(i, j, False)
            self.world.cut.discard(pair)
        return True

    def _process(self, fault, programs):
        """The pid of one of a machine's processes, or None."""
        machine = self._machine(fault, False)
        found = [] if machine is None else [
            pid for pid in pids_in(machine.namespace) if _program(pid) in programs]
        if not found:
            return None
        chosen = found[int(fault.share * len(found))]
        self.say(fault, f"{_program(chosen)} ({chosen}) of machine {machine.index}")
        self.ledger.counts[f"fault: {fault.name}"] += 1
        return chosen

    async def kill_a_pool(self, fault):
        """SIGKILL to one pool's process."""
        pid = self._process(fault, POOL_PROGRAMS)
        life = pid and life_of(pid)
        killed = _send(pid, signal.SIGKILL)
        if killed:
            self.ledger.tells.end(life)
        return killed

    async def kill_a_broker(self, fault):
        """SIGKILL to a broker, which is started again. Of one that has not begun nobody takes over,
        and its files stay until a node starts when none of its processes lives."""
        machine = self._machine(fault, False)
        if machine is None or not machine.has_begun():
            return False
        return _send(self._process(fault, ["xo-broker"]), signal.SIGKILL)

    async def stop_a_pool(self, fault):
        """One pool's process stands still."""
        pid = self._process(fault, POOL_PROGRAMS)
        if not _send(pid, signal.SIGSTOP):
            return False
        with self.held_up():
            await asyncio.sleep(fault.share * AWAY_S)
        _send(pid, signal.SIGCONT)
        return True

    async def restart_registry(self, fault):
        """Redis is gone for less than a lease, and comes back with what it had saved."""
        async with self.turn:
            if not await self.world.redis.save():
                return False
            self.say(fault, "with what it had saved")
            self.ledger.counts[f"fault: {fault.name}"] += 1
            self.world.redis.kill()
            with self.held_up():
                await asyncio.sleep(fault.share * 1.0)
            self.world.redis.start(True)
        return True


POOL_PROGRAMS = ("python3", "python", "xo-pool")


def _program(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _send(pid, number):
    """False: there is none."""
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
