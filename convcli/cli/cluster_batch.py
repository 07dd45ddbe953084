"""``convcli batch --cluster``: many images on the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from typing import TYPE_CHECKING, Final

from convcli.batch.batch import Batch, Limits
from convcli.batch.cluster_manifest import ClusterManifest
from convcli.batch.cluster_run import ClusterRun
from convcli.batch.inputs import Selection, SourceName
from convcli.batch.list_worker import ListJob
from convcli.batch.listing import ListedImage, listed_images
from convcli.batch.resume import RemainingWork, everything
from convcli.batch.spool import Spool
from convcli.batch.work_lists import work_lists
from convcli.cli.console import tell
from convcli.cli.list_progress import ListProgress
from convcli.cluster.registry import engine_of
from convcli.core.errors import ArgumentError, OutputError, one_line
from convcli.core.frozen import frozen, replace
from convcli.core.system import default_memory_limit
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from convcli.storage.urls import canonical, is_remote

if TYPE_CHECKING:
    from convcli.cli.arguments import BatchOptions
    from convcli.cluster.base import Engine

_AT_ONCE: Final = 8
"""Images of a list that are filtered at once where they are read or written over a network."""


@frozen(eq=False)
class ClusterBatch:
    """What a batch on a cluster reads and writes.

    Attributes:
        names: the sources.
        spec: the destination: a template, or a folder that ends with ``/``.
        variants: the settings to apply to each image.
        reads: other files that the run reads.
        selection: which files in folders are wanted.
    """

    names: Sequence[SourceName]
    spec: str
    variants: tuple[Settings, ...]
    options: BatchOptions
    reads: tuple[str, ...]
    selection: Selection

    def check(self) -> None:
        """Refuse what only a batch that knows all images can do.

        Raises:
            ArgumentError: with the option's name.
        """
        if self.options.jobs is not None:
            raise ArgumentError(
                "--jobs cannot be combined with --cluster, which has its own workers (local:N starts N)"
            )
        if OutputSpec(self.spec).is_one_input:
            raise ArgumentError(
                f"all images would be written to {one_line(self.spec)}; use {{stem}} or a folder"
            )
        if self._is_template and any(self._holds(name) for name in self.names):
            raise ArgumentError(
                f"{one_line(self.spec)}: writes into a SOURCE, where --cluster could filter results again; "
                "use another folder"
            )
        if self.variants[0].force and (len(self.names) > 1 or self._is_template):
            raise ArgumentError(
                "--force with --cluster needs a single SOURCE and a folder as DESTINATION, so that results "
                "cannot replace each other; use an empty folder without --force"
            )

    @property
    def _is_template(self) -> bool:
        return "{" in self.spec

    def _holds(self, name: SourceName) -> bool:
        """Whether a template may lead into the folder of a source."""
        fixed = self.spec.partition("{")[0]
        if not fixed.rpartition("/")[0]:
            return True
        folder, source = canonical(fixed.rpartition("/")[0]), canonical(name.text)
        return f"{folder}/".startswith(f"{source}/") or f"{source}/".startswith(f"{folder}/")

    def images(self) -> Iterator[ListedImage]:
        """The images, as a stream."""
        return listed_images(self.names, self.selection)

    @property
    def is_remote(self) -> bool:
        """Whether images are read or written over a network."""
        return is_remote(self.spec) or any(is_remote(name.text) for name in self.names)

    def rooted(self) -> ClusterBatch:
        """The same with absolute paths, for workers with working directories of their own."""
        names = [replace(name, text=_absolute(name.text)) for name in self.names]
        spec = self.spec if self.spec.startswith("{") else _absolute(self.spec)
        variants = [replace(some, output=replace(some.output, spec=spec)) for some in self.variants]
        return replace(self, names=names, spec=spec, variants=tuple(variants))

    def job(self, limits: Limits, form: str) -> ListJob:
        """What all lists have in common."""
        resume, stop = self.options.resume, self.options.on_error == "stop"
        return ListJob(self.variants, limits, form, resume, stop, self.reads)

    def settings_text(self, form: str) -> str:
        """Everything besides the images that results depend on."""
        batch = Batch([], self.variants, Limits(1, 1, 1))
        return "\n".join([*batch.fingerprints, self.spec, form])


def run_on_cluster(batch: ClusterBatch) -> int:
    """Do the work and show its progress; return how many images failed.

    Raises:
        ConvcliError: the options do not fit, or the cluster or the manifest cannot be used.
    """
    batch.check()
    options = batch.options
    assert options.cluster is not None
    manifest = (
        ClusterManifest(options.report, options.resume, options.force) if options.report is not None else None
    )
    if not options.cluster.startswith("local"):
        batch = batch.rooted()
    with ExitStack() as stack:
        stack.enter_context(manifest.locked() if manifest else nullcontext())
        engine = stack.enter_context(engine_of(options.cluster))
        if not options.cluster.startswith("local") and "{" not in batch.spec:
            engine.check_place(batch.spec.rstrip("/"))
        if engine.dashboard and not options.quiet:
            tell(f"dashboard: {engine.dashboard}")
        return _run(batch, manifest, engine, stack)


def _run(batch: ClusterBatch, manifest: ClusterManifest | None, engine: Engine, stack: ExitStack) -> int:
    options, form = batch.options, manifest.form if manifest else ""
    earlier = manifest.earlier() if manifest else []
    starts = {shard.key: shard.label for shard in earlier}
    spool = stack.enter_context(Spool(work_lists(batch.images(), batch.settings_text(form), starts)))
    progress = ListProgress(spool, options.quiet)
    recipes = Batch([], batch.variants, Limits(1, 1, 1)).recipes
    shards = manifest.shards if manifest else None
    lists = ClusterRun(batch.job(_limits(batch, engine), form), shards, recipes, earlier)
    try:
        with closing(lists.run(engine, spool)) as finished:
            for done in finished:
                progress.add(done)
                if done.errors and options.on_error == "stop":
                    spool.stop()
                    break
        if manifest:
            manifest.finish()
    except OutputError as error:  # the manifest's disk is full; the results stay
        tell(error)
        return progress.failed + 1
    finally:
        progress.end()
    _tell_reasons(options, progress)
    if batch.selection.counts and not options.quiet:
        tell(f"skipped files of unsupported formats: {batch.selection.unread_text}")
    if not spool.images and any(not name.from_list for name in batch.names):
        raise ArgumentError("no images found in any SOURCE" + _hint(batch))
    return progress.failed


def preview_lists(batch: ClusterBatch, preview: Callable[[Batch, RemainingWork], int]) -> int:
    """Show what a run would do, list by list; return how many images would fail.

    Lists that an earlier run has finished are left out.

    Args:
        preview: shows a part of a batch.
    """
    batch.check()
    options = batch.options
    manifest = ClusterManifest(options.report, options.resume, options.force) if options.report else None
    form = manifest.form if manifest else ""
    earlier = manifest.shards.all() if manifest and options.resume else []
    starts = {shard.key: shard.label for shard in earlier}
    finished = {(shard.key, shard.state) for shard in earlier if shard.is_finished}
    failed = 0
    for work in work_lists(batch.images(), batch.settings_text(form), starts):
        if (work.key, work.state) not in finished:
            part = Batch(work.images, batch.variants, Limits.detect(), options.resume, batch.reads)
            failed += preview(part, everything(part))
    return failed


def _tell_reasons(options: BatchOptions, progress: ListProgress) -> None:
    total = sum(progress.reasons.values())
    if total and not options.quiet:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(progress.reasons.items()))
        tell(f"{one_line(options.report or '')}: {total} result{'s' * (total > 1)} redone ({reasons})")


def _hint(batch: ClusterBatch) -> str:
    return "" if batch.options.recursive else "; use -r to include subfolders"


def _limits(batch: ClusterBatch, engine: Engine) -> Limits:
    """The limits of one list."""
    total = batch.options.max_memory
    share = total // engine.workers if total else default_memory_limit() // engine.workers
    jobs = _AT_ONCE if batch.is_remote else 1
    return Limits(jobs, 1, min(share, engine.memory or share))


def _absolute(name: str) -> str:
    ending = "/" if name.endswith("/") else ""
    return name if is_remote(name) else os.path.abspath(name).rstrip("/") + ending  # noqa: PTH100
