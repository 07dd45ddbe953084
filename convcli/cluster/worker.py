"""What runs on the workers of a cluster: the set-up of a worker process, and tasks.

Tasks reach a worker as text: the name of a session, the name of a function, and its payload. All that is
pickled for a task is these texts and a reference to `run_task`; for the set-up, also a `Session`.

Neither NumPy nor distributed is imported with this module, because the scheduler imports it as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from threading import Condition, Lock
from typing import Any, Final

from convcli.cluster import functions, probe
from convcli.cluster.probe import Probe
from convcli.cluster.versions import differences, installed
from convcli.core.errors import ConvcliError, failure_message
from convcli.core.frozen import frozen
from convcli.core.processes import keep_memory
from convcli.storage.options import set_options

KEPT_MEMORY: Final = 96 * 2**20
"""Bytes of freed memory that a worker keeps. Dask has its workers return memory from 64 kB on, so that every
array is made of fresh pages."""


@frozen
class Session:
    """What a worker must know before it runs the tasks of an engine.

    Attributes:
        name: random, different for every engine.
        versions: of the client's packages.
        storage: options for URLs, as JSON; they may be secret.
        probes: files that a worker must be able to read.
        functions: the `functions.results` that a worker must have; empty for any.
    """

    name: str
    versions: dict[str, str]
    storage: str = ""
    probes: tuple[Probe, ...] = ()
    functions: str = ""

    def __repr__(self) -> str:
        """Without the storage options, because Dask logs arguments."""
        return f"<session {self.name}>"


@frozen
class Reply:
    """What a worker returns for a task.

    Attributes:
        worker: the address of the worker.
        refusal: why the worker runs no tasks of this session; empty if it does.
    """

    worker: str
    facts: str = ""
    failure: str = ""
    seconds: float = 0.0
    refusal: str = ""


class _Guest:
    """A session in this worker process."""

    def __init__(self, session: Session, address: str) -> None:
        self.session, self.address, self.lock = session, address, Lock()
        self.refusal: str | None = None

    def checked(self) -> str:
        """Why this worker is refused, or nothing; found out by the first task."""
        with self.lock:
            if self.refusal is None:
                self.refusal = self._fault()
            return self.refusal

    def _fault(self) -> str:
        if difference := differences(self.session.versions, {self.address: installed()}):
            return f"versions differ: {difference}"
        faults = [
            functions.fault(self.session.functions),
            *(probe.fault(each) for each in self.session.probes),
        ]
        return next((f"worker {self.address} {fault}" for fault in faults if fault), "")


class _Options:
    """The storage options, which belong to the process: tasks that need others wait for each other."""

    def __init__(self) -> None:
        self.changed, self.inside, self.text = Condition(), 0, ""

    def enter(self, text: str) -> None:
        with self.changed:
            self.changed.wait_for(lambda: not self.inside or self.text == text)
            if self.text != text:
                set_options(text)
            self.text, self.inside = text, self.inside + 1

    def leave(self) -> None:
        with self.changed:
            self.inside -= 1
            self.changed.notify_all()


_GUESTS: Final[dict[str, _Guest]] = {}
_OPTIONS: Final = _Options()


def begin(session: Session, address: str) -> None:
    """Set up this process for the tasks of a session.

    Args:
        address: of this worker.
    """
    keep_memory(KEPT_MEMORY)
    _limit_blas()
    _GUESTS[session.name] = _Guest(session, address)


def end(name: str) -> None:
    """Forget a session."""
    _GUESTS.pop(name, None)


def _limit_blas() -> None:
    """Have BLAS use one thread: a worker has as many threads as it was given."""
    from convcli.engine.blas import control

    if threads := control():
        threads[1](1)


async def answer_probe(session: Session, checked: Probe, numbers: dict[str, int], dask_worker: Any) -> str:
    """`probe.answer` on a worker, beside its communication.

    Args:
        numbers: of all workers, by address.
        dask_worker: the worker, which Dask passes by this name.
    """
    return await asyncio.to_thread(_answer_probe, session.storage, checked, numbers[dask_worker.address])


def _answer_probe(storage: str, checked: Probe, number: int) -> str:
    _OPTIONS.enter(storage)
    try:
        return probe.answer(checked, number)
    finally:
        _OPTIONS.leave()


def run_task(payload: str, name: str, session: str, work: str) -> Reply:
    """Run one task.

    Args:
        payload: for the work.
        name: of the task, in messages.
        session: the name of a session that has begun in this process.
        work: ``MODULE:FUNCTION``.
    """
    guest = _GUESTS.get(session)
    if guest is None:
        return Reply("", refusal="a worker was not set up")
    _OPTIONS.enter(guest.session.storage)
    try:
        if refusal := guest.checked():
            return Reply(guest.address, refusal=refusal)
        start = time.perf_counter()
        facts, failure = _attempted(payload, name, work)
        return Reply(guest.address, facts, failure, time.perf_counter() - start)
    finally:
        _OPTIONS.leave()


def _attempted(payload: str, name: str, work: str) -> tuple[str, str]:
    try:
        return resolved(work)(payload), ""
    except Exception as error:
        return "", failure_message(name, error)


def resolved(work: str) -> Callable[[str], str]:
    """The function of a reference ``MODULE:FUNCTION``."""
    module, _, function = work.partition(":")
    found: Callable[[str], str] = getattr(import_module(module), function)
    return found


def reference(work: Callable[[str], str]) -> str:
    """The text by which a worker finds a function.

    Raises:
        ConvcliError: it is not a function of a module.
    """
    module, name = work.__module__, work.__qualname__
    if module == "__main__" or not name.isidentifier():
        raise ConvcliError(f"{name} is not a function of an importable module, so workers cannot find it")
    return f"{module}:{name}"
