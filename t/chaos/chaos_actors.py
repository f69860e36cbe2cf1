"""The actors that t/chaos/chaos.py calls; a module that its sub pools import.

What a Tally runs it writes to a file, a line each, before it answers: so what ran is known whatever
became of the process.
"""
import asyncio
import os
import zlib

import xoscar as xo


class Tally(xo.Actor):
    """Counts what it is sent."""

    def __init__(self, name, path):
        self.name = name
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.count = 0

    def _write(self, sender, number):
        self.count += 1
        line = f"{self.name} {os.getpid()} {self.count} {sender} {number}\n"
        os.write(self.fd, line.encode())  # one write appends the line as a whole
        return number

    def note(self, sender, number):
        return self._write(sender, number)

    @xo.extensible
    def note_each(self, sender, number):
        return self._write(sender, number)

    async def note_slowly(self, sender, number):
        self._write(sender, number)
        await asyncio.sleep(0.005)
        return number

    async def note_through(self, other, sender, number, others_number):
        """Has `other` note, too, as a sender of its own."""
        self._write(sender, number)
        return number, await other.note(f"{sender}-by-{self.name}", others_number)

    @xo.generator
    def stream(self, count):
        yield from range(count)

    def checksum(self, data):
        return zlib.crc32(data)

    def back(self, data):
        return data


class Passing(xo.Actor):
    """Comes and goes."""

    def ping(self):
        return "pong"
