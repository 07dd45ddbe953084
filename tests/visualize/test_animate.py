"""``convcli animate``: the numbers drawn are those of explain and apply, frame by frame, in exact time."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.core.frozen import replace
from convcli.core.numerals import as_float, cell_text
from convcli.files.input import Input
from convcli.formats import opening
from convcli.geometry.border import OUTSIDE, sources
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from convcli.pipeline.settings import Settings
from convcli.visualize import lettering
from convcli.visualize.animate import cells
from convcli.visualize.animate.content import Selection, build_animation
from convcli.visualize.animate.drawing import EMPTY, frame_pixels, frame_scenes, frame_size
from convcli.visualize.animate.layout import FrameLayout
from convcli.visualize.animate.palette import shared_colors
from convcli.visualize.animate.shapes import number_image, parse_shape
from convcli.visualize.animate.stages import stage_input
from convcli.visualize.explain.chain import chain_stages
from convcli.visualize.explain.output import as_dict
from convcli.visualize.explain.pixel import explain
from convcli.visualize.raster import raster
from convcli.visualize.scene import Text
from tests.conftest import SAMPLES
from tests.engine.chain_reference import computed

VIEW = Selection()
FILLS = ["zero", "7", "edge", "reflect", "symmetric", "wrap"]


def saved(folder, pixels, name="in.npy"):
    np.save(folder / name, pixels)
    return str(folder / name)


def made(source, settings, view=VIEW):
    with Input.open(source) as file:
        return build_animation(source, file, settings, view)


def numbers_animation(shape, settings, selection=VIEW, seed=1):
    with number_image(shape, seed) as file:
        return build_animation(
            "4 × 4 integers, seed 1" if shape == (4, 4) else "x", file, settings, selection
        )


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
    """With random settings, grids show the outputs of `convcli.conv` and the cells of the padded input."""
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
    assert len(found.frames) == due.size
    assert [frame.explanation.window.at for frame in found.frames] == list(np.ndindex(due.shape))
    index = [
        sources(settings.padding.fill, axis.size, -axis.before, axis.size + axis.after, 1)
        for axis in found.task.geometry.axes
    ]
    padded = np.array(found.inputs[0].values, float)
    for (i, j), value in np.ndenumerate(padded):
        row, column = index[0][i], index[1][j]
        outside = OUTSIDE in (row, column)
        assert value == (settings.padding.fill.value if outside else pixels[row, column])


@pytest.mark.parametrize("seed", range(8))
def test_transposed_convolution(tmp_path, seed):
    """Grids show the outputs of `convcli.conv`, and the pixels with zeros between them, each in its color."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 10, rng.integers(2, 5, 2)).astype(np.uint8)
    kernel = Kernel(rng.integers(-3, 5, rng.integers(1, 4, 2)))
    stride = tuple(rng.integers(1, 4, 2).tolist())
    padding = str(rng.choice(["same", "valid", "1" if min(kernel.size) > 1 else "0"]))
    settings = Settings(kernel, stride, Padding.parse(padding), transposed=True)
    found = made(saved(tmp_path, pixels), settings, Selection(most=10_000))
    due = convcli.conv(pixels, kernel, stride=stride, padding=padding, transposed=True)
    got = np.zeros_like(due)
    for at, channel in found.outputs:
        got[at] = as_float(channel.value)
    assert np.array_equal(got, due)
    spread = np.zeros([(size - 1) * step + 1 for size, step in zip(pixels.shape, stride, strict=True)])
    spread[:: stride[0], :: stride[1]] = pixels
    top, left = (-first for first, _ in found.spans)
    shown = np.array(found.inputs[0].values, float)
    assert np.array_equal(shown[top:, left:][: spread.shape[0], : spread.shape[1]], spread)
    assert shown.sum() == pixels.sum()
    heading = FrameLayout(found).heading[1]
    assert heading.startswith("transposed  ·  ")
    list(frame_scenes(found))


def layer(rng, channels, maps):
    """A kernel over several channels, as a layer has it."""
    weights = rng.integers(-3, 4, (*rng.integers(1, 4, 2), channels, maps))
    return Kernel(weights, scale=Fraction(1, int(rng.integers(1, 4))), name="layer")


@pytest.mark.parametrize("seed", range(12))
def test_kernels_over_several_channels(seed):
    """Grids show each channel's padded input and one map of the layer; the channels' sums add up to it."""
    rng = np.random.default_rng(seed)
    channels, maps = (int(number) for number in rng.integers(2, 7, 2))
    settings, index = (
        replace(random_settings(rng), kernel=layer(rng, channels, maps)),
        int(rng.integers(maps)),
    )
    with number_image((6, 5, channels), seed) as file:
        pixels = np.load(io.BytesIO(file.data))[0]
        found = build_animation("x", file, settings, Selection(map=index))
    due = convcli.conv(pixels, settings.kernel, channels="last", **options(settings))[..., index]
    got = {at: as_float(channel.value) for at, channel in found.outputs}
    np.testing.assert_allclose([got[at] for at in np.ndindex(due.shape)], due.ravel(), atol=1e-4)
    names = [plane.channel for plane in found.frames[0].channel.planes]
    assert len(found.inputs) == min(channels, 4)
    for panel, plane in zip(found.inputs, found.planes, strict=True):
        assert panel.name == names[plane]
        (top, _), (left, _) = found.spans
        inside = panel.values[-top : 6 - top, -left : 5 - left]
        assert (inside == pixels[..., plane]).all()
    for frame in found.frames:
        total = sum(plane.sum for plane in frame.channel.planes)
        assert total == frame.channel.steps[0].value


@pytest.mark.parametrize(
    ("chosen", "due"),
    [((), (1, 3, 4, 8)), ((slice(2, 4), "channel 7"), (2, 3, 7)), ((slice(None),), (0, 1, 2, 3))],
)
def test_the_channels_that_contribute_most(chosen, due):
    """Of many channels, the four with the largest sums are drawn, or those that are chosen."""
    weights = np.ones((2, 2, 9, 1), int)
    weights[..., [1, 3, 4, 8], 0] = -90
    settings = Settings(Kernel(weights, name="layer"), padding=Padding.parse("valid"))
    with number_image((4, 4, 9), 1) as file:
        found = build_animation("x", file, settings, Selection(channels=chosen))
    layout = FrameLayout(found)
    assert found.planes == due
    assert [panel.name for panel in found.inputs] == [f"channel {index}" for index in due]
    assert layout.omitted == f"{9 - len(due)} other channels are only added"
    for frame, steps in zip(found.frames, layout.steps, strict=True):
        rest = sum(plane.sum for index, plane in enumerate(frame.channel.planes) if index not in due)
        words = f"{cell_text(abs(rest))} ({9 - len(due)} others) = {cell_text(frame.channel.value)}"
        assert steps[0][1].endswith(words)


def test_one_map_of_a_bank():
    """A map of a bank is the one that apply writes, with the bank's mapping; the heading names it."""
    settings = Settings(load_kernel("kirsch:stack"))
    found = made(str(SAMPLES / "color.png"), settings, Selection(most=4, map=3))
    frame = found.frames[2]
    at = frame.explanation.window.at
    alone = explain(str(SAMPLES / "color.png"), replace(settings, channels="gray"), at)
    assert found.feature_map[at][0] == frame.channel.pixel == alone.maps[3][0].pixel
    assert frame.explanation.mappings == alone.mappings[3:4]
    assert FrameLayout(found).heading[0].startswith("kirsch-nw over ")


@pytest.mark.parametrize("seed", range(6))
def test_a_stage_of_a_chain(tmp_path, seed):
    """A stage's grids are the values before it and its own, as the slow loop computes them."""
    rng = np.random.default_rng(seed)
    maps = int(rng.integers(1, 4))
    first = replace(parse_stage("box3,padding=1:edge", load_kernel), kernel=layer(rng, 2, maps))
    last = replace(parse_stage("box3,padding=1,stride=2", load_kernel), kernel=layer(rng, maps, 2))
    then = (parse_stage("leaky-relu:1/4", load_kernel), last)
    settings = Settings(first.kernel, padding=first.padding, then=then)
    pixels = rng.integers(0, 10, (1, 7, 6, 2)).astype(np.uint8)
    with Input.open(saved(tmp_path, pixels)) as file:
        made = stage_input("x", file, settings, Selection(map=1), 3)
        found = build_animation(made.title, made.file, made.settings, made.selection, made.names)
    values = [np.vectorize(Fraction, otypes=[object])(pixels[0, ..., i].astype(object)) for i in range(2)]
    before = computed(then[0], computed(first, values))
    due = computed(last, before)[1]
    assert found.source == "stage 2 of x"
    for panel, index in zip(found.inputs, found.planes, strict=True):
        assert panel.name == (f"map {index}" if maps > 1 else "input")
        rows, columns = before[index].shape
        (top, _), (left, _) = found.spans
        inside = panel.values[-top : rows - top, -left : columns - left]
        np.testing.assert_allclose(inside.astype(float), before[index].astype(float))
    got = {at: as_float(channel.value) for at, channel in found.outputs}
    assert [got[at] for at in np.ndindex(due.shape)] == pytest.approx(due.astype(float).ravel().tolist())


def test_a_stage_that_filters_every_map(run, tmp_path):
    """A kernel of one channel is shown over one map; stage 1 is the kernel alone."""
    kernel = ["-k", "1 -1", "--padding", "valid"]
    for stage in (["--stage", "1"], ["--stage", "2", "--show-map", "1"]):
        ran = run("animate", "4x6", *kernel, "--then", "sobel:stack", *stage, "-o", tmp_path / "x.webp", "-f")
        assert ", 20 frames of " in ran.text, ran.err
    settings = Settings(load_kernel("sobel:stack"), then=(parse_stage("1 -1", load_kernel),))
    pixels = np.random.default_rng(1).integers(0, 9, (5, 6), dtype=np.uint8)
    maps = computed(
        chain_stages(settings)[0], [np.vectorize(Fraction, otypes=[object])(pixels.astype(object))]
    )
    with Input.open(saved(tmp_path, pixels)) as file:
        made = stage_input("x", file, settings, Selection(map=1), 2)
    assert np.array_equal(np.load(io.BytesIO(made.file.data)), maps[1].astype(float))
    assert made.selection.map is None


@pytest.mark.parametrize("shape", ["4x4x2", "9x12x3", "20x20x3", "6x6x9"])
@pytest.mark.parametrize("side", [1, 3, 5, 7])
def test_frames_of_several_channels_do_not_overlap(shape, side):
    """Inputs, feature map, equations and steps keep apart and inside the frame, from 4 × 4 on."""
    shape = parse_shape(shape)
    rng = np.random.default_rng(side)
    settings = Settings(Kernel(rng.integers(-9, 9, (side, side, shape[2], 1)), name="layer"))
    with number_image(shape, 1) as file:
        layout = FrameLayout(build_animation("x", file, settings, Selection(most=4)))
    wide, high = layout.size
    areas = [area.bounds(area.rows, area.columns) for area in (*layout.inputs, layout.output)]
    for index in range(len(layout.planes)):
        left, top = layout.plane_corner(index)
        cell, (rows, columns) = layout.cell, layout.kernel
        areas.append((left, top - 22, left + 3 * columns * cell + 88, top + rows * cell))
    left, top = layout.steps_corner
    areas.append((left, top, left + 1, top + 24 * len(layout.steps[0])))
    for index, (left, top, right, bottom) in enumerate(areas):
        assert 0 < left < right < wide
        assert 0 < top < bottom < high
        for others in areas[:index]:
            assert right <= others[0] or others[2] <= left or bottom <= others[1] or others[3] <= top


def options(settings):
    return {
        "stride": settings.stride,
        "padding": settings.padding,
        "dilation": settings.dilation,
        "flip": settings.flip,
        "dtype": np.float64,
    }


@pytest.mark.parametrize("kernel", ["sobel-x", "sobel", "gaussian:2", "random:3x3,seed=1"])
def test_every_frame_agrees_with_explain(kernel):
    """Patch, weights, products and steps are those of explain, for color images too."""
    for name in ("scene.png", "color.png"):
        source, settings = str(SAMPLES / name), Settings(load_kernel(kernel), channels="gray", stride=(2, 1))
        found = made(source, settings, Selection(every=(128, 256)))
        assert len(found.frames) == 4
        for frame in found.frames[1::2]:
            alone = explain(source, settings, frame.explanation.window.at)
            assert as_dict(frame.explanation) == as_dict(alone)
            assert found.feature_map[frame.explanation.window.at][0] == frame.channel.pixel


def test_a_part_of_an_image_as_numbers(run, tmp_path):
    """--at shows the outputs from there on, with the values that apply writes with --map raw."""
    out = tmp_path / "out.npy"
    assert run("apply", SAMPLES / "scene.png", "-k", "gaussian5", "--map", "raw", "-o", out).code == 0
    due = np.load(out)
    found = made(str(SAMPLES / "scene.png"), Settings(load_kernel("gaussian5")), Selection(at=(500, 507)))
    assert found.region == ((500, 506), (507, 512))
    assert len(found.frames) == len(found.outputs) == 30
    for at, channel in found.outputs:
        assert float(channel.value) == pytest.approx(due[at].item(), rel=1e-6)


def test_frames_show_those_numbers():
    """The texts of each frame contain weights, products, sum and all outputs so far."""
    settings = Settings(load_kernel("1 2; 3 -4"), padding=Padding.parse("valid"))
    animation = numbers_animation((3, 4), settings, seed=5)
    scenes = list(frame_scenes(animation))
    for index, (frame, scene) in enumerate(zip(animation.frames, scenes, strict=True), start=1):
        texts = [item.text for item in scene.items if isinstance(item, Text)]
        (plane,) = frame.channel.planes
        row, column = frame.explanation.window.at
        assert f"row {row}, column {column}" in texts
        assert scene.title.endswith(f"row {row}, column {column}")
        outputs = [channel.value for _, channel in animation.outputs[:index]]
        numbers = [cell_text(value) for value in (*plane.weights.flat, *plane.products.flat, *outputs)]
        assert all(texts.count(text) >= numbers.count(text) for text in numbers)
        assert any(text.endswith(f"= {cell_text(frame.channel.value)}") for text in texts)


@pytest.mark.parametrize("source", ["numbers", "image"])
def test_pixels_are_those_of_the_scenes(source):
    """Frames painted over each other equal the scenes rasterized separately."""
    if source == "numbers":
        animation = numbers_animation((3, 4), Settings(load_kernel("ones2")), seed=2)
    else:
        animation = made(str(SAMPLES / "scene.png"), Settings(load_kernel("sobel-x")), Selection(most=4))
    for pixels, scene in zip(frame_pixels(animation), frame_scenes(animation), strict=True):
        assert np.array_equal(pixels, raster(scene))


@pytest.mark.parametrize(
    ("value", "cell"), [(-0.000123456, 32), (-0.54321, 32), (-0.54321, 46), (1234567, 46), (-65535.25, 40)]
)
def test_numbers_are_shortened_before_they_are_left_out(value, cell):
    """Numbers fit cells of any width at a readable size, with more digits in wider cells."""
    type_ = cells.NumberStyle.fitting([Fraction(value)], cell)
    assert type_.size >= 9
    text = type_.text(Fraction(value))
    assert lettering.width(text, type_.size) < cell
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=0.2)
    assert len(cells.NumberStyle.fitting([Fraction(value)], 90).text(Fraction(value))) >= len(text)


@pytest.mark.parametrize(
    ("kernel", "beyond"), [("box3", False), ("gaussian5", False), ("ones3", True), ("sobel-x", True)]
)
def test_levels_of_a_shape(kernel, beyond):
    """Black and white are 0 and the largest number, or the range of the feature map if it is wider."""
    settings = Settings(load_kernel(kernel), padding=Padding.parse("valid"))
    with number_image((20, 20), 1) as file:
        values = convcli.conv(np.load(io.BytesIO(file.data)), kernel, padding="valid", dtype="float64")
        found = build_animation("x", file, settings, Selection(white=9))
    np.testing.assert_allclose(found.feature_map[..., 0], values, rtol=1e-6)
    assert found.levels == ((0, 9), (values.min(), values.max()) if beyond else (0, 9))
    drawn = list(frame_pixels(found))[-1]
    layout = FrameLayout(found)
    left, top, right, bottom = layout.output.bounds(*found.region)
    assert np.ptp(drawn[top + 2 : bottom - 2, left + 2 : right - 2, 0].astype(int)) > 80


def test_levels_of_floats(tmp_path):
    """The levels of floats are 0 and 1, or the range of the values if it is wider."""
    pixels = np.linspace(-3, 5, 400, dtype=np.float32).reshape(20, 20)
    source, settings = saved(tmp_path, pixels), Settings(load_kernel("identity"))
    assert made(source, settings).levels == ((-3, 5), (-3, 5))
    part = made(source, settings, Selection(at=(5, 5)))
    assert part.levels[0] == (part.inputs[0].values.min(), part.inputs[0].values.max())
    inside = saved(tmp_path, np.linspace(0.2, 0.4, 400, dtype=np.float32).reshape(20, 20))
    assert made(inside, settings).levels == ((0, 1), (0, 1))


def test_positions_that_no_window_reads():
    """Rows and columns that a stride leaves over, and gaps between windows, are crossed out."""
    for kernel, stride, shape, due in (
        ("ones3", 2, (6, 6), {5}),
        ("ones2", 4, (7, 7), {2, 3, 6}),
        ("ones3", 1, (5, 5), set()),
    ):
        settings = Settings(load_kernel(kernel), stride=(stride, stride), padding=Padding.parse("valid"))
        with number_image(shape, 1) as file:
            layout = FrameLayout(build_animation("x", file, settings, Selection()))
        places = np.ndindex(shape)
        assert layout.unread == [(i, j) for i, j in places if i in due or j in due]


def test_values_beside_pixels(tmp_path):
    """The caption tells value and pixel apart; the numbers of a SHAPE are not pixels."""
    settings = Settings(load_kernel("sobel-x"))
    found = made(str(SAMPLES / "scene.png"), settings, Selection(at=(257, 130)))
    for (place, words), frame in zip(FrameLayout(found).captions, found.frames, strict=True):
        row, column = frame.explanation.window.at
        assert place == f"row {row}, column {column}"
        assert words == f"value {cell_text(frame.channel.value)}, pixel {frame.channel.pixel}"
    with number_image((9, 9), 1) as file:
        numbers = FrameLayout(
            build_animation("x", file, settings, Selection(white=9, at=(2, 2), plain=2**16))
        )
    assert all(len(caption) == 1 for caption in numbers.captions)


def test_many_maps_combined():
    """Of eight maps, four are drawn, and the sums of all."""
    kernel = load_kernel("kirsch").combined("max")
    with number_image((4, 4), 1) as file:
        layout = FrameLayout(build_animation("x", file, Settings(kernel), Selection()))
    assert (len(layout.planes), layout.omitted) == (4, "kernels 4 to 7: only their sums are shown")
    assert [name for name, _ in layout.steps[0]][:9] == [*(f"sum {i}" for i in range(8)), "combined"]


def test_the_feature_map_fills_up(tmp_path):
    """Every frame fills one more cell of the feature map."""
    settings = Settings(load_kernel("1 1"), padding=Padding.parse("valid"))
    found = made(saved(tmp_path, np.full((2, 4), 3, np.uint8)), settings)
    pictures = list(frame_pixels(found))
    layout = FrameLayout(found)
    empty = np.array(EMPTY)
    for index, pixels in enumerate(pictures):
        assert pixels.shape == (*frame_size(found), 3)
        assert not any(side % 2 for side in pixels.shape[:2])
        filled = []
        for row, column in np.ndindex(2, 3):
            left, top, _, _ = layout.output.bounds_of(row, column)
            filled.append(bool((pixels[top + 5, left + 5] != empty).any()))
        assert filled == [place <= index for place in range(6)]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".mkv", ".mp4", ".tif"])
def test_formats_and_time(run, tmp_path, suffix):
    """Every format that holds frames has one frame per output, with its duration."""
    if suffix in (".mkv", ".mp4"):
        pytest.importorskip("av")
    last = Fraction(1, 4) if suffix in (".mkv", ".mp4") else Fraction(2)
    out = tmp_path / f"slide{suffix}"
    arguments = ("animate", "4x4", "-k", "1 2; 0 1", "--padding", "valid", "--fps", "4")
    ran = run(*arguments, "-o", out)
    assert ran.code == 0, ran.err
    assert ran.text == f"written: {out}, 9 frames of 610×490\n"
    with Input.open(str(out)) as file:
        (opened,) = opening.open_input(file, 10**9)
        header = opened.header
        assert (header.frames, header.columns, header.rows) == (9, 610, 490)
        if suffix != ".tif":
            assert header.metadata.timing.durations == (Fraction(1, 4),) * 8 + (last,)
        with number_image((4, 4), 1) as numbers:
            settings = Settings(load_kernel("1 2; 0 1"), padding=Padding.parse("valid"))
            due = list(
                frame_pixels(build_animation("4 × 4 integers, seed 1", numbers, settings, Selection()))
            )
        reader = opened.reader()
        for index, pixels in enumerate(due):
            got = reader.rows(index, 0, 490)[..., :3].astype(int)
            assert np.abs(got - pixels).mean() < (2 if suffix in (".gif", ".mp4") else 1e-9)
    assert run(*arguments, "-o", out).err == f"convcli: {out}: already exists (--force replaces it)\n"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["-o", "f-{frame:02}.svg"], ["f-00.svg", "f-01.svg", "f-02.svg", "f-03.svg"]),
        (["-o", "new/", "--format", "svg"], ["new/0.svg", "new/1.svg", "new/2.svg", "new/3.svg"]),
        (["-o", "f{frame}.png"], ["f0.png", "f1.png", "f2.png", "f3.png"]),
    ],
)
def test_still_frames(run, tmp_path, monkeypatch, arguments, names):
    """{frame} in the name, or a folder for SVG, writes a file for each frame."""
    monkeypatch.chdir(tmp_path)
    ran = run("animate", "3x3", "-k", "ones2", "--padding", "valid", *arguments)
    assert ran.text.startswith(f"written: {names[0]} to {names[-1]}, 4 frames of ")
    assert sorted(str(path) for path in Path().rglob("*.*")) == names
    for index, name in enumerate(names):
        if name.endswith(".svg"):
            words = [element.text for element in ElementTree.parse(name).iter() if element.text]
            assert f"row {index // 2}, column {index % 2}" in words
        else:
            with Image.open(name) as image:
                assert getattr(image, "n_frames", 1) == 1
    assert "already exists" in run("animate", "3x3", "-k", "ones2", *arguments).err


def test_one_still_frame(run, tmp_path):
    """A single frame is the same bytes in an SVG file and on standard output."""
    arguments = ("animate", "4x4", "-k", "box2", "--most", "1", "--format", "svg")
    assert run(*arguments, "-o", tmp_path / "one.svg").text.endswith(", 1 frame of 630×536\n")
    assert run(*arguments, "-o", "-").out == (tmp_path / "one.svg").read_bytes()


def test_shared_colors():
    """The frames of a GIF share at most 255 colors, and unchanged pixels keep their color."""
    with number_image((3, 4), 1) as numbers:
        found = list(
            frame_pixels(build_animation("x", numbers, Settings(load_kernel("sharpen")), Selection()))
        )
    reduced = list(shared_colors(found))
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
    """One frame per output, or as many as the limits allow."""
    ran = run("animate", *arguments, "-k", "box3", "-o", tmp_path / "x.png")
    assert f", {count} frame" in ran.text, ran.err


def test_numbers_of_a_shape():
    """A seed gives the same integers on every machine; ramp counts."""
    with number_image((2, 4), 1) as file:
        assert np.load(io.BytesIO(file.data)).tolist() == [[7, 6, 5, 8], [9, 4, 8, 0]]
    with number_image((20, 20), None) as file:
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
        (
            ["9x9", "-k", "box3", "-o", "x.svg"],
            "an SVG file holds one frame, not 81; use",
        ),
        (["9x9", "-k", "box3", "-o", "x{frame}.svg", "--format", "png"], "the suffix .svg says svg"),
        (["0x4", "-k", "box3", "-o", "x.gif"], "shape 0 is not allowed"),
        (["999x4", "-k", "box3", "-o", "x.gif"], "shapes larger than 256x256 cannot be animated"),
        (
            ["4x4", "-k", "kirsch", "-o", "x.gif"],
            "8 feature maps, but an animation shows one; choose one with --show-map, or use --combine",
        ),
        (
            ["4x4", "-k", "random:3x3x1x25", "--show-map", "25", "-o", "x.gif"],
            "there is no map 25; allowed: 0 to 24",
        ),
        (
            ["4x4", "-k", "random:3x3x1x25", "--combine", "l1", "-o", "x.gif"],
            "25 feature maps; allowed: up to 9",
        ),
        (["4x4", "-k", "sobel", "--show-map", "0", "-o", "x.gif"], "combines its maps to one"),
        (["4x4x2", "-k", "random:3x3x2x2", "--combine", "l1", "-o", "x.gif"], "leave out --combine"),
        (["4x4", "-k", "random:3x3x3x1", "-o", "x.gif"], "takes 3 input channels"),
        (["4x4x3", "-k", "random:3x3x3x1", "--show-channel", "x", "-o", "x.gif"], "there is no channel 'x'"),
        (
            ["4x4", "-k", "box3", "--then", "relu", "--then", "1 1", "-o", "x.gif"],
            "an animation shows one stage of a chain; choose it with --stage (allowed: 1, 3)",
        ),
        (
            ["4x4", "-k", "box3", "--then", "relu", "--stage", "2", "-o", "x.gif"],
            "stage 2 (relu) has no kernel to animate; allowed: 1",
        ),
        (["4x4", "-k", "box3", "--stage", "2", "-o", "x.gif"], "there is no stage 2; allowed: 1"),
        (
            ["4x4", "-k", "sobel:stack", "--then", "box3", "--stage", "2", "-o", "x.gif"],
            "produces 2 feature maps, but an animation shows one; choose one with --show-map",
        ),
        (["4x4x300", "-k", "box3", "-o", "x.gif"], "shapes larger than 256x256x256 cannot be animated"),
        (["40x40", "-k", "box3", "--every", "2", "-o", "x.gif"], "400 frames; allowed: 100 (--most)"),
        (["40x40", "-k", "box3", "--every", "0", "-o", "x.gif"], "every 0 is not allowed"),
        (["4x4", "-k", "box3", "--at", "9,9", "-o", "x.gif"], "9,9 is outside the 4 × 4 feature map"),
        (["4x4", "-k", "box3", "--fps", "0", "-o", "x.gif"], "'0' is not a number above 0 and up to 50"),
        (["4x4", "-k", "box3", "--fps", "x", "-o", "x.gif"], "--fps"),
        (
            ["4x4", "-k", "box3", "--numbers", "x", "-o", "x.gif"],
            "'x' is not ramp or a seed",
        ),
        (["4x4", "-k", "box9", "--padding", "valid", "-o", "x.gif"], "larger than the padded image"),
        (["none.png", "-k", "box3", "-o", "x.gif"], "none.png: No such file or directory"),
        (["4x4", "-k", "box3"], "missing option -o/--output"),
    ],
)
def test_mistakes(run, tmp_path, monkeypatch, arguments, words):
    """Mistakes are errors of one line, and write no file."""
    monkeypatch.chdir(tmp_path)
    ran = run("animate", *arguments)
    assert (ran.code, words in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err
    assert not list(tmp_path.iterdir())


def test_signs_have_strokes():
    """Every sign that the font lacks is drawn within its width."""
    for sign in "−×÷→≈√²":
        image = Image.new("RGB", (40, 40), (255, 255, 255))
        lettering.write(image, (5, 5), sign, 20, (0, 0, 0))
        rows, columns = np.nonzero(np.asarray(image)[..., 0] < 128)
        assert columns.size
        assert 5 <= columns.min() <= columns.max() <= 5 + lettering.width(sign, 20)
        assert 5 <= rows.min() <= rows.max() <= 30
    assert lettering.cut("abcdef", 15, 20).endswith("…")
