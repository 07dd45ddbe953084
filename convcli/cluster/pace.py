"""How fast outcomes come: the rate for whoever waits, and the time after which a task is late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final

_REMEMBERED: Final = 512
_ENOUGH: Final = 3  # outcomes, from which on a task can be called late

Clock = Callable[[], float]


class Pace:
    """Times of tasks, in seconds.

    Args:
        least: time of running after which a task may be late.
        factor: of the median, after which it is.
    """

    def __init__(self, least: float, factor: float) -> None:
        self.least, self.factor = least, factor
        self.running = deque[float](maxlen=_REMEMBERED)
        self.waiting = deque[float](maxlen=_REMEMBERED)

    def add(self, since_sent: float, running: float) -> None:
        """Take account of a task: the time from when it was sent to its outcome, and how long it ran."""
        self.running.append(running)
        self.waiting.append(max(since_sent - running, 0.0))

    @property
    def limit(self) -> float | None:
        """How long after it was sent a task is late; None as long as too few have ended."""
        if len(self.running) < _ENOUGH:
            return None
        return median(self.waiting) + max(self.least, self.factor * median(self.running))


class Progress:
    """How much of the work is done.

    Args:
        total: number of tasks, or of whatever is counted.
    """

    def __init__(self, total: int, clock: Clock = time.monotonic) -> None:
        self.total, self.done, self.clock = total, 0, clock
        self.begun = clock()
        self.recent: deque[tuple[float, int]] = deque([(self.begun, 0)], maxlen=_REMEMBERED)

    def add(self, count: int = 1) -> None:
        """Count what has been done."""
        self.done += count
        self.recent.append((self.clock(), self.done))

    @property
    def rate(self) -> float:
        """How many are done in a second, of late; 0 at the beginning."""
        begun, before = self.recent[0]
        elapsed = self.clock() - begun
        return (self.done - before) / elapsed if elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at this rate; None if that is not known yet."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None
