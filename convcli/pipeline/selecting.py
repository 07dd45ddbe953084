"""The images of an input that settings select: a part of an array in chunks, a level of a pyramid."""

from __future__ import annotations

from convcli.core.errors import ArgumentError
from convcli.files.input import Input
from convcli.formats import opening
from convcli.pipeline.settings import Settings


def opened_images(source: Input, settings: Settings) -> list[opening.Opened]:
    """The headers and readers of what ``--axes`` and ``--level`` select of an open input.

    Raises:
        ArgumentError: the input has no such axes or levels.
        ImageError: it is not an image, damaged, or has too many pixels.
    """
    if settings.axes and source.store is None:
        raise ArgumentError("--axes selects parts of Zarr arrays; --frames chooses frames or pages of a file")
    source.axes, source.level = settings.axes, settings.level
    runs = opening.open_input(source, settings.max_pixels)
    if settings.level and not runs[0].format.has_levels:
        raise ArgumentError(f"--level: {runs[0].format.name} has one level, 0; Zarr and TIFF may have more")
    return runs
