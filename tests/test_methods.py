"""The contract that every method keeps: the same values as the plain loop, however the work is cut."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convcli
from convcli import arrays, planner
from convcli.errors import ArgumentError
from convcli.planner import METHODS
from tests.reference import correlate, rounded

NAMES = [method.name for method in METHODS]
KERNELS = {
    "box3": convcli.Kernel(np.ones((3, 3), int), scale="1/9"),
    "box4x2": convcli.Kernel(np.ones((4, 2), int), scale="1/8"),
    "gaussian5": convcli.load_kernel("gaussian5"),
    "sobel-x": convcli.load_kernel("sobel-x"),
    "sharpen": convcli.load_kernel("sharpen"),
    "row": convcli.Kernel([[1, -3, 2]], scale="1/2"),
    "one": convcli.Kernel([[-7]], scale="1/3"),
    "zeros": convcli.Kernel(np.zeros((3, 3), int)),
    "decimals": convcli.Kernel([["0.1", "0.25"], ["-1/3", "1e-2"]]),
    "outer": convcli.Kernel(np.multiply.outer([3, -1, 4], [2, 7, -1, 8])),
}
FILLS = ["zero", 7, -3, "edge", "reflect", "symmetric", "wrap"]


def able(name: str, x: np.ndarray, kernel: convcli.Kernel) -> bool:
    """Whether a method takes this kernel."""
    try:
        convcli.conv(x, kernel, method=name, padding="full")
    except ArgumentError as error:
        assert "cannot do this" in str(error)
        return False
    return True


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_exact_against_the_plain_loop(method, kernel, data):
    """Every method × kernel × type × stride × dilation × fill gives the loop's exact values, rounded."""
    dtype = data.draw(st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.int32]))
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 11)))
    info = np.iinfo(dtype)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    if not able(method, x, KERNELS[kernel]):
        return
    stride = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
    dilation = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    fill = data.draw(st.sampled_from(FILLS))
    flip = data.draw(st.booleans())
    extents = [d * (k - 1) + 1 for k, d in zip(KERNELS[kernel].size, dilation, strict=True)]
    pads = [(extent - 1, data.draw(st.integers(0, 4)) + extent - 1) for extent in extents]
    exact = KERNELS[kernel].exact
    weights = exact.numerators[::-1, ::-1] if flip else exact.numerators
    mode, value = ("constant", 0 if fill == "zero" else fill) if fill in ("zero", 7, -3) else (fill, 0)
    truth = correlate(x, weights, stride, pads, dilation, mode, value) * Fraction(1, exact.denominator)
    options = {"stride": stride, "dilation": dilation, "padding": pads, "fill": fill, "flip": flip}
    got = convcli.conv(x, KERNELS[kernel], **options, method=method, dtype=dtype)
    assert np.array_equal(got, rounded(truth, dtype))
    floats = convcli.conv(x, KERNELS[kernel], **options, method=method, dtype=np.float64)
    assert np.allclose(floats, truth.astype(float), rtol=1e-15, atol=0)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_cut_does_not_show(method, kernel, dtype, monkeypatch):
    """Any height and width of strips and any number of threads give the same bytes."""
    x = np.random.default_rng(3).integers(0, 256, (37, 53)).astype(dtype)
    if not able(method, x, KERNELS[kernel]):
        pytest.skip("the method refuses this kernel")
    given_plan = planner.choose
    outcomes = set()
    for height, width, threads in [(37, 53, 1), (1, 53, 2), (5, 7, 2), (4, 1, 3), (36, 52, 2)]:

        def cut(problem, method, count, cut=(height, width, threads)):
            plan = given_plan(problem, method, count)
            return replace(plan, height=cut[0], width=cut[1], threads=cut[2])

        monkeypatch.setattr(arrays, "choose", cut)
        result = convcli.conv(x, KERNELS[kernel], padding="same:reflect", method=method)
        outcomes.add(result.tobytes())
    assert len(outcomes) == 1


@pytest.mark.parametrize("method", NAMES)
def test_floats_stay_within_the_stated_bound(method):
    """float32 sums differ from the exact ones by at most n·ε·Σ|w·x|, n the number of taps."""
    rng = np.random.default_rng(11)
    x = rng.normal(0, 100, (40, 50)).astype(np.float32)
    weights = np.multiply.outer(rng.normal(size=7), rng.normal(size=5))
    got = convcli.conv(x, weights, method=method)
    truth = correlate(x, weights, (1, 1), ((0, 0), (0, 0)), (1, 1)).astype(float)
    scale = correlate(np.abs(x), np.abs(weights), (1, 1), ((0, 0), (0, 0)), (1, 1)).astype(float)
    bound = weights.size * np.finfo(np.float32).eps * scale
    assert got.dtype == np.float32
    assert np.all(np.abs(got - truth) <= bound)


def test_an_unknown_method_names_the_known_ones():
    """A typo is answered with the list and a suggestion."""
    with pytest.raises(ArgumentError, match=r"not one of auto, separable, shift \(did you mean shift\?\)"):
        convcli.conv(np.ones((5, 5)), np.ones((3, 3)), method="shfit")


def test_the_plan_prefers_fewer_operations():
    """Nine equal taps are quicker as two passes; a kernel that does not separate is shifted."""
    box = convcli.Kernel(np.ones((9, 9), int))
    assert _plan(box).method == "separable"
    assert _plan(convcli.load_kernel("sharpen")).method == "shift"
    text = str(_plan(convcli.load_kernel("sharpen")))
    assert "refused: the kernel has a rank above 1" in text
    assert "int16 holds exactly" in text


def _plan(kernel: convcli.Kernel) -> planner.Plan:
    from convcli.filter import Filter
    from convcli.geometry import Axis

    axes = Axis(1, 1), Axis(1000, kernel.size[0]), Axis(1000, kernel.size[1])
    return planner.choose(planner.Problem(axes, Filter.of(kernel), np.dtype(np.uint8)))
