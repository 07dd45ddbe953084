"""What workers do in the tests of clusters."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from convcli.core.errors import ConvcliError


def double(payload: str) -> str:
    """Twice a number."""
    return str(2 * int(payload))


def log(payload: str) -> str:
    """Append a line to a file, with the process, and take a while.

    Args:
        payload: JSON with ``file``, ``number``, ``seconds``.
    """
    asked = json.loads(payload)
    with Path(asked["file"]).open("a") as file:
        file.write(f"{asked['number']} {os.getpid()}\n")
    time.sleep(asked["seconds"])
    return str(asked["number"])


def fail(payload: str) -> str:
    """Raise an error of a kind."""
    match payload:
        case "user":
            raise ConvcliError("row 3 has 2 numbers")
        case "memory":
            raise MemoryError
        case "bug":
            raise KeyError("two\nlines")
        case "disk":
            raise OSError(28, "No space left on device")
        case _:
            return payload


def die(payload: str) -> str:
    """Kill the worker if the payload says so."""
    if payload == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return payload


def stop_once(payload: str) -> str:
    """Stop the process of the first worker that comes here, as if it hung.

    Args:
        payload: a file that says that this was done, or nothing.
    """
    if payload:
        try:
            Path(payload).open("x").close()
        except FileExistsError:
            return "again"
        os.kill(os.getpid(), signal.SIGSTOP)
    return "done"


def sleep_once(payload: str) -> str:
    """Sleep for long in the first worker that comes here."""
    if payload:
        try:
            Path(payload).open("x").close()
        except FileExistsError:
            return "again"
        time.sleep(1000)
    return "done"


def where(payload: str) -> str:
    """The process, after some seconds."""
    time.sleep(float(payload))
    return str(os.getpid())


def die_once(payload: str) -> str:
    """Kill the first worker that comes here."""
    if payload:
        try:
            Path(payload).open("x").close()
        except FileExistsError:
            return "again"
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"
