"""What a report says of each stage of a chain."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from convcli.core.frozen import frozen
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.chain.stage import PlannedStage
from convcli.engine.computers import Computation
from convcli.geometry.axes import Field, Geometry
from convcli.geometry.describe import (
    axes_dict,
    geometry_lines,
    layouts,
    operation_text,
    operation_word,
    receptive_text,
    to_nchw,
)
from convcli.kernels.describe import bias_text, matrices, sum_text
from convcli.kernels.kernel import Kernel
from convcli.layers.activations import ACTIVATIONS
from convcli.layers.stages import ActivationStage, ConvolutionStage, PoolStage

LARGEST_SIDE: Final = 7
"""Rows and columns of a matrix; of larger ones a part is shown."""

Rows = list[tuple[str, str]]
"""Labels and texts; a row without a label continues the one before."""


@frozen(eq=False)
class StageReport:
    """One stage of a chain.

    Attributes:
        place: from 1.
        receptive, jump: of the image, along rows and columns, up to this stage.
    """

    place: int
    planned: PlannedStage
    receptive: tuple[int, ...]
    jump: tuple[int | Fraction, ...]

    @property
    def geometry(self) -> Geometry:
        """From the stage's input to its output."""
        return self.planned.geometry

    @property
    def shape(self) -> tuple[int, ...]:
        """(batch, rows, columns, channels) of the output."""
        values = self.planned.output
        return values.batch, *values.sizes, values.channels


def stage_reports(plan: Computation) -> list[StageReport]:
    """A report for each stage; none without a chain."""
    if not isinstance(plan, ChainPlan):
        return []
    fields, reports = (Field(), Field()), []
    for place, stage in enumerate(plan.requested, 1):
        rows, columns = fields = fields[0].after(stage.axes[0]), fields[1].after(stage.axes[1])
        reports.append(StageReport(place, stage, (rows.size, columns.size), (rows.jump, columns.jump)))
    return reports


def stage_rows(report: StageReport, channels: str) -> Rows:
    """A stage as rows of a text.

    Args:
        channels: how the first stage takes those of the image: ``each``, ``gray`` or ``sum``.
    """
    spec, rows = report.planned.spec, Rows()
    label = f"stage {report.place}"
    if isinstance(spec, ActivationStage):
        rows.append((label, f"{spec.name}: {ACTIVATIONS[spec.function].help}"))
    elif isinstance(spec, PoolStage):
        kind = "largest value" if spec.function == "maxpool" else "average"
        rows.append((label, f"{spec.name}: {kind} of each window"))
        amount = str(spec.padding).partition(":")[0]
        rows += geometry_lines(report.geometry, f"{amount}:{_pool_fill(spec)}")
    else:
        rows += kernel_rows(spec.kernel, label)
        groups = f" in {spec.groups} groups" if spec.groups > 1 else ""
        of_image = f", channels {channels}" if report.place == 1 else ""
        rows.append(("operation", f"{operation_text(spec.flip, spec.transposed)}{of_image}{groups}"))
        rows += geometry_lines(report.geometry, str(spec.padding))
    if not isinstance(spec, ActivationStage):
        rows.append(("output", layouts(report.shape)))
        rows.append(("receptive", receptive_text(report.receptive, report.jump)))
    rows.append(("values", _values_text(report.planned)))
    return rows


def _pool_fill(spec: PoolStage) -> str:
    """What a pool takes its padding for."""
    if spec.function == "maxpool":
        return "−∞"
    return "not counted" if spec.padding.amount == "same" else "zero"


def kernel_rows(kernel: Kernel, label: str = "kernel") -> Rows:
    """A kernel's facts and weights as rows of a text."""
    facts = [f"{kernel.name}: weights {kernel.tensor_shape}, sum {sum_text(kernel)}"]
    if any(kernel.biases):
        facts.append(f"bias {bias_text(kernel)}")
    if kernel.combine:
        facts.append(f"maps combined by {kernel.combine}")
    rows = [(label, ", ".join(facts))]
    for title, matrix in matrices(kernel, LARGEST_SIDE):
        rows += [("", title)] if title else []
        rows += [("", f"  {line}") for line in matrix]
    return rows


def _values_text(planned: PlannedStage) -> str:
    """The possible range, and how values are held."""
    values = planned.output
    if values.exact:
        over = f" / {values.denominator}" if values.denominator > 1 else ""
        return f"{values.range_text()} possible, exact ({values.dtype}{over})"
    error = "" if values.error is None else f", error at most {values.error:.2g}"
    return f"{values.range_text()} possible, rounded ({values.dtype}{error})"


def stage_dict(report: StageReport) -> dict[str, Any]:
    """A stage as JSON types."""
    planned, values = report.planned, report.planned.output
    limits = values.range
    return {
        "stage": report.place,
        "kind": planned.spec.kind,
        "name": planned.spec.name,
        "padding": None if isinstance(planned.spec, ActivationStage) else str(planned.spec.padding),
        "operation": _operation(planned),
        "axes": axes_dict(report.geometry),
        "output": {"nhwc": list(report.shape), "nchw": list(to_nchw(report.shape))},
        "receptive_field": list(report.receptive),
        "jump": [step if isinstance(step, int) else float(step) for step in report.jump],
        "parameters": planned.parameters,
        "multiply_adds": planned.multiply_adds,
        "range": [float(limits[0]), float(limits[1])] if limits else None,
        "dtype": str(values.dtype),
        "exact": values.exact,
        "error": values.error,
    }


def _operation(planned: PlannedStage) -> str | None:
    spec = planned.spec
    if not isinstance(spec, ConvolutionStage):
        return None
    return operation_word(spec.flip, spec.transposed)
