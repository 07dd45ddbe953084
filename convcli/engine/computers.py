"""What backends execute, and what computes its strips: of one convolution, or of a chain."""

from __future__ import annotations

from threading import Event

from convcli.engine.chain.computer import ChainComputer, heights
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.cutting import strip_bytes
from convcli.engine.phased import Computer, plan_computer
from convcli.engine.plan import Plan
from convcli.engine.strips import SharedProgram

Computation = Plan | ChainPlan
"""What backends execute, and what the pipeline asks for its result."""


def computer_of(
    plan: Computation, halt: Event | None = None, shared: SharedProgram | None = None
) -> Computer:
    """The computer of a plan's strips, for one worker.

    Args:
        halt: set by another thread when results are no longer wanted.
        shared: the programs that all workers of the plan use.
    """
    halt, shared = halt or Event(), shared or SharedProgram()
    if isinstance(plan, ChainPlan):
        return ChainComputer(plan, halt, shared)
    return plan_computer(plan, halt, shared)


def strip_memory(plan: Computation) -> int:
    """Bytes that a worker takes for a strip."""
    if not isinstance(plan, ChainPlan):
        return strip_bytes(plan)
    return sum(stage.row_bytes() * rows for stage, rows in zip(plan.stages, heights(plan), strict=True))
