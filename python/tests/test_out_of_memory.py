"""A process that the kernel ends for want of memory: its callers hear so."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

CGROUPS = pathlib.Path("/sys/fs/cgroup")
LIMIT_BYTES = 256 << 20  # a node with one sub pool takes less than half

SCRIPT = """
    import asyncio
    import xoscar as xo

    class Hungry(xo.Actor):
        def eat(self):
            return [b"x" * (8 << 20) for _ in range(64)]  # no more, in case there is no limit

        def ping(self):
            return "back"

    async def main():
        async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
            (address,) = pool.sub_processes
            ref = await xo.create_actor(Hungry, uid="hungry", address=address)
            try:
                await ref.eat.options(timeout=60)()
                print("it has eaten it all", flush=True)
            except xo.ServerClosed as e:
                print(e, flush=True)
            print(await ref.ping.options(idempotent=True)(), flush=True)  # waits until it is back

    if __name__ == "__main__":
        asyncio.run(main())
"""


def make_cgroup():
    """A group of processes with a limit of memory; None: that is not permitted here."""
    name = f"xo-t-{os.getpid()}"
    for folder, limit in [
        (CGROUPS / name, "memory.max"),
        (CGROUPS / "memory" / name, "memory.limit_in_bytes"),
    ]:
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():  # the kernel's, which made it just now
            (folder / limit).write_text(str(LIMIT_BYTES))
            return folder
        folder.rmdir()
    return None


@pytest.fixture
def cgroup():
    folder = make_cgroup()
    if folder is None:
        pytest.skip("may make no cgroup with a limit of memory")
    yield folder
    folder.rmdir()


def test_callers_hear_it(cgroup, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    out = subprocess.run(
        ["/bin/sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"']
        + [str(cgroup), sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "signal 9 (Killed): out of memory" in out[0] and "eat" in out[0], out
    assert out[1:] == ["back"]
