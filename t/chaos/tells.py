"""What became of the tells of t/chaos/chaos.py: one that was accepted arrives, or is accounted for.

That none arrives twice, or out of order, is seen where all notes are looked at (ledger.py).
"""
import asyncio
import collections
import time

import xoscar as xo

LETTERS_MAX = 128  # that a process keeps
POLL_S, ASK_S = 0.5, 2
END = "end"  # the sender that each actor hears of last
VANISHED = "vanished, and nobody knows why"
LATE_NS = 10_000_000  # until a signal that was sent has stopped its process
EXPLAINED = 5  # complaints
LOST_S = 30  # after which the end of a link is not that of the one that a tell went over

# One that was accepted. sender: the uid of the actor that sent it, or None: this process did.
# left_ns: when that was known, so since then at the latest it is on its way.
Tell = collections.namedtuple("Tell", "since_ns since_s sender source to left_ns")


class Tells:
    """Those that were accepted, by (actor, sender of the note, number), and all dead letters."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.accepted = {}
        self.letters = collections.Counter()  # those that look alike, counted
        self.ends = {}  # by life: since when a process has taken nothing
        self.became = {}  # by key, of those that did not arrive
        self.at_end = {}  # by actor: when the life that was there in the end began
        self.looked = {}  # by address: when its letters were read last
        self.gaps = collections.defaultdict(list)  # by address: [from, until] letters are missing

    # ---- while it runs ----

    @staticmethod
    def begin(source, to, sender=None):
        """A Tell that is about to be sent from the address `source` to the address `to`."""
        now = time.monotonic_ns()
        return Tell(now, time.time(), sender, source, to, now)

    def accept(self, actor, note, tell):
        """It has been."""
        self.accepted[actor, *note] = tell._replace(left_ns=time.monotonic_ns())

    async def collect(self, broker):
        """Takes in all dead letters that there are. Whether every process was asked."""
        try:
            answer = await xo.wait_for(broker.letters(LETTERS_MAX, False), ASK_S)
        except (xo.ServerClosed, xo.ActorNotExist, asyncio.TimeoutError, OSError):
            return False
        letters = collections.Counter(_letter(record) for record in answer["letters"])
        self._look_for_gaps(letters)
        self.letters |= letters
        return not answer["silent"]

    def _look_for_gaps(self, letters):
        """Where a process has as many as it keeps, and none that is known, others were between."""
        counts, now = collections.Counter(), time.monotonic_ns()
        for letter, times in letters.items():
            counts[letter.address] += times
        known = {letter.address for letter in letters if letter in self.letters}
        for address, count in counts.items():
            if count >= LETTERS_MAX and address not in known:
                self.gaps[address].append((self.looked.get(address, 0), now))
                self.ledger.counts["times that too many letters came at once"] += 1
            self.looked[address] = now

    async def watch(self, broker):
        """Reads them again and again, since they go with their process, for ever."""
        while True:
            await self.collect(broker)
            await asyncio.sleep(POLL_S)

    def end(self, life):
        """From now on this process takes nothing any more."""
        self.ends[life] = time.monotonic_ns()

    # ---- afterwards ----

    def check(self, lines):
        """Looks for each one in the notes. What did not arrive is a dead letter, or went with its
        receiver, which had taken it, or with its sender, perhaps as a dead letter there."""
        arrived = collections.defaultdict(dict)  # by (actor, sender of the note): number: token
        lives = collections.defaultdict(dict)  # by actor: when each of its lives began: which
        for name, life, token, _, sender, number in map(str.split, lines):
            arrived[name, sender][int(number)] = int(token)
            lives[name][int(token)] = life
        # All that die after these have taken nothing with them.
        self.at_end = {name: numbers[min(numbers)] for (name, sender), numbers in arrived.items()
                       if sender == END}
        missing = []  # (what may have become of it, key, Tell)
        for key, tell in sorted(self.accepted.items(), key=_since):
            actor, sender, number = key
            pair = arrived[actor, sender]
            if number in pair:
                self.ledger.counts["tells: arrived"] += 1
                continue
            later = min((one for one in pair if one > number), default=None)
            token = self.at_end.get(actor, 0) if later is None else pair[later]
            missing.append((self.gone(key, lives[actor], tell, token), key, tell))
        self._account_for(missing)

    def _account_for(self, missing):
        """Letters are for those first of which nothing else is known: a letter looks the same
        whichever of a few tells it is."""
        self.became = {}
        left = {one: times * one.count for one, times in sorted(self.letters.items(), key=_order)}
        given, has = collections.defaultdict(list), {}
        missing.sort(key=lambda one: bool(one[0]))
        for gone, key, _ in missing:
            self._give(key, left, given, has, bool(gone))
        for gone, key, _ in missing:
            became = f"dead letters ({has[key].reason})" if key in has else gone or VANISHED
            self.ledger.counts[f"tells: {became}"] += 1
            self.became[key] = became
        for key, became in self.became.items():
            if became == VANISHED:
                self._complain(*key, self.accepted[key])

    def _complain(self, actor, sender, number, tell):
        self.ledger.complain(f"a tell has {VANISHED}: number {number} of {sender}, from "
                             f"{tell.source} to {actor} at {tell.to}")
        if len(self.ledger.complaints) <= EXPLAINED:
            self.explain((actor, sender, number), tell)

    def _give(self, key, left, given, has, only_left):
        """Gives a letter to this tell: one that is left, or that of another tell which may have one
        that is. given: keys by letter; has: the letters by key."""
        came, wanting = {}, [key]  # by letter: the key that wants it
        for wants in wanting:  # which grows
            for letter in left:
                if letter in came or not self.stands_for(letter, wants[0], self.accepted[wants]):
                    continue
                came[letter] = wants
                if left[letter]:
                    left[letter] -= 1
                    _pass_on(letter, came, given, has)
                    return
                if not only_left:
                    wanting += given[letter]

    def _lived(self, lives, tell):
        """Had its receiver a process that could take it?"""
        life = max((one for one in lives if one <= tell.since_ns), default=None)
        end = self.ends.get(lives.get(life))
        return end is None or tell.since_ns <= end + LATE_NS

    def gone(self, _key, lives, tell, token):
        """What may have taken it with it; "": nothing. lives: of its receiver. token: of that which
        got the next one of this sender, or a note in the end; 0: none did."""
        if token > tell.since_ns and self._lived(lives, tell):
            return "gone with their receiver"
        sender_died = self.at_end.get(tell.sender, 0) > tell.since_ns
        return "gone with their sender" if sender_died else ""

    def explain(self, key, tell):
        """Says what is known of one that has vanished."""

    def stands_for(self, letter, actor, tell):
        """May that be this one's letter?"""
        if not in_its_time(letter, tell):
            return False
        whose = {"lost": letter.to == tell.to, "closed": letter.uid == actor}
        return letter.address == tell.source and whose.get(letter.reason, False)


def _pass_on(letter, came, given, has):
    """Who wants it has it from now on; what that one had, who wants that."""
    while letter is not None:
        key = came[letter]
        before = has.get(key)
        has[key] = letter
        given[letter].append(key)
        if before is not None:
            given[before].remove(key)
        letter = before


Letter = collections.namedtuple("Letter", "reason kind address uid to time count")


def _letter(record):
    uid = record["uid"]
    uid = uid.decode(errors="replace") if isinstance(uid, bytes) else uid
    return Letter(record["reason"], record["kind"], record["address"], uid, record.get("to"),
                  record["time"], record.get("count", 1))


def in_its_time(letter, tell):
    """Was that one dropped soon enough after this had been sent?"""
    return letter.kind == "tell" and tell.since_s <= letter.time <= tell.since_s + LOST_S


def _since(item):
    return item[1].since_ns


def _order(item):
    """Those that name their receiver before those of a whole link; in time."""
    return item[0].reason == "lost", item[0].time
