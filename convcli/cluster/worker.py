"""What runs on the workers of a cluster: the set-up of a worker process, and tasks.

Tasks reach a worker as text: the name of a session, the name of a function, and its payload. All that is
pickled for a task is these texts and a reference to `run_task`.

This module imports neither NumPy nor distributed, because the scheduler imports it as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Final

from convcli.core.errors import ConvcliError, failure_message
from convcli.core.frozen import frozen
from convcli.core.processes import keep_memory

KEPT_MEMORY: Final = 96 * 2**20
"""Bytes of freed memory that a worker keeps. Dask has its workers return memory from 64 kB on, so that every
array is made of fresh pages."""

Reply = tuple[str, str, float, str]
"""Facts, failure, seconds, and why this worker is refused."""


@frozen
class Session:
    """What a worker must know before it runs the tasks of an engine.

    Attributes:
        name: random, different for every engine.
        versions: of the client's packages.
    """

    name: str
    versions: dict[str, str]


_SESSIONS: Final[dict[str, Session]] = {}


def begin(session: Session) -> None:
    """Set up this process for the tasks of a session."""
    keep_memory(KEPT_MEMORY)
    _SESSIONS[session.name] = session


def end(name: str) -> None:
    """Forget a session."""
    _SESSIONS.pop(name, None)


def run_task(payload: str, name: str, session: str, work: str) -> Reply:
    """Run one task.

    Args:
        payload: for the work.
        name: of the task, in messages.
        session: the name of a session that has begun in this process.
        work: ``MODULE:FUNCTION``.
    """
    if session not in _SESSIONS:
        return "", "", 0.0, "it was not set up"
    start = time.perf_counter()
    try:
        facts, failure = resolve(work)(payload), ""
    except Exception as error:
        facts, failure = "", failure_message(name, error)
    return facts, failure, time.perf_counter() - start, ""


def resolve(work: str):  # type: ignore[no-untyped-def]
    """The function of a reference ``MODULE:FUNCTION``."""
    module, _, function = work.partition(":")
    found: Callable[[str], str] = getattr(import_module(module), function)
    return found


def reference(work: Callable[[str], str]) -> str:
    """The text by which a worker finds a function.

    Raises:
        ConvcliError: it is no function at the top of a module.
    """
    module, name = work.__module__, work.__qualname__
    if module == "__main__" or not name.isidentifier():
        raise ConvcliError(f"{name} is not a function of an importable module, so workers cannot find it")
    return f"{module}:{name}"
