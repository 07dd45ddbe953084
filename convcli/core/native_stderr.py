"""Captures what C libraries print to standard error, and shows the last line if the process dies.

A library that gives up prints a line and calls exit() or abort(), out of Python's reach. So file descriptor 2
leads to a monitor, a process forked before anything large is loaded, while our own messages go to the real
standard error. A process that ends regularly tells the monitor, which discards what was printed; otherwise
the monitor prints one line with the reason. However the process ends, its failure has a message.

Where processes cannot be forked, as on Windows, there is no monitor, and what libraries print is shown.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

from convcli.core.signals import QUITTING, ignore

_ARMED, _DONE = b"\1", b"\0"
_KEPT: Final = 2**13  # bytes of the last words
_LONGEST: Final = 300  # characters of the line
_ERROR: Final = 2  # the descriptor of standard error
_MOST_HANDLES: Final = 2**20  # that are closed one by one, where the system sets no limit
_UNKNOWN: Final = "killed, or out of memory"


_children: Final[list[int]] = []
"""The monitor of this process, if it has one."""


def capture() -> None:
    """Start the monitor of this process; if the system cannot fork, nothing changes."""
    if sys.stderr is None or not hasattr(os, "fork"):
        return
    opened: list[int] = []
    try:
        opened.append(real := os.dup(_ERROR))
        opened.extend(pipe := os.pipe())
        child = os.fork()
    except OSError:
        for handle in opened:
            os.close(handle)
        return
    reads, writes = pipe
    if not child:
        _watch(reads, real)
    os.close(reads)
    os.dup2(writes, _ERROR)
    os.close(writes)
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    sys.stderr = os.fdopen(real, "w", buffering=1, encoding=encoding, errors=errors)
    _children.append(child)


def arm() -> None:
    """From now on, any end without `end_process` is a failure, even if nothing was printed."""
    if _children:
        with suppress(OSError):
            os.write(_ERROR, _ARMED)


def end_process(code: int) -> NoReturn:
    """End this process immediately, and its monitor."""
    for child in _children:
        with suppress(OSError):
            os.write(_ERROR, _DONE)
            os.waitpid(child, 0)  # so that nobody else has to
    os._exit(code)


def _watch(reads: int, real: int) -> NoReturn:
    """The monitor: wait until the process that it was forked from ends."""
    with suppress(BaseException):
        ignore(QUITTING)  # they are meant for the other process
        _close_others(reads, real)
        words = b""
        while (piece := os.read(reads, _KEPT)) and not piece.endswith(_DONE):
            words = (words + piece)[-_KEPT:]
        reason = fatal_line(words)
        if not piece and (reason or _ARMED in words):
            os.write(real, f"convcli: terminated unexpectedly: {reason or _UNKNOWN}\n".encode())
    os._exit(0)


def _close_others(*kept: int) -> None:
    """Close inherited descriptors that others wait on: pipes, locks, and the write end of our own pipe."""
    first = 0
    for handle in sorted(kept):
        os.closerange(first, handle)
        first = handle + 1
    os.closerange(first, min(os.sysconf("SC_OPEN_MAX"), _MOST_HANDLES))


def fatal_line(printed: bytes) -> str:
    """The line that explains why a process ended: the last one that is not indented.

    Indented lines after it are joined to it. Of a fatal error of Python, it is the first line.
    """
    lines = printed.decode("utf-8", "replace").translate({0: None, 1: None}).splitlines()
    lines = [line for line in lines if line.strip()]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    starts = [number for number, line in enumerate(lines) if not line[0].isspace()]
    chosen = fatal[:1] or lines[starts[-1] if starts else 0 :]
    text = " ".join(" ".join(chosen).split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:_LONGEST]
