"""From sums to pixels: each map's strips, mapped, colored, and with alpha."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.core.frozen import frozen
from convcli.core.rounding import Affine, Finish
from convcli.engine.consumer import StripTask
from convcli.geometry.axes import Strip
from convcli.pipeline.color import alpha_affine, light_to_srgb, white
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.colormaps import hues
from convcli.pipeline.mapping import Mapping, black_and_white
from convcli.pipeline.maps.centers import CenterAlpha
from convcli.pipeline.maps.holes import Values
from convcli.pipeline.maps.passes import Passes, SumColors
from convcli.pipeline.maps.ranges import RangeCounter
from convcli.pipeline.maps.sinks import PixelSink


@frozen(eq=False)
class MapPainter:
    """Turns the sums of one map into pixels of its sink.

    Attributes:
        finish: from colors to pixels.
        light: from sums to linear light, where it is encoded as sRGB before ``finish``.
        alpha: from alpha to pixels: filtered alpha, or that of ``centers``.
        sum_colors: what the sums stand for.
        undefined: the pixel of integers where no pixel of the window counts.
        quotients: as ``finish``, from the quotients of windows that lack some data.
        empty: the pixel where data is missing; None where none can be.
        first: the map's first channel on the sink.
        is_last: whether no other map follows on the sink.
        table: (256, 3) colors for the pixels of a map of one channel; (hues, 256, 3) with directions.
    """

    sink: PixelSink
    finish: Finish
    light: Affine | None
    alpha: Finish | None
    centers: CenterAlpha | None
    sum_colors: SumColors
    undefined: int = 0
    first: int = 0
    is_last: bool = True
    table: Array | None = None
    quotients: Finish | None = None
    empty: Any = None

    def paint(
        self, frame: int, strip: Strip, sums: Array, colors: Array, values: Values | None = None
    ) -> tuple[int, int, int]:
        """Fill a strip.

        Args:
            sums: (rows, columns, lanes).
            colors: (rows, columns, colors), as `SumColors.colors` makes them; they may be overwritten.
            values: the colors where some windows lack data; else None.

        Returns:
            How many values are below, and how many above, what a pixel holds; and how many of ``empty`` have
            data.
        """
        pixels = self.sink.place(frame, strip)
        cut = self._finished(sums, colors, values, pixels)
        if self.alpha is not None:
            alpha = self.sum_colors.alpha(sums) if self.centers is None else self.centers.alpha(frame, strip)
            self.alpha(np.ascontiguousarray(alpha), pixels[..., -1])
        if self.is_last:
            self.sink.done(frame, strip)
        return cut

    def _finished(
        self, sums: Array, colors: Array, values: Values | None, pixels: Array
    ) -> tuple[int, int, int]:
        """Write colors as pixels, through the table if there is one."""
        if self.table is None:
            own = pixels[..., self.first : self.first + colors.shape[2]]
            undefined = np.isnan(colors) if self.undefined else None
            cut = self._shaded(colors, values, own)
            if undefined is not None:
                np.copyto(own, self.undefined, where=undefined, casting="unsafe")
            return cut
        shades = np.empty(colors.shape, self.table.dtype)
        cut = self._shaded(colors, values, shades)
        if self.table.ndim == 3:
            pixels[..., :3] = self.table[hues(sums[..., -1]), shades[..., 0]]
        else:
            pixels[..., :3] = self.table[shades[..., 0]]
        return cut

    def _shaded(self, colors: Array, values: Values | None, out: Array) -> tuple[int, int, int]:
        """Finish colors; windows that lack data by their quotients, or as ``empty``."""
        if values is None:
            below, above = self.finish(self._encoded(colors), out, count=True)
            return below, above, self._empty(out)
        assert self.quotients is not None
        below, above, holes = 0, 0, values.holes
        full = holes.full, values.full, self.finish
        for where, part, finish in (full, (holes.partial, values.quotients, self.quotients)):
            if not part.size:
                continue
            done = np.empty(part.shape, out.dtype)
            cut = finish(self._encoded(part), done, count=True)
            out[where] = done
            below, above = below + cut[0], above + cut[1]
        nothing = holes.empty
        taken = self._empty(out, ~nothing)
        out[nothing] = self.empty
        return below, above, taken

    def _encoded(self, colors: Array) -> Array:
        """Colors as sRGB where they are linear light, else as they are."""
        if self.light is None:
            return colors
        return light_to_srgb(colors * self.light.gain + self.light.offset)

    def _empty(self, pixels: Array, where: Array | None = None) -> int:
        """How many pixels have the value of those without data."""
        if self.empty is None or np.isnan(self.empty):
            return 0
        same = pixels == self.empty
        return int(np.count_nonzero(same if where is None else same & where))


def map_painters(
    passes: Passes, mappings: Sequence[Mapping], sinks: Sequence[PixelSink], table: Array | None
) -> list[MapPainter]:
    """A painter for each map; maps may share one sink, as its channels."""
    plan, handling = passes.plan, passes.handling
    centers = CenterAlpha(plan, passes.stored, handling) if handling.alpha == "keep" else None
    shared = len(sinks) > 1 and sinks[0] is sinks[-1]
    painters = []
    for index, (mapping, sink) in enumerate(zip(mappings, sinks, strict=True)):
        dtype = sink.layout.dtype
        finish, light = _color_finish(passes, index, mapping, dtype)
        alpha = _alpha_finish(passes, index, dtype, mapping.kind == "raw")
        first = index * (plan.lanes - handling.extra_lanes) if shared else 0
        is_last = not shared or index == len(sinks) - 1
        meaning, undefined = passes.sum_colors[index], undefined_pixel(handling, mapping, dtype)
        painters.append(
            MapPainter(
                sink,
                finish,
                light,
                alpha,
                centers,
                meaning,
                undefined,
                first,
                is_last,
                table,
                _quotient_finish(passes, index, mapping, dtype),
                None if handling.missing is None else handling.missing.pixel(dtype),
            )
        )
    return painters


def _color_finish(passes: Passes, index: int, mapping: Mapping, dtype: DType) -> tuple[Finish, Affine | None]:
    """From colors to pixels of a type; with the way to linear light where that is encoded as sRGB first."""
    outcome, white_value = passes.outcome, passes.handling.white
    value = outcome.affines[index]
    if passes.handling.curved(mapping, passes.plan):
        affine = mapping.affine(Affine(1.0, 0.0), dtype, white_value)
        return Finish(np.dtype(np.float64), -inf, inf, affine, dtype, False), value.as_floats()
    affine = mapping.affine(value, dtype, white_value)
    return Finish(outcome.dtype, *outcome.bounds[index], affine, dtype, outcome.exact), None


def _quotient_finish(passes: Passes, index: int, mapping: Mapping, dtype: DType) -> Finish | None:
    """From the quotients of windows that lack some data to pixels of a type."""
    if passes.holes is None:
        return None
    finish, light = _color_finish(passes, index, mapping, dtype)
    if light is not None:
        return finish
    affine = mapping.affine(passes.outcome.affines[index], dtype, passes.handling.white)
    return Finish(np.dtype(np.float64), -inf, inf, affine, dtype, False)


def _alpha_finish(passes: Passes, index: int, dtype: DType, raw: bool) -> Finish | None:
    """From filtered or sampled alpha to pixels of a type; a ``raw`` map keeps the units of the input."""
    handling = passes.handling
    if handling.alpha not in ("filter", "keep"):
        return None
    filtered = handling.alpha == "filter"
    source = handling.values if filtered else handling.stored
    opaque = handling.white if raw else black_and_white(dtype)[1]
    gain = Fraction(opaque, white(source))
    if handling.weighted and filtered:
        return Finish(np.dtype(np.float64), -inf, inf, Affine.of(gain, Fraction(0)), dtype, False)
    if filtered:
        sums = passes.plan.outcome
        return Finish(sums.dtype, *sums.bounds[index], alpha_affine(passes.plan, gain), dtype, sums.exact)
    low, high = span(source) if source.kind in "iu" else (-inf, inf)
    return Finish(source, low, high, Affine.of(gain, Fraction(0)), dtype, source.kind in "iu")


def undefined_pixel(handling: ColorHandling, mapping: Mapping, dtype: DType) -> int:
    """The pixel where no pixel of the window counts: the value of --ignore as ``clip`` maps it, else 0."""
    value = handling.ignore.value if handling.ignore else None
    if value is None or mapping.kind != "clip" or dtype.kind == "f":
        return 0
    low, high = span(dtype)
    return min(max(round(value * Fraction(high, white(handling.stored))), low), high)


@frozen(eq=False)
class PaintingConsumer:
    """An engine's consumer that paints every map, and counts what it cuts off.

    Attributes:
        counts_range: whether values are counted too, because no pass before has done so.
    """

    counters: list[RangeCounter]
    painters: list[MapPainter]
    passes: Passes
    counts_range: bool

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        """Paint a strip of each map, (maps, rows, columns, lanes)."""
        holes = self.passes.map_holes(task, sums)
        maps = zip(self.counters, sums, self.painters, self.passes.sum_colors, holes, strict=True)
        for counter, values, painter, meaning, own in maps:
            colors = meaning.colors(values)
            parts = None if own is None else own.values(colors)
            if self.counts_range:
                for counted in meaning.counted(values, colors, parts):
                    counter.note(counted)
            if own is not None:
                counter.undefined += int(np.count_nonzero(own.empty))
            if meaning.weighted:
                counter.undefined += int(np.count_nonzero(meaning.undefined(values)))
            below, above, taken = painter.paint(task.batch + task.depth, task.strip, values, colors, parts)
            counter.below += below
            counter.above += above
            counter.taken += taken
