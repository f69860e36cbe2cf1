"""Classes and functions of a program's main module, which no other process can import."""

import subprocess
import sys

import pytest

from actors import DEADLINE_S

PROGRAM = '''
import asyncio
import multiprocessing
import sys

import xoscar as xo

FACTOR = 3


class Point:
    def __init__(self, x):
        self.x = x


class Wrong(Exception):
    pass


class Base(xo.Actor):
    def __init__(self, function):
        self.function = function


class Actor(Base):
    def apply(self, point):
        return self.function(point.x), Point(point.x * FACTOR)

    def fail(self):
        raise Wrong("wrong")


def double(x):
    return x * 2


async def use():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        sub = list(pool.sub_processes)[0]
        for function in (double, lambda x: double(x)):
            ref = await xo.create_actor(Actor, function, address=sub)
            number, point = await ref.apply(Point(7))
            assert (number, point.x, type(point)) == (14, 21, Point), (number, point)
            try:
                await ref.fail()
            except Wrong as e:
                assert e.args == ("wrong",)
    print("used in", __name__)


def main():
    asyncio.run(use())


if __name__ == "__main__":
    if sys.argv[1] == "here":
        main()
    else:
        child = multiprocessing.get_context(sys.argv[1]).Process(target=main)
        child.start()
        child.join()
        sys.exit(child.exitcode)
'''


@pytest.mark.parametrize("where", ["here", "spawn", "forkserver"])
def test_what_is_defined_in_the_main_module(where, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ran = subprocess.run(
        [sys.executable, program, where], capture_output=True, text=True, timeout=DEADLINE_S
    )
    name = "__main__" if where == "here" else "__mp_main__"
    assert (ran.returncode, ran.stdout) == (0, f"used in {name}\n"), ran.stderr
