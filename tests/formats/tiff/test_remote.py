"""TIFF at URLs: how many bytes are fetched, by how many requests."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.opening import open_input
from convcli.formats.registry import HEAD

pytest.importorskip("fsspec")

from convcli.storage.remote import BLOCK
from convcli.storage.stores import Store

SIDE = 1500


class Requests:
    """What is asked of stores: (first, past the last) of each range, by batches of requests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        part, parts = Store.part, Store.parts

        def one(store: Store, path: str, start: int, stop: int) -> bytes:
            self.batches.append([(start, stop)])
            return part(store, path, start, stop)

        def several(store: Store, path: str, ranges: list[tuple[int, int]]) -> list[bytes]:
            self.batches.append(list(ranges))
            return parts(store, path, ranges)

        monkeypatch.setattr(Store, "part", one)
        monkeypatch.setattr(Store, "parts", several)

    @property
    def bytes(self) -> int:
        return sum(stop - start for batch in self.batches for start, stop in batch)

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))


@pytest.fixture
def requests(monkeypatch):
    return Requests(monkeypatch)


def picture() -> np.ndarray:
    """Values that hardly compress."""
    return np.random.default_rng(3).integers(0, 2**16, (SIDE, SIDE), np.uint16)


def put(name: str, data: bytes) -> str:
    import fsspec

    url = f"memory://tiffs/{name}"
    with fsspec.open(url, "wb") as file:
        file.write(data)
    return url


def written(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_window_fetches_its_tiles(compression, requests):
    """Its own bytes and no more, by a few requests at once; opening takes a block."""
    pixels = picture()
    data = written(pixels, tile=(64, 64), compression=compression)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        counts = np.reshape(file.pages.first.databytecounts, (24, 24))
    with Input.open(put("tiles.tif", data)) as source:
        reader = open_input(source)[0].reader()
        assert requests.bytes <= BLOCK + HEAD
        requests.batches.clear()
        assert np.array_equal(reader.window(0, (100, 700), (200, 900))[..., 0], pixels[100:700, 200:900])
        assert requests.bytes <= 1.01 * counts[1:11, 3:15].sum()
        assert len(requests.batches) <= 2
        requests.batches.clear()
        for top in range(704, 1408, 32):  # down a panel, with a halo
            found = reader.window(0, (top - 1, top + 33), (190, 1000))
            assert np.array_equal(found[..., 0], pixels[top - 1 : top + 33, 190:1000])
        assert requests.bytes <= 1.01 * counts[10:23, 2:16].sum()


@pytest.mark.parametrize("options", [{"tile": (128, 128)}, {"rowsperstrip": 4}])
def test_rows_fetch_each_byte_once(options, requests):
    """Strips one after another are few requests too."""
    pixels = picture()
    data = written(pixels, compression="deflate", **options)
    with Input.open(put("rows.tif", data)) as source:
        reader = open_input(source)[0].reader()
        requests.batches.clear()
        for top in range(0, SIDE, 30):
            rows = max(top - 1, 0), min(top + 31, SIDE)
            assert np.array_equal(reader.rows(0, *rows)[..., 0], pixels[slice(*rows)])
        assert requests.bytes <= 1.01 * len(data)
        assert requests.count <= 20


def test_a_cog_fetches_its_header_and_tiles(requests, tmp_path):
    """At most 1.3 times the bytes of the tiles that a panel needs, its header included."""
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "cog.tif"
    pixels = np.random.default_rng(4).integers(0, 2**16, (4096, 4096), np.uint16)
    profile = {"driver": "COG", "width": 4096, "height": 4096, "count": 1, "dtype": "uint16"}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(2, 0, 7, 0, -2, 9), "compress": "deflate"}
    with rasterio.open(path, "w", blocksize=256, **profile) as file:
        file.write(pixels, 1)
    with tifffile.TiffFile(path) as file:
        counts = np.reshape(file.pages.first.databytecounts, (16, 16))
    with Input.open(put("cog.tif", Path(path).read_bytes())) as source:
        reader = open_input(source)[0].reader()
        for top in range(0, 4096, 256):
            found = reader.window(0, (top, top + 256), (1023, 2049))
            assert np.array_equal(found[..., 0], pixels[top : top + 256, 1023:2049])
        assert requests.bytes <= 1.3 * counts[:, 3:9].sum()
        assert requests.count <= 3 * 16 + 2


def test_a_damaged_tile_spares_those_fetched_with_it(requests):
    """They are decoded all the same."""
    data = bytearray(written(picture(), tile=(64, 64), compression="deflate"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offset, count = file.pages.first.dataoffsets[30], file.pages.first.databytecounts[30]
    data[offset : offset + count] = bytes(count)
    with Input.open(put("damaged.tif", bytes(data))) as source:
        reader = open_input(source)[0].reader()
        with pytest.raises(ImageError, match=r"tile 30 \(from row 64, column 384\)"):
            reader.window(0, (60, 70), (300, 500))
        requests.batches.clear()
        assert np.array_equal(reader.window(0, (60, 70), (300, 384))[..., 0], picture()[60:70, 300:384])
        assert not requests.batches
