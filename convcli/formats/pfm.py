"""PFM: gray and RGB in float32, rows stored from the bottom up."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, quoted
from convcli.files.input import Input
from convcli.formats.base import StreamedFormat
from convcli.formats.header import Header, Layout, Metadata
from convcli.formats.raw import HEAD, RawEncoder, RawRows
from convcli.formats.readers import Reader

_HEAD: Final = re.compile(rb"P([fF])\s+(\d{1,9})\s+(\d{1,9})\s+([-+.0-9eE]{1,40})\s")


class Pfm(StreamedFormat):
    """Portable float map; written little endian, with scale -1.0."""

    def sniff(self, head: bytes) -> bool:
        return re.match(rb"P[fF]\s", head) is not None

    def header(self, data: bytes) -> Header:
        columns, rows, channels, scale, _ = _layout(data)
        notes = () if abs(scale) == 1 else (f"the scale {abs(scale):g} is left out: values are as stored",)
        return Header(self.name, rows, columns, channels, np.dtype(np.float32), notes=notes)

    def decode(self, data: bytes, header: Header) -> Array:
        columns, rows, channels, scale, begin = _layout(data)
        count = columns * rows * channels
        if len(data) < begin + 4 * count:
            raise ImageError(
                f"damaged pfm: it is truncated, with {len(data) - begin} bytes of pixels "
                f"instead of {4 * count}"
            )
        values = np.frombuffer(data, _stored(scale), count, begin)
        return values.reshape(rows, columns, channels)[::-1].astype(np.float32)

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        head = source.head(HEAD)
        header, (*_, scale, begin) = self.header(head), _layout(head)
        if source.size < begin + 4 * header.rows * header.columns * header.channels:
            return [(header, None)]
        return [(header, RawRows(source, begin, header, _stored(scale), _plain, upwards=True))]

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype in (np.float16, np.float32) and channels in (1, 3)

    def encoder(self, layout: Layout, metadata: Metadata) -> RawEncoder:
        head = f"P{'f' if layout.channels == 1 else 'F'}\n{layout.columns} {layout.rows}\n-1.0\n"
        return RawEncoder(layout, head.encode("ascii"), _stored(-1), upwards=True)


def _stored(scale: float) -> DType:
    """The type of the stored values: the sign of the scale is their byte order."""
    return np.dtype("<f4" if scale < 0 else ">f4")


def _plain(values: Array) -> Array:
    return values.astype(np.float32, copy=False)


def _layout(data: bytes) -> tuple[int, int, int, float, int]:
    """Columns, rows, channels, scale (below 0: little endian), and where the values begin.

    Raises:
        ImageError: the three header lines are malformed.
    """
    match = _HEAD.match(data)
    if match is None:
        raise ImageError("damaged pfm: its header has no width, height and scale")
    columns, rows = int(match[2]), int(match[3])
    try:
        scale = float(match[4])
    except ValueError as error:
        raise ImageError(f"damaged pfm: its scale is {quoted(match[4].decode())}, no number") from error
    if not columns or not rows or not 0 < abs(scale) < np.inf:
        raise ImageError(f"damaged pfm: {columns}×{rows} pixels of scale {scale:g}")
    return columns, rows, 1 if match[1] == b"f" else 3, scale, match.end()
