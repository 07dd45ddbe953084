"""The reports of one image as people read them: a block that says once what is the same, or a line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from convcli.core.errors import one_line
from convcli.core.numerals import counted, short
from convcli.core.tables import table
from convcli.pipeline.report import Report

_EACH: Final = ("range", "mapping", "saturated", "written")
"""Labels of what maps of one kernel can differ in."""


def as_block(reports: Sequence[Report], verbose: bool = False) -> str:
    """The maps of one image: its name and input once, then for each kernel all that its maps share."""
    sections, told = list[str](), ""
    for _, group in groupby(reports, lambda report: _common(report, verbose)):
        rows = _section(list(group), verbose)
        sections.append(table([row for row in rows if row != ("input", told)]))
        told = dict(rows)["input"]
    return f"{one_line(reports[0].source.name)}\n" + "\n".join(sections)


def _common(report: Report, verbose: bool) -> list[tuple[str, str]]:
    return [row for row in report.text_rows(verbose) if row[0] not in (*_EACH, "plan")]


def _section(reports: list[Report], verbose: bool) -> list[tuple[str, str]]:
    each = [dict(report.text_rows(verbose)) for report in reports]
    differing = [label for label in _EACH if len({rows[label] for rows in each}) > 1]
    found = [row for row in reports[0].text_rows(verbose) if row[0] not in differing]
    labels = _labels(reports)
    lines = [
        (label, "; ".join(f"{word} {rows[word]}" if word != "mapping" else rows[word] for word in differing))
        for label, rows in zip(labels, each, strict=True)
    ]
    return found + lines if differing else found


def _labels(reports: Sequence[Report]) -> list[str]:
    """``map 3``, ``frame 12`` or both, whatever tells the reports apart."""
    names = []
    for report in reports:
        frame = [] if report.frame is None else [f"frame {report.frame}"]
        index = [f"map {report.index}"] if report.kernel.maps > 1 and not report.kernel.combine else []
        names.append(", ".join(frame + index) or "result")
    return names


def as_lines(reports: Sequence[Report]) -> str:
    """A line for each kernel: from where to where, the sizes, the range, the mapping and what was cut off."""
    groups = groupby(reports, lambda report: report.kernel.name)
    return "".join(_line(list(group)) for _, group in groups)


def _line(reports: list[Report]) -> str:
    first, names = reports[0], list(dict.fromkeys(one_line(report.target.name) for report in reports))
    places = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    size = " × ".join(map(str, first.geometry.output))
    low, high = min(report.low for report in reports), max(report.high for report in reports)
    mappings = list(dict.fromkeys(str(report.mapping) for report in reports))
    cut = sum(report.below + report.above for report in reports)
    words = [
        first.kernel.name,
        *([counted(len(reports), "map")] if len(reports) > 1 else []),
        f"{size}, {first.target.kind}",
        f"range {short(low)} … {short(high)}",
        mappings[0] if len(mappings) == 1 else f"{mappings[0].partition(':')[0]}, each by its own range",
        f"{cut} saturated",
    ]
    return f"{one_line(first.source.name)} → {places}: {', '.join(words)}\n"
