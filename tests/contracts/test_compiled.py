"""The contract of compiled methods: the results of NumPy alone, the same bytes with any instruction set."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convcli
from convcli.native import loader
from tests.conftest import without_extension

pytestmark = pytest.mark.skipif(loader.extension() is None, reason="the compiled extension is not in use")

INTEGERS = ["uint8", "int8", "uint16", "int16", "int32", "bool"]
FLOATS = ["float32", "float64"]
FILLS: list[str | int] = ["zero", 7, -3, "edge", "reflect", "symmetric", "wrap"]
RANDOM = np.random.default_rng(8)
KERNELS = {
    "sobel": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "binomial": convcli.Kernel(np.multiply.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]), scale="1/256"),
    "box": convcli.Kernel(np.ones((3, 5), int), scale="1/15"),
    "long": RANDOM.integers(-99, 100, (9, 7)),
    "row": convcli.Kernel([[1, -3, 2, 7]], scale="1/3"),
    "column": [[3], [-2]],
    "one": [[-7]],
    "zeros": np.zeros((2, 3), int),
}
LAYERS = {
    "one map": RANDOM.integers(-9, 10, (3, 3, 3, 1)),
    "pointwise": RANDOM.integers(-9, 10, (1, 1, 4, 9)),
    "eleven maps": RANDOM.integers(-9, 10, (3, 2, 2, 11)),
    "sparse": RANDOM.integers(-9, 10, (3, 3, 2, 5)) * (RANDOM.random((3, 3, 2, 5)) < 0.3),
    "depthwise": RANDOM.integers(-9, 10, (3, 3, 1, 6)),
    "volume": RANDOM.integers(-9, 10, (2, 3, 3, 2, 4)),
}
LAYOUTS = {
    "as it is": lambda x: x,
    "columns first": np.asfortranarray,
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "every second": lambda x: np.repeat(np.repeat(x, 2, 0), 2, 1)[::2, ::2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "own order, stated": lambda x: x.view(x.dtype.newbyteorder("<" if sys.byteorder == "little" else ">")),
    "a field": lambda x: (
        np.rec.fromarrays([x, x[..., None].repeat(3, -1).view(f"V{3 * x.itemsize}")[..., 0]]).f0
    ),
}


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    native = loader.extension()
    native.use(name)
    try:
        yield
    finally:
        native.use(loader.instruction_set())


def pixels(data: st.DataObject, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values over the whole range of integers, and floats of several magnitudes."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    if dtype in FLOATS:
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(dtype)
    info = np.iinfo("uint8" if dtype == "bool" else dtype)
    return rng.integers(info.min, info.max, shape, info.dtype, endpoint=True).astype(dtype)


def window(data: st.DataObject, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Stride, dilation, padding and fill for a kernel of such a size."""
    dilation = [data.draw(st.integers(1, 3)) for _ in kernel]
    extents = [step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True)]
    padding = [(extent - 1, extent - 1 + data.draw(st.integers(0, 4))) for extent in extents]
    return {
        "stride": [data.draw(st.integers(1, 4)) for _ in kernel],
        "dilation": dilation,
        "padding": padding,
        "fill": data.draw(st.sampled_from(FILLS)),
        "flip": data.draw(st.booleans()),
        "threads": data.draw(st.integers(1, 2)),
    }


def numpy_results(x: np.ndarray, weights: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """What plain sums of NumPy give, and by how much floats may differ from it (each by n·ε·Σ|w·x|)."""
    with without_extension():
        truth = convcli.conv(x, weights, method="shift", **options)
        if x.dtype.kind != "f":
            return truth, np.zeros_like(truth)
        weights = weights.weights if isinstance(weights, convcli.Kernel) else np.asarray(weights)
        options["fill"] = abs(options["fill"]) if isinstance(options["fill"], int) else options["fill"]
        scale = convcli.conv(abs(x.astype(float)), abs(weights.astype(float)), method="shift", **options)
    return truth, 2 * (weights.size + 2) * np.finfo(truth.dtype).eps * scale


def compare(x: np.ndarray, weights: Any, method: str = "direct", **options: Any) -> None:
    """Integers are the bytes of NumPy alone, floats are close to it, and instruction sets do not show."""
    truth, most = numpy_results(x, weights, **options)
    results = []
    for name in loader.extension().instruction_sets():
        with instruction_set(name):
            results.append(convcli.conv(x, weights, method=method, **options))
    assert {(result.dtype, result.shape, result.tobytes()) for result in results} == {
        (truth.dtype, truth.shape, results[0].tobytes())
    }
    if x.dtype.kind == "f":
        assert np.all(abs(results[0] - truth) <= most)
    else:
        assert results[0].tobytes() == truth.tobytes()


@pytest.mark.parametrize("kernel", KERNELS)
@given(data=st.data())
def test_images(kernel, data):
    """Every kernel × type × result × layout × stride × dilation × fill, also one pixel small."""
    weights = KERNELS[kernel]
    size = np.shape(getattr(weights, "weights", weights))
    dtype = data.draw(st.sampled_from([*INTEGERS, *FLOATS]))
    x = pixels(data, dtype, data.draw(st.tuples(st.integers(1, 12), st.integers(1, 40))))
    x = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](x)
    result = (
        data.draw(st.sampled_from([None, np.uint8, np.int16, np.int32, np.float64]))
        if dtype in INTEGERS
        else None
    )
    compare(x, weights, dtype=result, **window(data, size))


@pytest.mark.parametrize(
    ("method", "kernel"),
    [("separable", "binomial"), ("separable", "sobel"), ("box", "box")],
)
@given(data=st.data())
def test_methods_for_some_kernels(method, kernel, data):
    """The same for the methods that do not take every kernel."""
    weights = KERNELS[kernel]
    size = np.shape(getattr(weights, "weights", weights))
    x = pixels(data, data.draw(st.sampled_from([*INTEGERS, *FLOATS])), (9, data.draw(st.integers(1, 70))))
    options = window(data, size)
    options["stride"][1] = 1 if method == "box" else options["stride"][1]
    compare(LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](x), weights, method, **options)


@pytest.mark.parametrize("layer", LAYERS)
@given(data=st.data())
def test_layers(layer, data):
    """Channels, maps, groups, batches, lanes and volumes, with channels first and last."""
    weights = LAYERS[layer]
    groups = 6 if layer == "depthwise" else 1
    sizes = [data.draw(st.integers(1, 9)) for _ in weights.shape[:-2]]
    shape = data.draw(st.integers(1, 2)), *sizes, weights.shape[-2] * groups
    x = pixels(data, data.draw(st.sampled_from([*INTEGERS, *FLOATS])), shape)
    options = window(data, weights.shape[:-2])
    if data.draw(st.booleans()):
        x, weights = np.moveaxis(x, -1, 1), np.moveaxis(weights, (-1, -2), (0, 1))
        compare(x, weights, groups=groups, channels="first", **options)
    else:
        compare(x, weights, groups=groups, channels="last", **options)


@pytest.mark.parametrize("kernel", ["sobel", "sharpen", "binomial", "long"])
@given(data=st.data())
def test_lanes(kernel, data):
    """Channels that are filtered each by itself, first and last."""
    weights = KERNELS[kernel]
    shape = *(data.draw(st.integers(1, 15)) for _ in range(2)), data.draw(st.sampled_from([1, 2, 3, 4, 7]))
    x = pixels(data, data.draw(st.sampled_from([*INTEGERS, *FLOATS])), shape)
    x = LAYOUTS[data.draw(st.sampled_from(["as it is", "columns first", "reversed", "every second"]))](x)
    channels = data.draw(st.sampled_from(["first", "last"]))
    x = np.moveaxis(x, -1, 0) if channels == "first" else x
    compare(x, weights, channels=channels, **window(data, np.shape(getattr(weights, "weights", weights))))


@pytest.mark.parametrize("dtype", ["float16", ">u2", ">i4", ">f4", ">f8"])
@pytest.mark.parametrize("source", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("method", ["direct", "separable"])
def test_results_of_types_that_numpy_finishes(method, source, dtype):
    """float16 and foreign byte orders, as values of the type that has NumPy's own order."""
    x, weights = np.arange(600).reshape(20, 30).astype(source), np.outer([1, 2, 1], [1, 5, 2])
    result = convcli.conv(x, weights, method=method, dtype=dtype)
    assert result.dtype == dtype
    assert np.array_equal(
        result, convcli.conv(x, weights, method="shift", dtype=np.dtype(dtype).newbyteorder("="))
    )


@pytest.mark.parametrize("divisor", [2, 3, 7, 10, 49, 255, 256, 961, 32767, 32768, 65535, 65536, 65537])
@pytest.mark.parametrize("signed", [False, True])
def test_quotients_of_every_16_bit_sum(divisor, signed):
    """Every sum of 16 bits, and of 15 whose half of the divisor has room, to every integer type."""
    kernel = convcli.Kernel([[1]], scale=f"1/{divisor}")
    for values in np.arange(65536).astype(np.int16 if signed else np.uint16), np.arange(256).astype(np.uint8):
        for dtype in (np.uint8, np.int8, np.uint16, np.int16, np.int32):
            compare(values.reshape(16, -1), kernel, dtype=dtype, fill=0)


@pytest.mark.parametrize("method", ["direct", "separable", "fft"])
def test_true_is_one(method):
    """Also where a byte of a bool is something else, as in a mask of 0 and 255 that is seen as bool."""
    x = np.where(RANDOM.random((40, 50)) < 0.5, np.uint8(255), np.uint8(0)).view(bool)
    compare(x, np.outer([1, 2, 1], [1, 5, 2]), method, stride=1)


@given(data=st.data())
def test_exact_transforms(data):
    """Transforms of integers give the same bytes too."""
    dtype = data.draw(st.sampled_from(["uint8", "int8", "uint16", "int16", "bool"]))
    x = pixels(data, dtype, data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60))))
    compare(x, KERNELS["long"], "fft", **window(data, (9, 7)) | {"stride": 1})


def test_calls_from_several_threads():
    """Calls share nothing: each has the result that it has alone."""
    images = [RANDOM.integers(0, 256, (60 + index, 90), np.uint8) for index in range(40)]
    alone = [convcli.conv(image, KERNELS["long"], method="direct", threads=1) for image in images]
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(
            lambda image: convcli.conv(image, KERNELS["long"], method="direct", threads=2), images
        )
    assert all(map(np.array_equal, results, alone))
