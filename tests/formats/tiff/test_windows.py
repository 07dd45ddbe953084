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

RNG = np.random.default_rng(5)
ROWS, COLUMNS = 200, 150
WINDOWS = (
    ((0, 200), (0, 150)),
    ((0, 1), (0, 1)),
    ((199, 200), (149, 150)),
    ((15, 17), (31, 33)),
    ((16, 64), (32, 96)),
    ((3, 197), (40, 47)),
    ((100, 130), (0, 150)),
)
"""(rows, columns): everything, corners, across the borders of tiles, along them, tall, wide."""


def stored(dtype: str, channels: int, frames: int = 1) -> np.ndarray:
    """(frames, rows, columns, channels) of values over the range of integers, or floats around 0."""
    shape = frames, ROWS, COLUMNS, channels
    if dtype.startswith("float"):
        return RNG.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)


def written(pixels: np.ndarray, planar: bool = False, **options: object) -> bytes:
    """A TIFF by tifffile of (frames, rows, columns, channels)."""
    frames, channels = len(pixels), pixels.shape[-1]
    shaped = np.moveaxis(pixels, -1, 1) if planar else pixels
    shaped = shaped[..., 0] if channels == 1 else shaped
    buffer = io.BytesIO()
    colors = {"photometric": "rgb" if channels == 3 else "minisblack"}
    if channels > 1:
        colors["planarconfig"] = "separate" if planar else "contig"
    tifffile.imwrite(buffer, shaped if frames > 1 else shaped[0], **colors, **options)
    return buffer.getvalue()


class Counted(Input):
    """Bytes in memory that count what is read of them."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data=data)
        self.taken = 0

    def part(self, offset: int, count: int) -> bytes | memoryview:
        found = super().part(offset, count)
        self.taken += len(found)
        return found


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
