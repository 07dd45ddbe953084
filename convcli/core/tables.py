"""Rows as text and as JSON."""

from __future__ import annotations

import math
from typing import Any, Final

from convcli.core.errors import one_line


def to_json(value: dict[str, Any]) -> str:
    """One line of JSON; NaN and infinity become null, and file names that are not UTF-8 are escaped."""
    import json

    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return text if text.isprintable() else json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: list[tuple[str, str]]) -> str:
    """Rows (label, text) as lines, with aligned texts."""
    width = max(len(label) for label, _ in rows)
    return "".join(f"  {label:<{width}}  {text}".rstrip() + "\n" for label, text in rows)


def tame(value: Any) -> Any:
    """A cell of a CSV file, in one line, that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    return "'" + one_line(value) if value[:1] in ("=", "+", "-", "@", "\t", "\r") else one_line(value)


SCHEMA: Final = 1
