"""What samples of a TIFF mean: every interpretation, type, depth and compression, against other decoders."""

from __future__ import annotations

import importlib.util
import io
import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image

from convcli.core.errors import ImageError
from convcli.formats.opening import open_bytes
from tests.formats.tiffs import compressed, packed, tiff

RNG = np.random.default_rng(41)
ROWS, COLUMNS = 5, 11
COMPRESSIONS = (1, 5, 8, 32773, 34925, 50000)
PALETTES = {bits: RNG.integers(0, 256, (3, 2**bits)) for bits in (1, 2, 4, 8, 16)}

WHITE, BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
UNSIGNED, SIGNED, FLOAT, VOID = 1, 2, 3, 4
ALPHA, MULTIPLIED, BAND = 2, 1, 0

INTEGERS = [(WHITE, 1, None), (BLACK, 1, None), (WHITE, 2, ALPHA), (BLACK, 2, ALPHA), (BLACK, 2, BAND)]
COLORS = [(RGB, 3, None), (RGB, 4, ALPHA), (RGB, 4, MULTIPLIED), (RGB, 4, BAND), (RGB, 4, None)]
TABLE = [
    *(
        (*kind, UNSIGNED, bits)
        for kind in INTEGERS[:2]
        for bits in (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 32)
    ),
    *((*kind, UNSIGNED, bits) for kind in INTEGERS[2:] for bits in (4, 8, 16, 32)),
    *((*kind, UNSIGNED, bits) for kind in COLORS for bits in (8, 16)),
    *((RGB, 3, None, UNSIGNED, bits) for bits in (4, 12, 24, 32)),
    *((PALETTE, 1, None, UNSIGNED, bits) for bits in PALETTES),
    *((PALETTE, 2, extra, UNSIGNED, bits) for extra in (ALPHA, BAND) for bits in (4, 8, 16)),
    *((CMYK, 4, None, UNSIGNED, bits) for bits in (8, 16)),
    (CMYK, 5, ALPHA, UNSIGNED, 8),
    (YCBCR, 3, None, UNSIGNED, 8),
    *((kind, 1, None, SIGNED, bits) for kind in (WHITE, BLACK) for bits in (8, 16, 32)),
    *((kind, 1, None, FLOAT, bits) for kind in (WHITE, BLACK) for bits in (16, 32, 64)),
    *((RGB, 3, None, kind, bits) for kind, bits in ((SIGNED, 16), (FLOAT, 32), (FLOAT, 64))),
    (BLACK, 1, None, VOID, 8),
]
"""Interpretation, samples, what the last one is, sample format, bits."""


def samples_of(count: int, form: int, bits: int) -> np.ndarray:
    """(rows, columns, samples) of every magnitude that the type has."""
    shape = ROWS, COLUMNS, count
    if form == FLOAT:
        return RNG.normal(size=shape).astype(f"f{bits // 8}")
    if form == SIGNED:
        info = np.iinfo(f"i{bits // 8}")
        return RNG.integers(info.min, info.max, shape, endpoint=True).astype(f"i{bits // 8}")
    kind = f"u{1 if bits <= 8 else 2 if bits <= 16 else 4}"
    return RNG.integers(0, 2**bits, shape).astype(kind)


def file_of(
    samples: np.ndarray, kind: int, extra: int | None, form: int, bits: int, compression: int, order: str
) -> bytes:
    """A page of one strip."""
    count = samples.shape[-1]
    tags = {256: COLUMNS, 257: ROWS, 258: [bits] * count, 259: compression, 262: kind, 277: count, 278: ROWS}
    tags |= {338: extra} if extra is not None else {}
    tags |= {339: [form] * count} if form != UNSIGNED else {}
    tags |= {320: (PALETTES[bits] * 257).ravel().tolist()} if kind == PALETTE else {}
    tags |= {530: [1, 1]} if kind == YCBCR else {}
    row = -(-COLUMNS * count * bits // 8)
    return tiff(tags, [compressed(packed(samples, bits, order), compression, row)], order)


def spread(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of so many bits over the full range of 8, 16 or 32, to nearest, by exact arithmetic."""
    top = 2 ** (8 if bits <= 8 else 16 if bits <= 16 else 32) - 1
    most = 2**bits - 1
    exact = (values.astype(object) * top * 2 + most) // (2 * most)
    return exact.astype(f"u{(top.bit_length()) // 8}")


def expected(samples: np.ndarray, kind: int, extra: int | None, form: int, bits: int) -> np.ndarray:
    """The pixels, by the definitions of TIFF 6.0."""
    if kind == PALETTE:
        colors = np.moveaxis(PALETTES[bits], 0, -1)[samples[..., 0]].astype(np.uint8)
        more = spread(samples[..., 1:], bits)
        return np.concatenate((colors, more if bits <= 8 else np.rint(more / 257).astype(np.uint8)), -1)
    if form in (SIGNED, FLOAT):
        return samples
    full = spread(samples, bits)
    white = np.iinfo(full.dtype).max
    if kind == WHITE:
        full[..., 0] = white - full[..., 0]
    if extra == MULTIPLIED:
        colors = np.divide(
            full[..., :-1] * float(white),
            full[..., -1:],
            where=full[..., -1:] > 0,
            out=np.zeros((*full.shape[:2], 3)),
        )
        full[..., :-1] = np.rint(colors.clip(0, white))
    if kind == CMYK:
        bright = (white - full[..., :4]).astype(object)
        colors = (bright[..., :3] * bright[..., 3:] + white // 2) // white
        full = np.concatenate((colors.astype(full.dtype), full[..., 4:]), -1)
    if kind == YCBCR:
        y, cb, cr = np.moveaxis(full.astype(float), -1, 0)
        full = rgb_of(y, cb, cr)
    return full


def rgb_of(y: np.ndarray, cb: np.ndarray, cr: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, with the full range of luma."""
    r, b = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    g = (y - 0.299 * r - 0.114 * b) / 0.587
    return np.rint(np.stack((r, g, b), -1)).clip(0, 255).astype(np.uint8)


def by_pillow(data: bytes, kind: int, extra: int | None, form: int, bits: int) -> np.ndarray | None:
    """What Pillow reads, or None where it does not, or is known to read something else."""
    if form == FLOAT and data.startswith(b"MM"):  # it swaps the bytes of compressed ones twice
        return None
    if bits not in (1, 2, 4, 8, 16, 32) or form in (SIGNED, VOID) or (bits, kind) == (16, WHITE):
        return None
    if extra == BAND or (bits > 8 and kind not in (BLACK,)) or (form == UNSIGNED and bits == 32):
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode = {"CMYK": "RGB", "YCbCr": "RGB", "P": "RGB", "PA": "RGBA", "1": "L"}.get(
                image.mode, image.mode
            )
            found = np.asarray(image.convert(mode))
    except OSError:
        return None
    return found.reshape(ROWS, COLUMNS, -1)


def by_opencv(data: bytes, kind: int, extra: int | None, bits: int) -> np.ndarray | None:
    """What OpenCV, if installed, reads of gray and RGB images whose bits it keeps."""
    if importlib.util.find_spec("cv2") is None or extra is not None or bits not in (8, 16):
        return None
    if kind not in (BLACK, RGB, YCBCR):
        return None
    import cv2

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        return None
    return found[..., [2, 1, 0, 3][: found.shape[2]]] if found.ndim == 3 else found[..., None]


@pytest.mark.parametrize("entry", TABLE, ids=str)
def test_the_table(entry):
    """Every compression and byte order gives the pixels of TIFF 6.0; tifffile, Pillow and OpenCV agree.

    Tifffile is asked for stored samples, which none of the others gives.
    """
    kind, count, extra, form, bits = entry
    samples = samples_of(count, form, bits)
    right = expected(samples.copy(), kind, extra, form, bits)
    for compression, order in itertools.product(COMPRESSIONS, "<>"):
        data = file_of(samples, kind, extra, form, bits, compression, order)
        found = open_bytes(data).reader().rows(0, 0, ROWS)
        assert found.dtype == right.dtype
        assert found.shape == right.shape
        assert np.array_equal(found, right), (compression, order)
        if bits != 24:  # which it reads in one order of bytes
            stored = tifffile.imread(io.BytesIO(data)).reshape(samples.shape)
            assert np.array_equal(stored, samples)
        pillow = by_pillow(data, kind, extra, form, bits)
        if pillow is not None:
            close = 1 if kind == YCBCR or extra == MULTIPLIED else 0
            assert pillow.shape == right.shape
            assert np.abs(pillow.astype(float) - right).max() <= close
        opencv = by_opencv(data, kind, extra, bits) if order == "<" and form == UNSIGNED else None
        if opencv is not None:
            assert np.abs(opencv.astype(float) - right).max() <= (1 if kind == YCBCR else 0)


def test_pillow_judges_most_of_what_it_can():
    """The table's rules leave enough cases to the second decoder."""
    asked = 0
    for kind, count, extra, form, bits in TABLE:
        data = file_of(samples_of(count, form, bits), kind, extra, form, bits, 1, "<")
        asked += by_pillow(data, kind, extra, form, bits) is not None
    assert asked >= 20


@pytest.mark.parametrize("compression", [2, 3, 4])
def test_fax(compression):
    """CCITT codes of either interpretation and bit order, as Pillow reads them; cut off, they are refused."""
    if compression not in tifffile.TIFF.DECOMPRESSORS:
        pytest.skip("newer versions of tifffile and imagecodecs decode CCITT")
    name = {2: "tiff_ccitt", 3: "group3", 4: "group4"}[compression]
    bits = RNG.integers(0, 2, (40, 61), np.uint8) | (np.arange(61) % 9 < 4)
    buffer = io.BytesIO()
    Image.fromarray(bits * 255).convert("1").save(buffer, "TIFF", compression=name)
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        (start,), (size,) = file.pages.first.dataoffsets, file.pages.first.databytecounts
    codes = buffer.getvalue()[start : start + size]
    turned = np.packbits(np.unpackbits(np.frombuffer(codes, np.uint8), bitorder="little")).tobytes()
    tags = {256: 61, 257: 40, 258: 1, 259: compression, 277: 1, 278: 40}
    for interpretation, (order, strip) in itertools.product((WHITE, BLACK), ((1, codes), (2, turned))):
        page = {**tags, 262: interpretation, 266: order}
        data = tiff(page, [strip])
        found = open_bytes(data).pixels()[..., 0]
        assert set(np.unique(found)) == {0, 255}
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(found, np.asarray(image.convert("L")))
        assert np.array_equal(open_bytes(tiff({**page, 279: 0}, [strip])).pixels()[..., 0], found)
        with pytest.raises(ImageError, match="damaged tiff"):
            open_bytes(tiff(page, [strip[: len(strip) // 2]])).pixels()


@pytest.mark.parametrize("shared", [(1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4), None], ids=str)
@pytest.mark.parametrize("strip", [4, 6, 8])
def test_chroma_that_pixels_share(shared, strip):
    """Each luma has the chroma of its block, of 2 × 2 pixels without a tag; Pillow agrees where it can."""
    wide, high = shared or (2, 2)
    if strip % high:
        strip = 8
    rows, columns = 6, 15
    parts, right = [], np.empty((rows, columns, 3), np.uint8)
    for top in range(0, rows, strip):
        down, across = -(-min(strip, rows - top) // high), -(-columns // wide)
        units = RNG.integers(0, 256, (down, across, wide * high + 2), np.uint8)
        parts.append(units.tobytes())
        for row, column in itertools.product(range(top, min(top + strip, rows)), range(columns)):
            unit = units[(row - top) // high, column // wide].astype(float)
            luma = unit[(row - top) % high * wide + column % wide]
            right[row, column] = rgb_of(luma, *unit[-2:])
    tags = {256: columns, 257: rows, 258: [8] * 3, 262: YCBCR, 277: 3, 278: strip}
    tags |= {530: list(shared)} if shared else {}
    for compression in (1, 5, 8, 32773):
        row = -(-columns // wide) * (wide * high + 2)
        data = tiff({**tags, 259: compression}, [compressed(part, compression, row) for part in parts])
        opened = open_bytes(data)
        assert np.array_equal(opened.pixels(), right)
        assert "YCbCr was converted to RGB" in opened.header.notes
        if compression != 1:  # which Pillow takes for samples that are not shared
            with Image.open(io.BytesIO(data)) as image:
                assert np.abs(np.asarray(image.convert("RGB")).astype(int) - right).max() <= 1


def test_ycbcr_with_headroom():
    """Reference black and white of video: 16 is black, 235 is white."""
    pixels = np.array([[[16, 128, 128], [235, 128, 128], [81, 90, 240]]], np.uint8)
    reference = [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1]
    tags = {256: 3, 257: 1, 258: [8] * 3, 259: 1, 262: YCBCR, 277: 3, 278: 1, 530: [1, 1], 532: reference}
    found = open_bytes(tiff(tags, [pixels.tobytes()])).pixels().astype(int)
    assert np.abs(found[0] - [[0, 0, 0], [255, 255, 255], [255, 0, 0]]).max() <= 2


def test_a_palette_of_bytes():
    """A map without a value above 255 is one of bytes; one with, of 16 bits; the report says which."""
    index = np.arange(16, dtype=np.uint8).reshape(4, 4)
    table = np.arange(48).reshape(3, 16)
    tags = {256: 4, 257: 4, 258: 8, 259: 1, 262: PALETTE, 277: 1, 278: 4}
    table = np.pad(table, ((0, 0), (0, 240)))
    for factor, note in (
        (1, "its palette of 8-bit values was applied"),
        (256, "its palette was applied, with 8 bits"),
    ):
        opened = open_bytes(tiff({**tags, 320: (table * factor).ravel().tolist()}, [index.tobytes()]))
        assert np.array_equal(opened.pixels(), np.moveaxis(table[:, index], 0, -1))
        assert any(text.startswith(note) for text in opened.header.notes)


def test_the_band_behind_an_index():
    """It is alpha or a band, as the file says, never left out."""
    samples = samples_of(2, UNSIGNED, 8)
    for extra, kind in ((ALPHA, "RGBA"), (BAND, "4 channels")):
        header = open_bytes(file_of(samples, PALETTE, extra, UNSIGNED, 8, 1, "<")).header
        assert (header.channels, header.alpha, header.kind) == (4, extra == ALPHA, f"{kind}, 8-bit")


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("kind", [CMYK, RGB, YCBCR])
def test_planes_and_tiles_of_colors(kind, planar):
    """Samples that lie apart, or in tiles, are the same colors."""
    count = {CMYK: 4, RGB: 3, YCBCR: 3}[kind]
    samples = RNG.integers(0, 256, (20, 37, count), np.uint8)
    right = expected(samples.copy(), kind, None, UNSIGNED, 8)
    tags = {256: 37, 257: 20, 258: [8] * count, 259: 8, 262: kind, 277: count}
    tags |= {284: 2 if planar else 1} | ({530: [1, 1]} if kind == YCBCR else {})
    planes = [samples[..., index : index + 1] for index in range(count)] if planar else [samples]
    strips = [plane[top : top + 7] for plane in planes for top in range(0, 20, 7)]
    padded = [np.pad(plane, ((0, 12), (0, 11), (0, 0))) for plane in planes]
    tiles = [
        plane[top : top + 16, left : left + 16] for plane in padded for top in (0, 16) for left in (0, 16, 32)
    ]
    for sizes, parts in (({278: 7}, strips), ({322: 16, 323: 16}, tiles)):
        data = tiff({**tags, **sizes}, [compressed(part.tobytes(), 8, 1) for part in parts])
        assert np.array_equal(open_bytes(data).reader().rows(0, 0, 20), right)
        assert np.array_equal(open_bytes(data).reader().rows(0, 6, 9), right[6:9])


GRAY = {256: 7, 257: 5, 258: 8, 259: 1, 262: BLACK, 277: 1, 278: 5}
PIXELS = RNG.integers(0, 256, (5, 7), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 34, 36, 1000, 2**31])
def test_a_single_strip_is_as_long_as_its_rows(count):
    """What an uncompressed strip says of its length is not believed; as libtiff, by Pillow, reads it."""
    data = tiff({**GRAY, 279: count}, [PIXELS.tobytes()])
    assert np.array_equal(open_bytes(data).pixels()[..., 0], PIXELS)
    with pytest.raises(ImageError, match=r"damaged tiff: strip 0 \(from row 0\) is missing or truncated"):
        open_bytes(tiff({**GRAY, 279: count}, [PIXELS.tobytes()[:-1]], first=True)).pixels()


def test_a_last_strip_that_counts_rows_that_are_not_there():
    """Writers that give the last strip the length of the others are understood."""
    strips = [PIXELS[:2].tobytes(), PIXELS[2:4].tobytes(), PIXELS[4:].tobytes()]
    data = tiff({**GRAY, 278: 2, 279: [14, 14, 14]}, strips, first=True)
    assert np.array_equal(open_bytes(data).pixels()[..., 0], PIXELS)


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({262: None}, "the photometric interpretation is missing"),
        ({262: WHITE, 339: 2}, "WhiteIsZero is ignored for signed integers and floats"),
    ],
)
def test_what_is_guessed_is_told(tags, note):
    """Gray with 0 for black, and values as they are stored."""
    kept = {tag: value for tag, value in {**GRAY, **tags}.items() if value is not None}
    opened = open_bytes(tiff(kept, [PIXELS.tobytes()]))
    assert any(text.startswith(note) for text in opened.header.notes)
    assert np.array_equal(opened.pixels()[..., 0].view(np.uint8), PIXELS)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({262: 8}, "tiff with CIELAB colors; allowed: gray, RGB, palette, CMYK and YCbCr; convert it"),
        ({262: 32845, 258: 16, 259: 34676}, "tiff with compression SGILOG, which is not supported"),
        (
            {262: 32803},
            "tiff of an undeveloped color mosaic, which is not supported; develop it to RGB first",
        ),
        ({262: 6, 259: 6}, "tiff with old-style JPEG compression .*; convert it with libtiff's tiffcp"),
        ({259: 999}, "tiff with compression 999, which is not supported"),
        ({262: CMYK, 277: 4, 258: [8] * 4, 332: 2}, "tiff of inks that are not supported; allowed: CMYK"),
        ({262: RGB, 277: 1}, "damaged tiff: 1 samples per pixel; its colors take 3"),
        (
            {262: YCBCR, 277: 3, 258: [16] * 3},
            "tiff of YCbCr colors that is not supported; allowed: 3 samples of 8",
        ),
        ({258: 64}, "tiff of type uint64; allowed: bool, integers of 8 to 32 bits, or floats"),
        ({258: 64, 339: 6}, "tiff of type complex64; allowed"),
        ({258: 12, 339: 2}, "tiff of samples of 12 bits; allowed"),
    ],
)
def test_what_is_refused_says_why(tags, message):
    """Before a pixel is decoded, with what is allowed or can be done."""
    with pytest.raises(ImageError, match=message):
        open_bytes(tiff({**GRAY, **tags}, [bytes(4000)]))
