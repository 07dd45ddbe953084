"""Pixel sizes of an OME-Zarr image, as results in other formats can state them, and units of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from convcli.formats.calibration import Axes
from convcli.formats.zarr.axes import ZarrAxes
from convcli.formats.zarr.carrying import level_transforms
from convcli.formats.zarr.documents import Located

UNITS: Final = {
    "picometer": "pm", "angstrom": "Å", "nanometer": "nm", "micrometer": "µm", "millimeter": "mm",
    "centimeter": "cm", "meter": "m", "kilometer": "km", "inch": "in", "millisecond": "ms", "second": "s",
    "minute": "min", "hour": "h",
}  # fmt: skip
"""Units of OME-XML by their names in OME-Zarr."""

_PLANES: Final = "TZC"


def pixel_axes(located: Located, axes: ZarrAxes) -> Axes | None:
    """The axes of the selected frames with the sizes of steps; None where they are not those of OME-XML."""
    image = located.group.image if located.group is not None else None
    found = level_transforms(located, len(axes.sizes)) if image is not None else None
    names = "".join(axes.names).upper()
    frames = "".join(names[axis : axis + 1] for axis in axes.frames_at)
    if image is None or found is None or len(names) != len(axes.sizes) or set(frames) - set(_PLANES):
        return None
    if axes.channels_at is not None or not {"Y", "X"} <= set(names):
        return None
    missing = [name for name in _PLANES if name not in frames]
    scale, translation = found
    stated = zip(names, scale, translation, _units(image, len(names)), strict=True)
    steps = [(name, size, unit, moved) for name, size, moved, unit in stated if unit and size > 0]
    return Axes(
        "ome",
        "".join(missing) + frames,
        (*(1 for _ in missing), *axes.frame_sizes),
        tuple((name, float(size), unit) for name, size, unit, _ in steps),
        tuple((name, -moved / size) for name, size, _, moved in steps if moved and name in "XY"),
    )


def _units(image: Mapping[str, Any], count: int) -> list[str]:
    """The unit of each axis, as OME-XML calls it; empty where there is none that it knows."""
    stated = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in image.get("axes", [])]
    known = [UNITS.get(unit, "") if isinstance(unit, str) else "" for unit in stated]
    return (known + [""] * count)[:count]
