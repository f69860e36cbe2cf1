"""Exceptions on the wire: what a method raised, told to the caller and made anew there.

The exception arrives as its own type: as an instance of a subclass of it that has the same name and
module, whose text begins with where it happened, and whose cause is the remote traceback.
"""
import weakref

from . import _pickle, errors

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


def describe(exception):
    """(message, type, traceback, pickle or b"") of an exception, for the error that goes out."""
    cls = _plain_class(exception)
    return (
        _text(exception),
        f"{cls.__module__}.{cls.__qualname__}",
        _traceback(exception),
        _pickled(exception),
    )


# ---- dressing ----

_dressed_classes = weakref.WeakKeyDictionary()


def _dress_class(cls):
    def __str__(self):
        return f"{self._xo_where} {cls.__str__(self)}"

    def __reduce_ex__(self, protocol):
        func, args, *rest = cls.__reduce_ex__(self, protocol)
        args = tuple(cls if arg is type(self) else arg for arg in args)
        if rest and isinstance(rest[0], dict):
            rest[0] = {k: v for k, v in rest[0].items() if k != "_xo_where"} or None
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


def _dressed_class(cls):
    dressed = _dressed_classes.get(cls)
    if dressed is None:
        dressed = _dressed_classes[cls] = _dress_class(cls)
    return dressed


def _rebuild(exception, dressed):
    """The exception as an instance of `dressed`, made as unpickling makes it."""
    cls = type(exception)
    func, args, *rest = exception.__reduce_ex__(4)
    if func is cls:
        new = dressed(*args)
    elif args and args[0] is cls:
        new = func(dressed, *args[1:])
    else:
        raise TypeError("made in a way of its own")
    state = rest[0] if rest else None
    if state and hasattr(new, "__setstate__"):
        new.__setstate__(state)
    return new


def _dress(exception, where, traceback):
    cause = RemoteTraceback(f"{where}\n{traceback}")
    try:
        new = _rebuild(exception, _dressed_class(type(exception)))
        new._xo_where = where
    except Exception:  # no subclass, no attribute, another signature: as it is, then
        new = exception
    try:
        new.__cause__ = cause
    except Exception:
        pass
    return new


def _where(f):
    return f"[address={f['address']}, pid={f['pid']}]"


def _method_error(f):
    where = _where(f)
    if f["exception"]:
        try:
            exception = _pickle.loads(f["exception"], ())
        except Exception:
            exception = None
        if isinstance(exception, BaseException):
            return _dress(exception, where, f["traceback"])
    name = f["type"] or "the method failed"
    text = f"{where} {name}: {f['message']}"
    error = RuntimeError(f"{text}\n{f['traceback']}" if f["traceback"] else text)
    return error


def _server_closed(f, text):
    return errors.ServerClosed(text, f["reason"], f["address"], f["executed"] or "maybe")


def _timeout(f, text):
    import asyncio

    return asyncio.TimeoutError(text)


def _cancelled(f, text):
    import asyncio

    return asyncio.CancelledError(text)


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
    "SendMessageFailed": _simple(errors.SendMessageFailed),
    "Refused": _simple(ValueError),
}


def failure(f):
    """The exception for an error's fields (a dict of doc/wire.md's "Errors"; none is missing)."""
    if f["code"] == "MethodError":
        return _method_error(f)
    text = f["message"] or f["reason"] or f["code"]
    if f["pid"] and f["address"]:
        text = f"{_where(f)} {text}"
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


def not_accepted(text):
    """A tell that became a dead letter."""
    return errors.ServerClosed(f"the message was not delivered: {text}", text, "", "no")


def no_broker(address):
    raise errors.ServerClosed(
        f"the pool at {address} has no link to its broker", "no broker", address, "no"
    )
