"""Figures and sheets of chains: every stage is shown, with the maps that apply writes up to it."""

from __future__ import annotations

from itertools import pairwise

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.frozen import replace
from convcli.layers.stage_text import parse_stage
from convcli.pipeline.settings import Settings
from convcli.visualize.chain_figure import MOST_MAPS, MOST_STAGES
from convcli.visualize.figure import figure
from convcli.visualize.lettering import width
from convcli.visualize.map_set import compute_maps
from convcli.visualize.operations import Curve, words
from convcli.visualize.scene import Line, PlacedImage, Polygon, Text
from convcli.visualize.sheet import map_sheet
from convcli.visualize.svg import svg
from tests.conftest import SAMPLES, decoded
from tests.visualize.test_map_set import in_colors, place_of

CLEAR = SAMPLES / "transparent.png"


def chain(kernel: str, *stages: str) -> Settings:
    return Settings(
        convcli.load_kernel(kernel), then=tuple(parse_stage(text, convcli.load_kernel) for text in stages)
    )


@pytest.fixture
def image(tmp_path):
    """Writes random pixels of a shape; returns the file."""

    def written(*shape: int):
        path = tmp_path / "image.png"
        pixels = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
        path.write_bytes(imagecodecs.png_encode(pixels))
        return path

    return written


def texts(scene) -> list[str]:
    return [item.text for item in scene.items if isinstance(item, Text)]


def arrows(scene) -> list[Polygon]:
    return [item for item in scene.items if isinstance(item, Polygon)]


STAGES = ("laplacian8", "relu", "maxpool2x2")


@pytest.mark.parametrize("options", [(), ("--map", "signed:300", "--colormap", "viridis")])
def test_maps_of_every_stage_are_what_apply_writes(run, tmp_path, image, options):
    """The map after each stage has the pixels of the chain that ends there."""
    source = image(60, 64)
    shown = options or ("--map", "auto")
    then = [word for stage in STAGES for word in ("--then", stage)]
    page = tmp_path / "page.png"
    drawn = (*then, *options, "--figure", "--tile", 64, "-o", page)
    assert run("apply", source, "-k", "gaussian3", *drawn).code == 0
    found = compute_maps(str(source), [chain("gaussian3", *STAGES)], stages=True)
    for count, (map_,) in enumerate(found.chains[0]):
        mapping = shown if options else ("--map", str(map_.report.mapping))
        out = tmp_path / f"{count}.png"
        ran = run("apply", source, "-k", "gaussian3", *then[: 2 * count], *mapping, "-o", out)
        assert ran.code == 0, ran.err
        place_of(in_colors(decoded(out)), decoded(page))


def test_stages_are_labeled(image):
    """Each stage has its name and place, what it does, and the sizes and ranges of its maps."""
    scene = figure(compute_maps(str(image(40, 48)), [chain("sobel-x", "abs", "avgpool2x2")], stages=True), 64)
    found = texts(scene)
    for text in ("sobel-x", "abs", "avgpool2x2", "magnitudes", "average of 2 × 2", "stride 2, 2"):
        assert text in found
    assert [text for text in found if text.startswith("stage")] == [
        "stage 1: 3 × 3 weights, sum 0",
        "stage 2",
        "stage 3",
    ]
    assert sum(text.startswith("40 × 48, values") for text in found) == 2
    assert sum(text.startswith("20 × 24, values") for text in found) == 1
    assert len(arrows(scene)) == 6
    assert "sobel-x.abs.avgpool2x2" in svg(scene)


@pytest.mark.parametrize("shape", [(8, 8), (300, 270), (40, 2000), (300, 20), (50, 60, 3), (2, 1)])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_chains_of_any_length_fit(image, shape, count):
    """Chains of any length over images of any shape fit the page, and no texts of a line overlap."""
    stages = [
        "relu",
        "box3",
        "clip:-20,255",
        "threshold:5,200",
        "sigmoid",
        "laplacian8",
        "leaky-relu:0.1",
        "tanh",
    ]
    scene = figure(compute_maps(str(image(*shape)), [chain("sobel-x", *stages[:count])], stages=True), 256)
    shares = {"start": 0, "middle": 0.5, "end": 1}
    spans = []
    for item in scene.items:
        if isinstance(item, Text):
            left = item.place[0] - shares[item.anchor] * width(item.text, item.size)
            assert left >= 0, item
            assert left + width(item.text, item.size) <= scene.width, item
            assert 0 < item.place[1] < scene.height, item
            spans.append((item.place[1], left, left + width(item.text, item.size)))
        elif isinstance(item, PlacedImage):
            assert item.place[0] + item.pixels.shape[1] * item.zoom <= scene.width
            assert item.place[1] + item.pixels.shape[0] * item.zoom <= scene.height
    for (y, _, end), (below, begin, _) in pairwise(sorted(spans)):
        assert y != below or end <= begin + 1
    assert len(arrows(scene)) == 2 * (count + 1)
    assert scene.width <= 1640


def test_small_maps_are_enlarged(image):
    """A map that strides make small takes half a tile; its numbers are shown."""
    found = compute_maps(str(image(64, 64)), [chain("box3", "maxpool4x4", "maxpool4x4")], stages=True)
    scene = figure(found, 256)
    sizes = [
        item.pixels.shape[0] * item.zoom for item in scene.items if isinstance(item, PlacedImage)
    ]  # with the weights and color bars
    assert sizes.count(256) >= 3
    assert {128} <= set(sizes)
    (last,) = found.maps
    for value in np.unique(last.values):
        assert f"{value:.4g}" in texts(scene)


@pytest.mark.parametrize("common", [False, True])
def test_banks_are_strips(image, common):
    """Of many maps, the first are drawn with names, the others counted; a common range has one bar."""
    found = compute_maps(str(image(40, 48)), [chain("kirsch:stack", "relu")], common=common, stages=True)
    scene = figure(found, 64)
    written = texts(scene)
    assert written.count("8 feature maps") == 2
    assert written.count("and 2 more") == 2
    assert (written.count("kirsch-e"), written.count("kirsch-se")) == (2, 0)
    for stage in found.chains[0]:
        assert (len({map_.bar for map_ in stage}) == 1) is common
    images = [item for item in scene.items if isinstance(item, PlacedImage)]
    bars = 1 if common else MOST_MAPS
    assert len(images) == 1 + 2 * (MOST_MAPS + bars)


def test_a_layer_that_sums_names_maps_by_number(image):
    """After a kernel over several maps, maps have numbers, and the last kernel's planes as badges."""
    settings = chain("sobel:stack", "relu", "random:3x3x2x3,seed=1")
    found = compute_maps(str(image(20, 24)), [settings], stages=True)
    assert [map_.name for map_ in found.chains[0][1]] == ["sobel-x.relu", "sobel-y.relu"]
    assert [map_.number for map_ in found.maps] == [", map 0", ", map 1", ", map 2"]
    ((kernel, index),) = found.maps[2].path
    assert (kernel is settings.then[1].kernel, index) == (True, 2)
    path = compute_maps(str(image(20, 24)), [chain("sobel:stack", "kirsch:stack")]).maps[11].path
    assert [(each.name, own) for each, own in path] == [("sobel:stack", 1), ("kirsch:stack", 3)]


def test_several_chains_share_the_input(image):
    """A line leads from the input to each chain; all stages count for the limit."""
    source = str(image(20, 24))
    both = [chain("sobel-x", "relu"), chain("sobel-y", "relu")]
    scene = figure(compute_maps(source, both, stages=True), 64)
    assert len(arrows(scene)) == 8
    assert any(isinstance(item, Line) and item.start[0] == item.end[0] for item in scene.items)
    with pytest.raises(convcli.ConvcliError, match=f"up to {MOST_STAGES} stages, not 18; use --sheet"):
        figure(compute_maps(source, both[:1] * 9, stages=True), 64)


def test_stages_treat_transparency_alike():
    """A chain that keeps alpha shows averages with alpha kept, too: the values that the next stage reads."""
    settings = chain("gaussian3", "relu")
    first, _ = compute_maps(str(CLEAR), [settings], stages=True).chains[0]
    alone = compute_maps(str(CLEAR), [replace(settings, then=(), alpha="keep")]).maps
    assert np.array_equal(first[0].gray, alone[0].gray)


def test_sheets_name_chains(image):
    """Panels have the name of the chain, badges of its kernels, and all stages below."""
    found = compute_maps(str(image(20, 24)), [chain("sobel-x", "laplacian8", "relu")])
    scene = map_sheet(found, 256, common=False)
    assert "sobel-x.laplacian8.relu" in texts(scene)
    assert "sobel-x → laplacian8 → relu" in texts(scene)
    badges = [
        item for item in scene.items if isinstance(item, PlacedImage) and item.pixels.shape == (3, 3, 3)
    ]
    assert len(badges) == 2


@pytest.mark.parametrize(
    ("stage", "points", "described"),
    [
        ("relu", {-1: 0, 0.5: 0.5}, "negative values become 0"),
        ("leaky-relu:0.25", {-1: -0.25, 1: 1}, "negative values are multiplied by 0.25"),
        ("abs", {-1: 1, 1: 1}, "magnitudes"),
        ("clip:-20,30", {-50: -20, 0: 0, 60: 30}, "values are limited to −20 … 30"),
        ("relu6", {-3: 0, 3: 3, 9: 6}, "values are limited to 0 … 6"),
        ("threshold:5", {4: 0, 5: 1}, "1 for values from 5, 0 for others"),
        ("threshold:5,20", {4: 0, 5: 1, 20: 1, 25: 0}, "1 for values from 5 to 20, 0 for others"),
        ("sigmoid", {-6: 1 / (1 + np.exp(6)), 6: 1 / (1 + np.exp(-6))}, "1 / (1 + exp(−x))"),
        ("tanh", {-3: np.tanh(-3), 3: np.tanh(3)}, "hyperbolic tangent"),
    ],
)
def test_curves_are_those_of_the_functions(stage, points, described):
    """A curve goes through the values of its function, and the text has its parameters."""
    spec = parse_stage(stage, convcli.load_kernel)
    curve = Curve.of(spec)
    arguments, values = curve.points
    step = float(np.diff(arguments).max())
    for argument, value in points.items():
        near = np.abs(arguments - argument) <= step
        assert np.abs(values[near] - value).min() <= 1e-9 + step / 2
    assert words(spec) == described


def test_terminals_show_chains(run, image):
    """In a terminal, results have the names of their chains."""
    shown = run("apply", image(20, 24), "-k", "sobel:stack", "--then", "relu", "-o", "term:blocks")
    assert shown.code == 0
    assert "image.png, sobel-x.relu" in shown.text
