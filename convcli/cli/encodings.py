"""Text for terminals and files in encodings that lack some characters, such as cp1252 on Windows."""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import Final, TextIO

NAME: Final = "convcli"
"""Of the way to handle characters that an encoding lacks, as ``open(…, errors=NAME)`` takes it."""

_PLAIN: Final = {
    "−": "-",
    "–": "-",
    "×": "x",
    "·": "*",
    "∗": "*",
    "÷": "/",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "→": "->",
    "√": "sqrt ",
    "∞": "inf",
    "‖": "||",
    "°": " deg",
    "π": "pi",
    "σ": "sigma",
    "θ": "theta",
    "λ": "lambda",
    "Σ": "sum ",
}
_RAISED: Final = {"<super>": "^", "<sub>": "_"}


def plain(character: str) -> str:
    """A character in ASCII; a question mark where there is nothing like it."""
    if character in _PLAIN:
        return _PLAIN[character]
    form = unicodedata.decomposition(character).partition(" ")[0]
    letters = unicodedata.normalize("NFKD", character).translate({0x2212: "-"})
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return _RAISED.get(form, "") + letters if letters.isascii() else "?"


def _handler(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


def accept_any_text(stream: TextIO | None) -> None:
    """Let a stream write any text: what its encoding lacks in ASCII, and line feeds as they are."""
    codecs.register_error(NAME, _handler)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=NAME, newline="\n")
