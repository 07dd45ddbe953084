"""Formats without compression, PNM, PFM and NPY: every form of them, against values built by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.core.errors import ImageError
from convcli.formats import npy
from convcli.formats.header import Metadata
from convcli.formats.opening import open_bytes
from convcli.formats.registry import format_named

LIMIT = 10**9
PAM = b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n"


def read(data: bytes) -> np.ndarray:
    """The pixels, found to be what the header says."""
    opened = open_bytes(data, LIMIT)
    pixels, header = opened.pixels(), opened.header
    assert (pixels.shape, pixels.dtype) == ((header.rows, header.columns, header.channels), header.dtype)
    return pixels


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"P1 3 2 1 0 1 0 1 0", [[0, 255, 0], [255, 0, 255]]),
        (b"P1\n3 2\n101010", [[0, 255, 0], [255, 0, 255]]),
        (b"P1#a\n3#b\r2#c\n#d\n10#e\n1 01\t0", [[0, 255, 0], [255, 0, 255]]),
        (b"P2 2 2 255\n0 1\n254 255\n", [[0, 1], [254, 255]]),
        (b"P2\n# a comment\n2 2 # another\n15\n0 1 # and one\n14 15", [[0, 17], [238, 255]]),
        (b"P2 2 1 65535 258 65535", [[258, 65535]]),
        (b"P3 1 1 255 1 2 3", [[[1, 2, 3]]]),
        (b"P4 9 2\n\xaa\x80\x55\x00", [[0, 255] * 4 + [0], [255, 0] * 4 + [255]]),
        (b"P5 2 1 255 \n\x0c", [[10, 12]]),
        (b"P5 2 1 255# the end\n\x0b\x0c", [[11, 12]]),
        (b"P5 3 1 2\n\x00\x01\x02", [[0, 128, 255]]),
        (b"P5 3 1 256\n\x00\x00\x00\x01\x01\x00", [[0, 256, 65535]]),
        (b"P5 2 1 1000\n\x00\x01\x01\xf4", [[66, 32768]]),
        (b"P6\n1\n1\n65535\n\x00\x01\x01\x00\xff\xff", [[[1, 256, 65535]]]),
        (PAM % (1, 1, b"BLACKANDWHITE") + b"\x01\x00", [[255, 0]]),
        (PAM % (1, 255, b"GRAYSCALE") + b"ab", [[97, 98]]),
        (PAM % (2, 255, b"GRAYSCALE_ALPHA") + b"abcd", [[[97, 98], [99, 100]]]),
        (PAM % (3, 255, b"RGB") + b"abcdef", [[[97, 98, 99], [100, 101, 102]]]),
        (PAM % (4, 65535, b"RGB_ALPHA") + bytes(range(16)), (np.arange(8) * 514 + 1).reshape(1, 2, 4)),
        (b"P7\n#x\nHEIGHT 1\n\nWIDTH 1\nMAXVAL 3\nDEPTH 1\nENDHDR\n\x02", [[170]]),
    ],
)
def test_portable_maps(data, values):
    """Text and bytes, comments and any white space, every depth spread over the full range."""
    expected = np.asarray(values)
    assert np.array_equal(read(data), expected.reshape(*expected.shape[:2], -1))


@pytest.mark.parametrize("most", [1, 2, 3, 7, 15, 100, 254, 255, 256, 1000, 1023, 4095, 32767, 65534, 65535])
def test_a_largest_value_is_spread_to_nearest(most):
    """Every value of every depth is within half a step of its share, and a note says so."""
    stored = np.arange(most + 1)
    data = b"P5 %d 1 %d\n" % (most + 1, most) + stored.astype(">u2" if most > 255 else "u1").tobytes()
    top = 65535 if most > 255 else 255
    assert np.abs(read(data).ravel() - stored * top / most).max() <= 0.5
    assert bool(open_bytes(data, LIMIT).header.notes) == (most not in (1, 255, 65535))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"P5 2 2 255\nabc", "3 bytes of pixels instead of 4"),
        (b"P2 2 2 255\n1 2 3  ", "3 of 4 values"),
        (b"P1 4 4 1 0 0 0 0 0 0 0 0 0 0 0", "12 of 16 values"),
        (b"P5 2 1 9\n\x09\x0a", "a pixel has the value 10; allowed: 0 to 9"),
        (b"P2 2 1 9 5 99999999999999999999999", "allowed: 0 to 9"),
        (b"P2 2 1 9 5 -1", "'-' between its numbers"),
        (b"P1 2 1 0 2", "'2' between its numbers"),
        (b"P5 0 1 9\n\x09", "0×1 pixels"),
        (b"P5 1 1 0\n\x09", "values up to 0; allowed: 1 to 65535"),
        (b"P5 1 1 65536\n\x09", "values up to 65536; allowed: 1 to 65535"),
        (b"P5 1 1\n", "no width, height and maximum value"),
        (b"P5 9999999999 1 255\n", "no width, height and maximum value"),
        (b"P6 99999 99999 255\n", "9999800001 pixels; allowed: 1000000000"),
        (b"P7\nWIDTH 1\n", "without ENDHDR"),
        (b"P7\nWIDTH x\nENDHDR\n", "no integer for WIDTH"),
        (PAM % (2, 255, b"RGB") + b"abcd", "2 channels and tuple type 'RGB'; allowed: 1 to 4"),
        (PAM % (3, 255, b"CMYK") + b"abcdef", "tuple type 'CMYK'; allowed: BLACKANDWHITE, GRAYSCALE"),
        (b"PF 2 1 -1.0\nabcdefg", "7 bytes of pixels instead of 24"),
        (b"Pf 2 1 -1.0.0\nabcdefgh", "scale is '-1.0.0', no number"),
        (b"Pf 2 1 0\nabcdefgh", "2×1 pixels of scale 0"),
        (b"Pf 2 0 1\nabcdefgh", "2×0 pixels"),
        (b"Pf two 1\n", "no width, height and scale"),
    ],
)
def test_damaged_maps(data, words):
    """One line that says what was found and what is allowed."""
    with pytest.raises(ImageError, match=words) as caught:
        open_bytes(data, LIMIT).pixels()
    assert "\n" not in str(caught.value)


def test_what_follows_a_map_is_mentioned():
    """A second image in the same file is left out, and a note says so."""
    picture = b"P5 2 1 255\nab"
    assert open_bytes(picture, LIMIT).header.notes == ()
    assert open_bytes(picture + b"junk", LIMIT).header.notes == ("data after the first image is ignored",)
    assert open_bytes(picture * 2, LIMIT).header.frames == 2
    bitmap = b"P4 9 2\n\xaa\x80\x55\x00"
    assert open_bytes(bitmap + b"junk", LIMIT).header.notes == ("data after the first image is ignored",)
    with pytest.raises(ImageError, match="its last image is truncated"):
        open_bytes(bitmap + bitmap[:-1], LIMIT)


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 21])
def test_bitmaps_in_a_row_are_frames(columns):
    """Each row of bits, which begins a byte, of each image, read in parts."""
    bits = np.random.default_rng(columns).integers(0, 2, (3, 11, columns), np.uint8)
    packed = np.packbits(1 - bits, axis=-1)
    data = b"".join(b"P4 # bits\n%d 11\n" % columns + frame.tobytes() for frame in packed)
    opened = open_bytes(data, LIMIT)
    assert (opened.header.frames, opened.header.notes) == (3, ())
    for frame in range(3):
        assert np.array_equal(opened.reader().rows(frame, 2, 9)[..., 0], bits[frame, 2:9] * 255)
    assert np.array_equal(opened.pixels()[..., 0], bits[0] * 255)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("channels", "magic"), [(1, b"P5"), (2, b"P7"), (3, b"P6"), (4, b"P7")])
def test_maps_as_they_are_written(channels, dtype, magic):
    """P5, P6 and P7, most significant byte first, as Pillow reads them where it does."""
    pixels = np.arange(24 * channels).reshape(4, 6, channels).astype(dtype)
    data = format_named("pnm").encode(pixels, Metadata())
    assert data.startswith(magic)
    assert data.endswith(pixels.astype(">u2" if dtype == "uint16" else "u1").tobytes())
    if magic != b"P7" and (dtype == "uint8" or channels == 1):
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("scale", "order"), [(b"-1.0", "<"), (b"1", ">"), (b"-2.5e-1", "<")])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_maps(channels, scale, order):
    """Rows from the bottom up, either byte order, NaN and infinity kept, a scale mentioned."""
    pixels = np.arange(12 * channels, dtype=np.float32).reshape(3, 4, channels)
    pixels[0, 0], pixels[2, 1] = np.nan, -np.inf
    head = b"%s\n4 3\n%s\n" % (b"Pf" if channels == 1 else b"PF", scale)
    data = head + pixels[::-1].astype(order + "f4").tobytes()
    assert np.array_equal(read(data), pixels, equal_nan=True)
    assert bool(open_bytes(data, LIMIT).header.notes) == (scale == b"-2.5e-1")
    if scale == b"-1.0":
        assert format_named("pfm").encode(pixels, Metadata()) == data


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    """An array as NumPy writes it."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version)
    return buffer.getvalue()


NPY_TYPES = ["?", "u1", "i1", "<u2", ">u2", "<i2", ">i4", "<u4", "<f2", ">f4", "<f8", ">f8"]


@pytest.mark.parametrize("dtype", NPY_TYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 4)])
def test_arrays(shape, version, order, dtype):
    """Either order of axes and bytes; true is white."""
    values = np.random.default_rng(3).integers(0, 2 if dtype == "?" else 100, shape)
    pixels = read(saved(np.asarray(values, dtype, order=order), version))
    expected = values * 255 if dtype == "?" else values
    assert np.array_equal(pixels, expected.reshape(*shape[:2], -1))
    assert pixels.dtype.isnative
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("stored", "low", "high", "kind"),
    [
        ("<i8", 0, 63, "int32"),
        (">i8", -(2**31), 2**31 - 1, "int32"),
        ("<i8", 0, 2**32 - 1, "uint32"),
        ("<u8", 7, 9, "int32"),
        (">u8", 0, 2**32 - 1, "uint32"),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_wide_integers_that_fit(monkeypatch, stored, order, low, high, kind):
    """NumPy's own integers, by the narrow type that holds them all, in whichever part the largest is."""
    monkeypatch.setattr(npy, "_PART", 64)
    values = np.random.default_rng(5).integers(low, high, (9, 8), np.int64, endpoint=True)
    for place in (0, 40, 71):
        values.flat[place], values.flat[71 - place] = low, high
        data = saved(np.asarray(values, stored, order=order))
        opened = open_bytes(data, LIMIT)
        assert opened.header.dtype == np.dtype(kind)
        words = f"its {np.dtype(stored).name} values, {low} to {high}, are read as {kind}"
        assert opened.header.notes == (words,)
        assert np.array_equal(read(data)[..., 0], values)
        assert np.array_equal(opened.reader().rows(0, 3, 7)[..., 0], values[3:7])


FRAMES = "shape {} is read as {} frames of {}; {} would be {} channels"


@pytest.mark.parametrize(
    ("shape", "frames", "channels", "alpha", "note"),
    [
        ((5, 7), 1, 1, False, ""),
        ((5, 7, 1), 1, 1, False, ""),
        ((5, 7, 2), 1, 2, True, ""),
        ((5, 7, 3), 1, 3, False, ""),
        ((5, 7, 4), 1, 4, True, ""),
        ((2, 5, 7), 2, 1, False, FRAMES.format((2, 5, 7), 2, "7×5", (1, 2, 5, 7), 7)),
        ((5, 7, 8), 5, 1, False, FRAMES.format((5, 7, 8), 5, "8×7", (1, 5, 7, 8), 8)),
        ((1, 5, 7, 2), 1, 2, False, "no channel is treated as alpha, as in every array of one frame"),
        ((1, 5, 7, 3), 1, 3, False, ""),
        ((1, 5, 7, 8), 1, 8, False, ""),
        (
            (1, 1, 5, 7),
            1,
            7,
            False,
            "(1, 1, 5, 7) is read as 7 channels of 5×1; channels first are (1, 5, 7, 1)",
        ),
        ((2, 3, 5, 7), 2, 7, False, "channels first are (2, 5, 7, 3) after transpose(0, 2, 3, 1)"),
        ((3, 5, 7, 4), 3, 4, True, "the last channel is treated as alpha"),
        ((3, 5, 7, 8), 3, 8, False, ""),
    ],
)
def test_the_shape_of_an_array_says_what_its_axes_are(shape, frames, channels, alpha, note):
    """One reading for every shape, and a note where another one would make sense."""
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    header = open_bytes(saved(values), LIMIT).header
    assert (header.frames, header.channels, header.alpha) == (frames, channels, alpha)
    assert note in " ".join(header.notes) and bool(header.notes) == bool(note)
    opened = open_bytes(saved(values), LIMIT)
    found = [opened.reader().rows(frame, 0, header.rows) for frame in range(frames)]
    assert np.array_equal(np.ravel(found), values.ravel())


@pytest.mark.parametrize("kernel", ["ones3", "sobel", "random:3x3x1x3", "random:3x3x1x4", "kirsch"])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_stack_is_read_back_as_it_was_written(kernel, frames, tmp_path, run):
    """1, 2, 3, 4 and 8 maps are as many channels, none of them alpha, which a layer then sums."""
    first, again, out = tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "c.npy"
    pixels = np.random.default_rng(2).integers(0, 255, (frames, 9, 11, 1), np.uint8)
    np.save(first, pixels)
    done = run("apply", first, "-k", kernel, "--stack", "--map", "raw", "-o", again)
    assert done.code == 0, done.err
    maps = convcli.load_kernel(kernel).maps
    written = np.load(again)
    assert written.shape == (frames, 9, 11, maps)
    warned = "its last channel is treated as alpha" in done.text
    header = open_bytes(again.read_bytes(), LIMIT).header
    assert header.alpha == warned == (frames > 1 and maps in (2, 4))
    assert (header.frames, header.rows, header.columns, header.channels) == written.shape
    if not header.alpha:
        done = run("apply", again, "-k", "identity", "-o", out)
        assert done.code == 0, done.err
        assert np.array_equal(np.load(out).reshape(written.shape), written)
        layer = np.random.default_rng(3).normal(size=(3, 3, maps, 2)).astype(np.float32)
        np.save(tmp_path / "layer.npy", layer)
        options = ("--padding", "valid", "--stack", "--map", "raw", "--channels", "sum")
        done = run("apply", again, "-k", tmp_path / "layer.npy", *options, "-o", out, "-f")
        assert done.code == 0, done.err
        due = convcli.conv(written, layer, channels="last")
        assert np.abs(np.load(out) - due).max() < 1e-3


@pytest.mark.parametrize("command", ["view", "explore", "apply-png", "apply-figure", "explain"])
def test_more_channels_than_colors_are_refused_where_they_cannot_be_shown(command, tmp_path, run):
    """One line that says how many there are; `explain` tells each by its number."""
    source = tmp_path / "a.npy"
    np.save(source, np.arange(1 * 9 * 11 * 6, dtype=np.uint8).reshape(1, 9, 11, 6))
    words = {
        "view": ("view", source, "--as", "blocks"),
        "explore": ("explore", source, "-k", "box3", "-o", tmp_path / "x.html"),
        "apply-png": ("apply", source, "-k", "box3", "-o", tmp_path / "x.png"),
        "apply-figure": ("apply", source, "-k", "box3", "--figure", "-o", tmp_path / "x.png"),
        "explain": ("explain", source, "-k", "box3", "--at", "4,4"),
    }[command]
    done = run(*words)
    assert "Traceback" not in done.err
    if command == "explain":
        assert done.code == 0 and "channel 5" in done.text
    elif command == "apply-png":
        assert done.code == 2 and "png cannot hold 6 channels, 8-bit: at most 4 channels" in done.err
    else:
        assert done.code != 0 and "6 channels cannot be shown as one image" in done.err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (saved(np.zeros((2, 2), complex)), "npy with type 'complex128'; allowed: bool, uint8, int8"),
        (saved(np.array([[-1, 2**31]])), r"values from -1 to 2147483648; allowed: .*astype\('float64'\)"),
        (saved(np.array([[0, 2**32]], np.uint64)), "uint64 values from 0 to 4294967296; allowed"),
        (saved(np.zeros((2, 2), int))[:-1], "31 bytes of pixels instead of 32"),
        (saved(np.zeros((2, 2), int))[:130], "2 bytes of pixels instead of 32"),
        (saved(np.zeros((2, 2), "u1,f4")), "npy with type"),
        (saved(np.array([[None]])), "npy with type 'object'"),
        (saved(np.zeros(())), r"npy with shape '\(\)'; allowed: \(length,\), \(rows, columns\)"),
        (saved(np.zeros(0)), r"npy with shape '\(0,\)'"),
        (saved(np.zeros((2, 2, 2, 4097), np.uint8)), "allowed: .* 1 to 4096 channels"),
        (saved(np.zeros((1, 1, 2, 2, 3))), "npy with shape"),
        (saved(np.zeros((0, 2))), "npy with shape"),
        (saved(np.zeros((2, 2)))[:-1], "31 bytes of pixels instead of 32"),
        (saved(np.zeros((2, 2))) + b"\0", "33 bytes of pixels instead of 32"),
        (saved(np.zeros((2, 2)))[:40], "damaged npy"),
        (b"\x93NUMPY\x03\x00" + bytes(99), "version 3.0; allowed: 1.0 and 2.0"),
        (saved(np.zeros((2, 2))).replace(b"(2, 2)", b"9**999"), "damaged npy: its header cannot be read"),
        (saved(np.zeros((2, 2))).replace(b"(2, 2)", b"((2, 2"), "damaged npy: its header cannot be read"),
    ],
)
def test_arrays_that_are_no_images(data, words):
    """One line each, and a pickle is never opened."""
    with pytest.raises(ImageError, match=words) as caught:
        open_bytes(data, LIMIT).pixels()
    assert "\n" not in str(caught.value)
