"""Volumes: with a kernel of three axes, the innermost axis of frames is the depth of a volume."""

from __future__ import annotations

from math import prod

from convcli.core.errors import ArgumentError
from convcli.formats import opening
from convcli.formats.zarr.reader import ZarrReader
from convcli.pipeline.settings import Settings


def volume_runs(runs: list[opening.Opened], settings: Settings) -> list[opening.Opened]:
    """The images of a source; of several volumes, which are filtered alike, the first.

    Raises:
        ArgumentError: ``--frames`` with several volumes.
    """
    if volumes_of(runs[0], settings) == 1:
        return runs
    if settings.frames != slice(None):
        raise ArgumentError("--frames cannot choose frames of several volumes; use --axes, as in --axes t=0")
    return [runs[0].only(0, _frame_sizes(runs[0])[-1])]


def volumes_of(opened: opening.Opened, settings: Settings) -> int:
    """How many volumes a source has; 1 where the kernel does not slide over frames."""
    return prod(_frame_sizes(opened)[:-1]) if settings.kernel.spatial == 3 else 1


def _frame_sizes(opened: opening.Opened) -> tuple[int, ...]:
    return opened.parts.axes.frame_sizes if isinstance(opened.parts, ZarrReader) else ()
