"""Axes of transposed convolution: sizes, the convolution that computes them, and its phases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.core.errors import ArgumentError
from convcli.geometry.axes import Axis, composed, geometry
from convcli.geometry.padding import Padding
from convcli.geometry.phases import axis_phases

SMALL = st.integers(1, 6)


@st.composite
def spread_axes(draw):
    """Axes with zeros between pixels, padded or cropped on both sides, with at least one output."""
    size, kernel, spread, dilation = (draw(SMALL) for _ in range(4))
    before, after = draw(st.integers(-9, 12)), draw(st.integers(-9, 12))
    axis = Axis(size, kernel, dilation=dilation, before=before, after=after, spread=spread)
    return axis if axis.output else Axis(size, kernel, before=kernel, after=kernel, spread=spread)


def readings(axis: Axis) -> dict[int, list[tuple[int, int]]]:
    """By output, the pairs (tap, pixel) of the pixels that its window reads, found position by position."""
    found: dict[int, list[tuple[int, int]]] = {output: [] for output in range(axis.output)}
    for output, pairs in found.items():
        for tap in range(axis.kernel):
            place = output * axis.stride - axis.before + tap * axis.dilation
            pixel, rest = divmod(place, axis.spread)
            if rest == 0 and 0 <= pixel < axis.size:
                pairs.append((tap, pixel))
    return found


@given(spread_axes())
def test_uncovered_counts_the_pixels_that_no_window_reads(axis):
    read = {pixel for pairs in readings(axis).values() for _, pixel in pairs}
    assert axis.uncovered == axis.size - len(read)


@given(st.tuples(*[st.integers(1, 4)] * 4), st.tuples(*[st.integers(1, 4)] * 4))
def test_composed_axes(first, second):
    """An axis after another reads what both read one after the other, also with zeros between pixels."""
    size, kernel, stride, spread = first
    one = Axis(size, kernel, stride if spread == 1 else 1, before=kernel - 1, after=kernel, spread=spread)
    count, steps, apart, before = second
    two = Axis(one.output, count, steps if apart == 1 else 1, before=before, after=count, spread=apart)
    both = composed(one, two)
    assert both.output == two.output
    first_reads = readings(one)
    for output, pairs in readings(two).items():
        read = {pixel for _, middle in pairs for _, pixel in first_reads[middle]}
        start, stop = both.window(output)
        assert all(start <= pixel * both.spread < stop for pixel in read)
        assert len(read) <= both.receptive
    reads = [{pixel for _, pixel in pairs} for pairs in readings(both).values()]
    assert both.uncovered == both.size - len(set().union(*reads))
    for outputs in (1, 2, 5):
        runs = (reads[first : first + outputs] for first in range(both.output))
        assert max(len(set().union(*run)) for run in runs) <= both.reading(outputs)


@given(spread_axes())
def test_phases_read_what_the_windows_read(axis):
    """Each output is in one phase at most, which reads the same pixels by the same taps; others read none."""
    expected, found = readings(axis), {output: [] for output in range(axis.output)}
    taken = []
    for phase in axis_phases(axis):
        taps = range(axis.kernel)[phase.taps] if phase.step > 1 else range(axis.kernel)
        for own in range(phase.axis.output):
            output = phase.first + own * phase.step
            taken.append(output)
            first = phase.axis.window(own)[0]
            for place in range(phase.axis.kernel):
                pixel = first + place * phase.axis.dilation
                if 0 <= pixel < axis.size:
                    found[output].append((taps[place], pixel))
    assert found == expected
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(range(axis.output))


@given(spread_axes(), st.data())
def test_phases_share_a_strip(axis, data):
    """The outputs of a strip that belong to a phase are those at `within`, numbered by `own`."""
    last = data.draw(st.integers(1, axis.output))
    first = data.draw(st.integers(0, last - 1))
    for phase in axis_phases(axis):
        begin, end = phase.own((first, last))
        places = range(first, last)[phase.within((first, last))]
        assert [phase.first + own * phase.step for own in range(begin, end)] == list(places)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "extra", "dilation", "output"),
    [
        (16, 3, 2, "1", None, 1, "(16 − 1)·2 − 1 − 1 + 3 + 0 = 31"),
        (16, 3, 2, "1", 1, 1, "(16 − 1)·2 − 1 − 1 + 3 + 1 = 32"),
        (16, 3, 2, "same", None, 1, "(16 − 1)·2 − 0 − 1 + 3 + 0 = 32"),
        (16, 3, 2, "same-lower", None, 1, "(16 − 1)·2 − 1 − 0 + 3 + 0 = 32"),
        (16, 4, 2, "same", None, 1, "(16 − 1)·2 − 1 − 1 + 4 + 0 = 32"),
        (16, 2, 3, "same", None, 1, "(16 − 1)·3 − 0 − 0 + 2 + 1 = 48"),
        (16, 2, 3, "valid", None, 1, "(16 − 1)·3 − 0 − 0 + 2 + 1 = 48"),
        (16, 2, 3, "valid", 0, 1, "(16 − 1)·3 − 0 − 0 + 2 + 0 = 47"),
        (16, 3, 2, "same", 0, 1, "(16 − 1)·2 − 1 − 1 + 3 + 0 = 31"),
        (16, 3, 2, "same", 1, 1, "(16 − 1)·2 − 0 − 1 + 3 + 0 = 32"),
        (4, 3, 1, "full", None, 1, "(4 − 1)·1 − 2 − 2 + 3 + 0 = 2"),
        (5, 3, 1, "valid", None, 2, "(5 − 1)·1 − 0 − 0 + 2·(3 − 1) + 1 + 0 = 9"),
    ],
)
def test_formula(size, kernel, stride, padding, extra, dilation, output):
    """Named amounts choose sizes as Keras does, numbers as PyTorch does; the formula says how."""
    shape = geometry((size,), (kernel,), stride, Padding.parse(padding), dilation, False, True, extra)
    assert shape.transposed[0].formula() == output
    assert shape.output == (int(output.rpartition("= ")[2]),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"output_padding": 2, "stride": 2},
            "output padding 2 is not allowed with stride 2 and dilation 1 (allowed: 0 to 1)",
        ),
        ({"output_padding": (0, 0)}, "output padding has 2 values; allowed: 1 or 1"),
        (
            {"padding": Padding(((2, 2),))},
            "the padding removes 4, and the full output of the transposed convolution has only 3; "
            "use less padding",
        ),
    ],
)
def test_geometry_messages(arguments, message):
    with pytest.raises(ArgumentError) as error:
        geometry((1,), (3,), transposed=True, **arguments)
    assert str(error.value) == message


def test_only_transposed_convolutions_have_output_padding():
    with pytest.raises(ArgumentError, match=r"^output padding is an option of transposed convolutions"):
        geometry((4,), (3,), output_padding=1)
