"""The node that t/chaos/chaos.py runs: its processes and its actors."""
import asyncio
import collections
import glob
import os
import signal
import subprocess
import time

import xoscar as xo
from chaos_actors import Tally
from xoscar.core import ActorRef

# Which lanes each sub pool may dial with; None: all.
PYTHON_POOLS = {"python0": None, "python1": "ipc", "python2": "tcp"}
C_POOLS = {"c0": None, "c1": "tcp", "pair": "shm,ipc,tcp"}  # "pair" is two pools in one process
POOLS = (*PYTHON_POOLS, *C_POOLS)
ACTORS = 2  # in each pool
HANG_S = 5  # the pools' hang_timeout: twice what a fault has one stand still for, and more
WATCH_S = 0.2
ASK_S = 2  # an answer that takes longer says that somebody stands still


def module_path():
    """Of the actors in C."""
    return os.path.join(os.environ["XO_BUILDDIR"], "t", ".libs", "chaos-actors.so")


def _environment(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = [pair.partition(b"=") for pair in file.read().split(b"\0")]
    return {name.decode(): value.decode(errors="replace") for name, _, value in pairs}


def _began(pid):
    """When, in ticks since the machine did."""
    return int(_text(pid, "stat").rpartition(")")[2].split()[19])


def _said(pid, place):
    """What a process that had started before it became a pool's says of itself (chaos_actors)."""
    try:
        with open(place.word_of(pid, _began(pid)), encoding="utf-8") as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file)
    except OSError:
        return {}


def _life_in(environment):
    return "{XO_POOL_ID}.{XO_POOL_GENERATION}@{XO_POOL_ADDRESS}".format_map(
        collections.defaultdict(str, environment))


def life_of(pid):
    """Of a pool's process, as in notes; of another one, or one that is gone, ".@" or the like."""
    try:
        return _life_in(_environment(pid))
    except OSError:
        return _life_in({})


def _text(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace").strip()


class Process:
    """One of the node's, held by a pidfd: a signal cannot reach another one that has its pid."""

    def __init__(self, pid, place):
        self.pid = pid
        self.fd = os.pidfd_open(pid)
        try:
            environment = _environment(pid)
            self.program = _text(pid, "comm")
            # redis-server writes its title over its environment.
            self.is_ours = environment.get("XO_RUN_DIR") == place.run_dir or (
                self.program == "redis-server" and place.path in _text(pid, "cmdline")
            )
            if self.is_ours and "XO_SPARE" in environment:
                environment.update(_said(pid, place))
            self.label = environment.get("XO_POOL_LABEL") or self.program
            # As in notes, where there is a pool to write them.
            self.life = _life_in(environment)
        except BaseException:
            self.close()
            raise

    def close(self):
        """It goes on."""
        os.close(self.fd)

    def send(self, number):
        """A signal. False: it is gone."""
        try:
            signal.pidfd_send_signal(self.fd, number)
        except ProcessLookupError:
            return False
        return True

    def age_s(self):
        """Since it began."""
        try:
            began = _began(self.pid)
        except OSError:  # it is gone
            return float("inf")
        ticks = os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began / ticks

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __str__(self):
        return f"{self.label} ({self.pid})"


def find_processes(place):
    """Those that live in it, this process aside."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            process = Process(pid, place)
        except OSError:
            continue
        if process.is_ours and pid != os.getpid():
            found.append(process)
        else:
            process.close()
    return sorted(found, key=lambda process: (process.label, process.pid))


def ask_redis(path, *command):
    """The lines of what it answers at this socket."""
    done = subprocess.run(["redis-cli", "-s", path, *command], capture_output=True, text=True,
                          check=True, timeout=ASK_S)
    return done.stdout.splitlines()


class OutsideRedis:
    """A registry that the node is told of, and that outlives it."""

    def __init__(self, directory):
        self.directory = directory
        self.socket = os.path.join(directory, "outside.sock")
        self.process = None

    def url(self):
        """For $XO_REGISTRY."""
        return f"unix://{self.socket}"

    def options(self):
        """Where else it listens."""
        return ["--port", "0"]

    def start(self, keeps=False):
        """Empty, or with what it had saved."""
        saved = os.path.join(self.directory, "outside.rdb")
        if not keeps and os.path.exists(saved):
            os.unlink(saved)
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            ["redis-server", *self.options(), "--unixsocket", self.socket, "--save", "",
             "--appendonly", "no", "--dir", self.directory, "--dbfilename", "outside.rdb"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )

    async def save(self):
        """Has it write down what it has. False: it stands still."""
        try:
            return await asyncio.to_thread(ask_redis, self.socket, "SAVE") == ["OK"]
        except subprocess.SubprocessError:
            return False

    def kill(self):
        """At once."""
        self.process.kill()
        self.process.wait()


class World:
    """The node."""

    def __init__(self, place, ledger, redis, say):
        self.place = place
        self.ledger = ledger
        self.redis = redis  # an OutsideRedis; None: the node has its own
        self.say = say
        self.pool = None
        self.python_pools = []  # addresses
        self.c_pools = []
        self.actors = []  # the permanent ones, in Python and in C
        self.in_c = set()  # which of these are
        self.doomed = set()  # pids of those that a fault kills
        self.starved = 0.0  # until when a start may fail, since the run directory was full
        self.over = False

    async def open(self):
        """Starts the pools and creates the permanent actors."""
        policy = xo.RestartPolicy(intensity=60, period=60, backoff_max=0.5)
        self.pool = await xo.create_actor_pool("127.0.0.1", n_process=0, restart_policy=policy,
                                               hang_timeout=HANG_S)
        for label, lanes in PYTHON_POOLS.items():
            env = {"XO_LANES": lanes} if lanes else None
            address = await self.pool.append_sub_pool(label=label, env=env)
            self.python_pools.append(address)
            await self._create(Tally, label, address)
        for label, lanes in C_POOLS.items():
            for address in await self._start_c_pool(label, lanes):
                self.c_pools.append(address)
                await self._create("Tally", f"{label}-{address.rpartition(':')[2]}", address)
        await self._create(Tally, "home", self.pool.external_address)

    async def _start_c_pool(self, label, lanes):
        """Its addresses."""
        argv = ["xo-pool", "--module", module_path(), "--pools", "2" if label == "pair" else "1"]
        env = {"XO_LANES": lanes} if lanes else {}
        await self.pool._request(-1, "127.0.0.1:0", label, argv, env)
        listed = await xo.list_pools(self.address())
        return [pool.address for pool in listed if (pool.label or "").partition("-")[0] == label]

    async def _create(self, actor_class, name, address):
        for i in range(ACTORS):
            uid = f"{name}-{i}"
            arguments = actor_class, uid, self.place.notes
            ref = await xo.create_actor(*arguments, uid=uid, address=address)
            self.actors.append(ref)
            if actor_class == "Tally":
                self.in_c.add(ref)

    def address(self):
        """Of the main pool."""
        return self.pool.external_address

    def broker(self):
        """A reference to what answers for the node."""
        return ActorRef(self.address(), b"xo.broker")

    def redis_socket(self):
        """Of the registry, or None."""
        if self.redis:
            return self.redis.socket
        return next(iter(glob.glob(f"{self.place.run_dir}/**/redis.sock", recursive=True)), None)

    async def lacks(self):
        """What the broker or Redis lack that creates the permanent actors again; "": nothing."""
        # The main pool's process is this one: nothing is created again in it.
        wanted = {ref.uid.decode() for ref in self.actors if ref.address != self.address()}
        try:
            records = await xo.wait_for(self.broker().actors(), ASK_S)
            keys = await asyncio.to_thread(ask_redis, self.redis_socket(), "KEYS", "*:spec:*")
        except (xo.ServerClosed, TimeoutError, asyncio.TimeoutError, OSError, TypeError,
                subprocess.SubprocessError) as error:
            return f"{type(error).__name__}: {error}"
        known = {record["uid"] for record in records if record["restart"] == "permanent"}
        kept = {key.partition(":spec:")[2].partition("@")[0] for key in keys}
        return " ".join(sorted(wanted - (known & kept)))

    def processes(self):
        """The node's, each to be closed."""
        return find_processes(self.place)

    async def watch(self):
        """Complains of processes that end and were not killed, for ever."""
        known = {}
        try:
            while True:
                self._look(known)
                await asyncio.sleep(WATCH_S)
        finally:
            for process in known.values():
                process.close()

    def _look(self, known):
        for process in self.processes():
            before = known.get(process.pid, process)
            before.label = process.label  # one in store becomes a pool's
            if before is not process:
                process.close()
            known[process.pid] = before
        for pid, process in list(known.items()):
            if not process.send(0):
                self._note_end(process)
                process.close()
                del known[pid]

    def _note_end(self, process):
        starved = self.ledger.clock.now() < self.starved
        wanted = process.pid in self.doomed or starved
        is_ours = process.label in POOLS or process.program == "xo-broker"
        self.ledger.expect(wanted or not is_ours, f"{process} ended, and nobody had killed it")
