"""What became of the tells of t/chaos/mesh.py, between actors that may be anywhere."""
import asyncio
import collections

import xoscar as xo
from tells import ASK_S, LOST_S, Tells, in_its_time
from xoscar.core import ActorRef


class NodeAnswers:
    """What answers for the node that has these pools, whichever of them is up."""

    def __init__(self, pools):
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
    """Of each pool's process the notes say where its actors have been."""

    def __init__(self, ledger):
        super().__init__(ledger)
        self.addresses = {}  # by pool
        self.homes = collections.defaultdict(set)  # by actor: addresses

    async def collect(self, broker):
        """Of all nodes: `broker` is a list."""
        try:
            for pool in await xo.wait_for(xo.list_pools(), ASK_S):
                self.addresses[pool.id] = pool.address
        except (xo.ServerClosed, asyncio.TimeoutError, OSError):
            pass
        return all(await asyncio.gather(*[super(MeshTells, self).collect(one) for one in broker]))

    def check(self, lines):
        """As for a node; who told it, and where from, is in the notes."""
        places = {}  # by (actor, sender of the note, number)
        for name, life, _, _, sender, number in map(str.split, lines):
            address = self.addresses.get(life.partition(".")[0])
            places[name, sender, int(number)] = address
            self.homes[name].add(address)
        for key, tell in self.accepted.items():
            if tell.sender:
                _, sender, number = key
                told = tell.sender, sender.removesuffix(f"-by-{tell.sender}"), number
                self.accepted[key] = tell._replace(source=places.get(told))
        super().check(lines)

    def gone_elsewhere(self, actor, tell):
        """Who knew that it was not there may have been killed before anybody read that letter."""
        homes = self.homes[actor] | {tell.to}
        for life, end in self.ends.items():
            soon = 0 <= end - tell.since_ns <= LOST_S * 1_000_000_000
            if soon and self.addresses.get(life.partition(".")[0]) in homes:
                return "gone with where it went"
        return ""

    def stands_for(self, letter, actor, tell):
        """Those of a link are at its sender. Others are where somebody knew that it is not there,
        and have its uid, which no other actor has."""
        if not in_its_time(letter, tell):
            return False
        if letter.reason != "lost":
            return letter.uid == actor
        homes = self.homes[actor] | {tell.to}
        return letter.address == tell.source and letter.to in homes
