"""Images that are filtered in pieces, from Python: `Job`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import ArrayLike

from convcli.cluster.base import Engine
from convcli.cluster.in_process import InProcessEngine
from convcli.cluster.registry import engine_on
from convcli.core.errors import ArgumentError, ImageError, cut, failure_message, literal
from convcli.geometry.padding import Padding, Pair
from convcli.jobs.driver import run_job
from convcli.jobs.job import Job as Document
from convcli.jobs.planning import JobOptions, PlannedJob, plan_job
from convcli.jobs.progress import NoProgress
from convcli.jobs.shares import finish_job, prepare_job, run_share
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.reports.json_form import report_dict
from convcli.pipeline.settings import Settings

if TYPE_CHECKING:
    from distributed import Client


class Job:
    """An image, what is computed of it, and where the result goes: a Zarr array, local or at a URL.

    A job is run whole, by `run` or on a Dask cluster by `on`; or it is saved to a file, and shares of it are
    run by `run_share` on machines that know nothing of each other, as ``convcli piece`` does.
    """

    def __init__(self, planned: PlannedJob) -> None:
        self._planned = planned

    @classmethod
    def of(  # noqa: PLR0913 - the options of a command
        cls,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        kernel: str | Kernel | ArrayLike,
        stride: int | Sequence[int] = 1,
        padding: str = "same:reflect",
        dilation: int | Sequence[int] = 1,
        flip: bool = False,
        channels: str | None = None,
        map: str = "auto",
        depth: str | None = None,
        double: bool = False,
        piece: Pair | None = None,
        chunk: Pair | None = None,
        shard: Pair | None = None,
        memory: int | None = None,
        axes: str = "",
        level: int = 0,
        pyramid: bool = False,
        threads: int | None = None,
    ) -> Self:
        """Plan a job; only the header of the source is read, and nothing is written.

        Args:
            source: a file, a folder or a URL: of Zarr, or of any image format.
            target: of the result, whose name ends with ``.zarr``.
            kernel: a `Kernel`, its weights, or a name as `load_kernel` takes it.
            stride: one integer, or one for each axis.
            padding: ``AMOUNT[:FILL]``, as ``--padding`` takes it.
            dilation: like ``stride``.
            flip: whether the kernel is rotated by 180°.
            channels: ``each``, ``gray`` or ``sum``; None lets the kernel decide.
            map: how values become pixels, as ``--map`` takes it.
            depth: ``8``, ``16``, ``half`` or ``float``; None for that of the source.
            double: whether sums that are not exact are computed in float64.
            piece: (rows, columns); None for a good size.
            chunk: (rows, columns) of the result's chunks; None for a good size.
            shard: (rows, columns) of its shards; None for none.
            memory: bytes that a worker may take.
            axes: the part of a Zarr source, as ``--axes`` takes it.
            level: of a pyramid, as ``--level`` takes it.
            pyramid: whether to add the levels of an OME-Zarr pyramid.
            threads: of a piece; None for one of each worker of a cluster, else one for each processor.

        Raises:
            ConvcliError: the source cannot be read or filtered in pieces, or its result not be written so.
        """
        if not isinstance(axes, str):
            raise ArgumentError(
                f"axes is of type {cut(type(axes).__name__, 60)} (allowed: a text such as 'c=0,z=3..9')"
            )
        settings = Settings(
            _kernel(kernel),
            stride=_steps(stride),
            padding=Padding.parse(padding),
            dilation=_steps(dilation),
            flip=flip,
            channels=channels,
            mapping=Mapping.parse(map),
            output=OutputSpec(os.fspath(target)),
            depth=depth,
            double=double,
            axes=axes,
            level=level,
        )
        options = JobOptions(piece, chunk, shard, memory, threads, pyramid)
        try:
            planned = plan_job(os.fspath(source), settings, options)
        except ImageError as error:
            raise ImageError(failure_message(os.fspath(source), error)) from error
        planned.source.close()
        return cls(planned)

    def document(self, workers: int = 1) -> dict[str, Any]:
        """The job as its JSON document has it.

        Args:
            workers: that will run pieces at the same time.
        """
        return _fields(self._planned.job(_Workers(workers)))

    def run(self, *, resume: bool = False, force: bool = False) -> list[dict[str, Any]]:
        """Run all pieces in this process.

        Args:
            resume: go on with an unfinished job that is the same.
            force: replace a result that is there, and an unfinished job.

        Returns:
            A report for each feature map, as ``--report json`` has it; none if all was done before.

        Raises:
            ConvcliError: a piece failed, or the result may not be replaced.
        """
        return self._run(InProcessEngine(), resume, force)

    def on(self, client: Client, *, resume: bool = False, force: bool = False) -> list[dict[str, Any]]:
        """Run all pieces on the cluster of a Dask client; see `run`."""
        if client.scheduler is None:
            raise ArgumentError("the client is closed, or not connected to a scheduler")
        with engine_on(client) as engine:
            return self._run(engine, resume, force)

    def _run(self, engine: Engine, resume: bool, force: bool) -> list[dict[str, Any]]:
        reports = run_job(self._planned, lambda: engine, resume, force, NoProgress())
        return [report_dict(report) for report in reports]

    def save(self, file: str | os.PathLike[str], *, force: bool = False) -> int:
        """Create the result without pixels, and write the job to a file, for `run_share` and `finish`.

        Returns:
            The number of pieces.

        Raises:
            OutputError: the file or the result is there, and ``force`` is off.
        """
        return prepare_job(self._planned, os.fspath(file), force)


def run_shares(
    file: str | os.PathLike[str], index: int = 0, count: int = 1, threads: int | None = None
) -> tuple[int, int]:
    """Run every ``count``-th piece of a saved job, from ``index`` on, that is not done.

    Returns:
        How many pieces were done now, and how many before.

    Raises:
        ConvcliError: a piece failed; those before it are noted as done.
    """
    if not 0 <= index < count:
        raise ArgumentError(f"share {literal(index)} of {literal(count)}; allowed: 0 to {count - 1}")
    return run_share(os.fspath(file), index, count, threads)


def finish(file: str | os.PathLike[str]) -> str:
    """Complete a saved job all of whose pieces are done, or its first pass; in words, what was done.

    Raises:
        OutputError: pieces are missing.
    """
    return finish_job(os.fspath(file))


class _Workers(InProcessEngine):
    """An engine that is only asked how many workers it has."""

    shares_process = False

    def __init__(self, count: int) -> None:
        self.count = count

    @property
    def workers(self) -> int:
        return self.count


def _fields(job: Document) -> dict[str, Any]:
    import json

    fields: dict[str, Any] = json.loads(job.to_text())
    return fields


def _kernel(given: Any) -> Kernel:
    if isinstance(given, Kernel):
        return given
    return load_kernel(given) if isinstance(given, (str, os.PathLike)) else Kernel(given)


def _steps(given: int | Sequence[int]) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)
