"""Templates of output names: their fields, their checks, and parts of names that are safe to use."""

from __future__ import annotations

import os
import re
from itertools import zip_longest
from pathlib import Path
from typing import Final

from convcli.core.errors import ArgumentError, quoted
from convcli.core.paths import SEPARATORS, slashes, without_anchor
from convcli.storage.urls import is_remote, local, path_in

FIELDS: Final = ("dir", "stem", "kernel", "index", "frame", "suffix")
"""What a template may hold in braces."""


def is_template(text: str | None) -> bool:
    """Whether an output has fields in braces."""
    return text is not None and "{" in text


def template_fields(text: str | None) -> set[str]:
    """The names of the fields in a template; none where the text is not one."""
    if text is None or not is_template(text):
        return set()
    return {field for _, field, _, _ in _parts(text) if field is not None}


def _parts(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """(text, field, format, conversion) of a template."""
    from string import Formatter  # whose import compiles patterns

    return list(Formatter().parse(text))


def check_template(text: str) -> None:
    """Refuse fields that do not exist, and formats of fields other than the width of a number.

    Raises:
        ArgumentError: what is wrong, and what is allowed.
    """
    try:
        parts = _parts(text)
    except ValueError as error:
        raise ArgumentError(f"output template {quoted(text)}: {error}") from error
    for (_, field, spec, conversion), (following, *_) in zip_longest(parts, parts[1:], fillvalue=("",) * 4):
        if field is not None:
            _check_field(text, field, spec, conversion)
            if field == "dir" and not following.startswith(SEPARATORS):
                raise ArgumentError(f"output template {quoted(text)}: {{dir}} is a folder; put / after it")


def _check_field(text: str, field: str, spec: str | None, conversion: str | None) -> None:
    if field not in FIELDS or conversion:
        allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise ArgumentError(f"output template {quoted(text)}: {{{field}}} is not one of {allowed}")
    if spec and not (field in ("index", "frame") and re.fullmatch(r"0\d", spec)):
        raise ArgumentError(
            f"output template {quoted(text)}: {{{field}}} does not take {quoted(spec)}; "
            "only {index} and {frame} take a width, as in {index:03}"
        )


def mirrored(path: str) -> str:
    """A path as it is repeated below another folder.

    As with ``tar`` and ``rsync -R``, a drive, a leading ``/`` and every ``..`` are dropped, and ``/./`` marks
    where the repeated part begins. That of a URL begins with its host or bucket.
    """
    path = path_in(path) if is_remote(path) else slashes(local(path)).rpartition("/./")[2]
    repeated = without_anchor(Path(os.path.normpath(path)))
    return str(Path(*repeated)) if repeated else ""


def escaped(folder: str) -> str:
    """A folder's name as literal text of a template."""
    return folder.replace("{", "{{").replace("}", "}}")


def safe_name(kernel: str) -> str:
    """A kernel's name as part of a file name."""
    spelled = re.sub(r"\s*\*\s*", "x", re.sub(r"^-", "minus-", kernel))
    return re.sub(r"[^\w.@+=-]+", "-", spelled).strip("-.") or "kernel"
