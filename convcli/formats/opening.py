"""Opening images: recognized by content, checked against limits, and read upright."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen, replace
from convcli.files.input import Input
from convcli.formats.base import Format
from convcli.formats.decoding import decoder_errors, strict_errors
from convcli.formats.header import Header
from convcli.formats.memory import NAME, Memory
from convcli.formats.readers import InMemoryReader, OffsetReader, Reader, SequentialReader
from convcli.formats.registry import HEAD, names, recognized_format, store_format

MAX_PIXELS: Final = 10**9
"""Pixels of a file, all frames together, unless another limit is given or the file is dense enough."""

_PLAUSIBLE_PIXELS_PER_BYTE: Final = 10**4
"""Pixels that a byte of a file may stand for; denser files are bombs rather than photos or scans."""

_PIXELS_OF_ANY_FILE: Final = 5 * 10**7
"""Pixels that are decoded at once of a file of any size."""

_CACHED_BYTES: Final = 2**25
"""Bytes of decoded frames that are kept for a second pass, if all of them fit."""


@frozen(eq=False)
class Opened:
    """Frames of a file that are alike, whose header was read and is within the limits.

    Attributes:
        header: of the upright frames.
        stored: of the frames as they are stored, in the orientation of the file.
        readers: none, or the one that every selection of the frames shares.
        parts: reads the file in parts, or None to decode it whole.
        skipped: frames of ``stored`` before these.
        original: the header of the image that these were computed from, if they are not in the file.
    """

    format: Format
    header: Header
    source: Input
    stored: Header
    readers: list[Reader]
    parts: Reader | None = None
    skipped: int = 0
    original: Header | None = None

    def pixels(self) -> Array:
        """The first frame, decoded and upright, (rows, columns, channels).

        Raises:
            ImageError: the file is damaged.
        """
        if self.skipped or self.stored.first or self.parts is not None:
            return np.array(self.reader().rows(0, 0, self.header.rows))
        with strict_errors(self.format.name):
            return self._upright(self.format.decode(self.source.read(), self.stored))

    def reader(self) -> Reader:
        """A reader of the upright frames: in parts where format and file allow it, else decoded whole.

        Every selection of the frames, and every later call, shares one reader.

        Raises:
            ImageError: the file is damaged.
        """
        if not self.readers:
            self.readers.append(self._reader())
        return OffsetReader(self.readers[0], self.skipped) if self.skipped else self.readers[0]

    def _reader(self) -> Reader:
        if self.parts is not None:
            return self.parts
        if self.stored.frames > 1:
            return SequentialReader(self._frames, self._spare_frames)
        reader: Reader | None = None
        if self.header.orientation == 1 and self.format.progressive:
            with strict_errors(self.format.name):
                reader = self.format.progressive_reader(self.source, self.stored)
        return reader or InMemoryReader([self.pixels()])

    def _frames(self) -> Iterator[Array]:
        frames = self.format.frames(self.source.read(), self.stored)
        while True:
            with decoder_errors(self.format.name):
                stored = next(frames, None)
            if stored is None:
                return
            yield self._upright(stored)

    def _upright(self, stored: Array) -> Array:
        rotate = _ROTATIONS.get(self.header.orientation)
        return stored if rotate is None else np.ascontiguousarray(rotate(stored))

    @property
    def _spare_frames(self) -> int:
        """Decoded frames that are kept though nobody holds them: all if they are small, else the last one.

        A second pass over small frames then need not decode them again.
        """
        frame = self.stored.rows * self.stored.columns * self.stored.channels * self.stored.dtype.itemsize
        return self.stored.frames if self.stored.frames * frame <= _CACHED_BYTES else 1

    def memory(self, held: int) -> int:
        """Bytes that it takes to read rows while ``held`` decoded frames are held, approximately."""
        if self.parts is not None:
            return self.parts.memory
        header = self.header
        pixels = header.rows * header.columns * header.dtype.itemsize
        overhead, animated = self.format.decoder_overhead, self.format.animation_overhead
        if self.stored.frames > 1 and animated is not None:
            overhead = animated
        rotated = header.channels if header.orientation != 1 else 0
        frames = min(self.stored.frames, held + self._spare_frames + 1)  # and one that is being decoded
        return self.source.size + pixels * (frames * header.channels + max(overhead, rotated))

    def forget(self) -> None:
        """Drop what was read; it is read again when needed."""
        self.readers.clear()
        self.source.forget()

    def only(self, first: int, last: int) -> Opened:
        """Frames ``first`` to ``last`` of these."""
        timing = self.header.metadata.timing
        if timing is not None:
            timing = timing.of(first, last) if last - first > 1 else None
        axes = self.header.metadata.axes
        part, notes = axes and axes.part(first, last), self.header.notes
        if axes and not part:
            notes = (
                *notes,
                f"axes and pixel sizes are left out: the selected frames are not a block of {axes}",
            )
        metadata = replace(self.header.metadata, timing=timing, axes=part)
        header = replace(self.header, frames=last - first, metadata=metadata, notes=notes)
        return replace(self, header=header, skipped=self.skipped + first)


def open_input(source: Input, max_pixels: int | None = None) -> list[Opened]:
    """Recognize a file by its content and read the header of every run of frames that are alike.

    Args:
        source: the open file.
        max_pixels: most pixels of all frames together. None allows `MAX_PIXELS`, but fewer at once for a
            file of few bytes, and more for a file of many. A file that is read in parts may have more.

    Returns:
        One `Opened` per run, in the order of the file; most files have a single one.

    Raises:
        ImageError: not an image, damaged, or too many pixels.
    """
    matched = _recognized(source)
    with strict_errors(matched.name):
        runs = matched.open(source)
    return [_opened(matched, source, *run, max_pixels) for run in runs]


def _recognized(source: Input) -> Format:
    """The format of a file by its first bytes; stores and arrays were recognized before."""
    if source.store is not None:
        return store_format()
    if source.pixels is not None:
        return Memory(NAME, ())
    head = source.head(HEAD)
    if not head:
        raise ImageError("the file is empty")
    matched = recognized_format(head)
    if matched is None:
        raise ImageError(f"not an image in a known format ({', '.join(names())})")
    return matched


def _opened(
    matched: Format, source: Input, stored: Header, parts: Reader | None, limit: int | None
) -> Opened:
    header = stored
    if stored.orientation != 1:
        note = f"rotated upright (Exif orientation {header.orientation})"
        header = replace(_upright_header(header), notes=(*header.notes, note))
        parts = None
    if not matched.is_store:  # of which no more than a window is held
        _check_pixels(header, source.size, parts is None, limit)
    return Opened(matched, header, source, stored, [], parts)


def _check_pixels(header: Header, size: int, whole: bool, limit: int | None) -> None:
    """Refuse more pixels than are allowed, or than a file of ``size`` bytes plausibly holds.

    Args:
        header: of the upright frames.
        size: bytes of the file.
        whole: whether it is decoded whole rather than read in parts.
        limit: the user's, or None.
    """
    plausible = _PLAUSIBLE_PIXELS_PER_BYTE * size
    total = limit if whole and limit else max(limit or MAX_PIXELS, plausible)
    single = limit or min(MAX_PIXELS, max(_PIXELS_OF_ANY_FILE, plausible)) if whole else total
    for frames, allowed in ((1, single), (header.frames, total)):
        pixels = frames * header.rows * header.columns
        if pixels > allowed:
            shape = f"{header.columns}×{header.rows}"
            what = f"{frames} frames of {shape} are" if frames > 1 else f"{shape} is"
            where = "" if limit else f" in a file of {size} bytes"
            raise ImageError(f"{what} {pixels} pixels{where}; allowed: {allowed} (--max-pixels)")


def selected(runs: list[Opened], frames: slice) -> list[Opened]:
    """The frames of a file that a Python slice selects, counted through all runs.

    Raises:
        ImageError: it selects none.
    """
    count = sum(run.header.frames for run in runs)
    begin, end, _ = frames.indices(count)
    if begin >= end:
        raise ImageError(
            f"--frames {_slice_text(frames)} selects nothing: the file has {count} frame{'s' * (count != 1)}"
        )
    chosen, passed = [], 0
    for run in runs:
        first, last = max(begin - passed, 0), min(end - passed, run.header.frames)
        if first < last:
            chosen.append(run if last - first == run.header.frames else run.only(first, last))
        passed += run.header.frames
    return chosen


def _slice_text(frames: slice) -> str:
    first, end = frames.start, frames.stop
    if first is not None and end == (first + 1 or None):
        return str(first)
    return ":".join("" if end is None else str(end) for end in (first, end))


def open_bytes(data: bytes, max_pixels: int | None = None) -> Opened:
    """The first run of frames of a file in memory, as `open_input` opens it."""
    return open_input(Input(data=data), max_pixels)[0]


_ROTATIONS: Final[Mapping[int, Callable[[Array], Array]]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
}
"""From a stored frame to the upright one, by Exif orientation."""


def _upright_header(header: Header) -> Header:
    """The header of the upright frames, given that of the stored ones."""
    if header.orientation <= 4:
        return header
    return replace(header, rows=header.columns, columns=header.rows)
