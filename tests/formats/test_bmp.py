"""BMP: every header and depth against values packed by hand, Pillow and OpenCV; bit fields and runs."""

from __future__ import annotations

import importlib.util
import io
import struct

import numpy as np
import pytest
from PIL import Image

from convcli.core.errors import ImageError
from convcli.formats.decoding import PALETTE_NOTE
from convcli.formats.header import Metadata
from convcli.formats.opening import open_bytes
from tests.formats.test_metadata import ICC

LIMIT = 10**6
ROWS, COLUMNS = 5, 13
RNG = np.random.default_rng(14)
CORE, INFO, OS2 = 12, 40, 64
HEADERS = (CORE, 16, INFO, 52, 56, OS2, 108, 124)
DEPTHS = (1, 2, 4, 8, 16, 24, 32)
MASKS = {
    "x444": (16, (0xF00, 0xF0, 0xF, 0)),
    "a444": (16, (0xF00, 0xF0, 0xF, 0xF000)),
    "565": (16, (0xF800, 0x7E0, 0x1F, 0)),
    "1555": (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    "332 of 16": (16, (0xE0, 0x1C, 0x3, 0)),
    "24": (24, (0xFF, 0xFF00, 0xFF0000, 0)),
    "6 of 24": (24, (0x3F000, 0xFC0, 0x3F, 0)),
    "rgbx": (32, (0xFF, 0xFF00, 0xFF0000, 0)),
    "bgra": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "axbgr": (32, (0xFF, 0xFF000000, 0xFF0000, 0xFF00)),
    "odd places": (32, (0x7F8, 0x1FE0000, 0x1F800, 0)),
    "10 bits": (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000)),
    "no red": (32, (0, 0xFF00, 0xFF, 0)),
}


def head_of(size: int, bits: int, coding: int = 0, rows: int = ROWS, colors: int = 0) -> bytes:
    """An image header of so many bytes, without masks."""
    if size == CORE:
        return struct.pack("<IHHHH", size, COLUMNS, rows, 1, bits)
    fields = struct.pack("<IiiHHIIiiII", size, COLUMNS, rows, 1, bits, coding, 0, 11811, 5906, colors, 0)
    return fields[:size].ljust(size, b"\0")


def file(head: bytes, between: bytes, pixels: bytes) -> bytes:
    """A BMP; masks and palette stand ``between``."""
    place = 14 + len(head) + len(between)
    return struct.pack("<2sIII", b"BM", place + len(pixels), 0, place) + head + between + pixels


def packed(values: np.ndarray, bits: int, down: bool = False) -> bytes:
    """Rows of (rows, columns) integers, from the bottom up, each padded to four bytes."""
    rows = []
    for row in values if down else values[::-1]:
        digits = "".join(format(int(value), f"0{bits}b") for value in row)
        if bits >= 16:
            raw = b"".join(int(value).to_bytes(bits // 8, "little") for value in row)
        else:
            raw = int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8), "big")
        rows.append(raw.ljust(-(-len(raw) // 4) * 4, b"\0"))
    return b"".join(rows)


def palette_of(bits: int, size: int) -> tuple[np.ndarray, bytes]:
    """(entries, 3) of red, green and blue, and as it is stored."""
    colors = RNG.integers(0, 256, (1 << bits, 3), np.uint8)
    stored = colors[:, ::-1] if size == CORE else np.pad(colors[:, ::-1], ((0, 0), (0, 1)))
    return colors, stored.tobytes()


def spread(values: np.ndarray, mask: int, top: int) -> np.ndarray:
    """A mask's bits over 0 to ``top``, to the nearest integer."""
    if not mask:
        return np.zeros(values.shape)
    least = (mask & -mask).bit_length() - 1
    return np.floor((values & mask).astype(float) / 2.0**least * top / (mask >> least) + 0.5)


def by_masks(values: np.ndarray, masks: tuple[int, ...]) -> np.ndarray:
    top = 65_535 if max(mask.bit_count() for mask in masks) > 8 else 255
    used = masks if masks[3] else masks[:3]
    return np.stack([spread(values, mask, top) for mask in used], -1)


def by_opencv(data: bytes) -> np.ndarray | None:
    if importlib.util.find_spec("cv2") is None:
        return None
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else pixels[..., ::-1]


def by_pillow(data: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError):
        return None


def agrees(data: bytes, expected: np.ndarray, near: int) -> int:
    """How many other decoders read a file; each sees what is expected, but for its rounding."""
    others = [found for found in (by_pillow(data), by_opencv(data)) if found is not None]
    for found in others:
        assert np.abs(found.astype(int) - expected).max() <= near
    return len(others)


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize(
    ("size", "down"), [(size, down) for size in HEADERS for down in (False, True) if size != CORE or not down]
)
def test_every_header_and_depth(size, bits, down):
    """Values packed by hand come back, and other decoders that read the file agree."""
    values = RNG.integers(0, 1 << bits, (ROWS, COLUMNS))
    head, rows = head_of(size, bits, rows=-ROWS if down else ROWS), packed(values, bits, down)
    if bits <= 8:
        colors, stored = palette_of(bits, size)
        expected, notes = colors[values], (PALETTE_NOTE,)
    else:
        masks = (0x7C00, 0x3E0, 0x1F, 0) if bits == 16 else (0xFF0000, 0xFF00, 0xFF, 0)
        expected, stored = by_masks(values, masks), b""
        notes = ("values of 5 bits were scaled to 0 to 255, rounded to nearest",) if bits == 16 else ()
    data = file(head, stored, rows)
    opened = open_bytes(data, LIMIT)
    assert np.array_equal(opened.pixels(), expected)
    assert opened.header.notes == notes
    resolution = (11811, 5906) if size >= INFO else None
    assert opened.header.metadata.resolution == resolution
    others = agrees(data, expected, 8 if bits == 16 else 0)
    assert others or size in (16, 52) or bits == 2


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("size", [INFO, 52, 56, 108, 124])
def test_masks(size, name):
    """Masks of any position and width are read, after the header and within it."""
    bits, masks = MASKS[name]
    values = RNG.integers(0, 1 << bits, (ROWS, COLUMNS))
    stored = struct.pack("<4I", *masks)
    held = 12 if size == 52 else 16
    if size == INFO:
        coding = 6 if masks[3] else 3
        between, head = stored[: 16 if coding == 6 else 12], head_of(size, bits, coding)
    else:
        head, between = head_of(size, bits, 3), b""
        head = head[:40] + stored[:held] + head[40 + held :]
    data = file(head, between, packed(values, bits))
    opened = open_bytes(data, LIMIT)
    expected = by_masks(values, masks if size != 52 else (*masks[:3], 0))
    assert opened.header.dtype == (np.uint16 if name == "10 bits" else np.uint8)
    assert np.array_equal(opened.pixels(), expected)
    odd = {mask.bit_count() for mask in masks[: expected.shape[2]]} - {0, 1, 8}
    assert bool(opened.header.notes) == bool(odd)
    if name in ("565", "bgra") or (name == "rgbx" and size > 52):  # OpenCV overlooks the others' masks
        agrees(data, expected[..., :3], 8)


def test_fields_without_masks():
    """Four masks of 0 are the usual ones, with alpha, as Pillow takes them."""
    values = RNG.integers(0, 1 << 32, (ROWS, COLUMNS))
    data = file(head_of(124, 32, 3), b"", packed(values, 32))
    expected = by_masks(values, MASKS["bgra"][1])
    assert np.array_equal(open_bytes(data, LIMIT).pixels(), expected)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), expected)


RUNS = {
    "all": (b"\x0d\x02\0\0" * ROWS + b"\0\1", [[2] * COLUMNS] * ROWS),
    "without an end": (b"\x0d\x02\0\0" * 4 + b"\x0d\x02", [[2] * COLUMNS] * ROWS),
    "literal": (b"\0\3\1\2\3\0\0\0\0\1", [[1, 2, 3]]),
    "ends of rows": (b"\2\1\0\0\3\2\0\0\1\3\0\1", [[1, 1], [2, 2, 2], [3]]),
    "end of the image": (b"\2\1\0\1", [[1, 1]]),
    "skips": (b"\2\1\0\2\3\1\2\4\0\2\1\2\1\5\0\1", [[1, 1], [0] * 5 + [4, 4], [], [0] * 8 + [5]]),
    "too long for a row": (b"\x14\3\0\0\1\4\0\1", [[3] * COLUMNS, [4]]),
    "beyond the image": (b"\1\1\0\2\0\x20\1\1\0\1", [[1]]),
}


def from_bottom(rows: list[list[int]]) -> np.ndarray:
    """Indices by rows from the bottom up, 0 where there are none."""
    found = np.zeros((ROWS, COLUMNS), int)
    for number, row in enumerate(rows):
        found[ROWS - 1 - number, : len(row)] = row
    return found


@pytest.mark.parametrize("name", RUNS)
def test_runs_of_bytes(name):
    """RLE8: skipped pixels are the first entry of the palette."""
    coded, rows = RUNS[name]
    colors, stored = palette_of(8, INFO)
    data = file(head_of(INFO, 8, 1), stored, coded)
    expected = colors[from_bottom(rows)]
    assert np.array_equal(open_bytes(data, LIMIT).pixels(), expected)


def test_runs_of_half_bytes():
    """RLE4: two indices take turns, literal ones are padded to two bytes."""
    coded = b"\5\x12\0\0\0\5\x12\x34\x50\0\0\2\2\1\3\x67\0\1"
    rows = [[1, 2, 1, 2, 1], [1, 2, 3, 4, 5, 0, 0], [0] * 7 + [6, 7, 6]]
    colors, stored = palette_of(4, INFO)
    data = file(head_of(INFO, 4, 2), stored, coded)
    assert np.array_equal(open_bytes(data, LIMIT).pixels(), colors[from_bottom(rows)])


@pytest.mark.parametrize("bits", [4, 8])
def test_runs_as_others_write_them(bits):
    """Rows of runs, as OpenCV and Pillow decode them."""
    values = np.repeat(RNG.integers(0, 1 << bits, (ROWS, 5)), 3, axis=1)[:, :COLUMNS]
    coded = b""
    for row in values[::-1]:
        for start in range(0, COLUMNS, 3):
            index = int(row[start])
            coded += bytes((min(3, COLUMNS - start), index * 17 if bits == 4 else index))
        coded += b"\0\0"
    colors, stored = palette_of(bits, INFO)
    data = file(head_of(INFO, bits, 2 if bits == 4 else 1), stored, coded + b"\0\1")
    assert np.array_equal(open_bytes(data, LIMIT).pixels(), colors[values])
    assert agrees(data, colors[values], 0)


def test_palettes():
    """Fewer entries than indices, more than fit in front of the pixels, and gray ones that are values."""
    values = RNG.integers(0, 16, (ROWS, COLUMNS))
    colors, stored = palette_of(4, INFO)
    black = np.concatenate([colors[:10], np.zeros((6, 3), np.uint8)])
    few = file(head_of(INFO, 8, colors=10), stored[:40], packed(values, 8))
    assert np.array_equal(open_bytes(few, LIMIT).pixels(), black[values])
    many = file(head_of(INFO, 8, colors=4000), stored[:40], packed(values, 8))
    assert np.array_equal(open_bytes(many, LIMIT).pixels(), black[values])
    shades = b"".join(bytes((shade, shade, shade, 0)) for shade in range(256))
    gray = open_bytes(file(head_of(INFO, 8), shades, packed(values, 8)), LIMIT)
    assert (gray.header.channels, gray.header.notes) == (1, ())
    assert np.array_equal(gray.pixels()[..., 0], values)
    mono = open_bytes(
        file(head_of(INFO, 1), bytes((0, 0, 0, 0, 255, 255, 255, 0)), packed(values & 1, 1)), LIMIT
    )
    assert np.array_equal(mono.pixels()[..., 0], (values & 1) * 255)


def test_color_spaces():
    """A profile in the file, one elsewhere, and sRGB with its intent, as the largest header says them."""
    pixels = packed(RNG.integers(0, 1 << 24, (ROWS, COLUMNS)), 24)

    def opened(kind: bytes, intent: int = 0, size: int = 0) -> object:
        head = bytearray(head_of(124, 24))
        head[56:60] = kind
        struct.pack_into("<III", head, 108, intent, 124 + len(pixels), size)
        return open_bytes(file(bytes(head), b"", pixels) + ICC, LIMIT).header

    resolution = (11811, 5906)
    assert opened(b"DEBM", 4, len(ICC)).metadata == Metadata(icc=ICC, resolution=resolution)
    assert opened(b"BGRs", 2).metadata == Metadata(srgb=1, resolution=resolution)
    linked = opened(b"KNIL", 4, 10)
    assert linked.metadata == Metadata(resolution=resolution)
    assert linked.notes == ("left out: an ICC profile in another file",)


REFUSED = {
    "a header of 12345 bytes": (
        struct.pack("<I", 12345),
        "bmp with a header of 12345 bytes; allowed: 12, 16 to",
    ),
    "no columns": (struct.pack("<IiiHH", 40, 0, 5, 1, 24), "damaged bmp: 0×5 pixels"),
    "a JPEG": (head_of(INFO, 24, 4), "bmp with an embedded JPEG; allowed: 1, 2, 4, 8"),
    "RLE24": (head_of(OS2, 24, 4), "bmp with RLE24; allowed"),
    "Huffman codes": (head_of(OS2, 1, 3), "bmp with Huffman codes; allowed"),
    "unknown": (head_of(INFO, 24, 99), "bmp with coding 99; allowed"),
    "5 bits": (head_of(INFO, 5), "bmp with 5 bits; allowed"),
    "8 bits of fields": (head_of(INFO, 8, 3), "bmp with 8 bits; allowed"),
    "no palette": (head_of(INFO, 8), "damaged bmp: there is no palette before the pixels"),
    "a mask with holes": (head_of(INFO, 16, 3) + struct.pack("<3I", 5, 0, 0), "a mask of 0x5 in 16 bits"),
    "a mask too wide": (head_of(INFO, 16, 3) + struct.pack("<3I", 1 << 16, 0, 0), "a mask of 0x10000 in 16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    """By its kind, which is not called damage, or by what is wrong."""
    head, words = REFUSED[name]
    with pytest.raises(ImageError) as failure:
        open_bytes(file(head.ljust(40, b"\0") if len(head) < 40 else head, b"", bytes(4000)), LIMIT).pixels()
    assert words in str(failure.value)


def test_cut_anywhere():
    """The padding behind the last row may be missing, nothing else."""
    values = RNG.integers(0, 1 << 24, (ROWS, COLUMNS))
    _, stored = palette_of(8, INFO)
    plain = file(head_of(INFO, 24), b"", packed(values, 24))
    runs = file(head_of(INFO, 8, 1), stored, b"\3\1\0\3\1\2\3\0\0\2\1\1\2\2\0\1")
    for data, spare in ((plain, 1), (runs, 0)):
        whole = open_bytes(data, LIMIT).pixels()
        for length in range(2, len(data)):
            if length >= len(data) - spare:
                assert np.array_equal(open_bytes(data[:length], LIMIT).pixels(), whole)
                continue
            with pytest.raises(ImageError, match=r"is truncated|no palette"):
                open_bytes(data[:length], LIMIT).pixels()
