"""What C libraries print on standard error: kept from view, and shown if the process dies.

A library that gives up prints a line and calls exit() or abort(), out of Python's reach. So file descriptor 2
leads to a monitor, a process forked before anything large is loaded, while our own messages go to the real
standard error. A process that ends as it should tells the monitor, which drops what was printed; otherwise
the monitor prints one line with the last words. Whatever ends the process, its failure has a message.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Final, NoReturn

_ARMED, _DONE = b"\1", b"\0"
_KEPT: Final = 2**13  # bytes of the last words
_LONGEST: Final = 300  # characters of the line
_ERROR: Final = 2  # the descriptor of standard error
_UNTOLD: Final = "killed, or out of memory"


_children: Final[list[int]] = []
"""The monitor of this process, if it has one."""


def capture() -> None:
    """Start the monitor of this process; where the system refuses, nothing changes."""
    if sys.stderr is None:
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
    """From now on an end that is not told is a failure, also where nothing was printed."""
    if _children:
        with suppress(OSError):
            os.write(_ERROR, _ARMED)


def end_process(code: int) -> NoReturn:
    """End this process at once, and its monitor."""
    for child in _children:
        with suppress(OSError):
            os.write(_ERROR, _DONE)
            os.waitpid(child, 0)  # so that nobody else has to
    os._exit(code)


def _watch(reads: int, real: int) -> NoReturn:
    """The monitor: wait for the end of the process that it was forked from."""
    with suppress(BaseException):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)  # they are meant for the other process
        _close_others(reads, real)
        words = b""
        while (piece := os.read(reads, _KEPT)) and not piece.endswith(_DONE):
            words = (words + piece)[-_KEPT:]
        told = fatal_line(words)
        if not piece and (told or _ARMED in words):
            os.write(real, f"convcli: ended before it was done: {told or _UNTOLD}\n".encode())
    os._exit(0)


def _close_others(*kept: int) -> None:
    """Close what others wait for the end of: pipes, locks, and the end of our own pipe that is written to."""
    first = 0
    for handle in sorted(kept):
        os.closerange(first, handle)
        first = handle + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def fatal_line(printed: bytes) -> str:
    """The line that says why a process ended, of all that was printed: the last that is not indented.

    Indented lines behind it belong to it; of a fault of Python's own the first line says what it is.
    """
    lines = printed.decode("utf-8", "replace").translate({0: None, 1: None}).splitlines()
    lines = [line for line in lines if line.strip()]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    starts = [number for number, line in enumerate(lines) if not line[0].isspace()]
    said = fatal[:1] or lines[starts[-1] if starts else 0 :]
    text = " ".join(" ".join(said).split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:_LONGEST]
