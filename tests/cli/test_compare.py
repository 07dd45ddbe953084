"""``convcli compare``: exit codes, reports, folders, difference images, and odd inputs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from convcli.pipeline.colormaps import color_table
from tests.conftest import decoded


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A folder with images of several kinds, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    rgba = rng.integers(0, 256, (30, 40, 4), dtype=np.uint8)
    other = rgba.copy()
    other[3, 4, 1] ^= 255
    frames = np.stack([rgba[..., 0], rgba[..., 1], rgba[..., 2]])
    for name, pixels in {"rgba": rgba, "other": other, "rgb": rgba[..., :3], "gray": rgba[..., 0]}.items():
        Path(f"{name}.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    Path("short.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(rgba[:20, :, :3])))
    Image.fromarray(rgba[..., :3]).quantize(16).save("palette.png")
    Path("cut.png").write_bytes(Path("rgb.png").read_bytes()[:900])
    Path("empty.png").touch()
    tifffile.imwrite("frames.tif", frames, photometric="minisblack")
    changed = frames.copy()
    changed[1, 7, 9] = 255 - changed[1, 7, 9]
    tifffile.imwrite("changed.tif", changed, photometric="minisblack")
    np.save("half.npy", np.full((20, 20), 0.5))
    np.save("near.npy", np.full((20, 20), 0.5 + 1e-6))
    np.save("nan.npy", np.full((20, 20), np.nan))
    np.save("complex.npy", np.zeros((3, 3), complex))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("rgb.png rgb.png", 0, "identical: 3600 values"),
        ("rgba.png other.png", 1, "1 of 4800 values differ"),
        ("rgba.png other.png --fail-above 255", 0, "within the limit"),
        ("rgba.png other.png --fail-above inf", 0, "SSIM"),
        ("half.npy near.npy", 1, "1e−06 to 1e−05"),
        ("half.npy near.npy --fail-above 1e-5", 0, "B − A 1e−06"),
        ("half.npy near.npy --fail-above 1e-7", 1, "at row 0, column 0: 0.5 → 0.500001"),
        ("half.npy near.npy --ssim none", 1, "(data range 1)"),
        ("half.npy near.npy --data-range 2", 1, "(data range 2)"),
        ("nan.npy nan.npy", 0, "identical"),
        ("nan.npy half.npy", 1, "400 beside another value, first at row 0, column 0: NaN → 0.5"),
        ("nan.npy half.npy --fail-above 99", 1, "none: no window has only finite values"),
        ("rgba.png rgb.png", 1, "different channels: RGBA and RGB (--ignore-alpha leaves alpha out)"),
        ("rgba.png rgb.png --ignore-alpha", 0, "identical"),
        ("rgb.png short.png", 1, "different sizes: 30 × 40 and 20 × 40"),
        ("rgb.png short.png --fail-above 300", 1, "different sizes"),
        ("gray.png palette.png", 1, "B: its palette was applied"),
        ("frames.tif changed.tif", 1, "at frame 1, row 7, column 9"),
        ("frames.tif changed.tif --frames 2", 0, "identical"),
        ("frames.tif gray.png", 1, "different numbers of frames: 3 and 1"),
        ("half.npy gray.png", 1, "different sizes"),
    ],
)
def test_exit_codes_and_reports(run, files, arguments, code, words):
    """0 within the limit, 1 above it; the report says why."""
    ran = run("compare", *arguments.split())
    assert (ran.code, ran.err) == (code, "")
    assert words in ran.text
    quiet = run("compare", *arguments.split(), "-q")
    assert (quiet.code, quiet.out, quiet.err) == (code, b"", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("missing.png rgb.png", "missing.png: No such file or directory"),
        ("cut.png rgb.png", "cut.png: damaged png"),
        ("rgb.png cut.png", "cut.png: damaged png"),
        ("rgb.png empty.png", "empty.png: the file is empty"),
        ("complex.npy complex.npy", "complex.npy: npy with type 'complex128'"),
        ("- -", "standard input (-) is given twice"),
        (". rgb.png", ". is a folder, rgb.png is not; compare two images or two folders"),
        ("rgb.png -", "standard input: the file is empty"),
        ("rgb.png rgb.png --fail-above -1", "--fail-above: '-1' is below 0"),
        ("rgb.png rgb.png --fail-above much", "--fail-above"),
        ("rgb.png rgb.png --data-range 0", "--data-range"),
        ("rgb.png rgb.png --frames 5", "--frames 5 selects nothing: the file has 1 frame"),
        ("rgb.png rgb.png -o gray.png", "gray.png: already exists (--force replaces it)"),
        ("rgba.png other.png -o rgba.png -f", "rgba.png: is an input of this run"),
        ("rgba.png other.png -o d.png --map raw", "d.png: png cannot hold"),
        ("rgba.png other.png -o d.png --map signed:99%", "--map takes numbers here, not percentages"),
        ("rgba.png other.png -o d.zarr", "difference images are not written as zarr"),
        ("rgba.png other.png -o d.xyz", "d.xyz: unknown suffix"),
        ("rgba.png other.png -o - --report-file -", "cannot both go to standard output"),
        ("rgba.png other.png --report-file gray.png", "gray.png: already exists"),
    ],
)
def test_what_is_refused(run, files, arguments, words):
    """One line that names the file, exit code 2, and nothing is written."""
    before = {path: path.read_bytes() for path in files.iterdir()}
    ran = run("compare", *arguments.split())
    assert (ran.code, ran.out) == (2, b"")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert {path: path.read_bytes() for path in files.iterdir()} == before


def test_standard_input(run, files):
    """Either side may come from a pipe."""
    data = Path("rgb.png").read_bytes()
    assert run("compare", "-", "rgb.png", stdin=data).code == 0
    ran = run("compare", "other.png", "-", "--report", "json", "--ignore-alpha", stdin=data)
    report = json.loads(ran.text)
    assert (ran.code, report["b"]["name"], report["differing"]) == (1, "standard input", 1)


def test_difference_images(run, files):
    """Zero has the middle color, the largest difference an end, in its place; raw keeps values."""
    table, a, b = color_table("diverging"), decoded(Path("rgba.png")), decoded(Path("other.png"))
    difference = b.astype(np.int16) - a
    run("compare", "rgba.png", "other.png", "-o", "d.png")
    expected = np.full((30, 40, 3), table[128])
    expected[3, 4] = table[255 if difference[3, 4, 1] > 0 else 1]
    assert np.array_equal(decoded(Path("d.png")), expected)
    run("compare", "rgba.png", "other.png", "-o", "g.png", "--colormap", "gray", "--map", "signed:1000")
    pixel = 128 + round(int(difference[3, 4, 1]) * 127 / 1000)
    assert decoded(Path("g.png"))[3, 4] == pixel
    for name, read in (("d.npy", np.load), ("d.tif", tifffile.imread)):
        run("compare", "rgba.png", "other.png", "-o", name, "--map", "raw")
        assert read(name).dtype == np.int16
        assert np.array_equal(read(name), difference)
    run("compare", "nan.npy", "half.npy", "-o", "n.png")
    assert not decoded(Path("n.png")).any()
    piped = run("compare", "rgba.png", "other.png", "-o", "-")
    assert piped.out == Path("d.png").read_bytes()
    run("compare", "rgb.png", "rgb.png", "-o", "same.png")
    assert (decoded(Path("same.png")) == table[128]).all()
    ran = run("compare", "rgb.png", "short.png", "-o", "none.png")
    assert "no difference image: the shapes differ" in ran.text
    assert not Path("none.png").exists()


def test_difference_images_of_frames(run, files):
    """Frames become an animation or pages, one for each frame."""
    run("compare", "frames.tif", "changed.tif", "-o", "d.tif", "--map", "raw")
    difference = tifffile.imread("changed.tif").astype(np.int16) - tifffile.imread("frames.tif")
    assert np.array_equal(tifffile.imread("d.tif"), difference)
    run("compare", "frames.tif", "changed.tif", "-o", "d.png", "--map", "stretch", "--colormap", "viridis")
    with Image.open("d.png") as image:
        assert image.n_frames == 3


def test_a_failure_while_drawing_leaves_nothing(run, files):
    """An image that is damaged below its header is found in the first pass, before a file is begun."""
    assert run("compare", "rgb.png", "cut.png", "-o", "d.png").code == 2
    assert not Path("d.png").exists()
    assert not list(files.glob(".convcli*"))


@pytest.fixture
def folders(files) -> Path:
    """Two folders with images that are equal, different, damaged, or on one side only."""
    for folder in ("A/s", "A/z.d", "B/s", "B/u"):
        Path(folder).mkdir(parents=True)
    for target, name in (
        ("A/a.png", "rgb"), ("B/a.png", "rgb"), ("A/s.png", "rgba"), ("B/s.png", "other"),
        ("A/s/x.png", "rgba"), ("B/s/x.png", "other"), ("A/t.png", "rgb"), ("B/t.png", "cut"),
        ("A/only.png", "gray"), ("B/u/b.png", "gray"), ("A/k.png", "short"), ("B/k.png", "rgb"),
    ):  # fmt: skip
        Path(target).write_bytes(Path(f"{name}.png").read_bytes())
    Path("A/notes.psd").touch()
    return files


def test_folders(run, folders):
    """Pairs by name in one order, what is on one side only, failures, a total; exit code 1."""
    ran = run("compare", "A", "B")
    assert ran.code == 1
    lines = ran.text.splitlines()
    starts = ["a.png: identical", "k.png: different sizes", "only.png: only in A", "s.png: different: 1 of",
              "t.png: failed", "5 images: 1 identical, 2 different, 1 only in A, 1 failed"]  # fmt: skip
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 6
    assert ran.err.splitlines() == [
        "convcli: B/t.png: damaged png: it is truncated",
        "convcli: skipped files of unsupported formats: .psd (1)",
    ]
    names = [
        json.loads(line).get("name")
        for line in run("compare", "A", "B", "-r", "--report", "json").text.splitlines()
    ]
    assert names == ["a.png", "k.png", "only.png", "s.png", "t.png", "s/x.png", "u/b.png", None]
    assert run("compare", "A", "A", "-r").code == 0


def test_links_that_lead_nowhere(run, folders):
    """A link to itself is an image that cannot be read; the others are compared."""
    for folder in "AB":
        Path(folder, "loop.png").symlink_to("loop.png")
    lines = run("compare", "A", "B").text.splitlines()
    assert any(line.startswith("loop.png: failed") for line in lines)
    assert any(line.startswith("a.png: identical") for line in lines)


def test_folders_as_tables_and_files(run, folders):
    """A row for each pair in CSV, and a report file that appears complete."""
    ran = run("compare", "A", "B", "-r", "--report-file", "r.csv")
    assert (ran.code, ran.out) == (1, b"")
    rows = list(csv.DictReader(io.StringIO(Path("r.csv").read_text("utf-8"))))
    assert [row["verdict"] for row in rows] == [
        "identical", "different", "only in A", "different", "failed", "different", "only in B",
    ]  # fmt: skip
    assert (rows[3]["row"], rows[3]["column"], rows[3]["channel"], rows[3]["values"]) == (
        "3",
        "4",
        "1",
        "4800",
    )
    total = json.loads(run("compare", "A", "B", "--report", "json").text.splitlines()[-1])["total"]
    assert total == {
        "images": 5, "identical": 1, "within_limit": 0, "different": 2, "only_in_a": 1, "only_in_b": 0,
        "failed": 1,
    }  # fmt: skip


def test_difference_images_of_folders(run, folders):
    """Only images that differ get one, at the same place below the output; inputs are never overwritten."""
    run("compare", "A", "B", "-r", "-o", "D/")
    assert {str(path) for path in Path("D").rglob("*.png")} == {"D/s.diff.png", "D/s/x.diff.png"}
    for output in ("A", "B/", "d.png", "-", "{dir}/{stem}.png", "A/{stem}.png"):
        ran = run("compare", "A", "B", "-r", "-f", "-o", output)
        assert (ran.code, ran.out) == (2, b""), output
    Path("empty").mkdir()
    ran = run("compare", "empty", "empty")
    assert (ran.code, ran.err) == (
        2,
        "convcli: no images found in empty and empty; use -r to include subfolders\n",
    )
