"""From a header and settings to what the engine is to compute: sizes, channels, colors and the plan."""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.chain.planner import choose_chain
from convcli.engine.combine import POLAR
from convcli.engine.computers import Computation
from convcli.engine.cutting import plan_grain
from convcli.engine.filter import Filter
from convcli.engine.plan import Problem
from convcli.engine.planner import choose
from convcli.formats.base import Format
from convcli.formats.header import Coding, Header, Layout
from convcli.geometry.axes import Axis, Geometry, per_axis
from convcli.geometry.padding import Fill
from convcli.layers.stages import ActivationStage, ConvolutionStage, Stage
from convcli.pipeline.color import srgb_to_light, white
from convcli.pipeline.color_handling import ColorHandling, color_handling
from convcli.pipeline.planning.channels import channel_mode, color_count, weighted
from convcli.pipeline.planning.sizes import output_sizes
from convcli.pipeline.settings import WHEEL, Settings

SHARERS: Final = 8
"""Number of workers that strips are cut for: a file's bytes follow its strips, so it is not the machine's."""

_TALLER: Final = 2  # most times the height of the planned strips, to make them whole bands


@frozen(eq=False)
class Convolution:
    """What is computed of an image, before its result becomes pixels.

    Attributes:
        channels: ``each``, ``gray`` or ``sum``.
    """

    geometry: Geometry
    channels: str
    color_handling: ColorHandling
    plan: Computation


def convolution_of(header: Header, settings: Settings) -> Convolution:
    """The convolution of an image with this header.

    Raises:
        ConvcliError: the kernel or the options do not fit the image.
    """
    if settings.colormap == WHEEL:
        _check_wheel(settings)
    sizes = output_sizes(header, settings)
    channels = channel_mode(header, settings)
    handling = color_handling(header, channels, settings)
    problem = _problem(header, sizes, channels, handling, settings)
    if settings.then:
        chain = _chain(problem, settings, header.dtype if handling.linear else None)
        return Convolution(Geometry(chain.axes[1:]), channels, handling, chain)
    plan = choose(problem, settings.method, settings.threads, SHARERS, steady=settings.steady)
    return Convolution(sizes, channels, handling, replace(plan, borders=(0, 0)))  # a canvas wants whole bands


def _chain(problem: Problem, settings: Settings, light: DType | None) -> ChainPlan:
    """The plan of the kernel and the stages after it.

    Args:
        light: type of the image, if linear light is filtered.
    """
    kernel = settings.kernel
    if kernel.spatial == 3:
        raise ArgumentError(f"kernel {kernel.name} filters volumes, which --then cannot follow")
    first = ConvolutionStage(
        kernel,
        settings.padding,
        per_axis("stride", settings.stride, 2),
        per_axis("dilation", settings.dilation, 2),
        settings.groups,
        settings.flip,
        settings.transposed,
        settings.output_padding,
    )
    stages = [_in_light(stage, light) for stage in settings.then] if light is not None else settings.then
    return choose_chain(problem, first, stages, settings.method, settings.threads, SHARERS, settings.steady)


def _in_light(stage: Stage, dtype: DType) -> Stage:
    """A stage over linear light, from 0 to 1.

    Raises:
        ArgumentError: its parameters are pixel values.
    """
    if isinstance(stage, ConvolutionStage):
        kernel = stage.kernel.biased(tuple(bias / white(dtype) for bias in stage.kernel.biases))
        padding = replace(stage.padding, fill=_light_fill(stage.padding.fill, dtype))
        return replace(stage, kernel=kernel, padding=padding)
    if isinstance(stage, ActivationStage) and stage.function not in ("relu", "abs", "leaky-relu"):
        raise ArgumentError(f"stage {stage.name} takes pixel values and cannot be combined with --linear")
    return stage


def _problem(
    header: Header, sizes: Geometry, channels: str, handling: ColorHandling, settings: Settings
) -> Problem:
    kernel, fill = settings.kernel, settings.padding.fill
    if handling.linear:  # light is from 0 to 1
        kernel = kernel.biased(tuple(bias / white(header.dtype) for bias in kernel.biases))
        fill = _light_fill(fill, header.dtype)
    if fill.mode == "ignore":
        fill = Fill()  # values and weights of 0
    if handling.normalized is not None:
        kernel = kernel.scaled(Fraction(1, handling.normalized.denominator))
        fill = replace(fill, value=handling.normalized.engine_value(fill.value))
    colors = color_count(header)
    summed = 1 if channels == "each" else colors
    filter_ = Filter.of(kernel, spatial=kernel.spatial, flip=settings.rotates)
    if settings.colormap == WHEEL:
        filter_ = replace(filter_, combine=POLAR)
    depth, rows, columns = (Axis(1, 1), *sizes.axes)[-3:]
    return Problem(
        axes=(depth, rows, columns),
        batch=header.frames if kernel.spatial == 2 else 1,
        filter=weighted(filter_, channels, colors, settings.groups),
        dtype=handling.dtype,
        fill=fill,
        outside=_fill_by_lane(settings.padding.fill, fill.value, handling, colors // summed),
        channels=summed,
        groups=settings.groups,
        lanes=colors // summed + handling.extra_lanes,
        double=settings.double or (kernel.combine == "l2" and header.dtype.kind != "f"),  # to be mapped
    )


def _check_wheel(settings: Settings) -> None:
    kernel = settings.kernel
    if kernel.combine != "angle":
        raise ArgumentError(
            f"--colormap wheel shows directions; combine the two maps of kernel {kernel.name} by angle"
        )
    if settings.then or settings.transposed:
        other = "--then" if settings.then else "--transposed"
        raise ArgumentError(f"--colormap wheel shows a gradient and cannot be combined with {other}")


def _light_fill(fill: Fill, dtype: DType) -> Fill:
    """A constant fill as linear light."""
    light = float(srgb_to_light(np.asarray(fill.value / white(dtype)))) if fill.mode == "constant" else 0
    return replace(fill, value=light)


def _fill_by_lane(fill: Fill, value: float, handling: ColorHandling, colors: int) -> tuple[float, ...]:
    """A constant fill with alpha and weights: 0 is transparent, any other value an opaque color.

    Args:
        fill: as requested; pixels outside have no weight if it is ``ignore``.
        value: of the fill, as the engine reads it.
        colors: lanes of colors.
    """
    if fill.mode != "constant" or not handling.extra_lanes:
        return ()
    lanes = [value] * colors
    if handling.alpha == "filter":
        opaque = white(handling.values) if value else 0
        lanes = [value * opaque] * colors + [opaque]
    if handling.weighted:
        lanes = [lane * handling.full for lane in lanes] + [handling.full]
    return tuple(lanes) if any(lanes) else ()


def cut_to_bands(plan: Computation, target: Format, layout: Layout, coding: Coding) -> Computation:
    """The plan with strips of whole bands of the output format, where its method can be cut there."""
    grain = 1 if isinstance(plan, ChainPlan) else plan_grain(plan)
    step = lcm(target.band_height(layout, coding), grain)
    rows = plan.axes[1].output
    height = min(max(plan.height // step, 1) * step, rows)
    is_near = height <= _TALLER * plan.height
    return plan.cut(height, plan.width) if is_near and plan.height < rows else plan
