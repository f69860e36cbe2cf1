"""What t/chaos/chaos.py holds a run to: every call, what became of it, and what ran."""

import asyncio
import collections
import os
import time

import xoscar as xo
from tells import Tells

TICK_S = 0.05
# What a call may take that no fault holds up: 3 heartbeats, 1 s in which the broker may say why,
# and the time in which a pool and its actors are there again.
BOUND_S = 3 + 1 + 10
OVER_S = 2  # what is cancelled, or past its deadline, is over within it
HANG_S = 180  # what is not answered by then is not waited for

SHOWN = 100  # complaints

FREE = "again"  # senders that begin so may be run again by another process, in whatever order


class Clock:
    """Time, less that in which this process stood still: a machine that is busy is not taken for a
    slow program."""

    def __init__(self):
        self.lost_s = 0.0

    def now(self):
        """Seconds."""
        return time.monotonic() - self.lost_s

    async def run(self):
        """Looks how late it is, for ever."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK_S)
            late = time.monotonic() - began - TICK_S
            if late > TICK_S:
                self.lost_s += late


def how_busy():
    """How many times longer than alone things may take: the machine's processes that want to run,
    for each of its cores."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Ledger:
    """Calls and their outcomes, by (sender, number); complaints."""

    def __init__(self, path, say):
        self.path = path
        self.say = say
        self.clock = Clock()
        self.outcomes = {}  # of what a Tally notes: "ran", "no", "maybe"
        self.tells = self.make_tells()
        self.counts = collections.Counter()
        self.complaints = []
        self.began = 0.0  # by the monotonic clock: the first fault's time is counted from then
        self.holdups = []  # [from, until]: when a fault kept something from going on
        self.asked = self.answered = 0
        self.longest = (0.0, "nothing")

    def make_tells(self):
        """What accounts for the tells."""
        return Tells(self)

    def complain(self, text):
        """Something that must not be."""
        self.complaints.append(text)
        if len(self.complaints) <= SHOWN:
            self.say(f"VIOLATION: {text}")
        if len(self.complaints) == SHOWN:
            self.say("what else there is to complain of is not shown")

    def expect(self, holds, text):
        """Complains unless holds."""
        if not holds:
            self.complain(text)

    # ---- calls ----

    async def call(self, what, awaitable, *notes, timeout=None, cancel=None, gone=False):
        """The result of a call, or None if a fault kept it from having one. notes: what it has a
        Tally note, as (sender, number). timeout: its deadline, which may pass. cancel: it is
        cancelled after so many seconds. gone: there may be no such actor."""
        began = self.clock.now()
        self.asked += 1
        task = asyncio.ensure_future(_await(awaitable))
        task.add_done_callback(self._count_answer)
        if cancel is not None and not (await asyncio.wait([task], timeout=cancel))[0]:
            task.cancel()
        await asyncio.wait([task], timeout=HANG_S)
        outcome, result = "maybe", None
        if task.done():
            outcome, result = self._outcome(what, task, timeout, cancel, gone)
        else:
            self.complain(f"no answer within {HANG_S} s: {what} {notes}")
        self.check_time(what, began, self.clock.now(), timeout, cancel)
        for note in notes:
            self.outcomes[note] = outcome
        return result

    def _count_answer(self, _):
        self.answered += 1

    def _outcome(self, what, task, timeout, cancel, gone):
        """(what became of the note, the result)"""
        if task.cancelled():
            self.expect(cancel is not None, f"nobody has cancelled: {what}")
            self.counts[f"{what}: cancelled"] += 1
            return "maybe", None
        error = task.exception()
        if error is None:
            self.counts[f"{what}: answered"] += 1
            return "ran", task.result()
        outcome = getattr(error, "executed", "no")
        known = isinstance(error, xo.ServerClosed) or (
            gone and isinstance(error, (xo.ActorNotExist, xo.ActorAlreadyExist))
        )
        if isinstance(error, asyncio.TimeoutError) and timeout is not None:
            known, outcome = True, "maybe"
        if not known:
            self.complain(f"{what}: {type(error).__name__}: {error}")
        self.counts[f"{what}: {type(error).__name__}, {outcome}"] += 1
        return outcome, None

    def check_time(self, what, began, ended, timeout, cancel):
        """Was it answered in time? A deadline passes also while its pool stands still; who is
        cancelled waits for its pool."""
        took = ended - began
        if took > self.longest[0]:
            self.longest = took, what
        held_up = sum(
            max(0.0, min(ended, until) - max(began, since)) for since, until in self.holdups
        )
        bound = BOUND_S + held_up
        if timeout is not None:
            bound = timeout + OVER_S
        if cancel is not None:
            bound = min(bound, cancel + OVER_S + held_up)
        bound *= how_busy()
        self.expect(took <= bound, f"{what} took {took:.2f} s, not {bound:.2f} s at most")

    # ---- what ran ----

    def check_what_ran(self):
        """Compares what was answered with what the actors wrote."""
        with open(self.path, encoding="utf-8") as file:
            return self.check_notes(file.read().splitlines())

    def check_notes(self, lines):
        """The same with these lines. Returns how many there are."""
        seen = collections.Counter()  # by note
        within = collections.Counter()  # by (note, actor, process)
        last = {}  # by (actor, sender, its life)
        tokens = _tokens(lines)
        for line in lines:
            name, life, _, _, sender, number = line.split()
            note = sender, int(number)
            seen[note] += 1
            within[note, name, life] += 1
            if not sender.startswith(FREE):
                # What one that was replaced had sent before may arrive after what the next one has.
                key = name, sender, tokens.get(_sent_by(sender, number))
                before = last.get(key, -1)
                self.expect(before <= note[1], f"{name} got {note} after number {before}")
                last[key] = note[1]
        for (note, name, _), times in within.items():
            self.expect(times == 1, f"{note} ran {times} times in {name}")
        self.check_lives(lines)
        self._check_outcomes(seen)
        self.tells.check(lines)
        return len(lines)

    def check_lives(self, lines):
        """Whose state there was."""
        lives = _Lives(self)
        for line in lines:
            name, life, token, count, *_ = line.split()
            lives.check(name, life, token, int(count), line)

    def _check_outcomes(self, seen):
        for note, outcome in self.outcomes.items():
            if outcome == "ran":
                self.expect(seen[note] >= 1, f"{note} was answered, but did not run")
            elif outcome == "no":
                self.expect(seen[note] == 0, f"{note} was said not to have run, but did")
        for note, times in seen.items():
            if not note[0].startswith(FREE):
                self.expect(times == 1, f"{note} ran {times} times")


def _tokens(lines):
    """By (actor, sender of the note, number): which life of the actor got it."""
    words = map(str.split, lines)
    return {(name, sender, number): token for name, _, token, _, sender, number in words}


def _sent_by(sender, number):
    """The note that an actor had got when it sent this one as "SENDER-by-ACTOR"; for who is no
    actor, none that there is."""
    sender, _, name = sender.rpartition("-by-")
    return name, sender, number


class _Lives:
    """That a process has the same actor as long as it lives, and that it forgets nothing."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.tokens = {}  # by (actor, process)
        self.counts = {}

    def check(self, name, life, token, count, line):
        """One more line of it."""
        key = name, life
        known = self.tokens.setdefault(key, token) == token
        self.ledger.expect(known, f"{name} was made anew, but its process lived: {line}")
        if known:
            wanted = self.counts.get(key, 0) + 1
            self.ledger.expect(count == wanted, f"{name} lost its state: {line}")
        self.tokens[key] = token
        self.counts[key] = count


async def _await(awaitable):
    return await awaitable
