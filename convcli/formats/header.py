"""Facts about images as formats exchange them: headers, layouts to write, metadata, timing."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Final

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.formats.calibration import Axes, Georeference

MAX_IMAGE_CHANNELS: Final = 4
"""Most channels of an image; feature maps may have more."""

_NAMES: Final = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}
_NAMES_OF_BANDS: Final = {**_NAMES, 2: "gray with an extra channel", 4: "RGB with an extra channel"}


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
class Coding:
    """How pixels are coded on purpose.

    Attributes:
        quality: 1 to 100 where some may be lost; None for the format's own.
        small: whether a PNG is to be small instead of quickly made.
    """

    quality: int | None = None
    small: bool = False


@frozen
class Metadata:
    """What a file says besides its pixels, and a result says too; and how its pixels are coded.

    Attributes:
        icc: an ICC profile.
        exif: an Exif block in TIFF form (``II*`` or ``MM`` first), its orientation 1.
        xmp: an XMP packet.
        resolution: pixels a meter, (across, down).
        gamma: the encoding exponent, as PNG's gAMA states it (0.45455).
        srgb: the rendering intent of PNG's sRGB chunk.
        texts: keywords with their texts, such as a title or a description.
        subsampling: of a JPEG's colors, ``444``, ``422`` or ``420``; no block, but kept with them.
        timing: of the frames of an animation.
        axes: what the frames are, and what a step along each axis measures.
        ground: which places pixels show.
        coding: asked for, never read from a file.
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
    axes: Axes | None = None
    ground: Georeference | None = None
    coding: Coding = Coding()


@frozen
class Header:
    """What a file says of its picture before a pixel is decoded.

    Attributes:
        format: name of the format, as ``--format`` takes it.
        channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; more where the format has them.
        dtype: type of the decoded values.
        bands: whether no channel is alpha: the last of 2 or 4 is a band such as infrared.
        frames: pictures of this size and type: the frames of an animation, or pages that follow each other.
        first: how many pictures of the file stand before these.
        orientation: how the stored picture is to be turned, 1 to 8 as Exif counts (tag 274). A format reads
            and decodes the stored picture; the registry turns it, and its rows and columns with it.
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
    bands: bool = False

    @property
    def alpha(self) -> bool:
        return self.channels in (2, 4) and not self.bands

    @property
    def kind(self) -> str:
        """``RGB, 8-bit``."""
        return kind_text(self.channels, self.dtype, self.bands)


def kind_text(channels: int, dtype: DType, bands: bool = False) -> str:
    """``gray with alpha, 16-bit``; ``RGB with an extra channel, 16-bit``; ``8 channels, float32``."""
    name = (_NAMES_OF_BANDS if bands else _NAMES).get(channels, f"{channels} channels")
    return f"{name}, {depth_text(dtype)}"


def depth_text(dtype: DType) -> str:
    """``8-bit``, ``signed 16-bit``, ``float32``."""
    sign = "signed " if dtype.kind == "i" else ""
    return f"{sign}{dtype.itemsize * 8}-bit" if dtype.kind in "iu" else str(dtype)


@frozen
class Layout:
    """A picture that is to be written, or several of one size and type; ``bands`` as in `Header`."""

    rows: int
    columns: int
    channels: int
    dtype: DType
    frames: int = 1
    bands: bool = False

    @classmethod
    def of(cls, pixels: Array) -> Layout:
        """The layout of (rows, columns, channels)."""
        rows, columns, channels = pixels.shape
        return cls(rows, columns, channels, pixels.dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(rows, columns, channels) of each."""
        return self.rows, self.columns, self.channels
