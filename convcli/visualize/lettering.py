"""Text on images: measuring, fitting, and drawing it, with signs that Pillow's built-in font lacks.

The signs − – ∗ × ÷ → ≈ √ ² are drawn as strokes, so that text looks the same on every machine.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

Ink = tuple[int, int, int]
"""An RGB color."""
Point = tuple[float, float]
"""(x, y) in pixels from the left and from the top."""

MIDDLE: Final = 0.58
"""From the top of a line to the middle of its signs, as a share of the font size."""

_OVERSAMPLING: Final = 8
_PEN: Final = 0.075  # stroke width, as a share of the font size
_DOT: Final = 0.001

_WAVE: Final = [(0.06 + 0.44 * t / 12, 0.05 * math.sin(2 * math.pi * t / 12)) for t in range(13)]
_SIGNS: Final[dict[str, tuple[float, list[list[Point]]]]] = {
    "−": (0.6, [[(0.08, 0), (0.52, 0)]]),
    "–": (0.56, [[(0.06, 0.02), (0.5, 0.02)]]),
    "∗": (0.5, [[(0.25, -0.2), (0.25, 0.2)], [(0.08, -0.1), (0.42, 0.1)], [(0.08, 0.1), (0.42, -0.1)]]),
    "×": (0.58, [[(0.1, -0.19), (0.48, 0.19)], [(0.1, 0.19), (0.48, -0.19)]]),
    "÷": (0.6, [[(0.08, 0), (0.52, 0)], [(0.3, -0.2), (0.3 + _DOT, -0.2)], [(0.3, 0.2), (0.3 + _DOT, 0.2)]]),
    "→": (0.92, [[(0.06, 0), (0.84, 0)], [(0.62, -0.2), (0.84, 0), (0.62, 0.2)]]),
    "≈": (0.56, [[(x, y - 0.1) for x, y in _WAVE], [(x, y + 0.1) for x, y in _WAVE]]),
    "√": (0.6, [[(0.04, 0.02), (0.14, -0.04), (0.26, 0.28), (0.48, -0.42), (0.58, -0.42)]]),
    "²": (0.36, [[(0.06, -0.32), (0.15, -0.4), (0.25, -0.33), (0.06, -0.08), (0.28, -0.08)]]),
}
"""Advance of each sign, and its strokes around the middle of the line, as shares of the font size."""

_RUNS: Final = re.compile(f"([{''.join(_SIGNS)}])")


def width(text: str, size: int) -> float:
    """Width of a line of text in pixels."""
    return sum(_advance(run, size) for run in _runs(text))


def write(image: Image, place: Point, text: str, size: int, ink: Ink, anchor: str = "la") -> None:
    """Draw one line of text.

    Args:
        place: (x, y) of the anchor.
        anchor: Pillow's: ``l``, ``m`` or ``r`` across, and ``a`` (top), ``m`` (middle) or ``s`` (baseline)
            down.
    """
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    left, top = place
    left -= {"l": 0, "m": 0.5, "r": 1}[anchor[0]] * width(text, size)
    top -= {"a": 0, "m": MIDDLE, "s": 1}[anchor[1]] * size
    for run in _runs(text):
        if run in _SIGNS:
            image.paste(ink, (round(left), round(top)), _mask(run, size))
        else:
            draw.text((left, top + size), run, font=font(size), fill=ink, anchor="ls")
        left += _advance(run, size)


def cut(text: str, size: int, room: float) -> str:
    """As much of the text as fits into ``room`` pixels, ending in … if anything is left out."""
    while width(text, size) > room and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def wrapped(text: str, size: int, room: float) -> list[str]:
    """The text broken at spaces into lines of at most ``room`` pixels; a longer word has its own line."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def font(size: int) -> FreeTypeFont:
    """Pillow's built-in font, which every installation has."""
    from PIL import ImageFont

    builtin = ImageFont.load_default(size)
    assert isinstance(builtin, ImageFont.FreeTypeFont)
    return builtin


def _runs(text: str) -> list[str]:
    """The text cut into single signs and the runs of letters between them."""
    return [run for run in _RUNS.split(text) if run]


def _advance(run: str, size: int) -> float:
    return _SIGNS[run][0] * size if run in _SIGNS else font(size).getlength(run)


@cache
def _mask(sign: str, size: int) -> Any:
    """Coverage of a sign, as wide as its advance and 1.2 lines high."""
    from PIL import Image, ImageDraw

    advance, strokes = _SIGNS[sign]
    columns, rows = math.ceil(advance * size), math.ceil(1.2 * size)
    mask = Image.new("L", (columns * _OVERSAMPLING, rows * _OVERSAMPLING), 0)
    draw = ImageDraw.Draw(mask)
    scale, pen = size * _OVERSAMPLING, _PEN * size * _OVERSAMPLING
    for stroke in strokes:
        points = [(x * scale, (MIDDLE + y) * scale) for x, y in stroke]
        draw.line(points, 255, round(pen), joint="curve")
        for x, y in points:
            radius = pen * (0.8 if stroke[0][0] + _DOT == stroke[-1][0] else 0.5)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    return mask.resize((columns, rows), Image.Resampling.BOX)
