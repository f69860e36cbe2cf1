#!/usr/bin/env python3
"""The broker and a Redis that Sentinel looks after."""

import os
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import DEADLINE_S, FAKE_POOL, Node, free_port, run, until  # noqa: E402

POOL = f"[pool work]\ncommand = {FAKE_POOL} actor=alice\n"
DOWN_MS = 300  # after which the sentinel takes the master for dead


def ask(port, *command):
    done = subprocess.run(["redis-cli", "-p", str(port), *command], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.splitlines()


def answers(port):
    return ask(port, "ping")[0] in ("PONG", "NOAUTH Authentication required.")


def start(place, *options):
    """Gives (process, port) of a redis-server."""
    port = free_port()
    process = place.other("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                          "--dir", place.path, *options)
    until(lambda: answers(port), "redis-server")
    return process, port


def start_sentinel(place, master, settings=""):
    port = free_port()
    path = place.write("sentinel.conf", f"""{settings}
port {port}
bind 127.0.0.1
dir {place.path}
sentinel monitor mine 127.0.0.1 {master} 1
sentinel down-after-milliseconds mine {DOWN_MS}
""")
    place.other("redis-server", path, "--sentinel")
    until(lambda: answers(port), "the sentinel")
    return port


def start_all(place):
    """The master's process; the ports of the master, its replica, and the sentinel of both."""
    master, first = start(place)
    _, second = start(place, "--replicaof", "127.0.0.1", str(first), "--repl-diskless-sync-delay", "0")
    sentinel = start_sentinel(place, first)
    until(lambda: "master_link_status:up" in ask(second, "info", "replication"), "the replica")
    until(lambda: ask(sentinel, "sentinel", "replicas", "mine"), "the sentinel to know it")
    return master, first, second, sentinel


def failover(place):
    """it goes to the next master, with all that the old one knew"""
    master, first, second, sentinel = start_all(place)
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel}/mine"
    node = Node(place, "--registry", url, config=POOL)
    node.wait_registry()
    (pool,) = node.wait_pools(1)
    key = f"xo:{{default}}:actor:alice@{pool['id']}"
    until(lambda: ask(first, "exists", key) == ["1"], "the actor's key")
    assert node.call("status")["registry"] == url + "/0"
    # Acknowledged, and lost in the failover.
    ask(second, "replicaof", "127.0.0.1", str(free_port()))
    until(lambda: ask(second, "del", key)[0].startswith("READONLY"), "it to be a replica still")
    master.kill()
    master.wait()
    until(lambda: ask(second, "role")[0] == "master", "the replica to become the master")
    until(lambda: node.call("status")["registry_state"] == "up", "the broker to find it")
    until(lambda: ask(second, "exists", key) == ["1"], "all to be there")
    assert len(node.events("registry.up")) >= 1
    node.stop()


def becomes_a_replica(place):
    """it leaves a master that has become a replica, which goes on answering"""
    _, _, second, sentinel = start_all(place)
    node = Node(place, "--registry", f"redis+sentinel://127.0.0.1:{sentinel}/mine")
    node.wait_registry()
    until(lambda: ask(sentinel, "sentinel", "failover", "mine") == ["OK"], "it to begin")
    until(lambda: ask(second, "role")[0] == "master", "the replica to become the master")
    key = f"xo:{{default}}:node:{node.call('status')['id']}"
    until(lambda: ask(second, "client", "list", "type", "normal") and any(
        "name=xo-default" in line for line in ask(second, "client", "list")), "it to come")
    until(lambda: int(ask(second, "pttl", key)[0]) > 0, "its lease")
    node.stop()


def left_behind(place):
    """it leaves a master that the sentinels have left, and that does not know"""
    _, first, second, sentinel = start_all(place)
    node = Node(place, "--registry", f"redis+sentinel://127.0.0.1:{sentinel}/mine")
    node.wait_registry()
    key = f"xo:{{default}}:node:{node.call('status')['id']}"
    ask(sentinel, "sentinel", "remove", "mine")
    ask(second, "replicaof", "no", "one")
    ask(sentinel, "sentinel", "monitor", "mine", "127.0.0.1", str(second), "1")
    until(lambda: any("name=xo-default" in line for line in ask(second, "client", "list")), "it to come")
    assert ask(first, "role")[0] == "master"
    until(lambda: ask(second, "exists", key) == ["1"], "its record")
    until(lambda: node.call("status")["registry_state"] == "up", "it to be up")
    until(lambda: any("names another master" in e.get("reason", "") for e in node.events("registry.up")),
          "the reason")
    node.stop()


def with_passwords(place):
    """one that wants a password gets the one in the file that the URL names, not the master's"""
    _, master = start(place, "--requirepass", "ofredis")
    settings = "requirepass ofsentinel\n"
    sentinel = start_sentinel(place, master, settings)
    ask(sentinel, "--no-auth-warning", "-a", "ofsentinel", "sentinel", "set", "mine", "auth-pass",
        "ofredis")
    for name, password in (("redis", "ofredis"), ("sentinel", "wrong")):
        path = place.write(name, password + "\n")
        os.chmod(path, 0o600)
    url = f"redis+sentinel://127.0.0.1:{sentinel}/mine?password_file={place.path}/redis"
    node = Node(place, "--registry", url)
    until(lambda: "add ?sentinel_password_file=PATH" in node.call("status")["registry_state"],
          "what to do")
    node.stop()
    node = Node(place, "--registry", f"{url}&sentinel_password_file={place.path}/sentinel")
    until(lambda: f"refuses user and password of {place.path}/sentinel" in
          node.call("status")["registry_state"], "the wrong one to be refused")
    place.write("sentinel", "ofsentinel\n")
    node.wait_registry()
    key = f"xo:{{default}}:node:{node.call('status')['id']}"
    until(lambda: ask(master, "--no-auth-warning", "-a", "ofredis", "exists", key) == ["1"],
          "its record")
    shown = node.log() + node.call("status")["registry"]
    assert "ofredis" not in shown and "ofsentinel" not in shown and "wrong" not in shown
    node.stop()


def with_a_user(place):
    """one that has users gets the name in the URL; whom it does not know or let ask is told so"""
    _, master = start(place)
    sentinel = start_sentinel(place, master, "user default off\n"
                              "user admin on >ofadmin ~* &* +@all\n"
                              "user node on >ofnode -@all +auth")
    for name in ("ofnode", "wrong"):
        os.chmod(place.write(name, name + "\n"), 0o600)

    def says(query, what):
        node = Node(place, "--registry", f"redis+sentinel://127.0.0.1:{sentinel}/mine{query}")
        until(lambda: re.fullmatch(f"the sentinel 127.0.0.1:{sentinel}: {what}",
                                   node.call("status")["registry_state"]),
              lambda: f"{what}, not {node.call('status')['registry_state']}")
        return node

    says("", "it wants a password: add .sentinel_password_file=PATH to the registry's URL").stop()
    for name, user in (("ofnode", ""), ("ofnode", "&sentinel_user=nobody"),
                       ("wrong", "&sentinel_user=node")):
        path = f"{place.path}/{name}"
        says(f"?sentinel_password_file={path}{user}",
             f"it refuses user and password of {path}: "
             "WRONGPASS .* user is disabled.").stop()
    node = says(f"?sentinel_password_file={place.path}/ofnode&sentinel_user=node",
                "NOPERM .* no permissions .* command.*")
    ask(sentinel, "--no-auth-warning", "--user", "admin", "--pass", "ofadmin", "acl", "setuser",
        "node", "+sentinel|get-master-addr-by-name")
    node.wait_registry()
    key = f"xo:{{default}}:node:{node.call('status')['id']}"
    until(lambda: ask(master, "exists", key) == ["1"], "its record")
    assert "ofnode" not in node.log().replace(f"{place.path}/ofnode", "")
    node.stop()


def doctor(place):
    """xo doctor asks the next one, as brokers do, and says what is wrong if none answers"""
    _, master = start(place)
    sentinel = start_sentinel(place, master)
    dead = f"127.0.0.1:{free_port()}"

    def asks(sentinels):
        url = f"redis+sentinel://{sentinels}/mine"
        done = subprocess.run(["xo", "doctor", "--registry", url], text=True, check=False,
                              env=place.env, stdout=subprocess.PIPE)
        return [line for line in done.stdout.splitlines() if " registry: " in line]

    both = f"{dead},127.0.0.1:{sentinel}"
    assert asks(both) == [f"ok registry: redis+sentinel://{both}/mine/0 can be read and written"]
    (line,) = asks(dead)
    assert line.startswith("error registry: "), line
    assert f"the sentinel {dead}: Connection refused" in line, line


def told_once(place):
    """that no sentinel answers is told once, not at each try"""
    with socket.socket() as one, socket.socket() as two:
        for listener in (one, two):
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.settimeout(DEADLINE_S)
        ports = ",".join(f"127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two))
        node = Node(place, "--registry", f"redis+sentinel://{ports}/mine")
        for listener in (one, two) * 3:
            listener.accept()[0].close()
        node.stop()
    lines = [line for line in node.log().splitlines() if " error registry: " in line]
    assert len(lines) == 1, lines


def no_master(place):
    """what the sentinels do not know is told, with the one that was asked"""
    _, first = start(place)
    sentinel = start_sentinel(place, first)
    node = Node(place, "--registry", f"redis+sentinel://127.0.0.1:{sentinel}/other")
    until(lambda: f"127.0.0.1:{sentinel}: it knows no master of this name" in
          node.call("status")["registry_state"], "the sentence")
    node.stop()


if shutil.which("redis-server") and shutil.which("redis-cli"):
    run(failover, becomes_a_replica, left_behind, with_passwords, with_a_user, doctor, told_once, no_master)
else:
    print("1..0 # SKIP redis-server and redis-cli are needed")
