"""What the views of _views.py are made of: the broker's records (doc/wire.md) as named tuples."""
from collections import namedtuple

from .core import ActorRef


class ActorRecord(
    namedtuple(
        "ActorRecord", ["uid", "address", "class_name", "state", "incarnation", "pool", "node"]
    )
):
    """An actor, as the registry sees it."""

    __slots__ = ()

    @property
    def ref(self) -> ActorRef:
        """A reference to it."""
        return ActorRef(self.address, self.uid)


PoolRecord = namedtuple(
    "PoolRecord",
    [
        "id",
        "node",
        "index",
        "label",
        "address",
        "pid",
        "generation",
        "state",
        "language",
        "actors",
        "waiting",
        "handled",
        "restarts",
        "started",
        "reason",
        "busy_actor",
        "busy_method",
        "busy_since",
    ],
)
PoolRecord.__doc__ = "A pool, as the registry sees it."

NodeRecord = namedtuple(
    "NodeRecord",
    [
        "id",
        "state",
        "pid",
        "host",
        "address",
        "pools",
        "actors",
        "started",
        "version",
        "registry",
    ],
)
NodeRecord.__doc__ = "A node, as the registry sees it."


def _make(kind, fields):
    """Of what a broker says; one of another version may say less, or more."""
    return kind._make(fields.get(name) for name in kind._fields)


def actor_record(fields):
    uid = fields["uid"]
    uid = uid.encode() if isinstance(uid, str) else uid
    return _make(ActorRecord, {**fields, "uid": uid, "class_name": fields.get("class")})


def pool_record(fields):
    return _make(PoolRecord, {**fields, "label": fields.get("label") or None})


def node_record(fields):
    return _make(NodeRecord, fields)
