"""What is to be done with one picture, decided from its header before a pixel is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import lcm, prod
from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.core.rational import exact_number
from convcli.engine.filter import UNIT, Filter
from convcli.engine.methods.base import Work
from convcli.engine.plan import Plan, Problem
from convcli.engine.planner import choose, method_named, strip_bytes
from convcli.formats import registry
from convcli.formats.base import Banded, Format
from convcli.formats.calibration import Sampling
from convcli.formats.capacity import OutputKind
from convcli.formats.header import Coding, Header, Layout, Metadata
from convcli.formats.metadata import Said, fitted
from convcli.geometry.axes import Axis, Geometry, geometry
from convcli.geometry.padding import Fill
from convcli.kernels.kernel import Kernel
from convcli.pipeline.canvas import MOST_WAITING
from convcli.pipeline.color import decoded, products, white
from convcli.pipeline.feature_map import ColorHandling
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import Target
from convcli.pipeline.settings import GRAY, Settings

LUMA: Final = tuple(Fraction(share, 1000) for share in (299, 587, 114))
"""Shares of red, green and blue in brightness: ITU-R BT.601."""


SHARERS: Final = 8
"""Workers that a picture is cut for: a file's bytes follow its strips, and do not depend on the machine."""

_SCRATCH: Final = 2**23  # bytes of a thread's buffers
_TALLER: Final = 2  # times a plan's strips, at most, for whole bands
_PROGRAM: Final = 2**25  # bytes that a process takes beside its pictures
_WEIGHT: Final = 64  # bytes for each weight, as floats, as integers and as a method lays them out


@frozen(eq=False)
class Task:
    """The decisions for one picture, or for frames that are alike, made before a pixel is decoded.

    Attributes:
        pages: maps that stand behind each other in one file.
        colormap: of `colormaps.COLORMAPS`.
        frame: the number of the one that goes to a file of its own.
    """

    source: str
    opened: registry.Opened
    geometry: Geometry
    channels: str
    plan: Plan
    treatment: ColorHandling
    mapping: Mapping
    layout: Layout
    targets: tuple[Target, ...]
    said: Said
    pages: int = 1
    colormap: str = "gray"
    frame: int | None = None

    def described(self, mapping: Mapping) -> str:
        """What a mapping does to this picture's values, in words."""
        return mapping.describe(self.layout.dtype, white(self.treatment.values))

    @property
    def memory(self) -> int:
        """About how many bytes it takes: what is decoded or encoded whole, and the strips on their way."""
        plan, layout, problem = self.plan, self.layout, self.plan.problem
        volume = problem.depth.size > 1
        read = self.opened.memory(1 if volume else plan.threads)
        if volume:
            planes = problem.channels * problem.lanes * problem.dtype.itemsize
            planes += self.treatment.stored.itemsize * (self.treatment.alpha == "keep")
            read += prod(self.geometry.input) * planes
        formats = [target.format for target in self.targets]
        encoded = sum(registry.encoder_memory(entry, layout) for entry in formats)
        waiting = prod(layout.shape) * layout.dtype.itemsize * layout.frames * (self.pages - 1)
        band = plan.height * layout.columns * layout.channels * layout.dtype.itemsize
        strips = plan.threads * (max(_SCRATCH, strip_bytes(plan)) + 4 * band) + MOST_WAITING * band * len(
            formats
        )
        weights = _WEIGHT * problem.filter.weights.size
        return read + encoded + waiting + strips + weights + _PROGRAM


def prepare(source: str, runs: list[registry.Opened], settings: Settings) -> list[list[Task]]:
    """Decide everything about an opened file.

    Returns:
        The tasks of each result: one, or several where one file takes pages of several sizes or types.

    Raises:
        ConvcliError: nothing can be done as the settings say.
    """
    runs = [replace(run, header=_with_inputs(run.header, settings)) for run in runs]
    begin, _, _ = settings.frames.indices(sum(run.header.frames for run in runs))
    runs = registry.selected(runs, settings.frames)
    count = sum(run.header.frames for run in runs)
    if settings.kernel.spatial == 3:
        if len(runs) > 1:
            raise ArgumentError(
                f"kernel {settings.kernel.name} takes pages as one volume, and these differ in size or type"
            )
        return [[_prepared(source, runs[0], settings, count)]]
    if count > 1 and settings.output.is_one_frame:
        singles = [run.only(index, index + 1) for run in runs for index in range(run.header.frames)]
        return [
            [_prepared(source, run, settings, 1, frame=number)] for number, run in enumerate(singles, begin)
        ]
    return [[_prepared(source, run, settings, count, mixed=len(runs) > 1) for run in runs]]


def _with_inputs(header: Header, settings: Settings) -> Header:
    """The header; a last channel that the kernel takes as an input is data, unless --alpha says otherwise."""
    if settings.alpha is not None:
        return replace(header, bands=False)
    inputs = settings.kernel.tensor_shape[-2] * settings.groups
    return replace(header, bands=True) if header.alpha and inputs == header.channels else header


def _prepared(
    source: str,
    opened: registry.Opened,
    settings: Settings,
    frames: int,
    *,
    mixed: bool = False,
    frame: int | None = None,
) -> Task:
    """The decisions for pictures that are alike, of ``frames`` in a result."""
    header, kernel = opened.header, settings.kernel
    shape, channels, treatment, plan = planned(header, settings)
    _check_size(shape, settings.max_pixels or registry.MAX_PIXELS)
    floats = header.dtype.kind == "f" and settings.depth in (None, "float")
    mapping = _mapping(settings, plan.problem.filter, floats)
    dtype = _target_dtype(mapping, header.dtype, plan, _depth(settings, plan, treatment))
    count, maps = plan.problem.lanes + (treatment.alpha == "keep"), plan.outcome.maps
    count += 2 if settings.colormap != GRAY else 0
    output, pages = settings.output.stacked(count * maps) if settings.stack else settings.output, 1
    tensor = settings.stack and not output.is_paged
    if settings.stack:
        count, maps, pages = (count * maps, 1, 1) if tensor else (count, 1, maps)
    rows, columns = shape.output[-2:]
    bands = tensor or (header.bands and count == header.channels)
    layout = Layout(rows, columns, count, dtype, plan.problem.batch * plan.problem.depth.output, bands)
    frames = frames if mixed else layout.frames * pages
    picture = OutputKind(dtype, count, frames, mixed, frame or 0, bands, rows, columns)
    picture = replace(picture, options=_options(picture, settings, mapping, header))
    targets = output.targets(source, kernel.name, maps, opened.format, picture)
    plan = _cut(plan, targets[0].format, layout, settings.coding)
    said = _said(
        _kept(header, settings, layout), targets[0].format, count, shape, layout.frames * (pages == 1)
    )
    task = Task(
        source,
        opened,
        shape,
        channels,
        plan,
        treatment,
        mapping,
        layout,
        tuple(targets),
        said,
        pages,
        settings.colormap,
        frame,
    )
    _check_memory(task, settings.max_memory)
    return task


def _options(
    picture: OutputKind, settings: Settings, mapping: Mapping, header: Header
) -> tuple[tuple[str, OutputKind], ...]:
    """Other options that make other results of the same image, those that change least first."""
    depths = [("", picture), *_depths(picture, settings, mapping, header)]
    found = []
    for depth, other in depths:
        for alpha, whole in (("", other), *_alphas(other, settings)):
            found.append((" ".join(words for words in (depth, alpha) if words), whole))
    singles = [
        (" ".join(f"{words} --frames N, or {{frame}} in -o".split()), replace(other, frames=1, mixed=False))
        for words, other in found
        if picture.frames > 1
    ]
    return (*found[1:], *singles)


def _depths(
    picture: OutputKind, settings: Settings, mapping: Mapping, header: Header
) -> Iterator[tuple[str, OutputKind]]:
    """Options for another type of values; negative ones and those of --map raw need another mapping too."""
    if settings.colormap != GRAY:
        return
    kept = "" if settings.mapping.kind != "raw" else "--map stretch "
    if header.dtype.kind == "i" and mapping.kind in ("clip", "abs"):
        kept = "--map signed "
    for depth, dtype in (("16", np.uint16), ("8", np.uint8)):
        if picture.dtype != dtype:
            yield f"{kept}--depth {depth}", replace(picture, dtype=np.dtype(dtype))
    if picture.dtype.kind != "f":
        double = header.dtype == np.float64 or settings.double
        floats = np.dtype(np.float64 if double else np.float32)
        yield "--depth float", replace(picture, dtype=floats)


def _alphas(picture: OutputKind, settings: Settings) -> Iterator[tuple[str, OutputKind]]:
    """Options for the last of two or four channels."""
    if picture.channels not in (2, 4) or settings.stack:
        return
    last = ", without the last channel" if picture.bands else ""
    yield f"--alpha drop{last}", replace(picture, channels=picture.channels - 1, bands=False)
    if picture.bands:
        yield "--alpha keep, which takes the last channel for alpha", replace(picture, bands=False)


def _mapping(settings: Settings, filter_: Filter, floats: bool) -> Mapping:
    """The mapping, which a color map with a middle wants to have 0 there."""
    asked = settings.mapping
    if settings.colormap == GRAY:
        return asked.resolved(filter_, floats)
    if settings.colormap == "diverging":
        if asked.kind not in ("auto", "signed"):
            raise ArgumentError(
                f"colormap diverging has 0 in its middle, map {asked.kind} has not; "
                "allowed: auto, signed, signed:LIMIT"
            )
        return Mapping("signed", asked.low, asked.high)
    if asked.kind == "raw":
        raise ArgumentError(
            "map raw keeps values, a colormap colors pixels; use clip, abs, signed or stretch"
        )
    found = asked.resolved(filter_, False)
    return Mapping("stretch") if floats and asked.kind == "auto" and found.kind == "clip" else found


def _depth(settings: Settings, plan: Plan, treatment: ColorHandling) -> str | None:
    """--depth; 8 bits where a color map says so, which one channel can have."""
    if settings.colormap == GRAY:
        return settings.depth
    lanes = plan.problem.lanes - (treatment.alpha == "filter")
    if settings.stack:
        raise ArgumentError("a stack holds values, which no colormap colors; use --sheet, or leave --stack")
    if lanes > 1:
        raise ArgumentError(
            f"colormap {settings.colormap} colors one channel, the feature map has {lanes}; "
            "allowed: --channels gray or sum"
        )
    if settings.depth in ("16", "float"):
        raise ArgumentError(f"colormap {settings.colormap} has 8 bits; --depth {settings.depth} has no place")
    return "8"


def _check_memory(task: Task, most: int | None) -> None:
    if most is not None and task.memory > most:
        raise ArgumentError(too_large(task.memory, most))


def too_large(needed: int, most: int) -> str:
    """What is told of a task that would take more memory than it may."""
    return f"needs about {-(-needed // 10**6)} MB of memory; allowed: {most // 10**6} (--max-memory)"


def _check_size(shape: Geometry, most: int) -> None:
    """Refuse a feature map that is too large, and a volume, which is decoded as a whole."""
    pixels, volume = prod(shape.output), prod(shape.input) if len(shape.axes) == 3 else 0
    if volume > most:
        raise ArgumentError(f"the volume has {volume} pixels; allowed: {most} (--max-pixels)")
    if pixels > max(most, prod(shape.input)):
        raise ArgumentError(f"the feature map would have {pixels} pixels; allowed: {most} (--max-pixels)")


def _kept(header: Header, settings: Settings, layout: Layout) -> Metadata:
    """What a result might say of its input, and how it is coded."""
    metadata = header.metadata
    if layout.frames != header.frames:
        metadata = replace(metadata, timing=None)
    if settings.colormap != GRAY:  # its colors are those of sRGB
        metadata = replace(metadata, icc=None, gamma=None, srgb=None)
    if settings.strip:
        metadata = Metadata(subsampling=metadata.subsampling, timing=metadata.timing)
    return replace(metadata, coding=settings.coding)


def _cut(plan: Plan, target: Format, layout: Layout, coding: Coding) -> Plan:
    """The plan with strips of whole bands of the format, where its method can be cut there."""
    grain, _ = method_named(plan.method).grain(Work(plan.problem, plan.arithmetic))
    step = lcm(target.band(layout, coding) if isinstance(target, Banded) else 1, grain)
    rows = plan.problem.rows.output
    height = min(max(plan.height // step, 1) * step, rows)
    near = height <= _TALLER * plan.height
    return replace(plan, height=height) if near and plan.height < rows else plan


def _said(metadata: Metadata, wanted: Format, channels: int, shape: Geometry, frames: int) -> Said:
    """What a result of so many channels and frames says beside its pixels."""
    samplings = [Sampling.of(axis) for axis in shape.axes]
    return fitted(metadata, wanted.name, wanted.carries(channels), channels, samplings, frames)


def planned(header: Header, settings: Settings) -> tuple[Geometry, str, ColorHandling, Plan]:
    """The sizes, what happens to channels and colors, and the plan for a picture of this header."""
    shape = _sizes(header, settings)
    channels = _channels(_wanted_channels(header, settings), settings, header)
    treatment = _treatment(header, channels, settings)
    problem = _problem(header, shape, channels, treatment, settings)
    plan = choose(problem, settings.method, settings.threads, SHARERS)
    return shape, channels, treatment, replace(plan, borders=(0, 0))  # a canvas wants whole bands


def _sizes(header: Header, settings: Settings) -> Geometry:
    """Every axis: (rows, columns), behind frames where the kernel slides over them too, one by one."""
    size, kernel = (header.rows, header.columns), settings.kernel
    if kernel.spatial == 2:
        return geometry(size, kernel.size, settings.stride, settings.padding, settings.dilation)
    padding = settings.padding
    if not isinstance(padding.amount, str):
        padding = replace(padding, amount=((0, 0), *(padding.amount * 2)[:2]))
    steps = [(1, *(values * 2)[:2]) for values in (settings.stride, settings.dilation)]
    return geometry((header.frames, *size), (kernel.depth, *kernel.size), steps[0], padding, steps[1])


def _treatment(header: Header, channels: str, settings: Settings) -> ColorHandling:
    """What happens to alpha, by default filtered with the colors by averages and kept by other kernels."""
    asked = "drop" if settings.stack and settings.alpha is None else settings.alpha
    if settings.stack and asked != "drop":
        raise ArgumentError(f"alpha {asked} has no place in a stack of maps; allowed: drop")
    none = ColorHandling("none", settings.linear, header.dtype)
    if not header.alpha:
        return none
    reason = _unfilterable(settings.kernel, channels, none.values)
    if asked == "filter" and reason:
        raise ArgumentError(f"alpha filter cannot be done: {reason}; allowed: keep, drop")
    chosen = asked or ("keep" if reason else "filter")
    return ColorHandling(chosen, settings.linear, header.dtype, settings.padding.fill.value)


def _unfilterable(kernel: Kernel, channels: str, values: DType) -> str:
    """Why alpha cannot be filtered with the colors; empty where it can."""
    if kernel.combine or any(abs(float(total) - 1) > UNIT for total in kernel.map_sums):
        return "the weights do not sum to 1"
    if kernel.is_identity:
        return "the kernel leaves every pixel as it is"
    if channels != "each":
        return f"the colors are combined (--channels {channels})"
    if products(values) is None:
        return f"{values} times {values} needs a wider type than there is"
    return ""


def _wanted_channels(header: Header, settings: Settings) -> str | None:
    """--channels; a color map colors the brightness of a picture in colors."""
    colors = header.channels - header.alpha
    own = (
        settings.colormap != GRAY and colors > 1 and settings.kernel.tensor_shape[-2] == settings.groups == 1
    )
    return "gray" if own and settings.channels is None else settings.channels


def _check_groups(asked: str | None, settings: Settings, header: Header) -> None:
    """Refuse groups that the kernel or the picture does not have."""
    kernel, groups = settings.kernel, settings.groups
    colors = header.channels - header.alpha
    inputs, maps = kernel.tensor_shape[-2:]
    if asked not in (None, "sum"):
        raise ArgumentError(f"--channels {asked} has no groups of channels; allowed: sum")
    if maps % groups:
        raise ArgumentError(f"{groups} groups do not divide the {maps} maps of kernel {kernel.name}")
    if inputs * groups != colors:
        raise ArgumentError(
            f"kernel {kernel.name} takes {inputs * groups} channels in {groups} groups; "
            f"this picture has {colors}"
        )


def _channels(asked: str | None, settings: Settings, header: Header) -> str:
    kernel, inputs = settings.kernel, settings.kernel.tensor_shape[-2]
    colors = header.channels - header.alpha
    if settings.groups > 1:
        _check_groups(asked, settings, header)
        return "sum"
    chosen = asked or ("each" if inputs == 1 else "sum")
    if chosen == "gray" and (header.bands or colors > 3):
        raise ArgumentError(
            f"brightness (--channels gray) is that of gray or RGB, this image is {header.kind}; "
            f"allowed: --channels each or sum{', or --alpha drop, without the last band' * (colors <= 4)}"
        )
    if inputs > 1 and (chosen != "sum" or inputs != colors):
        raise ArgumentError(
            f"kernel {kernel.name} takes {inputs} input channels, which needs --channels sum "
            f"and a picture of {inputs} colors; this one has {colors}"
            + "".join(f" ({note})" for note in kernel.about.notes)
        )
    return chosen


def _problem(
    header: Header, shape: Geometry, channels: str, treatment: ColorHandling, settings: Settings
) -> Problem:
    kernel, fill = settings.kernel, settings.padding.fill
    if treatment.linear:  # its values are light, from 0 to 1
        kernel = kernel.biased(tuple(bias / white(header.dtype) for bias in kernel.biases))
        fill = _lit(fill, header.dtype)
    filter_ = Filter.of(kernel, spatial=kernel.spatial, flip=settings.flip)
    colors = header.channels - header.alpha
    summed = 1 if channels == "each" else colors
    if channels == "gray" and colors == 3:
        filter_ = filter_.per_input(LUMA)
    elif summed > 1 and filter_.inputs == settings.groups == 1:
        filter_ = filter_.per_input((exact_number(1),) * summed)
    depth, rows, columns = (Axis(1, 1), *shape.axes)[-3:]
    return Problem(
        axes=(depth, rows, columns),
        batch=header.frames if kernel.spatial == 2 else 1,
        filter=filter_,
        dtype=treatment.dtype,
        fill=fill,
        outside=_outside(fill, treatment, colors),
        channels=summed,
        groups=settings.groups,
        lanes=colors // summed + (treatment.alpha == "filter"),
        double=settings.double or (kernel.combine == "l2" and header.dtype.kind != "f"),  # to be mapped
    )


def _lit(fill: Fill, dtype: DType) -> Fill:
    """A constant fill as light."""
    light = float(decoded(np.asarray(fill.value / white(dtype)))) if fill.mode == "constant" else 0
    return replace(fill, value=light)


def _outside(fill: Fill, treatment: ColorHandling, colors: int) -> tuple[float, ...]:
    """A constant fill by lanes where alpha is filtered: 0 is nothing, another value an opaque color."""
    if treatment.alpha != "filter" or fill.mode != "constant" or not fill.value:
        return ()
    opaque = white(treatment.values)
    return (fill.value * opaque,) * colors + (opaque,)


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
