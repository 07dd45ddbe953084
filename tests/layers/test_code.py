"""The code of layers for other libraries, as text; tests/geometry/test_conventions.py runs it."""

from __future__ import annotations

import numpy as np
import pytest

import convcli
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


@pytest.mark.parametrize("text", ["3x2x1,padding=1,bias=no", "3x3x2,stride=2"])
@pytest.mark.parametrize("library", ["keras", "torch"])
def test_one_kernel_for_every_channel_is_a_depthwise_layer(text, library, monkeypatch):
    """With its weights repeated for every channel, the layer gives what the plain loop gives, map by map."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    spec = replace(LayerSpec.parse(text), kind="each")
    (shape,) = chain((7, 9), 3, [spec], None)
    lines = codes(shape)[library]
    assert lines[-1] == "# with the same weights for every channel"
    chance = np.random.default_rng(4)
    x, w = (chance.integers(-9, 9, size).astype(float) for size in ((7, 9, 3), (*spec.kernel, spec.maps)))
    b = chance.integers(-9, 9, spec.maps).astype(float) * shape.layer.bias
    all_weights = np.repeat(w[:, :, None], 3, 2) if library == "keras" else np.tile(w, 3)[:, :, None]
    y = _run_layer(library, lines, x, all_weights, np.tile(b, 3))
    pairs, stride = shape.geometry.pairs, spec.stride or (1, 1)
    for place, (channel, index) in enumerate(np.ndindex(3, spec.maps)):
        due = np.array(correlate(x[..., channel], w[..., index], stride, pairs, (1, 1)), float) + b[index]
        assert np.allclose(y[..., place], due)


TRANSPOSED = {
    "transposed3x3x4,stride=2,padding=1,output-padding=1": 2,
    "transposed3x2x4,stride=2,3,padding=same": 2,
    "transposed2x3x1,stride=3,2,padding=valid,bias=no": 1,
    "transposed3x3x4,padding=0,1,2,0,dilation=2": 2,
    "transposed3x3x4,stride=2,padding=1,0,groups=2": 4,
    "transposed1x2x2,stride=3,padding=0,output-padding=1": 1,
}


@pytest.mark.parametrize("text", TRANSPOSED)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("library", ["keras", "torch", "scipy", "opencv"])
def test_the_code_of_transposed_layers_computes_them(text, flip, library, monkeypatch):
    """The code of every library gives what `conv` gives, with any padding, or says why there is none."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    channels = TRANSPOSED[text]
    shape = shape_of(text, channels, flip)
    lines = codes(shape)[library]
    if lines[0].startswith("#"):
        assert (library, "groups" in text) == ("keras", True)
        return
    chance = np.random.default_rng(3)
    x, w = (chance.integers(-9, 9, size).astype(float) for size in ((7, 9, channels), shape.weights))
    b = chance.integers(-9, 9, shape.channels[1]).astype(float) * shape.layer.bias
    due = convcli.conv(
        x,
        w,
        bias=b,
        stride=shape.layer.stride or 1,
        padding=shape.padding,
        dilation=shape.layer.dilation,
        groups=shape.layer.groups,
        flip=flip,
        channels="last",
        transposed=True,
        output_padding=shape.layer.output_padding,
    )
    run = _run_layer if library in ("keras", "torch") else _run_lines
    assert np.allclose(run(library, lines, x, w[::-1, ::-1] if flip and run is _run_layer else w, b), due)


def _run_lines(library, lines, x, w, b):
    """What code for SciPy or OpenCV computes; with one channel in and out, without axes for channels."""
    scipy, cv2 = pytest.importorskip("scipy"), pytest.importorskip("cv2")
    pytest.importorskip("scipy.signal")
    plain = w.shape[2:] == (1, 1)
    arrays = {"x": x[..., 0], "w": w[..., 0, 0], "b": b[0]} if plain else {"x": x, "w": w, "b": b}
    scope = {"numpy": np, "scipy": scipy, "cv2": cv2, **arrays}
    exec("\n".join(lines), scope)
    return scope["y"][..., None] if plain else scope["y"]


def _run_layer(library, lines, x, w, b):
    """What a layer of Keras or PyTorch computes with these weights."""
    torch = pytest.importorskip("torch")
    code = "\n".join(line for line in lines if not line.startswith("#"))
    if library == "torch":
        layer = eval(code, {"torch": torch}).double()
        own = layer[0] if isinstance(layer, torch.nn.Sequential) else layer
        own.weight.data = torch.tensor(w.transpose(3, 2, 0, 1).copy())
        if own.bias is not None:
            own.bias.data = torch.tensor(b)
        return layer(torch.tensor(x.transpose(2, 0, 1)[None])).detach().numpy()[0].transpose(1, 2, 0)
    keras = pytest.importorskip("keras")
    layer = eval(code, {"keras": keras})
    layer(x[None].astype("float32"))
    own = (
        next(part for part in layer.layers if part.weights) if isinstance(layer, keras.Sequential) else layer
    )
    own.set_weights([w, b] if own.use_bias else [w])
    return np.asarray(layer(x[None].astype("float32")).detach())[0]
