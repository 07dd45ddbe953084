"""Paths as text, where systems differ: separators, and names that a system reserves."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import Final

SEPARATORS: Final = (os.sep, os.altsep) if os.altsep else (os.sep,)
"""What separates the parts of a path: on Windows, a slash or a backslash."""

_DEVICE: Final = r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])"
_RESERVED: Final = (
    (rf"{_DEVICE} *(?:\..*)?", "is a device"),
    (r'.*[<>:"|?*\x00-\x1f].*', 'has one of < > : " | ? * or a control character'),
    (r".*[. ]", "ends with a dot or a space, which are dropped"),
)
"""Patterns of names that Windows gives another meaning, and why."""


def has_folder(text: str) -> bool:
    """Whether a text is a path of several parts."""
    return any(separator in text for separator in SEPARATORS)


def ends_as_folder(text: str) -> bool:
    """Whether a path ends with a separator, so that it names a folder."""
    return text.endswith(SEPARATORS)


def slashes(path: str) -> str:
    """A path with a slash for every separator."""
    return path if os.sep == "/" else path.replace(os.sep, "/")


def without_anchor(path: PurePath) -> tuple[str, ...]:
    """The parts of a path without its drive, the root and every ``..``."""
    return tuple(part for part in path.parts if part not in (path.anchor, ".."))


def reserved(name: str) -> str:
    """Why Windows does not take a file name as it is; empty if it does."""
    if name in ("", ".", ".."):
        return ""
    return next((why for pattern, why in _RESERVED if re.fullmatch(pattern, name, re.DOTALL)), "")
