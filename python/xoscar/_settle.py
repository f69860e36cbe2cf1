"""What a method returned that has to be awaited: what it comes to, and who has the lock meanwhile.

An ``async def`` keeps the actor's lock across its awaits. One that yields gives it up while what it
yielded is awaited, and so does every method while what it returned is.
"""
from contextvars import ContextVar
from types import AsyncGeneratorType, GeneratorType

from _xo import current_run

_ITERABLE_COROUTINE = 0x100  # CO_ITERABLE_COROUTINE: a generator that types.coroutine has marked

_run = ContextVar("xo_run", default=None)


def holds_lock(method):
    """Does the method keep the lock while it waits? It does if it is an ``async def``, also below
    functools.partial or a decorator that says what it wraps."""
    import functools
    import inspect

    if hasattr(method, "_xo_holds_lock"):  # an extensible one
        return method._xo_holds_lock
    while isinstance(method, functools.partial):
        method = method.func
    function = inspect.unwrap(getattr(method, "__func__", method))
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return True
    return getattr(function, "_is_coroutine", None) is not None  # Cython's mark


# ---- what has to be awaited ----


def _is_awaitable(value):
    if isinstance(value, GeneratorType):
        return bool(value.gi_code.co_flags & _ITERABLE_COROUTINE)
    return isinstance(value, AsyncGeneratorType) or hasattr(type(value), "__await__")


def is_pending(value):
    """Is it awaitable, or a tuple with something awaitable in it?"""
    if type(value) is tuple:
        return any(map(_is_awaitable, value))
    return _is_awaitable(value)


async def _await(value, run):
    if isinstance(value, AsyncGeneratorType):
        return await _drive(value, run)
    return await value


def calling_run():
    """The run of the call that this is a part of, also in a task of its own; or None."""
    return current_run() or _run.get()


async def _gather(values):
    """The values of a tuple, those that are awaitable awaited together."""
    import asyncio

    awaited = [
        _await(v, None) if isinstance(v, (AsyncGeneratorType, GeneratorType)) else v
        for v in values
        if _is_awaitable(v)
    ]
    token = _run.set(calling_run())  # the tasks that are made here take it along
    try:
        gathered = asyncio.gather(*awaited)
    finally:
        _run.reset(token)
    results = iter(await gathered)
    return tuple(next(results) if _is_awaitable(v) else v for v in values)


async def _come_to(value):
    if type(value) is tuple:
        return await _gather(value)
    return await _await(value, None) if _is_awaitable(value) else value


# ---- methods that yield ----


async def _take_lock(run):
    """Waits for the lock. To be cancelled meanwhile does not end that: the method goes on with its
    clean-up, which may rely on the lock."""
    import asyncio

    waiting, cancelled = run.lock(), None
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError as e:
            cancelled = e
    if cancelled is not None:
        raise cancelled


async def _without_lock(value, run):
    """What a value comes to, awaited while the lock is given up."""
    if run is None:
        return await _come_to(value)
    run.unlock()
    try:
        result = await _come_to(value)
    except GeneratorExit:
        raise
    except BaseException:
        await _take_lock(run)
        raise
    await _take_lock(run)
    return result


async def _drive(generator, run):
    """Runs a method that yields: each item is awaited, and its result or exception sent back in."""
    from .errors import Return

    send, value = generator.asend, None
    try:
        while True:
            item = await send(value)
            try:
                send, value = generator.asend, await _without_lock(item, run)
            except BaseException as e:
                send, value = generator.athrow, e
    except StopAsyncIteration:
        return None
    except Return as result:
        return result.value


# ---- results ----


async def own(value):
    """What a method's own code comes to, the lock kept but where it yields."""
    return await _await(value, current_run()) if _is_awaitable(value) else value


def settle(value):
    """A coroutine that gives what a method's result comes to."""
    return own(value) if isinstance(value, AsyncGeneratorType) else _come_to(value)


async def within(method, value):
    """The same while the message is handled, in Actor.__on_receive__: what is the method's own
    code keeps the lock, and it is held again at the end."""
    if type(value) is not tuple and is_pending(value) and holds_lock(method):
        value = await own(value)
    return await _without_lock(value, current_run()) if is_pending(value) else value


# ---- batches ----


async def _one(value):
    value = await own(value) if type(value) is not tuple else value
    return await _come_to(value)


async def settle_rest(results, value, method, pairs):
    """A batch's results from the first on that has to be awaited: one call after the other."""
    results.append(await _one(value))
    for args, kwargs in pairs[len(results) :]:
        results.append(await _one(method(*args, **(kwargs or {}))))
    return results


async def _call_each(method, pairs):
    return [await _one(method(*args, **(kwargs or {}))) for args, kwargs in pairs]


def call_batch(method, args_list, kwargs_list):
    """What a batch's calls give, or a coroutine for it: by the batch version or the single one."""
    pairs = list(zip(args_list, kwargs_list))
    many = getattr(method, "_xo_many", None)
    return _call_each(method, pairs) if many is None else many(pairs)
