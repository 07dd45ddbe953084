"""Activations as they are typed: their names, parameters and what each parameter may be."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen
from convcli.core.rational import parse_number
from convcli.layers.stages import ActivationStage


@frozen
class Activation:
    """An activation as users type it.

    Attributes:
        usage: the text with its parameters.
        help: what it does.
        counts: how many parameters it may have.
    """

    usage: str
    help: str
    counts: tuple[int, ...] = (0,)


ACTIVATIONS: Final = {
    "relu": Activation("relu", "negative values become 0"),
    "relu6": Activation("relu6", "values are limited to 0 … 6"),
    "leaky-relu": Activation("leaky-relu:A", "negative values are multiplied by A", (1,)),
    "clip": Activation("clip:LOW,HIGH", "values are limited to LOW … HIGH", (2,)),
    "abs": Activation("abs", "magnitudes"),
    "threshold": Activation("threshold:LOW[,HIGH]", "1 for values from LOW (to HIGH), 0 for others", (1, 2)),
    "sigmoid": Activation("sigmoid", "1 / (1 + exp(−x))"),
    "tanh": Activation("tanh", "hyperbolic tangent"),
}
"""Every activation by name; `engine.chain.activation` has the arithmetic of each."""

_ALIASES: Final = {"leakyrelu": "leaky-relu", "leaky_relu": "leaky-relu"}


def is_activation(text: str) -> bool:
    """Whether a text begins with the name of an activation."""
    name = text.partition(":")[0].strip().casefold()
    return _ALIASES.get(name, name) in ACTIVATIONS


def parse_activation(text: str) -> ActivationStage:
    """The activation of ``relu`` or ``clip:0,6``.

    Raises:
        ArgumentError: parameters that it does not take.
    """
    head, colon, rest = text.partition(":")
    name = head.strip().casefold()
    name = _ALIASES.get(name, name)
    activation = ACTIVATIONS[name]
    try:
        numbers = tuple(parse_number(part) for part in rest.split(",")) if colon else ()
    except ValueError as error:
        raise ArgumentError(f"stage {quoted(text)}: {error}; write {activation.usage}") from error
    if len(numbers) not in activation.counts:
        raise ArgumentError(f"stage {quoted(text)}: write {activation.usage}")
    if name in ("clip", "threshold") and len(numbers) == 2 and numbers[0] > numbers[1]:
        raise ArgumentError(f"stage {quoted(text)}: LOW must not be above HIGH")
    if name == "relu6":
        return ActivationStage("clip", (Fraction(0), Fraction(6)))
    return ActivationStage(name, numbers)
