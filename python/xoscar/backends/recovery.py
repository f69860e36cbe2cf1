"""What happens when a sub pool's process dies: the settings, the callbacks, waiting for its end.

The broker starts the process again and creates its actors again (doc/design.md, section 7); here is
what Python says to it and hears from it.
"""

from __future__ import annotations

import _xo

from .. import errors
from .._restart import RestartPolicy, check_placement
from .._shown import shown
from ..core import TYPE_CHECKING, ActorRef

if TYPE_CHECKING:
    from typing import Any, Callable

    from .pool import MainActorPool

_BROKER = b"xo.broker"  # the uid under which every node's broker answers (doc/wire.md)

_MODES = {
    "actor": {"restart": "permanent", "recover": "actors"},
    "process": {"restart": "permanent", "recover": "none"},
    False: {"restart": "temporary", "recover": "none"},
}

_HANG_MAX_S = 2_000_000


def _check_hang_timeout(seconds):
    """As milliseconds."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number:
        raise TypeError(f"hang_timeout is a number of seconds or None, not {shown(seconds)}")
    if not 0.001 <= seconds <= _HANG_MAX_S:
        raise ValueError(
            f"hang_timeout is from 0.001 to {_HANG_MAX_S} seconds or None, not {seconds}"
        )
    return int(seconds * 1000)


def pool_settings(
    auto_recover: bool | str,
    hang_timeout: float | None = None,
    policy: RestartPolicy | None = None,
) -> dict[str, Any]:
    """What ``pool.start`` is told of what to do when the pool fails.

    Parameters
    ----------
    auto_recover : bool or str
        "actor" (True is the same), "process" or False.
    hang_timeout : float, optional
        Seconds that its loop may stand still. For ever by default.
    policy : RestartPolicy, optional
        How often and how soon, where anything is recovered.

    Returns
    -------
    dict
        The keys restart and recover, those of the policy, and hang_timeout_ms if there is one.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if policy is not None and not isinstance(policy, RestartPolicy):
        raise TypeError(f"restart_policy is a RestartPolicy, not {shown(policy)}")
    mode = "actor" if auto_recover is True else auto_recover
    if mode is not False and mode not in ("actor", "process"):
        raise ValueError(
            f'auto_recover is "actor", "process", True or False, not {shown(auto_recover)}'
        )
    settings = dict(_MODES[mode])
    if policy is not None:
        check_placement(policy, "a pool")
    if policy is not None and mode is not False:
        settings.update(policy.options())
    if hang_timeout is not None:
        settings["hang_timeout_ms"] = _check_hang_timeout(hang_timeout)
    return settings


# ---- callbacks ----


class Watch:
    """Calls on_process_down and on_process_recover of one main pool.

    Parameters
    ----------
    pool : MainActorPool
        The callbacks' first argument.
    on_down, on_recover : callable or None
        Called with (pool, address); plain or ``async def``.
    """

    def __init__(
        self,
        pool: MainActorPool,
        on_down: Callable[..., Any] | None,
        on_recover: Callable[..., Any] | None,
    ) -> None:
        self._pool = pool
        self._on_down = on_down
        self._on_recover = on_recover
        self._tasks: set[Any] = set()

    def on_event(self, kind: str, fields: dict[str, Any]) -> None:
        """Takes an event of the node's broker (doc/wire.md, "Events").

        Parameters
        ----------
        kind : str
            Its type.
        fields : dict
            What it says.
        """
        process = self._pool.sub_processes.get(fields.get("address"))
        if process is None:
            return
        if kind == "pool.up":
            process.pid = fields.get("pid", process.pid)
        elif kind == "pool.down" and fields.get("state") != "stopping":
            self._call(self._on_down, process.address)
        elif kind == "pool.recovered":
            self._call(self._on_recover, process.address)

    def _call(self, callback: Callable[..., Any] | None, address: str) -> None:
        import asyncio

        if callback is None:
            return
        task = asyncio.get_running_loop().create_task(self._run(callback, address))
        self._tasks.add(task)  # asyncio itself keeps none of them alive
        task.add_done_callback(self._tasks.discard)

    async def _run(self, callback: Callable[..., Any], address: str) -> None:
        try:
            result = callback(self._pool, address)
            if hasattr(result, "__await__"):
                await result
        except Exception:
            import logging

            logging.getLogger("xoscar").exception(
                "%s failed for the sub pool at %s", _name(callback), address
            )


def _name(callback: Callable[..., Any]) -> str:
    return getattr(callback, "__qualname__", None) or repr(callback)


# ---- functions of the package ----


def _some_address(address: str) -> str:
    """Where to ask for a pool that may not be there: at one of its node's other pools."""
    pool = _xo.home()
    if pool is not None:
        return pool.address
    try:
        return _xo.find_node()
    except (OSError, ValueError):  # no node on this machine, or several
        return address


async def _beside(address: str) -> str:
    """Another pool of the node of `address`, as far as the registry knows; or `address`, which can
    say for itself that it is up."""
    records = await ActorRef(_some_address(address), _BROKER).pools()
    node = next((r["node"] for r in records if r["address"] == address), None)
    for record in records:
        if record["node"] == node and record["state"] == "ready" and record["address"] != address:
            return record["address"]
    return address


async def _wait_anywhere(address: str) -> None:
    try:
        await _wait(address, await _beside(address))
    except errors.ServerClosed as error:
        if error.address == address and error.executed == "no":
            text = f"there is no pool at {address}, and no node that could be asked knows of one"
            raise errors.ServerClosed(
                f"{text} (say main_pool_address=)", error.reason, address, "no"
            ) from error
        raise


async def _wait(address: str, where: str) -> None:
    await getattr(ActorRef(where, _BROKER), "pool.wait")(address)


async def wait_actor_pool_recovered(address: str, main_pool_address: str | None = None) -> None:
    """Waits until the pool at an address is up, with its actors.

    Parameters
    ----------
    address : str
        The pool's "host:port".
    main_pool_address : str, optional
        Of its main pool, or of any other pool of its node. It can be left out in a process that has
        a pool itself, or on a machine on which a node runs.

    Raises
    ------
    ServerClosed
        The pool will not come back: it was given up after too many restarts, was removed, or is one
        that is not started again (``auto_recover=False``). Or nobody could be asked.
    ValueError
        An address that is none.
    """
    _xo.check_address(address)
    if main_pool_address is None:
        await _wait_anywhere(address)
    else:
        await _wait(address, _xo.check_address(main_pool_address))


async def kill_actor(ref: ActorRef) -> None:
    """Kills the process of the pool that holds an actor, and returns when that has ended.

    Nothing of the process gets to clean up. What comes back is up to the auto_recover of its pool:
    see create_actor_pool, and wait_actor_pool_recovered.

    Parameters
    ----------
    ref : ActorRef
        The actor.

    Raises
    ------
    ActorNotExist
        There is no such actor.
    ValueError
        It lives in a main pool, whose process is no sub process of its node.
    TypeError
        What is no reference.
    """
    if not isinstance(ref, ActorRef):
        raise TypeError(f"kill_actor takes a reference to an actor, not {shown(ref)}")
    found = await _xo.ref(ref.address, ref.uid)
    try:
        await getattr(ActorRef(found.address, _BROKER), "pool.kill")(found.address)
    except errors.ServerClosed as error:
        # The way to the broker leads through that process, which is gone when the answer comes.
        if error.executed == "no" or error.address != found.address:
            raise


__all__ = ["kill_actor", "wait_actor_pool_recovered"]
