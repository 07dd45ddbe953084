"""From a source, settings and options to a job: everything that is decided before a piece runs."""

from __future__ import annotations

import os
from typing import Any, Self

from convcli import __version__
from convcli.cluster.base import Engine
from convcli.core.errors import ArgumentError, OutputError, one_line
from convcli.core.frozen import frozen, replace
from convcli.core.redaction import public_name
from convcli.core.system import processors
from convcli.engine.combine import POLAR
from convcli.engine.plan import Plan
from convcli.files.input import STREAM, Input
from convcli.formats.calibration import Sampling
from convcli.formats.zarr.pyramid import level_specs
from convcli.formats.zarr.reader import ZarrReader
from convcli.formats.zarr.results import OME_SUFFIX, Result, ResultSpec, result_spec
from convcli.formats.zarr.spec import ArraySpec
from convcli.formats.zarr.target import ZarrTarget
from convcli.geometry.padding import Pair
from convcli.jobs.grid import Grid
from convcli.jobs.job import Job, job_fields, journal_of, made_by
from convcli.jobs.opened import decided
from convcli.jobs.sizing import Sizing
from convcli.jobs.source import identity_of, stamps_of
from convcli.jobs.volumes import volumes_of
from convcli.pipeline.planning.task import Task
from convcli.pipeline.settings import Settings
from convcli.storage.urls import canonical, is_url


@frozen
class JobOptions:
    """How a result is divided.

    Attributes:
        piece, chunk, shard: (rows, columns); None for good sizes, and no shards.
        memory: bytes that a worker may take; None for what the engine allows.
        pyramid: whether the levels of a pyramid are made as well.
        threads: that compute a piece; None for one with several workers, else one for each processor.
    """

    piece: Pair | None = None
    chunk: Pair | None = None
    shard: Pair | None = None
    memory: int | None = None
    threads: int | None = None
    pyramid: bool = False


@frozen(eq=False)
class PlannedJob:
    """Everything about a job that does not depend on who runs it.

    Attributes:
        name: of the source; absolute.
        fields: of the job, as `job_fields` makes them.
        source: is open; use the job as a context to close it.
        targets: the place and the array of each map.
    """

    name: str
    fields: dict[str, Any]
    task: Task
    settings: Settings
    source: Input
    options: JobOptions
    targets: tuple[tuple[str, ArraySpec], ...]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    @property
    def journal(self) -> str:
        """The place of the job's journal."""
        return journal_of(self.targets[0][0])

    @property
    def made(self) -> dict[str, str]:
        """As `Job.made`, for which the objects of an array are listed."""
        return made_by(self.fields["fingerprint"], stamps_of(self.task.opened).identity)

    @property
    def uses_functions(self) -> bool:
        """Whether pixels depend on powers or angles, whose last bits depend on the processor."""
        plan = self.task.plan
        assert isinstance(plan, Plan)
        return self.task.color_handling.linear or plan.problem.filter.combine in ("angle", POLAR)

    def threads(self, engine: Engine) -> int:
        """Threads of a piece: as asked for, all processors of this process, or one of many workers."""
        return self.options.threads or (processors() if engine.shares_process else 1)

    def memory(self, engine: Engine) -> int | None:
        """Bytes that a worker may take; None for no limit."""
        return self.options.memory if self.options.memory is not None else engine.memory

    def sizing(self, engine: Engine) -> Sizing:
        """What the size of pieces depends on."""
        volumes = volumes_of(self.task.opened, self.settings)
        return _sizing(self.task, volumes, ZarrTarget(*self.targets[0]), self.threads(engine))

    def grid(self, engine: Engine) -> tuple[Grid, int]:
        """The pieces for an engine, and about how many bytes one takes with one thread.

        Raises:
            ArgumentError: not even the smallest piece fits into the memory of a worker.
        """
        sizing = self.sizing(engine)
        grid = sizing.grid(engine.workers, self.memory(engine), self.options.piece)
        return grid, sizing.memory(min(grid.piece[2], grid.shape[2]))

    def job(self, engine: Engine) -> Job:
        """The job for an engine.

        Raises:
            ArgumentError: not even the smallest piece fits into the memory of a worker.
        """
        grid, memory = self.grid(engine)
        return Job(
            source=public_name(self.name),
            identity=identity_of(self.task.opened),
            targets=tuple({"place": place, "spec": spec.to_json()} for place, spec in self.targets),
            method=self.task.plan.method,
            grid=grid,
            program=__version__,
            memory=memory,
            pyramid=self.options.pyramid,
            **self.fields,
        )


def plan_job(name: str, settings: Settings, options: JobOptions) -> PlannedJob:
    """The job that makes one result; nothing is written.

    Args:
        name: of the source, or its URL.

    Raises:
        ConvcliError: the source cannot be read or filtered in pieces, or its result not be written by them.
    """
    if name == STREAM:
        raise ArgumentError("standard input is read by one process; give a file, a folder or a URL")
    settings = replace(settings, steady=True)
    absolute = name if is_url(name) else os.path.abspath(name)  # noqa: PTH100 - links stay as they are
    fields = job_fields(settings)
    source = Input.open(absolute)
    try:
        task = decided(name, source, settings)
        places = _places(task, absolute)
        volumes = volumes_of(task.opened, settings)
        specs = [_spec(task, volumes, options, place) for place in places]
        notes = [f"{volumes} volumes are filtered alike; sizes are those of one"] * (volumes > 1)
        task = replace(task, metadata_notes=(*task.metadata_notes, *specs[0].notes, *notes))
        targets = tuple((place, one.spec) for place, one in zip(places, specs, strict=True))
        if options.pyramid:
            level_specs(specs[0].spec)
    except BaseException:
        source.close()
        raise
    return PlannedJob(absolute, fields, task, settings, source, options, targets)


def _spec(task: Task, volumes: int, options: JobOptions, place: str) -> ResultSpec:
    """The array for one map."""
    reader = task.opened.parts
    result = Result(
        replace(task.layout, frames=task.layout.frames * volumes),
        tuple(Sampling.of(axis) for axis in task.geometry.axes),
        depth=task.layout.frames if _is_deep(task) else None,
        alpha=task.layout.channels in (2, 4) and not task.layout.bands,
        pixel=task.metadata.axes,
        is_ome=place.casefold().endswith(OME_SUFFIX),
        nodata=task.metadata.nodata,
        ground=task.metadata.ground,
    )
    source = reader if isinstance(reader, ZarrReader) else None
    return result_spec(result, source, options.chunk, options.shard)


def _places(task: Task, source: str) -> list[str]:
    """Where the maps go.

    Raises:
        OutputError: not to Zarr, or over the source.
    """
    places = []
    for target in task.targets:
        if not target.format.is_store:
            raise OutputError(
                f"{target}: {target.format.name} is one file, which one process writes; pieces are written "
                "to Zarr, as with -o out.zarr"
            )
        place = str(target.path)
        place = place.rstrip("/") if is_url(place) else os.path.abspath(place)  # noqa: PTH100
        own, other = canonical(place), canonical(source)
        if own == other or own.startswith(f"{other}/") or other.startswith(f"{own}/"):
            raise OutputError(f"{one_line(place)}: is the source, or a part of it")
        places.append(place)
    return places


def _sizing(task: Task, volumes: int, target: ZarrTarget, threads: int) -> Sizing:
    assert isinstance(task.plan, Plan)
    opened, layout = task.opened, task.layout
    reader = opened.parts
    return Sizing(
        task.plan,
        opened.header,
        layout,
        len(task.targets),
        reader.block if reader is not None else None,
        reader is not None,
        target.shard,
        layout.frames if _is_deep(task) else target.group,
        layout.frames * volumes,
        threads,
    )


def _is_deep(task: Task) -> bool:
    """Whether the kernel slides over frames."""
    return len(task.geometry.axes) == 3
