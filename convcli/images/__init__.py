"""Pictures in and out: formats are recognised by content on the way in, by suffix or name on the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from convcli.dtypes import Array, DType
from convcli.errors import ArgumentError, ImageError, suggest
from convcli.images.avif import Avif
from convcli.images.base import Format, Header, strict
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
    """A file whose header was read and found within the limits."""

    format: Format
    header: Header
    data: bytes

    def pixels(self) -> Array:
        """The decoded picture, (rows, columns, channels).

        Raises:
            ImageError: the file is damaged.
        """
        with strict(self.format.name):
            return self.format.decode(self.data, self.header)


def open_bytes(data: bytes, max_pixels: int) -> Opened:
    """Recognise a picture and read its header.

    Raises:
        ImageError: not a picture, damaged, or more than ``max_pixels`` pixels.
    """
    if not data:
        raise ImageError("the file is empty")
    head = data[:32]
    found = next((entry for entry in FORMATS if entry.sniff(head)), None)
    if found is None:
        known = ", ".join(entry.name for entry in FORMATS)
        raise ImageError(f"not a picture of a known format ({known})")
    with strict(found.name):
        header = found.header(data)
    pixels = header.rows * header.columns
    if pixels > max_pixels:
        raise ImageError(
            f"{header.columns}×{header.rows} is {pixels} pixels; allowed: {max_pixels} (--max-pixels)"
        )
    return Opened(found, header, data)


def format_named(name: str) -> Format:
    """The format that ``--format`` names."""
    word = _NICKNAMES.get(name.casefold(), name.casefold())
    names = [entry.name for entry in FORMATS]
    if word not in names:
        raise ArgumentError(f"format {name!r} is not one of {', '.join(names)}{suggest(word, names)}")
    return FORMATS[names.index(word)]


def format_of_suffix(suffix: str) -> Format | None:
    """The format that writes files of this suffix (``.png``), or None."""
    return next((entry for entry in FORMATS if suffix.casefold() in entry.suffixes), None)


def keeper(wanted: Format, dtype: DType, channels: int) -> Format:
    """``wanted`` where it holds such a picture, else the first format that does."""
    return next(entry for entry in (wanted, *FORMATS) if entry.holds(dtype, channels))
