"""Pools: what starts, what is refused before anything starts, and that nothing is left."""

import asyncio
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

import xoscar as xo
from actors import Echo, children, node_files


def alive(pid):
    """Is there such a process, and no zombie?"""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_pool_from_start_to_end():
    before = children()
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2, labels=["main", "a", "b"])
    assert not pool.stopped
    config = await xo.get_pool_config(pool.external_address)
    addresses = config.get_external_addresses()
    assert config.n_pool == 3 and config.get_process_indexes() == [0, 1, 2]
    assert addresses[0] == pool.external_address == config.get_external_address(0)
    assert sorted(addresses[1:]) == sorted(pool.sub_processes)
    assert config.get_external_addresses("b") == [addresses[2]]
    assert config.get_process_index(addresses[2]) == 2
    assert config.get_pool_config(1)["label"] == "a"
    assert config.as_dict()["pools"][0]["external_address"] == [addresses[0]]
    assert (await xo.get_pool_config(addresses[1])).as_dict() == config.as_dict()
    with pytest.raises(ValueError):
        config.get_process_index("127.0.0.1:1")
    pids = {int(p.pid) for p in pool.sub_processes.values()}
    refs = [await xo.create_actor(Echo, address=a) for a in addresses]
    assert {await r.pid() for r in refs[1:]} == pids and await refs[0].pid() == os.getpid()
    await pool.stop()
    assert pool.stopped
    await pool.stop()
    assert not any(alive(pid) for pid in pids)
    assert children() == before and node_files() == []


async def test_two_pools_at_once():
    first = await xo.create_actor_pool("127.0.0.1", n_process=1)
    second = await xo.create_actor_pool("127.0.0.1", n_process=0)
    a = await xo.create_actor(Echo, "a", address=list(first.sub_processes)[0])
    b = await xo.create_actor(Echo, a, address=second.external_address)
    assert await (await b.tagged()).tagged() == "a"
    await first.stop()
    assert await b.echo(1) == 1
    with pytest.raises(xo.ServerClosed):
        await a.tagged()
    await second.stop()


def test_one_loop_after_another():
    for _ in range(2):

        async def use():
            async with await xo.create_actor_pool("127.0.0.1", n_process=0) as pool:
                ref = await xo.create_actor(Echo)
                assert ref.address == pool.external_address
                return await ref.echo(5)

        assert asyncio.run(use()) == 5


async def test_addresses_and_ports():
    first = await xo.create_actor_pool("127.0.0.1:0", n_process=0)
    with pytest.raises(OSError, match=first.external_address):
        await xo.create_actor_pool(first.external_address, n_process=0)
    await first.stop()
    again = await xo.create_actor_pool(first.external_address, n_process=0)
    assert again.external_address == first.external_address
    await again.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"labels": ["a"]},
        {"envs": [{}, {}]},
        {"ports": [1, 2, 3]},
        {"n_process": -1},
        {"auto_recover": "sometimes"},
    ],
    ids=str,
)
async def test_what_is_refused_before_anything_starts(options):
    before = children()
    with pytest.raises(ValueError):
        await xo.create_actor_pool("127.0.0.1", **{"n_process": 1, **options})
    assert children() == before


async def test_a_sub_pool_that_does_not_start():
    before = children()
    with pytest.raises(ImportError, match="no_such_module_anywhere"):
        await xo.create_actor_pool("127.0.0.1", n_process=1, modules=["no_such_module_anywhere"])
    assert children() == before and node_files() == []


class Environment(xo.Actor):
    def get(self, name):
        return os.environ.get(name)

    def has_module(self, name):
        return name in sys.modules

    def path(self):
        return sys.path


async def test_listening_everywhere_while_advertising_one_address():
    conf = {"listen_elastic_ip": True}
    async with await xo.create_actor_pool("127.0.0.1", n_process=1, extra_conf=conf) as pool:
        addresses = (await xo.get_pool_config(pool.external_address)).get_external_addresses()
        for address in addresses:
            host, port = address.rsplit(":", 1)
            assert host == "127.0.0.1"
            socket.create_connection(("127.0.0.2", int(port))).close()
            assert await (await xo.create_actor(Echo, address=address)).echo(1) == 1


async def test_environments_and_modules(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setenv("XO_TEST_INHERITED", "yes")
    envs = [{"XO_TEST": "one", "CUDA_VISIBLE_DEVICES": "1"}, {"XO_TEST": "two"}]
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2, envs=envs, modules=["colorsys"])
    async with pool:
        config = await xo.get_pool_config(pool.external_address)
        refs = [
            await xo.create_actor(Environment, address=a)
            for a in config.get_external_addresses()[1:]
        ]
        assert [await r.get("XO_TEST") for r in refs] == ["one", "two"]
        assert [await r.get("CUDA_VISIBLE_DEVICES") for r in refs] == ["6", "4,6"]
        assert [await r.get("XO_TEST_INHERITED") for r in refs] == ["yes", "yes"]
        assert [await r.has_module("colorsys") for r in refs] == [True, True]
        assert await refs[0].get("PYTHONPATH") == os.environ.get("PYTHONPATH")
        assert await refs[0].get("XOSCAR_POOL") is None
        assert set(p for p in sys.path if p) <= set(await refs[0].path())


async def test_appending_and_removing():
    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        address = await pool.append_sub_pool(label="late", env={"XO_TEST": "late"})
        assert list(pool.sub_processes) == [address]
        config = await xo.get_pool_config(pool.external_address)
        assert config.get_external_addresses("late") == [address]
        ref = await xo.create_actor(Environment, address=address)
        assert await ref.get("XO_TEST") == "late"
        pid = pool.sub_processes[address].pid
        await pool.remove_sub_pool(address)
        assert not alive(pid) and not pool.sub_processes
        with pytest.raises(ValueError):
            await pool.remove_sub_pool(address)


async def test_strategies():
    strategy = xo.allocate_strategy
    pool = await xo.create_actor_pool("127.0.0.1", n_process=2, labels=["m", "a", "a"])
    async with pool:
        config = await xo.get_pool_config(pool.external_address)
        main, *subs = config.get_external_addresses()

        async def where(choice):
            ref = await xo.create_actor(Echo, address=main, allocate_strategy=choice)
            return ref.address

        assert await where(strategy.MainPool()) == main
        assert await where(strategy.AddressSpecified(subs[1])) == subs[1]
        assert await where(strategy.ProcessIndex(2)) == config.get_external_address(2)
        assert await where(strategy.RandomSubPool()) in subs
        assert await where(strategy.RandomLabel("a")) in subs
        assert await where(strategy.Random()) in [main, *subs]
        with pytest.raises(IndexError):
            await where(strategy.RandomLabel("nobody's"))


async def test_a_process_that_dies_comes_back():
    down, back = asyncio.Event(), asyncio.Event()
    pool = await xo.create_actor_pool(
        "127.0.0.1",
        n_process=1,
        auto_recover="process",
        on_process_down=lambda pool, address: down.set(),
        on_process_recover=lambda pool, address: back.set(),
    )
    async with pool:
        (address, process), = pool.sub_processes.items()
        pid = process.pid
        process.kill()
        await down.wait()
        await back.wait()
        ref = await xo.create_actor(Echo, address=address)
        assert await ref.pid() == process.pid != pid


# ---- scripts ----


def run_script(tmp_path, text, *args, flags=(), **options):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    argv = [sys.executable, *flags, str(script), *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, **options)


SCRIPT = """
    import asyncio, os, sys
    import xoscar as xo

    LIMIT = 7

    class Point:
        def __init__(self, x):
            self.x = x

    class InMain(xo.Actor):
        def __init__(self, point):
            self.point = point

        def get(self):
            return Point(self.point.x + LIMIT)

    async def main():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1)
        address = list(pool.sub_processes)[0]
        ref = await xo.create_actor(InMain, Point(1), address=address, uid="one")
        point = await ref.get()
        assert type(point) is Point, type(point)
        print("got", point.x, flush=True)
        await END

    asyncio.run(main())
    print("end", flush=True)
"""


@pytest.mark.parametrize(
    "end,code",
    [
        ("pool.stop()", 0),
        ("asyncio.sleep(0)", 0),  # a forgotten pool
        ("asyncio.sleep(sys.exit(3))", 3),
        ("asyncio.sleep(1 / 0)", 1),
    ],
    ids=["stopped", "forgotten", "exit", "error"],
)
def test_scripts_leave_nothing(tmp_path, end, code):
    done = run_script(tmp_path, SCRIPT.replace("END", end))
    assert done.returncode == code, done.stderr
    assert done.stdout == ("got 8\nend\n" if code == 0 else "got 8\n")
    assert (done.stderr == "") == (code in (0, 3)), done.stderr
    assert node_files() == []


def test_a_script_that_is_killed_leaves_nothing(tmp_path):
    script = tmp_path / "script.py"
    text = SCRIPT.replace("END", "asyncio.Event().wait()").replace(
        "print(", 'print(*[p.pid for p in pool.sub_processes.values()], '
    ).replace("print(*[p.pid for p in pool.sub_processes.values()], \"end\"", 'print("end"')
    script.write_text(textwrap.dedent(text))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in process.stdout.readline().split() if word.isdigit()][:1]
    watched = [os.pidfd_open(pid) for pid in pids]
    process.kill()
    process.wait()
    process.stdout.close()
    assert select.select(watched, [], [], 60)[0] == watched
    for fd in watched:
        os.close(fd)
    while node_files():  # the broker removes them at its end
        pass


STARTER = """
    import asyncio, subprocess
    import xoscar as xo

    class Starter(xo.Actor):
        def start(self):
            return subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL).pid

    async def main():
        pool = await xo.create_actor_pool("127.0.0.1", n_process=1)
        for address in (pool.external_address, *pool.sub_processes):
            ref = await xo.create_actor(Starter, address=address)
            print(await ref.start(), flush=True)
            await ref.destroy()
        input()
        await pool.stop()
        print("stopped", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


def test_what_a_main_pool_has_started_is_the_program_s(tmp_path):
    """It outlives actor, pool and program, unlike what a sub pool has started."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(STARTER))
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        pids = [int(program.stdout.readline()) for _ in range(2)]
        mains, subs = (os.pidfd_open(pid) for pid in pids)
        try:
            assert [alive(pid) for pid in pids] == [True, True]
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.stdout.readline() == "stopped\n"
            assert select.select([subs], [], [], 60)[0] == [subs]
            program.kill()
            program.wait()
            while node_files():
                pass
            assert alive(pids[0])
        finally:
            program.kill()
            signal.pidfd_send_signal(mains, signal.SIGKILL)
            os.close(mains)
            os.close(subs)


def test_ctrl_c_stops_in_order(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.replace("END", "asyncio.Event().wait()")))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "got 8\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 1, 130)
    assert err.rstrip().endswith("KeyboardInterrupt") and "xo-broker" not in err
    assert node_files() == []


def test_importing_is_light():
    heavy = "numpy pandas scipy uvloop cloudpickle asyncio inspect pickle".split()
    code = f"import sys, xoscar; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
