"""The array for a result: its layout, codecs and attributes, and notes on what these leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from convcli.core.frozen import frozen, replace
from convcli.formats.calibration import Axes, Georeference, Sampling
from convcli.formats.header import Layout
from convcli.formats.zarr.axes import ZarrAxes
from convcli.formats.zarr.carrying import Change, carried
from convcli.formats.zarr.facts import ArrayFacts
from convcli.formats.zarr.georeference import georeference_attributes
from convcli.formats.zarr.nodata import nodata_attributes
from convcli.formats.zarr.reader import ZarrReader
from convcli.formats.zarr.spec import ArraySpec, spec_like
from convcli.geometry.padding import Pair

OME_SUFFIX: Final = ".ome.zarr"
"""Of results that are OME-Zarr images whatever their source."""

_VERSION: Final = "0.5"
_LEVEL: Final = "0"
_UNITS: Final = {
    "pm": "picometer", "Å": "angstrom", "nm": "nanometer", "µm": "micrometer", "um": "micrometer",
    "micron": "micrometer", "mm": "millimeter", "cm": "centimeter", "inch": "inch", "m": "meter",
    "km": "kilometer", "ms": "millisecond", "s": "second", "sec": "second", "min": "minute", "h": "hour",
}  # fmt: skip
"""Names of units in OME-Zarr, by those in TIFF."""


@frozen(eq=False)
class ResultSpec:
    """An array for a result, and notes on what is left out of it."""

    spec: ArraySpec
    notes: tuple[str, ...] = ()


@frozen(eq=False)
class Result:
    """A result, apart from how it is divided.

    Attributes:
        layout: of its frames.
        samplings: where its pixels lie in the source, along rows and columns, preceded by frames if the
            kernel slides over them.
        alpha: whether the last channel is alpha.
        keeps_values: whether values have the meaning and the range of the source's.
        pixel: its axes in another kind of file, with the sizes of its pixels.
        is_ome: whether it is to be an OME-Zarr image although its source is none.
        depth: frames of each of its volumes, if the kernel slides over frames.
        nodata: the value of its pixels without data.
        ground: its georeference, which is not that of a Zarr source.
    """

    layout: Layout
    samplings: tuple[Sampling, ...]
    alpha: bool = False
    keeps_values: bool = False
    pixel: Axes | None = None
    is_ome: bool = False
    depth: int | None = None
    nodata: float | None = None
    ground: Georeference | None = None


def result_spec(
    result: Result, source: ZarrReader | None = None, chunk: Pair | None = None, shard: Pair | None = None
) -> ResultSpec:
    """The array for a result.

    Args:
        result: what is written.
        source: the reader of the source, if that is Zarr; chunks, codecs and attributes follow it.
        chunk, shard: (rows, columns); None for those of the source, or good ones.

    Raises:
        OutputError: sizes that do not fit each other, or chunks that are too large.
    """
    made = _result_spec(result, source, chunk, shard)
    stated = nodata_attributes(result.nodata, result.layout.dtype)
    return replace(made, spec=replace(made.spec, attributes={**made.spec.attributes, **stated}))


def _result_spec(
    result: Result, source: ZarrReader | None, chunk: Pair | None, shard: Pair | None
) -> ResultSpec:
    """The array for a result, without its value of missing data."""
    layout = result.layout
    is_image = source is not None and source.located.group is not None and source.located.group.multiscales
    if not is_image and (result.is_ome or (source is None and _is_calibrated(result.pixel))):
        frame_axes, lost = _frame_axes(layout, result.pixel)
        if result.is_ome or not lost:
            spec = spec_like(layout, None, None, chunk, shard, frame_axes=frame_axes)
            notes = [f"frames have one axis, t: {lost}"] if lost else []
            return _placed(_new_image(spec, result.pixel), result, notes)
        plain = spec_like(layout, None, None, chunk, shard, result.alpha)
        return _placed(plain, result, [f"axes and pixel sizes are left out: {lost}"])
    if source is None:
        return _placed(spec_like(layout, None, None, chunk, shard, result.alpha), result)
    axes, facts = source.axes, source.facts
    if result.depth is not None and axes.frames_at:
        facts = _by_volume(facts, axes)
        axes = axes.with_depth(result.depth)
    spec = spec_like(layout, facts, axes, chunk, shard, result.alpha)
    own = spec.axes()
    keeps_axes = (own.names, own.rows_at, own.columns_at, own.channels_at) == (
        axes.names,
        axes.rows_at,
        axes.columns_at,
        axes.channels_at,
    )
    keeps_axes = keeps_axes and layout.channels == axes.channels
    change = Change(
        (layout.rows, layout.columns),
        result.samplings,
        layout.dtype,
        keeps_axes,
        result.keeps_values,
        result.nodata is not None,
    )
    kept = carried(source.located, source.axes, change, spec.zarr_format)
    attributes = {**kept.attributes, **spec.attributes}
    made = replace(spec, attributes=attributes, path=kept.path, group=kept.group)
    return ResultSpec(made, kept.notes)


def _is_calibrated(pixel: Axes | None) -> bool:
    """Whether the size of pixels is known in a unit of OME-Zarr."""
    steps = [pixel.step(axis) if pixel is not None else None for axis in "YX"]
    return all(step is not None and step[1] in _UNITS for step in steps)


def _frame_axes(layout: Layout, pixel: Axes | None) -> tuple[list[tuple[str, int]], str]:
    """(name, size) of the axes of frames, and why OME-Zarr cannot have those of the source, if so."""
    if layout.frames == 1:
        return [], ""
    known = [] if pixel is None else list(zip(pixel.names.lower(), pixel.sizes, strict=True))
    found = [(name, size) for name, size in known if size > 1]
    if pixel is None or pixel.frames != layout.frames:
        return [("t", layout.frames)], ""
    names = "".join(name for name, _ in found)
    free = _ORDER if layout.channels == 1 else _ORDER.replace("c", "")
    if names == "".join(name for name in free if name in names):
        return found, ""
    return [("t", layout.frames)], (
        f"OME-Zarr orders axes as {', '.join(free)}; those of the input are {', '.join(names)}"
    )


_ORDER: Final = "tcz"
"""Axes of frames in OME-Zarr, slowest first."""


def _placed(spec: ArraySpec, result: Result, notes: Sequence[str] = ()) -> ResultSpec:
    """An array whose source is not Zarr, with its georeference."""
    axes, layout = spec.axes(), result.layout
    names = axes.names[axes.rows_at], axes.names[axes.columns_at]
    stated, lost = georeference_attributes(result.ground, names, (layout.rows, layout.columns))
    placed = replace(spec, attributes={**spec.attributes, **stated})
    return ResultSpec(placed, tuple(note for note in (*notes, lost) if note))


def _by_volume(facts: ArrayFacts, axes: ZarrAxes) -> ArrayFacts:
    """An array whose chunks and shards are those of one volume each."""

    def cut(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(1 if axis in axes.frames_at[:-1] else size for axis, size in enumerate(sizes))

    return replace(facts, chunks=cut(facts.chunks), shards=facts.shards and cut(facts.shards))


def _new_image(spec: ArraySpec, pixel: Axes | None) -> ArraySpec:
    """The array as the only level of an OME image."""
    axes = spec.axes()
    kinds = [(name, _KINDS.get(name, "")) for name in axes.names]
    stated = [_step(pixel, name.upper()) for name in axes.names]
    scale = [size for size, _, _ in stated]
    moved = [origin for _, _, origin in stated]
    image: dict[str, Any] = {
        "axes": [
            {"name": name, **({"type": kind} if kind else {}), **({"unit": unit} if unit else {})}
            for (name, kind), (_, unit, _) in zip(kinds, stated, strict=True)
        ],
        "datasets": [
            {
                "path": _LEVEL,
                "coordinateTransformations": [
                    {"type": "scale", "scale": scale},
                    *([{"type": "translation", "translation": moved}] if any(moved) else []),
                ],
            }
        ],
    }
    group: Mapping[str, Any] = {"ome": {"version": _VERSION, "multiscales": [image]}}
    return replace(spec, path=_LEVEL, group=group)


_KINDS: Final = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def _step(pixel: Axes | None, axis: str) -> tuple[float, str, float]:
    """(size, unit, place of the first pixel) along an axis."""
    step = pixel.step(axis) if pixel is not None else None
    if pixel is None or step is None:
        return 1.0, "", 0.0
    return float(step[0]), _UNITS.get(step[1], ""), float(0.0 - pixel.origin(axis) * step[0])
