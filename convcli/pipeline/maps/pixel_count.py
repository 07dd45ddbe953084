"""Counts the pixels of an image that are NaN, and those that are left out, while strips read them."""

from __future__ import annotations

from threading import Lock

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.computers import Computation
from convcli.formats.readers import Reader
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.ignore import missing


class PixelCount:
    """Counts of pixels, each once, however often and by however many threads its row is read.

    Rows that no window reads are counted with the nearest row that one reads.

    Attributes:
        nan: pixels with NaN in any color.
        ignored: pixels that are left out; values of channels that are so each by themselves.
    """

    def __init__(self, plan: Computation, handling: ColorHandling) -> None:
        depth, rows, _ = plan.axes
        self.handling = handling
        self.counts_nan = handling.stored.kind == "f"
        self.gap = rows.stride
        self.last = rows.reach((0, rows.output))[1]
        self.seen = np.zeros((plan.problem.batch * depth.size, rows.size), bool)
        self.nan = self.ignored = 0
        self.lock = Lock()

    @property
    def is_needed(self) -> bool:
        """Whether there can be pixels to count."""
        handling = self.handling
        return self.counts_nan or handling.ignore is not None or handling.missing is not None

    def note(self, reader: Reader, frame: int, first: int, last: int) -> None:
        """Count the pixels of rows that are being read, as far as they are not counted yet."""
        rows = self.seen.shape[1]
        first, last = max(first - self.gap, 0), rows if last >= self.last else last
        with self.lock:
            fresh = first + np.flatnonzero(~self.seen[frame, first:last])
            self.seen[frame, fresh] = True
        if not fresh.size:
            return
        low, high = int(fresh[0]), int(fresh[-1]) + 1
        colors = reader.rows(frame, low, high)[..., : self.handling.colors]
        nan, ignored = self._counted(colors, low, fresh - low)
        with self.lock:
            self.nan += nan
            self.ignored += ignored

    def _counted(self, colors: Array, first: int, chosen: Array) -> tuple[int, int]:
        ignore, ignored = self.handling.ignore, 0
        nan = int(np.count_nonzero(missing(colors)[chosen])) if self.counts_nan else 0
        if ignore is not None:
            ignored = int(np.count_nonzero(ignore.weights(colors, first)[chosen] == 0))
        if self.handling.missing is not None:
            ignored = int(np.count_nonzero(self.handling.missing.found(colors)[chosen]))
        return nan, ignored


@frozen(eq=False)
class CountingReader(Reader):
    """A `Reader` that counts what another one reads."""

    reader: Reader
    count: PixelCount

    def rows(self, frame: int, first: int, last: int) -> Array:
        self.count.note(self.reader, frame, first, last)
        return self.reader.rows(frame, first, last)

    def hold(self, frame: int) -> None:
        self.reader.hold(frame)

    def release(self, frame: int) -> None:
        self.reader.release(frame)
