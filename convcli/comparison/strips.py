"""Two images side by side: the same rows of both, a strip at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from convcli.comparison.images import Image
from convcli.comparison.result import Difference
from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.formats.header import Header
from convcli.formats.readers import Reader

STRIP_VALUES: Final = 2**19
"""Values of a strip, unless one has only a few rows."""

_LEAST_ROWS: Final = 8  # windows of SSIM read rows of the strip above


@frozen(eq=False)
class StripPair:
    """The same rows of both images.

    Attributes:
        frame: counted from 0 through all runs.
        first: the first row.
        a, b: (rows, columns, channels).
    """

    frame: int
    first: int
    a: Array
    b: Array

    def difference(self, index: int, difference: float) -> Difference:
        """The values at a place of the strip, counted through rows, columns and channels."""
        row, column, channel = (int(part) for part in np.unravel_index(index, self.a.shape))
        a, b = (values[row, column, channel].item() for values in (self.a, self.b))
        return Difference(self.frame, self.first + row, column, channel, a, b, difference)


def strip_pairs(a: Image, b: Image) -> Iterator[StripPair]:
    """All strips of two images of one shape, frame by frame and from the top down.

    Raises:
        ConvcliError: a file is damaged; the message names it.
    """
    for number, (one, other) in enumerate(zip(a.frames(), b.frames(), strict=True)):
        height = _strip_height(one.header)
        for top, end in _parts(0, one.header.rows, _read_height(height, (one.reader, other.reader))):
            values, others = one.rows(top, end), other.rows(top, end)
            for row, last in _parts(top, end, height):
                part = slice(row - top, last - top)
                yield StripPair(number, row, values[part], others[part])


def _parts(first: int, end: int, height: int) -> Iterator[tuple[int, int]]:
    """Rows ``first`` to ``end`` in parts of ``height``."""
    for top in range(first, end, height):
        yield top, min(top + height, end)


def _strip_height(header: Header) -> int:
    """Rows of a strip."""
    return max(STRIP_VALUES // max(header.columns * header.channels, 1), _LEAST_ROWS)


def _read_height(height: int, readers: Sequence[Reader]) -> int:
    """Rows that are read at once: whole blocks, where a file is decoded by blocks."""
    block = max((reader.block[0] for reader in readers if reader.block), default=1)
    return max(height // block, 1) * block
