"""Nodes for the system tests: each in throwaway directories, and nothing of it left behind.

A test is a function whose docstring is its name; run(*tests) reports TAP. One that returns a reason
has been skipped.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("XO_BUILDDIR", ".")
CALL = os.path.join(BUILD, "t", "broker-call")
FAKE_POOL = os.path.join(BUILD, "t", "fake-pool")
DEADLINE_S = 20  # a safety net: nothing waits for it
STOP_S = 2  # within which a node without groups stops in order, as it promises


class Refused(Exception):
    """An error answer; .answer is its body."""

    def __init__(self, answer):
        super().__init__(answer.get("message"))
        self.answer = answer
        self.code = answer["code"]


NAP_S = 0.01


def free_port(*taken_by_us):
    """One of the loopback's that was free a moment ago, and that nobody else is given."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
        low = int(file.read().split()[0])
    for port in range(low - 1 - os.getpid() % 2000, 1024, -1):
        if port in taken_by_us:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise AssertionError("no port is free")


def until(condition, what):
    """Waits until condition() is true, and returns what it returned. `what` may be a function."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(NAP_S)
    raise AssertionError(f"waited in vain for {what() if callable(what) else what}")


def seconds_until(condition, what):
    """Waits, and returns how long. Counts its naps, so that a machine that stands still meanwhile
    is not taken for a slow program."""
    naps = 0

    def check():
        nonlocal naps
        naps += 1
        return condition()

    until(check, what)
    return (naps - 1) * NAP_S


class Place:
    """Directories of its own: what nodes in it see as the user's."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="xo-t-", dir="/tmp")
        self.run_dir = os.path.join(self.path, "run")
        os.mkdir(self.run_dir, 0o700)
        self.env = dict(os.environ, XO_RUN_DIR=self.run_dir,
                        XO_CONFIG_DIR=os.path.join(self.path, "config"))
        for name in ("XO_CLUSTER", "XO_REGISTRY", "XO_NODE", "XO_LOG"):
            self.env.pop(name, None)
        os.mkdir(self.env["XO_CONFIG_DIR"], 0o700)
        self.others = []

    def other(self, *command):
        """A process that is no node's: not counted, but ended with the place."""
        # pylint: disable=consider-using-with
        self.others.append(subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL))
        return self.others[-1]

    def processes(self):
        """Those that were started in this place: pid -> command line. Zombies are gone."""
        mine = f"XO_RUN_DIR={self.path}/".encode()
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/environ", "rb") as file:
                    is_ours = any(one.startswith(mine) for one in file.read().split(b"\0"))
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
                # redis-server writes its title over its environment.
                if is_ours or self.path in line:
                    found[int(pid)] = line
        found.pop(os.getpid(), None)
        return found

    def files(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.run_dir)
                      for folder, folders, files in os.walk(self.run_dir)
                      for name in folders + files)

    def assert_clean(self):
        assert not self.processes(), f"processes are left: {self.processes()}"
        assert not self.files(), f"files are left: {self.files()}"

    def write(self, name, text):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def clean(self):
        for process in self.others:
            process.kill()
            process.wait()
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path, ignore_errors=True)


class Node:
    """xo-broker, started and listening."""

    def __init__(self, place, *options, config=None, env=None):
        self.place = place
        options = list(options)
        if config is not None:
            options += ["--config", place.write("node.ini", config)]
        self.log_path = os.path.join(place.path, f"log-{time.monotonic_ns()}")
        readable, writable = os.pipe()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["xo-broker", "--log", "debug", "--ready-fd", str(writable), *options],
                env=dict(place.env, **(env or {})), stderr=log, pass_fds=[writable])
        os.close(writable)
        with os.fdopen(readable) as ready:
            self.endpoint = ready.readline().strip()
        assert self.endpoint, f"it did not start: {self.log()}"
        self.directory = os.path.dirname(self.endpoint[len("ipc://"):])

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def call(self, method, *args):
        """Calls a method of xo.broker; Refused if it answers with an error."""
        done = subprocess.run([CALL, self.endpoint, method, *map(json.dumps, args)],
                              env=self.place.env, stdout=subprocess.PIPE, check=False)
        answer = json.loads(done.stdout)
        if done.returncode != 0:
            raise Refused(answer)
        return answer

    def pools(self, state=None):
        return [pool for pool in self.call("pools") if state in (None, pool["state"])]

    def wait_pools(self, count, state="ready"):
        def are_there():
            pools = self.pools(state)
            return pools if len(pools) == count else None
        return until(are_there, f"{count} pools to be {state}")

    def events(self, kind):
        return [event for event in self.call("events", "0", 1000) if event["type"] == kind]

    def redis(self, *command):
        """Of the private redis-server."""
        return redis(os.path.join(self.directory, "redis.sock"), *command)

    def wait_registry(self):
        until(lambda: self.call("status")["registry_state"] == "up", "the registry")

    def stop(self, signum=signal.SIGTERM):
        """Returns its exit status and how many seconds it took."""
        self.process.send_signal(signum)
        seconds = seconds_until(lambda: self.process.poll() is not None, "the node to end")
        return self.process.returncode, seconds


class Machine(Node):
    """A node that shares nothing with the others but Redis; with one pool of its own."""

    def __init__(self, place, url, name, config):
        self.env = {"XO_RUN_DIR": os.path.join(place.path, name)}
        os.makedirs(self.env["XO_RUN_DIR"], 0o700, exist_ok=True)
        super().__init__(place, "--registry", url, config=config, env=self.env)
        self.wait_registry()
        self.id = self.call("status")["id"]
        until(lambda: self.own_pool()["state"] == "ready", "its pool")

    def own_pool(self):
        return next((p for p in self.pools() if p["node"] == self.id), {"state": ""})


class Server:
    """A redis-server of the test's own, on a unix socket."""

    def __init__(self, place, *options):
        self.place = place
        self.socket = os.path.join(place.path, "shared.sock")
        self.options = options
        self.process = None

    def start(self):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--daemonize", "no", "--dir", self.place.path, *self.options],
            stdout=subprocess.DEVNULL, env=self.place.env)
        until(lambda: redis(self.socket, "ping")[0] in ("PONG", "NOAUTH Authentication required."),
              "redis-server")
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait()


def redis(path, *command):
    done = subprocess.run(["redis-cli", "-s", path, *command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.splitlines()


def start_pool(*words, **more):
    """The argument of pool.start that starts a fake pool."""
    return dict({"argv": [FAKE_POOL, *words]}, **more)


def refusal(call, *args):
    """The error that the call is answered with."""
    try:
        value = call(*args)
    except Refused as refused:
        return refused
    raise AssertionError(f"answered: {value}")


def run(*tests):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and clean up on the way out
    print(f"1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        place = Place()
        try:
            reason = test(place)
            skipped = f" # SKIP {reason}" if reason else ""
            print(f"ok {number} - {test.__doc__}{skipped}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {test.__doc__}")
            notes = traceback.format_exc().splitlines()
            for name in sorted(os.listdir(place.path)):
                if name.startswith("log-"):
                    with open(os.path.join(place.path, name), encoding="utf-8") as file:
                        notes += [f"{name}: {line}" for line in file.read().splitlines()]
            print("\n".join(f"# {note}" for note in notes), flush=True)
        finally:
            place.clean()
    sys.exit(1 if failed else 0)
