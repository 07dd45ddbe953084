"""The input and every stage of a chain: what the stage does, and the feature maps after it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.core.numerals import axis_text, counted
from convcli.layers.stages import ConvolutionStage, Stage
from convcli.visualize.annotations import (
    ARROW,
    AXIS,
    BESIDE,
    HEAD,
    LEAST,
    MARGIN,
    ROWS,
    SMALL,
    UNDER,
    LabeledMap,
    arrow,
    heading,
    input_image,
    lowered,
    map_image,
)
from convcli.visualize.colorbar import (
    bar_height,
    horizontal_bar,
    least_vertical_length,
    min_bar_length,
    vertical_bar,
    vertical_bar_width,
)
from convcli.visualize.display import Scale
from convcli.visualize.lettering import width
from convcli.visualize.map_set import DisplayMap, MapSet, StageMaps
from convcli.visualize.operations import Operation, operation
from convcli.visualize.panels import text_line
from convcli.visualize.scene import FAINT, INK, Item, Line, Scene, Text

MOST_STAGES: Final = 16
"""Largest number of stages in one figure."""

MOST_MAPS: Final = 6
"""Maps of a stage that are drawn; the others are counted."""

_WIDEST: Final = 1600  # width that columns of stages fill
_LABEL: Final = 18  # above a map among several, for its name
_GAP: Final = 14  # between maps of one stage
_TURN: Final = 14  # from the bottom of a row to the line that leads to the next one
_CLEAR: Final = 6  # that line is so much further from the numbers of the input than arrows are
_CHAINS: Final = 24  # between chains, besides what is between rows


def chain_figure(map_set: MapSet, tile: int) -> Scene:
    """The input on the left, and the stages of each chain in reading order.

    Maps are drawn at the scale of the input, unless that would be too small. Several maps of one stage take
    half a tile each.

    Args:
        tile: pixels that the longest side of all images takes.

    Raises:
        ArgumentError: more than `MOST_STAGES` stages.
    """
    count = sum(map(len, map_set.chains))
    if count > MOST_STAGES:
        raise ArgumentError(f"a figure holds up to {MOST_STAGES} stages, not {count}; use --sheet")
    maps = [map_ for chain in map_set.chains for stage in chain for map_ in stage]
    sizes = [map_set.image.shape[:2], *(map_.gray.shape[:2] for map_ in maps)]
    longest = max(map(max, sizes))
    chains = [_blocks(chain, longest, tile) for chain in map_set.chains]
    scale = Scale.of(longest, tile)
    image = scale.reduced(map_set.image)
    high, wide = (size * scale.zoom for size in image.shape[:2])
    grid = _Grid.of(chains, MARGIN + AXIS + max(wide, LEAST) + ARROW)
    top = MARGIN + HEAD
    place = MARGIN + AXIS, top + lowered(high, grid.middle_of(chains[0]))
    items = list(input_image(map_set, scale, place, max(wide, LEAST)))
    lowest = place[1] + high + UNDER
    for index, chain in enumerate(chains):
        if index:
            top = max(top, lowest + HEAD) if index == 1 else top
            items += _branch(place[0] + wide // 2, lowest, grid.left, top + grid.middle_of(chain))
        else:
            items += arrow(grid.left - ARROW + 8, top + grid.middle_of(chain))
        drawn, bottom = grid.items(chain, top)
        items += drawn
        top = bottom + ROWS + HEAD + _CHAINS
    bottom = max(bottom, lowest)
    title = f"{map_set.name}: {', '.join(map_.name + map_.number for map_ in map_set.maps)}"
    return Scene(grid.right + MARGIN, bottom + MARGIN // 2, tuple(items), title)


def _blocks(chain: Sequence[StageMaps], longest: int, tile: int) -> list[_Block]:
    """The stages of a chain."""
    stages = _stages(chain[-1][0])
    return [
        _Block(operation(stage, place), _drawn(maps, longest, tile))
        for place, (stage, maps) in enumerate(zip(stages, chain, strict=True), 1)
    ]


def _stages(result: DisplayMap) -> list[Stage]:
    """The stages of a chain; a kernel without any after it is a chain of one."""
    settings = result.settings
    if settings.then:
        return [stage.planned.spec for stage in result.report.stages]
    stride, dilation = ((pair * 2)[:2] for pair in (settings.stride, settings.dilation))
    kernel, padding = settings.kernel, settings.padding
    return [ConvolutionStage(kernel, padding, stride, dilation, settings.groups, settings.flip)]


def _drawn(maps: StageMaps, longest: int, tile: int) -> LabeledMap | Strip:
    if len(maps) == 1:
        return LabeledMap(maps[0], _scale(maps[0], longest, tile))
    return Strip(maps, Scale.of(max(maps[0].gray.shape[:2]), max(tile // 2, 1)))


def _scale(map_: DisplayMap, longest: int, tile: int) -> Scale:
    """The scale of all images, or a larger one for a map that would take less than half a tile."""
    common, own = Scale.of(longest, tile), max(map_.gray.shape[:2])
    return common if 2 * own * common.zoom >= tile * common.box else Scale.of(own, max(tile // 2, 1))


@frozen(eq=False)
class Strip:
    """Several maps of one stage side by side, each with its color bar, or with one for all."""

    maps: StageMaps
    scale: Scale

    @property
    def _shown(self) -> StageMaps:
        return self.maps[:MOST_MAPS]

    @property
    def _more(self) -> str:
        omitted = len(self.maps) - MOST_MAPS
        return f"and {omitted} more" if omitted > 0 else ""

    @property
    def _shares_bar(self) -> bool:
        return len({map_.bar for map_ in self.maps}) == 1

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of a drawn map, in pixels."""
        rows, columns = self.maps[0].pixels(self.scale).shape[:2]
        return rows * self.scale.zoom, columns * self.scale.zoom

    @property
    def center(self) -> int:
        """Pixels from the left to the middle of the maps."""
        return (len(self._shown) * self._step - _GAP) // 2

    @property
    def _step(self) -> int:
        """Pixels from one map to the next."""
        least = 0 if self._shares_bar else max(map(min_bar_length, (map_.bar for map_ in self._shown)))
        names = max(math.ceil(width(map_.label, SMALL)) for map_ in self._shown)
        return max(self.size[1], least, min(names, 2 * LEAST)) + _GAP

    @property
    def _bar_length(self) -> int:
        return max(self.size[0], least_vertical_length(self.maps[0].bar))

    @property
    def facts(self) -> str:
        """Size and range of all maps."""
        rows, columns = self.maps[0].gray.shape[:2]
        low, high = min(map_.report.low for map_ in self.maps), max(map_.report.high for map_ in self.maps)
        return f"{rows} × {columns}, values {axis_text(low)} … {axis_text(high)}"

    @property
    def foot(self) -> int:
        """Pixels from the top of the maps to the end of what is below them."""
        return self.size[0] if self._shares_bar else self.size[0] + 8 + bar_height(self.maps[0].bar)

    @property
    def height(self) -> int:
        """Pixels from the top of the maps to the end of their bars."""
        return self._bar_length + 4 if self._shares_bar else self.foot

    @property
    def width(self) -> int:
        """Width of all maps with their bars, or of the facts if they are longer."""
        across = len(self._shown) * self._step - _GAP
        across += math.ceil(width(self._more, SMALL)) + _GAP if self._more else 0
        if self._shares_bar:
            across += BESIDE + vertical_bar_width(self.maps[0].bar, self._bar_length)
        return max(across, math.ceil(width(self.facts, SMALL)))

    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        """Everything, with the top left corner of the first map at ``place``."""
        left, top = place
        yield from heading(
            (left, top - _LABEL), counted(len(self.maps), "feature map"), self.facts, self.width
        )
        for map_ in self._shown:
            yield from text_line((left, top - _LABEL), map_.label, SMALL, INK, self._step - _GAP)
            yield from map_image((left, top), map_.pixels(self.scale), self.scale, map_.values)
            if not self._shares_bar:
                length = max(self.size[1], min_bar_length(map_.bar))
                yield from horizontal_bar(map_.bar, (left, top + self.size[0] + 8), length)
            left += self._step
        if self._more:
            yield Text((left, top + self.size[0] // 2 + 4), self._more, SMALL, FAINT)
            left += math.ceil(width(self._more, SMALL)) + _GAP
        if self._shares_bar:
            yield from vertical_bar(self.maps[0].bar, (left - _GAP + BESIDE, top), self._bar_length)


@frozen(eq=False)
class _Block:
    """A stage: the operation, and the maps after it."""

    operation: Operation
    maps: LabeledMap | Strip

    @property
    def label(self) -> int:
        """Pixels between the heading of the maps and the maps."""
        return _LABEL if isinstance(self.maps, Strip) else 0

    @property
    def operation_width(self) -> int:
        """Width of the drawing and the text above it, some of which may reach over the arrow."""
        text = width(self.operation.facts, SMALL) - ARROW + _GAP
        return max(self.operation.drawing.width, math.ceil(text), LEAST)


@frozen
class _Column:
    """Widths of the operations of some stages, of what is left of their maps, and of the maps."""

    operation: int
    axis: int
    maps: int

    @classmethod
    def of(cls, blocks: Sequence[_Block]) -> _Column:
        """The widths that these stages need."""
        axis = AXIS if any(isinstance(block.maps, LabeledMap) for block in blocks) else 0
        operations = max(block.operation_width for block in blocks)
        return cls(operations, axis, max(block.maps.width for block in blocks))

    @property
    def before_maps(self) -> int:
        """Pixels from the operations to the maps."""
        return self.operation + ARROW + self.axis

    @property
    def width(self) -> int:
        return self.before_maps + self.maps


@frozen(eq=False)
class _Grid:
    """Columns of stages.

    Attributes:
        left: x of the first operation.
        columns: the stages in each column.
    """

    left: int
    columns: list[_Column]

    @classmethod
    def of(cls, chains: Sequence[Sequence[_Block]], left: int) -> _Grid:
        """As many columns as the width allows, with rows of about the same number of stages."""
        count = max(map(len, chains))
        grids = [cls(left, _columns(chains, -(-count // rows))) for rows in range(1, count + 1)]
        return next((grid for grid in grids if grid.right + MARGIN <= _WIDEST), grids[-1])

    def lefts(self, column: int) -> tuple[int, int]:
        """X of the operations and of the maps of a column."""
        left = self.left + sum(each.width + ARROW for each in self.columns[:column])
        return left, left + self.columns[column].before_maps

    @property
    def right(self) -> int:
        return self.left + sum(column.width + ARROW for column in self.columns) - ARROW

    def rows(self, blocks: Sequence[_Block]) -> list[Sequence[_Block]]:
        """The stages of each row."""
        return _rows(blocks, len(self.columns))

    def middle_of(self, blocks: Sequence[_Block]) -> int:
        """Pixels from the top of the first row to its arrows."""
        return max(block.operation.drawing.middle for block in self.rows(blocks)[0])

    def items(self, blocks: Sequence[_Block], top: int) -> tuple[list[Item], int]:
        """The stages of a chain below ``top``, and the bottom of the last row."""
        items, rows = list[Item](), self.rows(blocks)
        for index, row in enumerate(rows):
            middle, bottom = self.middle_of(row), top
            for column, block in enumerate(row):
                items += self._block(block, column, top, middle)
                bottom = max(bottom, *self._bottoms(block, top, middle))
            if index < len(rows) - 1:
                below = bottom + ROWS + HEAD
                last, center = row[-1], self.lefts(len(row) - 1)[1] + row[-1].maps.center
                begin = center, self._place(last, top, middle)[1] + last.maps.foot + 4
                items += self._turn(begin, bottom + _TURN, below + self.middle_of(rows[index + 1]))
                top = below
        return items, bottom

    def _place(self, block: _Block, top: int, middle: int) -> tuple[int, int]:
        """Y of the operation and of the maps."""
        high = block.maps.size[0]
        return (
            top + middle - block.operation.drawing.middle,
            top + max(lowered(high, middle), block.label),
        )

    def _bottoms(self, block: _Block, top: int, middle: int) -> tuple[int, int]:
        first, second = self._place(block, top, middle)
        return first + block.operation.drawing.height, second + block.maps.height

    def _block(self, block: _Block, column: int, top: int, middle: int) -> Iterator[Item]:
        """A stage with the arrows inside it and, where a stage is to its left, before it."""
        left, right = self.lefts(column)
        first, second = self._place(block, top, middle)
        room = self.columns[column].operation + ARROW
        if column:
            yield from arrow(left - ARROW + 8, top + middle)
        yield from heading((left, top), block.operation.title, block.operation.facts, room)
        yield from block.operation.drawing.items((left, first))
        yield from arrow(left + room - ARROW + 8, top + middle)
        yield from block.maps.items((right, second))

    def _turn(self, begin: tuple[int, int], level: int, middle: int) -> Iterator[Item]:
        """A line from below the last maps of a row to the first operation of the next."""
        left = self.left - ARROW + 8 + _CLEAR
        yield Line(begin, (begin[0], level))
        yield Line((left, level), (begin[0], level))
        yield Line((left, level), (left, middle))
        yield from arrow(left - _CLEAR, middle, _CLEAR)


def _rows(blocks: Sequence[_Block], abreast: int) -> list[Sequence[_Block]]:
    return [blocks[begin : begin + abreast] for begin in range(0, len(blocks), abreast)]


def _columns(chains: Sequence[Sequence[_Block]], abreast: int) -> list[_Column]:
    """The stages of each of ``abreast`` columns."""
    columns = ([block for chain in chains for block in chain[first::abreast]] for first in range(abreast))
    return [_Column.of(blocks) for blocks in columns if blocks]


def _branch(begin: int, bottom: int, left: int, middle: int) -> Iterator[Item]:
    """A line from below the input to the first operation of another chain."""
    yield Line((begin, bottom + 2), (begin, middle))
    yield Line((begin, middle), (left - ARROW + 8, middle))
    yield from arrow(left - ARROW + 8, middle)
