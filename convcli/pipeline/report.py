"""The shape report: what went in, every size with its formula, what came out, and how it was computed.

`Report.as_dict` is the JSON form, described in docs/report.md; ``schema`` counts its versions.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any, Final

from convcli.core.errors import one_line
from convcli.core.frozen import frozen
from convcli.core.numerals import short, size_text
from convcli.core.rational import Number
from convcli.core.tables import SCHEMA, table, tame, to_json
from convcli.engine.plan import Plan
from convcli.geometry.axes import Axis, Geometry
from convcli.geometry.describe import axes_dict, cost_text, geometry_lines, layouts, receptive_text, to_nchw
from convcli.kernels.describe import bias_text, matrices, sum_text
from convcli.kernels.kernel import Kernel
from convcli.pipeline.mapping import Mapping

MOST_SHOWN: Final = 7  # rows and columns of a matrix in the text report
MOST_LISTED: Final = 1024  # weights in a JSON report


@frozen
class File:
    """A picture file: its name, format and kind (``RGB, 8-bit``), and its size in bytes."""

    name: str
    format: str
    kind: str
    bytes: int


@frozen(eq=False)
class Report:
    """One feature map."""

    source: File
    target: File
    kernel: Kernel
    index: int
    flip: bool
    geometry: Geometry
    padding: str
    channels: str
    batch_shape: tuple[int, int]  # channels in, channels out
    dtype: str
    low: Number
    high: Number
    mapping: Mapping
    mapping_text: str
    below: int
    above: int
    values: int
    plan: Plan
    seconds: float
    frames: int = 1
    nan: int = 0
    infinite: int = 0
    frame: int | None = None  # the number of one that has a file of its own
    metadata: tuple[tuple[str, str], ...] = ()  # what was carried over: its name, and words for people
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(frames, rows, columns, channels), or (1, depth, rows, columns, channels) of a volume."""
        return self.frames, *self.geometry.input, self.batch_shape[0]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """As the input's."""
        return self.frames, *self.geometry.output, self.batch_shape[1]

    @property
    def rows(self) -> Axis:
        """The axis that runs downward."""
        return self.geometry.axes[-2]

    @property
    def columns(self) -> Axis:
        """The axis that runs to the right."""
        return self.geometry.axes[-1]

    @property
    def receptive(self) -> tuple[int, ...]:
        """Pixels of the input along each axis that one value depends on."""
        return tuple(axis.extent for axis in self.geometry.axes)

    @property
    def parameters(self) -> int:
        """Weights, and a bias for each map where the kernel has one."""
        kernel = self.kernel
        return kernel.weights.size + (kernel.maps if kernel.bias else 0)

    @property
    def multiply_adds(self) -> int:
        """Products of the feature map, were every weight multiplied; most methods need fewer."""
        problem = self.plan.problem
        maps = problem.filter.maps if self.kernel.combine else 1
        return self.values * maps * math.prod(problem.filter.kernel) * problem.filter.inputs

    @property
    def operation(self) -> str:
        return "convolution (the kernel turned by 180°)" if self.flip else "cross-correlation"

    @property
    def _range_text(self) -> str:
        """The range of the finite values; how many others there are is a note."""
        if math.isnan(self.low):
            return "no value is finite"
        only = " of the finite values," if self.nan or self.infinite else ""
        return f"{short(self.low)} … {short(self.high)}{only} before the mapping"

    @property
    def _grouped(self) -> str:
        groups = self.plan.problem.groups
        return f" in {groups} groups" if groups > 1 else ""

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        kernel = self.kernel
        return {
            "schema": SCHEMA,
            "input": _file_dict(self.source, self.input_shape),
            "kernel": {
                "name": kernel.name,
                "shape": list(kernel.tensor_shape),
                "weights": _listed(kernel),
                "sum": float(kernel.map_sums[min(self.index, kernel.maps - 1)]),
                "bias": float(kernel.biases[min(self.index, kernel.maps - 1)]),
                "combine": kernel.combine,
                "operation": "convolution" if self.flip else "cross-correlation",
            },
            "padding": self.padding,
            "axes": axes_dict(self.geometry),
            "uncovered": self.geometry.uncovered,
            "receptive_field": list(self.receptive),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "channels": self.channels,
            "groups": self.plan.problem.groups,
            "output": {**_file_dict(self.target, self.output_shape), "map": self.index, "frame": self.frame},
            "range": {"low": float(self.low), "high": float(self.high)},
            "nonfinite": {"nan": self.nan, "infinite": self.infinite},
            "mapping": str(self.mapping),
            "saturated": {"below": self.below, "above": self.above, "of": self.values},
            "plan": plan_dict(self.plan),
            "seconds": round(self.seconds, 6),
            "metadata": [name for name, _ in self.metadata],
            "notes": list(self.notes),
        }

    def as_row(self) -> dict[str, Any]:
        """The report without what `settings_dict` says of it, but for the kernel's name."""
        shared = {"schema": SCHEMA, **settings_dict(self.kernel, self.flip, self.padding, 0)}
        kernel = {
            key: value for key, value in self.as_dict()["kernel"].items() if key not in shared["kernel"]
        }
        row = {key: value for key, value in self.as_dict().items() if key not in shared}
        return {"input": row.pop("input"), "kernel": {"name": self.kernel.name, **kernel}, **row}

    def as_json(self) -> str:
        """One line."""
        return to_json(self.as_dict())

    def as_csv(self, header: bool = True) -> str:
        """One row, behind a header if asked; a cell that a spreadsheet would run as a formula is quoted."""
        import csv  # only who asks for it pays for this import

        row = self.csv_row()
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        if header:
            writer.writerow(row.keys())
        writer.writerow([tame(value) for value in row.values()])
        return buffer.getvalue()

    def csv_row(self) -> dict[str, Any]:
        """The cells of `COLUMNS`."""
        return {column: cell(self) for column, cell in _CELLS.items()}

    def as_text(self, verbose: bool = False) -> str:
        """For people; ``verbose`` adds every candidate of the plan."""
        return f"{one_line(self.source.name)}\n" + table(self.text_rows(verbose))

    def text_rows(self, verbose: bool = False) -> list[tuple[str, str]]:
        """The lines of the text form, labels and words."""
        of = "" if not self.values else f" of {self.values}"
        return [
            ("input", f"{self.source.format}, {self.source.kind}: {self.input_shape} {self.dtype}"),
            ("kernel", _kernel_line(self.kernel)),
            *(("", line) for line in _matrix_lines(self.kernel)),
            ("operation", f"{self.operation}, channels {self.channels}{self._grouped}"),
            *geometry_lines(self.geometry, self.padding),
            ("output", layouts(self.output_shape)),
            ("receptive", receptive_text(self.receptive)),
            ("cost", f"{cost_text(self.parameters, self.multiply_adds)}"),
            ("range", self._range_text),
            ("mapping", self.mapping_text),
            ("saturated", f"{self.below} below and {self.above} above{of} values"),
            ("plan", f"{self.plan.summary}: {self.seconds * 1000:.1f} ms"),
            ("", f"because {self.plan.arithmetic.reason}"),
            *((("", line[2:]) for line in str(self.plan).splitlines()[2:]) if verbose else ()),
            (
                "written",
                f"{one_line(self.target.name)}: {self.target.format}, {self.target.kind}, "
                f"{size_text(self.target.bytes)}",
            ),
            *((("metadata", ", ".join(words for _, words in self.metadata)),) if self.metadata else ()),
            *(("note", note) for note in self.notes),
        ]


_CELLS: Final[dict[str, Callable[[Report], Any]]] = {
    "input": lambda report: report.source.name,
    "output": lambda report: report.target.name,
    "kernel": lambda report: report.kernel.name,
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
    "method": lambda report: report.plan.method,
    "seconds": lambda report: round(report.seconds, 6),
}
COLUMNS: Final = tuple(_CELLS)
"""Of the CSV form, of a batch's too."""


def settings_dict(kernel: Kernel, flip: bool, padding: str, groups: int) -> dict[str, Any]:
    """What a report says of the settings alone, and so is the same for every input."""
    return {
        "kernel": {
            "name": kernel.name,
            "shape": list(kernel.tensor_shape),
            "weights": _listed(kernel),
            "combine": kernel.combine,
            "operation": "convolution" if flip else "cross-correlation",
        },
        "padding": padding,
        "parameters": kernel.weights.size + (kernel.maps if kernel.bias else 0),
        "groups": groups,
    }


def plan_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON types."""
    return {
        "method": plan.method,
        "dtype": str(plan.arithmetic.dtype),
        "exact": plan.arithmetic.exact,
        "reason": plan.arithmetic.reason,
        "strip": [plan.height, plan.width],
        "threads": plan.threads,
        "candidates": [
            {"method": entry.method, "cost": entry.cost, "refusal": entry.refusal or None}
            for entry in plan.candidates
        ],
    }


def _listed(kernel: Kernel) -> Any:
    """The weights nested as their shape says, (rows, columns, in, out)."""
    if kernel.weights.size > MOST_LISTED:
        return None
    return kernel.weights.reshape(kernel.tensor_shape).tolist()


def _file_dict(file: File, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "name": file.name,
        "format": file.format,
        "kind": file.kind,
        "bytes": file.bytes,
        "nhwc": list(shape),
        "nchw": list(to_nchw(shape)),
    }


def _kernel_line(kernel: Kernel) -> str:
    words = [f"{kernel.name}: weights {kernel.tensor_shape}, sum {sum_text(kernel)}"]
    if any(kernel.biases):
        words.append(f"bias {bias_text(kernel)}")
    if kernel.combine:
        words.append(f"maps combined by {kernel.combine}")
    return ", ".join(words)


def _matrix_lines(kernel: Kernel) -> list[str]:
    lines = []
    for title, matrix in matrices(kernel, MOST_SHOWN):
        lines += [title] if title else []
        lines += [f"  {line}" for line in matrix]
    return lines
