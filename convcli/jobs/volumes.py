"""Volumes: with a kernel of three axes, the innermost axis of frames is the depth of a volume."""

from __future__ import annotations

from convcli.formats import opening
from convcli.formats.zarr.reader import ZarrReader
from convcli.pipeline.settings import Settings


def volume_runs(runs: list[opening.Opened], settings: Settings) -> list[opening.Opened]:
    """The images of a source; of several volumes, which are filtered alike, the first."""
    if settings.kernel.spatial != 3 or len(runs) != 1:
        return runs
    depth = depth_of(runs[0])
    return [runs[0].only(0, depth)] if depth < runs[0].header.frames else runs


def depth_of(opened: opening.Opened) -> int:
    """Frames of a volume."""
    sizes = opened.parts.axes.frame_sizes if isinstance(opened.parts, ZarrReader) else ()
    return sizes[-1] if sizes else opened.header.frames
