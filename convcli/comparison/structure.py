"""The structural similarity of two images, from means over windows that the engine computes.

    SSIM = (2·μa·μb + C1)·(2·σab + C2) / ((μa² + μb² + C1)·(σa² + σb² + C2))

with C1 = (0.01·L)², C2 = (0.03·L)² and the data range L (Wang, Bovik, Sheikh and Simoncelli, "Image quality
assessment: from error visibility to structural similarity", 2004). Only windows inside the image count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np

from convcli.api import conv
from convcli.comparison.differences import equal
from convcli.comparison.result import Similarity
from convcli.comparison.strips import StripPair
from convcli.core.dtypes import Array, DType, accumulator
from convcli.core.frozen import frozen

_SIZE: Final = {"uniform": 7, "gaussian": 11}
WINDOWS: Final = tuple(_SIZE)
_SIGMA: Final = 1.5
_K1, _K2 = 0.01, 0.03
_FLOAT: Final = np.dtype(np.float64)
_BLOCK_VALUES: Final = 2**18  # values of a block, of which ten intermediate arrays are made


@frozen(eq=False)
class Moments:
    """Means over windows, variances, and the covariance (``product``)."""

    mean_a: Array
    mean_b: Array
    square_a: Array
    square_b: Array
    product: Array


class Structure:
    """The mean SSIM of the strips so far.

    Args:
        window: one of `WINDOWS`.
        data_range: L.
        threads: most threads; None for one per CPU.
    """

    def __init__(self, window: str, data_range: float, threads: int | None = None) -> None:
        self.window, self.threads = window, threads
        self.constants = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
        self.size = _SIZE[window]
        self.frame = -1
        self.kept: tuple[Array, Array] | None = None
        self.total, self.windows, self.left_out = 0.0, 0, 0

    def add(self, strip: StripPair) -> None:
        """Take the windows that end in a strip; strips come in order."""
        pair = strip.a, strip.b
        if self.kept is not None and strip.frame == self.frame:
            pair = tuple(map(_joined, self.kept, pair))  # type: ignore[assignment]
        self.frame, overlap = strip.frame, self.size - 1
        self.kept = tuple(values[max(len(values) - overlap, 0) :].copy() for values in pair)  # type: ignore[assignment]
        if len(pair[0]) < self.size or pair[0].shape[1] < self.size:
            return
        for a, b in _blocks(*pair, overlap):
            self._add_block(a, b)

    def _add_block(self, a: Array, b: Array) -> None:
        rows, columns, channels = a.shape
        count = (rows - self.size + 1) * (columns - self.size + 1) * channels
        bad = _bad(a, b)
        if bad is None and equal(a, b):
            self.total, self.windows = self.total + count, self.windows + count
            return
        if bad is not None:
            a, b = np.where(bad, 0, a), np.where(bad, 0, b)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = _similarity(self._moments(a, b), *self.constants)
        usable = np.isfinite(values)
        if bad is not None:
            usable &= conv(bad.astype(np.uint8), _ones(self.size), channels="last", dtype=np.int64) == 0
        taken = int(np.count_nonzero(usable))
        self.total += float(values.sum() if taken == count else values[usable].sum())
        self.windows, self.left_out = self.windows + taken, self.left_out + count - taken

    def _moments(self, a: Array, b: Array) -> Moments:
        if self.window == "gaussian":
            return _centered(self._sums(_products(a, b, _FLOAT, _FLOAT), _gaussian(), _FLOAT), 1)
        number = self.size**2
        share = number / (number - 1)  # sample covariance
        types = _exact_types(a, b)
        if types is not None:
            sums = self._sums(_products(a, b, *types), _ones(self.size), np.dtype(np.int64))
            return _from_sums(sums, number, share)
        sums = self._sums(_products(a, b, _FLOAT, _FLOAT), _ones(self.size), _FLOAT)
        return _centered([part / number for part in sums], share)

    def _sums(self, parts: Sequence[Array], weights: Array, dtype: DType) -> list[Array]:
        """Weighted sums over all windows inside."""
        return [
            conv(part, weights, channels="last", dtype=dtype.type, steady=True, threads=self.threads)
            for part in parts
        ]

    def result(self) -> Similarity:
        """The mean of all windows."""
        value = self.total / self.windows if self.windows else None
        return Similarity(value, self.window, self.windows, self.left_out)


def window_fits(window: str, rows: int, columns: int) -> bool:
    """Whether an image is at least as large as a window."""
    return min(rows, columns) >= _SIZE[window]


def window_text(window: str) -> str:
    """``7×7 windows``."""
    size = _SIZE[window]
    return f"{'Gaussian ' * (window == 'gaussian')}{size}×{size} windows"


def _similarity(moments: Moments, c1: float, c2: float) -> Array:
    mean_a, mean_b = moments.mean_a, moments.mean_b
    top, bottom = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    top *= 2
    top += c1
    bottom += c1
    top *= 2 * moments.product + c2
    bottom *= moments.square_a + moments.square_b + c2
    top /= bottom
    return top


def _exact_types(a: Array, b: Array) -> tuple[DType, DType] | None:
    """Types that hold integers of up to 16 bits, and their products; None for other values."""
    if not {a.dtype.kind, b.dtype.kind} <= {"i", "u"}:
        return None
    low, high = min(int(a.min()), int(b.min()), 0), max(int(a.max()), int(b.max()))
    most = max(-low, high)
    if most > np.iinfo(np.uint16).max:
        return None
    value, product = accumulator(low, high), accumulator(low * high, most * most)
    return None if value is None or product is None else (value, product)


def _products(a: Array, b: Array, value: DType, product: DType) -> tuple[Array, ...]:
    """Both arrays, their squares and their product."""
    a, b = a.astype(value), b.astype(value)
    return a, b, *(np.multiply(x, y, dtype=product) for x, y in ((a, a), (b, b), (a, b)))


def _centered(means: Sequence[Array], share: float) -> Moments:
    """Variances of the means of values and of products."""
    a, b, aa, bb, ab = means
    return Moments(a, b, share * (aa - a * a), share * (bb - b * b), share * (ab - a * b))


def _from_sums(sums: Sequence[Array], number: int, share: float) -> Moments:
    """Variances of exact sums, subtracted before anything is rounded."""
    a, b, aa, bb, ab = sums
    scale = share / number**2
    square_a, square_b, product = (
        scale * (number * total - x * y) for total, x, y in ((aa, a, a), (bb, b, b), (ab, a, b))
    )
    return Moments(a / number, b / number, square_a, square_b, product)


def _bad(a: Array, b: Array) -> Array | None:
    """Where either value is not finite; None for nowhere."""
    if "f" not in (a.dtype.kind, b.dtype.kind):
        return None
    finite = np.isfinite(a) & np.isfinite(b)
    return None if finite.all() else ~finite


def _joined(above: Array, below: Array) -> Array:
    return np.concatenate([above, below])


def _blocks(a: Array, b: Array, overlap: int) -> Iterator[tuple[Array, Array]]:
    """Both strips cut into blocks of columns; neighbors share ``overlap`` columns."""
    rows, columns, channels = a.shape
    width = max(_BLOCK_VALUES // (rows * channels), 1)
    for left in range(0, columns - overlap, width):
        right = min(left + width + overlap, columns)
        yield a[:, left:right], b[:, left:right]


@cache
def _ones(size: int) -> Array:
    return np.ones((size, size), np.int64)


@cache
def _gaussian() -> Array:
    """Weights of the Gaussian window, which sum to 1, (11, 11)."""
    distance = np.arange(_SIZE["gaussian"]) - _SIZE["gaussian"] // 2
    weights = np.exp(-(distance**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    return np.outer(weights, weights)
