"""What the views of _views.py are made of: the broker's records (doc/wire.md) as named tuples."""
from __future__ import annotations

from typing import Any, NamedTuple

from .core import ActorRef


class ActorRecord(NamedTuple):
    """An actor, as the registry sees it.

    Attributes
    ----------
    uid : bytes
        The actor's uid.
    address : str
        Of its pool.
    class_name : str
        "module:Class".
    state : str
        "running", "recovering", "failed" or "lost".
    incarnation : int
        It grows each time that an actor of this uid is created again.
    pool, node : str
        Ids, as hex digits.
    """

    uid: bytes
    address: str
    class_name: str
    state: str
    incarnation: int
    pool: str
    node: str

    @property
    def ref(self) -> ActorRef[Any]:
        """A reference to it."""
        return ActorRef(self.address, self.uid)


class PoolRecord(NamedTuple):
    """A pool, as the registry sees it.

    Attributes
    ----------
    id, node : str
        Ids, as hex digits.
    index : int
        Its place in its node: 0 is the main pool.
    label : str or None
        As given to ``create_actor_pool``.
    address : str
        "host:port".
    pid : int
        Of its process.
    generation : int
        How often its process was started.
    state : str
        "starting", "recovering", "ready", "suspect", "restarting", "stopping" or "failed".
    language : str
        "python", "c", or "" until it has said so.
    actors, waiting, handled : int
        How many actors it has, messages that wait, and messages that it has handled.
    restarts : int
        How often it was started again.
    started : float
        When, in seconds since 1970.
    reason : str or None
        Why it is not as it should be.
    busy_actor : str, bytes or None
        The uid of the actor in whose method its loop is.
    busy_method : str or None
        The method's name.
    busy_since : float or None
        Since when, in seconds since 1970.
    """

    id: str
    node: str
    index: int
    label: str | None
    address: str
    pid: int
    generation: int
    state: str
    language: str
    actors: int
    waiting: int
    handled: int
    restarts: int
    started: float
    reason: str | None
    busy_actor: str | bytes | None
    busy_method: str | None
    busy_since: float | None


class NodeRecord(NamedTuple):
    """A node, as the registry sees it.

    Attributes
    ----------
    id : str
        16 hex digits.
    state : str
        "ready", "draining", "drained" or "stopping".
    pid : int
        Of its broker.
    host : str
        The machine's name.
    address : str
        "host:port" of one of its pools.
    pools, actors : int
        How many it has.
    started : float
        When, in seconds since 1970.
    version : str
        Of the broker.
    registry : str
        Its URL.
    """

    id: str
    state: str
    pid: int
    host: str
    address: str
    pools: int
    actors: int
    started: float
    version: str
    registry: str


def _make(kind, fields):
    """Of what a broker says; one of another version may say less, or more."""
    return kind._make(fields.get(name) for name in kind._fields)


def actor_record(fields: dict[str, Any]) -> ActorRecord:
    """Of what a broker says of an actor."""
    uid = fields["uid"]
    uid = uid.encode() if isinstance(uid, str) else uid
    return _make(ActorRecord, {**fields, "uid": uid, "class_name": fields.get("class")})


def pool_record(fields: dict[str, Any]) -> PoolRecord:
    """Of what a broker says of a pool."""
    return _make(PoolRecord, {**fields, "label": fields.get("label") or None})


def node_record(fields: dict[str, Any]) -> NodeRecord:
    """Of what a broker says of a node."""
    return _make(NodeRecord, fields)
