"""Figures as text, side by side."""

from goals import better_by


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10000 else f"{value:.3g}" if value < 100 else f"{value:.4g}"


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


TITLES = (("python", "PYTHON"), ("pool", "C"), ("lane", "LANES"), ("relay", "BROKER"),
          ("micro", "CODEC"), ("raw", "RAW"), ("floor", "PYTHON'S FLOOR"), ("erlang", "ERLANG"),
          ("caf", "CAF"))


def print_figures(figures):
    for group, title in TITLES:
        if figures.get(group):
            print_group(title, figures[group], figures.get("peer") if group == "python" else None)


def print_curves(curves):
    """One table for each prefix: pools, actors, ..."""
    families = {}
    for name, points in curves.items():
        families.setdefault(name.split("_")[0], {})[name] = dict(points)
    for family, columns in families.items():
        at = sorted({x for points in columns.values() for x in points})
        rows = [[f"{x:,}"] + [number(points.get(x)) for points in columns.values()] for x in at]
        names = [name[len(family) + 1:] for name in columns]
        print_rows([family.upper()] + names, rows)


def print_goals(judged):
    for table in dict.fromkeys(row["table"] for row in judged):
        rows = []
        for row in judged:
            if row["table"] != table:
                continue
            absolute = row["other"] is None and row["goal"] and row["goal"] > 100
            goal = "" if row["goal"] is None else number(row["goal"])
            goal += "" if absolute or not goal else "x"
            reached = {True: "yes", False: "NO", None: ""}[row["reached"]]
            rows.append([row["figure"], number(row["ours"]), number(row["other"]),
                         ratio_text(row["ratio"]), goal, reached])
        print_rows([table, "xo", "other", "better by", "goal", "reached"], rows)
