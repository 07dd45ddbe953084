"""``convcli explain --then``: a pixel of a chain, back through its stages to the image."""

from __future__ import annotations

import json
import random
from fractions import Fraction

import numpy as np
import pytest

from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.geometry.border import OUTSIDE
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from convcli.layers.stages import ConvolutionStage
from convcli.pipeline import job
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from convcli.visualize.explain.chain import ChainExplanation, chain_stages, explain_chain
from convcli.visualize.explain.chain_output import chain_text
from convcli.visualize.explain.view import PAGE, Selection
from tests.conftest import SAMPLES
from tests.engine.chain_reference import computed
from tests.engine.test_chain import EXACT, SMOOTH, drawn_chain

KERNELS = ("box3", "laplacian8", "gaussian5", "sobel-x", "1 2 3; 0 -1 2", "1 -2", "[3]")


def settings_of(texts: list[str]) -> Settings:
    """A chain's settings from its stages."""
    first, *then = [parse_stage(text, load_kernel) for text in texts]
    assert isinstance(first, ConvolutionStage)
    return Settings(
        first.kernel,
        stride=first.stride,
        padding=first.padding,
        dilation=first.dilation,
        flip=first.flip,
        then=tuple(then),
    )


def explained(source: str, settings: Settings, at: tuple[int, int], **selection: object) -> ChainExplanation:
    return explain_chain(source, settings, at, 0, Selection(**selection))


def drawn(seed: int, folder, functions=EXACT) -> tuple[str, np.ndarray, Settings]:
    """A random image and a chain that fits it."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    x = rng.integers(0, 256, (draw.randint(9, 14), draw.randint(9, 14)), dtype=np.uint8)
    source = str(folder / "in.npy")
    np.save(source, x)
    while True:
        settings = replace(settings_of(drawn_chain(draw, functions, KERNELS)), output=OutputSpec("./"))
        try:
            explained(source, settings, (0, 0))
        except ArgumentError:
            continue
        return source, x, settings


def reference_maps(x: np.ndarray, settings: Settings) -> list[list[np.ndarray]]:
    """The maps after each stage, by the slow loop."""
    maps, after = [np.vectorize(Fraction, otypes=[object])(x.astype(object))], []
    for stage in chain_stages(settings):
        maps = computed(stage, maps)
        after.append(maps)
    return after


@pytest.mark.parametrize("seed", range(24))
def test_every_stage_is_what_the_slow_loop_computes(tmp_path, seed):
    """Values, patches and steps of every stage are exact, and the last one ends at the pixel of apply."""
    source, x, settings = drawn(seed, tmp_path)
    after = reference_maps(x, settings)
    rows, columns = after[-1][0].shape
    at = random.Random(seed).randrange(rows), random.Random(seed + 1).randrange(columns)
    found = explained(source, settings, at)
    (trace,) = found.traces
    assert [stage.number for stage in trace.stages] == list(range(len(after), 0, -1))
    assert trace.stages[0].at == at
    for stage in trace.stages:
        value = after[stage.number - 1][stage.map][stage.at]
        assert stage.channel.steps[-1].value == value, chain_text(found)
        assert not any("rounded" in step.how for step in stage.channel.steps), chain_text(found)
        before = after[stage.number - 2][stage.map] if stage.number > 1 else x
        patches = [plane.parts[-1][1] for plane in stage.channel.planes]
        for patch in patches if stage.patch is None else [stage.patch]:
            for place, cell in np.ndenumerate(patch):
                row, column = (int(stage.window.sources[axis][place[axis]]) for axis in (0, 1))
                fill = getattr(stage.stage.padding.fill, "value", 0)
                assert cell == (fill if OUTSIDE in (row, column) else before[row, column])
    target = str(tmp_path / "out.npy")
    job.apply(source, replace(settings, output=OutputSpec(target)))
    assert trace.channel.computed == trace.channel.pixel == np.load(target)[at]


@pytest.mark.parametrize("seed", range(100, 106))
def test_smooth_functions_end_at_the_pixel_of_apply(tmp_path, seed):
    """Chains that round have a step for it, and end within one of the pixel of apply."""
    source, _, settings = drawn(seed, tmp_path, SMOOTH)
    target = str(tmp_path / "out.npy")
    job.apply(source, replace(settings, output=OutputSpec(target)))
    (trace,) = explained(source, settings, (0, 0)).traces
    assert trace.channel.pixel == np.load(target).reshape(-1)[0]
    assert abs(trace.channel.computed - trace.channel.pixel) <= 1


def test_a_dilated_maximum(tmp_path):
    """A dilated pool reads every other value inside the map, and is traced back to the largest one."""
    x = np.random.default_rng(3).permutation(64).reshape(8, 8).astype(np.uint8)
    np.save(tmp_path / "in.npy", x)
    settings = settings_of(["[1]", "maxpool3x3,dilation=2,padding=2,stride=1"])
    for at in ((0, 0), (3, 4), (7, 2)):
        (trace,) = explained(str(tmp_path / "in.npy"), replace(settings, output=OutputSpec("./")), at).traces
        rows, columns = ([place for place in (at[i] - 2, at[i], at[i] + 2) if 0 <= place < 8] for i in (0, 1))
        assert trace.stages[0].patch.astype(int).tolist() == x[np.ix_(rows, columns)].tolist()
        assert x[trace.stages[1].at] == trace.channel.value == x[np.ix_(rows, columns)].max()


def test_layers_follow_the_map_that_contributes_most(tmp_path):
    """Through layers over several maps, each stage is explained in the map with the largest sum."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (1, 9, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "in.npy", x)
    first = Kernel(rng.integers(-3, 4, (3, 3, 3, 6)), name="first")
    last = Kernel(rng.integers(-3, 4, (3, 3, 6, 4)), name="last", bias=(1, 2, 3, 4))
    valid = parse_stage("box3,padding=valid", load_kernel)
    then = (parse_stage("relu", load_kernel), replace(valid, kernel=last))
    settings = Settings(first, padding=valid.padding, then=then, output=OutputSpec("./"))
    found = explained(str(tmp_path / "in.npy"), settings, (2, 1), maps=(slice(3, 4),))
    maps = np.zeros((7, 6, 6))
    for row, column in np.ndindex(7, 6):
        window = x[0, row : row + 3, column : column + 3].astype(float)
        maps[row, column] = np.maximum(np.einsum("ijc,ijcm->m", window, first.weights), 0)
    window = maps[2:5, 1:4]
    sums = np.einsum("ijc,ijc->c", window, last.weights[..., 3])
    (trace,) = found.traces
    assert (trace.map, trace.channel.value) == (3, sums.sum() + 4)
    assert [float(plane.sum) for plane in trace.stages[0].channel.planes] == sums.tolist()
    most = int(np.abs(sums).argmax())
    assert [(stage.at, stage.map) for stage in trace.stages] == [((2, 1), 3), ((3, 2), most), ((3, 2), most)]
    assert trace.stages[1].channel.value == maps[3, 2, most]
    assert [plane.channel for plane in trace.stages[2].channel.planes] == ["red", "green", "blue"]
    assert len(chain_text(found).splitlines()) < 2 * PAGE


def test_text_of_a_chain(run):
    """Each stage has its sizes with formulas, its window, and the steps to its value."""
    arguments = ("--then", "laplacian8,padding=valid", "--then", "relu", "--then", "maxpool2x2")
    ran = run("explain", SAMPLES / "scene.png", "-k", "gaussian3", *arguments, "--at", "147,28")
    assert ran.text.splitlines()[1:] == EXPECTED.splitlines(), ran.text


EXPECTED = """\
  output   row 147, column 28 of the 255 × 255 feature map, counted from 0
  stages   gaussian3, laplacian8, relu, maxpool2x2
  reads    rows 293 to 298 and columns 55 to 60 of the input, channels each
  mapping  stretch: 0 → 0, 294.938 → 255
  note     values between stages are integers over 16, held exactly
  note     the mapping uses the range of the whole feature map

stage 4, maxpool2x2: row 147, column 28 of 255 × 255
  rows     floor((510 + 0 + 0 − 2) / 2) + 1 = 255
  columns  floor((510 + 0 + 0 − 2) / 2) + 1 = 255
  window   rows 294 to 295 and columns 56 to 57 of stage 3

   values
   0  84
   0  84

  largest  of 0, 84, 0, 84              = 84
  mapping  stretch: 255 · v / 294.9375  = 114240/1573 ≈ 72.6256
  rounded  to the nearest integer       = 73
  pixel                                 = 73

stage 3, relu: row 294, column 57 of 510 × 510, the largest value above
  relu  max(0, 84)  = 84

stage 2, laplacian8: row 294, column 57 of 510 × 510, the value above
  rows     floor((512 + 0 + 0 − 3) / 1) + 1 = 510
  columns  floor((512 + 0 + 0 − 3) / 1) + 1 = 510
  window   rows 294 to 296 and columns 57 to 59 of stage 1

   patch           kernel       products
   96  96  124     1   1  1     96    96  124
   96  96  124     1  −8  1     96  −768  124
   96  96  124     1   1  1     96    96  124

  sum  96 + 96 + 124 + 96 − 768 + 124 + 96 + 96 + 124  = 84

stage 1, gaussian3: row 295, column 58 of 512 × 512, the center of the window above
  rows     floor((512 + 1 + 1 − 3) / 1) + 1 = 512
  columns  floor((512 + 1 + 1 − 3) / 1) + 1 = 512
  padding  same:reflect
  window   rows 294 to 296 and columns 57 to 59 of the input

   patch          kernel      products
   96  96  96     1  2  1      96  192   96
   96  96  96     2  4  2     192  384  192
   96  96  96     1  2  1      96  192   96

  sum    96 + 192 + 96 + 192 + 384 + 192 + 96 + 192 + 96  = 1536
  scale  ÷ 16                                             = 96
"""


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["color.png", "--then", "sobel"], ["red, map 0", "others, as value → pixel", "  green "]),
        (["color.png", "--then", "relu", "--show-channel", "1"], ["row 40, column 30 of 384 × 512\n"]),
        (["scene.png", "--then", "kirsch:stack"], ["map 7 ", "--show-map 1 traces map 1 back"]),
        (["scene.png", "--then", "avgpool3x3,padding=1"], ["average  ÷ 9"]),
        (["scene.png", "--then", "threshold:20"], ["is from 20", "stage 2, threshold:20"]),
        (["scene.png", "--then", "leaky-relu:1/10", "--then", "abs", "--then", "tanh"], ["stage 4, tanh"]),
    ],
)
def test_special_cases(run, arguments, lines):
    """Colors, banks, pools and functions have their words, within the width of a page."""
    name, *then = arguments
    ran = run("explain", SAMPLES / name, "-k", "gaussian3", *then, "--at", "40,30")
    assert all(line in ran.text for line in lines), ran.text + ran.err
    assert max(map(len, ran.text.splitlines())) <= 130


def test_json_of_a_chain(run):
    """JSON has every map and channel, each with its stages from the last to the first."""
    arguments = ("-k", "box3", "--then", "sobel:stack", "--then", "maxpool2x2", "--at", "3,4")
    report = json.loads(run("explain", SAMPLES / "color.png", *arguments, "--report", "json").text)
    assert report["stages"] == ["box3", "sobel:stack", "maxpool2x2"]
    assert [map_["map"] for map_ in report["maps"]] == [0, 1]
    for map_ in report["maps"]:
        assert [channel["channel"] for channel in map_["channels"]] == ["red", "green", "blue"]
        assert map_["pixel"] == [channel["pixel"] for channel in map_["channels"]]
        for channel in map_["channels"]:
            assert [stage["stage"] for stage in channel["stages"]] == [3, 2, 1]
            pool, sobel, box = channel["stages"]
            assert pool["value"] == max(map(max, pool["values"]))
            assert sobel["at"] in [[i, j] for i in pool["window"]["rows"] for j in pool["window"]["columns"]]
            assert sobel["value"] == pool["value"]
            (plane,) = sobel["planes"]
            assert box["value"] == plane["parts"][-1]["values"][1][1]
            assert Fraction(box["steps"][-1]["exact"]) == Fraction(box["planes"][0]["sum"], 9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["transparent.png", "-k", "gaussian3", "--then", "box3"], "use --alpha keep or drop"),
        (["scene.png", "-k", "gaussian3", "--linear"], "leave out --linear"),
        (["scene.png", "-k", "sobel:stack", "--show-map", "2"], "there is no map 2; allowed: 0 to 1"),
        (["color.png", "-k", "box3", "--show-channel", "x"], "there is no channel 'x'; allowed: red, green"),
    ],
)
def test_mistakes(run, arguments, words):
    """Errors of one line say what to do instead."""
    name, *rest = arguments
    stages = [] if "--then" in rest else ["--then", "relu"]
    ran = run("explain", SAMPLES / name, *rest, *stages, "--at", "3,3")
    assert (ran.code, words in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err
