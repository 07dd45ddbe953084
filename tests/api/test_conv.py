"""`conv`, `conv2d` and `shape`: walk-through A, layouts of layers, laws, and errors by name."""

from __future__ import annotations

import inspect
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convcli
from convcli.core.errors import ArgumentError
from tests.reference import correlate, layer

EXERCISE = [((8, 8), (6, 6)), ((12, 10), (10, 8)), ((10, 10), (8, 8)), ((12, 8), (10, 6))]


@pytest.mark.parametrize(("size", "result"), EXERCISE)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64, np.float32])
def test_walk_through_a(size, result, flip, dtype):
    """A (3, 3) kernel over the exercise's four images: its shapes, and the plain loop's values."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 100, size).astype(dtype)
    kernel = rng.integers(-5, 6, (3, 3))
    got = convcli.conv2d(image, kernel, flip=flip)
    turned = kernel[::-1, ::-1] if flip else kernel
    truth = correlate(image, turned, (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert got.shape == result
    assert np.array_equal(got, truth.astype(float))


@given(data=st.data())
def test_layers_against_the_plain_loop(data):
    """1-D to 3-D layers with groups, strides, dilations, pads and bias, channels last and first."""
    spatial = data.draw(st.integers(1, 3))
    most = {1: 9, 2: 6, 3: 4}[spatial]
    sizes = data.draw(st.tuples(*[st.integers(3, most)] * spatial))
    kernel = data.draw(st.tuples(*[st.integers(1, 3)] * spatial))
    stride = data.draw(st.tuples(*[st.integers(1, 3)] * spatial))
    dilation = data.draw(st.tuples(*[st.integers(1, 2)] * spatial))
    pads = data.draw(st.tuples(*[st.tuples(st.integers(2, 4), st.integers(2, 4))] * spatial))
    groups = data.draw(st.integers(1, 3))
    inputs, per_group = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = rng.normal(size=(2, *sizes, inputs * groups))
    weights = rng.normal(size=(*kernel, inputs, per_group * groups))
    bias = rng.normal(size=per_group * groups)
    truth = layer(x, weights, bias, stride, pads, dilation, groups)
    options = {"stride": stride, "dilation": dilation, "padding": pads, "groups": groups, "bias": bias}
    last = convcli.conv(x, weights, channels="last", **options)
    first = convcli.conv(
        np.moveaxis(x, -1, 1), np.moveaxis(weights, (-1, -2), (0, 1)), channels="first", **options
    )
    assert np.allclose(last, truth, atol=1e-12)
    assert np.array_equal(np.moveaxis(first, 1, -1), last)
    assert np.array_equal(convcli.conv(x[0], weights, channels="last", **options), last[0])


IMAGES = st.integers(0, 2**32).map(
    lambda seed: np.random.default_rng(seed).integers(0, 256, (9, 12), dtype=np.uint8)
)
KERNELS = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).integers(-4, 5, (3, 3)))


@given(IMAGES, IMAGES, KERNELS, st.integers(-3, 3))
def test_linear(f, g, kernel, factor):
    """conv(f + a·g) = conv(f) + a·conv(g), exactly, for integers."""
    both = f.astype(np.int32) + factor * g.astype(np.int32)
    expected = convcli.conv2d(f, kernel).astype(int) + factor * convcli.conv2d(g, kernel).astype(int)
    assert np.array_equal(convcli.conv2d(both, kernel), expected)


@given(IMAGES, KERNELS)
def test_stride_subsamples_and_dilation_stuffs_zeros(image, kernel):
    """Stride s is every s-th value of stride 1; dilation d is the kernel with zeros between its cells."""
    dense = convcli.conv(image, kernel, padding="same:edge")
    strided = convcli.conv(image, kernel, padding=((1, 1), (1, 1)), fill="edge", stride=(2, 3))
    assert np.array_equal(strided, dense[::2, ::3])
    stuffed = np.zeros((5, 5), int)
    stuffed[::2, ::2] = kernel
    assert np.array_equal(convcli.conv(image, kernel, dilation=2), convcli.conv(image, stuffed))


@given(IMAGES, KERNELS, KERNELS)
def test_flip_identity_and_associativity(image, first, second):
    """A kernel rotated twice is itself; true convolution is associative; identity changes nothing."""
    assert np.array_equal(convcli.conv2d(image, first, flip=True), convcli.conv2d(image, first[::-1, ::-1]))
    assert np.array_equal(convcli.conv(image, convcli.load_kernel("identity"), padding="same"), image)
    together = convcli.conv(first, second, padding="full", flip=True).astype(int)
    one_by_one = convcli.conv2d(convcli.conv2d(image, first, flip=True).astype(int), second, flip=True)
    assert np.array_equal(convcli.conv2d(image, together, flip=True), one_by_one)


@given(IMAGES, KERNELS, st.integers(-8, 8), st.integers(-11, 11))
def test_shift_equivariant(image, kernel, down, right):
    """With a border that wraps, a shifted image gives the shifted feature map."""
    shifted = np.roll(image, (down, right), (0, 1))
    here = convcli.conv(image, kernel, padding="same:wrap")
    assert np.array_equal(
        convcli.conv(shifted, kernel, padding="same:wrap"), np.roll(here, (down, right), (0, 1))
    )


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("uint8", "float32"),
        ("int16", "float32"),
        ("bool", "float32"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("int32", "float64"),
        ("int64", "float64"),
        ("float64", "float64"),
    ],
)
def test_result_types(source, result):
    """float32, and float64 for wide inputs; an explicit type takes precedence."""
    x = np.ones((4, 4), source)
    assert convcli.conv(x, np.ones((2, 2))).dtype == result
    assert convcli.conv(x, np.ones((2, 2)), dtype="int16").dtype == np.int16
    assert np.all(convcli.conv(x, np.ones((2, 2)), dtype="int16") == 4)


def test_views_and_byte_orders():
    """Strided views, transposed arrays and foreign byte order are read as what they are."""
    base = np.arange(400, dtype=np.uint16).reshape(20, 20)
    kernel = np.array([[1, 2], [3, 4]])
    for view in (base[::2, ::3], base.T, base[::-1, 4:], base.astype(">u2"), np.asfortranarray(base)):
        assert np.array_equal(convcli.conv2d(view, kernel), convcli.conv2d(view.astype("=u2").copy(), kernel))


def test_infinities_and_nan_stay_in_their_windows():
    """A NaN or an infinity reaches the windows that hold it and no other value."""
    x = np.ones((9, 9), np.float32)
    x[4, 4] = np.nan
    x[0, 8] = np.inf
    result = convcli.conv(x, np.ones((3, 3)) / 9, padding="same")
    assert np.all(np.isnan(result[3:6, 3:6]))
    assert np.all(np.isinf(result[0:2, 7:9]))
    assert np.isfinite(result).sum() == 81 - 9 - 4


def test_sobel_preset_gives_the_magnitude():
    """A preset of two kernels combines its maps by the root of the sum of squares."""
    x = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    down, across = (convcli.conv(x, convcli.load_kernel(f"sobel-{axis}")) for axis in "yx")
    assert np.allclose(convcli.conv(x, convcli.load_kernel("sobel")), np.hypot(across, down), rtol=1e-6)


def test_shape():
    """The spatial shape, from numbers or a kernel."""
    assert convcli.shape((512, 512), (3, 3), stride=(2, 1)) == (255, 510)
    assert convcli.shape((512, 512), 3, padding="same") == (512, 512)
    assert convcli.shape(10, 3, dilation=2) == (6,)
    assert convcli.shape((8, 8), convcli.load_kernel("gaussian5")) == (4, 4)


@pytest.mark.parametrize(
    ("size", "kernel", "result"),
    [
        (np.int64(5), 3, (3,)),
        (np.uint8(5), np.uint8(3), (3,)),
        ((5, 5), np.int64(3), (3, 3)),
        (np.array([5, 6]), np.array([3, 2]), (3, 5)),
        (np.ones((5, 6)).shape, [np.int16(3), 2], (3, 5)),
    ],
)
def test_shape_of_numpy_integers(size, kernel, result):
    """NumPy's integers and arrays of them are sizes as Python's are."""
    assert convcli.shape(size, kernel) == result


@pytest.mark.parametrize(
    ("size", "kernel"),
    [
        ((9,), convcli.Kernel([1, 2, 1])),
        ((8, 9), convcli.load_kernel("box:3x5")),
        ((8, 9), "sobel"),
        ((8, 9), "random:2x3x1x1"),
        ((7, 8, 9), "box:2x3x4"),
        ((7, 8, 9), convcli.Kernel(np.ones((2, 3, 4, 1, 1)))),
    ],
)
def test_shape_of_a_kernel_is_that_of_its_feature_map(size, kernel):
    """Kernels and names of one to three spatial axes, as `conv` takes them."""
    found = convcli.shape(size, kernel, stride=2, padding="same:edge")
    assert found == convcli.conv(np.ones(size), kernel, stride=2, padding="same:edge").shape


@pytest.mark.parametrize(
    ("size", "kernel", "words"),
    [
        ((8, 8), convcli.Kernel([1, 2, 1]), "kernel has 1 axis, but the image has 2"),
        ((8, 8), convcli.load_kernel("box:3x3x3"), "kernel has 3 axes, but the image has 2"),
        (5.5, 3, "size 5.5 is not a whole number"),
        (np.float64(5), 3, "is not a whole number"),
        (None, 3, "size None"),
        ((5, "5"), 3, "size"),
        (5, None, "kernel None"),
        ((5, 5), 2.0, "kernel 2.0"),
        ((5, 5), (3, 3, 3), "kernel has 3 values; allowed: 1 or 2"),
        (5, (3, 3), "kernel has 2 values; allowed: 1$"),
        ((), 3, "size has no values"),
        ((1, 512, 512, 1), (1, 3, 3, 1), "size has 4 axes; allowed: 1 to 3, the spatial ones"),
        (0, 1, "size 0"),
        (5, 0, "kernel 0"),
        (3, 5, "larger than the padded image"),
        ((8, 8), "3x3", r"kernel '3x3' is a string; pass its size as numbers: \(3, 3\)"),
    ],
)
def test_shape_names_what_is_wrong(size, kernel, words):
    """An error of ours that names the argument, never a raw TypeError."""
    with pytest.raises(ArgumentError, match=words):
        convcli.shape(size, kernel)


X = np.ones((6, 6), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((X, np.ones((7, 7))), {}, "larger than the padded image"),
        ((X, np.ones((3, 3))), {"stride": 0}, "stride 0"),
        ((X, np.ones((3, 3))), {"stride": (1, 2, 3)}, "stride has 3 values"),
        ((X, np.ones((3, 3))), {"stride": 1.5}, "stride 1.5 is not a whole number"),
        (
            (X, np.ones((3, 3))),
            {"padding": "1:5", "fill": "edge"},
            "padding '1:5' and fill=.edge. name different fills",
        ),
        ((X, "sobl"), {}, "did you mean sobel"),
        (
            (X, np.ones((3, 3))),
            {"stride": "(2,1)"},
            r"stride '\(2,1\)' is a string; allowed: .*stride=\(2, 1\)",
        ),
        ((X, "kirsch"), {}, "x needs a channel axis and channels='last' or 'first'"),
        ((X, np.ones((3, 3))), {"dilation": "x"}, "dilation 'x'"),
        ((X, np.ones((3, 3))), {"padding": 1.5}, "padding 1.5"),
        ((X, np.ones((3, 3))), {"padding": 10**12}, "padding 10+ is not a whole number from 0 to 999999999"),
        ((X, np.ones((3, 3))), {"groups": "x"}, "groups 'x' is not a whole number from 1"),
        ((X, np.ones((3, 3))), {"threads": "2"}, "threads '2'"),
        ((X, np.ones((3, 3))), {"method": None}, "method None"),
        ((X, np.ones((3, 3))), {"bias": "x"}, "bias 'x'"),
        ((X, np.ones((3, 3))), {"bias": 1j}, "bias '1j'"),
        ((X, np.ones((3, 3))), {"bias": 1e305}, "not a number up to 1e\\+30"),
        ((X, [[10**400, 1]]), {}, "not a finite number"),
        ((X, np.array([[None, 1]])), {}, "weight None"),
        ((X, np.ones((3, 3))), {"dilation": -1}, "dilation -1"),
        ((X, np.ones((3, 3))), {"padding": "sane"}, "padding 'sane'"),
        ((X, np.ones((3, 3))), {"padding": (-1, 0)}, "padding -1"),
        ((X, np.ones((3, 3))), {"fill": "mirror"}, "is ambiguous"),
        ((X, np.ones((3, 3))), {"dtype": "complex64"}, "dtype complex64"),
        ((X, np.ones((3, 3))), {"dtype": "no"}, "dtype 'no'"),
        ((X, np.ones((3, 3))), {"threads": 0}, "threads 0"),
        ((X, np.ones((3, 3))), {"bias": [1, 2]}, "bias has 2 values"),
        ((X, np.ones((3, 3))), {"bias": np.nan}, "bias has a value that is not a number"),
        ((X, np.ones((3, 3))), {"channels": "middle"}, "channels 'middle'"),
        ((X, np.ones(3)), {}, "x has 2 axes, but weights have 1"),
        (
            (X, np.ones((3, 3))),
            {"channels": "last"},
            "allowed with 2 spatial and a channel axis",
        ),
        ((np.ones((6, 6, 4)), np.ones((3, 3))), {"channels": "last", "groups": 2}, "does not divide"),
        ((X, np.ones((3, 3, 3, 3, 3, 3))), {}, "weights have 6 axes"),
        ((X, [[1, 2], [3]]), {}, "weights has rows of different lengths"),
        ((X, np.ones((3, 0))), {}, "no weights"),
        ((X, np.full((3, 3), np.nan)), {}, "not a finite number"),
        ((X.astype(complex), np.ones((3, 3))), {}, "x has type complex128"),
        ((np.ones((0, 3)), np.ones((3, 3))), {}, "size 0 is not allowed"),
        ((np.ones((2, 0, 6, 1)), np.ones((3, 3, 1, 2))), {"channels": "last"}, "size 0 is not allowed"),
        ((np.ones((2, 6, 6, 0)), np.ones((3, 3, 1, 2))), {"channels": "last"}, "x has 0 in 1 group"),
        ((np.ones((0, 2, 2, 1)), np.ones((3, 3, 1, 2))), {"channels": "last"}, "larger than the padded"),
        ((X, np.ones((3, 3))), {"stride": 2**62}, "stride 4611686018427387904 is not allowed .allowed: 1 to"),
        ((X, np.ones((3, 3))), {"flip": "no"}, "flip 'no' is not True or False"),
        ((np.ones((6, 6, 3)), np.ones((3, 3, 2, 4))), {"channels": "last"}, "take 2 input channels; x has 3"),
        ((np.ones((6, 6, 4)), np.ones((3, 3, 2, 3))), {"channels": "last", "groups": 2}, "groups 2 does not"),
        ((np.ones((6, 6, 4)), np.ones((3, 3, 4, 3))), {"channels": "last", "groups": 0}, "groups 0"),
        ((np.ones((2, 2, 6, 6, 4)), np.ones((3, 3, 4, 3))), {"channels": "last"}, "x has 5 axes"),
    ],
)
def test_errors_name_the_argument(arguments, options, words):
    """One error that names the argument and what is allowed."""
    with pytest.raises(convcli.ConvcliError, match=words):
        convcli.conv(*arguments, **options)


MASKED = np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
ODD: list[Any] = [
    *(None, True, 1.5, -1, 0, np.nan, np.inf, 2**62, 10**400, 10**5000, 1j, Fraction(1, 3), Decimal("nan")),
    *("", "x", "nan", "1/0", "9" * 5000, "\ud800", "same:edge:wrap", "full:", np.str_("same")),
    *([], [[]], [None], ["a"], [1, None], [[1], [2, 3]], [10**400], ["1/0"], [1] * 40, {}, {1: 2}, {1}),
    *(b"b", bytearray(b"x"), memoryview(b"abc"), object(), len, int, slice(1, 2), iter([1]), NotImplemented),
    *(np.array(1), np.array([]), np.array([[]]), np.array([np.nan]), np.array("same"), np.array(["a", "b"])),
    *(np.zeros((0, 3)), np.zeros((2, 3, 4)), np.array([[1, "a"]], object), np.array([(1, 2)], "i4,i4")),
    *(np.datetime64("2020"), np.array([1], "m8[s]"), np.ma.masked, MASKED, Path("none.yaml"), Path("/")),
    *(np.longdouble(1), np.float32(2), np.int8(-3), Ellipsis, Exception("x")),
]
"""Values that make no sense, and some that are allowed."""

FUNCTIONS: list[tuple[Any, dict[str, Any]]] = [
    (convcli.conv, {"x": X, "weights": np.ones((3, 3))}),
    (convcli.conv, {"x": np.ones((2, 6, 6, 2)), "weights": np.ones((3, 3, 2, 2)), "channels": "last"}),
    (convcli.conv2d, {"image": X, "kernel": np.ones((3, 3))}),
    (convcli.shape, {"size": (6, 6), "kernel": (3, 3)}),
    (convcli.Kernel, {"weights": [[1, 2], [3, 4]]}),
    (convcli.load_kernel, {"text": "box3"}),
]
PARAMETERS = [
    (function, given, name)
    for function, given in FUNCTIONS
    for name in inspect.signature(function).parameters
]


@pytest.mark.parametrize(("function", "given", "name"), PARAMETERS)
def test_odd_arguments_are_told_in_one_line(function, given, name, tmp_path, monkeypatch):
    """Every argument of every public function, with values that make no sense: a result or a short error."""
    monkeypatch.chdir(tmp_path)
    names = name in ("weights", "kernel") and function is not convcli.Kernel  # tried by load_kernel
    for value in ODD:
        if names and isinstance(value, str):
            continue
        try:
            function(**{**given, name: value})
        except convcli.ConvcliError as error:
            text = str(error)
            assert text.isprintable() and 0 < len(text) < 600, text
            for word in ("NoneType", "object has no", "iterable", "subscriptable", "index out of range"):
                assert word not in text


def test_masked_values_are_no_numbers():
    """Masks are never dropped: the error says what to do; an array that masks nothing is accepted."""
    with pytest.raises(ArgumentError, match=r"x masks 1 of 4 values; use \.filled\(VALUE\)"):
        convcli.conv(MASKED, [[1]])
    with pytest.raises(ArgumentError, match="weights masks 1 of 4 values"):
        convcli.conv(X, MASKED)
    with pytest.raises(convcli.KernelError, match="kernel masks 1 of 4 values"):
        convcli.Kernel(MASKED)
    with pytest.raises(ArgumentError, match="bias masks"):
        convcli.conv(X, np.ones((3, 3)), bias=np.ma.array([1], mask=True))
    assert np.array_equal(convcli.conv(np.ma.array(X), np.ones((3, 3))), convcli.conv(X, np.ones((3, 3))))
    assert np.array_equal(convcli.conv(MASKED.filled(0), [[2]]), [[2, 0], [6, 8]])


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_empty_batches(dtype):
    """An empty batch gives an empty result in the layout of x, and so do zero channels filtered alike."""
    weights = np.ones((3, 3, 3, 4))
    assert convcli.conv(np.ones((0, 7, 5, 3), dtype), weights, channels="last").shape == (0, 5, 3, 4)
    first = np.moveaxis(weights, (-1, -2), (0, 1))
    found = convcli.conv(np.ones((0, 3, 7, 5), dtype), first, channels="first", dtype="int16")
    assert (found.shape, found.dtype) == ((0, 4, 5, 3), np.int16)
    grouped = convcli.conv(np.ones((0, 3, 7, 5), dtype), first[:3, :1], channels="first", groups=3, stride=2)
    assert grouped.shape == (0, 3, 3, 2)
    assert convcli.conv(np.ones((0, 7, 3), dtype), np.ones((3, 3, 2)), channels="last").shape == (0, 5, 2)
    assert convcli.conv(np.ones((0, 7, 5, 2), dtype), np.ones((3, 3)), channels="last").shape == (0, 5, 3, 2)
    assert convcli.conv(np.ones((2, 7, 5, 0), dtype), np.ones((3, 3)), channels="last").shape == (2, 5, 3, 0)


def test_conv2d_takes_the_options_of_a_layer():
    """stride, padding, dilation and fill, as in `conv`, against the plain loop."""
    rng = np.random.default_rng(5)
    image, kernel = rng.integers(0, 99, (9, 8)), rng.integers(-4, 5, (3, 2))
    same = convcli.conv2d(image, kernel, padding="same")
    assert np.array_equal(same, correlate(image, kernel, (1, 1), ((1, 1), (0, 1)), (1, 1)).astype(float))
    found = convcli.conv2d(image, kernel, stride=(2, 1), padding=1, dilation=2, fill=7)
    truth = correlate(image, kernel, (2, 1), ((1, 1), (1, 1)), (2, 2), fill=7)
    assert np.array_equal(found, truth.astype(float))
    edged = convcli.conv2d(image, kernel, padding=((0, 2), (1, 0)), fill="edge")
    truth = correlate(image, kernel, (1, 1), ((0, 2), (1, 0)), (1, 1), mode="edge")
    assert np.array_equal(edged, truth.astype(float))


def test_errors_have_names():
    """Both kinds belong to one family, are exported, and distinguish weights from other arguments."""
    assert {"ArgumentError", "ConvcliError", "KernelError"} <= set(convcli.__all__)
    assert all(
        issubclass(each, convcli.ConvcliError) for each in (convcli.ArgumentError, convcli.KernelError)
    )
    for function in (convcli.conv, convcli.conv2d):
        for weights in ([[1, None]], [["x"]], np.full((3, 3), np.inf), "no-such"):
            with pytest.raises(convcli.KernelError):
                function(X, weights)
        with pytest.raises(convcli.ArgumentError):
            function(X.astype(complex), [[1]])


@pytest.mark.parametrize("weights", [[["1/9"] * 3] * 3, ([["1/9", "1 / 9", "2/18"]] * 3), [("1e-1", 1, 0.5)]])
def test_texts_are_weights_as_for_a_kernel(weights):
    """Lists with texts are exact numbers in `conv` as in `Kernel`."""
    expected = convcli.conv(X, convcli.Kernel(weights))
    assert np.array_equal(convcli.conv(X, weights), expected)
    assert np.array_equal(convcli.conv2d(X, weights), expected)
    layer = [[[["1/3", "2/3"]]]]
    assert convcli.conv(X[..., None], layer, channels="last")[0, 0].tolist() == pytest.approx([1 / 3, 2 / 3])


def test_conv2d_takes_two_axes_only():
    """The exercise's function refuses anything but (rows, columns)."""
    with pytest.raises(ArgumentError, match="image has 3 axes"):
        convcli.conv2d(np.ones((3, 3, 3)), np.ones((2, 2)))
    with pytest.raises(ArgumentError, match="kernel has 1 axis"):
        convcli.conv2d(np.ones((3, 3)), np.ones(2))
    with pytest.raises(ArgumentError, match="image has type complex128"):
        convcli.conv2d(np.ones((3, 3), complex), np.ones((2, 2)))
    with pytest.raises(
        ArgumentError, match=r"'kirsch' has 8 maps, conv2d computes one; conv\(image\[\.\.\., None"
    ):
        convcli.conv2d(X, "kirsch")


@pytest.mark.parametrize(
    ("function", "name", "hint"),
    [
        (convcli.conv, "strides", "stride"),
        (convcli.conv, "pad", "padding"),
        (convcli.conv, "dilation_rate", "dilation"),
        (convcli.conv, "data_format", "channels"),
        (convcli.conv, "paddin", "padding"),
        (convcli.conv2d, "boundary", "fill"),
        (convcli.shape, "strides", "stride"),
    ],
)
def test_unknown_keywords_name_the_known_one(function, name, hint):
    """Names of other libraries and typos lead to ours; it is Python's own kind of error."""
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{name}' \(did you mean {hint}[?,]"):
        function(X, np.ones((3, 3)), **{name: 1})


def test_signatures_are_those_of_the_functions():
    """The check of names hides nothing from help and editors."""
    assert "padding" in inspect.signature(convcli.conv).parameters
    assert list(inspect.signature(convcli.shape).parameters)[:2] == ["size", "kernel"]


def test_kernels_by_name_and_numpy_integers():
    """A preset's name serves as weights, and NumPy's integers as strides."""
    by_name = convcli.conv(X, "gaussian3", stride=np.int64(2), padding=np.int32(1))
    assert np.array_equal(by_name, convcli.conv(X, convcli.load_kernel("gaussian3"), stride=2, padding=1))
    assert convcli.conv2d(X, "sobel").shape == (4, 4)
    assert convcli.conv2d(X, "random:3x3x1x1,seed=1").shape == (4, 4)
    layer = convcli.conv(X[None, ..., None], np.ones((3, 3, 1, 2)), channels="channels_last")
    assert layer.shape == (1, 4, 4, 2)


def test_bias_of_three_axes():
    """Spatial axes are not maps: one bias serves a 3-D convolution."""
    assert np.all(convcli.conv(np.ones((3, 3, 3)), np.ones((2, 2, 2)), bias=1) == 9)


def test_integer_weights_over_floats_and_wide_integers_are_not_divided():
    """Integer weights stay integers in float sums, so that whole numbers come out whole."""
    assert convcli.conv(np.array([[7.0, 4], [0, 1]]), np.array([[14, 6], [42, 18]])) == 140
    wide = np.array([[6, 15], [3, 7]], np.uint32)
    weights = convcli.Kernel([[35, 42], [45, 54]], scale="1/22")
    assert convcli.conv(wide, weights, dtype=np.uint8) == 62  # 61.5 exactly, a tie
    assert convcli.conv(np.full((2, 2), 2, np.uint8), np.ones((2, 2), np.float16)) == 8
    extreme = np.array([[2**62]], np.int64)
    assert convcli.conv(extreme, [[4]], dtype=np.int64) == np.iinfo(np.int64).max
    assert convcli.conv(extreme, [[8]], dtype=np.uint64) == np.iinfo(np.uint64).max


def test_floats_beyond_single_precision():
    """Weights that float32 cannot hold are computed in float64."""
    x = np.full((3, 3), 200, np.uint8)
    assert convcli.conv(x, [[1e36, 1e36]], dtype=np.float64)[0, 0] == pytest.approx(4e38)


@pytest.mark.parametrize("kernel", ["gaussian5", "sobel", "sharpen"])
def test_one_kernel_filters_every_channel_by_itself(kernel):
    """Weights without channels over an image with them, last or first, batched or not."""
    x = np.random.default_rng(1).integers(0, 256, (2, 15, 18, 3), np.uint8)
    options = {"padding": "same:edge", "stride": (1, 2), "bias": 3}
    expected = np.stack([convcli.conv(x[1, ..., i], kernel, **options) for i in range(3)], -1)
    assert np.array_equal(convcli.conv(x[1], kernel, channels="last", **options), expected)
    assert np.array_equal(convcli.conv(x, kernel, channels="last", **options)[1], expected)
    first = convcli.conv(np.moveaxis(x, -1, 1), kernel, channels="first", **options)
    assert first.flags.c_contiguous
    assert np.array_equal(np.moveaxis(first[1], 0, -1), expected)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("top", [256, 2**31, 2**33])
def test_wide_integers_are_exact_where_their_values_are_small(dtype, top):
    """NumPy's own integers give what the narrow type gives, as floats of 64 bits, by exact methods."""
    rng = np.random.default_rng(3)
    x, weights = rng.integers(0, top, (40, 50)).astype(dtype), rng.integers(-9, 10, (21, 21))
    wanted = convcli.conv(x.astype(np.uint32) if top <= 2**32 else x, weights, method="shift")
    others = () if top > 2**32 else ("auto",) if top > 2**20 else ("auto", "fft")
    for method in ("shift", "toeplitz", *others):
        found = convcli.conv(x, weights, method=method)
        assert found.dtype == np.float64 and np.array_equal(found, wanted)


@pytest.mark.parametrize("name", ["box:3x3x3", "2,1;1,-3@180", "box3", "box:2x3x2@90"])
def test_kernels_without_channels_filter_every_channel(name):
    """A Kernel knows its spatial axes, so that a volume is no layer of one axis; batched, last and first."""
    kernel = convcli.load_kernel(name)
    x = np.random.default_rng(2).integers(0, 256, (2, *(7, 8, 9)[-len(kernel.window) :], 3), np.uint8)
    expected = np.stack([convcli.conv(x[1, ..., i], kernel, padding="same") for i in range(3)], -1)
    assert np.array_equal(convcli.conv(x, kernel, channels="last", padding="same")[1], expected)
    first = convcli.conv(np.moveaxis(x[1], -1, 0), kernel, channels="first", padding="same")
    assert np.array_equal(np.moveaxis(first, 0, -1), expected)


@pytest.mark.parametrize("spatial", [2, 3])
def test_kernels_with_channels_are_layers(spatial):
    """A Kernel of (k…, in, out) is the layer that its array is, with its own bias."""
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(2, *(5, 6, 7)[:spatial], 2)), rng.normal(size=(*(2, 3, 2)[:spatial], 2, 3))
    kernel = convcli.Kernel(weights, bias=[1, 2, 3])
    expected = convcli.conv(x, weights, channels="last", bias=[1, 2, 3])
    assert np.array_equal(convcli.conv(x, kernel, channels="last"), expected)
    first = convcli.conv(np.moveaxis(x, -1, 1), kernel, channels="first")
    assert np.array_equal(np.moveaxis(first, 1, -1), expected)
    with pytest.raises(ArgumentError, match=rf"weights have {spatial + 2} axes, \(k…, in, out\)"):
        convcli.conv(x[0, ..., 0], kernel)


def test_tiny_weights_keep_their_digits():
    """Weights that float32 would hold with few digits are multiplied in float64."""
    x = np.full((3, 4), 2.0**60, np.float32)
    got = convcli.conv(x, np.full((2, 2), 1.23456789e-41))
    assert got.dtype == np.float32
    assert np.allclose(got, 4 * 1.23456789e-41 * 2.0**60, rtol=1.2e-7, atol=0)


def test_a_color_image_is_told_what_to_call():
    """`conv2d` takes one channel; its message names the call for several, which works."""
    image = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)
    with pytest.raises(convcli.ArgumentError, match=r"conv\(image, kernel, channels='last'\) filters each"):
        convcli.conv2d(image, np.ones((3, 3)))
    each = convcli.conv(image, np.ones((3, 3)), channels="last")
    assert np.array_equal(each[..., 1], convcli.conv2d(image[..., 1], np.ones((3, 3))))
