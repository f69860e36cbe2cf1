"""create_actor_pool, whose arguments are known before what it takes to start pools is imported."""
from __future__ import annotations

from .core import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from typing import Any, Callable, Literal, Mapping, NoReturn, Sequence

    from ._restart import RestartPolicy
    from .backends.pool import MainActorPool


async def create_actor_pool(
    address: str,
    n_process: int | None = None,
    *,
    labels: Sequence[str | None] | None = None,
    ports: Sequence[int | None] | None = None,
    envs: Sequence[Mapping[str, str] | None] | None = None,
    external_address_schemes: Sequence[str | None] | None = None,
    enable_internal_addresses: Sequence[bool | None] | None = None,
    subprocess_start_method: str | None = None,
    auto_recover: bool | Literal["actor", "process"] = "actor",
    hang_timeout: float | None = None,
    restart_policy: RestartPolicy | None = None,
    modules: Sequence[str] | None = None,
    suspend_sigint: bool | None = None,
    use_uvloop: bool | Literal["auto"] = "auto",
    logging_conf: dict[str, Any] | str | os.PathLike[str] | None = None,
    proxy_conf: dict[str, str] | None = None,
    on_process_down: Callable[[MainActorPool, str], Any] | None = None,
    on_process_recover: Callable[[MainActorPool, str], Any] | None = None,
    extra_conf: dict[str, Any] | None = None,
    **unknown: NoReturn,
) -> MainActorPool:
    """Start a main pool in this process and sub pools beside it, each a process of its own.

    Parameters
    ----------
    address : str
        "host:port", or "host" for any free port; "[v6]:port". With 0.0.0.0 or [::] the pools listen
        everywhere and advertise an address of this machine.
    n_process : int, optional
        How many sub pools; 0 is allowed. The number of CPUs by default.
    labels : list of str, optional
        One for each pool, the main one first; entries may be None.
    ports : list of int, optional
        One for each sub pool, and one for the main pool before them if address has none. 0 and
        None are any free port.
    envs : list of mappings, optional
        Environment variables of each sub pool. ``CUDA_VISIBLE_DEVICES`` counts within this
        process's own, unless it is the same. What a ``PYTHONPATH`` names comes first in the pool's
        ``sys.path``.
    external_address_schemes, enable_internal_addresses : list, optional
        Checked and accepted: which lane a message takes is found out by the two ends.
    subprocess_start_method : str, optional
        Accepted: a sub pool is always a fresh interpreter.
    auto_recover : {"actor", "process", True, False}
        What comes back when a sub pool's process dies: with "actor" (or True) the process and its
        actors, created again as they had been; with "process" the process alone; else nothing.
    hang_timeout : float, optional
        Seconds after which a sub pool whose event loop stands still, in a method that does not
        await for instance, is killed, as if its process had died. Say more than anything takes that
        does not await, imports included; less than three seconds is three seconds, and a warning in
        the node's log. By default it is only said to be suspect (``xo pools``), and left alone.
    restart_policy : RestartPolicy, optional
        How often and how soon the process comes back, and its actors where they have no policy of
        their own. Without effect where auto_recover is False.
    modules : list of str, optional
        Imported by each sub pool before it is ready.
    suspend_sigint : bool, optional
        Sub pools ignore SIGINT.
    use_uvloop : {"auto", True, False}
        The sub pools' event loop; "auto": uvloop where it is installed.
    logging_conf : dict or str, optional
        Logging in the sub pools: a dict for ``logging.config.dictConfig`` (or {"dict": it}), the
        path of a file for ``fileConfig`` (or {"file": it}), or {"level": ..., "format": ...}.
    proxy_conf : dict, optional
        Checked and accepted, with a warning: brokers relay to pools that have no direct way.
    on_process_down, on_process_recover : callable, optional
        Called with (pool, address) once for each time that a sub pool dies, and is there again with
        its actors; plain functions or ``async def``.
    extra_conf : dict, optional
        {"listen_elastic_ip": True} binds all interfaces and advertises address.
    **unknown
        Nothing: arguments of other names have no effect, and are a UserWarning that names them.

    Returns
    -------
    MainActorPool
        Started; to be stopped, or used with ``async with``.

    Raises
    ------
    TypeError, ValueError
        For arguments that cannot be right, before anything starts.
    ImportError
        If a sub pool cannot import one of modules, with its traceback; or uvloop, if it must.
    OSError
        With errno EADDRINUSE, if a port is in use. Nothing is left running, as after any error.
    """
    from .backends._options import sub_pool_options
    from .backends._plan import Plan, check_rest
    from .backends.pool import MainActorPool
    from .backends.recovery import Watch, pool_settings

    plan = Plan(address, n_process, labels, ports, envs)
    recovery = pool_settings(auto_recover, hang_timeout, restart_policy)
    callbacks = {"on_process_down": on_process_down, "on_process_recover": on_process_recover}
    extra = check_rest(
        plan.count,
        external_address_schemes,
        enable_internal_addresses,
        proxy_conf,
        extra_conf,
        unknown,
        **callbacks,
    )
    options = sub_pool_options(
        modules=modules,
        suspend_sigint=suspend_sigint,
        use_uvloop=use_uvloop,
        logging_conf=logging_conf,
    )
    pool = MainActorPool(plan, recovery, options)
    pool._watch = Watch(pool, on_process_down, on_process_recover)
    if extra.get("listen_elastic_ip"):
        pool._bind = "::" if ":" in plan.host else "0.0.0.0"
    await pool.start()
    return pool
