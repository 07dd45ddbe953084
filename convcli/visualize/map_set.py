"""The feature maps of one picture to look at: the pixels that `job.apply` writes, and their reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, one_line
from convcli.core.frozen import frozen, replace
from convcli.core.rational import Number
from convcli.files.input import STREAM, Input
from convcli.formats import registry
from convcli.formats.header import Header
from convcli.kernels.describe import map_name
from convcli.pipeline.color import white
from convcli.pipeline.colormaps import MIDDLE, table
from convcli.pipeline.feature_map import feature_maps
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.report import Report
from convcli.pipeline.settings import GRAY, Settings
from convcli.pipeline.sinks import MemorySink
from convcli.pipeline.task import Task, prepare
from convcli.pipeline.task_report import report_of
from convcli.visualize.colorbar import ColorBar
from convcli.visualize.display import UNSCALED, Scale, check_displayable, display_range, to_display

MOST: Final = (Fraction(1, 4), Fraction(399, 4))
"""Percentiles between which maps are drawn unless a mapping is asked for: the middle 99.5% of the values."""

FEW: Final = 16
"""Rows and columns of pictures whose values are kept."""


@frozen(eq=False)
class DisplayMap:
    """One map.

    Attributes:
        settings: of its kernel.
        shades: (rows, columns, 1 or 3) of uint8, before they are colored.
        report: as ``apply`` makes it; its target is the map's pixels.
        bar: which value has which color.
        values: (rows, columns) of float64 before the mapping, where they are few and of one channel.
    """

    settings: Settings
    shades: Array
    report: Report
    bar: ColorBar
    values: Array | None = None

    @property
    def name(self) -> str:
        """The kernel's, or that of the member of a set that made the map."""
        return one_line(map_name(self.settings.kernel, self.report.index)[0])

    @property
    def number(self) -> str:
        """What stands behind the name where several maps have it."""
        return map_name(self.settings.kernel, self.report.index)[1]

    def pixels(self, scale: Scale = UNSCALED) -> Array:
        """(rows, columns[, 3]) of uint8 in the colors of the map; smaller ones by values, not by colors."""
        drawn = scale.drawn(self.shades, MIDDLE if self.bar.mapping.kind == "signed" else None)
        if drawn.shape[2] == 3:
            return drawn
        return drawn[..., 0] if self.bar.colormap == GRAY else table(self.bar.colormap)[drawn[..., 0]]


@frozen(eq=False)
class MapSet:
    """A picture, as it is looked at, and its maps.

    Attributes:
        drawn: the values that are black and white, where they are not those of its type.
        values: (rows, columns) as its file has them, where they are few and of one channel.
    """

    name: str
    header: Header
    picture: Array
    drawn: tuple[int, int] | None
    maps: tuple[DisplayMap, ...]
    values: Array | None = None


def compute_maps(source: str, each: Sequence[Settings], common: bool = False) -> MapSet:
    """The maps of one picture, of several frames those of the first.

    Args:
        source: a file, or ``-`` for standard input.
        each: what to do with it, one kernel behind the other.
        common: whether all maps have one range.

    Raises:
        ConvcliError: of every kind.
    """
    with Input.open(source) as opened:
        runs = registry.open_input(opened, each[0].max_pixels)
        count = sum(run.header.frames for run in runs)
        first = registry.selected(runs, slice(*_first(each[0])))[0]
        check_displayable(first.header.channels)
        pixels = first.reader().rows(0, 0, first.header.rows)
        drawn = display_range(_colors(pixels, first.header))
        wanted = [_visible(settings, count) for settings in each]
        found = _display_maps(source, runs, wanted, drawn)
        if common:
            mapping = _common(found, each[0])
            found = _display_maps(
                source, runs, [replace(settings, mapping=mapping) for settings in wanted], drawn
            )
        opened.check_unchanged()
        name = "standard input" if source == STREAM else one_line(Path(source).name)
        picture = to_display(pixels, first.header.bands)
        return MapSet(name, first.header, picture, drawn, tuple(found), _few(pixels))


def _colors(pixels: Array, header: Header) -> Array:
    """Without alpha, or a last band that is not drawn."""
    return pixels[..., :-1] if header.channels in (2, 4) else pixels


def _first(settings: Settings) -> tuple[int, int | None]:
    """Begin and end of the one frame that is drawn."""
    first = settings.frames.start or 0
    return first, None if first == -1 else first + 1


def _few(pixels: Array) -> Array | None:
    """(rows, columns) of a picture whose values can be read one by one."""
    rows, columns, channels = pixels.shape
    return pixels[..., 0] if channels == 1 and max(rows, columns) <= FEW else None


def _visible(settings: Settings, count: int) -> Settings:
    """8 bits of the first frame of so many, in memory."""
    if settings.mapping.kind == "raw":
        raise ArgumentError("map raw makes no picture to look at; allowed: auto, clip, abs, signed, stretch")
    if settings.depth in ("16", "float"):
        raise ArgumentError(f"what is drawn has 8 bits; --depth {settings.depth} has no place")
    if settings.stack:
        raise ArgumentError(
            "a stack is a file of all maps; it has no place with --sheet, --figure and -o term:"
        )
    if settings.kernel.spatial == 3:
        raise ArgumentError(f"kernel {settings.kernel.name} has three axes; drawn are rows and columns")
    first, last = _first(settings)
    frames = slice(first, last)
    chosen = f"frame {first} of {count} is shown (--frames N)"
    notes = (*settings.notes, chosen) if count > 1 else settings.notes
    return replace(settings, depth="8", frames=frames, output=OutputSpec(format="npy"), notes=notes)


def _display_maps(
    source: str, runs: list[registry.Opened], each: Sequence[Settings], drawn: tuple[int, int] | None
) -> list[DisplayMap]:
    return [
        map_
        for settings in each
        for task, *_ in prepare(source, runs, settings)
        for map_ in _maps(_seen_well(_uncolored(task), settings, drawn), settings)
    ]


def _seen_well(task: Task, settings: Settings, drawn: tuple[int, int] | None) -> Task:
    """The same task; where no mapping was asked for, one that shows what there is.

    A few outliers would leave the rest of a map flat, so its range is that of most values; averages are drawn
    on the scale of the input.
    """
    mapping = task.mapping
    if settings.mapping.kind != "auto":
        return task
    if mapping.needs_range:
        return replace(task, mapping=replace(mapping, percents=MOST))
    if mapping.kind == "clip" and drawn is not None and not settings.linear:
        return replace(task, mapping=Mapping("stretch", Fraction(drawn[0]), Fraction(drawn[1])))
    return task


def _uncolored(task: Task) -> Task:
    """The same task whose maps stay gray, because means are those of values, not of colors."""
    if task.colormap == GRAY:
        return task
    layout = replace(task.layout, channels=task.layout.channels - 2)
    return replace(task, colormap=GRAY, layout=layout)


def _maps(task: Task, settings: Settings) -> list[DisplayMap]:
    begun = time.perf_counter()
    sinks = [MemorySink(task.layout) for _ in range(task.plan.outcome.maps)]
    found = feature_maps(task.plan, task.opened.reader(), task.color_handling, task.mapping, sinks)
    seconds = (time.perf_counter() - begun) / len(found)
    values = _values(task, len(found))
    targets = task.targets[:1] * len(found)
    task = replace(task, targets=targets)
    return [
        DisplayMap(
            settings,
            to_display(sink.images[0], task.layout.bands),
            report_of(task, settings, index, map_, 0, seconds),
            ColorBar(map_.mapping, white(task.color_handling.stored), settings.colormap),
            values[index],
        )
        for index, (sink, map_) in enumerate(zip(sinks, found, strict=True))
    ]


def _values(task: Task, count: int) -> list[Array | None]:
    """Those of each map before the mapping, where they are few."""
    layout = replace(task.layout, dtype=np.dtype(np.float64))
    if layout.channels != 1 or max(layout.rows, layout.columns) > FEW:
        return [None] * count
    sinks = [MemorySink(layout) for _ in range(count)]
    feature_maps(task.plan, task.opened.reader(), task.color_handling, Mapping("raw"), sinks)
    return [sink.images[0, ..., 0] for sink in sinks]


def _common(found: Sequence[DisplayMap], settings: Settings) -> Mapping:
    """One mapping for all: of the kind that was asked for, else ``signed`` where any value is below 0."""
    asked = settings.mapping
    ends = [end for map_ in found for end in _ends(map_.report) if isfinite(end)]
    if asked.kind in ("clip", "abs") or asked.high is not None or not ends:
        return asked
    kind = asked.kind
    if kind == "auto":
        kind = "signed" if settings.colormap == "diverging" or min(ends) < 0 else "stretch"
    return Mapping(kind, asked.low, asked.high).over(min(ends), max(ends))


def _ends(report: Report) -> tuple[Number, Number]:
    """The values that a map is drawn from and to, or the lowest and the highest."""
    mapping = report.mapping
    if mapping.low is None or mapping.high is None:
        return report.low, report.high
    return mapping.low, mapping.high
