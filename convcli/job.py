"""One picture: read, plan, convolve, map, write, report. The guts of ``convcli apply``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np

from convcli import engine, files, images
from convcli.border import OUTSIDE, sources
from convcli.dtypes import Array, DType, Finish
from convcli.errors import ArgumentError, ConvcliError, OutputError
from convcli.filter import Filter
from convcli.geometry import Axis, Geometry, Padding, geometry
from convcli.images.base import Header, depth_text
from convcli.kernel import Kernel
from convcli.naming import Output, Target
from convcli.picture import Mapping
from convcli.plan import Plan, Problem
from convcli.planner import choose
from convcli.rational import Number, exact_number
from convcli.report import File, Report

LUMA: Final = tuple(Fraction(share, 1000) for share in (299, 587, 114))
"""Shares of red, green and blue in brightness: ITU-R BT.601."""

CHANNELS: Final = ("each", "gray", "sum")
PHOTOGRAPH: Final = Padding.parse("same:reflect")
MAX_PIXELS: Final = 10**9


@dataclass(frozen=True, eq=False, slots=True)
class Settings:
    """What to do with every picture of a run; the words are those of the command line."""

    kernel: Kernel
    stride: tuple[int, ...] = (1, 1)
    padding: Padding = PHOTOGRAPH
    dilation: tuple[int, ...] = (1, 1)
    flip: bool = False
    channels: str | None = None
    mapping: Mapping = field(default_factory=Mapping)
    output: Output = field(default_factory=Output)
    force: bool = False
    double: bool = False
    method: str = "auto"
    threads: int | None = None
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """One picture's decisions, made before a pixel is decoded."""

    source: str
    opened: images.Opened
    geometry: Geometry
    channels: str
    plan: Plan
    mapping: Mapping
    target_dtype: DType
    targets: tuple[Target, ...]


@dataclass(slots=True)
class Values:
    """What is seen of one feature map while it is computed."""

    low: float = field(default=float("inf"))
    high: float = field(default=float("-inf"))
    below: int = 0
    above: int = 0

    def see(self, sums: Array) -> None:
        self.low = min(self.low, sums.min().item())
        self.high = max(self.high, sums.max().item())

    def count(self, beyond: tuple[int, int]) -> None:
        self.below += beyond[0]
        self.above += beyond[1]

    def merge(self, other: Values) -> None:
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.count((other.below, other.above))


def apply(source: str, settings: Settings, taken: set[str] | None = None) -> list[Report]:
    """Convolve one picture and write its feature maps.

    Args:
        source: a file, or ``-`` for standard input.
        taken: outputs of this run so far, which must not be written twice; added to.

    Returns:
        A report for each map.

    Raises:
        ConvcliError: of every kind; nothing is left half-written.
    """
    task = prepare(source, settings)
    _check(task, settings, taken if taken is not None else set())
    pixels = task.opened.pixels()
    begun = time.perf_counter()
    pictures, values, mappings = _convolve(task, pixels)
    seconds = time.perf_counter() - begun
    reports = []
    for index, (target, picture) in enumerate(zip(task.targets, pictures, strict=True)):
        size = _write(target, picture, settings)
        facts = values[index], mappings[index], seconds / len(pictures)
        reports.append(_report(task, settings, index, picture.shape[2], size, *facts))
    return reports


def prepare(source: str, settings: Settings) -> Task:
    """Read a picture's header and decide everything."""
    opened = images.open_bytes(files.read(source), settings.max_pixels)
    header, kernel = opened.header, settings.kernel
    shape = geometry(
        (header.rows, header.columns), kernel.size, settings.stride, settings.padding, settings.dilation
    )
    channels = _channels(settings.channels, kernel, header)
    plan = choose(_problem(header, shape, channels, settings), settings.method, settings.threads)
    mapping = settings.mapping.resolved(kernel, header.dtype)
    target_dtype = _target_dtype(mapping, header.dtype, plan)
    count = plan.problem.lanes + header.alpha
    targets = settings.output.targets(
        source, kernel.name, plan.outcome.maps, opened.format, target_dtype, count
    )
    return Task(source, opened, shape, channels, plan, mapping, target_dtype, tuple(targets))


def _channels(asked: str | None, kernel: Kernel, header: Header) -> str:
    inputs = kernel.tensor_shape[2]
    colours = header.channels - header.alpha
    chosen = asked or ("each" if inputs == 1 else "sum")
    if inputs > 1 and (chosen != "sum" or inputs != colours):
        raise ArgumentError(
            f"kernel {kernel.name} takes {inputs} input channels, which needs --channels sum "
            f"and a picture of {inputs} colours; this one has {colours}"
        )
    return chosen


def _problem(header: Header, shape: Geometry, channels: str, settings: Settings) -> Problem:
    filter_ = Filter.of(settings.kernel, flip=settings.flip)
    colours = header.channels - header.alpha
    summed = 1 if channels == "each" else colours
    if channels == "gray" and colours == 3:
        filter_ = filter_.per_input(LUMA)
    elif summed > 1 and filter_.inputs == 1:
        filter_ = filter_.per_input((exact_number(1),) * summed)
    rows, columns = shape.axes
    return Problem(
        axes=(Axis(1, 1), rows, columns),
        filter=filter_,
        dtype=header.dtype,
        fill=settings.padding.fill,
        channels=summed,
        lanes=colours // summed,
        double=settings.double,
    )


def _target_dtype(mapping: Mapping, source: DType, plan: Plan) -> DType:
    """The picture's own type, floats for ``raw``, 16 bits where a float picture is mapped to a range."""
    if mapping.kind == "raw":
        double = plan.problem.double or source == np.float64
        return np.dtype(np.float64 if double else np.float32)
    if source.kind == "f":
        if mapping.kind not in ("signed", "stretch"):
            raise ArgumentError(
                f"map {mapping.kind} needs a picture of integers, this one holds {source}; "
                "allowed: raw, signed, stretch"
            )
        return np.dtype(np.uint16)
    return source


def _check(task: Task, settings: Settings, taken: set[str]) -> None:
    for target in task.targets:
        if target.path is None:
            continue
        place = str(target.path.absolute())
        if place in taken:
            raise OutputError(
                f"{target}: is the output of another input of this run; use {{stem}} or a folder"
            )
        taken.add(place)
        files.check_target(target.path, task.source, settings.force, settings.output.is_folder)


def _convolve(task: Task, pixels: Array) -> tuple[list[Array], list[Values], list[Mapping]]:
    """The mapped pictures of a decoded one, what was seen of their values, and how they were mapped."""
    colours = pixels[..., : pixels.shape[2] - task.opened.header.alpha]
    lanes = task.plan.problem.lanes
    source = colours[None, None, :, :, None, :] if lanes > 1 else colours[None, None, :, :, :, None]
    seen = [Values() for _ in range(task.plan.outcome.maps)]
    if task.mapping.needs_range:
        _run(task, source, seen, None)
    mappings = [_ranged(task, index, values) for index, values in enumerate(seen)]
    rows, columns = task.geometry.output
    count = lanes + task.opened.header.alpha
    pictures = [np.empty((rows, columns, count), task.target_dtype) for _ in mappings]
    finishes = [
        Finish(task.plan.outcome.dtype, *bounds, mapping.affine(value, task.target_dtype), task.target_dtype)
        for bounds, value, mapping in zip(
            task.plan.outcome.bounds, task.plan.outcome.affines, mappings, strict=True
        )
    ]
    _run(task, source, seen, (pictures, finishes))
    if task.opened.header.alpha:
        sampled = _centres(task, pixels[..., -1])
        for picture in pictures:
            picture[..., -1] = sampled
    return pictures, seen, mappings


def _ranged(task: Task, index: int, values: Values) -> Mapping:
    if not task.mapping.needs_range:
        return task.mapping
    return task.mapping.over(*_ends(task, index, values))


def _ends(task: Task, index: int, values: Values) -> tuple[Number, Number]:
    affine = task.plan.outcome.affines[index]
    return affine.value(values.low), affine.value(values.high)


def _run(
    task: Task, source: Array, seen: list[Values], outcome: tuple[list[Array], list[Finish]] | None
) -> None:
    """One pass of the engine: note the range, or (``outcome``) also finish the pictures."""
    kept: list[list[Values]] = []
    lanes = task.plan.problem.lanes
    note = outcome is None or not task.mapping.needs_range

    def consumer() -> engine.Consume:
        own = [Values() for _ in seen]
        kept.append(own)

        def consume(part: engine.Task, sums: Array) -> None:
            (top, bottom), (left, right) = part.strip.rows, part.strip.columns
            for index, values in enumerate(own):
                if note:
                    values.see(sums[index])
                if outcome is not None:
                    pictures, finishes = outcome
                    out = pictures[index][top:bottom, left:right, :lanes]
                    values.count(finishes[index](sums[index], out, count=True))

        return consume

    engine.run(task.plan, source, consumer)
    for own in kept:
        for values, more in zip(seen, own, strict=True):
            values.merge(more)


def _centres(task: Task, alpha: Array) -> Array:
    """Alpha as it is at the centre of each window."""
    fill = task.plan.problem.fill
    picked = alpha
    outside = []
    for number, axis in enumerate(task.geometry.axes):
        middle = (axis.extent - 1) // 2 - axis.before
        indices = sources(fill, axis.size, middle, middle + axis.output * axis.stride, axis.stride)
        picked = picked.take(indices, axis=number)
        outside.append(indices == OUTSIDE)
    constant = np.asarray(fill.value).astype(alpha.dtype)
    picked[outside[0]] = constant
    picked[:, outside[1]] = constant
    return picked


def _write(target: Target, picture: Array, settings: Settings) -> int:
    try:
        data = target.format.encode(picture)
    except ConvcliError:
        raise
    except Exception as error:  # an encoder's limit, such as WebP's largest side
        raise OutputError(f"{target}: {target.format.name}: {error}") from error
    if target.path is None:
        files.write_stream(data)
    else:
        files.write(target.path, data, settings.force)
    return len(data)


def _report(
    task: Task,
    settings: Settings,
    index: int,
    channels: int,
    size: int,
    values: Values,
    mapping: Mapping,
    seconds: float,
) -> Report:
    opened, target = task.opened, task.targets[index]
    low, high = _ends(task, index, values)
    kind = Header("", 1, 1, channels, task.target_dtype).kind
    return Report(
        source=File(
            "standard input" if task.source == files.STREAM else task.source,
            opened.format.name,
            opened.header.kind,
            len(opened.data),
        ),
        target=File(str(target), target.format.name, kind, size),
        kernel=settings.kernel,
        index=index,
        flip=settings.flip,
        geometry=task.geometry,
        padding=str(settings.padding),
        channels=task.channels,
        batch_shape=(opened.header.channels, channels),
        dtype=str(opened.header.dtype),
        low=low,
        high=high,
        mapping=mapping,
        mapping_text=mapping.describe(task.target_dtype),
        below=values.below,
        above=values.above,
        values=task.plan.problem.values // task.plan.problem.filter.maps,
        plan=task.plan,
        seconds=seconds,
        notes=_notes(task, target),
    )


def _notes(task: Task, target: Target) -> tuple[str, ...]:
    notes = [target.note] if target.note else []
    if task.opened.header.alpha:
        notes.append("alpha is the input's, at the centre of each window")
    if task.opened.header.dtype != task.target_dtype and task.mapping.kind != "raw":
        notes.append(f"values were mapped to {depth_text(task.target_dtype)}")
    if task.mapping.needs_range:
        notes.append("the range was found in a first pass over the picture")
    return tuple(notes)
