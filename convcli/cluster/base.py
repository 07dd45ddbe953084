"""The contract of an engine: it runs tasks on workers and returns their outcomes.

What every engine promises:

- **At least once.** Every task is run; after the loss of a worker, or while one does not answer, it is run
  again. Tasks are therefore idempotent: running one twice, even at the same time, changes nothing.
- **Any order.** Outcomes come as they are complete, one per task, however often it was run.
- **A window.** Only so many tasks are taken from the iterable as the workers need to be busy; the rest are
  not made yet.
- **Failures.** What a task raises becomes the ``failure`` of its outcome: one line for a user. If the engine
  itself is lost, `Engine.outcomes` raises a `ConvcliError`.
- **The end.** Closing the iterator, or an interrupt, cancels the tasks that wait; tasks that are running may
  still end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from typing import Self

from convcli.core.frozen import frozen

Work = Callable[[str], str]
"""A function of a module, from the payload of a task to its facts; both are JSON."""


@frozen
class Task:
    """A task, which workers get as text.

    Attributes:
        number: by which its outcome is recognized.
        name: in messages, such as ``piece 3, rows 0 to 4095``.
        memory: about how many bytes it takes.
    """

    number: int
    payload: str
    name: str = ""
    memory: int = 0


@frozen
class Outcome:
    """What became of a task.

    Attributes:
        facts: what it returned; empty if it failed.
        failure: one line; empty if it succeeded.
        seconds: how long it ran.
        runs: how often it was started, as far as is known.
    """

    number: int
    facts: str = ""
    failure: str = ""
    seconds: float = 0.0
    runs: int = 1


class Engine(ABC):
    """Workers, and how tasks get to them; close it, or use it as a context."""

    name: str
    shares_process: bool = False
    """Whether tasks run in this process, one at a time, so that each may use all processors."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many tasks run at once."""

    @property
    def window(self) -> int:
        """Most tasks that are on their way at once, and so may be run again after a failure."""
        return self.workers

    @property
    def memory(self) -> int | None:
        """Bytes that each task may take, by the smallest limit of a worker; None if there is no limit."""
        return None

    @property
    def dashboard(self) -> str:
        """The address of a page that shows the work, or empty."""
        return ""

    def check_place(self, place: str) -> None:  # noqa: B027 - one process sees the same files
        """Check that all workers, also those that come later, read and write the same files as this process.

        A small file is left in the folder until the engine is closed.

        Args:
            place: a folder as workers get it: a local path or a URL. It is created if there is none.

        Raises:
            ConvcliError: a worker sees other files, or none.
        """

    def check_functions(self) -> None:  # noqa: B027 - one process has one kind of processor
        """Check that all workers, also those that come later, give powers and angles the same last bits.

        Raises:
            ConvcliError: they do not.
        """

    @abstractmethod
    def outcomes(self, work: Work, tasks: Iterable[Task]) -> Generator[Outcome]:
        """Run every task.

        Raises:
            ConvcliError: the engine is lost.
        """

    def close(self) -> None:  # noqa: B027 - most engines have nothing to end
        """End what this engine has started; a cluster that others have started goes on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
