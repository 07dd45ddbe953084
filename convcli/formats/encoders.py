"""Encoders make one file of strips of images: of whole images in memory, or of bands encoded separately."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.formats.header import Layout

BAND_BYTES: Final = 2**16
"""Bytes of a band that is encoded separately; files are at most 3% larger than with bands of 1 MB."""

_MIN_BAND_ROWS: Final = 16


class Encoder(ABC):
    """Makes one file of strips of whole rows, in the order of frames and rows."""

    def destination(self, frame: int, first: int, last: int) -> Array | None:
        """Where these rows should be computed, (rows, columns, channels), or None for anywhere."""
        return None

    @abstractmethod
    def strip(self, first: int, pixels: Array) -> Any:
        """Encode the rows from ``first`` on, (rows, columns, channels); called by several threads."""

    @abstractmethod
    def write(self, file: BinaryIO, pieces: Iterable[Any]) -> None:
        """Write the whole file, given what `strip` returned in the order of frames and rows."""


def encode_whole(encoder: Encoder, pixels: Array) -> bytes:
    """The file that an encoder makes of one image, (rows, columns, channels), given as a single strip."""
    file = io.BytesIO()
    encoder.write(file, [encoder.strip(0, pixels)])
    return file.getvalue()


class WholeImageEncoder(Encoder):
    """Collects all pixels, for formats whose library encodes them in one call.

    Args:
        layout: of the result.
        encode: makes the file of (frames, rows, columns, channels) pixels.
    """

    def __init__(self, layout: Layout, encode: Callable[[Array], bytes]) -> None:
        self.frames, self.encode = np.empty((layout.frames, *layout.shape), layout.dtype), encode

    def destination(self, frame: int, first: int, last: int) -> Array:
        part: Array = self.frames[frame, first:last]
        return part

    def strip(self, first: int, pixels: Array) -> None:
        """Nothing to do: the pixels were computed in place."""

    def write(self, file: BinaryIO, pieces: Iterable[None]) -> None:
        deque(pieces, maxlen=0)
        file.write(self.encode(self.frames))


def band_rows(layout: Layout, size: int = BAND_BYTES) -> int:
    """The power of two of rows that take about ``size`` bytes, at least 16."""
    row = layout.columns * layout.channels * layout.dtype.itemsize
    return max(1 << (size // row).bit_length() >> 1, _MIN_BAND_ROWS)


@frozen
class _PartialBand:
    """Rows of the band that begins at row ``top`` and lies in several strips."""

    top: int
    pixels: Array


@frozen
class BandEncoder(Encoder):
    """Cuts strips of any height into bands of ``height`` rows, so that a file's bytes do not depend on them.

    Bands within a strip are encoded by the thread that computed it, bands across strips by the writer.
    """

    encoder: Encoder
    layout: Layout
    height: int

    def strip(self, first: int, pixels: Array) -> list[Any]:
        last, pieces = first + len(pixels), list[Any]()
        for top in range(first // self.height * self.height, last, self.height):
            begin, end = max(top, first), min(top + self.height, last)
            part = pixels[begin - first : end - first]
            complete = len(part) == self._rows_of_band(top)
            pieces.append(self.encoder.strip(top, part) if complete else _PartialBand(top, part.copy()))
        return pieces

    def write(self, file: BinaryIO, pieces: Iterable[list[Any]]) -> None:
        self.encoder.write(file, self._joined(pieces))

    def _joined(self, pieces: Iterable[list[Any]]) -> Iterator[Any]:
        """The pieces of all bands, those across strips encoded here."""
        rows: list[Array] = []
        for piece in chain.from_iterable(pieces):
            if not isinstance(piece, _PartialBand):
                yield piece
                continue
            rows.append(piece.pixels)
            if sum(map(len, rows)) == self._rows_of_band(piece.top):
                yield self.encoder.strip(piece.top, np.concatenate(rows))
                rows = []

    def _rows_of_band(self, top: int) -> int:
        """Rows of the band that begins at row ``top``; the last one may have fewer."""
        return min(self.height, self.layout.rows - top)
