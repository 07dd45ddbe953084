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
        key = pixels.shape, pixels.tobytes(), options
        if key not in WHOLE:
            source, target = tmp_path / "whole.npy", tmp_path / "whole-result.npy"
            np.save(source, pixels)
            ran = run("apply", source, "-o", target, "-q", "-f", *options)
            assert (ran.code, ran.err) == (0, "")
            WHOLE[key] = np.load(target)
        return WHOLE[key]

    return filtered


WHOLE: dict[tuple[object, ...], np.ndarray] = {}
"""Results of whole images, by the pixels and the options."""


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


@pytest.mark.parametrize("kernel", ["box3", "gaussian:1.5", "motion:7", "sobel-x"])
def test_floats(whole, pieces, tmp_path, kernel):
    """Rounded sums: the bytes of one process with --steady."""
    source = zarr_array(tmp_path / "in.zarr", FLOAT)
    for options in ((), ("--padding", "full:wrap"), ("--precision", "double")):
        words = ("-k", kernel, "--map", "raw", *options)
        assert np.array_equal(pieces(source, *words, *SIZES), whole(FLOAT, *words, "--steady"))


OPTIONS = {
    "signed": (GRAY, "sobel-x", "--map", "signed"),
    "stretch": (GRAY, "sobel-x", "--map", "stretch"),
    "stretch to numbers": (GRAY, "box3", "--map", "stretch:1000,50000"),
    "abs": (GRAY, "sobel-y", "--map", "abs"),
    "raw": (GRAY, "laplacian8", "--map", "raw"),
    "8 bits": (GRAY, "box3", "--depth", "8"),
    "floats": (GRAY, "box3", "--depth", "float"),
    "stride": (GRAY, "box3", "--stride", "3,2"),
    "valid": (GRAY, "gaussian5", "--padding", "valid"),
    "full": (GRAY, "gaussian5", "--padding", "full:symmetric"),
    "sides": (GRAY, "gaussian5", "--padding", "9,0,70,3:wrap", "--stride", "2"),
    "dilation": (GRAY, "gaussian5", "--dilation", "5,3"),
    "flip": (GRAY, "sobel-x", "--flip"),
    "magnitude": (GRAY, "sobel"),
    "bank": (GRAY, "kirsch", "--stack"),
    "bank, raw": (GRAY, "sobel", "--combine", "stack", "--map", "raw"),
    "rgb": (RGB, "gaussian5"),
    "rgb to gray": (RGB, "sobel-x", "--channels", "gray"),
    "rgb, linear": (RGB, "box3", "--linear"),
    "alpha": (RGBA, "gaussian5"),
    "alpha kept": (RGBA, "gaussian5", "--alpha", "keep", "--padding", "valid"),
    "alpha dropped": (RGBA, "gaussian5", "--alpha", "drop"),
    "colors": (GRAY, "sobel-x", "--colormap", "viridis"),
    "ignore": (GRAY, "box3", "--ignore", "7", "--padding", "same:ignore"),
    "normalize": (RGB, "box3", "--normalize", "imagenet", "--map", "raw"),
}
"""Pixels, a kernel and options."""


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option(whole, pieces, tmp_path, option):
    """Everything that changes what is computed or how it is shown."""
    pixels, kernel, *options = OPTIONS[option]
    kind = {"chunks": (32, 40, 4), "dimension_names": ["y", "x", "rgba"]} if pixels is RGBA else {}
    kind = {"chunks": (32, 40, 3), "dimension_names": ["y", "x", "c"]} if pixels is RGB else kind
    source = zarr_array(tmp_path / "in.zarr", pixels, **kind)
    made = pieces(source, "-k", kernel, *options, *SIZES)
    expected = whole(pixels, "-k", kernel, *options)
    expected = expected[0] if expected.ndim > made.ndim else expected
    assert made.dtype == expected.dtype
    assert np.array_equal(made, expected)


STACK = RANDOM.integers(0, 65536, (2, 2, 4, 30, 34), np.uint16)


def stack(place, **options):
    """An array with axes of time, channels and depth."""
    return zarr_array(place, STACK, dimension_names=list("tczyx"), **options)


def each_frame(whole, pixels, *options):
    """The results of the frames of an array, each by itself."""
    frames = pixels.reshape(-1, *pixels.shape[-2:])
    made = np.stack([whole(np.ascontiguousarray(frame), *options) for frame in frames])
    return made.reshape(*pixels.shape[:-2], *made.shape[-2:])


@pytest.mark.parametrize(
    "chunks", [(1, 1, 1, 20, 20), (1, 1, 2, 20, 20), (2, 2, 1, 30, 20), (1, 2, 4, 20, 20)]
)
def test_frames(whole, pieces, tmp_path, chunks):
    """Every frame is filtered by itself, whichever axes chunks span, and axes keep their names."""
    source = stack(tmp_path / "in.zarr", chunks=chunks)
    for options in (("-k", "box3"), ("-k", "gaussian5", "--stride", "2", "--padding", "valid")):
        assert np.array_equal(pieces(source, *options), each_frame(whole, STACK, *options))
    import zarr

    assert zarr.open_array(tmp_path / "pieces.zarr", mode="r").metadata.dimension_names == tuple("tczyx")


PICKS = {
    "t=1": (slice(1, 2),),
    "c=0,z=1..2": (slice(None), slice(0, 1), slice(1, 3)),
    "t=0,c=1,z=3": (slice(0, 1), slice(1, 2), slice(3, 4)),
}


@pytest.mark.parametrize("axes", PICKS)
def test_selected_frames(whole, pieces, tmp_path, axes):
    """--axes: the frames that were picked, in an array with the same axes."""
    source = stack(tmp_path / "in.zarr", chunks=(1, 1, 2, 20, 20))
    made = pieces(source, "-k", "box3", "--axes", axes)
    assert np.array_equal(made, each_frame(whole, STACK[PICKS[axes]], "-k", "box3"))


@pytest.mark.parametrize(
    ("chunks", "options"),
    [
        ((1, 1, 1, 20, 20), ()),
        ((2, 1, 2, 20, 20), ("--padding", "full:edge")),
        ((1, 2, 4, 20, 34), ("--padding", "valid")),
        ((1, 1, 3, 20, 34), ("--stride", "2,1,3")),
    ],
)
def test_volumes(whole, pieces, tmp_path, chunks, options):
    """A kernel of three axes slides over the innermost axis of frames; every volume is filtered by itself."""
    source = stack(tmp_path / "in.zarr", chunks=chunks)
    words = ("-k", "box:3x5x3", *options)
    made = pieces(source, *words, "--piece", "20")
    for time in range(2):
        for channel in range(2):
            volume = np.ascontiguousarray(STACK[time, channel])
            expected = whole(volume[..., None], *words)
            assert np.array_equal(made[time, channel], expected.reshape(made.shape[2:]))


def test_levels(whole, pieces, tmp_path):
    """--level: one resolution of an OME-Zarr image."""
    source = made(tmp_path, "ome-zarr", GRAY)
    small = np.ascontiguousarray(GRAY[::2, ::2])
    assert np.array_equal(pieces(source, "-k", "box3", "--level", "1"), whole(small, "-k", "box3"))


def test_names(run, whole, tmp_path):
    """Two kernels, several maps and default names: an array for each, beside the source or in a folder."""
    source = zarr_array(tmp_path / "in.zarr", GRAY)
    for words in ((), ("-o", f"{tmp_path}/o/"), ("-o", f"{tmp_path}/{{stem}}-{{kernel}}.zarr")):
        ran = run("apply", source, "-k", "box3", "-k", "gaussian5", "-q", *words)
        assert (ran.code, ran.err) == (0, "")
    for name in ("in.{}.zarr", "o/in.{}.zarr", "in-{}.zarr"):
        for kernel in ("box3", "gaussian5"):
            assert np.array_equal(read(tmp_path / name.format(kernel)), whole(GRAY, "-k", kernel))
    np.save(tmp_path / "plain.npy", GRAY)
    assert run("apply", tmp_path / "plain.npy", "-k", "box3", "--format", "zarr", "-q").code == 0
    assert np.array_equal(read(tmp_path / "plain.box3.zarr"), whole(GRAY, "-k", "box3"))
    assert run("apply", source, "-k", "kirsch", "-o", f"{tmp_path}/bank/", "-q").code == 0
    assert len(list((tmp_path / "bank").iterdir())) == 8
    assert not list(tmp_path.rglob("*.convcli"))
