"""Presets: every one against its published sum and range, names as people type them, families by formula."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels import library, presets, transform

# name: sum, range for pixels from 0 to 1, rank; from the literature that each preset names
FACTS = {
    "identity": (1, (0, 1), 1),
    "box3": (1, (0, 1), 1),
    "box5": (1, (0, 1), 1),
    "triangle5": (1, (0, 1), 1),
    "plus3": (1, (0, 1), 2),
    "smooth": (1, (0, 1), 2),
    "gaussian3": (1, (0, 1), 1),
    "gaussian5": (1, (0, 1), 1),
    "gaussian7": (1, (0, 1), 1),
    "gaussian-cv7": (1, (0, 1), 1),
    "ones3": (9, (0, 9), 1),
    "central-x": (0, (-0.5, 0.5), 1),
    "roberts-1": (0, (-1, 1), 2),
    "roberts-2": (0, (-1, 1), 2),
    "prewitt-x": (0, (-3, 3), 1),
    "sobel-x": (0, (-4, 4), 1),
    "sobel5-x": (0, (-48, 48), 1),
    "sobel7-x": (0, (-640, 640), 1),
    "scharr-x": (0, (-16, 16), 1),
    "scharr-opt-x": (0, (-256, 256), 1),
    "farid5-x": (0, (-0.38629, 0.38629), 1),
    "ando3-x": (0, (-0.5, 0.5), 1),
    "bickley-x": (0, (-0.5, 0.5), 1),
    "freichen-x": (0, (-3.4142, 3.4142), 1),
    "laplacian4": (0, (-4, 4), 2),
    "laplacian8": (0, (-8, 8), 2),
    "outline": (0, (-8, 8), 2),
    "laplacian-cv3": (0, (-8, 8), 2),
    "laplacian-iso": (0, (-3.3333, 3.3333), 2),
    "log5": (0, (-16, 16), 3),
    "line-h": (0, (-6, 6), 1),
    "line-v": (0, (-6, 6), 1),
    "line-45": (0, (-6, 6), 2),
    "line-135": (0, (-6, 6), 2),
    "dxy": (0, (-0.5, 0.5), 1),
    "sharpen": (1, (-4, 5), 2),
    "sharpen8": (1, (-8, 9), 2),
    "unsharp5": (1, (-0.85938, 1.8594), 2),
    "edge-enhance": (1, (-4, 5), 2),
    "emboss": (1, (-4, 5), 3),
    "emboss0": (0, (127, 129), 2),
    "nevatia-babu-0": (0, (-1000, 1000), 1),
    "nevatia-babu-30": (0, (-1102, 1102), 4),
    "nevatia-babu-60": (0, (-1102, 1102), 4),
    "nevatia-babu-90": (0, (-1000, 1000), 1),
    "nevatia-babu-120": (0, (-1102, 1102), 4),
    "nevatia-babu-150": (0, (-1102, 1102), 4),
    "freichen-1": (0, (-1.2071, 1.2071), 1),
    "freichen-2": (0, (-1.2071, 1.2071), 1),
    "freichen-3": (0, (-1.2071, 1.2071), 2),
    "freichen-4": (0, (-1.2071, 1.2071), 2),
    "freichen-5": (0, (-1, 1), 2),
    "freichen-6": (0, (-1, 1), 1),
    "freichen-7": (0, (-4 / 3, 4 / 3), 1),
    "freichen-8": (0, (-4 / 3, 4 / 3), 2),
    "freichen-9": (3, (0, 3), 1),
}
DIRECTIONS = ("e", "ne", "n", "nw", "w", "sw", "s", "se")
for direction in DIRECTIONS:
    straight = len(direction) == 1
    FACTS[f"kirsch-{direction}"] = (0, (-15, 15), 2 if straight else 3)
    FACTS[f"robinson-{direction}"] = (0, (-4, 4), 1 if straight else 2)
    FACTS[f"prewitt-compass-{direction}"] = (0, (-5, 5), 2 if straight else 3)
for name in [name for name in FACTS if name.endswith("-x")]:
    FACTS[f"{name.removesuffix('x')}y"] = FACTS[name]
LAWS = {
    "l5": [1, 4, 6, 4, 1],
    "e5": [-1, -2, 0, 2, 1],
    "s5": [-1, 0, 2, 0, -1],
    "w5": [-1, 2, 0, -2, 1],
    "r5": [1, -4, 6, -4, 1],
}
for down, across in product(LAWS, LAWS):
    outer = np.multiply.outer(LAWS[down], LAWS[across])
    bounds = int(np.minimum(outer, 0).sum()), int(np.maximum(outer, 0).sum())
    FACTS[f"laws-{down}{across}"] = (int(outer.sum()), bounds, 1)
FLOATS = ("farid5-", "freichen-1", "freichen-2", "freichen-3", "freichen-4", "freichen-x", "freichen-y")

# sets: how many members, and how their maps become one
SETS = {
    "sobel": (2, "l2"),
    "sobel5": (2, "l2"),
    "sobel7": (2, "l2"),
    "prewitt": (2, "l2"),
    "scharr": (2, "l2"),
    "scharr-opt": (2, "l2"),
    "farid5": (2, "l2"),
    "ando3": (2, "l2"),
    "bickley": (2, "l2"),
    "roberts": (2, "l2"),
    "kirsch": (8, None),
    "robinson": (8, None),
    "prewitt-compass": (8, None),
    "nevatia-babu": (6, None),
    "frei-chen": (9, None),
    "lines": (4, None),
    "laws": (25, None),
}


def test_every_fixed_preset_is_held_to_a_fact():
    """Every shipped preset is checked here."""
    assert set(presets.names()) == set(FACTS) | set(SETS)


def test_no_two_presets_have_one_name():
    """Names and aliases differ even without hyphens, and none is a value of --combine."""
    shipped = [entry.kernel for entry in library.Library(()).entries()]
    known = [name for kernel in shipped for name in (kernel.name, *kernel.about.aliases)]
    assert len(set(map(presets.plain, known))) == len(known)
    for kernel in shipped:
        for alias in kernel.about.aliases:
            assert convcli.load_kernel(alias).name == kernel.name


@pytest.mark.parametrize("name", FACTS)
def test_sum_range_and_rank(name):
    """Published sums and ranges, and the rank that decides whether it separates."""
    kernel = convcli.load_kernel(name)
    total, bounds, rank = FACTS[name]
    if name.startswith(FLOATS):
        assert kernel.exact is None
        assert kernel.sum == pytest.approx(total, abs=1e-12)
    else:
        assert kernel.sum == total
    assert kernel.bounds == pytest.approx(bounds, abs=6e-5, rel=1e-5)
    assert np.linalg.matrix_rank(kernel.weights) == rank
    assert (kernel.factors is not None) == (rank == 1)
    assert kernel.about.description
    assert kernel.about.source
    assert kernel.about.tags


@pytest.mark.parametrize("name", SETS)
def test_sets(name):
    """Each member is one map of the bank, in order, in the middle of the largest window."""
    members, combine = SETS[name]
    kernel = convcli.load_kernel(name)
    assert (kernel.maps, kernel.combine) == (members, combine)
    preset = library.Library(()).find(name)
    for index, member in enumerate(preset.members):
        assert np.array_equal(kernel.weights[:, :, 0, index], convcli.load_kernel(member).weights)


PLANES = {
    "x": lambda x, y: x,
    "y": lambda x, y: y,
    "xy": lambda x, y: x * y,
    "laplacian": lambda x, y: (x * x + y * y) / 4,
}


@pytest.mark.parametrize(
    "name",
    [*FACTS, "gaussian-dx:1.3", "gaussian-dxy:1", "sobel-x:9", "sobel-y:9", "laplacian:0.3"],
)
def test_stated_gains(name):
    """A kernel's gain is its response to an image whose derivative is 1: x, y, xy, or (x² + y²) / 4."""
    kernel = convcli.load_kernel(name)
    if kernel.about.gain is None:
        return
    rows, columns = kernel.size
    y, x = np.mgrid[:rows, :columns].astype(float)
    y, x = y - (rows - 1) / 2, x - (columns - 1) / 2
    kind = name.partition(":")[0].rsplit("-", 1)[-1].removeprefix("d")
    plane = PLANES.get(kind, PLANES["laplacian"])(x, y)
    assert float((kernel.weights * plane).sum()) == pytest.approx(float(kernel.about.gain))
    assert (kernel.per_gain().weights * plane).sum() == pytest.approx(1)


@pytest.mark.parametrize("stem", ["kirsch", "robinson", "prewitt-compass"])
def test_compasses_turn_by_45_degrees(stem):
    """Each direction is the one before, rotated; north is positive where it is brighter at the top."""
    for before, after in zip(DIRECTIONS, (*DIRECTIONS[1:], "e"), strict=True):
        turned = convcli.load_kernel(f"{stem}-{before}@45")
        assert np.array_equal(turned.weights, convcli.load_kernel(f"{stem}-{after}").weights)
    assert convcli.load_kernel(f"{stem}-n").weights[0].sum() > 0


def test_turning():
    """Quarter turns as NumPy's rot90 for any shape, eighths ring by ring, eight of them the identity."""
    weights = convcli.load_kernel("1 2 3; 4 5 6")
    assert np.array_equal(convcli.load_kernel("1 2 3; 4 5 6@90").weights, np.rot90(weights.weights))
    assert np.array_equal(
        convcli.load_kernel("emboss@-90").weights, np.rot90(convcli.load_kernel("emboss").weights, -1)
    )
    big = convcli.load_kernel("random:7x7")
    turned = big
    for _ in range(8):
        turned = transform.rotated(turned, 45, "turned")
    assert np.array_equal(turned.weights, big.weights)
    assert np.array_equal(
        convcli.load_kernel("random:7x7@45@45").weights, convcli.load_kernel("random:7x7@90").weights
    )
    assert convcli.load_kernel("sobel@90").maps == 2
    for text, words in [
        ("box3@30", "not a multiple of 45"),
        ("box:3x5@45", "multiples of 90"),
        ("box4@45", "odd"),
    ]:
        with pytest.raises(KernelError, match=words):
            convcli.load_kernel(text)


def test_frei_chen_is_orthonormal():
    """Nine orthogonal masks of unit norm."""
    basis = convcli.load_kernel("frei-chen").weights.reshape(9, 9)
    assert np.allclose(basis.T @ basis, np.eye(9), atol=1e-15)


def test_nevatia_babu_are_areas():
    """The 30° mask is 100 times the pixel's area above the line minus that below, within 1.25."""
    steps = (np.arange(200) + 0.5) / 200 - 0.5
    y, x = np.mgrid[-2:3, -2:3].astype(float)
    line = -(x[..., None, None] + steps) * np.tan(np.deg2rad(30))
    inside = y[..., None, None] + steps[:, None] < line
    areas = 200 * inside.mean((2, 3)) - 100
    mask = convcli.load_kernel("nevatia-babu-30").weights
    assert np.abs(mask - areas).max() < 1.25
    assert np.array_equal(convcli.load_kernel("nevatia-babu-60").weights, mask.T)


def test_related_presets():
    """Descriptions that define one preset by another are true."""
    load = convcli.load_kernel
    identity, four, eight = (load(name).weights for name in ("identity", "laplacian4", "laplacian8"))
    assert np.array_equal(load("sharpen").weights, identity - four)
    assert np.array_equal(load("sharpen8").weights, identity - eight)
    assert np.array_equal(load("outline").weights, -eight)
    assert np.array_equal(load("highboost:1").weights, load("sharpen").weights)
    assert np.array_equal(load("laplacian:0").weights, four)
    assert np.allclose(load("unsharp:alpha=0.2").weights, identity - load("laplacian:0.2").weights)
    assert np.array_equal(load("robinson-e").weights, load("sobel-x").weights)
    assert np.array_equal(load("sobel-x:5").weights, load("sobel5-x").weights)
    assert np.array_equal(load("sobel-y:7").weights, load("sobel7-y").weights)
    assert np.array_equal(load("gaussian-cv:7").weights, load("gaussian-cv7").weights)
    big = np.zeros((5, 5))
    big[2, 2] = 2
    assert np.array_equal(load("unsharp5").weights, big - load("gaussian5").weights)
    assert np.allclose(convcli.conv2d(np.pad(load("box3").weights, 2), "box3"), load("triangle5").weights)


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr"])
def test_derivatives_point_right_and_down(name):
    """-x is positive where brightness increases to the right, -y downward, and -y is the transpose."""
    across, down = convcli.load_kernel(f"{name}-x"), convcli.load_kernel(f"{name}-y")
    ramp = np.tile(np.arange(5, dtype=np.uint8), (5, 1))
    gain = float(across.about.gain)
    assert np.all(convcli.conv2d(ramp, across) == gain)
    assert np.all(convcli.conv2d(ramp.T, down) == gain)
    assert np.array_equal(across.weights.T, down.weights)
    both = convcli.load_kernel(name)
    assert both.combine == "l2"
    assert np.array_equal(both.weights[:, :, 0, 0], across.weights)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("BOX3", "box3"),
        ("box_3", "box3"),
        ("blur", "box3"),
        ("boxblur", "box3"),
        ("boxblur7", "box7"),
        ("mean5", "box5"),
        ("gauss5", "gaussian5"),
        ("Gauss:1.5", "gaussian:1.5"),
        ("SobelX", "sobel-x"),
        ("sobel_v", "sobel-x"),
        ("laplacian", "laplacian4"),
        ("find edges", "outline"),
        ("none", "identity"),
    ],
)
def test_names_as_people_type_them(typed, name):
    """Case, hyphens, underscores and common aliases do not matter."""
    assert convcli.load_kernel(typed).name == name


def test_gaussian_by_its_formula():
    """σ, radius ⌊4σ + 0.5⌋, size and truncate; the curve of scipy, sum 1."""
    scipy = pytest.importorskip("scipy.ndimage")
    for text, sigma, size in [
        ("gaussian:1.5", 1.5, 13),
        ("gaussian:1,truncate=2", 1, 5),
        ("gaussian:2,size=7", 2, 7),
    ]:
        kernel = convcli.load_kernel(text)
        assert kernel.shape == (size, size)
        assert kernel.sum == pytest.approx(1, abs=1e-15)
        impulse = np.zeros((41, 41))
        impulse[20, 20] = 1
        blurred = scipy.gaussian_filter(impulse, sigma, radius=size // 2)
        assert np.allclose(convcli.conv(impulse, kernel, padding="same"), blurred, atol=1e-15)
    assert convcli.load_kernel("gaussian:1.5").factors is not None


def test_families_of_any_size():
    """Boxes and ones of any size, rows before columns."""
    assert convcli.load_kernel("box:3x7").shape == (3, 7)
    assert convcli.load_kernel("box31").exact.denominator == 961
    assert convcli.load_kernel("ones:2x2x3x4").tensor_shape == (2, 2, 3, 4)
    assert convcli.load_kernel("gaussian9").sum == 1


def test_random_weights_are_glorot_uniform_and_repeat():
    """Within ±√(6 / (fan in + fan out)), the same for the same seed, spread over the range."""
    kernel = convcli.load_kernel("random:3x3x16x32,seed=4")
    limit = np.sqrt(6 / (9 * (16 + 32)))
    assert kernel.tensor_shape == (3, 3, 16, 32)
    assert np.abs(kernel.weights).max() <= limit
    assert kernel.weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.03)
    repeated = convcli.load_kernel("random:3x3x16x32,seed=4")
    assert np.array_equal(kernel.weights, repeated.weights)
    assert not np.array_equal(kernel.weights, convcli.load_kernel("random:3x3x16x32,seed=5").weights)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sobl", r"'sobl' \(did you mean sobel\?"),
        ("gausian5", r"did you mean gaussian5"),
        ("zzz", "`convcli kernels list` lists all names"),
        ("edges", "kernels with that tag: ando3, .* --tag edge`"),
        ("blurr", "did you mean blur"),
        ("gaussian", "sigma is missing; usage: gaussian:SIGMA"),
        ("gaussian:-1", "sigma -1 is not between"),
        ("gaussian:x", "sigma 'x' is not a number"),
        ("gaussian4", "size '4' is not an odd number"),
        ("gaussian:1,size=4", "size '4' is not an odd number"),
        ("gaussian:1,width=4", "unknown argument"),
        ("box0", "not between 1 and 4096"),
        ("box:3x3x3x3", "4 sizes"),
        ("box99999", "not between 1 and 4096"),
        ("box3:4", "unknown kernel"),
        ("random:3x3,seed=-1", "seed '-1' is not an integer between 0"),
        ("random:3x3,seed=1,seed=2", "seed is given twice"),
        ("unsharp:1", "give either SIGMA,AMOUNT or alpha=A"),
        ("dog:2,1", r"sigma2 \(1\) must be larger than sigma1 \(2\)"),
        ("savgol:3,4", "order 4 needs a size above 4"),
        ("gaussian:1,trucate=3", "did you mean truncate"),
        ("gabor", "wavelength is missing"),
        ("random:1100x1100,distribution=normal", "normal weights; allowed"),
        ("box3:max", "has only one feature map; combining by max needs at least two"),
        ("random:3x3,seed=a", "usage: random"),
        ("", "unknown kernel ''"),
    ],
)
def test_unknown_names_and_arguments(text, words):
    """One line with the nearest names, or the usage of the family."""
    with pytest.raises(KernelError, match=words):
        convcli.load_kernel(text)


def test_a_file_in_the_folder_is_not_taken_unasked(tmp_path, monkeypatch):
    """The name of a preset never means a file; the message says how to name the file."""
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("1 2 1\n")
    with pytest.raises(KernelError, match=r"a file of that name exists: \./mine"):
        convcli.load_kernel("mine")
    assert convcli.load_kernel("./mine").exact.numerators.tolist() == [[1, 2, 1]]


def test_typed_numbers():
    """Rows are separated by semicolons, numbers by spaces or commas; fractions are exact."""
    kernel = convcli.load_kernel("1, 0, -1; 1/2 0 -1/2;1 0 -1")
    assert kernel.weights.tolist() == [[1, 0, -1], [0.5, 0, -0.5], [1, 0, -1]]
    assert convcli.load_kernel("-1 0 1").shape == (1, 3)
    assert convcli.load_kernel("1/9").sum == Fraction(1, 9)
    with pytest.raises(KernelError, match="row 2: row has 1 number, expected 2"):
        convcli.load_kernel("1 2; 3")
