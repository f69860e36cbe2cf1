"""Folders for sockets, keys and output, which go when the run that made them has ended, however.

Each is locked by its run, and the kernel unlocks it when that dies; the next run removes what
nobody has locked. bench/out.c does the same for the programs in C.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
import time

PREFIX = "xo-bench."
YOUNG_S = 60  # it may not be locked yet


def _lock(path):
    """A descriptor, or None: somebody uses it, or it is not ours."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        info = os.fstat(fd)
        if info.st_uid == os.geteuid() and time.time() - info.st_ctime >= YOUNG_S:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def sweep():
    """Remove what dead runs left."""
    for path in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), PREFIX + "*")):
        fd = _lock(path)
        if fd is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(fd)


@contextlib.contextmanager
def scratch():
    """A folder for this run."""
    sweep()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as place:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield place
        finally:
            os.close(fd)
