"""What other installed packages add, by entry points: found when it is asked for, never at start-up.

Reading the metadata of all installed packages takes tens of milliseconds, so callers ask only about names
that are not built in, and for lists.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from convcli.core.errors import ConvcliError, cut, one_line
from convcli.core.frozen import frozen

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PRESETS: Final = "convcli.presets"
FORMATS: Final = "convcli.formats"
KERNEL_READERS: Final = "convcli.kernel_readers"
"""The groups of entry points."""

_THINGS: Final = {PRESETS: "preset", FORMATS: "format", KERNEL_READERS: "kernel reader"}


class PluginError(ConvcliError):
    """What another package adds cannot be used."""


@frozen(eq=False)
class Plugin:
    """One thing that another package adds.

    Attributes:
        package: its name and version.
    """

    name: str
    group: str
    package: str
    entry: EntryPoint

    def load(self) -> Any:
        """What the entry point names; its module is imported.

        Raises:
            PluginError: importing it fails, with whatever error.
        """
        try:
            return self.entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also of a module that exits
            raise self.failure(f"cannot be loaded ({_reason(error)})") from error

    def failure(self, what: str) -> PluginError:
        """The error that says what is wrong, and with which package."""
        thing = f"its {_THINGS[self.group]} {one_line(self.name)}"
        return PluginError(f"package {self.package}: {thing} {what}; update or uninstall the package")

    def checked(self, value: Any, kinds: tuple[type, ...], allowed: str) -> Any:
        """A value of one of some types.

        Raises:
            PluginError: it is of another type.
        """
        if not isinstance(value, kinds):
            raise self.failure(f"is of type {cut(type(value).__name__, 60)} (allowed: {allowed})")
        return value


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """Everything of a group, by name and package; of one name, the first package counts."""
    found: dict[str, Plugin] = {}
    for plugin in sorted(_installed(), key=lambda one: (one.name, one.package)):
        if plugin.group == group:
            found.setdefault(plugin.name, plugin)
    return tuple(found.values())


@cache
def _installed() -> tuple[Plugin, ...]:
    """The entry points of all groups."""
    from importlib.metadata import entry_points  # takes milliseconds

    points = entry_points()
    return tuple(
        Plugin(point.name, group, _package(point), point)
        for group in _THINGS
        for point in points.select(group=group)
    )


def forget() -> None:
    """Forget what is installed, for tests and after an installation."""
    plugins.cache_clear()
    _installed.cache_clear()


def _package(point: EntryPoint) -> str:
    return one_line(f"{point.dist.name} {point.dist.version}") if point.dist else "of unknown name"


def _reason(error: BaseException) -> str:
    text = one_line(cut(str(error).strip().split("\n", maxsplit=1)[0]))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
