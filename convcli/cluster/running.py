"""Tasks that are on their way: sent to workers, waited for, and sent again where that helps.

Dask itself runs tasks again when their worker dies. What it does not notice for minutes is a worker that
hangs, or a task that does; such tasks are sent to another worker as well, under another key, and the first
outcome counts. Nothing is ever waited for that may hang.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

from distributed import Future
from distributed.scheduler import KilledWorker

from convcli.cluster.base import Outcome, Task, Work
from convcli.cluster.collector import Collector
from convcli.cluster.connection import Connection
from convcli.cluster.crew import Crew
from convcli.cluster.pace import Pace
from convcli.cluster.patience import Patience
from convcli.cluster.worker import Reply, reference, run_task
from convcli.core.errors import ConvcliError, cut, one_line
from convcli.core.numerals import volume_text

_Key = tuple[str, int, int]
"""A name for all tasks, the number of a task, and a number that is never used again."""

_MOST_RUNS: Final = 10  # of a task that others cancel


@dataclass(slots=True, eq=False)
class _Trip:
    """A task on its way.

    Attributes:
        sent: when it was last sent.
        tried: workers that have had it.
        bound: whether it was sent to certain workers only.
    """

    task: Task
    sent: float
    runs: int = 0
    bound: bool = False
    futures: list[Future] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)


class Running:
    """The tasks of one call that are on their way.

    Args:
        session: the name of the session that has begun on the workers.
    """

    def __init__(
        self, connection: Connection, crew: Crew, session: str, work: Work, patience: Patience
    ) -> None:
        self.connection, self.crew, self.patience = connection, crew, patience
        self.call = partial(run_task, session=session, work=reference(work))
        self.prefix = f"convcli-{secrets.token_hex(4)}"
        self.pace = Pace(patience.late, patience.factor)
        self.trips: dict[int, _Trip] = {}
        self.suspects = deque[Task]()
        self.alone: int | None = None
        self.avoided: set[str] = set()
        self.numbers = count()
        self.collector = Collector(connection, patience.handover)

    def send(self, tasks: Sequence[Task]) -> None:
        """Send tasks to the workers."""
        trips = [_Trip(task, 0.0) for task in tasks]
        self.trips.update((trip.task.number, trip) for trip in trips)
        healthy = set(self.crew.members) - self.avoided
        self._send(trips, healthy if self.avoided else set())

    def send_suspect(self) -> bool:
        """Send a task beside which workers died, while there are no others; False if there is none."""
        if not self.suspects:
            return False
        task = self.suspects.popleft()
        self.alone = task.number
        self.send([task])
        return True

    def _send(self, trips: Sequence[_Trip], workers: set[str]) -> None:
        """Send tasks to some of these workers, or to any if there are none."""
        if not trips:
            return
        for trip in trips:
            trip.sent, trip.runs, trip.bound = time.monotonic(), trip.runs + 1, bool(workers)
        keys: list[_Key] = [(self.prefix, trip.task.number, next(self.numbers)) for trip in trips]
        payloads, names = [trip.task.payload for trip in trips], [trip.task.name for trip in trips]
        futures = self.connection.map(self.call, payloads, names, key=keys, workers=workers or None)
        for trip, future in zip(trips, futures, strict=True):
            trip.futures.append(future)
            self.collector.expect(future)

    def outcomes(self, seconds: float) -> Iterator[Outcome]:
        """The outcomes of tasks that have ended, which are waited for for some seconds.

        Raises:
            ConvcliError: the scheduler is gone, or a worker is refused.
        """
        ended = self.collector.ended(seconds)
        if self.connection.is_lost:
            raise self.connection.lost()
        for future, reply in ended:
            trip = self._trip(future)
            if trip is None:
                continue
            if reply is not None:
                yield self._replied(trip, reply)
            else:
                yield from self._unfinished(trip, future)

    def _trip(self, future: Future) -> _Trip | None:
        """The task of a future; None if its outcome is known already."""
        trip = self.trips.get(future.key[1])
        return trip if trip is not None and future in trip.futures else None

    def _replied(self, trip: _Trip, reply: Reply) -> Outcome:
        if reply.refusal:
            raise ConvcliError(f"{reply.refusal}; workers must be set up like the machine that runs convcli")
        self.avoided.discard(reply.worker)
        self.pace.add(time.monotonic() - trip.sent, reply.seconds)
        return self._ended(trip, reply.facts, reply.failure, reply.seconds)

    def _ended(self, trip: _Trip, facts: str, failure: str, seconds: float = 0.0) -> Outcome:
        number = trip.task.number
        del self.trips[number]
        if self.alone == number:
            self.alone = None
        self._forget(trip)
        return Outcome(number, facts, failure, seconds, trip.runs)

    def _forget(self, trip: _Trip) -> None:
        for future in trip.futures:
            future.release()
        trip.futures.clear()

    def _unfinished(self, trip: _Trip, future: Future) -> Iterator[Outcome]:
        """What becomes of a task without a reply: lost, not handed over, cancelled by others, or failed."""
        if future.status == "pending":
            self.collector.expect(future)
        elif future.status == "error":
            yield from self._failed(trip, future)
        elif trip.runs < _MOST_RUNS:
            trip.futures.remove(future)
            self._send([trip], set(self.crew.members) - self.avoided if self.avoided else set())
        else:
            yield self._ended(trip, "", f"{trip.task.name}: was cancelled {trip.runs} times")

    def _failed(self, trip: _Trip, future: Future) -> Iterator[Outcome]:
        error = future.exception(timeout=self.patience.answer)
        if isinstance(error, KilledWorker):
            if self.alone == trip.task.number:
                yield self._ended(trip, "", self._deadly(trip.task, error))
            else:
                self.suspects.append(trip.task)
                del self.trips[trip.task.number]
                self._forget(trip)
        elif isinstance(error, ImportError) or isinstance(error.__cause__, ImportError):
            reason = one_line(str(error.__cause__ or error))
            raise ConvcliError(f"the scheduler and all workers must have convcli installed ({reason})")
        else:
            yield self._ended(trip, "", f"{trip.task.name}: {cut(one_line(repr(error)))}")

    def _deadly(self, task: Task, error: KilledWorker) -> str:
        needed = f", {volume_text(task.memory)} were expected" if task.memory else ""
        member = self.crew.smallest
        limit = f"; the smallest worker has {volume_text(member.limit)}" if member else ""
        return (
            f"{task.name}: {error.allowed_failures + 1} workers died while they ran it, the last at "
            f"{error.last_worker.address}; probably it takes too much memory{needed}{limit}"
        )

    def rescue(self) -> None:
        """Send tasks that are late, and those of workers that do not answer, to other workers as well."""
        silent = self.crew.silent(self.patience.silence)
        self.avoided = (self.avoided & set(self.crew.members)) | silent
        late = self._late()
        if not silent and not late:
            return
        places = self._places()
        for trip in list(self.trips.values()):
            at = {places[future.key] for future in trip.futures if future.key in places}
            if trip in late or (at and at <= silent):
                self._send_elsewhere(trip, at)

    def _late(self) -> list[_Trip]:
        limit, now = self.pace.limit, time.monotonic()
        return [trip for trip in self.trips.values() if limit is not None and now - trip.sent > limit]

    def _places(self) -> dict[_Key, str]:
        """Which worker has which task."""

        async def processing() -> Any:
            return await self.connection.client.scheduler.processing(workers=None)

        found = self.connection.call(processing)
        return {key: address for address, keys in found.items() for key in keys if key[0] == self.prefix}

    def _send_elsewhere(self, trip: _Trip, at: set[str]) -> None:
        """Send a task to workers that have not had it, if there are any.

        Args:
            at: the workers that have it; there are none if it waits, or if the workers to which it was bound
                are gone.
        """
        trip.tried |= at
        self.avoided |= at
        others = set(self.crew.members) - trip.tried - self.avoided
        if (at and others) or (trip.bound and not at):
            self._send([trip], others)

    def drop(self) -> None:
        """Let go of all tasks: those that wait are cancelled."""
        with suppress(Exception):
            for trip in self.trips.values():
                self._forget(trip)
        self.trips.clear()
