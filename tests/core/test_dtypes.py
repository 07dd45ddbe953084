"""Number types: narrow accumulators, and rounding that equals exact fractions in every way it is done."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.core.dtypes import accumulator
from convcli.core.rounding import Affine, Finish

U16 = np.dtype(np.uint16)
INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64]


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0, 255, "uint8"),
        (-1, 127, "int8"),
        (0, 2295, "uint16"),
        (-1020, 1020, "int16"),
        (0, 65536, "uint32"),
        (-1, 65535, "int32"),
        (0, 2**32, "int64"),
    ],
)
def test_the_narrowest_type_that_holds_the_range(low, high, name):
    """Ranges of well-known kernels get the type one would choose by hand."""
    assert accumulator(low, high) == np.dtype(name)


def test_no_type_beyond_64_bits():
    """A range that no integer holds gives None."""
    assert accumulator(0, 2**63) is None


def expected(value: int, affine: Affine, target: type) -> int:
    exact = Fraction(int(affine.gain) * value + int(affine.offset), affine.denominator)
    exact = abs(exact) if affine.magnitude else exact
    info = np.iinfo(target)
    return min(max(round(exact), int(info.min)), int(info.max))


def test_rounding_has_room_for_its_own_half():
    """The magnitude of the lowest sum, rounded, does not leave the type of the sums."""
    out = np.empty(2, np.uint8)
    finish = Finish(np.dtype(np.int16), -32760, 0, Affine(1, 0, 16, True), np.dtype(np.uint8), exact=True)
    finish(np.array([-32760, -24], np.int16), out)
    assert out.tolist() == [255, 2]


@given(data=st.data())
def test_finish_rounds_like_fractions(data):
    """For any sums, gain, offset, denominator and type: nearest, ties to even, saturated, and counted."""
    source = data.draw(st.sampled_from(INTEGERS))
    target = data.draw(st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.int32]))
    info = np.iinfo(source)
    limit = data.draw(st.sampled_from([300, 70_000, 2**40]))
    low = data.draw(st.integers(max(int(info.min), -limit), min(int(info.max), limit)))
    high = data.draw(st.integers(low, min(int(info.max), limit)))
    affine = Affine(
        data.draw(st.sampled_from([1, 1, 1, 3, 127])),
        data.draw(st.sampled_from([0, 0, 5, -77, 12_345])),
        data.draw(st.sampled_from([1, 2, 3, 6, 9, 10, 16, 25, 255, 256, 4096, 1000, 99_999])),
        data.draw(st.booleans()),
    )
    values = [low, high, *data.draw(st.lists(st.integers(low, high), min_size=1, max_size=40))]
    out = np.empty(len(values), target)
    finish = Finish(np.dtype(source), low, high, affine, np.dtype(target), exact=True)
    below, above = finish(np.array(values, source), out, count=True)
    assert out.tolist() == [expected(value, affine, target) for value in values]
    exact = [Fraction(int(affine.gain) * v + int(affine.offset), affine.denominator) for v in values]
    nearest = [round(abs(v) if affine.magnitude else v) for v in exact]
    limits = np.iinfo(target)
    assert below == sum(v < limits.min for v in nearest)
    assert above == sum(v > limits.max for v in nearest)


@pytest.mark.parametrize("denominator", [2, 3, 6, 9, 16, 256])
def test_every_16_bit_sum_divides_exactly(denominator):
    """All 65,536 sums, tie or not, round as fractions do."""
    sums = np.arange(65536).astype(np.uint16)
    out = np.empty(65536, np.uint16)
    Finish(U16, 0, 65535, Affine(1, 0, denominator), U16, exact=True)(sums.copy(), out)
    assert out.tolist() == [round(Fraction(value, denominator)) for value in range(65536)]


def test_exact_sums_as_floats_are_correctly_rounded():
    """float32 results of sums too long for float32 are the nearest ones."""
    sums = np.array([2**24 + 1, 2**30 + 63, 3], np.int32)
    out = np.empty(3, np.float32)
    Finish(np.dtype(np.int32), 0, 2**31 - 1, Affine(1, 0, 3), np.dtype(np.float32), exact=True)(
        sums.copy(), out
    )
    assert out.tolist() == [float(np.float32(int(value) / 3)) for value in sums]


def test_floats_saturate_and_nan_becomes_zero():
    """Infinities go to the ends of an integer type, NaN to 0, and ties to even."""
    values = np.array([np.nan, np.inf, -np.inf, 0.5, 1.5, 2.5, -3, 300], np.float32)
    out = np.empty(8, np.uint8)
    finish = Finish(np.dtype(np.float32), -np.inf, np.inf, Affine(), np.dtype(np.uint8), exact=False)
    assert finish(values, out, count=True) == (2, 2)
    assert out.tolist() == [0, 255, 0, 0, 2, 2, 0, 255]


@pytest.mark.parametrize("ends", [(0, np.inf), (-np.inf, 0), (-np.inf, np.inf), (5, 5)])
@pytest.mark.parametrize("gain", [0, 0.0])
def test_maps_without_a_range_become_one_gray(ends, gain):
    """A gain of 0 gives the offset for all finite values, whatever bounds the values have."""
    finish = Finish(np.dtype(np.float64), *ends, Affine(gain, 7), np.dtype(np.uint8), exact=False)
    out = np.empty(2, np.uint8)
    finish(np.array([0.0, 5.0]), out)
    assert out.tolist() == [7, 7]


@pytest.mark.parametrize("target", [np.int32, np.uint32, np.int64])
def test_wide_integers_saturate_without_wrapping(target):
    """A float beyond a wide type's end never comes back with the other sign."""
    out = np.empty(2, target)
    values = np.array([1e30, -1e30], np.float64)
    Finish(np.dtype(np.float64), -np.inf, np.inf, Affine(), np.dtype(target), exact=False)(values, out)
    info = np.iinfo(target)
    assert out[0] >= info.max - 1023
    assert out[1] == info.min


def rounded(exact: Fraction, kind: type) -> float:
    """The nearest value of a float type, of two the even one, found among the neighbors of a guess."""
    guess = kind(float(exact))
    near = {float(np.nextafter(guess, kind(end))) for end in (-np.inf, np.inf)} | {float(guess)}
    ranked = sorted(
        near, key=lambda value: (abs(Fraction(value) - exact), int(kind(value).view(f"i{guess.nbytes}")) & 1)
    )
    return ranked[0]


@pytest.mark.parametrize(
    ("value", "denominator", "target"),
    [
        (51959, 51883, np.float16),
        (2676185561, 1684919827, np.float32),
        (-2676185561, 1684919827, np.float32),
        (2049 * 3, 3, np.float16),
        ((2**24 + 1) * 9, 9, np.float32),
        ((2**24 + 3) * 9, 9, np.float32),
        (25431, 14, np.float16),
        (-25431, 14, np.float16),
        (25445, 14, np.float16),
        (-25445, 14, np.float16),
        ((2**24 + 1) * 3, 12, np.float32),
        ((2**24 + 3) * 3, 12, np.float32),
        (-(2**24 + 1) * 3, 12, np.float32),
        (-(2**24 + 3) * 3, 12, np.float32),
    ],
)
def test_quotients_beside_a_tie_are_rounded_once(value, denominator, target):
    """Sums whose quotient in a wider type lies half-way between two results, and those that really do."""
    out = np.empty(3, target)
    finish = Finish(
        np.dtype(np.int64), -(2**40), 2**40, Affine(1, 0, denominator), np.dtype(target), exact=True
    )
    finish(np.array([value, 0, denominator]), out)
    assert out.tolist() == [rounded(Fraction(value, denominator), target), 0, 1]


@given(st.lists(st.integers(-(2**22), 2**22), min_size=1, max_size=40), st.integers(1, 5000), st.booleans())
def test_sums_become_the_nearest_floats(values, denominator, wide):
    """Random quotients by any denominator, as float16 and float32."""
    low, high = (-(2**45), 2**45) if wide else (-(2**22), 2**22)
    for target, most in ((np.float16, 60_000), (np.float32, 2**22)):
        sums = [min(max(value, -most * denominator), most * denominator) for value in values]
        out = np.empty(len(sums), target)
        affine = Affine(1, 0, denominator)
        Finish(np.dtype(np.int64), low, high, affine, np.dtype(target), exact=True)(np.array(sums), out)
        assert out.tolist() == [rounded(Fraction(value, denominator), target) for value in sums]


def test_floats_that_become_infinite_are_counted():
    """Finite sums beyond the range of the target, of each sign; not those that were infinite before."""
    values = np.array([[1e39, -1e39, 1e38, np.inf, -np.inf, np.nan, 0]])
    narrow = np.dtype(np.float32)
    out = np.empty(values.shape, narrow)
    for affine, cut in ((Affine(), (1, 1)), (Affine(magnitude=True), (0, 2))):
        finish = Finish(values.dtype, -np.inf, np.inf, affine, narrow, False)
        with np.errstate(over="ignore"):
            assert finish(values.copy(), out, count=True) == cut
        assert np.isinf(out).sum() == 4
