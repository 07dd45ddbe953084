"""Presets: every one against its published sum and range, names as people type them, families by formula."""

from __future__ import annotations

import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli import presets
from convcli.errors import KernelError

# name: sum, range for pixels from 0 to 1, rank; from the literature that each preset names
FACTS = {
    "identity": (1, (0, 1), 1),
    "box3": (1, (0, 1), 1),
    "box5": (1, (0, 1), 1),
    "gaussian3": (1, (0, 1), 1),
    "gaussian5": (1, (0, 1), 1),
    "gaussian7": (1, (0, 1), 1),
    "ones3": (9, (0, 9), 1),
    "sobel-x": (0, (-4, 4), 1),
    "sobel-y": (0, (-4, 4), 1),
    "prewitt-x": (0, (-3, 3), 1),
    "prewitt-y": (0, (-3, 3), 1),
    "scharr-x": (0, (-16, 16), 1),
    "scharr-y": (0, (-16, 16), 1),
    "laplacian4": (0, (-4, 4), 2),
    "laplacian8": (0, (-8, 8), 2),
    "outline": (0, (-8, 8), 2),
    "sharpen": (1, (-4, 5), 2),
    "sharpen8": (1, (-8, 9), 2),
    "emboss": (1, (-4, 5), 3),
}


def test_every_fixed_preset_is_held_to_a_fact():
    """No preset ships that this file does not check."""
    magnitudes = {"sobel", "prewitt", "scharr"}
    assert set(presets.names()) == set(FACTS) | magnitudes


@pytest.mark.parametrize("name", FACTS)
def test_sum_range_and_rank(name):
    """Published sums and ranges, exactly, and the rank that decides whether it separates."""
    kernel = convcli.load_kernel(name)
    total, bounds, rank = FACTS[name]
    assert kernel.exact is not None
    assert kernel.sum == total
    assert kernel.bounds == pytest.approx(bounds)
    assert np.linalg.matrix_rank(kernel.weights) == rank
    assert (kernel.factors is not None) == (rank == 1)
    assert kernel.about.description
    assert kernel.about.source


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr"])
def test_derivatives_point_right_and_down(name):
    """-x is positive where brightness rises to the right, -y downward, and -y is the transpose."""
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
    again = convcli.load_kernel("random:3x3x16x32,seed=4")
    assert np.array_equal(kernel.weights, again.weights)
    assert not np.array_equal(kernel.weights, convcli.load_kernel("random:3x3x16x32,seed=5").weights)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sobl", r"'sobl' \(did you mean sobel, "),
        ("gausian5", r"did you mean gaussian5"),
        ("zzz", "`convcli kernels` lists them"),
        ("edges", "presets with that tag: laplacian4, "),
        ("blurr", "did you mean blur"),
        ("gaussian", "needs more: gaussianN"),
        ("gaussian:-1", "sigma -1 is not between"),
        ("gaussian:x", "not a number"),
        ("gaussian4", "size 4 is not odd"),
        ("gaussian:1,size=4", "size 4 is even"),
        ("gaussian:1,width=4", "is not understood"),
        ("box0", "not between 1 and 4096"),
        ("box:3x3x3", "3 sizes"),
        ("box99999", "not between 1 and 4096"),
        ("box3:4", "no preset is called"),
        ("random:3x3,seed=-1", "seed from 0"),
        ("random:3x3,seed=1,seed=2", "seed stands twice"),
        ("random:3x3,seed=a", "usage: random"),
        ("", "no preset is called ''"),
    ],
)
def test_unknown_names_and_arguments(text, words):
    """One line with the nearest names, or how the family is written."""
    with pytest.raises(KernelError, match=words):
        convcli.load_kernel(text)


def test_a_file_in_the_folder_is_not_taken_unasked(tmp_path, monkeypatch):
    """A preset's name never means a file; the message says how to name the file."""
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("1 2 1\n")
    with pytest.raises(KernelError, match=r"a file of that name exists: \./mine"):
        convcli.load_kernel("mine")
    assert convcli.load_kernel("./mine").exact.numerators.tolist() == [[1, 2, 1]]


def test_typed_numbers():
    """Rows split by semicolons, numbers by spaces or commas, fractions exact."""
    kernel = convcli.load_kernel("1, 0, -1; 1/2 0 -1/2;1 0 -1")
    assert kernel.weights.tolist() == [[1, 0, -1], [0.5, 0, -0.5], [1, 0, -1]]
    assert convcli.load_kernel("-1 0 1").shape == (1, 3)
    assert convcli.load_kernel("1/9").sum == Fraction(1, 9)
    with pytest.raises(KernelError, match="row 2: row has 1 numbers"):
        convcli.load_kernel("1 2; 3")


def test_presets_are_found_in_a_zipped_wheel(tmp_path):
    """The presets travel inside the package and are read from a zip file."""
    root, source = Path(__file__).resolve().parent.parent, tmp_path / "source"
    for part in ("convcli", "kernels", "share"):
        shutil.copytree(root / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / part, source)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("convcli-*.whl")
    code = "import convcli; k = convcli.load_kernel('sobel-x'); print(convcli.__file__, k.shape)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(wheel)},
    )
    assert str(wheel) in ran.stdout
    assert "(3, 3)" in ran.stdout
