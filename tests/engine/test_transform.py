"""Transforms by the extension: bytes of every instruction set, the bound of errors, checks of arguments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import convcli
from convcli.engine import transform
from convcli.engine.methods import fft
from convcli.geometry.axes import Axis
from convcli.native.loader import extension

native = extension()
pytestmark = pytest.mark.skipif(native is None, reason="the extension is not in use")

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
INTEGERS = np.random.default_rng(1).integers(-50, 51, (15, 13))
FLOATS = np.random.default_rng(2).normal(size=(9, 21))


@pytest.mark.parametrize("size", transform.SIZES)
def test_roots_are_accurate(size):
    """Roots of unity are off by no more than 2 units of roundoff, which the bound allows for."""
    block = int(size)
    turns = np.arange(block)
    values = transform._unit(turns, block)
    exact = np.longdouble(-2) * np.longdouble("3.14159265358979323846264338327950288") * turns / block
    error = np.hypot(values[:, 0] - np.cos(exact), values[:, 1] - np.sin(exact))
    assert error.max() <= 2 * 2.0**-53
    assert sorted(transform._order(block)) == list(range(block))


def _tiles(dtype, rows, columns, k, planes, **changed):
    """The arguments of `tiles` for the sums of ``planes`` with random weights, the sums, and the weights."""
    weights = np.random.default_rng(k).normal(size=(k, k))
    down, across = rows - k + 1, columns - k + 1
    shape = 1, planes.shape[2] - k + 1, planes.shape[3] - k + 1
    sums = np.full(shape, np.nan, dtype)
    layout = {"rows": rows, "columns": columns, "down": down, "across": across} | {
        "lanes": 1,
        "inputs": 1,
        "groups": 1,
        "exact": 0,
    }
    spectrum = transform.spectrum(weights, rows, columns, dtype)
    roots = transform.roots(rows, dtype), transform.roots(columns, dtype)
    return [np.array(list((layout | changed).values()), np.int64), planes, sums, spectrum, *roots], weights


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
@pytest.mark.parametrize("rows", transform.SIZES[:9])
@pytest.mark.parametrize("columns", [16, 48, 128, 384])
def test_sums_stay_within_the_bound_of_both_tiles(dtype, rows, columns):
    """Every size of tile, several with a rest: the norm of a pair bounds the error of both."""
    planes = np.random.default_rng(0).normal(size=(1, 1, int(rows) + 9, 3 * columns)).astype(dtype)
    arguments, weights = _tiles(dtype, int(rows), columns, 5, planes)
    native.tiles(*arguments)
    windows = np.lib.stride_tricks.sliding_window_view(planes[0, 0].astype(np.float64), weights.shape)
    truth = np.einsum("ijkl,kl->ij", windows, weights)
    norm = np.linalg.norm(planes) * np.linalg.norm(weights)
    bound = fft.loss(int(rows) * columns) * np.finfo(dtype).eps / 2 * norm
    assert np.abs(arguments[2][0] - truth).max() <= bound


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(61, 40), (300, 333), (257, 129, 3), (70, 40, 4)])
@pytest.mark.parametrize("weights", [INTEGERS, FLOATS], ids=["integers", "floats"])
def test_every_instruction_set_gives_the_same_bytes(dtype, shape, weights):
    """Vectors of 4, 8 and 16 floats; integers are those of the plain sums."""
    x = np.random.default_rng(3).integers(0, 256, shape).astype(dtype)
    exact = weights is INTEGERS and x.dtype.kind != "f"
    options = {"channels": "last" if len(shape) == 3 else None, "dtype": np.int64 if exact else None}
    found = set()
    try:
        for name in native.instruction_sets():
            native.use(name)
            found.add(convcli.conv(x, weights, method="fft", **options).tobytes())
    finally:
        native.use(None)
    if exact:
        found.add(convcli.conv(x, weights, method="shift", **options).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("kernel", [(9, 1), (1, 1)])
def test_a_strip_of_one_column(kernel):
    """Wide images are cut across; what is left may be a single column, whose step means nothing."""
    x = np.random.default_rng(3).normal(size=(10, 32_769)).astype(np.float32)
    weights = np.full(kernel, 0.7)
    found = [convcli.conv(x, weights, method=method) for method in ("fft", "shift")]
    assert np.allclose(*found, atol=1e-5)


def test_layers():
    """Several planes and maps, in groups, share the transforms of their input."""
    rng = np.random.default_rng(4)
    x, weights = rng.integers(0, 256, (90, 100, 4)).astype(np.uint8), rng.integers(-9, 10, (9, 7, 2, 6))
    found = [
        convcli.conv(x, weights, channels="last", groups=2, method=method, dtype=np.int32)
        for method in ("fft", "shift")
    ]
    assert np.array_equal(*found)


CHANGES = {
    "a size with a factor of 5": (0, lambda a: a * 5 // 4, "row_roots > 0"),
    "no columns": (0, lambda a: a * [1, 0, 1, 1, 1, 1, 1, 1], "column_roots > 0"),
    "more sums than rows": (0, lambda a: a + 99 * (np.arange(8) == 2), "down <= tiles->rows"),
    "no sums": (0, lambda a: a * [1, 1, 1, 0, 1, 1, 1, 1], "across >= 1"),
    "no lanes": (0, lambda a: a * [1, 1, 1, 1, 0, 1, 1, 1], "lanes >= 1"),
    "two groups": (0, lambda a: a * [1, 1, 1, 1, 1, 1, 2, 1], "channels == "),
    "exact singles": (0, lambda a: a + (np.arange(8) == 7), "is_exact"),
    "fewer rows": (1, lambda a: a[:, :, 1:], r"shape\[2\]"),
    "fewer columns": (1, lambda a: a[..., 1:], r"shape\[3\]"),
    "columns apart": (1, lambda a: np.repeat(a, 2, 3)[..., ::2], r"strides\[3\]"),
    "two planes": (1, lambda a: np.repeat(a, 2, 0), r"views\[3\]"),
    "a short spectrum": (3, lambda a: a[1:], r"views\[3\]"),
    "short roots": (4, lambda a: a[1:], "row_roots"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arguments_that_contradict_each_other(change):
    """Nothing is read or written outside the arrays."""
    number, changed, reason = CHANGES[change]
    arguments, _ = _tiles(SINGLE, 32, 32, 5, np.zeros((1, 1, 50, 70), SINGLE))
    arguments[number] = changed(arguments[number])
    with pytest.raises(ValueError, match=reason):
        native.tiles(*arguments)
    assert np.isnan(arguments[2]).all()


@pytest.mark.parametrize("number", range(6))
def test_arguments_of_other_types(number):
    """Other types, other numbers of axes, read-only sums and no arrays are refused."""
    arguments, _ = _tiles(SINGLE, 32, 32, 5, np.zeros((1, 1, 50, 70), SINGLE))
    given = arguments[number]
    frozen = given.copy()
    frozen.flags.writeable = False
    for other in [
        given.astype(np.float64),
        given[None],
        np.zeros(given.shape, np.int16),
        None,
        *[frozen] * (number == 2),
    ]:
        arguments[number] = other
        with pytest.raises((TypeError, BufferError, ValueError)):
            native.tiles(*arguments)
    with pytest.raises(TypeError, match="6 arguments"):
        native.tiles(*arguments[:5])


def test_spectra_are_computed_once_and_not_kept_without_end(monkeypatch):
    """Workers share them; equal filters in a later plan find them; old ones make room."""
    computed = []
    own = transform.spectrum
    monkeypatch.setattr(transform, "spectrum", lambda *given: computed.append(1) or own(*given))
    monkeypatch.setattr(fft, "_SPECTRA", fft._Spectra())
    x = np.zeros((500, 600), np.float32)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: convcli.conv(x, FLOATS, method="fft", threads=2), range(4)))
    assert len(computed) == 1
    monkeypatch.setattr(fft._Spectra, "MOST", 3 * 2**20)
    for change in range(20):
        convcli.conv(x, FLOATS + change, method="fft")
    assert sum(spectra.nbytes for spectra in fft._SPECTRA.kept.values()) <= 3 * 2**20


@pytest.mark.parametrize("extent", [3, 15, 61, 1001])
@pytest.mark.parametrize("size", [1100, 4000])
def test_tiles_are_no_larger_than_they_need_be(extent, size):
    """The tiles of a small result are small; none has more than 2048 rows."""
    tiles = fft._paired(Axis(size, extent), Axis(size, extent), 1, SINGLE, 1.0)
    assert extent <= tiles.rows <= 2048
    short = Axis(extent + 9, extent)
    assert fft._paired(short, short, 1, SINGLE, 1.0).rows < 2 * extent + 32
