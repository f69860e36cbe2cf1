"""Router: the names under which applications ask how this process reaches its pools.

Which lane a message takes is found by the two ends when they first talk. A Router only tells what
they would find on this machine; it decides nothing.
"""
from __future__ import annotations

import os

import _xo

from ..core import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_chosen: Router | None = None  # by set_instance


class Router:
    """What is known of the way to pools.

    Parameters
    ----------
    external_addresses : list of str
        The addresses of the process's pool; the first counts.
    local_address : str, optional
        Another name for the same: the lane endpoint on this machine.
    mapping : dict, optional
        external address -> what get_internal_address gives for it.
    comm_config, proxy_config : dict, optional
        Accepted: they have no meaning here.
    """

    def __init__(
        self,
        external_addresses: list[str],
        local_address: str | None = None,
        mapping: dict[str, str] | None = None,
        comm_config: dict[str, Any] | None = None,
        proxy_config: dict[str, Any] | None = None,
    ) -> None:
        self._external_addresses = list(external_addresses)
        self._local_address = local_address
        self._mapping = dict(mapping or {})

    @staticmethod
    def get_instance() -> Router | None:
        """The Router that was set, or one for this actor's pool, or else this loop's oldest.

        Returns
        -------
        Router or None
            None without any.
        """
        if _chosen is not None:
            return _chosen
        pool = _xo.home()
        return None if pool is None else Router([pool.address])

    @staticmethod
    def set_instance(router: Router | None) -> None:
        """Have get_instance give another one.

        Parameters
        ----------
        router : Router or None
            None: the loop's pool's again.
        """
        global _chosen
        _chosen = router

    @staticmethod
    def get_instance_or_empty() -> Router:
        """get_instance, or a Router without addresses.

        Returns
        -------
        Router
        """
        return Router.get_instance() or Router([])

    @property
    def external_address(self) -> str | None:
        """The "host:port" of the process's pool; None without any."""
        return self._external_addresses[0] if self._external_addresses else None

    def get_internal_address(self, external_address: str) -> str | None:
        """The lane endpoint on this machine of the pool at an address.

        Parameters
        ----------
        external_address : str
            "host:port", as the pool advertises it.

        Returns
        -------
        str or None
            "ipc://...", or None if no pool of this user's is there under this address.
        """
        if external_address in self._mapping:
            return self._mapping[external_address]
        if external_address == self.external_address and self._local_address:
            return self._local_address
        path = os.path.join(_xo.run_dir(), external_address)
        return f"ipc://{path}" if os.path.exists(path) else None


__all__ = ["Router"]
