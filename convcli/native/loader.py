"""Finds the extension: whether it is installed, wanted and usable on this processor."""

from __future__ import annotations

import os
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

SWITCH: Final = "CONVCLI_NATIVE"
"""The environment variable that turns the extension off with ``0``, or names an instruction set."""


@lru_cache(1)
def _found() -> tuple[ModuleType | None, str]:
    """The extension, or None, and one line about it."""
    wish = os.environ.get(SWITCH, "")
    if wish == "0":
        return None, f"off ({SWITCH}=0)"
    try:
        from convcli.native import _native
    except ImportError:
        return None, "not installed (it is built from source where there is a C compiler)"
    try:
        used = _native.use(wish or None)
    except ValueError:
        names = ", ".join(_native.instruction_sets())
        used = _native.use(None)
        return _native, f"{used} ({SWITCH} is {wish!r}, which is not one of 0, {names})"
    return _native, used


def extension() -> Any | None:
    """The extension module, or None where NumPy does all the work."""
    return _found()[0]


def description() -> str:
    """The instruction set that the extension uses, or why there is none."""
    return _found()[1]
