"""asyncio without TLS, until somebody wants it: libssl and what Python makes of it are a sixth of a
sub pool's memory, and a tenth of its start."""
import sys
from types import ModuleType

_TLS = ("ssl", "asyncio.sslproto")


class _StandIn(ModuleType):
    """Stands for a module in what has imported it, and is that module when it is first used."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        import importlib

        return getattr(importlib.import_module(self.__name__), name)


def import_asyncio():
    """Imports asyncio; only its own modules see the stand-ins."""
    if not any(name in sys.modules for name in ("asyncio", *_TLS)):
        sys.modules.update({name: _StandIn(name) for name in _TLS})
    import asyncio

    if isinstance(sys.modules.get("asyncio.sslproto"), _StandIn):
        asyncio.sslproto = sys.modules["asyncio.sslproto"]
    for name in _TLS:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
    return asyncio
