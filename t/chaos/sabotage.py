"""That t/chaos/chaos.py can fail: each of its checks, with what it must notice."""
import copy
import os
import subprocess
import sys

import checks
from ledger import FREE, Ledger


def _lines(world):
    with open(world.place.notes, encoding="utf-8") as file:
        return file.read().splitlines()


def _answered(ledger, outcome):
    """One of the notes that had this outcome, and may run only once."""
    return next(note for note, what in ledger.outcomes.items()
                if what == outcome and not note[0].startswith(FREE))


def _place_of(lines, note):
    return next(i for i, line in enumerate(lines)
                if tuple(line.split()[4:]) == (note[0], str(note[1])))


def twice(world, ledger):
    """A note that is written twice."""
    lines = _lines(world)
    words = lines[_place_of(lines, _answered(ledger, "ran"))].split()
    last = [line for line in lines if line.split()[:3] == words[:3]][-1]
    words[3] = str(int(last.split()[3]) + 1)
    ledger.check_notes(lines + [" ".join(words)])


def lost(world, ledger):
    """One that is not written, though it was answered."""
    lines = _lines(world)
    del lines[_place_of(lines, _answered(ledger, "ran"))]
    ledger.check_notes(lines)


def vanished(world, ledger):
    """A tell that is neither written nor a dead letter, though its receiver lives."""
    lines, tells = _lines(world), ledger.tells
    key = lines[-1].split()[0], "nobody", 1
    tells.accepted = {key: tells.begin(world.address(), world.address())}
    ledger.check_notes(lines)


def ran_after_all(world, ledger):
    """One that is said not to have run."""
    ledger.outcomes[_answered(ledger, "ran")] = "no"
    ledger.check_notes(_lines(world))


def order(world, ledger):
    """Two of one sender to one actor change places."""
    lines, last = _lines(world), {}
    for i, line in enumerate(lines):
        words = line.split()
        key = words[0], words[4]
        if key in last and not words[4].startswith(FREE):
            before = lines[last[key]].split()
            lines[last[key]] = " ".join(before[:4] + words[4:])
            lines[i] = " ".join(words[:4] + before[4:])
            break
        last[key] = i
    ledger.check_notes(lines)


def state(world, ledger):
    """An actor that begins to count anew in the same process."""
    lines = _lines(world)
    words = lines[-1].split()
    ledger.check_notes(lines[:-1] + [" ".join(words[:3] + ["1"] + words[4:])])


def anew(world, ledger):
    """One that is another object in the same process."""
    lines = _lines(world)
    words = lines[-1].split()
    ledger.check_notes(lines[:-1] + [" ".join(words[:2] + ["1", "1"] + words[4:])])


def late(_, ledger):
    """An answer that comes late."""
    ledger.check_time("a call", -1e6, 0, None, None)


def descriptor(_, ledger):
    """A descriptor that stays open."""
    before = checks.own_descriptors()
    fd = os.open("/dev/null", os.O_RDONLY)
    checks.own_given_back(ledger, before)
    os.close(fd)


def _sleeping():
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def child(_, ledger):
    """A child that lives on."""
    with _sleeping() as process:
        checks.no_children(ledger)
        process.kill()


def process(world, ledger):
    """A process of the node's that lives on."""
    world.ledger = ledger
    with _sleeping() as left:
        checks.nothing_left(world, patience_s=0)
        left.kill()


# What is done, and what the complaint must have.
KINDS = {
    twice: "ran 2 times",
    lost: "was answered, but did not run",
    vanished: "a tell has vanished",
    ran_after_all: "was said not to have run, but did",
    order: "after number",
    state: "lost its state",
    anew: "was made anew",
    late: "s at most",
    descriptor: "descriptors left over",
    child: "a child is left over",
    process: "left over: process",
}


def all_noticed(world):
    """Reports each, in TAP."""
    good = True
    for number, (falsify, wanted) in enumerate(KINDS.items(), 2):
        ledger = Ledger(world.place.notes, lambda _: None)
        ledger.outcomes = dict(world.ledger.outcomes)
        ledger.tells = copy.copy(world.ledger.tells)
        ledger.tells.ledger = ledger
        falsify(world, ledger)
        noticed = any(wanted in text for text in ledger.complaints)
        good = good and noticed
        print(f"{'ok' if noticed else 'not ok'} {number} - {falsify.__doc__[:-1]}")
        if not noticed:
            print(f"# complaints: {ledger.complaints[:5]}")
    return good
