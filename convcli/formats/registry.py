"""Pictures in and out: formats are recognized by content on the way in, by suffix or name on the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, ImageError, suggest
from convcli.core.frozen import frozen, replace
from convcli.files.input import Input
from convcli.formats.avif import Avif
from convcli.formats.base import (
    Animated,
    Composing,
    Decoded,
    Encoder,
    Format,
    Heavy,
    Keeping,
    Moving,
    Partial,
    Progressive,
    Queuing,
    Reader,
    Streaming,
    WholePictures,
)
from convcli.formats.bmp import Bmp
from convcli.formats.decoding import sound, strict
from convcli.formats.frames import Frames, Later
from convcli.formats.gif import Gif
from convcli.formats.header import Header, Layout, Metadata
from convcli.formats.heif import Heif
from convcli.formats.jpeg.jpeg import Jpeg
from convcli.formats.npy import Npy
from convcli.formats.pfm import Pfm
from convcli.formats.png.png import Png
from convcli.formats.pnm import Pnm
from convcli.formats.tiff.tiff import Tiff
from convcli.formats.video import Matroska, Mp4
from convcli.formats.webp import WebP

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
    Matroska(),
    Mp4(),
)
MAX_PIXELS: Final = 10**9
"""Pixels of a file, all frames together, unless another limit is given or the file is dense enough."""

_PROVEN: Final = 10**4
"""Pixels for which a file must have a byte; denser ones come of bombs rather than cameras or scanners."""

_SMALL: Final = 5 * 10**7
"""Pixels that are decoded at once of a file of any size."""

MOST_AT_ONCE: Final = 4 * 10**9
"""Values of an animation that are kept in memory until its format encodes them."""

_KEPT: Final = 2**25
"""Bytes of decoded frames that are kept for a second pass, if all of them fit."""

_FRAME: Final = 8
"""Bytes a pixel that Pillow keeps of each further frame of an animation that it encodes."""

_NICKNAMES: Final = {"jpg": "jpeg", "tif": "tiff", "heic": "heif"}


@frozen(eq=False)
class Opened:
    """Pictures of a file, alike, whose header was read and found within the limits.

    The header is that of the upright pictures, and ``skipped`` the frames of ``stored`` that stand before.
    """

    format: Format
    header: Header
    source: Input
    stored: Header
    kept: list[Reader]
    parts: Reader | None = None
    skipped: int = 0

    def pixels(self) -> Array:
        """The first picture, decoded and upright, (rows, columns, channels).

        Raises:
            ImageError: the file is damaged.
        """
        if self.skipped or self.stored.first:
            return np.array(self.reader().rows(0, 0, self.header.rows))
        with strict(self.format.name):
            return self._upright(self.format.decode(self.source.read(), self.stored))

    def reader(self) -> Reader:
        """The images for reading rows: in parts where format and file allow it, else decoded whole.

        Every selection of the frames, and every later call, shares one reader.

        Raises:
            ImageError: the file is damaged.
        """
        if not self.kept:
            self.kept.append(self._reader())
        return Later(self.kept[0], self.skipped) if self.skipped else self.kept[0]

    def _reader(self) -> Reader:
        if self.parts is not None:
            return self.parts
        if self.stored.frames > 1:
            return Frames(self._frames, self._spare)
        reader: Reader | None = None
        if self.header.orientation == 1 and isinstance(self.format, Progressive):
            with strict(self.format.name):
                reader = self.format.progressive(self.source, self.stored)
        return reader or Decoded([self.pixels()])

    def _frames(self) -> Iterator[Array]:
        assert isinstance(self.format, Moving)
        coming = self.format.frames(self.source.read(), self.stored)
        while True:
            with sound(self.format.name):
                stored = next(coming, None)
            if stored is None:
                return
            yield self._upright(stored)

    def _upright(self, stored: Array) -> Array:
        turn = _TURNS.get(self.header.orientation)
        return stored if turn is None else np.ascontiguousarray(turn(stored))

    @property
    def _spare(self) -> int:
        """Decoded frames that are kept though nobody holds them: all where they take little, so that a second
        pass need not decode them again, else the last one.
        """
        frame = self.stored.rows * self.stored.columns * self.stored.channels * self.stored.dtype.itemsize
        return self.stored.frames if self.stored.frames * frame <= _KEPT else 1

    def memory(self, held: int) -> int:
        """About how many bytes it takes to read rows of it, with so many decoded frames held."""
        if self.parts is not None:
            return self.parts.memory if isinstance(self.parts, Keeping) else 0
        header = self.header
        pixels = header.rows * header.columns * header.dtype.itemsize
        beside = self.format.decoding if isinstance(self.format, Heavy) else 0
        if self.stored.frames > 1 and isinstance(self.format, Composing):
            beside = self.format.moving
        turned = header.channels if header.orientation != 1 else 0
        frames = min(self.stored.frames, held + self._spare + 1)  # and one that is being decoded
        return self.source.size + pixels * (frames * header.channels + max(beside, turned))

    def forget(self) -> None:
        """Drop what was read; who asks again reads it again."""
        self.kept.clear()
        self.source.forget()

    def only(self, first: int, last: int) -> Opened:
        """Some of the frames."""
        timing = self.header.metadata.timing
        if timing is not None:
            timing = timing.of(first, last) if last - first > 1 else None
        axes = self.header.metadata.axes
        part, notes = axes and axes.part(first, last), self.header.notes
        if axes and not part:
            notes = (*notes, f"axes and pixel sizes are left out: the frames taken are no part of {axes}")
        metadata = replace(self.header.metadata, timing=timing, axes=part)
        header = replace(self.header, frames=last - first, metadata=metadata, notes=notes)
        return replace(self, header=header, skipped=self.skipped + first)


def open_input(source: Input, max_pixels: int | None = None) -> list[Opened]:
    """Recognize an image and read its header, or those of every run of images in a file that are alike.

    Args:
        max_pixels: of all frames together. None takes `MAX_PIXELS`, fewer at once for a file that has hardly
            any bytes, more for frames in a file that has many. What is read in parts may have more.

    Raises:
        ImageError: not an image, damaged, or too many pixels.
    """
    head = source.head(32)
    if not head:
        raise ImageError("the file is empty")
    found = next((entry for entry in FORMATS if entry.sniff(head)), None)
    if found is None:
        known = ", ".join(entry.name for entry in FORMATS)
        raise ImageError(f"not a picture of a known format ({known})")
    with strict(found.name):
        runs = found.open(source) if isinstance(found, Partial) else [(found.header(source.read()), None)]
    return [_opened(found, source, *run, max_pixels) for run in runs]


def _opened(found: Format, source: Input, stored: Header, parts: Reader | None, most: int | None) -> Opened:
    header = stored
    if stored.orientation != 1:
        note = f"turned upright, as its orientation says ({header.orientation}, as Exif counts)"
        header = replace(_turned(header), notes=(*header.notes, note))
        parts = None
    _check_pixels(header, source.size, parts is None, most)
    return Opened(found, header, source, stored, [], parts)


def _check_pixels(header: Header, size: int, whole: bool, most: int | None) -> None:
    """Refuse more pixels than are allowed, or than a file of ``size`` bytes is believed to hold."""
    believed = _PROVEN * size
    total = most if whole and most else max(most or MAX_PIXELS, believed)
    single = most or min(MAX_PIXELS, max(_SMALL, believed)) if whole else total
    for frames, allowed in ((1, single), (header.frames, total)):
        pixels = frames * header.rows * header.columns
        if pixels > allowed:
            shape = f"{header.columns}×{header.rows}"
            what = f"{frames} frames of {shape} are" if frames > 1 else f"{shape} is"
            where = "" if most else f" in a file of {size} bytes"
            raise ImageError(f"{what} {pixels} pixels{where}; allowed: {allowed} (--max-pixels)")


def selected(runs: list[Opened], frames: slice) -> list[Opened]:
    """Some of the pictures of a file, counted through all runs, as Python's slices do.

    Raises:
        ImageError: there are none such.
    """
    count = sum(run.header.frames for run in runs)
    begin, end, _ = frames.indices(count)
    if begin >= end:
        raise ImageError(
            f"it has {count} frame{'s' * (count != 1)}; --frames {_slice_text(frames)} takes none of them"
        )
    found, passed = [], 0
    for run in runs:
        first, last = max(begin - passed, 0), min(end - passed, run.header.frames)
        if first < last:
            found.append(run if last - first == run.header.frames else run.only(first, last))
        passed += run.header.frames
    return found


def _slice_text(frames: slice) -> str:
    first, end = frames.start, frames.stop
    if first is not None and end == (first + 1 or None):
        return str(first)
    return ":".join("" if end is None else str(end) for end in (first, end))


def open_bytes(data: bytes, max_pixels: int | None = None) -> Opened:
    """The first pictures of a file in memory, as `open_input` opens them."""
    return open_input(Input(data=data), max_pixels)[0]


def encoder(target: Format, layout: Layout, metadata: Metadata, height: int) -> Encoder:
    """The maker of a file of this format, strip by strip where it can be, from strips of ``height`` rows.

    Raises:
        ImageError: more pixels in all than can be kept, where the format wants them all at once.
    """
    if isinstance(target, Streaming):
        return target.encoder(layout, metadata, height)
    if layout.frames > 1 and layout.frames * prod(layout.shape) > MOST_AT_ONCE:
        raise ImageError(
            f"{layout.frames} frames of {layout.columns}×{layout.rows} are too many for {target.name}"
        )
    if layout.frames > 1 and isinstance(target, Animated):
        return WholePictures(layout, lambda pictures: target.animate(pictures, metadata))
    return WholePictures(layout, lambda pictures: target.encode(pictures[0], metadata))


def encoder_memory(target: Format, layout: Layout) -> int:
    """About how many bytes an encoder takes beside the strips that it is given."""
    if isinstance(target, Streaming):
        return target.queue(layout) if isinstance(target, Queuing) else 0
    pixels = layout.rows * layout.columns
    beside = target.encoding if isinstance(target, Heavy) else 0
    picture = pixels * layout.channels * layout.dtype.itemsize
    return layout.frames * picture + pixels * (beside + (layout.frames - 1) * _FRAME)


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


_READ_ONLY: Final = {".webm": "WebM"}
"""Suffixes of files that are read as another format's, with their names."""


UNREAD: Final = (
    ".svg", ".svgz", ".pdf", ".eps", ".ps", ".ai", ".psd", ".psb", ".xcf", ".kra", ".jp2", ".j2k", ".jpf",
    ".jpx", ".jxl", ".jxr", ".exr", ".hdr", ".tga", ".ico", ".cur", ".icns", ".dds", ".qoi", ".pcx", ".xpm",
    ".xbm", ".sgi", ".ras", ".flif", ".bpg", ".fits", ".fit", ".fts", ".dcm", ".nii", ".czi", ".lif", ".nd2",
    ".vsi", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp", ".vob",
)  # fmt: skip
"""Suffixes of images and videos that are not read; a folder says that it leaves them out."""


def readable() -> dict[str, str]:
    """The suffixes of files that can be read, with the names of their formats."""
    return {suffix: entry.name for entry in FORMATS for suffix in entry.suffixes} | _READ_ONLY


def written() -> list[Format]:
    """The formats that can be written; gray of 8 bits or floats is the least that they hold, or of frames."""
    least = (np.dtype(np.uint8), 1, 1), (np.dtype(np.float32), 1, 1), (np.dtype(np.uint8), 1, 2)
    return [entry for entry in FORMATS if any(entry.holds(*kind) for kind in least)]
