"""A process that waits to become a sub pool's: the broker has it in store for the next one that it
has to start (broker/spare.c)."""
import os

_FD = 0  # standard input: where the broker says what pool it is, or ends
# What a pool needs sooner or later, where it is installed: what is defined in __main__ goes by it.
_MODULES = ("cloudpickle", "xoscar._pickle", "xoscar._glue")


def _import_ahead():
    import importlib

    for name in _MODULES:
        try:
            importlib.import_module(name)
        except Exception:  # who needs it is told
            pass


def _read_all():
    parts = []
    while True:
        part = os.read(_FD, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def wait():
    """Returns when this process is a pool's, with what the broker says of it in os.environ."""
    _import_ahead()
    told = _read_all()
    if not told:
        os._exit(0)  # nobody needs it any more
    for entry in told.split(b"\0")[:-1]:
        name, _, value = entry.partition(b"=")
        os.environb[name] = value
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, _FD)
    os.close(null)
