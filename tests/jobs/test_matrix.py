"""Whole commands: results in pieces have the bytes of `convcli apply` in one process, whatever the source.

What is expected comes from NPY files, which are filtered as a whole; results in pieces are read with the
zarr library, or by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.jobs.sources import SOURCES, read, read_by_hand, zarr_array

pytest.importorskip("zarr")

KERNELS = ("box3", "gaussian5", "sobel-x", "laplacian8", "motion:9", "emboss")
FILLS = ("zero", "edge", "reflect", "symmetric", "wrap", "7")
RANDOM = np.random.default_rng(7)
GRAY = RANDOM.integers(0, 65536, (71, 94), np.uint16)
RGB = RANDOM.integers(0, 256, (75, 90, 3), np.uint8)
RGBA = RANDOM.integers(0, 256, (75, 90, 4), np.uint8)
FLOAT = RANDOM.normal(size=(71, 94)).astype(np.float32)


@pytest.fixture
def whole(run, tmp_path):
    """The values of a result that one process makes of some pixels."""

    def filtered(pixels, *options):
        key = id(pixels), options
        if key not in WHOLE:
            source, target = tmp_path / "whole.npy", tmp_path / "whole-result.npy"
            np.save(source, pixels)
            ran = run("apply", source, "-o", target, "-q", "-f", *options)
            assert (ran.code, ran.err) == (0, "")
            WHOLE[key] = np.load(target)
        return WHOLE[key]

    return filtered


WHOLE: dict[tuple[object, ...], np.ndarray] = {}
"""Results of whole images, by the identity of the pixels and the options."""


@pytest.fixture
def pieces(run, tmp_path):
    """The values of a result that is made in pieces of a source."""
    target = tmp_path / "pieces.zarr"

    def filtered(source, *options):
        ran = run("apply", source, "-o", target, "-q", "-f", *options)
        assert (ran.code, ran.err) == (0, "")
        assert not list(tmp_path.glob("**/*.partial"))
        assert not list(tmp_path.glob("*.convcli"))
        return read(target)

    return filtered


def made(folder, kind, pixels):
    """A source of a kind."""
    name, write = SOURCES[kind]
    return write(folder / name, pixels)


SIZES = ("--chunk", "32", "--piece", "64")


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_source_kernel_and_fill(whole, pieces, tmp_path, kind, kernel):
    """Exact sums: every fill at the border, blocks of the source that differ from those of the result."""
    source = made(tmp_path, kind, GRAY)
    for fill in FILLS:
        options = ("-k", kernel, "--padding", f"same:{fill}")
        assert np.array_equal(pieces(source, *options, *SIZES), whole(GRAY, *options)), fill


@pytest.mark.parametrize("shards", [None, (64, 80)])
def test_an_independent_decoder(whole, pieces, tmp_path, shards):
    """Chunks and shards decoded by hand are those of the whole."""
    from zarr.codecs import GzipCodec

    source = zarr_array(tmp_path / "in.zarr", GRAY, compressors=GzipCodec(), shards=shards)
    pieces(source, "-k", "box3", "--piece", "64")
    assert np.array_equal(read_by_hand(tmp_path / "pieces.zarr"), whole(GRAY, "-k", "box3"))
