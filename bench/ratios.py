"""A few costs as ratios that hardly depend on the machine and its load, for a test.

bench/baseline.json has what they were; a change that makes one much worse is noticed.

Each kind of operation of bench/count.c and bench/count.py is held against a floor that is measured
in the same process: in instructions, counted by valgrind's callgrind, and, where that is stable
enough, in the time of its best round. (doc/performance.md, "What a test watches".)
"""

import json
import os
import platform
import subprocess
import sys

from scratch import scratch

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "baseline.json")
WORSE_AT_MOST = 1.3
ROUNDS = 40
TRIES = 3  # of times that look worse, since others may have had the cores in all rounds of one

FLOORS = {
    "pool_call": "floor_zmq",
    "pool_calls": "floor_zmq",
    "pool_tell": "floor_zmq",
    "pool_create": "floor_zmq",
    "shm_call": "floor_zmq",
    "shm_calls": "floor_zmq",
    "shm_tell": "floor_zmq",
    "shm_bulk": "floor_memcpy",
    "python_call": "floor_futures",
    "python_gather": "floor_futures",
    "python_tell": "floor_futures",
    "python_batch": "floor_futures",
    "python_create": "floor_futures",
}
# Of whose best times the ratio is stable, too.
TIMED = ("pool_call", "pool_calls", "pool_tell", "pool_create", "shm_tell", "python_gather",
         "python_tell", "python_batch")


def _run(command, place):
    env = dict(os.environ, XO_RUN_DIR=os.path.join(place, "run"), PYTHONHASHSEED="0",
               XO_CONFIG_DIR=os.path.join(place, "config"))
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def _instructions(command, place):
    """{kind: instructions of one operation}: each kind is between two of callgrind's marks."""
    out = os.path.join(place, "callgrind")
    marks = ["valgrind", "-q", "--tool=callgrind", "--dump-before=getloadavg",
             f"--callgrind-out-file={out}"]
    counts = _run(marks + command, place)
    counts.pop("cpus", None)
    return {kind: _summary(f"{out}.{2 * i + 2}") / count
            for i, (kind, count) in enumerate(counts.items())}


def _summary(path):
    with open(path) as file:
        for line in file:
            if line.startswith("summary:"):
                return int(line.split()[1])
    sys.exit(f"bench: {path} has no summary")


def _ratios(figures, kinds):
    return {kind: round(figures[kind] / figures[FLOORS[kind]], 3)
            for kind in kinds if kind in figures}


def measure(build, baseline=None):
    """{"instructions": {kind: ratio}, "times": {kind: ratio}, ...}. Times that are too much worse
    than those of `baseline` are measured again."""
    program = os.path.join(build, "bench", "count")
    behind = os.path.join(build, "bench", ".libs", "count")  # what libtool's script starts
    commands = [[behind if os.path.exists(behind) else program],
                [os.environ.get("PYTHON") or sys.executable, os.path.join(HERE, "count.py")]]
    instructions, times = {}, {}
    now = {"python": ".".join(platform.python_version_tuple()[:2])}
    with scratch() as place:
        for command in commands:
            instructions.update(_instructions(command + ["once"], place))
        now["instructions"] = _ratios(instructions, FLOORS)
        for _ in range(TRIES):
            for command in commands:
                for kind, best in _run(command + [str(ROUNDS)], place).items():
                    times[kind] = min(best, times.get(kind, best))
            now["times"] = _ratios(times, TIMED)
            if not baseline or not any(worse for figure, _, _, worse in compare(now, baseline)
                                       if figure.startswith("times")):
                break
    return now


def compare(now, baseline):
    """(figure, was, is, whether it is too much worse); `is` None: cannot be compared."""
    for what in ("instructions", "times"):
        for kind, was in baseline[what].items():
            if kind.startswith("python") and now["python"] != baseline["python"]:
                yield f"{what} of {kind}", was, None, False
                continue
            yield f"{what} of {kind}", was, now[what][kind], now[what][kind] > WORSE_AT_MOST * was


def load_baseline():
    with open(BASELINE) as file:
        return json.load(file)


def save_baseline(now):
    with open(BASELINE, "w") as file:
        json.dump(now, file, indent=1)
        file.write("\n")
