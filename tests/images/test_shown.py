"""Explanations, plans, drawings, animations and pages: as the command line makes them, and in notebooks."""

from __future__ import annotations

import html
import io
import re

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.kernels.kernel import Kernel
from tests.conftest import SAMPLES

GRID = np.array([[1, 2, 0, 3], [4, 1, 2, 1], [0, 3, 1, 2], [2, 1, 4, 0]], np.uint8)


@pytest.fixture
def scene(tmp_path):
    """A part of a sample."""
    path = tmp_path / "scene.png"
    Image.open(SAMPLES / "scene.png").crop((200, 200, 264, 248)).save(path)
    return path


def test_texts_are_those_of_the_command_line(run, scene):
    """Explanations of a pixel and of a chain, and plans by size and by image; also as JSON types."""
    cases = (
        (("explain", scene, "-k", "kirsch", "--at", "10,20", "--show-map", "2:4"),
         convcli.explain(scene, "kirsch", at=(10, 20), show_map=slice(2, 4))),
        (("explain", scene, "-k", "gaussian3", "--then", "laplacian8", "--at", "10,20"),
         convcli.explain(scene, "gaussian3", then="laplacian8", at=(10, 20))),
        (("plan", "400x600x3", "-k", "box31", "--depth", "16"),
         convcli.plan((400, 600, 3), "box31", depth=16)),
        (("plan", scene, "-k", "gaussian5"), convcli.plan(scene, "gaussian5")),
    )  # fmt: skip
    for command, made in cases:
        assert str(made).rstrip("\n") == run(*command).text.rstrip("\n")
        assert made.report["schema" if command[0] == "explain" else "method"]
        assert len(repr(made)) < 100 > repr(made).count("\n") == 0


def test_drawings_and_pages_are_those_of_the_command_line(run, tmp_path, scene):
    """The bytes of figures, sheets, animations and the page for a file."""
    made = {
        "figure.svg": (convcli.figure(scene, "sobel-x", tile=64), ("apply", "--figure", "--tile", "64")),
        "sheet.png": (convcli.sheet(scene, "sobel-x", tile=64), ("apply", "--sheet", "--tile", "64")),
        "slide.gif": (convcli.animate("4x4", "sobel-x", most=4), ("animate", "--most", "4")),
        "page.html": (convcli.explore(scene, "sobel-x", side=32), ("explore", "--side", "32")),
    }
    for name, (drawn, (command, *options)) in made.items():
        source = "4x4" if command == "animate" else scene
        assert run(command, source, "-k", "sobel-x", *options, "-o", tmp_path / name).code == 0
        own = drawn.save(tmp_path / f"own-{name}")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"own-{name}").read_bytes(), own
        with pytest.raises(convcli.ConvcliError, match=f"own-{name}: already exists"):
            drawn.save(tmp_path / f"own-{name}")
        drawn.save(tmp_path / f"own-{name}", force=True)


HOSTILE = "<script>alert(1)</script>\x1b[31m"


def shown():
    """Everything that notebooks show, with names that look like markup."""
    kernel = Kernel([[1, -2], [0, 1]], name=HOSTILE)
    return {
        "result": convcli.apply(GRID, kernel),
        "floats": convcli.apply(np.where(GRID, np.nan, 1.5), kernel),
        "bands": convcli.apply(np.dstack([GRID] * 6), kernel),
        "frames": convcli.apply(np.stack([GRID] * 2)[..., None], kernel),
        "results": convcli.apply(GRID, [kernel, "sobel:stack"]),
        "kernel": kernel,
        "bank": convcli.load_kernel("kirsch"),
        "large": convcli.load_kernel("gaussian:9"),
        "plan": convcli.plan(GRID, kernel),
        "explanation": convcli.explain(GRID, kernel, at=(0, 0)),
        "chain": convcli.explain(GRID, "box3", then="relu", at=(0, 0)),
        "animation": convcli.animate(GRID, kernel, most=2),
        "figure": convcli.figure(GRID, kernel),
        "shape": convcli.shape((6, 6), 3, stride=2),
        "transposed": convcli.shape((6, 6), 3, stride=2, transposed=True),
    }


def test_notebooks_get_escaped_html_and_images():
    """HTML without scripts or markup of names, one line of repr, and PNG files that open."""
    for name, value in shown().items():
        assert "\n" not in repr(value) or name in ("kernel", "bank", "large"), name
        if hasattr(value, "_repr_html_"):
            text = value._repr_html_()
            assert "<script" not in text and "\x1b" not in text, name
            assert text.count("<table") == text.count("</table"), name
            assert not re.search(r"\bon\w+=|javascript:|https?://", text), name
        if hasattr(value, "_repr_png_") and name != "bands":
            assert Image.open(io.BytesIO(value._repr_png_())).size > (1, 1), name
        if hasattr(value, "_repr_mimebundle_"):
            assert {"text/plain"} < value._repr_mimebundle_().keys(), name


def test_the_page_is_sandboxed():
    """The explorer is a frame that has an origin of its own, with the whole page in an attribute."""
    page = convcli.explore(GRID, "1 2; 0 1")
    frame = page._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts" ')
    inner = re.search(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(inner[1]) == page.html
    assert "allow-same-origin" not in frame


def test_kernels_show_their_weights():
    """Every weight of a small kernel is in the table, with a minus sign and a color by its sign."""
    text = convcli.load_kernel("sobel-x")._repr_html_()
    cells = re.findall(r"background:(#\w+)[^>]*>([^<]*)</td>", text)
    assert [value for _, value in cells] == ["−1", "0", "1", "−2", "0", "2", "−1", "0", "1"]
    colors = {value: int(color[1:3], 16) - int(color[5:7], 16) for color, value in cells}
    assert colors["−2"] < colors["−1"] < colors["0"] == 0 < colors["1"] < colors["2"]


def test_shapes_are_tuples():
    """In comparison, unpacking, copies and pickles."""
    import copy
    import pickle

    shape = convcli.shape((512, 512), 3, stride=(2, 1))
    assert shape == (255, 510) == copy.deepcopy(shape) == pickle.loads(pickle.dumps(shape))
    assert repr(shape) == "(255, 510)"
    assert shape.formulas[0].endswith("= 255")
    assert "".join(shape.formulas) and "uncovered" in shape._repr_html_()


@pytest.mark.parametrize("name", ["plan", "explain", "animate", "figure", "sheet", "explore"])
def test_all_take_the_same_images(name, scene):
    """Arrays, lists, bytes and PIL images; a wrong image gets the message of `apply`."""
    function = getattr(convcli, name)
    options = {"at": (0, 0)} if name == "explain" else {}
    for image in (GRID, Image.fromarray(GRID), scene.read_bytes() if name == "plan" else GRID[..., None]):
        function(image, "1 2; 0 1", **options)
    with pytest.raises(convcli.ConvcliError, match="allowed: a path, URL, bytes, binary file"):
        function(None, "box3", **options)
