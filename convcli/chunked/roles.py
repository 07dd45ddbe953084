"""What the axes of an array are to a convolution, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen


@frozen
class Roles:
    """The numbers of the axes of an array.

    `conv` takes them in the order batch, spatial, channels, or, with ``first``, batch, channels, spatial; of
    batch axes it takes one.

    Attributes:
        batch: of axes along which everything is filtered alike.
        spatial: of those that are filtered, in the order of the kernel's.
        channel: of the channels; None if there are none.
        first: whether channels come before the spatial axes.
    """

    batch: tuple[int, ...]
    spatial: tuple[int, ...]
    channel: int | None = None
    first: bool = False

    @classmethod
    def of(cls, axes: int, channels: str | None, is_batch: bool) -> Roles:
        """Those of an array that is laid out as `conv` takes it."""
        batch, others = tuple(range(is_batch)), tuple(range(is_batch, axes))
        if channels is None:
            return cls(batch, others)
        if channels == "first":
            return cls(batch, others[1:], others[0], first=True)
        return cls(batch, others[:-1], others[-1])

    @property
    def is_batch(self) -> bool:
        """Whether there are batch axes."""
        return bool(self.batch)

    @property
    def order(self) -> tuple[int, ...]:
        """The axes in the order in which `conv` takes them."""
        channel = () if self.channel is None else (self.channel,)
        others = (*channel, *self.spatial) if self.first else (*self.spatial, *channel)
        return (*self.batch, *others)

    @property
    def channels(self) -> str | None:
        """The argument ``channels`` of `conv`: a batch without channels has one."""
        if self.channel is None:
            return "last" if self.is_batch else None
        return "first" if self.first else "last"

    def taken(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """The shape that `conv` takes, from the sizes of the axes."""
        batch = (prod(sizes[axis] for axis in self.batch),) if self.is_batch else ()
        others = tuple(sizes[axis] for axis in self.order[len(self.batch) :])
        added = (1,) if self.is_batch and self.channel is None else ()
        return (*batch, *others, *added)

    def arranged(self, values: Array) -> Array:
        """The values of an array, as `conv` takes them."""
        return values.transpose(self.order).reshape(self.taken(values.shape))

    def restored(self, result: Array, sizes: Sequence[int]) -> Array:
        """A result of `conv` with its axes in the order of the array's.

        Args:
            sizes: of the array's axes.
        """
        batch = [sizes[axis] for axis in self.batch]
        others = result.shape[self.is_batch :]
        if self.is_batch and self.channel is None:
            others = others[:-1]
        return result.reshape(*batch, *others).transpose(np.argsort(self.order))
