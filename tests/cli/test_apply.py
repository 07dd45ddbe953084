"""``convcli apply``: files, pipes and folders in, feature maps and reports out."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import convcli
from convcli.engine.methods.registry import NAMES
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.task import prepare
from convcli.pipeline.settings import Settings
from tests.conftest import SAMPLES, decoded


def expected(pixels: np.ndarray, kernel: str, **options: object) -> np.ndarray:
    """Each color filtered by itself, through the array function."""
    options = {"padding": "same:reflect", "dtype": pixels.dtype, **options}
    if pixels.ndim == 2:
        return convcli.conv(pixels, convcli.load_kernel(kernel), **options)
    return np.stack([expected(pixels[..., i], kernel, **options) for i in range(pixels.shape[2])], -1)


@pytest.mark.parametrize("sample", ["scene", "color", "depth16"])
@pytest.mark.parametrize("kernel", ["box3", "gaussian:1.5", "sharpen"])
def test_the_image_is_the_convolution(run, tmp_path, sample, kernel):
    """Gray, RGB and 16-bit samples: the file holds the convolution, in its own depth."""
    out = tmp_path / "out.png"
    assert run("apply", SAMPLES / f"{sample}.png", "-k", kernel, "-o", out).code == 0
    source = decoded(SAMPLES / f"{sample}.png")
    assert np.array_equal(decoded(out), expected(source, kernel))
    assert decoded(out).dtype == source.dtype


def test_sobel_has_zero_at_mid_gray_and_no_frame(run, tmp_path):
    """The map of an edge kernel: flat parts at 128, symmetric about it, nothing bright at the border."""
    out = tmp_path / "edges.png"
    run("apply", SAMPLES / "scene.png", "-k", "sobel-x", "-o", out)
    edges = decoded(out)
    source = decoded(SAMPLES / "scene.png")
    feature_map = expected(source, "sobel-x", dtype="int32")
    limit = np.abs(feature_map).max()
    assert np.array_equal(edges, np.rint(128 + feature_map * 127 / limit))
    assert np.all(edges[:, [0, -1]] == 128)
    assert np.median(edges) == 128


def test_alpha_is_sampled_at_the_center(run, tmp_path):
    """Colors are filtered, alpha stays what it was where the window's center lies."""
    out = tmp_path / "out.png"
    run("apply", SAMPLES / "transparent.png", "-k", "box3", "--stride", "2,3", "--alpha", "keep", "-o", out)
    source = decoded(SAMPLES / "transparent.png")
    assert np.array_equal(decoded(out)[..., :3], expected(source[..., :3], "box3", stride=(2, 3)))
    # `same` pads no row before 256 rows that step by 2, and one column before those that step by 3
    assert np.array_equal(decoded(out)[..., 3], source[1::2, 0::3, 3])


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--stride", "2,3"], {"stride": (2, 3)}),
        (["--padding", "valid"], {"padding": "valid"}),
        (["--padding", "1,2,3,4:edge"], {"padding": [(1, 2), (3, 4)], "fill": "edge"}),
        (["--padding", "full:255"], {"padding": "full:255"}),
        (["--dilation", "3"], {"dilation": 3}),
        (["--flip"], {"flip": True}),
        (["--bias", "40"], {"bias": 40}),
        (["--threads", "2"], {}),
        (["--method", "shift"], {}),
    ],
)
def test_options_mean_what_the_function_means(run, tmp_path, picture, gray, options, arguments):
    """Each option is the argument of the same name."""
    out = tmp_path / "out.png"
    result = run("apply", picture, "-k", "emboss", "--map", "clip", *options, "-o", out)
    assert result.code == 0, result.err
    assert np.array_equal(decoded(out), expected(gray, "emboss", **arguments))


def test_channels_gray_and_sum(run, tmp_path):
    """`gray` is the luma of BT.601, exactly; `sum` adds the colors up as a layer does."""
    source = decoded(SAMPLES / "color.png").astype(np.int64)
    for channels, shares in (("gray", (299, 587, 114)), ("sum", (1000, 1000, 1000))):
        out = tmp_path / f"{channels}.tif"
        options = ["--channels", channels, "--map", "raw", "--padding", "valid", "-o", out]
        assert run("apply", SAMPLES / "color.png", "-k", "box3", *options).code == 0
        mixed = (source * shares).sum(-1)
        total = sum(mixed[i : i - 2 or None, j : j - 2 or None] for i in range(3) for j in range(3))
        assert np.array_equal(tifffile.imread(out), (total / 9000).astype(np.float32))


@pytest.mark.parametrize(
    ("picture", "options", "words"),
    [
        (
            "scene.png",
            ["-k", "kirsch", "-o", "k/{stem}.png"],
            "gives 8 feature maps; the template needs {index}",
        ),
        (
            "depth16.png",
            ["-k", "box3", "-o", "x.jpg"],
            "at most 8 bits; these can: .png, .tif, .pnm, .npy, .jxl; or use --depth 8",
        ),
        (
            "transparent.png",
            ["-k", "box3", "-o", "x.jpg"],
            "no alpha; these can: .png, .tif, .webp, .pnm, .npy, .avif, .jxl; or use --alpha drop",
        ),
    ],
)
def test_refusals_say_what_would_do(run, tmp_path, monkeypatch, picture, options, words):
    """The way out stands in the message."""
    monkeypatch.chdir(tmp_path)
    assert words in run("apply", SAMPLES / picture, *options).err


@pytest.mark.parametrize("kernel", ["box3", "0 0; 0 0"])
def test_a_fill_that_nothing_reads(run, tmp_path, kernel):
    """It fits in no integer type, and does not have to."""
    padding = "valid:1e20" if kernel == "box3" else "same:1e20"
    assert (
        run("apply", SAMPLES / "scene.png", "-k", kernel, "--padding", padding, "-o", tmp_path / "x.png").code
        == 0
    )


def test_the_mapping_tells_of_another_depth(run, tmp_path):
    """16 bits as 8: divided by 257, of which the report speaks."""
    text = run("apply", SAMPLES / "depth16.png", "-k", "box3", "--depth", "8", "-o", tmp_path / "x.png").text
    assert "clip: ÷ 257, rounded to nearest, saturated at 0 and 255" in text


@pytest.mark.parametrize(
    ("picture", "suffix", "form"),
    [
        ("scene.png", "pgm", ""),
        ("scene.png", "pbm", "PGM"),
        ("color.png", "pgm", "PPM"),
        ("color.png", "pnm", ""),
        ("transparent.png", "ppm", "PAM"),
    ],
)
def test_a_suffix_that_says_another_form(run, tmp_path, picture, suffix, form):
    """Netpbm programs look at the content; the report says if the suffix disagrees."""
    text = run("apply", SAMPLES / picture, "-k", "box3", "-o", tmp_path / f"x.{suffix}").text
    assert (f"the file is a {form}, despite its suffix" in text) == bool(form)


@pytest.mark.parametrize(("groups", "inputs", "maps"), [(3, 1, 3), (3, 1, 6), (1, 3, 2)])
@pytest.mark.parametrize("method", ["auto", "shift", "im2col", "fft"])
def test_groups_of_channels(run, tmp_path, groups, inputs, maps, method):
    """Grouped and depthwise layers on an image: equal to conv with the same weights and groups."""
    out = tmp_path / "out.npy"
    name = f"random:3x3x{inputs}x{maps},seed=2"
    options = ["--groups", groups, "--map", "raw", "--stack", "--method", method, "-o", out]
    text = run("apply", SAMPLES / "color.png", "-k", name, *options).text
    assert ("channels sum in 3 groups" in text) == (groups == 3)
    pixels, kernel = decoded(SAMPLES / "color.png"), convcli.load_kernel(name)
    due = convcli.conv(pixels, kernel, groups=groups, padding="same:reflect", channels="last", method=method)
    assert np.array_equal(np.load(out)[0], due)


@pytest.mark.parametrize(
    ("picture", "options", "words"),
    [
        (
            "color.png",
            ["-k", "box3", "--groups", 3],
            "kernel box3 has 1 map, which cannot be split into 3 groups",
        ),
        (
            "scene.png",
            ["-k", "random:3x3x1x6", "--groups", 3],
            "takes 3 channels in 3 groups; this image has 1",
        ),
        (
            "color.png",
            ["-k", "random:3x3x1x3", "--groups", 3, "--channels", "each"],
            "--channels each cannot be combined",
        ),
    ],
)
def test_groups_that_there_are_not(run, tmp_path, picture, options, words):
    """The kernel, the image and --channels must fit the groups."""
    assert words in run("apply", SAMPLES / picture, *options, "-o", f"{tmp_path}/").err


@pytest.mark.parametrize("options", [["-k", "random:3x3x4x2"], ["-k", "random:3x3x1x4", "--groups", 4]])
def test_a_layer_of_four_inputs_takes_the_fourth_channel(run, tmp_path, options):
    """The last of four channels is data where the kernel takes four, in several frames too."""
    maps = np.random.default_rng(0).random((2, 6, 7, 4)).astype(np.float32)
    np.save(tmp_path / "maps.npy", maps)
    out = tmp_path / "out.npy"
    words = [*options, "--map", "raw", "--padding", "valid", "--stack", "-o", out]
    ran = run("apply", tmp_path / "maps.npy", *words)
    assert ran.code == 0, ran.err
    kernel, groups = convcli.load_kernel(options[1]), options[3] if len(options) > 2 else 1
    due = convcli.conv(maps, kernel, channels="last", groups=groups)
    assert np.allclose(np.load(out), due, atol=1e-5)
    refused = run("apply", tmp_path / "maps.npy", *words, "--force", "--alpha", "drop")
    assert "this" in refused.err and "has 3" in refused.err


def test_scale_by_sum_and_number(run, tmp_path, picture, gray):
    """`--scale sum` makes a mean of a window of ones; a number multiplies."""
    for scale in ("sum", "1/9"):
        out = tmp_path / "out.png"
        assert run("apply", picture, "-k", "ones3", "--scale", scale, "-o", out, "--force").code == 0
        assert np.array_equal(decoded(out), expected(gray, "box3"))


def test_a_pipe_of_two(run, tmp_path):
    """The standard output of one command is the standard input of the next, as in a shell pipe."""
    first = run("apply", "-", "-k", "gaussian5", "-o", "-", stdin=(SAMPLES / "scene.png").read_bytes())
    assert first.code == 0
    assert first.err == ""
    blurred = expected(decoded(SAMPLES / "scene.png"), "gaussian5")
    assert np.array_equal(decoded(first.out), blurred)
    second = run("apply", "-", "-k", "box3", "-o", tmp_path / "edges.png", stdin=first.out)
    assert second.code == 0
    assert np.array_equal(decoded(tmp_path / "edges.png"), expected(blurred, "box3"))


def test_names_beside_the_input_in_folders_and_by_template(run, tmp_path, picture):
    """The default name, FOLDER/ (made when needed), and a template."""
    assert run("apply", picture, "-k", "box:3x5").code == 0
    assert (tmp_path / "picture.box-3x5.png").exists()
    assert run("apply", picture, "-k", "box3", "-o", f"{tmp_path}/new/folder/").code == 0
    assert (tmp_path / "new/folder/picture.box3.png").exists()
    template = f"{tmp_path}/{{kernel}}-{{stem}}-{{index}}{{suffix}}"
    assert run("apply", picture, "-k", "box3", "-o", template, "--format", "tiff").code == 0
    assert (tmp_path / "box3-picture-0.tif").exists()


def test_a_bank_gives_an_image_for_each_map(run, tmp_path, picture):
    """Weights of (rows, columns, in, out) write one numbered image per output channel."""
    assert run("apply", picture, "-k", "random:3x3x1x3,seed=2").code == 0
    assert len(list(tmp_path.glob("picture.random-3x3x1x3-seed=2.?.png"))) == 3
    result = run("apply", picture, "-k", "random:3x3x1x3,seed=2", "-o", tmp_path / "one.png")
    assert result.code == 2
    assert "gives 3 feature maps, which do not fit in one file" in result.err


def test_several_kernels_need_places_that_tell_them_apart(run, tmp_path, picture):
    """One file, one stream or a template without {kernel} is refused before anything is decoded."""
    several = ["-k", "box3", "-k", "box5"]
    for place in (f"{tmp_path}/a.png", f"{tmp_path}/{{stem}}.tif", "-"):
        ran = run("apply", picture, *several, "-o", place)
        assert (ran.code, "the maps of 2 kernels cannot all be written" in ran.err) == (2, True)
    ran = run("apply", "-", *several, stdin=picture.read_bytes())
    assert (ran.code, ran.out, "cannot all be written to standard output" in ran.err) == (2, b"", True)


def test_several_inputs_go_on_after_a_failure(run, tmp_path, picture):
    """One line for each failure, exit 1, and the others are done."""
    (tmp_path / "bad.png").write_bytes(picture.read_bytes()[:60])
    result = run("apply", tmp_path / "bad.png", picture, tmp_path / "none.png", "-k", "box3", "-q")
    assert result.code == 1
    assert (tmp_path / "picture.box3.png").exists()
    assert [line.rsplit("/", 1)[-1] for line in result.err.splitlines()] == [
        "bad.png: damaged png: it is truncated",
        "none.png: No such file or directory",
        "convcli: 2 of 3 images failed",
    ]


def test_two_inputs_never_share_an_output(run, tmp_path, picture):
    """Even with --force, one input's result does not replace another's."""
    twin = tmp_path / "twin" / "picture.png"
    twin.parent.mkdir()
    twin.write_bytes(picture.read_bytes())
    result = run("apply", picture, twin, "-k", "box3", "-o", f"{tmp_path}/out/", "--force", "-q")
    assert result.code == 1
    assert "is another output of this run" in result.err


def test_nothing_is_overwritten_without_force(run, tmp_path, picture):
    """An existing output stays as it is; --force replaces it, but not through another name of the input."""
    out = tmp_path / "out.png"
    out.write_text("precious")
    assert run("apply", picture, "-k", "box3", "-o", out).code == 2
    assert out.read_text() == "precious"
    assert run("apply", picture, "-k", "box3", "-o", out, "--force").code == 0
    before = picture.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(picture)
    hard = tmp_path / "hard.png"
    os.link(picture, hard)
    for target in (link, hard):
        result = run("apply", picture, "-k", "box3", "-o", target, "--force")
        assert result.code == 2
        assert "is an input of this run; it can only be replaced by its own single result" in result.err
    assert picture.read_bytes() == before


def test_a_symlink_as_output_is_replaced_not_written_through(run, tmp_path, picture):
    """What the link points to keeps its content."""
    other = tmp_path / "other.png"
    other.write_text("precious")
    link = tmp_path / "link.png"
    link.symlink_to(other)
    assert run("apply", picture, "-k", "box3", "-o", link).code == 2
    assert run("apply", picture, "-k", "box3", "-o", link, "--force").code == 0
    assert other.read_text() == "precious"
    assert not link.is_symlink()


def test_files_get_the_mode_that_the_umask_leaves(run, tmp_path, picture):
    """0666 less the umask, as every other tool writes."""
    before = os.umask(0o027)
    try:
        run("apply", picture, "-k", "box3", "-o", tmp_path / "out.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o640


def test_a_format_that_cannot_hold_the_result(run, tmp_path, picture):
    """By default name another format takes its place, and the report says so; a chosen one is refused."""
    jpeg = tmp_path / "photo.jpg"
    Image.open(picture).save(jpeg)
    result = run("apply", jpeg, "-k", "box3", "--map", "raw")
    assert result.code == 0
    assert (tmp_path / "photo.box3.tif").exists()
    assert "written as tiff: jpeg cannot hold gray, float32" in result.text
    result = run("apply", jpeg, "-k", "box3", "--map", "raw", "-o", tmp_path / "raw.png")
    assert result.code == 2
    assert "png cannot hold gray, float32: integers only; these can: .tif" in result.err


def test_float_images_stay_floats(run, tmp_path):
    """A float TIFF gives a float TIFF; clip is refused, stretch gives 16 bits."""
    source = tmp_path / "float.tif"
    pixels = np.random.default_rng(0).normal(size=(12, 15)).astype(np.float32)
    tifffile.imwrite(source, pixels)
    assert run("apply", source, "-k", "box3").code == 0
    result = tifffile.imread(tmp_path / "float.box3.tif")
    assert np.array_equal(result, convcli.conv(pixels, convcli.load_kernel("box3"), padding="same:reflect"))
    assert "needs an image of integers" in run("apply", source, "-k", "box3", "--map", "clip").err
    assert run("apply", source, "-k", "box3", "--map", "stretch", "-o", tmp_path / "s.png").code == 0
    assert decoded(tmp_path / "s.png").dtype == np.uint16


def test_the_text_report(run, picture, numpy_alone):
    """Every shape, the formula with its numbers, the range, the mapping and the plan."""
    text = run("apply", picture, "-k", "sobel-x", "--padding", "valid", "--stride", "2,1", "-v").text
    for words in (
        "png, gray, 8-bit: (1, 23, 31, 1) uint8",
        "sobel-x: weights (3, 3, 1, 1), sum 0",
        "−2   0   2",
        "cross-correlation, channels each",
        "valid:zero: top 0, bottom 0, left 0, right 0",
        "floor((23 + 0 + 0 − 3) / 2) + 1 = 11",
        "floor((31 + 0 + 0 − 3) / 1) + 1 = 29",
        "0 input pixels that no window reads",
        "(1, 11, 29, 1) NHWC, (1, 1, 11, 29) NCHW",
        "before the mapping",
        "signed: 0 → 128, ±",
        "0 below and 0 above of 319 values",
        "shift in int16 (exact)",
        "shift",
        "picture.sobel-x.png: png, gray, 8-bit",
    ):
        assert words in text


def test_the_json_report(run, picture, gray):
    """One line, versioned, with the true range and the counted saturation."""
    result = run("apply", picture, "-k", "sharpen", "--report", "json")
    (line,) = result.text.splitlines()
    report = json.loads(line)
    values = convcli.conv(gray, convcli.load_kernel("sharpen"), padding="same:reflect")
    assert report["schema"] == 1
    assert report["input"]["nhwc"] == [1, 23, 31, 1]
    assert report["output"]["nchw"] == [1, 1, 23, 31]
    assert report["axes"]["rows"]["formula"].endswith("= 23")
    assert report["range"] == {"low": values.min(), "high": values.max()}
    assert report["saturated"] == {
        "below": int((values < 0).sum()),
        "above": int((values > 255).sum()),
        "of": gray.size,
    }
    assert report["kernel"]["weights"] == [
        [[[w]] for w in row] for row in ([0, -1, 0], [-1, 5, -1], [0, -1, 0])
    ]
    assert report["plan"]["exact"] is True
    considered = [entry["method"] for entry in report["plan"]["candidates"]]
    assert considered == list(NAMES)


def test_the_json_report_keeps_to_its_page():
    """docs/report.md names every key of the JSON form."""
    from convcli.files import input as files
    from convcli.formats import opening
    from convcli.pipeline.maps import feature_map as featuremap
    from convcli.pipeline.reports.json_form import report_dict
    from convcli.pipeline.reports.task_report import report_of

    page = (SAMPLES.parent / "docs" / "report.md").read_text()
    settings = Settings(convcli.load_kernel("box3"), output=OutputSpec("-"))
    file = files.Input(data=(SAMPLES / "scene.png").read_bytes())
    ((task,),) = prepare("scene.png", opening.open_input(file, 10**9), settings)
    found = featuremap.FeatureMap(0, 255, 0, 0, task.mapping)
    report = report_dict(report_of(task, settings, 0, found, 10, 0.0))

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return {key for name, item in value.items() for key in {name, *keys(item)}}
        return {key for item in value for key in keys(item)} if isinstance(value, list) else set()

    assert {key for key in keys(report) if f"`{key}`" not in page} == set()


def test_the_csv_report(run, picture, tmp_path):
    """One header, one row a map, and no cell that a spreadsheet would run."""
    formula = tmp_path / "=cmd.png"
    formula.write_bytes(picture.read_bytes())
    os.chdir(tmp_path)
    result = run("apply", "picture.png", "=cmd.png", "-k", "box3", "--report", "csv")
    rows = list(csv.DictReader(io.StringIO(result.text)))
    assert [row["input"] for row in rows] == ["picture.png", "'=cmd.png"]
    assert rows[0]["output_rows"] == "23"


def test_where_reports_go(run, picture, tmp_path):
    """Nothing with -q; to a file on request; to standard error when the image takes standard output."""
    assert run("apply", picture, "-k", "box3", "-q").text == ""
    report = tmp_path / "report.txt"
    result = run("apply", picture, "-k", "box3", "-f", "--report-file", report)
    assert result.text == ""
    assert "floor((23" in report.read_text()
    assert run("apply", picture, "-k", "box3", "-f", "--report-file", report).code == 0
    result = run("apply", picture, "-k", "box3", "--report-file", report)
    assert result.code == 2
    assert "report.txt: already exists" in result.err
    result = run("apply", picture, "-k", "box3", "-o", "-", "--report", "json")
    assert json.loads(result.err)["output"]["name"] == "standard output"
    assert imagecodecs.png_decode(result.out).shape == (23, 31)


def test_every_input_format_gives_the_same_feature_map(run, tmp_path, picture, gray):
    """PNG, TIFF, BMP, WebP and GIF of one image give one feature map."""
    for suffix in ("png", "tif", "bmp", "webp", "gif"):
        source = tmp_path / f"in.{suffix}"
        Image.fromarray(gray).save(source, **({"lossless": True} if suffix == "webp" else {}))
        out = tmp_path / f"from-{suffix}.png"
        assert run("apply", source, "-k", "sharpen", "-o", out).code == 0
        pixels = decoded(out)
        assert np.array_equal(pixels if pixels.ndim == 2 else pixels[..., 1], expected(gray, "sharpen"))


def test_the_same_bytes_for_any_threads(run, tmp_path):
    """Threads change nothing in the file."""
    outs = [tmp_path / f"{threads}.png" for threads in (1, 2, 5)]
    for threads, out in zip((1, 2, 5), outs, strict=True):
        run("apply", SAMPLES / "color.png", "-k", "gaussian:2.5", "--threads", threads, "-o", out)
    assert len({Path(out).read_bytes() for out in outs}) == 1


def test_pipes_and_devices_are_written_to_not_replaced(run, tmp_path, picture):
    """/dev/null stays a device and a FIFO a FIFO; neither needs --force."""
    assert run("apply", picture, "-k", "box3", "-o", "/dev/null", "--format", "png").code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
    assert run("apply", picture, "-k", "box3", "-o", fifo, "--format", "png").code == 0
    out, _ = reader.communicate(timeout=10)
    assert decoded(out).shape == (23, 31)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_notes_and_contradictions(run, picture, tmp_path):
    """A sum of 0 cannot scale; a suffix and a format must agree; channels count in the mapping."""
    text = run("apply", picture, "-k", "sobel-x", "--scale", "sum").text
    assert "--scale sum has no effect: the weights sum to 0" in text
    result = run("apply", picture, "-k", "box3", "-o", tmp_path / "a.png", "--format", "jpeg")
    assert "the suffix .png means png, but --format is jpeg" in result.err
    assert "-o is empty" in run("apply", picture, "-k", "box3", "-o", "").err
    summed = run("apply", SAMPLES / "color.png", "-k", "box3", "--channels", "sum", "-o", tmp_path / "s.png")
    assert "stretch:" in summed.text


def test_no_image_is_written_to_a_terminal(tmp_path):
    """A terminal gets no image bytes."""
    master, terminal = os.openpty()
    command = [sys.executable, "-m", "convcli", "apply", str(SAMPLES / "scene.png"), "-k", "box3", "-o", "-"]
    ran = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False)
    os.close(terminal)
    os.close(master)
    assert (ran.returncode, ran.stderr) == (
        2,
        "convcli: standard output is a terminal; use -o FILE\n",
    )


def test_no_input_of_a_run_is_ever_written(run, tmp_path, picture):
    """Outputs replace no later input, reports replace no input, and no output is written twice."""
    later = tmp_path / "picture.box3.png"
    later.write_bytes(picture.read_bytes())
    before = later.read_bytes()
    result = run("apply", picture, later, "-k", "box3", "--force", "-q")
    assert "is an input of this run" in result.err
    assert later.read_bytes() == before
    out = tmp_path / "out.png"
    for report, words in [(picture, "is an input of this run"), (out, "is another output of this run")]:
        result = run("apply", picture, "-k", "box3", "--force", "-o", out, "--report-file", report)
        assert (result.code, words in result.err) == (2, True)
    assert picture.read_bytes() == before
    assert run("apply", picture, "-k", "box3", "--force", "-o", out, "--report-file", "-").text


def test_a_template_is_written_in_the_format_of_its_suffix(run, tmp_path, picture):
    """A suffix in a template decides, an unknown one is refused, a slash makes a folder of each name."""
    assert run("apply", picture, "-k", "box3", "-o", f"{tmp_path}/{{stem}}_x.bmp").code == 0
    assert (tmp_path / "picture_x.bmp").read_bytes()[:2] == b"BM"
    assert "unknown suffix" in run("apply", picture, "-k", "box3", "-o", f"{tmp_path}/{{stem}}.foo").err
    assert run("apply", picture, "-k", "box3", "-o", f"{tmp_path}/{{stem}}/").code == 0
    assert (tmp_path / "picture" / "picture.box3.png").exists()


def test_a_replaced_file_keeps_its_permissions(run, tmp_path, picture):
    """What was private stays private."""
    out = tmp_path / "out.png"
    out.write_text("old")
    out.chmod(0o600)
    run("apply", picture, "-k", "box3", "-o", out, "--force")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_nan_does_not_spoil_a_mapping(run, tmp_path):
    """The range is that of the finite values; if there are none, the report says so."""
    pixels = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    pixels[3, 4] = np.nan
    source, out = tmp_path / "nan.tif", tmp_path / "out.png"
    tifffile.imwrite(source, pixels)
    assert run("apply", source, "-k", "identity", "--map", "stretch", "-o", out).code == 0
    assert (decoded(out)[0, 0], decoded(out)[7, 7], decoded(out)[3, 4]) == (0, 65535, 0)
    tifffile.imwrite(source, np.full((8, 8), np.nan, np.float32))
    result = run("apply", source, "-k", "identity", "--map", "signed", "-o", out, "--force")
    assert "no value of the feature map is finite" in result.err
    result = run("apply", source, "-k", "identity", "--report", "json")
    assert json.loads(result.text)["range"] == {"low": None, "high": None}


def test_alpha_takes_a_fill_within_its_range(run, tmp_path):
    """A fill beyond the type saturates in alpha instead of wrapping around."""
    for fill, alpha in (("300", 255), ("-1", 0)):
        out = tmp_path / f"{fill}.png"
        options = ["--padding", f"5:{fill}", "--alpha", "keep"]
        run("apply", SAMPLES / "transparent.png", "-k", "box3", *options, "-o", out)
        assert decoded(out)[0, 0, 3] == alpha


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("mapping", "first", "last"),
    [
        ("signed:90%", 5, 95),
        ("stretch:2%,75%", 2, 75),
        ("stretch:0%,100%", 0, 100),
        ("stretch:-40,99%", None, 99),
    ],
)
@pytest.mark.parametrize("kernel", ["laplacian4", "gabor:5,30"])
def test_percentile_ranges_are_those_of_the_sorted_values(
    run, picture, tmp_path, kernel, mapping, first, last, threads
):
    """The ends of the range are values at their nearest ranks, for exact sums and floats."""
    raw, out = tmp_path / "raw.npy", tmp_path / "out.png"
    assert run("apply", picture, "-k", kernel, "--map", "raw", "-o", raw).code == 0
    values = np.sort(np.load(raw), axis=None)
    ends = [
        -40.0 if percent is None else values[max(math.ceil(percent * values.size / 100), 1) - 1].item()
        for percent in (first, last)
    ]
    if mapping.startswith("signed"):
        ends = [-max(map(abs, ends)), max(map(abs, ends))]
    ran = run(
        "apply", picture, "-k", kernel, "--map", mapping, "-o", out, "--report", "json", "--threads", threads
    )
    kind, _, numbers = json.loads(ran.text)["mapping"].partition(":")
    found = [float(Fraction(number)) for number in numbers.split(",")]
    assert found == pytest.approx(ends if kind == "stretch" else ends[1:], rel=1e-5)


def test_percentiles_that_are_equal_give_way_to_the_range(run, tmp_path):
    """A map that is 0 nearly everywhere keeps its one edge."""
    image = np.zeros((60, 60), np.uint8)
    image[30, 30] = 200
    path, out = tmp_path / "dot.png", tmp_path / "out.png"
    path.write_bytes(imagecodecs.png_encode(image))
    ran = run("apply", path, "-k", "laplacian4", "--map", "signed:99%", "-o", out, "--report", "json")
    assert json.loads(ran.text)["mapping"] == "signed:800"
    assert decoded(out).min() == 1


def spoiled(path):
    """8 × 8 floats, 0 to 63, with a NaN in the middle and an infinity of each sign in two corners."""
    pixels = np.arange(64, dtype=np.float32).reshape(8, 8)
    pixels[3, 4], pixels[0, 0], pixels[7, 7] = np.nan, np.inf, -np.inf
    np.save(path, pixels)
    return path


@pytest.mark.parametrize("mapping", ["clip", "stretch", "signed", "raw"])
def test_values_that_are_not_finite_are_counted(run, tmp_path, mapping):
    """Each map's own count, a range of the finite values, and what became of the others, in every form."""
    source = spoiled(tmp_path / "in.npy")
    suffix, depth = ("npy", "float") if mapping == "raw" else ("png", "8")
    options = ["-k", "box3", "-k", "[1]", "--padding", "valid", "--map", mapping, "--depth", depth]
    options += ["-o", tmp_path / f"{{kernel}}.{suffix}", "-f"]
    box, one = (
        json.loads(line) for line in run("apply", source, *options, "--report", "json").text.splitlines()
    )
    assert (box["nonfinite"], one["nonfinite"]) == ({"nan": 9, "infinite": 2}, {"nan": 1, "infinite": 2})
    assert (one["range"]["low"], one["range"]["high"]) == (1, 62)
    cut = {"clip": (1, 61), "stretch": (1, 1), "signed": (1, 1), "raw": (0, 0)}[mapping]
    assert (one["saturated"]["below"], one["saturated"]["above"]) == cut
    fates = (
        ("kept", "kept") if mapping == "raw" else ("written as 0", "written as the type's lowest or highest")
    )
    assert one["notes"][0] == f"1 NaN value: {fates[0]}"
    assert one["notes"][1].startswith(
        "2 infinite values (from infinite pixels or overflowing sums): " + fates[1]
    )
    rows = list(csv.DictReader(io.StringIO(run("apply", source, *options, "--report", "csv").text)))
    assert [(row["nan"], row["infinite"]) for row in rows if row["nan"] != "nan"] == [("9", "2"), ("1", "2")]
    text = run("apply", source, *options, "--report", "text").text
    assert "1 … 62 before the mapping (finite values only)" in text
    assert "9 NaN values: " + fates[0] in text


def test_values_that_are_not_finite_are_counted_in_a_batch(run, tmp_path):
    """The manifest's row says it too; a map without any finite value says that."""
    (tmp_path / "in").mkdir()
    spoiled(tmp_path / "in" / "a.npy")
    np.save(tmp_path / "in" / "b.npy", np.full((4, 4), np.nan))
    log = tmp_path / "log.jsonl"
    ran = run("batch", tmp_path / "in", tmp_path / "out", "-k", "[1]", "--map", "raw", "--report", log)
    assert ran.code == 0, ran.err
    found = [json.loads(line) for line in log.read_text().splitlines()]
    counts = [row["nonfinite"] for row in found if "nonfinite" in row]
    assert counts == [{"nan": 1, "infinite": 2}, {"nan": 16, "infinite": 0}]
    ran = run("apply", tmp_path / "in" / "b.npy", "-k", "[1]", "--map", "raw", "-o", tmp_path / "c.npy")
    assert "no value is finite" in ran.text


def test_results_beyond_a_float_are_counted(run, tmp_path):
    """A weight of 1e300: finite sums that float32 holds as infinity are saturated, and a note says so."""
    source, out = tmp_path / "in.npy", tmp_path / "out.npy"
    np.save(source, np.arange(64, dtype=np.uint8).reshape(8, 8))
    ran = run("apply", source, "-k", "1e300", "--map", "raw", "-o", out, "--report", "json")
    report = json.loads(ran.text)
    assert np.count_nonzero(np.isinf(np.load(out))) == 63
    assert report["nonfinite"] == {"nan": 0, "infinite": 0}
    assert (report["saturated"]["below"], report["saturated"]["above"]) == (0, 63)
    assert report["notes"][0].startswith("63 finite values outside the range of float32: written as infinity")
    assert report["range"]["high"] == pytest.approx(63e300)
