"""Kernels as HTML for notebooks: a grid of weights, colored by sign and size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np

from convcli.core import markup
from convcli.core.numerals import counted, number_text, with_minus

_MOST_CELLS: Final = 15  # rows or columns with numbers
_MOST_SIDE: Final = 64  # rows or columns at all
_MOST_PLANES: Final = 8
_NEGATIVE, _POSITIVE = (33, 102, 172), (178, 24, 43)


class Shown(Protocol):
    """What is shown of a `Kernel`, which imports this module."""

    @property
    def name(self) -> str: ...
    @property
    def exact(self) -> Any: ...
    @property
    def bias(self) -> Any: ...
    @property
    def combine(self) -> str | None: ...
    @property
    def about(self) -> Any: ...
    @property
    def weights(self) -> Any: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def depth(self) -> int: ...
    @property
    def tensor_shape(self) -> tuple[int, ...]: ...
    @property
    def maps(self) -> int: ...


def kernel_html(kernel: Shown) -> str:
    """The weights of a kernel as tables of colored cells, with its name and facts."""
    planes = list(_planes(kernel))
    largest = float(np.abs(kernel.weights).max(initial=0)) or 1
    parts = [_plane(values, title, largest / kernel_scale(kernel)) for title, values in planes[:_MOST_PLANES]]
    hidden = len(planes) - _MOST_PLANES
    more = f"<p>… and {counted(hidden, 'more plane')}</p>" if hidden > 0 else ""
    title = f'<div style="margin-bottom:.3em">{markup.escaped(_title(kernel))}</div>'
    return f"<div>{title}{''.join(parts)}{more}</div>"


def kernel_scale(kernel: Shown) -> float:
    """What the numbers in the cells are multiplied with: 1 over the common denominator."""
    return 1 / kernel.exact.denominator if kernel.exact else 1.0


def _title(kernel: Shown) -> str:
    facts = [kernel.name, f"{' × '.join(map(str, kernel.shape))} weights"]
    if kernel.exact and kernel.exact.denominator != 1:
        facts.append(f"times 1/{kernel.exact.denominator}")
    if kernel.combine:
        facts.append(f"maps combined by {kernel.combine}")
    if kernel.bias and not isinstance(kernel.bias, tuple):
        facts.append(f"bias {number_text(kernel.bias)}")
    return ", ".join(facts)


def _planes(kernel: Shown) -> Iterator[tuple[str, Any]]:
    """Each (rows, columns) of the kernel, with a title where there are several."""
    raw = kernel.exact.numerators if kernel.exact else kernel.weights
    size = kernel.size
    depth, inputs = kernel.depth, kernel.tensor_shape[-2]
    whole = raw.reshape(depth, *size, inputs, kernel.maps)
    members = kernel.about.members if kernel.maps == len(kernel.about.members) else ()
    for index in range(kernel.maps):
        for channel in range(inputs):
            for frame in range(depth):
                words = [members[index] if members else f"map {index}"] if kernel.maps > 1 else []
                words += [f"channel {channel}"] if inputs > 1 else []
                words += [f"frame {frame}"] if depth > 1 else []
                yield ", ".join(words), whole[frame, :, :, channel, index]


def _plane(values: Any, title: str, largest: float) -> str:
    rows, columns = values.shape
    has_numbers = max(rows, columns) <= _MOST_CELLS
    size = "min-width:2.4em;height:2.2em;padding:0 .3em" if has_numbers else "width:6px;height:6px;padding:0"
    lines = [
        "<tr>" + "".join(_cell(value, largest, size, has_numbers) for value in row) + "</tr>"
        for row in values[:_MOST_SIDE, :_MOST_SIDE].tolist()
    ]
    head = f'<div style="font-size:90%">{markup.escaped(title)}</div>' if title else ""
    table = f'<table style="border-collapse:collapse;margin:0">{"".join(lines)}</table>'
    return f'<div style="display:inline-block;margin:0 1em .6em 0;vertical-align:top">{head}{table}</div>'


def _cell(value: Any, largest: float, size: str, has_numbers: bool) -> str:
    """A cell that is white for 0, blue below and red above, with dark or light text."""
    share = min(abs(float(value)) / largest, 1.0)
    end = _NEGATIVE if value < 0 else _POSITIVE
    color = "#" + bytes(round(250 + (part - 250) * share) for part in end).hex()
    ink = "#fff" if share > 0.55 else "#1c1e22"
    text = markup.escaped(with_minus(f"{value:.4g}" if isinstance(value, float) else str(value)))
    style = f"background:{color};color:{ink};text-align:center;border:1px solid rgba(128,128,128,.4);{size}"
    return f'<td style="{style}">{text if has_numbers else ""}</td>'
