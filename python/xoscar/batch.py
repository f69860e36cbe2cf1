"""Batch methods: many calls of one method in one message."""
from __future__ import annotations

from types import MethodType

from ._settle import call_batch, holds_lock, is_pending, own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class _Delay:
    """A delayed call of a method of this very object; see _Bound.batch."""

    __slots__ = ("name", "args", "kwargs")

    def __init__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs


class _Bound:
    """An extensible method of an object."""

    __slots__ = ("_self", "_wrapper")

    def __init__(self, instance: Any, wrapper: _ExtensibleWrapper) -> None:
        self._self, self._wrapper = instance, wrapper

    @property
    def __name__(self) -> str:
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

    @property
    def _xo_single(self):
        """What a call comes to where there is no batch version."""
        return MethodType(self._wrapper.single, self._self)

    def _many(self, pairs):
        args_list = [args for args, _ in pairs]
        kwargs_list = [kwargs or {} for _, kwargs in pairs]
        return self._wrapper.many(self._self, args_list, kwargs_list)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        wrapper = self._wrapper
        if wrapper.many is None:
            return wrapper.single(self._self, *args, **kwargs)
        if wrapper.is_async:
            return self._call_async(args, kwargs)
        try:
            return wrapper.single(self._self, *args, **kwargs)
        except NotImplementedError:
            return self._alone(self._many([(args, kwargs)]))

    def _alone(self, results):
        if is_pending(results):
            return self._await_alone(results)
        return self._first(results)

    def _first(self, results):
        if results is None:
            return None
        if len(results) != 1:
            raise ValueError(
                f"the batch version of {self.__name__} gave {len(results)} results for one call"
            )
        return results[0]

    async def _await_alone(self, results):
        return self._first(await own(results))

    async def _call_async(self, args, kwargs):
        try:
            return await own(self._wrapper.single(self._self, *args, **kwargs))
        except NotImplementedError:
            return await self._await_alone(self._many([(args, kwargs)]))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Give the arguments of a call names.

        Parameters
        ----------
        *args, **kwargs
            As the method takes them.

        Returns
        -------
        tuple
            A named tuple of the arguments, defaults filled in.

        Raises
        ------
        TypeError
            If the method cannot be called so.
        """
        return self._wrapper._bind(args, kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> _Delay:
        """Make a call for ``batch``.

        Parameters
        ----------
        *args, **kwargs
            As the method takes them.

        Returns
        -------
        _Delay
        """
        return _Delay(self._wrapper.__name__, args, kwargs)

    def batch(self, *delays: _Delay) -> Any:
        """Call many times at once.

        Parameters
        ----------
        *delays
            Delayed calls of this method.

        Returns
        -------
        list
            What its batch version gives, or its single one where there is none; to be awaited if
            the method is async.

        Raises
        ------
        ValueError
            If one is of another method.
        """
        if any(d.name != self._wrapper.__name__ for d in delays):
            raise ValueError("all calls of a batch are of one method")
        if self._wrapper.many is None and not self._wrapper.is_async:
            return [self(*d.args, **d.kwargs) for d in delays]
        return call_batch(self, [d.args for d in delays], [d.kwargs for d in delays])


class _ExtensibleWrapper:
    """What @extensible makes of a method: single calls, batches and bind.

    Parameters
    ----------
    single : function
        The method for single calls.
    """

    def __init__(self, single: Callable[..., Any]) -> None:
        from functools import update_wrapper

        self.single = single
        self.many: Callable[..., Any] | None = None
        self._tuple = None
        update_wrapper(self, single)
        self.is_async = holds_lock(single)

    def batch(self, many: Callable[..., Any]) -> _ExtensibleWrapper:
        """Decorate the method's batch version.

        Parameters
        ----------
        many : function
            ``many(self, args_list, kwargs_list)`` handles a whole batch and returns a list of
            results. A checker of types that minds the second definition of the name wants
            ``# type: ignore[no-redef]``.

        Returns
        -------
        _ExtensibleWrapper
            The method with both versions.
        """
        new = _ExtensibleWrapper(self.single)
        new.__dict__.update({k: v for k, v in vars(self).items() if k.startswith("_xoscar")})
        new.many = many
        new.is_async = new.is_async or holds_lock(many)
        return new

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else _Bound(instance, self)

    def __call__(self, instance: Any, *args: Any, **kwargs: Any) -> Any:
        return _Bound(instance, self)(*args, **kwargs)

    def _bind(self, args, kwargs):
        if self._tuple is None:
            self._tuple = _named_tuple(self.single)
        signature, make = self._tuple
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return make(*bound.arguments.values())

    def __getstate__(self) -> dict[str, Any]:  # what a pickle by value must not hold is made anew
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
