"""TIFF of more than four channels: read as data, filtered alike, written with all of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile

import convcli
from convcli.files.input import Input
from convcli.formats.opening import open_input
from tests.formats.tiff.pages import stored, written

LAYOUTS = [
    {"tile": (32, 48)},
    {"rowsperstrip": 7, "compression": "deflate", "predictor": True},
    {"tile": (16, 16), "compression": "lzw", "bigtiff": True, "byteorder": ">"},
]


def many(pixels: np.ndarray, planar: bool, **options: object) -> bytes:
    """A TIFF by tifffile of (rows, columns, channels)."""
    buffer = io.BytesIO()
    shaped, how = (np.moveaxis(pixels, -1, 0), "separate") if planar else (pixels, "contig")
    colors = {"photometric": "minisblack", **options}
    tifffile.imwrite(buffer, shaped, planarconfig=how, **colors)
    return buffer.getvalue()


@pytest.mark.parametrize("options", LAYOUTS)
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 5), ("uint16", 7), ("float32", 13), ("int16", 6)])
def test_every_channel_is_read_as_rasterio_reads_it(dtype, channels, planar, options, tmp_path):
    """Together and apart, in rows and in windows."""
    rasterio = pytest.importorskip("rasterio")
    pixels = stored(dtype, channels)[0]
    data, path = many(pixels, planar, **options), tmp_path / "a.tif"
    path.write_bytes(data)
    opened = open_input(Input(data=data))[0]
    assert (opened.header.channels, opened.header.bands, opened.header.alpha) == (channels, True, False)
    assert np.array_equal(opened.reader().rows(0, 10, 90), pixels[10:90])
    assert np.array_equal(opened.reader().window(0, (30, 50), (40, 140)), pixels[30:50, 40:140])
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path) as file:
        assert np.array_equal(np.moveaxis(file.read(), 0, -1), opened.pixels())


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 5), ("uint16", 9), ("float32", 12)])
def test_every_channel_is_filtered_and_written(dtype, channels, planar, run, tmp_path):
    """As the function for arrays does it; other programs read all of them."""
    pixels, path, out = stored(dtype, channels)[0], tmp_path / "a.tif", tmp_path / "b.tif"
    path.write_bytes(many(pixels, planar, tile=(32, 32)))
    assert (
        run("apply", path, "-k", "gaussian5", "-o", out, "--map", "clip" if dtype[0] == "u" else "raw").code
        == 0
    )
    expected = convcli.conv(
        pixels, "gaussian5", padding="same:reflect", channels="last", dtype=pixels.dtype, threads=1
    )
    assert np.array_equal(tifffile.imread(out), expected)
    with tifffile.TiffFile(out) as file:
        page = file.pages.first
        assert page.samplesperpixel == channels
        assert tuple(page.extrasamples) == (0,) * (channels - 1)


@pytest.mark.parametrize(
    ("photometric", "extra"),
    [
        ("rgb", (0, 2)),
        ("rgb", (0, 0)),
        ("rgb", (0, 0, 1)),
        ("minisblack", (0, 0, 0, 2)),
        ("minisblack", (0,) * 5),
    ],
)
def test_what_channels_are_is_kept(photometric, extra, run, tmp_path):
    """Alpha among more than four channels is filtered like the others, and still said to be alpha."""
    channels = len(extra) + (3 if photometric == "rgb" else 1)
    path, out = tmp_path / "a.tif", tmp_path / "b.tif"
    path.write_bytes(many(stored("uint8", channels)[0], False, photometric=photometric, extrasamples=extra))
    result = run("apply", path, "-k", "box3", "-o", out)
    has_alpha = not {1, 2}.isdisjoint(extra)
    assert ("alpha is one of its" in result.text) == has_alpha
    with tifffile.TiffFile(out) as file:
        page = file.pages.first
        assert page.photometric.name.lower() == photometric
        assert tuple(page.extrasamples) == extra


def test_what_becomes_of_many_channels(run, tmp_path):
    """They can be summed; formats that hold fewer name those that hold them."""
    pixels, path = stored("uint8", 6)[0], tmp_path / "a.tif"
    path.write_bytes(many(pixels, False))
    out = tmp_path / "b.npy"
    assert run("apply", path, "-k", "identity", "-o", out, "--channels", "sum", "--map", "raw").code == 0
    assert np.array_equal(np.load(out), pixels.sum(-1, dtype=np.float32))
    for suffix in (".png", ".jpg", ".webp", ".bmp"):
        refused = run("apply", path, "-k", "box3", "-o", tmp_path / f"c{suffix}")
        assert refused.code == 2
        assert "6 channels, 8-bit: at most 4 channels; these can: .tif, .npy" in refused.err
    refused = run("apply", path, "-k", "box3", "-o", tmp_path / "c.tif", "--channels", "gray")
    assert "--channels gray needs a gray or RGB image; this one is 6 channels, 8-bit" in refused.err


def test_frames_of_many_channels(run, tmp_path):
    """Pages keep their number, and each its channels."""
    pixels, path, out = stored("uint16", 6, 3), tmp_path / "a.tif", tmp_path / "b.tif"
    path.write_bytes(many(pixels, False, tile=(64, 64)))
    assert run("apply", path, "-k", "identity", "-o", out).code == 0
    assert np.array_equal(tifffile.imread(out), pixels)
    with Input.open(str(out)) as source:
        assert [run.header.frames for run in open_input(source)] == [3]


@pytest.mark.parametrize(
    ("options", "most"), [(["-k", "box3"], 60_000), (["-k", "sobel", "--stack"], 100_000)]
)
def test_large_results_have_64_bit_offsets(options, most, run, tmp_path, monkeypatch):
    """Where all pages together might need them."""
    path, out = tmp_path / "a.tif", tmp_path / "b.tif"
    path.write_bytes(written(stored("uint16", 1)))
    for limit, head in ((2**32, b"II*\0"), (most - 1, b"II+\0")):
        monkeypatch.setattr("convcli.formats.tiff.encoder._CLASSIC", limit)
        assert run("apply", path, *options, "-o", out, "--force").code == 0
        assert out.read_bytes()[:4] == head
        if limit == 2**32:
            expected = tifffile.imread(out)
    assert np.array_equal(tifffile.imread(out), expected)
