"""What a layer is made from, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from convcli.core.frozen import frozen
from convcli.networks.effects import Effect
from convcli.networks.graph import Sizes

_LARGEST: Final = 2**40
"""The largest size, stride or number of maps."""


@frozen(eq=False)
class Settings:
    """The settings of a layer over images."""

    values: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        value = self.values.get(name, default)
        return default if value is None else value

    def pair(self, name: str, default: Any = None) -> tuple[int, int]:
        """Two positive numbers; one counts for both."""
        value = self.get(name, default)
        rows, columns = (value, value) if isinstance(value, int) else value
        if not (1 <= rows <= _LARGEST and 1 <= columns <= _LARGEST):
            raise ValueError(name)
        return int(rows), int(columns)

    def count(self, name: str) -> int:
        value = self.values[name]
        if not isinstance(value, int) or not 1 <= value <= _LARGEST:
            raise ValueError(name)
        return value

    @property
    def is_first(self) -> bool:
        """Whether channels come before rows and columns."""
        return bool(self.get("data_format") == "channels_first")

    @property
    def spatial(self) -> tuple[int, int]:
        return (2, 3) if self.is_first else (1, 2)

    @property
    def channel(self) -> int:
        return 1 if self.is_first else 3

    def resized(self, sizes: Sizes, spatial: Sequence[int | None], channels: int | None) -> Sizes:
        """The sizes of a tensor with other rows, columns and channels."""
        changed = list(sizes)
        for axis, size in zip((*self.spatial, self.channel), (*spatial, channels), strict=True):
            changed[axis] = size
        return tuple(changed)

    def with_bias(self, kernels: Mapping[str, int], maps: int) -> Mapping[str, int]:
        """The parameters of a layer with these kernels."""
        return {**kernels, "bias": maps} if self.get("use_bias", True) else kernels

    def axes(self, sizes: Sizes) -> list[int]:
        """The axes that a layer normalizes along, one or several, counted from the front."""
        axis = self.get("axis", -1)
        return [entry % len(sizes) for entry in (axis if isinstance(axis, list) else [axis])]


@frozen(eq=False)
class Made:
    """What a layer does to the sizes of its inputs.

    Attributes:
        parameters: numbers of trained values by the name of the variable.
    """

    effect: Effect
    sizes: Sizes | None
    details: str = ""
    parameters: Mapping[str, int] = {}
    multiply_adds: int | None = 0


Layer = Callable[[Settings, list[Sizes]], Made]
"""Describes a layer; raises one of Python's errors for settings that are not understood."""
