#!/usr/bin/env python3
"""An actor that outlives its node: with `create ADDRESS` it is made in that pool, with `ask` it is
called by its name, and says where it is now. When its node dies another one creates it again.
"""

import argparse
import asyncio
import socket

import xoscar as xo

NAME = "xo:anywhere"  # a name, so that there is one of it, and it is found wherever it is


class Anywhere(xo.Actor):
    """What it has counted goes with its node: it is created again as it was created first."""

    def __init__(self):
        self._asked = 0

    def ask(self):
        self._asked += 1
        where = f"{socket.gethostname()}, in the pool at {self.address}"
        return f"{NAME} is on {where}; asked {self._asked}"


async def main(args):
    if args.what == "create":
        policy = xo.RestartPolicy("permanent", placement="any")
        await xo.create_actor(Anywhere, uid=NAME, address=args.address, restart_policy=policy)
    ref = await xo.actor_ref(uid=NAME)
    print(await ref.ask())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("create").add_argument("address")
    what.add_parser("ask")
    asyncio.run(main(parser.parse_args()))
