"""Counts the pixels of a panel that are NaN or left out, each in one piece only."""

from __future__ import annotations

from threading import Lock

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.geometry.axes import Axis
from convcli.geometry.padding import Pair
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.ignore import missing


def share(axis: Axis, outputs: Pair) -> Pair:
    """The part of an axis that belongs to some of its outputs: all outputs together have all of it.

    Args:
        outputs: (first, past the last).
    """
    return outputs[0] * axis.size // axis.output, outputs[1] * axis.size // axis.output


@frozen(eq=False)
class Share:
    """The rectangle of the input that belongs to a piece, and the frames."""

    frames: frozenset[int]
    rows: Pair
    columns: Pair


class PanelCount:
    """Counts what is read of a share, each pixel once.

    Attributes:
        nan, ignored: as in `convcli.pipeline.maps.pixel_count.PixelCount`.
    """

    def __init__(self, handling: ColorHandling, share_: Share) -> None:
        self.handling, self.share = handling, share_
        self.nan = self.ignored = 0
        self.seen: set[tuple[int, int, int]] = set()
        self.lock = Lock()

    @property
    def is_needed(self) -> bool:
        """Whether there can be pixels to count."""
        handling = self.handling
        return handling.stored.kind == "f" or handling.ignore is not None or handling.missing is not None

    def misses(self, frame: int, rows: Pair, columns: Pair) -> bool:
        """Whether a rectangle has pixels of the share and was not counted yet."""
        first, last = _overlap(rows, self.share.rows)
        left, right = _overlap(columns, self.share.columns)
        is_inside = first < last and left < right
        return is_inside and (frame, rows[0], columns[0]) not in self.seen

    def note(self, frame: int, rows: Pair, columns: Pair, pixels: Array) -> None:
        """Count a rectangle of the input, (rows, columns, channels), unless it was counted before."""
        first, last = _overlap(rows, self.share.rows)
        left, right = _overlap(columns, self.share.columns)
        if frame not in self.share.frames or first >= last or left >= right:
            return
        with self.lock:
            if (frame, rows[0], columns[0]) in self.seen:
                return
            self.seen.add((frame, rows[0], columns[0]))
        part = pixels[first - rows[0] : last - rows[0], left - columns[0] : right - columns[0]]
        colors = part[..., : self.handling.colors]
        nan = int(np.count_nonzero(missing(colors))) if colors.dtype.kind == "f" else 0
        ignore, gone, ignored = self.handling.ignore, self.handling.missing, 0
        if ignore is not None:
            ignored = int(np.count_nonzero(ignore.weights(colors, first) == 0))
        if gone is not None:
            ignored = int(np.count_nonzero(gone.found(colors)))
        with self.lock:
            self.nan += nan
            self.ignored += ignored


def _overlap(one: Pair, other: Pair) -> Pair:
    return max(one[0], other[0]), min(one[1], other[1])
