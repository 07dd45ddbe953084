"""One stage of a chain as an animation of its own: the values before it become its input."""

from __future__ import annotations

import io
import math

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.engine.computers import Computation
from convcli.engine.consumer import StripTask
from convcli.engine.run import run
from convcli.files.input import Input
from convcli.layers.stages import ConvolutionStage, Stage
from convcli.pipeline.maps.image_source import ImageSource
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from convcli.visualize.animate.content import Selection, reading
from convcli.visualize.explain.chain import chain_stages
from convcli.visualize.explain.pixel import frame_task


@frozen(eq=False)
class StageInput:
    """What a stage of a chain is animated with.

    Attributes:
        title: what its input is called.
        file: the values before it, an NPY file.
        names: of the channels of these values.
    """

    title: str
    file: Input
    settings: Settings
    selection: Selection
    names: tuple[str, ...] = ()


def stage_input(
    title: str, file: Input, settings: Settings, selection: Selection, number: int | None
) -> StageInput:
    """The input and the settings of a stage, which `build_animation` takes.

    Args:
        title: of the image.
        number: of the stage, from 1; None for the only kernel.

    Raises:
        ArgumentError: a stage that does not exist or is no kernel, or a map that does not exist.
        ConvcliError: the image cannot be read or filtered.
    """
    stages = chain_stages(settings)
    if number is None and len(stages) == 1:
        return StageInput(title, file, settings, selection)
    number, stage = _stage(stages, number)
    if number == 1:
        return StageInput(title, file, replace(settings, then=()), selection)
    values = _values(title, file, replace(settings, then=settings.then[: number - 2]), selection.frame)
    own = replace(
        settings,
        kernel=stage.kernel,
        padding=stage.padding,
        stride=stage.stride,
        dilation=stage.dilation,
        groups=stage.groups,
        flip=stage.flip,
        then=(),
        normalize=None,
    )
    names = tuple(f"map {index}" for index in range(len(values)))
    selection = replace(selection, frame=0)
    if len(values) > 1 and stage.kernel.tensor_shape[-2] * stage.groups == 1:
        values, selection = _one_map(stage, values, selection)
        names = ()
    if selection.white:
        selection = replace(selection, white=max(math.ceil(float(values.max())), 1))
    return StageInput(f"stage {number - 1} of {title}", _npy(values), own, selection, names)


def _stage(stages: tuple[Stage, ...], number: int | None) -> tuple[int, ConvolutionStage]:
    kernels = [place for place, stage in enumerate(stages, 1) if isinstance(stage, ConvolutionStage)]
    allowed = f"allowed: {', '.join(map(str, kernels))}"
    if number is None and len(kernels) == 1:
        number = kernels[0]
    if number is None:
        raise ArgumentError(f"an animation shows one stage of a chain; choose it with --stage ({allowed})")
    if number > len(stages):
        raise ArgumentError(f"there is no stage {number}; {allowed}")
    stage = stages[number - 1]
    if not isinstance(stage, ConvolutionStage):
        raise ArgumentError(f"stage {number} ({stage.name}) has no kernel to animate; {allowed}")
    return number, stage


def _one_map(stage: ConvolutionStage, values: Array, selection: Selection) -> tuple[Array, Selection]:
    """The map that a kernel of one channel reads for the chosen map, and that map's index in the kernel."""
    own = 1 if stage.kernel.combine else stage.kernel.maps
    count = own * len(values)
    if selection.map is None:
        raise ArgumentError(
            f"the stage produces {count} feature maps, but an animation shows one; choose one with --show-map"
        )
    if selection.map >= count:
        raise ArgumentError(f"there is no map {selection.map}; allowed: 0 to {count - 1}")
    index = selection.map // own
    return values[index : index + 1], replace(selection, map=selection.map % own if own > 1 else None)


def _values(title: str, file: Input, settings: Settings, frame: int) -> Array:
    """The values of all maps of a chain, (maps, rows, columns) of float64."""
    settings = replace(reading(file, settings), output=OutputSpec("./"))
    task, own = frame_task(title, file, settings, frame)
    reader = task.color_handling.reader(task.opened.reader())
    recorder = _ValueRecorder(task.plan, own)
    run(task.plan, ImageSource(reader, task.plan), lambda: recorder, reader)
    return recorder.values


class _ValueRecorder:
    """A consumer that keeps the values of one frame."""

    def __init__(self, plan: Computation, frame: int) -> None:
        self.frame = frame
        self.affines = [affine.as_floats() for affine in plan.outcome.affines]
        self.values: Array = np.zeros((plan.outcome.maps, *(axis.output for axis in plan.axes[1:])))

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        if task.batch != self.frame:
            return
        rows, columns = slice(*task.strip.rows), slice(*task.strip.columns)
        for values, own, affine in zip(self.values, sums[..., 0], self.affines, strict=True):
            values[rows, columns] = affine.gain * own.astype(np.float64) + affine.offset


def _npy(values: Array) -> Input:
    """Maps as an NPY file of one frame, with a channel for each."""
    buffer = io.BytesIO()
    np.save(buffer, np.moveaxis(values, 0, -1)[None] if len(values) > 1 else values[0])
    return Input(data=buffer.getvalue())
