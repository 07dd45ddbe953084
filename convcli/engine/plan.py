"""A convolution to compute, as a `Problem`, and how it will be computed, as a `Plan`.

Both are made from shapes, types and the kernel alone, never from pixels: a plan can be printed before any
pixel is read.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from convcli.core.dtypes import DType, span
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import counted
from convcli.core.rational import Number
from convcli.core.rounding import Affine
from convcli.engine.filter import OTHER, Filter, ValueKind
from convcli.geometry.axes import Axis, Strip, strips
from convcli.geometry.padding import Fill, Pair
from convcli.geometry.phases import AxisPhase
from convcli.native.loader import description

Phase = tuple[AxisPhase, AxisPhase, AxisPhase]
"""Outputs that read the same taps: their phases along depth, rows and columns."""


@frozen
class Problem:
    """One convolution of an array (batch, depth, rows, columns, channels, lanes).

    ``channels`` are summed, as a layer does, in ``groups``; ``lanes`` are filtered alike, each by itself,
    as the colors of an image are. The result is (batch, depth, rows, columns, maps, lanes).
    """

    axes: tuple[Axis, Axis, Axis]
    filter: Filter
    dtype: DType
    fill: Fill = Fill()
    batch: int = 1
    channels: int = 1
    lanes: int = 1
    groups: int = 1
    double: bool = False
    outside: tuple[float, ...] = ()
    """The constant fill of each lane, where lanes differ; empty otherwise."""
    limits: tuple[float, float] | None = None
    """Lowest and highest value of the input, where they are known; None for those of its type."""

    @property
    def depth(self) -> Axis:
        """The first axis; of size 1 for images."""
        return self.axes[0]

    @property
    def rows(self) -> Axis:
        return self.axes[1]

    @property
    def columns(self) -> Axis:
        return self.axes[2]

    @property
    def span(self) -> tuple[int, int]:
        """Lowest and highest value that a window of integers can hold, padding included."""
        low, high = self.value_range or span(self.dtype)
        return int(low), int(high)

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Lowest and highest value that a window can hold, padding included; None where nothing is known."""
        if self.limits is None and self.dtype.kind == "f":
            return None
        low, high = self.limits or span(self.dtype)
        fills = self.outside or (self.fill.value,)
        if self.fill.mode == "constant" and self.has_padding:
            low, high = min(low, *fills), max(high, *fills)
        return low, high

    @property
    def has_padding(self) -> bool:
        """Whether any window may read positions without a pixel."""
        return any(axis.before or axis.after or axis.spread > 1 for axis in self.axes)

    def channel(self, index: int, channel: int) -> int:
        """The input channel that map ``index`` reads as its ``channel``-th."""
        group = index // (self.filter.maps // self.groups)
        return group * self.filter.inputs + channel

    @property
    def values(self) -> int:
        """Values of the result, all maps together."""
        depth, rows, columns = (axis.output for axis in self.axes)
        return self.batch * depth * rows * columns * self.filter.maps * self.lanes


@frozen(eq=False)
class Arithmetic:
    """The number type of the sums, and what is known about them.

    Attributes:
        dtype: type of the sums and the weights, and of the loaded pixels unless ``loaded`` says otherwise.
        filter: the filter in that arithmetic: integers, or floats.
        bounds: per map, the range that the sums can have; infinite where unknown.
        exact: whether the sums are exact integers (over the filter's denominator), in whatever type.
        reason: why this type was chosen.
        loaded: a narrower type for the pixels, if a method's first sums need no more.
    """

    dtype: DType
    filter: Filter
    bounds: tuple[tuple[float, float], ...]
    exact: bool
    reason: str
    loaded: DType | None = None


@frozen(eq=False)
class Outcome:
    """The sums after maps are combined: their type, and per map their bounds and their meaning as values."""

    dtype: DType
    bounds: tuple[tuple[float, float], ...]
    affines: tuple[Affine, ...]
    exact: bool

    @property
    def maps(self) -> int:
        """Number of maps."""
        return len(self.bounds)


@frozen
class Candidate:
    """A method that was considered: its cost, in nanoseconds per value, or why it cannot be used."""

    method: str
    cost: float | None = None
    refusal: str = ""

    def __str__(self) -> str:
        answer = f"not applicable: {self.refusal}" if self.cost is None else f"{self.cost:.2f} ns per value"
        return f"{self.method:<10} {answer}"


@frozen(eq=False)
class Plan:
    """How a feature map will be computed.

    Attributes:
        outcome: what the engine hands to consumers.
        method: a name of `methods.registry.NAMES`.
        height, width: output rows and columns of a strip.
        threads: number of threads.
        candidates: every method that was considered.
    """

    problem: Problem
    arithmetic: Arithmetic
    outcome: Outcome
    method: str
    height: int
    width: int
    threads: int
    candidates: tuple[Candidate, ...]
    borders: Pair = (0, 0)
    """Columns at the left and right edges that are strips of their own, so that the others need no copy."""
    strip_threads: int = 1
    """Threads that compute a strip together, in the extension; the others compute strips of their own."""
    backend: str = "threads"
    """What executes the plan (`backends.registry`)."""
    phases: tuple[tuple[Phase, Plan], ...] = ()
    """Where there are zeros between pixels, the ordinary convolutions that compute the result together."""
    gaps: bool = False
    """Whether outputs of no phase are left, which are 0."""
    steady: bool = False
    """Whether parts of the image, by the same methods, give the same bytes: sums are exact or depend on their
    own windows only."""

    def strips(self) -> list[Strip]:
        """The strips of one depth position; separate border columns are tall strips at the end."""
        rows, columns = (0, self.problem.rows.output), self.problem.columns.output
        left, right = self.borders
        parts = list(strips(rows, (left, columns - right), self.height, self.width))
        for edge in ((0, left), (columns - right, columns)):
            if edge[0] < edge[1]:
                height = self.height * max(self.width // (edge[1] - edge[0]), 1)
                parts += strips(rows, edge, height, self.width)
        return parts

    def cut(self, height: int, width: int) -> Plan:
        """The plan with strips of another size, of which each phase has its share."""
        phases = tuple(
            (phase, plan.cut(*_share(phase, plan.problem, height, width))) for phase, plan in self.phases
        )
        return replace(self, height=height, width=width, phases=phases)

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """From the input to the result: (depth, rows, columns)."""
        return self.problem.axes

    @property
    def lanes(self) -> int:
        """Lanes of the result."""
        return self.problem.lanes

    @property
    def values_per_map(self) -> int:
        """Values of each map of the result."""
        return self.problem.values // self.problem.filter.maps

    @property
    def unit(self) -> int:
        """The sum that means 1."""
        return self.problem.filter.denominator

    @property
    def biases(self) -> tuple[Number, ...]:
        """The bias of each map."""
        return self.problem.filter.bias

    @property
    def is_average(self) -> bool:
        """Whether the weights of every map sum to 1."""
        return self.problem.filter.is_average

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.problem.filter.weights.size

    @property
    def kind(self) -> ValueKind:
        """How values of the result relate to those of the input."""
        kinds = {plan.kind for _, plan in self.phases} or {self.problem.filter.kind}
        return kinds.pop() if len(kinds) == 1 and not self.gaps else OTHER

    @property
    def dtype(self) -> DType:
        """Type of the sums."""
        return self.arithmetic.dtype

    @property
    def exact(self) -> bool:
        """Whether sums are exact, before they are combined."""
        return self.arithmetic.exact

    @property
    def reason(self) -> str:
        """Why the sums have their number type."""
        return self.arithmetic.reason

    @cached_property
    def roundoff(self) -> tuple[float, ...]:
        """Per map, how far float sums of values up to 1 may be from exact ones; 0 for exact sums."""
        filter_, dtype = self.problem.filter, self.arithmetic.dtype
        if self.outcome.exact:
            return (0.0,) * self.outcome.maps
        weights = np.abs(filter_.weights.astype(np.float64)).reshape(-1, filter_.maps)
        epsilon = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
        return tuple((len(weights) * epsilon / filter_.denominator * weights.sum(axis=0)).tolist())

    @cached_property
    def methods(self) -> frozenset[str]:
        """The methods that are used."""
        return frozenset(plan.method for _, plan in self.phases) | {self.method}

    @property
    def workers(self) -> int:
        """Workers that compute strips of their own."""
        return self.threads // self.strip_threads

    @property
    def summary(self) -> str:
        """One line: method, number type, strips and threads."""
        kind = "exact" if self.exact else "rounded, steady" if self.steady else "rounded"
        workers = counted(self.threads, "thread")
        if self.backend != "threads":
            workers = f"{counted(self.threads, 'worker')} ({self.backend})"
        cut = f"strips of {counted(self.height, 'row')}"
        if self.width < self.problem.columns.output:
            cut += f" × {counted(self.width, 'column')}"
        if self.phases:
            cut = f"{counted(len(self.phases), 'phase')}, {cut}"
        return f"{self.method} in {self.arithmetic.dtype} ({kind}), {cut}, {workers}"

    def __str__(self) -> str:
        rows = [self.summary, f"  {self.arithmetic.reason}"]
        for candidate in self.candidates:
            mark = "→" if candidate.method == self.method else " "
            rows.append(f"  {mark} {candidate}")
        rows.append(f"  compiled extension: {description()}")
        return "\n".join(rows)


def _share(phase: Phase, problem: Problem, height: int, width: int) -> tuple[int, int]:
    """The largest (rows, columns) of a phase's outputs in a strip of ``height`` × ``width``."""
    _, rows, columns = phase
    return (
        min(-(-height // rows.step), problem.rows.output),
        min(-(-width // columns.step), problem.columns.output),
    )
