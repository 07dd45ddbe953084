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
        """Rows ``first`` to ``last``, (depth, rows, columns, channels, lanes), which are only read."""


@frozen(eq=False)
class Whole:
    """An array in memory, (batch, depth, rows, columns, channels, lanes), any strides."""

    array: Array

    @property
    def dtype(self) -> DType:
        return self.array.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        part: Array = self.array[batch, :, first:last]
        return part
