"""What became of the tells of t/chaos/mesh.py, between actors that may be anywhere."""
import asyncio
import collections
import time

import xoscar as xo
from tells import LATE_NS, Tells, in_its_time
from world import ask_redis
from xoscar.core import ActorRef

NS_PER_S = 1_000_000_000
# What has left arrives within so long, or its link ends: three heartbeats, and as long again on a
# machine that is busy.
ON_ITS_WAY_NS = 3 * NS_PER_S
DROPPED_NS = 10 * NS_PER_S  # ... or is dropped, by who dials in vain last
ENOUGH_READS = 2  # the first may have missed a process that was linking itself to its next broker
AROUND_S = 10  # what an investigator wants to see


class NodeAnswers:
    """What answers for the node that has these pools, whichever of them is up."""

    def __init__(self, pools):
        self.pools = pools
        self.refs = [ActorRef(address, b"xo.broker") for address in pools]

    async def letters(self, *args):
        """As the broker's."""
        for ref in self.refs[:-1]:
            try:
                return await ref.letters(*args)
            except (xo.ServerClosed, xo.ActorNotExist):  # the broker is away
                pass
        return await self.refs[-1].letters(*args)


class MeshTells(Tells):
    """Of each pool's process the notes say where it is, and which actors it has had."""

    def __init__(self, ledger):
        super().__init__(ledger)
        self.homes = collections.defaultdict(set)  # by actor: addresses
        self.reads = collections.defaultdict(list)  # by address: when its letters were read
        self.told_by = {}  # by key: the life that sent it
        self.notes = []
        self.events = []

    async def collect(self, broker):
        """Of all nodes: `broker` is a list."""
        return all(await asyncio.gather(*[self._collect(one) for one in broker]))

    async def _collect(self, node):
        began = time.monotonic_ns()
        told = await super().collect(node)
        if told:
            for address in node.pools:
                self.reads[address].append(began)
        return told

    def read_events(self, redis):
        """What the registry's stream has."""
        lines = ask_redis(redis.socket, "XRANGE", "xo:{default}:events", "-", "+")
        for line in lines:
            first, _, second = line.partition("-")
            if first.isdigit() and second.isdigit() and len(first) == 13:
                self.events.append([float(first) / 1000])
            elif self.events:
                self.events[-1].append(line)
        for _, *words in self.events:
            fields = dict(zip(words[::2], words[1::2]))
            if "uid" in fields and "address" in fields:
                self.homes[fields["uid"]].add(fields["address"])

    # ---- afterwards ----

    def check(self, lines):
        """As for a node; who told it, and where from, is in the notes."""
        self.notes = [line.split() for line in lines]
        lives = {}  # by (actor, sender of the note, number)
        for name, life, _, _, sender, number in self.notes:
            lives[name, sender, int(number)] = life
            self.homes[name].add(_address(life))
        for key, tell in self.accepted.items():
            if tell.sender:
                _, sender, number = key
                told = tell.sender, sender.removesuffix(f"-by-{tell.sender}"), number
                self.told_by[key] = lives.get(told, "")
                self.accepted[key] = tell._replace(source=_address(self.told_by[key]))
        super().check(lines)

    def gone(self, key, lives, tell, token):
        """With a process that was killed: its receiver's, which may have had it in a mailbox; or
        one that knew what became of it, before anybody had read that."""
        for born, life in lives.items():
            held = self.ends.get(life, 0) + LATE_NS >= tell.since_ns
            if life in self.ends and held and (not token or born < token):
                return "gone with their receiver"
        if self._died_unread(self.told_by.get(key, ""), tell):
            return "gone with their sender"
        homes = self.homes[key[0]] | {tell.to}
        if any(_address(life) in homes and self._died_unread(life, tell) for life in self.ends):
            return "gone with where they went"
        if any(self._was_pushed_out(address, tell) for address in homes | {tell.source}):
            return "too many letters at once"
        return ""

    def _was_pushed_out(self, address, tell):
        """May this process have had a letter for it that was gone before anybody read it?"""
        return any(since <= tell.left_ns + DROPPED_NS and until >= tell.since_ns
                   for since, until in self.gaps[address])

    def _died_unread(self, life, tell):
        """Was this process killed when it may have had the tell, or a letter for it that nobody has
        read?"""
        end = self.ends.get(life, 0)
        if end + LATE_NS < tell.since_ns:
            return False
        arrived = tell.left_ns + ON_ITS_WAY_NS
        reads = [read for read in self.reads[_address(life)] if arrived < read < end]
        return len(reads) < ENOUGH_READS

    def stands_for(self, letter, actor, tell):
        """Those of a link are at its sender. Others are where somebody knew that it is not there,
        and have its uid, which no other actor has."""
        if not in_its_time(letter, tell):
            return False
        if letter.reason != "lost":
            return letter.uid == actor
        homes = self.homes[actor] | {tell.to}
        return letter.address == tell.source and letter.to in homes

    # ---- for who investigates ----

    def explain(self, key, tell):
        """What is known of one that has vanished, in times that count from when it was sent."""
        actor, sender, number = key
        zero = tell.since_ns / NS_PER_S
        say = self.ledger.say
        say(f"  sent {zero - self.ledger.began:.2f} s after the first fault could be, by "
            f"{tell.sender or 'the program'} in {self.told_by.get(key, 'its own')}, left after "
            f"{(tell.left_ns - tell.since_ns) / NS_PER_S:.2f} s")
        for name in filter(None, (actor, tell.sender)):
            for line in self._lives_of(name, zero):
                say(f"  {line}")
        for line in self._neighbours(actor, sender, number):
            say(f"  note: {line}")
        homes = self.homes[actor] | {tell.to, tell.source}
        for life, end in sorted(self.ends.items(), key=lambda one: one[1]):
            if _address(life) in homes and abs(end / NS_PER_S - zero) < AROUND_S:
                say(f"  {end / NS_PER_S - zero:+.2f} s: {life} was killed")
        for since, until in self.ledger.holdups:
            if since < zero + AROUND_S and until > zero - AROUND_S:
                say(f"  {since - zero:+.2f} to {until - zero:+.2f} s: a fault held something up")
        self._explain_letters(actor, tell, homes)
        for when, *words in self.events:
            if abs(when - tell.since_s) < AROUND_S and not homes.isdisjoint([*words, actor]):
                say(f"  {when - tell.since_s:+.2f} s: event {' '.join(words)}")

    def _explain_letters(self, actor, tell, homes):
        say, zero = self.ledger.say, tell.since_ns / NS_PER_S
        for letter in sorted(self.letters, key=lambda one: one.time):
            if letter.uid == actor or letter.address == tell.source:
                say(f"  {letter.time - tell.since_s:+.2f} s: {self.letters[letter]} x {letter}")
        for key, other in sorted(self.accepted.items(), key=lambda one: one[1].since_ns):
            after_s = (other.since_ns - tell.since_ns) / NS_PER_S
            if key[0] == actor and other.source == tell.source and abs(after_s) < AROUND_S:
                say(f"  {after_s:+.2f} s: {key} was sent there, too: "
                    f"{self.became.get(key, 'arrived')}")
        for address in sorted(homes - {None}):
            reads = [f"{read / NS_PER_S - zero:+.2f}" for read in self.reads[address]
                     if abs(read / NS_PER_S - zero) < AROUND_S]
            say(f"  letters of {address} were read at {' '.join(reads)} s")
            for since, until in self.gaps[address]:
                since, until = since / NS_PER_S - zero, until / NS_PER_S - zero
                say(f"  {since:+.2f} to {until:+.2f} s: too many letters at {address} at once")

    def _lives_of(self, actor, zero):
        """Where it was, and since when."""
        born = {(int(token), life) for name, life, token, *_ in self.notes if name == actor}
        return [f"{token / NS_PER_S - zero:+.2f} s: {actor} was created in {life}"
                for token, life in sorted(born)]

    def _neighbours(self, actor, sender, number):
        """The notes of this sender before and after."""
        of_pair = [words for words in self.notes if words[0] == actor and words[4] == sender]
        before = [words for words in of_pair if int(words[5]) < number][-2:]
        after = [words for words in of_pair if int(words[5]) > number][:2]
        return [" ".join(words) for words in before + after]


def _address(life):
    return life.partition("@")[2] or None
