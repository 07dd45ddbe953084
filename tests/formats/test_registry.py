"""Images in and out: every format, depth and channel count, against other decoders and encoders."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from convcli.core.errors import ImageError
from convcli.formats import registry
from convcli.formats.decoding import ANY_SIZE
from convcli.formats.header import Layout, Metadata
from convcli.formats.opening import open_bytes
from convcli.formats.registry import formats
from tests.conftest import SAMPLES

RNG = np.random.default_rng(9)
LIMIT = 10**9
HEIF = importlib.util.find_spec("pillow_heif") is not None
FITS = importlib.util.find_spec("astropy") is not None
DICOM = importlib.util.find_spec("pydicom") is not None
VIDEO = importlib.util.find_spec("av") is not None
EXR = importlib.util.find_spec("OpenEXR") is not None


def picture(channels: int, dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, (13, 17, channels), dtype, endpoint=True)


def squeezed(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def by_pillow(pixels: np.ndarray, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(squeezed(pixels)).save(buffer, name, **options)
    return buffer.getvalue()


def by_numpy(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return buffer.getvalue()


def by_pillow_heif(pixels: np.ndarray) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(squeezed(pixels))).save(buffer, quality=80)
    return buffer.getvalue()


def by_astropy(gray: np.ndarray) -> bytes:
    """A FITS file without padding at its end, if the pixels have a multiple of 2880 bytes."""
    from astropy.io import fits

    buffer = io.BytesIO()
    fits.PrimaryHDU(gray).writeto(buffer)
    return buffer.getvalue()


def by_pydicom(rgb: np.ndarray) -> bytes:
    """A DICOM file without compression."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    made, made.file_meta = Dataset(), FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2"
    made.Rows, made.Columns, made.SamplesPerPixel = rgb.shape
    made.PhotometricInterpretation, made.PlanarConfiguration, made.PixelRepresentation = "RGB", 0, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = rgb.tobytes()
    made["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def by_openexr(pixels: np.ndarray) -> bytes:
    import OpenEXR

    buffer = io.BytesIO()
    planes = {name: np.ascontiguousarray(pixels[..., place], "f2") for place, name in enumerate("RGB")}
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, planes).write(
        buffer
    )
    return buffer.getvalue()


def by_tifffile(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    photometric = "rgb" if pixels.shape[2] > 2 else "minisblack"
    planar = "contig" if pixels.shape[2] > 1 else None
    tifffile.imwrite(buffer, squeezed(pixels), photometric=photometric, planarconfig=planar, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_both_ways(channels, dtype):
    """Gray, gray with alpha, RGB and RGBA of 8 and 16 bits, from and to libpng."""
    pixels = picture(channels, dtype)
    opened = open_bytes(imagecodecs.png_encode(squeezed(pixels)), LIMIT)
    assert (opened.header.channels, opened.header.dtype) == (channels, np.dtype(dtype))
    assert np.array_equal(opened.pixels(), pixels)
    written = registry.format_named("png").encode(pixels, Metadata())
    assert np.array_equal(imagecodecs.png_decode(written), squeezed(pixels))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}, {"compression": "lzw"}, {"byteorder": ">"}])
def test_tiff_both_ways(channels, dtype, layout):
    """Integers of 8 to 32 bits, striped and tiled, compressed or not, both byte orders."""
    pixels = picture(channels, dtype)
    opened = open_bytes(by_tifffile(pixels, **layout), LIMIT)
    assert (opened.header.channels, opened.header.dtype) == (channels, np.dtype(dtype))
    assert np.array_equal(opened.pixels(), pixels)
    written = registry.format_named("tiff").encode(pixels, Metadata())
    assert np.array_equal(tifffile.imread(io.BytesIO(written)), squeezed(pixels))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_tiff_floats(dtype):
    """Float TIFFs are read and written to the last bit, NaN included."""
    pixels = RNG.normal(size=(9, 8, 3)).astype(dtype)
    pixels[0, 0] = np.nan
    opened = open_bytes(by_tifffile(pixels), LIMIT)
    assert np.array_equal(opened.pixels(), pixels, equal_nan=True)
    written = registry.format_named("tiff").encode(pixels, Metadata())
    assert np.array_equal(tifffile.imread(io.BytesIO(written)), pixels, equal_nan=True)


def test_tiff_planes_bilevel_and_palette():
    """Separate planes, 1-bit, white-is-zero and palette TIFFs become plain pixels."""
    pixels = picture(3, "uint8")
    planar = io.BytesIO()
    tifffile.imwrite(planar, np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(open_bytes(planar.getvalue(), LIMIT).pixels(), pixels)
    bits = pixels[..., 0] > 127
    for photometric, expected in (("minisblack", bits * 255), ("miniswhite", 255 - bits * 255)):
        bilevel = io.BytesIO()
        tifffile.imwrite(bilevel, bits, photometric=photometric)
        assert np.array_equal(open_bytes(bilevel.getvalue(), LIMIT).pixels()[..., 0], expected)
    palette = Image.fromarray(pixels).quantize(7)
    buffer = io.BytesIO()
    palette.save(buffer, "TIFF")
    assert np.array_equal(open_bytes(buffer.getvalue(), LIMIT).pixels(), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(
    ("name", "channels"),
    [("bmp", 1), ("bmp", 3), ("webp", 3), ("webp", 4), ("gif", 1)],
)
def test_other_lossless_formats_both_ways(name, channels):
    """BMP, lossless WebP and gray GIF keep every value, as Pillow reads them."""
    pixels = picture(channels, "uint8")
    if channels == 4:
        pixels[0, 0, 3] = 0
    source = by_pillow(pixels, name, **({"lossless": True, "exact": True} if name == "webp" else {}))
    opened = open_bytes(source, LIMIT)
    assert opened.format.name == name
    assert np.array_equal(opened.pixels(), pixels)
    with Image.open(io.BytesIO(opened.format.encode(pixels, Metadata()))) as written:
        assert np.array_equal(
            np.asarray(written.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])), squeezed(pixels)
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg(channels):
    """JPEGs decode as libjpeg-turbo does, and are written at quality 95 without chroma subsampling."""
    smooth = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)
    pixels = np.stack([smooth] * channels, -1)
    source = by_pillow(pixels, "JPEG", quality=90)
    opened = open_bytes(source, LIMIT)
    with Image.open(io.BytesIO(source)) as reference:
        assert np.array_equal(opened.pixels(), np.asarray(reference).reshape(pixels.shape))
    with Image.open(io.BytesIO(opened.format.encode(pixels, Metadata()))) as written:
        assert np.abs(np.asarray(written).reshape(pixels.shape).astype(int) - pixels).max() <= 3
        assert channels == 1 or all(layer[1:3] == (1, 1) for layer in written.layer)


def test_palette_and_low_depth_png():
    """Palettes, 1-bit gray and transparent colors become RGB, gray and alpha."""
    gray = Image.fromarray(picture(1, "uint8")[..., 0])
    for image, options, mode in [
        (gray.convert("1"), {}, "L"),
        (gray.convert("RGB").quantize(6), {}, "RGB"),
        (gray.convert("RGB").quantize(6), {"transparency": 0}, "RGBA"),
        (gray.convert("RGB"), {"transparency": (0, 0, 0)}, "RGBA"),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", **options)
        opened = open_bytes(buffer.getvalue(), LIMIT)
        with Image.open(buffer) as reference:
            expected = np.asarray(reference.convert(mode))
        assert np.array_equal(squeezed(opened.pixels()), expected)


def test_the_first_frame_of_a_gif():
    """An animated GIF gives its first frame, in color where it has any."""
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    pixels = open_bytes(buffer.getvalue(), LIMIT).pixels()
    assert pixels.shape == (6, 8, 3)
    assert np.all(pixels == (255, 0, 0))


def by_av(rgb: np.ndarray, name: str) -> bytes:
    """A video of three frames, by the formats themselves: tests of video compare them with others."""
    layout = Layout(*rgb.shape, rgb.dtype, 3)
    maker, file = registry.format_named(name).encoder(layout, Metadata()), io.BytesIO()
    maker.write(file, [maker.strip(0, rgb + np.uint8(shade)) for shade in range(3)])
    return file.getvalue()


def sample_files() -> dict[str, bytes]:
    """One small valid file of each format."""
    rgb = np.asarray(Image.open(SAMPLES / "color.png"))[:64, :80]
    return {
        "png": imagecodecs.png_encode(rgb),
        "jpeg": by_pillow(rgb, "JPEG"),
        "tiff": by_tifffile(rgb, compression="deflate"),
        "webp": by_pillow(rgb, "WEBP", lossless=True),
        "bmp": by_pillow(rgb, "BMP"),
        "gif": by_pillow(rgb[..., :1], "GIF"),
        "pnm": by_pillow(rgb, "PPM"),
        "pfm": b"PF\n80 64\n-1.0\n" + rgb[::-1].astype("<f4").tobytes(),
        "npy": by_numpy(rgb),
        "csv": "".join(f"{','.join(map(str, row))}\n" for row in (rgb[:11, :11, 0] / 8).tolist()).encode(),
        **{name: by_av(rgb, name) for name in ("mkv", "mp4") if VIDEO},
        **({"dicom": by_pydicom(rgb)} if DICOM else {}),
        **({"fits": by_astropy(rgb[:, :45, 0])} if FITS else {}),
        "avif": imagecodecs.avif_encode(rgb, speed=10),
        "hdr": imagecodecs.rgbe_encode(rgb.astype("f4") / 255),
        "jxl": imagecodecs.jpegxl_encode(rgb, effort=1, lossless=True),
        **({"heif": by_pillow_heif(rgb)} if HEIF else {}),
        **({"exr": by_openexr(rgb)} if EXR else {}),
    }


MISSING = (
    *(() if HEIF else ("heif",)),
    *(() if FITS else ("fits",)),
    *(() if DICOM else ("dicom",)),
    *(() if EXR else ("exr",)),
    *(() if VIDEO else ("mkv", "mp4")),
)
NAMES = [entry.name for entry in formats() if entry.name not in MISSING and not entry.is_store]


@pytest.mark.parametrize("name", NAMES)
def test_cut_off_files_are_damaged(name):
    """A file cut anywhere is an error of one line, never an image and never another exception.

    A text has no end that could be missing: cut in its first row, after a row or in the last number of one,
    it is another text.
    """
    data = sample_files()[name]
    assert open_bytes(data, LIMIT).pixels().size
    tail = {"png": 12, "gif": 1}.get(name, 0)
    for length in sorted({*range(0, 40), *range(40, len(data) - tail, max(len(data) // 60, 1))}):
        try:
            open_bytes(data[:length], LIMIT).pixels()
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            part = data[:length]
            if name == "csv" and (b"\n" not in part or part.count(b",") % 10 == 0):
                continue
            pytest.fail(f"{name} cut to {length} of {len(data)} bytes was read")


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bits_never_raise_anything_else(name):
    """Random damage gives an image or an `ImageError`, nothing else."""
    data = sample_files()[name]
    for seed in range(60):
        rng = np.random.default_rng(seed)
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 4):
            broken[place] ^= 1 << int(rng.integers(8))
        try:
            open_bytes(bytes(broken), 10**7).pixels()
        except ImageError as error:
            assert str(error)


def monster() -> bytes:
    """A PNG of 100 bytes that claims 50000×50000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_absurd_sizes_are_refused_before_memory_is_taken():
    """By the limit, and by what so few bytes can hold."""
    with pytest.raises(ImageError, match="50000×50000 is 2500000000 pixels; allowed: 1000000000"):
        open_bytes(monster(), LIMIT)
    with pytest.raises(ImageError, match="bytes cannot hold 50000×50000 pixels"):
        open_bytes(monster(), 10**12).pixels()


def gif(columns: int, rows: int, frames: int = 1) -> bytes:
    """A GIF of 43 bytes, and 23 for each further frame of one pixel on a canvas of any size."""
    frame = b"\x21\xf9\x04\x04\0\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return b"GIF89a" + struct.pack("<HHBBB", columns, rows, 0x80, 0, 0) + bytes(6) + frame * frames + b";"


def still_webp(columns: int, rows: int) -> bytes:
    """A lossless WebP of one color, which takes no bits a pixel: a small one that says it is large."""
    small = bytearray(imagecodecs.webp_encode(np.full((8, 8, 3), 9, np.uint8), lossless=True))
    place = small.index(b"VP8L") + 9
    rest = int.from_bytes(small[place : place + 4], "little") >> 28 << 28
    small[place : place + 4] = struct.pack("<I", rest | (rows - 1) << 14 | (columns - 1))
    return bytes(small)


@pytest.mark.parametrize(
    ("data", "most", "words"),
    [
        (gif(32768, 16385), None, "32768×16385 is 536903680 pixels in a file of 43 bytes; allowed: 50000000"),
        (gif(65535, 65535), None, "65535×65535 is 4294836225 pixels in a file of 43 bytes"),
        (gif(32768, 16385), 10**8, "32768×16385 is 536903680 pixels; allowed: 100000000 "),
        (
            gif(6000, 6000, 90),
            None,
            "90 frames of 6000×6000 are 3240000000 pixels in a file of 2090 bytes; allowed: 1000000000 ",
        ),
        (gif(60, 60, 90), 10**5, "90 frames of 60×60 are 324000 pixels; allowed: 100000 "),
        (still_webp(8000, 8000), None, "8000×8000 is 64000000 pixels in a file of"),
    ],
    ids=["gif", "largest gif", "less allowed", "many frames", "fewer frames allowed", "webp"],
)
def test_small_files_of_many_pixels_are_refused(data, most, words):
    """They are refused before memory is taken, by the pixels of all images, with how to raise the limit."""
    with pytest.raises(ImageError, match=rf"{words}.*\(--max-pixels\)"):
        open_bytes(data, most)
    assert open_bytes(data, 10**10)


def test_what_is_not_an_image():
    """An empty file, a text and a renamed archive."""
    for data, words in [
        (b"", "empty"),
        (b"hello there", "not an image"),
        (b"PK\3\4" + b"\0" * 99, "not an image"),
    ]:
        with pytest.raises(ImageError, match=words):
            open_bytes(data, LIMIT)


def test_formats_are_found_by_content_suffix_and_name():
    """The name of a file does not matter on the way in; suffixes and names do on the way out."""
    for entry in formats():
        if entry.name in NAMES:
            assert open_bytes(sample_files()[entry.name], LIMIT).format is entry
        for suffix in entry.suffixes:
            assert registry.format_of_suffix(suffix.upper()) is (
                entry if entry in registry.written_formats() else None
            )
        assert registry.format_named(entry.name.upper()) is entry
    assert registry.format_of_suffix(Path("a.xyz").suffix) is None


def test_a_gif_is_refused_by_its_size():
    """A screen above the limit is refused before it is made."""
    data = bytearray(by_pillow(picture(1, "uint8"), "GIF"))
    data[6:10] = struct.pack("<HH", 30_000, 30_000)
    with pytest.raises(ImageError, match="30000×30000 is 900000000 pixels; allowed: 1000"):
        open_bytes(bytes(data), 1000)


def test_low_depth_tiff_is_scaled_like_png():
    """4-bit gray fills the range of 8 bits, white-is-zero turned round."""
    stored = np.arange(16, dtype=np.uint8).reshape(4, 4)
    packed = (stored.ravel()[::2] << 4 | stored.ravel()[1::2]).astype(np.uint8).tobytes()

    def file(photometric: int) -> bytes:
        tags = [
            (256, 4),
            (257, 4),
            (258, 4),
            (259, 1),
            (262, photometric),
            (273, 8),
            (277, 1),
            (278, 4),
            (279, 8),
        ]
        entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
        return b"II*\0" + struct.pack("<I", 16) + packed + struct.pack("<H", len(tags)) + entries + b"\0" * 4

    assert np.array_equal(open_bytes(file(1), LIMIT).pixels()[..., 0], stored * 17)
    assert np.array_equal(open_bytes(file(0), LIMIT).pixels()[..., 0], 255 - stored * 17)


def test_libraries_print_nothing(capfd):
    """What libpng, libjpeg and tifffile say on standard error does not reach it."""
    for name, data in sample_files().items():
        for length in (len(data) // 2, len(data) - 20):
            with pytest.raises(ImageError):
                open_bytes(data[:length], LIMIT).pixels()
        assert capfd.readouterr().err == "", name


def test_what_tifffile_logs_is_not_seen(tmp_path):
    """The messages of another library's logger, where nobody has set up logging, are none of a command's."""
    damaged = bytearray(by_tifffile(picture(3, "uint8"), description="a text", metadata=None))
    entry = damaged.index(struct.pack("<HH", 270, 2))
    damaged[entry + 8 : entry + 12] = b"\xff" * 4  # the text lies behind the end
    (tmp_path / "in.tif").write_bytes(damaged)
    by_itself = "import tifffile; print(tifffile.TiffFile('in.tif').pages[0].tags.valueof(270))"
    assert said(by_itself, tmp_path)[1] != ""
    command = "from convcli.cli.main import main; main(['apply', 'in.tif', '-k', 'box3'])"
    out, error = said(command, tmp_path)
    assert ("in.tif" in out, error) == (True, "")


def said(program: str, folder: Path) -> tuple[str, str]:
    """What a Python program prints that runs in a folder, and on standard error."""
    environment = {**os.environ, "PYTHONPATH": str(SAMPLES.parent)}
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


def test_other_libraries_keep_their_settings(monkeypatch):
    """Pillow's limit does not bind us and is its user's again behind us, as is tifffile's logger."""
    samples, level = sample_files(), logging.getLogger("tifffile").level
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    for name, data in samples.items():
        opened = open_bytes(data, LIMIT)
        assert opened.reader().rows(0, 0, opened.header.rows).size > 100, name
        assert (Image.MAX_IMAGE_PIXELS, logging.getLogger("tifffile").level) == (50, level), name


def test_a_limit_is_lifted_until_the_last_is_done(monkeypatch):
    """The first to finish does not restore it for the others, and a limit set in the meantime stays."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with ANY_SIZE:
        with ANY_SIZE:
            assert Image.MAX_IMAGE_PIXELS is None
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS == 50
    with ANY_SIZE:
        Image.MAX_IMAGE_PIXELS = 60
    assert Image.MAX_IMAGE_PIXELS == 60
