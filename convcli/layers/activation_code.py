"""Activations as code for other libraries: Keras, PyTorch, and NumPy or SciPy for arrays."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from convcli.core.frozen import frozen
from convcli.core.rational import Number
from convcli.layers.stages import ActivationStage

_RELU6: Final = (Fraction(0), Fraction(6))


@frozen
class _Code:
    """The code of one activation, with ``{0}`` and ``{1}`` for its parameters.

    Attributes:
        keras, torch: what takes a tensor.
        array: the result for an array x, by NumPy and SciPy.
    """

    keras: str
    torch: str
    array: str


_CODES: Final = {
    "relu": _Code("keras.layers.ReLU()", "torch.nn.ReLU()", "numpy.maximum(x, 0)"),
    "leaky-relu": _Code(
        "keras.layers.LeakyReLU({0})", "torch.nn.LeakyReLU({0})", "numpy.where(x < 0, {0} * x, x)"
    ),
    "clip": _Code(
        "keras.layers.Lambda(lambda x: keras.ops.clip(x, {0}, {1}))",
        "torch.nn.Hardtanh({0}, {1})",
        "numpy.clip(x, {0}, {1})",
    ),
    "abs": _Code("keras.layers.Lambda(keras.ops.absolute)", "torch.abs", "numpy.abs(x)"),
    "sigmoid": _Code('keras.layers.Activation("sigmoid")', "torch.nn.Sigmoid()", "scipy.special.expit(x)"),
    "tanh": _Code('keras.layers.Activation("tanh")', "torch.nn.Tanh()", "numpy.tanh(x)"),
}
_FROM: Final = _Code(
    'keras.layers.Lambda(lambda x: keras.ops.cast(x >= {0}, "float32"))',
    "lambda x: (x >= {0}).float()",
    "(x >= {0}).astype(float)",
)
_FROM_TO: Final = _Code(
    'keras.layers.Lambda(lambda x: keras.ops.cast((x >= {0}) & (x <= {1}), "float32"))',
    "lambda x: ((x >= {0}) & (x <= {1})).float()",
    "((x >= {0}) & (x <= {1})).astype(float)",
)


def activation_codes(stage: ActivationStage) -> dict[str, tuple[str, ...]]:
    """The code of an activation by library, each as one line.

    That of ``keras`` and ``torch`` is called with a tensor; that of ``scipy`` computes y from x.
    """
    code = _code(stage)
    numbers = [_typed(number) for number in stage.arguments]
    keras, torch = code.keras, code.torch
    if stage.function == "clip" and stage.arguments == _RELU6:
        keras, torch = "keras.layers.ReLU(max_value=6)", "torch.nn.ReLU6()"
    return {
        "keras": (keras.format(*numbers),),
        "torch": (torch.format(*numbers),),
        "scipy": (f"y = {code.array.format(*numbers)}",),
        "opencv": ("# none: OpenCV has no activations; NumPy computes them on its arrays",),
    }


def _code(stage: ActivationStage) -> _Code:
    if stage.function == "threshold":
        return _FROM if len(stage.arguments) == 1 else _FROM_TO
    return _CODES[stage.function]


def _typed(number: Number) -> str:
    """A parameter as a literal of Python."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))
