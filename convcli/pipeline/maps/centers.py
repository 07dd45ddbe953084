"""What the input has at the center of each window: alpha that results keep, and pixels that are left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.engine.computers import Computation
from convcli.formats.readers import Reader
from convcli.geometry.axes import Axis, Strip
from convcli.geometry.border import OUTSIDE, sources, sources_at
from convcli.pipeline.color_handling import ColorHandling


class Centers:
    """Looks up what the image has at the centers of windows.

    Args:
        reader: the image's stored pixels.
    """

    def __init__(self, plan: Computation, reader: Reader) -> None:
        depth, rows, columns = plan.axes
        self.reader = reader
        self.frames = _centers(plan, depth) if depth.size > 1 else None
        self.rows, self.columns = _centers(plan, rows), _centers(plan, columns)

    def values(self, frame: int, strip: Strip, of: Callable[[Array, int], Array], outside: Array) -> Array:
        """(rows, columns), for a strip of one frame of the result.

        Args:
            of: from pixels and the first of their rows to what is looked up, (rows, columns).
            outside: for centers in constant padding, a scalar of the same type.
        """
        if self.frames is not None:
            frame = int(self.frames[frame])
        if frame == OUTSIDE:
            return np.full(strip.shape, outside)
        rows, columns = self.rows[slice(*strip.rows)], self.columns[slice(*strip.columns)]
        inside = rows[rows != OUTSIDE]
        first, last = (int(inside.min()), int(inside.max()) + 1) if inside.size else (0, 1)
        found = of(self.reader.rows(frame, first, last), first)
        picked: Array = found[np.ix_(np.clip(rows - first, 0, last - first - 1), columns)]
        picked[rows == OUTSIDE] = outside
        picked[:, columns == OUTSIDE] = outside
        return picked


class CenterAlpha:
    """Looks up the alpha of window centers; a center in constant padding has the fill's value.

    Args:
        reader: the image's stored pixels, alpha last.
    """

    def __init__(self, plan: Computation, reader: Reader, handling: ColorHandling) -> None:
        self.centers = Centers(plan, reader)
        self.constant = np.array(_saturated(handling.fill, handling.stored), handling.stored)

    def alpha(self, frame: int, strip: Strip) -> Array:
        """(rows, columns) of the image's type, for a strip of one frame of the result."""
        return self.centers.values(frame, strip, lambda pixels, first: pixels[..., -1], self.constant)


class CenterGaps:
    """Finds the window centers that are left out, for results that keep them undefined.

    Args:
        reader: the image's stored pixels.
    """

    def __init__(self, plan: Computation, reader: Reader, handling: ColorHandling) -> None:
        self.centers, self.handling = Centers(plan, reader), handling

    def found(self, frame: int, strip: Strip) -> Array:
        """(rows, columns) of bool, for a strip of one frame of the result."""
        return self.centers.values(frame, strip, self._gaps, np.array(False))

    def _gaps(self, pixels: Array, first: int) -> Array:
        assert self.handling.ignore is not None
        gaps: Array = self.handling.ignore.weights(pixels[..., : self.handling.colors], first) == 0
        return gaps


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
        places = middle + np.arange(axis.output) * axis.stride + axis.spread // 2
        return sources_at(plan.problem.fill, axis.size, places // axis.spread)
    return sources(plan.problem.fill, axis.size, middle, middle + axis.output * axis.stride, axis.stride)
