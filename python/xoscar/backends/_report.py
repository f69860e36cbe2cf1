"""Why a sub pool did not start: what its process raised, for who wanted it.

A process that fails before it is ready has no link to anybody. It leaves its exception in a file of
the node's directory, which goes with the node.
"""
from __future__ import annotations

import os

_prefix = "start-"


def report_path(endpoint: str) -> str:
    """A path of which nothing is there yet, in the directory of the broker at this endpoint."""
    import secrets

    directory = os.path.dirname(endpoint.partition("://")[2])
    return os.path.join(directory, _prefix + secrets.token_hex(8))


def write_report(path: str, exception: BaseException) -> None:
    """In the sub pool: says why it ends."""
    import json

    from .._failure import describe

    message, kind, traceback, pickled = describe(exception)
    fields = {
        "code": "MethodError",
        "message": message,
        "type": kind,
        "traceback": traceback,
        "exception": pickled.hex(),
        "address": os.environ.get("XO_POOL_ADDRESS", ""),
        "pid": os.getpid(),
    }
    with open(path + ".new", "w") as file:
        json.dump(fields, file)
    os.rename(path + ".new", path)


def read_report(path: str) -> BaseException | None:
    """In who started it: the exception, as its own type; None if there is no report."""
    import json

    from .._failure import failure

    try:
        with open(path) as file:
            fields = json.load(file)
        os.unlink(path)
    except OSError:
        return None
    fields["exception"] = bytes.fromhex(fields["exception"])
    return failure(fields)
