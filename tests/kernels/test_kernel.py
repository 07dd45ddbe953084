"""The Kernel: exact numbers, derived facts, and a repr that builds it again."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convcli
from convcli import Kernel
from convcli.core.errors import KernelError
from convcli.core.factorization import integer_factors
from convcli.core.rational import parse_number
from convcli.kernels.bank import bank
from convcli.kernels.transform import anchored, rotated
from tests.reference import correlate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", Fraction(3)),
        ("-0.5", Fraction(-1, 2)),
        ("+.25", Fraction(1, 4)),
        ("1e-3", Fraction(1, 1000)),
        ("1/9", Fraction(1, 9)),
        ("-1.5/3", Fraction(-1, 2)),
        ("0.1", Fraction(1, 10)),
        (" 2 / 3 ", Fraction(2, 3)),
        ("−1", Fraction(-1)),
        ("1e300", Fraction(10**300)),
    ],
)
def test_numbers_are_read_exactly(text, value):
    """Decimals, powers and fractions are parsed exactly."""
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text", ["nan", "-inf", "1/0", "1e9999", "1e301", "x", "", "1_0", "0x10", "1" * 99, "٣"]
)
def test_other_text_is_no_number(text):
    """Only finite numbers are parsed; a huge exponent takes no time."""
    with pytest.raises(ValueError, match=r"number|zero|range"):
        parse_number(text)


def test_fractions_stay_exact():
    """Integers over one denominator, in lowest terms, whatever form the weights came in."""
    for weights, scale in [
        ([["1/9"] * 3] * 3, 1),
        (np.ones((3, 3)), "1/9"),
        ([[Fraction(1, 9)] * 3] * 3, 1),
        (np.full((3, 3), 2), Fraction(1, 18)),
    ]:
        kernel = Kernel(weights, scale=scale)
        assert kernel.exact is not None
        assert (kernel.exact.numerators.tolist(), kernel.exact.denominator) == ([[1] * 3] * 3, 9)
        assert kernel.sum == 1


def test_floats_without_a_short_fraction_are_floats():
    """The float 0.1 is not a tenth, so its kernel is not exact; 0.375 is."""
    assert Kernel(np.full((3, 3), 0.1)).exact is None
    assert Kernel(np.full((3, 3), 0.375)).exact.denominator == 8
    assert Kernel([[Fraction(1, 2) + Fraction(1, 3**60)]]) == Kernel([[0.5]])  # as its float64 is


def test_the_repr_builds_the_kernel_again():
    """``eval(repr(kernel))`` equals the kernel: weights, name, bias and way to combine."""
    for name in ("box3", "sobel", "gaussian:0.8", "emboss"):
        kernel = convcli.load_kernel(name).biased(Fraction(1, 2))
        rebuilt = eval(repr(kernel), {"Kernel": Kernel})
        assert rebuilt == kernel
        assert hash(rebuilt) == hash(kernel)
    assert kernel != kernel.named("other")


def test_equal_kernels_filter_alike():
    """Floats differ from the fractions near them; the sign of zero and the type of a bias do not matter."""
    tenth, third = Kernel([["1/10"]]), Kernel([["1/3"]])
    assert Kernel(np.array([[0.1]])) != tenth
    assert Kernel([[f"0.{'3' * 18}"]]) != third
    for one, other in [
        (Kernel([["0.1"]]), tenth),
        (Kernel([[1]], scale="1/3"), third),
        (Kernel(np.array([[-0.0, 0.1]])), Kernel(np.array([[0.0, 0.1]]))),
        (Kernel([[1]], bias=0.5), Kernel([[1]], bias="1/2")),
    ]:
        assert one == other
        assert hash(one) == hash(other)
    biased = Kernel([[1, 2]], bias=0.123456789)
    assert eval(repr(biased), {"Kernel": Kernel}) == biased


def test_kernels_are_frozen():
    """Neither a field nor a weight can be changed."""
    kernel = convcli.load_kernel("sharpen")
    with pytest.raises(AttributeError):
        kernel.name = "other"
    with pytest.raises(ValueError, match="read-only"):
        kernel.weights[0, 0] = 1


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_kernels_own_their_weights(dtype):
    """A kernel is not changed with the array that it was made of."""
    array = np.array([[1, 2.5], [3, 0.1]]).astype(dtype)
    kernel, kept = Kernel(array), Kernel(array.copy())
    array[:] = 7
    assert kernel == kept
    assert kernel.weights.dtype == np.float64


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=5), st.lists(st.integers(-9, 9), min_size=1, max_size=5)
)
def test_outer_products_are_found_separable(column, row):
    """Factors of any outer product multiply back to it, exactly."""
    matrix = np.multiply.outer(np.array(column), np.array(row))
    factors = integer_factors(matrix)
    if matrix.any():
        assert np.array_equal(np.multiply.outer(*factors), matrix)
    else:
        assert factors is None


@given(st.integers(0, 2**32))
def test_rank_two_is_not_separable(seed):
    """A matrix of higher rank has no factors."""
    matrix = np.random.default_rng(seed).integers(-3, 4, (3, 4))
    if np.linalg.matrix_rank(matrix) > 1:
        assert integer_factors(matrix) is None


def test_derived_facts():
    """Sum, range and factors of a kernel whose values are known."""
    sobel = convcli.load_kernel("sobel-x")
    assert sobel.sum == 0
    assert sobel.bounds == (-4, 4)
    assert sobel.factors == ([1, 2, 1], [-1, 0, 1])
    assert convcli.load_kernel("laplacian4").factors is None
    assert convcli.load_kernel("box3").factors == ([Fraction(1, 9)] * 3, [1, 1, 1])


def test_normalized_by_sum_or_magnitude():
    """Weights are divided by their sum, or by 1 if that is 0."""
    assert convcli.load_kernel("ones3").normalized("sum").sum == 1
    assert convcli.load_kernel("sobel-x").normalized("abs").bounds == (-0.5, 0.5)
    assert convcli.load_kernel("sobel-x").normalized("sum").bounds == (-4, 4)


def test_a_bank_centers_its_members():
    """Kernels of different sizes share the largest window."""
    both = bank([Kernel([[1]]), Kernel(np.ones((3, 5), int))], "both", None)
    assert both.shape == (3, 5, 1, 2)
    assert both.weights[1, 2, 0, 0] == 1
    assert both.map_sums == (1, 15)


@pytest.mark.parametrize(
    ("weights", "options", "words"),
    [
        ([], {}, "no weights"),
        ([[]], {}, "no weights"),
        ([[1, 2], [3]], {}, "different lengths"),
        ([["1", "x"]], {}, "weight 'x' is not a number"),
        ([[1, None]], {}, "weight None"),
        ([[1, float("inf")]], {}, "not a finite number"),
        (np.ones((1,) * 6), {}, "6 axes"),
        (5, {}, "0 axes"),
        ("abc", {}, "type"),
        ([[1j]], {}, "type complex128"),
        ([[1]], {"scale": "1/0"}, "scale '1/0'"),
        ([[1]], {"bias": float("nan")}, "bias nan"),
        ([[1]], {"combine": "sum"}, "combine 'sum'; .* to sum maps, sum the weights over their last axis"),
    ],
)
def test_bad_weights_are_refused(weights, options, words):
    """One line that names what was got."""
    with pytest.raises(KernelError, match=words):
        Kernel(weights, **options)


ANCHORS = [
    (rows, columns, row, column)
    for rows, columns in [(1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3), (4, 2), (4, 4)]
    for row in range(rows)
    for column in range(columns)
]


def placed(x, weights, anchor):
    """The plain loop with the cell ``anchor`` of the weights on the output's pixel, zeros outside."""
    pads = [(at, size - 1 - at) for at, size in zip(anchor, weights.shape, strict=True)]
    return correlate(x, weights, (1, 1), pads, (1, 1)).astype(float)


@pytest.mark.parametrize(("rows", "columns", "row", "column"), ANCHORS)
def test_an_anchor_turns_with_its_kernel(rows, columns, row, column):
    """By ``flip``, ``@90``, ``@180`` and ``@270``, for every size and every cell: the plain loop's values.

    Turned by 180° the anchor is (rows − 1 − row, columns − 1 − column), as OpenCV's manual of filter2D says
    and ImageMagick's Convolve does; a quarter turn counterclockwise makes it (columns − 1 − column, row).
    """
    rng = np.random.default_rng(rows * 100 + columns * 10 + row)
    x, weights = rng.integers(0, 99, (6, 7)), rng.integers(1, 9, (rows, columns))
    kernel = anchored(Kernel(weights), (row, column))
    assert np.array_equal(convcli.conv(x, kernel, padding="same"), placed(x, weights, (row, column)))
    flipped = convcli.conv(x, kernel, padding="same", flip=True)
    for quarters in (1, 2, 3):
        row, column = columns - 1 - column, row
        rows, columns = columns, rows
        weights = np.rot90(weights)
        truth = placed(x, weights, (row, column))
        filtered = convcli.conv(x, rotated(kernel, 90 * quarters, "turned"), padding="same")
        assert np.array_equal(filtered, truth)
        assert quarters != 2 or np.array_equal(flipped, truth)


@pytest.mark.parametrize(("rows", "columns", "row", "column"), ANCHORS[::2])
def test_anchors_as_opencv(rows, columns, row, column):
    """filter2D with the anchor, and with the kernel flipped and the anchor that its manual gives for that."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(3)
    x, weights = rng.integers(0, 99, (6, 7)).astype(float), rng.integers(1, 9, (rows, columns)).astype(float)
    kernel = anchored(Kernel(weights), (row, column))
    theirs = cv2.filter2D(x, -1, weights, anchor=(column, row), borderType=cv2.BORDER_REFLECT_101)
    assert np.array_equal(convcli.conv(x, kernel, padding="same:reflect"), theirs)
    turned_anchor = (columns - column - 1, rows - row - 1)
    theirs = cv2.filter2D(
        x, -1, cv2.flip(weights, -1), anchor=turned_anchor, borderType=cv2.BORDER_REFLECT_101
    )
    assert np.array_equal(convcli.conv(x, kernel, padding="same:reflect", flip=True), theirs)
