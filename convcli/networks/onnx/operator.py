"""A node of an ONNX model with all that its effect depends on, and what is known of each operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Literal

import numpy as np

from convcli.core.frozen import frozen
from convcli.networks.effects import Effect
from convcli.networks.graph import Sizes, product


class Unclear(Exception):  # noqa: N818 - caught where effects are asked for
    """What an operator does depends on values that are not known."""


@frozen(eq=False)
class Operator:
    """A node with all that its effect depends on.

    Attributes:
        version: of the operator set.
        input, result: sizes of its first input and its first output.
        values: the small constants among its inputs, by position.
        weights: the sizes of constant inputs, by position.
        shared: how many of its inputs are not constants.
        kernel: the sizes of the weights of a convolution or a matrix product; empty if it has none.
    """

    kind: str
    version: int
    attributes: Mapping[str, Any]
    input: Sizes
    result: Sizes
    values: Mapping[int, Any]
    weights: Mapping[int, Sizes]
    shared: int
    kernel: Sizes

    def number(self, name: str, default: int) -> int:
        return int(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def numbers(self, name: str, default: Iterable[int]) -> list[int]:
        return [int(value) for value in self.attributes.get(name, default)]

    def listed(self, name: str, position: int, default: Iterable[int] | None = None) -> list[int]:
        """Numbers that are an attribute in old versions, and an input in new ones."""
        if name in self.attributes:
            return [int(entry) for entry in np.ravel(self.attributes[name])]
        if position in self.values:
            return [int(entry) for entry in np.ravel(self.values[position])]
        if default is None or position in self.weights:
            raise Unclear(name)
        return list(default)

    def axes(self, axes: Iterable[int]) -> frozenset[int]:
        """Axes of the input, counted from the front."""
        return frozenset(axis % max(len(self.input), 1) for axis in axes)

    @property
    def spatial(self) -> range:
        """The axes after batch and channels."""
        return range(2, len(self.input))


Described = tuple[Effect, str]
"""An effect, and its window and so on as text."""


def any_sign(operator: Operator) -> str:
    """The sign of values that may be negative."""
    return "any"


def positive(operator: Operator) -> str:
    """The sign of values that are never below 0."""
    return "positive"


def kept_sign(operator: Operator) -> str:
    """The sign of values that are not below 0 where those of the inputs are not."""
    return "any" if operator.weights else "kept"


def no_products(operator: Operator) -> int | None:
    """The multiply-adds of what is neither a convolution nor a matrix product."""
    return 0


def all_products(*sizes: Sizes) -> int | None:
    """The product of the sizes of several tensors; None if one is unknown or has no axes."""
    return product(chain(*sizes)) if all(sizes) else None


@frozen(eq=False)
class Rule:
    """What is known of an operator.

    Attributes:
        effect: on axes; raises `Unclear`, or one of Python's errors for attributes that make no sense.
        sign: as in `convcli.networks.graph.Node`.
        constants: which constants count as parameters: ``arrays`` with more than one value that are not in
            Constant nodes; ``all``; or ``none``, as they are settings.
        places: inputs with weights, where others are scales and zero points; empty for any.
        products: its multiply-adds; None where sizes are unknown.
    """

    effect: Callable[[Operator], Described]
    sign: Callable[[Operator], str] = any_sign
    constants: Literal["arrays", "all", "none"] = "arrays"
    places: tuple[int, ...] = ()
    products: Callable[[Operator], int | None] = no_products
