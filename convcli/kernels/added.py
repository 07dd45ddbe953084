"""Presets and families that other installed packages add; see docs/plugins.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from convcli.core.plugins import PRESETS, Plugin, PluginError, plugins
from convcli.kernels.bank import KernelSet
from convcli.kernels.families.base import Family
from convcli.kernels.kernel import Kernel
from convcli.kernels.presets import plain

_NAME: Final = re.compile(r"[\w\s.-]+")
"""What may be a name, unlike expressions, for which packages are not looked at."""

_ALLOWED: Final = "a Kernel, a Family, or a function without arguments that returns a Kernel"


def added_names(text: str) -> list[str]:
    """The names of presets and families of other packages, which are not loaded; none for an expression."""
    is_name = _NAME.fullmatch(text.partition(":")[0])
    return [plugin.name for plugin in plugins(PRESETS)] if is_name else []


def added_preset(name: str, arguments: str) -> Kernel | KernelSet | None:
    """The preset of this name, or the kernel of a family; None if no package adds one.

    Args:
        arguments: what follows the colon of a family.

    Raises:
        PluginError: it cannot be loaded, or is no preset.
        KernelError: the family refuses the arguments.
    """
    if not _NAME.fullmatch(name):
        return None
    for plugin in plugins(PRESETS):
        if plain(plugin.name) == plain(name):
            loaded = _loaded(plugin)
            if isinstance(loaded, Family):
                full = f"{plugin.name}:{arguments}" if arguments else plugin.name
                return loaded.build(full, arguments.split(",") if arguments else [])
            return None if arguments else loaded
    return None


def added_families() -> Iterator[tuple[str, Family]]:
    """Each family with its package; those that cannot be loaded are left out, and listed as presets."""
    for plugin in plugins(PRESETS):
        try:
            loaded = _loaded(plugin)
        except PluginError:
            continue
        if isinstance(loaded, Family):
            yield plugin.package, loaded


def added_presets() -> Iterator[tuple[str, str, Kernel | str]]:
    """Name, package and kernel of each preset; in place of one that cannot be loaded, the error's text."""
    for plugin in plugins(PRESETS):
        try:
            loaded = _loaded(plugin)
        except PluginError as error:
            yield plugin.name, plugin.package, str(error)
            continue
        if isinstance(loaded, Kernel):
            yield plugin.name, plugin.package, loaded


def _loaded(plugin: Plugin) -> Kernel | Family:
    """The kernel under its name, or the family.

    Raises:
        PluginError: it cannot be loaded, or is something else.
    """
    value: Any = plugin.load()
    if callable(value) and not isinstance(value, (Kernel, Family, type)):
        try:
            value = value()
        except Exception as error:
            raise plugin.failure(f"raises {type(error).__name__} when it is made") from error
    plugin.checked(value, (Kernel, Family), _ALLOWED)
    return value.named(plugin.name) if isinstance(value, Kernel) else value
