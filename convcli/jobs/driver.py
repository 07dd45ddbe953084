"""Runs a job: hands its pieces to an engine, and puts together what they tell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, Final

from convcli.cluster.base import Engine, Outcome
from convcli.cluster.base import Task as WorkerTask
from convcli.core.errors import ConvcliError, ImageError, OutputError, one_line
from convcli.core.frozen import replace
from convcli.core.numerals import counted
from convcli.engine.plan import Plan
from convcli.files.pending import record_result
from convcli.formats.zarr.target import ZarrTarget
from convcli.jobs.beginning import begun, check_free, continued, is_complete
from convcli.jobs.facts import MAP, RANGE, Facts, Totals
from convcli.jobs.job import Job, made_by, specs_of
from convcli.jobs.journal import Journal
from convcli.jobs.levels import make_levels
from convcli.jobs.opened import forget, request, work
from convcli.jobs.planning import PlannedJob
from convcli.jobs.progress import Progress
from convcli.jobs.settings_json import mapping_to_json
from convcli.jobs.source import stamps_of
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.feature_map import FeatureMap
from convcli.pipeline.maps.passes import colors_outcome
from convcli.pipeline.maps.ranges import ranged
from convcli.pipeline.planning.task import Task
from convcli.pipeline.reports.notes import about_objects
from convcli.pipeline.reports.report import Report
from convcli.pipeline.reports.task_report import report_of
from convcli.pipeline.settings import Settings

MOST_FAILURES: Final = 5
"""Pieces that may fail before no more are started: their cause is likely to be common to all."""


def run_job(
    planned: PlannedJob, connect: Callable[[], Engine], resume: bool, force: bool, progress: Progress
) -> list[Report]:
    """Make the result of a job.

    Args:
        connect: gives the engine, once it is known that there is something to do.
        resume: go on with an unfinished job that is the same.
        force: replace targets, and an unfinished job.

    Returns:
        A report for each feature map; none if it was complete already.

    Raises:
        ConvcliError: a piece failed, the engine is lost, or a target may not be replaced. What was made
            stays, and the journal with it, for another run to go on.
    """
    journal = Journal(planned.journal)
    is_new = not resume or journal.job() is None
    if resume and is_new and is_complete(planned.targets, planned.made):
        return []
    if is_new and not force:
        check_free(planned.targets, journal)
    engine = connect()
    job = planned.job(engine)
    with journal.locked():
        job = continued(job, journal) if resume else begun(job, journal, force)
        journal.refresh(stamps_of(planned.task.opened, plan_of(planned.task), job.grid).pieces)
        engine.check_place(journal.place)
        if planned.uses_functions:
            engine.check_functions()
        progress.begin(job, engine)
        run = JobRun(planned.task, planned.settings, job, journal, planned.name)
        start = time.perf_counter()
        try:
            run.run(engine, planned.threads(engine), progress)
        finally:
            forget()
        reports = run.finish(time.perf_counter() - start, counted(engine.workers, "worker"))
        if job.pyramid:
            make_levels(job, engine, progress)
        journal.remove()
    return reports


def plan_of(task: Task) -> Plan:
    """The plan of a whole image."""
    assert isinstance(task.plan, Plan)
    return task.plan


class JobRun:
    """The passes of one job.

    Args:
        task: the decisions for the whole image.
        source: its full name; None for that of the job, which has no secrets.
    """

    def __init__(
        self, task: Task, settings: Settings, job: Job, journal: Journal, source: str | None = None
    ) -> None:
        self.task, self.settings, self.job, self.journal = task, settings, job, journal
        self.source = source or job.source
        self.complete: dict[str, Totals] = {}

    @property
    def maps(self) -> int:
        """Number of feature maps."""
        return self.task.plan.outcome.maps

    def run(self, engine: Engine, threads: int, progress: Progress) -> None:
        """Run every piece that is not done, in one pass or two.

        Args:
            threads: that compute a piece.
        """
        mappings = self.mappings()
        if mappings is None:
            totals = self._pass(engine, RANGE, None, threads, progress)
            mappings = self.set_mappings(totals)
        self._pass(engine, MAP, [mapping_to_json(mapping) for mapping in mappings], threads, progress)

    def mappings(self) -> list[Mapping] | None:
        """The mapping of each map; None while its range is unknown."""
        if not self.task.mapping.needs_range:
            return [self.task.mapping] * self.maps
        found = self.journal.mappings()
        return found if found is not None and len(found) == self.maps else None

    def set_mappings(self, totals: Totals) -> list[Mapping]:
        """Note the mappings with the ranges that a pass has found.

        Raises:
            ImageError: no value is finite.
        """
        task = self.task
        outcome = colors_outcome(task.plan, task.color_handling)
        mappings = [
            ranged(task.plan, outcome, task.color_handling, index, task.mapping, counter)
            for index, counter in enumerate(totals.counters)
        ]
        self.journal.set_mappings(mappings)
        return mappings

    def totals(self, phase: str) -> Totals:
        """The facts of the pieces that are done in a pass, from the journal unless the pass is over."""
        if phase in self.complete:
            return self.complete[phase]
        totals = Totals(self.maps)
        for facts in self.journal.facts(phase):
            if facts.piece < self.job.grid.count and len(facts.maps) == self.maps:
                totals.add(facts)
        return totals

    def _pass(
        self, engine: Engine, phase: str, mappings: list[Any] | None, threads: int, progress: Progress
    ) -> Totals:
        totals, count = self.totals(phase), self.job.grid.count
        progress.show(phase, len(totals.done), count)
        tasks = self._tasks(set(totals.done), phase, mappings, threads)
        failures = []
        try:
            with closing(engine.outcomes(work, tasks)) as outcomes:
                for outcome in outcomes:
                    if outcome.failure:
                        failures.append(outcome)
                        if len(failures) >= MOST_FAILURES:
                            break
                        continue
                    facts = Facts.of_json(json.loads(outcome.facts))
                    totals.add(facts)
                    self.journal.add(phase, facts)
                    record_result()
                    progress.show(phase, len(totals.done), count)
        finally:
            self.journal.flush()
        if failures:
            raise ConvcliError(self._failed(failures, count - len(totals.done)))
        self.complete[phase] = totals
        return totals

    def _tasks(
        self, done: set[int], phase: str, mappings: list[Any] | None, threads: int
    ) -> Iterator[WorkerTask]:
        for number in range(self.job.grid.count):
            if number not in done:
                name = f"piece {number} ({self.job.grid.box(number)})"
                payload = request(self.job, self.source, number, phase, mappings, threads)
                yield WorkerTask(number, payload, name, self.job.memory)

    def _failed(self, failures: list[Outcome], left: int) -> str:
        others = f" ({len(failures)} pieces failed)" if len(failures) > 1 else ""
        return f"{failures[0].failure}{others}; {counted(left, 'piece')} left, --resume continues with them"

    def finish(self, seconds: float, by: str, retry: str = "--resume does so") -> list[Report]:
        """Check that everything is there, and say so in the targets.

        Args:
            seconds: for the report.
            by: who made the pieces.
            retry: how to make pieces again.

        Raises:
            OutputError: something is missing.
            ImageError: the source has changed.
        """
        stamps = stamps_of(self.task.opened, plan_of(self.task), self.job.grid)
        again = self.journal.refresh(stamps.pieces)
        if again:
            raise ImageError(
                f"{one_line(self.job.source)}: changed while it was being read, so that "
                f"{counted(again, 'piece')} must be made again; {retry}"
            )
        totals = self.totals(MAP)
        self.check_all(totals)
        reports = self._reports(totals, seconds, by)
        for index, (place, spec) in enumerate(specs_of(self.job)):
            target = ZarrTarget.open(place, spec)
            target.sweep()
            missing = list(islice(target.missing(), 3))
            if missing:
                raise OutputError(
                    f"{one_line(place)}: shards are missing, such as {one_line(missing[0])}, although the "
                    "workers wrote them; do all workers write to the same storage?"
                )
            target.complete({"kernel": reports[index].name, **made_by(self.job.fingerprint, stamps.identity)})
        return reports

    def check_all(self, totals: Totals) -> None:
        """Refuse to complete a pass of which pieces are missing.

        Raises:
            OutputError: there are such.
        """
        count = self.job.grid.count
        left = [number for number in range(count) if number not in totals.done]
        if left:
            raise OutputError(
                f"{counted(len(left), 'piece')} of {count} not done yet, such as {left[0]} "
                f"({self.job.grid.box(left[0])})"
            )

    def _reports(self, totals: Totals, seconds: float, by: str) -> list[Report]:
        mappings = self.mappings()
        assert mappings is not None
        ranges = self.totals(RANGE).counters if self.task.mapping.needs_range else totals.counters
        outcome = colors_outcome(self.task.plan, self.task.color_handling)
        size, pixels = totals.written // len(self.job.targets), (totals.nan_pixels, totals.ignored_pixels)
        note = f"computed in {counted(self.job.grid.count, 'piece')} by {by}"
        reports = []
        for index, (counter, range_, mapping) in enumerate(
            zip(totals.counters, ranges, mappings, strict=True)
        ):
            map_ = FeatureMap.of(outcome, index, range_, counter, mapping, pixels)
            report = report_of(self.task, self.settings, index, map_, size, seconds / self.maps)
            notes = *report.notes, *about_objects(totals.objects_read), note
            reports.append(replace(report, notes=notes))
        return reports
