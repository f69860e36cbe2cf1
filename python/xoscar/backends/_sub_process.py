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


def _found():
    """Where the package is, and its extension."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [package, os.path.dirname(os.path.abspath(_xo.__file__))]


def _own_dirs():
    """Where this interpreter has its own modules, and those that were installed for it."""
    import site
    import sysconfig

    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found.update(site.getsitepackages())
    found.add(site.getusersitepackages())
    zipped = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    return found | {os.path.join(os.path.dirname(paths["stdlib"]), zipped)}


def _is_within(entry, dirs):
    return any(entry == d or entry.startswith(d + os.sep) for d in dirs)


def _around(path):
    """What the program has added to the interpreter's own path: (before it, after it)."""
    dirs = _own_dirs()
    own = [i for i, entry in enumerate(path) if _is_within(entry, dirs)]
    first = own[0] if own else len(path)
    return path[:first], [entry for entry in path[first:] if not _is_within(entry, dirs)]


def _split(pythonpath):
    return [os.path.abspath(entry) for entry in (pythonpath or "").split(os.pathsep) if entry]


def _modules_path(cwd, pythonpath, own_path):
    """How xoscar.pool makes its sys.path: {"first": ..., "own": ..., "last": ...}. What the pool's
    own PYTHONPATH names comes first."""
    path = [cwd if entry == "" else entry for entry in sys.path]
    given = _split(pythonpath)
    if not own_path:
        return {"first": given + path, "own": False, "last": []}
    before, after = _around(path)
    return {"first": given + before, "own": True, "last": after}


def sub_pool_env(env, options, own_path=False):
    """The environment of a sub pool beyond the broker's: what is importable here must be there.

    With `own_path` the interpreter is another one, which has modules of its own.
    """
    try:
        cwd = os.getcwd()
    except FileNotFoundError:  # it was removed
        cwd = ""
    env, inherited = env or {}, os.environ.get("PYTHONPATH")
    pythonpath = env.get("PYTHONPATH", inherited)
    path = _modules_path(cwd, pythonpath if pythonpath != inherited else None, own_path)
    conf = {**options, "path": path, "pythonpath": pythonpath, "cwd": cwd}
    found = [] if own_path else _found()  # another one's own xoscar, if it has that, comes before
    return {
        **debug.sub_pool_env(),
        **env,
        "PYTHONPATH": os.pathsep.join(found + ([pythonpath] if pythonpath else [])),
        "XOSCAR_POOL": _xo.encode(conf)[0].hex(),
    }


# ---- the interpreter ----

_PROGRAM = "import sys; sys.path += sys.argv[1:]; from xoscar.pool import main; main([])"


def _find_python(start_python):
    import shutil

    found = shutil.which(os.fspath(start_python))
    if found is None:
        raise FileNotFoundError(f"start_python: there is no program {start_python!r}")
    return found


def python_argv(start_python=None):
    """(what starts a sub pool, is that another interpreter?): this one by default, with this one's
    -X, -W, ...."""
    import subprocess

    python = sys.executable if start_python is None else _find_python(start_python)
    flags = subprocess._args_from_interpreter_flags()
    if python == sys.executable:
        return [python, *flags, "-m", "xoscar.pool"], False
    return [python, *flags, "-c", _PROGRAM, *_found()], True
