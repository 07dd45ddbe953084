"""Facts about images as formats exchange them: headers, layouts to write, metadata, timing."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Final

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.formats.calibration import Axes, Georeference, Measure, Screen

MAX_IMAGE_CHANNELS: Final = 4
"""Most channels of an image; feature maps may have more."""

_NAMES: Final = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}
_NAMES_OF_BANDS: Final = {1: "gray", 3: "RGB"}


LINES: Final = "lines"
"""A signal of one number per line, or of one axis."""
ROW: Final = "row"
"""A signal of all numbers in one line."""


@frozen
class Timing:
    """When the frames of an animation are shown.

    Attributes:
        durations: seconds of each frame.
        loops: how often all frames are played; 0 for without end.
    """

    durations: tuple[Fraction, ...]
    loops: int = 0

    @classmethod
    def steady(cls, frames: int) -> Timing:
        """Ten frames per second, for frames without times."""
        return cls((Fraction(1, 10),) * frames)

    def of(self, first: int, last: int) -> Timing:
        """The timing of frames ``first`` to ``last``."""
        return Timing(self.durations[first:last], self.loops)

    def ticks(self, rate: int, least: int = 0) -> list[int]:
        """The durations in units of 1/``rate`` second, at least ``least``, starting at the nearest units."""
        ends = [round(end * rate) for end in accumulate(self.durations, initial=Fraction(0))]
        return [max(end - begin, least) for begin, end in pairwise(ends)]


@frozen
class Coding:
    """How pixels are encoded, as the user chose.

    Attributes:
        quality: 1 to 100 for lossy formats; None for the format's default.
        small: whether PNG files should be small rather than written quickly.
    """

    quality: int | None = None
    small: bool = False


@frozen
class Metadata:
    """What a file says beside its pixels and its result should say too, and how pixels are encoded.

    Attributes:
        icc: an ICC profile.
        exif: an Exif block in TIFF form (``II*`` or ``MM`` first), its orientation 1.
        xmp: an XMP packet.
        resolution: pixels per meter, (across, down).
        gamma: the encoding exponent, as PNG's gAMA states it (0.45455).
        srgb: the rendering intent of PNG's sRGB chunk.
        texts: keywords with their texts, such as a title or a description.
        subsampling: chroma subsampling of a JPEG, ``444``, ``422`` or ``420``.
        timing: of the frames of an animation.
        axes: what the frames stand for, and the size of a step along each axis.
        ground: the georeference, which ties pixels to places.
        nodata: the value of pixels without data, NaN included; None if no value means that.
        measures: what the values of each channel stand for.
        extra: what the channels after gray or RGB are, as tag 338 of TIFF states it, if there are more than
            four, or more than one after gray; empty where it is not known.
        screen: where pixels lie on a screen, and attributes of OpenEXR.
        signal: how a signal, which is an image of one row, is stored: `LINES` or `ROW`; empty for images.
        coding: chosen by the user, never read from a file.
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
    nodata: float | None = None
    measures: tuple[Measure, ...] | None = None
    extra: tuple[int, ...] = ()
    screen: Screen | None = None
    signal: str = ""
    coding: Coding = Coding()


@frozen
class Header:
    """What a file says about frames of the same size and type, before pixels are decoded.

    Attributes:
        format: name of the format, as ``--format`` takes it.
        rows, columns: of each frame as stored.
        channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; more are all data.
        dtype: type of the decoded values.
        frames: of an animation, or consecutive pages.
        first: number of frames of the file before these.
        orientation: Exif orientation of the stored frames, 1 to 8 (tag 274). Formats decode frames as they
            are stored; `convcli.formats.opening` rotates them.
        notes: for the report, on how the file is read.
        bands: whether no channel is alpha: the last of 2 or 4 is another one, such as infrared; always so for
            more than 4.
        linear: whether the format says that values are linear light.
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
    linear: bool = False

    @property
    def alpha(self) -> bool:
        return self.channels in (2, 4) and not self.bands

    @property
    def kind(self) -> str:
        """``RGB, 8-bit``."""
        return kind_text(self.channels, self.dtype, self.bands)


def kind_text(channels: int, dtype: DType, bands: bool = False) -> str:
    """``gray with alpha, 16-bit``; ``4 channels, 16-bit`` without alpha; ``8 channels, float32``."""
    name = (_NAMES_OF_BANDS if bands else _NAMES).get(channels, f"{channels} channels")
    return f"{name}, {depth_text(dtype)}"


def depth_text(dtype: DType) -> str:
    """``8-bit``, ``signed 16-bit``, ``float32``."""
    sign = "signed " if dtype.kind == "i" else ""
    return f"{sign}{dtype.itemsize * 8}-bit" if dtype.kind in "iu" else str(dtype)


@frozen
class Layout:
    """The size and type of frames to write.

    Attributes:
        bands: as in `Header`.
        pages: how many such images follow each other in the file.
    """

    rows: int
    columns: int
    channels: int
    dtype: DType
    frames: int = 1
    bands: bool = False
    pages: int = 1

    @classmethod
    def of(cls, pixels: Array) -> Layout:
        """The layout of one image, (rows, columns, channels)."""
        rows, columns, channels = pixels.shape
        return cls(rows, columns, channels, pixels.dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(rows, columns, channels) of each frame."""
        return self.rows, self.columns, self.channels
