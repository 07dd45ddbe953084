"""An explanation as people read it, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

from convcli.core.dtypes import Array
from convcli.core.errors import one_line
from convcli.core.numerals import as_float, decimal_text, formula_text, number_text, report_text, with_minus
from convcli.core.rational import Number
from convcli.core.tables import SCHEMA, table
from convcli.files.input import STREAM
from convcli.geometry.describe import axes_dict
from convcli.pipeline.channels import LUMA
from convcli.visualize.explain.pixel import NAMES, Channel, Explanation, Plane, is_luma

WIDEST: Final = 110  # characters of grids beside each other
MOST_SHOWN: Final = 15  # rows and columns of a grid
LARGEST_DENOMINATOR: Final = 2000
DIGITS: Final = 6  # of a number in a grid of fractions
GAP: Final = "    "


def as_text(found: Explanation) -> str:
    """For people: the place, then for each channel its grids side by side and its steps one below another."""
    blocks = [_heading(found)]
    for index, channels in enumerate(found.maps):
        for channel in channels:
            title = f"map {index}, {channel.name}" if len(found.maps) > 1 else channel.name
            alone = len(found.maps) == 1 and len(channels) == 1
            blocks.append(("" if alone else f"{title}\n") + _channel(found, channel))
    return "\n".join([*blocks, _legend(found)]) if _legend(found) else "\n".join(blocks)


def _heading(found: Explanation) -> str:
    task, settings, (row, column) = found.task, found.settings, found.window.at
    rows, columns = task.geometry.output
    kernel = settings.kernel
    turned = "convolution (the kernel turned by 180°)" if settings.flip else "cross-correlation"
    name = "standard input" if found.source == STREAM else one_line(found.source)
    lines = [
        ("place", f"row {row}, column {column} of the feature map, {rows} × {columns}, counted from 0"),
        (
            "window",
            f"{_span('rows', found.window.rows)} and {_span('columns', found.window.columns)} of the input",
        ),
        ("kernel", f"{kernel.name}, {turned}, channels {task.channels}"),
        ("padding", f"{settings.padding}"),
        *[("mapping", words) for words in _mappings(found)],
        *[("note", note) for note in _notes(found)],
    ]
    return f"{name}\n{table(lines)}"


def _mappings(found: Explanation) -> list[str]:
    """What the mapping of each map did."""
    words = [found.task.mapping_text(mapping) for mapping in found.mappings]
    if len(words) == 1:
        return words
    return [f"map {index}: {line}" for index, line in enumerate(words)]


def _notes(found: Explanation) -> list[str]:
    notes = list(found.settings.notes)
    plan = found.task.plan
    if is_luma(found.task):
        shares = zip(LUMA, NAMES[len(LUMA)], strict=True)
        notes.append(f"brightness is {' + '.join(f'{float(share):g} · {name}' for share, name in shares)}")
    if not plan.arithmetic.exact:
        notes.append(f"apply adds floats, which rounds: {plan.arithmetic.reason}")
    elif not plan.outcome.exact:
        notes.append(f"sums are exact, what combines them is rounded to {plan.outcome.dtype}")
    if found.task.mapping.needs_range:
        notes.append("the mapping's range is that of the whole feature map")
    if found.task.targets[0].format.name == "jpeg":
        notes.append("the pixel is what goes into the JPEG, whose compression changes it a little")
    return notes


def _span(name: str, places: Array) -> str:
    first, last = int(places[0]), int(places[-1])
    step = f" in steps of {places[1] - places[0]}" if len(places) > 1 and places[1] - places[0] > 1 else ""
    return with_minus(f"{name} {first} to {last}{step}")


def _legend(found: Explanation) -> str:
    outside = found.window.outside(found.task.geometry.input)
    if not outside.any():
        return ""
    fill = found.settings.padding.fill
    where = f"filled by {fill}" if fill.mode != "constant" else f"filled with {fill}"
    return f"  ( ) is padding: {where}\n"


def _channel(found: Explanation, channel: Channel) -> str:
    outside = found.window.outside(found.task.geometry.input)
    blocks = [_plane(found, plane, outside, len(channel.planes) > 1) for plane in channel.planes]
    rows = [(step.name, step.how, _value(step.value)) for step in channel.steps]
    rows.append(("pixel", "", _value(channel.pixel)))
    return "".join([*blocks, _steps(rows)])


def _steps(rows: Sequence[tuple[str, str, str]]) -> str:
    """Names, then how, then what it gives, each in a column of its own."""
    name, how = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = [f"  {row[0]:<{name}}  {row[1]:<{how}}  = {row[2]}" for row in rows]
    return "\n".join(lines) + "\n"


def _plane(found: Explanation, plane: Plane, outside: Array, named: bool) -> str:
    rows, columns = outside.shape
    if max(rows, columns) > MOST_SHOWN:
        return f"  {plane.name}: {rows} × {columns} cells, which --report json lists\n\n"
    kernel = "kernel, turned" if found.settings.flip else "kernel"
    grids = [_grid(title, cells, outside) for title, cells in plane.parts]
    grids += [_grid(kernel, plane.weights, None), _grid("products", plane.products, None)]
    title = f"  {plane.name}\n" if named else ""
    return f"{title}{_beside(grids)}\n"


def _grid(title: str, cells: Array, marked: Array | None) -> list[str]:
    """A title and the rows of a grid, all of one width; cells are aligned at their right."""
    places = _places(cells)
    words = [
        [_cell(value, places, marked is not None and bool(marked[i, j])) for j, value in enumerate(row)]
        for i, row in enumerate(cells.tolist())
    ]
    spare = marked is not None and bool(marked.any())
    words = [[w if w.endswith(")") or not spare else f"{w} " for w in row] for row in words]
    widths = [max(len(row[j]) for row in words) for j in range(len(words[0]))]
    lines = [" ".join(f"{w:>{width + 1}}" for w, width in zip(row, widths, strict=True)) for row in words]
    width = max(len(title) + 1, *map(len, lines))
    return [f" {title}".ljust(width), *(line.ljust(width) for line in lines)]


def _cell(value: Number, places: int, marked: bool) -> str:
    written = formula_text(value) if not places or value == 0 else _rounded(as_float(value), places)
    return f"({written})" if marked else written


def _rounded(value: float, places: int) -> str:
    """To so many decimals; what would be 0 then, to two digits."""
    written = f"{value:.{places}f}"
    return with_minus(written if float(written) else f"{value:.2g}")


def _places(cells: Array) -> int:
    """Decimals that a grid is written with: those it has, or as many as make six digits."""
    known = [value for value in cells.ravel().tolist() if isinstance(value, Fraction)]
    if all(value.denominator == 1 for value in known):
        return 0
    decimals = [decimal_text(value) for value in known]
    most = max(len(word.partition(".")[2]) for word in decimals)
    largest = max(map(abs, known))
    digits = max(DIGITS - len(str(int(largest))), 1)
    return min(most, digits) if all(decimals) else digits if largest < 10**DIGITS else 0


def _beside(grids: Sequence[list[str]]) -> str:
    """Grids side by side, as many in a line as fit."""
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
    """In full, and what is about its decimal where it has none that ends."""
    if isinstance(value, float) or value.denominator == 1 or decimal_text(value):
        return (
            decimal_text(value)
            if isinstance(value, Fraction) and value.denominator != 1
            else report_text(value)
        )
    if value.denominator > LARGEST_DENOMINATOR:
        return with_minus(f"{as_float(value):.9g}")
    return f"{with_minus(number_text(value))} ≈ {report_text(as_float(value))}"


def as_dict(found: Explanation) -> dict[str, Any]:
    """As JSON types; every number as a float and, where it is a fraction, exactly as text."""
    task, settings = found.task, found.settings
    return {
        "schema": SCHEMA,
        "at": list(found.window.at),
        "window": {"rows": found.window.rows.tolist(), "columns": found.window.columns.tolist()},
        "outside": found.window.outside(task.geometry.input).tolist(),
        "kernel": settings.kernel.name,
        "operation": "convolution" if settings.flip else "cross-correlation",
        "padding": str(settings.padding),
        "axes": axes_dict(task.geometry),
        "exact": found.exact,
        "maps": [
            {
                "map": index,
                "mapping": str(mapping),
                "pixel": [_json(channel.pixel) for channel in channels],
                "channels": [_channel_dict(channel) for channel in channels],
            }
            for index, (channels, mapping) in enumerate(zip(found.maps, found.mappings, strict=True))
        ],
        "notes": _notes(found),
    }


def _channel_dict(channel: Channel) -> dict[str, Any]:
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
            for plane in channel.planes
        ],
        "steps": [
            {"name": step.name, "how": step.how, "value": _json(step.value), "exact": _exact(step.value)}
            for step in channel.steps
        ],
        "pixel": _json(channel.pixel),
    }


def _listed(cells: Array) -> list[list[float]]:
    return [[_json(value) for value in row] for row in cells.tolist()]


def _json(value: Number) -> float:
    """An integer where it is one."""
    if not isinstance(value, float) and value.denominator == 1:
        return int(value)
    return as_float(value)


def _exact(value: Number) -> str | None:
    return None if isinstance(value, float) else number_text(value)
