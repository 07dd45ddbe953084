"""Axes of an array: which are rows, columns and channels, and which frames are selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Final, Self

from convcli.core.errors import ArgumentError, ImageError, one_line, quoted, suggest
from convcli.core.frozen import frozen, replace
from convcli.core.patterns import pattern
from convcli.formats.header import MAX_IMAGE_CHANNELS
from convcli.geometry.padding import Pair

MOST_CHANNELS: Final = 4096
_ROWS: Final = ("y", "lat", "latitude", "row", "rows", "northing")
_COLUMNS: Final = ("x", "lon", "longitude", "column", "columns", "col", "easting")
_CHANNELS: Final = ("c", "channel", "channels", "band", "bands", "rgb", "rgba")
_RANGE: Final = pattern(r"(\d{1,15})(?:\.\.(\d{1,15}))?")

Picks = tuple[tuple[str, int, int], ...]
"""(axis by name or number, first, last) of ``--axes``, both inclusive."""


def parse_axes(text: str) -> Picks:
    """The picks of ``c=0,z=3..9``.

    Raises:
        ArgumentError: it is written otherwise.
    """
    picks = []
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        match = _RANGE.fullmatch(value)
        if not (name and equals and match):
            raise ArgumentError(
                f"axes {quoted(part)}; write NAME=INDEX or NAME=FIRST..LAST, as in c=0,z=3..9"
            )
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise ArgumentError(f"axes {quoted(part)}: {last} is before {first}")
        picks.append((name, first, last))
    repeated = {name for name, *_ in picks if [other for other, *_ in picks].count(name) > 1}
    if repeated:
        raise ArgumentError(f"axes {quoted(text)} select {', '.join(sorted(repeated))} twice")
    return tuple(picks)


@frozen
class ZarrAxes:
    """What the axes of an array stand for.

    Attributes:
        names: of all axes, empty where they have none.
        sizes: of all axes.
        rows_at, columns_at: the numbers of these axes.
        channels_at: that of the axis of channels, or None.
        picked: (first, past the last) along every axis.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    rows_at: int
    columns_at: int
    channels_at: int | None
    picked: tuple[Pair, ...]

    @classmethod
    def of(cls, names: Sequence[str], sizes: Sequence[int]) -> Self:
        """The axes of an array, by their names, or by their number where names do not say it.

        Raises:
            ImageError: there are fewer than two axes, or too many channels.
        """
        count = len(sizes)
        if count < 2:
            raise ImageError(f"zarr with shape {tuple(sizes)}; allowed: two axes or more")
        words = [name.casefold() for name in names] or [""] * count
        last = words[-1]
        named = last in _CHANNELS
        guessed = not any(words) and count == 3 and sizes[-1] <= MAX_IMAGE_CHANNELS
        channels_at = count - 1 if count > 2 and (named or guessed) else None
        plane = [axis for axis in range(count) if axis != channels_at]
        rows_at, columns_at = _only(words, _ROWS), _only(words, _COLUMNS)
        if rows_at is None or columns_at is None:
            rows_at, columns_at = plane[-2:]
        if channels_at is not None and sizes[channels_at] > MOST_CHANNELS:
            raise ImageError(f"zarr with {sizes[channels_at]} channels; allowed: {MOST_CHANNELS}")
        every = tuple((0, size) for size in sizes)
        texts = tuple(names) or ("",) * count
        return cls(texts, tuple(sizes), rows_at, columns_at, channels_at, every)

    @property
    def frames_at(self) -> tuple[int, ...]:
        """The numbers of the axes of frames, slowest first."""
        others = (self.rows_at, self.columns_at, self.channels_at)
        return tuple(axis for axis in range(len(self.sizes)) if axis not in others)

    def _length(self, axis: int) -> int:
        first, last = self.picked[axis]
        return last - first

    @property
    def frame_sizes(self) -> tuple[int, ...]:
        """Selected steps of each axis of frames."""
        return tuple(self._length(axis) for axis in self.frames_at)

    @property
    def frames(self) -> int:
        return prod(self.frame_sizes)

    @property
    def rows(self) -> int:
        return self._length(self.rows_at)

    @property
    def columns(self) -> int:
        return self._length(self.columns_at)

    @property
    def channels(self) -> int:
        return 1 if self.channels_at is None else self._length(self.channels_at)

    @property
    def alpha(self) -> bool:
        """Whether the last of 2 or 4 channels is alpha: where an axis is called so, or nothing has a name."""
        if self.channels_at is None or self.channels not in (2, 4):
            return False
        name = self.names[self.channels_at].casefold()
        return name == "rgba" or not any(self.names)

    def indices(self, frame: int) -> dict[int, int]:
        """The index along each axis of frames of a selected frame."""
        found = {}
        for axis in reversed(self.frames_at):
            frame, step = divmod(frame, self._length(axis))
            found[axis] = self.picked[axis][0] + step
        return found

    def frame(self, indices: Mapping[int, int]) -> int:
        """The number of the selected frame at indices along each axis of frames."""
        number = 0
        for axis in self.frames_at:
            number = number * self._length(axis) + indices[axis] - self.picked[axis][0]
        return number

    def select(self, picks: Picks) -> ZarrAxes:
        """The axes of which only some indices are read.

        Raises:
            ArgumentError: there is no such axis or index, or it is that of rows or columns.
        """
        picked = list(self.picked)
        for name, first, last in picks:
            axis = self._axis(name)
            if axis in (self.rows_at, self.columns_at):
                raise ArgumentError(f"axis {quoted(name)} is that of rows or columns, which are read whole")
            if last >= self.sizes[axis]:
                raise ArgumentError(f"axis {quoted(name)} ends at {self.sizes[axis] - 1}, before {last}")
            picked[axis] = (first, last + 1)
        return replace(self, picked=tuple(picked))

    def with_depth(self, depth: int) -> ZarrAxes:
        """The axes of a result with so many frames along the innermost axis of frames."""
        axis, picked = self.frames_at[-1], list(self.picked)
        picked[axis] = (picked[axis][0], picked[axis][0] + depth)
        return replace(self, picked=tuple(picked))

    def _axis(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        if name.isdecimal() and int(name) < len(self.sizes):
            return int(name)
        known = [one_line(word) for word in self.names if word]
        numbers = f"0 to {len(self.sizes) - 1}"
        raise ArgumentError(
            f"there is no axis {quoted(name)}{suggest(name, known)}; allowed: {', '.join([*known, numbers])}"
        )

    def __str__(self) -> str:
        """``t 3, c 2, y 512, x 512``."""
        names = [one_line(name) or str(axis) for axis, name in enumerate(self.names)]
        return ", ".join(f"{name} {size}" for name, size in zip(names, self.sizes, strict=True))


def _only(words: Sequence[str], known: Sequence[str]) -> int | None:
    """The place of the only word that is known, or None."""
    found = [place for place, word in enumerate(words) if word in known]
    return found[0] if len(found) == 1 else None
