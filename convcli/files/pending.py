"""What a process that ends must know about its files: those it is still writing, and whether any is written.

Imports nothing else of the package, so that the command line can use it at start-up.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Protocol


class Removable(Protocol):
    """A file that is being written."""

    def remove(self) -> None:
        """Remove what has a name already."""


class _Process:
    has_results = False


_FILES: Final[set[Removable]] = set()


def begin() -> None:
    """Forget the results of an earlier command in the same process."""
    _Process.has_results = False


def record_result() -> None:
    """Note that a result is in its place, or was sent to standard output."""
    _Process.has_results = True


def has_results() -> bool:
    """Whether this command has written any result."""
    return _Process.has_results


def add(file: Removable) -> None:
    """Register a file that is being written."""
    _FILES.add(file)


def discard(file: Removable) -> None:
    """Forget a file that is finished or removed."""
    _FILES.discard(file)


def remove_all() -> None:
    """Remove every unfinished file, before a process ends without unwinding its stack."""
    for file in list(_FILES):
        with suppress(OSError):
            file.remove()
