"""What kernels do to one picture, side by side: a labelled contact sheet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from convcli import files, images
from convcli.canvas import Canvas
from convcli.colour import white
from convcli.drawing import Panel, heat_map, sheet
from convcli.dtypes import Array
from convcli.errors import one_line
from convcli.featuremap import FeatureMap, feature_maps
from convcli.images.base import Decoded, Header, Layout, WholePictures
from convcli.kernel import Kernel
from convcli.picture import Mapping
from convcli.task import Settings, planned
from convcli.values import replace

TILE: Final = 160  # pixels, the longer side of a panel's picture
LARGEST_BADGE: Final = 15  # cells
_SEEN: Final = 0.995
_FOOTER: Final = (
    "Filtered at the size shown; the map is below the name. signed: mid-gray is 0; stretch: from the lowest "
    "value to the highest. Weights below 0 are blue, above 0 red."
)


def contact_sheet(source: str, kernels: Sequence[Kernel], tile: int, columns: int, max_pixels: int) -> Array:
    """The picture, and what each kernel makes of it at this size, (rows, columns, 3) uint8.

    A kernel of several maps that are not combined has a panel for each. The picture is made smaller first, so
    that every weight meets a pixel that is seen.

    Raises:
        ConvcliError: the picture cannot be read, or a kernel does not fit it.
    """
    small = thumbnail(source, tile, max_pixels)
    panels = [Panel("the picture", _shown(small))]
    for kernel in kernels:
        panels += _panels(small, kernel)
    name = "standard input" if source == files.STREAM else Path(source).name
    return sheet(panels, f"{one_line(name)}, {len(panels) - 1} feature maps", columns, _FOOTER)


def _panels(small: Array, kernel: Kernel) -> list[Panel]:
    settings = Settings(kernel)
    found = feature_pictures(small, settings)
    if found[0][1].mapping.kind == "signed":
        limit = _limit(small, settings)
        found = feature_pictures(small, replace(settings, mapping=Mapping("signed", -limit, limit)))
    single = kernel.combine or kernel.maps == 1
    return [
        Panel(
            kernel.name if single else f"{kernel.name} {index}",
            _shown(pixels),
            _short(map_.mapping),
            _badge(kernel, index),
        )
        for index, (pixels, map_) in enumerate(found)
    ]


def _limit(small: Array, settings: Settings) -> float:
    """The magnitude that few values exceed, to two digits, so that faint maps are seen."""
    raw = feature_pictures(small, replace(settings, mapping=Mapping("raw")))
    most = max(float(np.quantile(np.abs(pixels), _SEEN)) for pixels, _ in raw)
    return float(f"{most:.2g}") or 1.0


def _short(mapping: Mapping) -> str:
    """As ``--map`` takes it; ranges of a picture's own are left out."""
    return str(mapping) if mapping.kind == "signed" else mapping.kind


def thumbnail(source: str, tile: int, max_pixels: int) -> Array:
    """A picture of at most ``tile`` pixels a side, 8 bits, gray or RGB; what is transparent becomes white."""
    from PIL import Image

    with files.Input.open(source) as opened:
        pixels = images.open_input(opened, max_pixels)[0].pixels()
    pixels = as_bytes(pixels)
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1:].astype(np.uint16)
        pixels = ((pixels[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((tile, tile), Image.Resampling.LANCZOS)
    return np.atleast_3d(np.asarray(image))


def as_bytes(pixels: Array) -> Array:
    """Pixels of any type as 8 bits; floats from their lowest value to their highest."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    if pixels.dtype.kind in "iu":
        return np.clip(values * 255 / white(pixels.dtype) + 0.5, 0, 255).astype(np.uint8)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    stretched = (np.nan_to_num(values, nan=low) - low) * (255 / ((high - low) or 1))
    return np.clip(stretched + 0.5, 0, 255).astype(np.uint8)


def feature_pictures(pixels: Array, settings: Settings) -> list[tuple[Array, FeatureMap]]:
    """The feature maps of integers (rows, columns, channels), gray or RGB, as ``convcli apply`` has them."""
    rows, columns, channels = pixels.shape
    header = Header("", rows, columns, channels, pixels.dtype)
    _, _, treatment, plan = planned(header, replace(settings, threads=1))
    mapping = settings.mapping.resolved(plan.problem.filter, floats=False)
    dtype = np.dtype(np.float32) if mapping.kind == "raw" else pixels.dtype
    layout = Layout(plan.problem.rows.output, plan.problem.columns.output, plan.problem.lanes, dtype)
    encoders = [WholePictures(layout, lambda _: b"") for _ in range(plan.outcome.maps)]
    canvases = [Canvas(layout, encoder, plan.height) for encoder in encoders]
    with ThreadPoolExecutor(len(canvases)) as pool:
        writing = [pool.submit(canvas.write, io.BytesIO()) for canvas in canvases]
        try:
            found = feature_maps(plan, Decoded([pixels]), treatment, mapping, canvases)
        except BaseException:
            for canvas in canvases:
                canvas.halt()
            raise
        for job in writing:
            job.result()
    return [(encoder.pictures[0], map_) for encoder, map_ in zip(encoders, found, strict=True)]


def _shown(pixels: Array) -> Array:
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _badge(kernel: Kernel, index: int) -> Array | None:
    """The weights in colours, where their cells can be told apart and are those of the one map."""
    if kernel.combine or max(kernel.size) > LARGEST_BADGE:
        return None
    plane = kernel.weights.reshape(-1, *kernel.tensor_shape[-4:])[0, :, :, 0, min(index, kernel.maps - 1)]
    return heat_map(plane, max(60 // max(kernel.size), 1))
