"""The contract of a pool of workers: what a batch needs from whatever computes its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

from convcli.core.frozen import frozen

Work = Callable[[Any], Callable[[], Any]]
"""Computes a task. What it returns finishes the task, while the next one may be computed, and gives its
result. Neither raises, but for a `MemoryError`."""


@frozen
class TaskResult:
    """A task that is finished."""

    number: int
    value: Any


@frozen
class TaskFailure:
    """A task whose worker died or ran out of memory."""

    number: int
    reason: str


class WorkerPool(Protocol):
    """Computes numbered tasks; use it as a context, which ends all workers.

    Each task that is submitted leads to one event, in any order. A task that was finishing when its worker
    died of another one is computed again.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, *_: object) -> None: ...

    @property
    def running(self) -> int:
        """The number of tasks whose event is still to come."""

    def ready(self) -> bool:
        """Whether a worker can begin a task immediately.

        Raises:
            ConvcliError: no worker can be started at all.
        """

    def submit(self, number: int, task: Any) -> None:
        """Give a task to a worker, once the pool is `ready`."""

    def events(self, seconds: float) -> Iterator[TaskResult | TaskFailure]:
        """The events of the next ``seconds``, or none."""

    def shrink(self) -> None:
        """End all idle workers but one, to free their memory."""


StartPool = Callable[[int, Work, Callable[[Any], Any], int], WorkerPool]
"""Makes a pool of up to so many workers, from their work, from what turns a task that may have been done
already into its repetition, and from the bytes of freed memory that a worker may keep."""
