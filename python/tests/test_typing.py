"""The types that checkers and annotations see."""

import os
import re
import subprocess
import sys
from typing import Dict, Optional, get_type_hints

import pytest

import xoscar as xo

APPLICATION = '''
from __future__ import annotations
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Optional
import xoscar as xo
from xoscar import ActorRefType, MainActorPoolType, Return
from xoscar.aio import AioFileObject
from xoscar.backends.router import Router
from xoscar.context import get_context
from xoscar.metrics import Metrics, init_metrics

class Counter(xo.Actor):
    peer: Optional[xo.ActorRefType["Counter"]] = None

    @classmethod
    def default_uid(cls) -> str:
        return "counter"

    async def __post_create__(self) -> None:
        await super().__post_create__()

    async def __on_receive__(self, message: tuple[Any, ...]) -> Any:
        return await super().__on_receive__(message)

    @xo.no_lock
    def add(self, n: int) -> int:
        reveal_type(self.uid)
        return n

    @xo.extensible
    def put(self, key: str, value: int = 0) -> int:
        raise NotImplementedError

    @put.batch  # type: ignore[no-redef]
    def put(self, args: list[Any], kwargs: list[Any]) -> list[int]:
        return [self.put.bind(*a, **k).value for a, k in zip(args, kwargs)]

    @xo.generator
    def count(self, n: int) -> Iterator[int]:
        yield from range(n)

    async def ask(self, ref: ActorRefType[Counter]) -> AsyncGenerator[Any, Any]:
        answer = yield ref.add(1)
        raise Return(answer)

async def serve(pool: MainActorPoolType, path: str) -> xo.ActorRefType[Counter]:
    ref = await xo.create_actor(Counter, 1, uid="c", address=pool.external_address)
    reveal_type(ref)
    await ref.add.tell(1)
    n = await xo.wait_for(ref.add(1), 3)
    await ref.put.options(timeout=3).batch(ref.put.delay("a"), ref.put.delay("b", value=2))
    numbers = [i async for i in await ref.count(3)]
    extra = await pool.append_sub_pool(label="late", env={"A": "1"})
    await pool.remove_sub_pool(extra, timeout=3)
    for process in pool.sub_processes.values():
        print(process.pid, process.is_alive())
    await xo.copy_to([b"1234"], [xo.buffer_ref(ref.address, bytearray(4))])
    async with AioFileObject(open(path, "wb")) as file:
        xo.file_object_ref(ref.address, file)
    found: ActorRefType[Counter] = await get_context().actor_ref(ref)
    return await get_context().create_actor(Counter, address=found.address)

async def look(ref: ActorRefType[Counter]) -> None:
    for actor in await xo.list_actors():
        reveal_type(actor.incarnation)
        await xo.has_actor(actor.ref)
    for pool in await xo.list_pools():
        reveal_type(pool.busy_since)
    for node in await xo.list_nodes():
        reveal_type(node.host)
    reveal_type(xo.lent_bytes())
    reveal_type(xo.lane_totals())
    watching: xo.Monitor = await xo.monitor(ref, print)
    watching.stop()
    try:
        await ref.destroy()
    except xo.ServerClosed as error:
        reveal_type(error.executed)
        raise xo.ServerClosed("x", error.reason) from xo.errors.NoIdleSlot("y")
    init_metrics("console")
    Metrics.counter("served", "Requests", ("kind",)).record(1, {"kind": "tea"})
    router = Router.get_instance()
    if router is not None:
        reveal_type(router.external_address)
    xo.set_debug_options(xo.DebugOptions(actor_call_timeout=3))

async def main() -> None:
    def down(pool: MainActorPoolType, address: str) -> None: ...
    async with await xo.create_actor_pool(
        "127.0.0.1",
        n_process=1,
        labels=["a", None],
        envs=[{"A": "1"}],
        auto_recover="process",
        restart_policy=xo.RestartPolicy("transient"),
        modules=["json"],
        use_uvloop=False,
        on_process_down=down,
    ) as pool:
        await serve(pool, "x")
        config = await xo.get_pool_config(pool.external_address)
        reveal_type(config.n_pool)
'''

# What a checker is to find: each line has a mistake, and the code of the error after it.
MISTAKES = '''
import xoscar as xo
from xoscar.context import get_context

class Counter(xo.Actor): ...

async def main(pool: xo.MainActorPoolType) -> None:
    await xo.create_actor_pool("127.0.0.1", n_proces=1)  # arg-type
    await xo.create_actor_pool("127.0.0.1", auto_recovr=True)  # arg-type
    await xo.create_actor_pool("127.0.0.1", auto_recover="actors")  # arg-type
    await xo.create_actor_pool("127.0.0.1", n_process="1")  # arg-type
    await xo.create_actor_pool("127.0.0.1", labels=[1])  # list-item
    await pool.append_sub_pool(envv={})  # call-arg
    await pool.remove_sub_pol("127.0.0.1:1")  # attr-defined
    await xo.creat_actor(Counter)  # attr-defined
    await get_context().creat_actor(Counter)  # attr-defined
    await xo.create_actor(int)  # type-var
    await xo.create_actor(Counter, allocate_strategy="random")  # arg-type
    xo.lent_bytes().decode()  # attr-defined
    for actor in await xo.list_actors():
        actor.adress  # attr-defined
    for process in pool.sub_processes.values():
        process.pit  # attr-defined
    raise xo.ServerClosed("x", executed="perhaps")  # arg-type
'''


class Node:
    peers: Dict[str, xo.ActorRefType["Node"]]
    peer: Optional[xo.ActorRefType["Node"]] = None


def test_references_can_be_annotated_with_their_class():
    assert xo.ActorRefType is xo.ActorRef
    assert xo.ActorRefType[xo.Actor].__origin__ is xo.ActorRef
    assert xo.ActorRefType[xo.Actor].__args__ == (xo.Actor,)
    assert isinstance(xo.ActorRefType[xo.Actor]("h:1", "uid"), xo.ActorRef)
    assert set(get_type_hints(Node)) == {"peers", "peer"}


def test_the_package_says_that_it_is_typed():
    assert os.path.exists(os.path.join(os.path.dirname(xo.__file__), "py.typed"))


def check(tmp_path, text):
    """What a strict mypy says of an application."""
    pytest.importorskip("mypy")
    (tmp_path / "application.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    env = {**os.environ, "MYPYPATH": os.path.dirname(os.path.dirname(xo.__file__))}
    return subprocess.run(
        [*command, f"--cache-dir={tmp_path}", "application.py"],
        cwd=tmp_path,
        env=env,
        text=True,
        capture_output=True,
    )


def test_a_strict_checker_is_content_with_an_application(tmp_path):
    checked = check(tmp_path, APPLICATION)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    told = checked.stdout.replace("builtins.", "")  # older checkers say where types come from
    told = re.sub(r"Union\[(.*), (.*)\]", r"\1 | \2", told)  # and write unions so
    assert re.findall(r'Revealed type is "(.*)"', told) == [
        "bytes",
        "xoscar._types.ActorRef[application.Counter]",
        "int",
        "float | None",
        "str",
        "int",
        "dict[str, tuple[int, int, int, int]]",
        "Literal['no'] | Literal['maybe']",
        "str | None",
        "int",
    ]


def test_a_checker_finds_mistakes(tmp_path):
    checked = check(tmp_path, MISTAKES)
    found = re.findall(r"application.py:(\d+): error: .*\[([\w-]+)\]$", checked.stdout, re.M)
    lines = enumerate(MISTAKES.splitlines(), 1)
    promised = [(str(i), line.split("  # ")[1]) for i, line in lines if "  # " in line]
    assert found == promised, checked.stdout
