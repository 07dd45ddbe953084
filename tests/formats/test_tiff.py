"""TIFF as others write it: every layout, compression, type and depth, and pieces that are missing."""

from __future__ import annotations

import io
import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from convcli.core.errors import ImageError
from convcli.core.frozen import replace
from convcli.files.input import Input
from convcli.formats.encoders import encode_whole
from convcli.formats.header import Layout, Metadata
from convcli.formats.opening import open_bytes, open_input
from tests.formats.tiffs import tiff

RNG = np.random.default_rng(21)
LIMIT = 10**9
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32"]
FLOATS = ["float16", "float32", "float64"]


def picture(dtype: str, channels: int = 3) -> np.ndarray:
    """40 rows, 50 columns, which fill neither strips nor tiles."""
    if dtype.startswith("float"):
        return RNG.normal(size=(40, 50, channels)).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, (40, 50, channels), dtype, endpoint=True)


def written(pixels: np.ndarray, **options: object) -> bytes:
    """A TIFF by tifffile: strips of 7 rows unless ``tile`` is given."""
    buffer = io.BytesIO()
    photometric = options.pop("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    strips = {} if options.get("tile") else {"rowsperstrip": 7}
    tifffile.imwrite(buffer, pixels, photometric=photometric, **strips, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_layouts(dtype, compression, order, tile):
    """Strips and tiles, both byte orders, classic and big, channels together and apart: the same pixels."""
    pixels = picture(dtype)
    apart = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    for big, planes in itertools.product((False, True), repeat=2):
        data = written(
            apart if planes else pixels,
            planarconfig="separate" if planes else "contig",
            bigtiff=big,
            byteorder=order,
            compression=compression,
            tile=tile,
        )
        found = open_bytes(data, LIMIT).pixels()
        assert np.array_equal(found, pixels)
        assert (found.dtype, found.dtype.isnative) == (np.dtype(dtype), True)


@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd"])
@pytest.mark.parametrize(
    ("dtype", "predictor"),
    [(dtype, 2) for dtype in INTEGERS] + [(dtype, 3) for dtype in FLOATS],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_predictors(channels, dtype, predictor, compression, order, tile):
    """Differences of integers and of floats."""
    pixels = picture(dtype, channels)
    data = written(
        pixels if channels > 1 else pixels[..., 0],
        predictor=predictor,
        compression=compression,
        byteorder=order,
        tile=tile,
    )
    assert np.array_equal(open_bytes(data, LIMIT).pixels(), pixels)


@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_inside(subsampling, tile):
    """Luma and chroma become RGB, near to what was written; gray stays gray."""
    ramp = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    pixels = np.stack([ramp, ramp + 60, 200 - ramp], -1)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, pixels, photometric="rgb", compression="jpeg", subsampling=subsampling, tile=tile
    )
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        assert file.pages.first.photometric == 6
    found = open_bytes(buffer.getvalue(), LIMIT).pixels()
    off = np.abs(found.astype(int) - pixels)
    assert (np.median(off) <= 2, off.max() <= 24) == (True, True)  # a tile's chroma blends with its padding
    gray = written(ramp, compression="jpeg", tile=tile)
    assert np.abs(open_bytes(gray, LIMIT).pixels()[..., 0].astype(int) - ramp).max() <= 4


def test_jpeg_inside_by_libtiff():
    """The result equals what Pillow reads from its own file."""
    image = Image.fromarray(picture("uint8"))
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression="jpeg", quality=90)
    with Image.open(buffer) as reference:
        expected = np.asarray(reference.convert("RGB"))
    assert np.array_equal(open_bytes(buffer.getvalue(), LIMIT).pixels(), expected)


@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
def test_depths_between(bits):
    """Packed integers of odd depths fill the range of 8 or 16 bits, to nearest, and a note says so."""
    most = 2**bits - 1
    stored = RNG.integers(0, most, (4, 8), np.int64, endpoint=True)
    text = "".join(f"{value:0{bits}b}" for value in stored.ravel())
    packed = int(text, 2).to_bytes(4 * bits, "big")
    sizes = [
        (256, 8),
        (257, 4),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 4),
        (279, 4 * bits),
    ]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in sizes)
    head = b"MM\0*" + struct.pack(">I", 8 + len(packed)) + packed
    opened = open_bytes(head + struct.pack(">H", len(sizes)) + entries + bytes(4), LIMIT)
    top = 255 if bits <= 8 else 65535
    assert opened.header.dtype == (np.uint8 if bits <= 8 else np.uint16)
    assert np.abs(opened.pixels()[..., 0] - stored * top / most).max() <= 0.5
    assert opened.header.notes == (f"values 0 to {most} were scaled to 0 to {top}, rounded to nearest",)


def places(data: bytes) -> list[tuple[int, int]]:
    """Where the file says (place, bytes) of its offset and size of the second strip or tile."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        found = [tags.get(324, tags.get(273)), tags.get(325, tags.get(279))]
        widths = [tag.valuebytecount // tag.count for tag in found]
        return [(tag.valueoffset + width, width) for tag, width in zip(found, widths, strict=True)]


@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd", "jpeg"])
@pytest.mark.parametrize("damage", ["no place", "no size", "beyond", "half", "a little less"])
def test_missing_pieces(damage, compression, tile):
    """A strip or tile that is missing, short or outside the file is an error, never zeros."""
    data = bytearray(written(picture("uint8")[..., 0], compression=compression, tile=tile))
    (start, width), (size, narrow) = places(bytes(data))
    if damage == "no place":
        data[start : start + width] = bytes(width)
    if damage == "no size":
        data[size : size + narrow] = bytes(narrow)
    if damage == "beyond":
        data[start : start + width] = (len(data) - 3).to_bytes(width, "little")
    if damage in ("half", "a little less"):
        kept = int.from_bytes(data[size : size + narrow], "little")
        data[size : size + narrow] = (kept // 2 if damage == "half" else kept - 3).to_bytes(narrow, "little")
    with pytest.raises(ImageError, match="damaged tiff") as caught:
        open_bytes(bytes(data), LIMIT).pixels()
    assert "\n" not in str(caught.value)


def test_alpha_that_was_multiplied_in_is_divided_out():
    """Associated alpha: colors as they are seen, and a note; opaque pixels stay as they are."""
    pixels = np.zeros((4, 5, 4), np.uint8)
    pixels[...] = (100, 0, 64, 128)
    pixels[0] = (7, 8, 9, 255)
    pixels[1] = 0
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", extrasamples=("assocalpha",))
    opened = open_bytes(buffer.getvalue(), LIMIT)
    found = opened.pixels()
    assert found[:, 0].tolist() == [[7, 8, 9, 255], [0, 0, 0, 0], [199, 0, 128, 128], [199, 0, 128, 128]]
    assert "premultiplied colors were divided by alpha" in opened.header.notes


def test_alpha_beside_white_that_is_zero():
    """Gray is turned over, its alpha is not."""
    pixels = np.zeros((3, 4, 2), np.uint8)
    pixels[...] = (10, 255)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, pixels, photometric="miniswhite", planarconfig="contig", extrasamples=("unassalpha",)
    )
    assert open_bytes(buffer.getvalue(), LIMIT).pixels()[0, 0].tolist() == [245, 255]


def test_a_palette_that_is_missing(tmp_path):
    """A page that says it has one is refused where it has none, from memory and in parts."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((20, 20), np.uint8), photometric="minisblack")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        struct.pack_into("<H", data, file.pages.first.tags[262].valueoffset, 3)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="damaged tiff"):
        open_bytes(bytes(data), LIMIT).pixels()
    with Input.open(str(path)) as source, pytest.raises(ImageError, match="damaged tiff"):
        open_input(source, LIMIT)[0].reader().rows(0, 0, 5)


@pytest.mark.parametrize(
    ("channels", "extra", "bands"),
    [
        (2, ["unspecified"], True),
        (4, ["unspecified"], True),
        (2, ["unassalpha"], False),
        (4, ["unassalpha"], False),
        (4, ["assocalpha"], False),
        (3, None, False),
    ],
)
def test_what_the_last_band_is(channels, extra, bands):
    """An unspecified band is none of transparency, and is written as unspecified again."""
    pixels = picture("uint16", channels)
    photometric = "rgb" if channels > 2 else "minisblack"
    data = written(pixels, photometric=photometric, planarconfig="contig", extrasamples=extra)
    opened = open_bytes(data, LIMIT)
    assert (opened.header.bands, opened.header.alpha) == (bands, channels in (2, 4) and not bands)
    layout = replace(Layout.of(pixels), bands=bands)
    file = io.BytesIO(encode_whole(opened.format.encoder(layout, Metadata()), pixels))
    assert extra_samples(file) == ([] if channels == 3 else ["UNSPECIFIED"] if bands else ["UNASSALPHA"])


def extra_samples(file: Path | io.BytesIO) -> list[str]:
    """What the first page of a TIFF says of the channels behind its colors."""
    with tifffile.TiffFile(file) as read:
        return [value.name for value in read.pages.first.extrasamples]


def infrared(folder: Path, channels: int = 4) -> tuple[Path, np.ndarray]:
    """A TIFF of colors and a band that is 0 here and there, where no color would be seen through it."""
    pixels = RNG.integers(0, 256, (40, 50, channels), np.uint8)
    pixels[10:20, ..., -1] = 0
    options = {"photometric": "rgb" if channels > 2 else "minisblack", "planarconfig": "contig"}
    (folder / "infrared.tif").write_bytes(written(pixels, extrasamples=["unspecified"], **options))
    return folder / "infrared.tif", pixels


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_every_band_is_filtered_alike(run, tmp_path, channels, suffix):
    """RGB and infrared are means of their own, and infrared is no weight of colors; the report says so."""
    source, pixels = infrared(tmp_path, channels)
    ran = run("apply", source, "-k", "box3", "-o", tmp_path / f"out{suffix}", "--report", "json")
    report, kind = json.loads(ran.text), f"{channels} channels"
    assert kind in report["input"]["kind"] and kind in report["output"]["kind"]
    assert any("not treated as alpha" in note for note in report["notes"])
    out = tmp_path / f"out{suffix}"
    found = np.load(out) if suffix == ".npy" else tifffile.imread(out)
    padded = np.pad(pixels.astype(int), ((1, 1), (1, 1), (0, 0)), "reflect")
    sums = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1)).sum((-2, -1))
    assert np.array_equal(found.reshape(sums.shape), np.rint(sums / 9))
    if suffix == ".tif":
        assert extra_samples(out) == ["UNSPECIFIED"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (
            ["-o", "out.png"],
            2,
            "png cannot hold 4 channels, 8-bit: no extra",
        ),
        (["-o", "out.png"], 2, "these can: .tif, .npy; or use --alpha drop (without the last channel)\n"),
        (["-o", "out.jpg"], 2, ".npy; or use --alpha drop (without the last channel)\n"),
        (["-o", "out.gif"], 2, "gif cannot hold 4 channels, 8-bit: no extra"),
        (["-o", "-"], 0, "not treated as alpha"),
        (["-o", "-", "--format", "png"], 2, "png cannot hold 4 channels"),
        (["-o", "-", "--format", "tiff"], 0, "not treated as alpha"),
        (["-o", "out.tif", "--channels", "gray"], 2, "use --channels each or sum"),
        (
            ["-o", "out.tif", "--colormap", "viridis"],
            2,
            "needs a gray or RGB image; this one",
        ),
        (["-o", "out.tif", "--channels", "sum"], 0, "not treated as alpha"),
        (["-o", "out.png", "--alpha", "keep"], 0, "alpha is the input's"),
        (["-o", "out.png", "--alpha", "drop"], 0, "alpha is dropped"),
        (["-o", "maps.npy", "--stack"], 0, "not treated as alpha"),
        (["-o", "figure.png", "--figure"], 0, "not treated as alpha"),
    ],
)
def test_a_band_becomes_alpha_only_on_demand(run, tmp_path, monkeypatch, options, code, words):
    """A format that would call a band alpha is refused with what holds it; --alpha takes it for alpha."""
    source, _ = infrared(tmp_path)
    monkeypatch.chdir(tmp_path)
    ran = run("apply", source, "-k", "box3", *options, "--report", "text")
    assert (ran.code, words in ran.out.decode(errors="replace") + ran.err) == (code, True)


def test_a_band_is_explained_as_one(run, tmp_path):
    """Each color and the band by itself, and the first colors on the page."""
    source, pixels = infrared(tmp_path)
    ran = run("explain", source, "-k", "box3", "--at", "15,20", "--report", "json")
    channels = json.loads(ran.text)["maps"][0]["channels"]
    assert [channel["channel"] for channel in channels] == ["red", "green", "blue", "band 4"]
    window = pixels[14:17, 19:22].reshape(9, 4).astype(int)
    assert [channel["pixel"] for channel in channels] == np.rint(window.sum(0) / 9).tolist()
    assert run("explore", source, "-k", "box3", "-o", tmp_path / "page.html").code == 0
    assert "without the last band" in (tmp_path / "page.html").read_text()


def test_a_volume_in_one_page_is_refused():
    """The message names its layers, not its channels."""
    volume = np.zeros((5, 16, 16), np.uint8)
    data = written(volume, photometric="minisblack", volumetric=True, tile=(5, 16, 16))
    with pytest.raises(ImageError, match="tiff of 5 layers in one page; allowed: 1, a volume as pages"):
        open_bytes(data, LIMIT)


def test_a_palette_of_another_length_is_refused():
    """Three values for each number that a pixel can hold; what is told is what there is."""
    buffer = io.BytesIO()
    Image.fromarray(picture("uint8")[..., 0]).convert("P").save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    entry = data.index(struct.pack("<HHI", 320, 3, 768))
    for count in (767, 3):
        data[entry + 4 : entry + 8] = struct.pack("<I", count)
        with pytest.raises(ImageError, match=f"its palette has {count} values; allowed: 768"):
            opened = open_bytes(bytes(data), LIMIT)
            opened.reader().rows(0, 0, 1)


STACK = RNG.integers(0, 2**16, (4, 6, 5), np.uint16)


def one_page(kind: str) -> bytes:
    """The planes of a stack behind one page, as its writers store them."""
    if kind == "MetaMorph":
        tags = {
            256: 5,
            257: 6,
            258: 16,
            259: 1,
            262: 1,
            277: 1,
            278: 6,
            279: 60,
            33628: [0, 0],
            33629: [1] * 8,
        }
        return tiff(tags, [STACK.tobytes()], types={33628: 4, 33629: 5}, first=True)
    buffer = io.BytesIO()
    options = {"imagej": True} if kind == "ImageJ" else {"metadata": {"axes": "ZYX"}}
    tifffile.imwrite(buffer, STACK, photometric="minisblack", truncate=True, **options)
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        assert len(file.pages) == 1
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["ImageJ", "tifffile", "MetaMorph"])
def test_planes_that_share_a_page_are_frames(kind, tmp_path, run):
    """All are read, in parts and in order; if the file ends before the last, the first one with a note."""
    data = one_page(kind)
    opened = open_bytes(data, LIMIT)
    assert opened.header.frames == 4
    reader = opened.reader()
    assert all(np.array_equal(reader.rows(index, 1, 6)[..., 0], STACK[index, 1:6]) for index in range(4))
    (tmp_path / "in.tif").write_bytes(data)
    assert run("apply", tmp_path / "in.tif", "-k", "identity", "-o", tmp_path / "out.npy").code == 0
    assert np.array_equal(np.load(tmp_path / "out.npy").squeeze(), STACK)
    short = open_bytes(data[: data.index(STACK.tobytes()) + STACK.nbytes - 1], LIMIT)
    assert short.header.frames == 1
    assert any("announces 4 planes; the file holds 1" in note for note in short.header.notes)


def test_a_description_of_other_planes_is_no_stack():
    """A page that a program cut out of a stack, with the stack's description, is one image."""
    text = "ImageJ=1.11a\nimages=4\nslices=4\n"
    data = written(STACK[0], description=text, metadata=None, compression="lzw") + bytes(1000)
    assert open_bytes(data, LIMIT).header.frames == 1


def test_pages_that_are_no_images_of_their_own():
    """Reduced versions and masks among frames are left out, in SubIFDs too, and a note says so."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(STACK[0], metadata=None)
        writer.write(STACK[0, ::2, ::2], subfiletype=1, metadata=None)
        writer.write(STACK[0] > 9, subfiletype=4, metadata=None)
        writer.write(STACK[1], metadata=None, subifds=1)
        writer.write(STACK[1, ::2, ::2], subfiletype=1, metadata=None)
    opened = open_bytes(buffer.getvalue(), LIMIT)
    reader = opened.reader()
    assert opened.header.frames == 2
    assert all(np.array_equal(reader.rows(index, 0, 6)[..., 0], STACK[index]) for index in range(2))
    assert "2 of 4 pages are left out: smaller versions or masks of others" in opened.header.notes


@pytest.mark.parametrize("compression", [1, 5, 8, 32773, 7])
def test_a_file_that_cannot_hold_its_pixels_is_refused_at_once(compression):
    """By its header, whatever the limit of pixels is, because no coding makes so much of so little."""
    tags = {256: 60_000, 257: 60_000, 258: 8, 259: compression, 262: 1, 277: 1, 278: 60_000}
    with pytest.raises(ImageError, match=r"damaged tiff: .* bytes cannot hold 60000×60000 pixels"):
        open_bytes(tiff(tags, [bytes(1000)]), 10**10)


@pytest.mark.parametrize("compression", ["deflate", "lzw", "packbits", "jpeg"])
def test_the_densest_files_are_read(compression):
    """An image of one value, which each coding makes as small as it can, is held possible."""
    pixels = np.zeros((3000, 4000), np.uint8)
    data = written(pixels, compression=compression, tile=None)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, compression=compression, rowsperstrip=3000, metadata=None)
    for file in (data, buffer.getvalue()):
        assert not open_bytes(file, LIMIT).pixels().any()


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 262, 273, 277, 278, 279, 284])
@pytest.mark.parametrize(("kind", "count"), [(7, 2), (3, 2), (2, 1), (12, 1), (3, 0)])
def test_tags_of_other_types(tag, kind, count):
    """A tag with an unexpected type or count is read, or refused with a clear message."""
    data = bytearray(written(picture("uint8"), metadata=None))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        entry = file.pages.first.tags[tag].offset
    struct.pack_into("<HI", data, entry + 2, kind, count)
    try:
        open_bytes(bytes(data), LIMIT).pixels()
    except ImageError as error:
        words = "index out of range", "not supported between", "argument must", "object", "literal", "None"
        assert not [word for word in words if word in str(error)]
