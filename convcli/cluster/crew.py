"""The workers of a cluster, as its scheduler knows them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final

from convcli.core.errors import ConvcliError
from convcli.core.frozen import frozen
from convcli.core.numerals import counted, volume_text

TASKS_EACH: Final = 4
"""Tasks on their way for each thread of a worker: one runs, and the others wait. With half as many, threads
run out of tasks between two refills."""

USABLE: Final = Fraction(4, 5)
"""The part of a worker's limit that tasks may take; above it, Dask lets a worker begin no more tasks."""


@frozen
class Member:
    """A worker.

    Attributes:
        limit: bytes of memory, beyond which the worker is restarted; 0 if there is no limit.
        is_paused: whether it begins no tasks, because it takes too much memory.
    """

    address: str
    threads: int
    limit: int
    is_paused: bool = False

    @property
    def memory(self) -> int | None:
        """Bytes that a task may take; None if there is no limit."""
        return int(self.limit * USABLE) // self.threads if self.limit else None


class Crew:
    """The workers, and when each was last heard of."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.heard: dict[str, tuple[float, float]] = {}
        self.idle_since: float | None = time.monotonic()

    def update(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what the scheduler says of each worker, by address (``identity`` of Dask)."""
        now = time.monotonic()
        self.members = {
            address: Member(
                address, facts["nthreads"], facts["memory_limit"] or 0, facts["status"] == "paused"
            )
            for address, facts in workers.items()
        }
        self.heard = {address: self._heard(address, workers[address], now) for address in workers}
        if not all(member.is_paused for member in self.members.values()):
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = now

    def check_presence(self, seconds: float, address: str) -> None:
        """Give up if for so long there have been no workers, or none that begin tasks.

        Args:
            address: of the scheduler.

        Raises:
            ConvcliError: so it is.
        """
        if self.idle_since is None or time.monotonic() - self.idle_since <= seconds:
            return
        if self.members:
            raise ConvcliError(
                f"all workers of {address} have been paused for {seconds:g} s, because they use "
                f"{float(USABLE):.0%} of their memory: use smaller pieces, or workers with more memory"
            )
        raise ConvcliError(
            f"the scheduler at {address} has had no workers for {seconds:g} s; "
            f"start some with: dask worker {address}"
        )

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
                f"{name} needs about {volume_text(needed, ceil)} of memory; worker {member.address} has "
                f"{volume_text(member.memory, floor)} for a task "
                f"(its limit is {volume_text(member.limit)}, for "
                f"{counted(member.threads, 'thread')}): use smaller pieces, or workers with more memory"
            )
