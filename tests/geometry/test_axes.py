"""Sizes: the formula, every form of padding, and the pixels that no window covers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.core.errors import ArgumentError
from convcli.geometry.axes import LARGEST, Axis, Geometry, geometry, parse_sizes, strips
from convcli.geometry.padding import Fill, Padding

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


AXES = st.builds(Axis, SIZES, SMALL, SMALL, SMALL, st.integers(0, 9), st.integers(0, 9), st.booleans())


def read(axis: Axis) -> set[int]:
    """The positions of the image that some window reads, marked one by one."""
    cells = ((o * axis.stride - axis.before, i) for o in range(axis.output) for i in range(axis.kernel))
    return {start + i * axis.dilation for start, i in cells} & set(range(axis.size))


@given(AXES)
def test_uncovered_counts_pixels_that_no_window_reads(axis):
    """Including those between the cells of a dilated window, as if every cell of every window were marked."""
    assert axis.uncovered == axis.size - len(read(axis))


@given(AXES, AXES)
def test_uncovered_pixels_of_an_image(rows, columns):
    """A pixel is read where its row and its column are: equal to marking an image."""
    places = {(row, column) for row in read(rows) for column in read(columns)}
    assert Geometry((rows, columns)).uncovered == rows.size * columns.size - len(places)


def test_uncovered_costs_nothing():
    """The largest allowed axes are counted without iterating over them."""
    assert Axis(10**12, 3, 2, 2).uncovered == 10**12 // 2
    assert Axis(10**12, 10**6 + 1, 7, 10**5 + 3, 3, 3).uncovered == 600_012


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "uncovered"),
    [
        ((65, 65), (3, 3), 2, 2, "valid", 3136),
        ((65, 65), (3, 3), 1, 2, "valid", 0),
        ((65, 65), (3, 3), 2, 1, "valid", 0),
        ((8, 8), (2, 2), 3, 1, "valid", 64 - 36),
        ((8, 8), (2, 2), 2, 4, "same", 64 - 4 * 4),
    ],
)
def test_uncovered_of_known_layers(size, kernel, stride, dilation, padding, uncovered):
    """Counted by hand: every other row and column, all of them, and gaps between windows."""
    assert geometry(size, kernel, stride, Padding.parse(padding), dilation).uncovered == uncovered


CEILINGS = {
    (2, 3, 2, 0): 1,
    (2, 5, 4, 0): 1,
    (3, 2, 2, 0): 2,
    (4, 2, 2, 0): 2,
    (5, 3, 2, 0): 2,
    (6, 3, 2, 0): 3,
    (6, 3, 2, 1): 4,
    (1, 2, 2, 0): 1,
    (1, 2, 3, 1): 1,
    (3, 2, 4, 1): 1,  # a second window would begin in the padding
    (2, 5, 3, 0): 0,
    (1, 5, 2, 0): 0,
}
"""(size, window, stride, padding on each side): ceil((size + 2p − k) / s) + 1, none in the padding."""


@pytest.mark.parametrize(("numbers", "output"), CEILINGS.items())
def test_ceiling(numbers, output):
    """A last window that is cut off counts, the only one too; an output of 0 is an error with the sizes."""
    size, kernel, stride, pad = numbers
    arguments = (size,), (kernel,), stride, Padding(((pad, pad),)), 1, True
    if output:
        (axis,) = geometry(*arguments).axes
        assert (axis.output, axis.remainder if axis.cut_off else 0) == (output, 0)
        assert f"= {output}" in axis.formula()
    else:
        with pytest.raises(ArgumentError, match=f"covers {kernel}, which is larger than the padded image"):
            geometry(*arguments)


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
        ("2x1:wrap", ((2, 2), (1, 1)), Fill("wrap")),
        ("1x2x3x4", ((1, 2), (3, 4)), Fill()),
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
        ("sane", "not one of valid, same"),
        ("reflect", "follow a colon, as in same:edge"),
        ("1,2,3", "3 numbers"),
        ("-1", "not one of valid, same"),
        ("9999999999", "too large (allowed: 0 to 999999999 pixels)"),
        ("1:blue", "'blue' is not one of zero"),
        ("1:nan", "'nan' is not one of zero"),
        ("same:", "no fill after the colon"),
        ("", "''"),
    ],
)
def test_padding_mistakes_name_what_is_allowed(text, words):
    """One clear line for each mistake."""
    with pytest.raises(ArgumentError, match=re.escape(words)):
        Padding.parse(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((5, 5), (7, 7)), "covers 7 × 7, which is larger than the padded image, 5 × 5"),
        (((5, 5), (3, 3), 0), f"stride 0 is not allowed (allowed: 1 to {LARGEST})"),
        (((5, 5), (3, 3), 2**62), f"stride {2**62} is not allowed (allowed: 1 to {LARGEST})"),
        (((5, 5), (3, 3), (1, 2, 3)), "stride has 3 values; allowed: 1 or 2"),
        (((5, 5), (3, 3), 1, None, -1), "dilation -1 is not allowed"),
        (((5, 5), (3,)), "kernel has 1 axis, but the image has 2"),
        (((5, 0), (3, 3)), "size 0 is not allowed"),
    ],
)
def test_impossible_geometries_are_refused(arguments, words):
    """A kernel that fits nowhere and numbers below 1 are errors that state the sizes."""
    with pytest.raises(ArgumentError, match=re.escape(words)):
        geometry(*arguments)


@pytest.mark.parametrize("text", ["512x256", "512,256", " 512 × 256 ", "512X256", "512, 256"])
def test_sizes_have_one_notation(text):
    """``x`` and commas mean the same, for sizes, strides and whatever else has a value for each axis."""
    assert parse_sizes("size", text, (2,), "x") == (512, 256)


def test_parse_sizes_refuses_what_is_no_size():
    """Only whole numbers, as many as allowed, within bounds."""
    for text in ("512", "axb", "1x2x3", "1x2,3", "1.5x2", "0x4", "-1,2", "9" * 30 + "x1", "9" * 200, ""):
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
