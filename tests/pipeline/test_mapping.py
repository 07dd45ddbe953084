"""Mappings: which one suits a kernel, and which values become black, gray and white."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import convcli
from convcli.core.errors import ArgumentError
from convcli.core.rounding import Affine, Finish
from convcli.engine.filter import Filter
from convcli.pipeline.mapping import Mapping

BYTE, WORD = np.dtype(np.uint8), np.dtype(np.uint16)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("box3", "clip"),
        ("gaussian:2", "clip"),
        ("sharpen", "clip"),
        ("sobel-x", "signed"),
        ("laplacian8", "signed"),
        ("sobel", "stretch"),
        ("ones3", "stretch"),
        ("random:3x3,seed=1", "stretch"),
    ],
)
def test_auto_looks_at_the_kernel(kernel, kind):
    """Weights that sum to 1 clip, those that sum to 0 are signed, anything else stretches."""
    assert Mapping().resolved(Filter.of(convcli.load_kernel(kernel)).kind, False).kind == kind


def test_auto_with_a_bias_or_floats():
    """A bias moves zero itself, so zero is not centered again; float images stay floats."""
    kernel = convcli.load_kernel("sobel-x")
    assert Mapping().resolved(Filter.of(kernel.biased(Fraction(128))).kind, False).kind == "clip"
    assert Mapping().resolved(Filter.of(kernel).kind, True).kind == "raw"
    summed = Filter.of(convcli.load_kernel("box3")).per_input((Fraction(1),) * 3)
    assert Mapping().resolved(summed.kind, False).kind == "stretch"


def pixels(mapping: Mapping, values: list[int], target: np.dtype) -> list[int]:
    out = np.empty(len(values), target)
    affine = mapping.affine(Affine(), target, 255 if target == np.uint8 else 65535)
    sums = np.array(values, np.int32)
    Finish(sums.dtype, min(values), max(values), affine, target, exact=True)(sums, out)
    return out.tolist()


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("clip", [-5, 0, 255, 300], [0, 0, 255, 255]),
        ("abs", [-5, 0, 255, -300], [5, 0, 255, 255]),
        ("signed:1020", [-1020, 0, 1020, 510], [1, 128, 255, 192]),
        ("signed:10", [-100, 100, 0], [0, 255, 128]),
        ("stretch:-10,10", [-10, 0, 10, 20], [0, 128, 255, 255]),
    ],
)
def test_where_black_and_white_are(text, values, expected):
    """8 bits: zero is mid-gray, the limits are black and white, and beyond them values saturate."""
    assert pixels(Mapping.parse(text), values, BYTE) == expected


def test_sixteen_bits_have_their_own_middle():
    """16 bits: zero is 32,768 and the limit 65,535."""
    assert pixels(Mapping.parse("signed:100"), [-100, 0, 100], WORD) == [1, 32768, 65535]


def test_a_flat_feature_map_divides_by_nothing():
    """Without a range, stretch gives black and signed mid-gray."""
    flat = Mapping("stretch").with_range(Fraction(7), Fraction(7))
    assert pixels(flat, [7, 7], BYTE) == [0, 0]
    assert pixels(Mapping("signed").with_range(Fraction(0), Fraction(0)), [0], BYTE) == [128]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bright", "'bright' is not one of auto, clip"),
        ("signd", "did you mean signed"),
        ("signed:0", "the limit must be above 0"),
        ("signed:-4", "the limit must be above 0"),
        ("stretch:5", "only signed:LIMIT and stretch:LOW,HIGH take numbers"),
        ("signed:0%", "must be above 0 and at most 100"),
        ("stretch:-1%,99%", "percentages must be between 0 and 100"),
        ("stretch:99%,1%", "LOW must be below HIGH"),
        ("stretch:9,3", "LOW must be below HIGH"),
        ("stretch:a,b", "not a number"),
        ("clip:3", "only signed:LIMIT"),
    ],
)
def test_mapping_mistakes(text, words):
    """One line with the allowed values."""
    with pytest.raises(ArgumentError, match=words):
        Mapping.parse(text)


@pytest.mark.parametrize(
    "text", ["auto", "signed:20", "stretch:-1,5/2", "raw", "signed:99%", "stretch:1%,99%", "stretch:0,90%"]
)
def test_mappings_print_as_they_are_typed(text):
    """The text in a report is a valid --map."""
    assert str(Mapping.parse(text)) == text
    assert Mapping.parse(str(Mapping.parse(text))) == Mapping.parse(text)
