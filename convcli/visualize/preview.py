"""A contact sheet of what kernels do to one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import one_line
from convcli.core.frozen import replace
from convcli.core.numerals import counted
from convcli.files import input as files
from convcli.formats import opening
from convcli.formats.header import Header, Layout
from convcli.formats.readers import InMemoryReader
from convcli.kernels.describe import map_name
from convcli.kernels.kernel import Kernel
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.feature_map import FeatureMap, feature_maps
from convcli.pipeline.maps.sinks import MemorySink
from convcli.pipeline.planning.convolution import convolution_of
from convcli.pipeline.settings import Settings
from convcli.visualize.display import to_display, without_gray_axis
from convcli.visualize.panels import Panel, kernel_badges, panel_image

TILE: Final = 160  # longer side of the image of a panel, in pixels
_VISIBLE: Final = 0.995  # quantile of absolute values that is mapped to black and white
_FOOTER: Final = (
    "Filtered at the size shown. The mapping is below the name: signed shows 0 as mid-gray, stretch shows "
    "the lowest value as black and the highest as white. Negative weights are blue, positive ones red."
)


def preview_sheet(
    source: str, kernels: Sequence[Kernel], tile: int, columns: int, max_pixels: int | None
) -> Array:
    """The image and the feature maps of each kernel as a sheet, (rows, columns, 3) of uint8.

    The image is reduced before it is filtered, so that the effect of every weight is visible.

    Args:
        source: a file, or ``-`` for standard input.
        tile: longer side of the reduced image, in pixels.
        columns: panels in a row; 0 for a sheet that is a little taller than wide.

    Raises:
        ConvcliError: the image cannot be read, or a kernel does not fit it.
    """
    small = thumbnail(source, tile, max_pixels)
    panels = [Panel("input", without_gray_axis(small))]
    for kernel in kernels:
        panels += _panels(small, kernel)
    name = "standard input" if source == files.STREAM else Path(source).name
    return panel_image(
        panels, f"{one_line(name)}, {counted(len(panels) - 1, 'feature map')}", columns, _FOOTER
    )


def _panels(small: Array, kernel: Kernel) -> list[Panel]:
    settings = Settings(kernel)
    maps = feature_images(small, settings)
    if maps[0][1].mapping.kind == "signed":
        limit = _limit(small, settings)
        maps = feature_images(small, replace(settings, mapping=Mapping("signed", -limit, limit)))
    return [_panel(kernel, index, pixels, map_) for index, (pixels, map_) in enumerate(maps)]


def _panel(kernel: Kernel, index: int, pixels: Array, map_: FeatureMap) -> Panel:
    name, number = map_name(kernel, index)
    drawn, omitted = kernel_badges(kernel, index)
    return Panel(
        one_line(name), without_gray_axis(pixels), _short(map_.mapping), drawn, number=number, omitted=omitted
    )


def _limit(small: Array, settings: Settings) -> float:
    """The absolute value that few values exceed, to two digits, so that faint maps are visible."""
    raw = feature_images(small, replace(settings, mapping=Mapping("raw")))
    most = max(float(np.quantile(np.abs(pixels), _VISIBLE)) for pixels, _ in raw)
    return float(f"{most:.2g}") or 1.0


def _short(mapping: Mapping) -> str:
    """The mapping as ``--map`` takes it, without the range of a map itself."""
    return str(mapping) if mapping.kind == "signed" else mapping.kind


def thumbnail(source: str, tile: int, max_pixels: int | None) -> Array:
    """The image reduced to at most ``tile`` pixels a side, (rows, columns, 1 or 3) of uint8 on white."""
    from PIL import Image

    with files.Input.open(source) as opened:
        image = opening.open_input(opened, max_pixels)[0]
        pixels = to_display(image.pixels(), image.header.bands)
    reduced = Image.fromarray(without_gray_axis(pixels))
    reduced.thumbnail((tile, tile), Image.Resampling.LANCZOS)
    return np.atleast_3d(np.asarray(reduced))


def feature_images(pixels: Array, settings: Settings) -> list[tuple[Array, FeatureMap]]:
    """The feature maps of an integer image, (rows, columns, 1 or 3), as ``convcli apply`` computes them."""
    rows, columns, channels = pixels.shape
    header = Header("", rows, columns, channels, pixels.dtype)
    convolution = convolution_of(header, replace(settings, threads=1))
    plan = convolution.plan
    mapping = settings.mapping.resolved(plan.kind, floats=False)
    dtype = np.dtype(np.float32) if mapping.kind == "raw" else pixels.dtype
    _, height, width = (axis.output for axis in plan.axes)
    layout = Layout(height, width, plan.lanes, dtype)
    sinks = [MemorySink(layout) for _ in range(plan.outcome.maps)]
    maps = feature_maps(plan, InMemoryReader([pixels]), convolution.color_handling, mapping, sinks)
    return [(sink.images[0], map_) for sink, map_ in zip(sinks, maps, strict=True)]
