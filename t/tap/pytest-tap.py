"""Runs files of pytest tests and reports them as TAP: pytest-tap.py FILE... [pytest options]."""

import io
import sys

try:
    import pytest
except ImportError:
    print("1..0 # SKIP pytest is not installed for " + sys.executable)
    sys.exit(0)


class TapReporter:
    """A pytest plugin that writes one TAP line for each test as it ends."""

    def __init__(self, out):
        self.out = out
        self.count = 0

    def line(self, ok, name, directive=""):
        self.count += 1
        print(f"{'ok' if ok else 'not ok'} {self.count} - {name}{directive}",
              file=self.out, flush=True)

    def details(self, text):
        for line in str(text).splitlines():
            print("# " + line, file=self.out)
        self.out.flush()

    def skip(self, report, name):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        self.line(True, name, f" # SKIP {why}".replace("\n", " "))

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.replace("#", "_")
        if report.skipped:
            self.skip(report, name)
        elif report.failed:
            self.line(False, name if report.when == "call" else f"{name} ({report.when})")
            self.details(report.longreprtext)
            for title, text in report.sections:
                self.details(f"{title}\n{text}")
        elif report.when == "call":
            self.line(True, name)

    def pytest_collectreport(self, report):
        if report.skipped:
            self.skip(report, report.nodeid)
        if report.failed:
            self.line(False, f"{report.nodeid} (collection)")
            self.details(report.longreprtext)


def main(arguments):
    tap = TapReporter(sys.stdout)
    # pytest's own report goes nowhere: standard output is TAP's.
    sys.stdout = io.StringIO()
    # Coroutine tests are conftest.py's; pytest-asyncio is what some tests run, not what runs them.
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:asyncio", "--capture=sys"]
    try:
        status = pytest.main([*options, *arguments], plugins=[tap])
    finally:
        sys.stdout = sys.__stdout__
    print(f"1..{tap.count}", flush=True)
    return 0 if status in (0, 1) and tap.count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
