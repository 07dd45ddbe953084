"""The explanation of a chain as text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from convcli.core.errors import one_line
from convcli.core.tables import SCHEMA, table
from convcli.files.input import STREAM
from convcli.geometry.describe import axes_dict
from convcli.layers.stages import ActivationStage, ConvolutionStage
from convcli.pipeline.normalization import describe
from convcli.visualize.explain.chain import ChainExplanation, StageTrace, Trace
from convcli.visualize.explain.parts import (
    BETWEEN,
    Grid,
    channel_dict,
    grids_text,
    json_number,
    listed,
    plane_text,
    plane_title,
    span_text,
    steps_dict,
    steps_text,
    value_text,
    values_text,
    window_text,
    zeros_text,
)
from convcli.visualize.explain.sums import Channel
from convcli.visualize.explain.view import ChannelView, largest_planes


def chain_text(explanation: ChainExplanation) -> str:
    """The output, then each stage from the last to the first, and value and pixel of other channels."""
    blocks = [_heading(explanation)]
    for trace in explanation.traces:
        several = len(explanation.traces) > 1 or bool(explanation.others)
        if several:
            blocks.append(f"{_channel_title(explanation, trace.map, trace.channel)}\n")
        blocks += [_stage(explanation, trace, stage) for stage in trace.stages]
    if explanation.others:
        blocks.append(_others(explanation))
    if legend := _legend(explanation):
        blocks.append(legend)
    return "\n".join(blocks)


def _heading(explanation: ChainExplanation) -> str:
    task, (row, column) = explanation.task, explanation.at
    rows, columns = task.geometry.output
    name = "standard input" if explanation.source == STREAM else one_line(explanation.source)
    lines = [
        ("output", f"row {row}, column {column} of the {rows} × {columns} feature map, counted from 0"),
        ("stages", ", ".join(stage.name for stage in explanation.stages)),
        ("reads", f"{_read_text(explanation)} of the input, channels {task.channels}"),
        *[("mapping", words) for words in _mappings(explanation)],
        *[("note", note) for note in _notes(explanation)],
    ]
    return f"{name}\n{table(lines)}"


def _mappings(explanation: ChainExplanation) -> list[str]:
    lines = {trace.map: explanation.task.mapping_text(trace.mapping) for trace in explanation.traces}
    if explanation.maps == 1:
        return list(lines.values())
    return [f"map {index}: {line}" for index, line in lines.items()]


def _notes(explanation: ChainExplanation) -> list[str]:
    settings = explanation.settings
    notes = [*settings.notes, explanation.task.plan.reason]
    if settings.normalize is not None:
        notes.append(describe(settings.normalize))
    if explanation.task.mapping.needs_range:
        notes.append("the mapping uses the range of the whole feature map")
    return notes


def _channel_title(explanation: ChainExplanation, index: int, channel: Channel) -> str:
    return f"map {index}, {channel.name}" if explanation.maps > 1 else channel.name


def _stage(explanation: ChainExplanation, trace: Trace, stage: StageTrace) -> str:
    """The place, window, grids and steps of one stage."""
    is_last = stage.number == len(explanation.stages)
    steps = trace.channel.steps if is_last else stage.channel.steps
    rows = [(step.name, step.how, value_text(step.value)) for step in steps]
    if is_last:
        rows.append(("pixel", "", value_text(trace.channel.pixel)))
    sizes = list(_sizes(stage))
    head = table(sizes) + "\n" if sizes else ""
    return "".join([_stage_title(stage), head, *_grids(stage), steps_text(rows)])


def _stage_title(stage: StageTrace) -> str:
    (row, column), (rows, columns) = stage.at, stage.sizes
    of_map = f", map {stage.map}" if stage.maps > 1 else ""
    reason = f", {stage.reason}" if stage.reason else ""
    place = f"row {row}, column {column} of {rows} × {columns}"
    return f"stage {stage.number}, {stage.stage.name}: {place}{of_map}{reason}\n"


def _read_text(explanation: ChainExplanation) -> str:
    """The rows and columns of the input that the pixel depends on; between pixels there are none."""
    spans = []
    for axis, index in zip(explanation.task.geometry.axes, explanation.at, strict=True):
        first, last = (-(-place // axis.spread) for place in axis.window(index))
        spans.append((first, max(last, first + 1)))
    rows, columns = spans
    return f"{span_text('rows', np.arange(*rows))} and {span_text('columns', np.arange(*columns))}"


def _sizes(stage: StageTrace) -> Iterator[tuple[str, str]]:
    """Formulas of the sizes, the padding, and the window; nothing for an activation."""
    if stage.shape is None or stage.window is None or isinstance(stage.stage, ActivationStage):
        return
    formulas = (axis.formula() for axis in stage.shape.layer)
    yield from zip(("rows", "columns"), formulas, strict=True)
    if any(before or after for before, after in stage.shape.pairs):
        yield "padding", str(stage.stage.padding)
    source = f"stage {stage.number - 1}" if stage.number > 1 else "the input"
    yield "window", f"{window_text(stage.window)} of {source}{zeros_text(stage.window)}"


def _grids(stage: StageTrace) -> Iterator[str]:
    """The planes of a convolution, of many those that contribute most; the values of a pool."""
    if stage.shape is None or stage.window is None:
        return
    window = stage.window
    if stage.patch is not None:
        yield grids_text([Grid("values", stage.patch, window.outside, window.between)])
    view = _view(stage.channel)
    flip = isinstance(stage.stage, ConvolutionStage) and stage.stage.rotates
    for plane in view.planes:
        yield plane_text(plane, window, plane_title(stage.channel, plane, bool(view.others)), flip)
    if view.others:
        count = len(view.others)
        words = "1 other sums" if count == 1 else f"{count} others sum"
        yield f"  {words} to {value_text(view.others_sum)}; --report json lists every one\n\n"


def _view(channel: Channel) -> ChannelView:
    return ChannelView(channel, tuple(largest_planes(channel.planes)))


def _others(explanation: ChainExplanation) -> str:
    """Value and pixel of the channels that are not traced back, and the option that traces one."""
    rows: list[tuple[str, Sequence[Channel]]] = []
    for index, channels in explanation.others:
        if explanation.maps > 1:
            rows.append((f"map {index}", channels))
        else:
            rows += [(channel.name, [channel]) for channel in channels]
    index, channels = explanation.others[0]
    what, item = ("map", str(index)) if explanation.maps > 1 else ("channel", channels[0].name)
    if explanation.maps > 1 and index == explanation.traces[0].map:
        what, item = "channel", channels[0].name
    hint = f"  --show-{what} {item} traces {item if what == 'channel' else f'map {index}'} back"
    return "\n".join(["others, as value → pixel", *values_text(rows), "", hint, ""])


def _legend(explanation: ChainExplanation) -> str:
    stages = [stage for trace in explanation.traces for stage in trace.stages]
    windows = [stage.window for stage in stages if stage.window]
    marks = ["( ) marks padding"] if any(window.outside.any() for window in windows) else []
    marks += [f"{BETWEEN} marks zeros between pixels"] if any(w.between.any() for w in windows) else []
    return f"  {'; '.join(marks)}\n" if marks else ""


def chain_dict(explanation: ChainExplanation) -> dict[str, Any]:
    """The explanation as JSON types; numbers are floats, and fractions are given exactly as text, too."""
    task = explanation.task
    maps = dict.fromkeys(trace.map for trace in explanation.traces)
    return {
        "schema": SCHEMA,
        "at": list(explanation.at),
        "stages": [stage.name for stage in explanation.stages],
        "axes": axes_dict(task.geometry),
        "exact": task.plan.exact,
        "maps": [
            _map_dict(explanation, [trace for trace in explanation.traces if trace.map == index])
            for index in maps
        ],
        "notes": _notes(explanation),
    }


def _map_dict(explanation: ChainExplanation, traces: Sequence[Trace]) -> dict[str, Any]:
    return {
        "map": traces[0].map,
        "mapping": str(traces[0].mapping),
        "pixel": [json_number(trace.channel.pixel) for trace in traces],
        "channels": [
            {
                "channel": trace.channel.name,
                "stages": [_stage_dict(stage) for stage in trace.stages],
                "steps": steps_dict(trace.channel.steps[trace.channel.valued :]),
                "pixel": json_number(trace.channel.pixel),
            }
            for trace in traces
        ],
    }


def _stage_dict(stage: StageTrace) -> dict[str, Any]:
    window: dict[str, Any] = {}
    if stage.shape is not None and stage.window is not None:
        rows, columns = stage.window.rows.tolist(), stage.window.columns.tolist()
        window = {
            "axes": axes_dict(stage.shape),
            "window": {"rows": rows, "columns": columns},
            "outside": stage.window.outside.tolist(),
        }
    if stage.patch is not None:
        window["values"] = listed(stage.patch)
    channel = channel_dict(ChannelView(stage.channel, stage.channel.planes))
    return {
        "stage": stage.number,
        "name": stage.stage.name,
        "at": list(stage.at),
        "map": stage.map,
        "reason": stage.reason,
        **window,
        "channel": channel["channel"],
        "planes": channel["planes"],
        "steps": channel["steps"],
        "value": channel["pixel"],
    }
