"""Groups when their node stops with the program that embeds it."""
import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import xoscar as xo
from actors import node_files
from test_groups import Diary, Member, Stubborn


class Leisurely(Member):
    """Takes longer than a pool may that is told to end."""

    async def __pre_destroy__(self):
        self.write("?")
        await asyncio.sleep(1.2)
        self.write("-")


def a_diary(tmp_path):
    path = tmp_path / "diary"
    path.write_text("")
    return Diary(path)


async def of(cls, diary, name, address, group, **options):
    return await xo.create_actor(
        cls, diary.path, name, uid=name, address=address, group=group, **options
    )


async def test_a_node_that_stops_gives_groups_their_time(tmp_path, caplog):
    diary = a_diary(tmp_path)
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2, auto_recover="actor")
    one, two = pool.sub_processes
    group = await xo.create_group("g", "one_for_all")
    await of(Leisurely, diary, "a", pool.external_address, group)
    await of(Leisurely, diary, "b", one, group)
    await of(Leisurely, diary, "c", two, group)
    diary.take()
    await pool.stop()
    assert diary.take() == "?c -c ?b -b ?a -a"
    told = [r.getMessage() for r in caplog.records if r.name == "xoscar"]
    assert "stopping: waiting for actor \"c\" of group 'g' to end" in told


async def test_who_takes_longer_than_it_may_holds_up_nobody(tmp_path):
    diary = a_diary(tmp_path)
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2, auto_recover="actor")
    one, two = pool.sub_processes
    group = await xo.create_group("g", "one_for_all")
    await of(Member, diary, "a", one, group)
    await of(Stubborn, diary, "b", two, group, shutdown_timeout=1)  # by then it has begun
    await of(Member, diary, "c", pool.external_address, group)
    diary.take()
    await pool.stop()
    assert diary.take() == "-c ?b -a"


SCRIPT = """
    import asyncio, sys
    import xoscar as xo

    class Endless(xo.Actor):
        async def __pre_destroy__(self):
            print("ending", flush=True)
            await asyncio.Event().wait()

    async def main():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1, auto_recover="actor")
        async with pool:
            group = await xo.create_group("g", "one_for_all")
            address = list(pool.sub_processes)[0]
            ref = await xo.create_actor(
                Endless, uid="e", address=address, group=group, shutdown_timeout=60
            )
            print("ready", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


def test_ctrl_c_once_more_waits_for_no_group(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "ending\n"
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    took = time.monotonic() - began
    assert process.returncode in (-signal.SIGINT, 1, 130)
    while node_files():  # the broker removes them at its end
        pass
    assert took < 5, took
