"""Values as a header and buffers: what messages between pools are made of."""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def serialize(obj: Any, context: dict | None = None) -> tuple[tuple, list]:
    """A value as a header, which can be pickled, and buffers.

    Parameters
    ----------
    obj
        Any value that can be an argument of a call.
    context : dict, optional
        Accepted for compatibility; nothing needs it.

    Returns
    -------
    header : tuple
        To be handed to deserialize, in this process or another one.
    buffers : list of memoryview
        The value's large buffers, 64 KiB and more, without a copy: they change with the value.

    Raises
    ------
    SendMessageFailed
        It cannot be pickled.
    """
    from ._pickle import dumps

    data, buffers = dumps(obj)
    return (data,), [buffer.raw() for buffer in buffers]


def deserialize(serialized: tuple, buffers: list, context: dict | None = None) -> Any:
    """The value that serialize took apart.

    Parameters
    ----------
    serialized : tuple
        The header.
    buffers : list
        The buffers, or others with the same content. The value refers to them.
    context : dict, optional
        Accepted for compatibility; nothing needs it.

    Returns
    -------
    object
        Equal and of the same type.

    Raises
    ------
    ValueError
        The header is none of serialize's.
    SendMessageFailed
        The value cannot be made anew here.
    """
    from ._pickle import loads

    if not (isinstance(serialized, tuple) and len(serialized) == 1):
        raise ValueError("the header is none that serialize made")
    return loads(serialized[0], buffers)


__all__ = ["deserialize", "serialize"]
