"""Exceptions made anew as they were, without running a constructor of their class's again.

Python's own pickles of an exception call its class with ``args``, which a constructor of the user's
may not take, or makes something else of. Where a class has such a constructor, and no protocol of
its own, its base among the built-in ones makes the new object, and what it held is put into it.
"""
import builtins
import contextlib
import functools
from types import (
    BuiltinFunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    WrapperDescriptorType,
)

_PROTOCOL = (
    "__reduce__",
    "__reduce_ex__",
    "__getnewargs__",
    "__getnewargs_ex__",
    "__getstate__",
    "__setstate__",
)
_GROUP = getattr(builtins, "BaseExceptionGroup", ())  # from Python 3.11 on
put = BaseException.__setattr__  # also where the user's class is frozen
_NOT_SENT = ("args", "obj")  # `obj`: what lacked an attribute; Python's pickles leave it out, too


def _base(cls):
    """The first built-in exception that it derives from."""
    return next(c for c in cls.__mro__ if c.__module__ == "builtins")


def _is_of_python(cls, name, of_c):
    found = getattr(cls, name)
    return found is not getattr(_base(cls), name) and not isinstance(found, of_c)


def needs_help(cls):
    """Is it an exception of whose instances Python's own pickles are not to be relied on?"""
    if not issubclass(cls, BaseException):
        return False
    own = cls.__mro__[: cls.__mro__.index(_base(cls))]
    if any(name in vars(c) for c in own for name in _PROTOCOL):
        return False
    return _is_of_python(cls, "__init__", WrapperDescriptorType) or _is_of_python(
        cls, "__new__", BuiltinFunctionType
    )


@functools.lru_cache(256)
def _members(cls):
    """What its instances hold outside of __dict__: slots, and what built-in exceptions have."""
    kinds = (MemberDescriptorType, GetSetDescriptorType)
    names = [n for c in cls.__mro__ for n, v in vars(c).items() if isinstance(v, kinds)]
    return [n for n in names if n != "args" and not n.startswith("__")]


def parts(exception):
    """(args for the constructor of the built-in base, its own args, __dict__, members)"""
    cls = type(exception)
    _, args, *_ = _base(cls).__reduce__(exception)
    if isinstance(exception, _GROUP):  # what its own constructor took has become its args
        args = exception.message, exception.exceptions
    held = {}
    for name in _members(cls):
        with contextlib.suppress(AttributeError, TypeError):  # not set
            held[name] = getattr(exception, name)
    return args, exception.args, vars(exception), held


def remake(cls, args):
    """An instance of `cls` for which only the constructor of its built-in base has run."""
    base = _base(cls)
    new = base.__new__(cls, *args)
    with contextlib.suppress(TypeError):  # which its own constructor has not run, either
        base.__init__(new, *args)
    return new


def restore(new, state):
    """Puts (args, __dict__, members) into it."""
    args, attributes, held = state
    put(new, "args", args)
    for name, value in held.items():
        if getattr(new, name, new) is not value:  # an OSError shows a filename set to None
            with contextlib.suppress(AttributeError, TypeError):  # not to be set
                put(new, name, value)
    vars(new).update(attributes)


def reduce(exception):
    """As __reduce_ex__, of an exception whose class needs help."""
    args, own_args, attributes, held = parts(exception)
    held = {n: v for n, v in held.items() if n not in _NOT_SENT and v is not None}
    state = own_args, attributes, held
    return remake, (type(exception), args), state, None, None, restore
