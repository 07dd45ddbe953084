"""Products of matrices, as in dense layers."""

from __future__ import annotations

from convcli.networks.effects import Joining, Sliding
from convcli.networks.onnx.operator import Described, Operator, all_products


def gemm(operator: Operator) -> Described:
    """A dense layer, or the product of two computed matrices."""
    return einsum(operator) if operator.shared > 1 else (Sliding({}, frozenset((0, 1))), "")


def gemm_products(operator: Operator) -> int | None:
    """Every value of the result is a sum over the axis that is multiplied."""
    axis = 0 if operator.number("transA", 0) else 1
    return all_products(operator.result, operator.input[axis : axis + 1])


def matrix_product(operator: Operator) -> Described:
    """A matrix product, with weights on one side or with computed values on both."""
    if operator.shared > 1:
        return einsum(operator)
    axis = -2 if 0 in operator.weights else -1  # the constant is on the left, or on the right
    return Sliding({}, operator.axes([axis])), ""


def matrix_products(operator: Operator) -> int | None:
    """Every value of the result is a sum over the last axis of the input."""
    return all_products(operator.result, operator.input[-1:])


def einsum(operator: Operator) -> Described:
    """A sum of products over any axes."""
    return Joining(frozenset(range(max(len(operator.input), len(operator.result))))), ""
