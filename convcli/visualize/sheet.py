"""A contact sheet of all feature maps of an image, each with its kernel and color bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from convcli.core.errors import one_line
from convcli.core.numerals import axis_text, counted
from convcli.kernels import describe
from convcli.visualize.display import Scale
from convcli.visualize.map_set import DisplayMap, MapSet
from convcli.visualize.panels import Panel, panel_page, path_badges
from convcli.visualize.scene import Scene

_ABREAST: Final = 3  # panels that are put into a single row


def map_sheet(map_set: MapSet, tile: int, common: bool) -> Scene:
    """A panel for each map, all at one scale.

    Args:
        tile: pixels that the longest side of all maps takes.
        common: whether all maps share one range, so that one color bar below them is enough.
    """
    maps = map_set.maps
    scale = Scale.of(max(max(map_.gray.shape[:2]) for map_ in maps), tile)
    bars = {map_.bar for map_ in maps}
    bar = maps[0].bar if common and len(bars) == 1 else None
    sizes = {_size(map_) for map_ in maps}
    is_one_chain = len(map_set.chains) == 1 and bool(maps[0].settings.then)
    panels = [_panel(map_, scale, bar is None, len(sizes) > 1, is_one_chain) for map_ in maps]
    count = counted(len(maps), "feature map")
    count += f", {sizes.pop()}" if len(sizes) == 1 else ""
    columns = len(panels) if len(panels) <= _ABREAST else 0
    return panel_page(panels, f"{map_set.name}, {count}", columns, _stages_text(maps), bar)


def _stages_text(maps: Sequence[DisplayMap]) -> str:
    """The stages of every chain, in full because titles may be cut; empty if there is none."""
    chains = dict.fromkeys(
        " → ".join([describe.title(map_.settings.kernel), *(stage.name for stage in map_.settings.then)])
        for map_ in maps
        if map_.settings.then
    )
    return one_line("; ".join(chains))


def _size(map_: DisplayMap) -> str:
    rows, columns = map_.gray.shape[:2]
    return f"{rows} × {columns}"


def _panel(map_: DisplayMap, scale: Scale, barred: bool, sized: bool, labeled: bool) -> Panel:
    """A map with its range, with its own color bar if ``barred``, and with its size if ``sized``.

    Args:
        labeled: whether the title only tells maps of one chain apart.
    """
    low, high = (axis_text(value) for value in (map_.report.low, map_.report.high))
    note = f"{_size(map_)}, {low} … {high}" if sized else f"{low} … {high}"
    bar = map_.bar if barred else None
    is_convolution = map_.report.network is None
    drawn, omitted = path_badges(map_.path) if is_convolution else ((), 0)
    title, number = (map_.label, "") if labeled else (map_.name, map_.number)
    return Panel(title, map_.pixels(scale), note, drawn, scale.zoom, bar, number, omitted)
