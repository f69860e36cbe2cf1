#!/usr/bin/env python3
"""Host a Greeter in Python and a Counter in C, and print where they are, for examples/client.c:

    ADDRESS_OF_GREETER UID ADDRESS_OF_COUNTER UID

Both go when this program ends: at the end of its input, or at Ctrl-C.
"""

import asyncio
import os
import sys

import xoscar as xo


class Greeter(xo.Actor):
    def greet(self, name):
        if not isinstance(name, str):
            raise TypeError(f"a name is a text, not {name!r}")
        return f"Hello, {name}!"


def module_path():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    build = os.environ.get("XO_BUILDDIR", os.path.join(root, "build"))
    return os.path.join(build, "examples", ".libs", "counter.so")


async def end_of_input():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def main():
    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        await xo.create_actor(Greeter, address=pool.external_address, uid="greeter")
        c_pool = await pool.append_c_pool(modules=[module_path()])
        await xo.create_actor("Counter", address=c_pool, uid="counter")
        print(pool.external_address, "greeter", c_pool, "counter", flush=True)
        await end_of_input()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
