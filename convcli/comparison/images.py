"""The two images of a comparison: files or arrays, as runs of frames that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, Final, Protocol

import numpy as np

from convcli.arrays.arguments import as_array
from convcli.comparison.result import Side
from convcli.comparison.settings import CompareSettings
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, ConvcliError, ImageError, cut, failure_message
from convcli.core.foreign import library_of
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text
from convcli.files.input import Input
from convcli.formats.header import MAX_IMAGE_CHANNELS, Header
from convcli.formats.opening import open_input, selected
from convcli.formats.readers import InMemoryReader, Reader

_AXES: Final = "(columns), (rows, columns), (rows, columns, channels) or (frames, rows, columns, channels)"
_LARGEST_ITEM: Final = 8  # bytes of a value


class Run(Protocol):
    """Frames that are alike, as `convcli.formats.opening.Opened` gives them."""

    @property
    def header(self) -> Header:
        """Of the frames."""

    def reader(self) -> Reader:
        """What reads them."""


@frozen(eq=False)
class Frame:
    """One frame of an open image.

    Attributes:
        name: of the image.
        number: counted by its reader.
        channels: how many are compared.
    """

    name: str
    header: Header
    reader: Reader
    number: int
    channels: int

    def rows(self, first: int, last: int) -> Array:
        """Rows ``first`` to ``last``, (rows, columns, channels).

        Raises:
            ConvcliError: the file is damaged; the message names it.
        """
        with named(self.name):
            part: Array = self.reader.rows(self.number, first, last)[..., : self.channels]
        return part


@frozen(eq=False)
class Image:
    """An open image.

    Attributes:
        runs: frames that are alike, in order.
        source: the file, to be checked after reading; None for an array.
        ignore_alpha: whether alpha is left out.
    """

    name: str
    runs: Sequence[Run]
    source: Input | None = None
    ignore_alpha: bool = False

    def side(self) -> Side:
        """What the report says of the image."""
        first = self.runs[0].header
        notes = tuple(dict.fromkeys(note for run in self.runs for note in run.header.notes))
        shapes = tuple(_shape(run.header, self.ignore_alpha) for run in self.runs)
        return Side(self.name, first.format, shapes, first.dtype, first.bands, notes)

    def frames(self) -> Iterator[Frame]:
        """Each frame.

        Raises:
            ConvcliError: the file is damaged; the message names it.
        """
        for run in self.runs:
            with named(self.name):
                reader = run.reader()
            channels = _channel_count(run.header, self.ignore_alpha)
            for number in range(run.header.frames):
                yield Frame(self.name, run.header, reader, number, channels)

    def check_unchanged(self) -> None:
        """Refuse a file that changed while it was being read.

        Raises:
            ConvcliError: naming the file.
        """
        if self.source is not None:
            with named(self.name):
                self.source.check_unchanged()


@frozen(eq=False)
class ArrayRun:
    """Frames of an array, (frames, rows, columns, channels)."""

    header: Header
    values: Array

    def reader(self) -> Reader:
        return InMemoryReader(list(self.values))


@contextmanager
def named(name: str) -> Iterator[None]:
    """Name the file in errors about it."""
    try:
        yield
    except (ConvcliError, MemoryError) as error:
        raise ImageError(failure_message(name, error)) from error


@contextmanager
def opened(name: str, settings: CompareSettings) -> Iterator[Image]:
    """An image file, its header read and checked against limits.

    Raises:
        ConvcliError: it cannot be read; the message names it.
    """
    with named(name):
        source = Input.open(name)
    with source:
        with named(name):
            source.axes, source.level = settings.axes, settings.level
            runs = selected(open_input(source, settings.max_pixels), settings.frames)
        yield Image(name, runs, source, settings.ignore_alpha)


def image_in_memory(name: str, value: Any, settings: CompareSettings) -> Image:
    """An image that is no file: an array of any library, a PIL image, a DataArray, or the bytes of a file.

    Args:
        name: of the argument, for messages.

    Raises:
        ConvcliError: a type or a number of axes that is not allowed, or damaged bytes.
    """
    is_file = isinstance(value, (bytes, bytearray, memoryview)) or hasattr(value, "read")
    if is_file or library_of(value) in ("PIL", "xarray"):
        from convcli.images.inputs import as_image  # only for these

        image = as_image(value)
        with named(image.name):
            runs = open_input(image.source, settings.max_pixels)
            return Image(image.name, runs, ignore_alpha=settings.ignore_alpha)
    return _array_image(name, as_array(name, value), settings.ignore_alpha)


def _array_image(name: str, array: Array, ignore_alpha: bool) -> Image:
    """An array as an image; unlike in files, integers of 64 bits stay as they are, and it may be empty."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > _LARGEST_ITEM:
        raise ArgumentError(
            f"{name} has type {cut(str(array.dtype))}; allowed: bool, integers and floats of up to 64 bits"
        )
    if not 1 <= array.ndim <= 4:
        raise ArgumentError(f"{name} has {axes_text(array.ndim)}; allowed: {_AXES}")
    if array.dtype.kind == "b":
        array = np.where(array, np.uint8(255), np.uint8(0))
    if array.ndim == 1:
        array = array[None]
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3:
        array = array[None]
    frames, rows, columns, channels = array.shape
    bands = channels > MAX_IMAGE_CHANNELS
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    header = Header("", rows, columns, channels, native.dtype, frames, bands=bands)
    return Image("", [ArrayRun(header, native)], ignore_alpha=ignore_alpha)


def mismatch(a: Side, b: Side) -> str:
    """Why the values of two images cannot be compared, in words; empty where they can."""
    if a.frames != b.frames:
        return f"different numbers of frames: {a.frames} and {b.frames}"
    for number, (one, other) in enumerate(zip_longest(_sizes(a), _sizes(b))):
        where = f" of frame {number}" if a.frames > 1 else ""
        if one[:2] != other[:2]:
            return f"different sizes{where}: {one[0]} × {one[1]} and {other[0]} × {other[1]} (rows × columns)"
        if one[2] != other[2]:
            hint = " (--ignore-alpha leaves alpha out)" if _differ_by_alpha(a, b, one[2], other[2]) else ""
            return f"different channels{where}: {_channels(a, one[2])} and {_channels(b, other[2])}{hint}"
    return ""


def _sizes(side: Side) -> Iterator[tuple[int, ...]]:
    for frames, *size in side.shapes:
        for _ in range(frames):
            yield tuple(size)


def _differ_by_alpha(a: Side, b: Side, one: int, other: int) -> bool:
    (fewer, _), (more, side) = sorted(((one, a), (other, b)), key=lambda pair: pair[0])
    return more in (2, 4) and fewer == more - 1 and not side.bands


def _channels(side: Side, channels: int) -> str:
    kinds = {1: "gray", 3: "RGB"} if side.bands else {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}
    return kinds.get(channels, f"{channels} channels")


def _shape(header: Header, ignore_alpha: bool) -> tuple[int, int, int, int]:
    return header.frames, header.rows, header.columns, _channel_count(header, ignore_alpha)


def _channel_count(header: Header, ignore_alpha: bool) -> int:
    return header.channels - (ignore_alpha and header.alpha)
