"""The metadata of a result: that of the input, as far as it holds for the result."""

from __future__ import annotations

from typing import Final

from convcli.core.frozen import replace
from convcli.engine.plan import Plan
from convcli.formats.calibration import Measure, Sampling
from convcli.formats.header import Header, Metadata
from convcli.formats.metadata import ResultMetadata, adapt_metadata, nodata_text
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.nodata import NONE
from convcli.pipeline.planning.convolution import Convolution
from convcli.pipeline.planning.targets import OutputFiles
from convcli.pipeline.settings import GRAY, Settings

_DIGITS: Final = 6  # of sums of weights, which are rounded
_ABOUT_SCALES: Final = "scales and offsets of bands are left out: pixels are not sums of the values of one"
_ABOUT_OFFSETS: Final = "offsets of bands are multiplied by the sum of the weights"


def result_metadata(
    header: Header, convolution: Convolution, mapping: Mapping, files: OutputFiles, settings: Settings
) -> ResultMetadata:
    """The metadata that the files of a result carry, with notes of what is left out."""
    layout, target, handling = files.layout, files.targets[0].format, convolution.color_handling
    inherited = _inherited(header, files, settings)
    measures = inherited.measures and _measures(inherited.measures, header, convolution, mapping, files)
    adapted = adapt_metadata(
        replace(inherited, nodata=_nodata(handling, files, settings), measures=measures),
        target.name,
        target.metadata_limits(layout.channels),
        layout.channels,
        [Sampling.of(axis) for axis in convolution.geometry.axes],
        layout.frames * (files.pages == 1),
    )
    notes = _about_nodata(header, handling, adapted.metadata, settings)
    if measures != header.metadata.measures and any(map(_has_scale, header.metadata.measures or ())):
        notes.append(_ABOUT_SCALES if measures is None else _ABOUT_OFFSETS)
    return replace(adapted, notes=(*adapted.notes, *notes))


def _measures(
    stated: tuple[Measure, ...],
    header: Header,
    convolution: Convolution,
    mapping: Mapping,
    files: OutputFiles,
) -> tuple[Measure, ...] | None:
    """What the values of a result stand for: the sum of scaled values is that of values, scaled.

    Only the offset depends on the sum of the weights. None where pixels are not sums of a channel's values.
    """
    layout, plan = files.layout, convolution.plan
    keeps_values = mapping.kind == "raw" or (mapping.kind == "clip" and layout.dtype == header.dtype)
    is_sum = isinstance(plan, Plan) and plan.problem.filter.combine is None
    if not (keeps_values and is_sum) or convolution.color_handling.linear or convolution.channels != "each":
        return None
    assert isinstance(plan, Plan)
    totals = {round(total, _DIGITS) for total in plan.problem.filter.totals}
    if len(totals) != 1 or layout.channels != header.channels or convolution.color_handling.normalized:
        return None
    total = totals.pop()
    return tuple(measure.weighted(total) for measure in stated)


def _has_scale(measure: Measure) -> bool:
    return measure.scale != 1 or measure.offset != 0


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
        screen = metadata.screen and replace(metadata.screen, attributes=())
        metadata = replace(metadata, icc=None, gamma=None, srgb=None, screen=screen)
    if settings.strip:
        kept = {name: getattr(metadata, name) for name in ("subsampling", "timing", "extra", "signal")}
        metadata = Metadata(**kept)
    return replace(metadata, coding=settings.coding)
