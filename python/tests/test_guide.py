"""The programs of doc/python.md, run as a reader would: each prints what its comments say."""

import os
import re
import subprocess
import sys

import pytest

import xoscar as xo

ROOT = os.environ.get("XO_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
GUIDE = os.path.join(ROOT, "doc", "python.md")


def programs():
    """(name, text) of each fenced block of Python, named after the heading above it."""
    with open(GUIDE, encoding="utf-8") as file:
        text = file.read()
    heading, block = "", None
    for line in text.splitlines():
        if line == "```" and block is not None:
            yield pytest.param("\n".join(block) + "\n", id=heading)
            block = None
        elif block is not None:
            block.append(line)
        elif line == "```python":
            block = []
        elif line.startswith("## "):
            heading = line[3:].replace(" ", "-")


def promised(program):
    """The comments behind calls of print, and those that stand alone after a loop."""
    lines = []
    for line in program.splitlines():
        found = re.match(r" +print\(.*\) +# (.*)$", line) or re.match(r" {8}# (\S+)$", line)
        if found:
            lines.append(found[1])
    return lines


@pytest.mark.parametrize("program", list(programs()))
def test_a_program_prints_what_it_promises(program, tmp_path):
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-X", "dev", "-W", "error", "program.py"]
    ran = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == promised(program), ran.stderr


def test_the_guide_names_what_the_package_has():
    with open(GUIDE, encoding="utf-8") as file:
        names = set(re.findall(r"\bxo\.([A-Za-z_]+)", file.read()))
    assert names - set(dir(xo)) == set()
