"""What t/chaos/chaos.py holds a run to: every call, what became of it, and what ran."""

import asyncio
import collections
import time

import xoscar as xo

# No call may take longer: far beyond what any fault lasts, on a machine that stands still for 5 s.
BOUND_S = 60

DELIVERY_ERRORS = (xo.ServerClosed, xo.ActorNotExist, xo.ActorAlreadyExist, xo.SendMessageFailed)


class Ledger:
    """Calls and their outcomes, by (sender, number); complaints."""

    def __init__(self, path, say):
        self.path = path
        self.say = say
        self.outcomes = {}  # of what a Tally notes: "ran", "no", "maybe"
        self.counts = collections.Counter()
        self.complaints = []
        self.longest_s = 0.0

    def complain(self, text):
        """Something that must not be."""
        self.complaints.append(text)
        self.say(f"VIOLATION: {text}")

    async def call(self, what, awaitable, *notes):
        """The result of a call, or None if a fault kept it from having one. notes: what it has a
        Tally note, as (sender, number)."""
        began = time.monotonic()
        outcome, result = "maybe", None
        try:
            result = await asyncio.wait_for(asyncio.shield(_task(awaitable)), BOUND_S)
            outcome = "ran"
        except asyncio.TimeoutError:
            self.complain(f"no answer within {BOUND_S} s: {what}")
        except DELIVERY_ERRORS as error:
            outcome = getattr(error, "executed", "no")
            self.counts[f"{what}: {type(error).__name__}, {outcome}"] += 1
        except Exception as error:  # pylint: disable=broad-except
            self.complain(f"{what}: {type(error).__name__}: {error}")
        else:
            self.counts[f"{what}: answered"] += 1
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        for note in notes:
            self.outcomes[note] = outcome
        return result

    def expect(self, holds, text):
        """Complains unless holds."""
        if not holds:
            self.complain(text)

    def check_what_ran(self):
        """Compares what was answered with what the actors wrote."""
        seen = collections.Counter()
        counts = {}  # by (actor, process)
        last = {}  # by (actor, sender)
        with open(self.path, encoding="utf-8") as file:
            for line in file:
                name, pid, count, sender, number = line.split()
                note = sender, int(number)
                seen[note] += 1
                before = counts.get((name, pid), 0)
                self.expect(int(count) == before + 1, f"{name} lost its state: {line!r}")
                counts[name, pid] = int(count)
                self.expect(
                    last.get((name, sender), -1) < int(number),
                    f"{name} got {note} after number {last.get((name, sender))}",
                )
                last[name, sender] = int(number)
        for note, times in seen.items():
            self.expect(times == 1, f"{note} ran {times} times")
        for note, outcome in self.outcomes.items():
            if outcome == "ran":
                self.expect(seen[note] == 1, f"{note} was answered, but did not run")
            elif outcome == "no":
                self.expect(seen[note] == 0, f"{note} was said not to have run, but did")
        return sum(seen.values())


async def _await(awaitable):
    return await awaitable


def _task(awaitable):
    return asyncio.ensure_future(_await(awaitable))


class Range:
    """What the value of a Counter in C can be, whose only user adds 1 with one call at a time."""

    def __init__(self):
        self.low = self.high = 0
        self.deaths = 0  # of its process that no answer has shown yet

    def sent(self):
        """One more call."""
        self.high += 1

    def holds(self, value):
        """Is that what an answer can say? From now on it is known."""
        begun_anew = not self.low < value <= self.high and self.deaths > 0
        good = self.low < value <= self.high or (begun_anew and 0 < value <= self.high)
        self.deaths -= begun_anew
        self.low = self.high = value
        return good
