"""The workers of a cluster, as its scheduler knows them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from convcli.core.errors import ConvcliError
from convcli.core.frozen import frozen
from convcli.core.numerals import counted, size_text

TASKS_EACH: Final = 2
"""Tasks on their way for each thread of a worker: one that runs, and one that waits."""

USABLE: Final = Fraction(4, 5)
"""The part of a worker's limit that tasks may take; above it, Dask lets a worker begin no more tasks."""


@frozen
class Member:
    """A worker.

    Attributes:
        limit: bytes of memory, beyond which the worker is restarted; 0 if there is no limit.
    """

    address: str
    threads: int
    limit: int

    @property
    def memory(self) -> int | None:
        """Bytes that a task may take; None if there is no limit."""
        return int(self.limit * USABLE) // self.threads if self.limit else None


class Crew:
    """The workers, and when each was last heard of."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.heard: dict[str, tuple[float, float]] = {}
        self.empty_since: float | None = time.monotonic()

    def update(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what the scheduler says of each worker, by address (``identity`` of Dask)."""
        now = time.monotonic()
        self.members = {
            address: Member(address, facts["nthreads"], facts["memory_limit"] or 0)
            for address, facts in workers.items()
        }
        self.heard = {address: self._heard(address, workers[address], now) for address in workers}
        if self.members:
            self.empty_since = None
        elif self.empty_since is None:
            self.empty_since = now

    def _heard(self, address: str, facts: Mapping[str, Any], now: float) -> tuple[float, float]:
        """When a worker gave its last sign of life, by the scheduler's clock, and when we saw it, by ours."""
        before = self.heard.get(address)
        last = float(facts["last_seen"])
        return before if before and before[0] == last else (last, now)

    def silent(self, seconds: float) -> set[str]:
        """The workers that have given no sign of life for some seconds."""
        now = time.monotonic()
        return {address for address, (_, seen) in self.heard.items() if now - seen > seconds}

    @property
    def threads(self) -> int:
        """How many tasks run at once."""
        return sum(member.threads for member in self.members.values())

    @property
    def window(self) -> int:
        """How many tasks are on their way at once."""
        return TASKS_EACH * max(self.threads, 1)

    @property
    def smallest(self) -> Member | None:
        """The worker whose tasks may take the least memory; None if there are no limits."""
        limited = [member for member in self.members.values() if member.memory is not None]
        return min(limited, key=lambda member: member.memory or 0, default=None)

    def check_memory(self, name: str, needed: int) -> None:
        """Refuse a task that could take more memory than a worker has for it.

        Raises:
            ConvcliError: it could.
        """
        member = self.smallest
        if member is not None and member.memory is not None and needed > member.memory:
            raise ConvcliError(
                f"{name} needs about {size_text(needed)} of memory; worker {member.address} has "
                f"{size_text(member.memory)} for a task (its limit is {size_text(member.limit)}, for "
                f"{counted(member.threads, 'thread')}): use smaller pieces, or workers with more memory"
            )
