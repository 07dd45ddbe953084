"""Radiance HDR: values, orientations and header lines, against OpenCV."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from convcli.core.errors import ImageError
from convcli.formats.header import Metadata
from convcli.formats.opening import open_bytes
from convcli.formats.registry import format_named

HDR = format_named("hdr")
RNG = np.random.default_rng(2)


def quads(rows: int = 6, columns: int = 9) -> np.ndarray:
    """Pixels as RGBE stores them, normalized: the brightest color has its highest bit."""
    stored = RNG.integers(0, 256, (rows, columns, 4), np.uint8)
    stored[..., 0] |= 128
    stored[..., 3] = stored[..., 3] // 2 + 64
    return stored


def values(stored: np.ndarray) -> np.ndarray:
    """The colors of stored pixels: mantissa times two to the exponent less 136."""
    return np.ldexp(stored[..., :3].astype(np.float32), stored[..., 3:].astype(int) - 136)


def file(body: bytes, size: str = "-Y 6 +X 9", lines: str = "FORMAT=32-bit_rle_rgbe\n") -> bytes:
    return f"#?RADIANCE\n{lines}\n{size}\n".encode() + body


def test_stored_values_survive():
    """What a file holds is read exactly, and written again as it was, at all widths that runs have or not."""
    for columns in (1, 7, 8, 9, 400):
        stored = quads(6, columns)
        opened = open_bytes(file(stored.tobytes(), f"-Y 6 +X {columns}"))
        assert opened.header.linear and opened.header.dtype == np.float32
        assert np.array_equal(opened.pixels(), values(stored))
        again = open_bytes(HDR.encode(opened.pixels(), Metadata()))
        assert np.array_equal(again.pixels(), values(stored))


def test_other_values_are_rounded_to_nearest():
    """Within half a step of the brightest color, also where rounding reaches a power of two."""
    colors = RNG.lognormal(0, 6, (40, 40, 3)).astype(np.float32)
    colors[0, 0], colors[0, 1], colors[0, 2] = (0, 0, 0), (0.99999, 0.5, 0.3), (1, 1e-9, 0)
    found = open_bytes(HDR.encode(colors, Metadata())).pixels()
    steps = np.ldexp(np.float32(1), np.frexp(found.max(-1, keepdims=True))[1] - 8)
    assert np.all(np.abs(found - colors) <= steps / 2)


def test_values_that_have_no_place():
    """Negative values and NaN are 0, infinity is the largest value, gray becomes RGB."""
    gray = np.array([[-1, np.nan, np.inf, 3e38, 0.5, 1, 2, 4, 8]], np.float32)[..., None]
    found = open_bytes(HDR.encode(gray, Metadata())).pixels()
    most = np.ldexp(255, 119)
    assert found[0].tolist() == [[value] * 3 for value in (0, 0, most, most, 0.5, 1, 2, 4, 8)]


@pytest.mark.parametrize(
    ("size", "moved"),
    [
        ("-Y 6 +X 9", lambda a: a),
        ("-Y 6 -X 9", lambda a: a[:, ::-1]),
        ("+Y 6 -X 9", lambda a: a[::-1, ::-1]),
        ("+Y 6 +X 9", lambda a: a[::-1]),
        ("+X 6 -Y 9", lambda a: a.swapaxes(0, 1)),
        ("-X 6 -Y 9", lambda a: a[::-1].swapaxes(0, 1)),
        ("-X 6 +Y 9", lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        ("+X 6 +Y 9", lambda a: a[:, ::-1].swapaxes(0, 1)),
    ],
)
def test_orientations(size, moved):
    """Rows and columns in all eight orders are rotated upright."""
    stored = quads()
    opened = open_bytes(file(stored.tobytes(), size))
    assert np.array_equal(opened.pixels(), moved(values(stored)))
    assert opened.pixels().shape[:2] == (opened.header.rows, opened.header.columns)


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="needs OpenCV")
def test_opencv_agrees():
    """OpenCV reads the same values, and its files are read."""
    import cv2

    colors = RNG.lognormal(0, 2, (30, 50, 3)).astype(np.float32)
    data = HDR.encode(colors, Metadata())
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert np.array_equal(found, open_bytes(data).pixels())
    other = cv2.imencode(".hdr", np.ascontiguousarray(colors[..., ::-1]))[1].tobytes()
    assert np.allclose(open_bytes(other).pixels(), colors, rtol=0, atol=colors.max(-1, keepdims=True) / 128)


def test_lines_are_kept():
    """Exposure and other lines go to the result; those about storing do not."""
    lines = "# a comment\nEXPOSURE=0.5\nSOFTWARE=me\nPIXASPECT=2\nFORMAT=32-bit_rle_rgbe\n"
    header = open_bytes(file(quads().tobytes(), lines=lines)).header
    assert header.metadata.texts == (("EXPOSURE", "0.5"), ("SOFTWARE", "me"))
    assert any("aspect" in note for note in header.notes)
    again = HDR.encode(np.zeros((3, 9, 3), np.float32), header.metadata)
    assert open_bytes(again).header.metadata.texts == header.metadata.texts


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (file(b"", lines="FORMAT=32-bit_rle_xyze\n"), "32-bit_rle_xyze"),
        (file(b"", "-Y 6 +Y 9"), "size"),
        (file(b"", "-Y 0 +X 9"), "size"),
        (file(bytes(99)), "truncated"),
        (file(b"\1\1\1\7" * 9), "runs of pixels"),
        (b"#?RADIANCE\n" + bytes(400), "no size"),
    ],
)
def test_what_is_refused(data, words):
    """Other colors, sizes that make no sense, and files that are too short."""
    with pytest.raises(ImageError, match=words):
        open_bytes(data).pixels()
