"""The code of layers for other libraries, as text; tests/geometry/test_conventions.py runs it."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.core.frozen import replace
from convcli.layers.chain import LayerSpec, Shape, chain
from convcli.layers.code import codes, names
from tests.reference import correlate


def shape_of(text: str, channels: int, flip: bool = False) -> Shape:
    """The shape of one layer on an image of 7 × 9 pixels."""
    return next(chain((7, 9), channels, [replace(LayerSpec.parse(text), flip=flip)], None))


@pytest.mark.parametrize(
    ("text", "library", "lines"),
    [
        ("3x3x8,padding=same", "keras", ['keras.layers.Conv2D(8, (3, 3), padding="same")']),
        (
            "3x3x8,stride=2,bias=no",
            "keras",
            ["keras.layers.Conv2D(8, (3, 3), strides=(2, 2), use_bias=False)"],
        ),
        ("depthwise3x3x2", "keras", ["keras.layers.DepthwiseConv2D((3, 3), depth_multiplier=2)"]),
        (
            "3x3x8,padding=1,0",
            "keras",
            [
                "keras.Sequential([",
                "    keras.layers.ZeroPadding2D(((1, 1), (0, 0))),",
                "    keras.layers.Conv2D(8, (3, 3)),",
                "])",
            ],
        ),
        ("3x3x8,padding=1", "torch", ["torch.nn.Conv2d(4, 8, (3, 3), padding=(1, 1))"]),
        (
            "3x3x8,padding=0,1,0,1",
            "torch",
            [
                "torch.nn.Sequential(",
                "    torch.nn.ConstantPad2d((0, 1, 0, 1), 0),",
                "    torch.nn.Conv2d(4, 8, (3, 3)),",
                ")",
            ],
        ),
        ("pool2x2,ceil=yes", "torch", ["torch.nn.MaxPool2d((2, 2), ceil_mode=True)"]),
        ("3x3x8,stride=2,dilation=2", "keras", ["# none: Keras does not combine strides with dilation"]),
        ("pool2x2,ceil=yes", "keras", ["# none: Keras pools have neither dilation nor ceil mode"]),
        ("avgpool2x2,dilation=2", "torch", ["# none: PyTorch average pools have no dilation"]),
        ("pool2x2", "scipy", ["# none: a pool has no weights to filter with"]),
    ],
)
def test_layers_as_code(text, library, lines):
    """A layer of the library, or a comment with the reason why there is none."""
    assert list(codes(shape_of(text, 4))[library]) == lines


@pytest.mark.parametrize("library", ["keras", "torch"])
def test_flipped_kernels_are_said_to_be(library):
    """A layer of these libraries never flips; the comment says what to do with the weights."""
    lines = codes(shape_of("3x3x8", 4, flip=True))[library]
    assert lines[-1] == "# with flipped weights: w[::-1, ::-1]"


@pytest.mark.parametrize("flip", [False, True])
def test_scipys_code_computes_the_layer(flip):
    """The code for one channel gives the same result as the plain loop."""
    scipy = pytest.importorskip("scipy.signal", reason="SciPy is not installed: pip install -e '.[test]'")
    shape = shape_of("3x2x1,stride=2,1,padding=1,bias=no", 1, flip)
    x, w = np.arange(63.0).reshape(7, 9) % 11, np.array([[1.0, -2], [3, 0], [-1, 5]])
    scope = {"x": x, "w": w, "numpy": np, "scipy": type("scipy", (), {"signal": scipy})}
    exec("\n".join(codes(shape)["scipy"]), scope)
    loop = correlate(x, w[::-1, ::-1] if flip else w, (2, 1), ((1, 1), (1, 1)), (1, 1))
    assert np.array_equal(scope["y"], np.array(loop, float))
    assert names(shape) == "x (rows, columns), w (3, 2): floats"
