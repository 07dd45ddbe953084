"""Video by PyAV (FFmpeg), which is an extra: lossless as FFV1 in Matroska, lossy as H.264 in MP4."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, one_line
from convcli.core.frozen import frozen, replace
from convcli.formats.base import StreamedFormat
from convcli.formats.decoding import ftyp_brands, silence_logger
from convcli.formats.encoders import Encoder
from convcli.formats.header import Header, Layout, Metadata, Timing

_MATROSKA: Final = b"\x1a\x45\xdf\xa3"
_MPEG: Final = frozenset(
    (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"qt  ")
)
_RATE: Final = 90_000  # ticks per second of written times
_PIXELS: Final = {(1, 1): "gray", (1, 2): "gray16le", (3, 1): "rgb24", (3, 2): "rgb48le"}
"""FFmpeg's names of values by channels and bytes."""

_EXACT: Final = {"gray": "gray", "gray16le": "gray16le", "rgb24": "bgr0", "rgb48le": "gbrp16le"}
"""The pixel formats of FFV1 for them."""

_ORIENTATIONS: Final = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""Exif's, by the signs of a display matrix: (column, row) lies at (a·column + c·row, b·column + d·row)."""

_LARGEST: Final = 2**28
"""Pixels of a frame: the first one is decoded to learn how it is turned, before any other limit is known."""

_ODD: Final = "the display matrix is ignored: it is not a rotation by a multiple of 90°"

_THREADS: Final = 4  # of FFV1; the default is the number of CPUs
_REPRODUCIBLE: Final = {"fflags": "bitexact"}  # no random identifiers, no dates, no versions

_QUEUED: Final = 50
"""Frames that the H.264 encoder buffers before it writes the first."""

_FIXED: Final = 2**24
"""Bytes that FFmpeg needs for frames of any size."""

QUALITY: Final = 18
"""Constant rate factor of H.264, 0 to 51: hard to tell from the original."""

_H264: Final = {"crf": str(QUALITY), "x264-params": "force-cfr=1:mbtree=0:b-adapt=0"}
"""x264 reads the durations of frames before it sets them, so bytes would depend on what memory held before:
rate control counts frames instead (timestamps stay as they are), and macroblock-tree, which weights blocks by
durations, is off. Without it, adaptive B-frames make larger files."""


class _Video(StreamedFormat):
    """What both containers have in common."""

    container = ""
    extra = "video"
    repeats = False
    animation_overhead = 14

    def header(self, data: bytes) -> Header:
        with _library().open(io.BytesIO(data)) as file:
            stream = _stream(file)
            frames = _times(file, stream)
            if len(frames) < stream.frames:
                raise ImageError(
                    f"damaged {self.name}: {len(frames)} of its {stream.frames} frames are there"
                )
            form, columns, rows = stream.codec_context.format, stream.width, stream.height
            if columns * rows > _LARGEST:
                raise ImageError(f"frames of {columns}×{rows} pixels; allowed: {_LARGEST} pixels per frame")
            notes: tuple[str, ...] = ("the audio is dropped",) if file.streams.audio else ()
            turn = _orientation(file, stream)
            notes += () if turn else (_ODD,)
        if not frames or form is None or not rows or not columns:
            raise ImageError(f"damaged {self.name}: {len(frames)} frames of {columns}×{rows} pixels")
        deep = max(component.bits for component in form.components) > 8
        channels = 1 if len(form.components) == 1 and not form.has_palette else 3
        kind = np.dtype(np.uint16 if deep else np.uint8)
        timing = Metadata(timing=Timing(frames) if len(frames) > 1 else None)
        facts = Header(self.name, rows, columns, channels, kind, len(frames), metadata=timing, notes=notes)
        return replace(facts, orientation=turn or 1)

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame, converted to RGB by FFmpeg."""
        form = _PIXELS[header.channels, header.dtype.itemsize]
        shape = header.rows, header.columns, header.channels
        library = _library()
        library.logging.set_level(library.logging.ERROR)
        with library.open(io.BytesIO(data)) as file, library.logging.Capture(local=False) as messages:
            stream = _stream(file)
            # FFmpeg's own threads would deadlock with the capture of its messages.
            stream.thread_type, stream.codec_context.thread_count = "NONE", 1
            for frame in file.decode(stream):
                pixels = frame.to_ndarray(format=form).reshape(shape)
                if messages or frame.is_corrupt:  # FFmpeg reports wrong checksums in messages only
                    reason = one_line(messages[0][2].strip()) if messages else "a frame is marked as corrupt"
                    raise ImageError(f"damaged {self.name}: {reason}")
                yield pixels

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return {"timing": 0}

    def encoder(self, layout: Layout, metadata: Metadata) -> VideoEncoder:
        _library()
        return VideoEncoder(layout, self.container, metadata.timing or Timing.steady(layout.frames))


class Matroska(_Video):
    """Matroska and WebM, of any video that FFmpeg reads; written as FFV1 (RFC 9043), which is lossless."""

    container = "matroska"

    def sniff(self, head: bytes) -> bool:
        return head.startswith(_MATROSKA)

    def header(self, data: bytes) -> Header:
        _check_segment(data)
        return super().header(data)

    def encoder_memory(self, layout: Layout) -> int:
        return _library_memory(layout, 15 + 30 * layout.channels * layout.dtype.itemsize)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype in (np.uint8, np.uint16) and channels in (1, 3) and frames > 1


class Mp4(_Video):
    """MPEG-4 and QuickTime files; written as H.264."""

    container = "mp4"
    max_side = 16_384
    max_pixels = 16_384**2

    def sniff(self, head: bytes) -> bool:
        return not ftyp_brands(head).isdisjoint(_MPEG)

    def header(self, data: bytes) -> Header:
        _check_boxes(data)
        return super().header(data)

    def encoder_memory(self, layout: Layout) -> int:
        odd = layout.rows % 2 or layout.columns % 2
        return _library_memory(layout, 60 + (4.5 if odd else 3.6) * min(layout.frames, _QUEUED))

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype == np.uint8 and channels in (1, 3) and frames > 1

    def loss(self, dtype: DType, channels: int, frames: int) -> str:
        return (
            f"H.264 is slightly lossy: CRF {QUALITY}, 8 bits, 4:2:0 chroma if both sides are even"
            if self.holds(np.dtype(np.uint8), channels, frames) and dtype in (np.uint8, np.uint16)
            else ""
        )


@frozen
class VideoEncoder(Encoder):
    """Writes frames in order; its pieces are rows of pixels."""

    layout: Layout
    container: str
    timing: Timing

    def strip(self, first: int, pixels: Array) -> Array:
        return pixels.copy()

    def write(self, file: BinaryIO, pieces: Iterable[Array]) -> None:
        with _library().open(file, "w", format=self.container, options=_REPRODUCIBLE) as out:
            stream = self._stream(out)
            ends = self.timing.ticks(_RATE, least=1)
            for start, length, pixels in zip(_starts(ends), ends, self._frames(iter(pieces)), strict=True):
                for packet in stream.encode(self._frame(pixels, start, length)):
                    out.mux(packet)
            out.mux(stream.encode())

    def _stream(self, out: Any) -> Any:
        layout, exact = self.layout, self.container == "matroska"
        mean = sum(self.timing.durations, Fraction(0)) / layout.frames
        rate = (1 / mean).limit_denominator(1001) if mean else Fraction(10)
        stream = out.add_stream("ffv1" if exact else "libx264", rate=rate)
        stream.width, stream.height = layout.columns, layout.rows
        even = layout.columns % 2 == layout.rows % 2 == 0
        near = "yuv420p" if even else "yuv444p"
        stream.pix_fmt = _EXACT[self._form] if exact else near
        stream.time_base = stream.codec_context.time_base = Fraction(1, _RATE)
        stream.options = {"level": "3"} if exact else _H264
        # With several threads, H.264's bytes depend on how far each of them gets.
        stream.codec_context.thread_count = _THREADS if exact else 1
        return stream

    @property
    def _form(self) -> str:
        return _PIXELS[self.layout.channels, self.layout.dtype.itemsize]

    def _frames(self, pieces: Iterator[Array]) -> Iterator[Array]:
        """Whole frames, assembled from their rows."""
        for _ in range(self.layout.frames):
            bands, missing = [], self.layout.rows
            while missing:
                bands.append(next(pieces))
                missing -= len(bands[-1])
            yield np.concatenate(bands)

    def _frame(self, pixels: Array, start: int, length: int) -> Any:
        squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        frame = _library().VideoFrame.from_ndarray(np.ascontiguousarray(squeezed), format=self._form)
        frame.pts, frame.duration, frame.time_base = start, length, Fraction(1, _RATE)
        return frame


def _library_memory(layout: Layout, each: float) -> int:
    """Bytes that FFmpeg needs: ``each`` per pixel, and two whole frames assembled from rows."""
    pixels = layout.rows * layout.columns
    return _FIXED + round(pixels * (each + 2 * layout.channels * layout.dtype.itemsize))


def _check_segment(data: bytes) -> None:
    """Refuse a Matroska file whose segment is truncated; FFmpeg decodes what is present.

    An element is an identifier, a size whose first byte says how many bytes it has, and a body (RFC 8794).
    """
    place = 4
    for skipped in (True, False):
        length = 9 - data[place].bit_length() if place < len(data) else 9
        size = int.from_bytes(data[place : place + length], "big") & ((1 << 7 * length) - 1)
        place += length + (size + 4 if skipped else 0)
    if size != (1 << 7 * length) - 1 and place + size > len(data):  # all ones: the size is unknown
        raise ImageError(f"damaged mkv: {len(data) - place} bytes instead of {size}")


def _check_boxes(data: bytes) -> None:
    """Refuse a file whose last box is truncated (ISO/IEC 14496-12, 4.2)."""
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        place = place + size if size >= 8 else len(data)  # 0: up to the end
    if place != len(data):
        raise ImageError("damaged mp4: it ends within a box")


def _starts(lengths: list[int]) -> list[int]:
    starts = [0]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length)
    return starts


def _library() -> Any:
    """PyAV.

    Raises:
        ImageError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImageError("video requires an extra package: pip install 'convcli[video]'") from error
    av.logging.set_level(None)
    silence_logger("libav")
    return av


def _stream(file: Any) -> Any:
    """The first video stream."""
    if not file.streams.video:
        raise ImageError("no video in this file")
    return file.streams.video[0]


def _orientation(file: Any, stream: Any) -> int:
    """The Exif orientation of the frames, by the first one; 0 if its display matrix is no such rotation.

    The matrix is that of a track (ISO/IEC 14496-12, 8.3.2), or what FFmpeg derives from other metadata.
    """
    file.seek(0)
    stream.thread_type = "NONE"
    frame = next(file.decode(stream), None)
    matrix = frame.side_data.get("DISPLAYMATRIX") if frame is not None else None
    if matrix is None:
        return 1
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    return _ORIENTATIONS.get(tuple((value > 0) - (value < 0) for value in (a, b, c, d)), 0)


def _times(file: Any, stream: Any) -> tuple[Fraction, ...]:
    """Seconds of each frame, from the times of the packets; the last packet states its duration."""
    packets = [packet for packet in file.demux(stream) if packet.pts is not None]
    starts = sorted(packet.pts for packet in packets)
    last = packets[-1].duration or 0 if packets else 0
    ends = [*starts[1:], (starts[-1] + last) if starts else 0]
    return tuple((end - start) * stream.time_base for start, end in zip(starts, ends, strict=True))
