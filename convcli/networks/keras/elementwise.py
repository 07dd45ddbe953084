"""Layers on single values."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from convcli.networks.effects import Elementwise
from convcli.networks.graph import Sizes
from convcli.networks.keras.layer import Made, Settings


def elementwise(settings: Settings, inputs: list[Sizes]) -> Made:
    """Any function of single values, of one or several inputs."""
    longest = max(map(len, inputs))
    aligned = [(1,) * (longest - len(sizes)) + tuple(sizes) for sizes in inputs]
    return Made(Elementwise(), tuple(map(_broadcast, zip(*aligned, strict=True))))


def prelu(settings: Settings, inputs: list[Sizes]) -> Made:
    """``PReLU``, with a slope for each value apart from those that share theirs."""
    shared = [axis % len(inputs[0]) for axis in settings.get("shared_axes", [])]
    sizes = [size or 0 for axis, size in enumerate(inputs[0]) if axis not in (0, *shared)]
    return Made(Elementwise(), inputs[0], "", {"alpha": prod(sizes)})


def _broadcast(sizes: Sequence[int | None]) -> int | None:
    others = {size for size in sizes if size != 1}
    if len(others) > 1 and None not in others:
        raise ValueError(sizes)
    return 1 if not others else next((size for size in others if size is not None), None)
