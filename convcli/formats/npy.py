"""NPY: NumPy's own arrays of every type that pixels have here.

The shape alone determines the axes:

- (length,), a signal, which is an image of one row;
- (rows, columns);
- (rows, columns, channels) with 1 to 4 channels, of 2 and 4 the last is alpha;
- (frames, rows, columns) with more than 4 columns;
- (frames, rows, columns, channels) with any number of channels; no channel is alpha if there are more than
  4 of them, or one frame, as in a tensor of feature maps.

Images of more than 4 channels, and those of 2 or 4 without alpha, are written with four axes, so that they
come back as they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Final

import numpy as np
from numpy.lib import format as npy

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, quoted
from convcli.files.input import Input
from convcli.formats.base import StreamedFormat
from convcli.formats.header import LINES, MAX_IMAGE_CHANNELS, Header, Layout, Metadata
from convcli.formats.raw import HEAD, RawEncoder, RawRows
from convcli.formats.readers import Reader

_TYPES: Final = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "float16",
    "float32",
    "float64",
)
_WIDE: Final = ("int64", "uint64")
_NARROW: Final = (np.dtype(np.int32), np.dtype(np.uint32))
"""Types for the values of wide types, if they fit."""

_PART: Final = 2**23  # bytes whose range is found at a time
_MOST_CHANNELS: Final = 4096


class Npy(StreamedFormat):
    """NumPy's file of one array (versions 1.0 and 2.0), either order of axes and of bytes; never a pickle."""

    max_channels = _MOST_CHANNELS
    is_array = True
    any_channels = True

    def sniff(self, head: bytes) -> bool:
        return head.startswith(npy.MAGIC_PREFIX)

    def header(self, data: bytes) -> Header:
        return self.open(Input(data=data))[0][0]

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame, whatever the order of the axes."""
        shape, by_columns, kind, begin, _ = _layout(data)
        count = prod(shape)
        if len(data) - begin != count * kind.itemsize:
            raise ImageError(
                f"damaged npy: {len(data) - begin} bytes of pixels instead of {count * kind.itemsize}"
            )
        values = np.frombuffer(data, np.uint8 if kind.kind == "b" else kind, count, begin)
        values = _plain(kind, header.dtype, values)
        for frame in values.reshape(shape, order="F" if by_columns else "C"):
            yield np.require(frame, header.dtype, ["C", "A"])

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        (frames, rows, columns, channels), by_columns, kind, begin, axes = _layout(source.head(HEAD))
        due = frames * rows * columns * channels * kind.itemsize
        pixel, notes = _pixel_type(source, kind, begin, due)
        bands = channels > MAX_IMAGE_CHANNELS or (len(axes) == 4 and frames == 1 and channels in (2, 4))
        notes += _reading(axes)
        metadata = Metadata(signal=LINES if len(axes) == 1 else "")
        header = Header(
            self.name, rows, columns, channels, pixel, frames, metadata=metadata, notes=notes, bands=bands
        )
        if by_columns or source.size - begin != due:
            return [(header, None)]
        stored = np.dtype(np.uint8) if kind.kind == "b" else kind
        return [(header, RawRows(source, begin, header, stored, partial(_plain, kind, pixel)))]

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype.name in _TYPES

    def encoder(self, layout: Layout, metadata: Metadata) -> RawEncoder:
        head = io.BytesIO()
        shape: tuple[int, ...] = layout.shape if layout.channels > 1 else layout.shape[:2]
        if layout.frames > 1 or layout.bands or layout.channels > MAX_IMAGE_CHANNELS:
            shape = layout.frames, *layout.shape
        elif metadata.signal and shape[0] == 1 == layout.channels:
            shape = shape[1:]
        facts = {"descr": npy.dtype_to_descr(layout.dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(head, facts)
        return RawEncoder(layout, head.getvalue(), layout.dtype)


def _reading(axes: tuple[int, ...]) -> tuple[str, ...]:
    """A note on a shape that could mean something else."""
    frames, last = axes[0], axes[-1]
    if len(axes) == 3 and last > MAX_IMAGE_CHANNELS:
        many = f"{frames} frame{'s' * (frames > 1)} of {last}×{axes[1]}"
        return (f"shape {axes} is read as {many}; {(1, *axes)} would be {last} channels",)
    if len(axes) == 4 and axes[1] <= MAX_IMAGE_CHANNELS < last:
        moved = (frames, axes[2], last, axes[1])
        return (
            f"shape {axes} is read as {last} channels of {axes[2]}×{axes[1]}; "
            f"channels first are {moved} after transpose(0, 2, 3, 1)",
        )
    if len(axes) == 4 and last in (2, 4):
        alpha = "no channel is treated as alpha" if frames == 1 else "the last channel is treated as alpha"
        return (f"{alpha}, as in every array of {'one frame' if frames == 1 else 'several frames'}",)
    return ()


def _pixel_type(source: Input, kind: DType, begin: int, due: int) -> tuple[DType, tuple[str, ...]]:
    """The type of the pixels, and a note if it is a narrower one that holds every value.

    Raises:
        ImageError: no type holds every value.
    """
    if kind.name not in _WIDE:
        return np.dtype(np.uint8) if kind.kind == "b" else kind.newbyteorder("="), ()
    low, high = _range(source, kind, begin, due)
    fits = (dtype for dtype in _NARROW if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)
    narrow = next(fits, None)
    if narrow is None:
        raise ImageError(
            f"npy with {kind.name} values from {low} to {high}; allowed: those of int32 or uint32; "
            "save it as float64 (array.astype('float64')), which is exact up to 2⁵³"
        )
    return narrow, (f"its {kind.name} values, {low} to {high}, are read as {narrow}",)


def _range(source: Input, kind: DType, begin: int, due: int) -> tuple[int, int]:
    """The lowest and highest value, found in parts; of a truncated file, those that are present."""
    lows, highs = [], []
    for place in range(begin, min(begin + due, source.size - kind.itemsize + 1), _PART):
        data = source.part(place, min(_PART, begin + due - place))
        values = np.frombuffer(data, kind, len(data) // kind.itemsize)
        lows.append(int(values.min()))
        highs.append(int(values.max()))
    return min(lows, default=0), max(highs, default=0)


def _plain(kind: DType, pixel: DType, values: Array) -> Array:
    """Stored values as pixel values: true is white."""
    if kind.kind == "b":
        return np.where(values, np.uint8(255), np.uint8(0))
    return values.astype(pixel, copy=False)


def _layout(data: bytes) -> tuple[tuple[int, int, int, int], bool, DType, int, tuple[int, ...]]:
    """(frames, rows, columns, channels), whether columns come first, the type, the values' start, its shape.

    Raises:
        ImageError: another version, or an array that is not an image.
        ValueError: the file ends in its header.
    """
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ImageError(f"npy with version {version[0]}.{version[1]}; allowed: 1.0 and 2.0")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, by_columns, kind = read(file)
    except Exception as error:  # of every kind, with the header in it
        if "EOF: reading" in str(error):
            raise
        raise ImageError("damaged npy: its header cannot be read") from error
    if kind.name not in (*_TYPES, *_WIDE, "bool") or kind.subdtype:
        allowed = ", ".join((*_TYPES, *_WIDE))
        raise ImageError(f"npy with type {quoted(kind)}; allowed: bool, {allowed}")
    if len(shape) not in (1, 2, 3, 4) or min(shape) < 1 or (len(shape) == 4 and shape[3] > _MOST_CHANNELS):
        raise ImageError(
            f"npy with shape {quoted(shape)}; allowed: (length,), (rows, columns), (rows, columns, 1 to 4 "
            f"channels), (frames, rows, columns), (frames, rows, columns, 1 to {_MOST_CHANNELS} channels)"
        )
    axes = shape
    shape = (1, *shape) if len(shape) == 1 else shape
    single = len(shape) == 2 or (len(shape) == 3 and shape[2] <= MAX_IMAGE_CHANNELS)
    frames, rows, columns, channels = (*((1,) * single), *shape, 1)[:4]
    return (frames, rows, columns, channels), by_columns, kind, file.tell(), axes
