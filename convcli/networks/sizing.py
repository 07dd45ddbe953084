"""From the size of an image to the sizes of a network's input: its layout, and the axes that may change."""

from __future__ import annotations

from typing import Final

from convcli.core.errors import cut
from convcli.core.numerals import counted
from convcli.networks.graph import NetworkError, Sizes

Image = tuple[int, int, int]
"""(rows, columns, channels)."""
_LAYOUTS: Final = {"NCHW": (1, 2, 3), "NHWC": (3, 1, 2)}
"""The axes of channels, rows and columns."""
_NAMES: Final = {1: "gray", 3: "RGB"}


def input_sizes(stated: Sizes, image: Image | None, place: str) -> tuple[Sizes, str]:
    """The sizes of the input for an image, and its layout, by its number of channels.

    Args:
        stated: four sizes; None for those that may change.
        image: None for the sizes that are stated, which may be unknown.

    Raises:
        NetworkError: the image has other channels, or another size than the network takes.
    """
    layout = _layout(stated, None if image is None else image[2], place)
    if image is None:
        return (stated[0] or 1, *stated[1:]), layout
    channel, row, column = _LAYOUTS[layout]
    _check_size(stated, image, (row, column), place)
    sizes: list[int | None] = [stated[0] or 1, 0, 0, 0]
    sizes[row], sizes[column], sizes[channel] = image
    return tuple(sizes), layout


def _layout(stated: Sizes, channels: int | None, place: str) -> str:
    """The layout whose axis of channels has as many as the image."""
    wanted = (1, 3) if channels is None else (channels,)
    for layout, (axis, _, _) in _LAYOUTS.items():
        if stated[axis] in wanted:
            return layout
    for layout, (axis, _, _) in _LAYOUTS.items():
        if stated[axis] is None and all(stated[other] is None for other in (1, 3)):
            return layout
    if channels is None:
        return "NCHW"
    first, last = stated[1], stated[3]
    few = [size for size in (first, last) if size is not None and size <= 4] or [first or last or 0]
    raise NetworkError(
        f"{place}: takes {counted(few[0], 'channel')}{_named(few[0])}, {_shape_text(stated)}; "
        f"the image has {channels}{_named(channels)}"
    )


def _named(channels: int | None) -> str:
    return f" ({_NAMES[channels]})" if channels in _NAMES else ""


def _check_size(stated: Sizes, image: Image, axes: tuple[int, int], place: str) -> None:
    fixed = [stated[axis] for axis in axes]
    if any(size not in (None, given) for size, given in zip(fixed, image, strict=False)):
        wanted = "×".join("any" if size is None else str(size) for size in fixed)
        width, height = fixed[1] or image[1], fixed[0] or image[0]
        raise NetworkError(
            f"{place}: takes images of {wanted} pixels (rows × columns); this one has {image[0]}×{image[1]}; "
            f"resize it first, for example with: magick IN -resize {width}x{height}! OUT"
        )


def _shape_text(stated: Sizes) -> str:
    return cut(f"({', '.join('?' if size is None else str(size) for size in stated)})")
