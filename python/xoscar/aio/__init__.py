"""Asynchronous files."""
from .file import AioFileObject

__all__ = ["AioFileObject"]
