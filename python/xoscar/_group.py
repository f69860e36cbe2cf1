"""Groups: actors that are restarted together, in an order."""
from __future__ import annotations

import _xo

from ._restart import RestartPolicy, check_placement
from ._shown import shown
from .core import TYPE_CHECKING, ActorRef

if TYPE_CHECKING:
    from typing import Any

_BROKER = b"xo.broker"  # the uid under which every node's broker answers (doc/wire.md)
_STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
_MS_MAX = 2**31 - 1


def shutdown_ms(seconds):
    """What the broker is told of a shutdown_timeout."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"shutdown_timeout is a number of seconds, not {shown(seconds)}")
    if not 1 <= seconds * 1000 <= _MS_MAX:
        raise ValueError(f"shutdown_timeout is from 0.001 to {_MS_MAX / 1000} s, not {seconds}")
    return int(seconds * 1000)


class Group:
    """A group of actors of one node, made by ``create_group``; ``create_actor`` takes it as
    `group`.

    Attributes
    ----------
    name : str
        Unique on its node.
    address : str
        "host:port" of a pool of the node.
    """

    __slots__ = ("name", "address")

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def __repr__(self) -> str:
        return f"<Group {self.name!r} at {self.address}>"

    async def info(self) -> dict[str, Any]:
        """Ask for its state.

        Returns
        -------
        dict
            What the node's broker says of it (doc/wire.md, "Records"): its state ("running",
            "restarting", "failed" or "stopping"), the reason, and more.

        Raises
        ------
        LookupError
            If there is no such group any more.
        """
        for record in await ActorRef(self.address, _BROKER).groups():
            if record["name"] == self.name:
                return record
        raise LookupError(f"there is no group {self.name!r} at {self.address}")

    async def stop(self) -> None:
        """Stop its members, the last one first, and remove it.

        Raises
        ------
        ValueError
            If there is no such group, or somebody stops it already.
        """
        await getattr(ActorRef(self.address, _BROKER), "group.stop")(self.name)


def _options(strategy, restart_policy, parent):
    if strategy not in _STRATEGIES:
        raise ValueError(f"strategy is one of {', '.join(_STRATEGIES)}, not {shown(strategy)}")
    options = {"strategy": strategy}
    if restart_policy is not None:
        if not isinstance(restart_policy, RestartPolicy):
            raise TypeError(f"restart_policy is a RestartPolicy, not {shown(restart_policy)}")
        check_placement(restart_policy, "a group")
        options.update(restart_policy.options())
        if options.pop("restart") != "permanent":
            raise ValueError("restart is a member's, not a group's")
        if "create_timeout_ms" in options:
            raise ValueError("create_timeout is a member's, not a group's")
    if parent is not None:
        if not isinstance(parent, Group):
            raise TypeError(f"parent is a Group, not {shown(parent)}")
        options["parent"] = parent.name
    return options


async def create_group(
    name: str,
    strategy: str = "one_for_one",
    *,
    restart_policy: RestartPolicy | None = None,
    parent: Group | None = None,
    address: str | None = None,
) -> Group:
    """Create a group of actors that are restarted together, in an order.

    Its members are the actors that ``create_actor`` creates with it, and the groups whose parent it
    is, in the order in which they come. They are of one node, in pools that recover or in a main
    pool. When one of them fails, because its process ends or it cannot be created again, those that
    the strategy names are stopped, from the last to the first, and created again, from the first to
    the last. A member in a main pool that does not end in its time fails its group.

    Parameters
    ----------
    name : str
        1 to 64 of A-Z a-z 0-9 _ . and -, unique on the node.
    strategy : {"one_for_one", "one_for_all", "rest_for_one"}
        Restart the one that failed; all; it, and those after it.
    restart_policy : RestartPolicy, optional
        How many restarts of members within a period are fine, and how soon they are; 5 in 60 s by
        default. With one more the group has failed: its parent restarts it as one of its members;
        without a parent its members are stopped until ``xo revive NAME``.
    parent : Group, optional
        The group that it is a member of.
    address : str, optional
        "host:port" of any pool of the node. That of the parent, or of this process's own pool, by
        default.

    Returns
    -------
    Group
        Also if there is one with these settings already.

    Raises
    ------
    ValueError
        For what cannot be, a name that a group with other settings has, or a parent that is not
        there, or has failed.
    TypeError
        For what is of the wrong type.
    """
    if not isinstance(name, str):
        raise TypeError(f"a group's name is a str, not {shown(name)}")
    options = _options(strategy, restart_policy, parent)
    if address is None and parent is not None:
        address = parent.address
    if address is None:
        pool = _xo.pool()
        if pool is None:
            raise ValueError("this process has no pool: say address=")
        address = pool.address
    await getattr(ActorRef(address, _BROKER), "group.create")(name, options)
    return Group(name, address)
