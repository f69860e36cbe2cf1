#!/usr/bin/env python3
"""Draw what t/sim prints for several numbers of nodes, as doc/scale.svg.

Reads the tables of `t/sim --nodes N ...`, one after the other, from the file that is named. Needs
matplotlib.
"""

import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = [
    ("links", "ends of links", 2),
    ("heartbeats", "heartbeats a second", 5),
    ("commands", "commands to Redis a second", 6),
    ("received", "bytes from Redis a second", 8),
]
PHASES = {
    "idle": "#999999",
    "pairs talk": "#1f6fb4",
    "actors come and go": "#c0504d",
    "a node dies": "#3a8a3a",
}


def read(path):
    """{phase: {nodes: [cells of its row]}}"""
    rows = {}
    with open(path) as lines:
        for line in lines:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) > 8 and cells[0].isdigit():
                rows.setdefault(cells[1], {})[int(cells[0])] = cells
    return rows


def draw(rows, before, path):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "xo"
    figure, axes = pyplot.subplots(1, len(COLUMNS), figsize=(4 * len(COLUMNS), 3.4))
    for axis, (_, title, column) in zip(axes, COLUMNS):
        for phase, colour in PHASES.items():
            for source, style in ((rows, "-"), (before, ":")):
                points = sorted(source.get(phase, {}).items())
                if points:
                    axis.plot(
                        [nodes for nodes, _ in points],
                        [float(cells[column]) for _, cells in points],
                        style,
                        marker="o",
                        markersize=3,
                        color=colour,
                        label=phase if style == "-" else None,
                    )
        axis.set_title(title + ", of a node", fontsize=9)
        axis.set_xlabel("nodes")
        axis.set_xscale("log", base=2)
        axis.set_ylim(bottom=0)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", help="what t/sim printed")
    parser.add_argument("--before", help="the same, to be drawn dotted")
    parser.add_argument("--out", default=os.path.join(HERE, "..", "doc", "scale.svg"))
    options = parser.parse_args()
    rows = read(options.tables)
    if not rows:
        sys.exit("%s has no table of t/sim" % options.tables)
    draw(rows, read(options.before) if options.before else {}, options.out)


if __name__ == "__main__":
    main()
