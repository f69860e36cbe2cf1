"""The load that t/chaos/chaos.py puts on its node, and checks as it goes."""
import asyncio
import random
import zlib

import xoscar as xo
from chaos_actors import Passing

BIG_BYTES = 200_000
ROW = 20  # calls, tells, notes of a batch at a time
SENDERS, CREATORS = 4, 2
PAUSE_S = 0.01


class Sender:
    """Sends notes to the permanent actors: what it sends to one of them arrives in order."""

    def __init__(self, world, seed, name):
        self.world = world
        self.ledger = world.ledger
        self.draw = random.Random(f"{seed}/{name}")
        self.name = name
        self.number = 0

    def note(self, name=None):
        """The next one: (sender, number)."""
        self.number += 1
        return name or self.name, self.number

    def notes(self):
        """A few."""
        return [self.note() for _ in range(self.draw.randint(1, ROW))]

    async def run(self):
        """Until the world is over."""
        actors = self.world.actors
        while not self.world.over:
            # Only the first calls the second: two that wait for each other wait for ever.
            first, second = sorted(self.draw.sample(range(len(actors)), 2))
            ref, other = actors[first], actors[second]
            await self.draw.choice(self.kinds(ref))(ref, other)
            await asyncio.sleep(self.draw.random() * PAUSE_S)

    def kinds(self, ref):
        """What it may be sent."""
        both = [self.calls, self.tells, self.batch, self.through, self.tell_through, self.again,
                self.deadline, self.cancel]
        python = [self.slow, self.stream, self.large, self.back]
        return both if ref in self.world.in_c else both + python

    # ---- what all of them understand ----

    async def calls(self, ref, _):
        """Several at the same time."""
        calls = [(ref.note(*note), note) for note in self.notes()]
        await asyncio.gather(*[self.ledger.call("call", *call) for call in calls])

    async def tells(self, ref, _):
        """Without an answer."""
        for note in self.notes():
            tell = self.ledger.tells.begin(self.world.address(), ref.address)
            if await self.ledger.call("tell", _accepted(ref.note.tell(*note))):
                self.ledger.tells.accept(ref.uid.decode(), note, tell)

    async def batch(self, ref, _):
        """As one message."""
        notes = self.notes()
        method = ref.note if ref in self.world.in_c else ref.note_each
        delays = [method.delay(*note) for note in notes]
        result = await self.ledger.call("batch", method.batch(*delays), *notes)
        wanted = [number for _, number in notes]
        self.ledger.expect(result in (None, wanted), f"a batch gave {result}")

    async def _through(self, what, ref, other, note):
        """Whether the other has been called, or told."""
        where = (other.address, other.uid.decode()) if ref in self.world.in_c else (other,)
        method = getattr(ref, what)
        if await self.ledger.call(what, method(*where, *note), note) is not None:
            return True
        # That it was not delivered may be said of the call that the method made.
        self.ledger.outcomes[note] = "maybe"
        return False

    async def through(self, ref, other):
        """One calls the other."""
        await self._through("note_through", ref, other, self.note())

    async def tell_through(self, ref, other):
        """One tells the other."""
        (sender, number), name = self.note(), ref.uid.decode()
        tell = self.ledger.tells.begin(ref.address, other.address, name)
        if await self._through("tell_through", ref, other, (sender, number)):
            note = f"{sender}-by-{name}", number
            self.ledger.tells.accept(other.uid.decode(), note, tell)

    async def again(self, ref, _):
        """What may be sent again."""
        for _ in range(self.draw.randint(1, ROW)):
            note = self.note(f"again-{self.name}")
            call = ref.note.options(idempotent=True)(*note)
            await self.ledger.call("idempotent call", call, note)

    async def deadline(self, ref, _):
        """What must be answered by then."""
        note, timeout = self.note(), self.draw.random()
        call = ref.note.options(timeout=timeout)(*note)
        await self.ledger.call("call with deadline", call, note, timeout=timeout)

    async def cancel(self, ref, _):
        """What is taken back."""
        note = self.note()
        call = ref.note(*note)
        await self.ledger.call("cancelled call", call, note, cancel=self.draw.random() * 0.01)

    # ---- what those in Python do ----

    async def slow(self, ref, _):
        """A method that waits."""
        note = self.note()
        await self.ledger.call("slow call", ref.note_slowly(*note), note)

    async def stream(self, ref, _):
        """Whole and in order, if it ends."""
        note, count = self.note(), self.draw.randint(1, 100)
        await self.ledger.call("stream", self._read(ref, note, count), note)

    async def _read(self, ref, note, count):
        got = []
        async for item in await ref.note_stream(*note, count):
            got.append(item)
        self.ledger.expect(got == list(range(count)), f"a stream of {count} gave {got}")
        return got

    async def large(self, ref, _):
        """A large argument, between small ones."""
        data = self.draw.randbytes(BIG_BYTES)
        notes = [self.note() for _ in range(3)]
        calls = [ref.note(*notes[0]), ref.note_large(*notes[1], data), ref.note(*notes[2])]
        pairs = zip(("call", "large call", "call"), calls, notes)
        results = await asyncio.gather(*[self.ledger.call(*triple) for triple in pairs])
        self.ledger.expect(results[1] in (None, zlib.crc32(data)), "a large argument changed")

    async def back(self, ref, _):
        """A large result."""
        note, data = self.note(), self.draw.randbytes(BIG_BYTES)
        result = await self.ledger.call("large call", ref.note_back(*note, data), note)
        self.ledger.expect(result is None or bytes(result) == data, "a large result changed")


async def _accepted(tell):
    await tell
    return True


async def create(world, seed, name):
    """Actors in Python that come and go."""
    ledger, draw = world.ledger, random.Random(f"{seed}/{name}")
    number = 0
    while not world.over:
        number += 1
        address, uid = draw.choice(world.python_pools), f"{name}-{number}"
        creation = xo.create_actor(Passing, uid=uid, address=address)
        ref = await ledger.call("creation", creation, gone=True)
        if ref is None:
            continue
        answer = await ledger.call("call of a new one", ref.ping(), gone=True)
        ledger.expect(answer in (None, "pong"), f"a ping gave {answer}")
        await ledger.call("destruction", ref.destroy(), gone=True)
        await asyncio.sleep(draw.random() * PAUSE_S * 5)


async def create_in_c(world, seed, name):
    """Actors in C that come and go, and write down what they get meanwhile."""
    ledger, draw = world.ledger, random.Random(f"{seed}/{name}")
    number = 0
    while not world.over:
        number += 1
        address, uid = draw.choice(world.c_pools), f"{name}-{number}"
        creation = xo.create_actor("Passing", uid, world.place.notes, uid=uid, address=address)
        ref = await ledger.call("creation in C", creation, gone=True)
        if ref is None:
            continue
        for i in range(draw.randint(1, ROW)):
            note = uid, i
            answer = await ledger.call("call of a new one in C", ref.note(*note), note, gone=True)
            ledger.expect(answer in (None, i), f"a note gave {answer}")
        await ledger.call("destruction in C", ref.destroy(), gone=True)
        await asyncio.sleep(draw.random() * PAUSE_S * 5)


async def during(world, load, faults):
    """Runs the coroutines of `load` until `faults` has ended."""
    load = [asyncio.ensure_future(one) for one in load]
    try:
        await faults
    finally:
        world.over = True
        await asyncio.wait(load)
    for one in load:
        await one


def all_of(world, seed, count=SENDERS):
    """The coroutines, with so many senders."""
    senders = [Sender(world, seed, f"sender{i}").run() for i in range(count)]
    python = [create(world, seed, f"passing{i}") for i in range(CREATORS)]
    in_c = [create_in_c(world, seed, f"passing-c{i}") for i in range(CREATORS)]
    return senders + python + in_c
