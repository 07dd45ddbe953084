"""What a new array is to be: its metadata documents, decided before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final, Self

from convcli.core.dtypes import DType
from convcli.core.errors import ImageError, OutputError
from convcli.core.frozen import contents, frozen
from convcli.formats.header import Layout
from convcli.formats.zarr.axes import ZarrAxes
from convcli.formats.zarr.facts import MOST_AXES, TYPES, ArrayFacts, array_facts
from convcli.formats.zarr.objects import checked_key
from convcli.geometry.padding import Pair

CHUNK: Final = 1024
"""Rows and columns of the chunks of new arrays."""

LARGEST_WRITTEN: Final = 2**31 - 2**16
"""Bytes of the values of a chunk, which blosc cannot exceed."""

_COMPRESSORS: Final = {3: ("blosc", "zstd", "gzip", "crc32c"), 2: ("blosc", "zstd", "gzip", "zlib", "lz4")}
"""Codecs of a source that its result has too; filters are not, since they may lose values of another type."""

_COLORS: Final = "c"
"""The axis of the channels of an OME image."""

Codecs = Sequence[tuple[str, Mapping[str, Any]]]


@frozen
class ArraySpec:
    """An array to write.

    Attributes:
        array: ``zarr.json`` without attributes, or ``.zarray``.
        rows_at, columns_at: the numbers of these axes.
        channels_at: that of the axis of channels, or None.
        attributes: of the array.
        path: of the array in the store, empty for its root.
        group: attributes of the root if the array is not the root.
    """

    array: Mapping[str, Any]
    rows_at: int
    columns_at: int
    channels_at: int | None = None
    attributes: Mapping[str, Any] = {}
    path: str = ""
    group: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return contents(self)

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Self:
        """The value of which `to_json` made a document.

        Raises:
            ValueError, TypeError: it is none.
            OutputError: no reader would take such an array.
        """
        spec = cls(**document)
        spec._check()
        return spec

    def _check(self) -> None:
        """Refuse what is no array, or lies outside its store.

        Raises:
            ValueError: with the field.
        """
        mappings = self.array, self.attributes, {} if self.group is None else self.group
        if not all(isinstance(value, Mapping) for value in mappings) or not isinstance(self.path, str):
            raise ValueError("a target whose documents are no objects")
        if self.path:
            checked_key(self.path)
        axes = self.rows_at, self.columns_at, *(() if self.channels_at is None else (self.channels_at,))
        count = len(self.facts().shape)
        if len({*axes}) < len(axes) or not all(type(axis) is int and 0 <= axis < count for axis in axes):
            raise ValueError(f"a target of {count} axes whose axes of pixels are {axes!r:.60}")

    @property
    def zarr_format(self) -> int:
        return int(self.array["zarr_format"])

    def facts(self) -> ArrayFacts:
        """The array as a reader sees it.

        Raises:
            OutputError: no reader would take it.
        """
        try:
            return array_facts(self.array, self.attributes)
        except ImageError as error:
            raise OutputError(f"such an array cannot be written: {error}") from error

    def axes(self) -> ZarrAxes:
        """What the axes of the array stand for."""
        facts = self.facts()
        every = tuple((0, size) for size in facts.shape)
        names = facts.names or ("",) * len(facts.shape)
        return ZarrAxes(names, facts.shape, self.rows_at, self.columns_at, self.channels_at, every)


def spec_like(
    layout: Layout,
    source: ArrayFacts | None = None,
    axes: ZarrAxes | None = None,
    chunk: Pair | None = None,
    shard: Pair | None = None,
    alpha: bool = False,
    *,
    frame_axes: Sequence[tuple[str, int]] | None = None,
) -> ArraySpec:
    """The array for a result: like its source where that is Zarr, else of version 3, with blosc.

    Args:
        layout: of the result.
        source: the facts of the source.
        axes: what the axes of the source stand for; they are kept if they have as many frames as the result.
        chunk: (rows, columns) of a chunk; None for those of the source, or `CHUNK`.
        shard: (rows, columns) of an object of several chunks; None for those of the source, or no shards
            where a chunk is given.
        alpha: whether the last channel is alpha.
        frame_axes: (name, size) of the axes of frames of an OME image, of those called t, c and z in this
            order; None for an array that is no such image.

    Raises:
        OutputError: sizes that do not fit each other, or chunks that are too large.
    """
    kept = axes if axes is not None and axes.frames == layout.frames else None
    is_image = frame_axes is not None
    plan = _image_plan(layout, frame_axes or ()) if is_image else _planned(layout, kept, alpha)
    follows = source is not None and kept is not None
    near = (source.chunks[axes.rows_at], source.chunks[axes.columns_at]) if source and axes else None
    chunks = _chunks(plan, source if follows else None, chunk or near)
    shards = _shards(plan, source if follows and chunk is None else None, chunks, shard)
    if shards is None:
        chunks = tuple(min(each, size) for each, size in zip(chunks, plan.sizes, strict=True))
    _check_chunks(chunks, shards, layout.dtype)
    document = _document(plan, chunks, shards, layout.dtype, source)
    return ArraySpec(document, plan.rows_at, plan.columns_at, plan.channels_at, _attributes(plan, document))


@frozen
class _Plan:
    """The axes of a result, as `ZarrAxes` has them."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    rows_at: int
    columns_at: int
    channels_at: int | None
    kept: ZarrAxes | None


def _planned(layout: Layout, kept: ZarrAxes | None, alpha: bool) -> _Plan:
    """The axes of the source with the sizes of the result, or frames, rows, columns and channels."""
    channels = layout.channels > 1
    if kept is not None and (kept.channels_at is not None) == channels:
        sizes = [last - first for first, last in kept.picked]
        places = [(kept.rows_at, layout.rows), (kept.columns_at, layout.columns)]
        for axis, size in places + (
            [(kept.channels_at, layout.channels)] if kept.channels_at is not None else []
        ):
            sizes[axis] = size
        return _Plan(kept.names, tuple(sizes), kept.rows_at, kept.columns_at, kept.channels_at, kept)
    frames = kept.frame_sizes if kept is not None else (layout.frames,) * (layout.frames > 1)
    names = [kept.names[axis] for axis in kept.frames_at] if kept is not None else ["frame"] * len(frames)
    names = [name or f"frame{place}" for place, name in enumerate(names)]
    sizes = [*frames, layout.rows, layout.columns, *([layout.channels] if channels else [])]
    names += ["y", "x", *(["rgba" if alpha and layout.channels == 4 else "c"] if channels else [])]
    if len(sizes) > MOST_AXES:
        raise OutputError(f"zarr with {len(sizes)} axes; allowed: {MOST_AXES}")
    place = len(frames)
    return _Plan(tuple(names), tuple(sizes), place, place + 1, place + 2 if channels else None, None)


def _image_plan(layout: Layout, frame_axes: Sequence[tuple[str, int]]) -> _Plan:
    """The axes of an OME image: time, channels, depth, rows and columns."""
    colors = [(_COLORS, layout.channels)] * (layout.channels > 1)
    first = [axis for axis in frame_axes if axis[0] == "t"]
    last = [axis for axis in frame_axes if axis[0] != "t"]
    axes = [*first, *colors, *last, ("y", layout.rows), ("x", layout.columns)]
    place = len(axes) - 2
    names, sizes = zip(*axes, strict=True)
    return _Plan(names, sizes, place, place + 1, len(first) if colors else None, None)


def _chunks(plan: _Plan, source: ArrayFacts | None, chunk: Pair | None) -> tuple[int, ...]:
    """The shape of the chunks."""
    if source is not None and plan.kept is not None:
        chunks = list(source.chunks)
    else:
        chunks = [1] * len(plan.sizes)
        chunks[plan.rows_at] = chunks[plan.columns_at] = CHUNK
        if plan.channels_at is not None:
            chunks[plan.channels_at] = plan.sizes[plan.channels_at]
    if chunk is not None:
        chunks[plan.rows_at], chunks[plan.columns_at] = chunk
    return tuple(chunks)


def _shards(
    plan: _Plan, source: ArrayFacts | None, chunks: tuple[int, ...], shard: Pair | None
) -> tuple[int, ...] | None:
    """The shape of the shards, or None."""
    if shard is None:
        follows = source is not None and plan.kept is not None
        return source.shards if source is not None and follows else None
    shards = list(chunks)
    shards[plan.rows_at], shards[plan.columns_at] = shard
    if any(whole % each for whole, each in zip(shards, chunks, strict=True)):
        each = chunks[plan.rows_at], chunks[plan.columns_at]
        raise OutputError(
            f"shards of {shard[1]}×{shard[0]} are not multiples of chunks of {each[1]}×{each[0]}"
        )
    return tuple(shards) if tuple(shards) != chunks else None


def _check_chunks(chunks: tuple[int, ...], shards: tuple[int, ...] | None, dtype: DType) -> None:
    if min(*chunks, *(shards or chunks)) < 1:
        raise OutputError(f"zarr with chunks {chunks}; allowed: 1 or more along each axis")
    size = prod(chunks) * dtype.itemsize
    if size > LARGEST_WRITTEN:
        raise OutputError(f"zarr with chunks {chunks} of {size} bytes; allowed: {LARGEST_WRITTEN}")
    if dtype.name not in TYPES:
        raise OutputError(f"zarr with type {dtype.name}; allowed: {', '.join(TYPES)}")


def _document(
    plan: _Plan,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
    dtype: DType,
    source: ArrayFacts | None,
) -> dict[str, Any]:
    """``zarr.json`` or ``.zarray``, of the version of the source unless shards need version 3."""
    version = source.zarr_format if source is not None and not shards else 3
    stated = source.codecs if source is not None and source.zarr_format == version else None
    codecs = _codecs(stated, version, dtype)
    if version == 2:
        return _second(plan, chunks, dtype, codecs, source.keys.separator if source else ".")
    steps = [_bytes(dtype), *({"name": name, "configuration": dict(settings)} for name, settings in codecs)]
    if shards is not None:
        inner = {
            "chunk_shape": list(chunks),
            "codecs": steps,
            "index_codecs": [_bytes(dtype_of_index), {"name": "crc32c"}],
            "index_location": "end",
        }
        steps = [{"name": "sharding_indexed", "configuration": inner}]
    separator = source.keys.separator if source is not None and source.zarr_format == 3 else "/"
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(plan.sizes),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shards or chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": separator}},
        "fill_value": 0.0 if dtype.kind == "f" else 0,
        "codecs": steps,
    }
    if any(plan.names):
        document["dimension_names"] = [name or None for name in plan.names]
    return document


dtype_of_index: Final = TYPES["uint64"]


def _bytes(dtype: DType) -> dict[str, Any]:
    """The codec from values to bytes, which has no order where a value is one byte."""
    return (
        {"name": "bytes", "configuration": {"endian": "little"}} if dtype.itemsize > 1 else {"name": "bytes"}
    )


def _second(
    plan: _Plan, chunks: tuple[int, ...], dtype: DType, codecs: Codecs, separator: str
) -> dict[str, Any]:
    """``.zarray``."""
    compressor = {"id": codecs[-1][0], **codecs[-1][1]} if codecs else None
    return {
        "zarr_format": 2,
        "shape": list(plan.sizes),
        "chunks": list(chunks),
        "dtype": dtype.newbyteorder("<").str,
        "compressor": compressor,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": separator,
    }


def _attributes(plan: _Plan, document: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the axes where version 2 has them."""
    is_named = document["zarr_format"] == 2 and all(plan.names)
    return {"_ARRAY_DIMENSIONS": list(plan.names)} if is_named else {}


def _codecs(source: Codecs | None, version: int, dtype: DType) -> list[tuple[str, Mapping[str, Any]]]:
    """The compressors of the source, set for another type; blosc where there is no source."""
    if source is None:
        return [("blosc", _blosc(version, dtype, {}))]
    kept: list[tuple[str, Mapping[str, Any]]] = []
    for name, settings in source:
        plain = name.removeprefix("numcodecs.")
        if plain in _COMPRESSORS[version]:
            made = _blosc(version, dtype, settings) if plain == "blosc" else _levels(plain, settings)
            kept.append((plain, made))
    if not kept and source:
        return [("blosc", _blosc(version, dtype, {}))]
    return kept if version == 3 else kept[-1:]


_SHUFFLES: Final = ("noshuffle", "shuffle", "bitshuffle")
_BLOSC_CODECS: Final = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")


def _blosc(version: int, dtype: DType, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of blosc, as the version writes them."""
    shuffle = settings.get("shuffle")
    if isinstance(shuffle, int) and 0 <= shuffle < len(_SHUFFLES):
        shuffle = _SHUFFLES[shuffle]
    if shuffle not in _SHUFFLES:
        shuffle = "bitshuffle"
    cname = settings.get("cname")
    made = {
        "cname": cname if cname in _BLOSC_CODECS else "lz4",
        "clevel": _within(settings.get("clevel"), 0, 9, 5),
        "shuffle": shuffle if version == 3 else _SHUFFLES.index(shuffle),
        "blocksize": _within(settings.get("blocksize"), 0, LARGEST_WRITTEN, 0),
    }
    return {"typesize": dtype.itemsize, **made} if version == 3 else made


def _levels(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a compressor other than blosc; those that it would refuse become its defaults."""
    if name not in _LEVELS:
        return {"acceleration": 1} if name == "lz4" else {}
    made: dict[str, Any] = {"level": _within(settings.get("level"), *_LEVELS[name])}
    if name == "zstd" and settings.get("checksum") is True:
        made["checksum"] = True
    return made


_LEVELS: Final = {"zstd": (-(2**17), 22, 0), "gzip": (0, 9, 5), "zlib": (0, 9, 1)}
"""The lowest, highest and usual level of compressors."""


def _within(value: Any, low: int, high: int, otherwise: int) -> int:
    """A whole number of a range, or another one."""
    return value if type(value) is int and low <= value <= high else otherwise
