"""Sub pools: what starts their processes, and what the main pool knows of them."""
import os
import signal
import sys

import _xo

from .. import debug


class SubProcess:
    """The process of a sub pool. What restarts it or reaps it is the node's broker."""

    def __init__(self, record):
        self.address = record["address"]
        self.index = record["index"]
        self.label = record["label"] or None
        self.pid = record["pid"]

    def is_alive(self):
        """Is the process there?"""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self):
        """SIGKILL."""
        _kill(self.pid)

    def __repr__(self):
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
