"""The input, each kernel and its feature map side by side, with axes, sizes and ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.visualize.annotations import (
    ARROW,
    AXIS,
    HEAD,
    LEAST,
    MARGIN,
    ROWS,
    UNDER,
    LabeledMap,
    arrow,
    heading,
    input_image,
    lowered,
)
from convcli.visualize.chain_figure import chain_figure
from convcli.visualize.display import Scale
from convcli.visualize.kernel_grid import KernelGrid, kernel_facts
from convcli.visualize.map_set import DisplayMap, MapSet
from convcli.visualize.scene import Item, Scene

MOST: Final = 12
"""Largest number of maps in one figure."""


def figure(map_set: MapSet, tile: int) -> Scene:
    """The input, and a row with the kernel and the map for each map, all at one scale.

    Of chains, it shows every stage, as `chain_figure` does; the set then has the maps of all stages.

    Args:
        tile: pixels that the longest side of all images takes.

    Raises:
        ArgumentError: more than `MOST` maps, or too many stages.
    """
    if any(map_.settings.then for map_ in map_set.maps):
        return chain_figure(map_set, tile)
    if len(map_set.maps) > MOST:
        raise ArgumentError(f"a figure holds up to {MOST} feature maps, not {len(map_set.maps)}; use --sheet")
    longest = max(map_set.image.shape[:2] + tuple(n for m in map_set.maps for n in m.gray.shape[:2]))
    scale = Scale.of(longest, tile)
    rows = [_Row(map_, LabeledMap(map_, scale), tile) for map_ in map_set.maps]
    first, image = MARGIN + AXIS, scale.reduced(map_set.image)
    high, wide = (size * scale.zoom for size in image.shape[:2])
    second = first + max(wide, LEAST) + ARROW
    third = second + max(row.kernel_width for row in rows) + ARROW + AXIS
    top = MARGIN + HEAD
    first_top = top + lowered(high, rows[0].middle)
    items: list[Item] = list(input_image(map_set, scale, (first, first_top), max(wide, LEAST)))
    items += arrow(second - ARROW + 8, top + rows[0].middle)
    bottom = first_top + high + UNDER
    for row in rows:
        items += row.items((second, third), top)
        items += arrow(third - AXIS - ARROW + 8, top + row.middle)
        bottom = max(bottom, top + row.bottom)
        top = bottom + ROWS + HEAD
    across = third + max(row.drawn.width for row in rows) + MARGIN
    title = f"{map_set.name}: {', '.join(map_.name + map_.number for map_ in map_set.maps)}"
    return Scene(across, bottom + MARGIN // 2, tuple(items), title)


@frozen(eq=False)
class _Row:
    """A kernel and its feature map.

    Attributes:
        tile: largest height and width of the kernel, in pixels.
    """

    map_: DisplayMap
    drawn: LabeledMap
    tile: int

    @property
    def grid(self) -> KernelGrid:
        return KernelGrid.of(self.map_, self.tile)

    @property
    def middle(self) -> int:
        """Pixels from the top of the row to the middle of the kernel, where the arrows are."""
        return self.grid.middle

    @property
    def lowered(self) -> int:
        """Pixels from the top of the row to the map."""
        return lowered(self.drawn.size[0], self.middle)

    @property
    def bottom(self) -> int:
        """Pixels to the bottom of the map with its axis and bar, or of the kernel if that is lower."""
        return max(self.lowered + self.drawn.height, self.grid.height)

    @property
    def kernel_width(self) -> int:
        return max(self.grid.width, LEAST)

    def items(self, lefts: tuple[int, int], top: int) -> Iterator[Item]:
        """Kernel and map.

        Args:
            lefts: x of the kernel and of the map.
            top: y of the kernel.
        """
        map_, (kernel, right) = self.map_, lefts
        facts = _facts_of_kernel(map_)
        yield from heading((kernel, top), map_.name, facts, self.kernel_width + ARROW, map_.number)
        yield from self.grid.items((kernel, top))
        yield from self.drawn.items((right, top + self.lowered))


def _facts_of_kernel(map_: DisplayMap) -> str:
    if map_.report.network is not None:
        return map_.report.network.operation
    return kernel_facts(map_.settings.kernel, map_.report.index)
