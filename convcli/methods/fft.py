"""Overlap-save FFT: tiles of the picture times the kernel's spectrum, at almost one cost for any kernel.

The correlation of x and w in floats of unit roundoff ε errs by at most ‖x‖₂‖w‖₂·(12.71·n + 2.24)·ε on a tile
of 2ⁿ values (Brent, Percival and Zimmermann, "Error bounds on complex floating-point multiplication", 2007,
to first order). Where that is below 1/4, rounding recovers the exact integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, Final

import numpy as np

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Arena, Method, Step, Work
from convcli.plan import Arithmetic, Problem

SMALLEST: Final = (256, 512)
"""Rows and columns of a tile for kernels up to a third of them."""

MOST_PLANES: Final = 16
LARGEST: Final = 2048
"""Rows or columns of a tile; larger kernels are refused."""


class Fft(Method):
    """Large dense kernels without stride."""

    name = "fft"
    mixes = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Work | str:
        if any(axis.stride > 1 for axis in problem.axes):
            return "a stride throws away most of what a transform computes"
        planes = narrow.filter.weights[:, 0, 0].size
        if planes > MOST_PLANES:
            return f"{planes} planes of weights; allowed: up to {MOST_PLANES}"
        rows, columns = tile(problem)
        if max(rows, columns) > LARGEST:
            return f"the kernel needs tiles of {rows} × {columns}; allowed: up to {LARGEST} a side"
        return Work(problem, narrow) if not narrow.exact else _exact(problem, narrow)

    def cost(self, work: Work) -> float:
        rows, columns = tile(work.problem)
        kept = 1.0
        for size, axis in ((rows, work.problem.rows), (columns, work.problem.columns)):
            step = size - axis.extent + 1
            kept *= axis.output / (-(-axis.output // step) * size)
        forward = work.filter.kernel[0] * work.problem.channels / work.filter.maps
        return (forward + 1) / 2 * rates.TRANSFORM[work.dtype.itemsize] / kept

    def grain(self, work: Work) -> tuple[int, int]:
        rows, columns = tile(work.problem)
        return rows - work.problem.rows.extent + 1, columns - work.problem.columns.extent + 1

    def steps(self, work: Work, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        tiles = _Tiles(work)
        down, across = self.grain(work)
        lanes = work.problem.lanes
        rows, columns = sums.shape[1], sums.shape[2] // lanes
        return [
            (tiles.compute, (planes, sums, top, left, lane))
            for top in range(0, rows, down)
            for left in range(0, columns, across)
            for lane in range(lanes)
        ]


def tile(problem: Problem) -> tuple[int, int]:
    """Rows and columns of a tile: powers of two, at least three times the kernel."""
    rows, columns = (
        max(smallest, 1 << (3 * axis.extent - 1).bit_length())
        for smallest, axis in zip(SMALLEST, problem.axes[1:], strict=True)
    )
    return rows, columns


def _exact(problem: Problem, narrow: Arithmetic) -> Work | str:
    """The work in float64 where rounding provably recovers the integers."""
    rows, columns = tile(problem)
    most = max(map(abs, problem.span))
    weights = narrow.filter.weights.astype(np.float64).reshape(-1, narrow.filter.maps)
    norm = float(np.sqrt((weights**2).sum(axis=0)).max())
    planes = narrow.filter.kernel[0] * narrow.filter.inputs
    steps = (rows * columns).bit_length() - 1
    bound = most * sqrt(rows * columns * planes) * norm * (12.71 * steps + 2.24) * 2.0**-53
    if bound >= 0.25:
        return f"its rounding may reach {bound:.2g}, so that exact integers are not certain"
    reason = f"float64 transforms err by {bound:.1g} at most, so rounding gives the exact integers"
    return Work(problem, replace(narrow, dtype=np.dtype(np.float64), reason=reason))


@dataclass(eq=False)
class _Tiles:
    """The spectra of the weights, and a tile of scratch."""

    work: Work

    def __post_init__(self) -> None:
        work = self.work
        self.shape = tile(work.problem)
        self.scratch = np.zeros(self.shape, work.dtype)
        rows, columns = work.problem.rows, work.problem.columns
        self.spectra: dict[tuple[int, int, int], Any] = {}
        for depth, channel, index in np.ndindex(work.filter.kernel[0], work.filter.inputs, work.filter.maps):
            stuffed = np.zeros(self.shape, work.dtype)
            plane = work.filter.weights[depth, :, :, channel, index]
            stuffed[: rows.extent : rows.dilation, : columns.extent : columns.dilation] = plane
            self.spectra[depth, channel, index] = np.conj(np.fft.rfft2(stuffed))

    def compute(self, planes: Array, sums: Array, top: int, left: int, lane: int) -> None:
        """The sums of one tile, all maps."""
        work, lanes = self.work, self.work.problem.lanes
        found: dict[tuple[int, int], Any] = {}
        out = sums[:, top:, left * lanes + lane :: lanes]
        rows = min(out.shape[1], self.shape[0] - work.problem.rows.extent + 1)
        columns = min(out.shape[2], self.shape[1] - work.problem.columns.extent + 1)
        for index in range(work.filter.maps):
            total: Any = 0
            for depth, channel in np.ndindex(work.filter.kernel[0], work.filter.inputs):
                source = depth, work.channel(index, channel)
                if source not in found:
                    found[source] = self._spectrum(planes[*source, 0], top, left, lane)
                total = total + found[source] * self.spectra[depth, channel, index]
            values = np.fft.irfft2(total, s=self.shape)[:rows, :columns]
            if work.arithmetic.exact:
                np.rint(values, out=values)
            out[index, :rows, :columns] = values

    def _spectrum(self, plane: Array, top: int, left: int, lane: int) -> Any:
        lanes = self.work.problem.lanes
        part = plane[top : top + self.shape[0], left * lanes + lane :: lanes][:, : self.shape[1]]
        self.scratch[...] = 0
        self.scratch[: part.shape[0], : part.shape[1]] = part
        return np.fft.rfft2(self.scratch)
