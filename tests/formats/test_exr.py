"""OpenEXR: channels, layers, parts, tiles, windows and attributes, against the library and FFmpeg."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.core.errors import ArgumentError, ImageError
from convcli.files.input import Input
from convcli.formats.calibration import Measure, Sampling, Screen
from convcli.formats.exr.headers import HEAD, parts
from convcli.formats.header import Layout, Metadata
from convcli.formats.opening import Opened, open_bytes, open_input
from convcli.formats.registry import format_named

openexr = pytest.importorskip("OpenEXR")

EXR = format_named("exr")
RNG = np.random.default_rng(5)
ROWS, COLUMNS = 77, 41


def plane(dtype: str, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Every bit pattern of a type."""
    words = RNG.integers(0, 2**32, (rows, columns), np.uint32)
    if dtype == "float16":
        return (words & 0xFFFF).astype(np.uint16).view(np.float16)
    return words.view(dtype)


def image(names: str | list[str], dtype: str = "float16", **size: int) -> dict[str, np.ndarray]:
    return {name: plane(dtype, **size) for name in names}


def written(*images: dict[str, np.ndarray], compression: str = "ZIP", **header: Any) -> bytes:
    """A file by the library itself, with a part for each image."""
    facts = {
        "compression": getattr(openexr, f"{compression}_COMPRESSION"),
        "type": openexr.scanlineimage,
        **header,
    }
    pages = [
        openexr.Part(dict(facts), dict(planes), f"part {number}" if len(images) > 1 else "")
        for number, planes in enumerate(images)
    ]
    buffer = io.BytesIO()
    openexr.File(pages).write(buffer)
    return buffer.getvalue()


def tiles(mode: Any = None) -> dict[str, Any]:
    """Attributes of tiles of 24 rows and 16 columns."""
    description = openexr.TileDescription()
    description.xSize, description.ySize = 16, 24
    description.mode = openexr.ONE_LEVEL if mode is None else mode
    return {"type": openexr.tiledimage, "tiles": description}


def windows(left: int, top: int, display: tuple[int, int, int, int]) -> dict[str, Any]:
    boxes = ((left, top, left + COLUMNS - 1, top + ROWS - 1), display)
    names = ("dataWindow", "displayWindow")
    return {n: (np.array(b[:2], "i4"), np.array(b[2:], "i4")) for n, b in zip(names, boxes, strict=True)}


def opened(data: bytes, axes: str = "") -> list[Opened]:
    source = Input(data=data)
    source.axes = axes
    return open_input(source)


def filtered(run: Any, folder: Path, command: str) -> None:
    """Run a command on the files of a folder."""
    words = [folder / word if word.endswith(".exr") else word for word in command.split()]
    assert run(*words).code == 0


def by_openexr(data: bytes) -> dict[str, np.ndarray]:
    file = openexr.File(io.BytesIO(data), separate_channels=True)
    return {name: channel.pixels for name, channel in file.channels().items()}


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint32"])
@pytest.mark.parametrize("compression", ["NO", "RLE", "ZIPS", "ZIP", "PIZ"])
@pytest.mark.parametrize("kind", ["lines", "tiles"])
def test_reading(dtype, compression, kind):
    """Whole images and rows of them, to the last bit, where pixels begin anywhere on the screen."""
    planes = image("RGBA", dtype)
    facts = {**(tiles() if kind == "tiles" else {}), **windows(5, -7, (0, 0, 99, 99))}
    (run_,) = opened(written(planes, compression=compression, **facts))
    pixels = run_.pixels()
    assert run_.header.dtype == np.dtype(dtype) and run_.header.linear
    assert all(pixels[..., at].tobytes() == planes[name].tobytes() for at, name in enumerate("RGBA"))
    assert run_.reader().rows(0, 30, 50).tobytes() == pixels[30:50].tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint32"])
@pytest.mark.parametrize("names", ["Y", "YA", "RGB", "RGBA", "0123456"])
def test_writing(dtype, names):
    """The library reads what was written, and files do not depend on strips."""
    planes = image(names, dtype)
    pixels = np.stack(list(planes.values()), -1)
    data = EXR.encode(pixels, Metadata())
    found = by_openexr(data)
    assert {name: found[name].tobytes() for name in found} == {n: p.tobytes() for n, p in planes.items()}
    assert open_bytes(data).pixels().tobytes() == pixels.tobytes()
    encoder, file = EXR.encoder(Layout.of(pixels), Metadata()), io.BytesIO()
    strips = ((0, 40), (40, 48), (48, ROWS))
    encoder.write(file, [encoder.strip(first, pixels[first:last]) for first, last in strips])
    assert file.getvalue() == data


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint32"])
@pytest.mark.parametrize("names", ["Y", "YA", "RGB", "RGBA", "0123456"])
def test_a_decoder_without_the_library_agrees(dtype, names):
    """All bits of every type and number of channels, decoded as the specification of the format says."""
    planes = image(names, dtype)
    found = by_hand(EXR.encode(np.stack(list(planes.values()), -1), Metadata()))
    assert {name: found[name].tobytes() for name in found} == {n: p.tobytes() for n, p in planes.items()}


def by_hand(data: bytes) -> dict[str, np.ndarray]:
    """The channels of one part of scan lines in ZIP, blocks of 16 lines, whose pixels begin at 0, 0."""
    attributes, at = {}, 8
    while data[at]:
        name, kind, _ = data[at:].split(b"\0", 2)
        at += len(name) + len(kind) + 2
        (size,) = struct.unpack_from("<i", data, at)
        attributes[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    assert attributes[b"compression"] == b"\3"
    *_, right, bottom = struct.unpack("<4i", attributes[b"dataWindow"])
    types, entries = {}, attributes[b"channels"]
    while entries[:1] != b"\0":
        name, entries = entries.split(b"\0", 1)
        types[name.decode()] = np.dtype(("<u4", "<f2", "<f4")[struct.unpack_from("<i", entries)[0]])
        entries = entries[16:]
    rows, columns = bottom + 1, right + 1
    made = {name: np.empty((rows, columns), kind) for name, kind in types.items()}
    for offset in struct.unpack_from(f"<{-(-rows // 16)}Q", data, at + 1):
        first, size = struct.unpack_from("<2i", data, offset)
        lines = range(first, min(first + 16, rows))
        block = _plain(
            data[offset + 8 :][:size], len(lines) * columns * sum(k.itemsize for k in types.values())
        )
        for line in lines:
            for name, kind in types.items():
                made[name][line] = np.frombuffer(block, kind, columns)
                block = block[columns * kind.itemsize :]
    return made


def _plain(packed: bytes, size: int) -> bytes:
    """A block without its compression: differences of bytes, whose second half belongs between the first."""
    if len(packed) == size:
        return packed
    steps = np.frombuffer(zlib.decompress(packed), np.uint8).astype(np.int64)
    steps[1:] -= 128
    halves = np.cumsum(steps).astype(np.uint8)
    plain = np.empty_like(halves)
    plain[::2], plain[1::2] = halves[: -(-size // 2)], halves[-(-size // 2) :]
    return plain.tobytes()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs FFmpeg")
@pytest.mark.parametrize(
    ("names", "form", "order"),
    [("Y", "grayf32le", "Y"), ("RGB", "gbrpf32le", "GBR"), ("RGBA", "gbrapf32le", "GBRA")],
)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_ffmpeg_agrees(dtype, names, form, order, tmp_path):
    """A decoder of its own reads the same values."""
    planes = {name: RNG.normal(size=(ROWS, COLUMNS)).astype(dtype) for name in names}
    planes[names[0]][0, :2] = np.inf, -np.inf
    (tmp_path / "a.exr").write_bytes(EXR.encode(np.stack(list(planes.values()), -1), Metadata()))
    command = ["ffmpeg", "-v", "error", "-i", "a.exr", "-f", "rawvideo", "-pix_fmt", form, "-"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert found == b"".join(planes[name].astype("<f4").tobytes() for name in order)


def test_layers_are_chosen_by_name():
    """All channels in the order of layers, a layer, a channel, and numbers; wrong names are explained."""
    planes = image(["R", "G", "B", "diffuse.B", "diffuse.G", "diffuse.R", "depth"])
    data = written(planes)
    every = ["R", "G", "B", "depth", "diffuse.R", "diffuse.G", "diffuse.B"]
    for axes, names, bands in [
        ("", every, True),
        ("c=diffuse", every[4:], False),
        ("c=diffuse.G", ["diffuse.G"], False),
        ("c=0..2", ["R", "G", "B"], False),
        ("c=3", ["depth"], False),
    ]:
        (run_,) = opened(data, axes)
        expected = np.stack([planes[name] for name in names], -1)
        assert run_.pixels().tobytes() == expected.tobytes()
        assert (run_.header.channels, run_.header.bands) == (len(names), bands)
    for axes, words in [
        ("c=defuse", "did you mean diffuse"),
        ("z=1", "axis c only"),
        ("c=R,z=1", "axis c only"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            opened(data, axes)


def test_types_that_differ():
    """Halves beside floats are read as floats; integers beside floats must be chosen."""
    mixed = {"R": plane("float16"), "Z": plane("float32")}
    (run_,) = opened(written(mixed))
    assert run_.header.dtype == np.float32 and any("several types" in note for note in run_.header.notes)
    data = written({"id": plane("uint32"), "Z": plane("float32")})
    with pytest.raises(ImageError, match=r"integers \(id\) beside floats"):
        opened(data)
    assert opened(data, "c=id")[0].header.dtype == np.uint32


def test_parts():
    """Parts that are alike are frames, others images of their own; only the parts with a name are read."""
    left, right, depth = image("RGB"), image("RGB"), image("Z", "float32")
    data = written(left, right, depth)
    runs = opened(data)
    assert [run_.header.frames for run_ in runs] == [2, 1]
    reader = runs[0].reader()
    for frame, planes in enumerate((left, right)):
        assert reader.rows(frame, 0, ROWS)[..., 1].tobytes() == planes["G"].tobytes()
    assert runs[1].pixels()[..., 0].tobytes() == depth["Z"].tobytes()
    (only,) = opened(data, "c=Z")
    assert only.pixels()[..., 0].tobytes() == depth["Z"].tobytes()


def test_mip_levels_beyond_the_first_are_not_read():
    """The first level of a file that FFmpeg or the library wrote with one level, said to have several."""
    planes = image("R")
    data = bytearray(written(planes, **tiles()))
    part = parts(bytes(data[:HEAD]))[0]
    assert part.grid == (4, 3)
    place = data.index(b"tiles\0tiledesc\0") + len(b"tiles\0tiledesc\0") + 4
    assert struct.unpack_from("<IIB", data, place) == (16, 24, 0)
    assert open_bytes(bytes(data)).pixels()[..., 0].tobytes() == planes["R"].tobytes()


def test_windows_and_attributes_are_kept(run, tmp_path):
    """A result has the windows, moved by what a kernel cuts off, and all attributes of its input."""
    facts = {
        **windows(10, 20, (0, 0, 199, 299)),
        "pixelAspectRatio": 2.0,
        "chromaticities": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329),
        "expTime": 0.01,
        "owner": "me",
    }
    (tmp_path / "in.exr").write_bytes(written(image(["diffuse.R", "Z"], "float32"), **facts))
    filtered(run, tmp_path, "apply in.exr -k box3 --padding valid -o out.exr")
    header = openexr.File(str(tmp_path / "out.exr"), header_only=True).header()
    assert [point.tolist() for point in header["dataWindow"]] == [[11, 21], [49, 95]]
    assert [point.tolist() for point in header["displayWindow"]] == [[0, 0], [199, 299]]
    assert header["chromaticities"] == pytest.approx(facts["chromaticities"])
    assert (header["owner"], header["pixelAspectRatio"]) == ("me", 2.0)
    assert {channel.name for channel in header["channels"]} == {"diffuse.R", "Z"}
    filtered(run, tmp_path, "apply in.exr -k box3 --stride 2,1 -o strided.exr")
    strided = openexr.File(str(tmp_path / "strided.exr"), header_only=True).header()
    assert strided["dataWindow"][0].tolist() == [0, 0] and strided["pixelAspectRatio"] == 1.0


def test_a_screen_of_another_size_moves_with_whole_pixels():
    """Strides and halves of pixels lose the screen, not the aspect."""
    screen = Screen((3, 4), (0, 0, 9, 9), 2.0)
    moved = screen.sampled(Sampling(1, 2), Sampling(1, 1))  # type: ignore[arg-type]
    assert (moved.origin, moved.display) == ((4, 6), (0, 0, 9, 9))
    assert screen.sampled(Sampling(2), Sampling(1)) == Screen(aspect=1.0)


def test_names_of_channels():
    """Names of the input are written where there is one for each channel, usual ones otherwise."""
    pixels = np.zeros((4, 4, 3), np.float16)
    for names, expected in [("xyz", set("xyz")), ("xxz", set("RGB")), ("xy", set("RGB"))]:
        measures = tuple(Measure(name) for name in names)
        assert set(by_openexr(EXR.encode(pixels, Metadata(measures=measures)))) == expected
    assert sorted(by_openexr(EXR.encode(np.zeros((4, 4, 12), np.float16), Metadata())))[:2] == ["00", "01"]
    long = "layer" * 20
    assert set(by_openexr(EXR.encode(pixels[..., :1], Metadata(measures=(Measure(long),))))) == {long}


def patched(data: bytes, name: bytes, value: bytes) -> bytes:
    """A file whose attribute of this name and type has another value of the same length."""
    place = data.index(name) + len(name) + 4
    return data[:place] + value + data[place + len(value) :]


def test_what_is_refused():
    """Deep data, unknown compression, absurd windows and chunks that cannot hold what they should."""
    data = written(image("RGB"))
    deep = data[:5] + b"\x08" + data[6:]
    wide = patched(data, b"dataWindow\0box2i\0", struct.pack("<4i", 0, 0, 2**29, 15))
    flat = written({"R": np.zeros((64, 64), np.float16)})
    flat = patched(flat, b"dataWindow\0box2i\0", struct.pack("<4i", 0, 0, 2**24, 15))
    for file, words in [
        (deep, "deep data"),
        (patched(data, b"compression\0compression\0", b"\x63"), "compression 99"),
        (patched(data, b"dataWindow\0box2i\0", struct.pack("<4i", 9, 9, 0, 0)), "dataWindow is 9,9 to 0,0"),
        (wide, "chunks of"),
        (flat, "cannot hold|is not where"),
        (data[:300], "headers"),
        (data[:-1], "truncated"),
    ]:
        with pytest.raises(ImageError, match=words):
            open_bytes(file).pixels()


def test_damaged_pixels(run, tmp_path):
    """One line says so; what the library prints to standard output does not get between the results."""
    data = written({"R": np.zeros((16, 64), np.float16)})
    (tmp_path / "damaged.exr").write_bytes(data[:-8] + bytes(8))
    ran = run("apply", tmp_path / "damaged.exr", "-k", "box3", "-o", tmp_path / "out.exr")
    assert (ran.code, ran.text) == (2, "")
    assert "damaged exr: pixels that cannot be decompressed" in ran.err


def test_tiles_larger_than_the_image():
    """Memory is taken for the pixels of an image, not for the tiles that it states."""
    data = written(image("RGB", rows=20, columns=10), **tiles())
    stated = patched(data, b"tiles\0tiledesc\0", struct.pack("<II", 2**28, 2**28))
    assert open_bytes(stated).pixels().tobytes() == open_bytes(data).pixels().tobytes()


def test_halves_stay_halves(run, tmp_path):
    """Identity and averages of halves are halves, other results floats, unless --depth says otherwise."""
    planes = {name: RNG.random((ROWS, COLUMNS)).astype(np.float16) for name in "RGB"}
    planes["R"][0, :3] = np.nan, np.inf, -np.inf
    (tmp_path / "in.exr").write_bytes(written(planes))
    for options, dtype in [
        ("-k identity", np.float16),
        ("-k box3", np.float16),
        ("-k sobel-x", np.float32),
        ("-k sobel-x --depth half", np.float16),
        ("-k box3 --depth float", np.float32),
    ]:
        filtered(run, tmp_path, f"apply in.exr {options} -o out.exr --force")
        found = by_openexr((tmp_path / "out.exr").read_bytes())
        assert found["R"].dtype == dtype
        if "identity" in options:
            assert all(np.array_equal(found[name], planes[name], equal_nan=True) for name in "RGB")
