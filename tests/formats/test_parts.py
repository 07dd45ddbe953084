"""Images in parts: readers of some rows, encoders of strips, and the canvas that orders them."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

import convcli
from convcli.core.errors import Halted, ImageError
from convcli.files.input import Input
from convcli.formats import deflate, opening, registry
from convcli.formats.base import StreamedFormat
from convcli.formats.encoders import Encoder
from convcli.formats.header import Coding, Layout, Metadata
from convcli.formats.readers import InMemoryReader
from convcli.geometry.axes import Strip
from convcli.pipeline.maps.canvas import MOST_WAITING, Canvas
from tests.conftest import ROOT, SAMPLES, decoded

LIMIT = 10**9
TYPES = (np.uint8, np.uint16, np.int16, np.int32, np.float16, np.float32, np.float64)


def picture(dtype: type, channels: int, rows: int = 61, columns: int = 47) -> np.ndarray:
    """Seeded values over the whole range of integers, floats around 0."""
    rng = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=(rows, columns, channels)).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, (rows, columns, channels), dtype, endpoint=True)


def opened(path: Path) -> tuple[opening.Opened, Input]:
    source = Input.open(str(path))
    return opening.open_input(source, LIMIT)[0], source


def streaming() -> list[object]:
    """(format, dtype, channels) of every exact format that is made strip by strip."""
    return [
        pytest.param(entry, dtype, channels, id=f"{entry.name}-{np.dtype(dtype)}-{channels}")
        for entry in registry.formats()
        if isinstance(entry, StreamedFormat) and entry.name not in ("jpeg", "csv")
        for dtype in TYPES
        for channels in (1, 2, 3, 4)
        if entry.holds(np.dtype(dtype), channels)
    ]


@pytest.mark.parametrize(("entry", "dtype", "channels"), streaming())
def test_strips_of_any_height_hold_the_same_image(entry, dtype, channels, tmp_path):
    """Whatever the height of the strips, the file decodes to the pixels, whole and in parts."""
    if entry.extra == "exr":
        pytest.importorskip("OpenEXR")
    pixels = picture(dtype, channels)
    for height in (1, 7, 61, 100):
        maker = entry.encoder(Layout.of(pixels), Metadata())
        path = tmp_path / f"{height}{entry.suffixes[0]}"
        with path.open("wb") as file:
            tops = range(0, len(pixels), height)
            maker.write(file, (maker.strip(top, pixels[top : top + height]) for top in tops))
        found, source = opened(path)
        with source:
            whole = found.pixels()
            assert np.array_equal(whole, pixels) and np.can_cast(pixels.dtype, whole.dtype, "safe")
            reader = found.reader()
            assert not isinstance(reader, InMemoryReader)
            for first, last in ((0, 61), (0, 1), (60, 61), (5, 9), (6, 50)):
                rows = reader.rows(0, first, last)
                assert rows.dtype == whole.dtype and np.array_equal(rows, pixels[first:last])


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", ["png", "jpeg", "tiff", "pnm", "pfm", "npy"])
def test_bytes_do_not_depend_on_strips(name, small):
    """Strips of any height, within bands and over them, make one file, and so does `encode`."""
    entry, metadata = registry.format_named(name), Metadata(coding=Coding(small=small))
    pixels = picture(np.float32 if name == "pfm" else np.uint8, 3, 100, 1700)
    made = set()
    for height in (1, 7, 16, 33, 48, 64, 100):
        maker, file = entry.encoder(Layout.of(pixels), metadata), io.BytesIO()
        maker.write(file, [maker.strip(top, pixels[top : top + height]) for top in range(0, 100, height)])
        made.add(file.getvalue())
    assert len(made) == 1
    if name != "jpeg":
        assert made == {entry.encode(pixels, metadata)}


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_bytes_do_not_depend_on_the_method(run, tmp_path, suffix):
    """Methods cut an image differently; its file is the same, for any number of threads."""
    source, made = tmp_path / "in.png", set()
    source.write_bytes(registry.format_named("png").encode(picture(np.uint8, 3, 500, 700), Metadata()))
    for method in ("shift", "separable", "toeplitz", "fft"):
        for threads in (1, 3):
            out = tmp_path / f"{method}{threads}.{suffix}"
            words = ("-k", "gaussian5", "--method", method, "--threads", threads, "-o", out)
            assert run("apply", source, *words).code == 0
            made.add(out.read_bytes())
    assert len(made) == 1


@pytest.mark.parametrize("quality", [None, 1, 20, 24, 25, 50, 100])
@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
@pytest.mark.parametrize("channels", [1, 3])
def test_joined_jpegs_decode_like_whole_ones(channels, subsampling, quality):
    """Bands joined by restart markers decode to the image of one encoder, and declare their subsampling."""
    jpeg, coding = registry.format_named("jpeg"), Coding(quality)
    metadata = Metadata(subsampling=subsampling, coding=coding)
    for pixels in (picture(np.uint8, channels, 333, 217), np.full((333, 217, channels), 128, np.uint8)):
        maker, file = jpeg.encoder(Layout.of(pixels), metadata), io.BytesIO()
        maker.write(file, [maker.strip(top, pixels[top : top + 48]) for top in range(0, 333, 48)])
        found = opening.open_bytes(file.getvalue(), LIMIT)
        whole = opening.open_bytes(jpeg.encode(pixels, metadata), LIMIT)
        assert np.array_equal(found.pixels(), whole.pixels())
        assert found.header.metadata.subsampling == (subsampling if channels == 3 else "444")


def test_a_jpeg_keeps_its_subsampling(run, tmp_path):
    """4:2:0 stays 4:2:0, anything else is 4:4:4, and the report says what is lost."""
    from PIL import Image

    smooth = np.add.outer(np.arange(300), np.arange(200))[..., None] // np.array([2, 3, 4])
    for chroma, words in ((0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")):
        path, out = tmp_path / f"{chroma}.jpg", tmp_path / f"out{chroma}.jpg"
        Image.fromarray(smooth.astype(np.uint8)).save(path, quality=90, subsampling=chroma)
        result = run("apply", path, "-k", "box3", "-o", out)
        assert f"jpeg is lossy: quality 95, chroma {words}" in result.text
        with Image.open(out) as written:
            luma = written.layer[0][1:3]
        assert luma == {0: (1, 1), 1: (2, 1), 2: (2, 2)}[chroma]


@pytest.mark.parametrize("tile", [None, (16, 32), (64, 16)])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "packbits", "zstd"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_rows_by_several_threads(channels, compression, tile, tmp_path):
    """Tiles and strips, compressed or not, read in pieces by four threads at once."""
    pixels, path = picture(np.uint16, channels, 200, 150), tmp_path / "a.tif"
    stored = pixels[..., 0] if channels == 1 else pixels
    how = {"tile": tile} if tile else {"rowsperstrip": 23}
    colors = {"photometric": "rgb" if channels == 3 else "minisblack"}
    tifffile.imwrite(path, stored, compression=compression, **colors, **how)
    found, source = opened(path)
    with source, ThreadPoolExecutor(4) as pool:
        reader = found.reader()
        assert not isinstance(reader, InMemoryReader)
        parts = [(first, min(first + 13, 200)) for first in range(0, 200, 9)] * 3
        for (first, last), rows in zip(
            parts, pool.map(lambda part: reader.rows(0, *part), parts), strict=True
        ):
            assert np.array_equal(rows, pixels[first:last])


def test_a_tile_that_is_damaged_ends_the_run(run, tmp_path):
    """One line names the file; nothing is written, and no worker waits for ever."""
    path, out = tmp_path / "a.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, picture(np.uint8, 1, 900, 900)[..., 0], tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages.first.dataoffsets[100], file.pages.first.databytecounts[100]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(count)
    path.write_bytes(data)
    result = run("apply", path, "-k", "box3", "-o", out, "--threads", "2")
    assert result.code == 2
    assert result.err.startswith(f"convcli: {path}: damaged tiff: ") and result.err.count("\n") == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.tif"]


@pytest.mark.parametrize("suffix", [".npy", ".pgm", ".tif"])
def test_a_file_that_shrinks_while_it_is_read(suffix, tmp_path):
    """An error, not rows of zeros."""
    pixels, path = picture(np.uint8, 1, 300, 100), tmp_path / f"a{suffix}"
    entry = registry.format_of_suffix(suffix)
    path.write_bytes(entry.encode(pixels, Metadata()))
    found, source = opened(path)
    with source:
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(ImageError):
            found.reader().rows(0, 250, 300)


@pytest.mark.parametrize("stream", ["npy", "pnm", "pfm", "tiff"])
def test_files_and_streams_give_the_same(stream, run, tmp_path):
    """What is read in parts from a file comes whole from a pipe: the results are equal."""
    pixels = picture(np.float32 if stream == "pfm" else np.uint16, 3, 130, 90)
    data = registry.format_named(stream).encode(pixels, Metadata())
    path, out = tmp_path / "in", tmp_path / "out.npy"
    path.write_bytes(data)
    assert run("apply", path, "-k", "gaussian5", "-o", out).code == 0
    piped = run("apply", "-", "-k", "gaussian5", "-o", "-", "--format", "npy", stdin=data)
    assert np.array_equal(np.load(out), np.load(io.BytesIO(piped.out)))
    expected = convcli.conv(
        pixels, "gaussian5", padding="same:reflect", channels="last", dtype=pixels.dtype, threads=1
    )
    assert np.array_equal(np.load(out), expected)


def test_blocks_join_to_a_stream_that_zlib_reads():
    """Adler-32 of the parts gives that of the whole, with and without ISA-L."""
    import zlib

    rng = np.random.default_rng(1)
    parts = [rng.integers(0, 20, size, np.uint8).tobytes() for size in (1, 70_000, 3, 200_000)]
    for maker in (deflate.isal_zlib, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deflate, "isal_zlib", maker)
            blocks = [deflate.block(part) for part in parts]
            whole = deflate.HEADER + b"".join(part for block in blocks for part in block.parts) + deflate.END
            assert zlib.decompress(whole + deflate.joined(blocks).to_bytes(4, "big")) == b"".join(parts)
            assert zlib.decompress(deflate.stream(parts[1])) == parts[1]
            for part in (b"", *parts, bytes(65_535), bytes(65_536)):
                assert zlib.decompress(b"".join(deflate.stored(part))) == part


class Recorder(Encoder):
    """An encoder that keeps what it is given."""

    def __init__(self, fails: bool = False) -> None:
        self.found: list[np.ndarray] = []
        self.fails = fails

    def strip(self, first: int, pixels: np.ndarray) -> np.ndarray:
        return pixels.copy()

    def write(self, file: object, pieces: object) -> None:
        for piece in pieces:
            if self.fails:
                raise OSError("the disk is full")
            self.found.append(piece)


BLOCKS = """
import hashlib, random, sys
from convcli.formats import deflate
source, found = random.Random(5), hashlib.sha256()
for _ in range(15000):
    start = source.randbytes(6)
    data = start + source.randbytes(source.randrange(40, 90)) + start[2:] + source.randbytes(30)
    found.update(b"".join(deflate.block(data).parts))
    found.update(deflate.stream(data))
print(found.hexdigest())
"""


def test_blocks_are_the_same_in_every_process():
    """The contents of a compressor's memory make no difference."""
    words = [sys.executable, "-c", BLOCKS]
    made = {subprocess.run(words, capture_output=True, check=True, cwd=ROOT).stdout for _ in range(4)}
    assert len(made) == 1


def strips(rows: int, columns: int, height: int, width: int) -> list[Strip]:
    return [
        Strip((top, min(top + height, rows)), (left, min(left + width, columns)))
        for top in range(0, rows, height)
        for left in range(0, columns, width)
    ]


def test_strips_in_any_order_are_written_in_their_own():
    """Cut across or not, from four threads, bands arrive whole and in order."""
    pixels = picture(np.uint8, 3, 103, 50)
    for width in (50, 13):
        recorder = Recorder()
        canvas = Canvas(Layout.of(pixels), recorder, 5)
        with ThreadPoolExecutor(5) as pool:
            writing = pool.submit(canvas.write, io.BytesIO())
            todo = strips(103, 50, 5, width)
            order = sorted(todo, key=lambda strip: (strip.rows[0] // 40, -strip.rows[0], strip.columns))

            def paint(strip: Strip, canvas: Canvas = canvas) -> None:
                (top, bottom), (left, right) = strip.rows, strip.columns
                canvas.place(0, strip)[...] = pixels[top:bottom, left:right]
                canvas.done(0, strip)

            list(pool.map(paint, order))
            writing.result(10)
        assert np.array_equal(np.concatenate(recorder.found), pixels)


def test_a_writer_that_fails_frees_the_workers():
    """Those that wait are told to stop, and the writer's own error is what is raised."""
    layout = Layout(1000, 4, 1, np.dtype(np.uint8))
    canvas = Canvas(layout, Recorder(fails=True), 1)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(canvas.write, io.BytesIO())
        with pytest.raises(Halted):
            for strip in strips(1000, 4, 1, 4):
                canvas.place(0, strip)
                canvas.done(0, strip)
        with pytest.raises(OSError, match="the disk is full"):
            writing.result(10)


def test_pieces_that_wait_are_few():
    """Workers that are ahead of a slow strip stop until it comes."""
    canvas = Canvas(Layout(100, 4, 1, np.dtype(np.uint8)), Recorder(), 1)
    todo = strips(100, 4, 1, 4)
    ahead = threading.Event()

    def work() -> None:
        for strip in todo[1:]:
            canvas.place(0, strip)
            canvas.done(0, strip)
        ahead.set()

    with ThreadPoolExecutor(2) as pool:
        writing, working = pool.submit(canvas.write, io.BytesIO()), pool.submit(work)
        assert not ahead.wait(0.2)
        assert len(canvas.pieces) == MOST_WAITING
        canvas.place(0, todo[0])
        canvas.done(0, todo[0])
        working.result(10)
        writing.result(10)


def test_written_png_passes_other_decoders(run, tmp_path):
    """16-bit color and alpha, many strips: OpenCV and Pillow read what was written."""
    cv2 = pytest.importorskip("cv2")
    pixels, source, out = picture(np.uint16, 4, 900, 700), tmp_path / "a.npy", tmp_path / "b.png"
    np.save(source, pixels)
    assert run("apply", source, "-k", "identity", "-o", out, "--threads", "2").code == 0
    assert np.array_equal(decoded(out), pixels)
    assert np.array_equal(cv2.imread(str(out), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]], pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_quality_is_what_is_asked_for(suffix, run, tmp_path):
    """Lower quality makes smaller files that differ more, in folders too; the report states it."""
    wanted = decoded(SAMPLES / "color.png").astype(int)
    sizes, errors = [], []
    for quality in (10, 60, 100):
        out = tmp_path / f"{quality}{suffix}"
        ran = run("apply", SAMPLES / "color.png", "-k", "identity", "--quality", quality, "-o", out)
        assert f"is lossy: quality {quality}" in ran.text
        sizes.append(out.stat().st_size)
        found = opening.open_bytes(out.read_bytes(), LIMIT).pixels()
        errors.append(np.abs(found - wanted).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[-1] and errors[-1] < 3
    options = ["-k", "identity", "--quality", 10, "--format", suffix[1:], "-q"]
    assert run("batch", SAMPLES / "color.png", tmp_path / "out", *options).code == 0
    assert next((tmp_path / "out").iterdir()).read_bytes() == (tmp_path / f"10{suffix}").read_bytes()


def test_formats_without_a_quality_say_so(run, tmp_path):
    """The option changes no byte of a format that loses nothing, and the report says that."""
    for name, words in (("a.png", []), ("b.png", ["--quality", 10])):
        ran = run("apply", SAMPLES / "scene.png", "-k", "box3", "-o", tmp_path / name, *words)
        assert ("--quality has no effect on png" in ran.text) == bool(words)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_small_pngs_hold_the_same_pixels(channels, dtype):
    """Filters chosen row by row, for strips of any height, decode to what was written; smooth ones shrink."""
    entry, metadata = registry.format_named("png"), Metadata(coding=Coding(small=True))
    rows, columns = np.mgrid[:61, :2100]
    smooth = np.stack([rows * k + columns * columns // 900 for k in range(1, channels + 1)], axis=-1)
    for pixels in (picture(dtype, channels), smooth.astype(dtype), picture(dtype, channels, 3, 1)):
        for height in (1, 7, 100):
            maker, file = entry.encoder(Layout.of(pixels), metadata), io.BytesIO()
            tops = range(0, len(pixels), height)
            maker.write(file, [maker.strip(top, pixels[top : top + height]) for top in tops])
            assert np.array_equal(decoded(file.getvalue()).reshape(pixels.shape), pixels)
    quick = entry.encode(smooth.astype(dtype), Metadata())
    assert len(entry.encode(smooth.astype(dtype), metadata)) < len(quick)


def test_small_pngs_are_as_small_as_libraries_make_them(run, tmp_path):
    """Within 4 % of libpng at its best, however many strips there are."""
    for name in ("scene.png", "color.png"):
        run("apply", SAMPLES / name, "-k", "identity", "--png", "small", "-o", tmp_path / name)
        best = len(imagecodecs.png_encode(decoded(SAMPLES / name), level=9))
        assert (tmp_path / name).stat().st_size < 1.04 * best
