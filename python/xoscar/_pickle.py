"""Pickles of what is no plain value: protocol 5, large buffers out of band, __main__ by value.

What belongs to __main__ (in a process that multiprocessing spawned, __mp_main__), to a module that
was given to cloudpickle.register_pickle_by_value, or to none that the other side could import, goes
by value, through cloudpickle. Exceptions with constructors of their own: see _remake.
"""
import copyreg
import functools
import os
import sys
import weakref
import zlib
from _pickle import Pickler as _Pickler
from _pickle import loads as _loads
from operator import methodcaller

import _xo

from . import _remake
from .errors import PickleRefused, SendMessageFailed

_OUT_OF_BAND_BYTES = 64 << 10  # smaller buffers stay in the pickle (XO_INLINE_BYTES_MAX in msg.h)
_MAIN, _SPAWNED_MAIN = b"__main__", b"__mp_main__"
_MAINS = ("__main__", "__mp_main__")
_PROTOCOL = 5


def _cloudpickle():
    try:
        import cloudpickle
    except ImportError:
        raise SendMessageFailed(
            "what is defined in __main__ or inside a function goes by value, which needs the "
            "package cloudpickle: pip install cloudpickle"
        ) from None
    module = sys.modules.get("__mp_main__")
    if module is not None:  # cloudpickle does not know that nobody else can import that
        cloudpickle.register_pickle_by_value(module)
    return cloudpickle


def _registered():
    """The modules of which nothing goes by name, nor of those below them, as cloudpickle knows."""
    cloudpickle = sys.modules.get("cloudpickle")
    return () if cloudpickle is None else cloudpickle.list_registry_pickle_by_value()


def _names_by_value(data):
    if _MAIN in data or ("__mp_main__" in sys.modules and _SPAWNED_MAIN in data):
        return True
    names = _registered()
    return bool(names) and any(name.encode() in data for name in names)


class _Buffers(list):
    def place(self, buffer):
        """What pickle asks for each buffer: True keeps it in the pickle."""
        if buffer.raw().nbytes < _OUT_OF_BAND_BYTES:
            return True
        self.append(buffer)
        return False


# ---- by name: C's pickler ----


class _Reducers(dict):
    """type -> how its instances are reduced. The pickler runs no Python code for those of types
    that it has met."""

    registered = 0  # how many types copyreg knew then

    def __missing__(self, cls):
        if cls in copyreg.dispatch_table:
            return copyreg.dispatch_table[cls]
        if issubclass(cls, type):  # the pickler knows by itself
            raise KeyError(cls)
        reducer = self[cls] = _remake.reduce if _remake.needs_help(cls) else _REDUCE
        return reducer


_REDUCE = methodcaller("__reduce_ex__", _PROTOCOL)
_TYPES_MOST = 4096
_reducers = _Reducers()


class _CPickler(_Pickler):
    __slots__ = ()
    dispatch_table = _reducers


class _Parts(list):
    """What a pickler writes."""

    __slots__ = ()
    write = list.append


def _dump_by_name(value, place):
    if _reducers.registered != len(copyreg.dispatch_table) or len(_reducers) > _TYPES_MOST:
        _reducers.clear()
        _reducers.registered = len(copyreg.dispatch_table)
    parts = _Parts()
    _CPickler(parts, _PROTOCOL, True, place).dump(value)
    return parts[0] if len(parts) == 1 else b"".join(parts)


# ---- by value: cloudpickle ----


@functools.lru_cache(1)
def _by_value_pickler(cloudpickle):
    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, thing):
            cls = type(thing)
            if cls not in copyreg.dispatch_table and _remake.needs_help(cls):
                return _remake.reduce(thing)
            return super().reducer_override(thing)

    return Pickler


def _dump_by_value(value, place=None):
    import io

    file = io.BytesIO()
    pickler = _by_value_pickler(_cloudpickle())
    pickler(file, protocol=_PROTOCOL, buffer_callback=place).dump(value)
    return file.getvalue()


# ---- one or the other ----


def _dump(value, buffers=None):
    """The pickle's bytes. By C's pickler if that can do it and nothing in it is to go by value."""
    place = None if buffers is None else buffers.place
    try:
        data = _dump_by_name(value, place)
        if not _names_by_value(data):
            return data
    except Exception:
        pass
    if buffers is not None:
        buffers.clear()
    try:
        return _dump_by_value(value, place)
    except SendMessageFailed:
        raise
    except Exception as e:
        place, what = _culprit(value)
        raise SendMessageFailed(
            f"{type(what).__name__}{place} cannot be pickled: {type(e).__name__}: {e}"
        ) from e


_CULPRIT_LEVELS = 8  # of containers, in the search for what cannot be pickled


def _items(value):
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


def _can_be_pickled(value):
    try:
        _dump_by_value(value)
    except Exception:
        return False
    return True


def _culprit(value, place="", levels=_CULPRIT_LEVELS):
    """(where, what) in a value cannot be pickled, as far as lists, tuples and dicts lead to it."""
    if levels:
        for key, item in _items(value):
            if not _can_be_pickled(item):
                return _culprit(item, f"{place}[{key!r}]", levels - 1)
    return (f" (at {place})" if place else ""), value


# ---- codec = msgpack ----

_SCALARS = frozenset((type(None), bool, int, float, complex, str, bytes))
_CONTAINERS = frozenset((list, tuple, dict, set, frozenset))
_PLAIN_SAID = (
    "send plain values (None, bool, int, float, complex, str, bytes, list, tuple, dict, set, "
    "frozenset, references), of an array its tobytes()"
)


def _not_plain(value, place="", levels=_CULPRIT_LEVELS):
    """(where, what) in a value is of a type that needs a pickle; None: nothing that is seen."""
    kind = type(value)
    if kind in _SCALARS or isinstance(value, _xo.ActorRef):
        return None
    if kind not in _CONTAINERS:
        return (f" (at {place})" if place else ""), value
    items = enumerate(value) if kind in (set, frozenset) else _items(value)
    for key, item in items if levels else ():
        found = _not_plain(item, f"{place}[{key!r}]", levels - 1)
        if found is not None:
            return found
    return None


def _refusal(value):
    found = _not_plain(value)
    if found is None:
        what = (
            "what is sent holds one list, dict or set twice, text that is no UTF-8, or containers "
            "that are nested too deeply: it"
        )
    else:
        what = f"{type(found[1]).__module__}.{type(found[1]).__qualname__}{found[0]}"
    return PickleRefused(f"{what} would need a pickle, and codec = msgpack is set: {_PLAIN_SAID}")


def plain_create(what):
    """(args, kwargs or None) of a create request for a class that goes by its name."""
    cls, args, kwargs = what[:3]
    if _goes_by_value(cls):
        raise PickleRefused(
            f"class {cls.__module__}.{cls.__qualname__} would need a pickle, and codec = msgpack "
            "is set: define it at the top of a module that the pools can import"
        )
    return args, kwargs or None


# ---- what others use ----


def dumps(value):
    """(bytes, list of buffers)"""
    if _xo.refuses_pickle():
        raise _refusal(value)
    buffers = _Buffers()
    return _dump(value, buffers), buffers


def dumps_whole(value):
    """Bytes that hold everything."""
    if _xo.refuses_pickle():
        raise _refusal(value)
    return _dump(value)


def loads(data, buffers):
    """What was pickled; SendMessageFailed if it cannot be made anew here."""
    if _xo.refuses_pickle():  # libxo has refused it, but for what came within something else
        raise PickleRefused(
            f"what arrived in process {os.getpid()} is a pickle, which codec = msgpack keeps out: "
            f"{_PLAIN_SAID}"
        )
    try:
        return _loads(data, buffers=buffers)
    except Exception as e:
        raise SendMessageFailed(
            f"what arrived in process {os.getpid()} cannot be unpickled there: "
            f"{type(e).__name__}: {e}"
        ) from e


# ---- classes by value ----
#
# cloudpickle takes a millisecond for a class, so what it made is kept as long as nothing that it
# looked at has changed.


class _ByValue:
    """Stands for a class in a pickle. The text is compressed: it must not read as __main__'s."""

    __slots__ = ("blob",)

    def __init__(self, blob):
        self.blob = blob

    def __reduce__(self):
        return class_of, (self.blob,)


_KEPT = 256
_classes = {}  # blob -> class


def class_of(blob):
    """The class that a _ByValue stands for."""
    cls = _classes.get(blob)
    if cls is None:
        cls = _loads(zlib.decompress(blob))
        if len(_classes) >= _KEPT:
            _classes.pop(next(iter(_classes)))
        _classes[blob] = cls
    return cls


def _is_by_value(module):
    if module in _MAINS:
        return True
    names = _registered()
    return bool(names) and any(f"{module}.".startswith(f"{name}.") for name in names)


def _goes_by_value(cls):
    if _is_by_value(cls.__module__) or "<locals>" in cls.__qualname__:
        return True
    found = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is not cls


_MISSING = object()
_NOT_STATE = ("__dict__", "__weakref__", "__doc__", "__module__")


class _Snapshot:
    """What a class by value depends on, as far as names lead: is it still the same?"""

    def __init__(self, cls):
        self.seen = set()
        self.sizes = []  # (namespace, how many names)
        self.names = []  # (namespace, name, value)
        self._class(cls)
        del self.seen

    def _new(self, thing):
        if id(thing) in self.seen:
            return False
        self.seen.add(id(thing))
        return True

    def _name(self, space, name, value):
        self.names.append((space, name, value))
        self._value(value)

    def _class(self, cls):
        if not _is_by_value(cls.__module__) and "<locals>" not in cls.__qualname__:
            return
        if not self._new(cls):
            return
        for base in cls.__bases__:
            self._class(base)
        space = vars(cls)
        self.sizes.append((space, len(space)))
        for name, value in list(space.items()):
            if name not in _NOT_STATE:
                self._name(space, name, value)

    def _value(self, value):
        for inner in ("__func__", "fget", "fset", "__wrapped__", "single", "many"):
            found = getattr(value, inner, None) if not isinstance(value, type) else None
            if hasattr(found, "__code__"):
                self._function(found)
        if isinstance(value, type):
            self._class(value)
        elif hasattr(value, "__code__") and hasattr(value, "__globals__"):
            self._function(value)

    def _function(self, function):
        if not _is_by_value(function.__module__) or not self._new(function):
            return
        self._code(function.__code__, function.__globals__)
        for cell in function.__closure__ or ():
            try:
                self._value(cell.cell_contents)
            except ValueError:
                pass

    def _code(self, code, space):
        for name in code.co_names:
            if name in space:
                self._name(space, name, space[name])
        for const in code.co_consts:
            if hasattr(const, "co_names"):
                self._code(const, space)

    def holds(self):
        return all(len(space) == size for space, size in self.sizes) and all(
            space.get(name, _MISSING) is value for space, name, value in self.names
        )


_by_value = weakref.WeakKeyDictionary()  # class -> (_Snapshot, _ByValue)


def _class_by_value(cls):
    kept = _by_value.get(cls)
    if kept is not None and kept[0].holds():
        return kept[1]
    try:
        data = _dump_by_value(cls)
    except SendMessageFailed:
        raise
    except Exception as e:
        raise SendMessageFailed(
            f"class {cls.__qualname__} cannot be pickled: {type(e).__name__}: {e}"
        ) from e
    value = _ByValue(zlib.compress(data, 1))
    _by_value[cls] = _Snapshot(cls), value
    return value


def portable_create(what):
    """(class, args, kwargs) of a create request, as it can be pickled."""
    cls, args, kwargs = what[:3]
    return _class_by_value(cls) if _goes_by_value(cls) else cls, args, kwargs or {}
