"""One strip after another: load its planes, run the method, hand the sums over.

A strip is loaded, computed and consumed by one worker while it is in its cache. Where the source has the type
of the planes and a strip's windows lie inside it, the source itself serves as the planes; where the results
are the sums, they are written to the result's memory directly. The extension reads the source and writes the
results itself, as far as it can.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Event, Lock
from typing import Final, Self

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine import native
from convcli.engine.blas import ONE_THREAD
from convcli.engine.combine import combine
from convcli.engine.consumer import Consumer, Destination, StripTask
from convcli.engine.cutting import SMALL, is_small, laid_out
from convcli.engine.loading import PlaneLoader, lanes_joined
from convcli.engine.methods.base import Arena, Method, Step, Workload
from convcli.engine.methods.registry import REFERENCE, method_named
from convcli.engine.native import NativeStrips
from convcli.engine.plan import Plan
from convcli.engine.program import Program
from convcli.engine.source import Source
from convcli.geometry.padding import Pair

BUFFER: Final = 1024
"""NumPy's buffer, in values. NumPy copies rows shorter than about a quarter of it; with its default, 8192,
additions of rows of 500 to 2500 values took twice as long."""


@frozen
class _BoundStrip:
    """Buffers for one shape of strip, and the calls that turn its planes into its sums."""

    planes: Array
    sums: Array  # (maps, rows, columns × lanes)
    steps: list[Step]


class SharedProgram:
    """The program of a plan for all its workers: the first that asks for it makes it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.made: Program | None = None
        self.parts: dict[int, SharedProgram] = {}

    def of(self, method: Method, work: Workload) -> Program:
        """The program of a method for a workload."""
        with self.lock:
            if self.made is None:
                self.made = method.program(work)
            return self.made

    def part(self, index: int) -> SharedProgram:
        """The program of one of the plan's phases."""
        with self.lock:
            return self.parts.setdefault(index, SharedProgram())


class StripComputer:
    """Loads, binds and computes strips of a plan, for one worker.

    Use it as a context manager, in the thread that computes: inside, NumPy gives IEEE's results for overflow
    and NaN without warnings, scratch memory is kept, and BLAS is limited to one thread where the method calls
    it. Consumers are to be called inside as well.

    Args:
        plan: the plan whose strips are computed.
        halt: set by another thread when results are no longer wanted; a strip ends between two of its calls.
        shared: the program that all workers of the plan use, where it is compiled.
        arena: scratch memory that several computers share, entered by whoever owns it; None for its own.
    """

    def __init__(
        self,
        plan: Plan,
        halt: Event | None = None,
        shared: SharedProgram | None = None,
        arena: Arena | None = None,
    ) -> None:
        self.plan, self.halt = plan, halt or Event()
        self.shared = shared or SharedProgram()
        self.method = method_named(plan.method)
        laid = laid_out(plan.problem, plan.arithmetic, self.method, plan.height, plan.width)
        self.work = Workload(laid, plan.arithmetic)
        self.is_small = arena is None and is_small(self.method, self.work, plan.height, plan.width)
        self.arena = arena or (Arena(SMALL) if self.is_small else Arena())
        self.owns_arena = arena is None
        self.restores = self.method.mixes and plan.problem.dtype.kind == "f"
        self.native: NativeStrips | None = None
        self.bound: dict[Pair, _BoundStrip] = {}
        self.is_ready = False

    @classmethod
    def of(cls, plan: Plan, halt: Event, shared: SharedProgram) -> StripComputer:
        """A computer for a plan: for small strips, one that an earlier run of the plan has left bound."""
        try:
            computer = _idle(plan).pop()
        except IndexError:
            return cls(plan, halt, shared)
        computer.halt = halt
        return computer

    def __enter__(self) -> Self:
        self.numpy = np.errstate(all="ignore")  # no ExitStack: it takes a percent of a small array's time
        self.numpy.__enter__()
        np.setbufsize(BUFFER)  # which errstate restores
        if self.method.products:
            ONE_THREAD.__enter__()
        if self.is_ready:
            return self
        if self.owns_arena:
            self.arena.__enter__()
        try:
            self.loader = PlaneLoader(self.plan.problem, self.work)
            if self.method.compiled(self.work):
                program = self.shared.of(self.method, self.work)
                self.native = NativeStrips(self.plan, self.work, program)
                self.bind = native.binder(program, self.work)
            else:
                self.bind = self.method.binder(self.work)
        except BaseException as error:
            self.__exit__(error)
            raise
        self.is_ready = self.is_small
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        stays = self.is_small and error is None
        if self.owns_arena and not stays:
            self.arena.__exit__()
        if self.method.products:
            ONE_THREAD.__exit__()
        self.numpy.__exit__(None, None, None)
        if stays:  # at last: from here on another thread may enter it
            _idle(self.plan).append(self)

    def process(self, source: Source, task: StripTask, consumer: Consumer) -> None:
        """Compute one strip and hand it over; nothing is handed over once `halt` is set."""
        wanted = self.native is not None or not self.is_small
        destination = consumer.destination(task) if wanted else None
        if self.native and destination and self.native.finish(source, task, destination):
            return
        sums = self._writable(destination)
        if self._compute(source, task, sums) and sums is None:
            consumer.take(task, self._sums())

    def compute(self, source: Source, task: StripTask) -> Array:
        """The sums of one strip, (maps, rows, columns, lanes), combined if the filter says so.

        They lie in scratch memory, which the next strip overwrites.
        """
        self._compute(source, task, None)
        return self._sums()

    def _writable(self, offered: Destination | None) -> Array | None:
        """A destination for sums with lanes joined, or None where the method cannot write to it."""
        if offered is None or not offered.takes_sums or self.plan.problem.filter.combine:
            return None
        return lanes_joined(offered.results) if offered.results.dtype == self.work.dtype else None

    def _compute(self, source: Source, task: StripTask, destination: Array | None) -> bool:
        """Compute one strip, into ``destination`` or scratch; False if it was halted."""
        if self.native and (given := self.native.read(source, task)):
            sums = self._scratch_sums(task.strip.shape) if destination is None else destination
            self.native.sum(given, task, sums)
            return True
        planes = None if self.is_small else self.loader.in_place(source, task)
        bound = self._bound(task.strip.shape, planes, destination)
        if planes is None:
            self.loader.load(source, task, bound.planes)
        if self.restores and not np.isfinite(bound.planes).all():
            self._compute_non_finite(bound)
            return True
        halt = self.halt
        for call, arguments in bound.steps:
            if halt.is_set():
                return False
            call(*arguments)
        return True

    def _compute_non_finite(self, bound: _BoundStrip) -> None:
        """Compute planes with NaN or infinity by a method that mixes values of different windows.

        The method runs with zeros in their place; the reference method, which reads a window's own taps only,
        says where they belong.
        """
        finite = np.where(np.isfinite(bound.planes), bound.planes, 0)
        reference = np.empty_like(bound.sums)
        steps = self.bind(_joined(finite), bound.sums, Arena())
        steps += method_named(REFERENCE).binder(self.work)(_joined(bound.planes), reference, Arena())
        for call, arguments in steps:
            call(*arguments)
        np.copyto(bound.sums, reference, where=~np.isfinite(reference))

    def _sums(self) -> Array:
        """The sums of the latest strip, (maps, rows, columns, lanes), combined if the filter says so."""
        flat, how = self.latest.sums, self.plan.problem.filter.combine
        sums = flat.reshape(*flat.shape[:2], -1, self.plan.problem.lanes)
        return combine(sums, how, self.plan.outcome.dtype) if how else sums

    def _scratch_sums(self, shape: Pair) -> Array:
        """Scratch memory for the sums of a strip, without planes."""
        self.arena.restart()
        self.bound.clear()
        size = self.work.filter.maps, shape[0], shape[1] * self.plan.problem.lanes
        sums = self.arena.empty(size, self.work.dtype)
        self.latest = _BoundStrip(sums, sums, [])
        return sums

    def _bound(self, shape: Pair, planes: Array | None, sums: Array | None) -> _BoundStrip:
        """The buffers and steps for a strip; those in scratch memory are kept for the next of its shape."""
        reusable = planes is None and sums is None
        if reusable and shape in self.bound:
            self.latest = self.bound[shape]
            return self.latest
        rows, columns = shape
        work = self.work
        self.arena.restart()
        if planes is None:
            planes = self.arena.empty(work.plane_shape(rows, columns), work.loaded)
        if sums is None:
            size = work.filter.maps, rows, columns * self.plan.problem.lanes
            sums = self.arena.empty(size, work.dtype)
        self.latest = _BoundStrip(planes, sums, self.bind(_joined(planes), sums, self.arena))
        if reusable:
            self.bound[shape] = self.latest
        return self.latest


@lru_cache(8)
def _idle(plan: Plan) -> list[StripComputer]:
    """Computers of a plan that wait for its next run: as many as were in use at once."""
    return []


def _joined(planes: Array) -> Array:
    """Planes, (depth, channels, phases, rows, columns, lanes), with columns and lanes as one axis."""
    return planes.reshape(*planes.shape[:4], -1)
