"""How fast outcomes come, and the time after which a task is late."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

_REMEMBERED: Final = 512
_ENOUGH: Final = 3  # outcomes, from which on a task can be called late


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
