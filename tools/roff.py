"""Text as roff, the language of man pages."""

from __future__ import annotations

import re
import textwrap
from typing import Final

_SIGNS: Final = {"\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
_OPTION: Final = re.compile(r"(?<![\w-])--?(?=\w)|(?<=\w)-(?=\w+=)")


def literal(text: str) -> str:
    """Verbatim text: every hyphen is a minus, and nothing is a request."""
    return _safe("".join(_sign(c) for c in text).replace("-", "\\-"))


def prose(text: str) -> str:
    """Sentences in short lines: options have a minus, words in backquotes are bold."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    return filled("".join(bold(part) if place % 2 else _prose(part) for place, part in enumerate(parts)))


def filled(text: str) -> str:
    """Roff in lines of at most 79 characters, none of which is a request."""
    lines = textwrap.wrap(text, 79, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(_safe, lines))


def bold(text: str) -> str:
    return f"\\fB{literal(text)}\\fR"


def italic(text: str) -> str:
    return f"\\fI{literal(text)}\\fR"


def example(lines: list[str]) -> list[str]:
    """Verbatim lines."""
    return [".RS 4", ".EX", *map(literal, lines), ".EE", ".RE"]


def _prose(text: str) -> str:
    marked = _OPTION.sub(lambda match: "\0" * len(match[0]), text)
    return "".join(_sign(c) for c in marked).replace("\0", "\\-")


def _sign(character: str) -> str:
    if character.isascii():
        return _SIGNS.get(character, character)
    return f"\\[u{ord(character):04X}]"


def _safe(line: str) -> str:
    return f"\\&{line}" if line.startswith((".", "'")) else line
