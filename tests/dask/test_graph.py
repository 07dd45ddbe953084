"""The graph of a result: its size, its names, its chunks, and arrays that are refused."""

from __future__ import annotations

import pickle
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest

import convcli
import convcli.dask
from tests.conftest import ROOT


def zeros(shape=(100, 100), chunks=(25, 25), dtype="uint8") -> da.Array:
    """An array of which no chunk may be computed."""

    def refuse(block):
        raise AssertionError("a chunk was computed")

    return da.zeros(shape, chunks=chunks, dtype=dtype).map_blocks(
        refuse, dtype=dtype, meta=np.empty((0, 0), dtype)
    )


def test_one_task_for_each_chunk():
    """Besides those of the input there is one for each chunk of the result, and the plan that they share."""
    x = zeros()
    y = convcli.dask.conv(x, "box5", padding="same", fill="reflect")
    layer = y.dask.layers[y.name]
    assert len(layer) == 16 + 1
    assert set(y.dask.layers) == {*x.dask.layers, y.name}
    assert y.dask.dependencies[y.name] == {x.name}


def test_a_chunk_reads_its_neighbors_only():
    """A slice of the result asks for the chunks that its windows reach."""
    x = da.zeros((100, 100), chunks=25, dtype="uint8")
    y = convcli.dask.conv(x, "box5", padding="same")
    (part,) = dask_optimized(y[30:40, 30:40])
    assert sum(isinstance(key, tuple) and key[0].startswith("zeros") for key in part) <= 9


def dask_optimized(*arrays):
    """The graphs of arrays after optimization, as dictionaries."""
    import dask

    return [dict(array.__dask_graph__()) for array in dask.optimize(*arrays)]


@pytest.mark.parametrize(
    ("weights", "options", "expected"),
    [
        ("box3", {"padding": "same"}, ((25, 25, 25, 25), (40, 30, 30))),
        ("box3", {}, ((25, 25, 25, 23), (40, 30, 28))),
        ("box3", {"padding": "full"}, ((25, 25, 25, 27), (40, 30, 32))),
        ("box3", {"padding": "same", "stride": 2}, ((13, 12, 13, 12), (20, 15, 15))),
        ("box3", {"padding": "same", "stride": (1, 50)}, ((25, 25, 25, 25), (1, 1))),
        ("box3", {"padding": "same", "transposed": True, "stride": 2}, ((50, 50, 50, 50), (80, 60, 60))),
        (np.ones((99, 1)), {}, ((2,), (40, 30, 30))),
    ],
)
def test_chunks_follow_those_of_the_input(weights, options, expected):
    """Chunks begin where those of the input do, divided by the stride; none is empty."""
    y = convcli.dask.conv(zeros(chunks=(25, (40, 30, 30))), weights, **options)
    assert y.chunks == expected


def test_padding_far_beyond_the_edge_is_divided():
    """No chunk becomes much larger than those of the input."""
    y = convcli.dask.conv(zeros(), "box3", padding=400)
    assert max(max(chunks) for chunks in y.chunks) <= 50


@pytest.mark.parametrize(
    ("dtype", "options", "expected"),
    [("uint8", {}, "f4"), ("uint32", {}, "f8"), ("f8", {}, "f8"), ("bool", {"dtype": "int16"}, "i2")],
)
def test_types_are_known_without_computing(dtype, options, expected):
    """The type and the meta are those of the result."""
    y = convcli.dask.conv(zeros(dtype=dtype), "box3", **options)
    assert (y.dtype, y._meta.dtype, y._meta.shape) == (np.dtype(expected), np.dtype(expected), (0, 0))


def test_names_are_those_of_equal_calls():
    """The same array and the same call give the same keys, however it is written; others do not."""
    x = zeros()
    first = convcli.dask.conv(x, "box3", padding="same")
    assert first.name == convcli.dask.conv(x, convcli.load_kernel("box3"), padding=1, fill="zero").name
    assert first.name == convcli.dask.conv(x, "box3", padding="same", threads=2).name
    others = [
        convcli.dask.conv(x, "box3", padding="same", **options).name
        for options in ({"dtype": "u1"}, {"fill": "edge"}, {"fill": 3}, {"stride": 2}, {"bias": 1})
    ]
    others += [
        convcli.dask.conv(x, "box5", padding="same").name,
        convcli.dask.conv(x.rechunk(50), "box3", padding="same").name,
        convcli.dask.conv(x + 1, "box3", padding="same").name,
        convcli.dask.conv(x, np.ones((3, 3)) / 8.3, padding="same").name,
    ]
    assert len({first.name, *others}) == 1 + len(others)


def test_names_are_the_same_in_another_process():
    """Nothing in a name depends on addresses or on the order of sets."""
    code = (
        "import dask.array as da, convcli; x = da.ones((9, 9), chunks=4, name='x');"
        "print(convcli.dask.conv(x, 'gaussian:1', padding='same', fill='ignore').name)"
    )
    command = [sys.executable, "-c", code]
    names = {subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout for _ in range(2)}
    assert len(names) == 1


def test_a_task_is_small():
    """Weights are sent once to each worker, not with each task; plans of chunks are not sent."""
    y = convcli.dask.conv(zeros(), np.random.default_rng(1).normal(size=(99, 99)), padding="same")
    layer = dict(y.dask.layers[y.name])
    tasks = [task for key, task in layer.items() if isinstance(key, tuple)]
    assert max(len(pickle.dumps(task)) for task in tasks) < 4000
    (shared,) = (task for key, task in layer.items() if not isinstance(key, tuple))
    size = len(pickle.dumps(shared))
    shared.chunk((0, 0), *[np.zeros((25, 25), np.uint8)] * len(shared.reads((0, 0))))
    assert len(pickle.dumps(shared)) == size


UNKNOWN = da.from_array(np.arange(40.0), chunks=10)
REFUSED = {
    "unknown sizes": (UNKNOWN[UNKNOWN > 5], [1, 2, 1], {}, r"compute_chunk_sizes\(\)"),
    "complex": (da.zeros((9, 9), dtype=complex), "box3", {}, "x has type complex128"),
    "numpy": (np.zeros((9, 9)), "box3", {}, r"allowed: a Dask array.*convcli\.conv for arrays in memory"),
    "dims": (zeros(), "box3", {"dims": ("y", "x")}, "dims names dimensions of a DataArray"),
    "weights": (zeros(), da.ones((3, 3)), {}, r"pass weights\.compute\(\)"),
    "bias": (zeros(), "box3", {"bias": da.ones(1)}, r"pass bias\.compute\(\)"),
    "axes": (zeros(), np.ones((3, 3, 3)), {}, "x has 2 axes, but weights have 3"),
    "too large": (zeros(), np.ones((101, 1)), {}, "larger than the padded image"),
    "kernel": (zeros(), "box33x", {}, "unknown kernel"),
    "padding": (zeros(), "box3", {"padding": "some"}, "padding 'some' is not one of"),
    "dtype": (zeros(), "box3", {"dtype": "complex64"}, "dtype complex64"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_refused(case):
    """Everything that can be refused is refused before a chunk is computed, with advice."""
    x, weights, options, message = REFUSED[case]
    with pytest.raises(convcli.ConvcliError, match=message):
        convcli.dask.conv(x, weights, **options)


def test_other_libraries_words_are_answered():
    """A keyword that another library uses is answered with the one of this one."""
    with pytest.raises(TypeError, match="did you mean fill"):
        convcli.dask.conv(zeros(), "box3", boundary="reflect")


def test_arrays_that_break_their_promise():
    """A chunk of another type or shape than the array says is an error, not a wrong result."""
    x = da.zeros((9, 9), chunks=3, dtype="uint8")
    wrong = x.map_blocks(lambda block: block.astype("f8"), dtype="uint8", meta=np.empty((0, 0), "u1"))
    with pytest.raises(convcli.ArgumentError, match=r"has type float64.*promises uint8"):
        convcli.dask.conv(wrong, "box3").compute()
    short = x.map_blocks(lambda block: block[:2], dtype="uint8", meta=np.empty((0, 0), "u1"))
    with pytest.raises(convcli.ArgumentError, match="shape"):
        convcli.dask.conv(short, "box3").compute()


def test_masked_values_are_refused_when_they_are_met():
    """As by `conv`; masked arrays without masked values are arrays."""
    values = np.ma.masked_greater(np.arange(36).reshape(6, 6), 99)
    found = convcli.dask.conv(da.from_array(values, chunks=3), "box3").compute()
    np.testing.assert_array_equal(found, convcli.conv(np.arange(36).reshape(6, 6), "box3"))
    hidden = da.from_array(np.ma.masked_greater(values, 30), chunks=3)
    with pytest.raises(convcli.ArgumentError, match="x masks 2 of 9 values"):
        convcli.dask.conv(hidden, "box3").compute()


def test_importing_convcli_does_not_import_dask():
    """Neither does importing its function for Dask arrays, before it is called."""
    code = (
        "import sys, convcli; convcli.conv; convcli.dask.conv; print({'dask', 'xarray'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
