"""What lies past the edge, against NumPy's own pad and a walking reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.geometry.border import OUTSIDE, sources
from convcli.geometry.padding import Fill
from tests.reference import border_index

MODES = ["edge", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@given(st.integers(1, 9), st.integers(0, 25), st.integers(0, 25))
def test_fills_are_numpys(mode, size, before, after):
    """The indices are those that numpy.pad of the same name reads, any distance out."""
    expected = np.pad(np.arange(size), (before, after), mode=mode)
    assert sources(Fill(mode), size, -before, size + after).tolist() == expected.tolist()


@pytest.mark.parametrize("mode", ["constant", *MODES])
@given(st.integers(1, 9), st.integers(-30, 30), st.integers(1, 40), st.integers(1, 5))
def test_fills_are_the_references(mode, size, start, count, step):
    """Steps and far positions agree with walking back and forth."""
    found = sources(Fill(mode), size, start, start + count, step)
    walked = [border_index(mode, size, position) for position in range(start, start + count, step)]
    assert found.tolist() == [OUTSIDE if index is None else index for index in walked]
