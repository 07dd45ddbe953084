"""The receptive field of a tensor along one axis of the image."""

from __future__ import annotations

from fractions import Fraction

from convcli.core.frozen import frozen, replace
from convcli.networks.lattice import Lattice, Span, hull


@frozen
class AxisField:
    """What the values of a tensor depend on along the image's rows or columns.

    Attributes:
        length: pixels of the image; `convcli.geometry.axes.LARGEST` for an image of any size.
        place: the tensor's axis of these pixels; None if it has none, as after a global pool.
        lattice: which pixels each value along that axis depends on by its position.
        span: pixels that all values depend on.
    """

    length: int
    place: int | None
    lattice: Lattice | None = None
    span: Span | None = None

    @property
    def size(self) -> int:
        """Pixels that one value depends on; beyond the edges the image counts as if it went on."""
        local = self.lattice.size if self.lattice else 0
        return max(local, self.span[1] - self.span[0] + 1) if self.span else local

    @property
    def jump(self) -> Fraction | None:
        """Pixels between the fields of neighboring values, if the tensor has this axis."""
        return self.lattice.jump if self.lattice else None

    @property
    def offset(self) -> Fraction | None:
        """The center of the first value's field, in pixels from the center of the first pixel."""
        return self.lattice.center if self.lattice else None

    def gathered(self, count: int | None) -> AxisField:
        """The field of values that depend on all ``count`` values along the axis, which is gone."""
        return AxisField(self.length, None, None, self._all(count))

    def mixed(self, count: int | None) -> AxisField:
        """The field of values that depend on all values along the axis, which is kept."""
        return replace(self, span=self._all(count))

    def _all(self, count: int | None) -> Span | None:
        if self.lattice is None:
            return self.span
        span = self.lattice.union(range(count)) if count is not None else (0, self.length - 1)
        if span is not None:
            span = max(span[0], 0), min(span[1], self.length - 1)
            span = span if span[0] <= span[1] else None
        return hull(self.span, span)
