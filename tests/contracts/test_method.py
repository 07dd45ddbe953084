"""The contract that every method keeps: the same values as the plain loop, however the work is cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convcli
from convcli.arrays import preparing
from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.engine import planner
from convcli.engine.methods.base import Workload
from convcli.engine.methods.fft import loss
from convcli.engine.methods.registry import NAMES, method_named
from tests.reference import correlate, layer, rounded

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
    "emboss": convcli.load_kernel("emboss"),
    "disk": convcli.Kernel((np.hypot(*np.mgrid[-3:4, -3:4]) < 3.5).astype(int), scale="1/37"),
    "rank 2": convcli.Kernel(np.multiply.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) - 10, scale="1/6"),
    "arms": convcli.Kernel([[0, -2, 0], [3, 5, 3], [0, -2, 0]]),
    "outer": convcli.Kernel(np.multiply.outer([3, -1, 4], [2, 7, -1, 8])),
}
FILLS = ["zero", 7, -3, "edge", "reflect", "symmetric", "wrap"]


def attempted(x: np.ndarray, kernel: object, **options: object) -> np.ndarray | None:
    """The result, or None where the method refuses this work."""
    try:
        return convcli.conv(x, kernel, **options)
    except ArgumentError as error:
        assert "cannot be used here" in str(error)
        return None


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
    got = attempted(x, KERNELS[kernel], **options, method=method, dtype=dtype)
    if got is None:
        return
    assert np.array_equal(got, rounded(truth, dtype))
    floats = convcli.conv(x, KERNELS[kernel], **options, method=method, dtype=np.float64)
    assert np.allclose(floats, truth.astype(float), rtol=1e-15, atol=0)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_cut_does_not_show(method, kernel, dtype, monkeypatch):
    """Any height and width of strips and any number of threads give the same bytes."""
    x = np.random.default_rng(3).integers(0, 256, (300, 53)).astype(dtype)
    _check_cuts(monkeypatch, x, KERNELS[kernel], padding="same:reflect", method=method)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize(
    ("inputs", "maps", "groups"), [(4, 3, 3), (3, 9, 3), (3, 1, 1), (1, 6, 3), (5, 2, 1)]
)
def test_the_cut_of_a_layer_does_not_show(method, inputs, maps, groups, monkeypatch):
    """Cuts do not show with summed channels either: in groups, into one map or several."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 256, (61, 53, inputs * groups)).astype(np.uint8)
    weights = rng.normal(size=(5, 3, inputs, maps))
    _check_cuts(monkeypatch, x, weights, groups=groups, channels="last", method=method)


def _check_cuts(monkeypatch, x, weights, **options) -> None:
    """Compute with several cuts; all bytes are the same."""
    given_plan = planner.choose
    outcomes = set()
    for height, width, threads in [(99, 99, 1), (1, 99, 2), (5, 7, 2), (4, 1, 3), (36, 52, 2)]:

        def cut(problem, method, count, cut=(height, width, threads), **_):
            plan = given_plan(problem, method, count)
            grain = method_named(method).grain(Workload(problem, plan.arithmetic))
            rows, columns = (-(-size // part) * part for size, part in zip(cut, grain, strict=False))
            return replace(plan, height=rows, width=columns, threads=cut[2])

        monkeypatch.setattr(preparing, "choose", cut)
        result = attempted(x, weights, **options)
        if result is None:
            pytest.skip("the method refuses this kernel")
        outcomes.add(result.tobytes())
    assert len(outcomes) == 1


@pytest.mark.parametrize("method", NAMES)
def test_floats_stay_within_the_stated_bound(method):
    """float32 sums differ from the exact ones by at most n·ε·Σ|w·x|, n the number of taps."""
    rng = np.random.default_rng(11)
    x = rng.normal(0, 100, (40, 50)).astype(np.float32)
    weights = np.multiply.outer(rng.normal(size=7), rng.normal(size=5))
    got = attempted(x, weights, method=method)
    if got is None:
        pytest.skip("the method refuses this kernel")
    truth = correlate(x, weights, (1, 1), ((0, 0), (0, 0)), (1, 1)).astype(float)
    scale = correlate(np.abs(x), np.abs(weights), (1, 1), ((0, 0), (0, 0)), (1, 1)).astype(float)
    bound = weights.size * np.finfo(np.float32).eps * scale
    assert got.dtype == np.float32
    if method == "fft":  # its error is bounded by the norms of the whole tile
        bound = loss(40 * 50 * 4) * np.finfo(np.float32).eps / 2 * np.linalg.norm(x) * np.linalg.norm(weights)
    assert np.all(np.abs(got - truth) <= bound)


@pytest.mark.parametrize("method", NAMES)
def test_infinities_and_nan_stay_in_their_windows(method):
    """Whatever a method mixes inside, a NaN or an infinity reaches the windows that hold it and no other."""
    x = np.random.default_rng(0).normal(size=(60, 70)).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=(5, 3))
    weights = np.ones((5, 3)) if method == "box" else weights
    weights = np.multiply.outer(weights[:, 0], weights[0]) if method == "separable" else weights
    clean = attempted(x, weights, method=method)
    if clean is None:
        pytest.skip("the method refuses this kernel")
    x[30, 40], x[0, 0], x[10, 69] = np.nan, np.inf, -np.inf
    got = convcli.conv(x, weights, method=method)
    touched = np.zeros_like(got, bool)
    touched[26:31, 38:41] = touched[0, 0] = touched[6:11, 67] = True
    assert np.all(~np.isfinite(got[touched]))
    assert np.allclose(got[~touched], clean[~touched], atol=1e-4)
    assert method == "fft" or np.array_equal(got[~touched], clean[~touched])


@given(data=st.data())
@pytest.mark.parametrize("method", NAMES)
def test_layers_by_every_method(method, data):
    """Channels, maps, groups, strides, dilation: each method that takes a layer gives the loop's values."""
    groups = data.draw(st.integers(1, 2))
    inputs, each = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    stride = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    dilation = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = rng.integers(-9, 10, (1, 9, 10, inputs * groups))
    weights = rng.integers(-3, 4, (3, 2, inputs, each * groups))
    truth = layer(x, weights, [0] * each * groups, stride, ((1, 2), (2, 1)), dilation, groups)
    options = {"stride": stride, "dilation": dilation, "padding": ((1, 2), (2, 1)), "groups": groups}
    for dtype in (np.int16, np.float64):
        got = attempted(x.astype(dtype), weights, channels="last", method=method, **options)
        assert got is None or np.allclose(got, truth, atol=1e-9)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("size", [1, 2, 7, 31, 64])
def test_boxes_of_every_size(method, size):
    """Large and small boxes, against a cumulative sum, exact."""
    x = np.random.default_rng(size).integers(0, 256, (150, 170), dtype=np.uint8)
    got = attempted(x, np.ones((size, size + 2), int), method=method, dtype=np.int32)
    if got is None:
        pytest.skip("the method refuses this kernel")
    total = np.zeros((151, 171), int)
    total[1:, 1:] = x.cumsum(0).cumsum(1)
    k, m = size, size + 2
    assert np.array_equal(got, total[k:, m:] - total[:-k, m:] - total[k:, :-m] + total[:-k, :-m])


@pytest.mark.parametrize("method", NAMES)
def test_large_dense_integers_are_exact(method):
    """Random 16-bit pixels and weights of three digits, 21×19: no method may be off by one."""
    rng = np.random.default_rng(6)
    x = rng.integers(0, 65536, (400, 700), dtype=np.uint16)
    weights = rng.integers(-999, 1000, (21, 19))
    got = attempted(x, weights, method=method, dtype=np.int64)
    if got is None:
        pytest.skip("the method refuses this kernel")
    for row, column in rng.integers(0, 380, (40, 2)):
        assert got[row, column] == int((x[row : row + 21, column : column + 19].astype(int) * weights).sum())


@pytest.mark.parametrize("method", NAMES)
def test_exact_results_have_no_negative_zero(method):
    """A sum of integers that is 0 is positive zero, whichever method added it, so that bytes are the same."""
    pixels = np.random.default_rng(2).integers(0, 3, (40, 40), np.uint16)
    try:
        found = convcli.conv(pixels, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dilation=2, method=method)
    except convcli.ArgumentError:
        pytest.skip("the method refuses this kernel")
    assert (found == 0).any()
    assert not np.signbit(found[found == 0]).any()
