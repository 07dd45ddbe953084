"""Where pixels lie: axes of frames, pixel sizes, georeferences, and how sampling changes them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Final, Self

from convcli.core.frozen import frozen, replace
from convcli.geometry.axes import Axis

_POINT: Final = 2  # of key 1025, raster type: coordinates are those of the centers of pixels
_RASTER_TYPE: Final = 1025
METERS: Final = {
    "m": Fraction(1),
    "cm": Fraction(1, 10**2),
    "mm": Fraction(1, 10**3),
    "µm": Fraction(1, 10**6),
    "nm": Fraction(1, 10**9),
    "pm": Fraction(1, 10**12),
    "Å": Fraction(1, 10**10),
    "in": Fraction(254, 10**4),
}
"""Meters per unit of length of OME."""
UNNAMED: Final = "Q"
"""The name of an unnamed axis."""


@frozen
class Sampling:
    """Output pixel ``i`` has its center at input pixel ``step · i + start``.

    With stride s, dilation d, k weights and p pixels of padding before, the window of output ``i`` starts
    at ``s·i − p`` and covers ``d·(k − 1) + 1`` pixels: step = s, start = d·(k − 1)/2 − p. Where pixels lie
    ``spread`` positions apart, both are divided by it.
    """

    step: int | Fraction = 1
    start: Fraction = Fraction(0)

    @classmethod
    def of(cls, axis: Axis) -> Self:
        start = Fraction(axis.extent - 1, 2) - axis.before
        step = axis.stride if axis.spread == 1 else Fraction(axis.stride, axis.spread)
        return cls(step, start / axis.spread)

    @property
    def edge(self) -> Fraction:
        """The edge of output pixel 0, in input pixels from the edge of input pixel 0."""
        return self.start + Fraction(1 - self.step, 2)


@frozen
class Axes:
    """The axes of a file's frames, and the size of a step along each axis.

    Attributes:
        writer: ``ome``, ``imagej`` or ``shaped``: the convention of the description.
        names: of the axes of frames, such as ``TZC``, slowest first.
        sizes: of those axes.
        steps: (axis, size, unit) of a step along an axis, X and Y included.
        origins: (axis, pixel) where coordinates are 0, if that is not pixel 0.
        channels: attributes of each channel.
        words: other names and values that remain valid for a result.
        planes: attributes of each frame's Plane in OME-XML, such as its stage position and exposure time;
            empty where there are none. Positions are those of the first pixel, in units of length.
        labels: texts of each frame; empty where there are none.
        tables: lookup tables of each channel, 256 bytes of red, of green and of blue; empty without.
    """

    writer: str
    names: str = ""
    sizes: tuple[int, ...] = ()
    steps: tuple[tuple[str, float, str], ...] = ()
    origins: tuple[tuple[str, float], ...] = ()
    channels: tuple[tuple[tuple[str, str], ...], ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    planes: tuple[tuple[tuple[str, str], ...], ...] = ()
    labels: tuple[str, ...] = ()
    tables: tuple[bytes, ...] = ()

    @property
    def frames(self) -> int:
        return prod(self.sizes)

    def step(self, axis: str) -> tuple[float, str] | None:
        """(size, unit) of a step along an axis, or None."""
        return next(((size, unit) for name, size, unit in self.steps if name == axis), None)

    def origin(self, axis: str) -> float:
        return dict(self.origins).get(axis, 0.0)

    def part(self, first: int, last: int) -> Axes | None:
        """The axes of frames ``first`` to ``last``, or None if these are not a block along the axes."""
        if (first, last) == (0, self.frames):
            return self
        block, count = self.frames, last - first
        for place, size in enumerate(self.sizes):
            inner = block // size
            if first % inner == count % inner == 0 and first // block == (last - 1) // block:
                sizes = ((1,) * place, (count // inner,), self.sizes[place + 1 :])
                chosen = self._chosen(place, first % block // inner, count // inner)
                planes, labels = self.planes[first:last], self.labels[first:last]
                return replace(chosen, sizes=sum(sizes, ()), planes=planes, labels=labels)
            block = inner
        return None

    def _chosen(self, place: int, first: int, count: int) -> Axes:
        """The axes with the channels and the origin that ``count`` steps of one axis leave."""
        name = self.names[place]
        if name == "C":
            channels, tables = (of[first : first + count] for of in (self.channels, self.tables))
            return replace(self, channels=channels, tables=tables)
        return self._shifted(name, Sampling(1, Fraction(first)))

    def sampled(self, down: Sampling, across: Sampling) -> Axes:
        """The axes of a result that samples rows and columns."""
        placed = self._placed("Y", down)._placed("X", across)
        return placed._shifted("Y", down)._shifted("X", across)

    @property
    def has_places(self) -> bool:
        """Whether every frame has a stage position in both directions."""
        keys = {"PositionX", "PositionY"}
        return bool(self.planes) and all(keys <= dict(plane).keys() for plane in self.planes)

    def _placed(self, name: str, along: Sampling) -> Axes:
        """The axes with stage positions moved to the center of the first window."""
        step, key = self.step(name), f"Position{name}"
        if step is None or not along.start:
            return self
        shift = float(along.start) * step[0]

        def moved(plane: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
            values = dict(plane)
            if key in values:
                ratio = METERS[step[1]] / METERS[values[f"{key}Unit"]]
                values[key] = repr(float(values[key]) + shift * float(ratio))
            return tuple(values.items())

        return replace(self, planes=tuple(map(moved, self.planes)))

    def deepened(self, frames: int, along: Sampling) -> Axes | None:
        """The axes of a result whose kernel slides over frames, or None if the frames have several axes."""
        long = [place for place, size in enumerate(self.sizes) if size > 1]
        if len(long) > 1 or (long and self.names[long[0]] == "C"):
            return None
        if not long:
            return self if frames == 1 else None
        place = long[0]
        sizes = (*self.sizes[:place], frames, *self.sizes[place + 1 :])
        return replace(self._shifted(self.names[place], along), sizes=sizes, planes=(), labels=())

    def _shifted(self, name: str, along: Sampling) -> Axes:
        steps = tuple(
            (axis, size * (along.step if axis == name else 1), unit) for axis, size, unit in self.steps
        )
        origin = (self.origin(name) - float(along.start)) / along.step
        origins = dict(self.origins) | {name: origin}
        return replace(self, steps=steps, origins=tuple((axis, at) for axis, at in origins.items() if at))

    def __str__(self) -> str:
        """``TZC 2×3×2, 0.1×0.1 µm per pixel``."""
        known = [(name, size) for name, size in zip(self.names, self.sizes, strict=True) if size > 1]
        order = "".join(name for name, _ in known), "×".join(str(size) for _, size in known)
        across, down = self.step("X"), self.step("Y")
        text = [" ".join(order)] if known else []
        if across and down:
            text.append(f"{across[0]:g}×{down[0]:g} {across[1]} per pixel".replace("  ", " "))
        return ", ".join(text)


@frozen
class Measure:
    """What the values of a channel stand for: ``scale · value + offset`` in a unit."""

    name: str = ""
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0

    def weighted(self, total: float) -> Measure:
        """That of sums with weights whose total is ``total``; only an average keeps the unit."""
        unit = self.unit if total == 1 else ""
        return replace(self, unit=unit, offset=self.offset * total)


@frozen
class Screen:
    """Where pixels lie on a screen, as OpenEXR states it, and what else such a file says.

    Attributes:
        origin: column and row of the first pixel.
        display: first column and row, last column and row of the screen; None if pixels fill it.
        aspect: the width of a pixel, in heights.
        attributes: (name, type, value as stored) of other attributes.
    """

    origin: tuple[int, ...] = (0, 0)
    display: tuple[int, int, int, int] | None = None
    aspect: float = 1.0
    attributes: tuple[tuple[str, str, bytes], ...] = ()

    def sampled(self, down: Sampling, across: Sampling) -> Screen:
        """That of a result; without a screen of another size if its pixels are not some of that screen's."""
        aspect = self.aspect * float(across.step / Fraction(down.step))
        moved = replace(self, aspect=aspect)
        starts = across.start, down.start
        if (across.step, down.step) != (1, 1) or any(start.denominator != 1 for start in starts):
            return replace(moved, origin=(0, 0), display=None)
        left, top = (place + int(start) for place, start in zip(self.origin, starts, strict=True))
        return replace(moved, origin=(left, top))


@frozen
class Georeference:
    """The GeoTIFF tags that tie pixels to places.

    Attributes:
        scale: tag 33550, the size of a pixel in model units, across and down.
        ties: tag 33922, (i, j, k, x, y, z) of points known in both spaces.
        matrix: tag 34264, a 4 × 4 matrix from pixels to places, by rows.
        keys, numbers, text: tags 34735 to 34737, the coordinate system, which sampling does not change.
    """

    scale: tuple[float, ...] = ()
    ties: tuple[float, ...] = ()
    matrix: tuple[float, ...] = ()
    keys: tuple[int, ...] = ()
    numbers: tuple[float, ...] = ()
    text: str = ""

    @property
    def is_point(self) -> bool:
        """Whether coordinates refer to the centers of pixels rather than to their edges."""
        return (_RASTER_TYPE, 0, 1, _POINT) in zip(*(self.keys[start::4] for start in range(4)), strict=False)

    def sampled(self, down: Sampling, across: Sampling) -> Georeference:
        """The tags of a result whose pixel ``(u, v)`` is at ``(s·u + b, s'·v + b')`` of the input.

        A single tie with a scale keeps its pixel and moves its place, because many readers use only the
        place; several ties keep their places and move their pixels.
        """
        steps = (across.step, down.step)
        shifts = [float(one.start if self.is_point else one.edge) for one in (across, down)]
        if steps == (1, 1) and not any(shifts):
            return self
        scale = (*(size * step for size, step in zip(self.scale, steps, strict=False)), *self.scale[2:])
        return replace(self, scale=scale, ties=self._ties(steps, shifts), matrix=self._matrix(steps, shifts))

    def _ties(self, steps: Sequence[int | Fraction], shifts: Sequence[float]) -> tuple[float, ...]:
        moved: list[float] = []
        for start in range(0, len(self.ties), 6):
            i, j, k, x, y, z = self.ties[start : start + 6]
            if self.scale and len(self.ties) == 6:
                x += (steps[0] * i + shifts[0] - i) * self.scale[0]
                y -= (steps[1] * j + shifts[1] - j) * self.scale[1]
            else:
                i, j = (i - shifts[0]) / steps[0], (j - shifts[1]) / steps[1]
            moved += (i, j, k, x, y, z)
        return tuple(moved)

    def _matrix(self, steps: Sequence[int | Fraction], shifts: Sequence[float]) -> tuple[float, ...]:
        rows = (self.matrix[start : start + 4] for start in range(0, len(self.matrix), 4))
        return tuple(
            value
            for a, b, c, d in rows
            for value in (a * steps[0], b * steps[1], c, a * shifts[0] + b * shifts[1] + d)
        )
