"""get_context(): the functions of the package as methods of one object."""
from __future__ import annotations

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from typing import Any

_FUNCTIONS = (
    "actor_ref",
    "buffer_ref",
    "copy_to",
    "create_actor",
    "create_actor_pool",
    "destroy_actor",
    "file_object_ref",
    "get_pool_config",
    "has_actor",
    "kill_actor",
    "link",
    "list_actors",
    "list_nodes",
    "list_pools",
    "monitor",
    "wait_actor_pool_recovered",
    "wait_for",
)


class ActorContext:
    """The functions that create, find and end actors and pools.

    Its methods are the functions of ``xoscar.api`` with the same names.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            raise AttributeError(f"a context has no attribute {name!r}")
        from . import api

        return getattr(api, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_FUNCTIONS]


_context = ActorContext()


def get_context() -> ActorContext:
    """Return the context: one for all, since the functions find the running loop themselves."""
    return _context
