"""The feature maps of one image as they are displayed, with the reports that ``apply`` makes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import zip_longest
from math import isfinite
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, one_line
from convcli.core.frozen import frozen, replace
from convcli.core.rational import Number
from convcli.files.input import STREAM, Source, open_source, source_name
from convcli.formats import opening
from convcli.formats.header import Header
from convcli.kernels.describe import map_name
from convcli.kernels.kernel import Kernel
from convcli.layers.stages import ConvolutionStage
from convcli.pipeline.color import white
from convcli.pipeline.colormaps import DIVERGING_MIDDLE, color_table
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.feature_map import feature_maps
from convcli.pipeline.maps.sinks import MemorySink
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.task import Task, prepare
from convcli.pipeline.reports.report import Report
from convcli.pipeline.reports.task_report import report_of
from convcli.pipeline.selecting import opened_images
from convcli.pipeline.settings import GRAY, WHEEL, Settings
from convcli.visualize.colorbar import ColorBar
from convcli.visualize.display import (
    RAW_REFUSED,
    UNSCALED,
    Range,
    Scale,
    check_displayable,
    display_range,
    to_display,
)

PERCENTILES: Final = (Fraction(1, 4), Fraction(399, 4))
"""Range of a map by default: the middle 99.5% of its values."""

FEW: Final = 16
"""Largest number of rows and columns of images whose values are shown one by one."""


@frozen(eq=False)
class DisplayMap:
    """One feature map.

    Attributes:
        settings: of its kernel.
        gray: (rows, columns, 1 or 3) of uint8, before the colormap; after it, if that is ``wheel``.
        report: as ``apply`` makes it; its target is the map's pixels.
        bar: which value has which color.
        values: (rows, columns) of float64 before the mapping, if they are few and of one channel.
    """

    settings: Settings
    gray: Array
    report: Report
    bar: ColorBar
    values: Array | None = None

    @property
    def name(self) -> str:
        """The kernel, or the one of a bank that made the map, and the stages after it."""
        if not self.settings.then:
            return one_line(map_name(self.settings.kernel, self.report.index)[0])
        first = self.member or self.settings.kernel.name
        return one_line(".".join([first, *(stage.name for stage in self.settings.then)]))

    @property
    def number(self) -> str:
        """What tells maps of one name apart; empty if there is only one."""
        if not self.settings.then:
            return map_name(self.settings.kernel, self.report.index)[1]
        return "" if self.settings.maps == 1 or self.member else f", map {self.report.index}"

    @property
    def label(self) -> str:
        """What tells a map from the others of its chain: a number, the kernel of a bank, or the name."""
        return self.number.removeprefix(", ") or one_line(self.member) or self.name

    @property
    def member(self) -> str:
        """The kernel of a named bank whose map alone is followed through a chain; empty if there is none."""
        kernel = self.settings.kernel
        is_named = kernel.combine is None and kernel.maps == len(kernel.about.members)
        alone = self.settings.maps == kernel.maps and self.path[0][0] is kernel
        return kernel.about.members[self.report.index] if is_named and alone else ""

    @property
    def path(self) -> list[tuple[Kernel, int]]:
        """The kernels that made the map, each with the index of its own map, in order.

        It begins at the last kernel that sums over several maps, if there is one.
        """
        index, found = self.report.index, list[tuple[Kernel, int]]()
        for stage in reversed(self.settings.then):
            if isinstance(stage, ConvolutionStage):
                index, own = divmod(index, stage.own_maps)
                if not stage.filters_each:
                    return [(stage.kernel, own), *found]
                found.insert(0, (stage.kernel, own))
        return [(self.settings.kernel, index), *found]

    def pixels(self, scale: Scale = UNSCALED) -> Array:
        """(rows, columns[, 3]) of uint8 in the colors of the map, reduced before the colormap is applied."""
        middle = DIVERGING_MIDDLE if self.bar.mapping.kind == "signed" else None
        reduced = scale.reduced(self.gray, middle)
        if reduced.shape[2] == 3:
            return reduced
        return (
            reduced[..., 0] if self.bar.colormap == GRAY else color_table(self.bar.colormap)[reduced[..., 0]]
        )


StageMaps = list[DisplayMap]
"""The maps after one stage of a chain."""


@frozen(eq=False)
class MapSet:
    """An image and its feature maps.

    Attributes:
        name: file name of the image.
        image: (rows, columns, 1 or 3) of uint8 as it is displayed.
        image_range: the values that are black and white in it, if they are not those of its type.
        chains: for each kernel the maps after each of its stages, or after the last stage alone.
        values: (rows, columns) as in the file, if they are few and of one channel.
    """

    name: str
    header: Header
    image: Array
    image_range: Range | None
    chains: list[list[StageMaps]]
    values: Array | None = None

    @property
    def maps(self) -> StageMaps:
        """The results of all kernels."""
        return [map_ for chain in self.chains for map_ in chain[-1]]


def compute_maps(
    source: Source, settings: Sequence[Settings], common: bool = False, stages: bool = False
) -> MapSet:
    """The feature maps of one image, or of one of its frames.

    Args:
        source: a file, ``-`` for standard input, or an open input.
        settings: one for each kernel.
        common: whether all results share one range, and all maps after the same stage.
        stages: whether there are maps after every stage of a chain.

    Raises:
        ConvcliError: the image cannot be read, a kernel does not fit it, or the maps cannot be displayed.
    """
    name = source_name(source)
    with open_source(source) as opened:
        runs = opened_images(opened, settings[0])
        count = sum(run.header.frames for run in runs)
        frame = opening.selected(runs, slice(*_selected_frame(settings[0])))[0]
        check_displayable(frame.header.channels)
        pixels = frame.reader().rows(0, 0, frame.header.rows)
        values = _few_values(pixels)
        image = _Image(name, runs, display_range(_colors(pixels, frame.header)))
        displayed = [_for_display(each, count) for each in settings]
        prefixes = [image.prefixes(each) if stages else [each] for each in displayed]
        chains = [image.chain(chain) for chain in prefixes]
        if common:
            mappings = _common_mappings(chains, settings[0])
            chains = [image.chain(_mapped(chain, mappings)) for chain in prefixes]
        opened.check_unchanged()
    range_ = image.range or (None if values is None else display_range(values, few=True))
    return MapSet(
        name="standard input" if name == STREAM else one_line(Path(name).name),
        header=frame.header,
        image=to_display(pixels, frame.header.bands, range_),
        image_range=range_,
        chains=chains,
        values=values,
    )


def _colors(pixels: Array, header: Header) -> Array:
    """The channels without alpha, or without the last band, which is not displayed."""
    return pixels[..., :-1] if header.channels in (2, 4) else pixels


def _selected_frame(settings: Settings) -> tuple[int, int | None]:
    """Begin and end of the one frame that is displayed."""
    first = settings.frames.start or 0
    return first, None if first == -1 else first + 1


def _few_values(pixels: Array) -> Array | None:
    """(rows, columns) of an image whose values can be read one by one."""
    rows, columns, channels = pixels.shape
    return pixels[..., 0] if channels == 1 and max(rows, columns) <= FEW else None


def _for_display(settings: Settings, count: int) -> Settings:
    """The settings for maps of 8 bits in memory, of one of ``count`` frames."""
    if settings.mapping.kind == "raw":
        raise ArgumentError(RAW_REFUSED)
    if settings.depth in ("16", "half", "float"):
        raise ArgumentError(
            f"--depth {settings.depth} cannot be used here: sheets, figures and terminals show 8 bits"
        )
    if settings.stack:
        raise ArgumentError("--stack cannot be combined with --sheet, --figure or -o term:")
    if settings.kernel.spatial == 3:
        raise ArgumentError(f"kernel {settings.kernel.name} has three axes; only rows and columns are drawn")
    first, last = _selected_frame(settings)
    note = f"showing frame {first} of {count}; --frames N selects another"
    return replace(
        settings,
        depth="8",
        frames=slice(first, last),
        output=OutputSpec(format="npy"),
        notes=(*settings.notes, note) if count > 1 else settings.notes,
    )


@frozen(eq=False)
class _Image:
    """An opened image, and the range of its values that is displayed if it is not that of their type."""

    source: str
    runs: list[opening.Opened]
    range: Range | None

    def prefixes(self, settings: Settings) -> list[Settings]:
        """The settings of the parts of a chain, from its kernel alone to all its stages.

        Each part treats transparency as the whole chain does, so that its maps are what the next stage reads.
        """
        alpha = settings.alpha
        if settings.then and alpha is None:
            chosen = prepare(self.source, self.runs, settings)[0][0].color_handling.alpha
            alpha = chosen if chosen in ("keep", "drop") else None
        shorter = (settings.then[:count] for count in range(len(settings.then)))
        return [*(replace(settings, then=then, alpha=alpha) for then in shorter), settings]

    def chain(self, stages: Sequence[Settings]) -> list[StageMaps]:
        """The maps of each settings; the last come first, because errors are about the whole chain."""
        return [self._maps(each) for each in reversed(stages)][::-1]

    def _maps(self, settings: Settings) -> StageMaps:
        """The maps of a kernel, or of a chain."""
        return [
            map_
            for task, *_ in prepare(self.source, self.runs, settings)
            for map_ in _computed(self._visible(_gray(task), settings), settings)
        ]

    def _visible(self, task: Task, settings: Settings) -> Task:
        """The task with a mapping that makes the map's values visible, unless one was chosen.

        A few outliers would leave the rest of a map flat, so its range is that of most values; averages are
        shown in the range of the input.
        """
        mapping = task.mapping
        if settings.mapping.kind != "auto":
            return task
        if mapping.needs_range:
            first, last = PERCENTILES
            percents = (first if mapping.low is None else None, last)
            return replace(task, mapping=replace(mapping, percents=percents))
        if mapping.kind == "clip" and self.range is not None and not settings.linear:
            low, high = map(Fraction, self.range)
            return replace(task, mapping=Mapping("stretch", low, high))
        return task


def _gray(task: Task) -> Task:
    """The task without its colormap, because maps are reduced by values, not by colors.

    Directions have no mean, so the colors of ``wheel`` stay.
    """
    if task.colormap in (GRAY, WHEEL):
        return task
    layout = replace(task.layout, channels=task.layout.channels - 2)
    return replace(task, colormap=GRAY, layout=layout)


def _computed(task: Task, settings: Settings) -> list[DisplayMap]:
    """The maps of one kernel."""
    start = time.perf_counter()
    sinks = [MemorySink(task.layout) for _ in range(task.plan.outcome.maps)]
    table = color_table(WHEEL) if task.colormap == WHEEL else None
    maps = feature_maps(task.plan, task.opened.reader(), task.color_handling, task.mapping, sinks, table)
    seconds = (time.perf_counter() - start) / len(maps)
    values = _unmapped(task, len(maps))
    task = replace(task, targets=task.targets[:1] * len(maps))
    return [
        DisplayMap(
            settings,
            to_display(sink.images[0], task.layout.bands),
            report_of(task, settings, index, map_, 0, seconds),
            ColorBar(map_.mapping, white(task.color_handling.stored), settings.colormap),
            values[index],
        )
        for index, (sink, map_) in enumerate(zip(sinks, maps, strict=True))
    ]


def _unmapped(task: Task, count: int) -> list[Array | None]:
    """(rows, columns) of float64 for each map before the mapping; None if the values are many."""
    layout = replace(task.layout, dtype=np.dtype(np.float64))
    if layout.channels != 1 or max(layout.rows, layout.columns) > FEW:
        return [None] * count
    sinks = [MemorySink(layout) for _ in range(count)]
    feature_maps(task.plan, task.opened.reader(), task.color_handling, Mapping("raw"), sinks)
    return [sink.images[0, ..., 0] for sink in sinks]


def _common_mappings(chains: Sequence[list[StageMaps]], settings: Settings) -> list[Mapping]:
    """A mapping for the results of all chains, preceded by those for the maps after each stage before.

    Chains of other lengths are aligned at their results.
    """
    places = zip_longest(*(reversed(chain) for chain in chains), fillvalue=StageMaps())
    return [_common_mapping([map_ for maps in place for map_ in maps], settings) for place in places][::-1]


def _mapped(chain: Sequence[Settings], mappings: Sequence[Mapping]) -> list[Settings]:
    """The settings of a chain with the last of the mappings."""
    own = mappings[len(mappings) - len(chain) :]
    return [replace(each, mapping=mapping) for each, mapping in zip(chain, own, strict=True)]


def _common_mapping(maps: Sequence[DisplayMap], settings: Settings) -> Mapping:
    """One mapping for all maps: of the chosen kind, else ``signed`` if any value is below 0."""
    chosen = settings.mapping
    ends = [end for map_ in maps for end in _ends(map_.report) if isfinite(end)]
    if chosen.kind in ("clip", "abs") or chosen.high is not None or not ends:
        return chosen
    kind = chosen.kind
    if kind == "auto":
        kind = "signed" if settings.colormap == "diverging" or min(ends) < 0 else "stretch"
    return Mapping(kind, chosen.low, chosen.high).with_range(min(ends), max(ends))


def _ends(report: Report) -> tuple[Number, Number]:
    """The ends of the mapping's range, or the lowest and the highest value."""
    mapping = report.mapping
    if mapping.low is None or mapping.high is None:
        return report.low, report.high
    return mapping.low, mapping.high
