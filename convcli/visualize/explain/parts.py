"""What explanations consist of, as text and as JSON types: grids side by side, steps, values in columns."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.numerals import as_float, decimal_text, formula_text, number_text, report_text, with_minus
from convcli.core.rational import Number
from convcli.visualize.explain.arithmetic import Step
from convcli.visualize.explain.sums import Channel, Plane
from convcli.visualize.explain.view import MOST_SHOWN, ChannelView
from convcli.visualize.explain.window import Window

WIDEST: Final = 110  # characters of grids beside each other
FEW_LINES, MOST_LINES = 8, 24  # of values without their arithmetic
LARGEST_DENOMINATOR: Final = 2000
DIGITS: Final = 6  # of a number in a grid of fractions
GAP: Final = "    "
BETWEEN: Final = "·"
"""What is written for zeros between pixels."""


@frozen(eq=False)
class Grid:
    """A grid of numbers with a title.

    Attributes:
        marked: which cells are in parentheses.
        empty: which cells are zeros between pixels.
    """

    title: str
    cells: Array
    marked: Array
    empty: Array


def plane_text(plane: Plane, window: Window, title: str, rotates: bool) -> str:
    """The grids of a plane side by side, below their title if there is one.

    Args:
        rotates: whether the kernel is rotated.
    """
    kernel = "kernel, rotated" if rotates else "kernel"
    none = np.zeros_like(window.between)
    grids = [Grid(name, cells, window.outside, window.between) for name, cells in plane.parts]
    grids += [Grid(kernel, plane.weights, none, none), Grid("products", plane.products, none, window.between)]
    return grids_text(grids, title, plane.name)


def grids_text(grids: Sequence[Grid], title: str = "", name: str = "values") -> str:
    """Grids side by side; of large ones, only the size.

    Args:
        title: a line above them; empty for none.
        name: of large grids without a title.
    """
    rows, columns = grids[0].cells.shape
    if max(rows, columns) > MOST_SHOWN:
        return f"  {title or name}: {rows} × {columns} cells; --report json lists them\n\n"
    heading = f"  {title}\n" if title else ""
    return f"{heading}{_beside(list(map(_grid, grids)))}\n"


def plane_title(channel: Channel, plane: Plane, summed: bool) -> str:
    """The name of a plane, with its sum if not all planes are shown; empty for the only one."""
    if len(channel.planes) == 1:
        return ""
    return f"{plane.name}, sum {value_text(plane.sum)}" if summed else plane.name


def _grid(grid: Grid) -> list[str]:
    """The title and rows of a grid, padded to one width; cells are right-aligned."""
    places = _places(grid.cells)
    words = [
        [
            BETWEEN if grid.empty[i, j] else _cell(value, places, bool(grid.marked[i, j]))
            for j, value in enumerate(row)
        ]
        for i, row in enumerate(grid.cells.tolist())
    ]
    spare = bool(grid.marked.any())
    words = [[w if w.endswith(")") or not spare else f"{w} " for w in row] for row in words]
    widths = [max(len(row[j]) for row in words) for j in range(len(words[0]))]
    lines = [" ".join(f"{w:>{width + 1}}" for w, width in zip(row, widths, strict=True)) for row in words]
    width = max(len(grid.title) + 1, *map(len, lines))
    return [f" {grid.title}".ljust(width), *(line.ljust(width) for line in lines)]


def _cell(value: Number, places: int, marked: bool) -> str:
    written = formula_text(value) if not places or value == 0 else _rounded(as_float(value), places)
    return f"({written})" if marked else written


def _rounded(value: float, places: int) -> str:
    """The value to so many decimals; to two digits if that would be 0."""
    written = f"{value:.{places}f}"
    return with_minus(written if float(written) else f"{value:.2g}")


def _places(cells: Array) -> int:
    """Decimals of the numbers of a grid: all they have, or as many as make six digits."""
    known = [value for value in cells.ravel().tolist() if isinstance(value, Fraction)]
    if all(value.denominator == 1 for value in known):
        return 0
    decimals = [decimal_text(value) for value in known]
    most = max(len(word.partition(".")[2]) for word in decimals)
    largest = max(map(abs, known))
    digits = max(DIGITS - len(str(int(largest))), 1)
    return min(most, digits) if all(decimals) else digits if largest < 10**DIGITS else 0


def _beside(grids: Sequence[list[str]]) -> str:
    """The grids side by side, as many as fit into a line."""
    lines, used, group = [], 0, 0
    groups = []
    for grid in grids:
        width = len(grid[0]) + len(GAP)
        group, used = (group + 1, width) if used and used + width > WIDEST else (group, used + width)
        groups.append((group, grid))
    for _, members in groupby(groups, key=lambda entry: entry[0]):
        columns = [grid for _, grid in members]
        lines += [f"  {GAP.join(row)}".rstrip() for row in zip(*columns, strict=True)]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def steps_text(rows: Sequence[tuple[str, str, str]]) -> str:
    """Rows of name, formula and result, in aligned columns."""
    name, how = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = [f"  {row[0]:<{name}}  {row[1]:<{how}}  = {row[2]}" for row in rows]
    return "\n".join(lines) + "\n"


def value_text(value: Number) -> str:
    """A result in full, with its approximate decimal if it has no finite one."""
    if isinstance(value, float) or value.denominator == 1 or decimal_text(value):
        return (
            decimal_text(value)
            if isinstance(value, Fraction) and value.denominator != 1
            else report_text(value)
        )
    if value.denominator > LARGEST_DENOMINATOR:
        return with_minus(f"{as_float(value):.9g}")
    return f"{with_minus(number_text(value))} ≈ {report_text(as_float(value))}"


def values_text(rows: Sequence[tuple[str, Sequence[Channel]]]) -> list[str]:
    """Value and pixel of the channels of each row (title, channels), in columns; many rows are cut."""
    every = [channel for _, channels in rows for channel in channels]
    value = max(len(report_text(channel.value)) for channel in every)
    pixel = max(len(report_text(channel.pixel)) for channel in every)

    def words(channel: Channel, named: bool) -> str:
        name = f"{channel.name} " if named else ""
        return f"{name}{report_text(channel.value):>{value}} → {report_text(channel.pixel):<{pixel}}"

    written = [
        (title, GAP.join(words(channel, len(channels) > 1) for channel in channels))
        for title, channels in rows
    ]
    columns, shown = _in_columns(written)
    lines = [f"  {line}" for line in columns]
    return [*lines, f"  … and {len(rows) - shown} more"] if shown < len(rows) else lines


def _in_columns(rows: Sequence[tuple[str, str]]) -> tuple[list[str], int]:
    """Lines of rows below each other in as many columns as they need, and how many rows they hold."""
    title, text = (max(len(row[i]) for row in rows) for i in (0, 1))
    fitting = max((WIDEST + len(GAP)) // (title + 2 + text + len(GAP)), 1)
    lines = min(max(-(-len(rows) // fitting), min(len(rows), FEW_LINES)), MOST_LINES)
    shown = rows[: lines * fitting]
    cells = [f"{name:<{title}}  {words:<{text}}" for name, words in shown]
    return [GAP.join(cells[line::lines]).rstrip() for line in range(lines)], len(shown)


def window_text(window: Window) -> str:
    """The rows and columns of a window."""
    return f"{span_text('rows', window.rows)} and {span_text('columns', window.columns)}"


def zeros_text(window: Window) -> str:
    """How many zeros are between pixels; empty for none."""
    gaps = [axis.spread - 1 for axis in window.axes]
    return f" with ({', '.join(map(str, gaps))}) zeros between pixels" if any(gaps) else ""


def span_text(name: str, places: Array) -> str:
    """Rows or columns that follow each other at one distance."""
    first, last = int(places[0]), int(places[-1])
    if first == last:
        return with_minus(f"{name.removesuffix('s')} {first}")
    step = f" in steps of {places[1] - places[0]}" if len(places) > 1 and places[1] - places[0] > 1 else ""
    return with_minus(f"{name} {first} to {last}{step}")


def channel_dict(view: ChannelView) -> dict[str, Any]:
    """A channel with the planes that are shown, as JSON types."""
    channel = view.channel
    others = (
        {"others": {"planes": len(view.others), "sum": json_number(view.others_sum)}} if view.others else {}
    )
    return {
        "channel": channel.name,
        "planes": [
            {
                "channel": plane.name,
                "parts": [{"name": name, "values": listed(cells)} for name, cells in plane.parts],
                "weights": listed(plane.weights),
                "products": listed(plane.products),
                "sum": json_number(plane.sum),
            }
            for plane in view.planes
        ],
        **others,
        "steps": steps_dict(channel.steps),
        "pixel": json_number(channel.pixel),
    }


def steps_dict(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as JSON types."""
    return [
        {
            "name": step.name,
            "how": step.how,
            "value": json_number(step.value),
            "exact": exact_text(step.value),
        }
        for step in steps
    ]


def listed(cells: Array) -> list[list[float]]:
    """The rows of a grid as JSON types."""
    return [[json_number(value) for value in row] for row in cells.tolist()]


def json_number(value: Number) -> float:
    """The value as an int if it is an integer, else as a float."""
    if not isinstance(value, float) and value.denominator == 1:
        return int(value)
    return as_float(value)


def exact_text(value: Number) -> str | None:
    return None if isinstance(value, float) else number_text(value)
