"""The actors that t/chaos/chaos.py calls; a module that its sub pools import.

What a Tally runs it writes to a file, a line each, before it answers: so what ran is known whatever
became of the process. t/chaos-actors.c has the same in C, and writes the same lines.
"""
import asyncio
import collections
import itertools
import os
import threading
import time
import zlib

import xoscar as xo


# The process, of all that there ever are, since pids come again; and where it is.
_LIFE = "{XO_POOL_ID}.{XO_POOL_GENERATION}@{XO_POOL_ADDRESS}".format_map(
    collections.defaultdict(str, os.environ))


def _say_whose():
    """A process that had started before it became a pool's has not that in its environment, as
    others see it: it says so in a file, of the name that Place.word_of gives."""
    with open("/proc/self/environ", "rb") as file:
        if b"\0XO_SPARE=" not in file.read():
            return
    with open("/proc/self/stat", encoding="ascii") as file:
        began = file.read().rpartition(")")[2].split()[19]
    path = os.path.join(os.path.dirname(os.environ["XO_RUN_DIR"]), f"pool-of-{os.getpid()}-{began}")
    with open(path + "~", "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in os.environ.items()
                        if name.startswith("XO_POOL_") and "\n" not in value)
    os.rename(path + "~", path)


_say_whose()


class Tally(xo.Actor):
    """Counts what it is sent."""

    def __init__(self, name, path):
        self.name = name
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.token = time.monotonic_ns()  # another one: its state is gone
        self.count = 0

    async def __pre_destroy__(self):
        os.close(self.fd)

    def _write(self, sender, number):
        self.count += 1
        line = f"{self.name} {_LIFE} {self.token} {self.count} {sender} {number}\n"
        os.write(self.fd, line.encode())  # one write appends the line as a whole
        return number

    def note(self, sender, number):
        return self._write(sender, number)

    def hang(self, pid, path):
        """Its pool's loop stands still from when the file is there on, if the process is this."""
        if os.getpid() != pid:
            return
        with open(path, "x", encoding="utf-8"):
            pass
        threading.Event().wait()  # which never comes

    @xo.extensible
    def note_each(self, sender, number):
        return self._write(sender, number)

    async def note_slowly(self, sender, number):
        self._write(sender, number)
        await asyncio.sleep(0.005)
        return number

    async def note_through(self, other, sender, number):
        """Has `other` note, too, as a sender of its own."""
        self._write(sender, number)
        await other.note(f"{sender}-by-{self.name}", number)
        return number

    async def tell_through(self, other, sender, number):
        """The same, and does not wait for it."""
        self._write(sender, number)
        await other.note.tell(f"{sender}-by-{self.name}", number)
        return number

    def note_large(self, sender, number, data):
        """Gives the checksum of the data."""
        self._write(sender, number)
        return zlib.crc32(data)

    def note_back(self, sender, number, data):
        self._write(sender, number)
        return data

    @xo.generator
    def note_stream(self, sender, number, count):
        self._write(sender, number)
        yield from range(count)

    def ping(self):
        return "pong"


class Walker(xo.Actor):
    """Sends notes to `others` as long as it lives; what becomes of them nobody asks."""

    def __init__(self, name, others):
        self.name = f"{name}-{_LIFE}"
        self.others = others
        self.walks = None

    async def __post_create__(self):
        self.walks = asyncio.ensure_future(self._walk())

    async def _walk(self):
        for number in itertools.count():
            for i, other in enumerate(self.others):
                try:
                    await other.note(f"{self.name}-to{i}", number)
                except (xo.ServerClosed, xo.ActorNotExist, OSError):
                    pass
            await asyncio.sleep(0.02)

    async def __pre_destroy__(self):
        if self.walks:
            self.walks.cancel()


class Passing(xo.Actor):
    """Comes and goes."""

    def ping(self):
        return "pong"
