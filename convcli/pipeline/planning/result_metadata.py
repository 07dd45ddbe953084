"""The metadata of a result: that of the input, as far as it holds for the result."""

from __future__ import annotations

from convcli.core.frozen import replace
from convcli.formats.calibration import Sampling
from convcli.formats.header import Header, Metadata
from convcli.formats.metadata import ResultMetadata, adapt_metadata, nodata_text
from convcli.geometry.axes import Geometry
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.nodata import NONE
from convcli.pipeline.planning.targets import OutputFiles
from convcli.pipeline.settings import GRAY, Settings


def result_metadata(
    header: Header, sizes: Geometry, handling: ColorHandling, files: OutputFiles, settings: Settings
) -> ResultMetadata:
    """The metadata that the files of a result carry, with notes of what is left out."""
    layout, target = files.layout, files.targets[0].format
    adapted = adapt_metadata(
        replace(_inherited(header, files, settings), nodata=_nodata(handling, files, settings)),
        target.name,
        target.metadata_limits(layout.channels),
        layout.channels,
        [Sampling.of(axis) for axis in sizes.axes],
        layout.frames * (files.pages == 1),
    )
    notes = _about_nodata(header, handling, adapted.metadata, settings)
    return replace(adapted, notes=(*adapted.notes, *notes))


def _nodata(handling: ColorHandling, files: OutputFiles, settings: Settings) -> float | None:
    """The value of the result's pixels without data; colors of a color map have none."""
    if handling.missing is None or settings.colormap != GRAY or settings.strip:
        return None
    return float(handling.missing.pixel(files.layout.dtype))


def _about_nodata(header: Header, handling: ColorHandling, result: Metadata, settings: Settings) -> list[str]:
    """What becomes of the input's nodata value where results do not have it."""
    stated, missing = header.metadata.nodata, handling.missing
    if missing is not None:
        own, value = nodata_text(missing.value), result.nodata
        if value is None or nodata_text(value) == own:
            return []
        return [f"the result's type cannot hold nodata {own}; {nodata_text(value)} stands for it"]
    if stated is None:
        return []
    text = f"nodata {nodata_text(stated)} is left out"
    if settings.ignore is not None:
        return [f"{text} and filtered like any other value, because --ignore says what counts"]
    if settings.nodata.kind == NONE:
        return [f"{text} and filtered like any other value"]
    return [f"{text}: no pixel of {header.dtype} can have it"]


def _inherited(header: Header, files: OutputFiles, settings: Settings) -> Metadata:
    """The input's metadata without what the settings make untrue, and how pixels are to be encoded."""
    metadata = header.metadata
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
