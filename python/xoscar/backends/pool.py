"""create_actor_pool: a main pool in this process and sub pools beside it."""
import os

import _xo

from .. import _node
from ..core import ActorRef

_READY_MS = 60000  # for a sub pool to start, with the modules that it imports
_STOP_MS = 1500  # for the main pool's actors' __pre_destroy__


class SubProcess:
    """The process of a sub pool. What restarts it or reaps it is the node's broker."""

    def __init__(self, record):
        self.address = record["address"]
        self.index = record["index"]
        self.label = record["label"] or None
        self.pid = record["pid"]

    def is_alive(self):
        """Is the process there?"""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self):
        """SIGKILL."""
        _node.kill(self.pid)

    def __repr__(self):
        return f"<sub pool {self.index} at {self.address}, process {self.pid}>"


# ---- arguments ----


def _split_address(address):
    """(host, port or None) of "host", "host:port", "[v6]:port", "v6"."""
    host, _, port = address.rpartition(":")
    if not host or (":" in host and not host.endswith("]")):
        return address, None
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not host:port")
    return host, int(port)


def _join_address(host, port):
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{host}:{port or 0}"


def _check_length(what, given, expected):
    if given is not None and len(given) != expected:
        raise ValueError(f"{what} needs {expected} entries, one for each pool, not {len(given)}")


class _Plan:
    """What is to be started, checked before anything is."""

    def __init__(self, address, n_process, labels, ports, envs):
        count = os.cpu_count() if n_process is None else n_process
        if count < 0:
            raise ValueError(f"n_process is 0 or more, not {n_process}")
        host, port = _split_address(address)
        _check_length("labels", labels, count + 1)
        _check_length("envs", envs, count)
        _check_length("ports", ports, count + (port is None))
        ports = list(ports) if ports else [None] * (count + (port is None))
        if port is not None:
            ports.insert(0, port)
        self.count = count
        self.host = host
        self.addresses = [_join_address(host, p) for p in ports]
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


def _restart(auto_recover):
    if auto_recover in ("actor", "process", True):
        return "permanent"
    if auto_recover is False:
        return "temporary"
    raise ValueError(f'auto_recover is "actor", "process", True or False, not {auto_recover!r}')


# ---- the pool ----


class MainActorPool:
    """The main pool of a node that this process embeds, and its sub pools.

    Attributes: ``external_address``, the main pool's "host:port"; ``sub_processes``, address ->
    SubProcess; ``stopped``.
    """

    def __init__(self, plan, restart, options):
        self._plan = plan
        self._restart = restart
        self._options = options  # for the sub pools: see xoscar.pool
        self._bind = None  # the host that all of the node's pools listen on; None: as advertised
        self._broker = None
        self._pool = None
        self._stopping = None
        self._ended = None
        self._on_down = self._on_recover = None
        self._down = set()  # indexes of the pools that went down
        self.runtime = None
        self.sub_processes = {}
        self.external_address = None

    @property
    def stopped(self):
        """Is it stopped, or never started?"""
        return self._ended is None or self._ended.done()

    async def start(self):
        """Starts everything; create_actor_pool has done so."""
        import asyncio

        if self._ended is not None:
            return
        self._ended = asyncio.get_running_loop().create_future()
        self.runtime = _xo.runtime()
        _node.pools.add(self)
        try:
            await self._start_all()
        except BaseException:
            await self.stop()
            raise

    async def _start_all(self):
        import asyncio

        self._broker = await _node.start_broker()
        self._pool = _xo.Pool(
            self._told_to_stop,
            address=self._plan.addresses[0],
            bind=self._bind,
            broker=self._broker.endpoint,
            label=self._plan.labels[0],
            index=0,
            on_event=self._on_event,
        )
        self.external_address = self._pool.address
        await self._pool.join()
        starts = [self._start_sub(i) for i in range(1, self._plan.count + 1)]
        await asyncio.gather(*starts)

    def _broker_ref(self):
        return ActorRef(self.external_address, b"xo.broker")

    async def _start_sub(self, index):
        plan = self._plan
        env = plan.envs[index - 1]
        return await self._start_one(index, plan.addresses[index], plan.labels[index], env, {})

    async def _request(self, index, address, label, argv, env):
        """The record of a pool that the broker has started."""
        request = {
            "argv": argv,
            "env": env,
            "label": label or "",
            "address": address,
            "index": index,
            "restart": self._restart,
            "ready_ms": _READY_MS,
        }
        if self._bind:
            request["bind"] = self._bind
        return await getattr(self._broker_ref(), "pool.start")(request)

    async def _start_one(self, index, address, label, env, options, argv=None):
        argv = argv or _node.sub_pool_argv()
        env = _node.sub_pool_env(env, {**self._options, **options})
        process = SubProcess(await self._request(index, address, label, argv, env))
        self.sub_processes[process.address] = process
        return process

    async def append_sub_pool(
        self,
        label=None,
        external_address=None,
        env=None,
        modules=None,
        suspend_sigint=None,
        use_uvloop=None,
        logging_conf=None,
        start_python=None,
    ):
        """Starts one more sub pool and returns its address. start_python: the interpreter."""
        address = external_address or _join_address(self._plan.host, 0)
        given = {
            "modules": modules,
            "suspend_sigint": suspend_sigint,
            "use_uvloop": use_uvloop,
            "logging_conf": logging_conf,
        }
        options = {name: value for name, value in given.items() if value is not None}
        argv = [start_python, "-m", "xoscar.pool"] if start_python else None
        process = await self._start_one(-1, address, label, compose_env(env), options, argv)
        return process.address

    async def append_c_pool(self, modules, label=None, external_address=None):
        """Starts an xo-pool on this node, which hosts actors in C, and returns its address.

        modules: names or paths of the shared objects that hold their classes.
        """
        argv = [_node.find_program("xo-pool")]
        for module in modules:
            argv += ["--module", os.fspath(module)]
        address = external_address or _join_address(self._plan.host, 0)
        return (await self._request(-1, address, label, argv, {}))["address"]

    async def remove_sub_pool(self, external_address, timeout=None, force=False):
        """Ends a sub pool for good. timeout: seconds before it is killed; force: at once."""
        if external_address not in self.sub_processes:
            raise ValueError(f"there is no sub pool at {external_address}")
        timeout_ms = 0 if force else int((5 if timeout is None else timeout) * 1000)
        await getattr(self._broker_ref(), "pool.stop")(external_address, timeout_ms)
        self.sub_processes.pop(external_address, None)

    # ---- what the broker says ----

    def _on_event(self, kind, fields):
        if kind == "pool.down":
            self._on_pool_down(fields)
        elif kind == "pool.up":
            self._on_pool_up(fields)

    def _on_pool_down(self, fields):
        if fields.get("address") not in self.sub_processes or self._stopping:
            return
        self._down.add(fields["address"])
        self._call_back(self._on_down, fields["address"])

    def _on_pool_up(self, fields):
        process = self.sub_processes.get(fields.get("address"))
        if process is None:
            return
        process.pid = fields.get("pid", process.pid)
        if process.address in self._down:
            self._down.discard(process.address)
            self._call_back(self._on_recover, process.address)

    def _call_back(self, callback, address):
        import asyncio

        if callback is None:
            return
        result = callback(self, address)
        if hasattr(result, "__await__"):
            asyncio.ensure_future(result)

    def _told_to_stop(self):
        import asyncio

        self._stop_task = asyncio.ensure_future(self.stop())

    # ---- the end ----

    async def stop(self):
        """Stops the sub pools, the broker and the main pool. Nothing is left when it returns."""
        import asyncio

        if self.stopped:
            return
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop_all())
        await asyncio.shield(self._stopping)

    async def _stop_all(self):
        try:
            if self._pool is not None and not self._pool.closed:
                await self._pool.stop(_STOP_MS)
            if self._broker is not None:
                await self._broker.stop()
        finally:
            if self._pool is not None:
                self._pool.close()
            self._end()

    def _end(self):
        _node.pools.discard(self)
        if not self._ended.done():
            self._ended.set_result(None)

    def stop_now(self):
        """While the interpreter exits: ends the broker, and with it the sub pools."""
        _node.pools.discard(self)
        if self._broker is not None:
            self._broker.stop_now()

    async def join(self, timeout=None):
        """Waits until the pool has been stopped; asyncio.TimeoutError after timeout seconds."""
        import asyncio

        if not self.stopped:
            await asyncio.wait_for(asyncio.shield(self._ended), timeout)

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *exc_info):
        await self.stop()


MainActorPoolType = MainActorPool


async def create_actor_pool(
    address,
    n_process=None,
    *,
    labels=None,
    ports=None,
    envs=None,
    external_address_schemes=None,
    enable_internal_addresses=None,
    auto_recover="actor",
    modules=None,
    suspend_sigint=None,
    use_uvloop="auto",
    logging_conf=None,
    proxy_conf=None,
    on_process_down=None,
    on_process_recover=None,
    extra_conf=None,
    **kwargs,
):
    """Starts a main pool in this process and n_process sub pools, each a process of its own.

    address: "host:port", or "host" for any free port. n_process: None is the number of CPUs.
    labels: one for each pool, the main one first. envs: environment variables, one dict for each
    sub pool. ports: one for each sub pool, and one for the main pool before them if address has
    none. auto_recover: "actor", "process" and True start a sub pool's process again when it dies;
    False does not. modules: imported by each sub pool before it is ready. use_uvloop: True for the
    sub pools' loops.
    on_process_down, on_process_recover: called with (pool, address).
    extra_conf: {"listen_elastic_ip": True} binds all interfaces and advertises address.

    external_address_schemes, enable_internal_addresses and proxy_conf are accepted: which lane a
    message takes is found out by the two ends.
    """
    plan = _Plan(address, n_process, labels, ports, envs)
    options = {
        "modules": list(modules or ()),
        "suspend_sigint": bool(suspend_sigint),
        "use_uvloop": use_uvloop,
        "logging_conf": logging_conf,
    }
    pool = MainActorPool(plan, _restart(auto_recover), options)
    pool._on_down, pool._on_recover = on_process_down, on_process_recover
    if (extra_conf or {}).get("listen_elastic_ip"):
        pool._bind = "::" if ":" in plan.host else "0.0.0.0"
    await pool.start()
    return pool
