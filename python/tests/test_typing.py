"""The types that checkers and annotations see."""

import os
import subprocess
import sys
from typing import Dict, Optional, get_type_hints

import pytest

import xoscar as xo

APPLICATION = '''
from __future__ import annotations
from typing import Optional
import xoscar as xo

class Counter(xo.Actor):
    peer: Optional[xo.ActorRefType["Counter"]] = None

    @xo.no_lock
    def add(self, n: int) -> int:
        reveal_type(self.uid)
        return n

async def main() -> xo.ActorRefType[Counter]:
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        ref = await xo.create_actor(Counter, 1, uid="c", address=pool.external_address)
        reveal_type(ref)
        await ref.add.tell(1)
        n = await xo.wait_for(ref.add(1), 3)
        config = await xo.get_pool_config(pool.external_address)
        reveal_type(config.n_pool)
    return ref
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


def test_a_strict_checker_is_content_with_an_application(tmp_path):
    pytest.importorskip("mypy")
    file = tmp_path / "application.py"
    file.write_text(APPLICATION)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    env = {**os.environ, "MYPYPATH": os.path.dirname(os.path.dirname(xo.__file__))}
    checked = subprocess.run(
        [*command, f"--cache-dir={tmp_path}", str(file)], env=env, text=True, capture_output=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    told = checked.stdout.replace("builtins.", "")  # older checkers say where types come from
    assert 'Revealed type is "bytes"' in told
    assert "ActorRef[application.Counter]" in checked.stdout
    assert 'Revealed type is "int"' in told
