"""The contract of a picture format, and the plain facts of a picture."""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import accumulate, pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, runtime_checkable

from convcli.dtypes import Array, DType
from convcli.errors import ImageError, one_line
from convcli.files import Input
from convcli.values import frozen

if TYPE_CHECKING:
    from PIL.Image import Image

_SHORT: Final = ("too small", "truncated", "Truncated", "not enough", "unexpected end", "Premature end")
"""How decoders say that a file is cut off."""

_NAMES: Final = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}


@frozen
class Timing:
    """How long each frame of an animation is shown, in seconds, and how often all are (0: without end)."""

    durations: tuple[Fraction, ...]
    loops: int = 0

    @classmethod
    def steady(cls, frames: int) -> Timing:
        """Ten frames a second, where nothing says how many."""
        return cls((Fraction(1, 10),) * frames)

    def of(self, first: int, last: int) -> Timing:
        """That of some of the frames."""
        return Timing(self.durations[first:last], self.loops)

    def ticks(self, rate: int, least: int = 0) -> list[int]:
        """The durations in ``rate``-ths of a second; each frame begins at the nearest."""
        ends = [round(end * rate) for end in accumulate(self.durations, initial=Fraction(0))]
        return [max(end - begin, least) for begin, end in pairwise(ends)]


@frozen
class Metadata:
    """What a file says besides its pixels, and a result says too.

    Attributes:
        icc: an ICC profile.
        exif: an Exif block in TIFF form (``II*`` or ``MM`` first), its orientation 1.
        xmp: an XMP packet.
        resolution: pixels a metre, (across, down).
        gamma: the encoding exponent, as PNG's gAMA states it (0.45455).
        srgb: the rendering intent of PNG's sRGB chunk.
        texts: keywords with their texts, such as a title or a description.
        subsampling: of a JPEG's colours, ``444``, ``422`` or ``420``; no block, but kept with them.
        timing: of the frames of an animation.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    resolution: tuple[float, float] | None = None
    gamma: float | None = None
    srgb: int | None = None
    texts: tuple[tuple[str, str], ...] = ()
    subsampling: str = "444"
    timing: Timing | None = None


@frozen
class Header:
    """What a file says of its picture before a pixel is decoded.

    Attributes:
        format: name of the format, as ``--format`` takes it.
        channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
        dtype: type of the decoded values.
        frames: pictures of this size and type: the frames of an animation, or pages that follow each other.
        first: how many pictures of the file stand before these.
        orientation: how the stored picture is to be turned, 1 to 8 as Exif counts (tag 274). A format reads
            and decodes the stored picture; `convcli.images` turns it, and its rows and columns with it.
        notes: what a person should know of how it is read.
    """

    format: str
    rows: int
    columns: int
    channels: int
    dtype: DType
    frames: int = 1
    first: int = 0
    orientation: int = 1
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()

    @property
    def alpha(self) -> bool:
        return self.channels in (2, 4)

    @property
    def kind(self) -> str:
        """``RGB, 8-bit``."""
        return kind_text(self.channels, self.dtype)


def kind_text(channels: int, dtype: DType) -> str:
    """``gray with alpha, 16-bit``."""
    return f"{_NAMES[channels]}, {depth_text(dtype)}"


def depth_text(dtype: DType) -> str:
    """``8-bit``, ``16-bit``, ``float32``."""
    return f"{dtype.itemsize * 8}-bit" if dtype.kind in "iu" else str(dtype)


@frozen
class Layout:
    """A picture that is to be written, or several of one size and type."""

    rows: int
    columns: int
    channels: int
    dtype: DType
    frames: int = 1

    @classmethod
    def of(cls, pixels: Array) -> Layout:
        """The layout of (rows, columns, channels)."""
        rows, columns, channels = pixels.shape
        return cls(rows, columns, channels, pixels.dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(rows, columns, channels) of each."""
        return self.rows, self.columns, self.channels


class Reader(Protocol):
    """The open pictures of a file, read in parts by several threads."""

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Some rows of one, (rows, columns, channels), which are only read."""


@frozen(eq=False)
class Decoded:
    """Pictures in memory, (rows, columns, channels) each."""

    pictures: Sequence[Array]

    def rows(self, frame: int, first: int, last: int) -> Array:
        part: Array = self.pictures[frame][first:last]
        return part


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
    """One file format; a file of this folder each, registered in `convcli.images`."""

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
    """A format that wants strips of so many rows, or a multiple."""

    band: int


@runtime_checkable
class Mixed(Protocol):
    """A format whose files hold pictures of several sizes and types, each run written behind the other."""

    mixed: bool


@runtime_checkable
class Animated(Protocol):
    """A format that encodes several pictures at once."""

    def animate(self, pictures: Array, metadata: Metadata) -> bytes:
        """A file of (frames, rows, columns, channels) pixels that `holds` accepts, and what it can say."""


@runtime_checkable
class Near(Protocol):
    """A format that does not keep everything; what it does not `holds` it takes on demand."""

    def loses(self, dtype: DType, channels: int, frames: int) -> str:
        """What such pictures lose, in words; nothing where they keep everything, or cannot be written."""


class _Silence:
    """Standard error pointed at nothing, while anybody is inside; several threads may be."""

    def __init__(self) -> None:
        self.lock, self.inside = Lock(), 0
        self.kept: int | None = None

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                with suppress(OSError):  # standard error is closed already
                    self.kept = os.dup(2)
                    null = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(null, 2)
                    os.close(null)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside and self.kept is not None:
                os.dup2(self.kept, 2)
                os.close(self.kept)
                self.kept = None


QUIET: Final = _Silence()
"""Keeps what C libraries print off standard error, where one failure is one line."""


def tiff_library() -> Any:
    """tifffile, which logs what it finds odd."""
    import logging

    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    return tifffile


@contextmanager
def strict(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises or warns of into one `ImageError`; not for several threads at once."""
    with warnings.catch_warnings(), sound(name):
        warnings.simplefilter("error")
        yield


@contextmanager
def sound(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one `ImageError`."""
    try:
        with QUIET:
            yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"not enough memory to decode this {name}") from error
    except Exception as error:
        reason = one_line(str(error).strip().split("\n")[0]) or type(error).__name__
        if any(word in reason for word in _SHORT):
            reason = "it ends too early"
        raise ImageError(f"damaged {name}: {reason}") from error


def pillow(data: bytes) -> Image:
    """The file as Pillow sees it; pixels are not decoded yet, sizes are checked elsewhere."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged metadata, which are no reason to refuse a picture
        return Image.open(io.BytesIO(data))


def from_pillow(image: Image, mode: str) -> Array:
    """(rows, columns, channels) of an 8-bit Pillow image in ``mode``."""
    import numpy as np

    pixels: Any = np.array(image if image.mode == mode else image.convert(mode))
    array: Array = pixels
    return array[..., None] if array.ndim == 2 else array


def pillow_frames(data: bytes, mode: str) -> Iterator[Array]:
    """(rows, columns, channels) of each frame of a file, as Pillow shows it."""
    from PIL import ImageSequence

    with pillow(data) as image:
        for frame in ImageSequence.Iterator(image):
            yield from_pillow(frame, mode)


def to_pillow(pixels: Array) -> Image:
    """8-bit pixels as a Pillow image."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's mode for so many 8-bit channels."""
CHANNELS: Final = {mode: channels for channels, mode in MODES.items()}


def saved(image: Image, format_name: str, **options: Any) -> bytes:
    """The bytes that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def full_range(values: Array, most: int) -> Array:
    """Integers from 0 to ``most`` spread over the full range of 8 bits, or of 16 where ``most`` is above 255.

    Raises:
        ImageError: a value above ``most``.
    """
    import numpy as np

    kind = np.dtype(np.uint8 if most < 256 else np.uint16)
    top = 255 if most < 256 else 65_535
    if most == top and values.dtype == kind:
        return values
    largest = int(values.max())
    if largest > most:
        raise ImageError(f"damaged: a pixel holds {largest}; allowed: 0 to {most}")
    spread = (np.arange(most + 1, dtype=np.uint32) * np.uint32(top) + np.uint32(most // 2)) // np.uint32(most)
    table: Array = spread.astype(kind)
    return table[values]


def range_notes(most: int) -> tuple[str, ...]:
    """What `full_range` did, where it changed values of several bits."""
    if most in (0, 1, 255, 65_535):
        return ()
    top = 255 if most < 256 else 65_535
    return (f"values of 0 to {most} were spread over 0 to {top}, rounded to nearest",)


def brands(head: bytes) -> set[bytes]:
    """The first brands of an ISO media file (``ftyp``), its own and those it agrees with; else none."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}
