"""Readers of kernel files that other installed packages add; see docs/plugins.md."""

from __future__ import annotations

from functools import cache
from typing import cast

from convcli.core.plugins import KERNEL_READERS, Plugin, PluginError, plugins
from convcli.kernels.readers.base import Reader, ReaderModule


def added_readers(suffix: str = "") -> list[Reader]:
    """The readers of all packages, without those that cannot be loaded.

    Args:
        suffix: of a file that is read.

    Raises:
        PluginError: the reader that is named after the suffix cannot be loaded.
    """
    readers = []
    for plugin in plugins(KERNEL_READERS):
        try:
            readers.append(_loaded(plugin)[0])
        except PluginError:
            if suffix.casefold() == f".{plugin.name.casefold()}":
                raise
    return readers


def added_module(reader: Reader) -> ReaderModule | None:
    """The module of a reader that another package adds; None for those of convcli."""
    if reader.name in _BY_NAME:
        return _BY_NAME[reader.name]
    return None


_BY_NAME: dict[str, ReaderModule] = {}
"""The modules that were loaded, by the names of their readers."""


@cache
def _loaded(plugin: Plugin) -> tuple[Reader, ReaderModule]:
    """What the line of the registry would be, and the module, which has it as ``READER``."""
    module = plugin.load()
    reader: Reader = plugin.checked(getattr(module, "READER", None), (Reader,), "a module with a READER")
    needed = ("kernels" if reader.several else "read",)
    if not reader.suffixes or not all(callable(getattr(module, name, None)) for name in needed):
        raise plugin.failure(f"has no suffixes, or no function {needed[0]}")
    _BY_NAME[reader.name] = cast("ReaderModule", module)
    return reader, _BY_NAME[reader.name]
