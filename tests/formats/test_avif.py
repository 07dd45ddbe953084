"""AVIF and HEIC: every depth, exactly where the format allows it; what is said without pillow-heif."""

from __future__ import annotations

import io
import sys

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from convcli.core.errors import ImageError, OutputError
from convcli.formats.header import Coding, Layout, Metadata
from convcli.formats.opening import open_bytes
from convcli.formats.registry import format_named
from tests.formats.test_metadata import exif_block

RNG = np.random.default_rng(12)
LIMIT = 10**9
SHAPES = {1: (13, 17), 2: (13, 17, 2), 3: (13, 17, 3), 4: (13, 17, 4)}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif_of_every_depth(bits, channels):
    """8 bits as they are, 10 and 12 bits spread over 16 and mentioned."""
    pixels = RNG.integers(0, 2**bits, SHAPES[channels]).astype(np.uint8 if bits == 8 else np.uint16)
    opened = open_bytes(imagecodecs.avif_encode(pixels, bitspersample=bits, speed=10), LIMIT)
    found, most = opened.pixels(), 2**bits - 1
    assert opened.header.dtype == found.dtype == (np.uint8 if bits == 8 else np.uint16)
    share = pixels.reshape(found.shape).astype(float) * (255 if bits == 8 else 65535) / most
    assert np.abs(found - share).max() <= 0.5
    assert bool(opened.header.notes) == (bits != 8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_avif_is_written_without_loss(channels):
    """Every value, also of colors under full transparency, as Pillow reads them."""
    pixels = RNG.integers(0, 256, (9, 14, channels), np.uint8)
    data = format_named("avif").encode(pixels, Metadata())
    assert np.array_equal(open_bytes(data, LIMIT).pixels(), pixels)
    with Image.open(io.BytesIO(data)) as image:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        assert np.array_equal(np.asarray(image.convert(mode)).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_says_how_it_is_turned(orientation):
    """The header counts rows and columns of the turned image, which is what is read."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (20, 12), "red").save(buffer, "AVIF", exif=exif)
    opened = open_bytes(buffer.getvalue(), LIMIT)
    size = (20, 12) if orientation < 5 else (12, 20)
    assert (opened.header.columns, opened.header.rows) == size
    assert opened.header.orientation == orientation
    assert opened.pixels().shape == (*size[::-1], 3)


def by_heif(pixels: np.ndarray, exif: bytes) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer, quality=90, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["avif", "heif"])
def test_boxes_that_turn_are_obeyed(name, orientation):
    """The boxes irot and imir turn the image as Exif's orientation turns a PNG, and only once."""
    if name == "heif":
        pytest.importorskip("pillow_heif")
    pixels, exif = np.zeros((32, 48, 3), np.uint8), exif_block(orientation)
    pixels[:16, :24], pixels[:16, 24:], pixels[16:, :24] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    plain, turned = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).save(plain, "PNG", exif=exif)
    if name == "avif":
        Image.fromarray(pixels).save(turned, "AVIF", quality=90, exif=exif)
    data = turned.getvalue() or by_heif(pixels, exif)
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    expected, found = (open_bytes(each, LIMIT).pixels() for each in (plain.getvalue(), data))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected)[4:-4:8, 4:-4:8].max() < 30


def test_the_first_frame_of_an_avif():
    """A sequence gives its first image and says how many there are."""
    frames = [Image.new("RGB", (16, 10), color) for color in ("white", "black", "black")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "AVIF", save_all=True, append_images=frames[1:], quality=100)
    opened = open_bytes(buffer.getvalue(), LIMIT)
    assert opened.header.frames == 3
    assert opened.pixels().shape == (10, 16, 3)
    assert opened.pixels().min() > 250
    data = imagecodecs.avif_encode(np.zeros((3, 10, 16, 3), np.uint16), bitspersample=10, speed=10)
    with pytest.raises(ImageError, match="avif of 3 frames with values up to 1023; allowed: up to 255"):
        open_bytes(data, LIMIT)


def heic(array: np.ndarray, mode: str) -> bytes:
    """A HEIC file of nearly these values."""
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_bytes(mode, array.shape[1::-1], array.tobytes()).save(buffer, quality=100, chroma=444)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "RGB;16", "RGBA;16"])
def test_heic(mode):
    """8 bits, and 10 bits spread over 16, near to what was encoded."""
    channels, deep = {"L": 1, "RGB": 3, "RGBA": 4}[mode.partition(";")[0]], mode.endswith("16")
    smooth = np.add.outer(np.arange(24), np.arange(32))[..., None] * np.arange(1, channels + 1)
    pixels = (smooth * (256 if deep else 1)).astype(np.uint16 if deep else np.uint8)
    opened = open_bytes(heic(pixels, mode), LIMIT)
    found = opened.pixels()
    assert opened.header.format == "heif"
    assert (found.shape, found.dtype) == (pixels.shape, pixels.dtype)
    assert np.abs(found.astype(int) - pixels).max() <= (1500 if deep else 6)
    assert bool(opened.header.notes) == deep


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_heic_is_written_exactly(channels):
    """Noise survives, colors under full transparency included; gray with alpha becomes RGBA."""
    pytest.importorskip("pillow_heif")
    pixels = RNG.integers(0, 256, (13, 19, channels), np.uint8)
    pixels[0, :, -1] = 0
    opened = open_bytes(format_named("heif").encode(pixels, Metadata()), LIMIT)
    expected = pixels[..., [0, 0, 0, 1]] if channels == 2 else pixels
    assert np.array_equal(opened.pixels(), expected)


def test_heic_with_a_quality():
    """A quality makes it lossy and much smaller."""
    pytest.importorskip("pillow_heif")
    smooth = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)[..., None].repeat(3, 2)
    heif = format_named("heif")
    noisy = smooth + RNG.integers(0, 9, smooth.shape, np.uint8)
    exact, lossy = (heif.encode(noisy, Metadata(coding=Coding(quality=q))) for q in (None, 50))
    found = open_bytes(lossy, LIMIT).pixels()
    assert len(lossy) < len(exact) / 3
    assert 0 < np.abs(found.astype(int) - noisy).mean() < 6


def test_heic_without_an_encoder(monkeypatch):
    """Builds of pillow-heif that only read refuse to write, before anything is computed."""
    library = pytest.importorskip("pillow_heif")
    monkeypatch.setattr(library, "libheif_info", lambda: {"HEIF": ""})
    with pytest.raises(OutputError, match="no HEVC encoder"):
        format_named("heif").encoder(Layout(4, 4, 3, np.dtype(np.uint8)), Metadata())


def test_heic_without_its_package(monkeypatch):
    """One line that names the command."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        ImageError, match=r"^reading heif requires an extra package: pip install 'convcli\[heif\]'$"
    ):
        open_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), LIMIT)
