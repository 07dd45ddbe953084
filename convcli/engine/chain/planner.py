"""A problem and the stages after it become a plan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from convcli.core.errors import ArgumentError
from convcli.core.system import processors
from convcli.engine.chain import convolution
from convcli.engine.chain.composition import composition
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.chain.registry import planned
from convcli.engine.chain.stage import PlannedStage, StageOptions
from convcli.engine.plan import Problem
from convcli.engine.planner import MOST_THREADS, THREAD_WORK, choose
from convcli.layers.stages import ConvolutionStage, Stage

STRIP_BYTES: Final = 3 * 2**20
"""Bytes of the buffers of all stages for a strip: they stay in the caches."""

LEAST_BYTES: Final = 2**20
"""Bytes of these buffers, below which smaller strips only add calls."""

HALOS: Final = 12
"""Fewest rows of a strip, relative to those that its windows reach beyond it: these are computed twice."""

STRIPS_PER_WORKER: Final = 4

MOST_STAGES: Final = 100
"""Stages of a chain: each asks the one before for rows, and Python nests only so many calls."""


def choose_chain(
    problem: Problem,
    first: ConvolutionStage,
    stages: Sequence[Stage],
    method: str = "auto",
    threads: int | None = None,
    sharers: int | None = None,
    steady: bool = False,
) -> ChainPlan:
    """The plan for a convolution and the stages after it.

    Args:
        problem: the first convolution.
        first: the stage that ``problem`` computes.
        method: of every convolution.
        threads: largest number of workers; None for one per processor.
        sharers: number of workers that strips are cut for; None for ``threads``.
        steady: whether the sums of every convolution must be steady.

    Raises:
        ArgumentError: too many stages, or one that does not fit the one before, with its place.
    """
    if len(stages) >= MOST_STAGES:
        raise ArgumentError(
            f"a chain of {len(stages) + 1} stages is not allowed (allowed: up to {MOST_STAGES}); "
            "filter in two steps, with --map raw between them"
        )
    choosing = partial(choose, method=method, threads=1, sharers=sharers, steady=steady)
    options = StageOptions(choosing, problem.double)
    requested: list[PlannedStage] = [convolution.planned_first(first, problem, options)]
    made = list(requested)
    for place, stage in enumerate(stages, 2):
        try:
            requested.append(planned(stage, requested[-1].output, options))
        except ArgumentError as error:
            raise ArgumentError(f"stage {place} ({stage.name}): {error}") from error
        is_plain = made[-1] is requested[-2]
        step = requested[-1] if is_plain else planned(stage, made[-1].output, options)
        joined = composition(made[-1], step, options)
        made = [*made[:-1], joined] if joined else [*made, step]
    height = _strip_height(made, sharers or threads or processors())
    work = sum(stage.cost for stage in made)
    workers = min(threads or processors(), MOST_THREADS)
    count = problem.batch * -(-made[-1].output.sizes[0] // height)
    return ChainPlan(
        tuple(requested), tuple(made), height, max(min(workers, int(work / THREAD_WORK), count), 1)
    )


def _strip_height(stages: Sequence[PlannedStage], workers: int) -> int:
    """Output rows of a strip: as many as the caches hold, but not so few that halos cost much."""
    rows = stages[-1].output.sizes[0]
    size, jump, halo = 0.0, 1.0, 0.0
    for stage in reversed(stages):
        size += stage.row_bytes() * jump
        axis = stage.axes[0]
        halo += max(axis.extent - axis.stride, 0) / (jump * axis.stride)
        jump *= axis.stride / axis.spread
    shared = -(-rows // (workers * STRIPS_PER_WORKER))
    fitting = min(int(STRIP_BYTES / size), max(shared, int(LEAST_BYTES / size)))
    return max(min(max(fitting, int(HALOS * halo), 1), rows), 1)
