"""Levels of a pyramid below a result: each pixel is the mean of 2 × 2 pixels of the level above.

A level is an array of its own, written by whole objects like the result, so that its regions can be made by
many workers; a level is begun when the one above is complete. Means of integers are exact and rounded once,
ties to even. Where a side is odd, the last pixel is the mean of what there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import OutputError, one_line
from convcli.core.frozen import frozen, replace
from convcli.files.input import Input
from convcli.formats.calibration import Sampling
from convcli.formats.zarr.carrying import sampled_transforms
from convcli.formats.zarr.spec import ArraySpec
from convcli.formats.zarr.target import ZarrTarget
from convcli.formats.zarr.zarr import opened_zarr
from convcli.geometry.padding import Pair

SMALLEST: Final = 256
"""Pixels of the longer side at which no further level is added."""

_HALF: Final = Sampling(2, Fraction(1, 2))
"""Where the pixels of a level lie in the level above."""

_HIGH: Final = 2
"""Rows of objects that are made at once."""


@frozen
class LevelRegion:
    """A part of a level, whole objects: (first, past the last) of each."""

    frames: Pair
    rows: Pair
    columns: Pair


def level_specs(spec: ArraySpec, smallest: int = SMALLEST) -> list[ArraySpec]:
    """The arrays of the levels below an OME image with one level, the largest first.

    Raises:
        OutputError: it is none.
    """
    if spec.group is None or not _images(spec.group):
        raise OutputError("levels are those of an OME-Zarr image; write to a name that ends in .ome.zarr")
    specs = list[ArraySpec]()
    above = spec
    while max(above.axes().rows, above.axes().columns) > smallest:
        above = _halved(above, str(len(specs) + 1))
        specs.append(above)
    return specs


def _images(group: Mapping[str, Any]) -> list[Any]:
    ome = group.get("ome", group)
    images = ome.get("multiscales") if isinstance(ome, Mapping) else None
    return images if isinstance(images, list) else []


def _halved(spec: ArraySpec, path: str) -> ArraySpec:
    """The array of half as many rows and columns, with the same objects."""
    array = dict(spec.array)
    shape = list(array["shape"])
    for axis in (spec.rows_at, spec.columns_at):
        shape[axis] = -(-shape[axis] // 2)
    return replace(spec, array={**array, "shape": shape}, path=path, group=None)


def level_regions(spec: ArraySpec) -> Iterator[LevelRegion]:
    """Regions of a level that any worker can make, in any order."""
    axes, objects = spec.axes(), spec.facts().objects
    high, wide = _HIGH * objects[axes.rows_at], objects[axes.columns_at]
    for frames in _blocks(spec):
        for top in range(0, axes.rows, high):
            for left in range(0, axes.columns, wide):
                rows = top, min(top + high, axes.rows)
                yield LevelRegion(frames, rows, (left, min(left + wide, axes.columns)))


def _blocks(spec: ArraySpec) -> Iterator[Pair]:
    """The frames that are written together."""
    target, frame = ZarrTarget("", spec), 0
    while frame < target.axes.frames:
        block = target.frame_block(frame)
        yield block
        frame = block[1]


def build_region(place: str, above: ArraySpec, target: ZarrTarget, region: LevelRegion) -> int:
    """Make a region of a level from the level above, and return its bytes.

    Args:
        place: of the store.
        above: the array above, which is complete.
        target: the level.
        region: of `level_regions`.
    """
    source = Input.open(f"{place.rstrip('/')}/{above.path}")
    reader, sizes = opened_zarr(source).reader, above.axes()
    rows = 2 * region.rows[0], min(2 * region.rows[1], sizes.rows)
    columns = 2 * region.columns[0], min(2 * region.columns[1], sizes.columns)
    parts = [halved(plane) for plane in _planes(reader, above, range(*region.frames), rows, columns)]
    return target.write(region.frames, region.rows, region.columns, np.stack(parts))


def _planes(reader: Any, above: ArraySpec, frames: range, rows: Pair, columns: Pair) -> Iterator[Array]:
    """The window of each frame, (rows, columns, channels), also where the reader sees channels as frames."""
    axes = above.axes()
    own = reader.axes
    for frame in frames:
        channel_axis = axes.channels_at
        if channel_axis is None or own.channels_at == channel_axis:
            yield reader.window(frame, rows, columns)
            continue
        places = axes.indices(frame)
        channels = [
            reader.window(own.frame({**places, channel_axis: channel}), rows, columns)
            for channel in range(axes.channels)
        ]
        yield np.concatenate(channels, axis=2)


def halved(pixels: Array) -> Array:
    """The means of 2 × 2 pixels, (rows, columns, channels) of the same type, rounded up to half as many."""
    rows, columns, channels = pixels.shape
    even = np.pad(pixels, ((0, rows % 2), (0, columns % 2), (0, 0)), "edge")
    blocks = even.reshape(len(even) // 2, 2, even.shape[1] // 2, 2, channels)
    if pixels.dtype.kind == "f":
        means: Array = blocks.mean(axis=(1, 3), dtype=np.float64)
    else:
        sums = blocks.sum(axis=(1, 3), dtype=np.int64)
        whole, rest = sums >> 2, sums & 3
        means = whole + ((rest == 3) | ((rest == 2) & (whole & 1 == 1)))
    return means.astype(pixels.dtype)


def build_levels(place: str, spec: ArraySpec, smallest: int = SMALLEST, force: bool = False) -> int:
    """Make all levels of a complete OME image in this process, and name them in its metadata.

    Returns:
        The number of levels that were added.

    Raises:
        OutputError: it is no OME image, or a level cannot be written.
    """
    above, specs = spec, level_specs(spec, smallest)
    for level in specs:
        target = ZarrTarget.create(place, level, force)
        for region in level_regions(level):
            build_region(place, above, target, region)
        missing = next(target.missing(), None)
        if missing is not None:
            raise OutputError(f"{one_line(place)}: {missing} is missing")
        target.complete({})
        above = level
    ZarrTarget(place, spec).regroup(with_levels(spec, specs))
    return len(specs)


def with_levels(spec: ArraySpec, specs: list[ArraySpec]) -> dict[str, Any]:
    """The attributes of the group of an OME image that has these levels."""
    assert spec.group is not None
    (first, *others) = _images(spec.group)
    levels = list(first["datasets"])
    changes = levels[0]["coordinateTransformations"]
    places = [
        _HALF if axis in (spec.rows_at, spec.columns_at) else Sampling()
        for axis in range(len(spec.array["shape"]))
    ]
    for level in specs:
        changes = sampled_transforms(changes, places)
        levels.append({"path": level.path, "coordinateTransformations": changes})
    images = [{**first, "datasets": levels}, *others]
    if "ome" in spec.group:
        return {**spec.group, "ome": {**spec.group["ome"], "multiscales": images}}
    return {**spec.group, "multiscales": images}
