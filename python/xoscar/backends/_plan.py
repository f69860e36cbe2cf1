"""The arguments of create_actor_pool, checked before anything starts."""
import os


def split_address(address):
    """(host, port or None) of "host", "host:port", "[v6]:port", "v6"."""
    host, _, port = address.rpartition(":")
    if not host or (":" in host and not host.endswith("]")):
        return address, None
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not host:port")
    return host, int(port)


def join_address(host, port):
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{host}:{port or 0}"


def _check_length(what, given, expected):
    if given is not None and len(given) != expected:
        raise ValueError(f"{what} needs {expected} entries, one for each pool, not {len(given)}")


class Plan:
    """What is to be started, checked before anything is."""

    def __init__(self, address, n_process, labels, ports, envs):
        count = os.cpu_count() if n_process is None else n_process
        if count < 0:
            raise ValueError(f"n_process is 0 or more, not {n_process}")
        host, port = split_address(address)
        _check_length("labels", labels, count + 1)
        _check_length("envs", envs, count)
        _check_length("ports", ports, count + (port is None))
        ports = list(ports) if ports else [None] * (count + (port is None))
        if port is not None:
            ports.insert(0, port)
        self.count = count
        self.host = host
        self.addresses = [join_address(host, p) for p in ports]
        self.labels = list(labels) if labels else [None] * (count + 1)
        self.envs = [compose_env(env) for env in envs] if envs else [None] * count


_GPU_MASK = "CUDA_VISIBLE_DEVICES"


def compose_env(env):
    """A sub pool's environment. A GPU mask counts within this process's own mask."""
    env = {name: str(value) for name, value in (env or {}).items()}
    inherited = os.environ.get(_GPU_MASK)
    if _GPU_MASK in env and inherited:
        visible = inherited.split(",")
        env[_GPU_MASK] = ",".join(_compose_device(d, visible) for d in env[_GPU_MASK].split(","))
    return env


def _compose_device(device, visible):
    if not device.strip().isdigit():
        return device
    if int(device) >= len(visible):
        raise ValueError(f"GPU {device} is not among the {len(visible)} that are visible here")
    return visible[int(device)]
