"""How a result is cut into strips, and how large the planes of a strip are."""

from __future__ import annotations

from math import lcm, prod
from typing import Final

from convcli.core.frozen import replace
from convcli.engine.methods.base import Method, Workload
from convcli.engine.methods.registry import method_named
from convcli.engine.plan import Arithmetic, Plan, Problem
from convcli.geometry.padding import Pair

STRIP_BYTES: Final = (1024 * 1024, 5600 * 1024)
"""Least and most bytes of a strip's buffers together. Small ones stay in the second-level cache; large ones
keep two threads from queueing for the interpreter between NumPy calls, which costs more than the third
level. The most is also what keeps a worker's memory in one block of its arena."""

STRIP_WORK: Final = 250_000
"""Nanoseconds of estimated work that are enough for a strip of long calls, however few its bytes are."""

CALL_WORK: Final = 1_000_000
"""Nanoseconds of estimated work of a compiled strip. A thread that returns from a call waits until the others
leave the interpreter, which takes as long as a short call."""

SMALL: Final = 2**20
"""Bytes of a strip's buffers, up to which those of a whole map stay bound for the next run of a plan. Copying
the values takes less time than binding calls to where they lie."""

STRIPS_PER_THREAD: Final = 4

WIDEST: Final = 32_768
"""Most columns × lanes of a strip; wider images are cut across as well."""

NARROWEST: Final = 256
"""Fewest columns of a strip that is cut across because the kernel is tall."""

LEAST_INSIDE: Final = 32
"""Border columns are separate strips if the output has this many times their number of columns."""

HALOS: Final = 2
"""Fewest rows of a strip, relative to those that its windows reach beyond it: little is loaded twice."""

WORTH_HALVING: Final = 0.7
"""A strip is halved if its planes then have at most this share of their size."""

LARGEST_PLANES: Final = 2**26
"""Bytes of a strip's planes, above which they are folded and strips made smaller."""


def laid_out(problem: Problem, arithmetic: Arithmetic, method: Method, height: int, width: int) -> Problem:
    """The problem as the planes of strips of ``height`` × ``width`` outputs hold it.

    Planes that would be large leave out what lies between taps that are far apart: their axes are folded.
    """
    work = Workload(problem, arithmetic)
    if not method.folds or plane_bytes(work, height, width) <= LARGEST_PLANES:
        return problem
    rows, columns = problem.rows.folded(height), problem.columns.folded(width)
    if rows is problem.rows and columns is problem.columns:
        return problem
    return replace(problem, axes=(problem.depth, rows, columns))


def plane_bytes(work: Workload, height: int, width: int) -> int:
    """Bytes of the planes for ``height`` × ``width`` outputs."""
    return prod(work.plane_shape(height, width)) * work.loaded.itemsize


def strip_bytes(plan: Plan) -> int:
    """Bytes that a worker takes for a strip: its planes, its sums and the method's scratch."""
    if plan.phases:
        sums = plan.outcome.maps * plan.height * plan.width * plan.problem.lanes
        return max(strip_bytes(part) for _, part in plan.phases) + sums * plan.outcome.dtype.itemsize
    method = method_named(plan.method)
    laid = laid_out(plan.problem, plan.arithmetic, method, plan.height, plan.width)
    work = Workload(laid, plan.arithmetic)
    area = prod(work.plane_shape(plan.height, plan.width)[3:])
    sums = work.filter.maps * plan.height * plan.width * laid.lanes
    scratch = int(method.scratch(work) * area) + method.block(work)
    return plane_bytes(work, plan.height, plan.width) + (sums + scratch) * work.dtype.itemsize


def plan_grain(plan: Plan) -> int:
    """Rows that strips of a plan must be multiples of, so that sums do not depend on the cut."""
    if plan.phases:
        step = plan.problem.rows.spread
        return step * lcm(*(plan_grain(part) for _, part in plan.phases))
    return method_named(plan.method).grain(Workload(plan.problem, plan.arithmetic))[0]


def is_small(method: Method, work: Workload, height: int, width: int) -> bool:
    """Whether one strip is the whole map, and its buffers take no more than `SMALL` bytes."""
    problem = work.problem
    whole = height >= problem.rows.output and width >= problem.columns.output
    value = work.dtype.itemsize * problem.lanes * method.buffers(work)
    return whole and value * height * width <= SMALL


def strip_size(method: Method, work: Workload, workers: int) -> tuple[int, int]:
    """(rows, columns) of a strip: full rows unless they are too wide, and no shorter than the halo.

    All strips but the last have the same size, a multiple of the method's grain, and workers can share them
    evenly. The width does not depend on the number of workers.
    """
    problem = work.problem
    rows, columns = problem.rows.output, problem.columns.output
    down, across = method.grain(work)
    value = work.dtype.itemsize * problem.lanes * method.buffers(work)
    least, most = STRIP_BYTES
    long_calls = method.long_calls or method.compiled(work)
    if long_calls:
        least = min(least, int(value * STRIP_WORK / (method.cost(work) * work.filter.maps * problem.lanes)))
    extent = min(problem.rows.extent, rows)
    tall = min(max(HALOS * (extent - 1) + 1, down), rows)
    narrow = max(int(most / (value * tall)), NARROWEST)
    width = min(columns, _multiple(min(max(WIDEST // problem.lanes, 1), narrow), across))
    strips = workers * STRIPS_PER_THREAD
    if method.compiled(work):
        nanoseconds = method.cost(work) * problem.values / problem.batch / workers
        strips = workers * int(min(max(nanoseconds / CALL_WORK, 1), STRIPS_PER_THREAD))
    elif workers == 1 and long_calls:
        strips = 1
    share = int(value * columns * rows) // strips
    height = min(max(int(min(max(share, least), most) / (value * width)), extent), rows)
    count = -(-rows // _multiple(height, down))
    if width == columns and 1 < count < 4 * workers:
        count = -(-count // workers) * workers
    return min(_multiple(-(-rows // count), down), rows), width


def fitted_size(method: Method, work: Workload, height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of strips that are halved for as long as that makes large planes smaller."""
    down, across = method.grain(work)

    def size(strip: tuple[int, int]) -> int:
        laid = laid_out(work.problem, work.arithmetic, method, *strip)
        return plane_bytes(Workload(laid, work.arithmetic), *strip)

    strip = height, width
    while size(strip) > LARGEST_PLANES:
        smaller = [
            (_multiple(-(-strip[0] // 2), down), strip[1]),
            (strip[0], _multiple(-(-strip[1] // 2), across)),
        ]
        best = min(smaller, key=size)
        if size(best) > WORTH_HALVING * size(strip):
            break
        strip = best
    return strip


def border_columns(method: Method, work: Workload, height: int, width: int) -> Pair:
    """Numbers of left and right columns that read padding, if the others can be read in place."""
    axis = work.problem.columns
    before, after = max(axis.before, 0), max(axis.after, 0)
    reach = before + after
    if laid_out(work.problem, work.arithmetic, method, height, width) is not work.problem:
        return 0, 0
    if is_small(method, work, height, width) or work.problem.dtype != work.loaded or axis.stride > 1:
        return 0, 0
    if not method.edges or method.compiled(work):
        return 0, 0
    return (before, after) if axis.output >= LEAST_INSIDE * reach else (0, 0)


def _multiple(size: int, grain: int) -> int:
    return -(-size // grain) * grain
