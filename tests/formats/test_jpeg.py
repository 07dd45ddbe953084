"""JPEG beyond gray and RGB: inks, depths, and data that run out."""

from __future__ import annotations

import io
import itertools
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from convcli.core.errors import ImageError
from convcli.formats.decoding import cmyk_to_rgb, to_full_range
from convcli.formats.opening import open_bytes
from tests.formats.test_metadata import ICC, XMP, exif_block

RNG = np.random.default_rng(31)
LIMIT = 10**9
END = b"\xff\xd9"


def by_pillow(pixels: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    """A JPEG of quality 95."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels) if mode is None else Image.frombytes(mode, pixels.shape[1::-1], pixels)
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray:
    """Coarse noise, which survives a JPEG."""
    return np.kron(RNG.integers(0, 256, shape, np.uint8), np.ones((8, 8, *[1] * (len(shape) - 2)), np.uint8))


@pytest.mark.parametrize("stored", ["CMYK", "YCCK"])
def test_inks_become_colors(stored):
    """Inverted inks, as Adobe writes them, as Pillow turns them into RGB; a note says how."""
    inks = noise(6, 9, 4)
    data = imagecodecs.jpeg8_encode(255 - inks, level=95, colorspace="CMYK", outcolorspace=stored)
    opened = open_bytes(data, LIMIT)
    with Image.open(io.BytesIO(data)) as reference:
        expected = np.asarray(reference.convert("RGB")).astype(int)
    assert np.abs(opened.pixels() - expected).max() <= 1
    assert (opened.header.channels, opened.header.kind) == (3, "RGB, 8-bit")
    assert "without a color profile" in opened.header.notes[0]


def test_inks_without_adobe():
    """Without an Adobe segment, inks are taken as inverted, as other programs do."""
    data = by_pillow(255 - noise(6, 9, 4), "CMYK")
    start = data.index(b"\xff\xee")
    bare = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    assert np.array_equal(open_bytes(bare, LIMIT).pixels(), open_bytes(data, LIMIT).pixels())
    with Image.open(io.BytesIO(bare)) as reference:
        expected = np.asarray(reference.convert("RGB")).astype(int)
    assert np.abs(open_bytes(bare, LIMIT).pixels() - expected).max() <= 1


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


STRAY = {
    "zeros": b"\0\0\0",
    "text": b"stray",
    "escaped": b"\xff\0",
    "fill": b"\xff\xff",
    "restart": b"\xff\xd3",
}


@pytest.mark.parametrize("stray", STRAY)
def test_bytes_between_segments(stray):
    """Stray bytes anywhere before the pixels change neither the image nor its metadata."""
    data = by_pillow(noise(2, 3, 3), comment=b"Hi", dpi=(300, 300))
    plain, place = open_bytes(data, LIMIT), 2
    while data[place + 1] != 0xDA:
        odd = open_bytes(data[:place] + STRAY[stray] + data[place:], LIMIT)
        assert odd.header == plain.header
        assert np.array_equal(odd.pixels(), plain.pixels())
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    assert plain.header.metadata.texts == (("Comment", "Hi"),)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_what_follows_the_image(options):
    """A video, another image, markers without an image, or noise: none of it changes a pixel."""
    data = by_pillow(noise(4, 5, 3), **options)
    plain = open_bytes(data, LIMIT)
    noises = [np.random.default_rng(seed).bytes(20_000) for seed in range(5)]
    trailers = [b"\xff\xda", b"\xff\xda\0\0", b"\xff\xd9\xff\xda", b"\xff\xc0", data, data[:-2], *noises]
    for trailer in trailers:
        longer = open_bytes(data + trailer, LIMIT)
        assert longer.header == plain.header
        assert np.array_equal(longer.pixels(), plain.pixels())
    with pytest.raises(ImageError, match="end-of-image marker"):
        open_bytes(data[:-2] + b"\xff\xda", LIMIT).pixels()


def of_every_coding() -> dict[str, bytes]:
    """Small gray images as JPEG can code them; the arithmetic one has no data but a few zeros."""
    pixels = noise(2, 3)
    baseline = by_pillow(pixels)
    frame, tables, scan = (baseline.index(bytes((0xFF, marker))) for marker in (0xC0, 0xC4, 0xDA))
    arithmetic = baseline[:frame] + b"\xff\xc9" + baseline[frame + 2 : tables] + baseline[scan : scan + 10]
    return {
        "baseline": baseline,
        "progressive": by_pillow(pixels, progressive=True),
        "arithmetic": arithmetic + bytes(9) + END,
        "12 bits": imagecodecs.jpeg8_encode(pixels.astype(np.uint16) * 16, bitspersample=12),
        "lossless": imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=8),
        "lossless, 16 bits": imagecodecs.jpeg8_encode(
            pixels.astype(np.uint16), lossless=True, predictor=1, bitspersample=16
        ),
    }


@pytest.mark.parametrize("coding", of_every_coding())
def test_every_coding_says_the_same(coding):
    """Profile in parts and out of order, Exif with its orientation, XMP, comment and resolution."""
    data = of_every_coding()[coding]
    half = len(ICC) // 2
    parts = [b"ICC_PROFILE\0" + bytes((1, 2)) + ICC[:half], b"ICC_PROFILE\0" + bytes((2, 2)) + ICC[half:]]
    said = (
        segment(0xE0, b"JFIF\0\1\2\1" + struct.pack(">HHBB", 300, 150, 0, 0)),
        segment(0xE2, parts[1]),
        segment(0xE1, b"Exif\0\0" + exif_block(6)),
        segment(0xE2, parts[0]),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        segment(0xFE, b"Hi"),
    )
    own = 4 + int.from_bytes(data[4:6], "big") if data[3] == 0xE0 else 2
    opened = open_bytes(data[:2] + b"".join(said) + data[own:], LIMIT)
    header = opened.header
    metadata = header.metadata
    assert (metadata.icc, metadata.exif, metadata.xmp) == (ICC, exif_block(1), XMP)
    assert (header.orientation, header.rows, header.columns) == (6, 24, 16)
    assert metadata.texts == (("Comment", "Hi"),)
    assert metadata.resolution == pytest.approx((150 / 0.0254, 300 / 0.0254))
    most = {"12 bits": 4095, "lossless, 16 bits": 65_535}.get(coding, 255)
    stored = to_full_range(imagecodecs.jpeg8_decode(data), most)
    assert np.array_equal(opened.pixels()[..., 0], np.rot90(stored, -1))


def test_what_is_not_carried_over_is_named():
    """Photoshop's data, further images, and XMP beyond one segment are left out and named."""
    packet = b'<rdf:Description xmpNote:HasExtendedXMP="0123" a="b"/>'
    said = (
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"<more/>"),
        segment(0xED, b"Photoshop 3.0\x008BIM" + bytes(8)),
        segment(0xED, b"Photoshop 3.0\x008BIM" + bytes(8)),
        segment(0xE2, b"MPF\0II*\0" + bytes(8)),
    )
    data = by_pillow(noise(2, 3))
    header = open_bytes(data[:2] + b"".join(said) + data[2:], LIMIT).header
    assert header.notes == ("left out: extended XMP, Photoshop and IPTC data, further images",)
    assert header.metadata.xmp == b'<rdf:Description a="b"/>'


def test_twelve_bits():
    """A lossy JPEG of 12 bits fills the range of 16."""
    ramp = np.add.outer(np.arange(40), np.arange(48))[..., None].repeat(3, 2) * 40
    data = imagecodecs.jpeg8_encode(ramp.astype(np.uint16), level=97, bitspersample=12)
    opened = open_bytes(data, LIMIT)
    assert opened.header.dtype == np.uint16
    assert opened.header.notes == ("values 0 to 4095 were scaled to 0 to 65535, rounded to nearest",)
    assert np.abs(opened.pixels() * (4095 / 65535) - ramp).max() <= 4


@pytest.mark.parametrize("bits", [2, 7, 8, 10, 12, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless(channels, bits):
    """The lossless process of 2 to 16 bits, every value."""
    stored = RNG.integers(0, 2**bits, (11, 13, channels)).astype(np.uint8 if bits <= 8 else np.uint16)
    squeezed = stored[..., 0] if channels == 1 else stored
    data = imagecodecs.jpeg8_encode(squeezed, lossless=True, predictor=1, bitspersample=bits)
    top, most = (255 if bits <= 8 else 65535), 2**bits - 1
    assert np.abs(open_bytes(data, LIMIT).pixels() - stored * (top / most)).max() <= 0.5


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 2}, {"restart_marker_rows": 1}], ids=str
)
@pytest.mark.parametrize("channels", [1, 3])
def test_data_that_run_out_before_an_end_marker(channels, options):
    """Cut anywhere but in its last pixels and closed with an end marker: an error."""
    pixels = noise(9, 12, channels)
    data = by_pillow(pixels[..., 0] if channels == 1 else pixels, **options)
    begin = data.index(b"\xff\xda") + 14
    assert open_bytes(data, LIMIT).pixels().shape == pixels.shape
    for length in range(begin, len(data) - 120, 7):
        with pytest.raises(ImageError, match="damaged jpeg: its data ends before the last pixel"):
            open_bytes(data[:length] + END, LIMIT).pixels()


def test_a_progressive_file_cut_in_a_scan():
    """An error, as far as scans that were to come are missing; cut behind a scan, it is a coarser image."""
    data = by_pillow(noise(9, 12, 3), progressive=True)
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for start, following in itertools.pairwise(scans):
        middle = (start + data.index(b"\xff\xc4", start) if following > start + 60 else following) // 2
        if middle > start + 14:
            with pytest.raises(ImageError, match="data end"):
                open_bytes(data[:middle] + END, LIMIT).pixels()
    assert open_bytes(data[: scans[3]] + END, LIMIT).pixels().shape == (72, 96, 3)


@pytest.mark.parametrize("shape", [(64, 64), (61, 50), (64, 64, 3), (7, 5, 3)])
def test_gray_images_are_whole(shape):
    """An image that ends in mid-gray has not run out."""
    pixels = np.full(shape, 128, np.uint8)
    assert np.all(open_bytes(by_pillow(pixels), LIMIT).pixels() == 128)


def test_components_that_are_refused():
    """Two components are no colors."""
    data = bytearray(by_pillow(noise(2, 2, 3)))
    data[data.index(b"\xff\xc0") + 9] = 2
    with pytest.raises(ImageError, match=r"16×16 pixels with 2 components; allowed: 1 \(gray\), 3"):
        open_bytes(bytes(data), LIMIT)


def test_cmyk_of_many_rows_is_converted_alike():
    """Some rows at a time, RGB is each ink times black, to the nearest integer, for every depth."""
    for kind, white in ((np.uint8, 255), (np.uint16, 65_535), (np.uint32, 2**32 - 1)):
        bright = np.random.default_rng(8).integers(0, white, (150, 20, 4), kind, endpoint=True)
        exact = bright.astype(object)
        assert np.array_equal(cmyk_to_rgb(bright), (exact[..., :3] * exact[..., 3:] + white // 2) // white)
