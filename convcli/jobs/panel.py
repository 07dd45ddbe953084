"""A panel of an image: the rows and columns that a piece reads, as an image of its own.

Decoded rows are kept for the bands of the piece that follow, so that each block of the source is decoded
once, except for those that neighboring pieces read as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.plan import Plan
from convcli.formats.readers import Reader
from convcli.geometry.border import Indices
from convcli.geometry.padding import Pair
from convcli.geometry.region import Region
from convcli.jobs.panel_count import PanelCount

ROWS_AT_ONCE: Final = 256
"""Rows that are read at once of a source that can begin at any row."""

_SPARE: Final = 2
"""Stripes that are kept besides those that a strip reads."""


def stripes_kept(plan: Plan, height: int) -> int:
    """How many stripes of ``height`` rows are kept for a plan: what neighboring strips read."""
    depth, rows, _ = plan.axes
    reach = rows.reading(min(plan.height, rows.output))
    return depth.kernel * (-(-reach // height) + _SPARE)


class _Stripe:
    """Rows of a frame that are being read, by the first that needs them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.pixels: Array | None = None


class PanelCache:
    """The decoded stripes of a panel, as high as the blocks of the source.

    Args:
        reader: of the whole image, upright.
        size: rows of the image.
        columns: which columns the panel has.
        most: stripes that are kept.
        count: told everything that is read; None for nothing to count.
    """

    def __init__(
        self, reader: Reader, size: int, columns: Region, most: int, count: PanelCount | None = None
    ) -> None:
        self.reader, self.size, self.columns, self.most, self.count = reader, size, columns, most, count
        block = reader.block
        self.height = block[0] if block else ROWS_AT_ONCE
        self.stripes: OrderedDict[tuple[int, int], _Stripe] = OrderedDict()
        self.lock = Lock()

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows ``first`` to ``last`` of a frame of the image, (rows, columns of the panel, channels)."""
        indices = range(first // self.height, (last - 1) // self.height + 1)
        stripes = [self._stripe(frame, index) for index in indices]
        parts = [
            stripe[max(first - index * self.height, 0) : last - index * self.height]
            for index, stripe in zip(indices, stripes, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _stripe(self, frame: int, index: int) -> Array:
        with self.lock:
            stripe = self.stripes.setdefault((frame, index), _Stripe())
            self.stripes.move_to_end((frame, index))
            while len(self.stripes) > self.most:
                self.stripes.popitem(last=False)
        with stripe.lock:
            if stripe.pixels is None:
                stripe.pixels = self._read(frame, index)
            return stripe.pixels

    def _read(self, frame: int, index: int) -> Array:
        rows = index * self.height, min((index + 1) * self.height, self.size)
        parts = [self.reader.window(frame, rows, run) for run in self.columns.runs]
        if self.count is not None:
            for run, part in zip(self.columns.runs, parts, strict=True):
                self.count.note(frame, rows, run, part)
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        arranged: Array = self.columns.arranged(pixels, 1)
        return arranged

    def count_rest(self) -> None:
        """Count what belongs to the piece but is read by no window of it."""
        if self.count is None:
            return
        share = self.count.share
        (first, last), runs = share.rows, self.columns.runs
        for frame in share.frames:
            for index in range(first // self.height, -(-last // self.height)):
                rows = index * self.height, min((index + 1) * self.height, self.size)
                for columns in (*runs, *_between(share.columns, runs)):
                    if self.count.misses(frame, rows, columns):
                        self.count.note(frame, rows, columns, self.reader.window(frame, rows, columns))


@frozen(eq=False)
class Panel(Reader):
    """What the windows of a band read, as an image.

    Attributes:
        frames: the frame of the image that each frame of the panel is.
        indices: the row of the image that each row of the panel is.
    """

    cache: PanelCache
    frames: Sequence[int]
    indices: Indices

    def rows(self, frame: int, first: int, last: int) -> Array:
        source, wanted = self.frames[frame], self.indices[first:last]
        parts = [self._part(source, part) for part in _segments(wanted)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, frame: int, rows: Indices) -> Array:
        """Rows that are near each other, in any order."""
        low, high = int(rows.min()), int(rows.max()) + 1
        read = self.cache.rows(frame, low, high)
        return read if _are_all(rows - low, high - low) else read[rows - low]


def _are_all(places: Indices, count: int) -> bool:
    """Whether places are 0, 1, …, ``count`` − 1."""
    return len(places) == count and bool(np.array_equal(places, np.arange(count)))


def _segments(rows: Indices) -> Iterator[Indices]:
    """The rows, split where the next one is not a neighbor."""
    return iter(np.split(rows, np.flatnonzero(np.abs(np.diff(rows)) > 1) + 1))


def _between(whole: Pair, runs: Sequence[Pair]) -> Iterator[Pair]:
    """The parts of a range that ascending runs leave out."""
    first, last = whole
    for begin, end in runs:
        if first < begin:
            yield first, min(begin, last)
        first = max(first, end)
    if first < last:
        yield first, last
