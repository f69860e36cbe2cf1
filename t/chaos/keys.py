"""That what nodes leave in the registry belongs to somebody; for t/chaos/mesh.py, in the end.

Nodes that stop leave nothing, but what counts for ever, or goes by itself. Of one whose power was
gone there is what its actors were, until others remove that, or the next node that starts.
"""
import json

from checks import KEYS_FOR_EVER
from world import ask_redis

FOR_EVER = KEYS_FOR_EVER | {"fence", "reaper"}
# Where things are listed whose leases have lapsed, until somebody lists them next.
INDEXES = {"nodes", "pools"}

DUMP = """
local dump = {}
for _, key in ipairs(redis.call('KEYS', 'xo:{*}:*')) do
  local kind, value = redis.call('TYPE', key)['ok'], ''
  if kind == 'hash' then value = redis.call('HGETALL', key) end
  if kind == 'set' then value = redis.call('SMEMBERS', key) end
  if kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1) end
  if redis.call('TTL', key) < 0 then dump[key:match('}:(.*)')] = value end
end
return cjson.encode(dump)
"""


def _record(words):
    return dict(zip(words[::2], words[1::2]))


def read(redis):
    """What is there, but for keys that go by themselves, by the part after the cluster's name."""
    return json.loads("\n".join(ask_redis(redis.socket, "EVAL", DUMP, "0")))


class Left:
    """What was read."""

    def __init__(self, keys):
        self.keys = keys
        self.dead = set(keys.get("dead", ()))

    def of_nobody(self):
        """Each key that belongs to nobody, and why."""
        found = []
        for key, value in sorted(self.keys.items()):
            kind, _, name = key.partition(":")
            check = getattr(self, f"_{kind}", None)
            if check:
                found += [f"{key}: {why}" for why in check(name, value)]
            elif kind not in FOR_EVER | INDEXES:
                found.append(f"{key}: nobody has it")
        return found

    def _lacking(self, kind, names):
        return [f"there is no {kind} {name}" for name in names if f"{kind}:{name}" not in self.keys]

    def _of_dead(self, nodes):
        return [f"node {node} has not died" for node in nodes if node not in self.dead]

    # ---- by kind: why it belongs to nobody ----

    def _actor(self, name, value):
        if name.startswith("xo:"):
            return ["who may move does not go with its node"]
        return self._of_dead([_record(value)["owner"]])

    def _spec(self, name, _):
        return self._lacking("actor", [name])

    def _name(self, _, value):
        record = _record(value)
        return self._of_dead([record["node"]]) or self._lacking(
            "actor", [f"{record['uid']}@{record['pool']}"])

    def _uid(self, uid, pools):
        return self._lacking("actor", [f"{uid}@{pool}" for pool in pools])

    def _actors(self, node, ids):
        return self._lacking("actor", ids) + self._of_dead([node] if node else [])

    def _movable(self, node, ids):
        return self._lacking("actor", ids) if node else self._lacking("movable", ids)

    def _names(self, _, ids):
        return self._lacking("name", ids)

    def _dead(self, *_):
        return []

    def _alive(self, _, nodes):
        return [f"node {node} has stopped" for node in nodes]

    def _hosts(self, _, value):
        return self._of_dead(_record(value))

    def _reaped(self, node, _):
        return self._of_dead([node])
