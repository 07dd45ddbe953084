"""Shapes, types and a kernel become a Plan: exactness first, then cost.

The costs are estimates from `methods.rates`. ``benchmarks/planner.py`` times every method beside the one that
was chosen: of 57 problems the choice was the fastest, within 5 %, in 88 %, and took 1.37 times as long as the
fastest at worst (small kernels on 16-bit pictures, where a matrix product in float32 comes close).
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from functools import lru_cache
from math import inf, prod
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import DType, accumulator
from convcli.core.errors import ArgumentError, literal, quoted, suggest
from convcli.core.frozen import replace
from convcli.engine.combine import outcome
from convcli.engine.methods import rates
from convcli.engine.methods.base import Method, Work
from convcli.engine.methods.box import Box
from convcli.engine.methods.fft import Fft
from convcli.engine.methods.im2col import Im2col
from convcli.engine.methods.separable import Separable
from convcli.engine.methods.shift import Shift
from convcli.engine.methods.toeplitz import Toeplitz
from convcli.engine.plan import Arithmetic, Candidate, Plan, Problem
from convcli.geometry.padding import Pair

PLAIN: Final = Shift()
METHODS: Final[tuple[Method, ...]] = (PLAIN, Separable(), Box(), Toeplitz(), Im2col(), Fft())

STRIP_BYTES: Final = (1024 * 1024, 5600 * 1024)
"""Least and most bytes of a strip's buffers together. Small ones stay in the second-level cache; large ones
keep two threads from queueing for the interpreter between NumPy calls, which costs more than the third
level. The most is also what keeps a worker's memory in one block of its arena."""

STRIPS_PER_THREAD: Final = 4

WIDEST: Final = 32_768
"""Columns × lanes of a strip; wider pictures are cut across as well."""

NARROWEST: Final = 256
"""Columns of a strip that is cut across because the kernel is tall."""

LEAST_INSIDE: Final = 32
"""Columns beside those that reach past the edge, from which on the two are strips apart."""

MOST_THREADS: Final = 64

THREAD_WORK: Final = 2.5e6
"""Nanoseconds of estimated work for each thread, below which another one costs more than it saves."""

HALOS: Final = 2
"""Rows of a strip beside those that its windows reach past it, so that little is computed twice."""

LARGEST_PLANES: Final = 2**26
"""Bytes of a strip's planes, above which they are folded and strips made smaller."""

WORTH_HALVING: Final = 0.7
"""A strip is halved where its planes then have at most this share; the rest of them are the window's own."""

LARGEST_SINGLE: Final = 1e15
"""Weights and fills above this are taken to float64, because float32 ends at 3.4e38."""

_FLOAT_SLACK: Final = 1e-4

_REMEMBERED: Final = 2**16  # bytes of weights, up to which a plan is kept


def choose(
    problem: Problem, method: str = "auto", threads: int | None = None, sharers: int | None = None
) -> Plan:
    """The plan for ``problem``.

    Args:
        method: ``auto``, or the name of one of `METHODS`.
        threads: workers at most; None takes one for each processor that this process may use. Small work
            takes fewer.
        sharers: workers that the strips are cut for, whoever computes them; None for those there are.

    Raises:
        ArgumentError: an unknown method, one that refuses this problem, or fewer than 1 thread.
    """
    if threads is not None and (not isinstance(threads, (int, np.integer)) or threads < 1):
        raise ArgumentError(f"threads {literal(threads)} is not a whole number from 1")
    if not isinstance(method, str):
        raise ArgumentError(f"method {literal(method)} is not the name of one")
    workers = min(processors() if threads is None else int(threads), MOST_THREADS)
    small = problem.filter.weights.nbytes <= _REMEMBERED
    return (_remembered if small else _decided)(problem, method, workers, sharers)


def _decided(problem: Problem, method: str, workers: int, sharers: int | None) -> Plan:
    narrow = choose_arithmetic(problem)
    considered = {entry.name: entry.consider(problem, narrow) for entry in METHODS}
    candidates = tuple(_candidate(entry, considered[entry.name]) for entry in METHODS)
    chosen = _pick(candidates, method)
    work = considered[chosen]
    assert isinstance(work, Work)
    effort = problem.values * next(found.cost or 0 for found in candidates if found.method == chosen)
    workers = max(min(workers, int(effort / THREAD_WORK)), 1)
    height, width = _fitted(
        method_named(chosen), work, *_strip(method_named(chosen), work, sharers or workers)
    )
    tasks = problem.batch * problem.depth.output * -(-problem.rows.output // height)
    tasks *= -(-problem.columns.output // width)
    workers = min(workers, tasks)
    return Plan(
        problem=problem,
        arithmetic=work.arithmetic,
        outcome=outcome(work.arithmetic, problem.double),
        method=chosen,
        height=height,
        width=width,
        threads=workers,
        candidates=candidates,
        borders=_borders(method_named(chosen), work, height, width),
    )


_remembered = lru_cache(16)(_decided)
"""Pictures of a folder, and calls in a loop, are mostly alike."""


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def most_memory() -> int:
    """Bytes that a run may take unless it says otherwise: half of what this process could have."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(found if soft == resource.RLIM_INFINITY else [*found, soft]) // 2


def method_named(name: str) -> Method:
    return next(method for method in METHODS if method.name == name)


def choose_arithmetic(problem: Problem) -> Arithmetic:
    """The narrowest integers that provably hold every sum, or floats where there are none."""
    refusal = _inexact(problem)
    if not refusal:
        bounds = problem.filter.bounds(*problem.span)
        ends = min(low for low, _ in bounds), max(high for _, high in bounds)
        dtype = accumulator(int(ends[0]), int(ends[1])) if max(map(abs, ends)) < 2**62 else None
        if dtype:
            reason = f"sums lie in {int(ends[0])} … {int(ends[1])}, which {dtype} holds exactly"
            return Arithmetic(dtype, problem.filter, tuple(bounds), True, reason)
        refusal = f"sums reach {float(max(map(abs, ends))):.3g}, more than 64 bits hold"
    dtype = np.dtype(np.float64 if _needs_double(problem) else np.float32)
    limits = _float_bounds(problem)
    return Arithmetic(dtype, problem.filter.as_floats(), limits, False, f"{dtype}: {refusal}")


def _needs_double(problem: Problem) -> bool:
    """Whether float32 would lose more than its rounding: wide or exact inputs, or numbers near its end."""
    whole = problem.dtype.kind != "f"
    wide = problem.dtype == np.float64 or (whole and (problem.dtype.itemsize >= 4 or problem.filter.exact))
    largest = max(float(np.abs(problem.filter.weights).max()), abs(problem.fill.value))
    return problem.double or wide or largest > LARGEST_SINGLE


def _inexact(problem: Problem) -> str:
    """Why the sums cannot be exact integers; empty where they can."""
    if problem.dtype.kind == "f":
        return f"the values are {problem.dtype}"
    if problem.dtype.itemsize == 8:
        return f"{problem.dtype} values may not fit once multiplied"
    if not problem.filter.exact:
        return "the weights are not fractions of small integers"
    if not float(problem.fill.value).is_integer():
        return f"the fill {problem.fill} is no whole number"
    return ""


def _float_bounds(problem: Problem) -> tuple[tuple[float, float], ...]:
    """Bounds of float sums, widened for their rounding."""
    if problem.dtype.kind == "f" or not float(problem.fill.value).is_integer():
        return ((-inf, inf),) * problem.filter.maps
    bounds = problem.filter.as_floats().bounds(*problem.span)
    slack = [_FLOAT_SLACK * max(abs(low), abs(high)) for low, high in bounds]
    return tuple((low - s, high + s) for (low, high), s in zip(bounds, slack, strict=True))


def _candidate(method: Method, found: Work | str) -> Candidate:
    if isinstance(found, str):
        return Candidate(method.name, None, found)
    return Candidate(method.name, method.cost(found) + _loading(found))


def _loading(work: Work) -> float:
    depth, channels, phases, *_ = work.plane_shape(1, 1)
    return rates.LOAD[work.loaded.itemsize] * depth * channels * phases / work.filter.maps


def _pick(candidates: tuple[Candidate, ...], method: str) -> str:
    able = {candidate.method: candidate.cost for candidate in candidates if candidate.cost is not None}
    if method == "auto":
        return min(able, key=lambda name: able[name] or 0.0)
    known = {candidate.method: candidate.refusal for candidate in candidates}
    if method not in known:
        raise ArgumentError(
            f"method {quoted(method)} is not one of auto, {', '.join(known)}{suggest(method, known)}"
        )
    if method not in able:
        raise ArgumentError(f"method {method} cannot do this: {known[method]}")
    return method


def _strip(method: Method, work: Work, workers: int) -> tuple[int, int]:
    """(rows, columns) of a strip: full rows where they are not too wide, and no shorter than the halo.

    The strips are equal but for the last, as many as the workers can share evenly, and multiples of the
    method's grain. The width does not depend on the workers.
    """
    problem = work.problem
    rows, columns = problem.rows.output, problem.columns.output
    down, across = method.grain(work)
    value = work.dtype.itemsize * problem.lanes * method.buffers(work)
    least, most = STRIP_BYTES
    halo = min(problem.rows.extent, rows)
    tall = min(max(HALOS * (halo - 1) + 1, down), rows)
    narrow = max(int(most / (value * tall)), NARROWEST)
    width = min(columns, _multiple(min(max(WIDEST // problem.lanes, 1), narrow), across))
    share = int(value * columns * rows) // (workers * STRIPS_PER_THREAD)
    height = min(max(int(min(max(share, least), most) / (value * width)), halo), rows)
    count = -(-rows // _multiple(height, down))
    if width == columns and 1 < count < 4 * workers:
        count = -(-count // workers) * workers
    return min(_multiple(-(-rows // count), down), rows), width


def laid_out(problem: Problem, arithmetic: Arithmetic, method: Method, height: int, width: int) -> Problem:
    """The problem as the planes of strips of ``height`` × ``width`` hold it.

    Where planes with all that lies between the first and the last tap would be large, they are folded.
    """
    work = Work(problem, arithmetic)
    if not method.folds or _plane_bytes(work, height, width) <= LARGEST_PLANES:
        return problem
    return replace(problem, axes=(problem.depth, problem.rows.folded(height), problem.columns.folded(width)))


def strip_bytes(plan: Plan) -> int:
    """Bytes that a worker takes for a strip: its planes, its sums and the method's scratch."""
    method = method_named(plan.method)
    laid = laid_out(plan.problem, plan.arithmetic, method, plan.height, plan.width)
    work = Work(laid, plan.arithmetic)
    area = prod(work.plane_shape(plan.height, plan.width)[3:])
    sums = work.filter.maps * plan.height * plan.width * laid.lanes
    scratch = int(method.scratch(work) * area)
    return _plane_bytes(work, plan.height, plan.width) + (sums + scratch) * work.dtype.itemsize


def _plane_bytes(work: Work, height: int, width: int) -> int:
    return prod(work.plane_shape(height, width)) * work.loaded.itemsize


def _fitted(method: Method, work: Work, height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of strips that are made smaller for as long as that makes large planes smaller too."""
    down, across = method.grain(work)

    def size(strip: tuple[int, int]) -> int:
        laid = laid_out(work.problem, work.arithmetic, method, *strip)
        return _plane_bytes(Work(laid, work.arithmetic), *strip)

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


def _borders(method: Method, work: Work, height: int, width: int) -> Pair:
    """Left and right columns whose windows reach past the edge, where the others can be read in place."""
    axis = work.problem.columns
    reach = axis.before + axis.after
    if laid_out(work.problem, work.arithmetic, method, height, width) is not work.problem:
        return 0, 0
    if work.problem.dtype != work.loaded or axis.stride > 1 or not method.edges:
        return 0, 0
    return (axis.before, axis.after) if axis.output >= LEAST_INSIDE * reach else (0, 0)


def _multiple(size: int, grain: int) -> int:
    return -(-size // grain) * grain


def result_dtype(dtype: DType) -> DType:
    """The type of a feature map nobody chose one for: float64 for 64-bit floats and wide integers."""
    wide = dtype.itemsize == 8 or (dtype.kind in "iu" and dtype.itemsize >= 4)
    return np.dtype(np.float64 if wide else np.float32)
