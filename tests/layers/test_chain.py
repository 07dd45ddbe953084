"""Layers as users type them, and the shapes of a chain."""

from __future__ import annotations

import pytest

from convcli.core.errors import ArgumentError
from convcli.layers.chain import LayerSpec, Shape, chain


def shapes(size: tuple[int, ...], *texts: str, like: str | None = None) -> list[Shape]:
    """The shapes of layers on an image of (rows, columns, channels)."""
    return list(chain(size[:2], size[2], [LayerSpec.parse(text) for text in texts], like))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("3x3x8,stride=2,1,padding=1,2", "conv3×3x8, stride=2x1, padding=1x2"),
        ("3x3x8,padding=0,1,2,3:wrap,stride=2", "3x3x8,stride=2,padding=0x1x2x3:wrap"),
        ("pool3,stride=1", "maxpool3x3,stride=1x1"),
        ("3,3,8,stride=2", "3x3x8,stride=2"),
        ("avgpool3,2,padding=1x0", "avgpool3x2,padding=1,0"),
        ("depthwise5x5x2,bias=no", "DEPTHWISE5x5x2,bias=false"),
    ],
)
def test_notations(text, same):
    """Commas or × between numbers, options in any order, words in any case."""
    assert LayerSpec.parse(text) == LayerSpec.parse(same)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3x3", "a convolution is ROWSxCOLUMNSxMAPS, such as 3x3x16"),
        ("pool2x2x2", "a pool is ROWSxCOLUMNS, such as 2x2"),
        ("pol3x3", "layer 'pol3x3': unknown layer type (did you mean pool"),
        ("", "layer '': unknown layer type; allowed: [conv]ROWSxCOLUMNSxMAPS"),
        ("conv1d5x16", "write a one-dimensional convolution as 1xSIZExMAPS, such as 1x5x16"),
        ("Conv2d3x3x16", "write a convolution as ROWSxCOLUMNSxMAPS, such as 3x3x16"),
        ("conv3d(3,3,3)", "layers over volumes are not supported, only layers over images"),
        ("MaxPool2d(2)", "write a max pool as pool2x2"),
        ("3x3x1,stride", "stride needs a value, such as stride=2"),
        ("pool2x2,ceil", "ceil needs a value, such as ceil=yes"),
        ("pool2x2,ceil=perhaps", "ceil=perhaps is not allowed for maxpool"),
        ("3x3x1,ceil=yes", "ceil=yes is not allowed for conv"),
        ("pool2x2,groups=2", "groups=2 is not allowed for maxpool"),
        ("3x3x1,stide=2", "unknown option 'stide=2' (did you mean stride?)"),
        ("3x3x1,stride=2,stride=3", "stride is given twice"),
        ("3x3x1,stride=x", "stride 'x' is not N"),
    ],
)
def test_mistakes(text, words):
    """What is wrong, and what to write instead; never what Python says."""
    with pytest.raises(ArgumentError) as caught:
        LayerSpec.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("size", "texts", "outputs", "receptive", "jump", "parameters"),
    [
        ((10, 12, 1), ["3x3x1"], [(1, 8, 10, 1)], (3, 3), (1, 1), 10),
        (
            (224, 224, 3),
            ["7x7x64,stride=2,padding=3", "pool3x3,stride=2,padding=1"],
            [(1, 112, 112, 64), (1, 56, 56, 64)],
            (11, 11),
            (4, 4),
            9472,
        ),
        ((32, 32, 4), ["3x3x8,groups=2,padding=same,bias=no"], [(1, 32, 32, 8)], (3, 3), (1, 1), 144),
        ((9, 9, 2), ["depthwise3x3x2,dilation=2", "1x1x5"], [(1, 5, 5, 4), (1, 5, 5, 5)], (5, 5), (1, 1), 65),
        ((2, 2, 1), ["pool3x3,stride=2,ceil=yes"], [(1, 1, 1, 1)], (3, 3), (2, 2), 0),
    ],
)
def test_shapes(size, texts, outputs, receptive, jump, parameters):
    """Outputs, receptive field, spacing of neighbors and parameters, counted by hand."""
    layers = shapes(size, *texts)
    assert [layer.output for layer in layers] == outputs
    assert (layers[-1].receptive, layers[-1].jump) == (receptive, jump)
    assert sum(layer.parameters for layer in layers) == parameters
    assert [layer.input for layer in layers[1:]] == outputs[:-1]


@pytest.mark.parametrize(
    ("size", "texts", "words"),
    [
        ((5, 5, 1), ["3x3x1", "5x5x1"], "layer 2: the kernel covers 5 × 5"),
        ((5, 5, 3), ["3x3x4,groups=2"], "groups 2 does not divide 3 channels and 4 maps"),
    ],
)
def test_layers_that_do_not_fit(size, texts, words):
    """The reason, with the layer's place in a chain."""
    with pytest.raises(ArgumentError) as caught:
        shapes(size, *texts)
    assert str(caught.value).startswith(words)


def test_a_pools_stride_is_that_of_the_library():
    """Its size by default, 1 in ONNX."""
    assert shapes((8, 8, 1), "pool2x2")[0].output == (1, 4, 4, 1)
    assert shapes((8, 8, 1), "pool2x2", like="onnx")[0].output == (1, 7, 7, 1)
