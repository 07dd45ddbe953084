"""Regular expressions that are compiled on first use: start-up defines dozens and uses few."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Pattern:
    """Stands for a compiled pattern; `re` caches what it has compiled."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self.text, self.flags = text, flags

    def __getattr__(self, name: str) -> Any:
        return getattr(re.compile(self.text, self.flags), name)


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Like ``re.compile``, but compiled on first use; errors in ``text`` show only then."""
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))
