"""How fast work is done, of late, and how long the rest will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

_REMEMBERED: Final = 512
_ENOUGH: Final = 3  # counts, from which on the time left is estimated; the first ones include the start

Clock = Callable[[], float]


class Progress:
    """Work that is done, in whatever is counted."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.done, self.counts, self.clock = 0, 0, clock
        self.begun = clock()
        self.recent: deque[tuple[float, int]] = deque([(self.begun, 0)], maxlen=_REMEMBERED)

    def add(self, count: int = 1) -> None:
        """Count what has been done; nothing is no work."""
        if count:
            self.done += count
            self.counts += 1
            self.recent.append((self.clock(), self.done))

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return self.clock() - self.begun

    @property
    def rate(self) -> float:
        """How many are done in a second, of late; 0 at the beginning."""
        begun, before = self.recent[0]
        elapsed = self.clock() - begun
        return (self.done - before) / elapsed if elapsed > 0 else 0.0

    def left_text(self, left: int) -> str:
        """``, 42 s left`` for what is left at this rate; empty if that is unknown, or nothing is left."""
        if self.counts < _ENOUGH or not left or not self.rate:
            return ""
        return f", {duration_text(left / self.rate)} left"


def duration_text(seconds: float) -> str:
    """``42 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
