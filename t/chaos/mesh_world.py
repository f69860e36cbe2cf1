"""What t/chaos/mesh.py runs: a node on each machine, its own, and actors that may be anywhere."""
import asyncio
import collections
import os
import subprocess

import keys
import xoscar as xo
from chaos_actors import Tally, Walker
from ledger import Ledger, how_busy
from machines import HUB_ADDRESS, Machine
from mesh_tells import MeshTells, NodeAnswers
from world import OutsideRedis, ask_redis, module_path
from xoscar.errors import XoscarError

ACTORS, IN_C = 6, 3
KEEP_S = 0.1
START_S, PATIENCE_S = 60, 60
HEALED_S = 5  # after the end of a partition all is as it was


class HubRedis(OutsideRedis):
    """The cluster's registry: by tcp for the machines, by a socket for this program."""

    PORT = 6379

    def url(self):
        return f"redis://{HUB_ADDRESS}:{self.PORT}/0"

    def options(self):
        return ["--port", str(self.PORT), "--bind", HUB_ADDRESS, "--protected-mode", "no"]


class MeshLedger(Ledger):
    """Actors move: what counts is that no earlier one runs after a later one."""

    def make_tells(self):
        return MeshTells(self)

    def check_time(self, what, began, ended, timeout, cancel):
        """A call that is cancelled waits for its pool, which may be cut off."""
        super().check_time(what, began, ended, timeout, None)

    def check_lives(self, lines):
        """In the order in which they were written, by all machines."""
        tokens, counts = {}, collections.Counter()
        for line in lines:
            name, _, token, count, *_ = line.split()
            latest = tokens.get(name, 0)
            self.expect(int(token) >= latest, f"{name}: one that was replaced ran again: {line}")
            if int(token) > latest:
                self.counts["lives of actors"] += 1
                tokens[name] = int(token)
            counts[name, token] += 1
            self.expect(int(count) == counts[name, token], f"{name} lost its state: {line}")


class MeshWorld:
    """The nodes and their actors."""

    def __init__(self, network, place, ledger, redis, say):
        self.network = network
        self.place = place
        self.ledger = ledger
        self.redis = redis
        self.say = say
        self.machines = [Machine(network, i, place, redis.url(), module_path())
                         for i in range(len(network.machines))]
        self.pool = None
        self.python_pools = [one for machine in self.machines for one in machine.python_pools()]
        self.c_pools = [machine.c_pool() for machine in self.machines]
        self.actors = []  # the permanent ones, in Python and in C
        self.in_c = set()  # which of these are
        self.cut = set()  # pairs of machines that do not hear each other
        self.over = False

    def address(self):
        """Of the main pool."""
        return self.pool.external_address

    def broker(self):
        """What answers for each node."""
        return [NodeAnswers([self.address()])] + [
            NodeAnswers([*machine.python_pools(), machine.c_pool()]) for machine in self.machines]

    async def open(self):
        """Starts all and creates the actors."""
        for machine in self.machines:
            machine.start()
        self.pool = await xo.create_actor_pool(f"{HUB_ADDRESS}:0", n_process=0)
        await self.all_nodes_seen()
        for i in range(ACTORS):
            machine = self.machines[i % len(self.machines)]
            await self._create(Tally, f"xo:tally{i}", machine.python_pools()[i % 2])
        for i in range(IN_C):
            await self._create("Tally", f"xo:tally-c{i}", self.c_pools[i % len(self.c_pools)])
        self.in_c = set(self.actors[ACTORS:])
        for machine in self.machines:
            await self.walk(machine)

    async def _create(self, actor_class, uid, address):
        policy = xo.RestartPolicy(intensity=60, backoff_max=0.5, placement="any")
        self.actors.append(await xo.create_actor(
            actor_class, uid, self.place.notes, uid=uid, address=address, restart_policy=policy))

    async def walk(self, machine):
        """Has somebody there send notes, too, once its node is up."""
        uid = f"walker{machine.index}"
        while not self.over:
            try:
                await xo.create_actor(Walker, uid, self.actors, uid=uid,
                                      address=machine.python_pools()[0])
                return
            except xo.ActorAlreadyExist:  # only its broker is another one
                return
            except (xo.ServerClosed, xo.ActorNotExist, OSError):
                await asyncio.sleep(KEEP_S)

    async def keep(self):
        """What systemd does, for ever."""
        begun = {machine: machine.process for machine in self.machines}
        walks = []
        while True:
            for machine in self.machines:
                machine.look()
                if machine.process is not begun[machine]:
                    begun[machine] = machine.process
                    walks.append(asyncio.ensure_future(self.walk(machine)))
            await asyncio.sleep(KEEP_S)

    async def all_nodes_seen(self):
        """From here all nodes are, and their pools are ready."""
        end = self.ledger.clock.now() + START_S
        lacks = wanted = {*self.python_pools, *self.c_pools}
        while lacks and self.ledger.clock.now() < end:
            try:
                pools = await xo.list_pools(self.address())
                lacks = wanted - {pool.address for pool in pools if pool.state == "ready"}
            except (xo.ServerClosed, OSError) as error:
                self.say(f"the pools: {error}")
            await asyncio.sleep(0.2)
        self.ledger.expect(not lacks, f"pools that are not ready: {sorted(lacks)}")

    async def in_one_place(self):
        """The registry knows each actor once, running."""
        end = self.ledger.clock.now() + PATIENCE_S
        while True:
            states = await self._states()
            wrong = {ref.uid: states[ref.uid] for ref in self.actors
                     if states[ref.uid] != ["running"]}
            if not wrong or self.ledger.clock.now() > end:
                break
            await asyncio.sleep(0.2)
        self.ledger.expect(not wrong, f"not in one place: {wrong}")

    async def _states(self):
        """{uid: [state]}; nothing while the registry is filled again, for which it says to wait."""
        states = collections.defaultdict(list)
        try:
            for actor in await xo.list_actors(self.address()):
                states[actor.uid].append(actor.state)
        except XoscarError as error:
            self.say(f"the actors: {error}")
        return states

    async def _create_staying(self, address):
        """An actor there. What is known of a machine that was killed and is back may still be of
        the time before, and its pool not be there yet."""
        end = self.ledger.clock.now() + PATIENCE_S
        while True:
            try:
                return await xo.create_actor(Tally, "stays", self.place.notes, uid="stays",
                                             address=address)
            except xo.ServerClosed as error:
                if error.executed != "no" or self.ledger.clock.now() > end:
                    raise
                self.say(f"the machine that is to be cut off: {error}")
            await asyncio.sleep(0.2)

    async def heals(self):
        """A machine that was cut off until its leases had lapsed soon is one of them again: all
        nodes are up, and calls go across, both ways."""
        machine, other = self.machines[0], self.actors[-1]
        ref = await self._create_staying(machine.python_pools()[0])
        self.network.cut(machine.index, True)
        try:
            await self.nodes_are(len(self.machines))
        finally:
            self.network.cut(machine.index, False)
        began, number, answer = self.ledger.clock.now(), 0, None
        await self.nodes_are(len(self.machines) + 1)
        while answer is None and self.ledger.clock.now() < began + PATIENCE_S:
            note, number = ("healed", number), number + 1
            answer = await self.ledger.call("call across", ref.note_through(other, *note), note)
        took, bound = self.ledger.clock.now() - began, HEALED_S * how_busy()
        self.say(f"healed within {took:.2f} s")
        self.ledger.expect(took <= bound, f"a partition took {took:.2f} s to heal, not {bound:.2f}")

    async def nodes_are(self, count):
        """So many are up, this program's among them."""
        end, up = self.ledger.clock.now() + PATIENCE_S, -1
        while up != count and self.ledger.clock.now() < end:
            up = sum(node.state == "ready" for node in await xo.list_nodes(self.address()))
            await asyncio.sleep(0.05)
        self.ledger.expect(up == count, f"{up} nodes are up, not {count}")

    def show_logs(self):
        """What all nodes have said."""
        for machine in self.machines:
            with open(machine.log, encoding="utf-8", errors="replace") as file:
                for line in file:
                    self.say(f"machine {machine.index}: {line.rstrip()}")

    async def close(self):
        """All nodes stop in order, and nothing is left over."""
        for machine in self.machines:
            machine.stop()
        for machine in self.machines:
            over = await asyncio.to_thread(machine.wait, PATIENCE_S)
            self.ledger.expect(over, f"machine {machine.index}: its node has not stopped")
            left = [name for _, folders, files in os.walk(machine.run_dir)
                    for name in folders + files]
            self.ledger.expect(not left, f"machine {machine.index}: left over: {left}")
        await self.pool.stop()
        await self.no_keys()

    async def no_keys(self):
        """Nothing is left that belongs to nobody. A node that could not reach the registry just
        then leaves leases, which lapse."""
        end = self.ledger.clock.now() + PATIENCE_S
        left = {"all"}
        while left and self.ledger.clock.now() < end:
            left = {key for key in ask_redis(self.redis.socket, "KEYS", "*")
                    if ":node:" in key or ":pool:" in key}
            await asyncio.sleep(KEEP_S)
        self.ledger.expect(not left, f"leases left over: {left}")
        for text in keys.Left(keys.read(self.redis)).of_nobody():
            self.ledger.complain(f"left over in the registry: {text}")
