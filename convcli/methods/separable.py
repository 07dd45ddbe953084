"""Separable passes: a rank-1 kernel as a column of sums down the rows, then a row of sums across."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import prod
from typing import Any, Final

import numpy as np

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Runner, WeightedSum, Work

MOST_PLANES: Final = 64
"""Planes (depth × in × out) above which factors are not looked for: layers are rarely separable."""

Pass = tuple[int, int, WeightedSum, WeightedSum]  # depth, channel, down, across


class Separable:
    """Kernels whose every plane has rank 1, from exact factors where the weights are exact."""

    name = "separable"

    def refusal(self, work: Work) -> str:
        depth, rows, columns = work.filter.kernel
        if rows == 1 or columns == 1:
            return "one row or one column: nothing to separate"
        planes = depth * work.filter.inputs * work.filter.maps
        if planes > MOST_PLANES:
            return f"{planes} planes of weights; factors are looked for in up to {MOST_PLANES}"
        missing = [place for place, factors in work.filter.factors.items() if factors is None]
        return f"the kernel has a rank above 1 (map {missing[0][2]})" if missing else ""

    def cost(self, work: Work) -> float:
        steps = 0.0
        for _, passes in _passes(work):
            for _, _, down, across in passes:
                adds = down.additions * len(work.phases) + across.additions + 2
                multiplications = down.multiplications * len(work.phases) + across.multiplications
                steps += adds * rates.add(work.dtype) + multiplications * rates.multiply(work.dtype)
        return steps / work.filter.maps

    def runner(self, work: Work, height: int, width: int) -> Runner:
        wide = work.plane_shape(1, 1)[4] * work.problem.lanes - work.problem.lanes + width
        phases = len(work.phases)
        middle, spare = np.empty((2, phases * height * wide), work.dtype)
        partial = np.empty(height * width, work.dtype)
        maps = list(_passes(work))
        kernel_rows, kernel_columns = work.filter.kernel[1:]

        @cache
        def windows(rows: int, columns: int) -> tuple[list[slice], list[tuple[Any, ...]]]:
            across = [work.column_window(column, columns) for column in range(kernel_columns)]
            downs = [work.row_window(row, rows) for row in range(kernel_rows)]
            return downs, [(phase, slice(None), part) for phase, part in across]

        def run(planes: Array, sums: Array) -> None:
            rows, columns = sums.shape[1:]
            row_windows, column_windows = windows(rows, columns)
            full = (phases, rows, planes.shape[-1])
            down_sums, down_spare = (buffer[: prod(full)].reshape(full) for buffer in (middle, spare))
            spare_sums, extra = (
                buffer[: rows * columns].reshape(rows, columns) for buffer in (spare, partial)
            )
            for (index, passes), out in zip(maps, sums, strict=True):
                for number, (depth, channel, down, across) in enumerate(passes):
                    source = planes[depth, work.channel(index, channel)]
                    target = extra if number else out
                    down([source[:, window] for window in row_windows], down_sums, down_spare)
                    across([down_sums[window] for window in column_windows], target, spare_sums)
                    if number:
                        np.add(out, target, out=out)
                if not passes:
                    out[...] = 0

        return run


def _passes(work: Work) -> Iterator[tuple[int, list[Pass]]]:
    """For each map, the two sums of every non-zero plane."""
    for index in range(work.filter.maps):
        passes = []
        for (depth, channel, owner), factors in work.filter.factors.items():
            if owner == index and factors is not None:
                down, across = (WeightedSum(vector.tolist(), work.dtype) for vector in factors)
                passes.append((depth, channel, down, across))
        yield index, passes
