"""CSV and other text: matrices and signals, their separators, what is refused, and how they are written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convcli.core.errors import ImageError
from convcli.formats.header import Layout, Metadata
from convcli.formats.opening import open_bytes
from convcli.formats.registry import format_named

CSV = format_named("csv")
FLOATS = st.floats(allow_nan=False, width=64)


def opened(text: str):
    return open_bytes(text.encode())


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 5)), elements=FLOATS))
def test_floats_survive(matrix):
    """Every float64 is read back bit by bit, except that −0 may be written as it is."""
    data = CSV.encode(matrix[:, :, None], Metadata())
    assert np.array_equal(open_bytes(data).pixels()[:, :, 0], matrix)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float16", "float32"])
def test_other_types_survive(dtype):
    """Integers without decimals, and narrower floats as the float64 that they are."""
    pixels = (np.random.default_rng(0).random((4, 3, 1)) * 200).astype(dtype)
    data = CSV.encode(pixels, Metadata())
    assert np.array_equal(open_bytes(data).pixels(), pixels.astype(np.float64))
    assert (b"." in data) == (np.dtype(dtype).kind == "f")


SAME = [
    "1,2.5,3\n4,5,6\n",
    "1;2.5;3\n4;5;6",
    "1;2,5;3\n4;5;6\n",
    "1\t2.5\t3\n4\t5\t6\n",
    "1 2.5 3\r\n4 5 6\r\n",
    "# time\n1, 2.5, 3 # first\n\n4, 5, 6\n",
    "sep=;\n1;2,5;3\n4;5;6\n",
    '"1","2.5","3"\n4,5,6\n',
    "1,2.5,3,\n4,5,6,\n,,,\n",
    "\ufeff+1,25e-1,3.0\n4,10/2,6\n",
    "1e0  5/2  3\n4  5  6\n",
]


@pytest.mark.parametrize("text", SAME)
def test_separators(text):
    """Commas, semicolons, tabs and spaces; decimal commas, comments and what spreadsheets add."""
    assert opened(text).pixels()[:, :, 0].tolist() == [[1, 2.5, 3], [4, 5, 6]]


SIGNALS = [
    ("1\n2\n3\n", "lines"),
    ("1,2,3\n", "row"),
    ("1 2 3", "row"),
    ("−1\n2\n3", "lines"),
    ("5", "lines"),
]


@pytest.mark.parametrize(("text", "signal"), SIGNALS)
def test_signals(text, signal):
    """A single row or column is an image of one row, which remembers how it was written."""
    header = opened(text).header
    assert (header.rows, header.metadata.signal) == (1, signal)
    pixels = np.array([[[1.5], [2.0], [-3.0]]])
    file = CSV.encoder(Layout.of(pixels), header.metadata).strip(0, pixels)
    assert file == (b"1.5\n2\n-3\n" if signal == "lines" else b"1.5,2,-3\n")


def test_numbers_that_are_not_finite():
    """NaN and infinity are values of data."""
    values = opened("1,nan,-inf\n2,NaN,Infinity\n").pixels()[:, :, 0]
    assert np.array_equal(values, [[1, np.nan, -np.inf], [2, np.nan, np.inf]], equal_nan=True)


DAMAGED = [
    ("1,2\n3,x\n", "line 2: column 2: 'x' is not a number"),
    ("1,2\n3\n", "line 2: row has 1 number, expected 2"),
    ("1,2\n3,4,5\n", "line 2: row has 3 numbers, but the first row has 2"),
    ("1,2\n3,\n", "line 2: column 2: '' is not a number"),
    ("1,2,3\n\n4,,6\n", "line 3: column 2: '' is not a number"),
    ("time,value\n1,2\n", "line 1: 'time' is not a number; put # before a header"),
    ("1_000\n2\n", "line 1: column 1: '1_000' is not a number"),
    ("1,05\n2,07\n", "line 1: '1,05': is the comma a decimal comma?"),
    ("1;2,5\n3;4.5\n", "'2,5' has a decimal comma, other cells a point"),
    ("1;1,234\n3;1,235\n", "may be thousands or have a decimal comma"),
    ("1 2\n3 4/0\n", "line 2: column 2: '4/0' divides by zero"),
    ("1,2,1e400\n", "line 1: column 3: '1e400' is out of range"),
    ("#\n", "contains no numbers"),
]


@pytest.mark.parametrize(("text", "message"), DAMAGED)
def test_damaged(text, message):
    """One line with the line and the column."""
    with pytest.raises(ImageError) as caught:
        opened(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_text():
    """Bytes that are not text, and text that is no table, are refused as such."""
    with pytest.raises(ImageError, match="line 2: byte 0xff is not UTF-8 text"):
        open_bytes(b"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n2,\xff")
    for data in (b"1,2\0\n", b'{"a": 1}', b"hello world", b"<svg>", b"1\x1b[31m2", b"# A\n\nB, c 5\nd\n"):
        with pytest.raises(ImageError, match="not an image in a known format"):
            open_bytes(data)


def test_limits(monkeypatch):
    """More numbers than are read at once are refused; large integers are noted."""
    monkeypatch.setattr("convcli.formats.csv._MOST_NUMBERS", 10)
    with pytest.raises(ImageError, match="line 4: more than 10 numbers, the limit for text files"):
        opened("1,2,3\n" * 9)
    assert opened("9007199254740993\n1\n").header.notes == (
        "numbers from 2⁵³ on are read as the nearest floats",
    )


def test_signals_on_the_command_line(run, tmp_path, monkeypatch):
    """Results are of the same kind, with exact values; one-dimensional arrays stay that."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.csv").write_text("1\n2\n4\n7\n11.5\n")
    (tmp_path / "row.txt").write_text("1 2 4 7 11.5\n")
    np.save("int.npy", np.array([1, 300, -500, 32000, 5], np.int16))
    np.save("float.npy", np.array([0.5, 1, 2], np.float32))
    for name in ("lines.csv", "row.txt", "int.npy", "float.npy"):
        assert run("apply", name, "-k", "-1 0 1", "-o", f"out-{name}").code == 0
    assert (tmp_path / "out-lines.csv").read_text() == "0\n3\n5\n7.5\n0\n"
    assert (tmp_path / "out-row.txt").read_text() == "0,3,5,7.5,0\n"
    integers, floats = np.load("out-int.npy"), np.load("out-float.npy")
    assert (integers.tolist(), integers.dtype) == ([0, -501, 31700, 505, 0], np.float64)
    assert (floats.tolist(), floats.dtype) == ([0, 1.5, 0], np.float32)
    assert run("apply", "lines.csv", "-k", "1 1/3", "--padding", "causal", "-o", "c.npy", "--strip").code == 0
    assert np.allclose(np.load("c.npy"), np.convolve([1, 2, 4, 7, 11.5], [1 / 3, 1])[:5])
    assert run("apply", "lines.csv", "-k", "gaussian:1", "-o", "g.csv").code == 0


def test_matrices_on_the_command_line(run, tmp_path, monkeypatch):
    """A matrix is an image of floats; folders of images are not searched for text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text("1,2,3\n4,5,6\n7,8,9.25\n")
    assert run("apply", "m.csv", "-k", "[1 0 -1]", "--padding", "valid", "-o", "out.csv").code == 0
    assert (tmp_path / "out.csv").read_text() == "-2\n-2\n-2.25\n"
    ran = run("batch", ".", "-k", "box3", "-o", "done")
    assert (ran.code, "no images found" in ran.err) == (2, True)
    assert run("batch", "m.csv", "-k", "box3", "-o", "done").code == 0
