"""``convcli animate``: the numbers drawn are those of explain and apply, frame by frame, in exact time."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.files.input import Input
from convcli.formats import registry
from convcli.geometry.border import OUTSIDE, sources
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.pipeline.settings import Settings
from convcli.visualize import text as lettering
from convcli.visualize.animate import cells, painter
from convcli.visualize.animate.cells import brief
from convcli.visualize.animate.layout import Stage
from convcli.visualize.animate.moments import View, drawn_numbers, slide
from convcli.visualize.animate.movie import few_colors
from convcli.visualize.animate.painter import frames, size
from convcli.visualize.explain.arithmetic import as_float
from convcli.visualize.explain.pixel import explain
from convcli.visualize.explain.text import as_dict
from tests.conftest import SAMPLES

VIEW = View()
FILLS = ["zero", "7", "edge", "reflect", "symmetric", "wrap"]


def saved(folder, pixels, name="in.npy"):
    np.save(folder / name, pixels)
    return str(folder / name)


def made(source, settings, view=VIEW):
    with Input.open(source) as file:
        return slide(source, file, settings, view)


def random_settings(rng):
    kernel = Kernel(rng.integers(-3, 5, rng.integers(1, 4, 2)), scale=Fraction(1, int(rng.integers(1, 5))))
    amount = rng.choice(["valid", "same", "full", "1", "2,1", "0,2,1,0"])
    return Settings(
        kernel if rng.integers(3) else load_kernel(str(rng.choice(["sobel", "random:3x2,seed=4"]))),
        stride=tuple(rng.integers(1, 4, 2).tolist()),
        padding=Padding.parse(f"{amount}:{rng.choice(FILLS)}"),
        dilation=tuple(rng.integers(1, 3, 2).tolist()),
        flip=bool(rng.integers(2)),
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_feature_map_is_the_convolution(tmp_path, seed):
    """For random settings, as a grid: every output is that of `convcli.conv`, every cell the padded input."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 10, rng.integers(5, 7, 2)).astype(np.uint8)
    settings = random_settings(rng)
    found = made(saved(tmp_path, pixels), settings)
    if settings.kernel.combine:
        maps = [
            convcli.conv(pixels, settings.kernel.weights[..., 0, i], **options(settings)) for i in range(2)
        ]
        due = np.hypot(*maps)
    else:
        due = convcli.conv(pixels, settings.kernel, **options(settings))
    got = np.zeros_like(due)
    for at, channel in found.outputs:
        got[at] = as_float(channel.value)
    np.testing.assert_allclose(got, due, rtol=1e-5, atol=1e-4)
    assert len(found.moments) == due.size
    assert [moment.found.spot.at for moment in found.moments] == list(np.ndindex(due.shape))
    index = [
        sources(settings.padding.fill, axis.size, -axis.before, axis.size + axis.after, 1)
        for axis in found.task.geometry.axes
    ]
    padded = np.array(found.cells, float)
    for (i, j), value in np.ndenumerate(padded):
        row, column = index[0][i], index[1][j]
        outside = OUTSIDE in (row, column)
        assert value == (settings.padding.fill.value if outside else pixels[row, column])


def options(settings):
    return {
        "stride": settings.stride,
        "padding": settings.padding,
        "dilation": settings.dilation,
        "flip": settings.flip,
        "dtype": np.float64,
    }


@pytest.mark.parametrize("kernel", ["sobel-x", "sobel", "gaussian:2", "random:3x3,seed=1"])
def test_every_moment_is_what_explain_says(kernel):
    """Patch, weights, products and steps, in a picture of colors too; its feature map is apply's."""
    for name in ("scene.png", "color.png"):
        source, settings = str(SAMPLES / name), Settings(load_kernel(kernel), channels="gray", stride=(2, 1))
        found = made(source, settings, View(every=(128, 256)))
        assert len(found.moments) == 4
        for moment in found.moments[1::2]:
            alone = explain(source, settings, moment.found.spot.at)
            assert as_dict(moment.found) == as_dict(alone)
            assert found.pixels[moment.found.spot.at][0] == moment.channel.pixel


def test_a_part_of_a_picture_as_numbers(run, tmp_path):
    """--at shows the outputs from there on, each the value before the mapping that apply writes raw."""
    out = tmp_path / "out.npy"
    assert run("apply", SAMPLES / "scene.png", "-k", "gaussian5", "--map", "raw", "-o", out).code == 0
    due = np.load(out)
    found = made(str(SAMPLES / "scene.png"), Settings(load_kernel("gaussian5")), View(at=(500, 507)))
    assert found.region == ((500, 506), (507, 512))
    assert len(found.moments) == len(found.outputs) == 30
    for at, channel in found.outputs:
        assert float(channel.value) == pytest.approx(due[at].item(), rel=1e-6)


def test_what_is_drawn_are_those_numbers(monkeypatch):
    """The texts of each frame: its output's patch, weights, products, sum and all outputs up to it."""
    texts: list[str] = []
    plain = lettering.write

    def noted(image, place, text, *rest):
        texts.append(text)
        plain(image, place, text, *rest)

    for module in (cells, painter):
        monkeypatch.setattr(module, "write", noted)
    settings = Settings(load_kernel("1 2; 3 -4"), padding=Padding.parse("valid"))
    with drawn_numbers((3, 4), 5) as file:
        found = slide("x", file, settings, View())
    due = iter(found.moments)
    for _ in frames(found):
        moment = next(due)
        (plane,) = moment.channel.planes
        row, column = moment.found.spot.at
        assert f"row {row}, column {column}" in texts
        due_cells = [brief(v) for grid in (plane.weights, plane.products) for v in grid.flat]
        assert all(texts.count(text) >= due_cells.count(text) for text in due_cells)
        assert brief(moment.channel.value) in texts
        assert any(text.endswith(f"= {brief(moment.channel.value)}") for text in texts)
        texts.clear()
    assert next(due, None) is None


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (Fraction(-12), 4, "−12"),
        (Fraction(1, 3), 4, "0.3333"),
        (Fraction(1, 3), 3, "0.333"),
        (Fraction(5, 4), 4, "1.25"),
        (Fraction(41210), 4, "41210"),
        (Fraction(1234567), 4, "1234567"),
        (Fraction(-12345678), 4, "−1.235e7"),
        (Fraction(278706, 10), 4, "27870.6"),
        (Fraction(2787061, 100), 4, "27870.6"),
        (Fraction(141963, 1000), 4, "142.0"),
        (Fraction(141963, 1000), 3, "142"),
        (Fraction(1, 7000), 4, "1.429e−4"),
        (Fraction(1, 7000), 2, "1.4e−4"),
        (Fraction(1, 2), 2, "0.5"),
        (float("nan"), 4, "nan"),
    ],
)
def test_numbers_in_cells(value, digits, text):
    """Integers of seven digits and short decimals in full, others to a few digits."""
    assert brief(value, digits) == text


@pytest.mark.parametrize(
    ("value", "cell"), [(-0.000123456, 32), (-0.54321, 32), (-0.54321, 46), (1234567, 46), (-65535.25, 40)]
)
def test_numbers_are_shortened_before_they_are_left_out(value, cell):
    """In a cell of any width there is one that can be read and fits; in wide cells it is longer."""
    type_ = cells.Type.fitting([Fraction(value)], cell)
    assert type_.points >= 9
    text = type_.text(Fraction(value))
    assert lettering.width(text, type_.points) < cell
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=0.2)
    assert len(cells.Type.fitting([Fraction(value)], 90).text(Fraction(value))) >= len(text)


@pytest.mark.parametrize(
    ("kernel", "beyond"), [("box3", False), ("gaussian5", False), ("ones3", True), ("sobel-x", True)]
)
def test_shades_of_a_shape(kernel, beyond):
    """Black and white are those of its numbers, or of the values that lie beyond them; nothing is rounded."""
    settings = Settings(load_kernel(kernel), padding=Padding.parse("valid"))
    with drawn_numbers((20, 20), 1) as file:
        values = convcli.conv(np.load(io.BytesIO(file.data)), kernel, padding="valid", dtype="float64")
        found = slide("x", file, settings, View(white=9))
    np.testing.assert_allclose(found.pixels[..., 0], values, rtol=1e-6)
    assert found.shades == ((0, 9), (values.min(), values.max()) if beyond else (0, 9))
    drawn = list(frames(found))[-1]
    stage = Stage(found)
    left, top, right, bottom = stage.output.box(*found.region)
    assert np.ptp(drawn[top + 2 : bottom - 2, left + 2 : right - 2, 0].astype(int)) > 80


def test_shades_of_floats(tmp_path):
    """Values below 0 and above 1 have grays of their own; those between keep black and white."""
    pixels = np.linspace(-3, 5, 400, dtype=np.float32).reshape(20, 20)
    source, settings = saved(tmp_path, pixels), Settings(load_kernel("identity"))
    assert made(source, settings).shades == ((-3, 5), (-3, 5))
    part = made(source, settings, View(at=(5, 5)))
    assert part.shades[0] == (part.cells.min(), part.cells.max())
    inside = saved(tmp_path, np.linspace(0.2, 0.4, 400, dtype=np.float32).reshape(20, 20))
    assert made(inside, settings).shades == ((0, 1), (0, 1))


def test_what_no_window_reads():
    """The row and the column that a stride leaves over, and the gaps between windows."""
    for kernel, stride, shape, due in (
        ("ones3", 2, (6, 6), {5}),
        ("ones2", 4, (7, 7), {2, 3, 6}),
        ("ones3", 1, (5, 5), set()),
    ):
        settings = Settings(load_kernel(kernel), stride=(stride, stride), padding=Padding.parse("valid"))
        with drawn_numbers(shape, 1) as file:
            stage = Stage(slide("x", file, settings, View()))
        places = np.ndindex(shape)
        assert stage.missed == [(i, j) for i, j in places if i in due or j in due]


def test_values_beside_pixels(tmp_path):
    """Where both are shown, the caption says which is which; drawn numbers are no pixels."""
    settings = Settings(load_kernel("sobel-x"))
    found = made(str(SAMPLES / "scene.png"), settings, View(at=(257, 130)))
    for (place, words), moment in zip(Stage(found).captions, found.moments, strict=True):
        row, column = moment.found.spot.at
        assert place == f"row {row}, column {column}"
        assert words == f"value {brief(moment.channel.value)}, pixel {moment.channel.pixel}"
    with drawn_numbers((9, 9), 1) as file:
        numbers = Stage(slide("x", file, settings, View(white=9, at=(2, 2), plain=2**16)))
    assert all(len(caption) == 1 for caption in numbers.captions)


def test_many_maps_combined():
    """Eight maps: four below each other, and all of their sums."""
    kernel = load_kernel("kirsch").combined("max")
    with drawn_numbers((4, 4), 1) as file:
        stage = Stage(slide("x", file, Settings(kernel), View()))
    assert (len(stage.planes), stage.more) == (4, "kernels 4 to 7: their sums alone")
    assert [name for name, _ in stage.lines[0]][:9] == [*(f"sum {i}" for i in range(8)), "combined"]


def test_the_feature_map_fills_up(tmp_path):
    """Frame by frame one more cell of the feature map is filled, and stays so."""
    settings = Settings(load_kernel("1 1"), padding=Padding.parse("valid"))
    found = made(saved(tmp_path, np.full((2, 4), 3, np.uint8)), settings)
    pictures = list(frames(found))
    stage = Stage(found)
    empty = np.array(painter.EMPTY)
    for index, pixels in enumerate(pictures):
        assert pixels.shape == (*size(found), 3)
        assert not any(side % 2 for side in pixels.shape[:2])
        filled = []
        for row, column in np.ndindex(2, 3):
            left, top, _, _ = stage.output.box((row, row + 1), (column, column + 1))
            filled.append(bool((pixels[top + 5, left + 5] != empty).any()))
        assert filled == [place <= index for place in range(6)]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".mkv", ".mp4", ".tif"])
def test_formats_and_time(run, tmp_path, suffix):
    """A frame for each output, each shown for its time, in every format that holds frames."""
    if suffix in (".mkv", ".mp4"):
        pytest.importorskip("av")
    last = Fraction(1, 4) if suffix in (".mkv", ".mp4") else Fraction(2)
    out = tmp_path / f"slide{suffix}"
    arguments = ("animate", "4x4", "-k", "1 2; 0 1", "--padding", "valid", "--fps", "4")
    ran = run(*arguments, "-o", out)
    assert ran.code == 0, ran.err
    assert ran.text == f"written: {out}, 9 frames of 610×490\n"
    with Input.open(str(out)) as file:
        (opened,) = registry.open_input(file, 10**9)
        header = opened.header
        assert (header.frames, header.columns, header.rows) == (9, 610, 490)
        if suffix != ".tif":
            assert header.metadata.timing.durations == (Fraction(1, 4),) * 8 + (last,)
        with drawn_numbers((4, 4), 1) as numbers:
            settings = Settings(load_kernel("1 2; 0 1"), padding=Padding.parse("valid"))
            due = list(frames(slide("4 × 4 integers, seed 1", numbers, settings, View())))
        reader = opened.reader()
        for index, pixels in enumerate(due):
            got = reader.rows(index, 0, 490)[..., :3].astype(int)
            assert np.abs(got - pixels).mean() < (2 if suffix in (".gif", ".mp4") else 1e-9)
    assert run(*arguments, "-o", out).err == f"convcli: {out}: already exists (--force replaces it)\n"


def test_few_colors():
    """A GIF's frames share their colors, and what stands still is the same in all of them."""
    with drawn_numbers((3, 4), 1) as numbers:
        found = list(frames(slide("x", numbers, Settings(load_kernel("sharpen")), View())))
    reduced = list(few_colors(found))
    codes = np.concatenate(reduced).astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
    assert len(np.unique(codes)) <= 255
    still = (np.stack(found) == found[0]).all(axis=(0, -1))
    assert (np.stack(reduced)[:, still] == reduced[0][still]).all()
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(found, reduced, strict=True)) < 1


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["12x12", "--most", "50"], 36),
        (["6x6", "--most", "36"], 36),
        (["12x12", "--every", "3,4"], 12),
        (["5x5", "--every", "2", "--most", "9"], 9),
        (["40x30", "--most", "7"], 6),
        (["40x30", "--at", "2,3"], 64),
        (["40x30", "--at", "39,29"], 1),
        (["4x4", "--most", "1"], 1),
    ],
)
def test_how_many_frames(run, tmp_path, arguments, count):
    """One an output, or as many as the limits leave."""
    ran = run("animate", *arguments, "-k", "box3", "-o", tmp_path / "x.png")
    assert f", {count} frame" in ran.text, ran.err


def test_numbers_of_a_shape():
    """A seed's integers are these on every machine; a ramp counts."""
    with drawn_numbers((2, 4), 1) as file:
        assert np.load(io.BytesIO(file.data)).tolist() == [[7, 6, 5, 8], [9, 4, 8, 0]]
    with drawn_numbers((20, 20), None) as file:
        assert (np.load(io.BytesIO(file.data)).ravel() == np.arange(400)).all()


def test_to_standard_output(run, tmp_path, monkeypatch):
    """`-o -` writes the file and nothing else."""
    ran = run("animate", "4x4", "-k", "box2", "--numbers", "ramp", "-o", "-", "--format", "webp")
    assert ran.code == 0
    assert Image.open(io.BytesIO(ran.out)).n_frames == 16
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "2x2", np.ones((6, 6), np.uint8))
    (tmp_path / "2x2.npy").rename(tmp_path / "2x2")
    assert "36 frames" in run("animate", "2x2", "-k", "box2", "-o", "x.png").text  # a file of that name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["9x9", "-k", "box3", "-o", "x.jpg"], "jpeg cannot hold 81 frames"),
        (["9x9", "-k", "box3", "-o", "x.xyz"], "unknown suffix"),
        (["0x4", "-k", "box3", "-o", "x.gif"], "shape 0 is not allowed"),
        (["999x4", "-k", "box3", "-o", "x.gif"], "larger than 256x256"),
        (["4x4", "-k", "kirsch", "-o", "x.gif"], "8 feature maps, the animation shows one; use --combine"),
        (["4x4", "-k", "random:3x3x1x25", "-o", "x.gif"], "gives 25 feature maps; allowed: 1, or 9 combined"),
        (["4x4", "-k", "random:3x3x3x1", "-o", "x.gif"], "takes 3 input channels; allowed: 1"),
        (["40x40", "-k", "box3", "--every", "2", "-o", "x.gif"], "400 frames; allowed: 100 (--most)"),
        (["40x40", "-k", "box3", "--every", "0", "-o", "x.gif"], "every 0 is not allowed"),
        (["4x4", "-k", "box3", "--at", "9,9", "-o", "x.gif"], "9,9 lies outside the feature map of 4 × 4"),
        (["4x4", "-k", "box3", "--fps", "0", "-o", "x.gif"], "'0' is not above 0 and up to 50"),
        (["4x4", "-k", "box3", "--fps", "x", "-o", "x.gif"], "--fps"),
        (["4x4", "-k", "box3", "--numbers", "x", "-o", "x.gif"], "'x' is not ramp, or a seed from 0"),
        (["4x4", "-k", "box9", "--padding", "valid", "-o", "x.gif"], "larger than the padded image"),
        (["none.png", "-k", "box3", "-o", "x.gif"], "none.png: No such file or directory"),
        (["4x4", "-k", "box3"], "Missing option '-o'"),
    ],
)
def test_mistakes(run, tmp_path, monkeypatch, arguments, words):
    """One line that says what is allowed, and no file."""
    monkeypatch.chdir(tmp_path)
    ran = run("animate", *arguments)
    assert (ran.code, words in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err
    assert not list(tmp_path.iterdir())


def test_signs_have_strokes():
    """Every sign of arithmetic that a step may hold is drawn, and takes its room."""
    for sign in "−×÷→≈√²":
        image = Image.new("RGB", (40, 40), (255, 255, 255))
        lettering.write(image, (5, 5), sign, 20, (0, 0, 0))
        rows, columns = np.nonzero(np.asarray(image)[..., 0] < 128)
        assert columns.size
        assert 5 <= columns.min() <= columns.max() <= 5 + lettering.width(sign, 20)
        assert 5 <= rows.min() <= rows.max() <= 30
    assert lettering.cut("abcdef", 15, 20).endswith("…")
