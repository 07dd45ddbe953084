"""Overlap-save FFT: tiles of the input times the kernel's spectrum, at almost the same cost for any kernel.

The extension transforms two tiles as the real and imaginary part of one; NumPy transforms a real tile.

The correlation of x and w in floats of unit roundoff ε errs by at most ‖x‖₂‖w‖₂·(12.71·n + 2.24)·ε on a tile
of 2ⁿ values (Brent, Percival and Zimmermann, "Error bounds on complex floating-point multiplication", 2007,
to first order). Of two tiles that are transformed together, ‖x‖₂ is the norm of both. Their passes have
radix 2; one of radix 4 multiplies once instead of twice; one of radix 3 or 5 adds up to five terms and
multiplies once more, and loses less than twice as much per bit, which is assumed for all. Where the bound is
below 1/4, rounding recovers the exact integers.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from math import log2, sqrt
from threading import Lock
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen, replace
from convcli.engine import native, transform
from convcli.engine.filter import Filter
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, Workload
from convcli.engine.plan import Arithmetic, Problem
from convcli.geometry.axes import Axis
from convcli.native.loader import extension

LARGEST_TILE: Final = (288, 576)
"""Most rows and columns of NumPy's tiles for kernels up to a quarter of them; they stay in the cache."""

MOST_PLANES: Final = 16
LARGEST: Final = 2048
"""Most rows or columns of a tile; kernels may cover half of it."""

QUICK: Final = sorted(
    (1 << twos) * odd
    for twos in range(1, 13)
    for odd in (1, 3, 5, 9, 15, 45)
    if 8 <= (1 << twos) * odd <= 2 * LARGEST
)
"""Even sizes without large prime factors, as NumPy's real transforms want them."""

CALLS: Final = 30
"""Overhead of transforming a tile by NumPy, or a strip by the extension, in NumPy calls."""


@frozen
class Tiling:
    """How a result is cut into tiles; it follows from the problem.

    Attributes:
        rows, columns: of a tile's input, and of its transform.
        down, across: sums of a tile.
        paired: whether the extension transforms two tiles as one, or NumPy one by itself.
    """

    rows: int
    columns: int
    down: int
    across: int
    paired: bool

    @property
    def together(self) -> int:
        """Tiles that are transformed as one."""
        return 2 if self.paired else 1

    def waste(self, problem: Problem) -> float:
        """Values that are transformed per sum."""
        down = -(-problem.rows.output // self.down)
        across = -(-problem.columns.output // self.across) * problem.lanes
        tiles = down * -(-across // self.together) * self.together
        sums = problem.rows.output * problem.columns.output * problem.lanes
        return tiles * self.rows * self.columns / sums


class Fft(Method):
    """Large dense kernels, without stride."""

    name = "fft"
    mixes = True
    edges = False
    folds = False

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        if any(axis.stride > 1 for axis in problem.axes):
            return "a stride would discard most of the transform's output"
        planes = _planes(problem)
        if planes > MOST_PLANES:
            return f"{planes} planes of weights; allowed: up to {MOST_PLANES}"
        extent = max(problem.rows.extent, problem.columns.extent)
        if 2 * extent > LARGEST:
            return f"the kernel covers {extent} pixels; allowed: up to {LARGEST // 2}"
        return Workload(problem, narrow) if not narrow.exact else _exact(problem, narrow)

    def cost(self, work: Workload) -> float:
        tiles = tiling(work.problem, work.dtype)
        area = tiles.rows * tiles.columns
        forward = work.filter.kernel[0] * work.problem.channels / work.filter.maps
        once = rates.SPECTRUM[tiles.paired] * area * _planes(work.problem) / work.problem.values
        calls = 1 if tiles.paired else (forward + 1) * max(work.values / area, 1)
        values = (forward + 1) / 2 * _rate(tiles, work.dtype) * tiles.waste(work.problem)
        return values + once + CALLS * work.call * calls

    def error(self, work: Workload, most: float) -> float:
        return _error(work.filter, tiling(work.problem, work.dtype), most, work.dtype)

    def scratch(self, work: Workload) -> float:
        return 0

    def grain(self, work: Workload) -> tuple[int, int]:
        tiles = tiling(work.problem, work.dtype)
        return tiles.down, tiles.across * tiles.together

    def binder(self, work: Workload) -> Binder:
        tiles = tiling(work.problem, work.dtype)
        return (_PairedTiles if tiles.paired else _Tiles)(work, tiles).steps


def tiling(problem: Problem, dtype: DType) -> Tiling:
    """The tiles with the least total work, for sums of ``dtype``."""
    if not native.is_available(dtype):
        return _single(problem.rows, problem.columns)
    rounds = problem.batch * problem.depth.output * max(problem.channels, problem.filter.maps)
    return _paired(problem.rows, problem.columns, problem.lanes, dtype, _planes(problem) / rounds)


def _planes(problem: Problem) -> int:
    """Planes of weights, each of which has a spectrum."""
    return problem.filter.weights[:, 0, 0].size


def loss(values: int) -> float:
    """Largest error of a tile of so many values, in units of roundoff times ‖x‖₂‖w‖₂."""
    return 2 * 12.71 * log2(values) + 2.24


@lru_cache(maxsize=64)
def _single(rows: Axis, columns: Axis) -> Tiling:
    """Tiles for NumPy, which takes about as long per value for all."""
    height, width = (_side(axis, most) for axis, most in zip((rows, columns), LARGEST_TILE, strict=True))
    return Tiling(height, width, height - rows.extent + 1, width - columns.extent + 1, paired=False)


def _side(axis: Axis, most: int) -> int:
    """One side of a tile; of equal ones the largest, which needs the fewest tiles."""
    fitting = [size for size in QUICK if 2 * axis.extent <= size <= max(most, 4 * axis.extent)]
    waste = {size: -(-axis.output // (size - axis.extent + 1)) * size for size in reversed(fitting)}
    return min(waste, key=lambda size: waste[size])


@lru_cache(maxsize=64)
def _paired(rows: Axis, columns: Axis, lanes: int, dtype: DType, spectra: float) -> Tiling:
    """Tiles for the extension, which takes longer for those that leave the cache.

    Args:
        spectra: spectra of weights for each plane of the image, of which every tile needs one.
    """
    heights, widths = (transform.SIZES[axis.extent <= transform.SIZES] for axis in (rows, columns))
    down, across = heights - rows.extent + 1, widths - columns.extent + 1
    pairs = -(-columns.output // across) * lanes + 1 >> 1
    area, tiles = np.multiply.outer(heights, widths), 2 * np.multiply.outer(-(-rows.output // down), pairs)
    cost = area * (tiles * rates.paired(dtype, area) + rates.SPECTRUM[True] * spectra)
    row, column = np.unravel_index(cost.argmin(), cost.shape)
    return Tiling(int(heights[row]), int(widths[column]), int(down[row]), int(across[column]), paired=True)


def _rate(tiles: Tiling, dtype: DType) -> float:
    """Nanoseconds per value of a tile."""
    if not tiles.paired:
        return rates.TRANSFORM[dtype.itemsize]
    return float(rates.paired(dtype, np.array(tiles.rows * tiles.columns)))


def _exact(problem: Problem, narrow: Arithmetic) -> Workload | str:
    """The workload in float64 if rounding provably recovers the integers, or why it does not."""
    tiles = tiling(problem, np.dtype(np.float64))
    most = max(map(abs, problem.span))
    bound = _error(narrow.filter, tiles, most, np.dtype(np.float64))
    if bound >= 0.25:
        return f"its rounding error may reach {bound:.2g}, so exact integers are not guaranteed"
    reason = f"float64 transforms are off by at most {bound:.1g}, so rounding gives the exact integers"
    return Workload(problem, replace(narrow, dtype=np.dtype(np.float64), reason=reason))


def _error(filter_: Filter, tiles: Tiling, most: float, dtype: DType) -> float:
    """How far sums over values up to ``most`` may be from exact ones, by the norms of tiles and weights."""
    weights = filter_.weights.astype(np.float64).reshape(-1, filter_.maps)
    norm = float(np.sqrt((weights**2).sum(axis=0)).max())
    area, planes = tiles.rows * tiles.columns, filter_.kernel[0] * filter_.inputs
    roundoff = float(np.finfo(dtype).eps) / 2
    return most * sqrt(tiles.together * area * planes) * norm * loss(area) * roundoff


class _Spectra:
    """The latest spectra of weights, shared by the workers of a plan and kept for the next one."""

    MOST: Final = 2**24
    """Bytes that are kept, apart from the latest."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.kept: OrderedDict[tuple[Any, ...], Array] = OrderedDict()

    def of(self, filter_: Filter, rows: Axis, columns: Axis, tiles: Tiling, dtype: DType) -> Array:
        """The spectra of all planes: (depth, inputs, maps, …), in the order of who transforms."""
        key = filter_, rows.dilation, columns.dilation, tiles, dtype
        with self.lock:
            if key not in self.kept:
                self.kept[key] = _transformed(filter_, rows, columns, tiles, dtype)
            self.kept.move_to_end(key)
            while len(self.kept) > 1 and sum(found.nbytes for found in self.kept.values()) > self.MOST:
                self.kept.popitem(last=False)
            return self.kept[key]


_SPECTRA: Final = _Spectra()


def _transformed(filter_: Filter, rows: Axis, columns: Axis, tiles: Tiling, dtype: DType) -> Array:
    """The conjugate spectra of the weights, computed in float64."""
    complex_type = np.result_type(dtype, 1j)
    spectra = []
    for depth, channel, index in np.ndindex(filter_.kernel[0], filter_.inputs, filter_.maps):
        plane = np.zeros((rows.extent, columns.extent))
        plane[:: rows.dilation, :: columns.dilation] = filter_.weights[depth, :, :, channel, index]
        if tiles.paired:
            spectra.append(transform.spectrum(plane, tiles.rows, tiles.columns, dtype))
        else:
            spectra.append(np.conj(np.fft.rfft2(plane, (tiles.rows, tiles.columns))).astype(complex_type))
    return np.stack(spectra).reshape(filter_.kernel[0], filter_.inputs, filter_.maps, *spectra[0].shape)


class _PairedTiles:
    """Tiles by the extension: one call per strip."""

    def __init__(self, work: Workload, tiles: Tiling) -> None:
        problem, compiled = work.problem, extension()
        assert compiled is not None
        layout = [tiles.rows, tiles.columns, tiles.down, tiles.across]
        layout += [problem.lanes, work.filter.inputs, problem.groups, work.arithmetic.exact]
        self.call, self.layout = compiled.tiles, np.array(layout, np.int64)
        spectra = _SPECTRA.of(work.filter, problem.rows, problem.columns, tiles, work.dtype)
        self.tables = spectra.ravel(), *(transform.roots(n, work.dtype) for n in (tiles.rows, tiles.columns))

    def steps(self, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        """One call."""
        return [(self.call, (self.layout, planes[:, :, 0], sums, *self.tables))]


class _Tiles:
    """Tiles by NumPy: the spectra of the weights, and scratch for one tile.

    The transforms of the input have the norm "ortho", with which NumPy transforms float32 as float32; the
    factor 1 of the others is taken for an integer, which has it convert to float64 and back.
    """

    def __init__(self, work: Workload, tiles: Tiling) -> None:
        self.work, self.tiles = work, tiles
        self.shape = tiles.rows, tiles.columns
        spectrum = self.shape[0], self.shape[1] // 2 + 1
        complex_type = np.result_type(work.dtype, 1j)
        self.values = np.zeros(self.shape, work.dtype)
        self.total, self.product = np.empty((2, *spectrum), complex_type)
        self.spectra = np.empty((work.filter.kernel[0], work.problem.channels, *spectrum), complex_type)
        self.weights = _SPECTRA.of(work.filter, work.problem.rows, work.problem.columns, tiles, work.dtype)

    def steps(self, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        """One call per tile and lane."""
        down, across = self.tiles.down, self.tiles.across
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
        rows, columns = min(sums.shape[1], self.tiles.down), min(sums.shape[2], self.tiles.across)
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
