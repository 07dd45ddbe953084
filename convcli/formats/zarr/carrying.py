"""What a Zarr result keeps of its source's attributes: all of OME-Zarr and of others that stays true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import Any, Final

from convcli.core.dtypes import DType, span
from convcli.core.errors import one_line
from convcli.core.frozen import frozen
from convcli.formats.calibration import Sampling
from convcli.formats.zarr.axes import ZarrAxes
from convcli.formats.zarr.documents import Located
from convcli.formats.zarr.nodata import FILL_VALUE
from convcli.formats.zarr.spatial import sampled_spatial
from convcli.geometry.padding import Pair

_OF_VALUES: Final = (
    "_FillValue", "actual_range", "flag_masks", "flag_meanings", "flag_values", "missing_value", "valid_max",
    "valid_min", "valid_range",
)  # fmt: skip
"""Attributes about the values of the source, by the CF conventions."""

_OF_OTHERS: Final = ("coordinates", "grid_mapping", "labels", "image-label", "plate", "well", "bounds")
"""Attributes about other arrays and groups, which a result does not have."""

_OWN: Final = ("_ARRAY_DIMENSIONS", "convcli", "multiscales", "omero", "ome", "bioformats2raw.layout")
"""Attributes that are written anew, or that OME metadata consist of."""

_LEVEL: Final = "0"
"""The path of the only level of a result."""

_OLDEST: Final = "0.4"
"""The first version of OME-Zarr whose axes have types, and whose levels have pixel sizes."""


@frozen(eq=False)
class Carried:
    """What is written beside an array.

    Attributes:
        attributes: of the array.
        path: of the array in the store.
        group: attributes of the root if the array is not the root.
        notes: on what is left out or changed.
    """

    attributes: Mapping[str, Any]
    path: str = ""
    group: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


@frozen
class Change:
    """How a result differs from the selected frames of its source.

    Attributes:
        sizes: (rows, columns) of the result.
        samplings: where its pixels lie in the source, along rows and columns, preceded by the last axis of
            frames if the kernel slides over it.
        dtype: of its values.
        keeps_axes: whether its axes are those of the source.
        keeps_values: whether its values have the meaning and the range of the source's.
        has_nodata: whether a value stands for missing data, as in the source.
    """

    sizes: Pair
    samplings: tuple[Sampling, ...]
    dtype: DType
    keeps_axes: bool = True
    keeps_values: bool = False
    has_nodata: bool = False


def carried(source: Located, axes: ZarrAxes, change: Change, zarr_format: int) -> Carried:
    """The attributes of a result.

    Args:
        source: the array that was read.
        axes: of it, with what was selected.
        change: what happened to it.
        zarr_format: of the result.
    """
    notes: list[str] = []
    own = _kept(source.array.attributes, change, notes)
    if source.group is None:
        return Carried(own, notes=tuple(notes))
    group = _kept(source.group.attributes, change, notes)
    ome = _image(source, axes, change, zarr_format, notes) if source.group.multiscales else {}
    if not ome and not group:
        return Carried(own, notes=tuple(notes))
    path = _LEVEL if source.group.multiscales else source.array.path
    return Carried(own, path, {**group, **ome}, tuple(dict.fromkeys(notes)))


def _kept(attributes: Mapping[str, Any], change: Change, notes: list[str]) -> dict[str, Any]:
    """The attributes that are not of OME-Zarr and stay true."""
    values = () if change.keeps_values else _OF_VALUES
    dropped = [name for name in attributes if name in values or name in _OF_OTHERS]
    told = [name for name in dropped if name != FILL_VALUE or not change.has_nodata]
    if told:
        notes.append(f"attributes left out, because they are not true of the result: {', '.join(told)}")
    kept = {name: value for name, value in attributes.items() if name not in (*dropped, *_OWN)}
    down, across = change.samplings[-2:]
    kept, lost = sampled_spatial(kept, change.sizes, down, across)
    notes += [lost] if lost else []
    return kept


def _image(
    source: Located, axes: ZarrAxes, change: Change, zarr_format: int, notes: list[str]
) -> dict[str, Any]:
    """The metadata of an OME image with one level; empty where they cannot be kept."""
    assert source.group is not None
    attributes = source.group.attributes
    nested = attributes.get("ome")
    ome = nested if isinstance(nested, Mapping) else attributes
    first = source.group.image
    if not change.keeps_axes or first is None:
        notes.append("OME metadata are left out: the axes of the result are not those of the input")
        return {}
    version = str(ome.get("version", first.get("version", _OLDEST)))
    levels = first.get("datasets")
    count = len(levels) if isinstance(levels, list) else 1
    transforms = level_transforms(source, len(axes.sizes))
    if transforms is None or (version < _OLDEST and zarr_format == 3):
        notes.append(f"OME metadata of version {one_line(version)} are left out: they state no pixel sizes")
        return {}
    scale, translation = transforms
    places = _samplings(axes, change)
    level = _sampled(scale, translation, places)
    if count > 1:
        notes.append(f"the result has one resolution level; the input has {count}")
    image = {key: value for key, value in first.items() if key not in ("datasets", "type", "metadata")}
    image["datasets"] = [{"path": _LEVEL, "coordinateTransformations": level}]
    made: dict[str, Any] = {"multiscales": [image]}
    omero = ome.get("omero")
    if (
        isinstance(omero, Mapping)
        and zarr_format == 2
        and change.dtype.kind == "f"
        and not change.keeps_values
    ):
        notes.append("OME display settings are left out: they need a range of values, which is another one")
    elif isinstance(omero, Mapping):
        made["omero"] = _display(omero, axes, change, notes)
    if zarr_format == 2:
        return made
    image.pop("version", None)
    return {"ome": {"version": version if isinstance(nested, Mapping) else "0.5", **made}}


def _samplings(axes: ZarrAxes, change: Change) -> list[Sampling]:
    """Where the result lies along each axis of the array, selection included."""
    named = zip(axes.names, axes.picked, strict=True)
    firsts = [0 if name.casefold() == "c" else first for name, (first, _) in named]  # which has no places
    places = [Sampling(1, Fraction(first)) for first in firsts]
    pairs = [(axes.columns_at, change.samplings[-1]), (axes.rows_at, change.samplings[-2])]
    if len(change.samplings) > 2 and axes.frames_at:
        pairs.append((axes.frames_at[-1], change.samplings[-3]))
    for axis, sampling in pairs:
        places[axis] = Sampling(sampling.step, sampling.start + places[axis].start)
    return places


def level_transforms(source: Located, axes: int) -> tuple[list[float], list[float]] | None:
    """The scale and the translation of the level that is read; None where they are missing or damaged."""
    image = source.group.image if source.group is not None else None
    levels = image.get("datasets") if image is not None else None
    level = levels[source.level] if isinstance(levels, list) and source.level < len(levels) else None
    stated = level.get("coordinateTransformations") if isinstance(level, Mapping) else None
    if not isinstance(stated, list) or not 1 <= len(stated) <= 2:
        return None
    found = {
        str(one.get("type")): one.get(str(one.get("type"))) for one in stated if isinstance(one, Mapping)
    }
    scale, translation = found.get("scale"), found.get("translation", [0.0] * axes)
    if not (_are_numbers(scale, axes) and _are_numbers(translation, axes)):
        return None
    assert scale is not None and translation is not None
    return scale, translation


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and isfinite(value) for value in values)
    )


def sampled_transforms(changes: list[dict[str, Any]], places: Sequence[Sampling]) -> list[dict[str, Any]]:
    """The transformations of an array that samples another one, given those of that."""
    scale = changes[0]["scale"]
    translation = changes[1]["translation"] if len(changes) > 1 else [0.0] * len(scale)
    return _sampled(scale, translation, places)


def _sampled(
    scale: Sequence[float], translation: Sequence[float], places: Sequence[Sampling]
) -> list[dict[str, Any]]:
    """The transformations of a result: the scale first, then the translation if there is one."""
    made = [{"type": "scale", "scale": [float(s * p.step) for s, p in zip(scale, places, strict=True)]}]
    moved = [float(t + s * float(p.start)) for t, s, p in zip(translation, scale, places, strict=True)]
    return [*made, *([{"type": "translation", "translation": moved}] if any(moved) else [])]


def _display(omero: Mapping[str, Any], axes: ZarrAxes, change: Change, notes: list[str]) -> dict[str, Any]:
    """How viewers show the channels: those that were selected, with ranges that hold the values."""
    made = dict(omero)
    channels = omero.get("channels")
    at = next((axis for axis, name in enumerate(axes.names) if name.casefold() == "c"), None)
    if isinstance(channels, list) and at is not None and len(channels) == axes.sizes[at]:
        channels = channels[slice(*axes.picked[at])]
    if isinstance(channels, list) and not change.keeps_values:
        channels = _with_windows(channels, change.dtype, notes)
    if channels is not None:
        made["channels"] = channels
    if any(axes.picked[axis] != (0, axes.sizes[axis]) for axis in axes.frames_at):
        made.pop("rdefs", None)  # which name a plane by its number
    return made


def _with_windows(channels: list[Any], dtype: DType, notes: list[str]) -> list[Any]:
    """The channels, shown with the whole range of an integer type, or as viewers choose."""
    if not any(isinstance(channel, Mapping) and "window" in channel for channel in channels):
        return channels
    window: dict[str, Any] = {}
    if dtype.kind == "f":
        notes.append("display windows are left out: the values of the result have another range")
    else:
        low, high = span(dtype)
        window = {"window": {"min": low, "max": high, "start": low, "end": high}}
        notes.append(f"display windows are the range of {dtype}: the values of the result have another range")
    return [
        {**{key: value for key, value in channel.items() if key != "window"}, **window}
        if isinstance(channel, Mapping)
        else channel
        for channel in channels
    ]
