"""Rates and times left, by a clock that the test sets."""

from __future__ import annotations

import pytest

from convcli.core.progress import Progress, duration_text


def test_the_rate_is_that_of_late():
    """Nothing is estimated before a few counts, nor when nothing is left; a slow start is forgotten."""
    now = 100.0
    progress = Progress(lambda: now)
    assert (progress.rate, progress.left_text(10)) == (0, "")
    now += 1000
    progress.add()
    progress.add(0)
    assert (progress.done, progress.left_text(9)) == (1, "")
    for _ in range(600):
        now += 2
        progress.add()
    assert (progress.done, progress.rate, progress.seconds) == (601, 0.5, 2200)
    assert (progress.left_text(12), progress.left_text(0)) == (", 24 s left", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations(seconds, text):
    """In the unit that people use."""
    assert duration_text(seconds) == text
