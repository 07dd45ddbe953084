"""The shape of a feature map: a tuple that also knows how it was computed."""

from __future__ import annotations

from typing import Self

from convcli.core import markup
from convcli.geometry.axes import Geometry
from convcli.geometry.describe import geometry_lines


class Shape(tuple[int, ...]):
    """Sizes of a feature map, one per spatial axis; a tuple in every way.

    Notebooks show it with the formula of each axis.
    """

    _geometry: Geometry
    _padding: str

    @classmethod
    def of(cls, geometry: Geometry, padding: str) -> Self:
        """The output of a geometry; ``padding`` is its text."""
        made = cls(geometry.output)
        made._geometry, made._padding = geometry, padding
        return made

    @property
    def formulas(self) -> tuple[str, ...]:
        """How the size along each axis is computed: ``floor((512 + 0 + 0 − 3) / 2) + 1 = 255``."""
        axes = self._geometry.transposed or self._geometry.axes
        return tuple(axis.formula() for axis in axes)

    def __reduce__(self) -> tuple[type, tuple[tuple[int, ...]]]:
        return tuple, (tuple(self),)

    def _repr_html_(self) -> str:
        return markup.table(geometry_lines(self._geometry, self._padding), title=f"output {tuple(self)}")
