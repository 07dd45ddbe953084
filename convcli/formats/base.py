"""The contract of a picture format, and the plain facts of a picture."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO, Final, Protocol, runtime_checkable

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.files.input import Input
from convcli.formats.header import Coding, Header, Layout, Metadata

BAND: Final = 2**16
"""Bytes of a band that is encoded independently; files are at most 3 % larger than with 1 MB."""

_FEWEST_ROWS: Final = 16


class Reader(Protocol):
    """The open pictures of a file, read in parts by several threads."""

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Some rows of one, (rows, columns, channels), which are only read."""


@runtime_checkable
class Held(Protocol):
    """A reader that keeps a frame only while somebody holds it, because decoding it again is expensive."""

    def hold(self, frame: int) -> None:
        """Keep a frame until it is released."""

    def release(self, frame: int) -> None:
        """Give up one hold on a frame."""


@frozen(eq=False)
class Decoded:
    """Pictures in memory, (rows, columns, channels) each."""

    pictures: Sequence[Array]

    def rows(self, frame: int, first: int, last: int) -> Array:
        part: Array = self.pictures[frame][first:last]
        return part


@runtime_checkable
class Keeping(Protocol):
    """A reader that keeps what it has decoded, about so many bytes."""

    memory: int


class Encoder(Protocol):
    """Makes one file of strips of pictures."""

    def room(self, frame: int, first: int, last: int) -> Array | None:
        """Where the pixels of these rows are wanted, or None for anywhere."""

    def strip(self, first: int, pixels: Array) -> Any:
        """A piece of the file, from whole rows, (rows, columns, channels); called by several threads."""

    def write(self, file: BinaryIO, pieces: Iterable[Any]) -> None:
        """The file, from all pieces in the order of their frames and rows."""


def whole(encoder: Encoder, pixels: Array) -> bytes:
    """The file that a streaming encoder makes of a picture as one strip."""
    file = io.BytesIO()
    encoder.write(file, [encoder.strip(0, pixels)])
    return file.getvalue()


@frozen
class _Loose:
    """Rows of a band that begins at ``top`` and lies in several strips."""

    top: int
    pixels: Array


@frozen
class Bands:
    """Cuts strips of any height into bands of one, so that a file's bytes do not depend on its strips.

    Bands within a strip are encoded by its worker, those that reach into the next one by the writer.
    """

    encoder: Encoder
    layout: Layout
    height: int

    def room(self, frame: int, first: int, last: int) -> None:
        return None

    def strip(self, first: int, pixels: Array) -> list[Any]:
        """The pieces of whole bands, and the rows of others."""
        last, found = first + len(pixels), list[Any]()
        for top in range(first // self.height * self.height, last, self.height):
            begin, end = max(top, first), min(top + self.height, last)
            part = pixels[begin - first : end - first]
            whole = len(part) == self._due(top)
            found.append(self.encoder.strip(top, part) if whole else _Loose(top, part.copy()))
        return found

    def write(self, file: BinaryIO, pieces: Iterable[list[Any]]) -> None:
        """The whole file."""
        self.encoder.write(file, self._joined(pieces))

    def _joined(self, pieces: Iterable[list[Any]]) -> Iterator[Any]:
        import numpy as np

        rows: list[Array] = []
        for piece in chain.from_iterable(pieces):
            if not isinstance(piece, _Loose):
                yield piece
                continue
            rows.append(piece.pixels)
            if sum(map(len, rows)) == self._due(piece.top):
                yield self.encoder.strip(piece.top, np.concatenate(rows))
                rows = []

    def _due(self, top: int) -> int:
        """Rows of the band that begins at ``top``."""
        return min(self.height, self.layout.rows - top)


def rows_of_bands(layout: Layout, size: int) -> int:
    """The power of two of rows that take about ``size`` bytes, at least 16."""
    each = layout.columns * layout.channels * layout.dtype.itemsize
    return max(1 << (size // each).bit_length() >> 1, _FEWEST_ROWS)


class WholePictures:
    """The encoder of formats that need all pixels at once, (rows, columns, channels) of each frame."""

    def __init__(self, layout: Layout, encode: Callable[[Array], bytes]) -> None:
        import numpy as np

        self.pictures, self.encode = np.empty((layout.frames, *layout.shape), layout.dtype), encode

    def room(self, frame: int, first: int, last: int) -> Array:
        part: Array = self.pictures[frame, first:last]
        return part

    def strip(self, first: int, pixels: Array) -> None:
        return None

    def write(self, file: BinaryIO, pieces: Iterable[None]) -> None:
        deque(pieces, maxlen=0)
        file.write(self.encode(self.pictures))


class Format(Protocol):
    """One file format; a file of this folder each, registered in `convcli.formats.registry`."""

    name: str
    suffixes: tuple[str, ...]

    def sniff(self, head: bytes) -> bool:
        """Whether a file that starts with ``head`` (32 bytes) is of this format."""

    def header(self, data: bytes) -> Header:
        """The facts, without decoding."""

    def decode(self, data: bytes, header: Header) -> Array:
        """The pixels, (rows, columns, channels) of the header's type."""

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        """Whether every value of such a picture, or several in one file, survives being written."""

    def carries(self, channels: int) -> Mapping[str, int]:
        """What a file of so many channels can say beside its pixels, with the most bytes of each.

        The names are the fields of `Metadata`, or keywords of single texts.
        """

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        """A file of (rows, columns, channels) pixels that `holds` accepts, and of what it can say beside."""


@runtime_checkable
class Partial(Protocol):
    """A format whose files can be read in parts, or have pictures of several sizes or types."""

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        """The header of every run of pictures that are alike, with a reader, or None to decode them whole."""


@runtime_checkable
class Progressive(Protocol):
    """A format that decodes some pictures from the top down, while rows above are used already."""

    def progressive(self, source: Input, header: Header) -> Reader | None:
        """A reader of a single picture, which it keeps whole, or None where it is to be decoded at once."""


@runtime_checkable
class Moving(Protocol):
    """A format whose files may have several pictures that are decoded in order."""

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each picture of the header's run as it is shown, as `decode` gives the first."""


@runtime_checkable
class Streaming(Protocol):
    """A format whose files can be made strip by strip."""

    def encoder(self, layout: Layout, metadata: Metadata, height: int) -> Encoder:
        """The maker of a file, from strips of ``height`` rows; the last of each frame may have fewer."""


@runtime_checkable
class Banded(Protocol):
    """A format whose files are made of bands that are encoded independently."""

    def band(self, layout: Layout, coding: Coding) -> int:
        """Rows of a band. Strips need not be multiples of it, but are encoded faster where they are."""


@runtime_checkable
class Mixed(Protocol):
    """A format whose files hold pictures of several sizes and types, each run written behind the other."""

    mixed: bool


@runtime_checkable
class Manifold(Protocol):
    """A format whose second or fourth channel may be any band; in the others it is alpha."""

    bands: bool


@runtime_checkable
class Tensors(Protocol):
    """A format that holds more than `COLORS` channels."""

    most_channels: int


@runtime_checkable
class Animated(Protocol):
    """A format that encodes several pictures at once."""

    def animate(self, pictures: Array, metadata: Metadata) -> bytes:
        """A file of (frames, rows, columns, channels) pixels that `holds` accepts, and what it can say."""


@runtime_checkable
class Heavy(Protocol):
    """A format whose library takes memory: about so many bytes a pixel, beside the pixels and the file read.

    ``encoding`` counts the file that is made too. Measured with pictures of 2 and 9 megapixels, the larger of
    gray, RGB and RGBA.
    """

    decoding: int
    encoding: int


@runtime_checkable
class Composing(Protocol):
    """A format whose library takes memory for frames: about so many bytes a pixel and byte of a value.

    Frames that are kept are not counted.
    """

    moving: int


@runtime_checkable
class Queuing(Protocol):
    """A streaming format whose library holds frames until it has written them."""

    def queue(self, layout: Layout) -> int:
        """About how many bytes it takes to write a file of this layout."""


@runtime_checkable
class Lossy(Protocol):
    """A format with a quality from 1 to 100, and its own where none is asked for: None loses nothing."""

    quality: int | None


@runtime_checkable
class Bounded(Protocol):
    """A format with a largest side and a largest number of pixels, of each image."""

    largest_side: int
    largest_pixels: int


@runtime_checkable
class Near(Protocol):
    """A format that does not keep everything; what it does not `holds` it takes on demand."""

    def loses(self, dtype: DType, channels: int, frames: int) -> str:
        """What such pictures lose, in words; nothing where they keep everything, or cannot be written."""
