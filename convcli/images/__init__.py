"""Pictures in and out: formats are recognised by content on the way in, by suffix or name on the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ArgumentError, ImageError, suggest
from convcli.files import Input
from convcli.images.avif import Avif
from convcli.images.base import (
    Decoded,
    Encoder,
    Format,
    Header,
    Layout,
    Metadata,
    Partial,
    Reader,
    Streaming,
    WholePicture,
    strict,
)
from convcli.images.bmp import Bmp
from convcli.images.gif import Gif
from convcli.images.heif import Heif
from convcli.images.jpeg import Jpeg
from convcli.images.npy import Npy
from convcli.images.pfm import Pfm
from convcli.images.png import Png
from convcli.images.pnm import Pnm
from convcli.images.tiff import Tiff
from convcli.images.webp import WebP

FORMATS: Final[tuple[Format, ...]] = (
    Png(),
    Jpeg(),
    Tiff(),
    WebP(),
    Bmp(),
    Gif(),
    Pnm(),
    Pfm(),
    Npy(),
    Avif(),
    Heif(),
)
_NICKNAMES: Final = {"jpg": "jpeg", "tif": "tiff", "heic": "heif"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose header was read and found within the limits; the header is that of the upright picture."""

    format: Format
    header: Header
    source: Input
    parts: Reader | None = None

    def pixels(self) -> Array:
        """The decoded picture, upright, (rows, columns, channels).

        Raises:
            ImageError: the file is damaged.
        """
        with strict(self.format.name):
            stored = self.format.decode(self.source.read(), _turned(self.header))
        turn = _TURNS.get(self.header.orientation)
        return stored if turn is None else np.ascontiguousarray(turn(stored))

    def reader(self) -> Reader:
        """The picture for reading rows: in parts where its format and file allow it, else decoded whole.

        Raises:
            ImageError: the file is damaged.
        """
        return self.parts or Decoded(self.pixels())


def open_input(source: Input, max_pixels: int) -> Opened:
    """Recognise a picture and read its header.

    Raises:
        ImageError: not a picture, damaged, or more than ``max_pixels`` pixels to be decoded at once.
    """
    head = source.head(32)
    if not head:
        raise ImageError("the file is empty")
    found = next((entry for entry in FORMATS if entry.sniff(head)), None)
    if found is None:
        known = ", ".join(entry.name for entry in FORMATS)
        raise ImageError(f"not a picture of a known format ({known})")
    parts: Reader | None = None
    with strict(found.name):
        if isinstance(found, Partial) and source.file is not None:
            header, parts = found.open(source.file)
        else:
            header = found.header(source.read())
    if header.orientation != 1:
        note = f"turned upright, as its Exif orientation {header.orientation} says"
        header = replace(_turned(header), notes=(*header.notes, note))
        parts = None
    pixels = header.rows * header.columns
    if parts is None and pixels > max_pixels:
        raise ImageError(
            f"{header.columns}×{header.rows} is {pixels} pixels; allowed: {max_pixels} (--max-pixels)"
        )
    return Opened(found, header, source, parts)


def open_bytes(data: bytes, max_pixels: int) -> Opened:
    """`open_input` for a file in memory."""
    return open_input(Input(data=data), max_pixels)


def encoder(target: Format, layout: Layout, metadata: Metadata, height: int) -> Encoder:
    """The maker of a file of this format, strip by strip where it can be, from strips of ``height`` rows."""
    if isinstance(target, Streaming):
        return target.encoder(layout, metadata, height)
    return WholePicture(layout, lambda pixels: target.encode(pixels, metadata))


_TURNS: Final[Mapping[int, Callable[[Array], Array]]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
}
"""From a stored picture to the upright one, by Exif's orientation."""


def _turned(header: Header) -> Header:
    """The upright picture's header from the stored one's, and the other way."""
    if header.orientation <= 4:
        return header
    return replace(header, rows=header.columns, columns=header.rows)


def format_named(name: str) -> Format:
    """The format that ``--format`` names."""
    word = _NICKNAMES.get(name.casefold(), name.casefold())
    names = [entry.name for entry in FORMATS]
    if word not in names:
        raise ArgumentError(f"format {name!r} is not one of {', '.join(names)}{suggest(word, names)}")
    return FORMATS[names.index(word)]


def format_of_suffix(suffix: str) -> Format | None:
    """The format that writes files of this suffix (``.png``), or None."""
    return next((entry for entry in written() if suffix.casefold() in entry.suffixes), None)


def written() -> list[Format]:
    """The formats that can be written; gray of 8 bits or floats is the least that they hold."""
    least = np.dtype(np.uint8), np.dtype(np.float32)
    return [entry for entry in FORMATS if any(entry.holds(dtype, 1) for dtype in least)]


def keeper(wanted: Format, dtype: DType, channels: int) -> Format:
    """``wanted`` where it holds such a picture, else the first format that does."""
    return next(entry for entry in (wanted, *FORMATS) if entry.holds(dtype, channels))
