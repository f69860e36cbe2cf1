#!/usr/bin/env python3
"""Count the words of FILEs: actors in Python count, an actor in C merges.

Each of several Python sub pools hosts a Counter. Files are cut into chunks, the chunks go to the
counters, and each counter sends what it found to WordMerge, an actor written in C (wordmerge.c)
in a pool of its own on the same node. A word is a run of ASCII letters, in lower case.

With --at and --merge-at these pools are those of nodes that run already. When the pool of a counter
dies, or its machine, another counter does what it had to do.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import string
import subprocess
import sys
import tempfile
import time

import xoscar as xo

LICENSES = "/usr/share/common-licenses"
CHUNK_BYTES = 32 << 10  # the licenses, some 200 KiB, then give work to every counter
CALLS_IN_FLIGHT = 4  # per counter: one that runs, and what keeps it busy afterwards
TOP = 20
BAR_WIDTH = 30
BAR_INTERVAL_S = 0.1

LETTERS = string.ascii_letters.encode()
# Each byte's counterpart: a letter in lower case, or a blank.
BLANKED = bytes(ord(chr(c).lower()) if c in LETTERS else ord(" ") for c in range(256))


class Counter(xo.Actor):
    """Counts the words of chunks, and passes the counts on."""

    def __init__(self, merge):
        self._merge = merge

    async def count(self, number, chunk):
        counts = {}
        for word in chunk.translate(BLANKED).split():
            counts[word] = counts.get(word, 0) + 1
        await self._merge.merge_part(number, {w.decode("ascii"): n for w, n in counts.items()})
        return sum(counts.values())

    def traffic(self):
        return xo.lane_totals()


# ---- files -------------------------------------------------------------------------------------


def default_files():
    """The text files of LICENSES; one that several names lead to is taken once."""
    found = {}
    for name in sorted(os.listdir(LICENSES)):
        path = os.path.realpath(os.path.join(LICENSES, name))
        if os.path.isfile(path) and is_text(path):
            found.setdefault(path, None)
    return list(found)


def is_text(path):
    try:
        with open(path, "rb") as file:
            return b"\0" not in file.read(4096)
    except OSError:
        return True  # to be named as unreadable when it is counted


def read_chunks(file):
    """Gives the file's bytes in pieces that end between two words."""
    rest = []
    for data in iter(lambda: file.read(CHUNK_BYTES), b""):
        end = len(data.rstrip(LETTERS))  # the last word may go on
        if end:
            yield b"".join(rest) + data[:end]
            rest = []
        rest.append(data[end:])
    if any(rest):
        yield b"".join(rest)


class Input:
    """The files as one stream of chunks; remembers which could be read."""

    def __init__(self, paths, keep):
        self.paths = paths
        self.counted = []
        self._keep = keep  # a directory for copies of what can be read only once, or None
        self.failed = False
        self.total = sum(map(self._size, paths))

    @staticmethod
    def _size(path):
        try:
            return os.stat(path).st_size
        except OSError:
            return 0  # named when it is opened

    def _copy(self, path):
        """Where to read it, and perhaps once more."""
        if not self._keep or os.path.isfile(path) or os.path.isdir(path):
            return path
        with open(path, "rb") as file, open(f"{self._keep}/{len(self.counted)}", "wb") as copy:
            shutil.copyfileobj(file, copy)
        return copy.name

    def chunks(self):
        for path in self.paths:
            try:
                copy = self._copy(path)
                with open(copy, "rb") as file:
                    yield from read_chunks(file)
                self.counted.append(copy)
            except OSError as error:
                self.failed = True
                complain(f"cannot read {path!r}: {error.strerror}")


# ---- what a person sees ------------------------------------------------------------------------


def complain(text):
    clear_line()
    print(f"wordcount.py: {text}", file=sys.stderr, flush=True)


def clear_line():
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


class Progress:
    """A bar on standard error, if that is a terminal."""

    def __init__(self, total):
        self.total = total
        self.done = 0
        self.shown = 0.0
        self.is_shown = sys.stderr.isatty()

    def add(self, size):
        self.done += size
        now = time.monotonic()
        if self.is_shown and now - self.shown >= BAR_INTERVAL_S:
            self.shown = now
            self._draw()

    def _draw(self):
        part = min(1.0, self.done / self.total) if self.total else 1.0
        bar = "#" * round(part * BAR_WIDTH)
        text = f"\r[{bar:<{BAR_WIDTH}}] {part:4.0%} of {human_bytes(self.total)}"
        print(text, end="", file=sys.stderr, flush=True)


def human_bytes(size):
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def plural(number, what):
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def report(files, words, top, crew, started_s, took_s):
    print(f"{'COUNT':>10}  WORD")
    for word, number in top:
        print(f"{number:>10}  {word}")
    print()
    print(f"{plural(words['total'], 'word')}, {words['size']} different, "
          f"in {plural(len(files.counted), 'file')} ({human_bytes(words['bytes'])})")
    calls = sum(crew.calls.values())
    print(f"{plural(calls, 'call')} to counters in Python, as many from these to WordMerge in C")
    for lane, (messages, size) in sorted(sum_lanes(crew.lanes.values()).items()):
        print(f"moved over {lane}: {plural(messages, 'message')}, {human_bytes(size)}")
    print(f"{took_s:.2f} s to count, {started_s:.2f} s to start the pools")


def report_counters(crew):
    """Who did how much, and over which lanes; of one that is gone nobody knows the latter."""
    for address, calls in sorted(crew.calls.items()):
        lanes = ", ".join(sorted(crew.lanes.get(address, ["gone"])))
        print(f"{address}: {plural(calls, 'call')} ({lanes})")
    if crew.moved:
        print(f"{plural(crew.moved, 'call')} to pools that died, given to others")


# ---- the work ----------------------------------------------------------------------------------


def module_path():
    """wordmerge.so of the build tree that this is run in."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for build in (os.environ.get("XO_BUILDDIR"), os.path.join(root, "build"), root):
        path = build and os.path.join(build, "examples", ".libs", "wordmerge.so")
        if path and os.path.exists(path):
            return path
    sys.exit(f"wordcount.py: wordmerge.so is not built; try: ./quickstart exec python3 {__file__}")


class Crew:
    """The counters. What one has to do whose pool is gone, another one does."""

    def __init__(self, counters):
        self.living = list(counters)
        self.calls = {counter.address: 0 for counter in counters}  # that were answered
        self.moved = 0  # calls that had to be made once more
        self.lanes = {}  # by address of the living: lane -> messages, bytes

    async def count(self, counter, number, chunk):
        """Has a chunk counted, by this counter while it lives. Returns the one that did it."""
        while True:
            try:
                await counter.count(number, chunk)
                self.calls[counter.address] += 1
                return counter
            except xo.ServerClosed as error:
                if error.address != counter.address:
                    raise  # WordMerge's, and what it has merged is gone
                self._lost(counter, error)
                if not self.living:
                    raise
            counter = self.living[number % len(self.living)]

    def _lost(self, counter, error):
        self.moved += 1
        if counter in self.living:
            self.living.remove(counter)
            complain(f"{error}; its work goes to others")

    async def ask_lanes(self):
        """What the living moved. Every call of the count has a counter at one of its ends."""
        for counter in self.living:
            totals = await counter.traffic()
            self.lanes[counter.address] = {
                lane: (messages_in + messages_out, bytes_in + bytes_out)
                for lane, (messages_in, messages_out, bytes_in, bytes_out) in totals.items()}


def sum_lanes(of_counters):
    lanes = {}
    for totals in of_counters:
        for lane, (messages, size) in totals.items():
            before = lanes.get(lane, (0, 0))
            lanes[lane] = before[0] + messages, before[1] + size
    return lanes


async def count_files(files, crew):
    """Feeds the counters, a bounded number of calls each; returns how many bytes there were."""
    progress = Progress(files.total)
    chunks = enumerate(files.chunks())

    async def feed(counter):
        for number, chunk in chunks:
            counter = await crew.count(counter, number, chunk)
            progress.add(len(chunk))

    feeders = [asyncio.ensure_future(feed(counter))
               for counter in list(crew.living) for _ in range(CALLS_IN_FLIGHT)]
    try:
        await asyncio.gather(*feeders)
    finally:
        for feeder in feeders:
            feeder.cancel()
        clear_line()
    return progress.done


@contextlib.asynccontextmanager
async def pools(args):
    """The addresses of the pools: one for WordMerge, and those for counters."""
    if args.at:
        yield args.merge_at, args.at
        return
    module = module_path()
    pool = await xo.create_actor_pool("127.0.0.1", n_process=args.pools)
    async with pool:
        addresses = (await xo.get_pool_config(pool.external_address)).get_external_addresses()[1:]
        yield await pool.append_c_pool(modules=[module]), addresses


@contextlib.asynccontextmanager
async def actors(merge_at, addresses):
    made = [await xo.create_actor("WordMerge", address=merge_at, uid="merge")]
    try:
        for address in addresses:
            made.append(await xo.create_actor(Counter, made[0], address=address))
        yield made[0], made[1:]
    finally:
        for actor in reversed(made):
            with contextlib.suppress(xo.errors.XoscarError):  # it has gone with its pool
                await xo.destroy_actor(actor)


async def run(args):
    with tempfile.TemporaryDirectory() if args.check else contextlib.nullcontext() as keep:
        return await count(Input(args.files or default_files(), keep), args)


async def count(files, args):
    start = time.perf_counter()
    async with pools(args) as places, actors(*places) as (merge, counters):
        ready = time.perf_counter()
        crew = Crew(counters)
        size = await count_files(files, crew)
        took_s = time.perf_counter() - ready
        words = {"total": await merge.total(), "size": await merge.size(), "bytes": size}
        await crew.ask_lanes()
        report(files, words, await merge.top(TOP), crew, ready - start, took_s)
        if args.at:
            report_counters(crew)
        counts = dict(await merge.counts()) if args.check else None
    agrees = counts is None or check(counts, files.counted)
    return 1 if files.failed or not agrees else 0


# ---- --check -----------------------------------------------------------------------------------


def counts_of_tools(paths):
    """What tr, sort and uniq count. A file ends its last word, so each gets a tr of its own."""
    env = dict(os.environ, LC_ALL="C")
    pipeline = "tr A-Z a-z | sort | uniq -c"
    tools = subprocess.Popen(["sh", "-c", pipeline], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env=env)
    with contextlib.suppress(BrokenPipeError), tools.stdin as words:  # its status tells
        for path in paths:
            with open(path, "rb") as file:
                subprocess.run(["tr", "-cs", "A-Za-z", "\\n"], stdin=file, stdout=words, env=env,
                               check=True)
            words.write(b"\n")
            words.flush()
    counts = {}
    for line in tools.stdout:
        number, *word = line.split()
        if word:  # the empty line comes from what precedes a file's first word
            counts[word[0].decode("ascii")] = int(number)
    if tools.wait() != 0:
        sys.exit("wordcount.py: tr | sort | uniq -c failed")
    return counts


def check(counts, paths):
    expected = counts_of_tools(paths)
    wrong = sorted(word for word in counts.keys() | expected.keys()
                   if counts.get(word, 0) != expected.get(word, 0))
    for word in wrong[:TOP]:
        complain(f"{word!r}: {counts.get(word, 0)} counted, {expected.get(word, 0)} expected")
    if wrong:
        complain(f"--check: {plural(len(wrong), 'word')} of {len(expected)} differ")
    else:
        print(f"--check: tr | sort | uniq -c agrees on all {plural(len(expected), 'word')}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="Exit status: 0 done; 1 a file could not be read, or --check found a difference.")
    parser.add_argument("files", nargs="*", metavar="FILE",
                        help=f"default: the text files in {LICENSES}")
    parser.add_argument("--pools", type=int, default=4, metavar="N",
                        help="Python sub pools, each with a counter (default: 4)")
    parser.add_argument("--at", action="append", metavar="HOST:PORT",
                        help="instead, a Python pool of a node that runs, repeatable")
    parser.add_argument("--merge-at", metavar="HOST:PORT",
                        help="with --at: a pool that has loaded wordmerge.so")
    parser.add_argument("--check", action="store_true",
                        help="compare the counts with those of tr | sort | uniq -c")
    args = parser.parse_intermixed_args()
    if args.pools < 1:
        parser.error("--pools needs at least 1")
    if bool(args.at) != bool(args.merge_at):
        parser.error("--at and --merge-at go together")
    try:
        return asyncio.run(run(args))
    except KeyboardInterrupt:
        clear_line()
        return 130


if __name__ == "__main__":
    sys.exit(main())
