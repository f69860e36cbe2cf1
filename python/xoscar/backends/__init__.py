"""Pools: their configuration, creation, and where actors go in them."""
