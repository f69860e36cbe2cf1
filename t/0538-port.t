#!/usr/bin/env python3
"""One port for a whole node: all that goes between nodes goes through it, and no other is open."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
import netns  # noqa: E402
from brokers import BUILD, DEADLINE_S, Node, Server, free_port, redis, run, until  # noqa: E402

JOB = os.path.join(os.environ.get("XO_SRCDIR", "."), "t", "port-job.py")
PYTHON = os.environ.get("PYTHON", "python3")
MODULE = os.path.join(BUILD, "examples", ".libs", "counter.so")
JOB_S = 120  # a safety net
LOOPBACK = "127.0.0.1"


def elsewhere(place, name):
    """The environment of another machine, as far as a run directory makes one."""
    path = os.path.join(place.path, name)
    os.makedirs(path, 0o700, exist_ok=True)
    return dict(place.env, XO_RUN_DIR=path)


def listening(pids):
    """The tcp ports that these processes listen on."""
    inodes = {}
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="utf-8") as file:
            for words in map(str.split, list(file)[1:]):
                if words[3] == "0A":
                    inodes[f"socket:[{words[9]}]"] = int(words[1].rpartition(":")[2], 16)
    ports = set()
    for pid in pids:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                ports.add(inodes.get(os.readlink(f"/proc/{pid}/fd/{fd}")))
            except OSError:
                pass
    return ports - {None}


def pools_config(port):
    return f"""[node]
port = {LOOPBACK}:{port}
heartbeat_ms = 100
[pool c]
command = xo-pool
modules = {MODULE}
count = 2
recover = actors
"""


BORROWER = """[node]
heartbeat_ms = 100
[pool c]
command = xo-pool
modules = %s
"""


def xo(env, *words):
    return subprocess.run(["xo", *words], env=env, text=True, capture_output=True, check=False,
                          timeout=JOB_S)


def addresses_of(pools):
    return sorted(p["address"] for p in pools)


def only_one_is_open(place):
    """with a port, a node listens on no other, and all its pools are reached through it"""
    port = free_port()
    node = Node(place, config=pools_config(port))
    pools = node.wait_pools(2)
    assert addresses_of(pools) == [f"{LOOPBACK}:{port}0001", f"{LOOPBACK}:{port}0002"], pools
    assert node.call("status")["address"] == f"{LOOPBACK}:{port}"
    found = until(lambda: listening(place.processes()), "it to listen")
    assert found == {port}, found
    far = elsewhere(place, "far")
    for where in [f"{LOOPBACK}:{port}", f"localhost:{port}0002", *(p["address"] for p in pools)]:
        done = xo(far, "pools", "--node", where, "--json")
        assert done.returncode == 0 and done.stdout.count(f'"{LOOPBACK}:{port}000') == 2, done
    done = xo(far, "pools", "--node", f"{LOOPBACK}:{port}0003")
    assert done.returncode != 0 and "no pool of that node is there" in done.stderr, done.stderr
    done = xo(far, "pools", "--node", f"{LOOPBACK}:{free_port()}0001")
    assert done.returncode != 0 and "nobody listens" in done.stderr, done.stderr
    assert node.call("status")["drops"]["no-route"] == 1
    node.stop()


def own_port_is_shut(place):
    """a pool whose own port is shut, or leads nowhere, is reached through its node's"""
    port = free_port()
    own = free_port(port)
    config = pools_config(port).replace("count = 2", f"""address = {LOOPBACK}:{own}
bind = {LOOPBACK}:{free_port(port, own)}""").replace("xo-pool", "xo-pool --create Counter:hits")
    server = Server(place).start()
    registry = ("--registry", f"unix://{server.socket}")
    far, near = elsewhere(place, "far"), elsewhere(place, "near")
    node = Node(place, *registry, config=config, env=far)
    assert addresses_of(node.wait_pools(1)) == [f"{LOOPBACK}:{own}"]
    other = Node(place, *registry, config=BORROWER % MODULE, env=near)
    until(lambda: "ready" in [p["state"] for p in other.pools() if p["node"] != node_id(node)],
          "its pool")
    until(lambda: other.call("lookup", "hits"), "the registry to know it")
    ask = ("call", "--node", other.endpoint, "hits", "add", "1")
    done = xo(near, *ask)
    assert done.stdout.strip() == "1", done
    with socket.create_server((LOOPBACK, own)):  # which says nothing, as a firewall does
        other.stop()
        other = Node(place, *registry, config=BORROWER % MODULE, env=near)
        other.wait_registry()
        ask = ("call", "--node", other.endpoint, "hits", "add", "1")
        done = xo(near, *ask)
        assert done.stdout.strip() == "2", done
    node.stop()
    assert redis(server.socket, "exists", f"xo:{{default}}:port:{LOOPBACK}:{own}") == ["0"]
    other.stop()
    server.stop()


def node_id(node):
    return node.call("status")["id"]


def keeps_its_place(place):
    """a pool that is started again is at the same place, and so are those of a broker that is"""
    port = free_port()
    node = Node(place, config=pools_config(port))
    pools = node.wait_pools(2)
    far = elsewhere(place, "far")
    node.call("pool.kill", pools[0]["address"])
    assert addresses_of(node.wait_pools(2)) == addresses_of(pools)
    node.process.kill()
    node.process.wait()
    assert xo(far, "pools", "--node", pools[1]["address"]).returncode != 0
    node = Node(place, config=pools_config(port))
    again = node.wait_pools(2)
    assert addresses_of(again) == addresses_of(pools), again
    assert pools[1]["pid"] in [p["pid"] for p in again], again
    for pool in again:
        done = xo(far, "pools", "--node", pool["address"])
        assert done.returncode == 0, done.stderr
    node.stop()


def taken(place):
    """a port that is taken, or is none, is an error that names it"""
    port = free_port()
    node = Node(place, config=pools_config(port))
    for wrong, said in ((f"{LOOPBACK}:{port}", f"{LOOPBACK}:{port}: Address already in use"),
                        ("0.0.0.0:7000", "no address that anybody can dial"),
                        ("node1", "no node's port"), (f"{LOOPBACK}:70000001", "a multiple of 100")):
        done = subprocess.run(["xo-broker", "--port", wrong], env=elsewhere(place, "other"),
                              text=True, capture_output=True, check=False)
        assert done.returncode == 1 and said in done.stderr, (wrong, done.stderr)
    node.stop()


class Job:
    """A process of port-job.py."""

    def __init__(self, place, name, port, role, *words, on=()):
        env = dict(elsewhere(place, name), XO_PORT=port)
        # pylint: disable=consider-using-with
        self.errors = open(os.path.join(place.path, f"log-{name}"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([*on, PYTHON, JOB, role, *words], env=env, text=True,
                                        stdout=subprocess.PIPE, stderr=self.errors)

    def line(self):
        return self.process.stdout.readline().split()

    def finish(self):
        output = self.process.communicate(timeout=JOB_S)[0]
        self.errors.seek(0)
        assert self.process.returncode == 0, (output, self.errors.read())
        return output

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.errors.close()


def leaves_nothing(place):
    until(lambda: not place.processes(), "the nodes to end with their owners")


def are_three_of(port, addresses):
    """The main pool's comes first; the others take theirs as they come."""
    assert addresses[0] == f"{port}0001", addresses
    assert sorted(addresses) == [f"{port}000{i}" for i in (1, 2, 3)], addresses


def all_of_it(place):
    """calls, tells, batches, streams, bulk, cancels, deaths and calls back go through it"""
    theirs = f"{LOOPBACK}:{free_port()}"
    server = Job(place, "server", theirs, "serve", LOOPBACK + ":0")
    addresses = server.line()
    are_three_of(theirs, addresses)
    asker = Job(place, "asker", f"{LOOPBACK}:{free_port()}", "ask", LOOPBACK + ":0", *addresses)
    output = asker.finish()
    assert output.endswith("ok\n"), output
    server.end()
    leaves_nothing(place)


def own_address(place):
    """a program whose main pool is to be at the node's port itself is there"""
    theirs = f"{LOOPBACK}:{free_port()}"
    server = Job(place, "server", theirs, "serve", theirs, "1")
    addresses = server.line()
    assert addresses == [theirs, f"{theirs}0001"], addresses
    asker = Job(place, "asker", f"{LOOPBACK}:{free_port()}", "ask", LOOPBACK + ":0", *addresses)
    assert asker.finish().endswith("ok\n")
    server.end()
    leaves_nothing(place)


def firewalls(place):
    """the same between two machines of which only the nodes' ports are open, and no call is late"""
    reason = netns.why_not()
    if reason:
        return reason
    with netns.wire() as wire:
        for machine in wire.machines:
            machine.open_only(7000)
        a, b = wire.machines
        server = Job(place, "server", f"{b.address}:7000", "serve", b.address, on=b.run)
        addresses = server.line()
        are_three_of(f"{b.address}:7000", addresses)
        asker = Job(place, "asker", f"{a.address}:7000", "ask", a.address, *addresses, on=a.run)
        output = asker.finish()
        assert output.endswith("ok\n"), output
        server.end()
        leaves_nothing(place)
    return None


def dial_out(place):
    """a node that can only dial out is reached through the port of another, both ways"""
    reason = netns.why_not()
    if reason:
        return reason
    with netns.wire() as wire:
        a, b = wire.machines
        a.open_only()
        b.open_only(7000)
        server = Job(place, "server", f"{b.address}:7000", "serve", b.address, on=b.run)
        asker = Job(place, "asker", f"{b.address}:70005000", "ask", a.address, *server.line(),
                    on=a.run)
        output = asker.finish()
        assert output.endswith("ok\n"), output
        server.end()
        leaves_nothing(place)
    return None


def borrowed(place):
    """places behind another's port are lent to one node at a time, for as long as it is linked"""
    port = free_port()
    lender = Node(place, config=pools_config(port))
    lender.wait_pools(2)

    def borrower(name):
        return Node(place, "--port", f"{LOOPBACK}:{port}5000", config=BORROWER % MODULE,
                    env={"XO_RUN_DIR": elsewhere(place, name)["XO_RUN_DIR"]})
    first = borrower("first")
    until(lambda: "is reached through" in first.log(), "it to be lent places")
    (pool,) = first.wait_pools(1)
    assert pool["address"] == f"{LOOPBACK}:{port}5000", pool
    assert listening([first.process.pid, pool["pid"]]) == set()
    far = elsewhere(place, "far")
    assert xo(far, "pools", "--node", pool["address"]).returncode == 0
    done = xo(far, "pools", "--node", f"{LOOPBACK}:{port}5001")
    assert done.returncode != 0 and "no pool of that node is there" in done.stderr, done.stderr
    turned_away = (f"asked for {LOOPBACK}:{port}5001, and node {first.call('status')['id']} on "
                   f"{socket.gethostname()}, which has it, does not come: this node has no pool")
    assert turned_away in lender.log(), lender.log()
    second = borrower("second")
    taken_by = f"those of node {first.call('status')['id']} on {socket.gethostname()}: choose others"
    until(lambda: taken_by in second.log(), second.log)
    first.stop()
    until(lambda: re.search("on .* is not reached through this one's port any more", lender.log()),
          lender.log)
    until(lambda: "is reached through" in second.log(), "the other to have them")
    assert xo(far, "pools", "--node", pool["address"]).returncode == 0
    lender.process.kill()
    lender.process.wait()
    assert xo(far, "pools", "--node", pool["address"]).returncode != 0
    lender = Node(place, config=pools_config(port))
    until(lambda: xo(far, "pools", "--node", pool["address"]).returncode == 0, "it to link again")
    second.stop()
    until(lambda: xo(far, "pools", "--node", pool["address"]).returncode != 0, "it to be gone")
    lender.stop()


def ask_port(port, name=None):
    """Connects to a port and greets it, and says whom it wants."""
    asked = socket.create_connection((LOOPBACK, port))
    asked.sendall(b"\5\1\0")
    assert asked.recv(2, socket.MSG_WAITALL) == b"\5\0"
    if name:
        asked.sendall(b"\5\1\0\3" + bytes([len(name)]) + name.encode() + bytes(2))
    return asked


def stops_while_it_asks(place):
    """a node stops in order while another, which can only dial out, has been asked to come"""
    port = free_port()
    lender = Node(place, config=pools_config(port))
    far = elsewhere(place, "far")
    borrower = Node(place, "--port", f"{LOOPBACK}:{port}5000", config=BORROWER % MODULE,
                    env={"XO_RUN_DIR": far["XO_RUN_DIR"]})
    until(lambda: "is reached through" in borrower.log(), "it to be lent places")
    borrower.process.send_signal(signal.SIGSTOP)
    waits = ask_port(port, f"p{port}5000.{LOOPBACK}")
    for _ in range(2):  # whoever comes later is answered when it has been read
        ask_port(port).close()
    assert lender.stop()[0] == 0, lender.log()
    waits.close()
    borrower.process.send_signal(signal.SIGCONT)
    borrower.stop()


def doctor(place):
    """xo doctor says what is between this machine and the port of another"""
    port = free_port()
    node = Node(place, config=pools_config(port))
    far = elsewhere(place, "far")

    def says(state, text, peer, env=far):
        done = xo(env, "doctor", "--peer", peer)
        (line,) = [line for line in done.stdout.splitlines() if " peer: " in line]
        assert line.startswith(f"{state} peer: ") and text in line, done
        assert (done.returncode != 0) == (state == "error"), done
    says("ok", "knows this machine's key", f"{LOOPBACK}:{port}")
    says("error", "nobody listens", f"{LOOPBACK}:{free_port()}")
    says("error", "no node's port", "gpu1")
    stranger = dict(far, XO_CONFIG_DIR=os.path.join(place.path, "stranger"))
    says("error", "xo keys import", f"{LOOPBACK}:{port}", stranger)
    assert xo(stranger, "keys", "generate", "stranger").returncode == 0
    says("error", "refused the encrypted handshake", f"{LOOPBACK}:{port}", stranger)
    until(lambda: "refused" in node.log(), "a line of the node's log")
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        says("error", "is it a node's port?", f"{LOOPBACK}:{other.getsockname()[1]}")
    node.stop()


def refusals(place):
    """who is refused at the port is counted once, in the node's status and in its record"""
    port = free_port()
    node = Node(place, config=pools_config(port))
    node.wait_pools(2)
    record = f"xo:{{default}}:node:{node.call('status')['id']}"

    def refused():
        status = node.call("status")
        kept, = node.redis("hget", record, "drops_refused")
        counts = {status.get("drops_refused", 0), status["drops"]["refused"], int(kept or 0)}
        return counts.pop() if len(counts) == 1 else 0

    for _ in range(3):
        socket.create_connection((LOOPBACK, port)).close()  # who leaves without a word
    until(lambda: refused() == 3, refused)
    other = dict(elsewhere(place, "far"), XO_CONFIG_DIR=os.path.join(place.path, "stranger"))
    assert xo(other, "keys", "generate", "stranger").returncode == 0
    assert xo(other, "pools", "--node", f"{LOOPBACK}:{port}").returncode != 0
    until(lambda: refused() > 3, refused)
    node.stop()


def pass_on(one, other):
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for each in (one, other):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def come_from(host, door, port):
    """Who connects to the door reaches the port from that address of the loopback."""
    while True:
        try:
            here = door.accept()[0]
        except OSError:
            return
        there = socket.create_connection((LOOPBACK, port), source_address=(host, 0))
        for ends in ((here, there), (there, here)):
            threading.Thread(target=pass_on, args=ends, daemon=True).start()


@contextlib.contextmanager
def a_way_from(host, port):
    """What to say to xo for its connections to reach the port from that address."""
    with socket.create_server((LOOPBACK, 0)) as door:
        threading.Thread(target=come_from, args=(host, door, port), daemon=True).start()
        yield "--node", f"port://{LOOPBACK}:{door.getsockname()[1]}/broker:0"
        door.shutdown(socket.SHUT_RDWR)


def revoked(place):
    """whose key was revoked is told of by the address that it comes from, not by the broker's"""
    port = free_port()
    host = "127.0.0.3"
    node = Node(place, config=pools_config(port))
    other = dict(elsewhere(place, "far"), XO_CONFIG_DIR=os.path.join(place.path, "gpu1"))
    keys = xo(dict(place.env), "keys", "export", "gpu1").stdout
    subprocess.run(["xo", "keys", "import"], input=keys, text=True, env=other, check=True,
                   capture_output=True)
    with a_way_from(host, port) as way:
        until(lambda: xo(other, "pools", *way).returncode == 0, "it to be admitted")
        assert "refused" not in node.log(), node.log()
        assert xo(place.env, "keys", "revoke", "gpu1").returncode == 0
        done = xo(other, "pools", *way)
        assert done.returncode != 0, done
        line = rf"refused {host} at port://.*: its key [0-9a-f]+ was revoked"
        until(lambda: re.search(line, node.log()), node.log)
    node.stop()


def another_cluster(place):
    """who has the key, but another name for the cluster, is told of by the host, once a minute"""
    port = free_port()
    host = "127.0.0.3"
    node = Node(place, config=pools_config(port))
    other = dict(elsewhere(place, "far"), XO_CONFIG_DIR=os.path.join(place.path, "other"))
    shutil.copytree(place.env["XO_CONFIG_DIR"], other["XO_CONFIG_DIR"])
    os.rename(f"{other['XO_CONFIG_DIR']}/default.key", f"{other['XO_CONFIG_DIR']}/else.key")
    with a_way_from(host, port) as way:
        for _ in range(2):
            done = xo(other, "pools", "--cluster", "else", *way)
            assert done.returncode != 0 and "this is cluster 'default'" in done.stderr, done
        line = (f"refused {host}, who came by port: "
                r"this is cluster 'default', not 'else' \(process \d+\)")
        assert len(re.findall(line, node.log())) == 1, node.log()
        assert node.log().count("refused") == 1, node.log()
    node.stop()


def silence(place):
    """a machine that falls silent ends the calls that wait for it"""
    reason = netns.why_not()
    if reason:
        return reason
    with netns.wire() as wire:
        a, b = wire.machines
        server = Job(place, "server", f"{b.address}:7000", "serve", b.address, "1", on=b.run)
        waiter = Job(place, "waiter", f"{a.address}:7000", "wait", a.address, *server.line(),
                     on=a.run)
        assert waiter.line() == ["waiting"]
        start = time.monotonic()
        b.silence()
        output = waiter.finish()
        assert output.endswith("ok\n"), output
        assert time.monotonic() - start < DEADLINE_S
        server.end()
        leaves_nothing(place)
    return None


def has_python():
    done = subprocess.run([PYTHON, "-c", "import xoscar"], capture_output=True, check=False)
    return done.returncode == 0


if not os.path.exists(MODULE):
    print("1..0 # SKIP counter.so is not built")
elif not shutil.which("redis-server"):
    print("1..0 # SKIP redis-server is needed")
elif not has_python():
    run(only_one_is_open, own_port_is_shut, keeps_its_place, taken, borrowed, stops_while_it_asks,
        doctor, refusals, revoked, another_cluster)
else:
    run(only_one_is_open, own_port_is_shut, keeps_its_place, taken, borrowed, stops_while_it_asks,
        doctor, refusals, revoked, another_cluster, all_of_it, own_address, firewalls,
        dial_out, silence)
