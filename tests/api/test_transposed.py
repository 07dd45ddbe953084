"""`conv` with ``transposed=True``: the transpose of a convolution, exactly."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convcli
from convcli.arrays import preparing
from convcli.core.errors import ArgumentError
from convcli.engine import planner
from convcli.engine.cutting import plan_grain
from convcli.engine.methods.registry import NAMES
from convcli.native.loader import extension
from tests.reference import rounded, transposed

KERNELS = {
    "box3": convcli.Kernel(np.ones((3, 3), int), scale="1/9"),
    "bilinear": convcli.Kernel(np.outer([1, 3, 3, 1], [1, 3, 3, 1]), scale="1/16"),
    "row": convcli.Kernel([[1, -3, 2]], scale="1/2"),
    "one": convcli.Kernel([[-7]], scale="1/3"),
    "zeros": convcli.Kernel(np.zeros((3, 3), int)),
    "outer": convcli.Kernel(np.multiply.outer([3, -1, 4, 1, 5], [2, 7, -1, 8])),
}


@st.composite
def settings_of_axes(draw, kernel: tuple[int, ...], largest: int = 4):
    """Stride, dilation, removed pixels and output padding of each axis."""
    axes = []
    for size in kernel:
        stride, dilation = draw(st.integers(1, largest)), draw(st.integers(1, 3))
        reach = dilation * (size - 1)
        removed = draw(st.integers(0, reach // 2)), draw(st.integers(0, reach // 2))
        axes.append((stride, removed, dilation, draw(st.integers(0, max(stride, dilation) - 1))))
    return tuple(zip(*axes, strict=True))


@pytest.mark.parametrize("method", ["auto", *NAMES])
@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_exact_against_the_plain_loop(method, kernel, data):
    """Every method × kernel × type × stride × dilation gives the loop's exact values, rounded."""
    dtype = data.draw(st.sampled_from([np.uint8, np.int16, np.int32]))
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 11)))
    info, chance = np.iinfo(dtype), np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = chance.integers(info.min, info.max, shape, dtype, endpoint=True)
    stride, removed, dilation, extra = data.draw(settings_of_axes(KERNELS[kernel].size))
    exact = KERNELS[kernel].exact
    truth = transposed(x, exact.numerators, stride, removed, dilation, extra) / exact.denominator
    options = {"stride": stride, "dilation": dilation, "padding": removed, "output_padding": extra}
    try:
        got = convcli.conv(x, KERNELS[kernel], transposed=True, **options, method=method, dtype=dtype)
    except ArgumentError as error:
        assert "cannot be used here" in str(error)
        return
    assert np.array_equal(got, rounded(truth, dtype))
    floats = convcli.conv(x, KERNELS[kernel], transposed=True, **options, method=method, dtype=np.float64)
    assert np.allclose(floats, truth.astype(float), rtol=1e-15, atol=0)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_adjoint(data):
    """⟨Kx, y⟩ = ⟨x, Kᵀy⟩ in integers: the layer is the transpose of `conv` with the same arguments."""
    spatial = data.draw(st.integers(1, 3))
    kernel = data.draw(st.tuples(*[st.integers(1, 4)] * spatial))
    stride, pads, dilation, _ = data.draw(settings_of_axes(kernel))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [extent + data.draw(st.integers(0, 5)) for extent in extents]
    groups, inputs, outputs = (data.draw(st.integers(1, 3)) for _ in range(3))
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    order = data.draw(st.sampled_from(["first", "last"]))
    x = chance.integers(-99, 99, (*size, groups * inputs))
    weights = chance.integers(-99, 99, (*kernel, inputs, groups * outputs))
    layer = {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups, "dtype": np.int64}
    if order == "first":
        x, weights = np.moveaxis(x, -1, 0), np.moveaxis(weights, (-1, -2), (0, 1))
    forward = convcli.conv(x, weights, channels=order, **layer)
    y = chance.integers(-99, 99, forward.shape)
    axes = forward.shape[1:] if order == "first" else forward.shape[:-1]
    extra = [
        s + before + after - (out - 1) * st_ - e
        for s, (before, after), out, st_, e in zip(size, pads, axes, stride, extents, strict=True)
    ]
    back = convcli.conv(y, weights, channels=order, transposed=True, output_padding=extra, **layer)
    assert back.shape == x.shape
    assert (forward * y).sum() == (x * back).sum()


def random_layer(chance: np.random.Generator) -> dict[str, object] | None:
    """A layer as PyTorch takes it, with an input; None if its padding removes everything."""
    spatial = int(chance.choice([1, 1, 2, 2, 2, 3]))

    def numbers(last: int) -> tuple[int, ...]:
        return tuple(map(int, chance.integers(1, last, spatial)))

    sizes, kernel, stride, dilation = numbers((20, 8, 4)[spatial - 1]), numbers(6), numbers(4), numbers(4)
    groups, inputs, outputs = int(chance.choice([1, 1, 2, 3])), *map(int, chance.integers(1, 4, 2))
    padding = tuple(int(chance.integers(0, d * (k - 1) + 2)) for k, d in zip(kernel, dilation, strict=True))
    extra = tuple(int(chance.integers(0, max(pair))) for pair in zip(stride, dilation, strict=True))
    full = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + e
        for n, s, p, d, k, e in zip(sizes, stride, padding, dilation, kernel, extra, strict=True)
    ]
    return (
        None
        if min(full) < 1
        else {
            "x": chance.normal(size=(2, groups * inputs, *sizes)).astype(np.float32),
            "weights": chance.normal(size=(groups * inputs, outputs, *kernel)).astype(np.float32),
            "bias": chance.normal(size=groups * outputs).astype(np.float32),
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "dilation": dilation,
            "groups": groups,
        }
    )


def test_as_in_pytorch(request):
    """300 random layers over 1 to 3 axes equal PyTorch's, as near as float32 can."""
    torch = pytest.importorskip("torch")
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(1)  # its threads take far longer to begin than such layers
    chance, count = np.random.default_rng(5), 0
    while count < 300:
        layer = random_layer(chance)
        if layer is None:
            continue
        count += 1
        x, weights, bias = (torch.tensor(layer[name]) for name in ("x", "weights", "bias"))
        others = {name: layer[name] for name in ("stride", "padding", "output_padding", "dilation", "groups")}
        function = getattr(torch.nn.functional, f"conv_transpose{x.ndim - 2}d")
        expected = function(x, weights, bias, **others).numpy()
        got = convcli.conv(**layer, channels="first", transposed=True)
        assert got.shape == expected.shape == (*got.shape[:2], *_shape(layer))
        assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max(), others


def _shape(layer: dict[str, object]) -> tuple[int, ...]:
    names = ("stride", "padding", "output_padding", "dilation")
    options = {name: layer[name] for name in names}
    return convcli.shape(layer["x"].shape[2:], layer["weights"].shape[2:], transposed=True, **options)


def test_as_in_keras(monkeypatch):
    """`Conv2DTranspose` with ``same`` and ``valid`` has the same size and values, with any output padding."""
    pytest.importorskip("torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    chance = np.random.default_rng(6)
    for index in range(60):
        kernel, stride = (tuple(map(int, chance.integers(1, 5, 2))) for _ in range(2))
        extra = None if index % 2 else tuple(int(chance.integers(0, s)) for s in stride)
        x = chance.normal(size=(1, 5, 6, 3)).astype(np.float32)
        weights = chance.normal(size=(*kernel, 2, 3)).astype(np.float32)
        options = {"padding": ("valid", "same")[index // 2 % 2], "output_padding": extra}
        expected = np.asarray(keras.ops.conv_transpose(x, weights, strides=stride, **options))
        got = convcli.conv(x, weights, stride=stride, channels="last", transposed=True, **options)
        assert got.shape == expected.shape, (kernel, stride, options)
        assert np.allclose(got, expected, atol=1e-5), (kernel, stride, options)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_cut_does_not_show(method, dtype, monkeypatch):
    """Any height and width of strips and any number of threads give the same bytes."""
    chance = np.random.default_rng(3)
    x = chance.integers(0, 256, (90, 47)).astype(dtype)
    weights = chance.integers(-9, 9, (5, 4)) if method != "box" else np.ones((5, 4), int)
    weights = weights if method != "separable" else np.outer([1, 2, 3, 4, 5], [1, -1, 2, 3])
    if method == "im2col":
        pytest.skip("it refuses kernels of one channel and one map")
    if method == "direct" and extension() is None:
        pytest.skip("there is no extension")
    given_plan, outcomes = planner.choose, set()
    for height, width, threads in [(999, 999, 1), (1, 99, 2), (5, 7, 2), (4, 1, 3), (36, 52, 2)]:

        def cut(problem, name, count, cut=(height, width, threads), **_):
            plan = given_plan(problem, name, count)
            down = plan_grain(plan)
            rows = min(-(-cut[0] // down) * down, problem.rows.output)
            across = 512 * problem.columns.spread  # at least the grain of any method
            columns = min(-(-cut[1] // across) * across, problem.columns.output)
            return planner.replace(plan.cut(rows, columns), threads=cut[2])

        monkeypatch.setattr(preparing, "choose", cut)
        result = convcli.conv(x, weights, transposed=True, stride=(3, 2), padding=1, method=method)
        outcomes.add(result.tobytes())
        preparing.forget()
    assert len(outcomes) == 1


def test_infinity_stays_where_it_is():
    """NaN and infinity reach the windows that read them, whatever the method; other values are as without."""
    x = np.random.default_rng(4).normal(size=(40, 50)).astype(np.float32)
    weights = np.random.default_rng(5).normal(size=(5, 5))
    clean = convcli.conv(x, weights, transposed=True, stride=2)
    x[20, 30] = np.inf
    expected = np.zeros(clean.shape, bool)
    expected[40:45, 60:65] = True
    for method in ("auto", *NAMES):
        try:
            got = convcli.conv(x, weights, transposed=True, stride=2, method=method)
        except ArgumentError:
            continue
        assert np.array_equal(~np.isfinite(got), expected), method
        assert np.allclose(got[~expected], clean[~expected], atol=1e-5)


def test_combined_maps():
    """Maps that are combined are those of the transposed layer; a set's kernels are Kernels in its order."""
    x = np.random.default_rng(7).integers(0, 256, (9, 8)).astype(np.uint8)
    parts = [convcli.conv(x, name, transposed=True, stride=2, dtype=float) for name in ("sobel-x", "sobel-y")]
    got = convcli.conv(x, "sobel", transposed=True, stride=2, dtype=float)
    assert np.allclose(got, np.hypot(*parts))


def test_flip_rotates_the_kernel():
    """A single pixel becomes a copy of the kernel; with ``flip``, of the kernel rotated by 180°."""
    weights = np.arange(6).reshape(2, 3)
    assert np.array_equal(convcli.conv(np.ones((1, 1)), weights, transposed=True), weights)
    rotated = convcli.conv(np.ones((1, 1)), weights, transposed=True, flip=True)
    assert np.array_equal(rotated, weights[::-1, ::-1])


def test_a_stride_far_above_the_kernel():
    """Outputs that no pixel reaches are the bias, also where there are far more of them than others."""
    x = np.arange(1, 5).reshape(2, 2)
    got = convcli.conv(x, [[5]], transposed=True, stride=500, bias=3, dtype=int)
    assert got.shape == (1000, 1000)
    assert got[0, 0] == 8 and got[500, 500] == 23
    assert np.count_nonzero(got != 3) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"output_padding": 1},
            "output_padding is an argument of transposed convolutions; use transposed=True",
        ),
        (
            {"transposed": True, "padding": "same:edge"},
            "padding same:edge has the fill edge, but a transposed convolution removes its padding; use same",
        ),
        (
            {"transposed": True, "fill": 3},
            "padding valid:3 has the fill 3, but a transposed convolution removes its padding; use valid",
        ),
        ({"transposed": 2}, "transposed 2 is not True or False"),
        (
            {"transposed": True, "output_padding": "1"},
            "output padding '1' is a string; allowed: a number or a tuple, as in output padding=(2, 1)",
        ),
        (
            {"transposed": True, "padding": 4},
            "the padding removes 8 × 8, and the full output of the transposed convolution has only 7 × 8; "
            "use less padding",
        ),
        (
            {"transposed": True, "stride": 2, "output_padding": (0, 2)},
            "output padding 2 is not allowed with stride 2 and dilation 1 (allowed: 0 to 1)",
        ),
    ],
)
def test_messages(arguments, message):
    """Each wrong argument is one line that says what is allowed."""
    with pytest.raises(ArgumentError) as error:
        convcli.conv(np.ones((5, 6)), np.ones((3, 3)), **arguments)
    assert str(error.value) == message


def test_weights_with_other_channels():
    """Weights whose channels do not fit are refused with the numbers of the transposed layer."""
    with pytest.raises(ArgumentError, match=r"^weights take 4 input channels; x has 3 in 1 group$"):
        convcli.conv(np.ones((5, 5, 3)), np.ones((3, 3, 2, 4)), channels="last", transposed=True)
    with pytest.raises(ArgumentError, match=r"^groups 3 does not divide the 4 input channels"):
        convcli.conv(np.ones((5, 5, 3)), np.ones((3, 3, 2, 4)), channels="last", groups=3, transposed=True)
