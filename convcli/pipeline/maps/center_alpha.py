"""Alpha of the input at the center of each window, for results that keep it."""

from __future__ import annotations

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.engine.computers import Computation
from convcli.formats.readers import Reader
from convcli.geometry.axes import Axis, Strip
from convcli.geometry.border import OUTSIDE, sources, sources_at
from convcli.pipeline.color_handling import ColorHandling


class CenterAlpha:
    """Looks up the alpha of window centers; a center in constant padding has the fill's value.

    Args:
        reader: the image's stored pixels, alpha last.
    """

    def __init__(self, plan: Computation, reader: Reader, handling: ColorHandling) -> None:
        depth, rows, columns = plan.axes
        self.reader = reader
        self.frames = _centers(plan, depth) if depth.size > 1 else None
        self.rows, self.columns = _centers(plan, rows), _centers(plan, columns)
        self.stored = handling.stored
        self.constant = _saturated(handling.fill, handling.stored)

    def alpha(self, frame: int, strip: Strip) -> Array:
        """(rows, columns) of the image's type, for a strip of one frame of the result."""
        if self.frames is not None:
            frame = int(self.frames[frame])
        if frame == OUTSIDE:
            return np.full(strip.shape, self.constant, self.stored)
        rows, columns = self.rows[slice(*strip.rows)], self.columns[slice(*strip.columns)]
        inside = rows[rows != OUTSIDE]
        first, last = (int(inside.min()), int(inside.max()) + 1) if inside.size else (0, 1)
        alpha = self.reader.rows(frame, first, last)[..., -1]
        picked: Array = alpha[np.ix_(np.clip(rows - first, 0, last - first - 1), columns)]
        picked[rows == OUTSIDE] = self.constant
        picked[:, columns == OUTSIDE] = self.constant
        return picked


def _saturated(value: float, dtype: DType) -> float:
    """A fill as a value of an integer type; unchanged for floats."""
    if dtype.kind == "f":
        return value
    low, high = span(dtype)
    return min(max(round(value), low), high)


def _centers(plan: Computation, axis: Axis) -> Array:
    """The input index at the center of each window along an axis, or `OUTSIDE`."""
    middle = (axis.extent - 1) // 2 - axis.before
    if axis.spread > 1:  # the nearest pixel
        places = middle + np.arange(axis.output) + axis.spread // 2
        return sources_at(plan.problem.fill, axis.size, places // axis.spread)
    return sources(plan.problem.fill, axis.size, middle, middle + axis.output * axis.stride, axis.stride)
