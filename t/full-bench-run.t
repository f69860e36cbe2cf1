#!/bin/bash
# `make bench` measures, prints tables and writes its file; a failing program is said, and costs the
# others nothing; histograms of C and of Python are the same. The curves, and the pictures of them.
. "$XO_SRCDIR/t/tap/full.sh"
run_bench() { "$PYTHON" "$XO_SRCDIR/bench/run" --quick --json "$work/json" "$@"; }

tables_are_printed() {
    run_bench --only lane,micro >"$work/tables" || return 1
    cat "$work/tables"
    grep -q '^CODEC ' "$work/tables" && grep -q '^lane_shm_p999_us ' "$work/tables" &&
        grep -q '^64 MiB to a sub pool: memcpy ' "$work/tables"
}

file_holds_figures() {
    "$PYTHON" - "$work/json" <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
lane = result["figures"]["lane"]["lane_shm_us"]
assert 0 < lane["p50"] <= lane["p99"] <= lane["p999"], lane
assert sum(count for _, count in lane["buckets"]) == 20000
assert result["figures"]["micro"]["header_encode_ns"] > 0
assert result["goals"] and result["machine"]["cpus"] > 0
PY
}

# A little of all that the other tests have not run.
all_else_is_measured() {
    local all=bulk,chain,relay,relay_one_core,floor,supervision,pools,actors,clients,sizes,entries
    "$PYTHON" -c 'import xoscar' 2>/dev/null || all=${all/supervision,/}
    run_bench --scale --only $all >"$work/tables" || return 1
    cat "$work/tables"
    "$PYTHON" - "$work/json" <<'PY'
import importlib.util, json, sys
result = json.load(open(sys.argv[1]))
promised = {
    "bulk": """zmq_tcp_64mib_gib_s zmq_tcp_chunks_gib_s zmq_tcp_idle_call_us zmq_tcp_bulk_call_us
        zmq_curve_64mib_gib_s zmq_curve_chunks_gib_s zmq_curve_idle_call_us zmq_curve_bulk_call_us
        tcp_idle_call_us tcp_64mib_gib_s tcp_bulk_call_us""",
    "relay": """direct_call_us direct_calls_per_s direct_messages_per_s relay_call_us
        relay_calls_per_s relay_messages_per_s core_direct_call_us core_relay_call_us""",
    "chain": """chain_two_us chain_three_us chain_two_one_core_us chain_three_one_core_us
        chain_two_per_s chain_three_per_s chain_two_one_core_per_s chain_three_one_core_per_s""",
    "supervision": """c_recover_s c_recover_1000_s python_recover_1000_s idle_pools_percent
        idle_pools_redis_percent idle_python_pools_percent""",
}
if not importlib.util.find_spec("xoscar"):
    del promised["supervision"]
for group, names in promised.items():
    for name in names.split():
        value = result["figures"][group][name]
        assert (value["p50"] if isinstance(value, dict) else value) > 0, (name, value)
points = {
    "pools_calls_per_s": [1, 2, 4],
    "actors_call_any_p50_us": [1, 10, 100, 1000, 10000],
    "actors_call_same_few_p50_us": [1, 10, 100, 1000, 10000],
    "actors_creations_per_s": [1, 10, 100, 1000, 10000],
    "actors_bytes": [10000],
    "clients_calls_per_s": [1, 10],
    "clients_call_p99_us": [1, 10],
    "clients_call_p999_us": [1, 10],
    "sizes_call_gib_s": [8, 64, 512, 4096, 32768],
    "sizes_memcpy_gib_s": [8, 64, 512, 4096, 32768],
    "entries_puts_per_s": [1000],
    "entries_lookup_p50_us": [1000],
    "entries_lookups_per_s": [1000],
}
for name, at in points.items():
    curve = result["curves"][name]
    assert [x for x, _ in curve] == at and min(y for _, y in curve) > 0, (name, curve)
PY
}

# The pictures of what was just measured, and its tables, between their lines of the document.
pictures_are_drawn() {
    mkdir "$work/doc" && cat >"$work/doc/performance.md" <<'MD' || return 1
before
<!-- figures -->
old
<!-- end of figures -->
<!-- curves -->
old
<!-- end of curves -->
after
MD
    MPLCONFIGDIR="$work/matplotlib" "$PYTHON" "$XO_SRCDIR/bench/plot" --out "$work/doc" \
        "$work/json" || return 1
    local name
    for name in latency goals curves; do
        grep -q '</svg>' "$work/doc/performance-$name.svg" || return 1
    done
    grep -q '^| two asyncio loops, unix socket | .* µs' "$work/doc/performance.md" &&
        grep -q '^| through a broker, messages a second | .*/s' "$work/doc/performance.md" &&
        grep -q '^| 1 k | .* µs' "$work/doc/performance.md" &&
        [ "$(grep -c -e '^before$' -e '^after$' "$work/doc/performance.md")" -eq 2 ] &&
        ! grep -q '^old$' "$work/doc/performance.md"
}

# What a C program prints as percentiles is what Python reads from its buckets.
histograms_agree() {
    "$XO_BUILDDIR/bench/lane" shm >"$work/lane" || return 1
    PYTHONPATH=$XO_SRCDIR/bench "$PYTHON" - "$work/lane" <<'PY'
import json, sys
from hist import Hist, bucket_ns, bucket_of
printed = json.load(open(sys.argv[1]))["lane_shm_us"]
read = Hist(printed["buckets"]).figures()
assert read == {**printed, "buckets": read["buckets"]}, (read, printed)
for ns in [0, 1, 255, 256, 257, 1000, 65535, 10**6, 10**9, 2**40 - 1]:
    assert abs(bucket_ns(bucket_of(ns)) - ns) <= max(0.5, ns * 0.008), ns
PY
}

a_failure_is_said() {
    run_bench --only lane,micro --limit 0 >"$work/tables" 2>"$work/errors" && return 1
    cat "$work/errors"
    grep -q 'ran out of time' "$work/errors" && grep -q 'all figures' "$work/tables"
}

a_wrong_name_is_said() {
    run_bench --only lane,nonsense >"$work/tables" 2>"$work/errors" && return 1
    cat "$work/errors"
    grep -q -- '--only nonsense: .*micro' "$work/errors"
}

# What costs 30 % more is worse; what another Python would cost is not known.
costs_are_compared() {
    PYTHONPATH=$XO_SRCDIR/bench "$PYTHON" - <<'PY'
import ratios
was = {"python": "3.11", "instructions": {"pool_call": 1.0, "shm_call": 1.0, "python_call": 1.0},
       "times": {"pool_call": 1.0}}
now = {**was, "instructions": {"pool_call": 1.29, "shm_call": 1.31, "python_call": 1.31}}
verdicts = lambda now: [(figure, worse) for figure, _, value, worse in ratios.compare(now, was)
                        if value is not None]
same = [("instructions of pool_call", False), ("instructions of shm_call", True)]
time = [("times of pool_call", False)]
assert verdicts(now) == same + [("instructions of python_call", True)] + time, verdicts(now)
assert verdicts({**now, "python": "3.12"}) == same + time, verdicts({**now, "python": "3.12"})
assert len(list(ratios.compare({**now, "python": "3.12"}, was))) == 4
PY
}

# A folder that nobody has locked is a dead run's.
dead_runs_are_cleared_away() {
    mkdir -p "$work/tmp/xo-bench.dead/run" "$work/tmp/xo-bench.alive" || return 1
    TMPDIR="$work/tmp" PYTHONPATH=$XO_SRCDIR/bench "$PYTHON" - <<'PY'
import fcntl, os, tempfile
import scratch
names = lambda: sorted(os.listdir(tempfile.gettempdir()))
fd = os.open(os.path.join(tempfile.gettempdir(), "xo-bench.alive"), os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
with scratch.scratch() as place:
    assert len(names()) == 3, names()  # too young
    scratch.YOUNG_S = 0
    scratch.sweep()
    assert names() == sorted(["xo-bench.alive", os.path.basename(place)]), names()
assert names() == ["xo-bench.alive"], names()
PY
}

try "the programs build" make -s -C "$XO_BUILDDIR" V=0 bench/bulk bench/chain bench/entries \
    bench/lane bench/micro bench/relay bench/scale || finish
try "tables are printed" tables_are_printed
try "the file holds figures" file_holds_figures
if try "curves, bulk data and the broker are measured" all_else_is_measured; then
    if "$PYTHON" -c 'import matplotlib' 2>/dev/null; then
        try "pictures are drawn" pictures_are_drawn
    else
        skip "pictures are drawn" "there is no matplotlib"
    fi
fi
try "histograms of C and of Python agree" histograms_agree
try "dead runs are cleared away" dead_runs_are_cleared_away
try "a program that takes too long is said" a_failure_is_said
try "a name that is none is said" a_wrong_name_is_said
try "what costs much more is worse" costs_are_compared
finish
