"""Smaller versions of images: never frames, and read where a level is chosen."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile

from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.opening import Opened, open_input
from tests.formats.tiff.pages import stored


def opened(data: bytes, level: int = 0) -> list[Opened]:
    source = Input(data=data)
    source.level = level
    return open_input(source)


def cog(path: Path, channels: int = 1) -> np.ndarray:
    """A COG by GDAL with overviews of a half and a quarter, and a mask of each; its pixels."""
    rasterio = pytest.importorskip("rasterio")
    pixels = np.random.default_rng(1).integers(0, 256, (channels, 601, 517), np.uint8)
    profile = {"driver": "GTiff", "width": 517, "height": 601, "count": channels, "dtype": "uint8"}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(2, 0, 500_000, 0, -3, 4_000_000)}
    flat = path.with_suffix(".flat.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(flat, "w", **profile) as file:
        file.write(pixels)
        file.write_mask(np.full((601, 517), 255, np.uint8))
    options = {"blocksize": "128", "compress": "deflate", "overview_resampling": "nearest"}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        pytest.importorskip("rasterio.shutil").copy(flat, path, driver="COG", **options)
    return pixels


def pyramid(frames: int, own: bool) -> tuple[bytes, list[list[np.ndarray]]]:
    """Frames with two smaller versions each, in SubIFDs or in the chain; their pixels by frame and level."""
    images = [
        [frame[:: 2**level, :: 2**level, 0] for level in range(3)] for frame in stored("uint16", 1, frames)
    ]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for whole, *smaller in images:
            writer.write(whole, tile=(32, 32), metadata=None, subifds=2 if own else None)
            for version in smaller:
                writer.write(version, tile=(16, 16), metadata=None, subfiletype=1)
    return buffer.getvalue(), images


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_levels_of_a_cog_are_those_of_gdal(channels, tmp_path):
    """The whole image is one frame; a level has GDAL's pixels, size of pixels and corners."""
    path = tmp_path / "a.tif"
    pixels = cog(path, channels)
    rasterio = pytest.importorskip("rasterio")
    (whole,) = opened(path.read_bytes())
    assert (whole.header.frames, whole.header.rows, whole.header.columns) == (1, 601, 517)
    assert np.array_equal(
        np.moveaxis(whole.reader().window(0, (400, 601), (300, 517)), -1, 0), pixels[:, 400:, 300:]
    )
    for level in (1, 2):
        (smaller,) = opened(path.read_bytes(), level)
        with rasterio.open(path, overview_level=level - 1) as file:
            expected, transform = file.read(), file.transform
        assert np.array_equal(np.moveaxis(smaller.pixels(), -1, 0), expected)
        assert np.array_equal(np.moveaxis(smaller.reader().rows(0, 9, 77), -1, 0), expected[:, 9:77])
        assert any(note.startswith(f"level {level}: ") for note in smaller.header.notes)
        ground = smaller.header.metadata.ground
        assert ground.scale[:2] == pytest.approx((transform.a, -transform.e))
        assert ground.ties[:6] == pytest.approx((0, 0, 0, 500_000, 4_000_000, 0))
        assert ground.keys == whole.header.metadata.ground.keys


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("frames", [1, 3])
def test_levels_of_every_frame(frames, own):
    """Pages of a page, or pages that follow it, are versions of that frame."""
    data, images = pyramid(frames, own)
    for level in range(3):
        (run,) = opened(data, level)
        assert run.header.frames == frames
        for frame, versions in enumerate(images):
            assert np.array_equal(run.reader().rows(frame, 0, run.header.rows)[..., 0], versions[level])
        assert np.array_equal(run.pixels()[..., 0], images[0][level])


@pytest.mark.parametrize("own", [True, False])
def test_a_level_that_does_not_exist(own):
    """The message lists those that do."""
    data, _ = pyramid(1, own)
    with pytest.raises(ImageError, match=r"no level 3; allowed: 0 \(150×200\), 1 \(75×100\), 2 \(38×50\)"):
        opened(data, 3)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stored("uint8", 1)[0, ..., 0])
    with pytest.raises(ImageError, match="this tiff has no smaller versions"):
        opened(buffer.getvalue(), 1)


def test_sizes_of_pixels_grow():
    """Those of OME-XML and the resolution, by the ratio of the sizes."""
    pixels, buffer = stored("uint8", 1)[0, ..., 0], io.BytesIO()
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    with tifffile.TiffWriter(buffer, ome=True) as writer:
        writer.write(pixels, tile=(32, 32), subifds=1, metadata=metadata, resolution=(1000, 1000))
        writer.write(pixels[::2, ::3], tile=(32, 32), subfiletype=1)
    whole, smaller = (opened(buffer.getvalue(), level)[0].header.metadata for level in (0, 1))
    assert whole.axes.step("X")[0] == 0.5
    assert smaller.axes.step("X")[0] == pytest.approx(1.5)
    assert smaller.axes.step("Y")[0] == pytest.approx(0.5)
    ratio = Fraction(150, 50), Fraction(200, 100)
    assert smaller.resolution == pytest.approx(
        [a / float(b) for a, b in zip(whole.resolution, ratio, strict=True)]
    )
