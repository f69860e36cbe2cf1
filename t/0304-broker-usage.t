#!/usr/bin/env python3
"""xo-broker's options and configuration file: what is said about mistakes."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("XO_SRCDIR", "."), "t"))
from brokers import Node, run  # noqa: E402


def broker(place, *options, **env):
    return subprocess.run(["xo-broker", *options], env=dict(place.env, **env), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def help_and_version(place):
    """--help and --version print and exit 0"""
    done = broker(place, "--help")
    assert done.returncode == 0 and "--ready-fd" in done.stdout and not done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    done = broker(place, "--version")
    assert done.returncode == 0 and done.stdout.startswith("xo-broker ")


def wrong_options(place):
    """wrong options exit 2 and name what is wrong"""
    for options, words in (
            (["--frobnicate"], "frobnicate"), (["node"], "'node'"), (["--owner", "me"], "--owner"),
            (["--ready-fd", "77"], "--ready-fd"), (["--log", "loud"], "'loud'"),
            (["--codec", "json"], "--codec: 'json'"),
            (["--config"], "config"), (["--config", "/nonexistent.ini"], "/nonexistent.ini")):
        done = broker(place, *options)
        assert done.returncode == 2 and words in done.stderr, (options, done)
    assert broker(place, XO_LOG="loud").returncode == 2
    done = broker(place, XO_CODEC="json")
    assert done.returncode == 2 and "XO_CODEC: 'json'" in done.stderr, done
    place.assert_clean()


def wrong_cluster(place):
    """a name that no cluster can have is an error"""
    done = broker(place, "--cluster", "no/slash")
    assert done.returncode == 1 and "no/slash" in done.stderr, done


def wrong_settings(place):
    """a mistake in the file exits 2 with FILE:LINE"""
    path = place.write("bad.ini", "[node]\n\nhartbeat_ms = 5\n")
    done = broker(place, "--config", path)
    assert done.returncode == 2, done
    assert done.stderr.startswith(f"xo-broker: {path}:3: ") and "hartbeat_ms" in done.stderr, done
    place.assert_clean()


def precedence(place):
    """an option comes before the environment, and that before the file"""
    config = "[node]\ncluster = file\nregistry = memory:\n"
    for options, env, cluster in (([], {}, "file"), ([], {"XO_CLUSTER": "env"}, "env"),
                                  (["--cluster", "opt"], {"XO_CLUSTER": "env"}, "opt")):
        node = Node(place, *options, config=config, env=env)
        assert node.directory.split("/")[-2] == cluster, node.directory
        node.stop()


def samples(place):
    """the sample files are read without a mistake"""
    folder = os.path.join(os.environ.get("XO_SRCDIR", "."), "etc")
    # What a sample starts is not there in this test; the node must come up all the same.
    for name in ("minimal.ini", "node.ini"):
        node = Node(place, "--config", os.path.join(folder, name), env={"PYTHON": "/bin/false"})
        assert node.pools(), name
        assert node.stop()[0] == 0
        place.assert_clean()


run(help_and_version, wrong_options, wrong_cluster, wrong_settings, precedence, samples)
