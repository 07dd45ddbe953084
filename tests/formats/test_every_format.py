"""Every format at once: what it holds survives, others read the same, and broken files do no harm."""

from __future__ import annotations

import importlib.util
import io
import time

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from convcli.core.errors import ImageError
from convcli.formats.header import Metadata
from convcli.formats.opening import open_bytes
from convcli.formats.registry import format_named, formats
from tests.formats.test_registry import MISSING, NAMES, sample_files

LIMIT = 10**7
SLOWEST = 5.0  # seconds for one broken file
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
FILES = [entry for entry in formats() if not entry.is_store and entry.name not in MISSING]
HELD = [
    (entry.name, dtype, channels)
    for entry in FILES
    for dtype in DTYPES
    for channels in (1, 2, 3, 4)
    if entry.holds(np.dtype(dtype), channels)
    and entry.name not in ("jpeg", "hdr")  # which are near, not exact
]
ONLY_READ = {"fits", "dicom"}
OPENCV = {("png", 1), ("png", 3), ("png", 4), ("pnm", 1), ("pnm", 3)}


def values(dtype: str, channels: int) -> np.ndarray:
    """Every kind of value: both ends of the type, NaN and infinity, colors under full transparency."""
    rng = np.random.default_rng(7)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        pixels = rng.normal(size=(11, 19, channels)).astype(kind)
        pixels[0, :4, 0] = np.nan, np.inf, -np.inf, -0.0
        return pixels
    info = np.iinfo(kind)
    pixels = rng.integers(info.min, info.max, (11, 19, channels), kind, endpoint=True)
    pixels[0, 0], pixels[0, 1] = info.min, info.max
    pixels[1, :, -1] = info.min
    return pixels


def as_written(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Gray repeated for each color, where a format has colors only."""
    own = pixels.shape[2]
    if own == channels:
        return pixels
    return np.concatenate([np.repeat(pixels[..., :1], 3, 2), pixels[..., 1:]], 2)


def other_reader(name: str, data: bytes, dtype: str, channels: int) -> np.ndarray | None:
    """The pixels by a decoder that the format does not use itself, or None where there is none."""
    deep = dtype != "uint8"
    if name == "npy":
        return np.load(io.BytesIO(data))
    if name == "tiff":
        return by_libtiff(data, dtype, channels)
    if name == "pfm" or (deep and (name, channels) in OPENCV):
        return by_opencv(data)
    if name in ("png", "webp", "bmp", "gif", "avif") or (name == "pnm" and channels in (1, 3)):
        with Image.open(io.BytesIO(data)) as image:
            return None if deep else np.asarray(image.convert(by_channels(name, channels)))
    return None


def by_channels(name: str, channels: int) -> str:
    """Pillow's mode for what a file holds."""
    return {1: "RGB" if name == "webp" else "L", 2: "RGBA" if name == "webp" else "LA", 3: "RGB", 4: "RGBA"}[
        channels
    ]


def by_libtiff(data: bytes, dtype: str, channels: int) -> np.ndarray | None:
    """Through Pillow's libtiff, for the types it knows."""
    if dtype == "uint8" or (channels == 1 and dtype in ("uint16", "int32", "float32")):
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    return None


def by_opencv(data: bytes) -> np.ndarray | None:
    """Pixels with red first; None without OpenCV, or if it cannot read the file."""
    if importlib.util.find_spec("cv2") is None:
        return None
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim == 2:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


@pytest.mark.parametrize(("name", "dtype", "channels"), HELD)
def test_what_a_format_holds_survives(name, dtype, channels):
    """Encoded, recognized and decoded bit for bit, and an independent decoder agrees."""
    pixels = values(dtype, channels)
    data = format_named(name).encode(pixels, Metadata())
    opened = open_bytes(data, LIMIT)
    found = opened.pixels()
    expected = as_written(pixels, opened.header.channels)
    assert opened.format.name == name
    assert (found.dtype, found.shape) == (opened.header.dtype, expected.shape)
    assert found.tobytes() == expected.astype(found.dtype).tobytes()
    other = other_reader(name, data, dtype, channels)
    if other is not None:
        assert np.array_equal(other.reshape(expected.shape), expected, equal_nan=np.dtype(dtype).kind == "f")


def test_the_table_is_full():
    """Every exact format of single images stands in it, and TIFF and NPY with every type."""
    assert {name for name, _, _ in HELD} == {entry.name for entry in FILES} - {
        "jpeg",
        "hdr",
        "mkv",
        "mp4",
    } - ONLY_READ
    for name in ("tiff", "npy"):
        assert sum(held[0] == name for held in HELD) == len(DTYPES) * 4


def harmless(data: bytes) -> bool:
    """Whether a broken file was read anyway; if so, as its header says, otherwise with a one-line error."""
    begun = time.perf_counter()
    try:
        opened = open_bytes(data, LIMIT)
        pixels = (
            opened.format.decode(data, opened.header) if opened.header.orientation > 4 else opened.pixels()
        )
    except ImageError as error:
        assert str(error).isprintable()
        return False
    finally:
        assert time.perf_counter() - begun < SLOWEST
    header = opened.header
    assert pixels.size == header.rows * header.columns * header.channels
    assert (pixels.dtype, pixels.shape[2]) == (header.dtype, header.channels)
    if header.orientation < 5:
        assert pixels.shape[:2] == (header.rows, header.columns)
    return True


def flipped(data: bytes, seed: int) -> bytes:
    """One to eight bits turned, half of them near the beginning, where headers are."""
    rng = np.random.default_rng(seed)
    broken = bytearray(data)
    reach = len(data) if seed % 2 else min(len(data), 200)
    for place in rng.integers(0, reach, 1 + seed % 8):
        broken[place] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def shuffled(data: bytes, seed: int) -> bytes:
    """Two stretches changed for each other, one repeated, left out, or filled with zeros."""
    rng = np.random.default_rng(seed)
    a, b, c, d = sorted(int(place) for place in rng.integers(0, len(data), 4))
    return (
        data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:],
        data[:b] + data[a:],
        data[:a] + data[b:],
        data[:a] + bytes(b - a) + data[b:],
    )[seed % 4]


@pytest.mark.parametrize("name", NAMES)
def test_broken_files_do_no_harm(name):
    """For each format 40 lengths, 60 flips and 40 rearrangements: an error or a image."""
    data = sample_files()[name]
    assert harmless(data)
    broken = [data[: len(data) * part // 40] for part in range(40)]
    broken += [flipped(data, seed) for seed in range(60)]
    broken += [shuffled(data, seed) for seed in range(40)]
    assert sum(harmless(file) for file in broken) < len(broken)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_renamed_or_something_else(name):
    """The beginning of a format with text, zeros or noise behind it, or another format's body."""
    samples = sample_files()
    noise = np.random.default_rng(1).bytes(3000)
    bodies = [b"", b" hello, this is no picture\n" * 40, bytes(3000), b"\xff" * 3000, noise]
    for body in bodies + [other[32:] for other in samples.values()]:
        for kept in (4, 12, 32):
            file = samples[name][:kept] + body
            assert harmless(file) in (True, False)


def patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def huge() -> dict[str, bytes]:
    """A file of each format that claims an absurd size and holds next to nothing."""
    samples = sample_files()
    frame = samples["jpeg"].index(b"\xff\xc0")
    with tifffile.TiffFile(io.BytesIO(samples["tiff"])) as file:
        wide = [file.pages.first.tags[tag].valueoffset for tag in (256, 257)]
    tiff = samples["tiff"]
    for place in wide:
        tiff = patched(tiff, place, b"\xf0\xff")
    files = {
        "png": patched(samples["png"], 16, b"\x7f\xff\xff\xff" * 2),
        "jpeg": patched(samples["jpeg"], frame + 5, b"\xff\xff\xff\xff"),
        "tiff": tiff,
        "webp": patched(samples["webp"], 21, b"\xff\xff\xff\xff"),
        "bmp": patched(samples["bmp"], 18, b"\xff\xff\xff\x3f" * 2),
        "gif": patched(samples["gif"], 6, b"\xff\xff\xff\xff"),
        "pnm": b"P6 99999999 99999999 255\n",
        "pfm": b"PF 99999999 99999999 -1\n",
        "npy": samples["npy"].replace(b"(64, 80, 3), ", b"(9**9, 9, 3),"),
        "avif": patched(samples["avif"], samples["avif"].index(b"ispe") + 8, b"\x7f\xff\xff\xff" * 2),
    }
    if "fits" in samples:
        sides = "".join(f"NAXIS{axis}  = {10**9:>20}".ljust(80) for axis in (1, 2)).encode()
        files["fits"] = patched(samples["fits"], samples["fits"].index(b"NAXIS1"), sides)
    if "dicom" in samples:
        sides = (b"\x28\0\x10\0US\2\0\xff\xff", b"\x28\0\x11\0US\2\0\xff\xff")
        place = samples["dicom"].index(sides[0][:8])
        files["dicom"] = patched(samples["dicom"], place, b"".join(sides))
    if "heif" in samples:
        place = samples["heif"].index(b"ispe") + 8
        files["heif"] = patched(samples["heif"], place, b"\x7f\xff\xff\xff" * 2)
    return files


@pytest.mark.parametrize(
    ("name", "limit"),
    [(name, limit) for name in huge() for limit in (10**7, 10**18) if (name, limit) != ("gif", 10**18)],
)
def test_absurd_sizes(name, limit):
    """Refused within a moment, with and without a limit that would catch them.

    Only a GIF needs the limit: a small frame on a huge screen is allowed.
    """
    begun = time.perf_counter()
    with pytest.raises(ImageError):
        open_bytes(huge()[name], limit).pixels()
    assert time.perf_counter() - begun < SLOWEST


def test_png_chunks_that_are_moved():
    """Chunks that are reordered, repeated or missing."""
    data = imagecodecs.png_encode(values("uint8", 4))
    chunks, place = [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big") + 12
        chunks.append(data[place : place + length])
        place += length
    for seed in range(40):
        rng = np.random.default_rng(seed)
        order = rng.integers(0, len(chunks), len(chunks) + seed % 3)
        assert harmless(data[:8] + b"".join(chunks[index] for index in order)) in (True, False)
