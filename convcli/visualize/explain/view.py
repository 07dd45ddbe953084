"""Which maps and channels of an explanation are shown in full, which in a line, and which not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen
from convcli.core.rational import Number
from convcli.pipeline.mapping import Mapping
from convcli.visualize.explain.arithmetic import magnitude, total
from convcli.visualize.explain.pixel import Explanation
from convcli.visualize.explain.sums import Channel, Plane

PAGE: Final = 60  # lines that are printed without being asked for
MOST_PLANES: Final = 4  # input channels in full
MOST_CHANNELS: Final = 4  # of a pixel, beside each other or in full
MOST_SHOWN: Final = 15  # rows and columns of a grid
_FEW_NAMES: Final = 8  # that an error lists


@frozen
class Selection:
    """Which feature maps and channels are shown.

    Attributes:
        maps: indices; empty for those that fit on a page.
        channels: names, or indices of the image's channels; empty for all of a pixel, and of the input
            channels of a kernel for those that contribute most.
    """

    maps: tuple[slice, ...] = ()
    channels: tuple[str | slice, ...] = ()

    def map_indices(self, count: int) -> list[int]:
        """The chosen ones of so many feature maps, in order; all if none is chosen.

        Raises:
            ArgumentError: a map that does not exist.
        """
        chosen: set[int] = set()
        for span in self.maps:
            if not (found := range(count)[span]):
                raise ArgumentError(f"there is no map {_span_text(span)}; allowed: 0 to {count - 1}")
            chosen.update(found)
        return sorted(chosen) if self.maps else list(range(count))

    def channel_names(self, explanation: Explanation) -> frozenset[str]:
        """The names of the chosen channels; empty if none is chosen.

        Raises:
            ArgumentError: a channel that does not exist.
        """
        there = dict.fromkeys(name for map_ in explanation.maps for name in _names(map_))
        return frozenset(self.names_among(list(there), explanation.names)) if self.channels else frozenset()

    def names_among(self, there: Sequence[str], numbered: Sequence[str]) -> list[str]:
        """The chosen ones of some channels, in order; all if none is chosen.

        Args:
            numbered: the names that indices count.

        Raises:
            ArgumentError: a channel that does not exist.
        """
        chosen: set[str] = set()
        for choice in self.channels:
            named = [choice] if isinstance(choice, str) else numbered[choice]
            if not (found := [name for name in named if name in there]):
                raise ArgumentError(_no_channel(choice, there, len(numbered)))
            chosen.update(found)
        return [name for name in there if name in chosen or not self.channels]


UNCHOSEN: Final = Selection()
"""The selection that leaves everything open."""


@frozen(eq=False)
class ChannelView:
    """A channel of the pixel, with the planes that are shown in full."""

    channel: Channel
    planes: tuple[Plane, ...]

    @property
    def others(self) -> list[Plane]:
        """The planes that are not shown, only added."""
        shown = {id(plane) for plane in self.planes}
        return [plane for plane in self.channel.planes if id(plane) not in shown]

    @property
    def others_sum(self) -> Number:
        return total(plane.sum for plane in self.others)

    @property
    def lines(self) -> int:
        """About how many lines of text it takes."""
        grids = [min(len(plane.weights), MOST_SHOWN) + 2 + (len(self.planes) > 1) for plane in self.planes]
        return sum(grids) + len(self.channel.steps) + 3


@frozen(eq=False)
class MapView:
    """The shown channels of a feature map's pixel.

    Attributes:
        index: of the map.
        mapping: with the range that it used.
    """

    index: int
    mapping: Mapping
    channels: tuple[ChannelView, ...]

    @property
    def lines(self) -> int:
        """About how many lines of text it takes."""
        return sum(view.lines for view in self.channels)


@frozen(eq=False)
class View:
    """What is shown: maps in full, and (map, channels) whose value and pixel take a line."""

    full: tuple[MapView, ...]
    brief: tuple[tuple[int, tuple[Channel, ...]], ...] = ()


def everything(explanation: Explanation, selection: Selection) -> View:
    """All that is chosen, in full.

    Raises:
        ArgumentError: a map or channel that does not exist.
    """
    return View(tuple(_maps(explanation, selection, lambda planes: planes)))


def page(explanation: Explanation, selection: Selection) -> View:
    """What is chosen in full; of the rest, what fits on a page in full and a line for everything else.

    Raises:
        ArgumentError: a map or channel that does not exist.
    """
    maps = list(_maps(explanation, selection, largest_planes))
    if selection.maps or sum(map_.lines for map_ in maps) <= PAGE:
        return View(tuple(maps), explanation.others)
    first, *others = maps
    full, rest = first.channels, first.channels[:0]
    if len(full) > MOST_CHANNELS and not selection.channels:
        full, rest = full[:1], full[1:]
    brief = [(first.index, rest)] if rest else []
    brief += [(map_.index, map_.channels) for map_ in others]
    return View(
        (MapView(first.index, first.mapping, full),),
        (*((index, tuple(view.channel for view in views)) for index, views in brief), *explanation.others),
    )


Limit = Callable[[Sequence[Plane]], Sequence[Plane]]


def _maps(explanation: Explanation, selection: Selection, limit: Limit) -> Iterator[MapView]:
    """The chosen channels of every map that has one; the planes that are not chosen by name are limited."""
    names = selection.channel_names(explanation)
    combined = selection.map_indices(explanation.settings.kernel.maps) if explanation.combines else None
    for index, mapping, channels in zip(
        explanation.indices, explanation.mappings, explanation.maps, strict=True
    ):
        views = tuple(_channels(channels, names, combined if selection.maps else None, limit))
        if views:
            yield MapView(index, mapping, views)


def _channels(
    channels: Sequence[Channel], names: frozenset[str], maps: Sequence[int] | None, limit: Limit
) -> Iterator[ChannelView]:
    for channel in channels:
        planes = [plane for plane in channel.planes if maps is None or plane.map in maps]
        named = [plane for plane in planes if plane.channel in names]
        if named and len(named) < len(planes):
            yield ChannelView(channel, tuple(named))
        elif not names or named or channel.name in names:
            chosen = bool(named) or maps is not None
            yield ChannelView(channel, tuple(planes if chosen else limit(planes)))


def largest_planes(planes: Sequence[Plane]) -> Sequence[Plane]:
    """The planes whose sums are largest, in their order; all if they are few."""
    if len(planes) <= MOST_PLANES:
        return planes
    ranked = sorted(planes, key=lambda plane: -magnitude(plane.sum))[:MOST_PLANES]
    kept = {id(plane) for plane in ranked}
    return [plane for plane in planes if id(plane) in kept]


def _names(channels: Sequence[Channel]) -> Iterator[str]:
    for channel in channels:
        yield channel.name
        yield from (plane.channel for plane in channel.planes)


def _no_channel(choice: str | slice, there: Sequence[str], count: int) -> str:
    words = _span_text(choice) if isinstance(choice, slice) else quoted(choice)
    numbers = f"0 to {count - 1}" if count > 1 else "0"
    allowed = f"{', '.join(there)}, or {numbers}" if len(there) <= _FEW_NAMES else numbers
    return f"there is no channel {words}; allowed: {allowed}"


def _span_text(span: slice) -> str:
    first, last = span.start, span.stop
    if first is not None and (last == first + 1 or (first == -1 and last is None)):
        return str(first)
    return f"{'' if first is None else first}:{'' if last is None else last}"
