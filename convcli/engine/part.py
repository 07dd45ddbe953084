"""The plan of a part of a problem: the same arithmetic and method over other axes, so the same sums."""

from __future__ import annotations

import numpy as np

from convcli.core.frozen import replace
from convcli.engine.cutting import fitted_size, strip_size
from convcli.engine.filter import Filter
from convcli.engine.methods.base import Workload
from convcli.engine.methods.registry import REFERENCE, method_named
from convcli.engine.phases import has_gaps, phase_arithmetic, phase_problem, phases
from convcli.engine.plan import Phase, Plan, Problem
from convcli.geometry.axes import Axis


def part_plan(
    plan: Plan, axes: tuple[Axis, Axis, Axis], batch: int, threads: int, lanes: int | None = None
) -> Plan:
    """A plan that computes a part of the result of another plan.

    Sums that are exact are the same; others are if the method is steady.

    Args:
        plan: of the whole problem.
        axes: of the part, as `convcli.geometry.region` makes them.
        batch: number of entries.
        threads: that compute it.
        lanes: number of them; None for as many as the whole has.
    """
    problem = replace(plan.problem, axes=axes, batch=batch, lanes=lanes or plan.problem.lanes)
    if plan.phases:
        return _in_phases(plan, problem, threads)
    method = method_named(plan.method)
    work = Workload(problem, plan.arithmetic)
    height, width = fitted_size(method, work, *strip_size(method, work, threads))
    return replace(
        plan,
        problem=problem,
        height=height,
        width=width,
        threads=min(threads, _strips(problem, height, width)),
        borders=(0, 0),
        strip_threads=1,
    )


def _strips(problem: Problem, height: int, width: int) -> int:
    depth, rows, columns = (axis.output for axis in problem.axes)
    return problem.batch * depth * -(-rows // height) * -(-columns // width)


def _in_phases(plan: Plan, problem: Problem, threads: int) -> Plan:
    """The plan of a part of a transposed convolution.

    Its phases are those of the whole, but begin at other outputs: they are found by their taps.
    """
    known = {_taps(phase): part for phase, part in plan.phases}
    split = phases(problem)
    height, width = min(plan.height, problem.rows.output), min(plan.width, problem.columns.output)
    whole = replace(
        plan,
        problem=problem,
        threads=min(threads, _strips(problem, height, width)),
        borders=(0, 0),
        strip_threads=1,
        phases=(),
        gaps=has_gaps(problem, split),
    )
    parts = tuple((phase, _phase_plan(known.get(_taps(phase)), whole, phase)) for phase in split)
    return replace(whole, phases=parts).cut(height, width)


def _taps(phase: Phase) -> tuple[tuple[int, int], ...]:
    return tuple((part.tap, part.tap_step) for part in phase)


def _phase_plan(like: Plan | None, whole: Plan, phase: Phase) -> Plan:
    """The plan of a phase of a part, before it is cut; like that of the whole's, where that has the phase.

    Where no output of the part has a tap, its only phase reads nothing but padding, and its sums are 0: not
    −0, which a negative weight would make of the padding.
    """
    problem = phase_problem(whole.problem, phase)
    if like is None:
        nothing = _without_weights(phase_arithmetic(whole.arithmetic, phase).filter)
        arithmetic = replace(whole.arithmetic, filter=nothing)
        problem = replace(problem, filter=nothing)
        return replace(whole, problem=problem, arithmetic=arithmetic, method=REFERENCE, gaps=False)
    return replace(
        whole,
        problem=replace(problem, filter=like.problem.filter),
        arithmetic=like.arithmetic,
        method=like.method,
        candidates=like.candidates,
        gaps=False,
    )


def _without_weights(filter_: Filter) -> Filter:
    return Filter(np.zeros_like(filter_.weights), filter_.denominator, filter_.bias, filter_.combine)
