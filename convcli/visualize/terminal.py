"""Images in a terminal: half blocks of two pixels each, the protocols of kitty and iTerm2, or sixel.

- Kitty: "Terminal graphics protocol" (kitty's documentation), PNG as base64 in chunks of 4096 characters.
- iTerm2: "Images" (iTerm2's documentation), ``OSC 1337 ; File``.
- 256 colors: xterm's cube of 6 × 6 × 6 with the steps 0, 95, 135, 175, 215, 255, and 24 grays from 8 by 10.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, quoted, suggest
from convcli.core.frozen import frozen
from convcli.formats.header import Metadata
from convcli.formats.registry import format_named
from convcli.kernels.describe import MOST_SHOWN
from convcli.kernels.kernel import Kernel
from convcli.visualize.display import Scale
from convcli.visualize.sixel import sixel_text

PROTOCOLS: Final = ("blocks", "kitty", "iterm2", "sixel")
_CHUNK: Final = 4096
_LEAST: Final = 64  # size to which small images are enlarged, in pixels
_CHARACTER: Final = 8, 16  # assumed width and height of a character, in pixels
_SIXEL_TERMS: Final = ("sixel", "mlterm", "foot", "contour", "yaft")
"""Parts of TERM of terminals that know sixel."""
_KONSOLE: Final = 220400  # the version 22.04
_STEPS: Final = np.array([0, 95, 135, 175, 215, 255])
_ESC: Final = "\033"


@frozen
class Terminal:
    """How a terminal shows images.

    Attributes:
        protocol: one of `PROTOCOLS`.
        true_color: whether it has 24-bit colors, not only 256.
        columns, lines: size in characters.
    """

    protocol: str
    true_color: bool = True
    columns: int = 80
    lines: int = 24


NOTHING_SHOWN: Final = "nothing is shown: standard output is not a terminal that can display images"


def detect_terminal(protocol: str = "") -> Terminal | None:
    """The terminal at standard output as the environment describes it; None if there is none.

    Args:
        protocol: one of `PROTOCOLS`, to be used even if standard output is not a terminal.

    Raises:
        ArgumentError: an unknown protocol.
    """
    if protocol and protocol not in PROTOCOLS:
        allowed = f"{', '.join(PROTOCOLS)}{suggest(protocol, PROTOCOLS)}"
        raise ArgumentError(f"unknown terminal protocol {quoted(protocol)}; allowed: {allowed}")
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if not protocol and (not terminal or os.environ.get("TERM") == "dumb"):
        return None
    size = shutil.get_terminal_size()
    forced = bool(protocol) and not terminal
    true_color = forced or has_true_color()
    return Terminal(protocol or _protocol(), true_color, max(size.columns, 1), max(size.lines, 2))


def has_true_color() -> bool:
    """Whether the environment says that the terminal shows 24-bit colors."""
    return os.environ.get("COLORTERM", "") in ("truecolor", "24bit")


def _protocol() -> str:
    """The protocol that the terminal understands; blocks inside multiplexers, which drop images."""
    term, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    if os.environ.get("TMUX") or term.startswith(("screen", "tmux")):
        return "blocks"
    if os.environ.get("KITTY_WINDOW_ID") or "kitty" in term or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or os.environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    if any(name in term for name in _SIXEL_TERMS) or program == "mintty" or _is_konsole():
        return "sixel"
    return "blocks"


def _is_konsole() -> bool:
    """Whether the terminal is a Konsole that knows sixel."""
    version = os.environ.get("KONSOLE_VERSION", "")
    return version.isdecimal() and int(version) >= _KONSOLE


def terminal_text(pixels: Array, terminal: Terminal) -> str:
    """The characters that display an image, (rows, columns[, 1 or 3]) of uint8, scaled to fit."""
    fitting = _fitted(pixels if pixels.ndim == 3 else pixels[..., None], terminal)
    if terminal.protocol == "blocks":
        return "".join(f"{line}{_ESC}[0m\n" for line in _blocks(fitting, terminal.true_color))
    if terminal.protocol == "sixel":
        return sixel_text(fitting) + "\n"
    data = format_named("png").encode(fitting, Metadata())
    if terminal.protocol == "kitty":
        return "".join(_kitty(base64.b64encode(data).decode("ascii"))) + "\n"
    return f"{_ESC}]1337;File=inline=1;size={len(data)}:{base64.b64encode(data).decode('ascii')}\a\n"


def _fitted(pixels: Array, terminal: Terminal) -> Array:
    """The image, averaged if it needs more than all but one line of the terminal, enlarged if it is small."""
    across, down = (1, 2) if terminal.protocol == "blocks" else _CHARACTER
    most_rows, most_columns = (terminal.lines - 1) * down, terminal.columns * across
    rows, columns = pixels.shape[:2]
    box = max(-(-rows // most_rows), -(-columns // most_columns))
    if box > 1:
        return Scale(box=box).reduced(pixels)
    zoom = max(min(most_rows // rows, most_columns // columns, _LEAST * across // max(rows, columns)), 1)
    return pixels.repeat(zoom, 0).repeat(zoom, 1)


def _blocks(pixels: Array, true_color: bool) -> Iterator[str]:
    """Lines of upper half blocks: the upper pixel as the foreground, the lower one as the background."""
    colors = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    codes = _codes(colors, true_color)
    for row in range(0, len(codes), 2):
        below = codes[row + 1] if row + 1 < len(codes) else [""] * len(codes[row])
        line, last = [], ("", "")
        for pair in zip(codes[row], below, strict=True):
            if pair != last:
                line.append(f"{_ESC}[38;{pair[0]}{f';48;{pair[1]}' if pair[1] else ''}m")
                last = pair
            line.append("▀")
        yield "".join(line)


def _codes(colors: Array, true_color: bool) -> list[list[str]]:
    """The color of each pixel as it follows 38 and 48 in an escape sequence."""
    if true_color:
        return [[f"2;{red};{green};{blue}" for red, green, blue in row] for row in colors.tolist()]
    return [[f"5;{index}" for index in row] for row in nearest_xterm(colors).tolist()]


def nearest_xterm(colors: Array) -> Array:
    """Indices of the nearest of xterm's 256 colors, without the 16 that users configure.

    Args:
        colors: (…, 3) of uint8.
    """
    wide = colors.astype(np.int32)
    steps = np.abs(wide[..., None] - _STEPS).argmin(-1)
    cube = _STEPS[steps]
    gray = np.rint((wide.mean(-1) - 8) / 10).clip(0, 23).astype(np.int32)
    of_cube = ((wide - cube) ** 2).sum(-1)
    of_gray = ((wide - (8 + 10 * gray)[..., None]) ** 2).sum(-1)
    index = 16 + 36 * steps[..., 0] + 6 * steps[..., 1] + steps[..., 2]
    nearest: Array = np.where(of_gray < of_cube, 232 + gray, index)
    return nearest


def _kitty(data: str) -> Iterator[str]:
    for begin in range(0, len(data), _CHUNK):
        first = "a=T,f=100," if begin == 0 else ""
        more = int(begin + _CHUNK < len(data))
        yield f"{_ESC}_G{first}m={more};{data[begin : begin + _CHUNK]}{_ESC}\\"


def kernel_cells(kernel: Kernel, true_color: bool) -> list[str]:
    """Lines of colored cells for the first plane of a kernel; none if it is large.

    Args:
        true_color: whether the terminal has 24-bit colors, not only 256.
    """
    from convcli.pipeline.colormaps import diverging  # imported only for terminals

    rows, columns = kernel.size
    if max(rows, columns) > 2 * MOST_SHOWN:
        return []
    plane = kernel.weights.reshape(-1, *kernel.tensor_shape[-4:])[0, :, :, 0, 0]
    codes = _codes(diverging(plane, float(np.abs(plane).max())), true_color)
    return ["", *("".join(f"{_ESC}[48;{code}m  " for code in row) + f"{_ESC}[0m" for row in codes)]
