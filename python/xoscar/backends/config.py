"""ActorPoolConfig: which pools a node has."""

from ..core import ActorRef


class ActorPoolConfig:
    """The main pool and the sub pools of a node, by index: 0 is the main pool."""

    def __init__(self, pools):
        """pools: index -> dict with label, external_address (a list), pid and state."""
        self._pools = dict(sorted(pools.items()))

    @property
    def n_pool(self) -> int:
        """How many pools there are, the main one included."""
        return len(self._pools)

    def get_process_indexes(self):
        """The indexes of the pools."""
        return list(self._pools)

    def get_process_index(self, address):
        """The index of the pool with this address; ValueError."""
        for index, pool in self._pools.items():
            if address in pool["external_address"]:
                return index
        raise ValueError(f"there is no pool at {address}")

    def get_pool_config(self, index):
        """What is known of the pool with this index; KeyError."""
        return self._pools[index]

    def get_external_address(self, index):
        """The address of the pool with this index; KeyError."""
        return self._pools[index]["external_address"][0]

    def get_external_addresses(self, label=None):
        """The pools' addresses by index; with a label, of those that have it."""
        return [
            pool["external_address"][0]
            for pool in self._pools.values()
            if label is None or pool["label"] == label
        ]

    def as_dict(self):
        """Everything as a dict of plain values."""
        return {"pools": {index: dict(pool) for index, pool in self._pools.items()}}


def _entry(record):
    return {
        "label": record["label"] or None,
        "external_address": [record["address"]],
        "pid": record["pid"],
        "state": record["state"],
    }


_ASKS = 100  # until each pool's first heartbeat, which says its language, has reached the broker


def _same_node(records, address):
    nodes = {r["node"] for r in records if r["address"] == address}
    return [r for r in records if r["node"] in nodes]


async def node_records(address):
    """The records (doc/wire.md) of the Python pools of the node of this pool, by index."""
    broker = ActorRef(address, b"xo.broker")
    for _ in range(_ASKS):
        records = _same_node(await broker.pools(), address)
        if all(r["language"] or r["state"] != "ready" for r in records):
            break
    return {r["index"]: r for r in records if r["language"] in ("python", "")}


async def read_config(address):
    """The ActorPoolConfig of the node whose pool has this address."""
    records = await node_records(address)
    return ActorPoolConfig({index: _entry(r) for index, r in records.items()})
