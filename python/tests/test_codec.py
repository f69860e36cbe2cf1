"""codec = msgpack: nothing is pickled, and nothing that is a pickle is let in."""

import os
import subprocess
import sys

import pytest

from actors import DEADLINE_S

HERE = os.path.dirname(os.path.abspath(__file__))


def run(folder, program, **env):
    ran = subprocess.run(
        [sys.executable, os.path.join(HERE, "codec_node.py"), program, str(folder)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.mark.parametrize("lane", ["shm", "ipc", "tcp"])
def test_a_hostile_pickle_is_refused_before_it_is_read(tmp_path, lane):
    ran = run(tmp_path, "hostile", XO_LANES=lane)
    assert lane in ran.stdout.split()
    assert not list(tmp_path.iterdir())


def test_plain_values_and_classes_by_name_go_on(tmp_path):
    ran = run(tmp_path, "plain", XO_CODEC="msgpack")
    assert ran.stdout == "done\n" and "refused" not in ran.stderr, ran.stderr


def test_a_codec_that_is_none_is_named(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", "import _xo; _xo.run_dir()"],
        env={**os.environ, "XO_CODEC": "json"},
        capture_output=True,
        text=True,
    )
    assert "XO_CODEC: 'json' is not one of pickle, msgpack" in ran.stderr
