"""The contract of the stages of a chain: what one makes of values, planned and computed.

Every stage computes rows of its output from rows that it asks of the stage before. So a chain reads exactly
what its last stage needs, each stage with the border of its own padding, and no map exists at full size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from threading import Event
from typing import Self

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.rounding import Affine
from convcli.engine.chain.values import Values
from convcli.engine.plan import Outcome, Plan, Problem
from convcli.engine.source import Source
from convcli.engine.strips import SharedProgram
from convcli.geometry.axes import Axis, Geometry
from convcli.geometry.padding import Pair
from convcli.layers.stages import Stage


@frozen(eq=False)
class StageOptions:
    """What the stages of a chain share.

    Attributes:
        choose: plans a convolution.
        double: whether floats are float64.
    """

    choose: Callable[[Problem], Plan]
    double: bool = False


class PlannedStage(ABC):
    """A stage of a chain, ready to be computed.

    Attributes:
        spec: the stage as requested.
        axes: (rows, columns), from the stage's input to its output.
        output: the values for a next stage.
        cost: estimated nanoseconds for all values.
    """

    spec: Stage
    axes: tuple[Axis, Axis]
    output: Values
    cost: float

    @property
    def geometry(self) -> Geometry:
        """From the stage's input to its output, with the numbers that were requested."""
        return Geometry(self.axes)

    @property
    @abstractmethod
    def outcome(self) -> Outcome:
        """The values of the last stage, as consumers get them."""

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return 0

    @property
    def multiply_adds(self) -> int:
        """Number of products."""
        return 0

    @property
    def summary(self) -> str:
        """How the stage is computed, in a few words."""
        return f"{self.spec.name} in {self.output.dtype}"

    @abstractmethod
    def row_bytes(self) -> int:
        """About how many bytes of memory a row of the output takes while it is computed."""

    @abstractmethod
    def computer(self, rows: int, halt: Event, shared: SharedProgram) -> StageComputer:
        """What computes up to ``rows`` rows at a time, for one worker."""


class StageComputer(AbstractContextManager["StageComputer"]):
    """Computes rows of a stage; used by one thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    @abstractmethod
    def numbers(self, source: Source, batch: int, rows: Pair) -> Array:
        """The numbers of some rows, (maps, rows, columns, lanes), for the next stage.

        They lie in scratch memory, which the next call overwrites.
        """

    def sums(self, source: Source, batch: int, rows: Pair) -> Array:
        """The same for a consumer, in the terms of the stage's outcome."""
        return self.numbers(source, batch, rows)


class StageSource:
    """The output of a stage as the source of the next one, for one worker: computed when it is asked for.

    The latest rows are kept, because a stage with several maps asks for them once for each.
    """

    def __init__(self, planned: PlannedStage, computer: StageComputer, source: Source, most: int) -> None:
        self.planned, self.computer, self.source, self.most = planned, computer, source, most
        self.dtype = planned.output.dtype
        self.kept: tuple[int, int, int] | None = None

    def rows(self, batch: int, first: int, last: int) -> Array:
        """Rows of a batch entry, (1, rows, columns, maps, lanes)."""
        if self.kept is None or self.kept[0] != batch or not self.kept[1] <= first <= last <= self.kept[2]:
            self.kept = None  # until the computation succeeds
            self.block = self._computed(batch, first, last)
            self.kept = batch, first, last
        _, start, _ = self.kept
        part = self.block[:, first - start : last - start]
        shaped: Array = part.transpose(1, 2, 0, 3)[None]
        return shaped

    def _computed(self, batch: int, first: int, last: int) -> Array:
        """Rows in parts that the computer can hold; a border that wraps around may need many at once."""
        if last - first <= self.most:
            return self.computer.numbers(self.source, batch, (first, last))
        starts: Sequence[int] = range(first, last, self.most)
        parts = [
            self.computer.numbers(self.source, batch, (start, min(start + self.most, last))).copy()
            for start in starts
        ]
        return np.concatenate(parts, axis=1)


def one_to_one(sizes: Pair) -> tuple[Axis, Axis]:
    """The axes of a stage that keeps sizes."""
    return Axis(sizes[0], 1), Axis(sizes[1], 1)


def plain_outcome(values: Values) -> Outcome:
    """The numbers of a stage as its outcome."""
    affine = Affine.exact(Fraction(1, values.denominator), Fraction(0))
    bounds = ((values.low, values.high),) * values.maps
    return Outcome(values.dtype, bounds, (affine,) * values.maps, values.exact)
