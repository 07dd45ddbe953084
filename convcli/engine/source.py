"""Where the engine reads from: anything that gives some rows at a time."""

from __future__ import annotations

from typing import Protocol

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen


class Source(Protocol):
    """A batch of inputs, read in parts by several workers at once."""

    @property
    def dtype(self) -> DType:
        """Type of the values."""

    def rows(self, batch: int, first: int, last: int) -> Array:
        """Rows ``first`` to ``last`` of a batch entry, (depth, rows, columns, channels, lanes), read-only."""


class BatchHolder(Protocol):
    """Keeps batch entries of a source readable while workers need them."""

    def hold(self, batch: int) -> None:
        """Keep a batch entry until it is released as often as it was held."""

    def release(self, batch: int) -> None:
        """Give up one hold on a batch entry."""


@frozen(eq=False)
class ArraySource:
    """An array in memory, (batch, depth, rows, columns, channels, lanes), with any strides."""

    array: Array

    @property
    def dtype(self) -> DType:
        return self.array.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        part: Array = self.array[batch, :, first:last]
        return part
