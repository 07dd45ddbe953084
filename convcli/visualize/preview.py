"""What kernels do to one picture, side by side: a labeled contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import one_line
from convcli.core.frozen import replace
from convcli.files import input as files
from convcli.formats import registry
from convcli.formats.base import Decoded
from convcli.formats.header import Header, Layout
from convcli.kernels.describe import map_name
from convcli.kernels.kernel import Kernel
from convcli.pipeline.convolution import convolution_of
from convcli.pipeline.feature_map import FeatureMap, feature_maps
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.settings import Settings
from convcli.pipeline.sinks import MemorySink
from convcli.visualize.display import to_display, without_gray_axis
from convcli.visualize.panels import Panel, kernel_badges, panel_image

TILE: Final = 160  # pixels, the longer side of a panel's picture
_SEEN: Final = 0.995
_FOOTER: Final = (
    "Filtered at the size shown; the map is below the name. signed: mid-gray is 0; stretch: from the lowest "
    "value to the highest. Weights below 0 are blue, above 0 red."
)


def preview_sheet(
    source: str, kernels: Sequence[Kernel], tile: int, columns: int, max_pixels: int | None
) -> Array:
    """The picture, and what each kernel makes of it at this size, (rows, columns, 3) uint8.

    A kernel of several maps that are not combined has a panel for each. The picture is made smaller first, so
    that every weight meets a pixel that is seen.

    Raises:
        ConvcliError: the picture cannot be read, or a kernel does not fit it.
    """
    small = thumbnail(source, tile, max_pixels)
    panels = [Panel("the picture", without_gray_axis(small))]
    for kernel in kernels:
        panels += _panels(small, kernel)
    name = "standard input" if source == files.STREAM else Path(source).name
    return panel_image(panels, f"{one_line(name)}, {len(panels) - 1} feature maps", columns, _FOOTER)


def _panels(small: Array, kernel: Kernel) -> list[Panel]:
    settings = Settings(kernel)
    found = feature_pictures(small, settings)
    if found[0][1].mapping.kind == "signed":
        limit = _limit(small, settings)
        found = feature_pictures(small, replace(settings, mapping=Mapping("signed", -limit, limit)))
    return [_panel(kernel, index, pixels, map_) for index, (pixels, map_) in enumerate(found)]


def _panel(kernel: Kernel, index: int, pixels: Array, map_: FeatureMap) -> Panel:
    name, number = map_name(kernel, index)
    drawn, unseen = kernel_badges(kernel, index)
    return Panel(
        one_line(name), without_gray_axis(pixels), _short(map_.mapping), drawn, number=number, unseen=unseen
    )


def _limit(small: Array, settings: Settings) -> float:
    """The magnitude that few values exceed, to two digits, so that faint maps are seen."""
    raw = feature_pictures(small, replace(settings, mapping=Mapping("raw")))
    most = max(float(np.quantile(np.abs(pixels), _SEEN)) for pixels, _ in raw)
    return float(f"{most:.2g}") or 1.0


def _short(mapping: Mapping) -> str:
    """As ``--map`` takes it; ranges of a picture's own are left out."""
    return str(mapping) if mapping.kind == "signed" else mapping.kind


def thumbnail(source: str, tile: int, max_pixels: int | None) -> Array:
    """A picture of at most ``tile`` pixels a side, 8 bits, gray or RGB; what is transparent becomes white."""
    from PIL import Image

    with files.Input.open(source) as opened:
        picture = registry.open_input(opened, max_pixels)[0]
        pixels = to_display(picture.pixels(), picture.header.bands)
    image = Image.fromarray(without_gray_axis(pixels))
    image.thumbnail((tile, tile), Image.Resampling.LANCZOS)
    return np.atleast_3d(np.asarray(image))


def feature_pictures(pixels: Array, settings: Settings) -> list[tuple[Array, FeatureMap]]:
    """The feature maps of integers (rows, columns, channels), gray or RGB, as ``convcli apply`` has them."""
    rows, columns, channels = pixels.shape
    header = Header("", rows, columns, channels, pixels.dtype)
    convolution = convolution_of(header, replace(settings, threads=1))
    plan = convolution.plan
    mapping = settings.mapping.resolved(plan.problem.filter, floats=False)
    dtype = np.dtype(np.float32) if mapping.kind == "raw" else pixels.dtype
    layout = Layout(plan.problem.rows.output, plan.problem.columns.output, plan.problem.lanes, dtype)
    sinks = [MemorySink(layout) for _ in range(plan.outcome.maps)]
    found = feature_maps(plan, Decoded([pixels]), convolution.color_handling, mapping, sinks)
    return [(sink.images[0], map_) for sink, map_ in zip(sinks, found, strict=True)]
