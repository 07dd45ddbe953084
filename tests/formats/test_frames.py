"""Frames and pages: each filtered by itself, their timing kept, never one within another."""

from __future__ import annotations

import functools
import io
import itertools
import struct
import time
import zlib
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence

import convcli
from convcli.core.errors import ImageError
from convcli.core.frozen import replace
from convcli.engine import planner
from convcli.files.input import Input
from convcli.formats import opening
from convcli.formats.header import Layout, Metadata, Timing
from convcli.formats.opening import open_bytes, open_input
from convcli.formats.readers import SequentialReader
from convcli.formats.registry import format_named
from convcli.geometry.padding import Padding
from convcli.pipeline import job
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.reports.json_form import report_dict
from convcli.pipeline.reports.text_form import as_block
from convcli.pipeline.settings import Settings
from tests.reference import correlate, rounded

LIMIT = 10**9
DURATIONS = (Fraction(4, 100), Fraction(1, 10), Fraction(2), Fraction(1, 10))
TIMING = Timing(DURATIONS, 3)


def film(
    channels: int, dtype: str = "uint8", frames: int = 4, rows: int = 33, columns: int = 21
) -> np.ndarray:
    """(frames, rows, columns, channels) of noise, some pixels transparent where there is alpha."""
    rng = np.random.default_rng(channels)
    pixels = rng.integers(0, np.iinfo(dtype).max, (frames, rows, columns, channels), dtype, endpoint=True)
    if channels in (2, 4):
        pixels[:, ::3, ::2, -1] = 0
    return pixels


def encoded(name: str, pixels: np.ndarray, timing: Timing | None = TIMING, height: int = 7) -> bytes:
    """A file of all frames, made in strips of ``height`` rows where the format can."""
    frames, rows, columns, channels = pixels.shape
    layout = Layout(rows, columns, channels, pixels.dtype, frames)
    maker = format_named(name).encoder(layout, Metadata(timing=timing))
    file, pieces = io.BytesIO(), []
    for frame in range(frames):
        for top in range(0, rows, height):
            part = pixels[frame, top : top + height]
            room = maker.destination(frame, top, top + len(part))
            if room is not None:
                room[...] = part
            pieces.append(maker.strip(top, part))
    maker.write(file, pieces)
    return file.getvalue()


def read(data: bytes) -> np.ndarray:
    """All frames of a file."""
    opened = open_bytes(data, LIMIT)
    reader = opened.reader()
    return np.stack([reader.rows(frame, 0, opened.header.rows) for frame in range(opened.header.frames)])


KINDS = [
    *(("png", channels, dtype) for channels in (1, 2, 3, 4) for dtype in ("uint8", "uint16")),
    *(("tiff", channels, dtype) for channels in (1, 2, 3, 4) for dtype in ("uint8", "uint16", "int32")),
    *(("npy", channels, dtype) for channels in (1, 3, 4) for dtype in ("uint8", "uint16")),
    *(("pnm", channels, dtype) for channels in (1, 2, 3, 4) for dtype in ("uint8", "uint16")),
    ("webp", 3, "uint8"),
    ("gif", 1, "uint8"),
]


@pytest.mark.parametrize(("name", "channels", "dtype"), KINDS)
def test_every_frame_comes_back(name, channels, dtype):
    """What is written is read again bit for bit, and the timing where the format has one."""
    pixels = film(channels, dtype)
    assert format_named(name).holds(pixels.dtype, channels, 4)
    data = encoded(name, pixels)
    assert np.array_equal(read(data), pixels)
    timed = "timing" in format_named(name).metadata_limits(channels)
    assert open_bytes(data, LIMIT).header.metadata.timing == (TIMING if timed else None)


def convolved(plane: np.ndarray, kernel: convcli.Kernel) -> np.ndarray:
    """What the plain loop makes of (rows, columns) and a 3×3 kernel, with the border reflected."""
    sums = correlate(plane, kernel.weights, (1, 1), ((1, 1), (1, 1)), (1, 1), "reflect")
    return rounded(sums, np.uint8)


def pillow_frames(data: bytes, mode: str) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        frames = [np.array(frame.convert(mode)) for frame in ImageSequence.Iterator(image)]
    return np.stack(frames)


def test_others_read_what_is_written():
    """Pillow, imagecodecs and tifffile see the same frames and times."""
    pixels = film(3)
    for name in ("png", "webp", "tiff"):
        assert np.array_equal(pillow_frames(encoded(name, pixels), "RGB"), pixels), name
    assert np.array_equal(pillow_frames(encoded("gif", film(1)), "L"), film(1)[..., 0])
    deep = film(3, "uint16")
    assert np.array_equal(imagecodecs.apng_decode(encoded("png", deep)), deep)
    assert np.array_equal(tifffile.imread(io.BytesIO(encoded("tiff", deep))), deep)
    for name in ("png", "webp", "gif"):
        with Image.open(io.BytesIO(encoded(name, film(1)))) as image:
            found = [frame.load() and frame.info["duration"] for frame in ImageSequence.Iterator(image)]
        assert found == [40, 100, 2000, 100], name


@pytest.mark.parametrize("suffix", ["png", "webp", "gif", "tif", "npy", "ppm"])
def test_each_frame_is_filtered_by_itself(run, tmp_path, suffix):
    """Every frame of the result is what the plain loop makes of that frame alone, on any threads."""
    channels = 1 if suffix == "gif" else 3
    pixels, kernel = film(channels), convcli.load_kernel("gaussian3")
    name = {"tif": "tiff", "ppm": "pnm"}.get(suffix, suffix)
    source, out = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    source.write_bytes(encoded(name, pixels))
    done = run("apply", source, "-k", "gaussian3", "-o", out, "--threads", "2")
    assert done.code == 0, done.err
    expected = [[convolved(frame[..., channel], kernel) for channel in range(channels)] for frame in pixels]
    assert np.array_equal(read(out.read_bytes()), np.moveaxis(expected, 1, -1))
    assert f"(4, 33, 21, {channels})" in done.text


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def over(front: tuple[int, ...], behind: tuple[int, ...]) -> tuple[int, ...]:
    """A pixel over another, alpha last, to the nearest integers."""
    share = Fraction(front[-1], 255)
    rest = (1 - share) * Fraction(int(behind[-1]), 255)
    total = share + rest
    if not total:
        return (0,) * len(front)
    mixed = [(f * share + b * rest) / total for f, b in zip(front[:-1], behind[:-1], strict=True)]
    return tuple(int(value + Fraction(1, 2)) for value in (*mixed, 255 * total))


def patchwork(
    mode: str, disposals: tuple[int, ...], blends: tuple[int, ...], hidden: bool
) -> tuple[bytes, list[tuple[int, int, np.ndarray]]]:
    """An APNG whose frames are parts of its image, put down and taken away, and those parts."""
    rng, number, drawn = np.random.default_rng(3), itertools.count(), []
    channels = {"RGB": 3, "RGBA": 4}[mode]
    places = [(0, 0, 12, 9), (2, 1, 5, 4), (6, 3, 6, 6), (0, 0, 12, 9), (3, 3, 4, 2)]
    color = {"RGB": 2, "RGBA": 6}[mode]
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", 12, 9, 8, color, 0, 0, 0))]
    parts.append(chunk(b"acTL", struct.pack(">II", len(places), 0)))
    if hidden:
        parts.append(chunk(b"IDAT", zlib.compress(bytes(9 * (12 * channels + 1)))))
    for index, (left, top, width, height) in enumerate(places):
        control = struct.pack(">IIIII", next(number), width, height, left, top)
        control += struct.pack(">HHBB", index + 1, 0, disposals[index], blends[index])
        parts.append(chunk(b"fcTL", control))
        pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
        drawn.append((left, top, pixels))
        rows = b"".join(b"\0" + row.tobytes() for row in pixels)
        body = zlib.compress(rows)
        if index or hidden:
            middle = len(body) // 2
            for part in (body[:middle], body[middle:]):
                parts.append(chunk(b"fdAT", struct.pack(">I", next(number)) + part))
        else:
            parts.append(chunk(b"IDAT", body))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""), drawn


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("disposals", [(0,) * 5, (1,) * 5, (0, 2, 2, 1, 0), (2, 1, 0, 2, 1)])
@pytest.mark.parametrize("blends", [(0,) * 5, (0, 1, 1, 0, 1)])
def test_parts_of_an_apng_are_composed(mode, disposals, blends, hidden):
    """Offsets, the three disposals and both blends, against a loop over pixels."""
    data, parts = patchwork(mode, disposals, blends, hidden)
    shown = [[[(Fraction(0),) * len(mode)] * 12 for _ in range(9)]]
    expected = []
    for (left, top, pixels), dispose, blend in zip(parts, disposals, blends, strict=True):
        before, now = shown[-1], [list(row) for row in shown[-1]]
        for row, column in np.ndindex(pixels.shape[:2]):
            place = now[top + row], left + column
            front = tuple(map(int, pixels[row, column]))
            place[0][place[1]] = over(front, place[0][place[1]]) if blend and mode == "RGBA" else front
        expected.append(now)
        after = [list(row) for row in (before if dispose == 2 and len(expected) > 1 else now)]
        if dispose == 1 or (dispose == 2 and len(expected) == 1):
            for row, column in np.ndindex(pixels.shape[:2]):
                after[top + row][left + column] = (Fraction(0),) * len(mode)
        shown.append(after)
    assert np.array_equal(read(data), np.array(expected, float))
    assert open_bytes(data, LIMIT).header.metadata.timing.durations[2] == Fraction(3, 100)


def test_frames_out_of_order_are_refused():
    """One that is lost and another one doubled, which leaves their number as it is."""
    data, _ = patchwork("RGB", (0,) * 5, (0,) * 5, hidden=False)
    starts = [place - 4 for place in range(len(data)) if data[place : place + 4] == b"fcTL"]
    second, third, fourth = starts[1:4]
    twice = data[:second] + data[third:fourth] * 2 + data[fourth:]
    with pytest.raises(ImageError, match="its frames are out of order, or piece 1 is missing"):
        open_bytes(twice, LIMIT)


def test_damaged_animations_are_refused():
    """Frames that are missing, too many or out of the image, and a wrong check sum, are one line each."""
    data = encoded("png", film(3))
    control = [place for place in range(len(data)) if data[place : place + 4] == b"fcTL"]

    def changed(place: int, body: bytes) -> bytes:
        """The file with other bytes, and the check sum of their chunk mended (a chunk of 26 bytes)."""
        part = bytearray(data)
        part[place : place + len(body)] = body
        start = max(at for at in control if at <= place)
        part[start + 30 : start + 34] = struct.pack(">I", zlib.crc32(part[start : start + 30]))
        return bytes(part)

    spoilt = bytearray(data)
    spoilt[data.index(b"fdAT") + 20] ^= 1
    cases = {
        "3 of its 4 frames are there": data[: control[3] - 4] + chunk(b"IEND", b""),
        "a frame of 22×33 at 0, 0 of 21×33": changed(control[1] + 8, struct.pack(">I", 22)),
        "a frame of 21×33 at 1, 0 of 21×33": changed(control[2] + 16, struct.pack(">I", 1)),
        "fdAT: its checksum is wrong": bytes(spoilt),
    }
    for words, broken in cases.items():
        with pytest.raises(ImageError, match=words):
            read(broken)


@pytest.mark.parametrize("name", ["png", "gif", "webp", "tiff", "npy", "pnm"])
def test_cut_animations_are_refused(name):
    """Cut off anywhere, a file of frames is refused, or is one of fewer frames with a note."""
    pixels = film(1 if name == "gif" else 3, rows=9, columns=8)
    data = encoded(name, pixels)
    for length in range(0, len(data) - 12, 7):
        try:
            opened = open_bytes(data[:length], LIMIT)
            reader = opened.reader()
            for frame in range(opened.header.frames):
                reader.rows(frame, 0, opened.header.rows)
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            assert name in ("pnm", "gif") and opened.header.notes, length


def test_gif_parts_are_composed():
    """Frames smaller than the screen lie on what was there; transparency makes it RGBA."""
    base, part = Image.new("P", (10, 8), 1), Image.new("P", (4, 4), 2)
    for image in (base, part):
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    file = io.BytesIO()
    base.save(file, "GIF", save_all=True, append_images=[base], duration=[50, 70], loop=0)
    data = file.getvalue()
    assert open_bytes(data, LIMIT).header.channels == 3
    timing = open_bytes(data, LIMIT).header.metadata.timing
    assert timing is None or timing.loops == 0
    holes = Image.fromarray(np.tile(np.arange(2, dtype=np.uint8), (8, 5)))
    holes.putpalette([0, 0, 0, 255, 0, 0])
    file = io.BytesIO()
    options = {"transparency": 0, "disposal": 2, "optimize": False}
    holes.save(file, "GIF", save_all=True, append_images=[holes.rotate(180)], duration=50, **options)
    found = read(file.getvalue())
    assert found.shape == (2, 8, 10, 4)
    assert found[0, 0, :2].tolist() == [[0, 0, 0, 0], [255, 0, 0, 255]]
    assert found[1, 0, :2, 3].tolist() == [255, 0]


def test_a_gif_of_colors_is_written_on_demand(run, tmp_path):
    """By default it becomes an animated PNG that loses nothing; -o x.gif takes the nearest colors."""
    source = tmp_path / "in.gif"
    frames = [Image.fromarray(frame).quantize(64) for frame in film(3)]
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=[40, 100, 2000, 100], loop=2)
    before = read(source.read_bytes())
    done = run("apply", source, "-k", "identity")
    assert "written as png: gif cannot hold 4 frames (RGB, 8-bit)" in done.text
    png = (tmp_path / "in.identity.png").read_bytes()
    assert np.array_equal(read(png), before)
    assert open_bytes(png, LIMIT).header.metadata.timing == Timing(DURATIONS, 3)
    done = run("apply", source, "-k", "identity", "-o", tmp_path / "out.gif")
    assert "GIF has 256 colors per frame: each color was replaced by the nearest one" in done.text
    again = (tmp_path / "out.gif").read_bytes()
    assert np.abs(read(again).astype(int) - before).max() <= 8
    assert open_bytes(again, LIMIT).header.metadata.timing == Timing(DURATIONS, 3)


def test_frames_share_one_range(run, tmp_path):
    """``stretch`` takes the range of all frames, so that none flickers, and the report says so."""
    pixels = np.stack([np.full((6, 5, 1), value, np.uint8) for value in (50, 100, 150)])
    source, out = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes(encoded("png", pixels, None))
    done = run("apply", source, "-k", "ones3", "-o", out)
    assert "the range was found in a first pass over all frames, which share it" in done.text
    assert read(out.read_bytes())[:, 0, 0, 0].tolist() == [0, 128, 255]


def test_frames_can_be_chosen(run, tmp_path):
    """--frames takes Python's slices; any format holds one frame; {frame} writes each to its own file."""
    pixels = film(3)
    source = tmp_path / "in.png"
    source.write_bytes(encoded("png", pixels))
    for text, part in {"0": [0], "-1": [3], "1:3": [1, 2], ":2": [0, 1], "-2:": [2, 3]}.items():
        out = tmp_path / "out.png"
        assert run("apply", source, "-k", "identity", "-o", out, f"--frames={text}", "--force").code == 0
        assert np.array_equal(read(out.read_bytes()), pixels[part]), text
        timing = open_bytes(out.read_bytes(), LIMIT).header.metadata.timing
        assert timing == (Timing(tuple(DURATIONS[i] for i in part), 3) if len(part) > 1 else None)
    apart = tmp_path / "{stem}-{frame:02}.bmp"
    assert run("apply", source, "-k", "identity", "-o", apart).code == 0
    for index, frame in enumerate(pixels):
        assert np.array_equal(read((tmp_path / f"in-{index:02}.bmp").read_bytes())[0], frame)
    chosen = tmp_path / "chosen-{frame}.bmp"
    assert run("apply", source, "-k", "identity", "-o", chosen, "--frames", "-2:").code == 0
    assert sorted(path.name for path in tmp_path.glob("chosen-*")) == ["chosen-2.bmp", "chosen-3.bmp"]
    for text, words in {
        "9": "--frames 9 selects nothing: the file has 4 frames",
        "x": "'x' is not all, N or A:B",
        "1:2:3": "'1:2:3' is not all, N or A:B",
        "": "'' is not all, N or A:B",
    }.items():
        done = run("apply", source, "-k", "identity", "-o", tmp_path / "no.png", f"--frames={text}")
        assert done.code == 2
        assert words in done.err
    done = run("apply", source, "-k", "identity", "-o", tmp_path / "no.jpg")
    assert "jpeg cannot hold 4 frames (RGB, 8-bit): a single image; these can: .png, .tif" in done.err
    assert "or use --frames N, or {frame} in -o" in done.err


def test_pages_of_several_sizes_stay_in_one_file(run, tmp_path):
    """Each run of pages that are alike is filtered as it needs; other formats refuse them."""
    pages = [film(1, "uint16")[0, ..., 0], film(3)[0], film(3)[1], film(1, rows=5, columns=60)[0, ..., 0]]
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    with tifffile.TiffWriter(source) as writer:
        for page in pages:
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    done = run("apply", source, "-k", "gaussian3", "-o", out, "--report", "json")
    assert done.code == 0, done.err
    assert len(done.text.splitlines()) == 3
    kernel = convcli.load_kernel("gaussian3")
    with tifffile.TiffFile(out) as file:
        found = [page.asarray() for page in file.pages]
    for page, result in zip(pages, found, strict=True):
        planes = page[..., None] if page.ndim == 2 else page
        sums = [
            correlate(plane, kernel.weights, (1, 1), ((1, 1),) * 2, (1, 1), "reflect")
            for plane in np.moveaxis(planes, -1, 0)
        ]
        expected = np.stack([rounded(plane, page.dtype) for plane in sums], -1)
        assert np.array_equal(result.reshape(expected.shape), expected)
    done = run("apply", source, "-k", "gaussian3", "-o", tmp_path / "out.png")
    assert "png cannot hold 4 frames of several sizes or types (RGB, 8-bit)" in done.err or (
        "png cannot hold 4 frames of several sizes or types (gray, 16-bit)" in done.err
    )


def test_smaller_versions_are_no_pages():
    """Pages that say that they are reduced versions of others are left out, with a note."""
    pixels = film(1)[0, ..., 0]
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels)
        writer.write(pixels[::2, ::2], subfiletype=1)
        writer.write(pixels[::4, ::4], subfiletype=3)
    opened = open_input(Input(data=file.getvalue()), LIMIT)
    assert [run.header.frames for run in opened] == [1]
    note = "2 of 3 pages are left out: smaller versions or masks of others"
    assert note in opened[0].header.notes


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", ["same:reflect", "valid", "full", "1:edge"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pages_are_a_volume_for_a_kernel_of_three_axes(tmp_path, channels, padding, flip):
    """A kernel (depth, rows, columns) slides over pages too, as ``conv`` does over an array of three axes."""
    pixels = film(channels, "uint16", frames=5, rows=12, columns=11)
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    source.write_bytes(encoded("tiff", pixels, None))
    weights = np.arange(-5, 13).reshape(3, 3, 2)
    kernel = convcli.Kernel(weights)
    settings = Settings(
        kernel,
        padding=Padding.parse(padding),
        flip=flip,
        mapping=Mapping.parse("raw"),
        alpha="drop" if channels == 4 else None,
        output=OutputSpec(str(out)),
    )
    (report,) = job.apply(str(source), settings)
    found = tifffile.imread(out)
    colors = pixels[..., :3] if channels == 4 else pixels
    amounts = ((0, 0), (1, 1), (1, 1)) if padding == "1:edge" else padding.partition(":")[0]
    fill = padding.partition(":")[2] or "zero"
    planes = [
        convcli.conv(plane, weights, padding=amounts, fill=fill, flip=flip)
        for plane in np.moveaxis(colors, -1, 0)
    ]
    assert np.array_equal(found.reshape(*found.shape[:3], -1), np.stack(planes, -1))
    assert report.input_shape == (1, 5, 12, 11, channels)
    assert report.output_shape == (1, *planes[0].shape, len(planes))
    assert "NDHWC" in as_block([report])
    assert "frames" in report_dict(report)["axes"]


def test_alpha_of_a_volume_is_that_of_the_center(tmp_path):
    """Alpha that is kept comes from the page and the pixel at the center of each window."""
    pixels = film(4, frames=5, rows=8, columns=7)
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    source.write_bytes(encoded("tiff", pixels, None))
    kernel = convcli.Kernel(np.arange(27).reshape(3, 3, 3) - 13)
    settings = Settings(kernel, padding=Padding.parse("valid"), alpha="keep", output=OutputSpec(str(out)))
    job.apply(str(source), settings)
    assert np.array_equal(read(out.read_bytes())[..., 3], pixels[1:-1, 1:-1, 1:-1, 3])


def test_avif_sequences_keep_their_time(run, tmp_path):
    """Their frames become an animated PNG, with the same times."""
    frames = [Image.fromarray(frame) for frame in film(3, rows=32, columns=40)]
    source = tmp_path / "in.avif"
    frames[0].save(
        source, save_all=True, append_images=frames[1:], duration=[40, 100, 2000, 100], quality=100
    )
    done = run("apply", source, "-k", "identity")
    assert done.code == 0, done.err
    found = (tmp_path / "in.identity.png").read_bytes()
    assert np.array_equal(read(found), pillow_frames(source.read_bytes(), "RGB"))
    assert open_bytes(found, LIMIT).header.metadata.timing.durations == DURATIONS


def test_frames_decoded_in_order_are_few_in_memory():
    """Reading on and on keeps only the last frames and those that are held; going back starts over."""
    made = []

    def decode():
        for index in range(50):
            made.append(index)
            yield np.full((2, 2, 1), index, np.uint8)

    reader = SequentialReader(decode, 3)
    reader.hold(7)
    for index in (*range(50), 2, 7, 4):
        assert reader.rows(index, 0, 1)[0, 0, 0] == index
        assert len(reader.decoded) <= 4
    assert len(made) == 55
    reader.release(7)
    assert len(reader.decoded) == 3
    with pytest.raises(ImageError, match="it ends after frame 50"):
        reader.rows(50, 0, 1)


@functools.cache
def moving(name: str) -> bytes:
    """A file of 20 frames that can only be decoded in order."""
    pixels = film(1 if name == "gif" else 3, frames=20, rows=32, columns=24)
    if name != "avif":
        return encoded(name, pixels, Timing.steady(20))
    file, (first, *others) = io.BytesIO(), map(Image.fromarray, pixels)
    first.save(file, "AVIF", save_all=True, append_images=others, duration=40, speed=10)
    return file.getvalue()


BLOCK = convcli.Kernel(np.ones((3, 3, 3)) / 16)
PASSES = {
    "one pass": (Settings(convcli.load_kernel("box3"), threads=4), 1),
    "a range": (
        Settings(convcli.load_kernel("sobel-x"), threads=4, mapping=Mapping.parse("stretch:0%,100%")),
        2,
    ),
    "percentiles": (
        Settings(convcli.load_kernel("sobel-x"), threads=4, mapping=Mapping.parse("signed:99%")),
        3,
    ),
    "a volume": (Settings(BLOCK, threads=4, mapping=Mapping.parse("clip")), 1),
    "the range of a volume": (Settings(BLOCK, threads=4, mapping=Mapping.parse("stretch")), 1),
    "some frames": (Settings(convcli.load_kernel("box3"), threads=4, frames=slice(10, 15)), 0.75),
}


@pytest.mark.parametrize(
    ("name", "case", "small"),
    [
        *itertools.product(["gif", "png", "webp", "avif", "mkv"], PASSES, [False]),
        *itertools.product(["gif"], PASSES, [True]),
    ],
)
def test_every_frame_is_decoded_once_a_pass(name, case, small, tmp_path, monkeypatch):
    """However far a worker lags behind; a second pass decodes again only where frames take much memory."""
    if name == "mkv":
        pytest.importorskip("av")
    source, entry = tmp_path / f"in.{name}", format_named(name)
    source.write_bytes(moving(name))
    decoded, kept, genuine, read = [], [], type(entry).frames, SequentialReader.rows

    def frames(self, *given):
        for frame in genuine(self, *given):
            decoded.append(0)
            yield frame

    def rows(self, frame, first, last):
        time.sleep(0.002 * (frame % 5 == 0))
        kept.append(len(self.decoded))
        return read(self, frame, first, last)

    monkeypatch.setattr(type(entry), "frames", frames)
    monkeypatch.setattr(SequentialReader, "rows", rows)
    monkeypatch.setattr(opening, "_CACHED_BYTES", 10**9 if small else 0)
    monkeypatch.setattr(planner, "THREAD_WORK", 1.0)  # as many threads as were asked for
    monkeypatch.setattr(planner, "_remembered", planner._decided)
    settings, passes = PASSES[case]
    job.apply(str(source), replace(settings, output=OutputSpec(str(tmp_path / "out.tif"))))
    assert len(decoded) == 20 * (min(passes, 1) if small else passes)
    assert small or max(kept) <= settings.threads + 1


def test_pages_that_are_cut_off_are_missed():
    """A TIFF whose last page names another one behind the end of the file is damaged, not shorter."""
    data = encoded("tiff", film(1), None)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = [page.offset for page in file.pages]
    for length in (places[1] + 1, places[2], places[2] + 20, places[3], len(data) - 1):
        with pytest.raises(ImageError):
            read(data[:length])
