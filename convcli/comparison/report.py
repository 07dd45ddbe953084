"""Reports on comparisons: text, lines, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from math import inf, isnan
from typing import Any, Final

from convcli.comparison.compare import no_similarity
from convcli.comparison.histogram import Bin
from convcli.comparison.result import Comparison, Difference, Side
from convcli.comparison.structure import window_text
from convcli.core.errors import shown
from convcli.core.frozen import frozen
from convcli.core.numerals import counted, grouped, with_minus
from convcli.core.tables import SCHEMA, table, tame, to_json

_BAR: Final = 20  # characters of the longest bar
_DIGITS: Final = 6

IDENTICAL, WITHIN, DIFFERENT, ONLY_A, ONLY_B, FAILED = (
    "identical",
    "within limit",
    "different",
    "only in A",
    "only in B",
    "failed",
)
VERDICTS: Final = (IDENTICAL, WITHIN, DIFFERENT, ONLY_A, ONLY_B, FAILED)


@frozen
class Outcome:
    """What became of a pair of images.

    Attributes:
        name: below both folders; empty for two images.
        verdict: one of `VERDICTS`.
        comparison: None for an image without a counterpart, or a failure.
        error: why it failed.
        ssim: the window of the SSIM that was requested.
    """

    name: str
    verdict: str
    comparison: Comparison | None = None
    error: str = ""
    ssim: str = "uniform"


def verdict(comparison: Comparison, limit: float) -> str:
    """What a comparison means with a limit for the largest absolute difference."""
    if comparison.identical:
        return IDENTICAL
    return DIFFERENT if comparison.exceeds(limit) else WITHIN


def as_block(outcome: Outcome) -> str:
    """A block of text on two images."""
    comparison = outcome.comparison
    assert comparison is not None
    title = outcome.name and f"{shown(outcome.name)}\n"
    rows = [("A", _side_text(comparison.a)), ("B", _side_text(comparison.b))]
    rows += _value_rows(comparison, outcome.ssim)
    rows += [("output", comparison.output)] if comparison.output else []
    rows += [("note", note) for note in comparison.notes]
    return f"{title}{table([('result', _result_text(outcome)), *rows])}{_histogram_text(comparison)}"


def _result_text(outcome: Outcome) -> str:
    comparison = outcome.comparison
    assert comparison is not None
    if comparison.mismatch:
        return comparison.mismatch
    count = f"{grouped(comparison.values)} values"
    if comparison.identical:
        types = "" if comparison.same_type else ", in different types"
        return f"identical: {count}{types}"
    share = f"{100 * comparison.differing / comparison.values:.3g}%"
    limit = " (within the limit)" if outcome.verdict == WITHIN else ""
    return f"{grouped(comparison.differing)} of {count} differ ({share}){limit}"


def _side_text(side: Side) -> str:
    return f"{_name(side)}  {side.size_text}, {side.kind}"


def _name(side: Side) -> str:
    return "standard input" if side.name == "-" else shown(side.name) or "array"


def _value_rows(comparison: Comparison, window: str) -> list[tuple[str, str]]:
    rows, statistics = [], comparison.statistics
    if comparison.not_finite.first is not None:
        count = grouped(comparison.not_finite.unequal)
        place = _difference_text(comparison, comparison.not_finite.first)
        rows.append(("not finite", f"{count} beside another value, first {place}"))
    if statistics.largest is not None:
        size = _number(abs(statistics.largest.difference))
        rows.append(("largest", f"{size} {_difference_text(comparison, statistics.largest)}"))
        mean, absolute, rms = (
            _number(value) for value in (comparison.mean, comparison.mean_absolute, comparison.rms)
        )
        rows.append(("mean", f"B − A {mean}, absolute {absolute}, RMS {rms}"))
    if comparison.differing:
        rows += _quality_rows(comparison, window)
    return rows


def _quality_rows(comparison: Comparison, window: str) -> list[tuple[str, str]]:
    rows = []
    if comparison.psnr is not None:
        peak = "" if comparison.data_range is None else f" (data range {_number(comparison.data_range)})"
        rows.append(("PSNR", f"{_decibels(comparison.psnr)}{peak}"))
    if comparison.ssim is not None and comparison.similarity is not None:
        left_out = comparison.similarity.left_out
        without = f"; {counted(left_out, 'window')} with NaN or infinity left out" if left_out else ""
        text = f"{_similarity(comparison.ssim)} ({window_text(comparison.similarity.window)}{without})"
        rows.append(("SSIM", text))
    elif reason := no_similarity(comparison, window):
        rows.append(("SSIM", f"none: {reason}"))
    return rows


def _difference_text(comparison: Comparison, found: Difference) -> str:
    """``at row 5, column 7, red: 100 → 112``."""
    frame = f"frame {found.frame}, " if comparison.a.frames > 1 else ""
    named = comparison.a.shapes[0][3] > 1
    channel = f", {comparison.a.channel_name(found.channel)}" if named else ""
    values = f"{_value(found.a)} → {_value(found.b)}"
    return f"at {frame}row {found.row}, column {found.column}{channel}: {values}"


def _histogram_text(comparison: Comparison) -> str:
    bins = comparison.statistics.histogram
    if not bins:
        return ""
    most = max(each.below + each.above for each in bins)
    rows = [("|B − A|", "B < A", "B > A", "")]
    rows += [(_bin_text(each), grouped(each.below), grouped(each.above), _bar(each, most)) for each in bins]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = (
        f"  {first:<{widths[0]}}  {below:>{widths[1]}}  {above:>{widths[2]}}  {bar}".rstrip()
        for first, below, above, bar in rows
    )
    return "\n" + "".join(f"{line}\n" for line in lines)


def _bin_text(each: Bin) -> str:
    if isinstance(each.low, int) and isinstance(each.high, int):
        last = each.high - 1
        return grouped(each.low) if last == each.low else f"{grouped(each.low)} to {grouped(last)}"
    return f"{_number(each.low)} to {_number(each.high)}"


def _bar(each: Bin, most: int) -> str:
    return "█" * max(round(_BAR * (each.below + each.above) / most), 1)


def as_line(outcome: Outcome) -> str:
    """One line on a pair."""
    comparison = outcome.comparison
    name = shown(outcome.name) or (comparison and f"{_name(comparison.a)} and {_name(comparison.b)}")
    if comparison is None:
        return f"{name}: {outcome.verdict}\n"
    if comparison.mismatch or comparison.identical:
        return f"{name}: {comparison.mismatch or outcome.verdict}\n"
    found = comparison.statistics.largest
    parts = [f"{grouped(comparison.differing)} of {grouped(comparison.values)} differ"]
    if comparison.not_finite.unequal:
        parts.append(f"{grouped(comparison.not_finite.unequal)} not finite")
    if found is not None:
        place = _difference_text(comparison, found).partition(":")[0]
        parts += [f"largest {_number(abs(found.difference))} {place}", f"RMS {_number(comparison.rms)}"]
    parts += [f"PSNR {_decibels(comparison.psnr)}"] if comparison.psnr is not None else []
    parts += [f"SSIM {_similarity(comparison.ssim)}"] if comparison.ssim is not None else []
    return f"{name}: {outcome.verdict}: {', '.join(parts)}\n"


def total_text(counts: Counter[str]) -> str:
    """``12 images: 9 identical, 2 different, 1 only in A``."""
    parts = [f"{grouped(counts[word])} {word}" for word in VERDICTS if counts[word]]
    every = counts.total()
    return f"{grouped(every)} image{'s' * (every != 1)}{': ' * bool(parts)}{', '.join(parts)}"


def as_json(outcome: Outcome) -> str:
    """One line of JSON on a pair."""
    return to_json(as_dict(outcome)) + "\n"


def total_json(counts: Counter[str]) -> str:
    """The last line of JSON on two folders."""
    named = {word.replace(" ", "_").lower(): counts[word] for word in VERDICTS}
    return to_json({"schema": SCHEMA, "total": {"images": counts.total(), **named}}) + "\n"


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """The report as JSON types; docs/report.md describes the keys."""
    start = {"schema": SCHEMA, "name": outcome.name or None, "verdict": outcome.verdict}
    comparison = outcome.comparison
    if comparison is None:
        return {**start, "error": outcome.error or None}
    return {
        **start,
        "error": None,
        "a": _side_dict(comparison.a),
        "b": _side_dict(comparison.b),
        "mismatch": comparison.mismatch or None,
        "values": comparison.values,
        "differing": comparison.differing,
        **_not_finite_dict(comparison),
        "largest": _difference_dict(comparison.statistics.largest),
        "mean": comparison.mean,
        "mean_absolute": comparison.mean_absolute,
        "rms": comparison.rms,
        "data_range": comparison.data_range,
        "psnr": comparison.psnr,
        "ssim": comparison.ssim,
        "ssim_window": comparison.similarity and comparison.similarity.window,
        "ssim_windows_left_out": comparison.similarity and comparison.similarity.left_out,
        "histogram": [
            {"low": each.low, "high": each.high, "below": each.below, "above": each.above}
            for each in comparison.statistics.histogram
        ],
        "output": comparison.output,
        "notes": list(comparison.notes),
    }


def _side_dict(side: Side) -> dict[str, Any]:
    frames, (_, rows, columns, channels) = side.frames, side.shapes[0]
    return {
        "name": _name(side),
        "format": side.format or None,
        "kind": side.kind,
        "dtype": str(side.dtype),
        "nhwc": [frames, rows, columns, channels],
    }


def _not_finite_dict(comparison: Comparison) -> dict[str, Any]:
    found = comparison.not_finite
    return {
        "nonfinite": {
            "nan_a": found.nan_a,
            "nan_b": found.nan_b,
            "infinite_a": found.infinite_a,
            "infinite_b": found.infinite_b,
            "unequal": found.unequal,
            "first": _difference_dict(found.first),
        }
    }


def _difference_dict(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "difference": found.difference,
        "frame": found.frame,
        "row": found.row,
        "column": found.column,
        "channel": found.channel,
        "a": found.a,
        "b": found.b,
    }


def _of_largest(name: str) -> Callable[[Comparison], Any]:
    return lambda comparison: comparison.statistics.largest and getattr(comparison.statistics.largest, name)


_CELLS: Final[dict[str, Callable[[Comparison], Any]]] = {
    "a": lambda comparison: _name(comparison.a),
    "b": lambda comparison: _name(comparison.b),
    "mismatch": lambda comparison: comparison.mismatch,
    "dtype_a": lambda comparison: str(comparison.a.dtype),
    "dtype_b": lambda comparison: str(comparison.b.dtype),
    "frames": lambda comparison: comparison.a.frames,
    "rows": lambda comparison: comparison.a.shapes[0][1],
    "columns": lambda comparison: comparison.a.shapes[0][2],
    "channels": lambda comparison: comparison.a.shapes[0][3],
    "values": lambda comparison: comparison.values,
    "differing": lambda comparison: comparison.differing,
    "nonfinite": lambda comparison: comparison.not_finite.unequal,
    "largest": _of_largest("difference"),
    "frame": _of_largest("frame"),
    "row": _of_largest("row"),
    "column": _of_largest("column"),
    "channel": _of_largest("channel"),
    "value_a": _of_largest("a"),
    "value_b": _of_largest("b"),
    "mean": lambda comparison: comparison.mean,
    "mean_absolute": lambda comparison: comparison.mean_absolute,
    "rms": lambda comparison: comparison.rms,
    "data_range": lambda comparison: comparison.data_range,
    "psnr": lambda comparison: comparison.psnr,
    "ssim": lambda comparison: comparison.ssim,
    "output": lambda comparison: comparison.output,
}
COLUMNS: Final = ("name", "verdict", "error", *_CELLS)
"""Columns of the table."""


def as_csv(outcome: Outcome, first: bool) -> str:
    """A row of the table, after the header if it is the first one."""
    cells: list[Any] = [outcome.name, outcome.verdict, outcome.error]
    cells += [None if outcome.comparison is None else cell(outcome.comparison) for cell in _CELLS.values()]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if first:
        writer.writerow(COLUMNS)
    writer.writerow([tame(cell) for cell in cells])
    return buffer.getvalue()


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    if abs(value) == inf:
        return "infinity" if value > 0 else "−infinity"
    return with_minus(str(value) if isinstance(value, int) else f"{value:.{_DIGITS}g}")


def _similarity(value: float) -> str:
    """An SSIM, which is not rounded to 1."""
    rounded = f"{value:.{_DIGITS}g}"
    return f"above {1 - 10**-_DIGITS}" if rounded == "1" and value < 1 else with_minus(rounded)


def _value(value: float) -> str:
    """A value in full: floats with as many digits as tell them apart."""
    if isinstance(value, float) and (isnan(value) or value in (inf, -inf)):
        return with_minus({"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}[str(value)])
    return with_minus(str(value))


def _decibels(value: float | None) -> str:
    return "infinite" if value == inf else f"{with_minus(f'{value:.2f}')} dB"
