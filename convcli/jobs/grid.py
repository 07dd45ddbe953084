"""How a result is cut into pieces: whole shards of its target, in tall panels."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Final

from convcli.core.frozen import frozen
from convcli.geometry.padding import Pair

LARGEST: Final = 2**62
"""Frames, rows or columns of a result."""


@frozen
class Box:
    """A part of a result, (first, past the last) of its frames, rows and columns."""

    frames: Pair
    rows: Pair
    columns: Pair

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        parts = self.frames, self.rows, self.columns
        frames, rows, columns = (last - first for first, last in parts)
        return frames, rows, columns

    def __str__(self) -> str:
        (top, bottom), (left, right) = self.rows, self.columns
        first, last = self.frames
        frames = f"frame {first}, " if last - first == 1 else f"frames {first} to {last - 1}, "
        return f"{frames}rows {top} to {bottom - 1}, columns {left} to {right - 1}"


@frozen
class Grid:
    """The pieces of a result, numbered by frames, then columns, then rows.

    So pieces with neighboring numbers lie below each other.

    Attributes:
        shape: (frames, rows, columns) of the result.
        shard: the same of what one writer has to write at once.
        piece: the same of a piece, multiples of ``shard``.
        group: frames after which pieces begin anew, such as those of one volume.
    """

    shape: tuple[int, int, int]
    shard: tuple[int, int, int]
    piece: tuple[int, int, int]
    group: int

    def check(self) -> None:
        """Refuse sizes of which no pieces can be made.

        Raises:
            ValueError: naming them.
        """
        for name in ("shape", "shard", "piece"):
            sizes = getattr(self, name)
            if type(sizes) is not tuple or len(sizes) != 3 or not all(map(_is_size, sizes)):
                raise ValueError(f"{name} {sizes!r:.60} of the pieces is not three sizes")
        if not _is_size(self.group) or self.shape[0] % self.group:
            raise ValueError(f"groups of {self.group!r:.60} frames do not divide {self.shape[0]}")
        if any(piece % shard for piece, shard in zip(self.piece, self.shard, strict=True)):
            raise ValueError(f"pieces {self.piece} are not multiples of shards {self.shard}")

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """(groups, pieces of a group's frames, of columns, of rows)."""
        frames, rows, columns = self.shape
        deep, high, wide = self.piece
        return frames // self.group, -(-self.group // deep), -(-columns // wide), -(-rows // high)

    @property
    def count(self) -> int:
        """Number of pieces."""
        return prod(self.counts)

    def box(self, number: int) -> Box:
        """The part of the result that a piece makes."""
        _, deep, across, down = self.counts
        number, row = divmod(number, down)
        number, column = divmod(number, across)
        group, block = divmod(number, deep)
        start = group * self.group
        first, last = _part(block, self.piece[0], self.group)
        rows, columns = (
            _part(index, size, whole)
            for index, size, whole in zip((row, column), self.piece[1:], self.shape[1:], strict=True)
        )
        return Box((start + first, start + last), rows, columns)

    def bands(self, box: Box) -> Iterator[Box]:
        """The bands of a piece, one shard high and deep, from top to bottom."""
        deep, high, _ = self.shard
        for first in range(*box.frames, deep):
            for top in range(*box.rows, high):
                frames, rows = (first, min(first + deep, box.frames[1])), (top, min(top + high, box.rows[1]))
                yield Box(frames, rows, box.columns)

    @property
    def shards(self) -> int:
        """Number of shards of the result."""
        frames, rows, columns = self.shape
        deep, high, wide = self.shard
        return frames // self.group * -(-self.group // deep) * -(-rows // high) * -(-columns // wide)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < LARGEST


def _part(index: int, size: int, whole: int) -> Pair:
    return index * size, min((index + 1) * size, whole)
