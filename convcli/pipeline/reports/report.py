"""The facts about one feature map and its file, which every form of a report is made of."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

from convcli.core.frozen import frozen
from convcli.core.rational import Number
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.computers import Computation
from convcli.geometry.axes import Axis, Geometry
from convcli.geometry.transposed import TransposedAxis
from convcli.kernels.kernel import Kernel
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.reports.stages import StageReport, stage_reports

if TYPE_CHECKING:
    from convcli.networks.maps import MapFacts


@frozen
class ImageFile:
    """An image file: its name, format, kind (``RGB, 8-bit``), and size in bytes.

    The size is None for a store that was read: only some of its objects were, and the others are not counted.
    """

    name: str
    format: str
    kind: str
    bytes: int | None


@frozen(eq=False)
class Report:
    """One feature map.

    Attributes:
        index: of the map, from 0.
        channels: ``each``, ``gray`` or ``sum``.
        batch_shape: (channels of the input, channels of the output).
        dtype: of the input's values.
        low, high: the range of the finite values before the mapping.
        mapping_text: what the mapping did, in words.
        below, above: values that were cut off.
        values: number of all values of the map.
        seconds: for computing, mapping and writing.
        nan, infinite: values before the mapping that are not finite.
        undefined: pixels of the map whose window has no pixel that counts.
        nan_pixels, ignored_pixels: pixels of the input with NaN in any color, and those that are left out.
        frame: the number of a frame that has a file of its own.
        name: of the kernel and the stages after it.
        metadata: what was carried over: names, with words to print.
        network: what made the map, if it is one of a network; the kernel then leaves it as it is.
    """

    source: ImageFile
    target: ImageFile
    kernel: Kernel
    index: int
    flip: bool
    transposed: bool
    geometry: Geometry
    padding: str
    channels: str
    batch_shape: tuple[int, int]
    dtype: str
    low: Number
    high: Number
    mapping: Mapping
    mapping_text: str
    below: int
    above: int
    values: int
    plan: Computation
    seconds: float
    frames: int = 1
    nan: int = 0
    infinite: int = 0
    undefined: int = 0
    nan_pixels: int = 0
    ignored_pixels: int = 0
    frame: int | None = None
    name: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    network: MapFacts | None = None

    @property
    def maps(self) -> int:
        """Number of maps of the same image."""
        return self.kernel.maps if self.network else self.plan.outcome.maps

    @cached_property
    def stages(self) -> list[StageReport]:
        """The stages of a chain; empty without one."""
        return stage_reports(self.plan)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(frames, rows, columns, channels), or (1, depth, rows, columns, channels) of a volume."""
        size = self.network.image if self.network else self.geometry.input
        return self.frames, *size, self.batch_shape[0]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """In the order of `input_shape`."""
        return self.frames, *self.geometry.output, self.batch_shape[1]

    @property
    def rows(self) -> Axis | TransposedAxis:
        """The vertical axis."""
        return self.geometry.layer[-2]

    @property
    def columns(self) -> Axis | TransposedAxis:
        """The horizontal axis."""
        return self.geometry.layer[-1]

    @property
    def receptive_field(self) -> tuple[int, ...]:
        """Pixels of the input along each axis that one value depends on."""
        if self.stages:
            return self.stages[-1].receptive
        return tuple(axis.receptive for axis in self.geometry.axes)

    @property
    def groups(self) -> int:
        """Groups of channels."""
        return self.plan.problem.groups

    @property
    def parameters(self) -> int:
        """Number of weights, and of biases if the kernel has them."""
        if isinstance(self.plan, ChainPlan):
            return sum(stage.parameters for stage in self.plan.requested)
        return parameter_count(self.kernel)

    @property
    def multiply_adds(self) -> int:
        """Products of the feature map if every weight is multiplied; most methods need fewer."""
        if isinstance(self.plan, ChainPlan):
            return sum(stage.multiply_adds for stage in self.plan.requested)
        filter_ = self.plan.problem.filter
        maps = filter_.maps if self.kernel.combine else 1
        values = self.values
        if self.transposed:  # every value of the input is multiplied with every weight
            values = values // math.prod(self.geometry.output) * math.prod(self.geometry.input)
        return values * maps * math.prod(filter_.kernel) * filter_.inputs


def parameter_count(kernel: Kernel) -> int:
    """Number of weights, and of biases if the kernel has them."""
    return kernel.weights.size + (kernel.maps if kernel.bias else 0)
