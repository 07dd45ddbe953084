"""The difference image: differences as colors, or as signed values."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from convcli.comparison.differences import difference_type, differences
from convcli.comparison.images import Image
from convcli.comparison.result import Comparison, Side
from convcli.comparison.strips import StripPair, strip_pairs
from convcli.core.dtypes import Array, DType
from convcli.core.errors import ArgumentError, OutputError
from convcli.core.frozen import frozen, replace
from convcli.core.rational import Number
from convcli.core.rounding import Affine, Finish
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import open_draft
from convcli.formats.capacity import OutputKind
from convcli.formats.encoders import Encoder
from convcli.formats.header import MAX_IMAGE_CHANNELS, Layout, Metadata, Timing
from convcli.formats.registry import default_format
from convcli.pipeline.colormaps import color_table
from convcli.pipeline.mapping import Mapping, black_and_white
from convcli.pipeline.naming import OutputSpec, Target
from convcli.pipeline.settings import GRAY
from convcli.pipeline.writing import encoding

_NAME = "diff"  # takes the place of a kernel's name
_PIXEL = np.dtype(np.uint8)


@frozen(eq=False)
class Drawing:
    """How and where difference images are written.

    Attributes:
        output: the places of ``-o``.
        mapping: differences to pixels; ``raw`` keeps them.
        colormap: one of `convcli.pipeline.colormaps.COLORMAPS` but ``wheel``.
        ledger: which files may be written.
        force: replace existing files.
    """

    output: OutputSpec
    mapping: Mapping
    colormap: str
    ledger: OutputLedger
    force: bool = False

    def __post_init__(self) -> None:
        if self.mapping.searched_percents:
            raise ArgumentError("--map takes numbers here, not percentages: signed:50 or stretch:-10,10")

    def prepared(self, a: Side, b: Side) -> DrawingTask:
        """The difference image of two images of one shape; refuses what cannot be written.

        Raises:
            OutputError: the place or the format cannot take it.
        """
        if len({shape[1:] for shape in a.shapes}) > 1:
            raise OutputError("-o needs frames of one size; choose some with --frames")
        _, rows, columns, channels = a.shapes[0]
        mapping = Mapping("signed") if self.mapping.kind == "auto" else self.mapping
        is_raw = mapping.kind == "raw"
        dtype = _raw_type(a.dtype, b.dtype) if is_raw else _PIXEL
        stored = channels if is_raw else 1 if self.colormap == GRAY else 3
        bands = stored not in (1, 3)
        layout = Layout(rows, columns, stored, dtype, a.frames, bands)
        kind = OutputKind(dtype, stored, a.frames, bands=bands, rows=rows, columns=columns)
        target = self.output.targets(a.name, _NAME, 1, default_format(), kind)[0]
        if target.format.is_array and channels <= MAX_IMAGE_CHANNELS:
            layout = replace(layout, bands=False)  # one axis less
        if target.format.is_store:
            raise OutputError(
                f"{target}: difference images are not written as {target.format.name}; use .tif"
            )
        if target.path is not None:
            self.ledger.claim(target.path, self.force, make_folder=True)
        return DrawingTask(
            target, layout, mapping, None if self.colormap == GRAY else color_table(self.colormap)
        )


@frozen(eq=False)
class DrawingTask:
    """A difference image to be written.

    Attributes:
        colors: of 8-bit pixels, (256, 3); None for gray.
    """

    target: Target
    layout: Layout
    mapping: Mapping
    colors: Array | None

    def write(self, a: Image, b: Image, result: Comparison, force: bool) -> None:
        """Write the file.

        Raises:
            ConvcliError: an image is damaged, or the file cannot be written.
        """
        timing = Timing.steady(self.layout.frames) if self.layout.frames > 1 else None
        encoder = self.target.format.encoder(self.layout, Metadata(timing=timing))
        painter = self._painter(result)
        with open_draft(self.target.path, force) as draft:
            with encoding(self.target, draft):
                encoder.write(draft.file, self._pieces(encoder, painter, a, b))
            draft.commit()

    def _painter(self, result: Comparison) -> Painter:
        if self.mapping.kind == "raw":
            return Painter()
        low, high = (_number(end) for end in (result.statistics.low, result.statistics.high))
        if self.mapping.kind == "stretch" and low == high:
            high = low + 1
        kind = result.a.dtype
        white = black_and_white(kind)[1] if kind.kind in "iu" else 1
        affine = self.mapping.with_range(low, high).affine(Affine(), _PIXEL, white)
        largest = float(max(-low, high))
        finish = Finish(np.dtype(np.float64), -largest, largest, affine, _PIXEL, exact=False)
        return Painter(finish, self.colors)

    def _pieces(self, encoder: Encoder, painter: Painter, a: Image, b: Image) -> Iterator[object]:
        for strip in strip_pairs(a, b):
            end = strip.first + len(strip.a)
            pixels = encoder.destination(strip.frame, strip.first, end)
            if pixels is None:
                pixels = np.empty((len(strip.a), *self.layout.shape[1:]), self.layout.dtype)
            painter.paint(strip, pixels)
            yield encoder.strip(strip.first, pixels)


@frozen(eq=False)
class Painter:
    """Makes pixels of differences.

    Attributes:
        finish: from a difference to a pixel; None to keep differences.
        colors: as in `DrawingTask`.
    """

    finish: Finish | None = None
    colors: Array | None = None

    def paint(self, strip: StripPair, pixels: Array) -> None:
        """Write the pixels of a strip, (rows, columns, channels)."""
        found = differences(strip.a, strip.b)
        if self.finish is None:
            pixels[:] = found
            return
        found = found.astype(np.float64)
        found[_equal_infinities(strip)] = 0
        unequal = ~np.isfinite(found) & ~_both_nan(strip)
        np.copyto(found, 0, where=~np.isfinite(found))
        values = _farthest(found)
        gray = np.empty(values.shape, np.uint8)
        self.finish(values, gray)
        if self.colors is None:
            pixels[..., 0] = gray
        else:
            np.take(self.colors, gray, axis=0, out=pixels, mode="clip")
        pixels[unequal.any(-1)] = 0


def _farthest(found: Array) -> Array:
    """At each pixel, the difference of the channel that differs most, (rows, columns)."""
    if found.shape[-1] == 1:
        single: Array = found[..., 0]
        return single
    low, high = found.min(-1), found.max(-1)
    farthest: Array = np.where(-low > high, low, high)
    return farthest


def _both_nan(strip: StripPair) -> Array:
    both: Array = np.isnan(strip.a) & np.isnan(strip.b)
    return both


def _equal_infinities(strip: StripPair) -> Array:
    same: Array = np.isinf(strip.a) & (strip.a == strip.b)
    return same


def _raw_type(a: DType, b: DType) -> DType:
    """The type of differences that are kept."""
    if a.kind in "iu" and b.kind in "iu":
        return difference_type(a, b) or np.dtype(np.float64)
    return np.dtype(np.float32) if np.result_type(a, b).itemsize <= 4 else np.dtype(np.float64)


def _number(value: float) -> Number:
    return (
        Fraction(value) if isinstance(value, int) or np.isfinite(value) else float(np.finfo(np.float64).max)
    )
