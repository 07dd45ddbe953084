"""Attributes of the spatial convention of Zarr (``spatial:transform`` and others), adjusted to a result.

An affine transform takes columns and rows to places. With the registration ``pixel``, it starts at the corner
of the first pixel; with ``node``, at its center.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from convcli.formats.calibration import Sampling
from convcli.geometry.padding import Pair

_PREFIX: Final = "spatial:"
TRANSFORM: Final = "spatial:transform"
DIMENSIONS: Final = "spatial:dimensions"
REGISTRATION: Final = "spatial:registration"
_SHAPE, _BOX, _KIND = "spatial:shape", "spatial:bbox", "spatial:transform_type"


def sampled_spatial(
    attributes: Mapping[str, Any], sizes: Pair, down: Sampling, across: Sampling
) -> tuple[dict[str, Any], str]:
    """The attributes of a result, and a note if some had to be left out.

    Args:
        attributes: of an array or group.
        sizes: (rows, columns) of the result.
        down, across: where its rows and columns lie in the source.
    """
    made = dict(attributes)
    if not any(name.startswith(_PREFIX) for name in attributes):
        return made, ""
    transform = plain_transform(attributes)
    if transform is None:
        lost = [name for name in (TRANSFORM, _SHAPE, _BOX) if made.pop(name, None) is not None]
        return made, f"attributes left out, which cannot be adjusted: {', '.join(lost)}" if lost else ""
    is_node = attributes.get(REGISTRATION) == "node"
    shifts = [float(one.start if is_node else one.edge) for one in (across, down)]
    a, b, c, d, e, f = transform
    new = [
        float(a * across.step),
        float(b * down.step),
        float(c + a * shifts[0] + b * shifts[1]),
        float(d * across.step),
        float(e * down.step),
        float(f + d * shifts[0] + e * shifts[1]),
    ]
    made[TRANSFORM] = new
    if _SHAPE in made:
        made[_SHAPE] = list(sizes)
    if _BOX in made:
        made[_BOX] = _box(new, (sizes[0] - is_node, sizes[1] - is_node))
    return made, ""


def plain_transform(attributes: Mapping[str, Any]) -> list[float] | None:
    """The affine transform of a plane, (a, b, c, d, e, f) by rows; None where there is none."""
    transform, axes = attributes.get(TRANSFORM), attributes.get(DIMENSIONS, "yx")
    is_plane = isinstance(axes, list | str) and len(axes) == 2
    is_usual = attributes.get(_KIND, "affine") == "affine"
    return transform if is_plane and is_usual and _is_affine(transform) else None


def _is_affine(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 6
        and all(isinstance(number, int | float) and isfinite(number) for number in value)
    )


def _box(transform: list[float], sizes: Pair) -> list[float]:
    """(least x, least y, most x, most y) of the corners."""
    a, b, c, d, e, f = transform
    corners = [(column, row) for column in (0, sizes[1]) for row in (0, sizes[0])]
    across = [a * column + b * row + c for column, row in corners]
    down = [d * column + e * row + f for column, row in corners]
    return [min(across), min(down), max(across), max(down)]
