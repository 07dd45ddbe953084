"""What happens to alpha, the sRGB curve, the scale of values and pixels left out around the convolution."""

from __future__ import annotations

from functools import partial

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.engine.computers import Computation
from convcli.engine.filter import UNIT, Filter
from convcli.engine.normalized import unnormalizable
from convcli.formats.header import Header
from convcli.formats.readers import Reader
from convcli.kernels.kernel import Kernel
from convcli.layers.stages import ActivationStage, ConvolutionStage, PoolStage
from convcli.pipeline.color import FilledReader, LinearReader, WeightedReader, product_dtype
from convcli.pipeline.color import white as white_of
from convcli.pipeline.ignore import Ignore
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.nodata import ALL, ANY, AUTO, OWN, Missing, can_occur
from convcli.pipeline.normalization import Normalized, NormalizedReader
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
        colors: number of channels that are not alpha.
        weighted: whether pixels have weights, by which the results are divided.
        ignore: the pixels whose weight is not that of all others.
        normalized: how values are normalized first, if they are.
        missing: which pixels are without data, if a value says so.
    """

    alpha: str
    linear: bool
    stored: DType
    fill: float = 0
    colors: int = 1
    weighted: bool = False
    ignore: Ignore | None = None
    normalized: Normalized | None = None
    missing: Missing | None = None

    def curved(self, mapping: Mapping, plan: Computation) -> bool:
        """Whether results are encoded as sRGB again: clipped ones, and raw averages."""
        averages = mapping.kind == "raw" and plan.is_average
        return self.linear and (mapping.kind == "clip" or averages)

    @property
    def values(self) -> DType:
        """Type of the filtered values, before they are multiplied by alpha or weights."""
        if self.normalized is not None:
            return self.normalized.dtype
        dtype = np.dtype(np.float32) if self.linear else self.stored
        return np.dtype(np.float64) if self.weighted and dtype.kind == "f" else dtype

    @property
    def full(self) -> int:
        """The weight of a pixel that counts in full."""
        return self.ignore.full if self.ignore else 1

    @property
    def white(self) -> int:
        """The value of a feature map that means white."""
        return white_of(self.values) if self.normalized is None else 1

    @property
    def magnitude(self) -> float:
        """The largest magnitude of the filtered values; 0 if it is not known."""
        if self.normalized is not None:
            return self.normalized.magnitude(self.stored)
        return white_of(self.values) if self.linear or self.stored.kind != "f" else 0.0

    @property
    def dtype(self) -> DType:
        """Type of the values that the engine reads."""
        factor = self.full * (white_of(self.values) if self.alpha == "filter" else 1)
        return product_dtype(self.values, factor) or np.dtype(np.float64)

    @property
    def extra_lanes(self) -> int:
        """Lanes that the engine sums besides the colors: filtered alpha, weights, or both."""
        return (self.alpha == "filter") + self.weighted

    def reader(self, reader: Reader) -> Reader:
        """A reader of the values that the engine filters: light, products, or the pixels themselves."""
        if self.normalized is not None:
            return NormalizedReader(reader, self.normalized)
        values = LinearReader(reader, self.alpha != "none") if self.linear else reader
        if self.missing is not None:
            return FilledReader(values, reader, self.colors, self.missing.found)
        if not self.extra_lanes:
            return values
        weights = partial(self._weights, reader) if self.weighted else None
        return WeightedReader(values, self.colors, self.alpha == "filter", weights, self.dtype)

    def _weights(self, stored: Reader, frame: int, first: int, last: int) -> Array:
        """The weights of pixels, as `Weights` has them."""
        pixels = stored.rows(frame, first, last)
        if self.ignore is None:
            return np.ones(pixels.shape[:2], bool)
        return self.ignore.weights(pixels[..., : self.colors], first)


def color_handling(header: Header, channels: str, settings: Settings) -> ColorHandling:
    """The handling of alpha, light and pixels that are left out.

    By default averages filter alpha and other kernels keep it.

    Args:
        channels: ``each``, ``gray`` or ``sum``.

    Raises:
        ArgumentError: --alpha does not fit the kernel, the image or --stack, or --ignore not the kernel or
            the image.
    """
    requested = "drop" if settings.stack and settings.alpha is None else settings.alpha
    if settings.stack and requested != "drop":
        raise ArgumentError(f"--alpha {requested} cannot be used with --stack; use --alpha drop")
    opaque = _without_alpha(header, channels, settings)
    if not header.alpha:
        return opaque
    obstacle = _unfilterable(settings, channels, opaque)
    if requested == "filter" and obstacle:
        raise ArgumentError(f"--alpha filter cannot be used here: {obstacle}; use keep or drop")
    alpha = requested or ("keep" if obstacle else "filter")
    return replace(opaque, alpha=alpha)


def _without_alpha(header: Header, channels: str, settings: Settings) -> ColorHandling:
    """The handling of an image's colors."""
    ignore, fill = settings.ignore, settings.padding.fill
    missing = _missing(header, channels, settings)
    is_weighted = ignore is not None or (fill.mode == "ignore" and missing is None)
    if is_weighted:
        _check_weights(settings)
    if ignore is not None:
        ignore.check_size(header.rows, header.columns)
    colors = header.channels - header.alpha
    normalized = None
    if settings.normalize is not None:
        normalized = settings.normalize.of(header.dtype, colors, settings.double)
    linear = settings.linear and not header.linear
    return ColorHandling(
        "none", linear, header.dtype, fill.value, colors, is_weighted, ignore, normalized, missing
    )


def _missing(header: Header, channels: str, settings: Settings) -> Missing | None:
    """Which pixels are without data, or None if none can be.

    Raises:
        ArgumentError: --nodata does not fit the other settings.
    """
    value = settings.nodata.of(header)
    if settings.ignore is not None and settings.nodata.kind == "value":
        raise ArgumentError(
            f"--nodata {settings.nodata} and --ignore {settings.ignore} both say which pixels are left out; "
            "use one of them"
        )
    if value is None or settings.ignore is not None or not can_occur(value, header.dtype):
        return None
    is_outside_left_out = settings.padding.fill.mode == "ignore"
    if is_outside_left_out:
        _check_weights(settings)
    found = Missing(value, _together(header, channels), _is_strict(settings.kernel), not is_outside_left_out)
    _check_nodata(found, settings)
    return found


def _together(header: Header, channels: str) -> str:
    """Which channels of a pixel are without data together: those of colors, and those that are summed."""
    are_colors = header.channels - header.alpha == 3 and not header.metadata.extra
    if are_colors and header.dtype.kind == "u":
        return ALL
    return OWN if channels == "each" else ANY


def _is_strict(kernel: Kernel) -> bool:
    """Whether weights cannot be renormalized over a part of a window."""
    return bool(unnormalizable(Filter.of(kernel, spatial=kernel.spatial)))


def _check_nodata(missing: Missing, settings: Settings) -> None:
    """Refuse what pixels without data cannot be left out of."""
    others = {
        "--then": settings.then,
        "--transposed": settings.transposed,
        "--normalize": settings.normalize,
        "--model": settings.network,
    }
    for other in (name for name, value in others.items() if value):
        whose = "its nodata value" if settings.nodata.kind == AUTO else "--nodata"
        raise ArgumentError(
            f"{whose} {missing} cannot be left out with {other}; filter in two steps, "
            "or like any other value with --nodata none"
        )


def _check_weights(settings: Settings) -> None:
    """Refuse kernels over which the weights of pixels cannot be summed."""
    kernel = settings.kernel
    option = "padding fill ignore" if settings.ignore is None else f"--ignore {settings.ignore}"
    others = {
        "--then": settings.then,
        "--transposed": settings.transposed,
        "--normalize": settings.normalize,
    }
    for other in (name for name, value in others.items() if value):
        raise ArgumentError(f"{option} cannot be combined with {other}; filter in two steps")
    obstacle = unnormalizable(Filter.of(kernel, spatial=kernel.spatial))
    if obstacle:
        remedy = "another fill" if settings.ignore is None else "an average such as gaussian:1 first"
        raise ArgumentError(f"{option} cannot be used with kernel {kernel.name}: {obstacle}; use {remedy}")


def _is_average(kernel: Kernel) -> bool:
    """Whether the weights of every map sum to 1."""
    return not kernel.combine and all(abs(float(total) - 1) <= UNIT for total in kernel.map_sums)


def _unfilterable(settings: Settings, channels: str, handling: ColorHandling) -> str:
    """Why alpha cannot be filtered with the colors; empty where it can."""
    kernel, values = settings.kernel, handling.values
    before = {
        "a transposed convolution adds a part of the weights only": settings.transposed,
        "the colors are normalized": handling.normalized is not None,
        "pixels without data are left out": handling.missing is not None,
        "the weights do not sum to 1": not _is_average(kernel),
    }
    for obstacle in (words for words, is_there in before.items() if is_there):
        return obstacle
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
    if values.kind == "i" or product_dtype(values, white_of(values)) is None:
        return f"no number type holds the product of two {values} values"
    return ""
