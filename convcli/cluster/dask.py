"""The engine whose workers are those of a Dask cluster."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Final

from distributed import Future

from convcli.cluster import worker
from convcli.cluster.addresses import Address
from convcli.cluster.base import Engine, Outcome, Task, Work
from convcli.cluster.connection import Connection
from convcli.cluster.plugin import SessionPlugin
from convcli.cluster.worker import Session
from convcli.core.errors import ConvcliError
from convcli.core.frozen import frozen

_EACH: Final = 2  # tasks on their way for each thread: one that runs, one that waits
_TICK: Final = 0.5


@frozen
class Patience:
    """How long, in seconds, an engine waits.

    Attributes:
        answer: for the scheduler, and for a worker that is asked something.
        workers: for the first worker of a cluster.
    """

    answer: float = 30.0
    workers: float = 60.0


class DaskEngine(Engine):
    """Runs tasks on the workers of a Dask cluster.

    Raises:
        ConvcliError: the scheduler cannot be reached, or has no workers.
    """

    def __init__(self, address: Address, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self.connection = Connection(address, self.patience.answer)
        try:
            self.name = f"Dask at {self.connection.address}"
            self._wait_for_workers()
            self.session = Session(secrets.token_hex(4), {})
            self.plugin = SessionPlugin(self.session)
            self.connection.call(self._begin)
        except BaseException:
            self.connection.close()
            raise

    async def _begin(self) -> Any:
        return await self.connection.client.register_plugin(self.plugin)

    def _wait_for_workers(self) -> None:
        end = time.monotonic() + self.patience.workers
        while not self._all_workers():
            if time.monotonic() > end:
                address = self.connection.address
                raise ConvcliError(
                    f"the scheduler at {address} has no workers after {self.patience.workers:g} s"
                )
            time.sleep(_TICK)

    def _all_workers(self) -> dict[str, Any]:
        """What the scheduler knows of each worker, by address."""
        workers: dict[str, Any] = self.connection.call(self._identity)["workers"]
        return workers

    async def _identity(self) -> Any:
        return await self.connection.client.scheduler.identity(n_workers=-1)

    @property
    def workers(self) -> int:
        return sum(facts["nthreads"] for facts in self._all_workers().values())

    @property
    def window(self) -> int:
        return _EACH * self.workers

    @property
    def memory(self) -> int | None:
        shares = [facts["memory_limit"] // facts["nthreads"] for facts in self._all_workers().values()]
        return min((share for share in shares if share), default=None)

    @property
    def dashboard(self) -> str:
        return str(self.connection.client.dashboard_link or "")

    def outcomes(self, work: Work, tasks: Iterable[Task]) -> Iterator[Outcome]:
        running = _Running(self.connection, self.session.name, work)
        try:
            waiting = iter(tasks)
            while True:
                window = self.window
                if running.count <= window // 2:
                    running.start(list(islice(waiting, window - running.count)))
                if not running.count:
                    return
                yield from running.finished()
        finally:
            running.cancel()

    def close(self) -> None:
        self.connection.close()


class _Running:
    """Tasks that are on their way."""

    def __init__(self, connection: Connection, session: str, work: Work) -> None:
        self.connection, self.prefix = connection, f"convcli-{secrets.token_hex(4)}"
        self.call = partial(worker.run_task, session=session, work=worker.reference(work))
        self.futures: dict[Any, tuple[Future, Task]] = {}
        self.done = SimpleQueue[Future]()

    @property
    def count(self) -> int:
        return len(self.futures)

    def start(self, tasks: list[Task]) -> None:
        if not tasks:
            return
        keys = [(self.prefix, task.number) for task in tasks]
        payloads, names = [task.payload for task in tasks], [task.name for task in tasks]
        futures = self.connection.client.map(self.call, payloads, names, key=keys, pure=False)
        for task, future in zip(tasks, futures, strict=True):
            self.futures[future.key] = future, task
            future.add_done_callback(self.done.put)

    def finished(self) -> Iterator[Outcome]:
        done = self._next()
        if self.connection.is_lost:
            raise self.connection.lost()
        good = [future for future in done if future.status == "finished"]
        replies = self.connection.call(self._gather, good) if good else []
        for future, (facts, failure, seconds, refusal) in zip(good, replies, strict=True):
            _, task = self.futures.pop(future.key)
            if refusal:
                raise ConvcliError(f"a worker is refused: {refusal}")
            yield Outcome(task.number, facts, failure, seconds)
        for future in done:
            if future.status == "error" and future.key in self.futures:
                _, task = self.futures.pop(future.key)
                yield Outcome(task.number, failure=f"{task.name}: {future.exception()}")

    def _next(self) -> list[Future]:
        done = []
        with suppress(Empty):
            done.append(self.done.get(timeout=_TICK))
            while True:
                done.append(self.done.get_nowait())
        return done

    async def _gather(self, futures: list[Future]) -> Any:
        return await self.connection.client.gather(futures)

    def cancel(self) -> None:
        futures = [future for future, _ in self.futures.values()]
        if futures and not self.connection.is_lost:
            self.connection.client.cancel(futures)
        self.futures.clear()
