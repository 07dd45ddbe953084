"""The codecs that zarr calls to decode a chunk within bounds. This module imports zarr.

One codec stands for all that a chunk's metadata list from bytes to bytes: in version 3 as a codec of zarr's
pipeline, in version 2 as the compressor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Self

import numcodecs.abc
import zarr.abc.codec
import zarr.registry

from convcli.formats.zarr.codecs import Chain, Codec, steps_of

NAME: Final = "convcli_checked"


def configuration(codecs: tuple[Codec, ...], size: int, is_exact: bool) -> dict[str, Any]:
    """The configuration of the codec that stands for others, as JSON."""
    return {"codecs": [[name, dict(settings)] for name, settings in codecs], "size": size, "exact": is_exact}


def _chain(settings: Mapping[str, Any]) -> Chain:
    codecs = [(name, inner) for name, inner in settings["codecs"]]
    return Chain(steps_of(codecs), settings["size"], settings["exact"])


class CheckedBytes(zarr.abc.codec.BytesBytesCodec):  # type: ignore[misc]
    """The codec of version 3; it only decodes."""

    is_fixed_size = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings, self.chain = settings, _chain(settings)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        return cls(data["configuration"])

    def to_dict(self) -> dict[str, Any]:
        return {"name": NAME, "configuration": self.settings}

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        data = await asyncio.to_thread(self.chain.decode, chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_array_like(data)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        raise NotImplementedError


class CheckedCompressor(numcodecs.abc.Codec):  # type: ignore[misc]
    """The compressor of version 2; it only decodes."""

    codec_id = NAME

    def __init__(self, **settings: Any) -> None:
        self.settings, self.chain = settings, _chain(settings)

    def get_config(self) -> dict[str, Any]:
        return {"id": NAME, **self.settings}

    def encode(self, buf: Any) -> Any:
        raise NotImplementedError

    def decode(self, buf: Any, out: Any = None) -> Any:
        return self.chain.decode(buf)


zarr.registry.register_codec(NAME, CheckedBytes)
numcodecs.register_codec(CheckedCompressor)
