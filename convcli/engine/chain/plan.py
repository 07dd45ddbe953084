"""How a chain of stages will be computed."""

from __future__ import annotations

from functools import cached_property, reduce

from convcli.core.dtypes import DType
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import counted
from convcli.engine.chain.convolution import PlannedConvolution
from convcli.engine.chain.stage import PlannedStage
from convcli.engine.chain.values import Values
from convcli.engine.filter import PIXELS, ValueKind
from convcli.engine.plan import Candidate, Outcome, Problem
from convcli.geometry.axes import Axis, Strip, composed, strips
from convcli.native.loader import description


@frozen(eq=False)
class ChainPlan:
    """A convolution and the stages after it, computed strip by strip.

    Attributes:
        requested: the stages one by one.
        stages: those that are computed, some of which do the work of two; the first reads the source.
        height: output rows of a strip.
        threads: number of threads.
    """

    requested: tuple[PlannedStage, ...]
    stages: tuple[PlannedStage, ...]
    height: int
    threads: int
    backend: str = "threads"

    @property
    def first(self) -> PlannedConvolution:
        """The convolution of the source."""
        stage = self.stages[0]
        assert isinstance(stage, PlannedConvolution)
        return stage

    @property
    def problem(self) -> Problem:
        """The first convolution, which reads the source."""
        return self.first.plan.problem

    @property
    def output(self) -> Values:
        """The values of the last stage."""
        return self.stages[-1].output

    @cached_property
    def outcome(self) -> Outcome:
        """What consumers get."""
        return self.stages[-1].outcome

    @cached_property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """From the source to the result: receptive fields as windows."""
        rows, columns = (reduce(composed, (stage.axes[index] for stage in self.stages)) for index in range(2))
        return self.problem.depth, rows, columns

    @property
    def lanes(self) -> int:
        """Lanes of the result."""
        return self.output.lanes

    @property
    def kind(self) -> ValueKind:
        """How values of the result relate to those of the source."""
        return self.output.kind

    @property
    def values_per_map(self) -> int:
        """Values of each map of the result."""
        rows, columns = self.output.sizes
        return self.output.batch * rows * columns * self.output.lanes

    @property
    def unit(self) -> int:
        """The sum that means 1."""
        return self.output.denominator

    @property
    def biases(self) -> tuple[float, ...]:
        """The bias of each map, which is none of its own: stages before have added theirs."""
        return (0,) * self.outcome.maps

    @property
    def is_average(self) -> bool:
        """Whether values are averages of those of the source."""
        return self.output.kind == PIXELS

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(stage.plan.weights for stage in self._convolutions)

    @property
    def dtype(self) -> DType:
        """Type of the last stage's values."""
        return self.outcome.dtype

    @property
    def width(self) -> int:
        """Columns of a strip: all of them."""
        return self.output.sizes[1]

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Methods that were considered; each stage has its own."""
        return ()

    @property
    def exact(self) -> bool:
        """Whether nothing is rounded before the end."""
        return all(stage.output.exact for stage in self.stages[:-1]) and self.outcome.exact

    @property
    def steady(self) -> bool:
        """Whether parts of the image give the same bytes; activations and pools always do."""
        return all(stage.plan.steady for stage in self._convolutions)

    @property
    def reason(self) -> str:
        """Why the values are exact, or how far they may be from exact ones."""
        if self.exact:
            over = f" over {self.output.denominator}" if self.output.denominator > 1 else ""
            return f"values between stages are integers{over}, held exactly"
        if self.output.error is None:
            return "values are rounded between stages, without a bound on the error"
        return f"values are rounded between stages; the error is at most {self.output.error:.2g}"

    @cached_property
    def roundoff(self) -> tuple[float, ...]:
        """Per map, how far values may be from exact ones, relative to the largest value of the source."""
        error = self.output.error or 0.0
        largest = max(map(abs, self.problem.span)) if self.problem.dtype.kind != "f" else 0
        return (error / largest if largest else 0.0,) * self.outcome.maps

    def cut(self, height: int, width: int) -> ChainPlan:
        """The plan with strips of another height; they are as wide as the result."""
        return replace(self, height=height)

    @cached_property
    def methods(self) -> frozenset[str]:
        """The methods that are used."""
        return frozenset(name for stage in self._convolutions for name in stage.plan.methods)

    @property
    def _convolutions(self) -> list[PlannedConvolution]:
        return [stage for stage in self.stages if isinstance(stage, PlannedConvolution)]

    @property
    def method(self) -> str:
        """The methods of the convolutions, in order."""
        return "+".join(stage.plan.method for stage in self._convolutions)

    @property
    def workers(self) -> int:
        """Workers that compute strips of their own."""
        return self.threads

    def strips(self) -> list[Strip]:
        """The strips of one batch entry."""
        _, rows, columns = self.axes
        return list(strips((0, rows.output), (0, columns.output), self.height, columns.output))

    @property
    def summary(self) -> str:
        """One line: stages, strips and threads."""
        kind = "exact" if self.exact else "rounded, steady" if self.steady else "rounded"
        stages = counted(len(self.requested), "stage")
        if len(self.stages) < len(self.requested):
            stages += f" computed as {len(self.stages)}"
        cut = f"strips of {counted(self.height, 'row')}"
        return f"{stages} ({kind}), {cut}, {counted(self.threads, 'thread')}"

    def __str__(self) -> str:
        rows = [self.summary, f"  {self.reason}"]
        for place, stage in enumerate(self.stages, 1):
            rows.append(f"  {place}. {stage.summary}: {stage.cost / 1e6:.1f} ms estimated")
            if isinstance(stage, PlannedConvolution):
                rows.append(f"     {stage.plan.reason}")
        rows.append(f"  compiled extension: {description()}")
        return "\n".join(rows)
