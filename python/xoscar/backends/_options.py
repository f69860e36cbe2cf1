"""How a sub pool's process is set up: modules, signals, event loop, logging."""
from __future__ import annotations

import os

from .._shown import shown
from ..core import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_LOGGING_KEYS = ("dict", "file", "level", "format")


def _check_modules(modules):
    if modules is None:
        return []
    if isinstance(modules, (str, bytes)) or not hasattr(modules, "__iter__"):
        raise TypeError(f"modules is a list of modules' names, not {shown(modules)}")
    modules = list(modules)
    for name in modules:
        if not isinstance(name, str) or not name:
            raise TypeError(f"modules holds modules' names, not {shown(name)}")
    return modules


def _check_use_uvloop(use_uvloop):
    if use_uvloop is None:
        use_uvloop = "auto"
    if use_uvloop not in (True, False, "auto"):
        raise ValueError(f'use_uvloop is True, False or "auto", not {shown(use_uvloop)}')
    return use_uvloop  # the sub pool's interpreter sees whether it has it


def _check_suspend_sigint(suspend_sigint):
    if suspend_sigint not in (None, True, False):
        raise TypeError(f"suspend_sigint is True or False, not {shown(suspend_sigint)}")
    return bool(suspend_sigint)


# ---- logging ----


def _check_level(level):
    import logging

    known = isinstance(level, int) or isinstance(logging.getLevelName(level), int)
    if not known:
        raise ValueError(f"logging_conf: there is no level {level!r}")


def _check_file(path):
    path = os.path.abspath(os.fspath(path))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"logging_conf: there is no file {path}")
    return path


def _check_plain(settings):
    import json

    try:
        return json.loads(json.dumps(settings))
    except (TypeError, ValueError) as e:
        raise TypeError(
            f"logging_conf is to be of plain values, for example "
            f"'module.Class' and 'ext://sys.stderr' for objects: {e}"
        ) from None


def check_logging(logging_conf: Any) -> dict | None:
    """The settings as one of {"dict": ...}, {"file": path}, {"level": ..., "format": ...}."""
    if not logging_conf:
        return None
    if isinstance(logging_conf, (str, os.PathLike)):
        return {"file": _check_file(logging_conf)}
    if not isinstance(logging_conf, dict):
        raise TypeError(f"logging_conf is a dict or the path of a file, not {shown(logging_conf)}")
    if "version" in logging_conf:
        return {"dict": _check_plain(logging_conf)}
    unknown = sorted(str(key) for key in logging_conf if key not in _LOGGING_KEYS)
    if unknown:
        raise ValueError(
            f"logging_conf has no use for {', '.join(unknown)}: it is a dict for dictConfig "
            f"(with version), or holds some of {', '.join(_LOGGING_KEYS)}"
        )
    conf = {key: value for key, value in logging_conf.items() if value is not None}
    if "level" in conf:
        _check_level(conf["level"])
    if "file" in conf:
        conf["file"] = _check_file(conf["file"])
    return _check_plain(conf)


_CHECKS = {
    "modules": _check_modules,
    "suspend_sigint": _check_suspend_sigint,
    "use_uvloop": _check_use_uvloop,
    "logging_conf": check_logging,
}


def sub_pool_options(**given: Any) -> dict:
    """The options of xoscar.pool, checked: modules, suspend_sigint, use_uvloop, logging_conf."""
    return {name: _CHECKS[name](value) for name, value in given.items()}
