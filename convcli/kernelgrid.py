"""The weights behind a feature map as squares in colours, with numbers where they fit, and words below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from convcli.colourmaps import diverging
from convcli.drawing import MOST_PLANES, framed, line, planes
from convcli.dtypes import Array
from convcli.exhibit import Exhibited
from convcli.lettering import width
from convcli.rational import text_of
from convcli.scene import FAINT, FRAME, INK, Box, Item, Text
from convcli.values import frozen

_SMALL: Final = 12  # points
_CELL: Final = 56  # pixels, at most
_FEW: Final = 9  # rows or columns of squares that numbers are wanted in
_DARK: Final = 330  # the sum of red, green and blue, below which ink is white
_WHITE: Final = (255, 255, 255)


@frozen(eq=False)
class Grids:
    """A kernel's weights as squares with numbers, one plane below the other, and the words under them."""

    planes: list[Array]
    cell: int
    words: list[str]

    @classmethod
    def of(cls, map_: Exhibited, tile: int) -> Grids:
        """Squares so large that all planes fit ``tile`` pixels where they can."""
        kernel = map_.settings.kernel
        shown = planes(kernel, map_.report.index)
        left = len(shown) - MOST_PLANES
        shown = shown[:MOST_PLANES]
        high = sum(plane.shape[0] for plane in shown)
        broad = shown[0].shape[1]
        longest = max(len(_weight(value)) for plane in shown for value in plane.flat)
        room = max(tile - 16 * len(words_of(map_)) - 8 * len(shown), 64)
        least = min(8 * longest + 10, 36 if high <= _FEW else 26) if broad <= _FEW else 1
        cell = min(_CELL, max(min(room // high, tile // broad), least))
        more = [f"and {left} planes more"] if left > 0 else []
        return cls(shown, cell, more + words_of(map_))

    @property
    def width(self) -> int:
        columns = int(self.planes[0].shape[1])
        return max(columns * self.cell, *(math.ceil(width(each, _SMALL)) for each in self.words))

    @property
    def height(self) -> int:
        grids = sum(int(plane.shape[0]) * self.cell + 8 for plane in self.planes)
        return grids + 16 * len(self.words) + 4

    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        """The squares and the words."""
        left, top = place
        limit = max(float(np.abs(plane).max()) for plane in self.planes)
        for plane in self.planes:
            yield from self._plane(plane.astype(np.float64), plane, (left, top), limit)
            top += plane.shape[0] * self.cell + 8
        for words in self.words:
            yield from line((left, top), words, _SMALL, FAINT, 1e9)
            top += 16

    def _plane(self, values: Array, written: Array, place: tuple[int, int], limit: float) -> Iterator[Item]:
        left, top = place
        colours = diverging(values, limit)
        if self.cell < 8:
            yield from framed(place, colours, self.cell)
            return
        size = self._points(written)
        for row, column in np.ndindex(values.shape):
            corner = left + column * self.cell, top + row * self.cell
            fill = tuple(int(part) for part in colours[row, column])
            yield Box(corner, self.cell + 1, self.cell + 1, (fill[0], fill[1], fill[2]), FRAME)
            if size:
                ink = _WHITE if sum(fill) < _DARK else INK
                middle = corner[0] + self.cell / 2, corner[1] + round(self.cell / 2 + size * 0.36)
                yield Text(middle, _weight(written[row, column]), size, ink, "middle")

    def _points(self, written: Array) -> int:
        """The largest size at which every number fits its square; 0 where none does."""
        texts = [_weight(value) for value in written.flat]
        fits = [
            size
            for size in (16, 14, 12, 11, 10)
            if max(width(text, size) for text in texts) <= self.cell - 6 and size <= self.cell - 6
        ]
        return fits[0] if fits else 0


def words_of(map_: Exhibited) -> list[str]:
    """What is done with the weights: their factor, bias, direction and steps."""
    settings, report = map_.settings, map_.report
    kernel = settings.kernel
    found = [f"× 1/{kernel.exact.denominator}"] if kernel.exact and kernel.exact.denominator > 1 else []
    bias = kernel.biases[min(report.index, kernel.maps - 1)]
    found += [f"bias {text_of(bias)}".replace("-", "−")] if bias else []
    found += [f"{kernel.combine} of {kernel.maps} maps"] if kernel.combine else []
    found.append("convolution: turned by 180°" if settings.flip else "cross-correlation")
    for name, pair in (("stride", settings.stride), ("dilation", settings.dilation)):
        steps = (pair * 2)[:2]
        found += [f"{name} {steps[0]}, {steps[1]}"] if steps != (1, 1) else []
    return [*found, f"padding {'valid' if settings.padding.amount == 'valid' else report.padding}"]


def _weight(value: Any) -> str:
    if not isinstance(value, float | np.floating):
        return str(value).replace("-", "−")
    text = f"{float(value):.2f}"
    return (text if float(text) else "0").replace("-", "−")
