"""Image formats that other installed packages add; see docs/plugins.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from convcli.core.plugins import FORMATS, Plugin, PluginError, plugins
from convcli.formats.entry import Entry

if TYPE_CHECKING:
    from convcli.formats.base import Format


def added_entries() -> Iterator[Entry]:
    """The entries of all packages, without those that cannot be loaded."""
    for plugin in plugins(FORMATS):
        try:
            yield _entry(plugin)
        except PluginError:
            continue


def added_named(name: str) -> Format | None:
    """The format of a name, or whose first suffix it is; None if no package adds one.

    Raises:
        PluginError: it cannot be loaded.
    """
    for plugin in plugins(FORMATS):
        if plugin.name.casefold() == name:
            return _format(plugin)
    return next((_format(one) for one in _usable() if _entry(one).suffixes[0] == f".{name}"), None)


def added_of_suffix(suffix: str) -> Format | None:
    """The format that writes files of this suffix."""
    found = (_format(plugin) for plugin in _usable() if suffix in _entry(plugin).suffixes)
    return next((one for one in found if one.writable), None)


def added_recognized(head: bytes) -> Format | None:
    """The format of a file that starts with these bytes."""
    for plugin in _usable():
        if re.match(_entry(plugin).signature, head) and _format(plugin).sniff(head):
            return _format(plugin)
    return None


def added_problems() -> list[str]:
    """What is wrong with formats that cannot be loaded."""
    problems = []
    for plugin in plugins(FORMATS):
        try:
            _entry(plugin)
        except PluginError as error:
            problems.append(str(error))
    return problems


def _usable() -> Iterator[Plugin]:
    for plugin in plugins(FORMATS):
        try:
            _entry(plugin)
        except PluginError:
            continue
        yield plugin


@cache
def _entry(plugin: Plugin) -> Entry:
    entry: Entry = plugin.checked(plugin.load(), (Entry,), "a convcli.formats.entry.Entry")
    if not entry.suffixes or not entry.signature:
        raise plugin.failure("states no suffixes, or no signature")
    return entry


@cache
def _format(plugin: Plugin) -> Format:
    """The format; its module is imported."""
    from convcli.formats.base import Format

    entry = _entry(plugin)
    module, _, kind = entry.path.partition(":")
    try:
        made = getattr(import_module(module), kind)(entry.name, entry.suffixes)
    except Exception as error:
        raise plugin.failure(f"cannot be loaded ({type(error).__name__}: {error})") from error
    loaded: Format = plugin.checked(made, (Format,), "a subclass of convcli.formats.base.Format")
    return loaded
