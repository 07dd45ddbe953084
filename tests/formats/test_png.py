"""PNG of every depth and color type, against values built by hand and Pillow."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from convcli.core.errors import ImageError
from convcli.formats.decoding import PALETTE_NOTE, strict_errors
from convcli.formats.opening import Opened, open_bytes
from convcli.formats.png import rows as pngrows

RNG = np.random.default_rng(41)
LIMIT = 10**9
ROWS, COLUMNS = 5, 11
SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def packed(stored: np.ndarray, depth: int) -> bytes:
    """Rows of samples, most significant bit first, each behind filter byte 0."""
    lines = []
    for row in stored.reshape(len(stored), -1):
        text = "".join(f"{value:0{depth}b}" for value in row)
        text += "0" * (-len(text) % 8)
        lines.append(b"\0" + int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(lines)


def file(stored: np.ndarray, depth: int, color: int, **chunks: bytes) -> bytes:
    """A PNG of these samples; ``chunks`` stand in front of the pixels."""
    between = b"".join(chunk(kind.encode(), body) for kind, body in chunks.items())
    pixels = chunk(b"IDAT", zlib.compress(packed(stored, depth)))
    return SIGNATURE + head_of(depth, color) + between + pixels + chunk(b"IEND", b"")


def head_of(depth: int, color: int, interlace: int = 0) -> bytes:
    """An IHDR chunk."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", COLUMNS, ROWS, depth, color, 0, 0, interlace))


def samples(depth: int, count: int) -> np.ndarray:
    return RNG.integers(0, 2**depth, (ROWS, COLUMNS, count), np.int64)


def read(data: bytes, channels: int, depth: int) -> np.ndarray:
    """The pixels, found to be of the type and channels that the depth asks for."""
    opened = open_bytes(data, LIMIT)
    pixels = opened.pixels()
    kind = np.dtype(np.uint16 if depth == 16 else np.uint8)
    assert (opened.header.channels, opened.header.dtype, pixels.dtype) == (channels, kind, kind)
    assert pixels.shape == (ROWS, COLUMNS, channels)
    return pixels


def white(depth: int) -> int:
    return 65535 if depth == 16 else 255


@pytest.mark.parametrize(
    ("color", "depth"), [(0, 1), (0, 2), (0, 4), *((c, d) for c in (0, 2, 4, 6) for d in (8, 16))]
)
def test_every_depth_and_color_type(color, depth):
    """Samples of less than 8 bits are spread over the full range; the others are as they are."""
    stored = samples(depth, SAMPLES[color])
    share = white(depth) // (2**depth - 1)
    assert np.array_equal(read(file(stored, depth, color), SAMPLES[color], depth), stored * share)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_gray(depth):
    """The gray that tRNS names, compared in all its bits, has alpha 0."""
    stored = samples(depth, 1)
    key = int(stored[2, 3, 0])
    if depth == 16:
        stored[0, 0, 0] = key ^ 1  # the same upper byte, another gray
    pixels = read(file(stored, depth, 0, tRNS=struct.pack(">H", key)), 2, depth)
    assert np.array_equal(pixels[..., :1], stored * (white(depth) // (2**depth - 1)))
    assert np.array_equal(pixels[..., 1:], np.where(stored == key, 0, white(depth)))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_color(depth):
    """The color that tRNS names, all three of it, has alpha 0."""
    stored = samples(depth, 3)
    key = stored[1, 4].copy()
    stored[0, 0] = key ^ (0, 0, 1)
    pixels = read(file(stored, depth, 2, tRNS=struct.pack(">HHH", *key)), 4, depth)
    assert np.array_equal(pixels[..., :3], stored)
    assert np.array_equal(pixels[..., 3], np.where((stored == key).all(-1), 0, white(depth)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [0, 1, 2])
def test_palettes(transparent, depth):
    """Colors looked up, with the alpha of the entries that tRNS lists and 255 for the others."""
    stored = samples(depth, 1)
    palette = RNG.integers(0, 256, (2**depth, 3), np.uint8)
    alphas = np.full(2**depth, 255, np.uint8)
    alphas[:transparent] = (0, 77)[:transparent]
    chunks = {"PLTE": palette.tobytes()}
    if transparent:
        chunks["tRNS"] = alphas[:transparent].tobytes()
    data = file(stored, depth, 3, **chunks)
    pixels = read(data, 4 if transparent else 3, 8)
    assert np.array_equal(pixels[..., :3], palette[stored[..., 0]])
    if transparent:
        assert np.array_equal(pixels[..., 3], alphas[stored[..., 0]])
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(pixels, np.asarray(image.convert("RGBA" if transparent else "RGB")))


def by_libpng(channels: int, dtype: str) -> tuple[np.ndarray, bytes]:
    """Pixels in which every filter of a row is the best of some, and their file, written in many chunks."""
    rng = np.random.default_rng(channels)
    ramp = np.add.outer(np.arange(90) ** 2, np.arange(70) * 3)[..., None] * np.arange(1, channels + 1)
    pixels = (ramp * (1 if dtype == "uint8" else 91) + rng.integers(0, 9, ramp.shape)).astype(dtype)
    pixels[20:40] = rng.integers(0, 256, pixels[20:40].shape)
    data = imagecodecs.png_encode(pixels[..., 0] if channels == 1 else pixels, level=6, filter=248)
    head, body = taken_apart(data)
    cuts = (0, 1, 2, 500, 501, 3000, len(body))
    pieces = b"".join(chunk(b"IDAT", body[a:b]) for a, b in pairwise(cuts))
    return pixels, head + pieces + chunk(b"IEND", b"")


def taken_apart(data: bytes) -> tuple[bytes, bytes]:
    """What stands before the first IDAT chunk, and the bodies of all of them."""
    place = first = data.index(b"IDAT") - 4
    bodies = []
    while data[place + 4 : place + 8] == b"IDAT":
        length = int.from_bytes(data[place : place + 4], "big")
        bodies.append(data[place + 8 : place + 8 + length])
        place += length + 12
    return data[:first], b"".join(bodies)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_rows_are_decoded_as_they_are_asked_for(monkeypatch, channels, dtype, size):
    """From the top down, in pieces of any size, by several threads: what libpng makes of the whole."""
    monkeypatch.setattr(pngrows, "PIECE", size)
    pixels, data = by_libpng(channels, dtype)
    reader = open_bytes(data, LIMIT).reader()
    assert isinstance(reader, pngrows.PngRows)
    spans = [(first, min(first + 13, 90)) for first in (*range(40, 90, 7), *range(0, 90, 7))]
    with ThreadPoolExecutor(4) as pool:
        for (first, last), rows in zip(spans, pool.map(lambda s: reader.rows(0, *s), spans), strict=True):
            assert np.array_equal(rows, pixels[first:last])


def test_damage_is_found_while_rows_are_decoded():
    """Bits flipped and files cut: the rows are refused in one line, or those of a whole file."""
    pixels, data = by_libpng(3, "uint8")
    for seed in range(150):
        rng = np.random.default_rng(seed)
        broken = bytearray(data[: rng.integers(40, len(data))] if seed % 3 == 0 else data)
        for place in rng.integers(33, len(broken), 1 + seed % 2):
            broken[place] ^= 1 << int(rng.integers(8))
        try:
            found = open_bytes(bytes(broken), LIMIT).reader().rows(0, 0, 90)
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            assert np.array_equal(found, pixels)


def test_chunks_that_mean_nothing_here():
    """A whole one is passed over, a damaged one is a note, one whose name is none is an error."""
    pixels, data = by_libpng(3, "uint8")

    def opened(odd: bytes) -> Opened:
        return open_bytes(data[:33] + odd + data[33:], LIMIT)

    assert opened(chunk(b"zzZz", b"abc")).header.notes == ()
    damaged = opened(chunk(b"zzZz", b"abc")[:-1] + b"?")
    assert damaged.header.notes == ("the zzZz chunk is left out: its checksum is wrong",)
    assert np.array_equal(damaged.pixels(), pixels)
    many = (chunk(b"zzZ%c" % letter, b"")[:-1] + b"?" for letter in b"abcdefghijklmnop")
    assert len(opened(b"".join(many)).header.notes) == 10
    with pytest.raises(ImageError, match="damaged png"):
        opened(chunk(b"z6Zz", b"abc")).pixels()


@pytest.mark.parametrize("damage", ["cut", "sum", "filter"])
def test_every_thread_meets_the_same_failure(monkeypatch, damage):
    """Threads that inflate ahead, undo filters or wait all raise the first failure."""
    monkeypatch.setattr(pngrows, "PIECE", 1000)
    _, data = by_libpng(3, "uint8")
    head, body = taken_apart(data)
    if damage == "filter":
        raw = bytearray(zlib.decompress(body))
        raw[211 * 45] = 9
        body = zlib.compress(bytes(raw))
    chunks = chunk(b"IDAT", body[:-3000] if damage == "cut" else body)
    broken = head + (chunks[:-1] + b"!" if damage == "sum" else chunks) + chunk(b"IEND", b"")

    def failure(reader):
        with pytest.raises(ImageError) as found:
            reader.rows(0, 0, 90)
        return str(found.value)

    for _ in range(10):
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(failure, [open_bytes(broken, LIMIT).reader()] * 4))
        assert len(found) == 1


def test_damage_behind_the_last_window_is_found(run, tmp_path):
    """Rows that no window reads are read all the same, because their sums speak for the others."""
    rng = np.random.default_rng(0)
    raw = b"".join(b"\0" + rng.integers(0, 256, 9000, np.uint8).tobytes() for _ in range(215))
    stored = bytearray(zlib.compress(raw, 0))
    stored[45_100:45_200] = bytes(100)
    head = pngrows.SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 3000, 215, 8, 2, 0, 0, 0))
    (tmp_path / "in.png").write_bytes(head + chunk(b"IDAT", bytes(stored)) + chunk(b"IEND", b""))
    options = ["-k", "box:16", "--padding", "valid", "--stride", "100", "-o", tmp_path / "out.png"]
    for threads in (1, 2, 8):
        ran = run("apply", tmp_path / "in.png", *options, "--threads", threads)
        assert (ran.code, "damaged png" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-1], "it is truncated"),
        (lambda raw: raw[:-211] + b"\x07" + raw[-210:], "bad adaptive filter value"),
        (lambda raw: raw[:-2000], "it is truncated"),
    ],
)
def test_streams_that_do_not_fit(change, words):
    """Too few bytes, and filters that there are not, in chunks whose sums are right."""
    _, data = by_libpng(3, "uint8")
    head, body = taken_apart(data)
    broken = head + chunk(b"IDAT", zlib.compress(change(zlib.decompress(body)))) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match=words):
        open_bytes(broken, LIMIT).reader().rows(0, 0, 90)


GRAY, COLORS = (head_of(8, color) for color in (0, 3))
PALETTE = chunk(b"PLTE", bytes(range(30)))
ZIPPED = zlib.compress(b"".join(b"\0" + bytes(range(row, row + COLUMNS)) for row in range(ROWS)))
PIXELS, END = chunk(b"IDAT", ZIPPED), chunk(b"IEND", b"")
HALVES = chunk(b"IDAT", ZIPPED[:20]), chunk(b"IDAT", ZIPPED[20:])
WRONG = b"\0\0\0\0"  # a check sum


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([GRAY, chunk(b"ABCD", b"x"), PIXELS, END], "png with the unknown critical chunk 'ABCD'"),
        ([GRAY, PIXELS, chunk(b"ABCD", b"x"), END], "png with the unknown critical chunk 'ABCD'"),
        ([GRAY, chunk(b"ab1d", b""), PIXELS, END], "'ab1d' is not a chunk type"),
        ([GRAY, HALVES[0], chunk(b"tEXt", b"a\0b"), HALVES[1], END], "between its IDAT chunks"),
        ([GRAY, END], "it ends before its pixels"),
        ([GRAY, GRAY, PIXELS, END], "more than one IHDR chunk"),
        ([chunk(b"tEXt", b"a\0b"), GRAY, PIXELS, END], "it does not start with an IHDR chunk"),
        ([GRAY[:-4] + WRONG, PIXELS, END], "IHDR: its checksum is wrong"),
        ([GRAY, PIXELS[:-4] + WRONG, END], "IDAT: its checksum is wrong"),
        ([GRAY, PIXELS[:-6]], "it is truncated"),
        ([GRAY, chunk(b"tRNS", b"\0\1")[:-4] + WRONG, PIXELS, END], "tRNS: its checksum is wrong"),
        ([head_of(3, 0), PIXELS, END], "3 bits of color type 0"),
        ([head_of(4, 2), PIXELS, END], "4 bits of color type 2"),
        ([head_of(8, 5), PIXELS, END], "8 bits of color type 5"),
        ([head_of(8, 0, 2), PIXELS, END], "interlace methods [0, 0, 2]"),
        ([chunk(b"IHDR", bytes(12)), PIXELS, END], "IHDR has 12 bytes; allowed: 13"),
        ([COLORS, PIXELS, END], "no palette before the pixels"),
        ([COLORS, PIXELS, PALETTE, END], "no palette before the pixels"),
        ([COLORS, PALETTE, PALETTE, PIXELS, END], "more than one PLTE chunk"),
        ([COLORS, chunk(b"PLTE", bytes(31)), PIXELS, END], "PLTE has 31 bytes; allowed: 3 to 768"),
        ([COLORS, PALETTE[:-4] + WRONG, PIXELS, END], "PLTE: its checksum is wrong"),
        ([COLORS, PALETTE, chunk(b"IDAT", ZIPPED[:-9]), END], "it is truncated"),
        ([COLORS, PALETTE, PIXELS[:-4] + WRONG, END], "IDAT: its checksum is wrong"),
    ],
)
def test_chunks_that_make_no_image(parts, told):
    """What is wrong is said in words of our own, the same for every way that pixels are decoded."""
    with pytest.raises(ImageError) as failure:
        opened = open_bytes(SIGNATURE + b"".join(parts), LIMIT)
        opened.reader().rows(0, 0, opened.header.rows)
    assert told in str(failure.value) and failure.value.__str__().isprintable()


LONGER = zlib.compress(zlib.decompress(ZIPPED) + bytes(700))


@pytest.mark.parametrize(
    ("parts", "note"),
    [
        ([PIXELS, END, b"what somebody appended"], None),
        ([PIXELS, END, chunk(b"ABCD", b"x")], None),
        ([PIXELS, chunk(b"IEND", b"abc")], None),
        ([chunk(b"IDAT", b""), *HALVES, chunk(b"IDAT", b""), END], None),
        ([chunk(b"IDAT", LONGER), END], None),
        ([chunk(b"IDAT", ZIPPED + b"more"), END], None),
        ([chunk(b"abcd", b"x"), chunk(b"tRnS", b"\0\1"), PIXELS, END], None),
        ([chunk(b"abcd", b"x")[:-4] + WRONG, PIXELS, END], "the abcd chunk is left out"),
        ([chunk(b"tRNS", b""), PIXELS, END], "the tRNS chunk is left out: it has 0 bytes"),
        ([chunk(b"tRNS", bytes(300)), PIXELS, END], "the tRNS chunk is left out: it has 300 bytes"),
        ([PIXELS], "the file has no end"),
        ([PIXELS, chunk(b"tEXt", b"a\0b")[:-3]], "the file has no end"),
    ],
)
@pytest.mark.parametrize("front", [GRAY, COLORS + PALETTE], ids=["gray", "palette"])
def test_chunks_that_are_odd_but_make_one(front, parts, note):
    """The pixels are those of the plain file, and what is left out is told."""
    wanted = open_bytes(SIGNATURE + front + PIXELS + END, LIMIT)
    opened = open_bytes(SIGNATURE + front + b"".join(parts), LIMIT)
    assert np.array_equal(opened.reader().rows(0, 0, ROWS), wanted.pixels())
    assert np.array_equal(opened.pixels(), wanted.pixels())
    told = (PALETTE_NOTE,) * (front != GRAY)
    assert wanted.header.notes == told
    assert any(note in each for each in opened.header.notes) if note else opened.header.notes == told


@pytest.mark.parametrize("covers", [True, False])
def test_an_animation_of_one_frame(covers):
    """The frame is shown, not the default image that is none, and a note says so."""
    default, frame = (np.full((ROWS, 20), value, np.uint8) for value in (50, 200))
    stored = {
        name: zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
        for name, rows in (("default", default), ("frame", frame[:4, :6]))
    }
    left, top, columns, rows = (0, 0, 20, ROWS) if covers else (3, 1, 6, 4)
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, columns, rows, left, top, 1, 10, 0, 0))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20, ROWS, 8, 0, 0, 0, 0)) + chunk(
        b"acTL", struct.pack(">II", 1, 0)
    )
    image, moved = chunk(b"IDAT", stored["default"]), chunk(b"fdAT", struct.pack(">I", 1) + stored["frame"])
    data = SIGNATURE + head + (control + image if covers else image + control + moved) + END
    opened = open_bytes(data, LIMIT)
    expected = default.copy() if covers else np.zeros_like(default)
    if not covers:
        expected[1:5, 3:9] = 200
    for found in (opened.pixels(), opened.reader().rows(0, 0, ROWS)):
        assert np.array_equal(found[..., 0], expected)
    told = () if covers else ("the default image is ignored: it is not part of the animation",)
    assert (opened.header.frames, opened.header.notes) == (1, told)


def test_sides_of_more_than_a_million(run, tmp_path):
    """What libpng does not take is not written, and refused by name unless rows alone are many."""
    flat = np.zeros((1, 1_000_001), np.uint8)
    np.save(tmp_path / "flat.npy", flat)
    np.save(tmp_path / "tall.npy", flat.T)
    for name in ("flat", "tall"):
        ran = run("apply", tmp_path / f"{name}.npy", "-k", "identity", "-o", tmp_path / f"{name}.png")
        assert (ran.code, "at most 1000000 pixels a side" in ran.err) == (2, True)
        assert not (tmp_path / f"{name}.png").exists()
    zipped = chunk(b"IDAT", zlib.compress(bytes(2_000_002))) + END
    for shape, color, fits in [((1_000_001, 1), 0, False), ((1, 1_000_001), 0, True)]:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", *shape, 8, color, 0, 0, 0))
        opened = open_bytes(SIGNATURE + head + zipped, LIMIT)
        if fits:
            assert not opened.reader().rows(0, 0, 1_000_001).any()
        else:
            with pytest.raises(ImageError, match="png of 1000001×1 pixels; allowed: up to 1000000 a side"):
                opened.reader()


def test_wrong_sums_are_found_where_an_image_is_decoded_whole():
    """Libpng only warns of some of them."""
    pixels = zlib.compress(bytes(ROWS * (COLUMNS + 1)))
    for place in range(8 * len(pixels)):
        flipped = bytearray(pixels)
        flipped[place // 8] ^= 1 << place % 8
        try:
            zlib.decompress(flipped)
        except zlib.error:
            data = SIGNATURE + head_of(8, 0) + chunk(b"IDAT", bytes(flipped)) + chunk(b"IEND", b"")
            with pytest.raises(ImageError, match="damaged png"):
                opened = open_bytes(data, LIMIT)
                with strict_errors("png"):
                    opened.format.decode(data, opened.header)


def test_an_interlaced_image_causes_no_warning(tmp_path):
    """The warning that libpng gives for every interlaced image is not shown."""
    passes = zlib.compress(b"\0\7")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1))
    (tmp_path / "in.png").write_bytes(SIGNATURE + head + chunk(b"IDAT", passes) + chunk(b"IEND", b""))
    code = "from convcli.cli.main import main; main(['apply', 'in.png', '-k', 'identity', '-q'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
