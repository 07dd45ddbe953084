"""The task of a chunk of the result: what it reads is put together, and convolved as an array of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Final, cast

import numpy as np

from convcli.arrays.arguments import input_array
from convcli.arrays.computing import computed
from convcli.arrays.layers import Layout
from convcli.arrays.preparing import Prepared
from convcli.chunked.grid import Share
from convcli.chunked.roles import Roles
from convcli.core.dtypes import Array, DType
from convcli.core.errors import ArgumentError
from convcli.core.frozen import contents, frozen, replace
from convcli.engine.part import part_plan
from convcli.geometry.axes import Axis
from convcli.layers.stages import ActivationStage
from convcli.layers.trained import activated

_KEPT: Final = 64
"""Plans of chunks that are kept: most chunks are alike."""

Axes = tuple[Axis, Axis, Axis]


@frozen(eq=False)
class ChunkedConvolution:
    """A convolution whose result is computed in chunks: what their tasks have in common.

    Attributes:
        prepared: the convolution of the whole array.
        stages: activations of the result.
        result: its type after them.
        source: type of the input.
        roles: of its axes.
        shares: what the chunks of the result read, for each axis of the input.
    """

    prepared: Prepared
    stages: tuple[ActivationStage, ...]
    result: DType
    source: DType
    roles: Roles
    shares: tuple[tuple[Share, ...], ...]

    def chunk(self, place: tuple[int, ...], *blocks: Any) -> Array:
        """A chunk of the result.

        Args:
            place: its number along each axis.
            blocks: the chunks of the input that it reads, in the order of `reads`.

        Raises:
            ArgumentError: a chunk whose type or shape is not what the array promised, or that is not NumPy's.
        """
        shares = self._shares(place)
        values = assembled(shares, [self._checked(block, sizes) for block, sizes in _sized(shares, blocks)])
        spatial = tuple(shares[axis].axis for axis in self.roles.spatial)
        axes = cast(Axes, ((Axis(1, 1),) * (3 - len(spatial)) + spatial))
        taken = self.roles.arranged(values)
        batch = prod(values.shape[axis] for axis in self.roles.batch)
        part = self._part(axes, batch, taken.shape)
        result = computed(part, part.layout.applied(taken))
        if self.stages:
            result = activated(result, self.stages, self.result)
        return self.roles.restored(result, values.shape)

    def reads(self, place: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The chunks of the input that a chunk of the result reads, by their numbers along each axis."""
        return list(product(*(share.blocks for share in self._shares(place))))

    def _shares(self, place: tuple[int, ...]) -> tuple[Share, ...]:
        return tuple(shares[number] for shares, number in zip(self.shares, place, strict=True))

    def _checked(self, block: Any, sizes: tuple[int, ...]) -> Array:
        """A chunk of the input, if it is what the array promised."""
        array = input_array(block)
        if array.dtype != self.source or array.shape != sizes:
            raise ArgumentError(
                f"a chunk of x has type {array.dtype} and shape {array.shape}, "
                f"but x promises {self.source} and {sizes}; correct its dtype and chunks where x is made"
            )
        return array

    def _part(self, axes: Axes, batch: int, taken: tuple[int, ...]) -> Prepared:
        """The convolution of what a chunk reads."""
        layout = self.prepared.layout
        lanes = 1 if self.roles.channel is None else taken[int(layout.is_batch) if layout.first else -1]
        *_, channels, all_lanes = layout.shape
        lanes = lanes if all_lanes > 1 else all_lanes
        key = axes, batch, lanes
        if key not in self._parts:
            if len(self._parts) >= _KEPT:
                self._parts.clear()
            plan = part_plan(self.prepared.plan, axes, max(batch, 1), 1, lanes)
            shape = batch, *(axis.size for axis in axes), channels, lanes
            output = tuple(axis.output for axis in axes[3 - len(self.roles.spatial) :])
            own = Layout(shape, layout.first, layout.is_batch)
            self._parts[key] = replace(self.prepared, plan=plan, layout=own, output=output)
        return self._parts[key]

    @cached_property
    def _parts(self) -> dict[tuple[Axes, int, int], Prepared]:
        """The convolutions of some chunks."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return contents(self)


def _sized(shares: Sequence[Share], blocks: Sequence[Any]) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """Each chunk of the input, with the shape that it should have."""
    return zip(blocks, product(*(share.sizes for share in shares)), strict=True)


def assembled(shares: Sequence[Share], blocks: Sequence[Array]) -> Array:
    """What a chunk of the result reads, put together from chunks of the input: a view if it lies in one."""
    if all(share.is_view for share in shares):
        view: Array = blocks[0][tuple(share.copies[0].source for share in shares)]
        return view
    values = np.empty([share.size for share in shares], blocks[0].dtype)
    grid = np.arange(len(blocks)).reshape([len(share.blocks) for share in shares])
    for copies in product(*(share.copies for share in shares)):
        block = blocks[grid[tuple(copy.block for copy in copies)]]
        values[tuple(copy.place for copy in copies)] = block[tuple(copy.source for copy in copies)]
    return values
