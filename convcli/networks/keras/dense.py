"""Layers of products with a whole axis."""

from __future__ import annotations

from convcli.networks.effects import Sliding
from convcli.networks.graph import Sizes, product
from convcli.networks.keras.layer import Made, Settings


def dense(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Dense``."""
    sizes, units = inputs[0], settings.count("units")
    kernel = (sizes[-1] or 0) * units
    return Made(
        Sliding({}, frozenset({len(sizes) - 1})),
        (*sizes[:-1], units),
        "",
        settings.with_bias({"kernel": kernel}, units),
        product((*sizes[1:-1], kernel)),
    )
