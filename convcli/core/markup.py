"""HTML for notebooks: escaped text, tables and images, without scripts and in the colors of the page."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import Final

from convcli.core.errors import one_line

_LINE: Final = "border-bottom:1px solid rgba(128,128,128,.35)"
_BLOCK: Final = (
    "font-family:ui-monospace,Menlo,Consolas,monospace;line-height:1.3;"
    "background:transparent;color:inherit;margin:0"
)
_TITLE: Final = "caption-side:top;text-align:left;color:inherit"
_CELL: Final = "padding:.15em .7em;vertical-align:top;background:transparent;color:inherit"


def escaped(text: str) -> str:
    """A line of text, with control characters visible."""
    return html.escape(one_line(text))


def block(text: str) -> str:
    """Text of several lines in a font of one width."""
    lines = "\n".join(map(escaped, text.rstrip("\n").split("\n")))
    return f'<pre style="{_BLOCK}">{lines}</pre>'


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = (), title: str = "") -> str:
    """A table of texts, the first of each row in bold.

    Args:
        head: of the columns.
        title: above the table.
    """
    parts = [f'<caption style="{_TITLE}">{escaped(title)}</caption>'] if title else []
    if head:
        parts.append(f"<tr>{''.join(_cell(text, 'th') for text in head)}</tr>")
    parts += [
        f"<tr>{_cell(first, 'th')}{''.join(_cell(text, 'td') for text in others)}</tr>"
        for first, *others in rows
    ]
    return f'<table style="border-collapse:collapse;text-align:left">{"".join(parts)}</table>'


def _cell(text: str, tag: str) -> str:
    return f'<{tag} style="{_CELL};{_LINE};text-align:left">{escaped(text)}</{tag}>'


def image(data: bytes, kind: str, description: str, width: int | None = None) -> str:
    """An image whose bytes are in the page.

    Args:
        kind: of the file, such as ``png``.
        description: for those who cannot see it.
        width: in pixels of the page, to which few pixels are enlarged with sharp edges.
    """
    coded = base64.b64encode(data).decode("ascii")
    size = "" if width is None else f"width:{width}px;image-rendering:pixelated;"
    style = f"{size}max-width:100%;height:auto"
    return f'<img src="data:image/{kind};base64,{coded}" alt="{escaped(description)}" style="{style}">'


def captioned(picture: str, lines: Sequence[str]) -> str:
    """A picture with lines of text below it, the first in bold."""
    first, *others = map(escaped, lines)
    text = "<br>".join([f"<b>{first}</b>", *others])
    return (
        '<figure style="display:inline-block;margin:0 1em 1em 0;vertical-align:top;max-width:100%">'
        f'{picture}<figcaption style="color:inherit">{text}</figcaption></figure>'
    )


def framed(page: str, title: str, height: int) -> str:
    """A whole page inside another one: its scripts reach nothing outside, and no network is allowed."""
    return (
        f'<iframe sandbox="allow-scripts" title="{escaped(title)}" srcdoc="{html.escape(page)}" '
        f'style="width:100%;height:{height}px;border:1px solid rgba(128,128,128,.35);'
        'background:#fff"></iframe>'
    )
