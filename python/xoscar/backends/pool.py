"""MainActorPool: a main pool in this process and sub pools beside it."""
from __future__ import annotations

import os

import _xo

from .. import _node, errors
from .._create_pool import create_actor_pool
from ..core import TYPE_CHECKING, ActorRef
from ._options import sub_pool_options
from ._plan import check_label, compose_env, join_address, split_address
from ._report import read_report, report_path
from ._sub_process import SubProcess, python_argv, sub_pool_env
from .recovery import Watch

if TYPE_CHECKING:
    from typing import Any, Literal, Mapping, Sequence

_READY_MS = 60000  # for a sub pool to start, with the modules that it imports
_STOP_MS = 1500  # for the main pool's actors' __pre_destroy__
_REMOVE_S = 5  # for a sub pool that is removed to end in order


class MainActorPool:
    """The main pool of a node that this process embeds, and its sub pools.

    ``create_actor_pool`` makes it.

    Attributes
    ----------
    external_address : str
        The main pool's "host:port".
    sub_processes : dict
        address -> SubProcess
    stopped : bool
        Is it stopped, or never started?
    """

    def __init__(self, plan, recovery, options):
        self._plan = plan
        self._recovery = recovery  # see pool_settings
        self._options = options  # for the sub pools: see xoscar.pool
        self._bind = None  # the host that all of the node's pools listen on; None: as advertised
        self._broker = None
        self._pool = None
        self._starting = self._stopping = None
        self._ended = None
        self._watch = Watch(self, None, None)
        self.runtime = None
        self.sub_processes: dict[str, SubProcess] = {}
        self.external_address = ""

    @property
    def stopped(self) -> bool:
        """Is it stopped, or never started?"""
        return self._ended is None or self._ended.done()

    async def start(self) -> None:
        """Start everything. create_actor_pool has done so; after ``stop`` it starts anew.

        Raises
        ------
        ActorPoolNotStarted
            If ``stop`` is called meanwhile.
        OSError, Exception
            What create_actor_pool raises. Nothing is left running then.
        """
        import asyncio

        if not self.stopped:
            return
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._stopping = None
        self.sub_processes = {}
        self.runtime = _xo.runtime()
        _node.pools.add(self)
        self._starting = loop.create_task(self._start_all())  # which stop() can cancel
        try:
            await self._starting
        except BaseException as e:
            told_to_stop = self._stopping is not None and isinstance(e, asyncio.CancelledError)
            await self.stop()
            if told_to_stop:
                raise errors.ActorPoolNotStarted("the pool was stopped while it started") from None
            raise

    async def _start_all(self):
        import asyncio

        self._broker = await _node.start_broker()
        self._broker.watch()
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

    async def _request(self, index, address, label, argv, env, spare=False):
        """A pool that the broker has started. `spare`: what argv starts knows _spare."""
        request = {
            "argv": argv,
            "env": env,
            "label": label or "",
            "address": address,
            "index": index,
            **self._recovery,
            "ready_ms": _READY_MS,
            "spare": spare,
        }
        if self._bind:
            request["bind"] = self._bind
        process = SubProcess(await getattr(self._broker_ref(), "pool.start")(request))
        self.sub_processes[process.address] = process
        return process

    async def _start_one(self, index, address, label, env, options, start=None):
        argv, is_other = start or python_argv()
        report = report_path(self._broker.endpoint)
        env = sub_pool_env(env, {**self._options, **options}, is_other)
        env["XO_POOL_REPORT"] = report
        try:
            return await self._request(index, address, label, argv, env, not is_other)
        except errors.ServerClosed:
            why = read_report(report)
            if why is None:
                raise
            raise why

    def _need_started(self):
        if self.stopped or not self.external_address:
            raise errors.ActorPoolNotStarted("the pool is not started")

    def _sub_address(self, external_address):
        """The address for one more pool: a free port of the node's host, if none is given."""
        if external_address is None:
            return join_address(self._plan.host, 0)
        return join_address(*split_address(external_address))

    async def append_sub_pool(
        self,
        label: str | None = None,
        external_address: str | None = None,
        env: Mapping[str, str] | None = None,
        modules: Sequence[str] | None = None,
        suspend_sigint: bool | None = None,
        use_uvloop: bool | Literal["auto"] | None = None,
        logging_conf: dict[str, Any] | str | os.PathLike[str] | None = None,
        start_python: str | None = None,
    ) -> str:
        """Start one more sub pool.

        Parameters
        ----------
        label : str, optional
            Its label.
        external_address : str, optional
            "host:port" or "host". A free port of the main pool's host by default.
        env : mapping, optional
            Environment variables. What its ``PYTHONPATH`` names comes first in the pool's
            ``sys.path``.
        modules, suspend_sigint, use_uvloop, logging_conf : optional
            As for create_actor_pool, whose values hold where None is given.
        start_python : str, optional
            The interpreter: a path or a program's name. This process's by default. Another one
            has its own packages, and what this program has added to its ``sys.path``; this package
            is this process's, unless it has one. What goes by value needs cloudpickle there.

        Returns
        -------
        str
            The pool's address. It is ready, and every process sees it in get_pool_config.

        Raises
        ------
        ActorPoolNotStarted
            If the pool is not running.
        Exception
            As for create_actor_pool. The other pools go on.
        """
        given = {
            "modules": modules,
            "suspend_sigint": suspend_sigint,
            "use_uvloop": use_uvloop,
            "logging_conf": logging_conf,
        }
        options = sub_pool_options(**{k: v for k, v in given.items() if v is not None})
        self._need_started()
        address = self._sub_address(external_address)
        start, env = python_argv(start_python), compose_env(env)
        process = await self._start_one(-1, address, check_label(label), env, options, start)
        return process.address

    async def append_c_pool(
        self,
        modules: Sequence[str],
        label: str | None = None,
        external_address: str | None = None,
    ) -> str:
        """Start an xo-pool on this node, which hosts actors in C.

        Parameters
        ----------
        modules : list of str
            Names or paths of the shared objects that hold their classes.
        label, external_address : optional
            As for append_sub_pool.

        Returns
        -------
        str
            The pool's address.
        """
        self._need_started()
        argv = [_node.find_program("xo-pool")]
        for module in modules:
            argv += ["--module", os.fspath(module)]
        address = self._sub_address(external_address)
        return (await self._request(-1, address, check_label(label), argv, {})).address

    async def remove_sub_pool(
        self, external_address: str, timeout: float | None = None, force: bool = False
    ) -> None:
        """End a sub pool for good.

        Parameters
        ----------
        external_address : str
            The sub pool's address.
        timeout : float, optional
            Seconds that its actors' ``__pre_destroy__`` may take together before it is killed;
            5 by default.
        force : bool
            Kill it at once, without ``__pre_destroy__``.

        Raises
        ------
        ValueError
            If there is no sub pool at this address, or it is the main pool's.
        """
        if external_address and external_address == self.external_address:
            raise ValueError(f"{external_address} is the main pool's address: stop() ends it")
        if external_address not in self.sub_processes:
            raise ValueError(f"there is no sub pool at {external_address}")
        if timeout is not None and timeout < 0:
            raise ValueError(f"timeout is a number of seconds from 0, not {timeout}")
        timeout_ms = 0 if force else int((_REMOVE_S if timeout is None else timeout) * 1000)
        process = self.sub_processes.pop(external_address)
        try:
            await getattr(self._broker_ref(), "pool.stop")(external_address, timeout_ms)
        except BaseException:
            if process.is_alive():
                self.sub_processes[external_address] = process
            raise

    # ---- what the broker says ----

    def _on_event(self, kind, fields):
        if not self._stopping:
            self._watch.on_event(kind, fields)

    def _told_to_stop(self):
        import asyncio

        self._stop_task = asyncio.ensure_future(self.stop())

    # ---- the end ----

    async def stop(self) -> None:
        """Stop the groups, the sub pools, the broker and the main pool. Nothing is left then.

        While the pool starts, that ends; of a pool that is stopped it asks nothing.

        Raises
        ------
        RuntimeError
            If the pool belongs to another event loop.
        """
        import asyncio

        if self.stopped:
            return
        if asyncio.get_running_loop() is not self._ended.get_loop():
            raise RuntimeError("the pool belongs to another event loop: stop it there")
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop_all())
        await asyncio.shield(self._stopping)

    async def _stop_all(self):
        import asyncio

        try:
            if not self._starting.done():
                self._starting.cancel()
                await asyncio.wait([self._starting])
            if self._pool is not None and not self._pool.closed:
                await _node.stop_groups(self._broker_ref())
                await self._pool.stop(_STOP_MS)
        finally:
            try:
                if self._broker is not None:
                    await self._broker.stop()
            finally:
                if self._pool is not None:
                    self._pool.close()
                self._pool = self._broker = None
                self._end()

    def _end(self):
        _node.pools.discard(self)
        if not self._ended.done():
            self._ended.set_result(None)

    def forget(self) -> None:
        """In the child of a fork: the pools are the parent's, here there is nothing to stop."""
        self._ended = None
        if self._broker is not None:
            self._broker.forget()

    def stop_now(self) -> None:
        """While the interpreter exits: ends the broker, and with it the sub pools."""
        _node.pools.discard(self)
        if self._broker is not None:
            self._broker.stop_now()

    async def join(self, timeout: float | None = None) -> None:
        """Wait until the pool has been stopped.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which it returns all the same; ``stopped`` tells.
        """
        import asyncio

        if not self.stopped:
            await asyncio.wait([self._ended], timeout=timeout)

    async def __aenter__(self) -> MainActorPool:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self.stop()


MainActorPoolType = MainActorPool


__all__ = ["MainActorPool", "MainActorPoolType", "create_actor_pool"]
