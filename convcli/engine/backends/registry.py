"""Every backend by name.

A new backend is a module of this package that defines ``BACKEND``, and one name below.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from convcli.engine.backends.base import Backend

NAMES: Final[tuple[str, ...]] = ("threads",)
"""The first is the default."""


@cache
def backend_named(name: str) -> Backend:
    """The backend of one of the `NAMES`; its module is imported on first use."""
    backend: Backend = import_module(f"convcli.engine.backends.{name}").BACKEND
    return backend
