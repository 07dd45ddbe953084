"""What the metadata of a Zarr array say, checked before any chunk is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import ImageError, literal, quoted
from convcli.core.frozen import frozen
from convcli.formats.zarr.codecs import FILTERS, PREFIX, Codec, numcodec, steps_of

MOST_AXES: Final = 16
LARGEST_CHUNK: Final = 2**30
"""Bytes of the values of a chunk, which is decoded whole."""
LARGEST_INDEX: Final = 2**20
"""Chunks of a shard."""
_LONGEST: Final = 2**40  # values along an axis

TYPES: Final = {
    **{name: np.dtype(name) for name in ("int8", "int16", "int32", "int64")},
    **{name: np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    **{name: np.dtype(name) for name in ("float16", "float32", "float64")},
    "bool": np.dtype(np.bool_),
}
"""The types of values that are read, as version 3 calls them."""

_OTHERS: Final = {
    "O": "object",
    "S": "bytes",
    "U": "string",
    "V": "structured",
    "M": "datetime",
    "m": "timedelta",
    "c": "complex",
}
"""Types that are not numbers, by NumPy's letter."""


@frozen
class Keys:
    """How the object of a chunk is called.

    Attributes:
        separator: between the numbers of a chunk.
        prefix: before them, ``c`` in version 3.
    """

    separator: str = "/"
    prefix: str = "c"

    def key(self, numbers: Sequence[int]) -> str:
        words = ([self.prefix] if self.prefix else []) + [str(number) for number in numbers]
        return self.separator.join(words)

    def numbers(self, key: str, grid: Sequence[int]) -> tuple[int, ...] | None:
        """The numbers of the object of a key, or None for another one.

        Args:
            grid: objects along each axis.
        """
        words = key.split(self.separator)
        if self.prefix and words[0] == self.prefix:
            words = words[1:]
        elif self.prefix:
            return None
        if len(words) != len(grid) or not all(word.isdecimal() and len(word) < 16 for word in words):
            return None
        numbers = tuple(int(word) for word in words)
        return numbers if all(at < count for at, count in zip(numbers, grid, strict=True)) else None


@frozen
class ArrayFacts:
    """An array as its metadata describe it.

    Attributes:
        zarr_format: 2 or 3.
        shape: of the array.
        chunks: the shape of what is decoded at once.
        shards: the shape of what one object holds, if that is several chunks.
        dtype: of the stored values, with their byte order.
        fill: the value where an object is missing.
        keys: of the objects.
        codecs: from bytes to bytes, in the order of encoding.
        filters: of version 3, from numbers to numbers.
        index_size: bytes of the index of a shard, or 0.
        index_first: whether the index is at the beginning of a shard.
        names: of the axes, empty where they have none.
        attributes: everything else that the array says.
    """

    zarr_format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    dtype: DType
    fill: int | float
    keys: Keys
    codecs: tuple[Codec, ...]
    filters: tuple[Codec, ...] = ()
    index_size: int = 0
    index_first: bool = False
    names: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = {}

    @property
    def objects(self) -> tuple[int, ...]:
        """The shape of what one object holds."""
        return self.shards or self.chunks

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of objects along each axis."""
        return tuple(-(-size // each) for size, each in zip(self.shape, self.objects, strict=True))

    @property
    def per_shard(self) -> tuple[int, ...]:
        """The number of chunks of an object along each axis."""
        return tuple(whole // each for whole, each in zip(self.objects, self.chunks, strict=True))

    @property
    def size(self) -> int:
        """Bytes of the values of a chunk."""
        return prod(self.chunks) * self.dtype.itemsize


def array_facts(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> ArrayFacts:
    """The facts of an array, from its ``zarr.json`` or its ``.zarray`` and ``.zattrs``.

    Raises:
        ImageError: they cannot be true, or something is not supported.
    """
    version = document.get("zarr_format")
    facts = _third(document, attributes) if version == 3 else _second(document, attributes)
    _check(facts)
    return facts


def _second(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> ArrayFacts:
    shape, chunks = _sizes(document, "shape"), _sizes(document, "chunks")
    dtype = _second_type(document.get("dtype"))
    order = document.get("order", "C")
    if order not in ("C", "F"):
        raise ImageError(f"zarr with order {quoted(order)}; allowed: C and F")
    separator = _separator(document.get("dimension_separator", "."))
    filters = document.get("filters") or []
    compressor = document.get("compressor")
    stated = [*(filters if isinstance(filters, list) else [filters]), *([compressor] if compressor else [])]
    names = attributes.get("_ARRAY_DIMENSIONS")
    return ArrayFacts(
        2,
        shape,
        chunks,
        None,
        dtype,
        _fill(document.get("fill_value"), dtype),
        Keys(separator, ""),
        tuple(_codec(codec, "id") for codec in stated),
        names=_names(names, len(shape)),
        attributes=attributes,
    )


def _third(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> ArrayFacts:
    shape = _sizes(document, "shape")
    grid = _named(document.get("chunk_grid"), "chunk_grid", ("regular",))[1]
    keys = document.get("chunk_key_encoding", {"name": "default"})
    kind, settings = _named(keys, "chunk_key_encoding", ("default", "v2"))
    separator = _separator(settings.get("separator", "/" if kind == "default" else "."))
    dtype = _third_type(document.get("data_type"))
    codecs = [_codec(codec) for codec in _list(document.get("codecs"), "codecs")]
    chunks, shards = _sizes(grid, "chunk_shape"), None
    checksums, index_first = 0, False
    if codecs[0][0] == SHARDING:
        inner = codecs[0][1]
        chunks, shards = _sizes(inner, "chunk_shape"), chunks
        checksums, index_first = _index(codecs, inner)
        codecs = [_codec(codec) for codec in _list(inner.get("codecs"), "codecs")]
    filters, little, steps = _split(codecs, len(shape))
    return ArrayFacts(
        3,
        shape,
        chunks,
        shards,
        dtype.newbyteorder("<" if little else ">"),
        _fill(document.get("fill_value"), dtype),
        Keys(separator, "c" if kind == "default" else ""),
        tuple(steps),
        tuple(filters),
        _index_size(chunks, shards, checksums) if shards else 0,
        index_first,
        _names(document.get("dimension_names"), len(shape)),
        attributes,
    )


def _index_size(chunks: Sequence[int], shards: Sequence[int], checksums: int) -> int:
    """Bytes of the offsets and sizes of all chunks of a shard, and of checksums."""
    return 16 * prod(whole // each for whole, each in zip(shards, chunks, strict=False)) + 4 * checksums


def _index(codecs: Sequence[Codec], inner: Mapping[str, Any]) -> tuple[int, bool]:
    """The checksums of the index of a shard, and whether it comes first.

    Raises:
        ImageError: whole shards are encoded once more, or indexes are compressed.
    """
    if len(codecs) > 1:
        raise ImageError(f"codec {quoted(codecs[1][0])} after {SHARDING} is not supported")
    index = [_codec(codec) for codec in _list(inner.get("index_codecs"), "index_codecs")]
    names = [name for name, _ in index]
    if names[0] != "bytes" or set(names[1:]) - {"crc32c"}:
        stated = ", ".join(map(quoted, names))
        raise ImageError(f"zarr with shards indexed by {stated}; allowed: bytes, crc32c")
    if not _endian(index[0][1].get("endian", "little")):
        raise ImageError("zarr with big-endian indexes of shards is not supported")
    place = inner.get("index_location", "end")
    if place not in ("start", "end"):
        raise ImageError(f"zarr with index_location {quoted(place)}; allowed: start and end")
    return len(index) - 1, bool(place == "start")


SHARDING: Final = "sharding_indexed"


def _split(codecs: Sequence[Codec], axes: int) -> tuple[list[Codec], bool, list[Codec]]:
    """Filters from numbers to numbers, whether bytes are in little-endian order, and codecs of bytes."""
    little, found = True, False
    filters, steps = list[Codec](), list[Codec]()
    for name, settings in codecs:
        if found and name not in (SHARDING, "transpose", "bytes"):
            steps.append((name, settings))
        elif not found and name in ("bytes", "endian"):
            little, found = _endian(settings.get("endian", "little")), True
        elif not found and name == "transpose":
            _check_order(settings.get("order"), axes)
        elif not found and name.removeprefix(PREFIX) in FILTERS:
            filters.append((name, settings))
        else:
            raise ImageError(f"codec {quoted(name)} is not supported at its place among {len(codecs)} codecs")
    if not found:
        raise ImageError(
            f"zarr with codecs {', '.join(quoted(name) for name, _ in codecs)}, none of them bytes"
        )
    return filters, little, steps


def _check_order(order: Any, axes: int) -> None:
    is_list = isinstance(order, list) and all(isinstance(axis, int) for axis in order)
    if order not in ("C", "F") and not (is_list and sorted(order) == list(range(axes))):
        raise ImageError(f"transpose with order {quoted(order)}; allowed: each of {axes} axes once")


def _endian(word: Any) -> bool:
    if word not in ("little", "big", None):
        raise ImageError(f"codec bytes with endian {quoted(word)}; allowed: little and big")
    return bool(word != "big")


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_AXES:
        raise ImageError(f"damaged zarr: {name} is {literal(value)}; allowed: a list of 1 to {MOST_AXES}")
    return value


def _codec(codec: Any, key: str = "name") -> Codec:
    """(name, configuration) of a codec; version 2 puts both into one mapping."""
    if isinstance(codec, str):
        return codec, {}
    if not isinstance(codec, Mapping) or not isinstance(codec.get(key), str):
        raise ImageError(f"damaged zarr: a codec is {literal(codec)}; allowed: a name with a configuration")
    if key == "id":
        return codec["id"], {word: value for word, value in codec.items() if word != "id"}
    settings = codec.get("configuration") or {}
    if not isinstance(settings, Mapping):
        raise ImageError(f"damaged zarr: codec {quoted(codec[key])} with configuration {literal(settings)}")
    return codec["name"], settings


def _named(value: Any, what: str, allowed: Sequence[str]) -> Codec:
    """(name, configuration) where the name is one of a few."""
    name, settings = _codec(value) if value is not None else ("", {})
    if name not in allowed:
        raise ImageError(f"zarr with {what} {quoted(name)}; allowed: {' and '.join(allowed)}")
    return name, settings


def _separator(value: Any) -> str:
    if value not in (".", "/"):
        raise ImageError(f"zarr with separator {quoted(value)}; allowed: . and /")
    return str(value)


def _sizes(document: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """A shape: whole numbers from 1 on."""
    value = document.get(key)
    if not isinstance(value, list):
        raise ImageError(f"damaged zarr: {key} is {literal(value)}; allowed: a list of numbers")
    if not 1 <= len(value) <= MOST_AXES:
        raise ImageError(f"zarr with {len(value)} axes; allowed: 2 to {MOST_AXES}")
    for size in value:
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _LONGEST:
            raise ImageError(f"zarr with {key} {literal(value)}; allowed: 1 to 2⁴⁰ along each axis")
    return tuple(value)


def _names(value: Any, axes: int) -> tuple[str, ...]:
    """The names of the axes, or none if they are not one string per axis."""
    if not isinstance(value, list) or len(value) != axes:
        return ()
    return tuple(name if isinstance(name, str) else "" for name in value)


def _second_type(value: Any) -> DType:
    if not isinstance(value, str):
        raise _type_error("structured" if isinstance(value, list) else literal(value))
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError, SyntaxError):
        raise _type_error(quoted(value)) from None
    if dtype.kind in _OTHERS or dtype.name not in TYPES or dtype.subdtype:
        raise _type_error(f"{_OTHERS.get(dtype.kind, '')} {quoted(value)}".strip())
    return dtype


def _third_type(value: Any) -> DType:
    if isinstance(value, Mapping):
        raise _type_error(quoted(value.get("name")))
    if not isinstance(value, str) or value not in TYPES:
        raise _type_error(quoted(value))
    return TYPES[value]


def _type_error(words: str) -> ImageError:
    return ImageError(f"zarr with type {words}; allowed: {', '.join(TYPES)}")


def _fill(value: Any, dtype: DType) -> int | float:
    """The value of missing chunks; null is 0.

    Raises:
        ImageError: the type cannot hold it.
    """
    try:
        if value is None:
            return 0
        if dtype.kind == "f":
            return _float_fill(value, dtype)
        whole = int(value)
        if not isinstance(value, str) and whole == value and _fits(whole, dtype):
            return whole
    except (ValueError, TypeError, OverflowError):
        pass
    raise ImageError(f"zarr with fill_value {literal(value)}, which {dtype.name} cannot hold")


def _fits(value: int, dtype: DType) -> bool:
    if dtype.kind == "b":
        return value in (0, 1)
    info = np.iinfo(dtype)
    return int(info.min) <= value <= int(info.max)


def _float_fill(value: Any, dtype: DType) -> float:
    if isinstance(value, str) and value.startswith("0x"):
        bits = np.array(int(value, 16), f"u{dtype.itemsize}")
        return float(bits.view(dtype.newbyteorder("="))[()])
    words = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
    if isinstance(value, str) and value not in words:
        raise ValueError(value)
    return float(words[value] if isinstance(value, str) else value)


def _check(facts: ArrayFacts) -> None:
    """Refuse shapes that do not fit each other, and chunks too large to decode."""
    axes = len(facts.shape)
    for name, shape in (("chunks", facts.chunks), ("shards", facts.objects)):
        if len(shape) != axes:
            raise ImageError(f"damaged zarr: {name} of {len(shape)} axes in an array of {axes}")
    if any(whole % each for whole, each in zip(facts.objects, facts.chunks, strict=True)):
        raise ImageError(f"damaged zarr: shards {facts.objects} are not multiples of chunks {facts.chunks}")
    if facts.size > LARGEST_CHUNK:
        raise ImageError(f"zarr with chunks {facts.chunks} of {facts.size} bytes; allowed: {LARGEST_CHUNK}")
    if prod(facts.per_shard) > LARGEST_INDEX:
        raise ImageError(f"zarr with {prod(facts.per_shard)} chunks a shard; allowed: {LARGEST_INDEX}")
    steps_of(facts.codecs)
    for name, settings in facts.filters:
        numcodec(name.removeprefix(PREFIX), settings)
