"""Bounded decoding of chunks: no codec makes more bytes than a chunk can have, whatever the bytes state.

The codecs are those of numcodecs, imagecodecs and Python; what is added is a limit. zarr calls them with one
codec of its pipeline, `convcli.formats.zarr.checked`, instead of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from convcli.core.errors import ImageError, literal, quoted, reason_of
from convcli.core.frozen import frozen

Data = Any
"""Bytes, or anything that NumPy reads as bytes."""

Codec = tuple[str, Mapping[str, Any]]
"""The name of a codec, and its configuration."""

_SLACK: Final = 2**16
"""Bytes that a codec may add to the bytes of a chunk."""

_FILTERED: Final = 8
"""How many times as many bytes a filter may make of a chunk."""

FILTERS: Final = ("astype", "bitround", "delta", "fixedscaleoffset", "quantize")
"""Codecs of numcodecs from numbers to numbers."""

_OTHERS: Final = (
    "adler32", "base64", "crc32", "crc32c", "fletcher32", "jenkins_lookup3", "packbits", "pcodec",
    "shuffle", "zfpy",
)  # fmt: skip
"""Codecs of numcodecs whose output has about the size of their input. Those of objects, such as pickle, are
missing: they would run what a file says."""

PREFIX: Final = "numcodecs."
"""Of codecs of numcodecs in version 3."""

_PACKAGES: Final = {
    "pcodec": "pcodec",
    "zfpy": "zfpy",
    "crc32c": "google-crc32c",
    "imagecodecs": "imagecodecs",
}
"""What has a codec that is not installed, as pip calls it; otherwise numcodecs."""


@frozen(eq=False)
class Step:
    """One codec from bytes to bytes.

    Attributes:
        name: as the metadata call it.
        decode: takes encoded bytes and the most bytes that may come of them.
        expands: whether encoded bytes may be more than the values, as filters make them.
    """

    name: str
    decode: Callable[[Data, int], Data]
    expands: bool = False


@frozen(eq=False)
class Chain:
    """The codecs from bytes to bytes of a chunk, in the order of encoding.

    Attributes:
        size: bytes of the values of a chunk.
        is_exact: whether that many bytes must come of each; otherwise filters follow, which zarr undoes.
    """

    steps: tuple[Step, ...]
    size: int
    is_exact: bool = True

    def decode(self, data: Data) -> Data:
        """The bytes of the values.

        Raises:
            ImageError: the bytes are not a chunk of this array.
        """
        for place in range(len(self.steps) - 1, -1, -1):
            data = _decoded(self.steps[place], data, self._most(place))
        flat = np.frombuffer(data, np.uint8)
        if self.is_exact and flat.size != self.size:
            raise ImageError(f"{flat.size} bytes of values instead of {self.size}")
        return flat

    def _most(self, place: int) -> int:
        """The most bytes that one step may make."""
        inner = self.steps[:place]
        if not self.is_exact or any(step.expands for step in inner):
            return _FILTERED * self.size + _SLACK
        return self.size + (self.size // 16 + _SLACK if inner else 0)


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


def steps_of(codecs: Sequence[Codec]) -> tuple[Step, ...]:
    """The steps of codecs from bytes to bytes, in the order of encoding.

    Raises:
        ImageError: a codec is unknown, unsafe or not installed.
    """
    return tuple(_step(name.removeprefix(PREFIX), configuration) for name, configuration in codecs)


def _step(name: str, configuration: Mapping[str, Any]) -> Step:
    decode = _BOUNDED.get(name)
    if decode is not None:
        return Step(name, decode)
    if name in ("lzma", "bz2"):
        return Step(name, _python_decoder(name, configuration))
    if name in (*FILTERS, *_OTHERS) or name.startswith("imagecodecs_"):
        return _numcodecs_step(name, configuration)
    known = ", ".join(sorted((*_BOUNDED, *FILTERS, *_OTHERS, "bz2", "lzma")))
    raise ImageError(f"codec {quoted(name)} is not supported; supported: {known}")


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


def _zstd_decode(data: Data, most: int) -> Data:
    import imagecodecs

    return imagecodecs.zstd_decode(data, out=np.empty(most, np.uint8).data)


_LZ4_HEAD: Final = 4


def _lz4_decode(data: Data, most: int) -> Data:
    import imagecodecs

    due = int.from_bytes(bytes(memoryview(data)[:_LZ4_HEAD]), "little")
    if due > most:
        raise ImageError(f"lz4 states {due} bytes, but a chunk can have {most}")
    return imagecodecs.lz4_decode(data, out=np.empty(due, np.uint8).data, header=True)


def _inflated(name: str, window: int) -> Callable[[Data, int], Data]:
    """A decoder of zlib or gzip, whose members follow each other."""

    def decode(data: Data, most: int) -> bytes:
        import zlib

        parts, left = [], bytes(data)
        while left and most >= 0:
            stream = zlib.decompressobj(window)
            parts.append(stream.decompress(left, most + 1))
            most -= len(parts[-1])
            if most >= 0 and not stream.eof:
                raise ImageError(f"damaged {name}: it is truncated")
            left = stream.unused_data
        return parts[0] if len(parts) == 1 else b"".join(parts)

    return decode


def _python_decoder(name: str, configuration: Mapping[str, Any]) -> Callable[[Data, int], Data]:
    """A decoder of bz2 or lzma, which Python has only where it was built with them."""

    def decode(data: Data, most: int) -> bytes:
        if name == "bz2":
            import bz2

            stream: Any = bz2.BZ2Decompressor()
        else:
            import lzma

            kind, filters = configuration.get("format", lzma.FORMAT_XZ), configuration.get("filters")
            stream = lzma.LZMADecompressor(format=kind, filters=filters)
        plain = bytes(stream.decompress(bytes(data), most + 1))
        if not stream.eof and len(plain) <= most:
            raise ImageError(f"damaged {name}: it is truncated")
        return plain

    return decode


_BOUNDED: Final[Mapping[str, Callable[[Data, int], Data]]] = {
    "blosc": _blosc_decode,
    "zstd": _zstd_decode,
    "gzip": _inflated("gzip", 31),
    "zlib": _inflated("zlib", 15),
    "lz4": _lz4_decode,
}
"""Codecs whose decoders are given a limit, or whose bytes state the size."""


def _numcodecs_step(name: str, configuration: Mapping[str, Any]) -> Step:
    """A codec of numcodecs."""
    codec = numcodec(name, configuration)
    return Step(name, lambda data, _: _plain(codec.decode(data)), expands=True)


def numcodec(name: str, configuration: Mapping[str, Any]) -> Any:
    """A codec of numcodecs, which is one of those that are allowed.

    Raises:
        ImageError: it is not installed, or refuses its configuration.
    """
    import numcodecs

    try:
        return numcodecs.get_codec({**configuration, "id": name})
    except Exception as error:  # of any kind
        if name in numcodecs.registry.codec_registry:
            raise ImageError(
                f"codec {quoted(name)} refuses its configuration {literal(dict(configuration))}"
            ) from error
        package = _PACKAGES.get(name.partition("_")[0], "numcodecs")
        raise ImageError(
            f"codec {quoted(name)} is not installed; install it with: pip install {package}"
        ) from error


def _plain(values: Any) -> Data:
    """Bytes of what numcodecs returns, which must be numbers."""
    made = np.ascontiguousarray(values) if isinstance(values, np.ndarray) else np.frombuffer(values, np.uint8)
    if made.dtype.hasobject:
        raise ImageError("it decodes to objects; allowed: numbers")
    return made.reshape(-1)
