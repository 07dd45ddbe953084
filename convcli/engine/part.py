"""The plan of a part of a problem: the same arithmetic and method over other axes, so the same sums."""

from __future__ import annotations

from convcli.core.frozen import replace
from convcli.engine.cutting import fitted_size, strip_size
from convcli.engine.methods.base import Workload
from convcli.engine.methods.registry import method_named
from convcli.engine.plan import Plan
from convcli.geometry.axes import Axis


def part_plan(
    plan: Plan, axes: tuple[Axis, Axis, Axis], batch: int, threads: int, lanes: int | None = None
) -> Plan:
    """A plan that computes a part of the result of another plan.

    Sums that are exact are the same; others are if the method is steady.

    Args:
        plan: of the whole problem; not of a transposed convolution.
        axes: of the part, as `convcli.geometry.region` makes them.
        batch: number of entries.
        threads: that compute it.
        lanes: number of them; None for as many as the whole has.
    """
    problem = replace(plan.problem, axes=axes, batch=batch, lanes=lanes or plan.problem.lanes)
    method = method_named(plan.method)
    work = Workload(problem, plan.arithmetic)
    height, width = fitted_size(method, work, *strip_size(method, work, threads))
    depth, rows, columns = (axis.output for axis in axes)
    strips = batch * depth * -(-rows // height) * -(-columns // width)
    return replace(
        plan,
        problem=problem,
        height=height,
        width=width,
        threads=min(threads, strips),
        borders=(0, 0),
        strip_threads=1,
    )
