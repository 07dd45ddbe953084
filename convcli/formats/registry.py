"""The table of formats: their names and suffixes, and the modules that are imported when one is used.

A new format is a module with a subclass of `convcli.formats.base.Format` and one line of `TABLE`. Formats are
recognized by content when read, and by suffix or name when written. Formats of other installed packages
(`convcli.formats.added`) come after those of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from convcli.core.errors import ArgumentError, suggest
from convcli.formats.added import (
    added_entries,
    added_named,
    added_of_suffix,
    added_problems,
    added_recognized,
)
from convcli.formats.entry import Entry

if TYPE_CHECKING:
    from convcli.formats.base import Format


HEAD: Final = 512
"""First bytes by which formats are recognized."""

_ISO_MEDIA: Final = rb"(?s).{4}ftyp"

STORES: Final = "zarr"
"""The format of stores, which are recognized by the objects in them."""

TABLE: tuple[Entry, ...] = (
    Entry("png", "convcli.formats.png.png:Png", (".png", ".apng"), signature=rb"\x89PNG"),
    Entry(
        "jpeg", "convcli.formats.jpeg.jpeg:Jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), signature=rb"\xff\xd8"
    ),
    Entry(
        "dicom",
        "convcli.formats.dicom.dicom:Dicom",
        (".dcm", ".dicom"),
        signature=rb"(?s).{128}DICM|[\x02\x08]\0",
    ),
    Entry("tiff", "convcli.formats.tiff.tiff:Tiff", (".tif", ".tiff"), signature=b"II|MM"),
    Entry("webp", "convcli.formats.webp:WebP", (".webp",), signature=b"RIFF"),
    Entry("bmp", "convcli.formats.bmp:Bmp", (".bmp", ".dib"), signature=b"BM"),
    Entry("gif", "convcli.formats.gif:Gif", (".gif",), signature=b"GIF8"),
    Entry("pnm", "convcli.formats.pnm:Pnm", (".pnm", ".pbm", ".pgm", ".ppm", ".pam"), signature=b"P[1-7]"),
    Entry("pfm", "convcli.formats.pfm:Pfm", (".pfm",), signature=b"P[fF]"),
    Entry("npy", "convcli.formats.npy:Npy", (".npy",), signature=rb"\x93NUMPY"),
    Entry("avif", "convcli.formats.avif:Avif", (".avif",), signature=_ISO_MEDIA),
    Entry("heif", "convcli.formats.heif:Heif", (".heic", ".heif", ".hif"), signature=_ISO_MEDIA),
    Entry("jxl", "convcli.formats.jxl.jxl:Jxl", (".jxl",), signature=rb"\xff\x0a|\0\0\0\x0cJXL "),
    Entry("exr", "convcli.formats.exr.exr:Exr", (".exr",), signature=rb"\x76\x2f\x31\x01"),
    Entry("hdr", "convcli.formats.hdr:Hdr", (".hdr", ".pic", ".rgbe"), signature=rb"#\?R"),
    Entry("mkv", "convcli.formats.video:Matroska", (".mkv",), {".webm": "WebM"}, signature=rb"\x1a\x45"),
    Entry("mp4", "convcli.formats.video:Mp4", (".mp4", ".mov", ".m4v"), signature=_ISO_MEDIA),
    Entry(
        "fits",
        "convcli.formats.fits.fits:Fits",
        (".fits", ".fit", ".fts", ".fz"),
        signature=rb"SIMPLE  =|\x1f\x8b",
    ),
    Entry(
        "csv",
        "convcli.formats.csv:Csv",
        (".csv", ".txt"),
        signature=rb"[\s\"'+\-.\w#\xe2\xef]",
        only_named=True,
    ),
    Entry(STORES, "convcli.formats.zarr.zarr:Zarr", (".zarr",), signature=b"(?!)", only_named=True),
)
"""Every format, in the order of matching content and choosing replacements; the first is the default."""

UNREAD: Final = (
    ".svg", ".svgz", ".pdf", ".eps", ".ps", ".ai", ".psd", ".psb", ".xcf", ".kra", ".jp2", ".j2k", ".jpf",
    ".jpx", ".jxr", ".tga", ".ico", ".cur", ".icns", ".dds", ".qoi", ".pcx", ".xpm",
    ".xbm", ".sgi", ".ras", ".flif", ".bpg", ".nii", ".czi", ".lif", ".nd2",
    ".vsi", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp", ".vob",
)  # fmt: skip
"""Suffixes of images and videos that are not read; reports on folders count them as left out."""


@cache
def _loaded(name: str, path: str, suffixes: tuple[str, ...]) -> Format:
    module, _, kind = path.partition(":")
    loaded: Format = getattr(import_module(module), kind)(name, suffixes)
    return loaded


def formats() -> Iterator[Format]:
    """Every format in the order of the table, each imported when it is reached."""
    return (_loaded(entry.name, entry.path, entry.suffixes) for entry in TABLE)


def recognized_format(head: bytes) -> Format | None:
    """The format of a file that starts with ``head`` (its first `HEAD` bytes), or None."""
    for entry in TABLE:
        if re.match(entry.signature, head):
            loaded = _loaded(entry.name, entry.path, entry.suffixes)
            if loaded.sniff(head):
                return loaded
    return added_recognized(head)


def store_format() -> Format:
    """The format of arrays in many objects."""
    return format_named(STORES)


def default_format() -> Format:
    """The format of results that nothing else decides."""
    return next(formats())


def written_formats() -> list[Format]:
    """The formats that can be written."""
    return [entry for entry in formats() if entry.writable]


def names() -> list[str]:
    """The names of all formats, for messages, and what is wrong with those that cannot be loaded."""
    added = [entry.name for entry in added_entries()]
    return [*(entry.name for entry in TABLE), *added, *added_problems()]


def readable_suffixes() -> dict[str, str]:
    """The suffixes of files that can be read, with the names of their formats."""
    suffixes = {suffix: entry.name for entry in TABLE for suffix in entry.suffixes}
    return suffixes | {suffix: name for entry in TABLE for suffix, name in entry.read_only.items()}


def folder_suffixes() -> frozenset[str]:
    """The suffixes of files that are images where a folder is read."""
    added = tuple(added_entries())
    named = {suffix for entry in (*added, *TABLE) if entry.only_named for suffix in entry.suffixes}
    return (
        frozenset([*readable_suffixes(), *(suffix for entry in added for suffix in entry.suffixes)]) - named
    )


def format_named(name: str) -> Format:
    """The format that ``--format`` names.

    Raises:
        ArgumentError: there is none of that name.
    """
    word = name.casefold()
    for entry in TABLE:
        if word in (entry.name, entry.suffixes[0].removeprefix(".")):
            return _loaded(entry.name, entry.path, entry.suffixes)
    if (added := added_named(word)) is not None:
        return added
    raise ArgumentError(f"format {name!r} is not one of {', '.join(names())}{suggest(word, names())}")


def format_of_suffix(suffix: str) -> Format | None:
    """The format that writes files of this suffix (``.png``), or None."""
    for entry in TABLE:
        if suffix.casefold() in entry.suffixes:
            loaded = _loaded(entry.name, entry.path, entry.suffixes)
            return loaded if loaded.writable else None
    return added_of_suffix(suffix.casefold()) if suffix else None
