"""Radiance HDR: RGB with an exponent for each pixel (RGBE); runs of bytes by imagecodecs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, one_line, quoted
from convcli.core.frozen import frozen
from convcli.formats.base import Format
from convcli.formats.header import Header, Metadata
from convcli.formats.metadata import TEXTS, with_metadata

_MARKS: Final = (b"#?RADIANCE", b"#?RGBE")
_HEAD: Final = 2**16  # bytes in which the header must lie
_RUNS: Final = range(8, 32_768)  # columns of images whose rows are stored as runs
_OLD_RUN: Final = b"\1\1\1"
_FORMAT, _ASPECT = "FORMAT", "PIXASPECT"
_ORIENTATIONS: Final = {
    "-Y+X": 1, "-Y-X": 2, "+Y-X": 3, "+Y+X": 4, "+X-Y": 5, "-X-Y": 6, "-X+Y": 7, "+X+Y": 8,
}  # fmt: skip
"""Exif's, by the directions of rows and columns."""

_SIZE: Final = re.compile(rb"([-+][XY]) +(\d{1,9}) +([-+][XY]) +(\d{1,9})")
_LARGEST: Final = float(np.ldexp(255, 119))
_DIGITS: Final = 8  # bits of each color
_LONGEST_TEXT: Final = 2048
_LOSS: Final = (
    "hdr keeps 8 bits of each color, relative to the brightest of its pixel; values below 0 and NaN become 0"
)


@frozen
class _Facts:
    """What a header says: stored rows and columns, where pixels begin, and the other lines."""

    rows: int
    columns: int
    orientation: int
    begin: int
    lines: tuple[tuple[str, str], ...]


class Hdr(Format):
    """Radiance pictures of linear light; gray is written as RGB."""

    suggested = False
    takes_light = True
    max_side = 2**20
    max_pixels = 2**27
    decoder_overhead = 5
    encoder_overhead = 64

    def sniff(self, head: bytes) -> bool:
        return head.startswith(_MARKS)

    def header(self, data: bytes) -> Header:
        facts = _facts(data)
        lines = dict(facts.lines)
        notes: tuple[str, ...] = ()
        if lines.pop(_ASPECT, "1").strip() not in ("1", "1.0", "1.000000"):
            notes = ("the pixel aspect ratio is left out",)
        texts = tuple(lines.items())
        header = Header(
            self.name, facts.rows, facts.columns, 3, np.dtype(np.float32), notes=notes, linear=True
        )
        return with_metadata(header, Metadata(texts=texts), facts.orientation)

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        facts = _facts(data)
        body, pixels = data[facts.begin :], np.empty((facts.rows, facts.columns, 3), np.float32)
        if facts.columns in _RUNS and body[:2] == b"\2\2":
            imagecodecs.rgbe_decode(body, header=False, rle=True, out=pixels)
            return pixels
        due = 4 * facts.rows * facts.columns
        if len(body) < due:
            reason = "it has runs of pixels, which are not read" if _OLD_RUN in body else "it is truncated"
            raise ImageError(f"damaged hdr: {reason}: {len(body)} bytes of pixels instead of {due}")
        imagecodecs.rgbe_decode(body[:due], header=False, rle=False, out=pixels)
        return pixels

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype in (np.float16, np.float32) and channels in (1, 3)

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return {TEXTS: _LONGEST_TEXT}

    def suffix_note(self, suffix: str, channels: int) -> str:
        return _LOSS

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        import imagecodecs

        rows, columns, _ = pixels.shape
        colors = np.broadcast_to(pixels, (rows, columns, 3))
        most = rows * 4 * (columns + columns // 127 + 4)  # runs may take more than the pixels
        body = imagecodecs.rgbe_encode(_rounded(colors), header=False, rle=True, out=most)
        lines = "".join(f"{name}={one_line(text)}\n" for name, text in metadata.texts if _is_plain(name))
        head = f"#?RADIANCE\n{lines}FORMAT=32-bit_rle_rgbe\n\n-Y {rows} +X {columns}\n"
        return head.encode("utf-8", "replace") + bytes(body)


def _is_plain(name: str) -> bool:
    """Whether a keyword can be that of a line."""
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_ ]*", name)) and name.upper() not in (_FORMAT, _ASPECT)


def _rounded(colors: Array) -> Array:
    """The nearest colors that RGBE has, (rows, columns, 3) of float32; the library rounds down."""
    values = np.nan_to_num(colors.astype(np.float32), nan=0, posinf=_LARGEST, neginf=0).clip(0, _LARGEST)
    brightest = values.max(axis=-1, keepdims=True)
    for _ in range(2):  # rounding may reach the next power of two, where steps are twice as large
        steps = np.ldexp(np.float32(1), np.frexp(brightest)[1] - _DIGITS)
        nearest: Array = np.rint(values / steps) * steps
        brightest = np.minimum(nearest.max(axis=-1, keepdims=True), np.float32(_LARGEST))
    return np.minimum(nearest, np.float32(_LARGEST))


def _facts(data: bytes) -> _Facts:
    """The header of a file.

    Raises:
        ImageError: it is damaged, or has colors that are not read.
    """
    end = data.find(b"\n\n", 0, _HEAD)
    size_end = data.find(b"\n", end + 2, _HEAD)
    match = _SIZE.fullmatch(data[end + 2 : size_end]) if 0 <= end < size_end else None
    if match is None:
        raise ImageError("damaged hdr: its header has no size")
    lines = []
    for line in data[:end].decode("utf-8", "replace").splitlines()[1:]:
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            lines.append((name.strip(), one_line(value)))
    stated = dict(lines).get(_FORMAT, "32-bit_rle_rgbe")
    if stated != "32-bit_rle_rgbe":
        raise ImageError(f"hdr with {_FORMAT} {quoted(stated)}; allowed: 32-bit_rle_rgbe")
    down, rows, across, columns = match.groups()
    orientation = _ORIENTATIONS.get((down + across).decode())
    if orientation is None or not int(rows) or not int(columns):
        raise ImageError(f"damaged hdr: its size is {quoted(match[0].decode())}")
    kept = tuple(line for line in lines if line[0] != _FORMAT)
    return _Facts(int(rows), int(columns), orientation, size_end + 1, kept)
