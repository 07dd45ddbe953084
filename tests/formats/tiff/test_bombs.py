"""Segments that decompress to more than they should."""

from __future__ import annotations

import zlib

import imagecodecs
import numpy as np
import pytest

from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.opening import open_input
from tests.formats.tiffs import tiff

LARGE = np.zeros((2000, 2000), np.uint8)
SMALL = np.arange(256, dtype=np.uint8).reshape(16, 16)


def of_tile(data: bytes, compression: int):
    """The reader of a gray tile of 16 × 16."""
    tags = {256: 16, 257: 16, 258: 8, 259: compression, 262: 1, 277: 1, 322: 16, 323: 16}
    return open_input(Input(data=tiff(tags, [data], types={259: 3})))[0].reader()


@pytest.mark.parametrize(
    ("compression", "encode"), [(7, imagecodecs.jpeg_encode), (33003, imagecodecs.jpeg2k_encode)]
)
def test_an_image_larger_than_its_tile_is_refused_before_it_is_decoded(compression, encode):
    """The size that it states is compared with the tile's."""
    with pytest.raises(ImageError, match=r"tile 0 .* states 4000000 pixels instead of 256"):
        of_tile(bytes(encode(LARGE)), compression).rows(0, 0, 16)
    assert of_tile(bytes(encode(SMALL)), compression).rows(0, 0, 16).shape == (16, 16, 1)


@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (8, zlib.compress),
        (5, imagecodecs.lzw_encode),
        (50000, imagecodecs.zstd_encode),
        (34925, imagecodecs.lzma_encode),
    ],
)
def test_a_stream_longer_than_its_tile_ends_there(compression, encode):
    """It is cut off, or an error; the rest is not kept."""
    reader = of_tile(bytes(encode(LARGE.tobytes())), compression)
    try:
        assert reader.rows(0, 0, 16).shape == (16, 16, 1)
    except ImageError as error:
        assert "tile 0 (from row 0, column 0)" in str(error)
