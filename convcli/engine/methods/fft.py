"""Overlap-save FFT: tiles of the input times the kernel's spectrum, at almost the same cost for any kernel.

The correlation of x and w in floats of unit roundoff ε errs by at most ‖x‖₂‖w‖₂·(12.71·n + 2.24)·ε on a tile
of 2ⁿ values (Brent, Percival and Zimmermann, "Error bounds on complex floating-point multiplication", 2007,
to first order). Their passes have radix 2; one of radix 3 or 5 adds up to five terms and multiplies once
more, and loses less than twice as much per bit, which is assumed for all. Where the bound is below 1/4,
rounding recovers the exact integers.
"""

from __future__ import annotations

from functools import lru_cache
from math import log2, sqrt
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import replace
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, Workload
from convcli.engine.plan import Arithmetic, Problem
from convcli.geometry.axes import Axis

LARGEST_TILE: Final = (288, 576)
"""Most rows and columns of a tile for kernels up to a quarter of them, so that it stays in the cache."""

MOST_PLANES: Final = 16
LARGEST: Final = 2048
"""Most rows or columns of a tile; kernels may cover half of it."""

QUICK: Final = sorted(
    (1 << twos) * odd
    for twos in range(1, 13)
    for odd in (1, 3, 5, 9, 15, 45)
    if 8 <= (1 << twos) * odd <= 2 * LARGEST
)
"""Even sizes without large prime factors, as real transforms want them."""


CALLS: Final = 30
"""Calls whose time it takes to transform a tile, apart from its values."""


class Fft(Method):
    """Large dense kernels, without stride."""

    name = "fft"
    mixes = True
    edges = False
    folds = False

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        if any(axis.stride > 1 for axis in problem.axes):
            return "a stride would discard most of the transform's output"
        planes = narrow.filter.weights[:, 0, 0].size
        if planes > MOST_PLANES:
            return f"{planes} planes of weights; allowed: up to {MOST_PLANES}"
        extent = max(problem.rows.extent, problem.columns.extent)
        if 2 * extent > LARGEST:
            return f"the kernel covers {extent} pixels; allowed: up to {LARGEST // 2}"
        return Workload(problem, narrow) if not narrow.exact else _exact(problem, narrow)

    def cost(self, work: Workload) -> float:
        rows, columns = tile(work.problem)
        used_share = 1.0
        for size, axis in ((rows, work.problem.rows), (columns, work.problem.columns)):
            step = size - axis.extent + 1
            used_share *= axis.output / (-(-axis.output // step) * size)
        forward = work.filter.kernel[0] * work.problem.channels / work.filter.maps
        calls = (forward + 1) * CALLS * work.call * max(work.values / (rows * columns), 1)
        return (forward + 1) / 2 * rates.TRANSFORM[work.dtype.itemsize] / used_share + calls

    def scratch(self, work: Workload) -> float:
        return 0

    def grain(self, work: Workload) -> tuple[int, int]:
        rows, columns = tile(work.problem)
        return rows - work.problem.rows.extent + 1, columns - work.problem.columns.extent + 1

    def binder(self, work: Workload) -> Binder:
        return _Tiles(work).steps


def tile(problem: Problem) -> tuple[int, int]:
    """Rows and columns of a tile: of the sizes that transform quickly, those with the least total work."""
    rows, columns = (
        _side(axis, most) for axis, most in zip((problem.rows, problem.columns), LARGEST_TILE, strict=True)
    )
    return rows, columns


def loss(values: int) -> float:
    """Largest error of a tile of so many values, in units of roundoff times ‖x‖₂‖w‖₂."""
    return 2 * 12.71 * log2(values) + 2.24


@lru_cache(maxsize=64)
def _side(axis: Axis, most: int) -> int:
    """One side of a tile; of equal ones the largest, which needs the fewest tiles."""
    fitting = [size for size in QUICK if 2 * axis.extent <= size <= max(most, 4 * axis.extent)]
    waste = {size: -(-axis.output // (size - axis.extent + 1)) * size for size in reversed(fitting)}
    return min(waste, key=lambda size: waste[size])


def _exact(problem: Problem, narrow: Arithmetic) -> Workload | str:
    """The workload in float64 if rounding provably recovers the integers, or why it does not."""
    rows, columns = tile(problem)
    most = max(map(abs, problem.span))
    weights = narrow.filter.weights.astype(np.float64).reshape(-1, narrow.filter.maps)
    norm = float(np.sqrt((weights**2).sum(axis=0)).max())
    planes = narrow.filter.kernel[0] * narrow.filter.inputs
    bound = most * sqrt(rows * columns * planes) * norm * loss(rows * columns) * 2.0**-53
    if bound >= 0.25:
        return f"its rounding error may reach {bound:.2g}, so exact integers are not guaranteed"
    reason = f"float64 transforms are off by at most {bound:.1g}, so rounding gives the exact integers"
    return Workload(problem, replace(narrow, dtype=np.dtype(np.float64), reason=reason))


class _Tiles:
    """The spectra of the weights, and scratch for one tile.

    The transforms of the input have the norm "ortho", with which NumPy transforms float32 as float32; the
    factor 1 of the others is taken for an integer, which has it convert to float64 and back.
    """

    def __init__(self, work: Workload) -> None:
        self.work = work
        self.shape = tile(work.problem)
        spectrum = self.shape[0], self.shape[1] // 2 + 1
        complex_type = np.result_type(work.dtype, 1j)
        self.values = np.zeros(self.shape, work.dtype)
        self.total, self.product = np.empty((2, *spectrum), complex_type)
        self.spectra = np.empty((work.filter.kernel[0], work.problem.channels, *spectrum), complex_type)
        self.weights = np.empty((*work.filter.weights[:, 0, 0].shape, *spectrum), complex_type)
        rows, columns = work.problem.rows, work.problem.columns
        for place in np.ndindex(self.weights.shape[:3]):
            stuffed = np.zeros(self.shape)
            plane = work.filter.weights[place[0], :, :, place[1], place[2]]
            stuffed[: rows.extent : rows.dilation, : columns.extent : columns.dilation] = plane
            self.weights[place] = np.conj(np.fft.rfft2(stuffed))

    def steps(self, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        """One call per tile and lane."""
        rows, columns = self.work.problem.rows, self.work.problem.columns
        down, across = self.shape[0] - rows.extent + 1, self.shape[1] - columns.extent + 1
        lanes = self.work.problem.lanes
        return [
            (self._compute, (planes[:, :, 0, top:, first::lanes], sums[:, top:, first::lanes]))
            for top in range(0, sums.shape[1], down)
            for left in range(0, sums.shape[2], across * lanes)
            for first in range(left, left + lanes)
        ]

    def _compute(self, planes: Array, sums: Array) -> None:
        """The sums of one tile: (maps, rows, columns) from (depth, channels, rows, columns)."""
        work = self.work
        rows = min(sums.shape[1], self.shape[0] - work.problem.rows.extent + 1)
        columns = min(sums.shape[2], self.shape[1] - work.problem.columns.extent + 1)
        for place in np.ndindex(self.spectra.shape[:2]):
            self._transform(planes[place], self.spectra[place])
        for index in range(work.filter.maps):
            for term, (depth, channel) in enumerate(np.ndindex(work.filter.kernel[0], work.filter.inputs)):
                spectra = (
                    self.spectra[depth, work.problem.channel(index, channel)],
                    self.weights[depth, channel, index],
                )
                np.multiply(*spectra, out=self.product if term else self.total)
                if term:
                    np.add(self.total, self.product, out=self.total)
            np.fft.ifft(self.total, axis=0, out=self.total, norm="ortho")
            part = self.values[:rows]
            np.fft.irfft(self.total[:rows], n=self.shape[1], axis=1, out=part, norm="ortho")
            if work.arithmetic.exact:
                np.rint(part, out=part)
                part += 0.0  # rounding leaves negative zeros, which no sum of integers has
            sums[index, :rows, :columns] = part[:, :columns]

    def _transform(self, plane: Array, out: Array) -> None:
        """The spectrum of a tile of ``plane``, padded with zeros at its end."""
        tile = plane[: self.shape[0], : self.shape[1]]
        if tile.shape != self.shape:
            self.values[...] = 0
            self.values[: tile.shape[0], : tile.shape[1]] = tile
            tile = self.values
        np.fft.rfft(tile, axis=1, out=out, norm="ortho")
        np.fft.fft(out, axis=0, out=out, norm="ortho")


METHOD: Final = Fft()
