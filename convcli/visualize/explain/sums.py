"""Convolutions as they are shown: input channels, their weights and products, and the steps to a value."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.numerals import formula_text
from convcli.core.rational import Number
from convcli.engine.combine import UNSCALED
from convcli.engine.filter import Filter
from convcli.visualize.explain.arithmetic import (
    LARGEST_WEIGHT,
    Step,
    cell_products,
    combination_step,
    exact_numbers,
    magnitude,
    sum_text,
    total,
)


@frozen(eq=False)
class Plane:
    """One input channel and its weights, cell by cell, as exact numbers.

    Attributes:
        name: of the channel, and of the map if several are combined.
        map: index of the map whose weights they are.
        channel: name of the channel.
        parts: (title, cells) of the patch that is multiplied, after the patches it is computed from.
        weights: as multiplied, rotated with --flip; numerators of up to four digits if the kernel is
            rational, else its values.
        products: weight times patch for every cell.
        sum: of the products.
    """

    name: str
    map: int
    channel: str
    parts: tuple[tuple[str, Array], ...]
    weights: Array
    products: Array
    sum: Number


@frozen(eq=False)
class Channel:
    """One channel of the pixel.

    Attributes:
        valued: number of steps to the feature map's value, before it is mapped to a pixel.
        computed: the pixel as the steps compute it.
        pixel: as ``apply`` writes it; different only if the engine rounded in floating point.
    """

    name: str
    planes: tuple[Plane, ...]
    steps: tuple[Step, ...]
    valued: int
    computed: Number
    pixel: Number

    @property
    def value(self) -> Number:
        """The value of the feature map, before it is mapped to a pixel."""
        return self.steps[self.valued - 1].value


@frozen(eq=False)
class ShownWeights:
    """The weights of a filter as they are shown, and the steps from their products to a value."""

    filter: Filter

    @property
    def divisor(self) -> int:
        """What the sum is divided by; 1 if the weights are shown as fractions."""
        denominator = self.filter.denominator
        large = denominator > 1 and np.abs(self.filter.weights).max() > LARGEST_WEIGHT
        return 1 if large else denominator

    def plane(self, map_: int, channel: int, name: str, parts: tuple[tuple[str, Array], ...]) -> Plane:
        """The weights of an input channel for a map, and their products with the last part.

        Args:
            channel: index of the input channel among those that the map reads.
            name: of the channel.
        """
        weights = exact_numbers(self.filter.weights[0, :, :, channel, map_])
        weights = weights * Fraction(self.divisor, self.filter.denominator)
        products = cell_products(weights, parts[-1][1])
        title = f"{name}, map {map_}" if self.filter.combine else name
        return Plane(title, map_, name, parts, weights, products, total(products.ravel().tolist()))

    def summed(self, planes: Sequence[Plane]) -> list[Step]:
        """The steps to the sum of planes, or of each map and to their combination."""
        steps, how = [], self.filter.combine
        for index, members in groupby(planes, key=lambda plane: plane.map):
            own = list(members)
            alone = len(own) == 1
            terms = own[0].products.ravel().tolist() if alone else [plane.sum for plane in own]
            words = sum_text(terms, () if alone else [plane.name for plane in own])
            steps.append(Step(f"sum {index}" if how else "sum", words, total(plane.sum for plane in own)))
        return [*steps, combination_step(how, [step.value for step in steps])] if how else steps

    def scaled(self, sum_: Number) -> list[Step]:
        """The division by the denominator of the weights, if there is one."""
        denominator = 1 if self.filter.combine in UNSCALED else self.divisor
        return [Step("scale", f"÷ {denominator}", sum_ / denominator)] if denominator != 1 else []

    def biased(self, bias: Number, value: Number) -> list[Step]:
        """The addition of a bias, if there is one."""
        if not bias or self.filter.combine in UNSCALED:
            return []
        sign = "+" if bias > 0 else "−"
        return [Step("bias", f"{sign} {formula_text(magnitude(bias))}", value + bias)]
