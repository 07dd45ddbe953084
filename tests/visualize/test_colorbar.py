"""Color bars: the pixels and numbers of a mapping, beside a feature map."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.numerals import axis_text
from convcli.pipeline.colormaps import color_table
from convcli.pipeline.mapping import Mapping
from convcli.visualize.colorbar import ColorBar, min_bar_length, number_width, round_numbers


@pytest.mark.parametrize(
    ("text", "low", "high"), [("signed:800", -800, 800), ("stretch:-3,17", -3, 17), ("clip", 0, 255)]
)
def test_a_bar_is_what_values_become(text, low, high):
    """Every value of a bar has the pixel of the mapping, and its numbers are at their values."""
    bar = ColorBar(Mapping.parse(text), 255, "viridis")
    values = np.linspace(low, high, 777)
    mapping = bar.mapping
    due = {
        "signed": 128 + 127 * values / 800,
        "stretch": 255 * (values + 3) / 20,
        "clip": values,
    }[mapping.kind]
    assert np.array_equal(bar.pixels(values), np.rint(due))
    assert np.array_equal(bar.colors(777), color_table("viridis")[bar.pixels(values)])
    for place, words in bar.numbers(777, number_width):
        assert abs(values[place] - float(words.replace("−", "-"))) <= (high - low) / 776


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-800, 800), (0.001, 0.0042), (5, 5), (-3e9, 1e9)])
def test_round_numbers(low, high):
    """At most the requested count, within the range, in even steps."""
    found = round_numbers(low, high, 7)
    assert len(found) <= 8
    assert all(low <= value <= high for value in found)
    assert len({round(float(step), 9) for step in np.diff(found) / (high - low or 1)}) <= 1
    assert bool(found) == (low < high)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 255), (0, 65535), (-3375, 3375), (-739, 739), (330.5, 65204), (-976, 976), (0, 241.5)],
)
@pytest.mark.parametrize("length", [0, 60, 150, 200, 400, 1000])
def test_numbers_at_a_bar_are_regular_and_apart(low, high, length):
    """Both ends, and multiples of one step between them; none touches another."""
    bar = ColorBar(Mapping("stretch", Fraction(low), Fraction(high)), 255, "gray")
    length = max(length, min_bar_length(bar))
    first, *inner, last = bar.numbers(length, number_width)
    assert [(0, axis_text(Fraction(low))), (length - 1, axis_text(Fraction(high)))] == [first, last]
    values = [float(text.replace("−", "-")) for _, text in inner]
    assert len({round(step, 6) for step in np.diff(values)}) <= 1
    assert low != -high or values == [-value for value in reversed(values)]
    spans = [(place - number_width(text) / 2, place + number_width(text) / 2) for place, text in inner]
    spans = [(0, number_width(first[1])), *spans, (length - 1 - number_width(last[1]), length - 1)]
    assert all(before[1] + 9 <= after[0] for before, after in pairwise(spans))
    assert length < 400 or len(inner) >= 3


def test_a_flat_map_has_a_bar_of_one_value(run, tmp_path):
    """One number, and no division by zero."""
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.full((8, 8), 9, np.uint8)))
    for what in ("--sheet", "--figure"):
        ran = run("apply", tmp_path / "x.png", "-k", "laplacian4", what, "-o", tmp_path / f"{what}.png")
        assert ran.code == 0, ran.err
    bar = ColorBar(Mapping.parse("stretch").with_range(0, 0), 255, "gray")
    assert bar.numbers(100, number_width) == [(0, "0")]
    assert convcli.load_kernel("laplacian4").sum == 0
