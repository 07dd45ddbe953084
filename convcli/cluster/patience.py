"""How long an engine waits for what, in seconds."""

from __future__ import annotations

from convcli.core.frozen import frozen


@frozen
class Patience:
    """How long to wait, in seconds.

    Attributes:
        connect: for the scheduler, which may just be starting.
        answer: for a scheduler that has answered before, and for workers that are asked something.
        handover: for a worker to hand over what a task has returned.
        workers: for workers, if there are none, or none that may begin a task.
        silence: for a sign of life of a worker, before its tasks are sent to others as well.
        late: for a task to run, at least, before it is sent to another worker as well.
        factor: the same, as a multiple of the median of all tasks.
        check: between two looks at the workers.
    """

    connect: float = 15.0
    answer: float = 60.0
    handover: float = 5.0
    workers: float = 60.0
    silence: float = 60.0
    late: float = 60.0
    factor: float = 5.0
    check: float = 3.0
