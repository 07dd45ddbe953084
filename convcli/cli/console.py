"""Standard output and standard error: text is escaped before it reaches a terminal.

Names of files, kernels, layers and tensors come from anyone. Control characters, escape sequences and
characters that reorder text are shown as ``\\x1b`` or ``\\u202e``, never sent.
"""

from __future__ import annotations

import sys
from typing import TextIO

import click

from convcli.core.errors import cut, one_line

_LONGEST_MESSAGE = 1000  # characters


def say(text: str, *, end: str = "\n", file: TextIO | None = None) -> None:
    """Write lines of text to standard output, or to ``file``."""
    click.echo(escaped(text) + end, file=file, nl=False)


def escaped(text: str) -> str:
    """``text`` without anything but printable characters and line feeds, and without secrets in URLs."""
    return "\n".join(map(one_line, text.split("\n")))


def tell(message: object) -> None:
    """Write a message to standard error, as one line after the program's name."""
    click.echo(f"convcli: {cut(one_line(str(message)), _LONGEST_MESSAGE)}", err=True)


def send(data: str | bytes) -> None:
    """Write an image, a page or terminal graphics to standard output, as they are."""
    click.echo(data, nl=False, color=True)
    if sys.stdout is not None:
        sys.stdout.flush()


def show_line(text: str) -> None:
    """Write a line of progress to standard error, over the one before it."""
    click.echo(f"\r\033[K{one_line(text)}", err=True, nl=False)


def clear_line() -> None:
    """Clear the line of standard error that a progress bar fills."""
    click.echo("\r\033[K", err=True, nl=False)
