"""The bytes of a result do not depend on chunks: they are those of `convcli.conv`."""

from __future__ import annotations

from functools import partial
from itertools import accumulate, pairwise

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convcli
import convcli.dask
from convcli.kernels.kernel import Layer
from tests.conftest import without_extension

FILLS = ["zero", 7, -3.5, "edge", "reflect", "symmetric", "wrap", "ignore"]
TYPES = ["bool", *(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")), "f2", "f4", "f8"]
KERNELS = {
    "box": np.ones((3, 3), int),
    "thirds": [["1/3", "1/3", "1/3"]],
    "even": np.arange(1, 9).reshape(2, 4),
    "separable": convcli.load_kernel("gaussian:1.2"),
    "dense": np.random.default_rng(1).normal(size=(5, 4)),
    "ninths": np.ones((3, 3)) / 9,
    "differences": convcli.load_kernel("laplacian"),
    "length": convcli.load_kernel("sobel"),
    "direction": convcli.Kernel(convcli.load_kernel("farid5").weights, combine="angle"),
}
OF_BOTH_SIGNS = {"dense", "differences", "length", "direction"}
FLOATS = {"separable", "dense", "ninths"}


def values_of(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Values over the whole range of a type, up to 2⁴⁰; floats with a NaN and an infinity."""
    random = np.random.default_rng(seed)
    if dtype == "bool":
        return random.random(shape) < 0.5
    if dtype.startswith("f"):
        values = random.normal(0, 50, shape).astype(dtype)
        values.flat[random.integers(values.size)] = np.nan
        values.flat[random.integers(values.size)] = np.inf
        return values
    info = np.iinfo(dtype)
    return random.integers(max(info.min, -(2**40)), min(info.max, 2**40), shape, dtype, endpoint=True)


def same(x: np.ndarray, chunks: object, weights: object, **options: object) -> None:
    """Require the type, the shape and the bytes of the whole array, and the chunks that were promised."""
    expected = convcli.conv(x, weights, steady=True, **options)
    lazy = convcli.dask.conv(da.from_array(x, chunks=chunks), weights, **options)
    assert (lazy.dtype, lazy.shape) == (expected.dtype, expected.shape)
    found = lazy.compute()
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)
    assert found.tobytes() == expected.tobytes()
    first = tuple(chunk[0] for chunk in lazy.chunks)
    assert lazy.blocks[(0,) * lazy.ndim].compute().shape == first


@st.composite
def chunkings(draw, size):
    """Lengths of chunks: even, uneven, of one value, some empty, or all in one."""
    if draw(st.booleans()):
        return tuple(_cut(size, draw(st.integers(1, size))))
    ends = sorted(draw(st.lists(st.integers(0, size), max_size=6)))
    return tuple(past - first for first, past in zip([0, *ends], [*ends, size], strict=True))


def _cut(size: int, length: int) -> list[int]:
    ends = [*range(0, size, length), size]
    return [past - first for first, past in pairwise(ends)]


@st.composite
def calls(draw):
    """An array, its chunks, weights and options of a call."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    name, dtype = draw(st.sampled_from(sorted(KERNELS))), draw(st.sampled_from(TYPES))
    if dtype in ("int64", "uint64") and name in FLOATS:
        name = "box"
    amount = draw(
        st.one_of(
            st.sampled_from(["same", "same-lower", "full"]),
            st.tuples(*[st.tuples(st.integers(0, 12), st.integers(0, 12))] * 2),
        )
    )
    fill = draw(st.sampled_from(FILLS[:-1] if name in OF_BOTH_SIGNS else FILLS))
    if dtype in ("int64", "uint64") and fill == -3.5:
        fill = 3
    step = st.tuples(st.integers(1, 4), st.integers(1, 4))
    options = {"padding": amount, "fill": fill, "stride": draw(step), "dilation": draw(step)}
    options["flip"], options["dtype"] = (
        draw(st.booleans()),
        draw(st.sampled_from([None, None, "uint8", "f8"])),
    )
    chunks = tuple(draw(chunkings(size)) for size in shape)
    return values_of(dtype, shape, draw(st.integers(0, 99))), chunks, KERNELS[name], options


def _fits(x, weights, options) -> bool:
    try:
        convcli.conv(x[:0] if not x.size else x, weights, steady=True, **options)
    except convcli.ArgumentError:
        return False
    return True


@settings(deadline=None, max_examples=60)
@given(calls())
def test_bytes_do_not_depend_on_chunks(call):
    """For every type, fill, padding, stride, dilation and chunking, whatever the kernel."""
    x, chunks, weights, options = call
    if _fits(x, weights, options):
        same(x, chunks, weights, **options)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunks_smaller_than_the_kernel(fill, chunk):
    """A window of 5 × 5 reads many chunks, and padding repeats the array twice."""
    x = values_of("uint8", (4, 7), 3)
    same(x, (chunk, chunk), np.ones((5, 5), int), padding=((8, 3), (0, 9)), fill=fill)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type(dtype):
    """A large enough array for strips, several chunks, and the types that results can have."""
    x = values_of(dtype, (60, 90), 4)
    for target in (None, "int16", "float16"):
        same(x, (25, 40), "box3", padding="same", fill="reflect", dtype=target)


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_without_the_extension(kernel):
    """NumPy alone gives the same bytes for all chunks too."""
    with without_extension():
        same(values_of("float32", (30, 41), 5), (8, 41), KERNELS[kernel], padding="same", fill="edge")
        same(values_of("uint8", (30, 41), 5), (7, 12), KERNELS[kernel], padding="full", stride=2)


LAYERS = {
    "last": ((2, 9, 12, 3), (1, (4, 5), 5, 2), (3, 3, 3, 4), {"channels": "last"}),
    "first": ((2, 3, 9, 12), (2, (1, 2), 4, 12), (4, 3, 3, 3), {"channels": "first"}),
    "no batch": ((9, 12, 3), (4, 5, 1), (3, 3, 3, 4), {"channels": "last", "padding": "same"}),
    "groups": ((5, 9, 12, 4), (2, 4, 5, 3), (3, 3, 2, 6), {"channels": "last", "groups": 2}),
    "depthwise": ((3, 9, 12, 4), (3, 4, 5, 4), (3, 3, 1, 4), {"channels": "last", "groups": 4}),
    "each channel": ((9, 12, 5), (4, 5, (2, 3)), (3, 3), {"channels": "last", "fill": "wrap", "padding": 2}),
    "each channel, first": ((2, 5, 9, 12), (1, 2, 5, 6), (3, 3), {"channels": "first"}),
    "signal": ((2, 30, 3), (1, 7, 3), (5, 3, 2), {"channels": "last", "padding": "causal"}),
    "volume": ((7, 8, 9), (3, 4, 5), (3, 2, 3), {"padding": "same", "fill": "symmetric"}),
    "volumes": (
        (2, 2, 7, 8, 9),
        (1, 2, 3, 4, 5),
        (4, 2, 3, 2, 3),
        {"channels": "first", "stride": (1, 2, 2)},
    ),
    "empty batch": ((0, 9, 12, 3), (1, 4, 5, 2), (3, 3, 3, 4), {"channels": "last"}),
    "one axis": ((40,), (7,), (6,), {"padding": "full", "dilation": 3}),
}


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_layers_and_volumes(layer, integers):
    """Channels are summed over their chunks, groups and batches included; a bias is one per map."""
    shape, chunks, weights, options = LAYERS[layer]
    random = np.random.default_rng(6)
    x, w = random.integers(0, 255, shape, np.uint8), random.integers(-9, 9, weights)
    if not integers:
        x, w = random.normal(size=shape).astype(np.float32), random.normal(size=weights)
    same(x, chunks, w, **options)
    same(x, chunks, w, bias=3, **options)


@pytest.mark.parametrize("stride", [1, 2, (3, 1), (5, 4)])
@pytest.mark.parametrize("padding", ["valid", "same", "full", 1])
def test_transposed(stride, padding):
    """Every chunk reads the pixels whose kernels reach it, wherever the zeros between pixels begin."""
    x = values_of("uint8", (13, 10), 7)
    random = np.random.default_rng(6)
    for weights in (random.integers(-4, 5, (3, 4)), random.normal(size=(3, 4))):
        for chunks in ((1, 1), (4, 10), ((5, 8), (3, 3, 4))):
            same(x, chunks, weights, transposed=True, stride=stride, padding=padding, dilation=(1, 2))


def test_a_trained_layer():
    """The stride, the padding, the bias and the activation of a layer are those of `conv`."""
    random = np.random.default_rng(12)
    stored = Layer(
        "out, in, rows, columns", stride=(2, 1), padding="same", bias=(1, -2), activation=("leaky-relu:0.1",)
    )
    kernel = convcli.Kernel(random.normal(size=(3, 3, 4, 2)), layer=stored)
    x = random.normal(0, 9, (2, 4, 13, 10)).astype(np.float32)
    for dtype in (None, np.int8):
        same(x, (1, 3, 5, 4), kernel, layer=True, channels="first", dtype=dtype)


@pytest.mark.parametrize("method", ["shift", "fft", "toeplitz"])
def test_named_methods(method):
    """Methods whose rounding depends on position are refused where sums are rounded."""
    x = values_of("uint8", (30, 40), 8)
    same(x, (7, 9), np.ones((5, 5), int), padding="same", method=method)
    lazy = da.from_array(x.astype(np.float32), chunks=(7, 9))
    call = partial(convcli.dask.conv, lazy, KERNELS["dense"], method=method)
    if method == "shift":
        expected = convcli.conv(lazy.compute(), KERNELS["dense"], method=method)
        assert call().compute().tobytes() == expected.tobytes()
    else:
        with pytest.raises(convcli.ArgumentError, match="depends on position"):
            call()


def test_exact_results_are_those_of_any_method():
    """For integers of up to 32 bits and rational weights, nothing has to be said to `conv`."""
    x = values_of("uint16", (200, 300), 9)
    for weights in ("box15", "gaussian:2", "sobel-x", np.ones((3, 3)) / 9):
        found = convcli.dask.conv(da.from_array(x, chunks=(64, 100)), weights, padding="same", fill="edge")
        expected = convcli.conv(x, weights, padding="same", fill="edge")
        exact = convcli.load_kernel(weights).exact if isinstance(weights, str) else True
        assert not exact or found.compute().tobytes() == expected.tobytes()


def test_views_of_results_are_their_parts():
    """A slice of the result has the bytes of the same slice of the whole."""
    x = values_of("float32", (40, 50), 10)
    lazy = convcli.dask.conv(da.from_array(x, chunks=(9, 11)), "gaussian:2", padding="same", fill="wrap")
    whole = convcli.conv(x, "gaussian:2", padding="same", fill="wrap", steady=True)
    assert lazy[3:21:2, 40:].compute().tobytes() == np.ascontiguousarray(whole[3:21:2, 40:]).tobytes()


def test_the_order_of_computation_does_not_matter():
    """Threads of Dask compute several chunks at once, with caches that they share."""
    x = values_of("float32", (64, 64), 11)
    lazy = convcli.dask.conv(da.from_array(x, chunks=(8, 8)), "gaussian:1", padding="same")
    expected = convcli.conv(x, "gaussian:1", padding="same", steady=True)
    for _ in range(3):
        assert lazy.compute(scheduler="threads", num_workers=8).tobytes() == expected.tobytes()
    assert list(accumulate(lazy.chunks[0])) == [8, 16, 24, 32, 40, 48, 56, 64]
