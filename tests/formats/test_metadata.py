"""What a file says beside its pixels: from every format to every format, upright, damaged, stripped."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from convcli.core.errors import ImageError
from convcli.formats import metadata as said
from convcli.formats import registry
from convcli.formats.calibration import Sampling
from convcli.formats.header import Metadata
from convcli.formats.opening import open_bytes
from convcli.formats.png import png

LIMIT = 10**9
RGB = np.random.default_rng(4).integers(0, 256, (6, 9, 3), dtype=np.uint8)
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ICC = _SRGB[:24] + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + _SRGB[36:]
"""A profile whose date does not depend on when the tests are collected."""
GRAY_ICC = ICC[:16] + b"GRAY" + ICC[20:]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>\xc3\xa9</rdf:RDF></x:xmpmeta>'
DPI = (300, 150)
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "webp": ".webp", "bmp": ".bmp", "gif": ".gif"}


def exif_block(orientation: int | None, order: str = "<", **extra: str) -> bytes:
    """An Exif block with a maker and, if asked, an orientation, built by hand."""
    maker = b"Canvas\0\0"
    entries = [(271, 2, len(maker), None)]
    if orientation is not None:
        entries.append((274, 3, 1, struct.pack(order + "HH", orientation, 0)))
    at = 8 + 2 + 12 * len(entries) + 4
    body = b"".join(
        struct.pack(order + "HHI", tag, kind, count) + (value or struct.pack(order + "I", at))
        for tag, kind, count, value in entries
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (
        mark
        + struct.pack(order + "IH", 8, len(entries))
        + body
        + struct.pack(order + "I", 0)
        + maker
        + extra.get("tail", "").encode()
    )


def by_pillow(pixels: np.ndarray, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    lossless = {"lossless": True} if name == "webp" else {}
    Image.fromarray(pixels).save(buffer, name, **{**lossless, **options})
    return buffer.getvalue()


def by_tifffile(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", metadata=None, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes, behind: bool = False, pixels: np.ndarray = RGB) -> bytes:
    """A PNG with chunks behind IHDR, or in front of IEND."""
    data = imagecodecs.png_encode(pixels)
    at = len(data) - 12 if behind else 33
    return data[:at] + b"".join(chunks) + data[at:]


def full_source(name: str) -> bytes:
    """An image that says all that its format can, by other libraries."""
    exif = exif_block(1)
    if name == "tiff":
        texts = [(270, 2, 0, "A title", True), (315, 2, 0, "Me", True), (700, 1, len(XMP), XMP, True)]
        return by_tifffile(RGB, iccprofile=ICC, resolution=DPI, resolutionunit="inch", extratags=texts)
    if name == "png":
        gray_exif = png_chunk(b"eXIf", exif)
        xmp = png_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP)
        return png_with(
            png_chunk(b"gAMA", struct.pack(">I", 45455)),
            png_chunk(b"iCCP", b"x\0\0" + zlib.compress(ICC)),
            png_chunk(b"pHYs", struct.pack(">IIB", 11811, 5906, 1)),
            png_chunk(b"tEXt", b"Description\0A title"),
            gray_exif,
            xmp,
        )
    options = {
        "jpeg": {"icc_profile": ICC, "exif": b"Exif\0\0" + exif, "xmp": XMP, "dpi": DPI, "comment": b"Hi"},
        "webp": {"icc_profile": ICC, "exif": exif, "xmp": XMP},
        "bmp": {"dpi": DPI},
        "gif": {"comment": b"Hi"},
    }
    return by_pillow(RGB[..., 0] if name == "gif" else RGB, name, **options[name])


SAYS = {
    "png": {"icc", "exif", "xmp", "resolution", "gamma", "texts"},
    "jpeg": {"icc", "exif", "xmp", "resolution", "texts"},
    "tiff": {"icc", "xmp", "resolution", "texts"},
    "webp": {"icc", "exif", "xmp"},
    "bmp": {"resolution"},
    "gif": {"texts"},
}


def read_back(name: str, data: bytes) -> dict[str, object]:
    """What other libraries find in a file, by the names of the report."""
    found: dict[str, object] = {}
    if name == "tiff":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            tags = file.pages.first.tags
            found = {"icc": tags.valueof(34675), "xmp": tags.valueof(700), "exif": None}
            across, down = tags.valueof(282), tags.valueof(283)
            if tags.valueof(296) == 2:
                found["resolution"] = (across[0] / across[1], down[0] / down[1])
            found["texts"] = tags.valueof(270)
    else:
        with Image.open(io.BytesIO(data)) as image:
            info = image.info
            exif = info.get("exif", b"").removeprefix(b"Exif\0\0")
            xmp = info.get("xmp", info.get("XML:com.adobe.xmp"))
            text = info.get("comment", b"").decode() or info.get("Description") or info.get("Comment")
            found = {
                "icc": info.get("icc_profile"),
                "exif": exif,
                "xmp": xmp.encode() if isinstance(xmp, str) else xmp,
                "resolution": info.get("dpi") if info.get("jfif_unit") != 0 else None,
                "gamma": info.get("gamma"),
                "texts": text,
            }
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_everything_from_every_format_to_every_format(run, tmp_path, source, target):
    """Each item that both formats can say arrives unchanged; the report names it, and what is left out."""
    path, out = tmp_path / ("in" + SUFFIXES[source]), tmp_path / ("out" + SUFFIXES[target])
    path.write_bytes(full_source(source))
    channels = ["--channels", "gray"] if target == "gif" else []
    ran = run("apply", path, "-k", "identity", *channels, "-o", out, "--report", "json")
    assert ran.code == 0, ran.err
    report, found = json.loads(ran.text), read_back(target, out.read_bytes())
    expected = SAYS[source] & SAYS[target]
    single = {"jpeg", "gif"}
    if (source in single) != (target in single) and target != "png":
        expected -= {"texts"}  # a JPEG's one text is a comment, a TIFF's are others
    assert set(report["metadata"]) == expected
    wanted = {"icc": ICC, "exif": exif_block(1), "xmp": XMP, "gamma": 0.45455}
    wanted["texts"] = "Hi" if source in single else "A title"
    for item in expected - {"resolution"}:
        assert found[item] == wanted[item], item
    if "resolution" in expected:
        assert found["resolution"] == pytest.approx(DPI, rel=1e-4)
    assert set(found) - expected <= {"resolution"} if target == "png" else set(found) == expected
    left = {"icc": "ICC profile", "exif": "Exif", "xmp": "XMP", "resolution": "resolution", "gamma": "gamma"}
    for item in SAYS[source] - expected - {"texts"}:
        assert any("left out" in note and left[item] in note for note in report["notes"]), item


@pytest.mark.parametrize("name", SUFFIXES)
def test_strip_writes_none_of_it(run, tmp_path, name):
    """With --strip a result says nothing beside its pixels, but is upright."""
    path, out = tmp_path / ("in" + SUFFIXES[name]), tmp_path / ("out" + SUFFIXES[name])
    path.write_bytes(full_source(name))
    channels = ["--channels", "gray"] if name == "gif" else []
    ran = run("apply", path, "-k", "identity", *channels, "--strip", "-o", out, "--report", "json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.text)["metadata"] == []
    assert read_back(name, out.read_bytes()) == {}


def test_the_text_report_names_it(run, tmp_path):
    """One line for people, and none where there is nothing."""
    path = tmp_path / "in.jpg"
    path.write_bytes(full_source("jpeg"))
    text = run("apply", path, "-k", "box3", "-o", tmp_path / "a.jpg").text
    assert f"metadata   ICC profile ({len(ICC)} bytes), Exif, XMP, 300×150 dpi, texts (1)\n" in text
    assert "metadata" not in run("apply", path, "-k", "box3", "--strip", "-o", tmp_path / "b.jpg").text


def turned_source(name: str, orientation: int) -> bytes:
    """An image of 6 rows and 9 columns with an orientation, by other libraries."""
    exif = exif_block(orientation, ">" if orientation % 2 else "<")
    if name == "tiff":
        return by_tifffile(RGB, extratags=[(274, 3, 1, orientation, True)])
    if name == "png":
        return png_with(png_chunk(b"eXIf", exif), behind=orientation > 4)
    return by_pillow(RGB, name, exif=b"Exif\0\0" + exif if name == "jpeg" else exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "tiff", "webp"])
def test_images_are_turned_as_their_exif_says(run, tmp_path, name, orientation):
    """The pixels are those of Pillow's exif_transpose, and no result has another orientation than 1."""
    data = turned_source(name, orientation)
    opened = open_bytes(data, LIMIT)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    pixels = opened.pixels()
    assert np.array_equal(pixels, expected)
    assert pixels.flags.c_contiguous
    assert pixels.shape[:2] == (opened.header.rows, opened.header.columns)
    path, out = tmp_path / ("in" + SUFFIXES[name]), tmp_path / ("out" + SUFFIXES[name])
    path.write_bytes(data)
    ran = run("apply", path, "-k", "identity", "-o", out)
    assert ran.code == 0, ran.err
    assert (f"rotated upright (Exif orientation {orientation})" in ran.text) == (orientation > 1)
    with Image.open(out) as image:
        assert image.getexif().get(274, 1) == 1
        assert image.size == expected.shape[1::-1]


def test_a_turned_resolution_and_a_stride():
    """What was across is down after a quarter turn; a step of two pixels halves the resolution."""
    exif = b"Exif\0\0" + exif_block(6)
    header = open_bytes(by_pillow(RGB, "jpeg", exif=exif, dpi=(300, 150)), LIMIT).header
    assert header.metadata.resolution == pytest.approx((150 / 0.0254, 300 / 0.0254))
    kept = said.adapt_metadata(
        header.metadata, "png", {"resolution": 0}, 3, [Sampling(3), Sampling(2)], 1
    ).metadata
    assert kept.resolution == pytest.approx((75 / 0.0254, 100 / 0.0254))


def test_stride_halves_the_resolution(run, tmp_path):
    """The file's own units, read by Pillow."""
    path, out = tmp_path / "in.png", tmp_path / "out.png"
    path.write_bytes(full_source("png"))
    assert run("apply", path, "-k", "box3", "--stride", "1,2", "-o", out).code == 0
    with Image.open(out) as image:
        assert image.info["dpi"] == pytest.approx((150, 150), rel=1e-3)


@pytest.mark.parametrize(
    ("profile", "options", "suffix", "kept"),
    [
        (ICC, [], ".png", True),
        (ICC, ["--channels", "gray"], ".png", False),
        (GRAY_ICC, ["--channels", "gray"], ".png", True),
        (GRAY_ICC, ["--channels", "gray"], ".webp", False),
        (GRAY_ICC, [], ".tif", False),
        (ICC[:16] + b"CMYK" + ICC[20:], [], ".jpg", False),
    ],
    ids=lambda value: value[16:20].decode() if isinstance(value, bytes) else None,
)
def test_a_profile_fits_the_result(run, tmp_path, profile, options, suffix, kept):
    """A profile of another color space than the result's pixels is left out, with a note."""
    path, out = tmp_path / "in.tif", tmp_path / f"out{suffix}"
    path.write_bytes(by_tifffile(RGB, iccprofile=profile))
    ran = run("apply", path, "-k", "box3", *options, "-o", out, "--report", "json")
    report = json.loads(ran.text)
    assert (report["metadata"] == ["icc"]) == kept
    assert any("ICC profile" in note for note in report["notes"]) != kept


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [0, 1, 6, 8, 9, 65535])
def test_only_the_orientation_changes(order, orientation):
    """Two bytes of an Exif block, in either byte order; a number that Exif does not know counts as 1."""
    block = exif_block(orientation, order)
    header = open_bytes(png_with(png_chunk(b"eXIf", block)), LIMIT).header
    assert header.metadata.exif == exif_block(1, order)
    assert header.orientation == (orientation if 1 <= orientation <= 8 else 1)


def test_xmp_states_no_other_orientation():
    """What XMP says counts where Exif is silent, as in Pillow, and goes out as 1."""
    packet = b'<rdf:Description tiff:Orientation="6"/><tiff:Orientation>6</tiff:Orientation>'
    for exif, expected in ((None, 6), (exif_block(None), 6), (exif_block(3), 3)):
        data = by_pillow(RGB, "webp", xmp=packet, **({"exif": exif} if exif else {}))
        header = open_bytes(data, LIMIT).header
        assert header.orientation == expected
        assert header.metadata.xmp == packet.replace(b"6", b"1")


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("alpha", [False, True])
def test_every_webp_says_the_same(alpha, lossless, frames):
    """Lossy, lossless and animated, opaque and not: profile, Exif, XMP and orientation."""
    pixels = np.dstack([RGB, RGB[..., :1]]) if alpha else RGB
    more = {"save_all": True, "append_images": [Image.fromarray(255 - pixels)]} if frames > 1 else {}
    blocks = {"icc_profile": ICC, "exif": exif_block(6), "xmp": XMP}
    header = open_bytes(by_pillow(pixels, "webp", lossless=lossless, **blocks, **more), LIMIT).header
    metadata = header.metadata
    assert (metadata.icc, metadata.exif, metadata.xmp) == (ICC, exif_block(1), XMP)
    assert (header.orientation, header.frames, header.channels) == (6, frames, 3 + alpha)
    assert (header.rows, header.columns) == pixels.shape[1::-1]


EXIF_DAMAGE = {
    "empty mark": b"Exif\0\0",
    "no tiff": b"hello, world",
    "short": b"II*\0\x08\0",
    "no directory": b"II*\0\x08\0\0\0",
    "directory far outside": b"II*\0\xff\xff\xff\xff" + bytes(20),
    "directory in the mark": b"II*\0\0\0\0\0" + bytes(20),
    "cut directory": exif_block(6)[:20],
    "orientation is a text": exif_block(6).replace(
        struct.pack("<HHI", 274, 3, 1), struct.pack("<HHI", 274, 2, 1)
    ),
    "two orientations": exif_block(6).replace(struct.pack("<HHI", 274, 3, 1), struct.pack("<HHI", 274, 3, 2)),
}


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("damage", EXIF_DAMAGE)
def test_a_damaged_exif_block_is_left_out(run, tmp_path, name, damage):
    """The image is read as it is stored, with a note."""
    block = EXIF_DAMAGE[damage]
    if name == "jpeg":
        segment = b"Exif\0\0" + block.removeprefix(b"Exif\0\0")
        data = by_pillow(RGB, "jpeg")
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    else:
        chunk = png_chunk(b"eXIf", block)
        data = png_with(chunk) if name == "png" else by_pillow(RGB, "webp", exif=b"Exif\0\0" + block)
    path = tmp_path / ("in" + SUFFIXES[name])
    path.write_bytes(data)
    ran = run("apply", path, "-k", "identity", "--report", "json")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.text)
    assert report["metadata"] == []
    assert report["output"]["nhwc"] == [1, 6, 9, 3]


ICC_DAMAGE = {
    "no profile": b"hello" * 50,
    "short": ICC[:100],
    "cut": ICC[:-40],
    "signature": ICC.replace(b"acsp", b"abcd", 1),
}


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff", "webp"])
@pytest.mark.parametrize("damage", ICC_DAMAGE)
def test_a_damaged_profile_is_left_out(run, tmp_path, name, damage):
    """The pixels are read, the note says why the profile is not there."""
    profile = ICC_DAMAGE[damage]
    if name == "png":
        data = png_with(png_chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)))
    elif name == "tiff":
        data = by_tifffile(RGB, iccprofile=profile)
    else:
        data = by_pillow(RGB, name, icc_profile=profile)
    path = tmp_path / ("in" + SUFFIXES[name])
    path.write_bytes(data)
    ran = run("apply", path, "-k", "identity")
    assert (ran.code, ran.err) == (0, "")
    assert "the ICC profile is damaged and left out" in ran.text
    assert not read_back(name, path.with_name("in.identity" + SUFFIXES[name]).read_bytes()).get("icc")


PNG_DAMAGE = {
    "check sum": (
        png_chunk(b"tEXt", b"Title\0a")[:-1] + b"!",
        "tEXt chunk is left out: its checksum is wrong",
    ),
    "no zero": (png_chunk(b"tEXt", b"Title"), "tEXt chunk is left out: it is truncated"),
    "no keyword": (png_chunk(b"tEXt", b"\0Title"), "tEXt chunk is left out: its keyword is ''"),
    "control character": (png_chunk(b"tEXt", b"a\x1b\0Title"), "tEXt chunk is left out: its keyword"),
    "raw profile": (png_chunk(b"tEXt", b"Raw profile type exif\0\nexif"), "its profile is damaged"),
    "short raw profile": (
        png_chunk(b"tEXt", b"Raw profile type icc\0\nicc\n   3\nabcd\n"),
        "its profile is damaged",
    ),
    "raw profile of no block": (
        png_chunk(b"tEXt", b"Raw profile type iptc\0\niptc\n   2\nabcd\n"),
        "'Raw profile type iptc' is not carried over",
    ),
    "no deflate": (
        png_chunk(b"zTXt", b"Title\0\0hello"),
        "zTXt chunk is left out: it cannot be decompressed",
    ),
    "no utf-8": (png_chunk(b"iTXt", b"Title" + bytes(5) + b"\xff"), "iTXt chunk is left out"),
    "short gamma": (png_chunk(b"gAMA", b"123"), "gAMA chunk is left out"),
    "short profile": (png_chunk(b"iCCP", b"x"), "iCCP chunk is left out"),
    "bomb": (png_chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(20_000_000))), "zTXt chunk is left out"),
    "profile bomb": (
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(20_000_000))),
        "iCCP chunk is left out",
    ),
}


@pytest.mark.parametrize("damage", PNG_DAMAGE)
def test_damaged_chunks_are_left_out(damage):
    """Each with a note; what else the file says is kept, and its pixels are."""
    chunk, words = PNG_DAMAGE[damage]
    opened = open_bytes(png_with(chunk, png_chunk(b"tEXt", b"Author\0Me")), LIMIT)
    assert opened.header.metadata == Metadata(texts=(("Author", "Me"),))
    assert any(words in note for note in opened.header.notes)
    assert np.array_equal(opened.pixels(), RGB)


def test_a_thousand_bombs_cost_what_one_does():
    """Texts share one limit of what they may inflate to."""
    bomb = png_chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(20_000_000)))
    header = open_bytes(png_with(*[bomb] * 1000), LIMIT).header
    assert header.metadata.texts == ()
    assert len(header.notes) < 100


def test_many_texts_cost_what_they_weigh():
    """Each is looked at once, however many there are; a note names a few of those that are left out."""
    compared = 0

    class Word(str):
        """A text that counts how often it is compared."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    texts = tuple((f"Key{number}", Word(f"text {number}")) for number in range(2000))
    for limits, kept in (({said.TEXTS: 100}, 2000), ({}, 0)):
        found = said.adapt_metadata(Metadata(texts=texts), "x", limits, 3, [Sampling()] * 2, 1)
        assert len(found.metadata.texts) == kept
        assert all(len(note) < 300 for note in found.notes)
    assert "text Key9, 1990 more texts" in found.notes[0]
    assert compared == 0


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff", "webp"])
def test_flipped_bits_never_raise_anything_else(name):
    """Random damage to an image that says everything gives an image or an `ImageError`."""
    data = full_source(name)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 6):
            broken[place] ^= 1 << int(rng.integers(8))
        try:
            opened = open_bytes(bytes(broken), 10**7)
            opened.format.encode(np.zeros((4, 5, 3), np.uint8), opened.header.metadata)
        except ImageError as error:
            assert "\n" not in str(error)


def test_any_bytes_as_exif():
    """Random bytes behind a good mark are either left out or made upright."""
    rng = np.random.default_rng(1)
    for order in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        for size in rng.integers(0, 60, 300):
            block = order + rng.integers(0, 4, size, dtype=np.uint8).tobytes()
            header = open_bytes(png_with(png_chunk(b"eXIf", block)), LIMIT).header
            assert bool(header.metadata.exif) != any("Exif block" in note for note in header.notes)


def test_png_texts_of_every_kind_before_and_behind_the_pixels():
    """Plain, deflated and international, as Pillow reads what is written."""
    texts = (("Title", "Ümlaut"), ("Author", "愛"), ("Comment", "x" * 3000))
    chunks = [
        png_chunk(b"tEXt", b"Title\0" + "Ümlaut".encode("latin-1")),
        png_chunk(b"iTXt", b"Author\0\1\0de\0Autor\0" + zlib.compress("愛".encode())),
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3000)),
    ]
    for behind in (False, True):
        opened = open_bytes(png_with(*chunks, behind=behind), LIMIT)
        assert opened.header.metadata.texts == texts
        written = opened.format.encode(RGB, opened.header.metadata)
        with Image.open(io.BytesIO(written)) as image:
            image.load()
            assert image.text == dict(texts)


def raw_profile(keyword: bytes, block: bytes) -> tuple[bytes, bytes]:
    """The text that ImageMagick makes of a block: 36 bytes a line."""
    digits = block.hex().encode()
    lines = b"\n".join(digits[place : place + 72] for place in range(0, len(digits), 72))
    return b"Raw profile type " + keyword + b"\0", b"\n%s\n%8d\n%s\n" % (keyword, len(block), lines)


def texts_of(keyword: bytes, text: bytes) -> list[bytes]:
    """A text in each kind of chunk."""
    return [
        png_chunk(b"tEXt", keyword + text),
        png_chunk(b"zTXt", keyword + b"\0" + zlib.compress(text)),
        png_chunk(b"iTXt", keyword + bytes(4) + text),
        png_chunk(b"iTXt", keyword + b"\1\0\0\0" + zlib.compress(text)),
    ]


@pytest.mark.parametrize(
    ("keyword", "block", "field"),
    [
        (b"exif", b"Exif\0\0" + exif_block(6), "exif"),
        (b"APP1", b"Exif\0\0" + exif_block(6), "exif"),
        (b"APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP, "xmp"),
        (b"xmp", XMP, "xmp"),
        (b"icc", ICC, "icc"),
        (b"icm", ICC, "icc"),
    ],
    ids=["exif", "APP1 exif", "APP1 xmp", "xmp", "icc", "icm"],
)
def test_blocks_as_texts_of_a_png(keyword, block, field):
    """Raw profiles count as the chunks that came later, in every kind of text; those chunks go first."""
    expected = {"exif": exif_block(1), "xmp": XMP, "icc": ICC}[field]
    for text in texts_of(*raw_profile(keyword, block)):
        header = open_bytes(png_with(text), LIMIT).header
        assert header.metadata == Metadata(**{field: expected})
        assert header.orientation == (6 if field == "exif" else 1)
        assert not any("left out" in note for note in header.notes)
    chunk = {
        "exif": png_chunk(b"eXIf", exif_block(3)),
        "xmp": png_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP + b" "),
        "icc": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(ICC[:-4] + b"abcd")),
    }[field]
    for chunks in ((chunk, text), (text, chunk)):
        found = open_bytes(png_with(*chunks), LIMIT).header
        alone = open_bytes(png_with(chunk), LIMIT).header
        assert (found.metadata, found.orientation) == (alone.metadata, alone.orientation)


def test_xmp_of_a_png_deflated_and_not():
    """Both forms that an iTXt chunk has."""
    for chunk in texts_of(b"XML:com.adobe.xmp\0", XMP)[2:]:
        assert open_bytes(png_with(chunk), LIMIT).header.metadata == Metadata(xmp=XMP)


def test_png_chunks_are_in_order_and_have_their_sums():
    """All stand between IHDR and IDAT, none twice, a profile or sRGB; libpng reads the pixels."""
    everything = Metadata(ICC, exif_block(1), XMP, (11811.02, 5905.5), 0.45455, 0, (("Title", "a"),))
    for metadata, color in ((everything, b"iCCP"), (Metadata(srgb=0, gamma=0.45455), b"sRGB")):
        data = registry.format_named("png").encode(RGB, metadata)
        place, kinds = 8, []
        while place < len(data):
            length, kind = struct.unpack_from(">I4s", data, place)
            body = data[place + 4 : place + 8 + length]
            assert zlib.crc32(body) == int.from_bytes(data[place + 8 + length : place + 12 + length], "big")
            kinds.append(kind)
            place += length + 12
        before = kinds[: kinds.index(b"IDAT")]
        assert before[:3] == [b"IHDR", b"gAMA", color]
        assert len({b"iCCP", b"sRGB"} & set(kinds)) == 1
        assert not {*before} & {*kinds[len(before) :]}
        assert np.array_equal(imagecodecs.png_decode(data), RGB)
    assert png.chunks(Metadata()) == b""


def test_a_color_chunk_behind_the_pixels_does_not_count():
    """Such a chunk is ignored, as by libpng."""
    header = open_bytes(png_with(png_chunk(b"sRGB", b"\0"), behind=True), LIMIT).header
    assert header.metadata == Metadata()


def test_blocks_that_a_jpeg_cannot_hold(run, tmp_path):
    """A segment of a JPEG has 65533 bytes; a profile is cut into several, the others are left out."""
    big = ICC[:4] + ICC[4:] + bytes(200_000)
    big = struct.pack(">I", len(big)) + big[4:]
    exif, xmp = exif_block(1, tail="x" * 70_000), XMP + b" " * 70_000
    path, out = tmp_path / "in.webp", tmp_path / "out.jpg"
    path.write_bytes(by_pillow(RGB, "webp", icc_profile=big, exif=exif, xmp=xmp))
    ran = run("apply", path, "-k", "box3", "-o", out)
    assert (ran.code, ran.err) == (0, "")
    words = f"left out, because jpeg cannot store it: Exif of {len(exif)} bytes, XMP of {len(xmp)} bytes"
    assert words in ran.text
    assert read_back("jpeg", out.read_bytes())["icc"] == big


def test_the_largest_blocks_a_jpeg_holds():
    """Each limit is the last size that is written."""
    limits = registry.format_named("jpeg").metadata_limits(3)
    exif = exif_block(1, tail="x" * 70_000)[: limits["exif"]]
    xmp = (XMP + b" " * 70_000)[: limits["xmp"]]
    texts = (("Comment", "y" * limits["Comment"]),)
    data = registry.format_named("jpeg").encode(RGB, Metadata(exif=exif, xmp=xmp, texts=texts))
    assert open_bytes(data, LIMIT).header.metadata == Metadata(exif=exif, xmp=xmp, texts=texts)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resolution": (300, 150), "resolutionunit": "inch"}, (300 / 0.0254, 150 / 0.0254)),
        ({"resolution": (100, 50), "resolutionunit": "centimeter"}, (10_000, 5_000)),
        ({"resolution": (100, 50), "resolutionunit": "none"}, None),
        ({}, None),
        ({"resolution": (1e-3, 1e-3), "resolutionunit": "inch"}, None),
    ],
)
def test_tiff_resolutions(options, expected):
    """Inches, centimeters, no unit, and invalid resolutions."""
    found = open_bytes(by_tifffile(RGB, **options), LIMIT).header.metadata.resolution
    assert found == (expected and pytest.approx(expected))


def test_texts_of_a_tiff():
    """Texts as PNG has them, twice, empty or of any letters, become one tag each; zeros are spaces."""
    texts = (("Description", "愛"), ("Description", "two"), ("Author", ""), ("Copyright", "©"))
    data = registry.format_named("tiff").encode(RGB, Metadata(texts=texts))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        codes = [tag.code for tag in file.pages.first.tags]
    assert len(codes) == len(set(codes))
    expected = (("Description", "two"), ("Copyright", "©"))
    assert open_bytes(data, LIMIT).header.metadata.texts == expected
    jpeg = by_pillow(RGB, "jpeg", comment=b"a\0b\0")
    assert open_bytes(jpeg, LIMIT).header.metadata.texts == (("Comment", "a b"),)


@pytest.mark.parametrize("name", ["png", "webp", "tiff"])
def test_large_blocks_leave_a_file_readable(name):
    """Blocks of nearly the largest size, as other libraries read the file and its pixels."""
    icc = struct.pack(">I", 15_000_000) + ICC[4:] + bytes(15_000_000 - len(ICC))
    written = Metadata(icc=icc, xmp=XMP + b" " * 15_000_000)
    data = registry.format_named(name).encode(RGB, written)
    opened = open_bytes(data, LIMIT)
    assert opened.header.metadata == written
    assert np.array_equal(opened.pixels(), RGB)


def test_descriptions_that_programs_made_are_not_carried_over():
    """A shape, an ImageJ or an OME description is untrue of the result."""
    for text in ('{"shape": [6, 9, 3]}', "ImageJ=1.54\nimages=3", '<?xml version="1.0"?><OME/>'):
        data = by_tifffile(RGB, description=text)
        assert open_bytes(data, LIMIT).header.metadata.texts == ()


def test_resolutions_as_people_know_them():
    """Whole inches survive PNG's whole meters; others are kept as they are."""
    for dpi in (72, 96, 150, 300, 600, 2400):
        assert said.dots_per_inch((round(dpi / 0.0254), dpi / 0.0254)) == (dpi, dpi)
    assert said.dots_per_inch((5000, 5000)) == (127, 127)
    assert said.dots_per_inch((5010, 5010)) == pytest.approx((127.254, 127.254))


def test_exif_gives_the_resolution_where_the_format_does_not():
    """A camera's JPEG has no JFIF segment; a WebP has no field for it."""
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[282], exif[283], exif[296] = 240.0, 120.0, 2
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, exif=exif)
    found = open_bytes(buffer.getvalue(), LIMIT).header.metadata.resolution
    assert found == pytest.approx((240 / 0.0254, 120 / 0.0254))


def test_the_exif_of_a_tiff_is_left_out_with_a_note(run, tmp_path):
    """Pillow writes it as a separate directory."""
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif.get_ifd(34665)[33434] = 0.5
    exif[34665] = {}
    path: Path = tmp_path / "in.tif"
    image.save(path, exif=exif)
    assert "left out of this tiff: Exif" in run("apply", path, "-k", "box3").text


def by_pillow_heif(orientation: int) -> bytes:
    """A HEIC with all its metadata, rotated as cameras do it: in Exif and in a property of the image."""
    import pillow_heif

    buffer = io.BytesIO()
    blocks = {"icc_profile": ICC, "exif": b"Exif\0\0" + exif_block(orientation), "xmp": XMP}
    pillow_heif.from_pillow(Image.fromarray(RGB)).save(buffer, quality=90, **blocks)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("target", ["png", "jpeg", "webp"])
def test_blocks_of_a_heic_go_along(run, tmp_path, target, orientation):
    """Profile, Exif and XMP arrive, upright; the report names them, and --strip writes none."""
    pytest.importorskip("pillow_heif")
    source, out = tmp_path / "in.heic", tmp_path / f"out.{target}"
    source.write_bytes(by_pillow_heif(orientation))
    report = json.loads(run("apply", source, "-k", "box3", "-o", out, "--report", "json").text)
    found = read_back(target, out.read_bytes())
    assert {name: found[name] for name in ("icc", "exif", "xmp")} == {
        "icc": ICC,
        "exif": exif_block(1),
        "xmp": XMP,
    }
    assert {"icc", "exif", "xmp"} <= set(report["metadata"])
    rows, columns = RGB.shape[:2]
    assert report["output"]["nhwc"][1:3] == ([columns, rows] if orientation > 4 else [rows, columns])
    ran = run("apply", source, "-k", "box3", "-o", out, "--force", "--strip", "--report", "json")
    assert json.loads(ran.text)["metadata"] == []
    assert not {"icc", "exif", "xmp"} & set(read_back(target, out.read_bytes()))
