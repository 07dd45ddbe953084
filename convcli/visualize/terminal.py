"""Pictures in a terminal: half blocks of two pixels each, or the protocols of kitty and iTerm2.

- Kitty: "Terminal graphics protocol" (kitty's documentation), PNG in pieces of 4096 letters of base64.
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
from convcli.formats.png.png import Png
from convcli.kernels.describe import MOST_SHOWN
from convcli.kernels.kernel import Kernel
from convcli.visualize.display import Scale

PROTOCOLS: Final = ("blocks", "kitty", "iterm2")
_PIECE: Final = 4096
_LEAST: Final = 64  # pixels a side, up to which small pictures are drawn larger
_LETTER: Final = 8, 16  # pixels of a letter, where nobody says
_STEPS: Final = np.array([0, 95, 135, 175, 215, 255])
_ESC: Final = "\033"


@frozen
class Terminal:
    """How a terminal shows pictures.

    Attributes:
        way: of `PROTOCOLS`.
        full: whether it has 24-bit colors, else 256.
        columns, lines: letters.
    """

    way: str
    full: bool = True
    columns: int = 80
    lines: int = 24


NOTHING_SHOWN: Final = "nothing is shown, because standard output is not a terminal that can"


def detect_terminal(way: str = "") -> Terminal | None:
    """The terminal at standard output, by what the environment says of it, or None where there is none.

    Args:
        way: of `PROTOCOLS`, to use it in any case, also where there is no terminal.

    Raises:
        ArgumentError: another way.
    """
    if way and way not in PROTOCOLS:
        allowed = f"{', '.join(PROTOCOLS)}{suggest(way, PROTOCOLS)}"
        raise ArgumentError(f"unknown terminal protocol {quoted(way)}; allowed: {allowed}")
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if not way and (not terminal or os.environ.get("TERM") == "dumb"):
        return None
    size = shutil.get_terminal_size()
    full = os.environ.get("COLORTERM", "") in ("truecolor", "24bit") or (bool(way) and not terminal)
    return Terminal(way or _protocol(), full, max(size.columns, 1), max(size.lines, 2))


def _protocol() -> str:
    """Blocks inside a multiplexer, which swallows pictures; else what the terminal is known to understand."""
    term, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    if os.environ.get("TMUX") or term.startswith(("screen", "tmux")):
        return "blocks"
    if os.environ.get("KITTY_WINDOW_ID") or "kitty" in term or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or os.environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "blocks"


def terminal_text(pixels: Array, terminal: Terminal) -> str:
    """What shows a picture, (rows, columns[, 1 or 3]) of uint8, made to fit, and ends its line."""
    fitting = _fitted(pixels if pixels.ndim == 3 else pixels[..., None], terminal)
    if terminal.way == "blocks":
        return "".join(f"{line}{_ESC}[0m\n" for line in _blocks(fitting, terminal.full))
    data = Png().encode(fitting, Metadata())
    if terminal.way == "kitty":
        return "".join(_kitty(base64.b64encode(data).decode("ascii"))) + "\n"
    return f"{_ESC}]1337;File=inline=1;size={len(data)}:{base64.b64encode(data).decode('ascii')}\a\n"


def _fitted(pixels: Array, terminal: Terminal) -> Array:
    """The picture where it fits all but a line of the terminal, else averaged; a small one enlarged."""
    across, down = (1, 2) if terminal.way == "blocks" else _LETTER
    most_rows, most_columns = (terminal.lines - 1) * down, terminal.columns * across
    rows, columns = pixels.shape[:2]
    box = max(-(-rows // most_rows), -(-columns // most_columns))
    if box > 1:
        return Scale(box=box).reduced(pixels)
    zoom = max(min(most_rows // rows, most_columns // columns, _LEAST * across // max(rows, columns)), 1)
    return pixels.repeat(zoom, 0).repeat(zoom, 1)


def _blocks(pixels: Array, full: bool) -> Iterator[str]:
    """Lines of upper half blocks: the upper pixel in front, the lower behind, where there is one."""
    colors = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    codes = _codes(colors, full)
    for row in range(0, len(codes), 2):
        below = codes[row + 1] if row + 1 < len(codes) else [""] * len(codes[row])
        line, last = [], ("", "")
        for pair in zip(codes[row], below, strict=True):
            if pair != last:
                line.append(f"{_ESC}[38;{pair[0]}{f';48;{pair[1]}' if pair[1] else ''}m")
                last = pair
            line.append("▀")
        yield "".join(line)


def _codes(colors: Array, full: bool) -> list[list[str]]:
    """What stands behind 38 and 48 for each pixel."""
    if full:
        return [[f"2;{red};{green};{blue}" for red, green, blue in row] for row in colors.tolist()]
    return [[f"5;{index}" for index in row] for row in nearest_xterm(colors).tolist()]


def nearest_xterm(colors: Array) -> Array:
    """The nearest of xterm's 256 colors, less the 16 that users choose, for (…, 3) of uint8."""
    wide = colors.astype(np.int32)
    steps = np.abs(wide[..., None] - _STEPS).argmin(-1)
    cube = _STEPS[steps]
    gray = np.rint((wide.mean(-1) - 8) / 10).clip(0, 23).astype(np.int32)
    of_cube = ((wide - cube) ** 2).sum(-1)
    of_gray = ((wide - (8 + 10 * gray)[..., None]) ** 2).sum(-1)
    index = 16 + 36 * steps[..., 0] + 6 * steps[..., 1] + steps[..., 2]
    found: Array = np.where(of_gray < of_cube, 232 + gray, index)
    return found


def _kitty(data: str) -> Iterator[str]:
    for begin in range(0, len(data), _PIECE):
        first = "a=T,f=100," if begin == 0 else ""
        more = int(begin + _PIECE < len(data))
        yield f"{_ESC}_G{first}m={more};{data[begin : begin + _PIECE]}{_ESC}\\"


def kernel_cells(kernel: Kernel, full: bool) -> list[str]:
    """A plane of weights as colored cells for a terminal, of 24-bit colors where ``full``, else of 256."""
    from convcli.pipeline.colormaps import diverging  # only terminals pay for this import

    rows, columns = kernel.size
    if max(rows, columns) > 2 * MOST_SHOWN:
        return []
    plane = kernel.weights.reshape(-1, *kernel.tensor_shape[-4:])[0, :, :, 0, 0]
    codes = _codes(diverging(plane, float(np.abs(plane).max())), full)
    return ["", *("".join(f"{_ESC}[48;{code}m  " for code in row) + f"{_ESC}[0m" for row in codes)]
