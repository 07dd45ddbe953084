"""Kernel files: accepted forms read exactly, mistakes named with file, line and column."""

from __future__ import annotations

import io
import os
import re
import threading
from fractions import Fraction
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.core.frozen import replace
from convcli.formats.registry import formats
from convcli.kernels.readers.registry import READERS
from convcli.kernels.writers import FORMS, notes, write

EDGE = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
NINTH = [[Fraction(1, 9)] * 3] * 3


def npy(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


GOOD = {
    "plain.csv": (b"-1,0,1\n-2,0,2\n-1,0,1\n", EDGE),
    "bom-crlf.csv": (b"\xef\xbb\xbf-1,0,1\r\n-2,0,2\r\n-1,0,1\r\n", EDGE),
    "semicolons.csv": (b"-1;0;1\n-2;0;2\n-1;0;1", EDGE),
    "tabs.csv": (b"-1\t0\t1\n-2\t0\t2\n-1\t0\t1\n", EDGE),
    "spaces.csv": (b"  -1  0 1 \n-2 0   2\n-1 0 1\n", EDGE),
    "comments.csv": (b"# an edge\n-1,0,1 # top\n\n-2,0,2\n-1,0,1\n", EDGE),
    "quoted.csv": (b'"-1","0","1"\n-2,0,2\n-1,0,1\n', EDGE),
    "trailing.csv": (b"-1,0,1,\n-2,0,2,\n-1,0,1,\n", EDGE),
    "fractions.csv": (b"1/9,1/9,1/9\n1 / 9, 1/9,1/9\n1/9,1/9,1/9\n", NINTH),
    "utf16.csv": ("-1,0,1\n-2,0,2\n-1,0,1\n".encode("utf-16"), EDGE),
    "scientific.csv": (b"1e-1,2.5E1\n", [[Fraction(1, 10), 25]]),
    "single.csv": (b"-3", [[-3]]),
    "column.csv": (b"1\n2\n1\n", [[1], [2], [1]]),
    "even.csv": (b"1 2\n3 4\n", [[1, 2], [3, 4]]),
    "list.yaml": (b"- [-1, 0, 1]\n- [-2, 0, 2]\n- [-1, 0, 1]\n", EDGE),
    "keys.yaml": (b"name: mine\nweights: [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]\n", EDGE),
    "block.yml": (b"weights: |\n  -1 0 1\n  -2 0 2\n  -1 0 1\n", EDGE),
    "scale.yaml": (b"weights: [[1,1,1],[1,1,1],[1,1,1]]\nscale: 1/9\n", NINTH),
    "divisor.yaml": (b"weights: [[1,1,1],[1,1,1],[1,1,1]]\ndivisor: 9\n", NINTH),
    "vectors.yaml": (b"rows: [1, 2, 1]\ncolumns: [-1, 0, 1]\n", EDGE),
    "exponent.yaml": (b"weights: [[1e3, 0x10]]".replace(b"0x10", b".5"), [[1000, Fraction(1, 2)]]),
    "one-row.yaml": (b"weights: [1, 2, 1]", [[1, 2, 1]]),
    "minus.csv": ("−1,0,1\n".encode(), [[-1, 0, 1]]),
    "european.csv": (b"-1;0;1\r\n-2;0;2\r\n-1;0;1\r\n", EDGE),
    "plain.tsv": (b"-1\t0\t1\n-2\t0\t2\n-1\t0\t1\n", EDGE),
    "plain.dat": (b"-1 0 1\n-2 0 2\n-1 0 1\n", EDGE),
    "flip.yaml": (b"weights: [[1, 2], [3, 4]]\nflip: true\n", [[4, 3], [2, 1]]),
    "anchor.yaml": (b"weights: [[1, 2, 3]]\nanchor: [0, 0]\n", [[0, 0, 1, 2, 3]]),
    "center.yaml": (b"weights: [[1, 2, 3]]\nanchor: [0, 1]\n", [[1, 2, 3]]),
    "upper-left-anchor.yaml": (
        b"weights: [[1, 2], [3, 4]]\nanchor: [0, 0]\n",
        [[0, 0, 0], [0, 1, 2], [0, 3, 4]],
    ),
    "even-anchor.yaml": (
        b"weights: [[1, 2], [3, 4]]\nanchor: [1, 1]\n",
        [[1, 2, 0], [3, 4, 0], [0, 0, 0]],
    ),
    "mapping.yaml": (b"kernels:\n  mine:\n    weights: [[1, 2]]\n", [[1, 2]]),
    "summed.yaml": (b"weights: [[[[1, 2]], [[3, 4]]]]\ncombine: sum\n", [[3, 7]]),
    "list.json": (b"[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]", EDGE),
    "keys.json": (b'{"$schema": "x", "weights": [["1/9","1/9","1/9"]], "scale": 9}', [[1, 1, 1]]),
    "tabs.json": (b'{\r\n\t"rows": [1, 2, 1],\r\n\t"columns": [-1, 0, 1]\r\n}', EDGE),
    "bom.json": (b"\xef\xbb\xbf[[1e-1, -2.5E1]]", [[Fraction(1, 10), -25]]),
    "one.json": (b'{"kernels": [{"name": "a", "weights": [[1, 2]]}]}', [[1, 2]]),
    "plain.mat": (b"3 3\n-1 0 1\n-2 0 2\n-1 0 1\n", EDGE),
    "scale.mat": (b"3 3 9\n1 1 1\n1 1 1\n1 1 1\n", NINTH),
    "offset.mat": (b"# libvips\n2 1 2 128\n1\t3\n", [[Fraction(1, 2), Fraction(3, 2)]]),
    "flat.mat": (b"3 1 4 0\r\n1 2 1\r\n", [[Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)]]),
    "im.txt": (b"3x3: -1,0,1 -2,0,2 -1,0,1", EDGE),
    "im-lines.txt": (b"3x3+1+1:\n  -1, 0, 1\n  -2, 0, 2\n  -1, 0, 1\n", EDGE),
    "im-square.txt": (b"3: -1,0,1,-2,0,2,-1,0,1", EDGE),
    "im-holes.txt": (b"3x3: nan,1,- 1,1,1 NaN,1,-", [[0, 1, 0], [1, 1, 1], [0, 1, 0]]),
    "im-origin.txt": (b"3x1+0+0: 1,2,3", [[0, 0, 1, 2, 3]]),
    "im-even.txt": (b"2x2: 1,2 3,4", [[1, 2], [3, 4]]),
    "im-even-origin.txt": (b"2x2+0+0: 1,2 3,4", [[0, 0, 0], [0, 1, 2], [0, 3, 4]]),
    "ints.npy": (npy(np.array(EDGE)), EDGE),
    "floats.npy": (npy(np.array([[0.5, 0.25]])), [[Fraction(1, 2), Fraction(1, 4)]]),
    "row.npy": (npy(np.array([1, 2, 1], np.uint8)), [[1, 2, 1]]),
    "columns.npy": (npy(np.asfortranarray(EDGE)), EDGE),
    "one.npz": (npz(edge=np.array(EDGE)), EDGE),
    "decimal-commas.csv": (
        b"0,5;1,5;0,5\n1;2;1\n0,5;1,5;0,5\n",
        [
            [Fraction(1, 2), Fraction(3, 2), Fraction(1, 2)],
            [1, 2, 1],
            [Fraction(1, 2), Fraction(3, 2), Fraction(1, 2)],
        ],
    ),
    "decimal-commas.tsv": (
        b"0,5\t-1,5\r\n,25\t1,0e1\r\n",
        [[Fraction(1, 2), Fraction(-3, 2)], [Fraction(1, 4), 10]],
    ),
    "decimal-comma-row.csv": (b"0,5;1;0,5\n", [[Fraction(1, 2), 1, Fraction(1, 2)]]),
    "quoted-commas.csv": (b'"0,5","1,125"\n"2","-3"\n', [[Fraction(1, 2), Fraction(9, 8)], [2, -3]]),
    "sep.csv": (b"sep=;\n1;0;-1\n2;0;-2\n", [[1, 0, -1], [2, 0, -2]]),
    "sep-commas.csv": (b"\xef\xbb\xbfSEP=;\r\n0,5;1,5\r\n", [[Fraction(1, 2), Fraction(3, 2)]]),
    "sep-comma.csv": (b"sep=,\n1,2\n", [[1, 2]]),
    "padded.csv": (b"1,2,,\n3,4,,\n", [[1, 2], [3, 4]]),
    "padded-rows.csv": (b"1,2,\n3,4,\n,,\n,,\n", [[1, 2], [3, 4]]),
    "padded-rows-semicolons.csv": (b"1;2\n;\n", [[1, 2]]),
    "zero-and-five.csv": (b"0,5\n1,5\n", [[0, 5], [1, 5]]),
    "quoted-fractions.csv": (b'"1/9","1 / 9",\n', [[Fraction(1, 9)] * 2]),
    "comments.yaml": (b"# mine\nweights:\n  - [1, 2] # top\n  - [3, 4]\n", [[1, 2], [3, 4]]),
}

BAD = {
    "ragged.csv": (b"1,2,3\n4,5\n", "ragged.csv:2: row has 2 numbers, expected 3"),
    "long.csv": (b"1,2,3\n4,5,6,7\n", "long.csv:2: row has 4 numbers, but the first row has 3"),
    "grouped.csv": (b'"1,000","2"\n', "grouped.csv:1: column 1: '1,000' may be thousands or have a decimal"),
    "grouped-semicolons.csv": (b"1,000;2,000\n1;2\n", "column 1: '1,000' may be thousands"),
    "millions.csv": (b'"1,000,000"\n', "millions.csv:1: column 1: '1,000,000': commas group or end digits"),
    "both-marks.csv": (
        b'"1,000.5","2"\n',
        "column 1: '1,000.5': commas group or end digits; write numbers as",
    ),
    "german.csv": (b"1.000,5;2\n", "column 1: '1.000,5': commas group or end digits"),
    "mixed-marks.csv": (b"0,5;0.5\n1;2\n", "mixed-marks.csv:1: column 1: '0,5' has a decimal comma, other"),
    "one-column.csv": (b"0,05\n0,9\n", "one-column.csv:1: '0,05': is the comma a decimal comma? Write"),
    "empty-row.csv": (b"1,2\n,\n3,4\n", "empty-row.csv:2: column 1: '' is not a number"),
    "doubled-quotes.csv": (b'""1"",2\n', "quotes are part of this cell; write the number"),
    "typographic.csv": (
        "“1”,2\n".encode(),
        "typographic.csv:1: column 1: '“1”': quotes are part of this cell",
    ),
    "single-quotes.txt": (b"'1' 2\n", "quotes are part of this cell; write the number without quotes"),
    "trailing-semicolon.csv": (b"1 0 -1;\n", "'1 0 -1': spaces and another separator are mixed"),
    "text-rows.yaml": (
        b"weights:\n  - 1 0 -1\n  - 2 0 -2\n",
        "text-rows.yaml:2:5: '1 0 -1' is a single string, not a row; write [1, 0, -1]",
    ),
    "one-line.csv": (b"1,2;3,4\n", "one-line.csv: commas and semicolons in one line: is the comma a decimal"),
    "spaces-commas.csv": (
        b"0,5 1,5\n",
        "column 2: '5 1': spaces and another separator are mixed; use one",
    ),
    "divided-row.txt": (b"1 1 1\n1 1 1 / 9\n", "divided-row.txt:2: column 4: '/': a fraction between spaces"),
    "divided-end.txt": (b"1 1 1\n1 1 1 /9\n", "column 4: '/9': a fraction between spaces has no spaces"),
    "slashed-rows.txt": (b"1 2 / 3 4\n", "column 3: '/': a fraction between spaces has no spaces"),
    "empty-cell.csv": (b"1,,3\n4,5,6\n", "empty-cell.csv:1: column 2: '' is not a number"),
    "half-trailing.csv": (b"1,2,\n3,4\n", "half-trailing.csv:1: column 3: '' is not a number"),
    "sep-only.csv": (b"sep=;\n", "sep-only.csv: contains no numbers"),
    "words.txt": (b"blur\n", "words.txt:1: column 1: 'blur' is not a number"),
    "huge.csv": (b"1e999\n", "huge.csv:1: column 1: '1e999' is out of range"),
    "header.mat": (
        b"0 -1 0\n-1 5 -1\n0 -1 0\n",
        "header.mat:1: '0 -1 0' is not a size; the first line is WIDTH",
    ),
    "ones.mat": (
        b"1 1 1\n1 1 1\n1 1 1\n",
        "ones.mat:2: row has 3 numbers, expected 1; the first line is WIDTH",
    ),
    "short.mat": (b"3 3\n1 1 1\n1 1 1\n", "short.mat: 2 rows of numbers, but the first line says 3"),
    "ragged.mat": (b"3 2\n1 1 1\n1 1\n", "ragged.mat:3: row has 2 numbers, expected 3"),
    "zero.mat": (b"1 1 0\n1\n", "zero.mat:1: the scale is zero"),
    "word.mat": (b"2 1\n1 x\n", "word.mat:2: column 2: 'x' is not a number"),
    "empty.mat": (b"# nothing\n", "empty.mat: contains no numbers"),
    "matlab.mat": (b"MATLAB 5.0 MAT-file\0\0", "matlab.mat: a MATLAB file"),
    "count.txt": (b"3x3: 1,2,3,4", "count.txt: 3x3 takes 9 numbers, got 4"),
    "cell.txt": (b"2x1: 1,x", "cell.txt: cell 2: 'x' is not a number"),
    "origin.txt": (b"3x3+3+0: 1,1,1 1,1,1 1,1,1", "origin.txt: anchor 0,3 is outside"),
    "turns.txt": (b"3x3@: 1,2,3,4,5,6,7,8,9", "turns.txt: '@' after the size asks for rotated"),
    "no-size.txt": (b"0x3: 1", "no-size.txt: 0x3 is not a kernel size"),
    "empty.json": (b"", "empty.json:1:1: invalid JSON"),
    "comma.json": (b'{"weights": [[1, 2],]}', "comma.json:1:21: invalid JSON"),
    "ragged.json": (b"[[1, 2],\n [3]]", "ragged.json:2:2: row has 1 number, expected 2"),
    "nan.json": (b"[[1, NaN]]", "nan.json:1:6: 'NaN' is not a finite number"),
    "null.json": (b"[[null]]", "null.json:1:3: 'null' is not a number"),
    "twice.json": (
        b'{"weights": [[1]],\n "weights": [[2]]}',
        "twice.json:2:2: the key 'weights' is given twice",
    ),
    "unknown.json": (b'{"wieghts": [[1]]}', "unknown.json:1:2: unknown key 'wieghts' (did you mean weights"),
    "deep.json": (b"[" * 100_000 + b"]" * 100_000, "deep.json: invalid JSON: nested too deeply"),
    "nested.json": (b"[" * 12 + b"1" + b"]" * 12, "nested.json:1:10: brackets nested deeper than 8"),
    "scalar.json": (b"5", "scalar.json:1:1: got a single value"),
    "latin.json": (b'{"name": "\xe9"}', "latin.json:1: byte 0xe9 is not utf-8 text"),
    "anchor-outside.yaml": (
        b"weights: [[1]]\nanchor: [1, 0]\n",
        "anchor-outside.yaml:2:9: anchor 1,0 is outside",
    ),
    "anchor-word.yaml": (
        b"weights: [[1]]\nanchor: [1]\n",
        "anchor-word.yaml:2:9: anchor must be [row, column]",
    ),
    "flip.yaml": (b"weights: [[1]]\nflip: perhaps\n", "flip.yaml:2:7: 'perhaps' is not true or false"),
    "gain.yaml": (b"weights: [[1]]\ngain: 0\n", "gain.yaml:2:7: gain is zero"),
    "biases.yaml": (b"weights: [[1]]\nbias: [1, 2]\n", "biases.yaml: bias has 2 values"),
    "combine.yaml": (b"weights: [[1]]\ncombine: l3\n", "combine.yaml:2:10: unknown combine"),
    "alone.yaml": (b"weights: [[1]]\ncombine: l2\n", "alone.yaml: kernel alone has only one feature map"),
    "kernels.yaml": (b"kernels: 3\n", "kernels.yaml:1:10: kernels must be a mapping of names"),
    "nameless.yaml": (
        b"kernels: [{weights: [[1]]}]\n",
        "nameless.yaml:1:11: a kernel in a list needs a name",
    ),
    "names.yaml": (
        b"kernels: [{name: a, weights: [[1]]}, {name: a, weights: [[1]]}]",
        "names.yaml:1:38: the name 'a' is given twice",
    ),
    "several.yaml": (
        b"kernels: {a: [[1]], b: [[2]]}",
        "several.yaml contains 2 kernels; choose one with FILE:NAME: a, b",
    ),
    "pickle.npy": (
        npy(np.array([[1, None]], object), allow_pickle=True),
        "pickle.npy: not a NumPy array: Object arrays cannot be loaded",
    ),
    "text.npy": (npy(np.array([["1"]])), "text.npy: contains values of type"),
    "complex.npy": (npy(np.array([[1j]])), "complex.npy: contains values of type 'complex128'"),
    "axes.npy": (npy(np.ones((1,) * 6)), "axes.npy: array of shape (1, 1, 1, 1, 1, 1)"),
    "inf.npy": (npy(np.array([[np.inf]])), "inf.npy: kernel has a weight that is not a finite number"),
    "empty.npy": (npy(np.ones((0, 3))), "empty.npy: kernel of shape (0, 3) has no weights"),
    "cut.npy": (npy(np.ones((3, 3)))[:-8], "cut.npy: not a NumPy array"),
    "brace.npy": (npy(np.eye(3)).replace(b"}", b" "), "brace.npy: not a NumPy array"),
    "junk.npy": (b"junk", "junk.npy: not a NumPy array"),
    "junk.npz": (b"junk", "junk.npz: not a NumPy archive"),
    "several.npz": (
        npz(a=np.eye(2), b=np.eye(3)),
        "several.npz contains 2 kernels; choose one with FILE:NAME: a, b",
    ),
    "none.npz": (npz(), "none.npz contains no kernel"),
    "junk.png": (b"junk", "junk.png: not an image"),
    "junk.safetensors": (b"junk", "junk.safetensors: not a safetensors file"),
    "empty.csv": (b"", "empty.csv: contains no numbers"),
    "comments-only.csv": (b"# nothing\n\n", "comments-only.csv: contains no numbers"),
    "word.csv": (b"1,2\n3,x\n", "word.csv:2: column 2: 'x' is not a number"),
    "hole.csv": (b"1,,3\n", "hole.csv:1: column 2: '' is not a number"),
    "nan.csv": (b"1,nan\n", "nan.csv:1: column 2: 'nan' is not a finite number"),
    "inf.csv": (b"1,-inf\n", "inf.csv:1: column 2: '-inf' is not a finite number"),
    "zero.csv": (b"1/0\n", "zero.csv:1: column 1: '1/0' divides by zero"),
    "latin.csv": (b"1,2\n\xe9,3\n", "latin.csv:2: byte 0xe9 is not utf-8 text"),
    "nul.csv": (b"1,2\n\0,3\n", "nul.csv:2: holds a NUL character"),
    "png.csv": (b"\x89PNG\r\n\x1a\n", "png.csv:1: byte 0x89 is not utf-8 text"),
    "empty.yaml": (b"", "empty.yaml: contains no kernel"),
    "scalar.yaml": (b"5", "scalar.yaml:1:1: got a single value"),
    "ragged.yaml": (b"weights:\n  - [1, 2]\n  - [3]\n", "ragged.yaml:3:5: row has 1 number, expected 2"),
    "deep-ragged.yaml": (b"weights: [[1, 2], [3, [4]]]", "deep-ragged.yaml:1:23: got a list or mapping"),
    "word.yaml": (b"weights: [[1, two]]", "word.yaml:1:15: 'two' is not a number"),
    "null.yaml": (b"weights: [[1, ]]\nscale:\n", "null.yaml:2:7: '' is not a number"),
    "nan.yaml": (b"weights: [[1, .nan]]", "nan.yaml:1:15: '.nan' is not a finite number"),
    "unknown.yaml": (b"weight: [[1]]", "unknown.yaml:1:1: unknown key 'weight' (did you mean weights"),
    "twice.yaml": (b"weights: [[1]]\nscale: 1\nscale: 2\n", "twice.yaml:3:1: the key 'scale' is given twice"),
    "tag.yaml": (b"weights: !!python/object/apply:os.system ['echo']", "the tag "),
    "anchor.yaml": (b"weights: &a [[1]]\nname: b\n", "anchor.yaml:1:10: anchors (&) and aliases (*)"),
    "bomb.yaml": (b"a: &a [1]\nb: &b [*a,*a]\nweights: [*b,*b]\n", "bomb.yaml:1:4: anchors"),
    "deep.yaml": (b"weights: " + b"[" * 3000, "brackets nested deeper than"),
    "open.yaml": (b"weights: [[1, 2]", "open.yaml:1:17"),
    "tab.yaml": (b"weights:\n\t- [1]\n", "tab.yaml:2:1"),
    "two.yaml": (b"weights: [[1]]\n---\nweights: [[2]]\n", "two.yaml:2:1: a second document"),
    "no-weights.yaml": (b"name: mine\n", "no-weights.yaml:1:1: no weights"),
    "both.yaml": (
        b"weights: [[1]]\nrows: [1]\ncolumns: [1]\n",
        "both.yaml:2:7: rows cannot be combined with",
    ),
    "divisor.yaml": (b"weights: [[1]]\ndivisor: 0\n", "divisor.yaml:2:10: divisor is zero"),
    "empty-list.yaml": (b"weights: []\n", "empty-list.yaml:1:10: got an empty list"),
    "axes.yaml": (b"weights: [[[[[[1]]]]]]\n", "axes.yaml:1:10: weights have 6 axes"),
    "no-members.yaml": (b"members: []\n", "no-members.yaml:1:10: got an empty list"),
    "escape.yaml": (b'weights: [["\\UFFFFFFFF"]]', "escape.yaml: invalid YAML"),
    "version.yaml": (b"%YAML 1." + b"9" * 5000 + b"\n---\nweights: [[1]]", "version.yaml"),
    "scale.yaml": (b"weights: [[1]]\nscale: 1e300\ndivisor: 1e-300\n", "out of range"),
    "products.yaml": (b"rows: [1e300]\ncolumns: [1e300]\n", "not a finite number"),
    "many.yaml": (b"rows: [" + b"1," * 3000 + b"]\ncolumns: [" + b"1," * 3000 + b"]", "3000 × 3000 weights"),
    "control.yaml": (b"weights: [[1\x01]]", "control.yaml: invalid YAML"),
}


@pytest.mark.parametrize("name", GOOD)
def test_accepted_forms(name, tmp_path):
    """Each form is read as exactly the numbers that were written."""
    content, weights = GOOD[name]
    path = tmp_path / name
    path.write_bytes(content)
    kernel = convcli.load_kernel(str(path))
    assert kernel.exact is not None
    values = kernel.exact.numerators * Fraction(1, kernel.exact.denominator)
    assert values.tolist() == [[Fraction(value) for value in row] for row in weights]


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_named_with_their_place(name, tmp_path):
    """One line: the file, the place in it, and what is wrong."""
    content, words = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(KernelError) as caught:
        convcli.load_kernel(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(tmp_path))
    assert "\n" not in message


def test_a_huge_file_is_refused_by_its_size(tmp_path):
    """Nothing is parsed beyond the stated size."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(KernelError, match="larger than 4 MiB"):
        convcli.load_kernel(path)


def test_missing_and_odd_files(tmp_path):
    """A missing file, a folder and an unreadable file are reported as such."""
    for path, words in [(tmp_path / "no.yaml", "no such file"), (tmp_path, "is not a file")]:
        with pytest.raises(KernelError, match=words):
            convcli.load_kernel(Path(path))
    secret = tmp_path / "secret.csv"
    secret.write_text("1")
    secret.chmod(0)
    if not os.access(secret, os.R_OK):
        with pytest.raises(KernelError, match="Permission denied"):
            convcli.load_kernel(secret)


ROUND_TRIPS = {
    "box3": tuple(FORMS),
    "sobel-x": tuple(FORMS),
    "gaussian:1.2": tuple(FORMS),
    "1/3 0.1; -7 1e-5": tuple(FORMS),
    "emboss": tuple(FORMS),
    "roberts-1": tuple(FORMS),
    "[1]": tuple(FORMS),
    "1;2;1": tuple(FORMS),
    "freichen-x": tuple(FORMS),
    "emboss0": ("yaml", "json", "mat"),
    "random:3x3x2x4": ("yaml", "json", "npy"),
    "kirsch": ("yaml", "json", "npy", "imagemagick"),
    "sobel": ("yaml", "json"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_what_is_exported_reads_back(name, form, tmp_path):
    """The same weights to the last bit, exact if the form holds fractions; what it cannot hold is refused."""
    kernel = convcli.load_kernel(name)
    if form not in ROUND_TRIPS[name]:
        with pytest.raises(KernelError, match="cannot hold; use yaml or json"):
            write(kernel, form)
        return
    path = tmp_path / f"kernel{FORMS[form].suffixes[0]}"
    path.write_bytes(write(kernel, form))
    restored = convcli.load_kernel(path)
    assert np.array_equal(restored.weights, kernel.weights)
    assert (restored.biases, restored.combine) == (kernel.biases, kernel.combine)
    assert (restored.exact is None) == (
        kernel.exact is None or (form == "npy" and not kernel_is_short(kernel))
    )
    if form in ("yaml", "json"):
        assert restored == kernel
        assert restored.about == replace(kernel.about, members=())
    if kernel.exact and form in ("yaml", "json", "csv", "mat"):
        assert np.array_equal(restored.exact.numerators, kernel.exact.numerators)
        assert restored.exact.denominator == kernel.exact.denominator


def kernel_is_short(kernel: convcli.Kernel) -> bool:
    """Whether the weights are exact as floats too."""
    return convcli.Kernel(kernel.weights).exact is not None


FLOATS = {
    "tenths": [[0.1, 0.2, 0.7]],
    "beside short ones": [[0.5, 0.1], [-0.0, 3]],
    "26 bits": [[2.0**-25, 1]],
    "dyadic": [[1 + 2.0**-30, -(2.0**-40)]],
    "large": [[2.0**40, -1]],
    "huge": [[1e20, 1.5e299]],
    "tiny": [[1e-299, 0.3]],
    "powers of ten": [[1e-5, 1e-7, 9.999999999999999e22]],
    "a volume": np.full((2, 3, 2), 1 / 3),
    "a fraction of too many bits": [[Fraction(1, 3**60), 1]],
    "singles": np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32),
}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "npy"])
@pytest.mark.parametrize("name", FLOATS)
def test_floats_read_back_as_floats(name, form, tmp_path):
    """To the last bit, and not as the fraction of their digits, whose sums would be rounded differently."""
    kernel = convcli.Kernel(FLOATS[name], name="kernel")
    if kernel.spatial == 3 and not FORMS[form].channels:
        return
    path = tmp_path / f"kernel{FORMS[form].suffixes[0]}"
    path.write_bytes(write(kernel, form))
    restored = convcli.load_kernel(path)
    assert restored.exact is None
    assert restored == kernel
    assert hash(restored) == hash(kernel)


@pytest.mark.parametrize("form", ["yaml", "json", "mat"])
@pytest.mark.parametrize("bias", [0.1, -1e-7, Fraction(1, 4), 12345.678])
def test_biases_read_back(bias, form, tmp_path):
    """A float as a float, a fraction as a fraction."""
    kernel = convcli.Kernel([[1, 2]], bias=bias, name="kernel")
    path = tmp_path / f"kernel{FORMS[form].suffixes[0]}"
    path.write_bytes(write(kernel, form))
    restored = convcli.load_kernel(path)
    assert restored == kernel
    assert type(restored.bias) is type(kernel.bias)


def test_an_exported_kernel_filters_alike(tmp_path):
    """A kernel of floats and its file give the same bytes, although tenths would round differently."""
    x = np.random.default_rng(4).integers(0, 256, (64, 64), np.uint8).astype(np.float32)
    kernel = convcli.Kernel(np.array([[0.1, 0.2, 0.7]]), name="kernel")
    for form in FORMS:
        path = tmp_path / f"kernel{FORMS[form].suffixes[0]}"
        path.write_bytes(write(kernel, form))
        assert np.array_equal(convcli.conv(x, convcli.load_kernel(path)), convcli.conv(x, kernel))
    assert not np.array_equal(convcli.conv(x, [["0.1", "0.2", "0.7"]]), convcli.conv(x, kernel))


def test_notes_on_lost_precision():
    """A note says that fractions are rounded in forms that cannot hold them."""
    for name, form, words in [
        ("box3", "imagemagick", "no decimal number equals"),
        ("box3", "npy", "no float equals"),
        ("gaussian3", "npy", ""),
        ("0.1 0.2", "imagemagick", ""),
        ("0.1 0.2", "npy", "no float equals"),
    ]:
        assert words in "".join(notes(convcli.load_kernel(name), form))
        assert bool(words) == bool(notes(convcli.load_kernel(name), form))


@pytest.mark.parametrize("form", FORMS)
def test_weights_too_small_to_be_read_are_zero(form, tmp_path):
    """They occur at the ends of a wide Gaussian; a note says so, and the file is readable."""
    kernel = convcli.load_kernel("gaussian:0.8,size=45")
    path = tmp_path / f"kernel{FORMS[form].suffixes[0]}"
    path.write_bytes(write(kernel, form))
    restored = convcli.load_kernel(path)
    assert restored.exact is None
    assert np.array_equal(
        restored.weights, np.where(kernel.weights < (0 if form == "npy" else 1e-300), 0, kernel.weights)
    )
    assert bool(notes(kernel, form)) == (form != "npy")
    assert not notes(convcli.load_kernel("gaussian:0.8"), form)


def test_many_kernels_in_a_file(tmp_path):
    """``FILE:NAME`` selects a kernel of YAML, JSON and NPZ files; the nearest name is suggested."""
    (tmp_path / "many.yaml").write_text(
        "kernels:\n  soft edge: [[-1, 0, 1]]\n  both:\n    members: [box3, sobel-x]\n"
    )
    (tmp_path / "many.json").write_text('{"kernels": {"soft edge": {"rows": [1], "columns": [-1, 0, 1]}}}')
    np.savez(tmp_path / "many.npz", **{"soft edge": [[-1, 0, 1]], "other": [[1]]})
    for suffix in ("yaml", "json", "npz"):
        kernel = convcli.load_kernel(f"{tmp_path}/many.{suffix}:soft edge")
        assert (kernel.name, kernel.weights.tolist()) == ("soft edge", [[-1, 0, 1]])
        with pytest.raises(
            KernelError, match=f"many.{suffix} contains no kernel 'soft' .did you mean soft edge"
        ):
            convcli.load_kernel(f"{tmp_path}/many.{suffix}:soft")
    assert convcli.load_kernel(f"{tmp_path}/many.yaml:both").maps == 2
    (tmp_path / "one.csv").write_text("1 2 1\n")
    with pytest.raises(KernelError, match=r"one\.csv contains one kernel; leave out :x"):
        convcli.load_kernel(f"{tmp_path}/one.csv:x")


def test_volumes(tmp_path):
    """Kernels of three axes, depth first, are written and read back."""
    box = convcli.load_kernel("box:3x3x3")
    assert (box.shape, box.sum, box.spatial) == ((3, 3, 3), 1, 3)
    for form in ("yaml", "json", "npy"):
        path = tmp_path / f"volume{FORMS[form].suffixes[0]}"
        path.write_bytes(write(box, form))
        assert np.array_equal(convcli.load_kernel(path).weights, box.weights)
    turned = convcli.load_kernel("random:2x3x4x5@90")
    assert turned.shape == (3, 2, 4, 5)
    (tmp_path / "flip.yaml").write_text("weights: [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]\nflip: true\n")
    assert convcli.load_kernel(tmp_path / "flip.yaml").weights.ravel().tolist() == [8, 7, 6, 5, 4, 3, 2, 1]
    with pytest.raises(KernelError, match=r"weights of shape .3, 3, 3., which csv cannot hold"):
        write(box, "csv")


def test_imagemagick_texts_typed():
    """As typed for ``convert -morphology``; several are a bank."""
    assert np.array_equal(convcli.load_kernel("3x3: -1,0,1 -2,0,2 -1,0,1").weights, EDGE)
    both = convcli.load_kernel("3x3: -1,0,1 -2,0,2 -1,0,1; 1x3: 1,0,-1")
    assert (both.size, both.maps) == ((3, 3), 2)
    with pytest.raises(KernelError, match="3x3 takes 9 numbers, got 10"):
        convcli.load_kernel("3x3: 1,2,3 4,5,6 7,8,9,10")


def test_an_image_as_a_template(tmp_path, gray):
    """White is exactly 1; ``zero-mean`` subtracts the mean of each channel; alpha is refused."""
    (tmp_path / "patch.png").write_bytes(imagecodecs.png_encode(gray[3:10, 4:12]))
    kernel = convcli.load_kernel(f"{tmp_path}/patch.png")
    assert kernel.exact is not None
    assert np.allclose(kernel.weights, gray[3:10, 4:12] / 255)
    centered = convcli.load_kernel(f"{tmp_path}/patch.png:zero-mean")
    assert centered.sum == 0
    scores = convcli.conv2d(gray, centered)
    assert np.unravel_index(scores.argmax(), scores.shape) == (3, 4)
    colors = np.stack([gray[:5, :6], gray[5:10, :6], gray[10:15, :6]], -1)
    (tmp_path / "color.png").write_bytes(imagecodecs.png_encode(colors))
    found = convcli.load_kernel(f"{tmp_path}/color.png:zero-mean")
    assert found.tensor_shape == (5, 6, 3, 1)
    assert np.allclose(found.weights.sum((0, 1)), 0)
    (tmp_path / "alpha.png").write_bytes(imagecodecs.png_encode(np.zeros((4, 4, 4), np.uint8)))
    for name, words in [
        ("alpha.png", "cannot have an alpha channel"),
        ("patch.png:median", "unknown template option"),
    ]:
        with pytest.raises(KernelError, match=words):
            convcli.load_kernel(f"{tmp_path}/{name}")


def test_every_image_format_is_a_template(tmp_path, gray):
    """The suffixes of templates are those of all image formats but NPY and text, which are kernels."""
    (template,) = (reader for reader in READERS if reader.name == "template")
    images = {suffix for entry in formats() for suffix in entry.suffixes}
    assert set(template.suffixes) == images - {".npy", ".csv", ".txt"}
    (tmp_path / "patch.pbm").write_bytes(b"P4 3 2\n\xa0\x40")
    assert convcli.load_kernel(f"{tmp_path}/patch.pbm").weights.tolist() == [[0, 1, 0], [1, 0, 1]]
    (tmp_path / "patch.jpe").write_bytes(imagecodecs.jpeg_encode(gray[:8, :8]))
    assert convcli.load_kernel(f"{tmp_path}/patch.jpe").size == (8, 8)


def test_a_set_of_files_and_presets(tmp_path):
    """Members are presets, numbers or files; a set in a set, even itself, is refused."""
    own = tmp_path / "own.csv"
    own.write_text("1 0 -1\n")
    path = tmp_path / "both.yaml"
    path.write_text(f"members: [sobel-y, '{own}', '0 1; 1 0']\ncombine: max\n")
    kernel = convcli.load_kernel(path)
    assert (kernel.shape, kernel.combine, kernel.name) == ((3, 3, 1, 3), "max", "both")
    path.write_text(f"members: ['{path}']\n")
    with pytest.raises(KernelError, match=r"both: the member .* is a set itself"):
        convcli.load_kernel(path)
    path.write_text("members: [sobel]\n")
    with pytest.raises(KernelError, match="the member 'sobel' is a set itself"):
        convcli.load_kernel(path)
    path.write_text(f"members: ['{path}@90']\n")
    with pytest.raises(KernelError, match=r"both: the member .* is a set itself"):
        convcli.load_kernel(path)


def test_names_and_descriptions_are_one_printable_line(tmp_path):
    """Escapes in a file reach neither the terminal nor an exported file as control characters."""
    path = tmp_path / "odd.yaml"
    path.write_text('name: "a\\nb\\uD800"\ndescription: "d\\x1b[31m\\nweights: [[9]]"\nweights: [[1]]\n')
    kernel = convcli.load_kernel(path)
    assert kernel.name.isprintable()
    assert kernel.about.description.isprintable()
    path.write_bytes(write(kernel, "yaml"))
    assert convcli.load_kernel(path) == kernel


TYPED_WEIGHTS = {
    "1 0 -1; 2 0 -2": [[1, 0, -1], [2, 0, -2]],
    "3 3": [[3, 3]],
    "3, 3": None,
    "1,2; 3,4": [[1, 2], [3, 4]],
    "1,2;3,4": [[1, 2], [3, 4]],
    "1/9 1 / 9": [[Fraction(1, 9)] * 2],
    "[[1,2],[3,4]]": [[1, 2], [3, 4]],
    "[[1, 2], [3, 4]]": [[1, 2], [3, 4]],
    "[[1 2]\n [3 4]]": [[1, 2], [3, 4]],
    "[1 2; 3 4]": [[1, 2], [3, 4]],
    "[1, 2, 1]": [[1, 2, 1]],
    "[3,3]": [[3, 3]],
    "[3]": [[3]],
    "0.5": [[Fraction(1, 2)]],
    "-1": [[-1]],
    "1/9": [[Fraction(1, 9)]],
    "3": None,
    "3,3": None,
    "3x3": None,
    "3×3": None,
    "-1,0,1": None,
}


@pytest.mark.parametrize("text", TYPED_WEIGHTS)
def test_a_notation_means_weights_or_a_size(run, text):
    """Weights have a space, a semicolon or brackets; what ``shape`` takes as a size is never weights."""
    expected = TYPED_WEIGHTS[text]
    if expected is None:
        with pytest.raises(
            KernelError, match=r"for weights, write|weights need a space, a semicolon or brackets"
        ):
            convcli.load_kernel(text)
        return
    kernel = convcli.load_kernel(text)
    assert (kernel.exact.numerators * Fraction(1, kernel.exact.denominator)).tolist() == expected
    if not set(text) & set(" ;["):
        return
    shown = run("shape", "9,9", "-k", text).text
    assert f"kernel         {len(expected)} × {len(expected[0])}," in shown


@pytest.mark.parametrize("text", ["3x3", "3,3", "3", "3×3"])
def test_sizes_are_the_same_in_every_notation(run, text):
    """As a kernel's size and as a stride."""
    assert "3 × 3, covers 3 × 3" in run("shape", "9x9", "-k", text).text
    assert "stride         (3, 3)" in run("shape", "9,9", "-k", "1 2", "--stride", text).text


@pytest.mark.parametrize("text", ["[[1,2],[3,4]", "[[1,2],[3]]", "[[[1]]]", "[]", "[[a]]", "[", "[1]2]"])
def test_brackets_that_are_no_matrix(text):
    """One line that starts with what was typed."""
    with pytest.raises(KernelError, match=re.escape(f"kernel {text!r}")):
        convcli.load_kernel(text)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "1," * (2**18 + 1), "a.csv:1: more than 262144 weights"),
        ("b.csv", "1\n" * (2**18 + 1), "b.csv:262145: more than 262144 weights"),
        ("c.yaml", "[" + "1," * 2**17 + "1]", "more than 66560 values; use JSON, CSV or NPY"),
        ("d.json", "[" + "1," * 2**19 + "1]", "d.json: more than 263168 values; use CSV or NPY"),
        ("e.txt", "1x1:1;" * 2000, "e.txt: 2000 kernels; allowed: up to 1024"),
        ("f.mat", "1000000 1\n", "f.mat:1: '1000000 1' is not a size"),
        ("g.yaml", "members: [" + "box3," * 2000 + "]", "got 2000 members; allowed: 1 to 1024 kernels"),
    ],
)
def test_texts_are_limited(tmp_path, name, text, words):
    """Too many numbers are refused before they are parsed, with the limit."""
    (tmp_path / name).write_text(text)
    with pytest.raises(KernelError) as caught:
        convcli.load_kernel(tmp_path / name)
    assert words in str(caught.value)


def test_denominators_without_a_common_one_are_floats(tmp_path):
    """Fractions whose common denominator would have thousands of digits become floats."""
    path = tmp_path / "many.csv"
    path.write_text(",".join(f"1/{1000003 + 2 * index}" for index in range(2**12)))
    kernel = convcli.load_kernel(path)
    assert kernel.exact is None
    assert kernel.weights[0, -1] == 1 / (1000003 + 2 * (2**12 - 1))


def test_what_is_exported_is_within_what_is_read():
    """A writer refuses more weights than the reader takes."""
    kernel = convcli.Kernel(np.ones((600, 600)))
    for form in FORMS:
        if form != "npy":
            with pytest.raises(KernelError, match=r"has 360000 weights; .* files hold up to .*; use npy"):
                write(kernel, form)
    assert len(write(kernel, "npy")) > 8 * 360000


@pytest.mark.parametrize("name", ["box3" + "@45" * 2000, "box3@45@45@45@45@45@45@45@45@45"])
def test_turns_are_limited(name):
    """More than eight rotations in a name are refused."""
    with pytest.raises(KernelError, match="rotations; allowed: up to 8"):
        convcli.load_kernel(name)


def test_members_stay_in_their_folder(tmp_path):
    """Members of a set are presets, numbers or files in its folder; no other file is read."""
    inside, secret = tmp_path / "in", tmp_path / "secret.csv"
    inside.mkdir()
    secret.write_text("password")
    (inside / "own.csv").write_text("1 0 -1")
    (inside / "link.csv").symlink_to(secret)
    path = inside / "set.yaml"
    path.write_text("members: [own.csv, own.csv@90, '1 2', sobel-x@90]")
    assert convcli.load_kernel(path).maps == 4
    for member in (secret, "/etc/passwd", "../secret.csv", "link.csv", "../in/../secret.csv", "/dev/stdin"):
        path.write_text(f"members: ['{member}']")
        with pytest.raises(KernelError, match="is not a kernel file in the set's own folder") as caught:
            convcli.load_kernel(path)
        assert "password" not in str(caught.value)


@pytest.mark.parametrize("thing", [None, 3, b"box3", ["box3"]])
def test_what_names_no_kernel(thing):
    """One line instead of a TypeError."""
    with pytest.raises(KernelError, match="is not a name, a file or numbers as text"):
        convcli.load_kernel(thing)


PIPED = {
    "rows": (b"1 2 1\n", [[1, 2, 1]]),
    "csv": (b"# edge\n1,0,-1\n2,0,-2\n", [[1, 0, -1], [2, 0, -2]]),
    "yaml": (b"# mine\nname: edge\nweights: [[1, 2]]\n", [[1, 2]]),
    "yaml rows": (b"- [1, 2]\n- [3, 4]\n", [[1, 2], [3, 4]]),
    "json": (b'{"weights": [[1, 2]]}', [[1, 2]]),
    "json rows": (b"[[1, 2]]", [[1, 2]]),
    "imagemagick": (b"2x1: 1,2", [[1, 2]]),
    "npy": (npy(np.array([[1, 2]])), [[1, 2]]),
}


@pytest.mark.parametrize("name", PIPED)
def test_a_pipe_is_read_by_its_content(tmp_path, name):
    """Pipes such as the shell's ``<(…)``, and files without a suffix, are recognized by content."""
    content, weights = PIPED[name]
    pipe, plain = tmp_path / "pipe", tmp_path / "plain"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    kernel = convcli.load_kernel(f"{pipe}")
    writer.join()
    assert kernel.weights.tolist() == weights
    assert kernel.name in ("inline", "edge")
    plain.write_bytes(content)
    assert convcli.load_kernel(plain).weights.tolist() == weights


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        ("1e300 -2.5e299", "1e+300  −2.5e+299"),
        ("1.2345678901234567890123e-9 2e-9", "1.235e−09      2e−09"),
        ("0.12345678901234567890123 -1", "0.1235  −1.0000"),
        ("1e-9 0.12345678901234567890123", "     0  0.1235"),
    ],
)
def test_columns_of_weights_are_narrow(run, weights, line):
    """Weights are shown as decimals if these suffice, else with four digits and a power of ten."""
    assert f"    {line}\n" in run("kernels", "show", weights).text


def test_what_overflows_is_noted(run, picture, tmp_path):
    """Values beyond float32 become infinities, and the report says so; pixels saturate."""
    out = tmp_path / "o.npy"
    text = run("apply", picture, "-k", "1e300 0", "--map", "raw", "-o", out).text
    assert "finite values outside the range of float32" in text
    assert np.isinf(np.load(out)).any()
    text = run("apply", picture, "-k", "1e300 0", "--map", "clip", "-o", tmp_path / "o.png").text
    assert "infinity" not in text
    assert "saturated  0 below and 0 above" not in text


def test_a_sum_of_rounding_is_zero(run, picture, tmp_path):
    """``--scale sum`` and ``--map auto`` treat floats that sum to 0 but for rounding alike."""
    np.save(tmp_path / "k.npy", np.array([[-0.1, 0.3, -0.2]], np.float32))
    text = run("apply", picture, "-k", tmp_path / "k.npy", "--scale", "sum", "-o", tmp_path / "o.png").text
    assert "--scale sum has no effect: the weights sum to 0" in text
    assert "mapping    signed" in text
