"""The reports of one image as text: a block that gives once what maps share, or a line for each kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from convcli.core.errors import one_line
from convcli.core.numerals import counted, report_text, size_text
from convcli.core.tables import table
from convcli.geometry.describe import cost_text, geometry_lines, layouts, operation_text, receptive_text
from convcli.pipeline.reports.report import Report
from convcli.pipeline.reports.stages import Rows, kernel_rows, stage_rows

if TYPE_CHECKING:
    from convcli.networks.maps import MapFacts

_DIFFERING: Final = ("range", "mapping", "saturated", "written")
"""Labels of what may differ between the maps of a kernel."""


def as_block(reports: Sequence[Report], verbose: bool = False) -> str:
    """The maps of one image: its name and input once, then for each kernel what its maps share.

    Args:
        verbose: whether every candidate of the plan is listed.
    """
    sections, previous_input = list[str](), ""
    for _, group in groupby(reports, lambda report: _shared_rows(report, verbose)):
        rows = _section(list(group), verbose)
        sections.append(table([row for row in rows if row != ("input", previous_input)]))
        previous_input = dict(rows)["input"]
    return f"{one_line(reports[0].source.name)}\n" + "\n".join(sections)


def _shared_rows(report: Report, verbose: bool) -> Rows:
    return [row for row in text_rows(report, verbose) if row[0] not in (*_DIFFERING, "plan", "runtime")]


def _section(reports: list[Report], verbose: bool) -> Rows:
    """The rows of the first map, and a row for each map of what differs."""
    rows_by_map = [dict(text_rows(report, verbose)) for report in reports]
    differing = [label for label in _DIFFERING if len({rows[label] for rows in rows_by_map}) > 1]
    shared = [row for row in text_rows(reports[0], verbose) if row[0] not in differing]
    if not differing:
        return shared
    labels = map(_map_label, reports)
    texts = ("; ".join(_labeled(label, rows[label]) for label in differing) for rows in rows_by_map)
    return shared + list(zip(labels, texts, strict=True))


def _labeled(label: str, text: str) -> str:
    """A text that says what it is; a mapping starts with its kind."""
    return text if label == "mapping" else f"{label} {text}"


def _map_label(report: Report) -> str:
    """``map 3``, ``frame 12`` or both, whatever distinguishes the reports."""
    frame = [] if report.frame is None else [f"frame {report.frame}"]
    index = [f"map {report.index}"] if report.maps > 1 else []
    return ", ".join(frame + index) or "result"


def text_rows(report: Report, verbose: bool = False) -> Rows:
    """The rows about one feature map."""
    network = report.network
    return [
        ("input", f"{report.source.format}, {report.source.kind}: {report.input_shape} {report.dtype}"),
        *(_convolution_rows(report) if network is None else _network_rows(report, network)),
        *_value_rows(report),
        *(_plan_rows(report, verbose) if network is None else _runtime_rows(report, network)),
        ("written", _written_text(report)),
        *((("metadata", ", ".join(text for _, text in report.metadata)),) if report.metadata else ()),
        *(("note", note) for note in report.notes),
    ]


def _convolution_rows(report: Report) -> Rows:
    """The kernel and the geometry, of each stage if there are several."""
    if report.stages:
        rows = [row for stage in report.stages for row in stage_rows(stage, report.channels)]
    else:
        rows = [
            *kernel_rows(report.kernel),
            ("operation", _operation_text(report)),
            *geometry_lines(report.geometry, report.padding),
            ("output", layouts(report.output_shape)),
            ("receptive", receptive_text(report.receptive_field)),
        ]
    return [
        *rows,
        ("cost", cost_text(report.parameters, report.multiply_adds)),
    ]


def _network_rows(report: Report, network: MapFacts) -> Rows:
    from convcli.networks.report import offset_text  # imported only for networks

    field = network.field
    offset = f", the first centered at {offset_text(field)}" if field.offset else ""
    unknown = f"unknown: {one_line(field.unknown)}"
    receptive = unknown if field.size is None else f"{receptive_text(field.size, field.jump)}{offset}"
    return [
        ("network", f"{network.model}, input {network.input} {network.layout}, {network.values}"),
        ("node", f"{one_line(network.node)}: {network.operation}"),
        ("output", layouts((*report.output_shape[:-1], report.kernel.maps))),
        ("receptive", receptive),
        ("cost", f"{cost_text(network.parameters, network.multiply_adds)} up to this node"),
    ]


def _runtime_rows(report: Report, network: MapFacts) -> Rows:
    return [("runtime", f"{network.runtime}: {report.seconds * 1000:.1f} ms")]


def _operation_text(report: Report) -> str:
    operation = operation_text(report.flip, report.transposed)
    groups = f" in {report.groups} groups" if report.groups > 1 else ""
    return f"{operation}, channels {report.channels}{groups}"


def _value_rows(report: Report) -> Rows:
    values = f" of {report.values} values" if report.values else ""
    return [
        ("range", _range_text(report)),
        ("mapping", report.mapping_text),
        ("saturated", f"{report.below} below and {report.above} above{values}"),
    ]


def _range_text(report: Report) -> str:
    """The range of the finite values; a note has the number of the others."""
    if math.isnan(report.low):
        return "no value is finite"
    scope = " (finite values only)" if report.nan or report.infinite else ""
    return f"{report_text(report.low)} … {report_text(report.high)} before the mapping{scope}"


def _plan_rows(report: Report, verbose: bool) -> Rows:
    candidates = str(report.plan).splitlines()[2:] if verbose else []
    return [
        ("plan", f"{report.plan.summary}: {report.seconds * 1000:.1f} ms"),
        ("", report.plan.reason),
        *(("", line[2:]) for line in candidates),
    ]


def _written_text(report: Report) -> str:
    target = report.target
    return f"{one_line(target.name)}: {target.format}, {target.kind}, {size_text(target.bytes or 0)}"


def as_lines(reports: Sequence[Report]) -> str:
    """A line for each kernel: input, outputs, size, range, mapping, and how many values were cut off."""
    groups = groupby(reports, lambda report: report.name)
    return "".join(_line(list(group)) for _, group in groups)


def _line(reports: list[Report]) -> str:
    first = reports[0]
    facts = [
        first.name,
        *([counted(len(reports), "map")] if len(reports) > 1 else []),
        f"{' × '.join(map(str, first.geometry.output))}, {first.target.kind}",
        f"range {_joint_range(reports)}",
        _joint_mapping(reports),
        f"{sum(report.below + report.above for report in reports)} saturated",
    ]
    return f"{one_line(first.source.name)} → {_targets_text(reports)}: {', '.join(facts)}\n"


def _targets_text(reports: list[Report]) -> str:
    names = list(dict.fromkeys(one_line(report.target.name) for report in reports))
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def _joint_range(reports: list[Report]) -> str:
    low, high = min(report.low for report in reports), max(report.high for report in reports)
    return f"{report_text(low)} … {report_text(high)}"


def _joint_mapping(reports: list[Report]) -> str:
    mappings = list(dict.fromkeys(str(report.mapping) for report in reports))
    return mappings[0] if len(mappings) == 1 else f"{mappings[0].partition(':')[0]} with a range per map"
