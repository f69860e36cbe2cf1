"""setup_cluster, which programs of xoscar call."""
from __future__ import annotations

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from typing import Dict


def setup_cluster(address_to_resources: Dict[str, Dict[str, float]]) -> None:
    """Accept what a program says about its nodes.

    There is nothing to set up: brokers find one another through the registry, and the allocation
    strategies ask them what pools there are.

    Parameters
    ----------
    address_to_resources : dict
        "host:port" of each node's main pool -> names of resources -> how much of them.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    import _xo

    if not isinstance(address_to_resources, dict):
        raise TypeError(f"setup_cluster takes a dict by addresses, not {address_to_resources!r}")
    for address, resources in address_to_resources.items():
        _xo.parse_address(address)
        if not isinstance(resources, dict):
            raise TypeError(f"the resources of {address} are a dict, not {resources!r}")
