#!/usr/bin/env python3
"""Pools whose loop stands still: suspect, shown with what they are in, ended only if told so."""

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.join(os.environ.get("XO_SRCDIR", "."), "t")
sys.path[:0] = [HERE, os.path.join(HERE, "chaos")]
from brokers import BUILD, CALL, Node, refusal, run, until  # noqa: E402
from connections import connections  # noqa: E402

MODULE = os.path.join(BUILD, "t", ".libs", "module-stuck.so")
PYTHON = os.environ.get("PYTHON") or sys.executable
CALL_KIND, CREATE = 3, 10  # the kinds of message, doc/wire.md
# What callers hear where a process that is dying is kept from it for longer than they wait for why.
SLOW_DEATH = "connection lost"
QUICK = "[node]\nheartbeat_ms = 100\n"


def pool(settings="", node=""):
    return f"{QUICK}{node}[pool stuck]\ncommand = xo-pool --module {MODULE}\n{settings}"


def relay(node, address, kind, uid, method, *args):
    """A caller's process; its answer is JSON on its standard output."""
    words = map(json.dumps, (address, kind, uid, method, [list(args), {}]))
    return subprocess.Popen([CALL, node.endpoint, "relay", *words], env=node.place.env,
                            stdout=subprocess.PIPE)


def create(node, address, uid):
    with relay(node, address, CREATE, uid, "Stuck") as creator:
        creator.communicate()
    until(lambda: node.call("lookup", uid), f"{uid} to be known")


class Spin:
    """An actor in a busy loop, until this is left."""

    def __init__(self, node, address, uid):
        self.path = node.place.write(f"spin-{uid}", "")
        self.caller = relay(node, address, CALL_KIND, uid, "spin", self.path)
        self.text = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.answer()

    def answer(self):
        if self.text is None:
            self.text = self.caller.communicate()[0]
        return json.loads(self.text)


def spinning(place):
    """a C method that loops makes its pool suspect; what it is in is shown, and it is left alone"""
    node = Node(place, config=pool())
    (before,) = node.wait_pools(1)
    node.wait_registry()
    create(node, before["address"], "hang 1")
    with Spin(node, before["address"], "hang 1") as spin:
        words = 'in method "spin" of actor "hang 1"'
        (record,) = until(lambda: [p for p in node.pools("suspect") if words in p["reason"]],
                          "it to be suspect in its method")
        assert record["busy_actor"] == "hang 1" and record["busy_method"] == "spin", record
        assert abs(time.time() - record["busy_since"]) < 60, record
        key = "xo:{default}:pool:" + record["id"]
        fields = ("state", "busy_actor", "busy_method")
        until(lambda: node.redis("hmget", key, *fields) == ["suspect", "hang 1", "spin"],
              "the registry's record")
        until(lambda: [event for event in node.events("pool.suspect")
                       if event.get("busy_method") == "spin" and event["pool"] == record["id"]],
              "the event")
        table = subprocess.run(["xo", "pools", "--wide", "--node", node.endpoint], env=place.env,
                               text=True, stdout=subprocess.PIPE, check=True).stdout
        assert "METHOD" in table and "spin" in table and "hang 1" in table, table
        assert "REASON" in table and words in table, table
        os.unlink(spin.path)
        assert spin.answer() is None
    (after,) = node.wait_pools(1)
    assert after["pid"] == before["pid"] and "busy_method" not in after, after
    until(lambda: node.events("pool.alive"), "the other event")
    assert not node.events("pool.restart")
    table = subprocess.run(["xo", "pools", "--node", node.endpoint], env=place.env, text=True,
                           stdout=subprocess.PIPE, check=True).stdout
    assert "METHOD" not in table and "REASON" not in table, table


def stopped(place):
    """a pool that SIGSTOP has stopped is suspect, and the reason says so"""
    node = Node(place, config=pool())
    (record,) = node.wait_pools(1)
    os.kill(record["pid"], signal.SIGSTOP)
    said = "lost heartbeats; its process is stopped"
    (record,) = until(lambda: [p for p in node.pools("suspect") if p["reason"] == said], said)
    assert "busy_method" not in record
    os.kill(record["pid"], signal.SIGCONT)
    node.wait_pools(1)


def switches(pid):
    """How often the process has gone to sleep."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)$", file.read(), re.M).group(1))


def stop_and_go(node, pid):
    """A pool is stopped until that shows: more than three heartbeats."""
    os.kill(pid, signal.SIGSTOP)
    said = "lost heartbeats; its process is stopped"
    until(lambda: [p for p in node.pools("suspect") if p["pid"] == pid and p["reason"] == said],
          said)
    os.kill(pid, signal.SIGCONT)
    until(lambda: [p for p in node.pools("ready") if p["pid"] == pid], "it to be well again")


def wait_heartbeats(node, record, count):
    """Each heartbeat renews the pool's lease, which wakes no pool."""
    key = "xo:{default}:pool:" + record["id"]
    for _ in range(count):
        left = int(node.redis("pttl", key)[0])

        def is_renewed():
            nonlocal left
            before, left = left, int(node.redis("pttl", key)[0])
            return left > before

        until(is_renewed, "a heartbeat")


def rests(place, config):
    node = Node(place, config=config)
    (record,) = node.wait_pools(1)
    node.wait_registry()

    def sleeps_on():
        before = switches(record["pid"])
        wait_heartbeats(node, record, 5)
        return switches(record["pid"]) - before <= 1

    until(sleeps_on, "the pool to sleep")
    stop_and_go(node, record["pid"])


def resting(place):
    """a pool that has nothing to do sleeps on, over many heartbeats, and is looked after"""
    rests(place, pool())


def resting_python(place):
    """so does one whose loop is asyncio's"""
    done = subprocess.run([PYTHON, "-c", "import xoscar"], capture_output=True, check=False)
    if done.returncode != 0:
        return "there is no Python package"
    rests(place, f"{QUICK}[pool idle]\ncommand = {PYTHON} -m xoscar.pool\n")
    return None


def open_page(pid):
    """The progress page of a process's first pool."""
    folder = f"/proc/{pid}/fd"
    for fd in sorted(os.listdir(folder), key=int):
        path = os.path.join(folder, fd)
        if os.readlink(path).startswith("/memfd:"):
            file = open(path, "rb", buffering=0)
            if file.read(6) == b"xoprog":
                return file
            file.close()
    return None


def last_word(place):
    """the page of a pool that ended in order says so, in C and in Python, and no other one"""
    python = f"{QUICK}[pool idle]\ncommand = {PYTHON} -m xoscar.pool\n"
    has_python = subprocess.run([PYTHON, "-c", "import xoscar"], capture_output=True, check=False)
    for config in [pool()] + [python] * (has_python.returncode == 0):
        for signum, is_said in ((signal.SIGKILL, False), (signal.SIGTERM, True)):
            node = Node(place, config=config)
            (process,) = node.wait_pools(1)
            with open_page(process["pid"]) as page:
                os.kill(process["pid"], signum)
                until(lambda n=node: n.events("pool.down"), "its end")
                page.seek(8)
                count, status = struct.unpack("<QQ", page.read(16))
            assert (count == 2 ** 64 - 1) == is_said, count
            assert not is_said or status == 0, status
            assert node.stop()[0] == 0
            place.assert_clean()


def hanging(place):
    """with a hang_timeout_ms it is killed and started again, and callers hear why"""
    for where in ("pool", "node"):
        setting = "hang_timeout_ms = 4000\n"
        config = pool(setting) if where == "pool" else pool(node=setting)
        node = Node(place, config=config)
        (before,) = node.wait_pools(1)
        node.wait_registry()
        create(node, before["address"], "hang")
        with Spin(node, before["address"], "hang") as spin:
            answer = spin.answer()
        assert answer["code"] == "ServerClosed" and answer["executed"] == "maybe", answer
        until(lambda n=node: [p for p in n.pools("ready") if p["generation"] == 2], "a new one")
        (down,) = node.events("pool.down")
        assert down["reason"].startswith("hang: its loop stood still for "), down
        assert down["reason"].endswith(' s, in method "spin" of actor "hang"'), down
        assert answer["reason"] in (down["reason"], SLOW_DEATH), answer
        assert node.stop()[0] == 0
        place.assert_clean()


def cut(pid):
    """The pool's links end, as far as anybody looks."""
    pidfd = os.pidfd_open(pid)
    with contextlib.closing(connections(pid, pidfd)) as found:
        assert found.count > 0
        found.shut_all()
    os.close(pidfd)


CUT_OFF = "its link to the broker was lost"
UNHURRIED = ("heartbeat_ms = 100", "heartbeat_ms = 500")  # in three of these a pool has linked again


def wait_cut_off(node, what):
    """What is said of a pool that is cut off, and goes on being so for many heartbeats."""
    said = CUT_OFF + what
    (record,) = until(lambda: [p for p in node.pools("suspect") if p["reason"] == said], said)
    wait_heartbeats(node, record, 6)
    assert [p["pid"] for p in node.pools("suspect")] == [record["pid"]], node.pools()
    return record


def cut_off(place):
    """a busy pool whose link is lost is suspect, left alone, links again and has lost nothing"""
    node = Node(place, config=pool().replace(*UNHURRIED))
    (before,) = node.wait_pools(1)
    node.wait_registry()
    address = before["address"]
    create(node, address, "busy")
    with relay(node, address, CALL_KIND, "busy", "count") as caller:
        assert json.loads(caller.communicate()[0]) == 1
    with Spin(node, address, "busy") as spin:
        until(lambda: node.pools()[0].get("busy_method"), "it to be in its method")
        cut(before["pid"])
        assert spin.answer()["code"] == "ServerClosed"
        record = wait_cut_off(node, ', in method "spin" of actor "busy"')
        assert record["busy_actor"] == "busy" and record["busy_method"] == "spin", record
        key = "xo:{default}:pool:" + record["id"]
        assert node.redis("hmget", key, "state", "busy_method") == ["suspect", "spin"]
        event = node.events("pool.suspect")[-1]
        assert event["reason"] == record["reason"] and event["busy_method"] == "spin", event
        table = subprocess.run(["xo", "pools", "--wide", "--node", node.endpoint], env=place.env,
                               text=True, stdout=subprocess.PIPE, check=True).stdout
        assert CUT_OFF in table and "spin" in table, table
    (after,) = node.wait_pools(1)
    assert (after["pid"], after["generation"]) == (before["pid"], 1) and "reason" not in after
    with relay(node, address, CALL_KIND, "busy", "count") as caller:
        assert json.loads(caller.communicate()[0]) == 2
    assert not node.events("pool.down")


def cut_off_stopped(place):
    """so is one that was stopped"""
    node = Node(place, config=pool().replace(*UNHURRIED))
    (before,) = node.wait_pools(1)
    node.wait_registry()
    os.kill(before["pid"], signal.SIGSTOP)
    cut(before["pid"])
    wait_cut_off(node, "; its process is stopped")
    os.kill(before["pid"], signal.SIGCONT)
    (after,) = node.wait_pools(1)
    assert after["pid"] == before["pid"] and not node.events("pool.down")


def cut_off_hanging(place):
    """with a hang_timeout_ms it is killed after that, and started again"""
    node = Node(place, config=pool("hang_timeout_ms = 4000\n").replace(*UNHURRIED))
    (before,) = node.wait_pools(1)
    node.wait_registry()
    create(node, before["address"], "hang")
    with Spin(node, before["address"], "hang"):
        until(lambda: node.pools()[0].get("busy_method"), "it to be in its method")
        cut(before["pid"])
        until(lambda: [p for p in node.pools("ready") if p["generation"] == 2], "a new one")
    (down,) = node.events("pool.down")
    found = re.fullmatch(r'hang: its loop stood still for ([0-9.]+) s, '
                         r'in method "spin" of actor "hang"', down["reason"])
    assert found and float(found.group(1)) >= 4, down


def group(node, address, *words):
    """A process that does something with a group (t/group.c)."""
    return subprocess.Popen([os.path.join(BUILD, "t", "group"), address, *words],
                            env=node.place.env)


def cut_off_member(place):
    """a group that stops such a pool's actor gives it the actor's time, and has it killed then"""
    node = Node(place, config=pool("count = 2\n"))
    one, two = node.wait_pools(2)
    address = one["address"]
    assert group(node, address, "make", "g", "one_for_one").wait() == 0
    assert group(node, address, "create", "Stuck", "busy", "g", "300").wait() == 0
    with Spin(node, address, "busy"):
        until(lambda: [p for p in node.pools() if p.get("busy_method")], "it to be in its method")
        cut(one["pid"])
        until(lambda: [p for p in node.pools("suspect") if CUT_OFF in p["reason"]], "that is seen")
        stopping = group(node, two["address"], "stop", "g")
        (down,) = until(lambda: node.events("pool.down"), "its end")
        assert 'actor "busy" did not stop in time' in down["reason"], down
        assert stopping.wait() == 0
    node.wait_pools(2)


def patient(place):
    """a pool's own hang_timeout_ms replaces the node's: with 0 it is never ended"""
    node = Node(place, config=pool("hang_timeout_ms = 0\n", "hang_timeout_ms = 1\n"))
    (before,) = node.wait_pools(1)
    create(node, before["address"], "hang")
    with Spin(node, before["address"], "hang"):
        node.wait_pools(1, "suspect")
    (after,) = node.wait_pools(1)
    assert after["generation"] == 1 and not node.events("pool.down")


def too_short(place):
    """a hang_timeout_ms below three heartbeats is warned of, and what it counts as"""
    for setting, warnings in (("200", 1), ("300", 0), ("0", 0)):
        node = Node(place, config=pool(f"hang_timeout_ms = {setting}\n"))
        node.wait_pools(1)
        words = f": hang_timeout_ms is {setting} but counts as 300: "
        assert node.log().count(words) == warnings, node.log()
        assert node.stop()[0] == 0
    place.assert_clean()


def on_request(place):
    """pool.start takes hang_timeout_ms, and refuses what is none"""
    node = Node(place, config=QUICK)
    argv = ["xo-pool", "--module", MODULE]
    for wrong in (-1, "soon", 1 << 40):
        text = str(refusal(node.call, "pool.start", {"argv": argv, "hang_timeout_ms": wrong}))
        assert "hang_timeout_ms: must be a number of milliseconds" in text, text
    started = node.call("pool.start", {"argv": argv, "hang_timeout_ms": 4000})
    os.kill(started["pid"], signal.SIGSTOP)
    until(lambda: [p for p in node.pools("ready") if p["generation"] == 2], "a new one")
    node.wait_registry()
    (down,) = until(lambda: node.events("pool.down"), "the event")
    assert down["reason"].endswith("; its process is stopped"), down


def suspected_since(node, kind):
    """The events that say so, after the last one of this kind."""
    events = node.call("events", "0", 1000)
    last = max(i for i, event in enumerate(events) if event["type"] == kind)
    return [event for event in events[last:] if event["type"] == "pool.suspect"]


def taken_over(place):
    """the next broker sees what it is in, too, and ends it, before it has linked to that"""
    config = pool("hang_timeout_ms = 4000\n")
    node = Node(place, config=config)
    (before,) = node.wait_pools(1)
    create(node, before["address"], "hang")
    with Spin(node, before["address"], "hang") as spin:
        until(lambda: node.pools()[0].get("busy_method"), "it to be in its method")
        node.process.kill()
        node.process.wait()
        spin.answer()
        node = Node(place, config=config)
        words = 'in method "spin" of actor "hang"'
        (record,) = until(lambda: [p for p in node.pools("suspect") if words in p["reason"]],
                          "it to be suspect in its method")
        assert record["busy_method"] == "spin" and record["pid"] == before["pid"], record
        node.wait_registry()
        until(lambda: words in str(suspected_since(node, "broker.restarted")), "the event")
        until(lambda: [p for p in node.pools("ready") if p["generation"] == 2], "a new one")
    (down,) = until(lambda: node.events("pool.down"), "the event")
    assert down["reason"].startswith("hang: its loop stood still for "), down
    assert node.stop()[0] == 0
    place.assert_clean()


def orphaned(place):
    """it goes with the owner, although neither its own loop nor its broker can see to it"""
    owner = place.other("sleep", "600")
    node = Node(place, "--owner", str(owner.pid), config=pool())
    (record,) = node.wait_pools(1)
    create(node, record["address"], "hang 5")
    with Spin(node, record["address"], "hang 5"):
        until(lambda: node.pools()[0].get("busy_method"), "it to be in its method")
        node.process.send_signal(signal.SIGSTOP)
        owner.kill()
        owner.wait()
        until(lambda: not os.path.exists(f"/proc/{record['pid']}/exe"), "the pool to be gone")
        node.process.kill()
        node.process.wait()


def crashing(place):
    """what a pool was in when a signal ended it is in the reason"""
    node = Node(place, config=pool())
    (before,) = node.wait_pools(1)
    node.wait_registry()
    create(node, before["address"], "fragile")
    with relay(node, before["address"], CALL_KIND, "fragile", "crash") as caller:
        answer = json.loads(caller.communicate()[0])
    assert answer["code"] == "ServerClosed" and answer["executed"] == "maybe", answer
    said = 'signal 11 (Segmentation fault), in method "crash" of actor "fragile"'
    assert answer["reason"] in (said, SLOW_DEATH), answer
    until(lambda: [event["reason"] for event in node.events("pool.down")] == [said], said)


run(crashing, spinning, stopped, resting, resting_python, last_word, hanging, cut_off, cut_off_stopped,
    cut_off_hanging, cut_off_member, patient, too_short, on_request, taken_over, orphaned)
