"""How far a batch is: a bar on a terminal, lines elsewhere, and a summary at the end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli.console import clear_line, tell

if TYPE_CHECKING:
    from convcli.batch.run import ImageDone

_EVERY: Final = 5.0  # seconds between progress lines without a terminal


class Progress:
    """A bar on a terminal, a line every few seconds elsewhere, and a summary at the end."""

    def __init__(self, total: int, quiet: bool) -> None:
        self.total, self.quiet = total, quiet
        self.made = self.skipped = self.failed = 0
        self.started = self.shown = time.monotonic()
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
        if self.bar is not None:
            self.bar.update(1, done)
        elif not self.quiet and time.monotonic() - self.shown > _EVERY:
            self.shown = time.monotonic()
            tell(f"{self._count} of {self.total} images, {self._rate()}{self._left()}")

    @property
    def _count(self) -> int:
        return self.made + self.skipped + self.failed

    def _rate(self) -> str:
        rate = (self.made + self.failed) / max(time.monotonic() - self.started, 1e-3)
        return f"{rate:.0f} images/s" if rate >= 10 else f"{rate:.1f} images/s"

    def _left(self) -> str:
        worked = self.made + self.failed
        if not worked:
            return ""
        return f", about {(time.monotonic() - self.started) / worked * (self.total - self._count):.0f} s left"

    def end(self) -> None:
        """Print the counts and the rate."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
        if self.quiet:
            return
        if not self.total:
            tell("the list of names is empty; nothing to do")
            return
        seconds = time.monotonic() - self.started
        left = self.total - self._count
        not_started = f", {left} not started" if left else ""
        rate = f" ({self._rate()})" if self.made + self.failed else ""
        tell(
            f"{self.made} done, {self.skipped} skipped, {self.failed} failed{not_started} "
            f"in {seconds:.1f} s{rate}"
        )
