"""Binary results on standard output."""

from __future__ import annotations

import os
import sys

from convcli.core.errors import OutputError
from convcli.files import pending


def check_stream() -> None:
    """Refuse, before any work, a standard output that is closed or a terminal.

    Raises:
        OutputError: it is either.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    if sys.stdout.isatty():
        raise OutputError("standard output is a terminal; use -o FILE")


def write_stream(data: bytes) -> None:
    """Write ``data`` to standard output; a reader that has gone away is not an error.

    Raises:
        OutputError: standard output is closed, a terminal or full.
    """
    check_stream()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        pending.record_result()
    except BrokenPipeError:
        silence_stdout()
    except OSError as error:
        silence_stdout()
        raise OutputError(f"standard output: {error.strerror}") from error


def silence_stdout() -> None:
    """Redirect standard output to the null device, so that Python does not report a closed pipe on exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
