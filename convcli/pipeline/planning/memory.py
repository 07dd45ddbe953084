"""How much memory a task needs, estimated before anything is decoded."""

from __future__ import annotations

from math import prod
from typing import Final

from convcli.core.errors import ArgumentError
from convcli.engine.computers import Computation, strip_memory
from convcli.formats import opening
from convcli.geometry.axes import Geometry
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.maps.canvas import MOST_WAITING
from convcli.pipeline.planning.targets import OutputFiles

PROCESS: Final = 2**25
"""Bytes that a process takes besides its images."""

_SCRATCH: Final = 2**23  # bytes of a thread's buffers
_BANDS: Final = 4  # bands that a thread has at hand: being filled, encoded, or encoded already
_WEIGHT: Final = 64  # bytes for each weight, as floats, as integers and as a method lays them out


def estimated_memory(
    opened: opening.Opened, sizes: Geometry, handling: ColorHandling, plan: Computation, files: OutputFiles
) -> int:
    """About how many bytes a task takes: whole decoded and encoded images, and the strips in progress."""
    encoded = sum(target.format.encoder_memory(files.layout) for target in files.targets)
    decoded = _decoded(opened, sizes, handling, plan)
    weights = _WEIGHT * plan.weights
    return decoded + encoded + _waiting_pages(files) + _strips(plan, files) + weights + PROCESS


def _decoded(opened: opening.Opened, sizes: Geometry, handling: ColorHandling, plan: Computation) -> int:
    """Bytes of what the reader keeps, and of a volume, which is held as a whole."""
    problem = plan.problem
    if problem.depth.size == 1:
        return opened.memory(plan.threads)
    voxel = problem.channels * problem.lanes * problem.dtype.itemsize
    voxel += handling.stored.itemsize * (handling.alpha == "keep")
    return opened.memory(1) + prod(sizes.input) * voxel


def _waiting_pages(files: OutputFiles) -> int:
    """Bytes of pages that wait for the first of their file to be written."""
    layout = files.layout
    return prod(layout.shape) * layout.dtype.itemsize * layout.frames * (files.pages - 1)


def _strips(plan: Computation, files: OutputFiles) -> int:
    """Bytes of the threads' strips, and of the bands that wait to be written."""
    layout = files.layout
    band = plan.height * layout.columns * layout.channels * layout.dtype.itemsize
    threads = plan.threads * (max(_SCRATCH, strip_memory(plan)) + _BANDS * band)
    return threads + MOST_WAITING * band * len(files.targets)


def check_memory(needed: int, limit: int | None) -> None:
    """Refuse a task that needs more bytes than the limit, if there is one.

    Raises:
        ArgumentError: it does.
    """
    if limit is not None and needed > limit:
        raise ArgumentError(over_limit(needed, limit))


def over_limit(needed: int, limit: int) -> str:
    """The message for a task that needs more memory than allowed; both are bytes."""
    return f"needs about {-(-needed // 10**6)} MB of memory; allowed: {_unit_text(limit)} (--max-memory)"


def _unit_text(count: int) -> str:
    """A number of bytes in the largest unit of which there is at least one, rounded down."""
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count // size} {unit}"
    return f"{count} bytes"
