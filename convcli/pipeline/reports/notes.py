"""The notes of a report: anything else worth knowing about how an image was read, filtered and written."""

from __future__ import annotations

from typing import Any, Final

from convcli.core.dtypes import DType
from convcli.core.numerals import counted
from convcli.formats.base import Format
from convcli.formats.header import MAX_IMAGE_CHANNELS, Layout, depth_text
from convcli.formats.metadata import nodata_text
from convcli.geometry.padding import Pair
from convcli.pipeline.maps.feature_map import FeatureMap
from convcli.pipeline.maps.painting import undefined_pixel
from convcli.pipeline.naming import Target
from convcli.pipeline.nodata import OWN
from convcli.pipeline.normalization import describe
from convcli.pipeline.planning.task import Task
from convcli.pipeline.settings import GRAY, Settings

_ALPHA: Final = {
    "filter": "alpha is filtered too, and colors are weighted by alpha",
    "keep": "alpha is the input's, at the center of each window",
    "drop": "alpha is dropped",
}


def report_notes(task: Task, target: Target, settings: Settings, map_: FeatureMap) -> tuple[str, ...]:
    """The notes about one feature map and its file."""
    return (
        *_about_values(map_, task.layout.dtype),
        *_about_pixels(map_, task),
        *_about_files(task, target),
        *_about_channels(task, target),
        *_about_mapping(task, target, settings),
        *settings.notes,
        *_about_range(task),
    )


def _about_pixels(map_: FeatureMap, task: Task) -> list[str]:
    """Pixels of the input that are NaN or left out, and those of the map that no valid pixel decides."""
    handling, notes = task.color_handling, []
    if handling.ignore is not None:
        pixels = counted(map_.ignored_pixels, "pixel")
        notes.append(f"{pixels} of the input ignored (--ignore {handling.ignore})")
    missing = handling.missing
    if missing is not None:
        each = "value" if missing.channels == OWN and handling.colors > 1 else "pixel"
        notes.append(f"nodata {missing}: {counted(map_.ignored_pixels, each)} of the input left out")
    if map_.nan_pixels:
        verb = "is" if map_.nan_pixels == 1 else "are"
        notes.append(f"{counted(map_.nan_pixels, 'pixel')} of the input {verb} NaN")
    if missing is not None and map_.undefined:
        where = "a window that lacks data" if missing.strict else "no data at the center of the window"
        value = missing.pixel(task.layout.dtype)
        verb, each = "has" if map_.undefined == 1 else "have", counted(map_.undefined, "value")
        notes.append(f"{each} of the map {verb} {where}: {_nodata_fate(task, value)}")
    elif map_.undefined:
        pixels, verb = counted(map_.undefined, "pixel"), "has" if map_.undefined == 1 else "have"
        where = "at the center" if handling.ignore and handling.ignore.keep else "in the window"
        value = undefined_pixel(handling, map_.mapping, task.layout.dtype)
        fate = "NaN" if task.layout.dtype.kind == "f" else f"written as {value}"
        notes.append(f"{pixels} of the map {verb} no valid pixel {where}: {fate}")
    if map_.taken:
        values, verb = counted(map_.taken, "value"), "is" if map_.taken == 1 else "are"
        notes.append(f"{values} with data {verb} the nodata value too; --map raw avoids most of them")
    return notes


def _nodata_fate(task: Task, value: Any) -> str:
    """What is written where data is missing."""
    if task.colormap != GRAY:
        return "colored as the lowest value"
    return f"written as {nodata_text(float(value))}"


def _about_values(map_: FeatureMap, dtype: DType) -> list[str]:
    """What happened to values that are not finite, or that the number type of the result cannot hold."""
    is_float, notes = dtype.kind == "f", []
    if map_.nan:
        notes.append(f"{counted(map_.nan, 'NaN value')}: {'kept' if is_float else 'written as 0'}")
    if map_.infinite:
        fate = "kept" if is_float else "written as the type's lowest or highest value, counted as saturated"
        values = counted(map_.infinite, "infinite value")
        notes.append(f"{values} (from infinite pixels or overflowing sums): {fate}")
    if is_float and map_.below + map_.above:
        values = counted(map_.below + map_.above, "finite value")
        notes.append(f"{values} outside the range of {dtype}: written as infinity, counted as saturated")
    return notes


def _about_files(task: Task, target: Target) -> list[str]:
    """What was left out on reading, and what the output's format changes."""
    notes = [target.note] if target.note else []
    notes += (*task.opened.header.notes, *task.metadata_notes)
    notes += about_objects(task.opened.parts.objects_read if task.opened.parts is not None else (0, 0))
    notes += _about_quality(target.format, task)
    notes += _about_light(target.format, task)
    if target.path and (warning := target.format.suffix_note(target.path.suffix, task.layout.channels)):
        notes.append(warning)
    return notes


def about_objects(read: Pair) -> list[str]:
    """What it means that none of the objects of an image were there.

    Args:
        read: (found, absent), as `Reader.objects_read`.
    """
    found, absent = read
    if found or not absent:
        return []
    return [
        "no chunk of the input exists, so that all its pixels are the fill value; are its chunks at another "
        "place, or not to be read?"
    ]


def _about_quality(format_: Format, task: Task) -> list[str]:
    requested = task.metadata.coding.quality
    if not format_.takes_quality(task.layout.dtype):
        kind = f" of {depth_text(task.layout.dtype)} values" if format_.has_quality else ""
        return [f"--quality has no effect on {format_.name}{kind}"] if requested else []
    quality = requested or format_.default_quality
    chroma = f", chroma {':'.join(task.metadata.subsampling)}" if format_.subsamples_chroma else ""
    return [f"{format_.name} is lossy: quality {quality}{chroma}"] if quality else []


def _about_light(format_: Format, task: Task) -> list[str]:
    """A note on values of another scale than the format is for."""
    handling, header = task.color_handling, task.opened.header
    is_light = header.linear or (handling.linear and not handling.curved(task.mapping, task.plan))
    if not format_.takes_light or is_light or header.dtype.kind == "f":
        return []
    return [f"values are not linear light, for which readers of {format_.name} take them"]


def _about_channels(task: Task, target: Target) -> list[str]:
    notes = []
    header = task.opened.header
    if header.bands and header.channels <= MAX_IMAGE_CHANNELS and task.opened.original is None:
        notes.append("the last channel is not treated as alpha; it is filtered like the others")
    if _is_ambiguous(task.layout) and target.format.is_array:
        notes.append("when this file is read as frames, its last channel is treated as alpha")
    if task.color_handling.alpha in _ALPHA:
        notes.append(_ALPHA[task.color_handling.alpha])
    return notes


def _is_ambiguous(layout: Layout) -> bool:
    """Whether the last channel of frames could be alpha by the array's shape, and is not."""
    return layout.bands and layout.frames > 1 and layout.channels in (2, 4)


def _about_mapping(task: Task, target: Target, settings: Settings) -> list[str]:
    """How values were changed on their way to pixels."""
    notes = []
    if settings.linear and task.opened.header.linear:
        notes.append("its values are linear light already, so --linear changes nothing")
    if task.color_handling.linear:
        encoded = task.color_handling.curved(task.mapping, task.plan)
        after = "re-encoded after" if encoded else "the result stays linear"
        notes.append(f"filtered in linear light: sRGB was decoded first, {after}")
    if settings.normalize is not None:
        notes.append(describe(settings.normalize))
    if task.mapping.kind == "raw":
        return notes
    is_array = target.format.is_array
    changes_range = task.mapping.kind in ("abs", "signed", "stretch")
    image = task.opened.original or task.opened.header
    if image.dtype != task.layout.dtype or (is_array and changes_range):
        hint = "; --map raw keeps the original values" if is_array else ""
        notes.append(f"values were mapped to {depth_text(task.layout.dtype)}{hint}")
    return notes


def _about_range(task: Task) -> list[str]:
    if not task.mapping.needs_range:
        return []
    scope = "the image" if task.layout.frames == 1 else "all frames, which share it"
    return [f"the range was found in a first pass over {scope}"]
