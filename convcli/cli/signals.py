"""A signal that asks to end is obeyed within a second, also in the middle of a long call into a library.

Python's own handler waits for such a call to return. The system's writes the signal's number to a pipe at
once, and a thread that reads it gives the handler a moment before it ends the process.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from contextlib import suppress
from typing import Final

from convcli.cli.main import ENDING
from convcli.core import native_stderr
from convcli.files import pending

_PATIENCE: Final = 0.7  # seconds for the handler
_STACK: Final = 2**18  # bytes


def begin() -> None:
    """Watch for signals, where the system gives a thread for it."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    usual = _thread.stack_size(_STACK)
    with suppress(RuntimeError):
        _thread.start_new_thread(_watch, (reads,))
    _thread.stack_size(usual)


def _watch(reads: int) -> None:
    while (number := os.read(reads, 1)[0]) not in ENDING:
        pass
    time.sleep(_PATIENCE)
    pending.remove_all()
    native_stderr.end_process(128 + number)
