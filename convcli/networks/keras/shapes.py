"""Layers that move values: to other places, other axes and other shapes."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from convcli.networks.effects import Joining, Permuting, Reshaping, Scaling, Sliding, Taps, repeated_taps
from convcli.networks.graph import Sizes, product
from convcli.networks.keras.layer import Made, Settings


def concatenate(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Concatenate``."""
    axis, sizes = settings.get("axis", -1) % len(inputs[0]), list(inputs[0])
    parts = [entry[axis] for entry in inputs]
    sizes[axis] = None if None in parts else sum(part for part in parts if part is not None)
    return Made(Joining(frozenset({axis})), tuple(sizes))


def flatten(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Flatten``."""
    return Made(Reshaping(), (inputs[0][0], product(inputs[0][1:])))


def reshape(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Reshape``, in which one size may follow from the others."""
    target, total = list(settings.get("target_shape")), product(inputs[0][1:])
    known = prod(size for size in target if size != -1)
    rest = None if total is None else total // known
    return Made(Reshaping(), (inputs[0][0], *(rest if size == -1 else size for size in target)))


def permute(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Permute``."""
    order = (0, *settings.get("dims"))
    return Made(Permuting(order), tuple(inputs[0][axis] for axis in order))


def upsampling(settings: Settings, inputs: list[Sizes]) -> Made:
    """``UpSampling2D``."""
    sizes, factors, mode = inputs[0], settings.pair("size", 2), settings.get("interpolation", "nearest")
    reach = {"nearest": 0, "bilinear": 1, "bicubic": 2}[mode]
    taps: dict[int, Taps | Scaling] = {
        axis: repeated_taps(factor)
        if reach == 0
        else Scaling(Fraction(1, factor), Fraction(1 - factor, 2 * factor), reach)
        for axis, factor in zip(settings.spatial, factors, strict=True)
    }
    spatial = [product((sizes[axis], factor)) for axis, factor in zip(settings.spatial, factors, strict=True)]
    made = settings.resized(sizes, spatial, sizes[settings.channel])
    return Made(Sliding(taps, frozenset()), made, f"{mode} {'×'.join(map(str, factors))}")


def _sides(settings: Settings, name: str) -> list[tuple[int, int]]:
    """Amounts (before, after) along rows and columns."""
    value = settings.get(name, 1)
    pairs = [value, value] if isinstance(value, int) else value
    return [(pair, pair) if isinstance(pair, int) else (int(pair[0]), int(pair[1])) for pair in pairs]


def padding(settings: Settings, inputs: list[Sizes]) -> Made:
    """``ZeroPadding2D``."""
    return _moved(settings, inputs[0], _sides(settings, "padding"), 1)


def cropping(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Cropping2D``."""
    return _moved(settings, inputs[0], _sides(settings, "cropping"), -1)


def _moved(settings: Settings, sizes: Sizes, sides: list[tuple[int, int]], sign: int) -> Made:
    pairs = list(zip(settings.spatial, sides, strict=True))
    taps: dict[int, Taps | Scaling] = {axis: Taps(before=sign * before) for axis, (before, _) in pairs}
    spatial = [None if sizes[axis] is None else (sizes[axis] or 0) + sign * sum(side) for axis, side in pairs]
    return Made(Sliding(taps, frozenset()), settings.resized(sizes, spatial, sizes[settings.channel]))
