"""A batch on the workers of a cluster: hands out lists of images, and keeps a shard of rows for each.

Of images and rows, only those of the lists that are on their way are in memory. A list whose worker dies
again and again is divided until the image that is to blame is alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, Final

from convcli.batch.list_worker import ListJob, ListOutcome, payload, run_list
from convcli.batch.records import encode, read_recipes
from convcli.batch.rows import ManifestRow
from convcli.batch.shards import Shard, Shards
from convcli.batch.spool import Spool
from convcli.batch.work_lists import UNFINISHED, Label, Labels, WorkList, divided
from convcli.cluster.base import Engine, Outcome, Task
from convcli.core.errors import one_line

PARTS: Final = 8
"""Lists into which one that failed as a whole is divided."""

MOST_DIVIDED: Final = 16
"""Lists that may fail as a whole and be divided; if there are more, it is not an image that is to blame."""


class ClusterRun:
    """The lists of a batch on their way to workers and back.

    Args:
        shards: where rows are kept; None where there is no manifest.
        recipes: what rows have in common, by the fingerprint of their settings.
        earlier: the shards of earlier runs.
    """

    def __init__(
        self, job: ListJob, shards: Shards | None, recipes: dict[str, Any], earlier: Iterable[Shard]
    ) -> None:
        self.job, self.packed_job, self.shards, self.recipes = job, job.packed(), shards, recipes
        self.earlier: dict[Label, list[Shard]] = {}
        for shard in earlier:
            self.earlier.setdefault(shard.label, []).append(shard)
        self.kept = set[str]()
        self.labels, self.number = Labels(self.earlier), 0
        self.running: dict[int, tuple[WorkList, dict[str, Any]]] = {}
        self.failed = list[WorkList]()
        self.skipped = list[ListOutcome]()

    def run(self, engine: Engine, spool: Spool) -> Generator[ListOutcome, None, None]:
        """Filter the images of all lists, and yield what became of each list.

        Raises:
            ConvcliError: the engine is lost, images cannot be listed, or the manifest cannot be written.
        """
        yield from self._round(engine, self._remaining(spool))
        while self.failed:
            lists, self.failed = self.failed, []
            parts = [part for work in lists for part in divided(work, self.labels, PARTS)]
            yield from self._round(engine, parts)
        self._sweep()

    def _remaining(self, spool: Spool) -> Iterator[WorkList]:
        """The lists that are not finished; of the others, it is noted that they were skipped."""
        for work in spool:
            self.labels.taken.add(work.label)
            shards = [shard for shard in self.earlier.get(work.label, []) if _is_of(shard, work)]
            if shards:
                self.kept.add(shards[0].name)
                self.skipped.append(ListOutcome(skipped=len(work.images)))
            else:
                yield work

    def _round(self, engine: Engine, lists: Iterable[WorkList]) -> Iterator[ListOutcome]:
        outcomes = engine.outcomes(run_list, map(self._task, lists))
        with closing(outcomes):
            for outcome in outcomes:
                yield from self._noted()
                yield self._done(*self.running.pop(outcome.number), outcome)
        yield from self._noted()

    def _noted(self) -> Iterator[ListOutcome]:
        while self.skipped:
            yield self.skipped.pop(0)

    def _task(self, work: WorkList) -> Task:
        self.number += 1
        rows = self._earlier_rows(work)
        self.running[self.number] = work, read_recipes(rows.partition(b"\n")[0])
        text = payload(self.packed_job, work.images, rows)
        return Task(self.number, text, one_line(work.name), self.job.limits.memory)

    def _earlier_rows(self, work: WorkList) -> bytes:
        if self.shards is None:
            return b""
        return self.shards.read(shard for label in work.before for shard in self.earlier.get(label, []))

    def _done(self, work: WorkList, recipes: dict[str, Any], outcome: Outcome) -> ListOutcome:
        if outcome.failure:
            return self._failed(work, outcome.failure)
        result = ListOutcome.of_text(outcome.facts)
        state = UNFINISHED if result.errors or result.left else work.state
        used = {name: recipe for name, recipe in recipes.items() if name.encode() in result.rows}
        self._write(work, state, result.rows, used)
        return result

    def _failed(self, work: WorkList, failure: str) -> ListOutcome:
        """Note a list that failed as a whole: to be divided, or with a row for each of its images."""
        if len(work.images) > 1 and len(self.failed) < MOST_DIVIDED and not self.job.stop:
            self.failed.append(work)
            return ListOutcome()
        reason = failure.removeprefix(f"{one_line(work.name)}: ")
        errors = tuple(f"{one_line(image.path)}: {reason}" for image in work.images)
        rows = [
            ManifestRow.for_failure(image.path, error)
            for image, error in zip(work.images, errors, strict=True)
        ]
        form = self.job.form
        lines = encode("".join(row.line(form) for row in rows)) if form else b""
        self._write(work, UNFINISHED, lines, {})
        return ListOutcome(errors=errors)

    def _write(self, work: WorkList, state: str, rows: bytes, recipes: dict[str, Any]) -> None:
        if self.shards is not None:
            recipes = {**recipes, **self.recipes}
            self.kept.add(self.shards.write(work.label, work.key, state, recipes, rows).name)

    def _sweep(self) -> None:
        """Delete the shards of earlier runs, whose rows are in new ones; any list might have needed them."""
        for shard in (shard for shards in self.earlier.values() for shard in shards):
            if self.shards is not None and shard.name not in self.kept:
                self.shards.delete(shard)


def _is_of(shard: Shard, work: WorkList) -> bool:
    """Whether a shard shows that a list is finished."""
    return shard.is_finished and (shard.key, shard.state) == (work.key, work.state)
