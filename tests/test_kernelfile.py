"""Kernel files: accepted forms read exactly, mistakes named with file, line and column."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.errors import KernelError
from convcli.kernelfile import WRITERS

EDGE = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
NINTH = [[Fraction(1, 9)] * 3] * 3

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
    "comments.yaml": (b"# mine\nweights:\n  - [1, 2] # top\n  - [3, 4]\n", [[1, 2], [3, 4]]),
}

BAD = {
    "ragged.csv": (b"1,2,3\n4,5\n", "ragged.csv:2: row has 2 numbers, the first row has 3"),
    "empty.csv": (b"", "empty.csv: holds no numbers"),
    "comments-only.csv": (b"# nothing\n\n", "comments-only.csv: holds no numbers"),
    "word.csv": (b"1,2\n3,x\n", "word.csv:2: column 2: 'x': not a number"),
    "hole.csv": (b"1,,3\n", "hole.csv:1: column 2: '': not a number"),
    "nan.csv": (b"1,nan\n", "nan.csv:1: column 2: 'nan': nan is not a finite number"),
    "inf.csv": (b"1,-inf\n", "inf.csv:1: column 2: '-inf': -inf is not a finite number"),
    "zero.csv": (b"1/0\n", "zero.csv:1: column 1: '1/0': divisor is zero"),
    "latin.csv": (b"1,2\n\xe9,3\n", "latin.csv:2: byte 0xe9 is not utf-8 text"),
    "nul.csv": (b"1,2\n\0,3\n", "nul.csv:2: holds a NUL character"),
    "png.csv": (b"\x89PNG\r\n\x1a\n", "png.csv:1: byte 0x89 is not utf-8 text"),
    "empty.yaml": (b"", "empty.yaml: holds no kernel"),
    "scalar.yaml": (b"5", "scalar.yaml:1:1: got a single value"),
    "ragged.yaml": (b"weights:\n  - [1, 2]\n  - [3]\n", "ragged.yaml:3:5: row has 1 numbers"),
    "deep-ragged.yaml": (b"weights: [[1, 2], [3, [4]]]", "deep-ragged.yaml:1:23: got a list or table"),
    "word.yaml": (b"weights: [[1, two]]", "word.yaml:1:15: 'two': not a number"),
    "null.yaml": (b"weights: [[1, ]]\nscale:\n", "null.yaml:2:7: '': not a number"),
    "nan.yaml": (b"weights: [[1, .nan]]", "nan.yaml:1:15: '.nan': .nan is not a finite number"),
    "unknown.yaml": (b"weight: [[1]]", "unknown.yaml:1:1: unknown key 'weight' (did you mean weights"),
    "twice.yaml": (b"weights: [[1]]\nscale: 1\nscale: 2\n", "twice.yaml:3:1: the key 'scale' stands twice"),
    "tag.yaml": (b"weights: !!python/object/apply:os.system ['echo']", "the tag "),
    "anchor.yaml": (b"weights: &a [[1]]\nname: b\n", "anchor.yaml:1:10: anchors (&) and aliases (*)"),
    "bomb.yaml": (b"a: &a [1]\nb: &b [*a,*a]\nweights: [*b,*b]\n", "bomb.yaml:1:4: anchors"),
    "deep.yaml": (b"weights: " + b"[" * 3000, "brackets nested deeper than"),
    "open.yaml": (b"weights: [[1, 2]", "open.yaml:1:17"),
    "tab.yaml": (b"weights:\n\t- [1]\n", "tab.yaml:2:1"),
    "two.yaml": (b"weights: [[1]]\n---\nweights: [[2]]\n", "two.yaml:2:1: a second document"),
    "no-weights.yaml": (b"name: mine\n", "no-weights.yaml:1:1: no weights"),
    "both.yaml": (b"weights: [[1]]\nrows: [1]\ncolumns: [1]\n", "both.yaml:2:7: rows cannot stand beside"),
    "divisor.yaml": (b"weights: [[1]]\ndivisor: 0\n", "divisor.yaml:2:10: divisor is zero"),
    "empty-list.yaml": (b"weights: []\n", "empty-list.yaml:1:10: got an empty list"),
    "three.yaml": (b"weights: [[[1]]]\n", "three.yaml:1:10: weights have 3 axes"),
    "no-members.yaml": (b"members: []\n", "no-members.yaml:1:10: got an empty list"),
    "escape.yaml": (b'weights: [["\\UFFFFFFFF"]]', "escape.yaml: not YAML"),
    "version.yaml": (b"%YAML 1." + b"9" * 5000 + b"\n---\nweights: [[1]]", "version.yaml"),
    "scale.yaml": (b"weights: [[1]]\nscale: 1e300\ndivisor: 1e-300\n", "out of range"),
    "products.yaml": (b"rows: [1e300]\ncolumns: [1e300]\n", "not a finite number"),
    "many.yaml": (b"rows: [" + b"1," * 3000 + b"]\ncolumns: [" + b"1," * 3000 + b"]", "3000 × 3000 weights"),
    "control.yaml": (b"weights: [[1\x01]]", "control.yaml: not YAML"),
}


@pytest.mark.parametrize("name", GOOD)
def test_accepted_forms(name, tmp_path):
    """Each form reads as the very numbers that were written."""
    content, weights = GOOD[name]
    path = tmp_path / name
    path.write_bytes(content)
    kernel = convcli.load_kernel(str(path))
    assert kernel.exact is not None
    found = kernel.exact.numerators * Fraction(1, kernel.exact.denominator)
    assert found.tolist() == [[Fraction(value) for value in row] for row in weights]


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_named_with_their_place(name, tmp_path):
    """One line that starts with the file and says where and what."""
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
    """A missing file, a folder, and a file without permission are said to be so."""
    for path, words in [(tmp_path / "no.yaml", "no such file"), (tmp_path, "is not a file")]:
        with pytest.raises(KernelError, match=words):
            convcli.load_kernel(Path(path))
    secret = tmp_path / "secret.csv"
    secret.write_text("1")
    secret.chmod(0)
    if not os.access(secret, os.R_OK):
        with pytest.raises(KernelError, match="Permission denied"):
            convcli.load_kernel(secret)


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("name", ["box3", "sobel-x", "gaussian:1.2", "1/3 0.1; -7 1e-5", "emboss"])
def test_what_is_exported_reads_back(name, form, tmp_path):
    """The same weights to the last bit, exact where they were."""
    kernel = convcli.load_kernel(name)
    path = tmp_path / f"kernel.{form}"
    path.write_text(WRITERS[form](kernel), encoding="utf-8")
    again = convcli.load_kernel(path)
    if kernel.exact:
        assert np.array_equal(again.weights, kernel.weights)
        assert np.array_equal(again.exact.numerators, kernel.exact.numerators)
        assert again.exact.denominator == kernel.exact.denominator
    else:
        assert np.array_equal(again.weights, kernel.weights)


def test_a_bank_exports_to_yaml_only(tmp_path):
    """Four axes and the way to combine survive YAML; CSV refuses them."""
    kernel = convcli.load_kernel("sobel")
    path = tmp_path / "sobel.yaml"
    path.write_text(WRITERS["yaml"](kernel), encoding="utf-8")
    again = convcli.load_kernel(path)
    assert np.array_equal(again.weights, kernel.weights)
    assert again.combine == "l2"
    with pytest.raises(KernelError, match="use yaml"):
        WRITERS["csv"](kernel)


def test_a_set_of_files_and_presets(tmp_path):
    """Members are presets, numbers or files; a set that names a set, itself even, is refused."""
    own = tmp_path / "own.csv"
    own.write_text("1 0 -1\n")
    path = tmp_path / "both.yaml"
    path.write_text(f"members: [sobel-y, '{own}', '0 1; 1 0']\ncombine: max\n")
    kernel = convcli.load_kernel(path)
    assert (kernel.shape, kernel.combine, kernel.name) == ((3, 3, 1, 3), "max", "both")
    path.write_text(f"members: ['{path}']\n")
    with pytest.raises(KernelError, match="the member 'both' is a set itself"):
        convcli.load_kernel(path)
    path.write_text("members: [sobel]\n")
    with pytest.raises(KernelError, match="the member 'sobel' is a set itself"):
        convcli.load_kernel(path)


def test_names_and_descriptions_are_one_printable_line(tmp_path):
    """Escapes in a file reach neither the terminal nor an exported file as control characters."""
    path = tmp_path / "odd.yaml"
    path.write_text('name: "a\\nb\\uD800"\ndescription: "d\\x1b[31m\\nweights: [[9]]"\nweights: [[1]]\n')
    kernel = convcli.load_kernel(path)
    assert kernel.name.isprintable()
    assert kernel.about.description.isprintable()
    path.write_text(WRITERS["yaml"](kernel), encoding="utf-8")
    assert convcli.load_kernel(path) == kernel
