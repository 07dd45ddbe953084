"""``convcli shape`` for signals, of one axis, and volumes, of three."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from convcli.cli.types import load
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.layers.chain import Shape
    from convcli.pipeline.options import FilterOptions

_SIZES: Final = re.compile(r"-?\d+(\s*[,x×]\s*-?\d+)*")
IMAGE_AXES: Final = 2


def axes_of(size: str | None, axes: int | None) -> int:
    """The number of axes: as stated, 1 for a single number, else those of an image."""
    return axes or (1 if size is not None and re.fullmatch(r"\s*\d+\s*", size) else IMAGE_AXES)


def check_only_kernel(axes: int, given: Sequence[str], kernel: str | None) -> str:
    """The kernel's text.

    Args:
        given: names of options that are for images.

    Raises:
        click.UsageError: one of them, or no kernel.
    """
    if given:
        raise click.UsageError(f"--{given[0]} is for images of two axes; the size has {axes_text(axes)}")
    if kernel is None:
        raise click.UsageError("missing option -k/--kernel")
    return kernel


def shape_of_axes(
    axes: int, size: str, kernel: str, kernel_path: Sequence[str], options: FilterOptions
) -> Shape:
    """The shape of a kernel's map over a signal or a volume.

    Raises:
        ConvcliError: sizes that do not fit together.
        click.UsageError: a kernel of other axes or channels.
    """
    from convcli.geometry.axes import of_volume, parse_sizes
    from convcli.geometry.padding import Padding
    from convcli.layers.chain import LayerSpec, chain

    numbers = parse_sizes("size", size, (axes, axes + 1), "x")
    channels = numbers[axes] if len(numbers) > axes else 1
    window = _window(axes, kernel, kernel_path)
    if window.inputs not in (None, channels):
        raise click.UsageError(
            f"the kernel takes {window.inputs} input channels, but the size has {channels}"
        )
    padding, stride, dilation = Padding.parse(options.padding), options.stride, options.dilation
    if axes > IMAGE_AXES:
        stride, dilation = of_volume(stride), of_volume(dilation)
        if not isinstance(padding.amount, str):
            raise click.UsageError(
                "numbers of --padding are for rows and columns; with --axes 3, use valid, same or full"
            )
    layer = LayerSpec(
        "conv" if window.maps or (channels == 1 and window.combined == 1) else "each",
        window.size,
        window.maps or 1,
        stride=stride,
        padding=str(padding),
        dilation=dilation,
        bias=False,
        flip=options.flip,
        combined=window.combined,
    )
    (shape,) = chain(numbers[:axes], channels, [layer], None)
    return shape


@frozen
class _Window:
    """A kernel's sizes.

    Attributes:
        inputs, maps: channels in and out, if the kernel states them.
        combined: how many kernels are combined into one map.
    """

    size: tuple[int, ...]
    inputs: int | None = None
    maps: int | None = None
    combined: int = 1


def _window(axes: int, text: str, kernel_path: Sequence[str]) -> _Window:
    """The window of ``5``, of ``3x3x3x16``, or of a kernel of this number of axes."""
    from convcli.geometry.axes import parse_sizes

    if _SIZES.fullmatch(text.strip().casefold()):
        sizes = parse_sizes("kernel", text, sorted({1, axes, axes + 1}), "x")
        maps = sizes[axes] if len(sizes) == axes + 1 else None
        return _Window(sizes * axes if len(sizes) == 1 else sizes[:axes], maps=maps)
    kernel = load(text, kernel_path).kernel
    size = kernel.tensor_shape[:-2]
    if axes == 1 and len(size) == IMAGE_AXES and size[0] == 1:
        size = size[1:]
    if len(size) != axes:
        covered = " × ".join(map(str, size))
        raise click.UsageError(f"kernel {kernel.name} covers {covered}, but the size has {axes_text(axes)}")
    if kernel.combine:
        return _Window(size, combined=kernel.maps)
    channels = kernel.tensor_shape[-2:]
    return _Window(size) if channels == (1, 1) else _Window(size, *channels)
