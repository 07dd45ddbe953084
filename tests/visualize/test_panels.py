"""Sheets of labeled panels, colors for weights, and the preview of what kernels do."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.kernels.library import library
from convcli.pipeline.colormaps import diverging
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.settings import Settings
from convcli.visualize.colorbar import ColorBar
from convcli.visualize.lettering import width, wrapped
from convcli.visualize.panels import (
    GROUND,
    LARGEST_BADGE,
    MOST_PLANES,
    Panel,
    kernel_badges,
    panel_image,
    panel_page,
    weight_badges,
)
from convcli.visualize.preview import feature_images, preview_sheet, thumbnail
from convcli.visualize.scene import PlacedImage, Text
from tests.conftest import SAMPLES, decoded


def test_a_sheet_keeps_the_pixels_of_its_panels():
    """The pixels of every panel are unchanged, and long names are cut."""
    shades = [np.full((40, 60), shade, np.uint8) for shade in (10, 60, 110, 160, 210)]
    drawn = panel_image([Panel("n" * 99, pixels) for pixels in shades], "Five", columns=2, footer="end")
    assert drawn.dtype == np.uint8
    assert tuple(drawn[0, 0]) == GROUND
    for shade in (10, 60, 110, 160, 210):
        rows, columns = np.nonzero((drawn == shade).all(-1))
        area = drawn[rows.min() : rows.min() + 40, columns.min() : columns.min() + 60]
        assert (area == shade).all()
    assert panel_image([Panel("one", shades[0])]).shape[0] < drawn.shape[0]


def words_of(panels):
    """(left, right) of every text of a page, its baseline, and the page."""
    drawn = panel_page(panels, "A sheet")
    shares = {"start": 0, "middle": 0.5, "end": 1}
    texts = [item for item in drawn.items if isinstance(item, Text)]
    return drawn, [
        (
            left := text.place[0] - shares[text.anchor] * (wide := width(text.text, text.size)),
            left + wide,
            text,
        )
        for text in texts
    ]


@pytest.mark.parametrize("shape", [(200, 13), (200, 44), (12, 200), (1, 1)])
@pytest.mark.parametrize("planes", [0, 1, 4])
def test_panels_of_any_shape_have_room_for_their_text(shape, planes):
    """Names are complete and of one size, and no text overlaps another or a badge, in narrow images too."""
    bar = ColorBar(Mapping("signed", Fraction(-3375), Fraction(3375)), 255, "gray")
    pixels, drawn = np.zeros(shape, np.uint8), weight_badges([np.eye(3)] * planes) if planes else ()
    names = ["box3", "kirsch-ne", "sobel5-x"]
    panels = [Panel(name, pixels, "−3375 … 3375", drawn, bar=bar, omitted=planes) for name in names]
    scene, texts = words_of(panels)
    titles = [text for *_, text in texts if text.text in names]
    assert len(titles) == 3
    assert len({text.size for text in titles}) == 1
    for (one_left, one_right, one), (left, right, other) in combinations(texts, 2):
        assert one.place[1] != other.place[1] or one_right <= left or right <= one_left
    for badge in (item for item in scene.items if isinstance(item, PlacedImage) and item.zoom > 1):
        first, top = badge.place
        for left, right, text in texts:
            beside = right <= first or first + 3 * badge.zoom <= left
            assert beside or not top <= text.place[1] <= top + 3 * badge.zoom
    assert all(left >= 0 and right <= scene.width for left, right, _ in texts)


@pytest.mark.parametrize("name", ["sobel", "sobel-x", "frei-chen", "kirsch"])
def test_kernels_have_the_badges_of_all_their_planes(name):
    """A map has up to four badges, and the count of planes without one."""
    kernel = convcli.load_kernel(name)
    drawn, omitted = kernel_badges(kernel, 0)
    planes = kernel.maps if kernel.combine else 1
    assert (len(drawn), omitted) == (min(planes, MOST_PLANES), max(planes - MOST_PLANES, 0))


def test_colors_of_weights():
    """Weights are near white at 0, blue below and red above, symmetrically."""
    low, zero, high = diverging(np.array([-2.0, 0, 2]), 2).astype(int)
    assert low[2] > low[0] + 100
    assert high[0] > high[2] + 100
    assert zero.min() > 240
    assert (diverging(np.zeros(3), 0) > 240).all()


def test_badges_of_kernels_of_any_size():
    """Badges have a pixel per weight; of a large kernel, the weights farthest from zero."""
    small, large = np.eye(3), np.zeros((90, 70))
    large[45, 35], large[0, 0] = -2, 1
    first, second = weight_badges([small, large])
    assert first.shape == (3, 3, 3)
    assert max(second.shape[:2]) <= LARGEST_BADGE
    colors = {tuple(color) for color in second.reshape(-1, 3).tolist()}
    assert colors == {tuple(diverging(np.array(value), 2).tolist()) for value in (-2.0, 0.0, 1.0)}


def test_lines_of_a_footer_fit():
    """Words that do not fit continue on the next line; none is lost."""
    lines = wrapped("one two three four five six seven", 12, 60)
    assert len(lines) > 2
    assert " ".join(lines) == "one two three four five six seven"
    assert all(width(text, 12) <= 60 for text in lines)
    assert wrapped("", 12, 60) == []


@pytest.mark.parametrize("name", ["box3", "sobel-x", "sobel", "kirsch", "frei-chen"])
def test_previews_are_what_apply_writes(run, tmp_path, name):
    """Previews have the pixels that apply writes, map by map."""
    gray = np.random.default_rng(5).integers(0, 256, (23, 31, 1), dtype=np.uint8)
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(gray[..., 0]))
    assert run("apply", tmp_path / "x.png", "-k", name, "-o", f"{tmp_path}/maps/").code == 0
    written = [decoded(path) for path in sorted((tmp_path / "maps").iterdir())]
    found = feature_images(gray, Settings(convcli.load_kernel(name)))
    for (pixels, _), due in zip(found, written, strict=True):
        assert np.array_equal(pixels[..., 0], due)


@pytest.mark.parametrize("name", ["scene.png", "color.png", "transparent.png", "depth16.png"])
def test_images_of_every_kind(name):
    """Gray, color, alpha and 16 bits become 8-bit gray or RGB of the size of the panel."""
    small = thumbnail(str(SAMPLES / name), 64, 10**6)
    assert small.dtype == np.uint8
    assert max(small.shape[:2]) == 64
    assert small.shape[2] in (1, 3)
    assert preview_sheet(str(SAMPLES / name), [convcli.load_kernel("sobel")], 64, 0, 10**6).shape[2] == 3


def drawn(tag: str | None = None) -> int:
    """Presets that make one map."""
    kernels = [entry.kernel for entry in library().entries(tag)]
    return sum(kernel.maps == 1 or kernel.combine is not None for kernel in kernels)


def test_kernels_preview(run, tmp_path):
    """A sheet shows all presets, those of a tag, or named kernels; no file is overwritten without --force."""
    out, scene = tmp_path / "sheet.png", SAMPLES / "scene.png"
    assert f": {drawn()} kernels" in run("kernels", "preview", scene, "-o", out).text
    assert decoded(out).shape[2] == 3
    assert "already exists" in run("kernels", "preview", scene, "-o", out).err
    assert (
        f": {drawn('blur')} kernels"
        in run("kernels", "preview", scene, "-o", out, "-f", "--tag", "blur").text
    )
    assert (
        "2 kernels"
        in run("kernels", "preview", scene, "-o", out, "-f", "-k", "laws", "-k", "gabor:8,45").text
    )
    for arguments, words in [
        ((scene, "-o", tmp_path / "x.xyz"), "unknown suffix"),
        ((scene, "-o", tmp_path / "x.png", "--tag", "nothing"), "no preset has the tag"),
        ((tmp_path / "none.png", "-o", tmp_path / "x.png"), "none.png"),
        ((tmp_path, "-o", tmp_path / "x.png"), str(tmp_path)),
        ((scene, "-o", scene, "-f"), "input"),
    ]:
        ran = run("kernels", "preview", *arguments)
        assert (ran.code, words in ran.err) == (2, True), ran.err
        assert len(ran.err.splitlines()) == 1
