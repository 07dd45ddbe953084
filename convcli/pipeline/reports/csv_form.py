"""Reports as rows of a CSV table."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from convcli.core.tables import tame
from convcli.pipeline.reports.report import Report

if TYPE_CHECKING:
    from convcli.networks.maps import MapFacts

_CELLS: Final[dict[str, Callable[[Report], Any]]] = {
    "input": lambda report: report.source.name,
    "output": lambda report: report.target.name,
    "kernel": lambda report: report.name,
    "map": lambda report: report.index,
    "frames": lambda report: report.frames,
    "frame": lambda report: report.frame,
    "input_rows": lambda report: report.rows.size,
    "input_columns": lambda report: report.columns.size,
    "input_channels": lambda report: report.batch_shape[0],
    "kernel_rows": lambda report: report.rows.kernel,
    "kernel_columns": lambda report: report.columns.kernel,
    "stride_rows": lambda report: report.rows.stride,
    "stride_columns": lambda report: report.columns.stride,
    "dilation_rows": lambda report: report.rows.dilation,
    "dilation_columns": lambda report: report.columns.dilation,
    "padding": lambda report: report.padding,
    "top": lambda report: report.rows.before,
    "bottom": lambda report: report.rows.after,
    "left": lambda report: report.columns.before,
    "right": lambda report: report.columns.after,
    "output_rows": lambda report: report.rows.output,
    "output_columns": lambda report: report.columns.output,
    "output_channels": lambda report: report.batch_shape[1],
    "uncovered": lambda report: report.geometry.uncovered,
    "parameters": lambda report: report.parameters,
    "multiply_adds": lambda report: report.multiply_adds,
    "low": lambda report: float(report.low),
    "high": lambda report: float(report.high),
    "mapping": lambda report: str(report.mapping),
    "below": lambda report: report.below,
    "above": lambda report: report.above,
    "nan": lambda report: report.nan,
    "infinite": lambda report: report.infinite,
    "nan_pixels": lambda report: report.nan_pixels,
    "ignored_pixels": lambda report: report.ignored_pixels,
    "undefined": lambda report: report.undefined,
    "method": lambda report: report.plan.method,
    "seconds": lambda report: round(report.seconds, 6),
}
COLUMNS: Final = tuple(_CELLS)
"""Columns of the table, and of a batch's too."""


_OF_NETWORKS: Final[dict[str, Callable[[Report, MapFacts], Any]]] = {
    **dict.fromkeys(
        (
            *("kernel_rows", "kernel_columns", "stride_rows", "stride_columns"),
            *("dilation_rows", "dilation_columns", "padding", "top", "bottom", "left", "right", "uncovered"),
        ),
        lambda report, network: None,
    ),
    "input_rows": lambda report, network: network.image[0],
    "input_columns": lambda report, network: network.image[1],
    "parameters": lambda report, network: network.parameters,
    "multiply_adds": lambda report, network: network.multiply_adds,
    "method": lambda report, network: network.runtime,
}
"""Cells that differ for a map of a network, which has no window of its own."""


def csv_row(report: Report) -> dict[str, Any]:
    """The value in each of `COLUMNS`."""
    row = {column: cell(report) for column, cell in _CELLS.items()}
    if report.network is not None:
        row |= {column: cell(report, report.network) for column, cell in _OF_NETWORKS.items()}
    return row


def as_csv(report: Report, header: bool = True) -> str:
    """One line, after the header if wanted; a cell that a spreadsheet would run as a formula is quoted."""
    import csv  # imported only for this form

    row = csv_row(report)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if header:
        writer.writerow(row.keys())
    writer.writerow([tame(value) for value in row.values()])
    return buffer.getvalue()
