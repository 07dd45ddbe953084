"""The contract of a backend: it executes a plan around a `Computer`.

What every backend promises:

- **Each strip once.** Every strip of the plan is computed once, and either written to the destination that a
  consumer offered for it, or handed to that consumer's ``take``.
- **Bounded hand-over.** Strips are handed over in the plan's order, or nearly so: a thread may call ``take``
  for a strip only if all strips more than `HANDOVER_WINDOW` places before it have been handed over, or are
  being computed by a worker that can hand them over without waiting for this thread. A consumer that writes
  a file blocks while earlier strips are missing; a backend with one thread that handed over strip 100 first
  would wait for ever.
- **Consumers.** ``consumers()`` makes one, in the thread that calls ``run``. Each is used by one thread at a
  time; different ones may be used at once. `Computer.process` and ``take`` are called inside an entered
  `Computer`.
- **Source.** ``source.rows`` may be called by several threads at once. Where there is a ``holder``, a batch
  entry is held before it is read and released once its strip is handed over, in the order in which strips
  begin: `TaskQueue` does both.
- **Threads.** At most ``plan.workers`` workers at once, and as few as one, which may be the caller's thread.
  None is left when ``run`` returns or raises.
- **Errors.** The first failure of a source, a consumer or a computation, and an interrupt of the caller's
  thread, end the run: other workers stop before their next call, nothing more is handed over than what is on
  its way, and ``run`` raises that failure. `Halted` is such a failure.
- **Same bytes.** Sums depend on the plan alone, never on the backend, the order or the number of workers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from threading import Lock

from convcli.engine.computers import Computation
from convcli.engine.consumer import Consumer, StripTask
from convcli.engine.plan import Problem
from convcli.engine.source import BatchHolder, Source


class Backend(ABC):
    """One way of executing plans; a module of this package each, by its name in `registry.NAMES`."""

    name: str

    def refuses(self, problem: Problem) -> str | None:
        """Why this backend cannot be used for a problem, as the end of a sentence; None if it can."""
        return None

    @abstractmethod
    def run(
        self,
        plan: Computation,
        source: Source,
        consumers: Callable[[], Consumer],
        holder: BatchHolder | None = None,
    ) -> None:
        """Compute every strip of ``source`` and hand it to a consumer, as the module's text says.

        Args:
            source: values of the problem's type.
            consumers: makes one consumer for each worker.
            holder: keeps the batch entries of ``source`` that are being read, unless it keeps all.
        """


def tasks(plan: Computation) -> Iterator[StripTask]:
    """The strips of every depth position of every batch entry, in the plan's order."""
    for batch in range(plan.problem.batch):
        for depth in range(plan.axes[0].output):
            for strip in plan.strips():
                yield StripTask(batch, depth, strip)


class TaskQueue:
    """The tasks of a plan in order, for several workers.

    A task is taken and its batch entry held in one step. So an entry before the last one taken is either held
    or finished, and a worker that lags behind never asks for one that is gone.
    """

    def __init__(self, plan: Computation, holder: BatchHolder | None) -> None:
        self.lock, self.holder = Lock(), holder
        self.left = deque(tasks(plan))

    def __iter__(self) -> Iterator[StripTask]:
        """Tasks until none are left; one is finished when the next is asked for."""
        while (task := self._next()) is not None:
            try:
                yield task
            finally:
                if self.holder is not None:
                    self.holder.release(task.batch)

    def _next(self) -> StripTask | None:
        with self.lock:
            task = self.left.popleft() if self.left else None
            if task is not None and self.holder is not None:
                self.holder.hold(task.batch)
            return task
