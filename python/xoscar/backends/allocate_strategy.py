"""Which pool of a node a new actor goes to: create_actor(..., allocate_strategy=...)."""
from __future__ import annotations

import os

import _xo

from .. import errors
from .._shown import shown
from ..core import TYPE_CHECKING, ActorRef

if TYPE_CHECKING:
    from typing import Any

    from .config import ActorPoolConfig

_BROKER = b"xo.broker"


def _check(what, value, *types):
    """A strategy's argument; TypeError. A bool is no number."""
    if not isinstance(value, types) or isinstance(value, bool):
        names = " or ".join("None" if t is type(None) else t.__name__ for t in types)
        raise TypeError(f"{what} is of type {names}, not {shown(value)}")
    return value


def _number(value):
    """An int of any library's as Python's."""
    is_number = hasattr(type(value), "__index__") and not isinstance(value, bool)
    return value.__index__() if is_number else value


class AllocateStrategy:
    """Base of the strategies. One of your own overrides get_allocated_address."""

    async def get_allocated_address(self, address: str) -> str:
        """Choose a pool.

        Parameters
        ----------
        address : str
            Of any pool of the node that is asked.

        Returns
        -------
        str
            The address of the pool in which the actor is to be created.

        Raises
        ------
        IndexError, NoIdleSlot, NoFreeSlot
            If there is none.
        """
        raise NotImplementedError

    async def allocate(self, address: str, uid: bytes) -> tuple[str, bytes, Any]:
        """Choose a pool for an actor.

        Parameters
        ----------
        address : str
            Of any pool of the node that is asked.
        uid : bytes
            The actor's; empty: one is to be made.

        Returns
        -------
        tuple
            Address, uid, and None or a function whose coroutine gives the place back, for when the
            actor cannot be created.
        """
        return await self.get_allocated_address(address), uid, None

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"


class AddressSpecified(AllocateStrategy):
    """The pool with this address, whichever is asked.

    Parameters
    ----------
    address : str
        "host:port".
    """

    def __init__(self, address: str) -> None:
        self.address = _xo.check_address(address)

    async def get_allocated_address(self, address: str) -> str:
        return self.address


# ---- by the node's configuration ----


class _FromConfig(AllocateStrategy):
    async def get_allocated_address(self, address: str) -> str:
        from .config import read_config

        return self._choose(await read_config(address))

    def _choose(self, config: ActorPoolConfig) -> str:
        raise NotImplementedError


def _one_of(addresses, what):
    import random

    if not addresses:
        raise IndexError(f"the node has no pool {what}")
    return random.choice(addresses)


class MainPool(_FromConfig):
    """The main pool."""

    def _choose(self, config):
        return config.get_external_address(0)


class Random(_FromConfig):
    """Any pool, the main one included."""

    def _choose(self, config):
        return _one_of(config.get_external_addresses(), "at all")


class RandomSubPool(_FromConfig):
    """Any sub pool. IndexError if there is none."""

    def _choose(self, config):
        return _one_of(config.get_external_addresses()[1:], "but the main one")


class RandomLabel(_FromConfig):
    """Any pool with a label. IndexError if there is none.

    Parameters
    ----------
    label : str or None
        The label; None: any.
    """

    def __init__(self, label: str | None) -> None:
        self.label = _check("a label", label, str, type(None))

    def _choose(self, config):
        return _one_of(config.get_external_addresses(self.label), f"with label {self.label!r}")


class ProcessIndex(_FromConfig):
    """The pool at a place in the node's list. IndexError if there is none.

    Parameters
    ----------
    process_index : int
        0 is the main pool, 1 the first sub pool; -1 the last one.
    """

    def __init__(self, process_index: int) -> None:
        self.process_index = _check("a pool's index", _number(process_index), int)

    def _choose(self, config):
        addresses = config.get_external_addresses()
        try:
            return addresses[self.process_index]
        except IndexError:
            raise IndexError(
                f"the node has {len(addresses)} pools, and none at place {self.process_index}"
            ) from None


# ---- by what the broker decides, for all who create at the same time ----


class _FromBroker(AllocateStrategy):
    _rule = ""

    def _wish(self) -> tuple[str, str]:
        """(label, mark)"""
        raise NotImplementedError

    def _none_left(self) -> Exception:
        raise NotImplementedError

    async def _take(self, address: str, uid: bytes) -> tuple[str, tuple]:
        wish = (uid, self._rule, *self._wish())
        chosen = await getattr(ActorRef(address, _BROKER), "place.take")(*wish)
        if chosen is None:
            raise self._none_left()
        return chosen, wish

    async def get_allocated_address(self, address: str) -> str:
        """Choose a pool without taking the place: somebody else may.

        Parameters
        ----------
        address : str
            Of any pool of the node that is asked.

        Returns
        -------
        str

        Raises
        ------
        NoIdleSlot, NoFreeSlot
            If there is none.
        """
        chosen, _, give_back = await self.allocate(address, b"")
        await give_back()
        return chosen

    async def allocate(self, address: str, uid: bytes) -> tuple[str, bytes, Any]:
        uid = uid or os.urandom(32)
        chosen, wish = await self._take(address, uid)

        async def give_back():
            await getattr(ActorRef(address, _BROKER), "place.free")(*wish, chosen)

        return chosen, uid, give_back


class IdleLabel(_FromBroker):
    """A pool with a label that holds no actor created with this label and mark.

    The slot is free again when its actor is destroyed. NoIdleSlot when none is left, also where
    several processes create at the same time.

    Parameters
    ----------
    label : str or None
        The pools' label; None: any pool.
    mark : str
        What the actors have in common, of which a pool takes only one.
    """

    _rule = "idle"

    def __init__(self, label: str | None, mark: str) -> None:
        if not isinstance(label, (str, type(None))) or not isinstance(mark, str):
            raise TypeError(f"IdleLabel takes two strings, not {label!r} and {mark!r}")
        self.label = label
        self.mark = mark

    def _wish(self):
        return self.label or "", self.mark

    def _none_left(self):
        return errors.NoIdleSlot(
            f"no pool with label {self.label!r} is left that holds no actor marked {self.mark!r}"
        )


class LeastLoaded(_FromBroker):
    """The pool that holds the fewest actors; of several, the first. NoFreeSlot if none is there.

    Parameters
    ----------
    label : str, optional
        Only pools with this label.
    """

    _rule = "least"

    def __init__(self, label: str | None = None) -> None:
        self.label = _check("a label", label, str, type(None))

    def _wish(self):
        return self.label or "", ""

    def _none_left(self):
        return errors.NoFreeSlot(f"no pool with label {self.label!r} is ready")


# ---- by where pools run ----


def _ready(records):
    """Those that are ready; where none is, those that are suspect, which are slow, not gone."""
    by_state: dict = {"ready": [], "suspect": []}
    for record in records:
        if record["language"] != "c":
            by_state.get(record["state"], []).append(record)
    return by_state["ready"] or by_state["suspect"]


def _fewest(records):
    """The address of the one with the fewest actors."""
    return min(records, key=lambda r: (r["actors"], r["index"]))["address"]


class GPU(AllocateStrategy):
    """A pool that has a GPU: the one with the fewest actors. NoFreeSlot if none has.

    A pool has the GPUs of its ``CUDA_VISIBLE_DEVICES``.

    Parameters
    ----------
    index : int or str, optional
        Which GPU, as that variable names it on the machine: a number or a UUID. Any by default.
    """

    def __init__(self, index: int | str | None = None) -> None:
        self.index = _check("a GPU's index", _number(index), int, str, type(None))

    def _fits(self, record):
        gpus = [gpu for gpu in record.get("gpus", "").split(",") if gpu not in ("", "-1")]
        return str(self.index) in gpus if self.index is not None else bool(gpus)

    async def get_allocated_address(self, address: str) -> str:
        from .config import node_records

        records = (await node_records(address)).values()
        fitting = _ready(r for r in records if self._fits(r))
        if not fitting:
            which = "a GPU" if self.index is None else f"GPU {self.index}"
            raise errors.NoFreeSlot(
                f"no pool of the node of {address} has {which}: give it one by "
                "envs=[{'CUDA_VISIBLE_DEVICES': ...}]"
            )
        return _fewest(fitting)


class Node(AllocateStrategy):
    """The pool with the fewest actors of a node. NoFreeSlot if it has none that is ready.

    Parameters
    ----------
    id : str
        The node's id, 16 hex digits, or the address of any of its pools.
    """

    def __init__(self, id: str) -> None:
        self.id = _check("a node's id", id, str)

    async def get_allocated_address(self, address: str) -> str:
        records = await ActorRef(address, _BROKER).pools()
        nodes = {r["node"] for r in records if self.id in (r["node"], r["address"])}
        fitting = _ready(r for r in records if r["node"] in nodes)
        if not fitting:
            raise errors.NoFreeSlot(f"there is no node {self.id} with a pool that is ready")
        return _fewest(fitting)


class Near(AllocateStrategy):
    """A pool near an actor: on its NUMA node, else on its node; that with the fewest actors.

    Other pools come before the actor's own, which has its loop to itself then.

    Parameters
    ----------
    ref : ActorRef
        The actor.
    """

    def __init__(self, ref: ActorRef) -> None:
        if not isinstance(ref, ActorRef):
            raise TypeError(f"Near takes a reference to an actor, not {ref!r}")
        self.ref = ref

    async def get_allocated_address(self, address: str) -> str:
        from .config import node_records

        records = _ready((await node_records(self.ref.address)).values())
        own = next((r for r in records if r["address"] == self.ref.address), None)
        others = [r for r in records if r is not own]
        numa = own.get("numa", -1) if own else -1
        same = [r for r in others if numa >= 0 and r.get("numa", -1) == numa]
        if not records:
            raise errors.NoFreeSlot(f"no pool of the node of {self.ref.address} is ready")
        return _fewest(same or others or records)


__all__ = [
    "AddressSpecified",
    "AllocateStrategy",
    "GPU",
    "IdleLabel",
    "LeastLoaded",
    "MainPool",
    "Near",
    "Node",
    "ProcessIndex",
    "Random",
    "RandomLabel",
    "RandomSubPool",
]
