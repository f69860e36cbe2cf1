"""get_context(): the functions of the package as methods of one object."""
from __future__ import annotations

from . import api, batch, core, debug


class ActorContext:
    """The functions of the package.

    Its methods are the functions of ``xoscar`` with the same names, which say what they do.
    """

    def __init__(self) -> None:
        self.actor_ref = api.actor_ref
        self.buffer_ref = api.buffer_ref
        self.copy_to = api.copy_to
        self.create_actor = api.create_actor
        self.create_actor_pool = api.create_actor_pool
        self.create_actor_ref = api.create_actor_ref
        self.create_group = api.create_group
        self.destroy_actor = api.destroy_actor
        self.extensible = batch.extensible
        self.file_object_ref = api.file_object_ref
        self.generator = api.generator
        self.get_debug_options = debug.get_debug_options
        self.get_pool_config = api.get_pool_config
        self.has_actor = api.has_actor
        self.kill_actor = api.kill_actor
        self.lane_totals = core.lane_totals
        self.lent_bytes = core.lent_bytes
        self.link = api.link
        self.list_actors = api.list_actors
        self.list_nodes = api.list_nodes
        self.list_pools = api.list_pools
        self.monitor = api.monitor
        self.no_lock = api.no_lock
        self.set_debug_options = debug.set_debug_options
        self.setup_cluster = api.setup_cluster
        self.unlink = api.unlink
        self.wait_actor_pool_recovered = api.wait_actor_pool_recovered
        self.wait_for = api.wait_for


_context = ActorContext()


def get_context() -> ActorContext:
    """Get the context: one for all, since the functions find the running loop themselves.

    Returns
    -------
    ActorContext
    """
    return _context


__all__ = ["get_context"]
