"""Figures as text, side by side."""

from goals import better_by


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10000 else f"{value:.3g}" if value < 100 else f"{value:.4g}"


SCALES = {"_us": ((1e6, "s"), (1e3, "ms"), (1, "µs"), (1e-3, "ns")),
          "_per_s": ((1e6, "M/s"), (1e3, "k/s"), (1, "/s")), "_gib_s": ((1, "GiB/s"),),
          "_s": ((1, "s"), (1e-3, "ms")), "_mb": ((1, "MB"),), "_bytes": ((1, "B"),),
          "_percent": ((1, "%"),)}


def with_unit(name, value):
    """A figure for people; the end of its name says in what it is."""
    if value is None:
        return "-"
    steps = next(steps for end, steps in SCALES.items() if name.endswith(end))
    scale, unit = next((step for step in steps if value >= step[0]), steps[-1])
    return f"{number(value / scale)} {unit}"


def ratio_text(value):
    return "-" if value is None else f"{number(value)}x"


def print_rows(title, rows):
    widths = [max(len(row[i]) for row in [title] + rows) for i in range(len(title))]
    for row in [title] + rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join([row[0].ljust(widths[0])] + cells).rstrip())
    print()


def flat(group):
    """Names and numbers, a histogram's percentiles each with a name of its own."""
    for name, value in group.items():
        if isinstance(value, dict):
            base = name[: -len("_us")]
            yield from ((f"{base}_{part}_us", value[part]) for part in ("p50", "p99", "p999"))
        elif isinstance(value, (int, float)) and name != "cpus":
            yield name, value


def print_group(title, ours, peer):
    theirs = dict(flat(peer or {}))
    rows = []
    for name, value in flat(ours):
        row = [name, number(value)]
        if peer:
            row += [number(theirs.get(name)), ratio_text(better_by(name, value, theirs.get(name)))]
        rows.append(row)
    print_rows([title, "xo"] + (["xoscar", "better by"] if peer else []), rows)


TITLES = (("python", "PYTHON"), ("pool", "C"), ("lane", "LANES"), ("bulk", "BULK"),
          ("relay", "BROKER"), ("supervision", "SUPERVISION"), ("micro", "CODEC"), ("raw", "RAW"),
          ("chain", "WAKE-UPS"), ("floor", "PYTHON'S FLOOR"), ("erlang", "ERLANG"), ("caf", "CAF"))


def print_figures(figures):
    for group, title in TITLES:
        if figures.get(group):
            print_group(title, figures[group], figures.get("peer") if group == "python" else None)


def curve_families(curves):
    """(prefix, names, their points {x: y}) for each prefix: pools, actors, ..."""
    families = {}
    for name, points in curves.items():
        family, _, rest = name.partition("_")
        families.setdefault(family, {})[rest] = dict(points)
    for family, columns in families.items():
        yield family, list(columns), list(columns.values())


def print_curves(curves):
    for family, names, points in curve_families(curves):
        at = sorted({x for one in points for x in one})
        rows = [[f"{x:,}"] + [number(one.get(x)) for one in points] for x in at]
        print_rows([family.upper()] + names, rows)


def goal_rows(judged, table):
    """figure, ours, the other's, by how much ours is better, the goal, whether it is reached"""
    for row in judged:
        if row["table"] == table:
            name, goal = row["name"], row["goal"]
            wanted = "" if goal is None else ratio_text(goal) if row["compared"] else \
                with_unit(name, goal)
            yield [row["figure"], with_unit(name, row["ours"]), with_unit(name, row["other"]),
                   ratio_text(row["ratio"]), wanted,
                   {True: "yes", False: "NO", None: ""}[row["reached"]]]


def print_goals(judged):
    for table in dict.fromkeys(row["table"] for row in judged):
        print_rows([table, "xo", "other", "better by", "goal", "reached"],
                   list(goal_rows(judged, table)))
