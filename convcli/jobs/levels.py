"""The levels of a pyramid below a result: made by the workers, region by region, once it is complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from convcli.cluster.base import Engine
from convcli.cluster.base import Task as WorkerTask
from convcli.core.errors import ConvcliError, OutputError, shown
from convcli.formats.zarr.pyramid import (
    LevelRegion,
    build_region,
    level_regions,
    level_specs,
    with_levels,
)
from convcli.formats.zarr.spec import ArraySpec
from convcli.formats.zarr.target import ZarrTarget
from convcli.jobs.job import Job, specs_of
from convcli.jobs.progress import Progress


def make_levels(job: Job, engine: Engine, progress: Progress) -> None:
    """Make all levels of the targets of a job, and name them in their metadata.

    Raises:
        ConvcliError: a level cannot be made; another run makes them again.
    """
    for place, spec in specs_of(job):
        above, levels = spec, level_specs(spec)
        for level in levels:
            target = ZarrTarget.found(place, level) or ZarrTarget.create(place, level)
            _make(place, above, level, job.memory, engine, progress)
            missing = next(target.missing(), None)
            if missing is not None:
                raise OutputError(f"{shown(place)}: {missing} is missing, although a worker wrote it")
            target.complete({})
            above = level
        ZarrTarget(place, spec).regroup(with_levels(spec, levels))


def level_work(payload: str) -> str:
    """Make a region of a level: the function that workers call.

    Args:
        payload: JSON of the place, the arrays above and below, and the region.
    """
    asked = json.loads(payload)
    region = LevelRegion(*(tuple(asked[name]) for name in ("frames", "rows", "columns")))
    above, level = (ArraySpec.of_json(asked[name]) for name in ("above", "level"))
    written = build_region(asked["place"], above, ZarrTarget.open(asked["place"], level), region)
    return json.dumps({"written": written})


def _make(
    place: str, above: ArraySpec, level: ArraySpec, memory: int, engine: Engine, progress: Progress
) -> None:
    total = sum(1 for _ in level_regions(level))
    with closing(engine.outcomes(level_work, _tasks(place, above, level, memory))) as outcomes:
        for done, outcome in enumerate(outcomes, 1):
            if outcome.failure:
                raise ConvcliError(f"{outcome.failure}; --resume makes the levels again")
            progress.show(f"level {level.path}", done, total)


def _tasks(place: str, above: ArraySpec, level: ArraySpec, memory: int) -> Iterator[WorkerTask]:
    common: dict[str, Any] = {"place": place, "above": above.to_json(), "level": level.to_json()}
    for number, region in enumerate(level_regions(level)):
        payload = json.dumps(
            {**common, "frames": region.frames, "rows": region.rows, "columns": region.columns}
        )
        name = f"level {level.path}, rows {region.rows[0]} to {region.rows[1] - 1}"
        yield WorkerTask(number, payload, name, memory)
