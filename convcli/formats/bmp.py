"""BMP: every depth, palettes, bit fields of any masks, RLE4 and RLE8; written by Pillow, 8-bit gray and RGB.

Pillow reads the usual bit fields only and rounds their values down, refuses runs that skip pixels, and knows
neither profiles nor the short headers of OS/2; OpenCV and imagecodecs read even fewer. The rows are plain, so
they are read here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.base import Format
from convcli.formats.decoding import PALETTE_NOTE, save_with_pillow, to_pillow
from convcli.formats.header import Header, Metadata
from convcli.formats.metadata import dots_per_inch, with_metadata

_FILE: Final = 14  # bytes of the file header, before the image header
_CORE, _INFO, _ALPHA, _V5 = 12, 40, 56, 124  # bytes of the image's header
_MASKED: Final = (52, _ALPHA, 108, _V5)  # headers that hold masks
_WINDOWS: Final = (_INFO, *_MASKED)  # others, of 16 to 64 bytes, are OS/2's
_LARGEST_OS2: Final = 64
_PLAIN, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6  # codings
_DEPTHS: Final = {
    _PLAIN: (1, 2, 4, 8, 16, 24, 32),
    _RLE8: (8,),
    _RLE4: (4,),
    _FIELDS: (16, 24, 32),
    _ALPHA_FIELDS: (16, 24, 32),
}
_ALLOWED: Final = "1, 2, 4, 8, 16, 24 or 32 bits, bit fields of 16 to 32, RLE8 and RLE4"
_NAMES: Final = {
    4: "an embedded JPEG",
    5: "an embedded PNG",
    11: "CMYK",
    12: "CMYK in RLE8",
    13: "CMYK in RLE4",
}
_OS2_NAMES: Final = {_FIELDS: "Huffman codes", 4: "RLE24"}
_MASKS: Final = {
    16: (0x7C00, 0x3E0, 0x1F, 0),
    24: (0xFF0000, 0xFF00, 0xFF, 0),
    32: (0xFF0000, 0xFF00, 0xFF, 0),
}
_ALPHA_BYTE: Final = 0xFF000000  # the mask of alpha where bit fields of 32 bits state no mask at all
_EMBEDDED, _LINKED, _SRGB = b"DEBM", b"KNIL", b"BGRs"  # color spaces of the largest header
_INTENTS: Final = {1: 2, 2: 1, 4: 0, 8: 3}  # PNG's by BMP's
_MOST_COLORS: Final = 256
_CONVERTED: Final = 2**18  # pixels converted at a time


@frozen(eq=False)
class _Facts:
    """The content of the headers.

    Attributes:
        bits: of a pixel.
        place: where the pixels begin.
        upwards: whether the last row comes first.
        palette: (entries, 3), without entries if pixels are not indices.
        masks: of red, green, blue and alpha; 0 for none.
    """

    rows: int
    columns: int
    bits: int
    coding: int
    place: int
    upwards: bool
    palette: Array
    masks: tuple[int, ...]
    metadata: Metadata
    notes: tuple[str, ...]

    @property
    def gray(self) -> bool:
        """Whether the palette is a gray ramp, or black and white."""
        count = len(self.palette)
        shades = np.array([0, 255]) if count == 2 else np.arange(count)
        return count > 0 and bool((self.palette == shades[:, None]).all())

    @property
    def channels(self) -> int:
        return 1 if self.gray else 4 if self.masks[3] else 3

    @property
    def dtype(self) -> DType:
        return np.dtype(np.uint16 if max(map(int.bit_count, self.masks)) > 8 else np.uint8)

    @property
    def stride(self) -> int:
        """Bytes of a row, a multiple of four."""
        return (self.columns * self.bits + 31) // 32 * 4


class Bmp(Format):
    """Windows and OS/2 bitmap."""

    max_side = 2**31 - 1
    max_pixels = (2**32 - 2**12) // 4  # of three bytes, with row ends, in a file of 4 GiB
    decoder_overhead = 5
    encoder_overhead = 7

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"BM")

    def header(self, data: bytes) -> Header:
        facts = _facts(data)
        notes = facts.notes + _notes(facts)
        header = Header(self.name, facts.rows, facts.columns, facts.channels, facts.dtype, notes=notes)
        return with_metadata(header, facts.metadata)

    def decode(self, data: bytes, header: Header) -> Array:
        facts = _facts(data)
        if facts.coding in (_RLE8, _RLE4):
            stored, convert = _runs(data, facts), _indices
        else:
            stored, convert = _rows(data, facts), _indices if len(facts.palette) else _fields
        pixels: Array = np.empty((facts.rows, facts.columns, facts.channels), facts.dtype)
        step = max(_CONVERTED // facts.columns, 1)
        for top in range(0, facts.rows, step):
            pixels[top : top + step] = convert(stored[top : top + step], facts)
        return pixels

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype == np.uint8 and channels in (1, 3)

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return {"resolution": 0}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        resolution = metadata.resolution
        return save_with_pillow(
            to_pillow(pixels), "BMP", dpi=dots_per_inch(resolution) if resolution else (0, 0)
        )


def _notes(facts: _Facts) -> tuple[str, ...]:
    """Notes on how stored values are converted."""
    if len(facts.palette):
        return () if facts.gray else (PALETTE_NOTE,)
    odd = sorted({mask.bit_count() for mask in facts.masks} - {0, 1, 8, 16})
    if not odd:
        return ()
    widths, top = " and ".join(map(str, odd)), np.iinfo(facts.dtype).max
    return (f"values of {widths} bits were scaled to 0 to {top}, rounded to nearest",)


def _facts(data: bytes) -> _Facts:
    """Read the headers.

    Raises:
        ImageError: they are damaged, or of an unsupported kind.
    """
    (size,) = struct.unpack_from("<I", _part(data, _FILE, 4))
    if size not in (_CORE, *_WINDOWS) and not 16 <= size <= _LARGEST_OS2:
        raise ImageError(f"bmp with a header of {size} bytes; allowed: 12, 16 to 64, 108 or 124")
    head = _part(data, _FILE, size).ljust(_V5, b"\0")
    columns, rows, bits = struct.unpack_from("<HH2xH" if size == _CORE else "<ii2xH", head, 4)
    coding, across, down, colors = struct.unpack_from("<I4xiiI", head, 16) if size > _CORE else (0, 0, 0, 0)
    if columns < 1 or not rows:
        raise ImageError(f"damaged bmp: {columns}×{rows} pixels")
    _check_coding(coding, bits, size not in (_CORE, *_WINDOWS))
    masks, begin = _masks(data, head, size, bits, coding)
    (place,) = struct.unpack_from("<I", data, 10)
    palette, behind = _palette(data, begin, place, 3 if size == _CORE else 4, colors, bits)
    icc, srgb, notes = _profile(data, head) if size == _V5 else (None, None, ())
    resolution = (across, down) if across > 0 and down > 0 else None
    metadata = Metadata(icc=icc, srgb=srgb, resolution=resolution)
    sizes = abs(rows), columns, bits, coding, place or behind, rows > 0
    return _Facts(*sizes, palette, masks, metadata, notes)


def _part(data: bytes, place: int, size: int) -> bytes:
    """Some bytes of the file.

    Raises:
        ImageError: it ends before.
    """
    part = data[place : place + size]
    if len(part) < size:
        raise ImageError("damaged bmp: it is truncated")
    return part


def _check_coding(coding: int, bits: int, is_os2: bool) -> None:
    known = coding in _DEPTHS and not (is_os2 and coding in (_FIELDS, _ALPHA_FIELDS))
    if known and bits in _DEPTHS[coding]:
        return
    names = {**_NAMES, **_OS2_NAMES} if is_os2 else _NAMES
    name = f"{bits} bits" if known else names.get(coding, f"coding {coding}")
    raise ImageError(f"bmp with {name}; allowed: {_ALLOWED}")


def _masks(data: bytes, head: bytes, size: int, bits: int, coding: int) -> tuple[tuple[int, ...], int]:
    """The masks of red, green, blue and alpha, and where the headers end."""
    end = _FILE + size
    if bits <= 8:
        return (0, 0, 0, 0), end
    if coding == _PLAIN:
        return _MASKS[bits], end
    masks: tuple[int, ...] = struct.unpack_from("<4I", head, 40)
    if size == _INFO:
        count = 4 if coding == _ALPHA_FIELDS else 3
        masks = (*struct.unpack(f"<{count}I", _part(data, end, 4 * count)), 0)[:4]
        end += 4 * count
    elif size < _ALPHA:
        masks = (*masks[:3], 0)
    if not any(masks):
        return (*_MASKS[bits][:3], _ALPHA_BYTE if bits == 32 else 0), end
    for mask in masks:
        if mask >> bits or (mask and (mask // (mask & -mask) + 1) & mask // (mask & -mask)):
            raise ImageError(f"damaged bmp: a mask of {mask:#x} in {bits} bits; allowed: contiguous bits")
    return masks, end


def _palette(data: bytes, begin: int, place: int, each: int, colors: int, bits: int) -> tuple[Array, int]:
    """The palette, (entries, 3), empty for pixels that are not indices, and the offset after it."""
    if bits > 8:
        return np.empty((0, 3), np.uint8), begin + each * colors
    count = min(colors or 1 << bits, _MOST_COLORS)
    if place:
        count = min(count, (place - begin) // each)
    if count < 1:
        raise ImageError("damaged bmp: there is no palette before the pixels")
    stored = np.frombuffer(_part(data, begin, each * count), np.uint8).reshape(-1, each)
    return stored[:, 2::-1], begin + each * count


def _profile(data: bytes, head: bytes) -> tuple[bytes | None, int | None, tuple[str, ...]]:
    """The profile, or that the colors are sRGB's with which intent, and notes."""
    kind = head[56:60]
    intent, place, size = struct.unpack_from("<III", head, 108)
    if kind == _EMBEDDED:
        return data[_FILE + place : _FILE + place + size], None, ()
    if kind == _SRGB:
        return None, _INTENTS.get(intent, 0), ()
    return None, None, ("left out: an ICC profile in another file",) if kind == _LINKED else ()


def _rows(data: bytes, facts: _Facts) -> Array:
    """(rows, bytes), from the top down; the padding of the last one may be missing."""
    size = facts.stride * facts.rows
    padding = facts.stride - (facts.columns * facts.bits + 7) // 8
    stored = _part(data, facts.place, min(size, max(len(data) - facts.place, size - padding)))
    rows = np.frombuffer(stored.ljust(size, b"\0"), np.uint8).reshape(facts.rows, -1)
    return rows[::-1] if facts.upwards else rows


def _indices(stored: Array, facts: _Facts) -> Array:
    """The colors of packed indices; those outside the palette are black."""
    if facts.coding == _PLAIN and facts.bits < 8:
        shifts = np.arange(8 - facts.bits, -1, -facts.bits, dtype=np.uint8)
        stored = ((stored[..., None] >> shifts) & ((1 << facts.bits) - 1)).reshape(len(stored), -1)
    table: Array = np.zeros((_MOST_COLORS, facts.channels), np.uint8)
    table[: len(facts.palette)] = facts.palette[:, : facts.channels]
    colors: Array = table[stored[:, : facts.columns]]
    return colors


def _fields(stored: Array, facts: _Facts) -> Array:
    """The channels of pixels that are split by masks."""
    each = facts.bits // 8
    raw = stored[:, : each * facts.columns].reshape(len(stored), facts.columns, each)
    pixels: Array = np.empty((*raw.shape[:2], facts.channels), facts.dtype)
    whole = {0xFF << 8 * place: place for place in range(each)}
    if facts.dtype == np.uint8 and whole.keys() >= set(facts.masks[: facts.channels]):
        for channel, mask in enumerate(facts.masks[: facts.channels]):
            pixels[..., channel] = raw[..., whole[mask]]
        return pixels
    values = np.zeros(raw.shape[:2], np.uint64)
    for place in range(each):
        values |= raw[..., place].astype(np.uint64) << np.uint64(8 * place)
    for channel, mask in enumerate(facts.masks[: facts.channels]):
        pixels[..., channel] = _spread(values, mask, np.iinfo(facts.dtype).max)
    return pixels


def _spread(values: Array, mask: int, top: int) -> Array:
    """The bits of a mask scaled to 0 to ``top``; 0 for an empty mask."""
    least = mask & -mask or 1
    most = mask // least
    bits: Array = (values & np.uint64(mask)) // np.uint64(least)
    return (bits * np.uint64(top) + np.uint64(most // 2)) // np.uint64(most or 1)


def _runs(data: bytes, facts: _Facts) -> Array:
    """(rows, columns) of indices of RLE8 or RLE4, from the top down; pixels that are skipped are 0.

    So OpenCV, ImageMagick, FFmpeg and Pillow take them. What reaches over the end of a row is cut off.
    """
    indices, four = bytearray(facts.rows * facts.columns), facts.coding == _RLE4
    place, row, column = facts.place, 0, 0
    while row < facts.rows:
        if place + 2 > len(data) and row == facts.rows - 1 and column >= facts.columns:
            break  # every pixel is present; only the end marker is missing
        count, value = _part(data, place, 2)
        place += 2
        if not count and value == 0:
            row, column = row + 1, 0
            continue
        if not count and value == 1:
            break
        if not count and value == 2:
            right, up = _part(data, place, 2)
            row, column, place = row + up, column + right, place + 2
            continue
        if count:
            run = bytes((value >> 4, value & 15)) * (count + 1 >> 1) if four else bytes((value,)) * count
        else:
            count, size = value, (value + 1) // 2 if four else value
            run = _part(data, place, size)
            run = bytes(half for byte in run for half in (byte >> 4, byte & 15)) if four else run
            place += size + size % 2
        begin, width = row * facts.columns + column, min(count, max(facts.columns - column, 0))
        indices[begin : begin + width] = run[:width]
        column += count
    rows = np.frombuffer(indices, np.uint8).reshape(facts.rows, facts.columns)
    return rows[::-1] if facts.upwards else rows
