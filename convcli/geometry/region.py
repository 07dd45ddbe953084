"""A part of an output as a convolution of its own: which pixels it reads, and where there is padding.

A chunk or a piece of a large image is computed by itself, as an image whose edges are padded only where the
whole image has its edges. Constant fills stay padding. Other fills repeat pixels, which may lie anywhere in
the image; they are read and put in their places before the part is computed.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from convcli.core.frozen import frozen
from convcli.geometry.axes import Axis
from convcli.geometry.border import Indices, sources
from convcli.geometry.padding import Fill, Pair

_CONSTANT = ("constant", "ignore")


@frozen(eq=False)
class Region:
    """Neighboring outputs along an axis, as the outputs of an axis of their own.

    Attributes:
        axis: has as many outputs, and is padded only where the fill is constant or ``ignore`` and lies within
            the windows; ``after`` is -1 where they read none of its pixels, as the only one lies past them.
        indices: for every pixel of ``axis``, the pixel of the whole axis that it is. Those of a constant fill
            follow each other.
    """

    axis: Axis
    indices: Indices

    @cached_property
    def _read(self) -> Indices:
        """The pixels of the whole axis that are read, in order, each once."""
        return np.unique(self.indices)

    @cached_property
    def runs(self) -> tuple[Pair, ...]:
        """The pixels of the whole axis that are read: (first, past the last) of those that follow each other,
        in order and without overlap.
        """
        breaks = np.flatnonzero(np.diff(self._read) > 1) + 1
        ends = [0, *breaks.tolist(), len(self._read)]
        return tuple(
            (int(self._read[first]), int(self._read[last - 1]) + 1) for first, last in pairwise(ends)
        )

    @cached_property
    def places(self) -> Indices:
        """For every pixel of ``axis``, its place among the pixels of all runs, one after another."""
        return np.searchsorted(self._read, self.indices)

    @property
    def is_plain(self) -> bool:
        """Whether the pixels of ``axis`` are those of the runs, in their order."""
        return len(self.indices) == len(self._read) and bool((self.indices == self._read).all())

    def arranged(self, pixels: Any, along: int) -> Any:
        """The input of ``axis``.

        Args:
            pixels: an array that holds, along one of its axes, the pixels of all runs, one after another.
            along: the number of that axis.

        Returns:
            ``pixels`` itself where nothing is to be moved, else a copy.
        """
        return pixels if self.is_plain else pixels.take(self.places, axis=along)


def region(axis: Axis, fill: Fill, outputs: Pair) -> Region:
    """The outputs [first, past the last) of an axis as a convolution of their own.

    Its results are those of the whole axis at these outputs, whatever the fill: also where windows lie wholly
    outside the image, or padding repeats the image several times.
    """
    first, past = axis.reach(outputs)
    spread = axis.spread
    low, high = -(-first // spread), (past - 1) // spread + 1
    if fill.mode in _CONSTANT or spread > 1:
        low, high = max(low, 0), min(high, axis.size)
    if low >= high:
        nearest = np.array([0 if past <= 0 else min(max(low, 0), axis.size - 1)], np.intp)
        return Region(_part(axis, 1, past - first, -1), nearest)
    indices = sources(fill, axis.size, low, high)
    after = past - ((high - 1) * spread + 1)
    return Region(_part(axis, high - low, low * spread - first, after), indices)


def _part(axis: Axis, size: int, before: int, after: int) -> Axis:
    return Axis(size, axis.kernel, axis.stride, axis.dilation, before, after, spread=axis.spread)
