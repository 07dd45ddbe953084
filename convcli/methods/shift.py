"""Shift and add: the sum over the non-zero taps of the shifted picture times the tap's weight."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Runner, WeightedSum, Work

Tap = tuple[int, int, int, int]  # depth, row, column, channel


class Shift:
    """Every kernel, every type: the method that never refuses."""

    name = "shift"

    def refusal(self, work: Work) -> str:
        return ""

    def cost(self, work: Work) -> float:
        taps = [WeightedSum(weights, work.dtype) for _, weights in _taps(work)]
        adds = sum(taps_of_map.additions + 1 for taps_of_map in taps) / len(taps)
        multiplications = sum(taps_of_map.multiplications for taps_of_map in taps) / len(taps)
        return adds * rates.add(work.dtype) + multiplications * rates.multiply(work.dtype)

    def runner(self, work: Work, height: int, width: int) -> Runner:
        scratch = np.empty(height * width, work.dtype)
        maps = [WeightedSum(weights, work.dtype) for _, weights in _taps(work)]

        @cache
        def windows(rows: int, columns: int) -> list[list[Any]]:
            return [
                [_window(work, index, tap, rows, columns) for tap in taps]
                for index, (taps, _) in enumerate(_taps(work))
            ]

        def run(planes: Array, sums: Array) -> None:
            rows, columns = sums.shape[1:]
            spare = scratch[: rows * columns].reshape(rows, columns)
            for weighted, places, out in zip(maps, windows(rows, columns), sums, strict=True):
                weighted([planes[place] for place in places], out, spare)

        return run


def _window(work: Work, index: int, tap: Tap, rows: int, columns: int) -> tuple[Any, ...]:
    """The part of the planes that a tap reads for ``rows`` × ``columns`` (lanes included) sums."""
    depth, row, column, channel = tap
    phase, across = work.column_window(column, columns)
    return depth, work.channel(index, channel), phase, work.row_window(row, rows), across


def _taps(work: Work) -> list[tuple[list[Tap], list[float]]]:
    """For each map, the positions and weights of its non-zero taps, row by row."""
    found = []
    for index in range(work.filter.maps):
        weights = work.filter.weights[..., index]
        taps: list[Tap] = [tuple(map(int, tap)) for tap in np.argwhere(weights)]  # type: ignore[misc]
        found.append((taps, [weights[tap].item() for tap in taps]))
    return found
