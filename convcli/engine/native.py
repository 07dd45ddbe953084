"""Strips computed by the extension: loaded, summed and finished in one call that holds no lock."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convcli.core.dtypes import Array, DType, span
from convcli.core.frozen import replace
from convcli.core.rounding import Finish
from convcli.engine.consumer import Destination, Finishes, StripTask
from convcli.engine.loading import column_sources, constant_fill, depth_sources
from convcli.engine.methods.base import Arena, Binder, Step, Workload
from convcli.engine.plan import Arithmetic, Plan, Problem
from convcli.engine.program import Program, StripInput
from convcli.engine.source import Source
from convcli.geometry.border import OUTSIDE, sources
from convcli.geometry.padding import Pair
from convcli.native.loader import extension

SUMS: Final = {np.dtype(name): np.dtype(name) for name in ("u2", "i2", "u4", "i4", "i8", "f4", "f8")} | {
    np.dtype(np.uint8): np.dtype(np.uint16),
    np.dtype(np.int8): np.dtype(np.int16),
}
"""The type in which the extension adds sums of each type: none has one byte."""

SOURCES: Final = {np.dtype(name) for name in ("u1", "i1", "u2", "i2", "i4", "f4", "f8")}
"""The types that it reads from a source itself; not bool, for which NumPy takes any byte but 0 as 1."""

RESULTS: Final = {np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")}
"""The types that it finishes sums in; not float16, nor those of another byte order."""

_SPREAD: Final = 2
"""Most rows of the source between the first and the last that a strip reads, relative to the rows that it
reads; where there are more, as for the fill "wrap", reading them all would take too much memory."""

OFFSET: Final = 2
"""The column of offsets in a table of finishes."""

_NONE: Final = np.empty((0, 3), np.int64)

_MOST_BYTES: Final = 10**12
"""Bytes of scratch memory from which on the extension refuses a strip."""


def is_available(dtype: DType) -> bool:
    """Whether there is an extension, and it adds sums of a type."""
    return extension() is not None and dtype in SUMS


def holds(work: Workload) -> bool:
    """Whether the extension takes strips of a workload, however they are cut; see has_size in module.c."""
    problem = work.problem
    depth, channels, phases, _, width, lanes = work.plane_shape(1, problem.columns.output)
    planes = depth * channels * phases * problem.rows.stride + work.filter.maps + phases + 8
    line, rows = (width * lanes + 64) * 8, 3 * problem.rows.extent + 32
    return planes * line * rows < _MOST_BYTES and problem.rows.output * problem.rows.stride < _MOST_BYTES


def reads(problem: Problem) -> bool:
    """Whether strips of any size can be read from the source, without planes in between."""
    return problem.dtype in SOURCES and problem.fill.mode != "wrap"


def widened(narrow: Arithmetic) -> Arithmetic:
    """An arithmetic in a type that the extension adds and converts well; signed where the sums fit."""
    dtype = SUMS[narrow.dtype]
    if dtype == np.uint32 and max(high for _, high in narrow.bounds) < 2**31:
        dtype = np.dtype(np.int32)
    return replace(narrow, dtype=dtype, loaded=None)


def binder(program: Program, work: Workload) -> Binder:
    """A method's binder: planes that were loaded before become sums in one call."""
    return partial(_steps, program, work)


def _steps(program: Program, work: Workload, planes: Array, sums: Array, arena: Arena) -> list[Step]:
    del arena
    lanes = work.problem.lanes
    into = sums.reshape(*sums.shape[:2], -1, lanes)
    return [(compute, (program, work, planes.shape[-1] // lanes, _of_planes(planes, work), into))]


def _of_planes(planes: Array, work: Workload) -> StripInput:
    """Loaded planes, (depth, channels, phases, rows, columns × lanes), as the input of a strip.

    The phases follow each other in memory, so that a column of a phase is one far to the right.
    """
    lanes, size = work.problem.lanes, planes.itemsize
    depth, channels, phases, rows, width = planes.shape
    apart = planes.strides[2] // (lanes * size) if phases > 1 else 0
    columns = width // lanes
    source = as_strided(
        planes,
        (depth, rows, (phases - 1) * apart + columns, channels, lanes),
        (planes.strides[0], planes.strides[3], lanes * size, planes.strides[1], size),
    )
    runs = np.array([(0, columns, phase * apart, 1) for phase in range(phases)], np.int64)
    every = np.arange(rows, dtype=np.int64)
    return StripInput(
        source, every, np.arange(depth, dtype=np.int64), runs, _NONE, np.zeros(lanes, planes.dtype)
    )


class InputReader:
    """Finds what strips read, one after another, for one worker."""

    def __init__(self, problem: Problem, work: Workload) -> None:
        self.problem, self.work = problem, work
        self.loads = problem.dtype in SOURCES and work.problem is problem
        self.constants = constant_fill(problem, work.dtype)
        self.tables: dict[Pair, tuple[Array, Array]] = {}

    def read(self, source: Source, task: StripTask) -> StripInput | None:
        """The input of a strip, or None where planes have to be loaded."""
        problem = self.problem
        if not self.loads or source.dtype != problem.dtype:
            return None
        rows = sources(problem.fill, problem.rows.size, *problem.rows.reach(task.strip.rows))
        inside = rows[rows != OUTSIDE]
        first, last = (int(inside.min()), int(inside.max()) + 1) if inside.size else (0, 1)
        if last - first > _SPREAD * len(rows):
            return None
        depths = np.array(depth_sources(problem, task.depth), np.int64)
        block = source.rows(task.batch, first, last)
        if first:
            rows = np.where(rows == OUTSIDE, OUTSIDE, rows - first)
        return StripInput(block, rows, depths, *self._columns(task.strip.columns), self.constants)

    def _columns(self, outputs: Pair) -> tuple[Array, Array]:
        """The runs and edges of all phases."""
        if outputs not in self.tables:
            problem = self.problem
            left = problem.columns.window(outputs[0])[0]
            width = self.work.plane_shape(1, outputs[1] - outputs[0])[4]
            runs: list[tuple[int, ...]] = []
            edges: list[tuple[int, int, int]] = []
            for index, phase in enumerate(self.work.phases):
                found = column_sources(problem, left + phase, width)
                runs.append((found.first, found.count, found.window.start, problem.columns.stride))
                for part, origins in found.border:
                    columns = range(part.start, part.stop)
                    places = [OUTSIDE] * len(columns) if origins is None else origins.tolist()
                    edges += [(index, *place) for place in zip(columns, places, strict=True)]
            self.tables[outputs] = np.array(runs, np.int64), np.array(edges or _NONE, np.int64).reshape(-1, 3)
        return self.tables[outputs]


class NativeStrips:
    """Strips of a plan that the extension computes, for one worker."""

    def __init__(self, plan: Plan, work: Workload, program: Program) -> None:
        self.problem, self.work, self.program = plan.problem, work, program
        self.threads = plan.strip_threads
        self.inputs = InputReader(plan.problem, work)
        self.read = self.inputs.read
        self.finishes: tuple[Finishes, Array | None] = ((), None)

    def finish(self, source: Source, task: StripTask, destination: Destination) -> bool:
        """Write the results of a strip; False if the extension cannot."""
        sums_wanted = destination.takes_sums and destination.results.dtype == self.work.dtype
        finishes = None if sums_wanted else self._finishes(destination)
        if self.problem.filter.combine or (finishes is None and not sums_wanted):
            return False
        given = self.read(source, task)
        if given is None:
            return False
        self._compute(given, task, destination.results, finishes)
        return True

    def sum(self, given: StripInput, task: StripTask, sums: Array) -> None:
        """Write the sums of a strip, (maps, rows, columns × lanes)."""
        self._compute(given, task, sums.reshape(*sums.shape[:2], -1, self.problem.lanes), None)

    def _finishes(self, destination: Destination) -> Array | None:
        """The finishes of a destination as numbers; None if the extension cannot do the same."""
        if destination.finishes is not self.finishes[0]:
            can_finish = destination.results.dtype in RESULTS
            table = finish_table(destination.finishes) if can_finish else None
            self.finishes = destination.finishes, table
        return self.finishes[1]

    def _compute(self, given: StripInput, task: StripTask, into: Array, finishes: Array | None) -> None:
        width = self.work.plane_shape(1, task.strip.shape[1])[4]
        compute(self.program, self.work, width, given, into, finishes, self.threads)


def finish_table(finishes: Finishes) -> Array | None:
    """(maps, 13) numbers from which the extension finishes sums; None where it cannot."""
    tables = []
    for part in finishes:
        numbers = _numbers(part.finish)
        if numbers is None:
            return None
        table = np.tile(np.array(numbers, np.float64), (part.maps.stop - part.maps.start, 1))
        if part.offsets is not None:
            table[:, OFFSET] = part.offsets
        tables.append(table)
    return np.concatenate(tables)


def writes(finishes: Finishes, plan: Plan) -> bool:
    """Whether the extension finishes all sums of a plan, so that they need no memory of their own."""
    if plan.problem.filter.combine:
        return False
    target = finishes[0].finish.target
    if all(part.idle for part in finishes) and plan.outcome.dtype == target:
        return True
    return target in RESULTS and all(part.finish.in_floats is not None for part in finishes)


def _numbers(finish: Finish) -> tuple[float, ...] | None:
    """The numbers of `Finish` in native/strip.h."""
    floats, integers = finish.in_floats, finish.in_16_bits
    if floats is None or integers is None:
        return None if floats is None else (*floats, 0, 0, 0, 0)
    *others, low, high, rounds = floats
    least, most = span(finish.source)
    return (*others, max(low, least), min(high, most), rounds, 1, *integers)


def compute(
    program: Program,
    work: Workload,
    width: int,
    given: StripInput,
    into: Array,
    finishes: Array | None = None,
    threads: int = 1,
) -> None:
    """Compute a strip.

    Args:
        width: columns of a plane.
        into: (maps, rows, columns, lanes), for the sums, or for the results if there are ``finishes``.
        finishes: of `finish_table`.
        threads: that compute parts of the strip at once.
    """
    problem = work.problem
    planes = problem.lanes, work.filter.kernel[0], problem.channels, len(work.phases)
    layout = (program.kind, *planes, problem.rows.stride, problem.rows.extent, width, *program.window)
    native: Any = extension()
    native.strip(
        np.array([layout], np.int64),
        program.taps,
        program.blocks,
        program.weights,
        given.source,
        given.rows,
        given.depths,
        given.runs,
        given.edges,
        given.constants,
        into,
        finishes,
        threads,
    )
