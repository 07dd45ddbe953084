"""The metadata of a result: that of the input, as far as it holds for the result."""

from __future__ import annotations

from convcli.core.frozen import replace
from convcli.formats.calibration import Sampling
from convcli.formats.header import Header, Metadata
from convcli.formats.metadata import ResultMetadata, adapt_metadata
from convcli.geometry.axes import Geometry
from convcli.pipeline.planning.targets import OutputFiles
from convcli.pipeline.settings import GRAY, Settings


def result_metadata(
    header: Header, sizes: Geometry, files: OutputFiles, settings: Settings
) -> ResultMetadata:
    """The metadata that the files of a result carry, with notes of what is left out."""
    layout, target = files.layout, files.targets[0].format
    return adapt_metadata(
        _inherited(header, files, settings),
        target.name,
        target.metadata_limits(layout.channels),
        layout.channels,
        [Sampling.of(axis) for axis in sizes.axes],
        layout.frames * (files.pages == 1),
    )


def _inherited(header: Header, files: OutputFiles, settings: Settings) -> Metadata:
    """The input's metadata without what the settings make untrue, and how pixels are to be encoded."""
    metadata = replace(header.metadata, nodata=None)
    if files.layout.channels != header.channels:
        metadata = replace(metadata, extra=())
    if files.layout.frames != header.frames:
        metadata = replace(metadata, timing=None)
    if settings.colormap != GRAY:  # its colors are sRGB
        metadata = replace(metadata, icc=None, gamma=None, srgb=None)
    if settings.strip:
        kept = {name: getattr(metadata, name) for name in ("subsampling", "timing", "extra", "signal")}
        metadata = Metadata(**kept)
    return replace(metadata, coding=settings.coding)
