"""Codecs of Zarr: how the values of a chunk become the bytes of an object, and back.

Whatever a chunk states, no step makes more bytes than a chunk can have: a decoder that takes a limit is given
one, and others are called only for codecs whose output has a bounded size. Standard codecs need no optional
library; filters do, which numcodecs provides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, quoted, reason_of
from convcli.core.frozen import frozen

Data = Any
"""Bytes, or anything that NumPy reads as bytes."""

_SLACK: Final = 2**16
"""Bytes that a filter may add to the bytes of a chunk."""

_FILTERED: Final = 8
"""How many times as many bytes a filter may make of a chunk."""

_FILTERS: Final = (
    "adler32", "astype", "base64", "bitround", "bz2", "crc32", "crc32c", "delta", "fixedscaleoffset",
    "fletcher32", "jenkins_lookup3", "lzma", "packbits", "pcodec", "quantize", "shuffle", "zfpy",
)  # fmt: skip
"""Codecs of numcodecs that hold numbers. Those of objects are refused, since one of them is pickle."""

_PREFIX: Final = "numcodecs."
_PARTS: Final = {"pcodec": "pcodec", "zfpy": "zfpy", "crc32c": "google-crc32c"}
"""What numcodecs needs for a codec, as pip calls it."""


@frozen(eq=False)
class Step:
    """One codec from bytes to bytes.

    Attributes:
        name: as the metadata call it.
        decode: takes encoded bytes and the most bytes that may come of them.
        encode: takes bytes.
        expands: whether decoding may make more bytes than the values have, as filters do.
    """

    name: str
    decode: Callable[[Data, int], Data]
    encode: Callable[[Data], Data]
    expands: bool = False


@frozen(eq=False)
class Chain:
    """All codecs of a chunk.

    Attributes:
        shape: of a chunk, along the axes of the array.
        dtype: of the stored values, with their byte order.
        order: the axes of the array in the order in which they are stored.
        steps: from bytes to bytes, in the order of encoding.
    """

    shape: tuple[int, ...]
    dtype: DType
    order: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def size(self) -> int:
        """Bytes of the values of a chunk."""
        return prod(self.shape) * self.dtype.itemsize

    def decode(self, data: Data) -> Array:
        """The values of a chunk in the native byte order.

        Raises:
            ImageError: the bytes are not a chunk of this array.
        """
        for place in range(len(self.steps) - 1, -1, -1):
            step = self.steps[place]
            filtered = any(inner.expands for inner in self.steps[:place])
            most = _FILTERED * self.size + _SLACK if filtered else self.size
            data = _decoded(step, data, most)
        flat = np.frombuffer(data, np.uint8)
        if flat.size != self.size:
            raise ImageError(f"it has {flat.size} bytes of values instead of {self.size}")
        stored = flat.view(self.dtype).reshape([self.shape[axis] for axis in self.order])
        values = stored.transpose(np.argsort(self.order))
        return values.astype(self.dtype.newbyteorder("="), copy=False)

    def encode(self, values: Array) -> bytes:
        """The bytes of a whole chunk."""
        stored = values.transpose(self.order)
        data: Data = np.ascontiguousarray(stored, self.dtype).reshape(-1)
        for step in self.steps:
            data = step.encode(data)
        return bytes(np.frombuffer(data, np.uint8)) if not isinstance(data, bytes) else data


def _decoded(step: Step, data: Data, most: int) -> Data:
    """What one step makes of encoded bytes, at most ``most`` of them."""
    try:
        data = step.decode(data, most)
        size = np.frombuffer(data, np.uint8).size
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("not enough memory to decode it") from None
    except Exception as error:  # of any kind, from any decoder
        reason = reason_of(error, "the bytes are not of that codec")
        raise ImageError(f"damaged {step.name}: {reason}") from error
    if size > most:
        raise ImageError(
            f"{step.name} makes more than {most} bytes of it, which is all that a chunk can have"
        )
    return data


def steps_of(names: list[tuple[str, Mapping[str, Any]]], itemsize: int) -> tuple[Step, ...]:
    """The steps of codecs from bytes to bytes, by (name, configuration).

    Args:
        names: as version 3 or 2 of the format states them, in the order of encoding.
        itemsize: bytes of a value, for blosc's shuffle.

    Raises:
        ImageError: a codec is unknown, unsafe or not installed.
    """
    return tuple(_step(name.removeprefix(_PREFIX), configuration, itemsize) for name, configuration in names)


def _step(name: str, configuration: Mapping[str, Any], itemsize: int) -> Step:
    standard = _STANDARD.get(name)
    if standard is not None:
        return standard(configuration, itemsize)
    if name in _FILTERS or name.startswith("imagecodecs_"):
        return _numcodecs_step(name, configuration)
    known = ", ".join(sorted((*_STANDARD, *_FILTERS)))
    raise ImageError(f"codec {quoted(name)} is not supported; supported: {known}")


def _number(configuration: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    """An integer of a codec's configuration.

    Raises:
        ImageError: it is none, or outside ``low`` to ``high``.
    """
    value = configuration.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ImageError(f"codec with {key} {quoted(value)}; allowed: {low} to {high}")
    return value


def _blosc(configuration: Mapping[str, Any], itemsize: int) -> Step:
    shuffle, compressor = configuration.get("shuffle", 1), configuration.get("cname", "lz4")
    if not isinstance(compressor, str):
        raise ImageError(f"blosc with compressor {quoted(compressor)}; allowed: lz4, zstd, zlib, …")
    by_number = {
        0: "noshuffle",
        1: "shuffle",
        2: "bitshuffle",
        -1: "bitshuffle" if itemsize == 1 else "shuffle",
    }
    named = by_number.get(shuffle, shuffle) if isinstance(shuffle, int) else shuffle
    if named not in ("noshuffle", "shuffle", "bitshuffle"):
        raise ImageError(f"blosc with shuffle {quoted(shuffle)}; allowed: noshuffle, shuffle, bitshuffle")
    level = _number(configuration, "clevel", 5, 0, 9)
    block = _number(configuration, "blocksize", 0, 0, 2**31 - 1)
    size = _number({"typesize": configuration.get("typesize") or itemsize}, "typesize", itemsize, 1, 255)

    def encode(data: Data) -> bytes:
        import imagecodecs

        return bytes(
            imagecodecs.blosc_encode(
                _flat(data),
                level=level,
                compressor=compressor,
                shuffle=named,
                typesize=size,
                blocksize=block or None,
                numthreads=1,
            )
        )

    return Step("blosc", _blosc_decode, encode)


_BLOSC_HEAD: Final = 16


def _blosc_decode(data: Data, most: int) -> Data:
    import imagecodecs

    head = bytes(memoryview(data)[:_BLOSC_HEAD])
    if len(head) < _BLOSC_HEAD:
        raise ImageError("damaged blosc: it is truncated")
    due, stated = (int.from_bytes(head[place : place + 4], "little") for place in (4, 12))
    if due > most:
        raise ImageError(f"blosc states {due} bytes, but a chunk can have {most}")
    if stated != memoryview(data).nbytes:
        raise ImageError(f"damaged blosc: {memoryview(data).nbytes} bytes instead of {stated}")
    return imagecodecs.blosc_decode(data, out=np.empty(due, np.uint8).data, numthreads=1)


def _zstd(configuration: Mapping[str, Any], _: int) -> Step:
    level = _number(configuration, "level", 0, -(2**17), 22)

    def decode(data: Data, most: int) -> Data:
        import imagecodecs

        return imagecodecs.zstd_decode(data, out=np.empty(most, np.uint8).data)

    def encode(data: Data) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.zstd_encode(_flat(data), level=level or 3))

    return Step("zstd", decode, encode)


_LZ4_HEAD: Final = 4


def _lz4(configuration: Mapping[str, Any], _: int) -> Step:
    acceleration = _number(configuration, "acceleration", 1, 0, 65537)

    def decode(data: Data, most: int) -> Data:
        import imagecodecs

        due = int.from_bytes(bytes(memoryview(data)[:_LZ4_HEAD]), "little")
        if due > most:
            raise ImageError(f"lz4 states {due} bytes, but a chunk can have {most}")
        return imagecodecs.lz4_decode(data, out=np.empty(due, np.uint8).data, header=True)

    def encode(data: Data) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.lz4_encode(_flat(data), level=acceleration, header=True))

    return Step("lz4", decode, encode)


def _deflate(name: str, default: int, window: int) -> Callable[[Mapping[str, Any], int], Step]:
    """A step of zlib or gzip."""

    def made(configuration: Mapping[str, Any], _: int) -> Step:
        import zlib

        level = _number(configuration, "level", default, 0, 9)

        def decode(data: Data, most: int) -> bytes:
            parts, left = [], bytes(data)
            while left:
                stream = zlib.decompressobj(window)
                parts.append(stream.decompress(left, most + 1))
                most -= len(parts[-1])
                if most < 0:
                    break
                if not stream.eof:
                    raise ImageError(f"damaged {name}: it is truncated")
                left = stream.unused_data
            return parts[0] if len(parts) == 1 else b"".join(parts)

        def encode(data: Data) -> bytes:
            stream = zlib.compressobj(level, zlib.DEFLATED, window)
            return stream.compress(_flat(data)) + stream.flush()

        return Step(name, decode, encode)

    return made


def _crc32c(_: Mapping[str, Any], __: int) -> Step:
    from convcli.formats.zarr.checksums import crc32c

    def decode(data: Data, _: int) -> Data:
        view = memoryview(data)
        body, stated = view[:-4], int.from_bytes(bytes(view[-4:]), "little")
        if view.nbytes < 4 or crc32c(body) != stated:
            raise ImageError("damaged: its crc32c checksum is wrong")
        return body

    def encode(data: Data) -> bytes:
        plain = bytes(_flat(data))
        return plain + crc32c(plain).to_bytes(4, "little")

    return Step("crc32c", decode, encode, expands=True)


_STANDARD: Final[Mapping[str, Callable[[Mapping[str, Any], int], Step]]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "gzip": _deflate("gzip", 5, 31),
    "zlib": _deflate("zlib", 1, 15),
    "lz4": _lz4,
    "crc32c": _crc32c,
}


def _numcodecs_step(name: str, configuration: Mapping[str, Any]) -> Step:
    """A codec of numcodecs."""
    try:
        import numcodecs
    except ImportError:
        raise ImageError(
            f"codec {quoted(name)} needs numcodecs; install it with pip install 'convcli[zarr]'"
        ) from None
    try:
        codec = numcodecs.get_codec({**configuration, "id": name})
    except Exception as error:  # an unknown codec, or a configuration that it refuses
        if name not in numcodecs.registry.codec_registry:
            package = _PARTS.get(name, "imagecodecs" if name.startswith("imagecodecs_") else "numcodecs")
            raise ImageError(
                f"codec {quoted(name)} is not installed; install it with pip install {package}"
            ) from error
        raise ImageError(f"codec {quoted(name)} with a configuration that it refuses") from error
    return Step(
        name,
        lambda data, _: _plain(codec.decode(data)),
        lambda data: _plain(codec.encode(data)),
        expands=True,
    )


def _plain(values: Any) -> Data:
    """Bytes of what numcodecs returns, which must be numbers."""
    made = np.ascontiguousarray(values) if isinstance(values, np.ndarray) else np.frombuffer(values, np.uint8)
    if made.dtype.hasobject:
        raise ImageError("it decodes to objects; allowed: numbers")
    return made.reshape(-1)


def _flat(data: Data) -> Any:
    """Bytes without a copy."""
    return np.frombuffer(data, np.uint8).data
