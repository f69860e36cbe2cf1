#!/usr/bin/env python3
"""Measure what Python itself costs here, without actors, and print it as one JSON object.

Two loops on a unix socket are what a round trip through asyncio costs where each end sleeps, and
futures alone what gathering costs that makes one for each call.
"""

import argparse
import asyncio
import ctypes
import ctypes.util
import json
import os
import socket
import subprocess
import sys
import time

from hist import Hist

MESSAGE = bytes(64)
RESIDENT = "import os; print(open('/proc/self/statm').read().split()[1])"


async def echo(sock):
    """The other loop: answers until the socket closes."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def readable():
        data = sock.recv(len(MESSAGE))
        if data:
            sock.send(data)
        else:
            loop.remove_reader(sock)
            ended.set_result(None)

    loop.add_reader(sock, readable)
    await ended


async def round_trips(sock, count):
    hist = Hist()
    loop = asyncio.get_running_loop()
    answer = None

    def readable():
        sock.recv(len(MESSAGE))
        answer.set_result(None)

    loop.add_reader(sock, readable)
    for _ in range(count):
        start = time.perf_counter()
        answer = loop.create_future()
        sock.send(MESSAGE)
        await answer
        hist.record(time.perf_counter() - start)
    loop.remove_reader(sock)
    return hist.figures()


def two_loops(count):
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        asyncio.run(echo(theirs))
        os._exit(0)
    theirs.close()
    ours.setblocking(False)
    figures = asyncio.run(round_trips(ours, count))
    ours.close()
    os.waitpid(pid, 0)
    return figures


async def futures_per_s(count):
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    futures = [loop.create_future() for _ in range(count)]
    for future in futures:
        loop.call_soon(future.set_result, None)
    await asyncio.gather(*futures)
    return count / (time.perf_counter() - start)


class Plain:
    def echo(self, value):
        return value


def method_call_us(count):
    plain = Plain()
    start = time.perf_counter()
    for i in range(count):
        plain.echo(i)
    return (time.perf_counter() - start) / count * 1e6


def interpreter():
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", RESIDENT], stdout=subprocess.PIPE, check=True)
    took = time.perf_counter() - start
    pages = int(done.stdout)
    return {"interpreter_s": took, "interpreter_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6}


def sealed_gib_s(mib):
    """What CURVE costs one core: the library's own function, on what is in the cache. Without the
    library no figure."""
    name = ctypes.util.find_library("sodium")
    if not name:
        return {}
    size = 32 << 10  # as xo's chunks
    plain, sealed = ctypes.create_string_buffer(size), ctypes.create_string_buffer(size + 16)
    nonce, key = bytes(24), bytes(32)
    seal = ctypes.CDLL(name).crypto_secretbox_easy  # crypto_box's, once the keys are agreed
    start = time.perf_counter()
    for _ in range(mib * 32):
        seal(sealed, plain, ctypes.c_ulonglong(size), nonce, key)
    return {"sealed_gib_s": mib / 1024 / (time.perf_counter() - start)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the work")
    k = 1 if parser.parse_args().quick else 5
    figures = {
        "asyncio_socket_us": two_loops(2000 * k),
        "futures_per_s": asyncio.run(futures_per_s(5000)),
        "method_call_us": method_call_us(200000 * k),
        **interpreter(),
        **sealed_gib_s(128 * k),
    }
    json.dump(figures, sys.stdout)
    print()


if __name__ == "__main__":
    main()
