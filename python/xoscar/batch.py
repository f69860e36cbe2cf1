"""Batch methods: many calls of one method in one message."""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class _Delay:
    """A delayed call of a method of this very object; see _Bound.batch."""

    __slots__ = ("name", "args", "kwargs")

    def __init__(self, name, args, kwargs):
        self.name, self.args, self.kwargs = name, args, kwargs


class _Bound:
    """An extensible method of an object."""

    __slots__ = ("_self", "_wrapper")

    def __init__(self, instance, wrapper):
        self._self, self._wrapper = instance, wrapper

    @property
    def __name__(self):
        return self._wrapper.__name__

    @property
    def __doc__(self):
        return self._wrapper.__doc__

    @property
    def _xo_holds_lock(self):
        return self._wrapper.is_async

    @property
    def _xo_many(self):
        """What takes a list of (args, kwargs or None), if there is a batch version."""
        return None if self._wrapper.many is None else self._many

    def _many(self, pairs):
        args_list = [args for args, _ in pairs]
        kwargs_list = [kwargs or {} for _, kwargs in pairs]
        return self._wrapper.many(self._self, args_list, kwargs_list)

    def __call__(self, *args, **kwargs):
        wrapper = self._wrapper
        if wrapper.many is None:
            return wrapper.single(self._self, *args, **kwargs)
        if wrapper.is_async:
            return self._call_async(args, kwargs)
        try:
            return wrapper.single(self._self, *args, **kwargs)
        except NotImplementedError:
            return self._alone(wrapper.many(self._self, [args], [kwargs]))

    def _alone(self, results):
        if hasattr(results, "__await__"):
            return self._await_alone(results)
        return None if results is None else results[0]

    async def _await_alone(self, results):
        return self._alone(await results)

    async def _call_async(self, args, kwargs):
        try:
            result = self._wrapper.single(self._self, *args, **kwargs)
            return await result if hasattr(result, "__await__") else result
        except NotImplementedError:
            result = self._alone(self._wrapper.many(self._self, [args], [kwargs]))
            return await result if hasattr(result, "__await__") else result

    def bind(self, *args, **kwargs):
        """The arguments as a named tuple, defaults filled in."""
        return self._wrapper.bind(args, kwargs)

    def delay(self, *args, **kwargs):
        """A call for batch()."""
        return _Delay(self._wrapper.__name__, args, kwargs)

    def batch(self, *delays):
        """The results of delayed calls of this method, as its batch version or else its single
        one gives them; to be awaited if the method is async."""
        if any(d.name != self._wrapper.__name__ for d in delays):
            raise ValueError("all calls of a batch are of one method")
        pairs = [(d.args, d.kwargs) for d in delays]
        if self._wrapper.many is not None:
            return self._many(pairs)
        results = [self(*args, **kwargs) for args, kwargs in pairs]
        if not self._wrapper.is_async:
            return results
        from .core import settle_each

        return settle_each(results)


class _ExtensibleWrapper:
    """What @extensible makes of a method: single calls, batches and bind."""

    def __init__(self, single):
        from types import FunctionType

        self.single, self.many = single, None
        self.__name__, self.__doc__ = single.__name__, single.__doc__
        self.__wrapped__ = single
        self._tuple = None
        code = single.__code__ if isinstance(single, FunctionType) else None
        self.is_async = bool(code and code.co_flags & 0x80)  # CO_COROUTINE

    def batch(self, many):
        """Decorator: ``many(self, args_list, kwargs_list)`` handles a whole batch."""
        new = _ExtensibleWrapper(self.single)
        new.__dict__.update({k: v for k, v in vars(self).items() if k.startswith("_xoscar")})
        new.many = many
        new.is_async = new.is_async or bool(
            getattr(getattr(many, "__code__", None), "co_flags", 0) & 0x80
        )
        return new

    def __get__(self, instance, owner):
        return self if instance is None else _Bound(instance, self)

    def __call__(self, instance, *args, **kwargs):
        return _Bound(instance, self)(*args, **kwargs)

    def bind(self, args, kwargs):
        if self._tuple is None:
            self._tuple = _named_tuple(self.single)
        signature, make = self._tuple
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return make(*bound.arguments.values())

    def __getstate__(self):  # what a pickle by value must not hold is made anew
        return {**vars(self), "_tuple": None}


def _named_tuple(function):
    import inspect
    from collections import namedtuple

    parameters = list(inspect.signature(function).parameters.values())[1:]
    signature = inspect.Signature(parameters)
    names = [p.name for p in parameters]
    return signature, namedtuple(f"{function.__name__}_args", names, rename=True)


def extensible(func: Callable[..., Any]) -> _ExtensibleWrapper:
    """Decorate a method that can be called in batches.

    ``@method.batch`` adds a version that handles a whole batch; the single one may then raise
    NotImplementedError, and single calls go to the batch version.

    Parameters
    ----------
    func : function
        The method for single calls, ``def`` or ``async def``.

    Returns
    -------
    _ExtensibleWrapper
        The method, with ``batch``, a decorator for ``method(self, args_list, kwargs_list)`` that
        returns a list of results.
    """
    return _ExtensibleWrapper(func)
