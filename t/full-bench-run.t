#!/bin/bash
# `make bench` measures, prints tables and writes its file; a failing program is said, and costs the
# others nothing; histograms of C and of Python are the same.
. "$XO_SRCDIR/t/tap/full.sh"
run_bench() { "$PYTHON" "$XO_SRCDIR/bench/run" --quick --json "$work/json" "$@"; }

tables_are_printed() {
    run_bench --only lane,micro,floor >"$work/tables" || return 1
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

try "the programs build" make -s -C "$XO_BUILDDIR" V=0 bench/lane bench/micro || finish
try "tables are printed" tables_are_printed
try "the file holds figures" file_holds_figures
try "histograms of C and of Python agree" histograms_agree
try "dead runs are cleared away" dead_runs_are_cleared_away
try "a program that takes too long is said" a_failure_is_said
finish
