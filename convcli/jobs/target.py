"""The contract of what pieces write to: an array in shards, each written by one piece as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from convcli.core.dtypes import Array
from convcli.geometry.padding import Pair


class Target(Protocol):
    """A result that many workers write at once, each its own shards."""

    @property
    def shard(self) -> tuple[int, int, int]:
        """(frames, rows, columns) of what has to be written at once."""

    def write(self, frames: Pair, rows: Pair, columns: Pair, pixels: Array) -> int:
        """Write whole shards, which appear whole; writing them again changes nothing.

        Args:
            pixels: (frames, rows, columns, channels).

        Returns:
            The bytes that they take.

        Raises:
            OutputError: they cannot be written.
        """

    def missing(self) -> Iterator[str]:
        """The names of shards that were never written."""

    def complete(self, attributes: dict[str, Any]) -> None:
        """Say in the target's own metadata that everything is there, and how it was made."""
