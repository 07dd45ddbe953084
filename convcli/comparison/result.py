"""The result of a comparison, as frozen values."""

from __future__ import annotations

from math import inf, log10
from typing import Final

from convcli.comparison.histogram import Bin
from convcli.core.dtypes import DType
from convcli.core.errors import shown
from convcli.core.frozen import frozen
from convcli.formats.header import kind_text

_COLORS: Final = {1: ("gray",), 2: ("gray",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue")}


@frozen
class Side:
    """One of the two images.

    Attributes:
        name: of the file, ``-`` for standard input, empty for an array.
        format: of the file; empty for an array.
        shapes: (frames, rows, columns, channels) of each run of frames that are alike; most images have one.
        dtype: of the values.
        bands: whether no channel is alpha.
        notes: on how the file is read.
    """

    name: str
    format: str
    shapes: tuple[tuple[int, int, int, int], ...]
    dtype: DType
    bands: bool = False
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``RGB, 8-bit``."""
        return kind_text(self.shapes[0][3], self.dtype, self.bands)

    @property
    def frames(self) -> int:
        """The number of frames."""
        return sum(shape[0] for shape in self.shapes)

    @property
    def size_text(self) -> str:
        """``200 × 300`` (rows × columns), or ``5 frames of 200 × 300``; the first size of several."""
        _, rows, columns, _ = self.shapes[0]
        several = f"{self.frames} frames of " if self.frames > 1 else ""
        return f"{several}{rows} × {columns}{' and other sizes' * (len(self.shapes) > 1)}"

    def channel_name(self, channel: int) -> str:
        """``red``, ``alpha``, or ``channel 5``."""
        channels = self.shapes[0][3]
        if self.bands or channels > 4:
            return f"channel {channel}"
        names = _COLORS[channels]
        return names[channel] if channel < len(names) else "alpha"


@frozen
class Difference:
    """Two values that differ, and where.

    Attributes:
        frame, row, column, channel: from 0.
        a, b: the values; Python integers or floats.
        difference: ``b − a``, rounded to float64 for floats; NaN where either is NaN.
    """

    frame: int
    row: int
    column: int
    channel: int
    a: float
    b: float
    difference: float


@frozen
class NotFinite:
    """Values that are NaN or infinite; statistics leave their positions out.

    Attributes:
        nan_a, nan_b: how many are NaN in each image.
        infinite_a, infinite_b: how many are infinite.
        unequal: positions where they differ: NaN, or an infinity, beside another value.
        first: the first of these; None without any.
    """

    nan_a: int = 0
    nan_b: int = 0
    infinite_a: int = 0
    infinite_b: int = 0
    unequal: int = 0
    first: Difference | None = None


@frozen
class Similarity:
    """The structural similarity (SSIM).

    Attributes:
        value: the mean over all windows, frames and channels; None where there is no window.
        window: ``uniform`` (7×7, sample covariance) or ``gaussian`` (σ = 1.5, 11×11).
        windows: how many were compared.
        left_out: windows that contain a value that is not finite in either image.
    """

    value: float | None
    window: str
    windows: int = 0
    left_out: int = 0


@frozen
class Statistics:
    """Statistics of the differences ``b − a`` of all pairs of finite values.

    Attributes:
        values: number of pairs.
        largest: the pair with the largest absolute difference, the first of several; None if all are equal.
        mean: mean difference.
        mean_absolute: mean absolute difference.
        mean_square: mean squared difference.
        histogram: of the differences that are not 0.
        low, high: the smallest and the largest difference.
    """

    values: int = 0
    largest: Difference | None = None
    mean: float | None = None
    mean_absolute: float | None = None
    mean_square: float | None = None
    histogram: tuple[Bin, ...] = ()
    low: float = 0
    high: float = 0

    @property
    def rms(self) -> float | None:
        """The root of the mean squared difference."""
        return None if self.mean_square is None else self.mean_square**0.5


@frozen
class Comparison:
    """How two images differ.

    Attributes:
        a, b: the images.
        mismatch: why values cannot be compared, in words; empty where they were.
        values: number of pairs of values.
        differing: how many pairs are not equal; NaN is equal to NaN.
        statistics: of pairs of finite values.
        not_finite: NaN and infinity.
        data_range: the difference between black and white that PSNR and SSIM assume; None where not needed.
        similarity: the SSIM; None where it was not requested or not possible.
        notes: anything else worth knowing.
        output: the difference image that was written, or None.
    """

    a: Side
    b: Side
    mismatch: str = ""
    values: int = 0
    differing: int = 0
    statistics: Statistics = Statistics()
    not_finite: NotFinite = NotFinite()
    data_range: float | None = None
    similarity: Similarity | None = None
    notes: tuple[str, ...] = ()
    output: str | None = None

    def __repr__(self) -> str:
        names = " and ".join(shown(side.name) or "array" for side in (self.a, self.b))
        return f"<Comparison of {names}: {self}>"

    def __str__(self) -> str:
        """One line: what differs, and by how much."""
        if self.mismatch or self.identical:
            return self.mismatch or f"identical: {self.values} values"
        numbers = {"largest": self.largest, "RMS": self.rms, "PSNR": self.psnr, "SSIM": self.ssim}
        parts = [f"{name} {value:.6g}" for name, value in numbers.items() if value is not None]
        return f"{self.differing} of {self.values} values differ: {', '.join(parts)}"

    @property
    def identical(self) -> bool:
        """Whether shape and values are the same; the types may differ."""
        return not self.mismatch and not self.differing

    @property
    def same_type(self) -> bool:
        """Whether the values have one type."""
        return self.a.dtype == self.b.dtype

    @property
    def largest(self) -> float | None:
        """The largest absolute difference; infinite where NaN or an infinity is beside another value."""
        if self.mismatch:
            return None
        if self.not_finite.unequal:
            return inf
        found = self.statistics.largest
        return 0 if found is None else abs(found.difference)

    @property
    def mean(self) -> float | None:
        """The mean of ``b − a``."""
        return self.statistics.mean

    @property
    def mean_absolute(self) -> float | None:
        """The mean of ``|b − a|``."""
        return self.statistics.mean_absolute

    @property
    def rms(self) -> float | None:
        """The root of the mean of ``(b − a)²``."""
        return self.statistics.rms

    @property
    def psnr(self) -> float | None:
        """10·log₁₀(data range² / mean squared difference) in decibels; infinite if it is 0."""
        square = self.statistics.mean_square
        if square is None or square == inf:
            return None
        if square == 0:
            return inf
        if self.data_range is None:
            return None
        return 20 * log10(self.data_range) - 10 * log10(square)

    @property
    def ssim(self) -> float | None:
        """The mean structural similarity; 1 for identical images."""
        return None if self.similarity is None else self.similarity.value

    def exceeds(self, limit: float) -> bool:
        """Whether shapes differ, or any values by more than ``limit``."""
        largest = self.largest
        return largest is None or largest > limit
