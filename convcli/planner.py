"""Shapes, types and a kernel become a Plan: exactness first, then cost."""

from __future__ import annotations

import os
from math import inf
from typing import Final

import numpy as np

from convcli.combine import outcome
from convcli.dtypes import DType, accumulator, span
from convcli.errors import ArgumentError, suggest
from convcli.methods import rates
from convcli.methods.base import Method, Work
from convcli.methods.separable import Separable
from convcli.methods.shift import Shift
from convcli.plan import Arithmetic, Candidate, Plan, Problem

METHODS: Final[tuple[Method, ...]] = (Separable(), Shift())

STRIP_BYTES: Final = (384 * 1024, 1536 * 1024)
"""Least and most bytes of one buffer of a strip. Small ones stay in the second-level cache; large ones keep
two threads from queueing for the interpreter between NumPy calls, which costs more than the third level."""

STRIPS_PER_THREAD: Final = 4

WIDEST: Final = 32_768
"""Columns × lanes of a strip; wider pictures are cut across as well."""

NARROWEST: Final = 256
"""Columns of a strip that is cut across because the kernel is tall."""

MOST_THREADS: Final = 64

SMALL: Final = 1_000_000
"""Values below which a second thread costs more than it saves."""

_FLOAT_SLACK: Final = 1e-4


def choose(problem: Problem, method: str = "auto", threads: int | None = None) -> Plan:
    """The plan for ``problem``.

    Args:
        method: ``auto``, or the name of one of `METHODS`.
        threads: workers; None takes one for each processor that this process may use.

    Raises:
        ArgumentError: an unknown method, one that refuses this problem, or fewer than 1 thread.
    """
    if threads is not None and threads < 1:
        raise ArgumentError(f"threads {threads} is not allowed; it is at least 1")
    arithmetic = choose_arithmetic(problem)
    work = Work(problem, arithmetic)
    candidates = tuple(_candidate(entry, work) for entry in METHODS)
    chosen = _pick(candidates, method)
    workers = min(processors() if threads is None else threads, MOST_THREADS)
    height, width = _strip(work, workers)
    tasks = problem.batch * problem.depth.output * -(-problem.rows.output // height)
    tasks *= -(-problem.columns.output // width)
    workers = min(workers, tasks)
    if threads is None and problem.values < SMALL:
        workers = 1
    return Plan(problem, arithmetic, outcome(arithmetic), chosen, height, width, workers, candidates)


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def method_named(name: str) -> Method:
    return next(method for method in METHODS if method.name == name)


def choose_arithmetic(problem: Problem) -> Arithmetic:
    """The narrowest integers that provably hold every sum, or floats where there are none."""
    refusal = _inexact(problem)
    if not refusal:
        low, high = _input_span(problem)
        bounds = problem.filter.bounds(low, high)
        ends = min(low for low, _ in bounds), max(high for _, high in bounds)
        dtype = accumulator(int(ends[0]), int(ends[1])) if max(map(abs, ends)) < 2**62 else None
        if dtype:
            reason = f"sums lie in {int(ends[0])} … {int(ends[1])}, which {dtype} holds exactly"
            return Arithmetic(dtype, problem.filter, tuple(bounds), reason)
        refusal = f"sums reach {float(max(map(abs, ends))):.3g}, more than 64 bits hold"
    double = problem.double or problem.dtype in (np.float64,) or problem.dtype.itemsize * _whole(problem) >= 4
    double = double or (problem.filter.exact and _whole(problem) > 0)
    dtype = np.dtype(np.float64 if double else np.float32)
    return Arithmetic(dtype, problem.filter.as_floats(), _float_bounds(problem), f"{dtype}: {refusal}")


def _whole(problem: Problem) -> int:
    return int(problem.dtype.kind in "iub")


def _inexact(problem: Problem) -> str:
    """Why the sums cannot be exact integers; empty where they can."""
    if problem.dtype.kind == "f":
        return f"the picture holds {problem.dtype} values"
    if problem.dtype.itemsize == 8 or problem.dtype == np.uint32:
        return f"{problem.dtype} values may not fit once multiplied"
    if not problem.filter.exact:
        return "the weights are not fractions of small integers"
    if not float(problem.fill.value).is_integer():
        return f"the fill {problem.fill} is no whole number"
    return ""


def _input_span(problem: Problem) -> tuple[int, int]:
    """Lowest and highest value that a window can hold, padding included."""
    low, high = span(problem.dtype)
    if problem.fill.mode == "constant" and any(axis.before or axis.after for axis in problem.axes):
        low, high = min(low, int(problem.fill.value)), max(high, int(problem.fill.value))
    return low, high


def _float_bounds(problem: Problem) -> tuple[tuple[float, float], ...]:
    """Bounds of float sums, widened for their rounding."""
    if problem.dtype.kind == "f" or not float(problem.fill.value).is_integer():
        return ((-inf, inf),) * problem.filter.maps
    bounds = problem.filter.as_floats().bounds(*_input_span(problem))
    slack = [_FLOAT_SLACK * max(abs(low), abs(high)) for low, high in bounds]
    return tuple((low - s, high + s) for (low, high), s in zip(bounds, slack, strict=True))


def _candidate(method: Method, work: Work) -> Candidate:
    refusal = method.refusal(work)
    if refusal:
        return Candidate(method.name, None, refusal)
    return Candidate(method.name, method.cost(work) + _loading(work))


def _loading(work: Work) -> float:
    depth, channels, phases, *_ = work.plane_shape(1, 1)
    return rates.LOAD[work.dtype.itemsize] * depth * channels * phases / work.filter.maps


def _pick(candidates: tuple[Candidate, ...], method: str) -> str:
    able = {candidate.method: candidate.cost for candidate in candidates if candidate.cost is not None}
    if method == "auto":
        return min(able, key=lambda name: able[name] or 0.0)
    known = {candidate.method: candidate.refusal for candidate in candidates}
    if method not in known:
        raise ArgumentError(
            f"method {method!r} is not one of auto, {', '.join(known)}{suggest(method, known)}"
        )
    if method not in able:
        raise ArgumentError(f"method {method} cannot do this: {known[method]}")
    return method


def _strip(work: Work, workers: int) -> tuple[int, int]:
    """(rows, columns) of a strip: full rows where they are not too wide, and no shorter than the halo.

    The strips are equal but for the last, and as many as the workers can share evenly.
    """
    problem = work.problem
    rows, columns = problem.rows.output, problem.columns.output
    depth, channels, phases, *_ = work.plane_shape(1, 1)
    planes = max(depth * channels * phases, work.filter.maps)
    value = work.dtype.itemsize * problem.lanes
    least, most = STRIP_BYTES
    share = value * columns * rows // (workers * STRIPS_PER_THREAD)
    room = min(max(share, least), most) // max(planes // 2, 1)
    halo = min(problem.rows.extent, rows)
    width = min(columns, max(WIDEST // problem.lanes, 1), max(room // (value * halo), NARROWEST))
    height = min(max(room // (value * width), halo), rows)
    count = -(-rows // height)
    if width == columns and 1 < count < 4 * workers:
        count = -(-count // workers) * workers
    return -(-rows // count), width


def result_dtype(dtype: DType) -> DType:
    """The type of a feature map nobody chose one for: float64 for 64-bit floats and wide integers."""
    wide = dtype.itemsize == 8 or (dtype.kind in "iu" and dtype.itemsize >= 4)
    return np.dtype(np.float64 if wide else np.float32)
