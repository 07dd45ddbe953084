"""Shift and add: the sum over the non-zero taps of the shifted picture times the tap's weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.dtypes import Array
from convcli.methods.base import Arena, Method, Step, WeightedSum, Work, summing
from convcli.plan import Arithmetic, Problem

Tap = tuple[int, int, int, int]  # depth, row, column, channel


class Shift(Method):
    """Every kernel, every type: the method that never refuses."""

    name = "shift"

    def consider(self, problem: Problem, narrow: Arithmetic) -> Work | str:
        return Work(problem, narrow)

    def cost(self, work: Work) -> float:
        cost = 0.0
        for index in range(work.filter.maps):
            weights = np.abs(work.filter.weights[..., index])
            distinct = len(set(np.unique(weights).tolist()) - {0, 1})
            cost += summing(int(np.count_nonzero(weights)), distinct, work.dtype)
        return cost / work.filter.maps

    def steps(self, work: Work, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        scratch = arena.empty(sums.shape[1:], work.dtype)
        steps: list[Step] = []
        for index, (taps, weights) in enumerate(_taps(work)):
            views = [planes[_window(work, index, tap, *sums.shape[1:])] for tap in taps]
            steps += WeightedSum(weights, work.dtype).steps(views, sums[index], scratch)
        return steps


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
