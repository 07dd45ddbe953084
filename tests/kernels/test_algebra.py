"""Expressions of kernels: what they compute, how names with hyphens are read, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

import convcli
from convcli.core.errors import KernelError
from convcli.kernels import algebra
from convcli.kernels.kernel import Kernel
from convcli.pipeline.templates import safe_name
from tests.reference import correlate

load = convcli.load_kernel


def exact(kernel: Kernel) -> np.ndarray:
    """The weights as fractions."""
    assert kernel.exact is not None
    return kernel.exact.numerators.astype(object) * Fraction(1, kernel.exact.denominator)


@st.composite
def kernels(draw):
    """A small (rows, columns) kernel of integers over a denominator, with a bias."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    numbers = st.lists(st.integers(-9, 9), min_size=rows * columns, max_size=rows * columns)
    weights = np.array(draw(numbers)).reshape(rows, columns)
    return Kernel(weights, scale=Fraction(1, draw(st.integers(1, 6))), bias=draw(st.integers(-3, 3)))


def filtered(image: np.ndarray, kernel: Kernel) -> np.ndarray:
    """The map with valid padding, by the reference."""
    bias = kernel.biases[0]
    return correlate(image, exact(kernel), (1, 1), ((0, 0), (0, 0)), (1, 1)) + bias


@given(kernels(), kernels(), st.integers(0, 2**20))
def test_a_composition_filters_by_one_after_the_other(first, second, seed):
    """With valid padding, the maps are equal exactly, biases included."""
    image = np.random.default_rng(seed).integers(0, 255, (8, 9))
    both = algebra.composed(first, second, "both")
    once = filtered(image, first)
    bias = second.biases[0]
    twice = correlate(once, exact(second), (1, 1), ((0, 0), (0, 0)), (1, 1)) + bias
    assert np.array_equal(filtered(image, both), twice)


@given(kernels(), kernels(), kernels())
def test_laws(one, two, three):
    """Composition is associative and distributes over sums of equal sizes; differences undo sums."""
    left = algebra.composed(algebra.composed(one, two, ""), three, "")
    right = algebra.composed(one, algebra.composed(two, three, ""), "")
    assert np.array_equal(exact(left), exact(right))
    assert left.bias == right.bias
    same = two.reshaped(lambda raw: raw[::-1], Fraction(3))
    of_sum = algebra.composed(one, algebra.added(two, same, ""), "")
    sum_of = algebra.added(algebra.composed(one, two, ""), algebra.composed(one, same, ""), "")
    assert np.array_equal(exact(of_sum), exact(sum_of))
    undone = algebra.added(algebra.added(two, same, ""), same, "", -1)
    assert np.array_equal(exact(undone), exact(two))
    twice = algebra.multiplied(two, Fraction(2), "")
    assert np.array_equal(exact(twice), exact(algebra.added(two, two, "")))
    assert twice.bias == 2 * two.bias


@given(kernels(), kernels(), st.integers(0, 2**20))
def test_differences_are_linear(first, second, seed):
    """With zeros around the image, the map of a difference is the difference of the maps."""
    image = np.random.default_rng(seed).integers(0, 255, (6, 7)).astype(float)
    difference = algebra.added(first, second, "", -1)
    maps = [
        convcli.conv(image, kernel.reshaped(lambda raw: raw, bias=0), padding="same", dtype="float64")
        for kernel in (first, second, difference)
    ]
    assert np.abs(maps[0] - maps[1] - maps[2]).max() < 1e-9


def test_floats_and_large_numbers():
    """Float kernels are composed in float64; integers that exceed 64 bits become floats, not wrong."""
    one, two = load("gaussian:1"), load("gaussian:2")
    expected = signal.convolve2d(one.weights, two.weights)
    assert np.abs(load("gaussian:1*gaussian:2").weights - expected).max() < 1e-15
    large = Kernel(np.full((1, 3), 2**40))
    assert algebra.composed(large, large, "").weights.tolist() == [[2.0**80 * n for n in (1, 2, 3, 2, 1)]]
    assert load("box3*box3*box3*box3").exact is not None


EQUAL = [
    ("box3*box3", "triangle5", Fraction(1)),
    ("1/16*[1 2 1; 2 4 2; 1 2 1]", "gaussian3", Fraction(1)),
    ("[1 2 1; 2 4 2; 1 2 1]/16", "gaussian3", Fraction(1)),
    ("[1 2 1] * [1; 2; 1]", "gaussian3", Fraction(16)),
    ("2*sobel-x", "sobel-x", Fraction(2)),
    ("2 * sobel-x", "sobel-x", Fraction(2)),
    ("sobel-x/8", "sobel-x", Fraction(1, 8)),
    ("-sobel-x", "sobel-x@180", Fraction(1)),
    ("-(2*sobel-x)", "sobel-x", Fraction(-2)),
    ("identity - laplacian4", "sharpen", Fraction(1)),
    ("identity-laplacian8", "sharpen8", Fraction(1)),
    ("2*identity - gaussian5", "unsharp5", Fraction(1)),
    ("sobel-x-sobel-x@90", "sobel-x + sobel-y", Fraction(1)),
    ("(central-x*central-x)@90", "central-y * central-y", Fraction(1)),
    ("motion:5,-45-motion:5,-45", "0*box5", Fraction(1)),
    ("box3-1*box5", "box3 - box5", Fraction(1)),
    ("SOBEL_X*2", "sobel-x", Fraction(2)),
    ("0.5*(box3+box3)", "box3", Fraction(1)),
    ("2*3x3: 1,0,-1 2,0,-2 1,0,-1", "sobel-x", Fraction(-2)),
]


@pytest.mark.parametrize(("text", "other", "factor"), EQUAL)
def test_expressions_that_have_a_name(text, other, factor):
    """What an expression means, next to a preset or another expression."""
    expected = np.asarray(load(other).weights) * float(factor)
    weights = load(text).weights
    pads = [((size - own) // 2,) * 2 for size, own in zip(weights.shape, expected.shape, strict=True)]
    assert np.abs(weights - np.pad(expected, pads)).max() < 1e-12


NAMES = [
    "sobel-x",
    "laplacian-4",
    "kirsch-e@-45",
    "motion:9,-45",
    "gaussian-dx:1",
    "-1 0 1",
    "nevatia-babu-120",
]


@pytest.mark.parametrize("text", NAMES)
def test_names_with_hyphens_stay_names(text):
    """A known name is never an expression."""
    assert " minus " not in load(text).about.description


def test_files_win(tmp_path, monkeypatch):
    """An existing file is read, whatever its name; files are parts of expressions too."""
    monkeypatch.chdir(tmp_path)
    for name in ("box3*box3.csv", "my-box-2.csv", "a+b (1).csv", "3-1.csv"):
        (tmp_path / name).write_text("7\n")
        assert load(name).sum == 7
    assert load("my-box-2.csv*box3").sum == 7
    assert load("box3+./my-box-2.csv").sum == 8
    assert load("2*my-box-2.csv-my-box-2.csv").sum == 7
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "edge-3-5.csv").write_text("5\n")
    assert load("edge-3-5*2", kernel_path="presets").sum == 10


def test_sets_take_expressions_of_presets(tmp_path):
    """A set's members may be expressions, but never of files outside the set's folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out.csv").write_text("1\n")
    (tmp_path / "in" / "pair.yaml").write_text("members: [box3*sobel-x@90, sobel-x]\n")
    assert load(str(tmp_path / "in" / "pair.yaml")).about.members[0] == "box3*sobel-x@90"
    for member in (f"box3*{tmp_path}/out.csv", "box3*../out.csv", f"{tmp_path}/out.csv*box3"):
        (tmp_path / "in" / "bad.yaml").write_text(f"members: ['{member}', sobel-x]\n")
        with pytest.raises(KernelError):
            load(str(tmp_path / "in" / "bad.yaml"))


REFUSED = [
    ("sobl-x*box3", "unknown kernel 'sobl-x' (did you mean sobel-x"),
    ("gaussian:1-gausian:2", "unknown kernel 'gausian:2' (did you mean gaussian"),
    ("gausian:1-gaussian:2", "unknown kernel 'gausian:1' (did you mean gaussian"),
    ("sobel-z", "unknown kernel 'sobel-z' (did you mean sobel"),
    ("2 * sobl-x", "unknown kernel 'sobl-x'"),
    ("gaussian:0*box3", "sigma 0 is not between"),
    ("missing.yaml*box3", "missing.yaml: no such file"),
    ("box3*", "a kernel or a number must follow '*', but the text ends there"),
    ("box3**box3", "must follow '*', but found '*'"),
    ("*box3", "a kernel or a number must come first, but found '*'"),
    ("box3+2", "the number 2 cannot be added to a kernel; did you mean 2*identity?"),
    ("2*3*(4)", "24 is a number, not a kernel"),
    ("box3/0*box3", "division by zero"),
    ("(2)/box3", "box3 is a kernel; only numbers can divide"),
    ("(box3", "a ) is missing"),
    ("box3)", "expected +, -, * or / before ')'"),
    ("box3*1 0 -1", "put rows of numbers in brackets: [1 0 -1]"),
    ("[1 2 1]*[1 2", "brackets must contain rows"),
    ("sobel*box3", "sobel combines its maps by l2, so nothing can follow it"),
    ("sobel+sobel", "use sobel:stack"),
    ("-2*sobel", "cannot have a negative factor"),
    ("2*lines:argmax", "cannot be multiplied"),
    ("2*sobel:angle", "cannot be multiplied"),
    ("lines+kirsch", "lines has 4 maps, kirsch has 8 maps; allowed: the same number, or one"),
    ("box3*box:3x3x3", "box:3x3x3 is a volume, box3 is not"),
    ("emboss0*sobel+0*box3", "sobel combines"),
    ("emboss0*laws:l2", "emboss0 has a bias"),
    ("1e400*box3", "out of range"),
    ("1e300*1e300*box3", "out of range"),
    ("box:300*box:300", "too large to compute"),
    ("*".join(["box3"] * 60), "59 operators; allowed: up to 32"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text, message):
    """One line that names the part at fault."""
    with pytest.raises(KernelError) as caught:
        load(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_banks():
    """One kernel is composed with or added to each map; banks of as many maps go map by map."""
    kirsch, box = load("kirsch"), load("box3")
    blurred = load("box3*kirsch")
    assert blurred.about.members[1] == "box3*kirsch-ne"
    for index in range(8):
        expected = signal.convolve2d(kirsch.weights[:, :, 0, index], box.weights)
        assert np.abs(blurred.weights[:, :, 0, index] - expected).max() < 1e-12
    both = load("kirsch-robinson")
    assert np.array_equal(both.weights, kirsch.weights - load("robinson").weights)
    smooth = load("gaussian3*sobel")
    assert (smooth.combine, smooth.maps, smooth.about.gain) == ("l2", 2, None)


def test_gain():
    """Multiples and averages change the gain of a derivative as they change its response to a ramp."""
    assert load("sobel-x/8").about.gain == 1
    assert load("box3*sobel-x").about.gain == 8
    assert load("sobel-x*ones3").about.gain == 72
    assert load("sobel-x*sobel-y").about.gain is None
    assert load("0*sobel-x").about.gain is None


def test_centers():
    """Even sizes: sums align the upper left of the middle; compositions are centered at their middle."""
    assert load("[1 1]+[1 2 3]").weights.tolist() == [[1, 3, 4]]
    assert load("[1 1; 1 1]*[1 1; 1 1]").size == (3, 3)
    image = np.zeros((5, 5))
    image[2, 2] = 1
    one_by_one = convcli.conv(convcli.conv(image, "[1 1]", padding="same:zero"), "[1 1]", padding="same:zero")
    composed = convcli.conv(image, "[1 1]*[1 1]", padding="same:zero")
    assert np.array_equal(one_by_one[:, :-1], composed[:, 1:])


def test_names_of_results(run, tmp_path, monkeypatch):
    """Names are safe in file names, and differ where the kernels do."""
    names = ["box3*box3", "box3-box3", "box3+box3", "2*sobel-x", "-2*sobel-x", "(box3+box5)*2", "sobel-x/8"]
    files = [safe_name(load(name).name) for name in names]
    assert files[:5] == ["box3xbox3", "box3-box3", "box3+box3", "2xsobel-x", "minus-2xsobel-x"]
    assert len({*files}) == len(names)
    assert not {*"".join(files)} & set("*/()[] ")
    assert load("2*(box3+box5)").name == "2*(box3+box5)"
    for name in ("1e300*box3", "1e-300*kirsch", "box3/7/1e200"):
        kernel = load(name)
        texts = [kernel.name, kernel.about.description, *kernel.about.members]
        assert max(map(len, texts)) < 40
        assert np.array_equal(load(kernel.name).weights, kernel.weights)


def test_commands(run, tmp_path, monkeypatch):
    """Every command that takes a kernel takes an expression, and files are named after it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pgm").write_bytes(b"P5 9 9 255\n" + bytes(range(81)))
    assert run("apply", "a.pgm", "-k", "box3*box3").code == 0
    assert (tmp_path / "a.box3xbox3.pgm").exists()
    assert run("batch", "a.pgm", "-k", "gaussian:1-gaussian:2", "-o", "out").code == 0
    assert [*(tmp_path / "out").iterdir()]
    assert run("plan", "90x90", "-k", "2*sobel-x").code == 0
    assert "5 × 5" in run("shape", "90x90", "-k", "box3*box3").text
    assert "box3 then box3" in run("kernels", "show", "box3*box3").text
    assert run("apply", "a.pgm", "-k", "-sobel-x", "-o", "b.pgm").code == 0
    assert run("apply", "a.pgm", "-k", "sobl-x*2", "-o", "c.pgm").code == 2
