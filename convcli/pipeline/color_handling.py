"""What happens to alpha and the sRGB curve around the convolution."""

from __future__ import annotations

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.engine.computers import Computation
from convcli.engine.filter import UNIT
from convcli.formats.header import Header
from convcli.formats.readers import Reader
from convcli.kernels.kernel import Kernel
from convcli.layers.stages import ActivationStage, ConvolutionStage, PoolStage
from convcli.pipeline.color import LinearReader, PremultipliedReader, product_dtype
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.settings import Settings


@frozen
class ColorHandling:
    """What happens to colors and alpha before and after the convolution.

    Attributes:
        alpha: ``filter`` (with the colors, premultiplied), ``keep`` (the input's alpha at the center of each
            window), ``drop``, or ``none`` for an image without alpha.
        linear: whether linear light is filtered instead of sRGB values.
        stored: type of the image's values.
        fill: the value of a constant padding, as requested.
    """

    alpha: str
    linear: bool
    stored: DType
    fill: float = 0

    def curved(self, mapping: Mapping, plan: Computation) -> bool:
        """Whether results are encoded as sRGB again: clipped ones, and raw averages."""
        averages = mapping.kind == "raw" and plan.is_average
        return self.linear and (mapping.kind == "clip" or averages)

    @property
    def values(self) -> DType:
        """Type of the filtered values, before colors are multiplied by alpha."""
        return np.dtype(np.float32) if self.linear else self.stored

    @property
    def dtype(self) -> DType:
        """Type of the values that the engine reads."""
        return product_dtype(self.values) or self.values if self.alpha == "filter" else self.values

    def reader(self, reader: Reader) -> Reader:
        """A reader of the values that the engine filters: light, premultiplied, or the pixels themselves."""
        if self.linear:
            reader = LinearReader(reader, self.alpha != "none")
        return PremultipliedReader(reader, self.dtype) if self.alpha == "filter" else reader


def color_handling(header: Header, channels: str, settings: Settings) -> ColorHandling:
    """The handling of alpha and light; by default averages filter alpha and other kernels keep it.

    Args:
        channels: ``each``, ``gray`` or ``sum``.

    Raises:
        ArgumentError: --alpha does not fit the kernel, the image or --stack.
    """
    requested = "drop" if settings.stack and settings.alpha is None else settings.alpha
    if settings.stack and requested != "drop":
        raise ArgumentError(f"--alpha {requested} cannot be used with --stack; use --alpha drop")
    opaque = ColorHandling("none", settings.linear, header.dtype)
    if not header.alpha:
        return opaque
    obstacle = _unfilterable(settings, channels, opaque.values)
    if requested == "filter" and obstacle:
        raise ArgumentError(f"--alpha filter cannot be used here: {obstacle}; use keep or drop")
    alpha = requested or ("keep" if obstacle else "filter")
    return ColorHandling(alpha, settings.linear, header.dtype, settings.padding.fill.value)


def _is_average(kernel: Kernel) -> bool:
    """Whether the weights of every map sum to 1."""
    return not kernel.combine and all(abs(float(total) - 1) <= UNIT for total in kernel.map_sums)


def _unfilterable(settings: Settings, channels: str, values: DType) -> str:
    """Why alpha cannot be filtered with the colors; empty where it can."""
    kernel = settings.kernel
    if settings.transposed:
        return "a transposed convolution adds a part of the weights only"
    if not _is_average(kernel):
        return "the weights do not sum to 1"
    for stage in settings.then:
        if isinstance(stage, ConvolutionStage) and not _is_average(stage.kernel):
            return f"the weights of {stage.name} do not sum to 1"
        if isinstance(stage, ActivationStage) or (
            isinstance(stage, PoolStage) and stage.function != "avgpool"
        ):
            return f"{stage.name} is not an average"
    if kernel.is_identity and not settings.then:
        return "the kernel leaves every pixel unchanged"
    if channels != "each":
        return f"the colors are combined (--channels {channels})"
    if product_dtype(values) is None:
        return f"no number type holds the product of two {values} values"
    return ""
