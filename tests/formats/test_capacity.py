"""What formats hold: the reason why one does not, and advice that is true."""

from __future__ import annotations

import re
import shlex
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile

from convcli.core.errors import OutputError
from convcli.formats import opening, registry
from convcli.formats.capacity import OutputKind, takes
from convcli.formats.header import Metadata
from convcli.pipeline.naming import OutputSpec

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
SHAPES = {"gray": (4, 5), "rgba": (4, 5, 4), "frames": (2, 4, 5, 2)}
SUFFIXES = (".png", ".jpg", ".webp", ".gif", ".pfm")


@pytest.mark.parametrize("dtype", TYPES)
def test_every_refusal_says_why_and_its_advice_works(run, tmp_path, monkeypatch, dtype):
    """Types, channels and frames into formats that lack most: done, or one line whose advice is done."""
    monkeypatch.chdir(tmp_path)
    refused = 0
    for (shape, suffix), mapping in product(product(SHAPES, SUFFIXES), ([], ["--map", "raw"])):
        np.save(f"{shape}.npy", np.arange(np.prod(SHAPES[shape])).reshape(SHAPES[shape]).astype(dtype))
        words = ["apply", f"{shape}.npy", "-k", "box3", "-q", "-f", "-o", f"out{suffix}"]
        ran = run(*words, *mapping)
        if ran.code == 0:
            continue
        assert re.fullmatch(rf"convcli: out{suffix}: \w+ cannot hold .+: .+; these can: .+\n", ran.err), (
            ran.err
        )
        refused += 1
        advice = re.search("; or use (.+)\n", ran.err)
        if advice is None:
            continue
        text = advice[1].replace("--frames N, or {frame} in -o", "--frames 1").split(",")[0]
        given = shlex.split(text)
        kept = [] if "--map" in given else mapping
        ran = run(*words, *kept, *given)
        assert (ran.code, ran.err) == (0, ""), (words, mapping, given)
    assert refused


@pytest.mark.parametrize(
    ("dtype", "suffix", "told"),
    [
        (
            np.int8,
            ".png",
            "png cannot hold gray, signed 8-bit: no negative values; these can: .tif, .npy; or use ",
        ),
        (np.int16, ".jpg", "gray, signed 16-bit: no negative values, at most 8 bits; these can"),
        (np.uint32, ".png", "gray, 32-bit: at most 16 bits; these can: .tif, .npy; or use --depth 16"),
        (np.float32, ".png", "; or use --map stretch --depth 16\n"),
        (np.float64, ".pfm", "gray, float64: at most 32 bits; these can: .tif, .npy\n"),
    ],
)
def test_the_reason_is_what_the_format_lacks(run, tmp_path, dtype, suffix, told):
    """The sign, the depth or the kind of numbers."""
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.arange(72).reshape(9, 8).astype(dtype))
    assert told in run("apply", source, "-k", "box3", "-o", tmp_path / f"out{suffix}").err


def test_negative_values_are_kept_as_the_advice_says(run, tmp_path):
    """--map signed --depth 16: no value is cut off."""
    tifffile.imwrite(tmp_path / "a.tif", np.arange(-64, 64, dtype=np.int8).reshape(8, 16))
    ran = run(
        "apply",
        tmp_path / "a.tif",
        "-k",
        "box3",
        "--map",
        "signed",
        "--depth",
        "16",
        "-o",
        tmp_path / "a.png",
    )
    assert "saturated  0 below and 0 above" in ran.text


LARGEST = {".jpg": 65_500, ".gif": 65_535, ".webp": 16_383, ".avif": 32_768, ".png": 10**6}


@pytest.mark.parametrize("suffix", LARGEST)
@pytest.mark.parametrize("across", [True, False])
def test_a_largest_side_is_named_before_anything_is_computed(run, tmp_path, monkeypatch, suffix, across):
    """One pixel above the limit is refused; at the limit, the file is read back."""
    monkeypatch.chdir(tmp_path)
    most = LARGEST[suffix]
    shape = (1, most + 1) if across else (most + 1, 1)
    np.save("wide.npy", np.zeros(shape, np.uint8))
    monkeypatch.setattr("convcli.pipeline.writing.feature_maps", None)
    ran = run("apply", "wide.npy", "-k", "identity", "-o", f"out{suffix}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"cannot hold {shape[1]}×{shape[0]} pixels (gray, 8-bit): at most {most} pixels a side" in ran.err
    chosen = registry.format_of_suffix(suffix)
    shape = (1, most, 1) if across else (most, 1, 1)
    if suffix != ".png":
        data = chosen.encode(np.zeros(shape, np.uint8), Metadata())
        assert opening.open_bytes(data, 10**9).pixels().shape[:2] == shape[:2]


def test_a_number_of_pixels_is_limited_too():
    """AVIF's library reads no more than 2**28, a BMP counts its bytes in 32 bits."""
    for suffix, side in ((".avif", 20_000), (".bmp", 40_000)):
        picture = OutputKind(np.dtype(np.uint8), 3, rows=side, columns=side)
        with pytest.raises(
            OutputError, match=rf"{side}×{side} pixels .RGB, 8-bit.: at most \d+ pixels; these"
        ):
            OutputSpec(f"out{suffix}").targets("a.png", "k", 1, registry.default_format(), picture)
    assert takes(registry.format_of_suffix(".tif"), picture)


def test_a_format_that_becomes_too_small_is_replaced(run, tmp_path, monkeypatch):
    """Beside the input, the first format that holds the result is taken, and the report says so."""
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(
        registry.format_of_suffix(".jpg").encode(np.zeros((1, 65_499, 1), np.uint8), Metadata())
    )
    ran = run("apply", "a.jpg", "-k", "identity", "--padding", "1,2")
    assert "written as png: jpeg cannot hold 65501×1 pixels (gray, 8-bit)" in ran.text, ran.err
    assert Path("a.identity.png").exists()


def test_drawings_keep_to_the_limits(run, tmp_path, monkeypatch):
    """A sheet and an animation that a format cannot hold are refused, with the limit."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((4, 30), np.uint8))
    words = ["apply", "a.npy", *["-k", "box3"] * 3, "--sheet", "--tile", "8192"]
    assert (
        "pixels (RGB, 8-bit): at most 16383 pixels a side; these can: .png" in run(*words, "-o", "s.webp").err
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "out.dcm"], "out.dcm: convcli reads dicom but does not write it; allowed: .png"),
        (["-o", "out.webm"], "out.webm: convcli reads WebM but does not write it; allowed: .png"),
        (["-o", "out.dcm", "--format", "dicom"], "convcli reads dicom but does not write it; choose .png"),
        (
            ["-o", "-", "--format", "dicom"],
            "standard output: convcli reads dicom but does not write it; choose .png",
        ),
        (["-o", "out.xyz"], "out.xyz: unknown suffix; allowed: .png"),
    ],
)
def test_formats_that_are_only_read(run, tmp_path, monkeypatch, words, told):
    """They are called so, not said to be unknown or to lack something."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((4, 5), np.uint8))
    assert told in run("apply", "a.npy", "-k", "box3", *words).err
