"""Sub pools: what starts their processes, and what the main pool knows of them."""
from __future__ import annotations

import os
import signal
import sys

import _xo

from .. import debug
from ..core import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class SubProcess:
    """The process of a sub pool. What restarts it or reaps it is the node's broker.

    Attributes
    ----------
    address : str
        The pool's "host:port".
    index : int
        Its place in the node: 1 is the first sub pool.
    label : str or None
        Its label.
    pid : int
        Of the process; another one after a restart.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        self.address: str = record["address"]
        self.index: int = record["index"]
        self.label: str | None = record["label"] or None
        self.pid: int = record["pid"]

    def is_alive(self) -> bool:
        """Ask whether the process is there.

        Returns
        -------
        bool
        """
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """Kill the process (SIGKILL); nothing happens if it is gone already."""
        _kill(self.pid)

    def __repr__(self) -> str:
        return f"<sub pool {self.index} at {self.address}, process {self.pid}>"


def _kill(pid):
    """SIGKILL, unless it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


# ---- what starts it ----


def _package_parent():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def sub_pool_env(env, options):
    """The environment of a sub pool beyond the broker's: what is importable here must be there."""
    try:
        cwd = os.getcwd()
    except FileNotFoundError:  # it was removed
        cwd = ""
    path = [cwd if entry == "" else entry for entry in sys.path]
    found = [_package_parent(), os.path.dirname(os.path.abspath(_xo.__file__))]
    inherited = os.environ.get("PYTHONPATH")
    conf = {**options, "path": path, "pythonpath": inherited, "cwd": cwd}
    return {
        **debug.sub_pool_env(),
        **(env or {}),
        "PYTHONPATH": os.pathsep.join(found + ([inherited] if inherited else [])),
        "XOSCAR_POOL": _xo.encode(conf)[0].hex(),
    }
