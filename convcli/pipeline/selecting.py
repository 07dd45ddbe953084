"""The images of an input that settings select: a part of an array in chunks, a level, an HDU."""

from __future__ import annotations

from convcli.core.errors import ArgumentError
from convcli.files.input import Input
from convcli.formats import opening
from convcli.pipeline.settings import Settings


def opened_images(source: Input, settings: Settings) -> list[opening.Opened]:
    """The headers and readers of what ``--axes``, ``--level`` and ``--hdu`` select of an open input.

    Raises:
        ArgumentError: the input has no such axes, levels or HDUs.
        ImageError: it is not an image, damaged, or has too many pixels.
    """
    source.axes, source.level, source.hdu = settings.axes, settings.level, settings.hdu
    runs = opening.open_input(source, settings.max_pixels)
    selects = source.store is not None or runs[0].format.has_named_channels
    if settings.axes and not selects:
        raise ArgumentError(
            "--axes selects parts of Zarr arrays and channels of OpenEXR files; "
            "--frames chooses frames or pages of a file"
        )
    if settings.level and not runs[0].format.has_levels:
        raise ArgumentError(f"--level: {runs[0].format.name} has one level, 0; Zarr and TIFF may have more")
    if settings.hdu and not runs[0].format.has_hdus:
        raise ArgumentError(f"--hdu chooses an image of a FITS file; this is {runs[0].format.name}")
    return runs
