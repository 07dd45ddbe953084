"""Parts of an output: every window of a part reads what the same window of the whole reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.geometry.axes import Axis
from convcli.geometry.border import OUTSIDE, axis_sources
from convcli.geometry.padding import Fill
from convcli.geometry.region import Region, region

ADJACENT = st.just(1)
FILLS = [Fill(mode) for mode in ("constant", "ignore", "edge", "reflect", "symmetric", "wrap")]


@st.composite
def parts(draw, spreads=ADJACENT):
    """An axis with at least one output, and a range of its outputs."""
    number = st.integers(0, 40)
    kernel, dilation, spread = draw(st.integers(1, 5)), draw(st.integers(1, 7)), draw(spreads)
    stride = 1 if spread > 1 else draw(st.integers(1, 6))
    size, before, after = draw(st.integers(1, 12)), draw(number), draw(number)
    axis = Axis(size, kernel, stride, dilation, before, after, draw(st.booleans()) and spread == 1, spread)
    if not axis.output:
        axis = Axis(size, kernel, stride, dilation, axis.extent, after, spread=spread)
    first = draw(st.integers(0, axis.output - 1))
    return axis, (first, draw(st.integers(first + 1, axis.output)))


def read(axis: Axis, fill: Fill, output: int) -> np.ndarray:
    """The pixels that a window reads, in order; `OUTSIDE` for the constant."""
    start, stop = axis.window(output)
    return axis_sources(fill, axis, np.arange(start, stop, axis.dilation))


def read_in_part(part: Region, output: int) -> np.ndarray:
    """The same of a part, in pixels of the whole."""
    found = read(part.axis, Fill(), output)
    return np.where(found == OUTSIDE, OUTSIDE, part.indices[found])


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.mode)
@given(parts())
def test_windows_of_a_part_read_what_those_of_the_whole_read(fill, given_part):
    """For every fill, stride, dilation and range, even where windows lie wholly outside the image."""
    axis, (first, past) = given_part
    part = region(axis, fill, (first, past))
    assert part.axis.output == past - first
    for output in range(first, past):
        assert read_in_part(part, output - first).tolist() == read(axis, fill, output).tolist()


@given(parts(st.integers(2, 5)))
def test_windows_of_a_part_of_a_transposed_convolution(given_part):
    """Zeros between pixels are where they were."""
    axis, (first, past) = given_part
    part = region(axis, Fill(), (first, past))
    assert part.axis.output == past - first
    for output in range(first, past):
        assert read_in_part(part, output - first).tolist() == read(axis, Fill(), output).tolist()


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.mode)
@given(parts())
def test_runs_hold_every_pixel_once(fill, given_part):
    """Runs are in order, apart from each other and inside the image; places find every pixel in them."""
    axis, outputs = given_part
    part = region(axis, fill, outputs)
    read_pixels = np.concatenate([np.arange(*run) for run in part.runs])
    assert read_pixels[part.places].tolist() == part.indices.tolist()
    assert sorted(set(part.indices.tolist())) == read_pixels.tolist()
    assert all(past < first for (_, past), (first, _) in zip(part.runs, part.runs[1:], strict=False))
    assert part.runs[0][0] >= 0 and part.runs[-1][1] <= axis.size
    pixels = np.stack([read_pixels, -read_pixels], axis=1)
    assert part.arranged(pixels, 0)[:, 0].tolist() == part.indices.tolist()
    assert part.arranged(pixels.T, 1)[1].tolist() == (-part.indices).tolist()


@pytest.mark.parametrize("mode", ["constant", "ignore"])
@given(parts())
def test_constant_fills_read_one_run(mode, given_part):
    """Nothing is moved, and there is padding only at the edges of the image."""
    axis, outputs = given_part
    part = region(axis, Fill(mode), outputs)
    first, past = axis.reach(outputs)
    (start, stop), *others = part.runs
    assert not others and part.is_plain and len(part.indices) == part.axis.size == stop - start
    if part.axis.after >= 0:
        assert part.axis.before == max(-first, 0)
        assert part.axis.after == max(past - axis.size, 0)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@given(parts())
def test_other_fills_leave_no_padding(mode, given_part):
    """All pixels that the windows span are there."""
    axis, outputs = given_part
    part = region(axis, Fill(mode), outputs)
    assert (part.axis.before, part.axis.after) == (0, 0)


@pytest.mark.parametrize(
    ("fill", "outputs", "axis", "indices", "runs"),
    [
        (Fill(), (0, 4), Axis(5, 3, before=1), [0, 1, 2, 3, 4], ((0, 5),)),
        (Fill("reflect"), (0, 4), Axis(6, 3), [1, 0, 1, 2, 3, 4], ((0, 5),)),
        (Fill("wrap"), (0, 4), Axis(6, 3), [9, 0, 1, 2, 3, 4], ((0, 5), (9, 10))),
        (Fill("edge"), (8, 10), Axis(4, 3), [7, 8, 9, 9], ((7, 10),)),
        (Fill(), (3, 5), Axis(4, 3), [2, 3, 4, 5], ((2, 6),)),
    ],
)
def test_parts_of_ten_pixels(fill, outputs, axis, indices, runs):
    """A window of 3 over 10 pixels, padded by 1, in numbers."""
    part = region(Axis(10, 3, before=1, after=1), fill, outputs)
    assert (part.axis, part.indices.tolist(), part.runs) == (axis, indices, runs)


@pytest.mark.parametrize("outputs", [(0, 2), (25, 28)])
def test_windows_outside_the_image(outputs):
    """A constant is padding even where the windows read no pixel at all."""
    part = region(Axis(4, 3, before=20, after=20), Fill(), outputs)
    assert part.axis.output == outputs[1] - outputs[0]
    assert part.axis.size == 1 and part.axis.after == -1
