"""ActorPoolConfig: which pools a node has."""
from __future__ import annotations

import _xo

from .. import errors
from ..core import TYPE_CHECKING, ActorRef
from ._plan import split_address

if TYPE_CHECKING:
    from typing import Any

_BROKER = b"xo.broker"
_ITSELF = "is the endpoint itself"  # libxo/greet.c
_ASKS = 10  # for the node's address, by who gives an address at which it is itself


class ActorPoolConfig:
    """The main pool and the sub pools of a node, by index: 0 is the main pool.

    Parameters
    ----------
    pools : dict
        index -> dict with label, external_address (a list), pid and state.
    """

    def __init__(self, pools: dict[int, dict[str, Any]]) -> None:
        self._pools = dict(sorted(pools.items()))

    @property
    def n_pool(self) -> int:
        """How many pools there are, the main one included."""
        return len(self._pools)

    def get_process_indexes(self) -> list[int]:
        """The indexes of the pools, the main one's first.

        Returns
        -------
        list of int
        """
        return list(self._pools)

    def get_process_index(self, external_address: str) -> int:
        """The index of the pool at an address.

        Parameters
        ----------
        external_address : str
            "host:port", as the pool advertises it.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If there is none.
        """
        for index, pool in self._pools.items():
            if external_address in pool["external_address"]:
                return index
        raise ValueError(f"there is no pool at {external_address}")

    def get_pool_config(self, process_index: int) -> dict[str, Any]:
        """What is known of a pool.

        Parameters
        ----------
        process_index : int
            0: the main pool.

        Returns
        -------
        dict
            label, external_address (a list), pid and state.

        Raises
        ------
        KeyError
            If no pool has this index.
        """
        try:
            return self._pools[process_index]
        except KeyError:
            raise KeyError(f"there is no pool {process_index!r}, but {list(self._pools)}") from None

    def get_external_address(self, process_index: int) -> str:
        """The address of the pool with an index.

        Parameters
        ----------
        process_index : int
            0: the main pool.

        Returns
        -------
        str

        Raises
        ------
        KeyError
            If no pool has this index.
        """
        return self.get_pool_config(process_index)["external_address"][0]

    def get_external_addresses(self, label: str | None = None) -> list[str]:
        """The pools' addresses, in the order of their indexes.

        Parameters
        ----------
        label : str, optional
            Only of the pools that have it.

        Returns
        -------
        list of str
        """
        return [
            pool["external_address"][0]
            for pool in self._pools.values()
            if label is None or pool["label"] == label
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values.

        Returns
        -------
        dict
            {"pools": {index: what get_pool_config gives}}
        """
        return {"pools": {index: dict(pool) for index, pool in self._pools.items()}}


# ---- what the broker knows ----


def own_address(error: errors.ServerClosed) -> str:
    """This process's address, if the error says that it was asked under another name.

    Parameters
    ----------
    error : ServerClosed
        What came of it. Any other error is raised again.

    Returns
    -------
    str
        What the pool advertises.
    """
    pool = _xo.pool()
    if pool is None or error.executed != "no" or _ITSELF not in str(error):
        raise error
    return pool.address


async def _records_at(address):
    """The records of the pools of the node at this address, whatever it calls itself."""
    broker = ActorRef(address, _BROKER)
    records = await broker.pools()
    nodes = {r["node"] for r in records if r["address"] == address}
    if not nodes:
        nodes = {(await broker.status())["id"]}
    return [r for r in records if r["node"] in nodes]


async def node_records(address: str) -> dict[int, dict[str, Any]]:
    """Ask for the Python pools of a node.

    Parameters
    ----------
    address : str
        "host:port" of any of its pools.

    Returns
    -------
    dict
        index -> the pool's record (doc/wire.md).
    """
    split_address(address)
    records: list = []
    for _ in range(_ASKS):
        try:
            records = await _records_at(address)
            break
        except errors.ServerClosed as e:
            address = own_address(e)
    return {r["index"]: r for r in records if r["language"] in ("python", "")}


def _entry(record):
    return {
        "label": record["label"] or None,
        "external_address": [record["address"]],
        "pid": record.get("pid"),
        "state": record["state"],
    }


async def read_config(address: str) -> ActorPoolConfig:
    """Ask which pools a node has.

    Parameters
    ----------
    address : str
        "host:port" of any of its pools.

    Returns
    -------
    ActorPoolConfig
    """
    records = await node_records(address)
    return ActorPoolConfig({index: _entry(r) for index, r in records.items()})


__all__ = ["ActorPoolConfig"]
