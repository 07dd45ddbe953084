"""An explanation as text, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convcli.core.errors import one_line
from convcli.core.tables import SCHEMA, table
from convcli.files.input import STREAM
from convcli.geometry.border import OUTSIDE
from convcli.geometry.describe import axes_dict, operation_text, operation_word
from convcli.pipeline.normalization import describe
from convcli.pipeline.planning.channels import LUMA
from convcli.visualize.explain.parts import (
    BETWEEN,
    channel_dict,
    json_number,
    plane_text,
    plane_title,
    steps_text,
    value_text,
    values_text,
    window_text,
    zeros_text,
)
from convcli.visualize.explain.pixel import NAMES, Explanation, is_luma
from convcli.visualize.explain.sums import Channel
from convcli.visualize.explain.view import (
    MOST_CHANNELS,
    UNCHOSEN,
    ChannelView,
    MapView,
    Selection,
    View,
    everything,
    page,
)
from convcli.visualize.explain.window import Window


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
        ("window", f"{window_text(window)} of the input{zeros_text(window)}"),
        *[("pixels", words) for words in _pixels(window)],
        ("kernel", f"{kernel.name}, {direction}, channels {task.channels}"),
        ("padding", _padding(explanation)),
        *[("mapping", words) for words in _mappings(explanation, view)],
        *[("note", note) for note in _notes(explanation)],
    ]
    return f"{name}\n{table(lines)}"


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


def _legend(explanation: Explanation) -> str:
    window = explanation.window
    marks = [f"( ) marks padding ({explanation.settings.padding.fill})"] if window.outside.any() else []
    marks += [f"{BETWEEN} marks zeros between pixels"] if window.between.any() else []
    return f"  {'; '.join(marks)}\n" if marks else ""


def _channel(explanation: Explanation, view: ChannelView) -> str:
    channel = view.channel
    summed = len(channel.planes) > len(view.planes) and not explanation.combines
    window, rotates = explanation.window, explanation.settings.rotates
    blocks = [
        plane_text(plane, window, plane_title(channel, plane, summed), rotates) for plane in view.planes
    ]
    if view.others:
        blocks.append(f"  {_others_line(explanation, view)}\n\n")
    rows = [(step.name, step.how, value_text(step.value)) for step in channel.steps]
    rows.append(("pixel", "", value_text(channel.pixel)))
    return "".join([*blocks, steps_text(rows)])


def _others_line(explanation: Explanation, view: ChannelView) -> str:
    """How many planes are not shown, and which option shows them."""
    count = len(view.others)
    if not explanation.combines:
        verb = "sums" if count == 1 else "sum"
        words = f"other {'channel' if count == 1 else 'channels'} {verb} to {value_text(view.others_sum)}"
        return f"{count} {words}; --show-channel all shows every channel"
    noun = "map" if explanation.settings.kernel.tensor_shape[-2] == 1 else "plane"
    return f"{count} other {noun}{'s' * (count > 1)} not shown; --show-map all shows every map"


def _brief(explanation: Explanation, view: View) -> str:
    """Value and pixel of everything that is not shown in full, in columns, and the options that show it."""
    if not view.brief:
        return ""
    rows: list[tuple[str, Sequence[Channel]]] = []
    for index, channels in view.brief:
        if len(channels) > MOST_CHANNELS:
            rows += [(_title(explanation, index, channel), [channel]) for channel in channels]
        else:
            rows.append((f"map {index}", channels))
    index, channels = view.brief[0]
    what, item = "map", str(index)
    if index == view.full[0].index:
        what, item = "channel", str(explanation.names.index(channels[0].name))
    hint = f"  --show-{what} {item} shows {what} {item} in full, --show-{what} all every {what}"
    return "\n".join([f"other {what}s, as value → pixel", *values_text(rows), "", hint, ""])


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
        "pixel": [json_number(view.channel.pixel) for view in map_.channels],
        "channels": [channel_dict(view) for view in map_.channels],
    }
