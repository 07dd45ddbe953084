"""Convolutions as stages: a kernel over the feature maps of the stage before."""

from __future__ import annotations

from math import inf, isfinite, lcm, prod, sqrt
from threading import Event
from typing import Final, Self

import numpy as np

from convcli.core.dtypes import Array, DType, accumulator
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import counted
from convcli.core.rounding import Affine
from convcli.engine.chain.stage import PlannedStage, StageComputer, StageOptions
from convcli.engine.chain.values import Values
from convcli.engine.combine import NORMS, UNSCALED
from convcli.engine.consumer import StripTask
from convcli.engine.cutting import strip_bytes
from convcli.engine.filter import OTHER, PIXELS, SIGNED, Filter, ValueKind
from convcli.engine.methods.base import Workload
from convcli.engine.methods.registry import method_named
from convcli.engine.phased import Computer, plan_computer
from convcli.engine.phases import kind_in_phases
from convcli.engine.plan import Outcome, Plan, Problem
from convcli.engine.source import Source
from convcli.engine.strips import SharedProgram
from convcli.geometry.axes import Axis, Geometry, Strip
from convcli.geometry.padding import Fill, Pair
from convcli.layers.stages import ConvolutionStage

_LARGEST_DENOMINATOR: Final = 2**62
"""Above this, values are floats: integers over it would not fit in 64 bits."""


@frozen(eq=False)
class PlannedConvolution(PlannedStage):
    """A convolution of every map, or over all channels.

    Attributes:
        source: the values that it reads.
        plan: of one run.
        runs: how often it runs: once for each map that it filters on its own.
        steps: from the sums of each map to numbers over the common denominator of ``output``.
    """

    spec: ConvolutionStage
    source: Values
    plan: Plan
    runs: int
    steps: tuple[Affine, ...]
    output: Values

    @property
    def axes(self) -> tuple[Axis, Axis]:  # type: ignore[override]
        return self.plan.problem.rows, self.plan.problem.columns

    @property
    def geometry(self) -> Geometry:
        return self.spec.geometry(self.source.sizes) if self.spec.transposed else Geometry(self.axes)

    @property
    def cost(self) -> float:  # type: ignore[override]
        chosen = next(entry for entry in self.plan.candidates if entry.method == self.plan.method)
        return (chosen.cost or 0.0) * self.plan.problem.values * self.runs

    @property
    def outcome(self) -> Outcome:
        own = self.plan.outcome
        return replace(own, bounds=own.bounds * self.runs, affines=own.affines * self.runs)

    @property
    def parameters(self) -> int:
        kernel = self.spec.kernel
        return kernel.weights.size + (kernel.maps if kernel.bias else 0)

    @property
    def multiply_adds(self) -> int:
        filter_ = self.plan.problem.filter
        values = self.plan.problem.values
        if self.spec.transposed:  # every value of the input is multiplied with every weight
            values = values // prod(self.output.sizes) * prod(self.source.sizes)
        return values * self.runs * int(np.prod(filter_.kernel)) * filter_.inputs

    @property
    def summary(self) -> str:
        kind = "exact" if self.plan.exact else "rounded"
        return f"{self.spec.name} by {self.plan.method} in {self.plan.arithmetic.dtype} ({kind})"

    def row_bytes(self) -> int:
        rows = min(64, self.output.sizes[0])
        own = self.output.channels * self.output.sizes[1] * self.output.dtype.itemsize * (1 + self._converts)
        return -(-strip_bytes(self.plan.cut(rows, self.plan.width)) // rows) + own

    @property
    def _converts(self) -> bool:
        return self.runs > 1 or any(step != Affine() for step in self.steps)

    def computer(self, rows: int, halt: Event, shared: SharedProgram) -> StageComputer:
        plan = self.plan.cut(max(rows, 1), self.plan.width)
        return _Computer(self, plan_computer(plan, halt, shared))


def planned_first(spec: ConvolutionStage, problem: Problem, options: StageOptions) -> PlannedConvolution:
    """The first stage, which reads the source itself."""
    is_exact = problem.dtype.kind != "f"
    low, high = problem.span if is_exact else (-inf, inf)
    sizes = problem.rows.size, problem.columns.size
    source = Values(problem.batch, sizes, 1, problem.lanes, problem.dtype, low, high, 1, is_exact, PIXELS)
    return _planned(spec, problem, 1, source, options, kind_in_phases(problem, problem.filter))


def planned(spec: ConvolutionStage, values: Values, options: StageOptions) -> PlannedConvolution:
    """The stage over the output of the one before.

    Raises:
        ArgumentError: the kernel takes another number of channels, or is larger than the padded maps.
    """
    kernel = spec.kernel
    if kernel.spatial != 2:
        raise ArgumentError(f"kernel {kernel.name} filters volumes; the stages of a chain filter images")
    inputs = kernel.tensor_shape[2] * spec.groups
    each = inputs == 1
    if not each and (inputs != values.channels or (values.maps > 1 and values.lanes > 1)):
        raise ArgumentError(_mismatch(spec, inputs, values))
    if kernel.maps % spec.groups:
        raise ArgumentError(
            f"kernel {kernel.name} has {counted(kernel.maps, 'map')}, "
            f"which cannot be split into {spec.groups} groups"
        )
    shape = spec.geometry(values.sizes)
    filter_ = Filter.of(kernel, spatial=2, flip=spec.rotates, bias=kernel.own_bias)
    problem = Problem(
        axes=(Axis(1, 1), *_pair(shape)),
        filter=replace(filter_, denominator=filter_.denominator * values.denominator),
        dtype=values.dtype,
        fill=_scaled_fill(spec.padding.fill, values.denominator),
        batch=values.batch,
        channels=1 if each else values.channels,
        lanes=values.lanes if each else 1,
        groups=spec.groups,
        double=options.double,
        limits=values.limits,
    )
    return _planned(
        spec, problem, values.maps if each else 1, values, options, kind_in_phases(problem, filter_)
    )


def replanned(
    stage: PlannedConvolution,
    spec: ConvolutionStage,
    problem: Problem,
    options: StageOptions,
    kind: ValueKind,
) -> PlannedConvolution:
    """Another convolution of what a stage reads, whose values are of a kind."""
    made = _planned(spec, problem, stage.runs, stage.source, options, kind)
    return replace(made, output=replace(made.output, kind=kind))


def _pair(shape: Geometry) -> tuple[Axis, Axis]:
    rows, columns = shape.axes
    return rows, columns


def _mismatch(spec: ConvolutionStage, inputs: int, values: Values) -> str:
    per_map = f" of {counted(values.lanes, 'channel')} each" if values.maps > 1 and values.lanes > 1 else ""
    available = values.maps if values.maps > 1 else values.lanes
    what = "map" if values.maps > 1 else "channel"
    groups = f" in {spec.groups} groups" if spec.groups > 1 else ""
    advice = "; filter the image with --channels gray or sum first" if per_map else ""
    return (
        f"kernel {spec.kernel.name} takes {counted(inputs, 'channel')}{groups}, "
        f"but the stage before gives {counted(available, what)}{per_map}{advice}"
    )


def _scaled_fill(fill: Fill, denominator: int) -> Fill:
    """A fill in terms of numbers over a denominator."""
    if fill.mode != "constant" or not fill.value:
        return fill
    value = fill.value * denominator
    return Fill("constant", int(value) if float(value).is_integer() else value)


def _planned(
    spec: ConvolutionStage,
    problem: Problem,
    runs: int,
    values: Values,
    options: StageOptions,
    own_kind: ValueKind,
) -> PlannedConvolution:
    plan = options.choose(problem)
    plan = replace(plan, borders=(0, 0)).cut(plan.height, problem.columns.output)
    steps, output = _numbers(plan, runs)
    output = replace(output, kind=_kind(values.kind, own_kind), error=_error(plan, values))
    return PlannedConvolution(spec, values, plan, runs, steps, output)


def _kind(before: ValueKind, own: ValueKind) -> ValueKind:
    """What a convolution makes of values of a kind: averages keep it."""
    if own.low is not None:
        return own
    if own == PIXELS and before in (PIXELS, SIGNED):
        return before
    return SIGNED if own == SIGNED else OTHER


def _numbers(plan: Plan, runs: int) -> tuple[tuple[Affine, ...], Values]:
    """From sums to numbers: what is done to each map, and the resulting values."""
    outcome = plan.outcome
    denominator = lcm(*(affine.denominator for affine in outcome.affines))
    exact = outcome.exact and all(affine.is_exact for affine in outcome.affines)
    exact = exact and denominator < _LARGEST_DENOMINATOR
    if exact or all(affine.is_exact for affine in outcome.affines):
        steps = tuple(
            Affine(
                int(affine.gain) * (denominator // affine.denominator),
                int(affine.offset) * (denominator // affine.denominator),
                1,
            )
            for affine in outcome.affines
        )
    else:
        denominator = 1
        steps = tuple(affine.as_floats() for affine in outcome.affines)
    ends = [
        sorted((step.scaled(low), step.scaled(high)))
        for step, (low, high) in zip(steps, outcome.bounds, strict=True)
    ]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    dtype: DType | None = accumulator(int(low), int(high)) if exact else outcome.dtype
    if dtype is None:  # not even 64 bits hold them
        exact, dtype = False, np.dtype(np.float64)
    if not exact and dtype.kind != "f":
        dtype = np.dtype(np.float64)
    if exact and outcome.dtype.kind in "iu" and all(step == Affine() for step in steps):
        dtype = outcome.dtype  # as they are
    problem = plan.problem
    sizes = problem.rows.output, problem.columns.output
    return steps, Values(
        problem.batch,
        sizes,
        outcome.maps * runs,
        problem.lanes,
        dtype,
        low,
        high,
        denominator,
        exact,
        OTHER,
        double=problem.double,
    )


def _error(plan: Plan, values: Values) -> float | None:
    """How far values may be from exact ones: the errors of the input, weighted, and those of the sums."""
    filter_, ends = plan.problem.filter, plan.problem.value_range
    if plan.outcome.exact and not values.error:
        return 0.0
    if filter_.combine in UNSCALED or values.error is None or ends is None:
        return None
    weights = np.abs(filter_.weights.astype(np.float64)).reshape(-1, filter_.maps)
    total = values.error * values.denominator * float(weights.sum(axis=0).max())
    if not plan.exact:
        work = Workload(plan.problem, plan.arithmetic)
        total += method_named(plan.method).error(work, max(map(abs, ends)))
    if filter_.combine in NORMS:
        total = _of_norm(total, plan)
    return total / filter_.denominator if isfinite(total) else None


def _of_norm(error: float, plan: Plan) -> float:
    """The error of a norm of sums that have an error each, which is rounded itself."""
    outcome, maps = plan.outcome, plan.problem.filter.maps
    own = 0.0
    if outcome.dtype.kind == "f":
        own = 2 * maps * float(np.finfo(outcome.dtype).eps) * max(map(abs, outcome.bounds[0]))
    return error * {"l1": maps, "l2": sqrt(maps), "linf": 1}[plan.problem.filter.combine or ""] + own


class _Computer(StageComputer):
    """Runs the plan of a convolution for some rows."""

    def __init__(self, planned: PlannedConvolution, strips: Computer) -> None:
        self.planned, self.strips = planned, strips
        self.results: Array = np.empty(0)

    def __enter__(self) -> Self:
        self.strips.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.strips.__exit__(*error)

    def sums(self, source: Source, batch: int, rows: Pair) -> Array:
        planned = self.planned
        if planned.runs == 1:
            return self._run(_Summed.of(source, planned.plan.problem), batch, rows)
        outcome, values = planned.plan.outcome, planned.output
        results = self._scratch(
            (values.maps, rows[1] - rows[0], values.sizes[1], values.lanes), outcome.dtype
        )
        for run in range(planned.runs):
            part = results[run * outcome.maps : (run + 1) * outcome.maps]
            part[...] = self._run(_OneMap(source, run), batch, rows)
        return results

    def numbers(self, source: Source, batch: int, rows: Pair) -> Array:
        planned, values = self.planned, self.planned.output
        sums = self.sums(source, batch, rows)
        if sums.dtype == values.dtype and all(step == Affine() for step in planned.steps):
            return sums
        results = sums if sums.dtype == values.dtype else np.empty(sums.shape, values.dtype)
        for index, step in enumerate(planned.steps * planned.runs):
            form = {"out": results[index], "dtype": values.dtype, "casting": "unsafe"}
            np.multiply(sums[index], step.gain, **form)
            if step.offset:
                np.add(results[index], step.offset, **form)
        return results

    def _run(self, source: Source, batch: int, rows: Pair) -> Array:
        columns = 0, self.planned.plan.problem.columns.output
        return self.strips.compute(source, StripTask(batch, 0, Strip(rows, columns)))

    def _scratch(self, shape: tuple[int, ...], dtype: DType) -> Array:
        if self.results.shape != shape or self.results.dtype != dtype:
            self.results = np.empty(shape, dtype)
        return self.results


@frozen(eq=False)
class _OneMap:
    """One map of a source."""

    source: Source
    map: int

    @property
    def dtype(self) -> DType:
        return self.source.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        part: Array = self.source.rows(batch, first, last)[..., self.map : self.map + 1, :]
        return part


@frozen(eq=False)
class _Summed:
    """A source whose lanes are channels to be summed."""

    source: Source

    @classmethod
    def of(cls, source: Source, problem: Problem) -> Source:
        """The source as a problem reads it."""
        return source if problem.channels == 1 or problem.lanes > 1 else cls(source)

    @property
    def dtype(self) -> DType:
        return self.source.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        block = self.source.rows(batch, first, last)
        return block if block.shape[-1] == 1 else block.swapaxes(-1, -2)
