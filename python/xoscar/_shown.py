"""How values that are wrong look in the errors that name them, and what an address is."""

_MOST = 200  # characters


def shown(value):
    """The value's repr; of a long one, its beginning and how long it is."""
    text = repr(value)
    if len(text) <= _MOST:
        return text
    return f"{text[:_MOST]}... ({len(text)} characters)"


def check_address(address):
    """The address of a pool; ValueError for what can be none."""
    import _xo

    if isinstance(address, str):
        if "://" in address or _xo.parse_address(address)[1]:
            return address
    raise ValueError(f'an address is a str, "host:port", not {shown(address)}')
