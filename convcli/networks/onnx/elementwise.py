"""Operators on single values."""

from __future__ import annotations

import numpy as np

from convcli.networks.effects import Elementwise
from convcli.networks.onnx.operator import Described, Operator


def elementwise(operator: Operator) -> Described:
    """Any function of single values."""
    return Elementwise(), ""


def clip_sign(operator: Operator) -> str:
    """The sign of clipped values, by the lower limit."""
    low = operator.attributes.get("min", operator.values.get(1))
    return "positive" if low is not None and np.size(low) == 1 and np.ravel(low)[0] >= 0 else "any"
