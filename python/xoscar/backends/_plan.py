"""The arguments of create_actor_pool, checked before anything starts."""
from __future__ import annotations

import os

import _xo

from .._shown import shown
from ..core import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping

_PORT_MAX = 65535
_LABEL_MAX = 63  # bytes (libxo/endpoint.h)
_GPU_MASK = "CUDA_VISIBLE_DEVICES"
_EXTRA = ("listen_elastic_ip",)


# ---- addresses ----


def split_address(address: str) -> tuple[str, int | None]:
    """(host, port or None) of "host", "host:port", "v6", "[v6]", "[v6]:port"; ValueError."""
    if not isinstance(address, str):
        raise TypeError(f'an address is a str, "host:port" or "host", not {shown(address)}')
    host, port = _xo.parse_address(address)
    return host, None if address in (host, f"[{host}]") else port


def join_address(host: str, port: int | None) -> str:
    """What split_address takes apart; without a port, any."""
    return f"[{host}]:{port or 0}" if ":" in host else f"{host}:{port or 0}"


# ---- what each pool gets ----


def _as_list(what, given, expected):
    """The entries of an argument that has one for each pool; None: a list of Nones."""
    if given is None:
        return [None] * expected
    if isinstance(given, (str, bytes, dict)) or not hasattr(given, "__len__"):
        raise TypeError(f"{what} is a list with one entry for each pool, not {shown(given)}")
    if len(given) != expected:
        raise ValueError(f"{what} needs {expected} entries, one for each pool, not {len(given)}")
    return list(given)


def _check_each(what, entries, types, wanted):
    for entry in entries:
        if entry is not None and not isinstance(entry, types):
            raise TypeError(f"{what} holds {wanted}, or None, not {shown(entry)}")
    return entries


def check_label(label: str | None) -> str | None:
    """The label; TypeError, ValueError."""
    _check_each("labels", [label], str, "strings")
    if label is not None and len(label.encode()) > _LABEL_MAX:
        raise ValueError(f"the label {shown(label)} is longer than {_LABEL_MAX} bytes")
    return label


def _check_ports(ports):
    _check_each("ports", ports, int, "numbers")
    for port in ports:
        if port is not None and not 0 <= port <= _PORT_MAX:
            raise ValueError(f"a port is a number from 0 to {_PORT_MAX}, not {port}")
    fixed = [port for port in ports if port]
    for port in fixed:
        if fixed.count(port) > 1:
            raise ValueError(f"port {port} is given to more than one pool")
    return ports


def compose_env(env: Mapping | None) -> dict[str, str]:
    """A sub pool's environment. A GPU mask counts within this process's own mask, unless it is that
    very mask, as in a copy of os.environ."""
    from collections.abc import Mapping

    if env is not None and not isinstance(env, Mapping):
        raise TypeError(f"envs holds dicts of environment variables, or None, not {shown(env)}")
    env = {name: str(value) for name, value in (env or {}).items()}
    for name in env:
        if not isinstance(name, str) or not name or "=" in name or "\0" in name + env[name]:
            raise ValueError(f"{name!r} cannot be set as an environment variable")
    inherited = os.environ.get(_GPU_MASK)
    if env.get(_GPU_MASK) and inherited and env[_GPU_MASK] != inherited:
        visible = inherited.split(",")
        env[_GPU_MASK] = ",".join(_compose_device(d, visible) for d in env[_GPU_MASK].split(","))
    return env


def _compose_device(device, visible):
    if not device.strip().isdigit():  # a UUID, or -1
        return device
    if int(device) >= len(visible):
        raise ValueError(f"GPU {device} is not among the {len(visible)} that are visible here")
    return visible[int(device)].strip()


def _check_count(n_process):
    if n_process is None:
        return os.cpu_count() or 1
    if not isinstance(n_process, int) or isinstance(n_process, bool):
        raise TypeError(f"n_process is a number of processes or None, not {shown(n_process)}")
    if n_process < 0:
        raise ValueError(f"n_process is 0 or more, not {n_process}")
    return n_process


class Plan:
    """Which pools are to be started, and where."""

    def __init__(
        self,
        address: str,
        n_process: int | None,
        labels: Iterable | None,
        ports: Iterable | None,
        envs: Iterable | None,
    ):
        count = _check_count(n_process)
        host, port = split_address(address)
        ports = _as_list("ports", ports, count + (port is None))
        if port is not None:
            ports.insert(0, port)
        self.count = count
        self.host = host
        self.addresses = [join_address(host, p) for p in _check_ports(ports)]
        self.labels = [check_label(label) for label in _as_list("labels", labels, count + 1)]
        self.envs = [compose_env(env) for env in _as_list("envs", envs, count)]


# ---- the rest ----


def _warn_unused(what):
    import warnings

    warnings.warn(what, UserWarning, stacklevel=5)  # who called create_actor_pool


def _check_proxies(proxy_conf):
    if proxy_conf is None:
        return
    if not isinstance(proxy_conf, dict):
        raise TypeError(f"proxy_conf maps addresses to their proxies', not {shown(proxy_conf)}")
    for pair in proxy_conf.items():
        for address in pair:
            split_address(address)
    if proxy_conf:
        _warn_unused("proxy_conf has no effect: brokers relay to pools that have no direct way")


def _check_callbacks(**callbacks):
    for name, callback in callbacks.items():
        if callback is not None and not callable(callback):
            raise TypeError(f"{name} is a function of (pool, address), not {shown(callback)}")


def _check_extra(extra_conf):
    if extra_conf is None:
        return {}
    if not isinstance(extra_conf, dict):
        raise TypeError(f"extra_conf is a dict, not {shown(extra_conf)}")
    unknown = sorted(str(name) for name in extra_conf if name not in _EXTRA)
    if unknown:
        known = ", ".join(_EXTRA)
        _warn_unused(f"extra_conf has no use for {', '.join(unknown)}; it takes {known}")
    return extra_conf


def _check_unknown(unknown):
    if unknown:
        names = ", ".join(sorted(unknown))
        _warn_unused(f"create_actor_pool has no use for the arguments {names}")


def check_rest(
    count: int,
    external_address_schemes: Any,
    enable_internal_addresses: Any,
    proxy_conf: Any,
    extra_conf: Any,
    unknown: dict,
    **callbacks: Any,
) -> dict:
    """Checks what no process has to be told; gives extra_conf as a dict."""
    schemes = _as_list("external_address_schemes", external_address_schemes, count + 1)
    _check_each("external_address_schemes", schemes, str, "names of schemes")
    internal = _as_list("enable_internal_addresses", enable_internal_addresses, count + 1)
    _check_each("enable_internal_addresses", internal, bool, "True or False")
    _check_callbacks(**callbacks)
    _check_proxies(proxy_conf)
    _check_unknown(unknown)
    return _check_extra(extra_conf)
