"""How far a batch on a cluster is, whose images may still be being listed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from convcli.cli.console import clear_line, show_line, tell
from convcli.cli.progress import rate_text, summary_text
from convcli.core.progress import Progress as Pace

if TYPE_CHECKING:
    from convcli.batch.list_worker import ListOutcome
    from convcli.batch.spool import Spool

_EVERY: Final = 5.0  # seconds between progress lines without a terminal
_EVERY_ON_TERMINAL: Final = 0.5


class ListProgress:
    """A line that is rewritten on a terminal, a line every few seconds elsewhere, and a summary at the end.

    Args:
        spool: the images, by number.
    """

    def __init__(self, spool: Spool, quiet: bool) -> None:
        self.spool, self.quiet = spool, quiet
        self.made = self.skipped = self.failed = 0
        self.reasons: dict[str, int] = {}
        self.pace, self.shown = Pace(), time.monotonic()
        self.is_terminal = not quiet and sys.stderr is not None and sys.stderr.isatty()

    def add(self, done: ListOutcome) -> None:
        """Count a list; failures are reported immediately."""
        if self.is_terminal:
            clear_line()
        for error in done.errors:
            tell(error)
        self.made += done.made
        self.skipped += done.skipped
        self.failed += len(done.errors)
        self.pace.add(done.made + len(done.errors))
        for reason, count in done.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        self._show()

    def _show(self) -> None:
        every = _EVERY_ON_TERMINAL if self.is_terminal else _EVERY
        if self.quiet or time.monotonic() - self.shown < every:
            return
        self.shown = time.monotonic()
        if self.is_terminal:
            show_line(self._line())
        else:
            tell(self._line())

    def _line(self) -> str:
        total = f"{self.spool.images}" if self.spool.is_complete else f"{self.spool.images} or more"
        left = self.pace.left_text(self.spool.images - self._count) if self.spool.is_complete else ""
        return f"{self._count} of {total} images, {rate_text(self.pace.rate)}{left}"

    @property
    def _count(self) -> int:
        return self.made + self.skipped + self.failed

    def end(self) -> None:
        """Print the counts and the rate."""
        if self.is_terminal:
            clear_line()
        if self.quiet:
            return
        if not self.spool.images and self.spool.is_complete:
            tell("the list of names is empty; nothing to do")
            return
        left = self.spool.images - self._count
        more = "" if self.spool.is_complete else " or more"
        not_started = f"{left}{more}" if left or more else ""
        tell(summary_text(self.made, self.skipped, self.failed, not_started, self.pace.seconds))
