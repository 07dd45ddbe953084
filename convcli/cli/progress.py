"""How far a batch is: a bar on a terminal, lines elsewhere, and a summary at the end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli.console import clear_line, tell
from convcli.core.progress import Progress as Pace

if TYPE_CHECKING:
    from convcli.batch.run import ImageDone

_EVERY: Final = 5.0  # seconds between progress lines without a terminal


def rate_text(rate: float) -> str:
    """``12 images/s``, with a decimal below 10."""
    return f"{rate:.0f} images/s" if rate >= 10 else f"{rate:.1f} images/s"


def summary_text(made: int, skipped: int, failed: int, not_started: str, seconds: float) -> str:
    """The counts of a batch that has ended, and its rate.

    Args:
        not_started: how many images, in words; empty for none.
    """
    left = f", {not_started} not started" if not_started else ""
    rate = f" ({rate_text((made + failed) / max(seconds, 1e-3))})" if made + failed else ""
    return f"{made} done, {skipped} skipped, {failed} failed{left} in {seconds:.1f} s{rate}"


class Progress:
    """A bar on a terminal, a line every few seconds elsewhere, and a summary at the end."""

    def __init__(self, total: int, quiet: bool) -> None:
        self.total, self.quiet = total, quiet
        self.made = self.skipped = self.failed = 0
        self.pace, self.shown = Pace(), time.monotonic()
        self.bar: Any = None
        if not quiet and sys.stderr is not None and sys.stderr.isatty():
            self.bar = click.progressbar(
                length=total, file=sys.stderr, show_pos=True, item_show_func=lambda _: self._rate()
            )
            self.bar.__enter__()

    def add(self, done: ImageDone) -> None:
        """Count an image; a failure is reported immediately."""
        if done.error:
            self.failed += 1
            if self.bar is not None:
                clear_line()
            tell(done.error)
        elif done.skipped:
            self.skipped += 1
        else:
            self.made += 1
        self.pace.add(not done.skipped)
        if self.bar is not None:
            self.bar.update(1, done)
        elif not self.quiet and time.monotonic() - self.shown > _EVERY:
            self.shown = time.monotonic()
            left = self.pace.left_text(self.total - self._count)
            tell(f"{self._count} of {self.total} images, {self._rate()}{left}")

    @property
    def _count(self) -> int:
        return self.made + self.skipped + self.failed

    def _rate(self) -> str:
        return rate_text(self.pace.rate)

    def end(self) -> None:
        """Print the counts and the rate."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
        if self.quiet:
            return
        if not self.total:
            tell("the list of names is empty; nothing to do")
            return
        left = self.total - self._count
        tell(summary_text(self.made, self.skipped, self.failed, str(left or ""), self.pace.seconds))
