"""The programs that are measured, and how one of them is run: within bounds of time and memory."""

import collections
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

from scratch import scratch

HERE = os.path.dirname(os.path.abspath(__file__))

# `group` is where its figures go; `quick` says that it takes --quick.
Program = collections.namedtuple("Program", "name group command env quick")

C_PROGRAMS = ("raw", "chain", "lane", "micro", "pool", "bulk", "relay")
QUICK = ("bulk",)  # of those, which take --quick
CURVES = ("pools", "actors", "clients", "sizes")


class Failed(Exception):
    """A sentence for a person."""


class Runner:
    """Runs programs one after the other, none beyond the end of the whole time."""

    def __init__(self, limit_s, limit_bytes):
        self._end = time.monotonic() + limit_s
        self._limit_bytes = limit_bytes
        self._terminal = sys.stderr.isatty()

    def run(self, program, title, quick=False):
        """Its figures. Raises Failed."""
        command = program.command + (["--quick"] if quick and program.quick else [])
        with scratch() as place:
            env = dict(program.env or os.environ, XO_RUN_DIR=os.path.join(place, "run"),
                       XO_CONFIG_DIR=os.path.join(place, "config"))
            with open(os.path.join(place, "out"), "w+") as out, \
                    open(os.path.join(place, "err"), "w+") as err:
                status = self._run(command, env, out, err, title)
                out.seek(0)
                err.seek(0)
                return self._figures(program, status, out.read(), err.read())

    def _run(self, command, env, out, err, title):
        if time.monotonic() >= self._end:
            return None
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   env=env, start_new_session=True, preexec_fn=self._bound)
        start = time.monotonic()
        try:
            if not self._terminal:
                print(f"bench: {title}", file=sys.stderr, flush=True)
            while True:
                try:
                    return process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    self._show(title, time.monotonic() - start)
                if time.monotonic() >= self._end:
                    return None
        finally:
            self._show(None, 0)
            if process.poll() is None:
                self._kill(process)

    def _bound(self):
        resource.setrlimit(resource.RLIMIT_DATA, (self._limit_bytes, self._limit_bytes))

    def _kill(self, process):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _show(self, title, seconds):
        if self._terminal:
            text = f"bench: {title} ({seconds:.0f} s)" if title else ""
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def _figures(self, program, status, out, err):
        for line in err.splitlines():
            if line.startswith("bench: left out"):
                print(line, file=sys.stderr)
        if status == 0:
            return json.loads(out)
        why = "ran out of time" if status is None else f"ended with status {status}"
        last = "\n".join(err.splitlines()[-20:])
        raise Failed(f"{' '.join(program.command)} {why}\n{last}".rstrip())


def memory_limit():
    """Half of what the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def peer_python():
    """The interpreter in whose environment xoscar itself is installed, or None."""
    peer = os.environ.get("XO_PEER")
    if peer and os.path.isdir(peer):
        return os.path.join(peer, "bin", "python3")
    return peer


def _has_xoscar(python, env):
    command = [python, "-c", "import xoscar"]
    return subprocess.run(command, env=env, stderr=subprocess.DEVNULL).returncode == 0


def _python_programs():
    script = os.path.join(HERE, "python.py")
    python = os.environ.get("PYTHON") or sys.executable
    yield Program("floor", "floor", [python, os.path.join(HERE, "floor.py")], None, True)
    if _has_xoscar(python, None):
        tcp = dict(os.environ, XO_LANES="tcp")
        yield Program("python", "python", [python, script], None, True)
        yield Program("python_far", "python", [python, script, "--far", "far"], None, True)
        yield Program("python_tcp", "python", [python, script, "--far", "tcp"], tcp, True)
        command = [python, os.path.join(HERE, "supervision.py")]
        yield Program("supervision", "supervision", command, None, True)
    peer = peer_python()
    if peer:
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
        if not _has_xoscar(peer, env):
            raise Failed(f"XO_PEER={os.environ['XO_PEER']} cannot import xoscar")
        yield Program("peer", "peer", [peer, script], env, True)
        yield Program("peer_far", "peer", [peer, script, "--far", "far"], env, True)


def programs(build):
    """What can be measured here, and a line for each that cannot."""
    found, missing = [], []
    for name in C_PROGRAMS + ("caf",):
        path = os.path.join(build, "bench", name)
        if os.access(path, os.X_OK):
            found.append(Program(name, name, [path], None, name in QUICK))
        elif name == "caf":
            missing.append("CAF: install libcaf-dev and g++, and run make bench again")
    relay = os.path.join(build, "bench", "relay")
    if os.access(relay, os.X_OK):
        found.append(Program("relay_one_core", "relay", [relay, "one-core"], None, False))
    found += _python_programs()
    if shutil.which("erl") and shutil.which("erlc"):
        command = [sys.executable, os.path.join(HERE, "erlang.py")]
        found.append(Program("erlang", "erlang", command, None, False))
    else:
        missing.append("Erlang/OTP: install erlang-base")
    if not peer_python():
        missing.append("xoscar: set XO_PEER to a virtual environment in which it is installed")
    return found, missing


def _output(*command, feed=None):
    """What a command prints, or None."""
    try:
        done = subprocess.run(command, input=feed, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, timeout=60)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def versions():
    """{what is measured: its version}, of what is there."""
    version = "import importlib.metadata as m; print(m.version('xoscar'))"
    release = "io:format(\"~s\", [erlang:system_info(otp_release)]), halt()."
    caf = _output(os.environ.get("CXX", "c++"), "-x", "c++", "-E", "-P", "-",
                  feed="#include <caf/config.hpp>\nCAF_VERSION\n")
    found = {
        "xo": _output("git", "-C", HERE, "describe", "--always", "--dirty"),
        "xoscar": _output(peer_python(), "-c", version) if peer_python() else None,
        "Erlang/OTP": _output("erl", "-noshell", "-eval", release),
        "CAF": caf.splitlines()[-1] if caf else None,
        "ZeroMQ": _output("pkg-config", "--modversion", "libzmq"),
        "libsodium": _output("pkg-config", "--modversion", "libsodium"),
    }
    return {name: version for name, version in found.items() if version}


def curves(build):
    """The programs that measure how figures grow."""
    scale = os.path.join(build, "bench", "scale")
    found = [Program(f"scale {name}", "scale", [scale, name], None, True) for name in CURVES]
    found.append(Program("entries", "scale", [os.path.join(build, "bench", "entries")], None,
                         True))
    return [program for program in found if os.access(program.command[0], os.X_OK)]
