"""JPEG XL: depths, color encodings, metadata in boxes, and what is refused, against libjxl's own tools."""

from __future__ import annotations

import shutil
import struct
import subprocess

import imagecodecs
import numpy as np
import pytest

from convcli.core.errors import ImageError
from convcli.formats.header import Coding, Metadata
from convcli.formats.jxl.boxes import SIGNATURE
from convcli.formats.opening import open_bytes
from convcli.formats.registry import format_named

JXL = format_named("jxl")
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"
RNG = np.random.default_rng(3)


def picture(channels: int, dtype: str, rows: int = 13, columns: int = 17) -> np.ndarray:
    """Noise of the whole range, or of both signs."""
    if np.dtype(dtype).kind == "f":
        return RNG.normal(size=(rows, columns, channels)).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, (rows, columns, channels), dtype, endpoint=True)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (8, 8), (256, 256), (8, 264), (200, 300), (3, 9000)])
def test_sizes(rows, columns):
    """Sizes that the header stores in several ways: in eighths, by a ratio, and with more bits."""
    pixels = picture(1, "uint8", rows, columns)
    header = open_bytes(JXL.encode(pixels, Metadata())).header
    assert (header.rows, header.columns) == (rows, columns)


@pytest.mark.parametrize("bits", [3, 10, 12])
def test_depths_in_between_are_scaled(bits):
    """Values of 3, 10 and 12 bits fill the range of 8 and 16 bits, rounded to nearest."""
    most, dtype = 2**bits - 1, "uint8" if bits < 9 else "uint16"
    values = (picture(3, "uint16") & most).astype(dtype)
    opened = open_bytes(imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=bits))
    top = int(np.iinfo(dtype).max)
    assert np.array_equal(opened.pixels(), (values.astype(np.int64) * top + most // 2) // most)
    assert any("were scaled" in note for note in opened.header.notes)


def test_every_half_is_written_exactly():
    """All halves but NaN keep their value; NaN stays NaN. Half floats of libjxl itself would change some."""
    every = np.arange(65_536, dtype=np.uint16).view(np.float16).reshape(256, 256, 1)
    found = open_bytes(JXL.encode(every, Metadata())).pixels()
    assert np.array_equal(found, every.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_color_encoding(channels, dtype):
    """Integers are called sRGB, and floats linear light."""
    header = open_bytes(JXL.encode(picture(channels, dtype), Metadata())).header
    assert header.linear == (dtype == "float32")


@pytest.mark.skipif(shutil.which("djxl") is None, reason="needs djxl of libjxl-tools")
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_djxl_agrees(channels, dtype, tmp_path):
    """The tool of libjxl decodes the same pixels, from files with metadata too."""
    pixels = picture(channels, dtype)
    pixels[..., -1] |= np.iinfo(dtype).max * (np.arange(17) % 3 == 0).astype(dtype)
    (tmp_path / "a.jxl").write_bytes(JXL.encode(pixels, Metadata(exif=EXIF)))
    suffix = "png" if channels in (2, 4) else "ppm"
    subprocess.run(["djxl", "a.jxl", f"a.{suffix}"], cwd=tmp_path, check=True, capture_output=True)
    found = open_bytes((tmp_path / f"a.{suffix}").read_bytes()).pixels()
    assert np.array_equal(found, pixels)


@pytest.mark.skipif(shutil.which("djxl") is None, reason="needs djxl of libjxl-tools")
def test_djxl_agrees_about_floats(tmp_path):
    """Colors of any size and sign, as PFM."""
    pixels = picture(3, "float32")
    (tmp_path / "a.jxl").write_bytes(JXL.encode(pixels, Metadata()))
    subprocess.run(["djxl", "a.jxl", "a.pfm"], cwd=tmp_path, check=True, capture_output=True)
    assert open_bytes((tmp_path / "a.pfm").read_bytes()).pixels().tobytes() == pixels.tobytes()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs FFmpeg")
def test_ffmpeg_agrees_about_floats(tmp_path):
    """NaN, infinity and both signs, decoded by another program."""
    pixels = picture(1, "float32")
    pixels[0, :3, 0] = np.nan, np.inf, -np.inf
    (tmp_path / "a.jxl").write_bytes(JXL.encode(pixels, Metadata()))
    command = ["ffmpeg", "-v", "error", "-i", "a.jxl", "-f", "rawvideo", "-pix_fmt", "grayf32le", "-"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert found == pixels.tobytes()


def test_quality():
    """A quality makes 8 bits lossy; other types have none."""
    smooth = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)[..., None].repeat(3, 2)
    lossy = JXL.encode(smooth, Metadata(coding=Coding(quality=60)))
    found = open_bytes(lossy).pixels()
    assert 0 < np.abs(found.astype(int) - smooth).max() < 12
    assert not JXL.takes_quality(np.dtype(np.uint16))


@pytest.mark.parametrize("packed", [False, True])
def test_metadata(packed):
    """Exif and XMP are read from boxes, compressed or not; the orientation is that of the codestream."""
    turned = EXIF.replace(b"\x12\x01\x03\0\x01\0\0\0\x01", b"\x12\x01\x03\0\x01\0\0\0\x06")
    exif, xmp = bytes(4) + turned, b"<x:xmpmeta/>"
    kinds = {b"Exif": exif, b"xml ": xmp}
    blocks = [
        box(b"brob", kind + imagecodecs.brotli_encode(body)) if packed else box(kind, body)
        for kind, body in kinds.items()
    ]
    codestream = JXL.encode(picture(3, "uint8"), Metadata())
    file = SIGNATURE + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(blocks) + box(b"jxlc", codestream)
    header = open_bytes(file).header
    assert header.orientation == 1 and (header.rows, header.columns) == (13, 17)
    assert (header.metadata.exif, header.metadata.xmp) == (EXIF, xmp)
    again = open_bytes(JXL.encode(picture(3, "float32"), header.metadata)).header.metadata
    assert (again.exif, again.xmp) == (EXIF, xmp)


def test_codestream_in_parts():
    """A codestream in several boxes is read as one."""
    pixels = picture(3, "uint8")
    codestream = JXL.encode(pixels, Metadata())
    parts = (codestream[:9], codestream[9:400], codestream[400:])
    last = len(parts) - 1
    numbered = [
        box(b"jxlp", struct.pack(">I", number | (number == last) << 31) + part)
        for number, part in enumerate(parts)
    ]
    file = SIGNATURE + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(numbered)
    assert np.array_equal(open_bytes(file).pixels(), pixels)


def test_what_is_refused():
    """Animations, other extra channels, and boxes that end behind the file."""
    film = imagecodecs.jpegxl_encode(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(ImageError, match="several frames"):
        open_bytes(film)
    planes = imagecodecs.jpegxl_encode(picture(1, "uint8").repeat(3, 2).transpose(2, 0, 1), planar=True)
    with pytest.raises(ImageError, match="extra channels"):
        open_bytes(planes)
    with pytest.raises(ImageError, match="truncated"):
        open_bytes(JXL.encode(picture(3, "uint8"), Metadata(exif=EXIF))[:-1])
