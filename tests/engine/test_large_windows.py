"""Windows far larger than the image: the right values, without memory for what no tap reads."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import numpy as np
import pytest

import convcli
from convcli.core.errors import ArgumentError
from convcli.engine import cutting, planner
from convcli.engine.filter import Filter
from convcli.engine.methods.registry import methods
from convcli.engine.plan import Problem
from convcli.geometry.axes import Axis, geometry
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from tests.conftest import ROOT, SAMPLES

RANDOM = np.random.default_rng(8)
FILLS = ("zero", "7", "edge", "reflect", "symmetric", "wrap")
WINDOWS = [
    ((3, 3), (9, 13), 1),
    ((2, 4), (30, 5), (1, 2)),
    ((3, 2), (7, 40), (3, 2)),
    ((1, 5), (1, 11), 1),
    ((5, 1), (50, 1), 4),
]


@pytest.fixture
def tight(monkeypatch):
    """Planes that are folded, and strips that are halved, wherever that saves anything."""
    monkeypatch.setattr(cutting, "LARGEST_PLANES", 1)
    planner._remembered.cache_clear()
    yield
    planner._remembered.cache_clear()


def cases():
    for method in methods():
        for window, fill, dtype in product(WINDOWS, FILLS, (np.uint8, np.float32)):
            yield method.name, *window, fill, dtype


def results(given) -> list[np.ndarray | str]:
    """What `conv` makes of every case, or why it refuses."""
    found: list[np.ndarray | str] = []
    for (method, _, dilation, stride, fill, dtype), image, weights in given:
        try:
            options = {"dilation": dilation, "stride": stride, "padding": f"same:{fill}", "method": method}
            found.append(convcli.conv(image.astype(dtype), weights, channels="last", **options))
        except ArgumentError as error:
            found.append(str(error))
    return found


def test_folded_planes_hold_the_same_values(request):
    """All methods, fills, types, strides and dilations: the values of planes that leave out nothing."""
    given = []
    for case in cases():
        method, kernel = case[:2]
        image = RANDOM.integers(0, 256, (1, 12, 14, 2))
        shape = (*kernel, 2, 3) if method == "im2col" else kernel
        weights = np.ones(shape, int) if method == "box" else RANDOM.integers(-4, 5, shape)
        if method == "separable":
            weights = np.multiply.outer(np.arange(1, kernel[0] + 1), np.arange(-1, kernel[1] - 1))
        given.append((case, image, weights))
    plain = results(given)
    request.getfixturevalue("tight")
    for (case, *_), expected, found in zip(given, plain, results(given), strict=True):
        if isinstance(expected, str):
            assert found == expected
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3, err_msg=str(case))
    assert sum(not isinstance(found, str) for found in plain) > len(plain) / 2


@pytest.mark.parametrize("fill", FILLS)
def test_a_dilation_beyond_the_image_is_what_its_formula_says(fill):
    """Taps 20,000 pixels apart on 8 × 9 pixels: each is where NumPy's padding of that width reads."""
    image = RANDOM.integers(0, 256, (8, 9))
    mode = {"zero": "constant", "7": "constant"}.get(fill, fill)
    options = {"constant_values": int(fill == "7") * 7} if mode == "constant" else {}
    places = [np.pad(np.arange(size), 20_000, "edge" if mode == "constant" else mode) for size in image.shape]
    wide = [np.arange(-20_000, size + 20_000) for size in image.shape]
    weights = RANDOM.integers(-3, 4, (3, 3))
    expected = np.zeros(image.shape, np.int64)
    for (row, column), weight in np.ndenumerate(weights):
        rows, columns = (
            slice(20_000 * tap, 20_000 * tap + n) for tap, n in zip((row, column), image.shape, strict=True)
        )
        values = image[np.ix_(places[0][rows], places[1][columns])]
        if options:
            inside = [
                (at >= 0) & (at < n)
                for at, n in zip((wide[0][rows], wide[1][columns]), image.shape, strict=True)
            ]
            values = np.where(np.logical_and.outer(*inside), values, options["constant_values"])
        expected += weight * values
    found = convcli.conv(image, weights, dilation=20_000, padding=f"same:{fill}", dtype=np.int64)
    assert np.array_equal(found, expected)


LARGE = """
import resource, numpy as np, convcli
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convcli.conv(np.ones((8, 8)), np.ones((3, 3)), dilation=20_000, padding="same")
convcli.conv(np.ones((8, 8)), np.ones((3, 3)), dilation=2**30, padding="same:reflect")
convcli.conv(np.ones((8, 8)), np.ones((3, 3)), stride=10**7, padding=10**8)
convcli.conv(np.ones((500, 500), np.float32), np.ones((3, 3)), dilation=400, padding="same")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * resource.getpagesize() // 4096 // 1024)
"""


def test_what_no_tap_reads_takes_no_memory():
    """Windows of gigabytes, of which few pixels are read, take megabytes."""
    ran = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(ran.stdout) < 300


def test_a_dilation_beyond_the_image_in_a_command(run, tmp_path):
    """The center tap alone reads the image: `apply` copies it, within a memory limit."""
    out = tmp_path / "out.npy"
    words = ["-k", "0 0 0; 0 1 0; 0 0 5", "--dilation", "20000", "--padding", "same", "--map", "raw", "-q"]
    ran = run("apply", SAMPLES / "scene.png", *words, "-o", out, "--max-memory", "300M")
    assert (ran.code, ran.err) == (0, "")
    import imagecodecs

    pixels = imagecodecs.png_decode((SAMPLES / "scene.png").read_bytes())
    assert np.array_equal(np.load(out).squeeze(), pixels)


@pytest.mark.parametrize("extra", [[], ["--figure"], ["--sheet"]])
def test_apply_keeps_to_its_memory(run, tmp_path, extra):
    """What would take more is refused before a pixel is decoded, with the limit and how to raise it."""
    ran = run(
        "apply", SAMPLES / "scene.png", "-k", "box3", "-o", tmp_path / "o.png", "--max-memory", "1M", *extra
    )
    assert ran.code == 2
    assert ran.err.endswith("MB of memory; allowed: 1 MB (--max-memory)\n")
    assert ran.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_estimate_counts_the_window():
    """2,001 × 2,001 taps take more than 3 × 3 on the same image, and not less than their planes."""

    def taken(side: int) -> int:
        axes = geometry((3000, 3000), (side, side), 1, Padding.parse("same"), 1).axes
        kernel = Kernel(np.ones((side, side), int))
        problem = Problem((Axis(1, 1), *axes), Filter.of(kernel), np.dtype(np.uint8))
        return cutting.strip_bytes(planner.choose(problem, "shift", 1))

    assert taken(2001) > 2001 * 2001 * 4 > taken(3)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3, 2)])
@pytest.mark.parametrize(("stride", "padding"), [(10**9, 0), (10**12, 1), (5 * 10**6, 10**7 - 1)])
def test_strides_of_any_length(stride, padding, shape):
    """Windows far apart: one in the image, or several of which most lie in the padding."""
    is_layer = len(shape) > 2
    x = np.arange(17 * 23 * 3, dtype=np.uint16).reshape(17, 23, 3)
    weights = np.arange(np.prod(shape)).reshape(shape)
    options = {"channels": "last"} if is_layer else {}
    image = x if is_layer else x[..., 0]
    found = convcli.conv(image, weights, padding=padding, stride=stride, dtype=np.int64, **options)
    places = [range(-padding, n + padding - 2, stride) for n in (17, 23)]
    expected = np.zeros((*map(len, places), *shape[3:]), np.int64)
    padded = np.pad(image.astype(np.int64), [(3, 3)] * 2 + [(0, 0)] * is_layer)
    for (i, row), (j, column) in product(*map(enumerate, places)):
        if -3 < row < 17 and -3 < column < 23:
            window = padded[row + 3 : row + 6, column + 3 : column + 6]
            expected[i, j] = np.tensordot(window, weights, 2 + is_layer)
    assert np.array_equal(found, expected)
