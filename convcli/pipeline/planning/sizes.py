"""Input, padding and output sizes along every axis, and the limit on the number of pixels."""

from __future__ import annotations

from math import prod

from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.formats.header import Header
from convcli.geometry.axes import Geometry, geometry, of_volume
from convcli.pipeline.settings import Settings


def output_sizes(header: Header, settings: Settings) -> Geometry:
    """The geometry of an image: (rows, columns), or (frames, rows, columns) for a three-dimensional kernel.

    A volume has stride 1 and dilation 1 along its frames unless the settings give three numbers.
    """
    size, kernel = (header.rows, header.columns), settings.kernel
    if kernel.spatial == 2:
        window = settings.stride, settings.padding, settings.dilation
        return geometry(size, kernel.size, *window, False, settings.transposed, settings.output_padding)
    padding = settings.padding
    if not isinstance(padding.amount, str):
        padding = replace(padding, amount=((0, 0), *(padding.amount * 2)[:2]))
    stride, dilation = map(of_volume, (settings.stride, settings.dilation))
    extra = settings.output_padding
    if extra is not None:
        extra = (0, *(extra * 2)[:2])
    sizes, shape = (header.frames, *size), (kernel.depth, *kernel.size)
    return geometry(sizes, shape, stride, padding, dilation, False, settings.transposed, extra)


def check_sizes(sizes: Geometry, limit: int) -> None:
    """Refuse a feature map with too many pixels, and a volume, which is decoded all at once.

    A feature map may always have as many pixels as its input.

    Args:
        limit: the largest number of pixels.

    Raises:
        ArgumentError: there are more.
    """
    pixels, volume = prod(sizes.output), prod(sizes.input) if len(sizes.axes) == 3 else 0
    if volume > limit:
        raise ArgumentError(f"the volume has {volume} pixels; allowed: {limit} (--max-pixels)")
    if pixels > max(limit, prod(sizes.input)):
        raise ArgumentError(f"the feature map would have {pixels} pixels; allowed: {limit} (--max-pixels)")
