"""Ends connections between two processes that both live."""
import contextlib
import ctypes
import os
import socket

PIDFD_GETFD = 438  # the number is the same on all machines

LIBC = ctypes.CDLL(None, use_errno=True)


class _Connections:
    """Copies of a process's sockets that are connected to another one's."""

    def __init__(self, sockets):
        self.sockets = sockets
        self.count = len(sockets)

    def shut(self, share):
        """Ends one of them, for both sides. Its name."""
        if not self.sockets:
            return "it has none"
        one = self.sockets[int(share * self.count)]
        name = one.getsockname() or one.getpeername()
        one.shutdown(socket.SHUT_RDWR)
        return name

    def shut_all(self):
        """All of them, as far as nobody has ended them by then."""
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self):
        """The copies."""
        for one in self.sockets:
            one.close()


def connections(pid, pidfd):
    """Of this process."""
    found = []
    try:
        names = sorted(os.listdir(f"/proc/{pid}/fd"), key=int)
    except OSError:
        names = []
    for name in names:
        copy = LIBC.syscall(PIDFD_GETFD, pidfd, int(name), 0)
        if copy < 0:
            continue
        try:
            one = socket.socket(fileno=copy)
        except OSError:  # no socket
            os.close(copy)
            continue
        if _is_lane(one):
            found.append(one)
        else:
            one.close()
    return _Connections(found)


def _is_lane(one):
    """Connected, and no pair within a process, of which neither end has a name."""
    if one.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        return False
    try:
        return bool(one.getpeername()) or bool(one.getsockname())
    except OSError:  # it listens
        return False
