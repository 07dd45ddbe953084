"""Rectangles of TIFF pages: equal to slices of the whole, decoding only the tiles that they cover."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.opening import open_input
from convcli.formats.tiff.segments import Segments
from tests.formats.tiff.pages import ROWS, WINDOWS, Counted, stored, written


def layouts() -> list[object]:
    """Options of tifffile for every way in which pages are stored."""
    entries = [
        ("strips", {"rowsperstrip": 23}, ("uint8", "float32"), (1, 3), (False, True)),
        ("tiles", {"tile": (16, 32)}, ("uint8", "uint16", "int32", "float64"), (1, 3), (False, True)),
        ("big", {"tile": (64, 16), "bigtiff": True}, ("uint16",), (1, 3), (False,)),
        ("motorola", {"tile": (32, 32), "byteorder": ">"}, ("uint16", "float32"), (1,), (False,)),
    ]
    return [
        pytest.param(
            dtype, channels, planar, compression, how, id=f"{name}-{dtype}-{channels}-{planar}-{compression}"
        )
        for name, how, dtypes, counts, planars in entries
        for dtype, channels, planar in itertools.product(dtypes, counts, planars)
        if channels > 1 or not planar
        for compression in (None, "deflate", "lzw", "zstd", "packbits")
    ]


@pytest.mark.parametrize(("dtype", "channels", "planar", "compression", "how"), layouts())
def test_windows_are_slices_of_the_whole(dtype, channels, planar, compression, how):
    """Whatever the layout, types, orders of bytes and compressions."""
    pixels = stored(dtype, channels)
    predictor = {"predictor": True} if compression in ("deflate", "lzw") else {}
    source = Input(data=written(pixels, planar, compression=compression, **predictor, **how))
    reader = open_input(source)[0].reader()
    tile = how.get("tile")
    assert reader.block == tile
    for rows, columns in WINDOWS:
        window = reader.window(0, rows, columns)
        assert window.dtype == pixels.dtype.newbyteorder("=")
        assert np.array_equal(window, pixels[0, slice(*rows), slice(*columns)])


@pytest.mark.parametrize("ome", [False, True])
def test_windows_of_every_frame(ome):
    """Frames far apart, back and forth."""
    pixels = stored("uint16", 1, 12)
    metadata = {"metadata": {"axes": "ZYX"}} if ome else {}
    source = Input(data=written(pixels, tile=(32, 64), compression="deflate", ome=ome, **metadata))
    opened = open_input(source)[0]
    assert opened.header.frames == 12
    for frame in (0, 11, 3, 3, 9, 1):
        found = opened.reader().window(frame, (20, 70), (60, 140))
        assert np.array_equal(found, pixels[frame, 20:70, 60:140])


def test_only_tiles_that_a_window_covers_are_read():
    """As many bytes as the tiles take that it covers, each read once while a panel goes down."""
    pixels = stored("uint8", 1)
    source = Counted(written(pixels, tile=(16, 16), compression="deflate"))
    with tifffile.TiffFile(io.BytesIO(source.data)) as file:
        counts = np.reshape(file.pages.first.databytecounts, (13, 10))
    reader = open_input(source)[0].reader()
    source.taken = 0
    reader.window(0, (17, 30), (40, 70))
    assert source.taken == counts[1, 2:5].sum()
    source.taken = 0
    for top in range(0, ROWS, 5):
        rows = max(top - 2, 0), min(top + 7, ROWS)
        assert np.array_equal(reader.window(0, rows, (90, 130)), pixels[0, slice(*rows), 90:130])
    assert source.taken == counts[:, 5:9].sum()


def test_tiles_are_decoded_once_by_all_workers(monkeypatch):
    """Four threads work down a panel that is wider than what is kept otherwise."""
    monkeypatch.setattr("convcli.formats.tiff.rows.KEPT", 0)
    decoded, decode = Counter(), Segments.decode

    def count(self: Segments, index: int, column: int, into: np.ndarray) -> None:
        decoded[index, column] += 1
        decode(self, index, column, into)

    monkeypatch.setattr(Segments, "decode", count)
    pixels = stored("uint16", 1)
    reader = open_input(Input(data=written(pixels, tile=(16, 16), compression="lzw")))[0].reader()
    for top in range(0, ROWS, 16):  # the strips of a group are read side by side, as workers do
        parts = [(max(row - 1, 0), min(row + 5, ROWS)) for row in range(top, min(top + 16, ROWS), 4)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda rows: reader.window(0, rows, (20, 120)), parts))
        for rows, window in zip(parts, found, strict=True):
            assert np.array_equal(window, pixels[0, slice(*rows), 20:120])
    assert set(decoded) == {(index, column) for index in range(13) for column in range(1, 8)}
    assert max(decoded.values()) == 1


def test_kept_tiles_are_bounded(monkeypatch):
    """However many windows are read, only those of the last ones are kept."""
    monkeypatch.setattr("convcli.formats.tiff.rows.KEPT", 0)
    reader = open_input(Input(data=written(stored("uint8", 1), tile=(16, 16))))[0].reader()
    for top, left in itertools.product(range(0, 180, 7), range(0, 130, 11)):
        reader.window(0, (top, top + 8), (left, left + 12))
        assert len(reader.pages[0].tiles.kept) <= 6


@pytest.mark.parametrize("compression", ["deflate", "lzw", None])
def test_a_damaged_tile_is_named(compression):
    """By its number and place; windows beside it are read, and every worker hears of it."""
    pixels = stored("uint8", 1)
    data = bytearray(written(pixels, tile=(16, 16), compression=compression))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        offset, count, place = page.dataoffsets[23], page.databytecounts[23], page.tags[325].valueoffset
    if compression:
        data[offset : offset + count] = b"\xff" * count
    else:
        data[place + 23 * 2 : place + 23 * 2 + 2] = b"\5\0"
    reader = open_input(Input(data=bytes(data)))[0].reader()
    with ThreadPoolExecutor(4) as pool:
        parts = [((30, 60), (20, 140)), ((0, 200), (48, 64)), ((32, 34), (48, 50)), ((32, 48), (0, 150))]
        for part in [pool.submit(reader.window, 0, *part) for part in parts]:
            with pytest.raises(ImageError, match=r"damaged tiff: tile 23 \(from row 32, column 48\)"):
                part.result(timeout=30)
    assert np.array_equal(reader.window(0, (48, 64), (0, 150)), pixels[0, 48:64])
    with pytest.raises(ImageError, match="tile 23"):
        reader.rows(0, 40, 50)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("channels", "planar"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("height", [1, 23, 200])
@pytest.mark.parametrize("line", [0, 2**20])
def test_uncompressed_strips_are_read_without_decoding(line, height, channels, planar, order, monkeypatch):
    """Whether rows are long or short, by one strip or many: nothing is kept, and little else is read."""
    monkeypatch.setattr("convcli.formats.tiff.rows._RAW", 0)
    monkeypatch.setattr("convcli.formats.tiff.segments._SHORT_LINE", line)
    pixels = stored("uint16", channels)
    source = Counted(written(pixels, planar, rowsperstrip=height, byteorder=order))
    reader = open_input(source)[0].reader()
    assert reader.memory == 0
    assert reader.block == (None if line else (256, 256))
    for rows, columns in WINDOWS:
        source.taken = 0
        window = reader.window(0, rows, columns)
        assert np.array_equal(window, pixels[0, slice(*rows), slice(*columns)])
        wide = columns[1] - columns[0] if not line else pixels.shape[2]
        assert source.taken == (rows[1] - rows[0]) * wide * channels * 2
        assert np.array_equal(reader.rows(0, *rows), pixels[0, slice(*rows)])


def test_an_uncompressed_strip_that_ends_early_is_named(monkeypatch):
    """The rows before its end are read."""
    monkeypatch.setattr("convcli.formats.tiff.rows._RAW", 0)
    pixels = stored("uint8", 1)
    data = bytearray(written(pixels, rowsperstrip=50))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages.first.tags[279]
        start = tag.valueoffset + 2 * tag.valuebytecount // tag.count
    data[start : start + 2] = (20 * 150).to_bytes(2, "little")
    reader = open_input(Input(data=bytes(data)))[0].reader()
    assert np.array_equal(reader.window(0, (90, 120), (3, 9)), pixels[0, 90:120, 3:9])
    with pytest.raises(ImageError, match=r"strip 2 \(from row 100\) is missing or truncated"):
        reader.window(0, (90, 121), (3, 9))


SPECIAL = {
    "ycbcr": ({"photometric": "ycbcr", "compression": "jpeg", "subsampling": (2, 2)}, "uint8", 3),
    "jpeg": ({"photometric": "minisblack", "compression": "jpeg"}, "uint8", 1),
    "jpeg 2000": ({"photometric": "rgb", "compression": "jpeg2000"}, "uint8", 3),
    "webp": (
        {"photometric": "rgb", "compression": "webp", "compressionargs": {"lossless": True}},
        "uint8",
        3,
    ),
    "inverted": ({"photometric": "miniswhite", "compression": "lzma"}, "uint16", 1),
    "inks": ({"photometric": "separated", "compression": "deflate"}, "uint8", 4),
    "alpha": ({"photometric": "rgb", "extrasamples": ["assocalpha"]}, "uint16", 4),
    "half": ({"photometric": "minisblack", "compression": "zstd"}, "float16", 1),
    "palette": (
        {"photometric": "palette", "colormap": np.arange(768, dtype=np.uint16).reshape(3, 256) * 85},
        "uint8",
        1,
    ),
}


@pytest.mark.parametrize("how", [{"tile": (32, 48)}, {"rowsperstrip": 16}], ids=["tiles", "strips"])
@pytest.mark.parametrize("name", SPECIAL)
def test_windows_of_converted_samples(name, how):
    """What is not stored as it is read, whatever the window, is equal to the page decoded whole."""
    options, dtype, channels = SPECIAL[name]
    pixels, buffer = stored(dtype, channels)[0], io.BytesIO()
    tifffile.imwrite(buffer, pixels if channels > 1 else pixels[..., 0], **options, **how)
    opened = open_input(Input(data=buffer.getvalue()))[0]
    whole, reader = opened.pixels(), opened.reader()
    for rows, columns in WINDOWS:
        assert np.array_equal(reader.window(0, rows, columns), whole[slice(*rows), slice(*columns)])
