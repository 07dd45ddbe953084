"""The contract of a file format: one class, whose defaults describe a format of few features.

A format is one file of this folder with a subclass of `Format`, and one line of the table in
`convcli.formats.registry`. Callers ask its attributes and methods; they never ask which class it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from math import prod
from typing import Final, NoReturn

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.encoders import Encoder, WholeImageEncoder, encode_whole
from convcli.formats.header import MAX_IMAGE_CHANNELS, Coding, Header, Layout, Metadata
from convcli.formats.readers import Reader

Run = tuple[Header, Reader | None]
"""The header of frames that are alike and follow each other, and their reader; None to decode them whole."""

MAX_VALUES_AT_ONCE: Final = 4 * 10**9
"""Values of an animation that are kept in memory until its format encodes them."""

_BYTES_OF_FRAME: Final = 8
"""Bytes per pixel that Pillow keeps of each further frame of an animation that it encodes."""


class Format(ABC):
    """A file format; the defaults describe one of single images, written without loss and without limits.

    Attributes:
        extra: the optional dependency that it needs (``pip install convcli[EXTRA]``), or empty.
        writable: whether files can be written at all.
        has_levels: whether files may hold smaller versions of an image, which ``--level`` chooses.
        has_hdus: whether files hold several arrays, of which ``--hdu`` chooses one.
        is_store: whether it is many objects in a folder or below a URL rather than one file.
        has_named_channels: whether ``--axes`` chooses channels of a file by their names.
        takes_light: whether its readers take values for linear light.
        suggested: whether messages propose it for results that another format cannot hold.
        max_side: pixels of the longest side that can be written, or None.
        max_pixels: pixels of the largest image that can be written, or None.
        max_channels: most channels.
        is_array: whether files are arrays, which say nothing of what their channels are.
        any_channels: whether a second or fourth channel may be something else than alpha.
        mixed_frames: whether one file can hold frames of several sizes and types.
        max_colors: most colors per frame, or None for all.
        repeats: whether viewers play an animation again and again.
        progressive: whether `progressive_reader` may return one.
        has_quality: whether ``--quality`` has an effect.
        default_quality: quality where none is chosen, 1 to 100; None encodes losslessly.
        subsamples_chroma: whether the chroma subsampling of the input is kept.
        decoder_overhead: bytes per pixel that the library needs to decode, beside the file and the pixels.
            Overheads are measured with 2 and 9 megapixels, the largest of gray, RGB and RGBA.
        encoder_overhead: the same to encode, the finished file included.
        animation_overhead: bytes per pixel and byte of a value to decode several frames, beside the frames
            that are kept; None for ``decoder_overhead``.
    """

    extra: str = ""
    writable: bool = True
    has_levels: bool = False
    has_hdus: bool = False
    is_store: bool = False
    has_named_channels: bool = False
    takes_light: bool = False
    suggested: bool = True
    max_side: int | None = None
    max_pixels: int | None = None
    max_channels: int = MAX_IMAGE_CHANNELS
    is_array: bool = False
    any_channels: bool = False
    mixed_frames: bool = False
    max_colors: int | None = None
    repeats: bool = True
    progressive: bool = False
    has_quality: bool = False
    default_quality: int | None = None
    subsamples_chroma: bool = False
    decoder_overhead: int = 0
    encoder_overhead: int = 0
    animation_overhead: int | None = None

    def __init__(self, name: str, suffixes: tuple[str, ...]) -> None:
        self.name, self.suffixes = name, suffixes

    @abstractmethod
    def sniff(self, head: bytes) -> bool:
        """Whether a file that starts with ``head`` (its first 512 bytes) is of this format."""

    @abstractmethod
    def header(self, data: bytes) -> Header:
        """The header of the first frames, without decoding pixels.

        Raises:
            ImageError: the file is damaged, or has a feature that is not read.
        """

    @abstractmethod
    def decode(self, data: bytes, header: Header) -> Array:
        """The first frame as stored, (rows, columns, channels) of the header's type.

        Raises:
            ImageError: the file is damaged.
        """

    def open(self, source: Input) -> list[Run]:
        """Every run of frames of the same size and type, in the order of the file."""
        return [(self.header(source.read()), None)]

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame of the header's run as it is displayed, in order."""
        yield self.decode(data, header)

    def progressive_reader(self, source: Input, header: Header) -> Reader | None:
        """A reader that decodes a single image from the top down while rows above are already in use.

        Returns:
            None where the image has to be decoded at once.
        """
        return None

    @abstractmethod
    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        """Whether every value of such frames survives being written, up to a lossy format's own quality."""

    def loss(self, dtype: DType, channels: int, frames: int) -> str:
        """What frames that it does not hold lose if written anyway; empty where nothing, or not possible."""
        return ""

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        """What a file of so many channels can say beside its pixels, with the most bytes of each.

        The keys are fields of `Metadata`, keywords of single texts, or ``texts`` for any keyword.
        """
        return {}

    def takes_quality(self, dtype: DType) -> bool:
        """Whether ``--quality`` has an effect on images of this type."""
        return self.has_quality

    def suffix_note(self, suffix: str, channels: int) -> str:
        """A note where a suffix promises another kind of file than is written, or empty."""
        return ""

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        """A file of one image, (rows, columns, channels), that `holds` or `loss` accepts."""
        raise NotImplementedError(f"{self.name} is not written")

    def encode_frames(self, frames: Array, metadata: Metadata) -> bytes:
        """A file of (frames, rows, columns, channels) pixels that `holds` or `loss` accepts."""
        raise NotImplementedError(f"{self.name} holds no frames")

    def encoder(self, layout: Layout, metadata: Metadata) -> Encoder:
        """An encoder of strips of any height; by default it collects them for `encode` or `encode_frames`.

        Raises:
            ImageError: the frames together have more values than are kept in memory.
        """
        if layout.frames == 1:
            return WholeImageEncoder(layout, lambda frames: self.encode(frames[0], metadata))
        if layout.frames * prod(layout.shape) > MAX_VALUES_AT_ONCE:
            frames = f"{layout.frames} frames of {layout.columns}×{layout.rows}"
            raise ImageError(f"{frames} are too many for {self.name}, which encodes them all at once")
        return WholeImageEncoder(layout, lambda frames: self.encode_frames(frames, metadata))

    def encoder_memory(self, layout: Layout) -> int:
        """Bytes that the encoder needs beside the strips that it is given, approximately."""
        pixels = layout.rows * layout.columns
        values = layout.frames * pixels * layout.channels * layout.dtype.itemsize
        return values + pixels * (self.encoder_overhead + (layout.frames - 1) * _BYTES_OF_FRAME)

    def band_height(self, layout: Layout, coding: Coding) -> int:
        """Rows of a band that is encoded separately; strips that are multiples of it are encoded faster."""
        return 1


class FilelessFormat(Format):
    """A format whose pixels do not come from the bytes of one file, so that only `open` finds them.

    Attributes:
        why_no_file: the message where bytes are decoded all the same.
    """

    why_no_file: str

    def sniff(self, head: bytes) -> bool:
        """No file starts like it."""
        return False

    def header(self, data: bytes) -> Header:
        """Refuse."""
        self.refuse_bytes()

    def decode(self, data: bytes, header: Header) -> Array:
        """Refuse."""
        self.refuse_bytes()

    def refuse_bytes(self) -> NoReturn:
        """Say that there is no file to decode.

        Raises:
            ImageError: always.
        """
        raise ImageError(self.why_no_file)


class StreamedFormat(Format):
    """A format whose files are made strip by strip, without keeping the image."""

    @abstractmethod
    def encoder(self, layout: Layout, metadata: Metadata) -> Encoder:
        """An encoder of strips of any height."""

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        """The file that `encoder` makes of one image."""
        return encode_whole(self.encoder(Layout.of(pixels), metadata), pixels)

    def encoder_memory(self, layout: Layout) -> int:
        """None beside the strips."""
        return 0
