"""What is refused before anything of a batch is written."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence

from convcli.batch.batch import Batch
from convcli.batch.inputs import InputFile, path_resolver
from convcli.core.errors import ArgumentError, shown
from convcli.formats.registry import STORES
from convcli.storage.urls import is_remote


def check_outputs(batch: Batch, manifest: str | None = None) -> None:
    """Refuse outputs that exist or that the run reads.

    With ``force``, the only result of an image may replace it. Outputs are predicted from names: an image
    whose own format cannot hold its result gets another suffix, and is checked when its turn comes.

    Args:
        manifest: the manifest's name; it must be neither read by the run nor one of its outputs.

    Raises:
        ArgumentError: for the first such output.
    """
    _check_formats(batch)
    resolve = path_resolver(follow=True)
    inputs = {resolve(source.path) for source in batch.sources}
    reads = {resolve(name) for name in batch.reads}
    outputs: dict[str, str] = {}
    for source, paths in zip(batch.sources, batch.expected_outputs, strict=True):
        for path in paths:
            resolved = resolve(path)
            if resolved in reads:
                raise ArgumentError(
                    f"{shown(path)}: is read by this run (a kernel or list) and cannot be an output"
                )
            if resolved in inputs:
                _check_replacing(batch, source, path, resolved == resolve(source.path), len(paths))
            outputs.setdefault(resolved, path)
    if manifest is not None and resolve(manifest) in inputs | outputs.keys() | reads:
        raise ArgumentError(
            f"{shown(manifest)}: is read by this run or one of its outputs, and cannot be its manifest"
        )
    if not (batch.resume or batch.force):
        _check_existing(outputs.values())


def _check_formats(batch: Batch) -> None:
    """Refuse results in Zarr for images that are not."""
    requested = batch.variants[0].output.requested_format
    if requested == STORES:
        raise ArgumentError(
            f"--format {requested}: convcli batch writes files; choose another format, or use convcli apply, "
            "which writes one Zarr in pieces"
        )


def _check_existing(outputs: Collection[str]) -> None:
    """Refuse outputs that exist already."""
    existing = [path for path in outputs if not is_remote(path) and os.path.lexists(path)]
    existing += _existing_objects([path for path in outputs if is_remote(path)])
    if existing:
        raise ArgumentError(
            f"{len(existing)} of {len(outputs)} outputs already exist, such as {shown(existing[0])} "
            "(--resume continues from a manifest, --force replaces them)"
        )


def _existing_objects(urls: Sequence[str]) -> Iterable[str]:
    if not urls:
        return []
    from convcli.storage.listing import existing  # only for URLs

    return existing(urls)


def _check_replacing(batch: Batch, source: InputFile, path: str, is_own: bool, results: int) -> None:
    """Refuse an output that is an input, unless it is forced to replace its own as the only result."""
    subject = f"{shown(source.path)}: its output {shown(path)}"
    if not is_own:
        raise ArgumentError(
            f"{subject} is an input of this run; if an earlier run wrote it, exclude it with a list or "
            "pattern, or write to another folder"
        )
    if results > 1:
        raise ArgumentError(f"{subject} is the input itself, which can only be replaced by a single result")
    if batch.resume:
        raise ArgumentError(
            f"{subject} is the input itself; --resume cannot tell which images are already filtered: "
            "write to another folder"
        )
    if not batch.force:
        raise ArgumentError(f"{subject} is the input itself (--force replaces it with the result)")
