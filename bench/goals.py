"""What is to be reached: a figure of ours against another of the same run.

A ratio says how many times better ours is, so a goal of 0.83 is a time of at most 1.2 times the
other's. A goal without another figure is absolute.
"""

import collections

# `ours` and `other` are paths into the figures: GROUP.NAME or GROUP.NAME.PERCENTILE.
Goal = collections.namedtuple("Goal", "table figure ours other goal")

XOSCAR = "Python to Python, against xoscar"
FLOOR = "Python to Python, against the floor"
C = "C to C"
SUPERVISION = "Supervision"

GOALS = [
    Goal(XOSCAR, "call to a sub pool, p50", "python.call_us.p50", "peer.call_us.p50", 10),
    Goal(XOSCAR, "call between sub pools, p50", "python.sub_to_sub_us.p50",
         "peer.sub_to_sub_us.p50", 10),
    Goal(XOSCAR, "call within the pool, p50", "python.same_pool_us.p50", "peer.same_pool_us.p50",
         20),
    Goal(XOSCAR, "calls gathered", "python.calls_per_s", "peer.calls_per_s", 15),
    Goal(XOSCAR, "tells", "python.tells_per_s", "peer.tells_per_s", 40),
    Goal(XOSCAR, "items of a batch", "python.batch_items_per_s", "peer.batch_items_per_s", 8),
    Goal(XOSCAR, "create_actor, one by one", "python.creations_per_s", "peer.creations_per_s", 20),
    Goal(XOSCAR, "create_actor, gathered", "python.creations_gathered_per_s",
         "peer.creations_gathered_per_s", 30),
    Goal(XOSCAR, "64 MiB to a sub pool", "python.bulk_64mib_gib_s", "peer.bulk_64mib_gib_s", 10),
    Goal(XOSCAR, "call by address to another program, p50", "python.far_call_us.p50",
         "peer.far_call_us.p50", 3),
    Goal(XOSCAR, "the same, gathered", "python.far_calls_per_s", "peer.far_calls_per_s", 10),
    Goal(XOSCAR, "the same over tcp, encrypted, p50", "python.tcp_call_us.p50",
         "peer.far_call_us.p50", 3),
    Goal(XOSCAR, "the same, gathered, over tcp", "python.tcp_calls_per_s", "peer.far_calls_per_s",
         10),
    Goal(XOSCAR, "64 MiB over tcp, encrypted", "python.tcp_64mib_gib_s", "peer.far_64mib_gib_s", 3),
    Goal(XOSCAR, "import xoscar", "python.import_s", "peer.import_s", 10),
    Goal(XOSCAR, "create_actor_pool(n_process=2)", "python.start_2_pools_s", "peer.start_2_pools_s",
         4),
    Goal(XOSCAR, "memory of an idle sub pool", "python.sub_pool_mb", "peer.sub_pool_mb", 3),
    Goal(XOSCAR, "killed sub pool, until its actor answers", "python.recover_s", "peer.recover_s",
         10),
    Goal(FLOOR, "64 MiB to a sub pool: memcpy", "python.bulk_64mib_gib_s", "raw.memcpy_64mib_gib_s",
         0.7),
    Goal(FLOOR, "call to a sub pool: two asyncio loops", "python.call_us.p50",
         "floor.asyncio_socket_us.p50", None),
    Goal(FLOOR, "call within the pool: a method call", "python.same_pool_us.p50",
         "floor.method_call_us", None),
    Goal(FLOOR, "calls gathered: futures alone", "python.calls_per_s", "floor.futures_per_s", None),
    Goal(FLOOR, "create_actor, one by one: three processes woken in turn",
         "python.creations_per_s", "chain.chain_three_per_s", None),
    Goal(FLOOR, "memory of a sub pool: an interpreter", "python.sub_pool_mb",
         "floor.interpreter_mb", None),
    Goal(FLOOR, "recovery: an interpreter's start", "python.recover_s", "floor.interpreter_s",
         None),
    Goal(C, "round trip in a pool, p50: Erlang", "pool.c_pool_call_us.p50",
         "erlang.erlang_call_us.p50", 1),
    Goal(C, "round trip in a pool, p50: CAF", "pool.c_pool_call_us.p50", "caf.caf_call_us.p50", 1),
    Goal(C, "one way in a pool: Erlang", "pool.c_pool_tells_per_s", "erlang.erlang_tells_per_s", 2),
    Goal(C, "one way in a pool: CAF", "pool.c_pool_tells_per_s", "caf.caf_tells_per_s", None),
    Goal(C, "calls in a pool, 64 at a time: Erlang", "pool.c_pool_calls_per_s",
         "erlang.erlang_calls_per_s", 2),
    Goal(C, "the same: Erlang, each answer matched to its call", "pool.c_pool_calls_per_s",
         "erlang.erlang_matched_calls_per_s", None),
    Goal(C, "round trip, two processes, p50: unix socket", "pool.c_node_call_us.p50",
         "raw.unix_socket_us.p50", 1 / 1.2),
    Goal(C, "the same, each bound to a core: unix socket", "pool.c_bound_call_us.p50",
         "raw.unix_socket_us.p50", 1 / 1.2),
    Goal(C, "round trip, two processes, p50: Erlang", "pool.c_node_call_us.p50",
         "erlang.erlang_far_call_us.p50", None),
    Goal(C, "round trip, two processes, p50: CAF", "pool.c_node_call_us.p50",
         "caf.caf_far_call_us.p50", None),
    Goal(C, "one way, two processes: ZeroMQ ipc", "pool.c_node_tells_per_s",
         "raw.zmq_ipc_one_way_per_s", 0.8),
    Goal(C, "one way, two processes, messages a second", "pool.c_node_tells_per_s", None, 2e6),
    Goal(C, "64 MiB between processes: memcpy", "pool.c_node_64mib_gib_s", "raw.memcpy_64mib_gib_s",
         0.9),
    Goal(C, "64 MiB between processes: Erlang", "pool.c_node_64mib_gib_s",
         "erlang.erlang_far_64mib_gib_s", None),
    Goal(C, "round trip, tcp, encrypted, p50: ZeroMQ tcp", "pool.c_tcp_call_us.p50",
         "raw.zmq_tcp_us.p50", 1 / 1.2),
    Goal(C, "one way, tcp, encrypted: ZeroMQ tcp", "pool.c_tcp_tells_per_s",
         "raw.zmq_tcp_one_way_per_s", 0.5),
    Goal(C, "round trip, tcp, encrypted, p50: ZeroMQ with CURVE", "pool.c_tcp_call_us.p50",
         "raw.zmq_curve_us.p50", None),
    Goal(C, "one way, tcp, encrypted: ZeroMQ with CURVE", "pool.c_tcp_tells_per_s",
         "raw.zmq_curve_one_way_per_s", None),
    Goal(C, "64 MiB, tcp, encrypted: ZeroMQ tcp", "pool.c_tcp_64mib_gib_s",
         "raw.zmq_tcp_64mib_gib_s", None),
    Goal(C, "64 MiB, tcp, encrypted: ZeroMQ tcp, in chunks", "bulk.tcp_64mib_gib_s",
         "bulk.zmq_tcp_chunks_gib_s", None),
    Goal(C, "64 MiB, tcp, encrypted: ZeroMQ with CURVE, in chunks", "bulk.tcp_64mib_gib_s",
         "bulk.zmq_curve_chunks_gib_s", None),
    Goal(C, "256 MiB, tcp, encrypted: ZeroMQ with CURVE, in chunks", "bulk.tcp_256mib_gib_s",
         "bulk.zmq_curve_chunks_gib_s", None),
    Goal(C, "64 MiB, tcp, encrypted: libsodium on one core", "bulk.tcp_64mib_gib_s",
         "floor.sealed_gib_s", None),
    Goal(C, "call beside 1 GiB over tcp, p99: the same call alone", "bulk.tcp_bulk_call_us.p99",
         "bulk.tcp_idle_call_us.p99", 1 / 3),
    Goal(C, "the same: raw ZeroMQ with CURVE, beside chunks", "bulk.tcp_bulk_call_us.p99",
         "bulk.zmq_curve_bulk_call_us.p99", None),
    Goal(C, "call over tcp, alone, p99: raw ZeroMQ with CURVE", "bulk.tcp_idle_call_us.p99",
         "bulk.zmq_curve_idle_call_us.p99", None),
    Goal(C, "call to any of 100 k actors, p99.9: to any of 1 k",
         "scale.actors_call_any_us@100000.p999", "scale.actors_call_any_us@1000.p999", None),
    Goal(C, "call to any of 1 M actors, p99.9: to any of 1 k",
         "scale.actors_call_any_us@1000000.p999", "scale.actors_call_any_us@1000.p999", None),
    Goal(C, "memory of an actor, bytes", "pool.c_pool_actor_bytes", None, 300),
    Goal(C, "the same, of a million in one process", "scale.actors_bytes@1000000", None, 300),
    Goal(C, "round trip through a broker, p50: direct", "relay.relay_call_us.p50",
         "relay.direct_call_us.p50", 1 / 2),
    Goal(C, "the same, all on one core: direct", "relay.core_relay_call_us.p50",
         "relay.core_direct_call_us.p50", 1 / 2),
    Goal(C, "round trip through a broker, p50: unix sockets and a third process",
         "relay.relay_call_us.p50", "chain.chain_three_us.p50", None),
    Goal(C, "the same, all on one core: unix sockets", "relay.core_relay_call_us.p50",
         "chain.chain_three_one_core_us.p50", None),
    Goal(C, "through a broker, messages a second", "relay.relay_messages_per_s", None, 3e5),
    Goal(SUPERVISION, "killed C pool, until its actor answers", "supervision.c_recover_s", None,
         0.05),
    Goal(SUPERVISION, "killed C pool, until its 1000 actors answer",
         "supervision.c_recover_1000_s", None, 1),
    Goal(SUPERVISION, "killed sub pool in Python, until its 1000 actors answer",
         "supervision.python_recover_1000_s", None, 1),
    Goal(SUPERVISION, "100 idle C pools and their broker, of a core",
         "supervision.idle_pools_percent", None, 1),
    Goal(SUPERVISION, "the same, with a Redis of their own",
         "supervision.idle_pools_redis_percent", None, 1),
    Goal(SUPERVISION, "100 idle sub pools in Python and their broker, of a core",
         "supervision.idle_python_pools_percent", None, 1),
]


def look_up(figures, path):
    """The number at a path, or None."""
    value = figures
    for part in (path or "").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def more_is_better(name):
    return name.endswith("_per_s") or name.endswith("_gib_s")


def better_by(name, ours, other):
    """How many times better `ours` is than `other`; None where one is not known."""
    if not ours or not other:
        return None
    return ours / other if more_is_better(name) else other / ours


def judge(figures):
    """Each goal with what came out, as dicts for the JSON file. `reached`: None if not known, or if
    there is no goal."""
    judged = []
    for goal in GOALS:
        ours, other = look_up(figures, goal.ours), look_up(figures, goal.other)
        name = goal.ours.split(".")[1].partition("@")[0]
        against = other if goal.other else goal.goal
        ratio = better_by(name, ours, against)
        needed = goal.goal if goal.other else 1
        known = ratio is not None and goal.goal is not None
        judged.append({"table": goal.table, "figure": goal.figure, "name": name, "ours": ours,
                       "other": other, "compared": goal.other is not None, "ratio": ratio,
                       "goal": goal.goal,
                       "reached": ratio >= needed if known else None})
    return judged
