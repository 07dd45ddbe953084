"""Sources for tests of jobs, written by other libraries, and their results as those read them."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import tifffile

Made = Callable[[Path, np.ndarray], str]
"""Writes pixels, (rows, columns), to a file or a folder, and returns its name."""


def zarr_array(place, pixels, chunks=(32, 40), **options):
    """An array of the zarr library."""
    zarr = pytest.importorskip("zarr")
    if pixels.ndim > 2 and len(chunks) == 2:
        chunks = (*(1,) * (pixels.ndim - 2), *chunks)
    made = zarr.create_array(str(place), shape=pixels.shape, chunks=chunks, dtype=pixels.dtype, **options)
    made[...] = pixels
    return str(place)


def _ome(place, pixels):
    """OME-Zarr 0.5 with two levels."""
    zarr = pytest.importorskip("zarr")
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [2.0**level] * 2}]}
        for level in range(2)
    ]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group = zarr.create_group(str(place), attributes={"ome": ome})
    for level in range(2):
        small = pixels[:: 2**level, :: 2**level]
        group.create_array(str(level), shape=small.shape, chunks=(32, 40), dtype=small.dtype)[...] = small
    return str(place)


def _tiff(place, pixels):
    tifffile.imwrite(place, pixels, tile=(32, 48), compression="zlib")
    return str(place)


def _cog(place, pixels):
    """A cloud-optimized GeoTIFF by GDAL, with overviews."""
    pytest.importorskip("rasterio")
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        rows, columns = pixels.shape
        with MemoryFile() as memory:
            profile = {"height": rows, "width": columns, "count": 1, "dtype": pixels.dtype.name}
            with memory.open(driver="GTiff", **profile) as made:
                made.write(pixels, 1)
            with memory.open() as made:
                copy(made, str(place), driver="COG", blocksize=64)
    return str(place)


def _png(place, pixels):
    import imagecodecs

    place.write_bytes(imagecodecs.png_encode(pixels))
    return str(place)


def _npy(place, pixels):
    np.save(place, pixels)
    return str(place)


SOURCES: Final[dict[str, tuple[str, Made]]] = {
    "zarr v2": ("v2.zarr", lambda place, pixels: zarr_array(place, pixels, zarr_format=2)),
    "zarr v3": ("v3.zarr", zarr_array),
    "zarr v3 sharded": (
        "sharded.zarr",
        lambda place, pixels: zarr_array(place, pixels, (16, 20), shards=(64, 40)),
    ),
    "ome-zarr": ("ome.zarr", _ome),
    "tiled tiff": ("tiled.tif", _tiff),
    "cog": ("cog.tif", _cog),
    "png": ("in.png", _png),
    "npy": ("in.npy", _npy),
}
"""Of each kind of source, a name and what writes it."""


def read(place):
    """The values of an array, as the zarr library reads them."""
    zarr = pytest.importorskip("zarr")
    found = zarr.open(str(place), mode="r")
    return (found if isinstance(found, zarr.Array) else found["0"])[...]


def read_by_hand(place):
    """The values of an array of version 3 with chunks of gzip, in shards or not, without the zarr library."""
    document = json.loads((Path(place) / "zarr.json").read_text())
    objects = document["chunk_grid"]["configuration"]["chunk_shape"]
    (codec, *others), chunks = document["codecs"], objects
    is_sharded = codec["name"] == "sharding_indexed"
    if is_sharded:
        chunks, others = codec["configuration"]["chunk_shape"], codec["configuration"]["codecs"][1:]
    assert [other["name"] for other in others] == ["gzip"]
    image = np.zeros(document["shape"], document["data_type"])
    for top in range(0, image.shape[0], objects[0]):
        for left in range(0, image.shape[1], objects[1]):
            data = (Path(place) / "c" / str(top // objects[0]) / str(left // objects[1])).read_bytes()
            parts = {(0, 0): data}
            if is_sharded:
                counts = [whole // each for whole, each in zip(objects, chunks, strict=True)]
                size = counts[0] * counts[1] * 16
                index = np.frombuffer(data[-4 - size : -4], "<u8").reshape(*counts, 2).tolist()
                parts = {
                    (row, column): data[start : start + count]
                    for row, line in enumerate(index)
                    for column, (start, count) in enumerate(line)
                    if start != 2**64 - 1
                }
            for (row, column), part in parts.items():
                first, second = top + row * chunks[0], left + column * chunks[1]
                place_in = image[first : first + chunks[0], second : second + chunks[1]]
                values = np.frombuffer(gzip.decompress(part), image.dtype).reshape(chunks)
                place_in[...] = values[: place_in.shape[0], : place_in.shape[1]]
    return image
