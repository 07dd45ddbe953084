"""One picture: read, plan, convolve, map, write, report. The guts of ``convcli apply``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np

from convcli import files, images
from convcli.dtypes import Array, DType
from convcli.errors import ArgumentError, OutputError, one_line
from convcli.featuremap import FeatureMap, feature_maps
from convcli.filter import Filter
from convcli.geometry import Axis, Geometry, geometry
from convcli.images.base import Format, Header, Metadata, depth_text, kind_text, quiet_stderr
from convcli.images.metadata import Said, fitted, listed
from convcli.kernel import Kernel
from convcli.naming import Output, Target
from convcli.padding import Padding
from convcli.picture import Mapping
from convcli.plan import Plan, Problem
from convcli.planner import choose
from convcli.rational import exact_number
from convcli.report import File, Report

LUMA: Final = tuple(Fraction(share, 1000) for share in (299, 587, 114))
"""Shares of red, green and blue in brightness: ITU-R BT.601."""

CHANNELS: Final = ("each", "gray", "sum")
PHOTOGRAPH: Final = Padding.parse("same:reflect")
MAX_PIXELS: Final = 10**9


@dataclass(frozen=True, eq=False, slots=True)
class Settings:
    """What to do with every picture of a run; the words are those of the command line.

    ``note`` goes into every report.
    """

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
    strip: bool = False
    note: str = ""


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
    said: Said


def apply(source: str, settings: Settings, ledger: files.Ledger | None = None) -> list[Report]:
    """Convolve one picture and write its feature maps.

    Args:
        source: a file, or ``-`` for standard input.
        ledger: the run's files, where there are several inputs.

    Returns:
        A report for each map.

    Raises:
        ConvcliError: of every kind; nothing is left half-written.
    """
    task = prepare(source, settings)
    _claim(task, settings, ledger or files.Ledger([source]))
    pixels = task.opened.pixels()
    begun = time.perf_counter()
    maps = feature_maps(task.plan, pixels, task.mapping, task.target_dtype, task.opened.header.alpha)
    seconds = (time.perf_counter() - begun) / len(maps)
    reports = []
    for index, (target, found) in enumerate(zip(task.targets, maps, strict=True)):
        size = _write(target, found.pixels, task.said.metadata, settings)
        reports.append(_report(task, settings, index, found, size, seconds))
    return reports


def prepare(source: str, settings: Settings) -> Task:
    """Read a picture's header and decide everything."""
    opened = images.open_bytes(files.read(source), settings.max_pixels)
    header, kernel = opened.header, settings.kernel
    shape, channels, plan = planned(header, settings)
    pixels = prod(shape.output)
    if pixels > settings.max_pixels:
        raise ArgumentError(
            f"the feature map would have {pixels} pixels; allowed: {settings.max_pixels} (--max-pixels)"
        )
    mapping = settings.mapping.resolved(plan.problem.filter, header.dtype)
    target_dtype = _target_dtype(mapping, header.dtype, plan)
    count = plan.problem.lanes + header.alpha
    targets = settings.output.targets(
        source, kernel.name, plan.outcome.maps, opened.format, target_dtype, count
    )
    metadata = Metadata() if settings.strip else header.metadata
    said = _said(metadata, targets[0].format, count, shape)
    return Task(source, opened, shape, channels, plan, mapping, target_dtype, tuple(targets), said)


def _said(metadata: Metadata, wanted: Format, channels: int, shape: Geometry) -> Said:
    """What a result of so many channels says beside its pixels."""
    rows, columns = shape.axes
    return fitted(metadata, wanted.name, wanted.carries(channels), channels, (rows.stride, columns.stride))


def planned(header: Header, settings: Settings) -> tuple[Geometry, str, Plan]:
    """The sizes, what happens to the channels, and the plan for a picture of this header."""
    size, kernel = (header.rows, header.columns), settings.kernel
    shape = geometry(size, kernel.size, settings.stride, settings.padding, settings.dilation)
    channels = _channels(settings.channels, kernel, header)
    plan = choose(_problem(header, shape, channels, settings), settings.method, settings.threads)
    return shape, channels, plan


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


def _claim(task: Task, settings: Settings, ledger: files.Ledger) -> None:
    for target in task.targets:
        if target.path is None:
            files.check_stream()
        else:
            ledger.claim(target.path, settings.force, not settings.output.is_one_file)


def _write(target: Target, picture: Array, metadata: Metadata, settings: Settings) -> int:
    try:
        with quiet_stderr():
            data = target.format.encode(picture, metadata)
    except Exception as error:  # an encoder's limit, such as WebP's largest side
        reason = one_line(str(error)) or type(error).__name__
        raise OutputError(f"{target}: {target.format.name} cannot be written: {reason}") from error
    if target.path is None:
        files.write_stream(data)
    else:
        files.write(target.path, data, settings.force)
    return len(data)


def _report(
    task: Task, settings: Settings, index: int, found: FeatureMap, size: int, seconds: float
) -> Report:
    opened, target = task.opened, task.targets[index]
    channels = found.pixels.shape[2]
    return Report(
        source=File(
            "standard input" if task.source == files.STREAM else task.source,
            opened.format.name,
            opened.header.kind,
            len(opened.data),
        ),
        target=File(str(target), target.format.name, kind_text(channels, task.target_dtype), size),
        kernel=settings.kernel,
        index=index,
        flip=settings.flip,
        geometry=task.geometry,
        padding=str(settings.padding),
        channels=task.channels,
        batch_shape=(opened.header.channels, channels),
        dtype=str(opened.header.dtype),
        low=found.low,
        high=found.high,
        mapping=found.mapping,
        mapping_text=found.mapping.describe(task.target_dtype),
        below=found.below,
        above=found.above,
        values=task.plan.problem.values // task.plan.problem.filter.maps,
        plan=task.plan,
        seconds=seconds,
        metadata=listed(task.said.metadata),
        notes=_notes(task, target, settings),
    )


def _notes(task: Task, target: Target, settings: Settings) -> tuple[str, ...]:
    notes = [target.note] if target.note else []
    notes += (*task.opened.header.notes, *task.said.notes)
    frames = task.opened.header.frames
    if frames > 1:
        notes.append(f"the first of {frames} frames; the others are left out")
    if task.opened.header.alpha:
        notes.append("alpha is the input's, at the centre of each window")
    if task.opened.header.dtype != task.target_dtype and task.mapping.kind != "raw":
        notes.append(f"values were mapped to {depth_text(task.target_dtype)}")
    if settings.note:
        notes.append(settings.note)
    if task.mapping.needs_range:
        notes.append("the range was found in a first pass over the picture")
    return tuple(notes)
