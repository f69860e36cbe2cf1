"""How values that are wrong look in the errors that name them."""

_MOST = 200  # characters


def shown(value):
    """The value's repr; of a long one, its beginning and how long it is."""
    text = repr(value)
    if len(text) <= _MOST:
        return text
    return f"{text[:_MOST]}... ({len(text)} characters)"
