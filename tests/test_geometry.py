"""Sizes: the formula, every form of padding, and the pixels that no window covers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.errors import ArgumentError
from convcli.geometry import Axis, geometry, parse_sizes, strips
from convcli.padding import Fill, Padding

SIZES = st.integers(1, 40)
SMALL = st.integers(1, 6)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "output"),
    [
        ((8, 8), (3, 3), 1, "valid", (6, 6)),
        ((12, 10), (3, 3), 1, "valid", (10, 8)),
        ((10, 10), (3, 3), 1, "valid", (8, 8)),
        ((12, 8), (3, 3), 1, "valid", (10, 6)),
        ((512, 512), (3, 3), (2, 1), "valid", (255, 510)),
        ((512, 512), (3, 3), 1, "same", (512, 512)),
        ((7, 8), (3, 3), 2, "same", (4, 4)),
        ((5, 5), (3, 3), 1, "full", (7, 7)),
        ((5, 5), (3, 3), 1, "1", (5, 5)),
        ((5, 6), (2, 4), (1, 2), "1,0,2,1", (5, 3)),
        ((224, 224), (7, 7), 2, "3", (112, 112)),
    ],
)
def test_known_output_sizes(size, kernel, stride, padding, output):
    """The walk-throughs' sizes, and those of well-known layers."""
    assert geometry(size, kernel, stride, Padding.parse(padding)).output == output


@given(SIZES, SMALL, SMALL, SMALL, st.integers(0, 9), st.integers(0, 9))
def test_output_counts_the_windows_that_fit(size, kernel, stride, dilation, before, after):
    """The formula equals counting the window positions one by one."""
    axis = Axis(size, kernel, stride, dilation, before, after)
    starts = range(0, axis.padded, stride)
    fitting = [start for start in starts if start + dilation * (kernel - 1) < axis.padded]
    assert axis.output == len(fitting)


@given(SIZES, SMALL, SMALL, SMALL, st.integers(0, 9), st.integers(0, 9))
def test_uncovered_counts_pixels_outside_every_window(size, kernel, stride, dilation, before, after):
    """Uncovered pixels equal those found by marking every window."""
    axis = Axis(size, kernel, stride, dilation, before, after)
    covered = {p for o in range(axis.output) for p in range(*axis.window(o)) if 0 <= p < size}
    if axis.output:
        assert axis.uncovered == size - len(covered)


@given(SIZES, SMALL, SMALL, SMALL)
def test_same_keeps_the_ceiling_with_the_odd_pixel_at_the_end(size, kernel, stride, dilation):
    """Keras `same`: ceil(size / stride) outputs, and one more pixel after than before at most."""
    axis = geometry((size,), (kernel,), stride, Padding("same"), dilation).axes[0]
    assert axis.output == -(-size // stride)
    assert axis.after - axis.before in (0, 1)
    lower = geometry((size,), (kernel,), stride, Padding("same-lower"), dilation).axes[0]
    assert (lower.before, lower.after) == (axis.after, axis.before)


@pytest.mark.parametrize(
    ("text", "amount", "fill"),
    [
        ("valid", "valid", Fill()),
        ("SAME:Edge", "same", Fill("edge")),
        ("same:replicate", "same", Fill("edge")),
        ("full:reflect101", "full", Fill("reflect")),
        ("2", ((2, 2),), Fill()),
        ("2,1:wrap", ((2, 2), (1, 1)), Fill("wrap")),
        ("1,2,3,4:128", ((1, 2), (3, 4)), Fill("constant", 128)),
        ("same:-0.5", "same", Fill("constant", -0.5)),
        ("same:circular", "same", Fill("wrap")),
    ],
)
def test_padding_text(text, amount, fill):
    """Every written form, with the aliases of other tools."""
    parsed = Padding.parse(text)
    assert (parsed.amount, parsed.fill) == (amount, fill)
    assert Padding.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("same:mirror", "'reflect' does not repeat the edge"),
        ("sane", "none of valid, same"),
        ("reflect", "behind a colon, as in same:edge"),
        ("1,2,3", "3 numbers"),
        ("-1", "none of valid, same"),
        ("1:blue", "'blue' is not one of zero"),
        ("1:nan", "'nan' is not one of zero"),
        ("same:", "nothing behind the colon"),
        ("", "''"),
    ],
)
def test_padding_mistakes_name_what_is_allowed(text, words):
    """One clear line for each mistake."""
    with pytest.raises(ArgumentError, match=words.replace("(", r"\(")):
        Padding.parse(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((5, 5), (7, 7)), "covers 7 × 7, which is larger than the padded picture, 5 × 5"),
        (((5, 5), (3, 3), 0), "stride 0 is not allowed"),
        (((5, 5), (3, 3), (1, 2, 3)), "stride has 3 values; allowed: 1 or 2"),
        (((5, 5), (3, 3), 1, None, -1), "dilation -1 is not allowed"),
        (((5, 5), (3,)), "kernel has 1 axes, the picture has 2"),
        (((5, 0), (3, 3)), "size 0 is not allowed"),
    ],
)
def test_impossible_geometries_are_refused(arguments, words):
    """A kernel that fits nowhere and numbers below 1 are errors that state the sizes."""
    with pytest.raises(ArgumentError, match=words):
        geometry(*arguments)


def test_parse_sizes_refuses_what_is_no_size():
    """Only whole numbers, as many as allowed."""
    assert parse_sizes("size", "512x256", (2,), "x") == (512, 256)
    for text in ("512", "axb", "1x2x3", "1.5x2", "0x4", "9" * 30 + "x1"):
        with pytest.raises(ArgumentError, match="size"):
            parse_sizes("size", text, (2,), "x")


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_strips_cover_each_output_once(rows, columns, height, width):
    """Strips tile the output without a gap or an overlap."""
    seen = [
        (row, column)
        for strip in strips((0, rows), (0, columns), height, width)
        for row in range(*strip.rows)
        for column in range(*strip.columns)
    ]
    assert len(seen) == rows * columns == len(set(seen))
