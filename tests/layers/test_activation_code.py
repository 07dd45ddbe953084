"""Activations as code for other libraries: every line runs and computes what its name says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convcli.layers.activation_code import activation_codes
from convcli.layers.activations import ACTIVATIONS, parse_activation

EXPECTED = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "leaky-relu:0.25": lambda x: x if x >= 0 else x / 4,
    "clip:-1/2,3": lambda x: min(max(x, -0.5), 3.0),
    "abs": abs,
    "threshold:0.5": lambda x: float(x >= 0.5),
    "threshold:-1,2": lambda x: float(-1 <= x <= 2),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
}
"""Each activation by Python's arithmetic."""
X = np.array([[-9.0, -1, -0.5, 0, 0.25], [0.5, 2, 3, 6, 9]], np.float32)


def test_every_activation_is_here():
    """An activation without code would be noticed."""
    assert {text.partition(":")[0] for text in EXPECTED} == set(ACTIVATIONS)


@pytest.mark.parametrize("library", ["keras", "torch", "scipy"])
def test_the_code_computes_the_activation(library):
    """The line of each library on numbers around every limit."""
    scope = modules(library)
    for text, function in EXPECTED.items():
        (line,) = activation_codes(parse_activation(text))[library]
        if library == "scipy":
            exec(line, scope)
            values = scope["y"]
        else:
            values = np.asarray(eval(line, scope)(scope["x"]))
        expected = [[function(float(x)) for x in row] for row in X]
        assert np.allclose(values, expected, atol=1e-6), (library, text)


def modules(library):
    """What the code of a library refers to."""
    hint = "not installed: pip install -e '.[peers]'"
    if library == "scipy":
        special = pytest.importorskip("scipy.special", reason=f"SciPy is {hint}")
        return {"x": X, "numpy": np, "scipy": type("scipy", (), {"special": special})}
    module = pytest.importorskip(library, reason=f"{library} is {hint}")
    return {library: module, "x": module.ops.convert_to_tensor(X) if library == "keras" else module.tensor(X)}


@pytest.mark.parametrize(
    ("text", "torch"),
    [
        ("relu6", "torch.nn.ReLU6()"),
        ("clip:0,1/4", "torch.nn.Hardtanh(0, 0.25)"),
        ("leaky-relu:1/10", "torch.nn.LeakyReLU(0.1)"),
    ],
)
def test_parameters_are_literals(text, torch):
    """Integers without a point, fractions as the nearest float."""
    assert activation_codes(parse_activation(text))["torch"] == (torch,)
