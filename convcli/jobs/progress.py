"""What is told how a job is going."""

from __future__ import annotations

from typing import Protocol

from convcli.cluster.base import Engine
from convcli.jobs.job import Job


class Progress(Protocol):
    """Told how a job is going."""

    def begin(self, job: Job, engine: Engine) -> None:
        """The pieces of a job are about to be run."""

    def show(self, phase: str, done: int, total: int) -> None:
        """So many pieces of a pass are done, of all.

        Args:
            phase: ``range``, ``map``, or ``level N`` of a pyramid.
        """


class NoProgress:
    """Progress that nobody wants to see."""

    def begin(self, job: Job, engine: Engine) -> None:
        return None

    def show(self, phase: str, done: int, total: int) -> None:
        return None
