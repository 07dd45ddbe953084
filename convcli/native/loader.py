"""Finds the extension: whether it is installed, wanted and usable, and which instruction set it uses."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from convcli.core.errors import ArgumentError, one_line, quoted, suggest

SWITCH: Final = "CONVCLI_NATIVE"
"""The environment variable that turns the extension off (``0``) or names an instruction set."""


@lru_cache(1)
def _found() -> tuple[Any | None, str]:
    """The extension, or None, and the instruction set that it uses, or why there is none."""
    wanted = os.environ.get(SWITCH, "")
    if wanted == "0":
        return None, f"off ({SWITCH}=0)"
    try:
        native = import_module("convcli.native._native")
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError)
        state = "not installed" if is_missing else f"not usable ({one_line(str(error))})"
        if wanted:
            raise ArgumentError(
                f"{SWITCH} is {quoted(wanted)}, but the compiled extension is {state}; allowed: 0"
            ) from error
        return None, state
    return native, native.use(_instruction_set(wanted, native.instruction_sets()))


def _instruction_set(wanted: str, known: list[str]) -> str | None:
    """The name of an instruction set that was given in upper or lower case; None for the best one."""
    names = {name.casefold(): name for name in known}
    if wanted and wanted.casefold() not in names:
        raise ArgumentError(
            f"{SWITCH} is {quoted(wanted)}; allowed on this processor: "
            f"0, {', '.join(known)}{suggest(wanted, known)}"
        )
    return names[wanted.casefold()] if wanted else None


def extension() -> Any | None:
    """The extension module, or None where NumPy does all the work.

    Raises:
        ArgumentError: `SWITCH` has a value that is not allowed.
    """
    return _found()[0]


def instruction_set() -> str | None:
    """The instruction set that the extension uses, or None where there is no extension."""
    native, description = _found()
    return None if native is None else description


def description() -> str:
    """The instruction set that the extension uses, or why there is none."""
    return _found()[1]
