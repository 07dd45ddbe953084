"""One picture: read, plan, convolve, map, write, report. The guts of ``convcli apply``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm, prod
from typing import Final

import numpy as np

from convcli import files, images
from convcli.canvas import Canvas
from convcli.colour import decoded, products, white
from convcli.dtypes import DType
from convcli.errors import ArgumentError, ConvcliError, Halted, OutputError, one_line
from convcli.featuremap import FeatureMap, Treatment, feature_maps
from convcli.filter import UNIT, Filter
from convcli.geometry import Axis, Geometry, geometry
from convcli.images.base import QUIET, Format, Header, Layout, Metadata, depth_text, kind_text
from convcli.images.jpeg import QUALITY
from convcli.images.metadata import Said, fitted, listed
from convcli.kernel import Kernel
from convcli.methods.base import Work
from convcli.naming import Output, Target
from convcli.padding import Fill, Padding
from convcli.picture import Mapping
from convcli.plan import Plan, Problem
from convcli.planner import choose, method_named
from convcli.rational import exact_number
from convcli.report import File, Report

LUMA: Final = tuple(Fraction(share, 1000) for share in (299, 587, 114))
"""Shares of red, green and blue in brightness: ITU-R BT.601."""

CHANNELS: Final = ("each", "gray", "sum")
ALPHA_NOTES: Final = {
    "filter": "alpha was filtered with the colours, which count by how much of them is seen",
    "keep": "alpha is the input's, at the centre of each window",
    "drop": "alpha was dropped",
}
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
    alpha: str | None = None
    linear: bool = False
    depth: str | None = None
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
    treatment: Treatment
    mapping: Mapping
    layout: Layout
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
    with files.Input.open(source) as opened:
        return _applied(prepare(source, opened, settings), settings, ledger or files.Ledger([source]))


def _applied(task: Task, settings: Settings, ledger: files.Ledger) -> list[Report]:
    _claim(task, settings, ledger)
    begun = time.perf_counter()
    with ExitStack() as stack:
        drafts = [stack.enter_context(files.Draft(target.path, settings.force)) for target in task.targets]
        maps = _made(task, drafts)
        sizes = [draft.commit() for draft in drafts]
    seconds = (time.perf_counter() - begun) / len(maps)
    return [
        _report(task, settings, index, found, size, seconds)
        for index, (found, size) in enumerate(zip(maps, sizes, strict=True))
    ]


def _made(task: Task, drafts: list[files.Draft]) -> list[FeatureMap]:
    """Compute the maps and write them into the drafts, each by a thread of its own.

    Of several failures the first cause is raised: what another one ended raises `Halted`.
    """
    reader, plan, metadata = task.opened.reader(), task.plan, task.said.metadata
    canvases = [
        Canvas(task.layout, images.encoder(target.format, task.layout, metadata, plan.height), plan.height)
        for target in task.targets
    ]
    with ThreadPoolExecutor(len(canvases)) as pool:
        writing = [pool.submit(_write, *each) for each in zip(task.targets, canvases, drafts, strict=True)]
        try:
            maps = feature_maps(plan, reader, task.treatment, task.mapping, canvases)
        except BaseException as error:
            for canvas in canvases:
                canvas.halt()
            causes = [job.exception() for job in writing] if isinstance(error, Halted) else []
            raise next(
                (cause for cause in causes if cause and not isinstance(cause, Halted)), error
            ) from None
        for job in writing:
            job.result()
    return maps


def prepare(source: str, file: files.Input, settings: Settings) -> Task:
    """Read a picture's header and decide everything."""
    opened = images.open_input(file, settings.max_pixels)
    header, kernel = opened.header, settings.kernel
    shape, channels, treatment, plan = planned(header, settings)
    pixels = prod(shape.output)
    if pixels > max(settings.max_pixels, header.rows * header.columns):
        raise ArgumentError(
            f"the feature map would have {pixels} pixels; allowed: {settings.max_pixels} (--max-pixels)"
        )
    floats = header.dtype.kind == "f" and settings.depth in (None, "float")
    mapping = settings.mapping.resolved(plan.problem.filter, floats)
    target_dtype = _target_dtype(mapping, header.dtype, plan, settings.depth)
    count = plan.problem.lanes + (treatment.alpha == "keep")
    targets = settings.output.targets(
        source, kernel.name, plan.outcome.maps, opened.format, target_dtype, count
    )
    rows, columns = shape.output
    layout = Layout(rows, columns, count, target_dtype)
    plan = _cut(plan, targets[0].format)
    metadata = header.metadata
    if settings.strip:
        metadata = Metadata(subsampling=metadata.subsampling)
    said = _said(metadata, targets[0].format, count, shape)
    return Task(source, opened, shape, channels, plan, treatment, mapping, layout, tuple(targets), said)


def _cut(plan: Plan, target: Format) -> Plan:
    """The plan with strips of a height that suits the format, where its method rounds alike for them."""
    grain, _ = method_named(plan.method).grain(Work(plan.problem, plan.arithmetic))
    step = lcm(getattr(target, "band", 1), grain)
    height = plan.height // step * step
    return replace(plan, height=height) if height and plan.height < plan.problem.rows.output else plan


def _said(metadata: Metadata, wanted: Format, channels: int, shape: Geometry) -> Said:
    """What a result of so many channels says beside its pixels."""
    rows, columns = shape.axes
    return fitted(metadata, wanted.name, wanted.carries(channels), channels, (rows.stride, columns.stride))


def planned(header: Header, settings: Settings) -> tuple[Geometry, str, Treatment, Plan]:
    """The sizes, what happens to channels and colours, and the plan for a picture of this header."""
    size, kernel = (header.rows, header.columns), settings.kernel
    shape = geometry(size, kernel.size, settings.stride, settings.padding, settings.dilation)
    channels = _channels(settings.channels, kernel, header)
    treatment = _treatment(header, channels, settings)
    problem = _problem(header, shape, channels, treatment, settings)
    plan = choose(problem, settings.method, settings.threads)
    return shape, channels, treatment, replace(plan, borders=(0, 0))  # a canvas wants whole bands


def _treatment(header: Header, channels: str, settings: Settings) -> Treatment:
    """What happens to alpha, by default filtered with the colours by averages and kept by other kernels."""
    asked = settings.alpha
    none = Treatment("none", settings.linear, header.dtype)
    if not header.alpha:
        return none
    reason = _unfilterable(settings.kernel, channels, none.values)
    if asked == "filter" and reason:
        raise ArgumentError(f"alpha filter cannot be done: {reason}; allowed: keep, drop")
    chosen = asked or ("keep" if reason else "filter")
    return Treatment(chosen, settings.linear, header.dtype, settings.padding.fill.value)


def _unfilterable(kernel: Kernel, channels: str, values: DType) -> str:
    """Why alpha cannot be filtered with the colours; empty where it can."""
    if kernel.combine or any(abs(float(total) - 1) > UNIT for total in kernel.map_sums):
        return "the weights do not sum to 1"
    if kernel.is_identity:
        return "the kernel leaves every pixel as it is"
    if channels != "each":
        return f"the colours are combined (--channels {channels})"
    if products(values) is None:
        return f"{values} times {values} needs a wider type than there is"
    return ""


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


def _problem(
    header: Header, shape: Geometry, channels: str, treatment: Treatment, settings: Settings
) -> Problem:
    kernel, fill = settings.kernel, settings.padding.fill
    if treatment.linear:  # its values are light, from 0 to 1
        kernel, fill = kernel.biased(kernel.bias / white(header.dtype)), _lit(fill, header.dtype)
    filter_ = Filter.of(kernel, flip=settings.flip)
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
        dtype=treatment.dtype,
        fill=fill,
        outside=_outside(fill, treatment, colours),
        channels=summed,
        lanes=colours // summed + (treatment.alpha == "filter"),
        double=settings.double,
    )


def _lit(fill: Fill, dtype: DType) -> Fill:
    """A constant fill as light."""
    light = float(decoded(np.asarray(fill.value / white(dtype)))) if fill.mode == "constant" else 0
    return replace(fill, value=light)


def _outside(fill: Fill, treatment: Treatment, colours: int) -> tuple[float, ...]:
    """A constant fill by lanes where alpha is filtered: 0 is nothing, another value an opaque colour."""
    if treatment.alpha != "filter" or fill.mode != "constant" or not fill.value:
        return ()
    opaque = white(treatment.values)
    return (fill.value * opaque,) * colours + (opaque,)


def _target_dtype(mapping: Mapping, source: DType, plan: Plan, depth: str | None) -> DType:
    """The picture's own type, what --depth says, floats for ``raw``, 16 bits for a float picture's range."""
    if mapping.kind == "raw" and depth in ("8", "16"):
        raise ArgumentError(f"map raw keeps floats, --depth {depth} does not; use clip, signed or stretch")
    if mapping.kind == "raw" or depth == "float":
        double = plan.problem.double or source == np.float64
        return np.dtype(np.float64 if double else np.float32)
    if depth is not None:
        return np.dtype(np.uint8 if depth == "8" else np.uint16)
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


def _write(target: Target, canvas: Canvas, draft: files.Draft) -> None:
    try:
        with QUIET, draft.refusals():
            canvas.write(draft.file)
    except (ConvcliError, Halted, MemoryError):
        raise
    except Exception as error:  # an encoder's limit, such as WebP's largest side
        reason = one_line(str(error)) or type(error).__name__
        raise OutputError(f"{target}: {target.format.name} cannot be written: {reason}") from error


def _report(
    task: Task, settings: Settings, index: int, found: FeatureMap, size: int, seconds: float
) -> Report:
    opened, target = task.opened, task.targets[index]
    return Report(
        source=File(
            "standard input" if task.source == files.STREAM else task.source,
            opened.format.name,
            opened.header.kind,
            opened.source.size,
        ),
        target=File(
            str(target), target.format.name, kind_text(task.layout.channels, task.layout.dtype), size
        ),
        kernel=settings.kernel,
        index=index,
        flip=settings.flip,
        geometry=task.geometry,
        padding=str(settings.padding),
        channels=task.channels,
        batch_shape=(opened.header.channels, task.layout.channels),
        dtype=str(opened.header.dtype),
        low=found.low,
        high=found.high,
        mapping=found.mapping,
        mapping_text=found.mapping.describe(task.layout.dtype),
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
    if target.format.name == "jpeg":
        chroma = ":".join(task.said.metadata.subsampling)
        notes.append(f"JPEG loses a little: quality {QUALITY}, chroma {chroma}")
    if task.treatment.alpha in ALPHA_NOTES:
        notes.append(ALPHA_NOTES[task.treatment.alpha])
    if task.treatment.linear:
        after = "put back after" if task.treatment.curved(task.mapping, task.plan) else "not put back"
        notes.append(f"light was filtered: the sRGB curve was undone before and {after}")
    if task.opened.header.dtype != task.layout.dtype and task.mapping.kind != "raw":
        notes.append(f"values were mapped to {depth_text(task.layout.dtype)}")
    if settings.note:
        notes.append(settings.note)
    if task.mapping.needs_range:
        notes.append("the range was found in a first pass over the picture")
    return tuple(notes)
