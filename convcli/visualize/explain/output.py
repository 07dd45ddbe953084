"""An explanation as text, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import one_line
from convcli.core.numerals import as_float, decimal_text, formula_text, number_text, report_text, with_minus
from convcli.core.rational import Number
from convcli.core.tables import SCHEMA, table
from convcli.files.input import STREAM
from convcli.geometry.border import OUTSIDE
from convcli.geometry.describe import axes_dict, operation_text, operation_word
from convcli.pipeline.normalization import describe
from convcli.pipeline.planning.channels import LUMA
from convcli.visualize.explain.pixel import NAMES, Channel, Explanation, Plane, is_luma
from convcli.visualize.explain.view import (
    MOST_CHANNELS,
    MOST_SHOWN,
    UNCHOSEN,
    ChannelView,
    MapView,
    Selection,
    View,
    everything,
    page,
)
from convcli.visualize.explain.window import Window

WIDEST: Final = 110  # characters of grids beside each other
FEW_LINES, MOST_LINES = 8, 24  # of values without their arithmetic
LARGEST_DENOMINATOR: Final = 2000
DIGITS: Final = 6  # of a number in a grid of fractions
GAP: Final = "    "
BETWEEN: Final = "·"
"""What is written for zeros between pixels."""


def as_text(explanation: Explanation, selection: Selection = UNCHOSEN) -> str:
    """The output and its settings, then for each channel its grids side by side and its steps.

    Args:
        selection: maps and channels; of those that it leaves open, a page is shown.

    Raises:
        ArgumentError: a map or channel that does not exist.
    """
    view = page(explanation, selection)
    blocks = [_heading(explanation, view)]
    alone = not _is_bank(explanation) and len(explanation.maps[0]) == 1
    for map_ in view.full:
        for channel in map_.channels:
            title = _title(explanation, map_.index, channel.channel)
            blocks.append(("" if alone else f"{title}\n") + _channel(explanation, channel))
    blocks += [block for block in (_brief(explanation, view), _legend(explanation)) if block]
    return "\n".join(blocks)


def _title(explanation: Explanation, index: int, channel: Channel) -> str:
    return f"map {index}, {channel.name}" if _is_bank(explanation) else channel.name


def _is_bank(explanation: Explanation) -> bool:
    return explanation.settings.kernel.maps > 1 and not explanation.combines


def _heading(explanation: Explanation, view: View) -> str:
    task, settings, window = explanation.task, explanation.settings, explanation.window
    row, column = window.at
    rows, columns = task.geometry.output
    kernel = settings.kernel
    direction = operation_text(settings.flip, settings.transposed)
    name = "standard input" if explanation.source == STREAM else one_line(explanation.source)
    lines = [
        ("output", f"row {row}, column {column} of the {rows} × {columns} feature map, counted from 0"),
        ("window", f"{_span('rows', window.rows)} and {_span('columns', window.columns)}{_of_what(window)}"),
        *[("pixels", words) for words in _pixels(window)],
        ("kernel", f"{kernel.name}, {direction}, channels {task.channels}"),
        ("padding", _padding(explanation)),
        *[("mapping", words) for words in _mappings(explanation, view)],
        *[("note", note) for note in _notes(explanation)],
    ]
    return f"{name}\n{table(lines)}"


def _of_what(window: Window) -> str:
    """What the positions of a window count."""
    gaps = [axis.spread - 1 for axis in window.axes]
    zeros = f" with ({', '.join(map(str, gaps))}) zeros between pixels" if any(gaps) else ""
    return f" of the input{zeros}"


def _pixels(window: Window) -> list[str]:
    """Which pixels contribute, where there are zeros between them."""
    if all(axis.spread == 1 for axis in window.axes):
        return []
    rows, columns = (indices[indices != OUTSIDE].tolist() for indices in window.sources)
    if not rows or not columns:
        return ["none"]
    return [f"{_listed_places('row', rows)} and {_listed_places('column', columns)} of the input"]


def _listed_places(name: str, places: Sequence[int]) -> str:
    """``row 3`` or ``rows 3, 4``."""
    return f"{name}{'s' * (len(places) > 1)} {', '.join(map(str, places))}"


def _padding(explanation: Explanation) -> str:
    padding = str(explanation.settings.padding)
    return f"{padding.removesuffix(':zero')}, removed" if explanation.settings.transposed else padding


def _mappings(explanation: Explanation, view: View) -> list[str]:
    """The mapping of each map that is shown in full as text; a single line if all are the same."""
    lines = [explanation.task.mapping_text(map_.mapping) for map_ in view.full]
    brief_maps = [index for index, _ in view.brief if index != view.full[0].index]
    if len(set(lines)) == 1 and not brief_maps:
        return lines[:1]
    return [f"map {map_.index}: {line}" for map_, line in zip(view.full, lines, strict=True)]


def _notes(explanation: Explanation) -> list[str]:
    notes = list(explanation.settings.notes)
    if explanation.settings.normalize is not None:
        notes.append(describe(explanation.settings.normalize))
    plan = explanation.task.plan
    if is_luma(explanation.task):
        shares = zip(LUMA, NAMES[len(LUMA)], strict=True)
        notes.append(f"brightness = {' + '.join(f'{float(share):g} · {name}' for share, name in shares)}")
    if not plan.exact:
        notes.append(f"apply sums in floating point and rounds ({plan.reason})")
    elif explanation.settings.kernel.exact is None:
        notes.append(f"apply sums integers ({plan.reason})")
    elif not plan.outcome.exact:
        notes.append(f"sums are exact; combining them rounds to {plan.outcome.dtype}")
    if explanation.task.mapping.needs_range:
        notes.append("the mapping uses the range of the whole feature map")
    if explanation.task.targets[0].format.name == "jpeg":
        notes.append("JPEG compression may change the written pixel slightly")
    return notes


def _span(name: str, places: Array) -> str:
    first, last = int(places[0]), int(places[-1])
    step = f" in steps of {places[1] - places[0]}" if len(places) > 1 and places[1] - places[0] > 1 else ""
    return with_minus(f"{name} {first} to {last}{step}")


def _legend(explanation: Explanation) -> str:
    window = explanation.window
    marks = [f"( ) marks padding ({explanation.settings.padding.fill})"] if window.outside.any() else []
    marks += [f"{BETWEEN} marks zeros between pixels"] if window.between.any() else []
    return f"  {'; '.join(marks)}\n" if marks else ""


def _channel(explanation: Explanation, view: ChannelView) -> str:
    channel = view.channel
    summed = len(channel.planes) > len(view.planes) and not explanation.combines
    blocks = [_plane(explanation, plane, _plane_title(channel, plane, summed)) for plane in view.planes]
    if view.others:
        blocks.append(f"  {_others_line(explanation, view)}\n\n")
    rows = [(step.name, step.how, _value(step.value)) for step in channel.steps]
    rows.append(("pixel", "", _value(channel.pixel)))
    return "".join([*blocks, _steps(rows)])


def _plane_title(channel: Channel, plane: Plane, summed: bool) -> str:
    """The name of a plane, with its sum if not all planes are shown; empty for the only one."""
    if len(channel.planes) == 1:
        return ""
    return f"{plane.name}, sum {_value(plane.sum)}" if summed else plane.name


def _others_line(explanation: Explanation, view: ChannelView) -> str:
    """How many planes are not shown, and which option shows them."""
    count = len(view.others)
    if not explanation.combines:
        verb = "sums" if count == 1 else "sum"
        words = f"other {'channel' if count == 1 else 'channels'} {verb} to {_value(view.others_sum)}"
        return f"{count} {words}; --show-channel all shows every channel"
    noun = "map" if explanation.settings.kernel.tensor_shape[-2] == 1 else "plane"
    return f"{count} other {noun}{'s' * (count > 1)} not shown; --show-map all shows every map"


def _brief(explanation: Explanation, view: View) -> str:
    """Value and pixel of everything that is not shown in full, in columns, and the options that show it."""
    if not view.brief:
        return ""
    rows = _brief_rows(explanation, view)
    columns, shown = _in_columns(rows)
    lines = [f"  {line}" for line in columns]
    if shown < len(rows):
        lines.append(f"  … and {len(rows) - shown} more")
    index, channels = view.brief[0]
    what, item = "map", str(index)
    if index == view.full[0].index:
        what, item = "channel", str(explanation.names.index(channels[0].name))
    hint = f"  --show-{what} {item} shows {what} {item} in full, --show-{what} all every {what}"
    return "\n".join([f"other {what}s, as value → pixel", *lines, "", hint, ""])


def _brief_rows(explanation: Explanation, view: View) -> list[tuple[str, str]]:
    """(title, values) of each map, or of each channel where there are many."""
    every = [channel for _, channels in view.brief for channel in channels]
    value = max(len(report_text(channel.value)) for channel in every)
    pixel = max(len(report_text(channel.pixel)) for channel in every)

    def words(channel: Channel) -> str:
        return f"{report_text(channel.value):>{value}} → {report_text(channel.pixel):<{pixel}}"

    rows = []
    for index, channels in view.brief:
        if len(channels) > MOST_CHANNELS:
            rows += [(_title(explanation, index, channel), words(channel)) for channel in channels]
        elif len(channels) > 1:
            rows.append((f"map {index}", GAP.join(f"{c.name} {words(c)}" for c in channels)))
        else:
            rows.append((f"map {index}", words(channels[0])))
    return rows


def _in_columns(rows: Sequence[tuple[str, str]]) -> tuple[list[str], int]:
    """Lines of rows below each other in as many columns as they need, and how many rows they hold."""
    title, text = (max(len(row[i]) for row in rows) for i in (0, 1))
    fitting = max((WIDEST + len(GAP)) // (title + 2 + text + len(GAP)), 1)
    lines = min(max(-(-len(rows) // fitting), min(len(rows), FEW_LINES)), MOST_LINES)
    shown = rows[: lines * fitting]
    cells = [f"{name:<{title}}  {words:<{text}}" for name, words in shown]
    return [GAP.join(cells[line::lines]).rstrip() for line in range(lines)], len(shown)


def _steps(rows: Sequence[tuple[str, str, str]]) -> str:
    """Rows of name, formula and result, in aligned columns."""
    name, how = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = [f"  {row[0]:<{name}}  {row[1]:<{how}}  = {row[2]}" for row in rows]
    return "\n".join(lines) + "\n"


def _plane(explanation: Explanation, plane: Plane, title: str) -> str:
    """The grids of a plane side by side, below their title if there is one."""
    window = explanation.window
    rows, columns = window.outside.shape
    if max(rows, columns) > MOST_SHOWN:
        return f"  {title or plane.name}: {rows} × {columns} cells; --report json lists them\n\n"
    kernel = "kernel, rotated" if explanation.settings.rotates else "kernel"
    none = np.zeros_like(window.between)
    grids = [_grid(title, cells, window.outside, window.between) for title, cells in plane.parts]
    grids += [_grid(kernel, plane.weights, none, none)]
    grids += [_grid("products", plane.products, none, window.between)]
    heading = f"  {title}\n" if title else ""
    return f"{heading}{_beside(grids)}\n"


def _grid(title: str, cells: Array, marked: Array, empty: Array) -> list[str]:
    """The title and rows of a grid, padded to one width; cells are right-aligned.

    Args:
        marked: which cells are in parentheses.
        empty: which cells are zeros between pixels.
    """
    places = _places(cells)
    words = [
        [BETWEEN if empty[i, j] else _cell(value, places, bool(marked[i, j])) for j, value in enumerate(row)]
        for i, row in enumerate(cells.tolist())
    ]
    spare = bool(marked.any())
    words = [[w if w.endswith(")") or not spare else f"{w} " for w in row] for row in words]
    widths = [max(len(row[j]) for row in words) for j in range(len(words[0]))]
    lines = [" ".join(f"{w:>{width + 1}}" for w, width in zip(row, widths, strict=True)) for row in words]
    width = max(len(title) + 1, *map(len, lines))
    return [f" {title}".ljust(width), *(line.ljust(width) for line in lines)]


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


def _value(value: Number) -> str:
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


def as_dict(explanation: Explanation, selection: Selection = UNCHOSEN) -> dict[str, Any]:
    """The explanation as JSON types; numbers are floats, and fractions are given exactly as text, too.

    Args:
        selection: maps and channels; everything if it leaves them open.

    Raises:
        ArgumentError: a map or channel that does not exist.
    """
    task, settings = explanation.task, explanation.settings
    return {
        "schema": SCHEMA,
        "at": list(explanation.window.at),
        "window": {"rows": explanation.window.rows.tolist(), "columns": explanation.window.columns.tolist()},
        "pixels": {"rows": _read(explanation.window, 0), "columns": _read(explanation.window, 1)},
        "outside": explanation.window.outside.tolist(),
        "kernel": settings.kernel.name,
        "operation": operation_word(settings.flip, settings.transposed),
        "padding": str(settings.padding),
        "axes": axes_dict(task.geometry),
        "exact": explanation.exact,
        "maps": [_map_dict(map_) for map_ in everything(explanation, selection).full],
        "notes": _notes(explanation),
    }


def _read(window: Window, axis: int) -> list[int | None]:
    """The rows or columns of the input that a window reads; None for constants."""
    return [None if index == OUTSIDE else index for index in window.sources[axis].tolist()]


def _map_dict(map_: MapView) -> dict[str, Any]:
    return {
        "map": map_.index,
        "mapping": str(map_.mapping),
        "pixel": [_json(view.channel.pixel) for view in map_.channels],
        "channels": [_channel_dict(view) for view in map_.channels],
    }


def _channel_dict(view: ChannelView) -> dict[str, Any]:
    channel = view.channel
    others = {"others": {"planes": len(view.others), "sum": _json(view.others_sum)}} if view.others else {}
    return {
        "channel": channel.name,
        "planes": [
            {
                "channel": plane.name,
                "parts": [{"name": name, "values": _listed(cells)} for name, cells in plane.parts],
                "weights": _listed(plane.weights),
                "products": _listed(plane.products),
                "sum": _json(plane.sum),
            }
            for plane in view.planes
        ],
        **others,
        "steps": [
            {"name": step.name, "how": step.how, "value": _json(step.value), "exact": _exact(step.value)}
            for step in channel.steps
        ],
        "pixel": _json(channel.pixel),
    }


def _listed(cells: Array) -> list[list[float]]:
    return [[_json(value) for value in row] for row in cells.tolist()]


def _json(value: Number) -> float:
    """The value as an int if it is an integer, else as a float."""
    if not isinstance(value, float) and value.denominator == 1:
        return int(value)
    return as_float(value)


def _exact(value: Number) -> str | None:
    return None if isinstance(value, float) else number_text(value)
