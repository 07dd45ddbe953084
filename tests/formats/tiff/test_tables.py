"""Tables of strips and tiles: long ones are read as needed, and what they leave out is filled."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile

from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.opening import open_input
from convcli.formats.tiff.tables import Table
from tests.formats.tiff.pages import WINDOWS, Counted, stored, written

LAYOUTS = [
    {"tile": (16, 16)},
    {"tile": (16, 32), "bigtiff": True, "compression": "deflate"},
    {"tile": (32, 16), "byteorder": ">", "compression": "lzw"},
    {"rowsperstrip": 3, "compression": "deflate"},
    {"rowsperstrip": 1},
]


@pytest.mark.parametrize("options", LAYOUTS)
@pytest.mark.parametrize("frames", [1, 3])
def test_long_tables_are_read_as_needed(options, frames, monkeypatch):
    """The pixels of every page are those that short tables lead to."""
    monkeypatch.setattr("convcli.formats.tiff.tables.LONG", 20)
    monkeypatch.setattr("convcli.formats.tiff.tables._BLOCK", 7)
    pixels = stored("uint16", 1, frames)
    reader = open_input(Input(data=written(pixels, **options)))[0].reader()
    for page in reader.pages:
        assert isinstance(page.segments.offsets, Table)
    for frame in range(frames):
        for rows, columns in WINDOWS:
            found = reader.window(frame, rows, columns)
            assert np.array_equal(found, pixels[frame, slice(*rows), slice(*columns)])
        assert np.array_equal(reader.rows(frame, 0, 200), pixels[frame])


def huge(side: int, tile: int, places: dict[int, bytes]) -> bytes:
    """A BigTIFF of bytes, ``side`` pixels wide and high, with a few tiles that are stored, uncompressed."""
    count = (side // tile) ** 2
    body = b"".join(places.values())
    tags = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (277, 1), (322, tile), (323, tile)]
    first = 16 + 8 + 20 * (len(tags) + 2) + 8
    entries = [struct.pack("<HHQQ", tag, 4, 1, value) for tag, value in tags]
    entries += [
        struct.pack("<HHQQ", 324, 16, count, first),
        struct.pack("<HHQQ", 325, 4, count, first + 8 * count),
    ]
    offsets, counts = np.zeros(count, "<u8"), np.zeros(count, "<u4")
    start = first + 12 * count
    for place, data in places.items():
        offsets[place], counts[place], start = start, len(data), start + len(data)
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + struct.pack("<Q", len(entries))
    return head + b"".join(entries) + struct.pack("<Q", 0) + offsets.tobytes() + counts.tobytes() + body


def test_a_terapixel_opens_by_its_header(monkeypatch):
    """Of tables of a million tiles, only the entries of a window's tiles are read."""
    tile = np.random.default_rng(0).integers(0, 256, (1024, 1024), np.uint8)
    row, column = 700, 411
    source = Counted(huge(2**20, 1024, {row * 1024 + column: tile.tobytes()}))
    opened = open_input(source, 2**41)[0]
    assert (opened.header.rows, opened.header.columns) == (2**20, 2**20)
    assert source.taken < 2**10
    source.taken = 0
    top, left = row * 1024, column * 1024
    found = opened.reader().window(0, (top - 5, top + 9), (left + 100, left + 1030))
    expected = np.zeros((14, 930), np.uint8)
    expected[5:, :924] = tile[:9, 100:]
    assert np.array_equal(found[..., 0], expected)
    assert source.taken < tile.nbytes + 2 * 12 * 8192
    with pytest.raises(ImageError, match="1048576×1048576 is 1099511627776 pixels in a file of"):
        open_input(source)


def test_a_table_that_ends_early():
    """A line, not an error of a library."""
    data = huge(2**20, 1024, {})
    reader = open_input(Input(data=data[: len(data) // 2]), 2**41)[0].reader()
    with pytest.raises(ImageError, match="damaged tiff: it ends within a table of its strips or tiles"):
        reader.window(0, (2**20 - 5, 2**20), (0, 10))


@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("options", [{"tiled": True, "blockxsize": 64, "blockysize": 32}, {"blockysize": 16}])
@pytest.mark.parametrize("compress", ["none", "deflate"])
def test_sparse_files_of_gdal(compress, options, nodata, tmp_path):
    """Blocks that GDAL leaves out are read as GDAL reads them, and the report says how many there are."""
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "a.tif"
    pixels = stored("uint16", 1)[0, ..., 0]
    profile = {"driver": "GTiff", "width": 150, "height": 200, "count": 1, "dtype": "uint16"}
    profile |= {"sparse_ok": True, "compress": compress, "nodata": nodata, **options}
    profile["transform"] = rasterio.Affine(2, 0, 5, 0, -2, 9)
    with rasterio.open(path, "w", **profile) as file:
        window = rasterio.windows.Window(64, 96, 64, 32)
        file.write(pixels[96:128, 64:128], 1, window=window)
    with rasterio.open(path) as file:
        expected = file.read(1)
    with Input.open(str(path)) as source:
        opened = open_input(source)[0]
        assert any(f"(a sparse file) and read as {nodata or 0}" in note for note in opened.header.notes)
        for rows, columns in WINDOWS:
            found = opened.reader().window(0, rows, columns)[..., 0]
            assert np.array_equal(found, expected[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("field", [324, 325])
def test_a_tile_with_a_place_or_a_size_only_is_missing(field):
    """It is not taken for one that was left out."""
    data = bytearray(written(stored("uint8", 1), tile=(16, 16), compression="deflate"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages.first.tags[field]
        start, width = tag.valueoffset, tag.valuebytecount // tag.count
    data[start + 3 * width : start + 4 * width] = bytes(width)
    reader = open_input(Input(data=bytes(data)))[0].reader()
    with pytest.raises(ImageError, match=r"tile 3 \(from row 0, column 48\) is missing or truncated"):
        reader.window(0, (0, 16), (48, 64))
