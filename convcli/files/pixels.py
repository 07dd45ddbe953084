"""Decoded pixels in memory, which take the place of a file."""

from __future__ import annotations

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen


@frozen(eq=False)
class Pixels:
    """Frames that need no decoding.

    Attributes:
        values: (frames, rows, columns, channels), of a type that pixels have.
        bands: whether no channel is alpha, as in the header of a file.
        notes: for the report, on how the values were read.
    """

    values: Array
    bands: bool = False
    notes: tuple[str, ...] = ()
