"""What the extension is told to compute: a method's taps and weights, and where a strip reads its input.

`native/strip.h` says how the extension uses them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen

DIRECT, ROWS, SEPARABLE, BOX = range(4)


@frozen(eq=False)
class Block:
    """A sum of one map.

    Attributes:
        first: the map.
        taps: (taps, 3) int64: plane, row and value that a tap reads, relative to a sum's position.
        weights: one per tap.
    """

    first: int
    taps: Array
    weights: Array


@frozen(eq=False)
class Program:
    """A method in the terms of the extension, for strips of any size.

    Attributes:
        kind: `DIRECT`, `ROWS`, `SEPARABLE` or `BOX`.
        taps: (taps, 3) int64: plane, row and value that a tap reads, relative to a sum's position.
        blocks: (blocks, 7) int64: first map, maps that are computed together, how many of them are used,
            first tap, number of taps, first weight, and how far the weights of the next map are.
        weights: of all blocks, in the type of the sums.
        window: of `ROWS` and `BOX`, the rows, the taps of each, and the columns between the taps of a box.
    """

    kind: int
    taps: Array
    blocks: Array
    weights: Array
    window: tuple[int, int, int] = (1, 1, 1)


def program_of(
    kind: int, blocks: Iterable[Block], dtype: DType, window: tuple[int, int, int] = (1, 1, 1)
) -> Program:
    """The program of some blocks, whose weights become ``dtype``."""
    rows = []
    taps, weights = [np.empty((0, 3), np.int64)], [np.empty(0, dtype)]
    first_tap = first_weight = 0
    for block in blocks:
        rows.append((block.first, 1, 1, first_tap, len(block.taps), first_weight, 0))
        taps.append(block.taps)
        weights.append(block.weights.astype(dtype, copy=False).ravel())
        first_tap, first_weight = first_tap + len(block.taps), first_weight + block.weights.size
    table = np.array(rows, np.int64).reshape(-1, 7)
    return Program(kind, np.concatenate(taps), table, np.concatenate(weights), window)


@frozen(eq=False)
class StripInput:
    """What a strip reads, border included.

    Attributes:
        source: (depth, rows, columns, channels, lanes), of any strides.
        rows, depths: int64; for every row and depth of the planes the source's, or -1 for the constant fill.
        runs: (phases, 4) int64: first plane column inside the image, count, first source column, step.
        edges: (edges, 3) int64: phase, plane column, and source column or -1.
        constants: the fill of each lane, in the type of the sums.
    """

    source: Array
    rows: Array
    depths: Array
    runs: Array
    edges: Array
    constants: Array
