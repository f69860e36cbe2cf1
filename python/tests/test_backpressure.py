"""Memory stays within the bounds that are set, on both sides, however slow the other end is."""

import json
import os
import subprocess
import sys

import pytest

from actors import DEADLINE_S

MIB = 1 << 20
WINDOW, MAILBOX = 4 * MIB, 8 * MIB
#: What interpreters and allocators take and give back meanwhile.
NOISE = 16 * MIB
#: Sent or asked for altogether in each test: far beyond all bounds.
FLOOD = 256 * MIB

#: Messages, so that bytes are what counts.
MANY = 1 << 20
#: As many fit the window; what each that is under way takes of its caller, at most.
CALLS, CALL_BYTES = 16384, 1024

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flood.py")
LANES = ["shm,tcp", "ipc,tcp", "tcp"]
SIZES = [4 << 10, 256 << 10]


def grown(lanes, case, pools, size, flood=FLOOD):
    """Runs the case: how many bytes were let through, and by how many each process grew."""
    bounds = {"XO_WINDOW_BYTES": WINDOW, "XO_MAILBOX_BYTES": MAILBOX}
    bounds.update(XO_WINDOW_MESSAGES=MANY, XO_MAILBOX_MESSAGES=MANY)
    ran = subprocess.run(
        [sys.executable, PROGRAM, case, str(pools), str(flood // size), str(size)],
        env=dict(os.environ, XO_LANES=lanes, **{name: str(n) for name, n in bounds.items()}),
        timeout=DEADLINE_S,
        capture_output=True,
        text=True,
    )
    # On a busy machine, who is stopped is so for long enough to be noticed.
    said = [line for line in ran.stderr.splitlines() if ": suspect: " not in line]
    assert (ran.returncode, said) == (0, [])
    result = json.loads(ran.stdout)
    return result["accepted"] * size, result["grown"]


def most(senders):
    """What one actor and its senders' windows may take of a process. libzmq's messages of a few KiB
    keep the buffer of 8 KiB that they were read into."""
    return 2 * (MAILBOX + senders * WINDOW) + NOISE


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lanes", LANES)
def test_a_fast_sender_and_an_actor_that_takes_nothing(lanes, size):
    accepted, bytes_of = grown(lanes, "held", 1, size)
    assert MAILBOX // 2 < accepted < MAILBOX + 2 * WINDOW
    assert bytes_of["receiver"] < most(1), bytes_of
    assert bytes_of["sender"] < 2 * WINDOW + NOISE, bytes_of


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lanes", LANES)
def test_a_fast_sender_and_a_process_that_stands_still(lanes, size):
    accepted, bytes_of = grown(lanes, "stopped", 1, size)
    assert WINDOW // 2 < accepted < 2 * WINDOW
    assert max(bytes_of.values()) < 2 * WINDOW + NOISE, bytes_of


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lanes", LANES)
def test_many_senders_to_one_actor(lanes, size):
    senders = 4
    accepted, bytes_of = grown(lanes, "many", senders, size, FLOOD // senders)
    assert MAILBOX // 2 < accepted < MAILBOX + senders * 2 * WINDOW
    receiver = bytes_of.pop("receiver")
    assert receiver < most(senders), receiver
    assert max(bytes_of.values()) < 2 * WINDOW + NOISE, bytes_of


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lanes", LANES)
def test_a_caller_that_takes_no_answers(lanes, size):
    flood = min(FLOOD, CALLS * size)
    accepted, bytes_of = grown(lanes, "answers", 1, size, flood)
    assert WINDOW // 2 < accepted < flood
    calls = flood // size * CALL_BYTES
    assert max(bytes_of.values()) < WINDOW + size + calls + NOISE, bytes_of
