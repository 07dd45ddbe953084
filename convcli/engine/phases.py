"""A convolution over an image with zeros between its pixels, as ordinary convolutions of the image itself."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from convcli.core.frozen import replace
from convcli.engine.filter import OTHER, Filter, ValueKind
from convcli.engine.plan import Arithmetic, Phase, Problem
from convcli.geometry.phases import axis_phases


def is_spread(problem: Problem) -> bool:
    """Whether there are zeros between the pixels of a problem."""
    return any(axis.spread > 1 for axis in problem.axes)


def phases(problem: Problem) -> list[Phase]:
    """The phases of a problem; outputs that belong to none are 0."""
    depth, rows, columns = map(axis_phases, problem.axes)
    return list(product(depth, rows, columns))


def has_gaps(problem: Problem, parts: list[Phase]) -> bool:
    """Whether some outputs belong to no phase."""
    outputs = sum(prod(phase.axis.output for phase in part) for part in parts)
    return outputs < prod(axis.output for axis in problem.axes)


def kind_in_phases(problem: Problem, filter_: Filter) -> ValueKind:
    """What a filter makes of pixels where the phases of a problem each have a part of its taps."""
    parts = phases(problem)
    kinds = {_taps(filter_, phase).kind for phase in parts}
    return kinds.pop() if len(kinds) == 1 and not has_gaps(problem, parts) else OTHER


def phase_problem(problem: Problem, phase: Phase) -> Problem:
    """The ordinary convolution of a phase's outputs."""
    depth, rows, columns = (part.axis for part in phase)
    return replace(problem, axes=(depth, rows, columns), filter=_taps(problem.filter, phase))


def phase_arithmetic(arithmetic: Arithmetic, phase: Phase) -> Arithmetic:
    """The number type of all phases, which holds the sums of any, with a phase's taps."""
    return replace(arithmetic, filter=_taps(arithmetic.filter, phase))


def _taps(filter_: Filter, phase: Phase) -> Filter:
    depth, rows, columns = (part.taps for part in phase)
    weights = np.ascontiguousarray(filter_.weights[depth, rows, columns])
    return Filter(weights, filter_.denominator, filter_.bias, filter_.combine)
