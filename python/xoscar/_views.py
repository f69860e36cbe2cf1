"""list_actors, list_pools, list_nodes: what a node's broker and the registry know."""
from __future__ import annotations

import _xo

from .core import ActorRef

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from typing import Optional

    from ._records import ActorRecord, NodeRecord, PoolRecord

_BROKER = b"xo.broker"
_NOBODY = b"\0xo.nobody"  # a uid that no actor has


def _broker(address):
    """The broker of the node at this address, or of the one that is near."""
    if address is None:
        pool = _xo.home()
        address = pool.address if pool is not None else _xo.find_node()
    return ActorRef(address, _BROKER)


async def list_actors(address: Optional[str] = None) -> list[ActorRecord]:
    """List the actors of the cluster.

    Those of the node that is asked are all that it had when it was asked; those of others are
    what the registry says.

    Parameters
    ----------
    address : str, optional
        "host:port" of any pool of the node to ask. By default this process's pool, or else this
        user's node on this machine.

    Returns
    -------
    list of ActorRecord
        Named tuples: uid (bytes), address, class_name ("module:Class"), state ("running",
        "recovering", "failed" or "lost"), incarnation, pool and node (ids, as hex digits). Their
        ``ref`` is a reference.

    Raises
    ------
    ServerClosed
        If nobody answers there.
    FileNotFoundError
        If no address was given and no node is to be found.
    """
    from ._records import actor_record

    broker = _broker(address)
    await broker.lookup(_NOBODY)  # a miss: the pools have told all they had to tell
    return [actor_record(fields) for fields in await broker.actors()]


async def list_pools(address: Optional[str] = None) -> list[PoolRecord]:
    """List the pools of the cluster.

    Parameters
    ----------
    address : str, optional
        As for ``list_actors``.

    Returns
    -------
    list of PoolRecord
        Named tuples: id, node, index, label (or None), address, pid, generation, state ("starting",
        "recovering", "ready", "suspect", "restarting", "stopping", "failed"), language ("python",
        "c", or "" until it has said so), actors, waiting (messages), handled (messages), restarts,
        started (seconds since 1970), reason (why it is not as it should be, or None); and what its
        loop is in at this moment, if it is in a method: busy_actor (its uid), busy_method,
        busy_since (seconds since 1970), else None.

    Raises
    ------
    ServerClosed, FileNotFoundError
        As for ``list_actors``.
    """
    from ._records import pool_record

    return [pool_record(fields) for fields in await _broker(address).pools()]


async def list_nodes(address: Optional[str] = None) -> list[NodeRecord]:
    """List the nodes of the cluster.

    Parameters
    ----------
    address : str, optional
        As for ``list_actors``.

    Returns
    -------
    list of NodeRecord
        Named tuples: id, state ("ready", "draining", "drained" or "stopping"), pid (of its broker),
        host, address (of one of its pools), pools and actors (how many), started (seconds since
        1970), version, registry (its URL).

    Raises
    ------
    ServerClosed, FileNotFoundError
        As for ``list_actors``.
    """
    from ._records import node_record

    return [node_record(fields) for fields in await _broker(address).nodes()]
