"""Where results go: strips of a plan, and what takes their sums."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.rounding import Finish
from convcli.geometry.axes import Strip

HANDOVER_WINDOW: Final = 8
"""Strips that a single thread may hand over ahead of the first one that is missing.

A consumer that writes a file keeps a bounded number of pieces that come early, and then blocks until the
missing one arrives. This bound is well below that number (`pipeline.maps.canvas.MOST_WAITING`)."""


@frozen
class StripTask:
    """One strip of one depth position of one batch entry."""

    batch: int
    depth: int
    strip: Strip


@frozen(eq=False)
class MapFinish:
    """From the sums of consecutive maps to results.

    Attributes:
        offsets: float, one per map, that are added before the finish's own steps; None for none.
    """

    maps: slice
    finish: Finish
    offsets: Array | None = None

    @property
    def idle(self) -> bool:
        """Whether the sums are the results."""
        return self.offsets is None and self.finish.idle

    def write(self, sums: Array, results: Array) -> None:
        """Write the results of all maps' sums, (maps, rows, columns, lanes)."""
        part, offsets = sums[self.maps], None
        if self.offsets is not None:
            added = self.offsets.astype(self.finish.work)[:, None, None, None]
            offsets = np.broadcast_to(added, part.shape)
        self.finish(part, results[self.maps], offsets=offsets)


Finishes = tuple[MapFinish, ...]
"""The finishes of all maps."""


@frozen(eq=False)
class Destination:
    """Memory for the results of a strip.

    Attributes:
        results: (maps, rows, columns, lanes).
        finishes: of all maps.
        takes_sums: whether the sums of all maps are the results.
    """

    results: Array
    finishes: Finishes
    takes_sums: bool


class Consumer(Protocol):
    """Takes the sums of strips; used by one thread at a time."""

    def destination(self, task: StripTask) -> Destination | None:
        """Memory that the results of a task may be written to directly, or None.

        It is offered, not promised: sums that a method cannot finish itself come to `take` nevertheless.
        """

    def take(self, task: StripTask, sums: Array) -> None:
        """Take sums that were not written to the destination, (maps, rows, columns, lanes).

        They lie in scratch memory: the consumer may change them, and must not keep them. It may block until
        earlier strips have been taken, by this or another consumer (see `backends.base`).
        """
