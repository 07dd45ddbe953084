"""The engine whose workers are those of a Dask cluster."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, suppress
from inspect import signature
from itertools import islice
from typing import Any, Final

from distributed import Client, Scheduler

from convcli.cluster import functions, probe, versions
from convcli.cluster.addresses import Address
from convcli.cluster.base import Engine, Outcome, Task, Work
from convcli.cluster.connection import Connection, NoAnswerError
from convcli.cluster.crew import Crew
from convcli.cluster.patience import Patience
from convcli.cluster.plugin import SessionPlugin
from convcli.cluster.running import Running
from convcli.cluster.worker import Session, answer_probe
from convcli.core.errors import ConvcliError, cut, one_line
from convcli.core.frozen import replace
from convcli.storage.options import text_for_workers

_ALL: Final = {"n_workers": -1} if "n_workers" in signature(Scheduler.identity).parameters else {}
"""Asks for facts of all workers; old versions of Dask always give them."""

_TICK: Final = 0.25
_TOGETHER: Final = 2000  # tasks that are sent at once; the scheduler does nothing else meanwhile
_GOODBYE: Final = 0.5


class DaskEngine(Engine):
    """Runs tasks on the workers of a Dask cluster.

    Args:
        address: or a client, which is not closed.

    Raises:
        ConvcliError: the scheduler cannot be reached, it has no workers, or they have other versions.
    """

    def __init__(self, address: Address | Client, patience: Patience | None = None) -> None:
        self.patience, self.crew, self.looked = patience or Patience(), Crew(), -float("inf")
        self.session = Session(secrets.token_hex(4), versions.installed(), text_for_workers())
        self.is_set_up = False
        self.ending = ExitStack()
        try:
            self.connection = Connection(address, self.patience.connect, self.patience.answer)
            self.ending.callback(self.connection.close)
            self.name = f"Dask at {self.connection.address}"
            self._wait_for_workers()
            self._check_versions()
        except BaseException:
            self.ending.close()
            raise

    def _wait_for_workers(self) -> None:
        self._look()
        while not self.crew.members:
            time.sleep(_TICK)
            self._look()

    def _look(self, *, again: bool = False) -> None:
        """Learn of workers that have come or gone, unless this was done a moment ago.

        Raises:
            ConvcliError: there have been none for too long.
        """
        if not again and self.crew.members and time.monotonic() - self.looked < self.patience.check:
            return
        self.crew.update(self.connection.call(self._identity)["workers"])
        self.looked = time.monotonic()
        self.crew.check_presence(self.patience.workers, self.connection.address)

    async def _identity(self) -> Any:
        return await self.connection.client.scheduler.identity(**_ALL)

    def _check_versions(self) -> None:
        answers = self._ask(versions.installed)
        if difference := versions.differences(self.session.versions, answers):
            raise ConvcliError(f"versions differ: {difference}; install the same versions on all workers")

    def _ask(self, function: Callable[..., Any], *values: Any) -> dict[str, Any]:
        """What a function returns on each worker, by address; workers that end meanwhile have no answer.

        Raises:
            ConvcliError: a worker does not answer, or cannot run the function.
        """

        async def ask(address: str) -> Any:
            run = self.connection.client.run(function, *values, workers=[address], on_error="return")
            with suppress(TimeoutError):
                return (await asyncio.wait_for(run, self.patience.answer))[address]

        async def ask_all() -> Any:
            return await asyncio.gather(*map(ask, self.crew.members))

        addresses = list(self.crew.members)
        answers = self.connection.call(ask_all, seconds=2 * self.patience.answer)
        self._look(again=any(isinstance(answer, OSError) for answer in answers))
        found = {
            each: answer for each, answer in zip(addresses, answers, strict=True) if each in self.crew.members
        }
        for address, answer in found.items():
            if fault := self._fault(answer):
                raise ConvcliError(f"worker {address} {fault}")
        return found

    def _fault(self, answer: Any) -> str:
        """What is wrong with a worker that gave this answer, which Dask may have wrapped, or nothing."""
        if answer is None:
            return f"has not answered for {self.patience.answer:g} s: end it, or wait until it is ready"
        if not isinstance(answer, Exception):
            return ""
        reason = one_line(repr(answer))
        if "No module named" in reason or "attribute" in reason:
            return f"has no convcli, or another version of it; install the same version there: {cut(reason)}"
        return f"cannot be used: {cut(reason)}"

    @property
    def workers(self) -> int:
        self._look()
        return self.crew.threads

    @property
    def window(self) -> int:
        self._look()
        return self.crew.window

    @property
    def memory(self) -> int | None:
        self._look()
        member = self.crew.smallest
        return member.memory if member else None

    @property
    def dashboard(self) -> str:
        return self.connection.dashboard

    def check_place(self, place: str) -> None:
        written = probe.begin(place)
        self.ending.callback(probe.end, written)
        numbers = {address: number for number, address in enumerate(self.crew.members)}
        answers = self._ask(answer_probe, self.session, written, numbers)
        for address, fault in answers.items():
            if fault := fault or probe.answer_fault(written, numbers[address]):
                raise ConvcliError(f"worker {address} {fault}")
        self.session = replace(self.session, probes=(*self.session.probes, written))
        self.is_set_up = False

    def check_functions(self) -> None:
        answers = self._ask(functions.results)
        if different := functions.difference(answers):
            raise ConvcliError(different)
        self.session = replace(self.session, functions=next(iter(answers.values()), ""))
        self.is_set_up = False

    def _set_up(self) -> None:
        """Prepare all workers, also those that come later, for the tasks of this engine."""
        self._forget_deleted_probes()
        if not self.is_set_up:
            plugin = SessionPlugin(self.session)

            async def register() -> Any:
                return await self.connection.client.register_plugin(plugin)

            with suppress(NoAnswerError):  # a worker that hangs; all others were told at the same time
                self.connection.call(register)
            self.ending.callback(self._say_goodbye, plugin.name)
            self.is_set_up = True

    def _forget_deleted_probes(self) -> None:
        """Expect nothing of folders that were deleted when their work was done."""
        left = tuple(each for each in self.session.probes if not probe.fault(each))
        if left != self.session.probes:
            self.session, self.is_set_up = replace(self.session, probes=left), False

    def _say_goodbye(self, name: str) -> None:
        """Have the scheduler forget the session, whether or not all workers answer."""

        async def unregister() -> Any:
            return await self.connection.client.unregister_worker_plugin(name)

        with suppress(Exception):
            self.connection.call(unregister, seconds=_GOODBYE)

    def outcomes(self, work: Work, tasks: Iterable[Task]) -> Generator[Outcome]:
        self._set_up()
        running = Running(self.connection, self.crew, self.session.name, work, self.patience)
        waiting, rescued = iter(tasks), time.monotonic()
        try:
            while True:
                self._look()
                self._refill(running, waiting)
                if not running.trips and not running.send_suspect():
                    return
                yield from running.outcomes(_TICK)
                if time.monotonic() - rescued > self.patience.check:
                    running.rescue()
                    rescued = time.monotonic()
        finally:
            running.drop()

    def _refill(self, running: Running, waiting: Iterator[Task]) -> None:
        """Send more tasks once half of the window is free."""
        window, count = self.crew.window, len(running.trips)
        if running.alone is None and count <= window // 2:
            tasks = list(islice(waiting, min(window - count, _TOGETHER)))
            for task in tasks:
                self.crew.check_memory(task.name, task.memory)
            running.send(tasks)

    def close(self) -> None:
        self.ending.close()
