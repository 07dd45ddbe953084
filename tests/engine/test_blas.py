"""Products of matrices: one BLAS thread, and the same bytes for any cut, threads and environment."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import convcli
from convcli.arrays import preparing
from convcli.core.frozen import replace
from convcli.engine import blas
from convcli.engine.loading import PlaneLoader
from convcli.engine.methods.base import Workload
from convcli.engine.methods.registry import method_named
from tests.conftest import ROOT

RANDOM = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


LAYERS = [
    (floats(1, 61, 47, 8), floats(3, 3, 8, 16), {}),
    (floats(1, 40, 300, 3), floats(5, 3, 3, 5), {"stride": 2}),
    (floats(1, 90, 70, 6), floats(3, 3, 3, 8), {"groups": 2}),
    (floats(1, 70, 290, 2), floats(7, 7, 2, 1), {"dilation": (1, 2)}),
    (floats(1, 30, 700, 4), floats(1, 1, 4, 9), {}),
]


@pytest.mark.parametrize("method", ["im2col", "toeplitz"])
@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_bytes_do_not_depend_on_the_cut(number, method, monkeypatch):
    """Strips of several multiples of the grain give the same bits, by products that round."""
    x, weights, options = LAYERS[number]
    if method == "toeplitz" and weights[0, 0].size > 64:
        pytest.skip("toeplitz takes up to 64 planes")
    choose, found = preparing.choose, set()
    for times in (1, 2, 3, 7, 100):

        def cut(*given, times=times, **_):
            plan = choose(*given)
            down, across = method_named(plan.method).grain(Workload(plan.problem, plan.arithmetic))
            return replace(plan, height=down * times, width=across * times)

        monkeypatch.setattr(preparing, "choose", cut)
        result = convcli.conv(x, weights, padding="same", channels="last", method=method, **options)
        found.add(result.tobytes())
    assert len(found) == 1


LAYER = """
import hashlib, numpy as np, convcli
random = np.random.default_rng(3)
x, w = (random.standard_normal(s).astype(np.float32) for s in ((1, 150, 150, 16), (3, 3, 16, 32)))
for threads in (1, 2, 5, 8):
    y = convcli.conv(x, w, channels="last", padding="same", method="im2col", threads=threads)
    print(hashlib.sha256(y.tobytes()).hexdigest())
"""


def test_bytes_do_not_depend_on_the_environment():
    """Library calls in processes with different thread settings for OpenBLAS give the same bits."""
    found = set()
    for told in ("1", "3"):
        ran = subprocess.run(
            [sys.executable, "-c", LAYER],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": told},
        )
        found |= set(ran.stdout.split())
    assert len(found) == 1


@pytest.fixture
def several(monkeypatch):
    """A BLAS of several threads, as a number that can be looked at; whoever sets it is seen."""
    state = [4]

    def set_threads(count: int) -> None:
        state[0] = count

    monkeypatch.setattr(blas, "control", lambda: (lambda: state[0], set_threads))
    return state


def layer() -> np.ndarray:
    return convcli.conv(*LAYERS[0][:2], padding="same", channels="last", method="im2col", threads=2)


def test_blas_is_limited_during_a_call_and_restored(several, monkeypatch):
    """One thread while products are computed, the caller's number afterwards, also after a failure."""
    seen, load = set(), PlaneLoader.load

    def look(self, *given):
        seen.add(several[0])
        load(self, *given)

    monkeypatch.setattr(PlaneLoader, "load", look)
    layer()
    assert (seen, several[0]) == ({1}, 4)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PlaneLoader, "load", fail)
    with pytest.raises(MemoryError):
        layer()
    assert several[0] == 4


def test_calls_that_overlap_are_counted(several):
    """Eight concurrent threads get the right values; the limit is lifted after the last of them."""
    wanted = layer()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: layer(), range(40)))
    assert all(np.array_equal(found, wanted) for found in results)
    assert several[0] == 4
    with blas.ONE_THREAD:
        layer()
        assert several[0] == 1


def _in_child(pipe, wanted: bytes) -> None:
    inside = blas.ONE_THREAD.inside, blas.control()[0]()
    pipe.send((*inside, layer().tobytes() == wanted, blas.control()[0]()))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_call_leaves_the_limit(several):
    """The child, in which nobody computes, has the caller's number of threads, and computes as before."""
    wanted = layer().tobytes()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(theirs, wanted))
    with blas.ONE_THREAD:
        child.start()
        assert ours.poll(60)
        assert ours.recv() == (0, 4, True, 4)
        assert several[0] == 1
    child.join()
    assert several[0] == 4


def test_the_blas_of_numpy_is_found():
    """The number of threads of NumPy's own BLAS can be read and set, if it is a known one."""
    name = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    if not any(known in name for known in ("openblas", "mkl", "blis")):
        pytest.skip(f"NumPy is linked to {name}")
    get, set_threads = blas.control()
    before = get()
    set_threads(1)
    assert get() == 1
    set_threads(before)
    assert get() == before


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_bytes_do_not_depend_on_the_layout(number):
    """Channels first or last, and weights in any order of memory, give the same bits."""
    x, weights, options = LAYERS[number]
    options = {**options, "padding": 1, "method": "im2col"}
    wanted = convcli.conv(x, weights, channels="last", **options)
    turned, planes = weights.transpose(3, 2, 0, 1), x.transpose(0, 3, 1, 2)
    for order in ("C", "F"):
        given = np.asarray(planes, order=order), np.asarray(turned, order=order)
        found = convcli.conv(*given, channels="first", **options)
        assert found.transpose(0, 2, 3, 1).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("size", [(7, 7), (14, 14), (1, 1), (20, 3000)])
@pytest.mark.parametrize(("inputs", "maps", "groups"), [(1, 16, 1), (40, 8, 1), (6, 12, 3), (5, 1, 1)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_layers_against_plain_sums(size, inputs, maps, groups, kernel):
    """Maps of one tile and of many, read in place or not, have the values of shift and add."""
    x = floats(2, inputs, *size)
    weights = floats(maps, inputs // groups, kernel, kernel)
    options = {"channels": "first", "padding": kernel // 2, "groups": groups}
    found, wanted = (convcli.conv(x, weights, method=name, **options) for name in ("im2col", "shift"))
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4)
