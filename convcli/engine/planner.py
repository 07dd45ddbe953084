"""Shapes, types and a kernel become a Plan: exactness first, then cost.

The costs are estimates from `methods.rates`. ``benchmarks/planner.py`` times every method beside the one that
was chosen.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, lcm
from typing import Final

import numpy as np

from convcli.core.errors import ArgumentError, literal, quoted, suggest
from convcli.core.frozen import frozen, replace
from convcli.core.system import processors
from convcli.engine import native
from convcli.engine.arithmetic import choose_arithmetic, near_arithmetic
from convcli.engine.backends import registry as backends
from convcli.engine.combine import outcome
from convcli.engine.cutting import border_columns, fitted_size, laid_out, plane_bytes, strip_size
from convcli.engine.methods import rates, registry
from convcli.engine.methods.base import Method, Workload
from convcli.engine.methods.registry import method_named, methods
from convcli.engine.phases import has_gaps, is_spread, phase_arithmetic, phase_problem, phases
from convcli.engine.plan import Arithmetic, Candidate, Phase, Plan, Problem
from convcli.geometry.axes import Axis

MOST_THREADS: Final = 64

THREAD_WORK: Final = 2.5e6
"""Nanoseconds of estimated work for each thread, below which another one costs more than it saves."""

COMPILED_THREAD_WORK: Final = 5e5
"""The same for compiled methods, which do not wait for each other."""

WHOLE_WORK: Final = 1e8
"""Nanoseconds of estimated work of a map, up to which one call may compute it."""

WHOLE_BYTES: Final = 2**30
"""Bytes of what the windows of a map cover, in the type of its sums, up to which one call may compute it:
windows far apart cover far more than they read."""

SHARED_WORK: Final = 1.5e5
"""Nanoseconds of estimated work of a map for each thread that computes a part of it."""

MANY_MAPS: Final = 2e7
"""Nanoseconds of estimated work of a batch, from which on several of its maps are computed at once."""

TYPICAL: Final = 1024
"""Rows and columns of the image for which the costs of steady methods are compared, whatever the size of the
image at hand."""

UNSTEADY: Final = "its rounding depends on position, which --steady and results in pieces rule out"

_REMEMBERED: Final = 2**16
"""Bytes of weights, up to which a plan is kept."""


def choose(
    problem: Problem,
    method: str = "auto",
    threads: int | None = None,
    sharers: int | None = None,
    backend: str | None = None,
    whole: bool = False,
    steady: bool = False,
) -> Plan:
    """The plan for ``problem``.

    Args:
        method: ``auto``, or a name of `methods.registry.NAMES`.
        threads: largest number of workers; None takes one per processor that this process may use. Small
            problems take fewer.
        sharers: number of workers that the strips are cut for, whoever computes them; None for ``threads``.
        backend: a name of `backends.registry.NAMES`; None takes the first.
        whole: whether the input and the result are in memory, so that strips may be whole maps.
        steady: whether an image and every part of it must give the same bytes: rounded sums are then left to
            methods that are `Method.steady`, and the choice between methods does not depend on sizes.

    Raises:
        ArgumentError: an unknown method or backend, one that cannot be used for this problem, or fewer than
            1 thread.
    """
    if threads is not None and (not isinstance(threads, (int, np.integer)) or threads < 1):
        raise ArgumentError(f"threads {literal(threads)} is not a whole number from 1")
    if not isinstance(method, str):
        raise ArgumentError(
            f"method {literal(method)} is not a name; allowed: auto, {', '.join(registry.NAMES)}"
        )
    workers = min(processors() if threads is None else int(threads), MOST_THREADS)
    decide = _decided
    if problem.filter.weights.nbytes <= _REMEMBERED:
        decide, problem = _remembered, replace(problem, filter=problem.filter.with_own_weights())
    return decide(problem, _Wish(method, steady), workers, sharers, backend or backends.NAMES[0], whole)


@frozen
class _Wish:
    """A method, or ``auto``, and whether sums must be steady."""

    method: str
    steady: bool = False

    def answer(self, by: Method, problem: Problem, narrow: Arithmetic) -> Workload | str:
        """What a method answers for a problem; unsteady ones are refused where they must not be used."""
        work = by.consider(problem, narrow)
        is_rounded = isinstance(work, Workload) and not work.arithmetic.exact
        return UNSTEADY if self.steady and is_rounded and not by.steady else work

    def candidate(self, by: Method, answer: Workload | str) -> Candidate:
        """A method with its cost: for this image or, so that all sizes have the same, for a large one."""
        if isinstance(answer, str):
            return Candidate(by.name, None, answer)
        work = _enlarged(answer) if self.steady else answer
        return Candidate(by.name, by.cost(work) + _loading(work))


@frozen(eq=False)
class _Considered:
    """What every method answers for a problem in one arithmetic, by name."""

    answers: dict[str, Workload | str]
    candidates: tuple[Candidate, ...]

    def cost(self, method: str) -> float:
        """The estimated cost of a method, or of the cheapest (``auto``); infinite where it cannot be used."""
        costs = [
            entry.cost
            for entry in self.candidates
            if entry.cost is not None and method in ("auto", entry.method)
        ]
        return min(costs, default=inf)

    def workload(self, method: str) -> Workload:
        """The workload of a method that can be used."""
        answer = self.answers[method]
        assert isinstance(answer, Workload)
        return answer


def _cheapest(problem: Problem, wish: _Wish) -> _Considered:
    """The arithmetic in which a method, or the best one (``auto``), is cheapest; of equals the integers."""
    both = near_arithmetic(problem), choose_arithmetic(problem)
    forms = (_considered(problem, one, wish) for one in both if one)
    return min(forms, key=lambda form: form.cost(wish.method))


def _considered(problem: Problem, narrow: Arithmetic, wish: _Wish) -> _Considered:
    """What all methods answer for a problem; an exact arithmetic brings the filter with it."""
    problem = replace(problem, filter=narrow.filter) if narrow.exact else problem
    answers = {entry.name: wish.answer(entry, problem, narrow) for entry in methods()}
    candidates = tuple(wish.candidate(method_named(name), answer) for name, answer in answers.items())
    return _Considered(answers, candidates)


def _enlarged(work: Workload) -> Workload:
    """The same windows over an image that is large enough for what a call costs to be negligible."""
    depth, *axes = work.problem.axes
    rows, columns = (
        Axis((TYPICAL - 1) * axis.stride + axis.extent, axis.kernel, axis.stride, axis.dilation)
        for axis in axes
    )
    return replace(work, problem=replace(work.problem, axes=(depth, rows, columns), batch=1))


def _is_steady(method: Method, work: Workload) -> bool:
    return method.steady or work.arithmetic.exact


def _with_reading(arithmetic: Arithmetic, problem: Problem) -> Arithmetic:
    """An arithmetic of a problem, whose reason says if float weights were read as fractions."""
    if problem.filter.exact or not arithmetic.exact:
        return arithmetic
    read = f"the weights are integers / {arithmetic.filter.denominator} up to rounding"
    return replace(arithmetic, reason=f"{read}; {arithmetic.reason}")


def _decided(
    problem: Problem, wish: _Wish, workers: int, sharers: int | None, backend: str, whole: bool
) -> Plan:
    _check_backend(problem, backend)
    if is_spread(problem):
        return _decided_in_phases(problem, wish, workers, sharers, backend, whole)
    best = _cheapest(problem, wish)
    chosen = method_named(_pick(best.candidates, wish.method))
    work, cost = best.workload(chosen.name), best.cost(chosen.name)
    arithmetic = _with_reading(work.arithmetic, problem)
    problem = work.problem
    least = COMPILED_THREAD_WORK if chosen.compiled(work) else THREAD_WORK
    workers = max(min(workers, int(problem.values * cost / least)), 1)
    height, width = fitted_size(chosen, work, *strip_size(chosen, work, sharers or workers))
    strip_threads = 1
    if whole and _fits(chosen, work, cost):
        height, width = problem.rows.output, problem.columns.output
        strip_threads, workers = _divided(problem, cost, workers)
    tasks = problem.batch * problem.depth.output * -(-problem.rows.output // height)
    tasks *= -(-problem.columns.output // width)
    return Plan(
        problem=problem,
        arithmetic=arithmetic,
        outcome=outcome(work.arithmetic, problem.double),
        method=chosen.name,
        height=height,
        width=width,
        threads=min(workers, tasks * strip_threads),
        strip_threads=strip_threads,
        candidates=best.candidates,
        borders=border_columns(chosen, work, height, width),
        backend=backend,
        steady=_is_steady(chosen, work),
    )


@frozen(eq=False)
class _Part:
    """A phase of a problem with zeros between pixels, and the method that computes it."""

    phase: Phase
    considered: _Considered
    method: Method

    @classmethod
    def of(cls, problem: Problem, narrow: Arithmetic, phase: Phase, wish: _Wish) -> _Part:
        """The part of a phase; where it cannot use a method that was requested, the cheapest takes over."""
        best = _considered(phase_problem(problem, phase), phase_arithmetic(narrow, phase), wish)
        usable = wish.method if best.cost(wish.method) < inf else "auto"
        return cls(phase, best, method_named(_pick(best.candidates, usable)))

    @property
    def work(self) -> Workload:
        return self.considered.workload(self.method.name)

    @property
    def cost(self) -> float:
        """Nanoseconds per value."""
        return self.considered.cost(self.method.name)

    @property
    def total(self) -> float:
        """Nanoseconds of all values."""
        return self.cost * self.work.problem.values


def _decided_in_phases(
    problem: Problem, wish: _Wish, workers: int, sharers: int | None, backend: str, whole: bool
) -> Plan:
    """The plan of a problem with zeros between pixels: one for each phase, and strips that they share."""
    splits = phases(problem)
    forms = [
        (form, [_Part.of(problem, form, phase, wish) for phase in splits])
        for form in (near_arithmetic(problem), choose_arithmetic(problem))
        if form
    ]
    narrow, parts = min(forms, key=lambda form: sum(part.total for part in form[1]))
    main = max(parts, key=lambda part: part.total)
    if wish.method not in ("auto", *(part.method.name for part in parts)):
        _pick(main.considered.candidates, wish.method)  # no phase can use it
    problem = replace(problem, filter=narrow.filter) if narrow.exact else problem
    cost = sum(part.total for part in parts) / problem.values
    is_compiled = all(part.method.compiled(part.work) for part in parts)
    least = COMPILED_THREAD_WORK if is_compiled else THREAD_WORK
    workers, strip_threads = max(min(workers, int(problem.values * cost / least)), 1), 1
    height, width = _shared_size(parts, main, sharers or workers)
    if whole and all(_fits(part.method, part.work, part.cost) for part in parts):
        height, width = problem.rows.output, problem.columns.output
        strip_threads, workers = _divided(problem, cost, workers)
    tasks = problem.batch * problem.depth.output * -(-problem.rows.output // height)
    tasks *= -(-problem.columns.output // width)
    threads = min(workers, tasks * strip_threads)
    result = outcome(main.work.arithmetic, problem.double)
    plan = Plan(
        problem=problem,
        arithmetic=replace(main.work.arithmetic, filter=narrow.filter),
        outcome=result,
        method=main.method.name,
        height=height,
        width=width,
        threads=threads,
        strip_threads=strip_threads,
        candidates=main.considered.candidates,
        backend=backend,
        gaps=has_gaps(problem, splits),
        steady=all(_is_steady(part.method, part.work) for part in parts),
    )
    plans = tuple((part.phase, _phase_plan(part, plan)) for part in parts)
    return replace(plan, phases=plans).cut(height, width)


def _shared_size(parts: list[_Part], main: _Part, sharers: int) -> tuple[int, int]:
    """(rows, columns) of a strip, of which each phase has its share: whole grains, or all of its outputs."""
    size = fitted_size(main.method, main.work, *strip_size(main.method, main.work, sharers))
    grains = [part.method.grain(part.work) for part in parts]
    _, rows, columns = main.phase
    down, across = (
        -(-part // lcm(*grain)) * lcm(*grain)
        for part, grain in zip(size, zip(*grains, strict=True), strict=True)
    )
    return down * rows.step, across * columns.step


def _phase_plan(part: _Part, plan: Plan) -> Plan:
    """The plan of a phase within a plan, before it is cut."""
    return replace(
        plan,
        problem=part.work.problem,
        arithmetic=part.work.arithmetic,
        method=part.method.name,
        candidates=part.considered.candidates,
        gaps=False,
    )


def _fits(method: Method, work: Workload, cost: float) -> bool:
    """Whether one call of the extension may compute a whole map: it reads the source, and ends soon."""
    rows, columns = work.problem.rows.output, work.problem.columns.output
    is_short = cost * work.problem.values / work.problem.batch <= WHOLE_WORK
    is_dense = plane_bytes(work, rows, columns) <= WHOLE_BYTES
    is_plain = laid_out(work.problem, work.arithmetic, method, rows, columns) is work.problem
    return is_short and is_dense and is_plain and method.compiled(work) and native.reads(work.problem)


def _divided(problem: Problem, cost: float, workers: int) -> tuple[int, int]:
    """Threads of each map, and of all maps together: maps with too little work for several threads get one
    each, and are computed at once only if there is much work in total.
    """
    total = cost * problem.values
    strip_threads = max(min(workers, int(total / problem.batch / SHARED_WORK)), 1)
    return strip_threads, workers // strip_threads * strip_threads if total >= MANY_MAPS else strip_threads


_remembered = lru_cache(16)(_decided)
"""The images of a folder, and calls in a loop, are mostly alike."""


def forget() -> None:
    """Forget all plans, for tests that change which methods are available."""
    _remembered.cache_clear()


def _check_backend(problem: Problem, name: str) -> None:
    if name not in backends.NAMES:
        known = ", ".join(backends.NAMES)
        raise ArgumentError(f"backend {quoted(name)} is not one of {known}{suggest(name, backends.NAMES)}")
    if refusal := backends.backend_named(name).refuses(problem):
        raise ArgumentError(f"backend {name} cannot be used here: {refusal}")


def _loading(work: Workload) -> float:
    """Nanoseconds a value for loading the planes."""
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
        raise ArgumentError(f"method {method} cannot be used here: {known[method]}")
    return method
