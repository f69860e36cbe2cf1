"""The machines that t/chaos/mesh.py runs nodes on: network namespaces, joined by a bridge.

Nothing of it can be seen from outside: the bridge is in a namespace of its own, in which the
registry and the program that makes the load are, too.
"""
import contextlib
import glob
import os
import signal
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))  # and chaos_actors
HUB_ADDRESS = "10.79.0.254"
NOBODY = "02:00:00:00:00:01"  # an address that is given to no card
PYTHON_POOLS, PYTHON_PORT, C_PORT = 2, 7001, 7101


def ip(*words):
    """ip(8)."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def inside(namespace, *command):
    """The words that run a command there."""
    return ["ip", "netns", "exec", namespace, *command]


class Network:
    """A hub and so many machines, named after this process."""

    def __init__(self, prefix, count):
        self.prefix = prefix
        self.hub = f"{prefix}-hub"
        self.machines = [f"{prefix}-{i}" for i in range(count)]

    def build(self):
        """As root; an error of ip(8) where that may not be done."""
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "set", "lo", "up")
        ip("-n", self.hub, "link", "add", "hub", "type", "bridge")
        ip("-n", self.hub, "addr", "add", f"{HUB_ADDRESS}/24", "dev", "hub")
        ip("-n", self.hub, "link", "set", "hub", "up")
        for i, name in enumerate(self.machines):
            ip("netns", "add", name)
            ip("-n", self.hub, "link", "add", f"to{i}", "type", "veth", "peer", "name", "eth0",
               "netns", name)
            ip("-n", self.hub, "link", "set", f"to{i}", "master", "hub", "up")
            ip("-n", name, "addr", "add", f"{address_of(i)}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "eth0", "up")

    def remove(self):
        """With what runs there."""
        for name in [*self.machines, self.hub]:
            kill_all(name)
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def cut(self, i, away):
        """Machine i's cable is pulled out, or put back."""
        ip("-n", self.hub, "link", "set", f"to{i}", "down" if away else "up")

    def cut_between(self, i, j, away):
        """What machine i sends to j, and j to i, is lost, or arrives again: nobody has the address
        of the network card that each takes for the other's."""
        for here, there in ((i, j), (j, i)):
            rule = ["lladdr", NOBODY, "nud", "permanent"] if away else []
            ip("-n", self.machines[here], "neigh", "replace" if away else "del",
               address_of(there), "dev", "eth0", *rule)


def address_of(i):
    """Of machine i."""
    return f"10.79.0.{i + 1}"


def pids_in(namespace):
    """Of the processes there."""
    done = subprocess.run(["ip", "netns", "pids", namespace], check=False, capture_output=True,
                          text=True)
    return [int(word) for word in done.stdout.split()]


def signal_all(namespace, number):
    """To each process there."""
    for pid in pids_in(namespace):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(namespace):
    """Until there is none."""
    while pids_in(namespace):
        signal_all(namespace, signal.SIGKILL)


class Machine:
    """One of them, and its node: xo start, begun again whenever it ends, as systemd does."""

    def __init__(self, network, i, place, registry, module):
        self.network = network
        self.index = i
        self.namespace = network.machines[i]
        self.address = address_of(i)
        self.path = os.path.join(place.path, f"machine{i}")
        self.run_dir = os.path.join(self.path, "run")
        self.config = os.path.join(self.path, "node.ini")
        self.log = os.path.join(self.path, "log")
        self.process = None
        self.wanted = False  # to run
        os.makedirs(self.run_dir, 0o700)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(settings(self.address, registry, module))

    def python_pools(self):
        """Their addresses."""
        return [f"{self.address}:{PYTHON_PORT + i}" for i in range(PYTHON_POOLS)]

    def c_pool(self):
        """Its address."""
        return f"{self.address}:{C_PORT}"

    def start(self):
        """Begins the node, or its broker again."""
        self.wanted = True
        modules = os.pathsep.join([HERE, *filter(None, [os.environ.get("PYTHONPATH")])])
        with open(self.log, "ab") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                inside(self.namespace, "xo", "start", "--config", self.config),
                env=dict(os.environ, XO_RUN_DIR=self.run_dir, PYTHONPATH=modules),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def look(self):
        """Starts it again if it has ended and should run."""
        if self.wanted and self.process.poll() is not None:
            self.start()

    def has_begun(self):
        """Its node has written down whose it is, and has no other before it."""
        found = glob.glob(os.path.join(self.run_dir, "*", "n-*"))
        pids = map(_pid_in, found)
        return (not set(pids_in(self.namespace)).isdisjoint(pids) and
                all(os.path.exists(os.path.join(one, "claim")) for one in found))

    def kill(self):
        """All of it, as if the power were gone."""
        self.wanted = False
        kill_all(self.namespace)
        self.process.wait()

    def stop(self):
        """In order."""
        self.wanted = False
        self.process.terminate()

    def wait(self, timeout_s):
        """Until it has stopped. False: it has not."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return not pids_in(self.namespace)


def _pid_in(directory):
    """Of the broker whose node's directory that is; 0: there is none yet."""
    try:
        with open(os.path.join(directory, "broker.pid"), encoding="utf-8") as file:
            return int(file.read().split()[0])
    except (OSError, IndexError):
        return 0


def settings(address, registry, module):
    """A node's configuration file."""
    pool = "restart = permanent\nrecover = actors\nintensity = 60\nbackoff_max_ms = 500\n"
    return (f"[node]\nregistry = {registry}\nheartbeat_ms = 500\n"
            f"[pool python]\ncommand = python\nmodules = chaos_actors\ncount = {PYTHON_POOLS}\n"
            f"address = {address}:{PYTHON_PORT}\n{pool}"
            f"[pool c]\ncommand = xo-pool\nmodules = {module}\n"
            f"address = {address}:{C_PORT}\n{pool}")
