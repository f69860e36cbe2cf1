"""create_actor_pool: a main pool in this process and sub pools beside it."""
import os

import _xo

from .. import _node
from ..core import ActorRef
from ._plan import Plan, compose_env, join_address
from ._sub_process import SubProcess, sub_pool_argv, sub_pool_env
from .recovery import Watch, pool_settings

_READY_MS = 60000  # for a sub pool to start, with the modules that it imports
_STOP_MS = 1500  # for the main pool's actors' __pre_destroy__


class MainActorPool:
    """The main pool of a node that this process embeds, and its sub pools.

    Attributes: ``external_address``, the main pool's "host:port"; ``sub_processes``, address ->
    SubProcess; ``stopped``.
    """

    def __init__(self, plan, recovery, options):
        self._plan = plan
        self._recovery = recovery  # see pool_settings
        self._options = options  # for the sub pools: see xoscar.pool
        self._bind = None  # the host that all of the node's pools listen on; None: as advertised
        self._broker = None
        self._pool = None
        self._stopping = None
        self._ended = None
        self._watch = Watch(self, None, None)
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
            **self._recovery,
            "ready_ms": _READY_MS,
        }
        if self._bind:
            request["bind"] = self._bind
        return await getattr(self._broker_ref(), "pool.start")(request)

    async def _start_one(self, index, address, label, env, options, argv=None):
        argv = argv or sub_pool_argv()
        env = sub_pool_env(env, {**self._options, **options})
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
        address = external_address or join_address(self._plan.host, 0)
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
        address = external_address or join_address(self._plan.host, 0)
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
        if not self._stopping:
            self._watch.on_event(kind, fields)

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
    none. auto_recover: what comes back when a sub pool's process dies: "actor" (or True) the
    process and its actors, created again as they had been; "process" the process alone; False
    nothing. modules: imported by each sub pool before it is ready. use_uvloop: True for the
    sub pools' loops.
    on_process_down, on_process_recover: called with (pool, address) once for each time that a sub
    pool dies, and is there again with its actors; plain functions or ``async def``.
    extra_conf: {"listen_elastic_ip": True} binds all interfaces and advertises address.

    external_address_schemes, enable_internal_addresses and proxy_conf are accepted: which lane a
    message takes is found out by the two ends.
    """
    plan = Plan(address, n_process, labels, ports, envs)
    options = {
        "modules": list(modules or ()),
        "suspend_sigint": bool(suspend_sigint),
        "use_uvloop": use_uvloop,
        "logging_conf": logging_conf,
    }
    pool = MainActorPool(plan, pool_settings(auto_recover), options)
    pool._watch = Watch(pool, on_process_down, on_process_recover)
    if (extra_conf or {}).get("listen_elastic_ip"):
        pool._bind = "::" if ":" in plan.host else "0.0.0.0"
    await pool.start()
    return pool
