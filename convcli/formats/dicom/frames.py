"""Frames of a DICOM file as samples: native, or decoded by imagecodecs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import imagecodecs
import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError, quoted
from convcli.formats.dicom.facts import Facts
from convcli.formats.stated_size import jpeg_2000_pixels, jpeg_pixels

_UID: Final = "1.2.840.10008.1.2"
_BIG: Final = f"{_UID}.2"
NATIVE: Final = (_UID, f"{_UID}.1", f"{_UID}.1.99", _BIG)
_RLE: Final = f"{_UID}.5"
_JPEG: Final = tuple(f"{_UID}.4.{number}" for number in (50, 51, 57, 70))
_JPEG_LS: Final = tuple(f"{_UID}.4.{number}" for number in (80, 81))
_JPEG_2000: Final = tuple(f"{_UID}.4.{number}" for number in (90, 91, 201, 202, 203))
_ADOBE: Final = b"Adobe"
_ADOBE_LENGTH: Final = 14  # of a marker that states the color transform
_FLOATS: Final = {"FloatPixelData": "f4", "DoubleFloatPixelData": "f8"}


def check_readable(facts: Facts) -> None:
    """Refuse a transfer syntax that is not decoded, and native data that end early.

    Raises:
        ImageError: one of these.
    """
    if facts.syntax in NATIVE:
        due = _frame_bits(facts) * facts.frames
        there = len(facts.dataset[facts.data].value or b"")
        if there * 8 < due:
            raise ImageError(f"damaged dicom: {there} of {-(-due // 8)} bytes of pixels")
        return
    if facts.syntax not in (_RLE, *_JPEG, *_JPEG_LS, *_JPEG_2000):
        from pydicom.uid import UID

        uid = UID(facts.syntax)
        name = uid.name if uid.name != uid else f"transfer syntax {quoted(uid)}"
        raise ImageError(
            f"dicom with {name}; allowed: uncompressed, deflated, RLE, JPEG, JPEG-LS and JPEG 2000"
        )


def _frame_bits(facts: Facts) -> int:
    """Bits of a native frame; chroma of 4:2:2 is stored once for two pixels."""
    samples = 2 if facts.photometric == "YBR_FULL_422" else facts.samples
    return facts.rows * facts.columns * samples * facts.allocated


def samples_of(facts: Facts) -> Iterator[Array]:
    """Each frame, (rows, columns, samples), as stored: bits that are not in use included.

    Raises:
        ImageError: a frame is damaged.
    """
    if facts.syntax in NATIVE:
        for frame in range(facts.frames):
            yield _native(facts, frame)
        return
    from pydicom.encaps import generate_frames

    decode = _decoder(facts)
    data = facts.dataset.PixelData
    count = 0
    for part in generate_frames(data, number_of_frames=facts.frames):
        values = np.asarray(decode(facts, part))
        if values.size != facts.rows * facts.columns * facts.samples:
            raise ImageError(f"damaged dicom: frame {count} has {values.size} values")
        yield values.reshape(facts.rows, facts.columns, facts.samples)
        count += 1
        if count == facts.frames:
            return
    raise ImageError(f"damaged dicom: {count} of {facts.frames} frames")


def _native(facts: Facts, frame: int) -> Array:
    data, bits = facts.dataset[facts.data].value, _frame_bits(facts)
    if facts.allocated == 1:
        first, last = frame * bits, (frame + 1) * bits
        packed = np.frombuffer(data, np.uint8)[first // 8 : -(-last // 8)]
        unpacked = np.unpackbits(packed, bitorder="little")[first % 8 :][:bits]
        return unpacked.reshape(facts.rows, facts.columns, 1)
    order = ">" if facts.syntax == _BIG else "<"
    kind = np.dtype(order + _FLOATS.get(facts.data, f"u{facts.allocated // 8}"))
    values: Array = np.frombuffer(data, kind, bits // facts.allocated, frame * bits // 8)
    if facts.allocated == 8 and order == ">" and facts.dataset[facts.data].VR == "OW":
        values = _of_words(facts, data, frame * bits // 8, bits // 8)
    if facts.photometric == "YBR_FULL_422":
        return _full(values, facts)
    if facts.planar and facts.samples > 1:
        planes = values.reshape(facts.samples, facts.rows, facts.columns)
        return np.moveaxis(planes, 0, -1)
    return values.reshape(facts.rows, facts.columns, facts.samples)


def _of_words(facts: Facts, data: bytes, begin: int, count: int) -> Array:
    """Bytes that were swapped as the halves of words of the other byte order."""
    first = begin - begin % 2
    words = np.frombuffer(data, np.uint8, len(data) // 2 * 2 - first, first).reshape(-1, 2)[:, ::-1]
    return words.reshape(-1)[begin - first :][:count]


def _full(values: Array, facts: Facts) -> Array:
    """Y, Cb and Cr of each pixel, from Y, Y, Cb and Cr of each two."""
    if facts.columns % 2:
        raise ImageError("damaged dicom: 4:2:2 chroma with an odd number of columns")
    pairs = values.reshape(-1, 4)
    pixels = np.stack([pairs[:, [0, 2, 3]], pairs[:, [1, 2, 3]]], 1)
    return pixels.reshape(facts.rows, facts.columns, 3)


def _decoder(facts: Facts) -> Callable[[Facts, bytes], Array]:
    if facts.syntax == _RLE:
        return _rle
    if facts.syntax in _JPEG:
        return _jpeg
    return _jpeg_ls if facts.syntax in _JPEG_LS else _jpeg_2000


def _rle(facts: Facts, data: bytes) -> Array:
    kind = np.dtype(f"<u{facts.allocated // 8}")
    planes = np.frombuffer(imagecodecs.dicomrle_decode(data, kind), kind)
    pixels = facts.rows * facts.columns
    if planes.size < facts.samples * pixels:
        raise ImageError("damaged dicom: its run lengths end early")
    return np.moveaxis(
        planes[: facts.samples * pixels].reshape(facts.samples, facts.rows, facts.columns), 0, -1
    )


def _check_size(facts: Facts, pixels: int) -> None:
    if pixels != facts.rows * facts.columns:
        raise ImageError(f"damaged dicom: a frame of {pixels} pixels instead of {facts.columns}×{facts.rows}")


def _jpeg(facts: Facts, data: bytes) -> Array:
    """Gray, or RGB, which the marker of Adobe, or else the photometric interpretation, tells from YCbCr."""
    _check_size(facts, jpeg_pixels(data))
    if facts.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    place = data.find(_ADOBE, 0, 2**10)
    is_marked = place > 0 and int.from_bytes(data[place - 2 : place], "big") >= _ADOBE_LENGTH
    is_rgb = data[place + 11] == 0 if is_marked else facts.photometric == "RGB"
    return np.asarray(
        imagecodecs.jpeg8_decode(data, colorspace="rgb" if is_rgb else "ycbcr", outcolorspace="rgb")
    )


def _jpeg_ls(facts: Facts, data: bytes) -> Array:
    _check_size(facts, jpeg_pixels(data))
    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg_2000(facts: Facts, data: bytes) -> Array:
    _check_size(facts, jpeg_2000_pixels(data))
    return np.asarray(imagecodecs.jpeg2k_decode(data))


def is_converted(facts: Facts) -> bool:
    """Whether the decoder returns RGB though the file has luma and chroma."""
    return facts.syntax in (*_JPEG, *_JPEG_2000)
