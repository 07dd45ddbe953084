"""``convcli explain``: one pixel from its inputs, and the pixel that apply writes."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from convcli.core.frozen import replace
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.pipeline import job
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from convcli.visualize.explain.output import as_dict, as_text
from convcli.visualize.explain.pixel import explain
from convcli.visualize.explain.view import PAGE, Selection
from tests.conftest import SAMPLES

PICTURES, PLACES = 250, 4
MAPS = ["auto", "clip", "abs", "signed", "stretch", "signed:300", "stretch:-90,700"]
FILLS = ["zero", "7", "edge", "reflect", "symmetric", "wrap"]
SETS = ["sobel", "scharr:max", "prewitt:min", "sobel:linf", "sobel:l1", "kirsch:argmax"]
DTYPES = [np.uint8, np.uint8, np.uint8, np.uint16, np.int16, np.float32]


def random_kernel(rng: np.random.Generator) -> Kernel:
    """Integers over a denominator, floats, or maps that are combined."""
    rows, columns = rng.integers(1, 5, 2)
    match rng.integers(6):
        case 0:
            return load_kernel(str(rng.choice(SETS)))
        case 1:
            return Kernel(rng.normal(size=(rows, columns)))
        case 2:
            return Kernel(np.ones((rows, columns), int), scale=Fraction(1, int(rows * columns)))
    scale = Fraction(1, int(rng.integers(1, 12)))
    return Kernel(rng.integers(-4, 6, (rows, columns)), scale=scale, bias=Fraction(int(rng.integers(9)), 2))


def random_settings(rng: np.random.Generator, floats: bool, colors: int) -> Settings:
    """Any of apply's options; floats keep to the mappings that they have."""
    groups = 3 if colors == 3 and rng.random() < 0.1 else 1
    amount = str(rng.choice(["valid", "same", "same-lower", "full", "1", "2,1", "0,2,1,0"]))
    mapping = str(rng.choice(["raw", "signed", "stretch", "auto"] if floats else MAPS))
    kernel = random_kernel(rng) if groups == 1 else Kernel(rng.integers(-4, 6, (2, 3, 1, groups)))
    transposed = rng.random() < 0.2
    return Settings(
        kernel,
        stride=tuple(rng.integers(1, 4, 2).tolist()),
        padding=Padding.parse(f"{amount}:{'zero' if transposed else rng.choice(FILLS)}"),
        transposed=transposed,
        dilation=tuple(rng.integers(1, 3, 2).tolist()),
        flip=bool(rng.integers(2)),
        channels=None if groups > 1 else str(rng.choice(["each", "each", "gray", "sum"])),
        groups=groups,
        mapping=Mapping.parse(mapping),
        linear=rng.random() < 0.1,
        depth=None if floats or rng.random() < 0.7 else str(rng.choice(["8", "16", "float"])),
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_pixel_is_the_one_that_apply_writes(tmp_path, seed, monkeypatch):
    """At 1,000 random places and settings, exact steps end at the pixel that apply writes."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    rng, exact = np.random.default_rng(seed), 0
    source, target = str(tmp_path / "in.npy"), str(tmp_path / "out.npy")
    for _ in range(PICTURES // 5):
        dtype = DTYPES[rng.integers(len(DTYPES))]
        shape = *rng.integers(8, 14, 2), rng.integers(1, 5)
        pixels = rng.normal(size=shape) if dtype is np.float32 else rng.integers(0, 256, shape)
        np.save(source, pixels.astype(dtype))
        settings = random_settings(rng, dtype is np.float32, shape[2])
        job.apply(source, replace(settings, output=OutputSpec(target), force=True, stack=settings.groups > 1))
        written = np.load(target)
        written = written[0] if written.ndim == 4 else written.reshape(*written.shape[:2], -1)
        for _ in range(PLACES):
            at = tuple(int(rng.integers(size)) for size in written.shape[:2])
            found = explain(source, settings, at)
            channels = [channel for map_ in found.maps for channel in map_]
            assert [channel.pixel for channel in channels] == written[at].tolist(), as_text(found)
            if found.exact and written.dtype.kind in "iu" and found.task.color_handling.alpha != "filter":
                assert [channel.computed for channel in channels] == written[at].tolist(), as_text(found)
                exact += 1
            off = max(abs(float(channel.computed - channel.pixel)) for channel in channels)
            assert off <= (1 if written.dtype.kind in "iu" else 1e-4), as_text(found)
    assert exact > 50


def test_text_output(run):
    """The complete text for one pixel at an edge."""
    text = run("explain", SAMPLES / "scene.png", "-k", "box3", "--at", "0,3", "--padding", "same").text
    assert text.splitlines()[1:] == [
        "  output   row 0, column 3 of the 512 × 512 feature map, counted from 0",
        "  window   rows −1 to 1 and columns 2 to 4 of the input",
        "  kernel   box3, cross-correlation, channels each",
        "  padding  same:zero",
        "  mapping  clip: rounded to nearest, saturated at 0 and 255",
        "",
        "   patch                kernel      products",
        "    (0)   (0)   (0)     1  1  1       0    0    0",
        "   164   164   164      1  1  1     164  164  164",
        "   164   164   164      1  1  1     164  164  164",
        "",
        "  sum      164 + 164 + 164 + 164 + 164 + 164  = 984",
        "  scale    ÷ 9                                = 328/3 ≈ 109.333",
        "  rounded  to the nearest integer             = 109",
        "  pixel                                       = 109",
        "",
        "  ( ) marks padding (zero)",
    ]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["-k", "sharpen", "--flip"], ["kernel, rotated", "convolution (kernel rotated by 180°)"]),
        (["-k", "1/2 1/2"], ["to the nearest integer"]),
        (["-k", "[9]", "--map", "clip"], ["saturated  255 is the largest 8-bit value"]),
        (["-k", "sobel", "--channels", "gray"], ["brightness, map 1", "combined", "√("]),
        (["-k", "sobel-x", "--map", "signed:800"], ["signed: 128 + 127 · v / 800"]),
        (["-k", "box3", "--linear"], ["light", "encoded with the sRGB curve"]),
        (["-k", "1/3 0 -1/3", "--map", "signed:2/3"], ["128 + 127 · v / (2/3)"]),
        (["-k", "box3", "--map", "stretch:1/3,200"], ["255 · (v − 1/3) / (599/3)"]),
        (["-k", "box3", "--channels", "gray"], ["brightness = 0.299 · red + 0.587 · green + 0.114 · blue"]),
        (["-k", "random:3x3x3x2"], ["map 0, gray", "map 1, gray", "(red)"]),
        (["-k", "random:3x3x1x3", "--groups", "3"], ["map 0, red", "map 1, green", "map 2, blue"]),
        (["-k", "1 1"], ["row 100 and columns 20 to 21 of the input"]),
        (["-k", "box31"], ["31 × 31 cells; --report json lists them"]),
    ],
)
def test_special_cases(run, arguments, lines):
    """Rotated kernels, ties, saturation, several maps, linear light, and large grids have their words."""
    text = run("explain", SAMPLES / "color.png", "--at", "100,20", *arguments).text
    assert all(line in text for line in lines), text
    assert max(map(len, text.splitlines())) <= 130


def test_alpha_that_is_filtered_divides_by_its_sum(run, tmp_path):
    """Colors are weighted by alpha: (200·255 + 0·51) / (255 + 51)."""
    path = tmp_path / "in.png"
    path.write_bytes(imagecodecs.png_encode(np.array([[[200, 255], [0, 51]]], np.uint8)))
    text = run("explain", path, "-k", "1/2 1/2", "--padding", "valid", "--at", "0,0").text
    assert "times alpha" in text
    assert "÷ 306 (sum of alpha · kernel)" in text
    assert "= 167" in text
    assert "= 153" in text


def test_json_has_every_number(run):
    """JSON has patch, padding, weights, products and steps, exactly."""
    arguments = ["-k", "gaussian3", "--at", "0,0", "--report", "json"]
    report = json.loads(run("explain", SAMPLES / "scene.png", *arguments).text)
    assert report["at"] == [0, 0]
    assert report["window"] == {"rows": [-1, 0, 1], "columns": [-1, 0, 1]}
    assert report["outside"] == [[True] * 3, [True, False, False], [True, False, False]]
    (channel,) = report["maps"][0]["channels"]
    (plane,) = channel["planes"]
    patch, weights = (np.array(plane["parts"][-1]["values"]), np.array(plane["weights"]))
    assert np.array_equal(patch * weights, plane["products"])
    assert plane["sum"] == (patch * weights).sum()
    assert Fraction(channel["steps"][1]["exact"]) == Fraction(plane["sum"], 16)
    assert report["maps"][0]["pixel"] == [channel["pixel"]]


def deep_image(folder, channels=64):
    """An image of many channels, (12, 13, channels) of uint8."""
    rng = np.random.default_rng(6)
    np.save(folder / "deep.npy", rng.integers(0, 256, (1, 12, 13, channels), dtype=np.uint8))
    return str(folder / "deep.npy")


def integer_bank(channels=64, maps=64):
    weights = np.random.default_rng(7).integers(-4, 5, (3, 3, channels, maps))
    return Kernel(weights, name="bank")


def test_a_bank_over_many_channels_is_a_page(tmp_path):
    """Of 64 maps over 64 channels, a page: four channels of map 0, and the value and pixel of every map."""
    settings = Settings(integer_bank())
    text = as_text(explain(deep_image(tmp_path), settings, (5, 6)))
    found = as_dict(explain(deep_image(tmp_path), settings, (5, 6)))
    assert len(text.splitlines()) <= PAGE
    sums = [map_["channels"][0]["steps"][0]["value"] for map_ in found["maps"]]
    for index, value in enumerate(sums[1:], start=1):
        (pixel,) = found["maps"][index]["pixel"]
        assert re.search(rf"map {index} +{str(value).replace('-', '−')} → {pixel}\b", text)
    assert "map 0, gray" in text
    planes = sorted(found["maps"][0]["channels"][0]["planes"], key=lambda plane: -abs(plane["sum"]))
    for plane in planes[:4]:
        assert f"{plane['channel']}, sum {str(plane['sum']).replace('-', '−')}\n" in text
    rest = str(sum(plane["sum"] for plane in planes[4:])).replace("-", "−")
    assert f"60 other channels sum to {rest}; --show-channel all shows every channel" in text
    assert "  --show-map 1 shows map 1 in full, --show-map all every map" in text


@pytest.mark.parametrize("combined", [False, True])
def test_large_banks_are_as_brief_as_small_ones(run, tmp_path, monkeypatch, combined):
    """Only the first map of a large bank is explained; its page is that of all maps, to the letter."""
    source, kernel = deep_image(tmp_path, 6), tmp_path / "bank.npy"
    np.save(kernel, integer_bank(6, 9).weights)
    arguments = ["explain", source, "-k", kernel, "--at", "4,5", *(["--combine", "max"] if combined else [])]
    full = run(*arguments).text
    monkeypatch.setattr("convcli.visualize.explain.pixel.MOST_WEIGHTS", 10)
    assert run(*arguments).text == full
    assert ("map 8 " in full) is not combined


def test_many_channels_of_one_map_are_a_page(tmp_path):
    """Where each of 64 channels is filtered, one is explained and the others are listed."""
    found = explain(deep_image(tmp_path), Settings(load_kernel("box3")), (5, 6))
    text = as_text(found)
    assert len(text.splitlines()) <= PAGE
    assert text.count("products") == 1
    for index, channel in enumerate(found.maps[0][1:], start=1):
        assert re.search(rf"channel {index} +[\d.]+ → {channel.pixel}\b", text)
    assert "--show-channel 1 shows channel 1 in full" in text


@pytest.mark.parametrize(
    ("maps", "channels", "indices", "planes"),
    [
        ((), (), [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]),
        ((slice(1, 3),), (), [1, 2], [0, 1, 2, 3, 4, 5]),
        ((slice(4, 5), slice(-5, 1)), (slice(2, 3),), [0, 4], [2]),
        ((slice(None),), ("channel 5", slice(0, 2)), [0, 1, 2, 3, 4], [0, 1, 5]),
    ],
)
def test_chosen_maps_and_channels(tmp_path, maps, channels, indices, planes):
    """JSON has the chosen maps, and channels whose sums add up to that of all with the sum of the others."""
    selection = Selection(maps, channels)
    settings, source = Settings(integer_bank(6, 5)), deep_image(tmp_path, 6)
    report = as_dict(explain(source, settings, (2, 3), 0, selection.map_indices(5)), selection)
    assert [map_["map"] for map_ in report["maps"]] == indices
    pixels = np.load(source)[0].astype(int)
    due = np.einsum("ijc,ijcm->m", pixels[1:4, 2:5], settings.kernel.weights)
    for map_ in report["maps"]:
        (channel,) = map_["channels"]
        assert [plane["channel"] for plane in channel["planes"]] == [f"channel {index}" for index in planes]
        others = channel.get("others", {"planes": 0, "sum": 0})
        assert others["planes"] == 6 - len(planes)
        assert sum(plane["sum"] for plane in channel["planes"]) + others["sum"] == due[map_["map"]]
        assert channel["steps"][0]["value"] == due[map_["map"]]


def test_chosen_by_name(run):
    """A name chooses a channel of the pixel or an input channel; indices count the image's channels."""
    arguments = ("explain", SAMPLES / "color.png", "--at", "9,9", "--report", "json", "--show-channel")
    for chosen in ("Blue", "2", "-1"):
        each = json.loads(run(*arguments, chosen, "-k", "box3").text)["maps"][0]["channels"]
        assert [channel["channel"] for channel in each] == ["blue"]
        (summed,) = json.loads(run(*arguments, chosen, "-k", "random:3x3x3x1").text)["maps"][0]["channels"]
        assert summed["channel"] == "gray"
        assert [plane["channel"] for plane in summed["planes"]] == ["blue"]


def test_maps_that_are_combined(run):
    """Of eight maps that are combined, the chosen ones are shown; the sums of all are steps."""
    arguments = ("explain", SAMPLES / "scene.png", "-k", "kirsch", "--at", "90,80")
    text = run(*arguments, "--combine", "max", "--show-map", "2:4").text
    assert re.findall(r"gray, map (\d)", text) == ["2", "3"]
    assert "6 other maps not shown; --show-map all shows every map" in text
    assert re.findall(r"sum (\d)", text) == list("01234567")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--show-map", "8"], "there is no map 8; allowed: 0 to 7"),
        (["--show-map", "8:"], "there is no map 8:; allowed: 0 to 7"),
        (["--show-map", "x"], "'x' is not all, N or A:B"),
        (["--show-channel", "violet"], "there is no channel 'violet'; allowed: red, green, blue, or 0 to 2"),
        (["--show-channel", "3"], "there is no channel 3; allowed: red, green, blue, or 0 to 2"),
        (["--show-channel", ""], "an empty name"),
    ],
)
def test_maps_and_channels_that_do_not_exist(run, arguments, words):
    """Errors of one line name what is allowed."""
    ran = run("explain", SAMPLES / "color.png", "-k", "kirsch:stack", "--at", "3,3", *arguments)
    assert (ran.code, words in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("512,0", "512,0 is outside the 512 × 512 feature map; allowed: 0,0 to 511,511"),
        ("-1,0", "is not ROW,COL"),
        ("3", "is not ROW,COL"),
        ("1,2,3", "is not ROW,COL"),
    ],
)
def test_places_outside_the_feature_map(run, at, words):
    """A place outside the feature map is an error of one line with the allowed range."""
    ran = run("explain", SAMPLES / "scene.png", "-k", "box3", f"--at={at}")
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.count("\n") == 1


def test_a_missing_image(run):
    """The error names the file."""
    for command in (("explain", "--at", "0,0"), ("explore",)):
        ran = run(*command, "none.png", "-k", "box3")
        assert (ran.code, ran.err) == (2, "convcli: none.png: No such file or directory\n")


def test_not_a_number_is_shown_as_it_is(tmp_path):
    """A NaN in the window makes the value NaN; a weight of 0 hides it."""
    path = tmp_path / "in.npy"
    np.save(path, np.array([[1.5, np.nan, 2.5]], np.float32))
    settings = Settings(load_kernel("1 1"), padding=Padding.parse("valid"))
    assert np.isnan(explain(str(path), settings, (0, 0)).maps[0][0].pixel)
    hidden = Settings(load_kernel("1 0"), padding=Padding.parse("valid"))
    found = explain(str(path), hidden, (0, 0))
    assert found.maps[0][0].pixel == 1.5
    assert as_dict(found)["maps"][0]["pixel"] == [1.5]


def test_a_frame_of_several(run, tmp_path):
    """The pixel of any page, with the range that all share; an error for a page that does not exist."""
    pages = np.random.default_rng(3).integers(0, 256, (3, 9, 8), dtype=np.uint8)
    path, out = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, pages, photometric="minisblack")
    assert run("apply", path, "-k", "sobel-x", "-o", out).code == 0
    for frame, written in enumerate(tifffile.imread(out)):
        found = explain(str(path), Settings(load_kernel("sobel-x")), (4, 5), frame)
        assert found.maps[0][0].computed == found.maps[0][0].pixel == written[4, 5]
    ran = run("explain", path, "-k", "box3", "--at", "0,0", "--frame", 3)
    assert "there is no frame 3; allowed: 0 to 2" in ran.err


def test_small_weights_beside_large_ones(run, tmp_path):
    """Weights that would be long integers over a denominator are decimals, and none is rounded to 0."""
    np.save(tmp_path / "in.npy", np.array([[1, 2], [3, 1]], np.uint8))
    kernel = "1000 -1000; 123.456 -0.001"
    ran = run("explain", tmp_path / "in.npy", "-k", kernel, "--padding", "valid", "--at", "0,0")
    assert "1000.00  −1000.00" in ran.text
    assert "123.46    −0.001" in ran.text
    assert "1000 − 2000 + 370.368 − 0.001" in ran.text
    assert "scale" not in ran.text


def test_linear_light_of_more_channels_than_colors(tmp_path):
    """Any number of channels is explained in linear light, with the pixel that ``apply`` computes."""
    path = tmp_path / "in.npy"
    np.save(path, np.random.default_rng(4).integers(0, 65536, (1, 6, 7, 5), dtype=np.uint16))
    settings = Settings(load_kernel("1 2 1"), linear=True)
    found = explain(str(path), settings, (3, 4))
    assert len(found.maps[0]) == 5
    assert all(channel.computed == channel.pixel for channel in found.maps[0])


def test_zeros_between_pixels(tmp_path, monkeypatch):
    """Which pixels an output of a transposed convolution reads, with the zeros between them marked."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.arange(1, 13, dtype=np.uint8).reshape(3, 4) * 10).save("small.png")
    kernel = Kernel(np.arange(1, 10).reshape(3, 3))
    settings = Settings(kernel, (2, 2), Padding.parse("1"), transposed=True, output_padding=(1, 1))
    explanation = explain("small.png", replace(settings, mapping=Mapping("raw")), (1, 1))
    text = as_text(explanation)
    assert "rows 0 to 2 and columns 0 to 2 of the input with (1, 1) zeros between pixels\n" in text
    assert "  pixels   rows 0, 1 and columns 0, 1 of the input\n" in text
    grids = [
        "   patch        kernel, rotated     products",
        "   10  ·  20     9  8  7             90  ·  140",
        "    ·  ·   ·     6  5  4              ·  ·    ·",
        "   50  ·  60     3  2  1            150  ·   60",
    ]
    assert [" ".join(line.split()) for line in text.splitlines()[-9:-5]] == [
        " ".join(line.split()) for line in grids
    ]
    assert text.endswith("  · marks zeros between pixels\n")
    assert explanation.maps[0][0].pixel == 90 + 140 + 150 + 60
    found = as_dict(explanation)
    assert found["pixels"] == {"rows": [0, None, 1], "columns": [0, None, 1]}
    assert found["operation"] == "transposed cross-correlation"
