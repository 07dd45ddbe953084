"""Several kernels, stacks, sheets and figures: the maps in them are those that apply writes."""

from __future__ import annotations

import base64
import json
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pytest
import tifffile

import convcli
from convcli.core.frozen import replace
from convcli.geometry.padding import Padding
from convcli.kernels.bank import joined
from convcli.layers.stage_text import parse_stage
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.settings import Settings
from convcli.visualize.display import Scale, to_uint8
from convcli.visualize.figure import figure
from convcli.visualize.map_set import compute_maps
from convcli.visualize.panels import path_badges
from convcli.visualize.raster import raster
from convcli.visualize.scene import PlacedImage, Polygon, Text
from convcli.visualize.sheet import map_sheet
from convcli.visualize.svg import svg
from tests.conftest import SAMPLES, decoded

SCENE, COLOR, CLEAR = (SAMPLES / name for name in ("scene.png", "color.png", "transparent.png"))
RNG = np.random.default_rng(7)
SVG = "{http://www.w3.org/2000/svg}"


def place_of(area: np.ndarray, page: np.ndarray) -> tuple[int, int]:
    """Where an area is on a page, found by its most unusual row and then compared completely."""
    rows, columns = area.shape[:2]
    middle = area[rows // 2]
    windows = np.lib.stride_tricks.sliding_window_view(page, (columns, 3), axis=(1, 2))[:, :, 0]
    for row, column in zip(*np.nonzero((windows == middle).all(axis=(-2, -1))), strict=True):
        top = row - rows // 2
        if top >= 0 and np.array_equal(page[top : top + rows, column : column + columns], area):
            return int(top), int(column)
    raise AssertionError("the map is not on the page as it is")


def in_colors(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, -1) if pixels.ndim == 2 else pixels


@pytest.fixture
def small(tmp_path, gray):
    path = tmp_path / "small.png"
    path.write_bytes(imagecodecs.png_encode(gray))
    return path


@pytest.mark.parametrize("what", ["--sheet", "--figure"])
@pytest.mark.parametrize("colormap", ["gray", "viridis", "diverging"])
def test_maps_on_a_page_are_what_apply_writes(run, tmp_path, small, what, colormap):
    """Maps drawn at their size have the pixels and colors that apply writes."""
    options = ("-k", "sobel-x", "-k", "laws:stack", "--padding", "valid", "--map", "signed")
    options += ("--colormap", colormap)
    assert run("apply", small, *options, "-o", f"{tmp_path}/maps/").code == 0
    out = tmp_path / "page.png"
    kernels = options if what == "--sheet" else ("-k", "sobel-x", *options[4:])
    ran = run("apply", small, *kernels, what, "--tile", 31, "-o", out)
    assert ran.code == 0, ran.err
    page = decoded(out)
    written = (
        sorted((tmp_path / "maps").iterdir()) if what == "--sheet" else [tmp_path / "maps/small.sobel-x.png"]
    )
    places = {place_of(in_colors(decoded(path)), page) for path in written}
    assert len(places) == len(written) == (26 if what == "--sheet" else 1)


@pytest.mark.parametrize(
    ("kernel", "mapping"),
    [
        ("sobel-x", "signed:99.5%"),
        ("sobel", "stretch:0.25%,99.75%"),
        ("box3", "clip"),
        ("sobel-x --map signed", "signed"),
        ("sobel --map stretch:0,200", "stretch:0,200"),
    ],
)
def test_drawn_maps_show_most_values_by_default(run, tmp_path, small, kernel, mapping):
    """Without --map, outliers do not set the range; the report says which percentiles did."""
    name, *asked = kernel.split()
    out, page = tmp_path / "map.png", tmp_path / "page.png"
    written = run("apply", small, "-k", name, "--map", mapping, "-o", out, "--report", "json")
    drawn = run("apply", small, "-k", name, *asked, "--sheet", "--tile", 31, "-o", page, "--report", "json")
    place_of(in_colors(decoded(out)), decoded(page))
    assert json.loads(written.text)["mapping"] == json.loads(drawn.text)["mapping"]


def test_deep_images_with_a_narrow_range_are_visible(run, tmp_path, gray):
    """12 bits in 16: input and averages are displayed in the range of the input."""
    deep = gray.astype(np.uint16) * 16
    path, page = tmp_path / "deep.png", tmp_path / "page.png"
    path.write_bytes(imagecodecs.png_encode(deep))
    low, high = int(deep.min()), int(deep.max())
    assert run("apply", path, "-k", "identity", "--figure", "--tile", 31, "-o", page).code == 0
    seen = np.floor((deep.astype(float) - low) * (255 / (high - low)) + 0.5).astype(np.uint8)
    place_of(in_colors(seen), decoded(page))
    found = compute_maps(str(path), [Settings(convcli.load_kernel("box3"))])
    assert found.image_range == (low, high)
    assert str(found.maps[0].report.mapping) == f"stretch:{low},{high}"


def test_nonfinite_pixels_are_drawn(run, tmp_path):
    """NaN and infinity are drawn without warnings, also as numbers."""
    pixels = np.random.default_rng(0).normal(size=(5, 6))
    pixels[2, 3], pixels[1, 5], pixels[4, 1] = np.inf, -np.inf, np.nan
    np.save(tmp_path / "floats.npy", pixels)
    assert run("apply", tmp_path / "floats.npy", "-k", "box3", "--figure", "-o", tmp_path / "f.png").code == 0
    shown = to_uint8(pixels[..., None])
    assert (shown[2, 3, 0], shown[1, 5, 0], shown[4, 1, 0]) == (255, 0, 0)


def test_small_maps_are_enlarged_and_large_ones_reduced():
    """Boxes are reduced to their mean or to the value farthest from zero, smaller boxes at the ends too."""
    assert Scale.of(8, 256) == Scale(zoom=32)
    assert Scale.of(512, 256) == Scale(box=2)
    pixels = np.random.default_rng(3).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    drawn, far = Scale(box=3).reduced(pixels), Scale(box=3).reduced(pixels, middle=128)
    for row, column in np.ndindex(3, 2):
        part = pixels[3 * row : 3 * row + 3, 3 * column : 3 * column + 3].reshape(-1, 3)
        assert np.array_equal(drawn[row, column], np.rint(part.mean(0)))
        farthest = np.abs(part.astype(int) - 128).max(0)
        assert np.array_equal(np.abs(far[row, column].astype(int) - 128), farthest)
        assert all(far[row, column, each] in part[:, each] for each in range(3))


@pytest.mark.parametrize("source", [SCENE, COLOR, CLEAR, SAMPLES / "depth16.png"])
@pytest.mark.parametrize("what", ["--sheet", "--figure"])
def test_images_of_every_kind_are_drawn(run, tmp_path, source, what):
    """Gray, color, alpha and 16 bits, with kernels, banks and layers of several channels."""
    out = tmp_path / "page.png"
    kernels = ["gaussian5", "sobel", "gabor:8,45", "box3@90"]
    kernels += ["random:3x3x3x2,seed=1"] if source in (COLOR, CLEAR) else []
    options = [word for kernel in kernels for word in ("-k", kernel)]
    ran = run("apply", source, *options, what, "--tile", 64, "-o", out, "--report", "json")
    assert ran.code == 0, ran.err
    reports = [json.loads(line) for line in ran.text.splitlines()]
    assert len(reports) == len(kernels) + (source in (COLOR, CLEAR))
    assert {report["output"]["name"] for report in reports} == {str(out)}
    assert {report["output"]["bytes"] for report in reports} == {out.stat().st_size}
    assert decoded(out).shape[2] == 3


@pytest.mark.parametrize("name", ["png", "tiff", "pnm", "npy", "webp", "bmp", "gif", "avif", "jpeg"])
def test_images_of_every_format_are_drawn(run, tmp_path, name):
    """A file is opened more than once, each time from its beginning."""
    source = tmp_path / f"in.{name}"
    assert run("apply", SCENE, "-k", "identity", "--format", name, "-o", source, "-q").code == 0
    assert run("apply", source, "-k", "sobel-x", "--figure", "-o", tmp_path / "out.png").code == 0


@pytest.mark.parametrize(
    ("words", "told", "shown"),
    [([], "frame 0 of 3", 0), (["--frames", 2], "frame 2 of 3", 2), (["--frames", -1], "frame -1 of 3", 2)],
)
def test_one_frame_of_an_animation_is_drawn_and_named(run, tmp_path, words, told, shown):
    """The first frame, or the one that --frames selects, which a note names."""
    pages = RNG.integers(0, 256, (3, 40, 50), np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", pages, photometric="minisblack")
    options = ("-k", "identity", "--figure", "--tile", 50)
    ran = run("apply", tmp_path / "in.tif", *options, *words, "-o", tmp_path / "page.png")
    assert told in ran.text
    place_of(in_colors(pages[shown]), decoded(tmp_path / "page.png"))


def test_one_range_for_all(run, small):
    """A common range spans all maps, and is signed if any value is below 0."""
    signed, stretch = Mapping("signed"), Mapping("stretch")
    kinds = {"box3": stretch, "sobel-x": signed, "identity": stretch}
    each = [Settings(convcli.load_kernel(name), mapping=mapping) for name, mapping in kinds.items()]
    found = compute_maps(str(small), [replace(one, mapping=signed) for one in each], common=True)
    (bar,) = {map_.bar for map_ in found.maps}
    values = [
        float(end)
        for map_ in compute_maps(str(small), each).maps
        for end in (map_.report.low, map_.report.high)
    ]
    assert bar.mapping.kind == "signed"
    assert float(bar.mapping.high) == max(map(abs, values))
    due = np.rint(128 + 127 * decoded(small).astype(float) / float(bar.mapping.high))
    assert np.array_equal(found.maps[2].pixels(), due)
    averages = compute_maps(str(small), each[::2], common=True)
    assert {str(map_.bar.mapping) for map_ in averages.maps} == {
        f"stretch:{decoded(small).min()},{decoded(small).max()}"
    }


@pytest.mark.parametrize("what", ["--sheet", "--figure"])
def test_svg_is_valid(run, tmp_path, small, what):
    """SVG parses, embeds the maps as PNG, and escapes names."""
    odd = tmp_path / "a<b>&\"'.png"
    odd.write_bytes(small.read_bytes())
    out = tmp_path / "page.svg"
    ran = run("apply", odd, "-k", "sobel-x", "-k", "box3", "--map", "signed", what, "--tile", 155, "-o", out)
    assert ran.code == 0, ran.err
    root = ElementTree.fromstring(out.read_text("utf-8"))
    assert root.tag == f"{SVG}svg"
    assert any("a<b>&\"'.png" in (text.text or "") for text in root.iter(f"{SVG}text"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "sobel-x" in texts
    data = [base64.b64decode(image.get("href").split(",")[1]) for image in root.iter(f"{SVG}image")]
    assert run("apply", odd, "-k", "sobel-x", "--map", "signed", "-o", tmp_path / "map.png").code == 0
    due = decoded(tmp_path / "map.png")
    assert any(np.array_equal(np.squeeze(decoded(each)), due) for each in data)


def test_pixels_and_svg_show_the_same_scene(small):
    """The SVG has the images and texts of the scene, and the pixels have its size."""
    scene = figure(compute_maps(str(small), [Settings(convcli.load_kernel("sobel"))]), 62)
    root = ElementTree.fromstring(svg(scene))
    for kind, tag in ((PlacedImage, "image"), (Text, "text")):
        assert len(list(root.iter(SVG + tag))) == sum(isinstance(item, kind) for item in scene.items)
    assert raster(scene).shape == (scene.height, scene.width, 3)
    assert (root.get("width"), root.get("height")) == (str(scene.width), str(scene.height))


def test_nothing_is_drawn_outside_the_page(small):
    """Every text ends within the page, whatever the name of the kernel."""
    from convcli.visualize.lettering import width

    each = [Settings(convcli.load_kernel(name)) for name in ("random:3x3x1x3,seed=123456789", "motion:31,30")]
    found = compute_maps(str(small), each)
    for scene in (
        figure(found, 100),
        map_sheet(found, 100, common=False),
        map_sheet(found, 31, common=True),
    ):
        for item in scene.items:
            if isinstance(item, Text):
                share = {"start": 0, "middle": 0.5, "end": 1}[item.anchor]
                left = item.place[0] - share * width(item.text, item.size)
                assert left >= 0, item
                assert left + width(item.text, item.size) <= scene.width, item
                assert 0 < item.place[1] < scene.height, item


def words_of(scene):
    return [item.text for item in scene.items if isinstance(item, Text)]


@pytest.mark.parametrize("top", [4, 200])
def test_small_images_show_their_numbers(tmp_path, top):
    """Small images and maps show every value; a narrow range is stretched, which the figure says."""
    values = np.array([[1, 2, 0, 3], [4, 1, 2, 1], [0, 3, 1, 2], [2, 1, 4, 0]])
    values[1, 0] = top
    path = tmp_path / "grid.png"
    path.write_bytes(imagecodecs.png_encode(values.astype(np.uint8)))
    settings = Settings(convcli.load_kernel("1/2 2; 0 -1"), padding=Padding.parse("valid"))
    scene = figure(compute_maps(str(path), [settings]), 256)
    sums = convcli.conv2d(values.astype(float), np.array([[0.5, 2], [0, -1]])).ravel()
    texts = words_of(scene)
    for value in (*values.ravel(), *sums):
        assert f"{value:g}".replace("-", "−") in texts
    assert "a kernel of 2 × 2" in texts
    assert ("4 × 4, gray, 8-bit, display range 0 … 4" in texts) == (top == 4)
    drawn = next(item for item in scene.items if isinstance(item, PlacedImage)).pixels
    assert (drawn.min(), drawn.max()) == (0, 255 if top == 4 else 200)
    assert str(values[0, 3]) not in words_of(figure(compute_maps(str(path), [settings]), 31))[4:]


@pytest.mark.parametrize(
    ("kernel", "present", "absent"),
    [
        ("0.123456789 1e-5 -1000.5; 1 2 3; 4 5 6", ["0.123", "1e−5", "−1000.5", "6"], ["× 1/1000000000"]),
        ("1/9 1/9; 1/9 2/9", ["1", "2", "× 1/9"], []),
        ("box:15", ["all weights 1/225"], ["1", "× 1/225"]),
        ("gaussian:1.5,7", ["73.3", "1.34", "× 1/1000"], ["weights 0.001342 … 0.07327"]),
        ("gaussian:3", ["weights 1.99e−9 … 0.01768"], ["cut"]),
    ],
)
def test_kernels_of_figures_have_numbers(kernel, present, absent):
    """Weights are written in their squares, or as a range below if they do not fit."""
    texts = words_of(figure(compute_maps(str(SCENE), [Settings(convcli.load_kernel(kernel))]), 256))
    assert set(present) <= set(texts)
    assert not set(absent) & set(texts)


@pytest.mark.parametrize("shape", [(60, 1000), (900, 60), (100, 130), (1, 1), (7, 200)])
@pytest.mark.parametrize("kernel", ["sobel-x", "sobel", "identity"])
def test_arrows_point_from_images_to_kernels(tmp_path, shape, kernel):
    """Arrows meet the kernel and the images beside it, and color bars have room, for all shapes."""
    path = tmp_path / "x.png"
    path.write_bytes(imagecodecs.png_encode(np.random.default_rng(1).integers(0, 256, shape, np.uint8)))
    scene = figure(compute_maps(str(path), [Settings(convcli.load_kernel(kernel))]), 200)
    heights = {item.corners[2][1] for item in scene.items if isinstance(item, Polygon)}
    assert len(heights) == 1
    (height,) = heights
    source, shown, bar = (item for item in scene.items if isinstance(item, PlacedImage))
    for picture in (source, shown):
        assert picture.place[1] <= height <= picture.place[1] + picture.pixels.shape[0] * picture.zoom
    assert bar.pixels.shape[0] >= 64
    assert bar.place[1] + bar.pixels.shape[0] < scene.height


def test_several_kernels_write_several_files(run, tmp_path):
    """They are those of one command for each; one file for all is refused before any work."""
    names = ("sobel-x", "box3", "kirsch")
    options = [word for name in names for word in ("-k", name)]
    assert run("apply", SCENE, *options, "-o", f"{tmp_path}/all/").code == 0
    for name in names:
        assert run("apply", SCENE, "-k", name, "-o", f"{tmp_path}/each/").code == 0
    all_, each = (sorted((tmp_path / folder).iterdir()) for folder in ("all", "each"))
    assert [path.name for path in all_] == [path.name for path in each]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(all_, each, strict=True))
    ran = run("apply", SCENE, *options, "-o", tmp_path / "one.png")
    assert (ran.code, "the maps of 3 kernels cannot all be written to" in ran.err) == (2, True)


@pytest.mark.parametrize("source", [SCENE, COLOR])
def test_a_stack_of_pages(run, tmp_path, source):
    """A stack has every map of kernels and banks as pages of a TIFF or channels of an array."""
    options = ("-k", "sobel", "-k", "box5", "--map", "raw", "--stack", "--threads", 2)
    ran = run("apply", source, *options, "-o", tmp_path / "x.tif")
    assert "tiff, 3 pages" in ran.text
    assert run("apply", source, *options, "-o", tmp_path / "x.npy").code == 0
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        pages = [page.asarray() for page in file.pages]
    (array,), colors = np.load(tmp_path / "x.npy"), decoded(source)
    channels = 1 if colors.ndim == 2 else 3
    assert array.shape == (*colors.shape[:2], 3 * channels)
    for index, name in enumerate(("sobel-x", "sobel-y", "box5")):
        page = pages[index].reshape(*colors.shape[:2], channels)
        assert np.array_equal(page, array[..., channels * index : channels * (index + 1)])
        for channel in range(channels):
            plane = colors.reshape(*colors.shape[:2], channels)[..., channel]
            due = convcli.conv2d(plane, name).astype(np.float32)
            inset = 2 if name == "box5" else 1
            assert np.allclose(page[inset:-inset, inset:-inset, channel], due, rtol=1e-6)


def test_a_stack_of_a_tall_image_is_completed(run, tmp_path):
    """Pages wait for those before them, however many strips that are, without stopping the workers."""
    tall = np.random.default_rng(0).integers(0, 256, (20_000, 40), dtype=np.uint8)
    np.save(tmp_path / "tall.npy", tall)
    ran = run(
        "apply", tmp_path / "tall.npy", "-k", "kirsch", "--stack", "-o", tmp_path / "x.tif", "--threads", 2
    )
    assert "tiff, 8 pages" in ran.text, ran.err
    assert run("apply", tmp_path / "x.tif", "-k", "identity", "-o", tmp_path / "y.tif").code == 0


def test_several_kernels_combine_as_a_bank(run, tmp_path):
    """-k a -k b --combine l2 is the bank of both."""
    for options, name in (
        (("-k", "sobel-x", "-k", "sobel-y", "--combine", "l2"), "a"),
        (("-k", "sobel"), "b"),
    ):
        assert run("apply", SCENE, *options, "-o", tmp_path / f"{name}.png").code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    kernel = joined([convcli.load_kernel(name) for name in ("kirsch", "box3")])
    assert (kernel.maps, kernel.combine, kernel.exact is not None) == (9, None, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sheet", "--figure"), "--sheet and --figure cannot be combined"),
        (("--sheet", "--map", "raw"), "--map raw keeps values, not pixels to display"),
        (("--figure", "--depth", "16"), "sheets, figures and terminals show 8 bits"),
        (("--sheet", "--stack"), "--stack cannot be combined with --sheet"),
        (("--stack", "--combine", "l2"), "--stack keeps the maps and --combine l2 merges them"),
        (("--figure", "-k", "laws:stack"), "a figure holds up to 12 feature maps, not 26; use --sheet"),
        (("--sheet", "-o", "x.xyz"), "unknown suffix"),
        (("--stack", "-k", "random:3x3x3x2,seed=1"), "not (rows, columns) kernels"),
        ((COLOR, "--sheet", "-o", "x.png"), "2 images cannot all be written to x.png"),
        (
            ("-k", "box3", "--figure", "-o", "x.svg", "--format", "bmp"),
            "x.svg: the suffix .svg says svg, --format says bmp",
        ),
        (("-o", "term:tek"), "unknown terminal protocol 'tek'; allowed: blocks, kitty, iterm2, sixel"),
    ],
)
def test_mistakes(run, tmp_path, monkeypatch, options, words):
    """Mistakes are errors of one line, and write no file."""
    monkeypatch.chdir(tmp_path)
    ran = run("apply", SCENE, "-k", "sobel-x", *options)
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert len(ran.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_where_pages_go(run, tmp_path, monkeypatch, small):
    """Sheets go next to the input, by a template, to stdout or in a named format; never over a file."""
    base = ("apply", small, "-k", "box3", "--tile", 31)
    assert run(*base, "--sheet").code == 0
    assert decoded(tmp_path / "small.sheet.png").shape[2] == 3
    assert "already exists" in run(*base, "--sheet").err
    assert run(*base, "--figure", "-o", f"{tmp_path}/{{stem}}-{{kernel}}.svg").code == 0
    assert (tmp_path / "small-figure.svg").read_text("utf-8").startswith("<svg")
    assert run(*base, "--figure", "--format", "svg", "-o", f"{tmp_path}/folder/").code == 0
    assert (tmp_path / "folder" / "small.figure.svg").exists()
    assert decoded(run(*base, "--sheet", "-o", "-").out).shape[2] == 3
    assert run(*base, "--sheet", "-o", "-", "--format", "svg").out.startswith(b"<svg")
    assert "is an input" in run(*base, "--sheet", "-o", small, "--force").err


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ("kirsch", ["relu", "gaussian3"], [("kirsch", 7), ("gaussian3", 0)]),
        ("box3", ["kirsch", "maxpool4x4"], [("box3", 0), ("kirsch", 7)]),
        ("kirsch", ["random:3x3x8x12"], [("random:3x3x8x12", 11)]),
        ("kirsch", ["random:3x3x8x2"], [("random:3x3x8x2", 1)]),
        ("random:3x3x1x2", ["random:3x3x1x3"], [("random:3x3x1x2", 1), ("random:3x3x1x3", 2)]),
        ("gaussian3", ["laplacian8"], [("gaussian3", 0), ("laplacian8", 0)]),
    ],
)
def test_maps_of_a_chain_belong_to_the_kernels_that_made_them(first, then, expected):
    """The kernels of the last map, each with its own map, whose planes sheets show for every map."""
    stages = tuple(parse_stage(text, convcli.load_kernel) for text in then)
    maps = compute_maps(str(SCENE), [Settings(convcli.load_kernel(first), then=stages)]).maps
    assert [(kernel.name, index) for kernel, index in maps[-1].path] == expected
    for map_ in maps:
        path_badges(map_.path)
