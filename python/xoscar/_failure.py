"""Exceptions on the wire: what a method raised, told to the caller and made anew there.

The exception arrives as its own type: as an instance of a subclass of it that has the same name and
module, whose text begins with where it happened, and whose cause is the remote traceback.
"""
import functools
import os
import re

from . import _pickle, _remake, errors

_MAX_TEXT = 1 << 20  # characters of a message or traceback; longer ones lose their middle


class RemoteTraceback(Exception):
    """The traceback of an exception, as text of the process in which it was raised."""

    def __str__(self):
        return "\n" + self.args[0]


def _cut(text):
    if len(text) <= _MAX_TEXT:
        return text
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n... {len(text) - _MAX_TEXT} characters left out ...\n{text[-half:]}"


def _plain_class(exception):
    """The class that a dressed exception was, or its own."""
    return getattr(type(exception), "_xo_plain", None) or type(exception)


def _text(exception):
    try:
        return _cut(str(exception))
    except Exception as e:  # a __str__ that fails must not hide the error
        return f"<str() of it failed: {type(e).__name__}>"


def _traceback(exception):
    import traceback

    try:
        lines = traceback.format_exception(type(exception), exception, exception.__traceback__)
        return _cut("".join(lines))
    except Exception:
        return f"{type(exception).__name__}: {_text(exception)}\n"


def _pickled(exception):
    try:
        return _pickle.dumps_whole(exception)
    except Exception:
        return b""


def _stopped_in(exception):
    """Where the method was that was cancelled, in its own code: what it was waiting for."""
    import asyncio
    import traceback

    others = (os.path.dirname(asyncio.__file__), os.path.dirname(__file__))
    try:
        frames = traceback.extract_tb(exception.__traceback__)
        frame = [one for one in frames if not one.filename.startswith(others)][-1]
        line = f"{os.path.basename(frame.filename)}, line {frame.lineno}"
        return f"stopped in {frame.name} ({line}): {frame.line}"
    except Exception:
        return "the method was cancelled"


def describe(exception):
    """(message, type, traceback, pickle or b"") of an exception, for the error that goes out."""
    import asyncio

    cls = _plain_class(exception)
    if isinstance(exception, asyncio.CancelledError):
        return _stopped_in(exception), "", _traceback(exception), b""
    return (
        _text(exception),
        f"{cls.__module__}.{cls.__qualname__}",
        _traceback(exception),
        _pickled(exception),
    )


def _chain(exception, seen):
    """The exception and all that led to it, as its traceback shows them."""
    if exception is None or id(exception) in seen:
        return
    seen.add(id(exception))
    yield exception
    hidden = exception.__suppress_context__
    yield from _chain(exception.__cause__ or (None if hidden else exception.__context__), seen)
    members = getattr(exception, "exceptions", ())  # of an ExceptionGroup
    for member in members if isinstance(members, tuple) else ():
        if isinstance(member, BaseException):
            yield from _chain(member, seen)


def missed(exception):
    """The address of the pool whose absence led to the exception, or what else; "": nobody's."""
    for one in _chain(exception, set()):
        if isinstance(one, errors.ServerClosed):
            return str(one.address) or "a pool"
        if getattr(one, "_xo_unavailable", False):
            return "the registry"
    return ""


# ---- dressing ----

_WHERE = re.compile(r"\[address=\S+, pid=\d+\]")  # an exception on its way has it in front


def _undressed(attributes):
    return {name: value for name, value in attributes.items() if name != "_xo_where"}


@functools.lru_cache(256)
def _dressed_class(cls):
    """A subclass of the same name whose text begins with where the exception was raised."""
    helped = _remake.needs_help(cls)

    def __str__(self):
        return f"{self._xo_where} {cls.__str__(self)}"

    def __reduce_ex__(self, protocol):
        if helped:
            func, (_, args), (own, attributes, held), *rest = _remake.reduce(self)
            return (func, (cls, args), (own, _undressed(attributes), held), *rest)
        func, args, *rest = cls.__reduce_ex__(self, protocol)
        args = tuple(cls if arg is type(self) else arg for arg in args)
        if rest and isinstance(rest[0], dict):
            rest[0] = _undressed(rest[0]) or None
        return (cls if func is type(self) else func, args, *rest)

    return type(
        cls.__name__,
        (cls,),
        {
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
            "__str__": __str__,
            "__reduce_ex__": __reduce_ex__,
            "_xo_plain": cls,
        },
    )


def _clone(exception, dressed):
    """The exception as an instance of `dressed`, without the user's __init__, which has run."""
    args, *state = _remake.parts(exception)
    new = _remake.remake(dressed, args)
    _remake.restore(new, state)
    return new


def _dress(exception, where):
    """The same exception with where it was raised in its text; as it is if it has that, or if its
    class allows no subclass, or no attribute."""
    cls = type(exception)
    if hasattr(cls, "_xo_plain") or _WHERE.match(_text(exception)):
        return exception
    try:
        new = _clone(exception, _dressed_class(cls))
        _remake.put(new, "_xo_where", where)
        for name in ("__traceback__", "__context__", "__cause__", "__suppress_context__"):
            _remake.put(new, name, getattr(exception, name))
        return new
    except Exception:
        return exception


def _where(address, pid):
    return f"[address={address}, pid={pid}]"


def dress_local(exception, address):
    """What the caller in the pool at `address` itself gets for an exception of a method there."""
    return _dress(exception, _where(address, os.getpid()))


def _class_named(name):
    """The class of an error's `type`, if it is one of Python's own or the package's."""
    import builtins

    module, _, name = name.rpartition(".")
    found = getattr({"builtins": builtins, "xoscar.errors": errors}.get(module), name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _made_by_name(name, text):
    """The exception as far as its class's name and its text go; None for a class of a user's."""
    cls = _class_named(name)
    try:
        if cls is KeyError:  # whose text is the repr of the key
            import ast

            text = ast.literal_eval(text)
        return cls and cls(text)
    except Exception:
        return None


def _made_anew(f, text):
    if f["exception"]:
        try:
            return _pickle.loads(f["exception"], ())
        except Exception:
            pass
    return _made_by_name(f["type"], text)


def _method_error(f):
    where, message = _where(f["address"], f["pid"]), f["message"]
    first = _WHERE.match(message)  # it has come through several pools: where it was raised
    cause = RemoteTraceback(f"{where}\n{f['traceback']}")
    exception = _made_anew(f, message[first.end() :].lstrip() if first else message)
    if isinstance(exception, BaseException):
        new = _dress(exception, first.group() if first else where)
        _remake.put(new, "__cause__", cause)
        return new
    text = f"{f['type'] or 'the method failed'}: {message}"
    if not first:
        text = f"{where} {text}"
    return RuntimeError(f"{text}\n{f['traceback']}" if f["traceback"] else text)


# Whether trying again could do something twice, as libxo says it.
_CONSEQUENCES = {"maybe": "; the method may have run", "ran": "; the method ran"}


def _server_closed(f, text):
    if f["reason"] not in text:
        text = f"{text} ({f['reason']})"
    text += _CONSEQUENCES.get(f["executed"], "")
    return errors.ServerClosed(text, f["reason"], f["address"], f["executed"] or "maybe")


def _timeout(f, text):
    import asyncio

    return asyncio.TimeoutError(text)


def _cancelled(f, text):
    import asyncio

    return asyncio.CancelledError(text)


def _send_failed(f, text):
    cls = _class_named(f["type"])
    failed = errors.SendMessageFailed
    return (cls if cls and issubclass(cls, failed) else failed)(text)


def _unavailable(f, text):
    error = errors.XoscarError(text)
    error._xo_unavailable = True  # see missed
    return error


def _simple(cls):
    return lambda f, text: cls(text)


_by_code = {
    "ActorNotExist": _simple(errors.ActorNotExist),
    "ActorAlreadyExist": _simple(errors.ActorAlreadyExist),
    "NoSuchMethod": _simple(AttributeError),
    "NoSuchClass": _simple(ImportError),
    "ServerClosed": _server_closed,
    "DeadlineExceeded": _timeout,
    "Cancelled": _cancelled,
    "SendMessageFailed": _send_failed,
    "PickleRefused": _simple(errors.PickleRefused),
    "Refused": _simple(ValueError),
    "Unavailable": _unavailable,
}


def failure(f):
    """The exception for an error's fields (a dict of doc/wire.md's "Errors"; none is missing)."""
    if f["code"] == "MethodError":
        return _method_error(f)
    text = f["message"] or f["reason"] or f["code"]
    if f["pid"] and f["address"]:
        text = f"{_where(f['address'], f['pid'])} {text}"
    make = _by_code.get(f["code"], _simple(errors.XoscarError))
    error = make(f, text)
    if f["traceback"]:
        error.__cause__ = RemoteTraceback(f["traceback"])
    return error


# ---- errors of this process ----


def local_error(errnum, text):
    """The exception for an errno and a sentence from the C library."""
    import errno

    unreachable = (
        errno.ENOTCONN,
        errno.EPIPE,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
    )
    if errnum == errno.EINVAL:
        return ValueError(text)
    if errnum in unreachable:
        return errors.ServerClosed(text, text, "", "no")
    return OSError(errnum, text)


def no_broker(address):
    raise errors.ServerClosed(
        f"the pool at {address} has no link to its broker", "no broker", address, "no"
    )
