"""Small helpers that applications of xoscar import: ports, addresses, modules loaded late."""
from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from typing import Any, Optional

_TRIES = 1000  # to find a port that was not given before

_given_ports = set()


# ---- the machine ----


def is_linux() -> bool:
    """Ask whether this is Linux.

    Returns
    -------
    bool
    """
    return sys.platform.startswith("linux")


def is_windows() -> bool:
    """Ask whether this is Windows.

    Returns
    -------
    bool
    """
    return sys.platform.startswith("win")


def get_next_port(typ: Optional[int] = None, occupy: bool = True) -> int:
    """Find a port on which nobody listens.

    Nothing is reserved: somebody else may take the port before you do. Pools with port 0 find one
    themselves.

    Parameters
    ----------
    typ : int, optional
        ``socket.SOCK_STREAM``, the default, or ``socket.SOCK_DGRAM``.
    occupy : bool
        Remember the port, so that later calls in this process give others.

    Returns
    -------
    int
        The port's number.

    Raises
    ------
    OSError
        If there is no such port.
    """
    import errno
    import socket

    for _ in range(_TRIES):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if typ is None else typ) as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        if port not in _given_ports:
            if occupy:
                _given_ports.add(port)
            return port
    raise OSError(errno.EADDRINUSE, "no free port found")


# ---- addresses ----


def _is_ip(family, host):
    import socket

    try:
        socket.inet_pton(family, host)
    except (OSError, UnicodeError, ValueError):
        return False
    return True


def _is_v6(host):
    import socket

    return _is_ip(socket.AF_INET6, host)


def _split(address):
    """(host without brackets, host as it is written, ":port" or "")"""
    host, colon, port = address.rpartition(":")
    has_port = port.isdigit() and (":" not in host or host.startswith("[") or _is_v6(host))
    if not has_port:
        host, colon, port = address, "", ""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return bare, host, colon + port


def is_v6_ip(ip_port_addr: str) -> bool:
    """Ask whether the host of an address is an IPv6 address.

    Parameters
    ----------
    ip_port_addr : str
        "host:port", "[v6]:port", "v6:port" or a host alone.

    Returns
    -------
    bool
    """
    return _is_v6(_split(ip_port_addr)[0])


def is_zero_ip(ip_port_addr: str) -> bool:
    """Ask whether the host of an address stands for all interfaces: 0.0.0.0 or ``::``.

    Parameters
    ----------
    ip_port_addr : str
        "host:port", "[v6]:port", "v6:port" or a host alone.

    Returns
    -------
    bool
    """
    import socket

    host = _split(ip_port_addr)[0]
    if _is_ip(socket.AF_INET, host):
        return not any(socket.inet_pton(socket.AF_INET, host))
    return _is_v6(host) and not any(socket.inet_pton(socket.AF_INET6, host))


def fix_all_zero_ip(remote_addr: str, connect_addr: str) -> str:
    """Make an address that can be connected to of one that stands for all interfaces.

    Parameters
    ----------
    remote_addr : str
        What a server says of itself, perhaps "0.0.0.0:port".
    connect_addr : str
        The address at which that server was reached.

    Returns
    -------
    str
        The host of ``connect_addr`` with the port of ``remote_addr``; ``remote_addr`` itself if it
        names a host.
    """
    if remote_addr == connect_addr or not is_zero_ip(remote_addr) or is_zero_ip(connect_addr):
        return remote_addr
    return _split(connect_addr)[1] + _split(remote_addr)[2]


# ---- modules ----


class ModulePlaceholder:
    """Stands for a module that is not installed: using it is an AttributeError that says so.

    Parameters
    ----------
    mod_name : str
        The module's name.
    """

    def __init__(self, mod_name: str):
        self._mod_name = mod_name

    def _raise(self):
        raise AttributeError(f"{self._mod_name} is required but not installed.")

    def __getattr__(self, key: str) -> Any:
        self._raise()

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        self._raise()


class _LazyModule:
    """Stands for a module until it is first used, and in ``spaces`` gives way to it then."""

    def __init__(self, name, package, spaces, key):
        self.__dict__.update(_name=name, _package=package, _spaces=spaces, _key=key)

    def _load(self):
        import importlib

        module = importlib.import_module(self._name, self._package)
        for space in self._spaces:
            if space.get(self._key, self) is self:
                space[self._key] = module
        return module

    def __getattr__(self, name):
        return getattr(self._load(), name)

    def __setattr__(self, name, value):
        setattr(self._load(), name, value)

    def __repr__(self):
        return f"<module {self._name!r}, loaded when it is used>"


def _is_installed(name, package):
    from importlib.util import find_spec

    try:
        return find_spec(name, package) is not None
    except (ImportError, ValueError):
        return name in sys.modules


def lazy_import(
    name: str,
    package: Optional[str] = None,
    globals: Optional[dict] = None,
    locals: Optional[dict] = None,
    rename: Optional[str] = None,
    placeholder: bool = False,
) -> Any:
    """Get a module that is imported when it is first used.

    Parameters
    ----------
    name : str
        The module, as for ``importlib.import_module``.
    package : str, optional
        What a relative name is relative to.
    globals, locals : dict, optional
        Name spaces in which the module itself takes the place of what this returned, once it is
        loaded.
    rename : str, optional
        The name there; by default the first part of ``name``.
    placeholder : bool
        Return something that says what is missing when it is used, instead of None.

    Returns
    -------
    object
        The module or what stands for it; None if it is not installed.
    """
    if not _is_installed(name, package):
        return ModulePlaceholder(name) if placeholder else None
    key = rename or name.lstrip(".").split(".", 1)[0]
    spaces = [space for space in (globals, locals) if space is not None]
    return _LazyModule(name, package, spaces, key)


__all__ = [
    "fix_all_zero_ip",
    "get_next_port",
    "is_linux",
    "is_v6_ip",
    "is_windows",
    "is_zero_ip",
    "lazy_import",
]
