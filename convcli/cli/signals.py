"""Signals that end the program: cleanly, within a second, even during a long call into a library.

Python's handler runs only when such a call returns. The system writes the signal's number to a pipe at once;
a thread that reads it gives the handler a moment, and then ends the process.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Final

from convcli.core import native_stderr
from convcli.core.signals import ENDING
from convcli.files import pending

_PATIENCE: Final = 0.7  # seconds for the handler
_STACK: Final = 2**18  # bytes


class Stopped(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def handle() -> None:
    """Turn signals that end the program into `Stopped`, except those that are ignored (as by nohup)."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def watch() -> None:
    """End the process even if the handler does not get to run, if the system has a thread for it."""
    reads, writes = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows does not need it, and has it from Python 3.12 on
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


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise `Stopped`; further signals do nothing while it cleans up.

    An exception during an import can get lost, so the process then ends immediately.
    """
    if _is_importing(frame):
        native_stderr.end_process(128 + number)
    for ending in ENDING:
        signal.signal(ending, _nothing)  # a signal that arrived and is then ignored would print a message
    raise Stopped(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
