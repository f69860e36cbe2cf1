"""Warnings about calls that take long, locks that are held long, and calls in a circle.

    import xoscar as xo

    xo.set_debug_options(xo.DebugOptions(actor_call_timeout=2))

or ``DEBUG_OSCAR=1`` in the environment, or ``DEBUG_OSCAR='{"actor_call_timeout": 2}'``. The options
are those of the process; sub pools that it starts afterwards have them, too. What there is to say
goes to the logger ``xoscar.debug``. While debugging is off, calls cost nothing more.
"""
from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARIABLE = "DEBUG_OSCAR"
_TIMEOUTS = {"actor_call_timeout": 10, "process_message_timeout": 30, "actor_lock_timeout": 30}
_FLAGS = {"log_unhandled_errors": True, "log_cycle_send": True}


def _check_timeout(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds, or None for never, not {value!r}")
    if not 0 < value < 1e9:
        raise ValueError(f"{name} is a positive number of seconds, not {value!r}")


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, not {value!r}")


class DebugOptions:
    """What to warn of.

    Parameters
    ----------
    actor_call_timeout : float, optional
        Seconds after which a call without an answer is reported by the caller; None: never.
        Reported again each time that twice as long has passed.
    process_message_timeout : float, optional
        The same for a method under way, by its pool, from the moment when it begins.
    actor_lock_timeout : float, optional
        The same for an ``async def`` method that holds its actor's lock.
    log_unhandled_errors : bool
        Log what methods raise, where they run.
    log_cycle_send : bool
        Warn when a method calls an actor that waits for this very method.

    Raises
    ------
    TypeError, ValueError
        A timeout is no positive number, or a flag is neither True nor False.
    """

    __slots__ = (*_TIMEOUTS, *_FLAGS)

    def __init__(
        self,
        actor_call_timeout: float | None = 10,
        process_message_timeout: float | None = 30,
        actor_lock_timeout: float | None = 30,
        log_unhandled_errors: bool = True,
        log_cycle_send: bool = True,
    ):
        self.actor_call_timeout = actor_call_timeout
        self.process_message_timeout = process_message_timeout
        self.actor_lock_timeout = actor_lock_timeout
        self.log_unhandled_errors = log_unhandled_errors
        self.log_cycle_send = log_cycle_send
        for name in _TIMEOUTS:
            _check_timeout(name, getattr(self, name))
        for name in _FLAGS:
            _check_flag(name, getattr(self, name))

    def _as_dict(self) -> dict:
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DebugOptions):
            return NotImplemented
        return self._as_dict() == other._as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple:
        return DebugOptions, tuple(self._as_dict().values())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._as_dict().items())
        return f"DebugOptions({fields})"


_options: DebugOptions | None = None


def get_debug_options() -> DebugOptions | None:
    """The options in force.

    Returns
    -------
    DebugOptions or None
        None: debugging is off.
    """
    return _options


def set_debug_options(options: DebugOptions | None) -> None:
    """Turns debugging on, or off, for this process and for sub pools started from now on.

    Parameters
    ----------
    options : DebugOptions or None
        None: off.

    Raises
    ------
    TypeError
        It is neither.
    """
    global _options
    if options is not None and not isinstance(options, DebugOptions):
        raise TypeError(f"debug options are DebugOptions(...) or None, not {options!r}")
    import _xo

    watcher = None
    if options is not None:
        from ._watch import Watcher

        watcher = Watcher(options)
    _options = options
    _xo.watch(watcher, logs_cycles())


def logs_cycles() -> bool:
    """Are calls in a circle looked for? Then there are no LocalActorRefs.

    Returns
    -------
    bool
    """
    return _options is not None and _options.log_cycle_send


# ---- the environment ----


def _parse(text: str) -> DebugOptions | None:
    if text.strip().lower() in ("", "0", "false"):
        return None
    if text.strip().lower() in ("1", "true"):
        return DebugOptions()
    import json

    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("it is 0, 1 or a JSON object")
    unknown = set(fields) - {*_TIMEOUTS, *_FLAGS}
    if unknown:
        known = ", ".join((*_TIMEOUTS, *_FLAGS))
        raise ValueError(f"there is no option {sorted(unknown)[0]!r}; there are {known}")
    return DebugOptions(**fields)


def reload_debug_opts_from_env() -> None:
    """Takes the options from the environment variable DEBUG_OSCAR.

    It is 1 for the defaults, a JSON object with some of DebugOptions' parameters, 0 or nothing for
    off.

    Raises
    ------
    ValueError
        The variable is none of these.
    """
    text = os.environ.get(_VARIABLE, "")
    try:
        options = _parse(text)
    except (ValueError, TypeError) as e:
        raise ValueError(f"the environment variable {_VARIABLE}={text!r}: {e}") from None
    set_debug_options(options)


def sub_pool_env() -> dict[str, str]:
    """What tells a sub pool the options.

    Returns
    -------
    dict
        Environment variables.
    """
    if _options is None:
        return {_VARIABLE: "0"} if os.environ.get(_VARIABLE) else {}
    import json

    return {_VARIABLE: json.dumps(_options._as_dict())}


if os.environ.get(_VARIABLE):
    reload_debug_opts_from_env()

__all__ = [
    "DebugOptions",
    "get_debug_options",
    "reload_debug_opts_from_env",
    "set_debug_options",
]
