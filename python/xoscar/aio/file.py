"""A file object whose operations are awaited: they run in a thread, and the loop goes on."""
from __future__ import annotations

import functools
from typing import Any

# What may wait for a disk or a peer; everything else of a file is asked at once.
_WAITS = (
    "flush",
    "isatty",
    "read",
    "read1",
    "readable",
    "readinto",
    "readline",
    "readlines",
    "seek",
    "seekable",
    "tell",
    "truncate",
    "writable",
    "write",
    "writelines",
)


class AioFileObject:
    """A file object whose methods are awaited.

    ``await f.read(...)``, ``write``, ``seek``, ``tell``, ``flush``, ``close`` and so on take what
    the file's own methods take. ``fileno()``, ``closed``, ``mode`` and ``name`` are the file's. It
    can be used in ``async with`` and ``async for``.

    Parameters
    ----------
    file
        An open file object, binary or text.
    loop : asyncio.AbstractEventLoop, optional
        The loop that waits; the running one by default.
    executor : concurrent.futures.Executor, optional
        Whose threads do the work; the loop's default one by default.
    """

    def __init__(self, file: Any, loop: Any = None, executor: Any = None):
        self._file = file
        self._loop = loop
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._file, name)
        if name not in _WAITS:
            return found

        @functools.wraps(found)
        async def method(*args: Any, **kwargs: Any) -> Any:
            return await self._run(found, *args, **kwargs)

        return method

    async def _run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        import asyncio

        loop = self._loop or asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, functools.partial(function, *args, **kwargs)
        )

    async def close(self) -> None:
        """Closes the file. Closing it again does nothing."""
        await self._run(self._file.close)

    async def __aenter__(self) -> AioFileObject:
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self.close()

    def __aiter__(self) -> AioFileObject:
        return self

    async def __anext__(self) -> Any:
        line = await self._run(self._file.readline)
        if not line:
            raise StopAsyncIteration
        return line

    def __repr__(self) -> str:
        return f"AioFileObject({self._file!r})"
