"""Which pool of a node a new actor goes to: create_actor(..., allocate_strategy=...)."""


class AddressSpecified:
    """The pool with this address."""

    def __init__(self, address):
        self.address = address

    async def get_allocated_address(self, address):
        return self.address


class _FromConfig:
    """Strategies that choose among the pools of the node that was asked."""

    async def get_allocated_address(self, address):
        """The address of the pool that is chosen, of those of the node of ``address``."""
        from .config import read_config

        return self._choose(await read_config(address))

    def _one_of(self, addresses, what):
        import random

        if not addresses:
            raise IndexError(f"no pool {what}")
        return random.choice(addresses)


class MainPool(_FromConfig):
    """The main pool."""

    def _choose(self, config):
        return config.get_external_address(0)


class Random(_FromConfig):
    """Any pool."""

    def _choose(self, config):
        return self._one_of(config.get_external_addresses(), "at all")


class RandomSubPool(_FromConfig):
    """Any sub pool."""

    def _choose(self, config):
        return self._one_of(config.get_external_addresses()[1:], "but the main one")


class RandomLabel(_FromConfig):
    """Any pool with the label."""

    def __init__(self, label):
        self.label = label

    def _choose(self, config):
        return self._one_of(config.get_external_addresses(self.label), f"has label {self.label!r}")


class ProcessIndex(_FromConfig):
    """The pool with this index: 0 is the main pool, 1 the first sub pool."""

    def __init__(self, index):
        self.index = index

    def _choose(self, config):
        return config.get_external_addresses()[self.index]
