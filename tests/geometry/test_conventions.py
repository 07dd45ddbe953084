"""``--like``: each library's words, defaults and refusals give what that library gives; and its code runs."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.geometry.axes import geometry
from convcli.geometry.conventions import CONVENTIONS, SCIPY_NDIMAGE
from convcli.geometry.padding import Padding, normal_word
from convcli.layers.chain import LayerSpec, Shape, chain
from convcli.layers.code import codes
from tests.conftest import decoded

# What other libraries warn of is theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(11)
SIZE = (13, 10)
KERNELS = ["1x1", "2x3", "3x3", "4x4", "5x2"]
FEWER = ["", ",stride=3x2", ",dilation=2"]
STEPS = ["", ",stride=2", ",stride=3x2", ",dilation=2", ",dilation=1x3"]


def one(text: str, like: str | None, channels: int = 4, size: tuple[int, int] = SIZE) -> Shape:
    """The shape after one layer."""
    return next(chain(size, channels, [LayerSpec.parse(text)], like))


def tensor(channels: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(rows, columns, channels) of whole numbers, which every library adds exactly."""
    return RNG.integers(-9, 10, (*size, channels)).astype(np.float32)


def ours(shape: Shape, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The feature map of one layer, (rows, columns, out)."""
    return convcli.conv(
        x,
        w,
        stride=[axis.stride for axis in shape.geometry.axes],
        padding=shape.geometry.pairs,
        dilation=shape.layer.dilation,
        groups=shape.groups,
        flip=shape.flip,
        fill=str(shape.padding.fill),
        channels="last",
    )


def paddings(options: list[str]) -> list[str]:
    return [f",padding={option}" if option else "" for option in options]


def convolutions(options: list[str], maps: str = "x6", steps: list[str] = STEPS[:4]) -> list[str]:
    """Every kernel with every padding and every step."""
    return [
        f"{kernel}{maps}{padding}{step}"
        for kernel, padding, step in itertools.product(KERNELS, paddings(options), steps)
    ]


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    """Keras on the torch backend."""
    pytest.importorskip("torch", reason="Keras needs a backend; PyTorch is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        return pytest.importorskip("keras", reason="Keras is not installed")


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


KERAS_LAYERS = [
    *convolutions(["", "valid", "same"]),
    "3x3x6,groups=2,padding=same",
    "depthwise3x3,padding=same,stride=2",
    "depthwise3x3x2,dilation=2",
    *[
        f"{kind}{kernel}{padding}{step}"
        for kind, kernel in itertools.product(("pool", "avgpool"), ("2x2", "3x2"))
        for padding, step in itertools.product(paddings(["", "same"]), ("", ",stride=1", ",stride=3x2"))
    ],
]


@pytest.mark.parametrize("text", KERAS_LAYERS)
def test_like_keras(keras, text):
    """Conv2D, DepthwiseConv2D and the pools: their shapes, and the values of convolutions."""
    shape = one(text, "keras")
    layer, x = shape.layer, tensor(4)
    options: dict[str, Any] = {"padding": layer.padding} if layer.padding else {}
    options |= {"strides": layer.stride} if layer.stride else {}
    options |= {"dilation_rate": layer.dilation} if max(layer.dilation) > 1 else {}
    if layer.is_pool:
        pool = keras.layers.MaxPooling2D if layer.kind == "maxpool" else keras.layers.AveragePooling2D
        assert tuple(pool(layer.kernel, **options)(x[None]).shape) == shape.output
        return
    if layer.kind == "depthwise":
        made = keras.layers.DepthwiseConv2D(layer.kernel, depth_multiplier=layer.maps, **options)
    else:
        made = keras.layers.Conv2D(layer.maps, layer.kernel, groups=layer.groups, **options)
    theirs = keras.ops.convert_to_numpy(made(x[None]))
    assert theirs.shape == shape.output
    w = made.get_weights()[0].reshape(shape.weights)
    assert np.allclose(ours(shape, x, w), theirs[0], atol=1e-4)
    assert made.count_params() == shape.parameters


TORCH_LAYERS = [
    *convolutions(["", "0", "1", "2,1", "valid"]),
    *[f"{kernel}x6,padding=same{step}" for kernel, step in itertools.product(KERNELS, ("", ",dilation=2"))],
    *[f"3x4x6,padding=2:{fill}" for fill in ("zeros", "reflect", "replicate", "circular")],
    *[f"4x2x6,padding=same:{fill}" for fill in ("zeros", "reflect", "replicate", "circular")],
    "3x3x6,groups=2,padding=1,stride=2",
    "depthwise3x3x2,padding=1",
    *[
        f"{kind}{kernel}{padding}{step}{ceil}"
        for kind, kernel, padding in itertools.product(
            ("pool", "avgpool"), ("2x2", "3x2"), paddings(["", "1"])
        )
        for step, ceil in itertools.product(("", ",stride=1", ",stride=3x2"), ("", ",ceil=yes"))
    ],
    "pool3x3,dilation=2,stride=2,padding=1,ceil=yes",
]


@pytest.mark.parametrize("text", TORCH_LAYERS)
def test_like_torch(torch, text):
    """Conv2d with every padding mode, and pools with floor and ceil: their shapes and values."""
    shape = one(text, "torch")
    layer, x = shape.layer, tensor(4)
    amount, _, mode = (layer.padding or "0").partition(":")
    padding = amount if amount in ("same", "valid") else tuple(map(int, amount.split(",")))
    options: dict[str, Any] = {"stride": layer.stride} if layer.stride else {}
    options |= {"padding": padding[0] if len(padding) == 1 else padding}
    options |= {"dilation": layer.dilation} if max(layer.dilation) > 1 else {}
    given = torch.tensor(x.transpose(2, 0, 1)[None].copy())
    if layer.is_pool:
        pool = torch.nn.MaxPool2d if layer.kind == "maxpool" else torch.nn.AvgPool2d
        theirs = pool(layer.kernel, ceil_mode=layer.ceiling, **options)(given)
        assert tuple(theirs.shape) == (1, shape.output[3], *shape.output[1:3])
        return
    made = torch.nn.Conv2d(
        4,
        shape.output[3],
        layer.kernel,
        groups=shape.groups,
        padding_mode=mode or "zeros",
        bias=False,
        **options,
    )
    theirs = made(given).detach().numpy()[0].transpose(1, 2, 0)
    assert theirs.shape == shape.output[1:]
    w = made.weight.detach().numpy().transpose(2, 3, 1, 0)
    assert np.allclose(ours(shape, x, w), theirs, atol=1e-4)


ONNX_LAYERS = [
    *convolutions(["", "valid", "notset", "same", "same-lower", "1", "0x1x2x0"]),
    "3x3x6,groups=2,padding=same_upper,stride=2",
    *[
        f"{kind}{kernel}{padding}{step}"
        for kind, kernel in itertools.product(("pool", "avgpool"), ("2x2", "3x2"))
        for padding, step in itertools.product(
            paddings(["", "1x0x1x0", "same", "same-lower"]), ("", ",stride=2", ",stride=3x2")
        )
    ],
    *[
        f"{kind}3x3,padding=1,ceil=yes,stride={stride}"
        for kind in ("pool", "avgpool")
        for stride in (1, 2, 3)
    ],
    "pool3x3,dilation=2,stride=2",
]
AUTO_PADS = {
    "valid": "VALID",
    "notset": "NOTSET",
    "same": "SAME_UPPER",
    "same_upper": "SAME_UPPER",
    "same-lower": "SAME_LOWER",
}


@pytest.mark.parametrize("text", ONNX_LAYERS)
def test_like_onnx(text):
    """Conv, MaxPool and AveragePool nodes with pads and auto_pad, by onnx's evaluator and shape inference."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    shape = one(text, "onnx")
    layer, x = shape.layer, tensor(4)
    options: dict[str, Any] = {"kernel_shape": layer.kernel}
    if layer.padding in AUTO_PADS:
        options["auto_pad"] = AUTO_PADS[layer.padding]
    elif layer.padding:
        numbers = [int(part) for part in layer.padding.split(",")]
        options["pads"] = numbers * 4 if len(numbers) == 1 else numbers
    options |= {"strides": layer.stride} if layer.stride else {}
    options |= {"dilations": layer.dilation} if max(layer.dilation) > 1 else {}
    inputs = {"x": x.transpose(2, 0, 1)[None]}
    w = tensor(4 // shape.groups * shape.output[3], layer.kernel).reshape(*layer.kernel, -1, shape.output[3])
    if layer.is_pool:
        name = "MaxPool" if layer.kind == "maxpool" else "AveragePool"
        options |= {"ceil_mode": 1} if layer.ceiling else {}
        node = onnx.helper.make_node(name, ["x"], ["y"], **options)
        assert inferred(onnx, node, inputs["x"].shape) == (1, shape.output[3], *shape.output[1:3])
        return
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], group=shape.groups, **options)
    (theirs,) = evaluator(node).run(None, {**inputs, "w": w.transpose(3, 2, 0, 1)})
    assert theirs.shape == (1, shape.output[3], *shape.output[1:3])
    assert np.array_equal(ours(shape, x, w), theirs[0].transpose(1, 2, 0))


def inferred(onnx: ModuleType, node: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that onnx infers; its reference evaluator pads uneven pools otherwise than the standard."""
    kind = onnx.TensorProto.FLOAT
    x, y = (onnx.helper.make_tensor_value_info(*entry) for entry in (("x", kind, size), ("y", kind, None)))
    graph = onnx.helper.make_graph([node], "pool", [x], [y])
    known = onnx.shape_inference.infer_shapes(onnx.helper.make_model(graph)).graph.output[0]
    return tuple(axis.dim_value for axis in known.type.tensor_type.shape.dim)


POOLED = [
    (size, kernel, stride, dilation, pad, ceiling)
    for size, kernel, stride, dilation in itertools.product(range(1, 7), (1, 2, 3, 5), (1, 2, 3, 4), (1, 2))
    for pad, ceiling in itertools.product({0, kernel // 2}, (False, True))
]
"""Small images, where a last window that is cut off may be the only one."""


def pooled(case: tuple[int, int, int, int, int, bool]) -> int:
    """The output of one axis; 0 if it is not supported."""
    size, kernel, stride, dilation, pad, ceiling = case
    try:
        found = geometry((size,), (kernel,), stride, Padding(((pad, pad),)), dilation, ceiling)
    except ArgumentError:
        return 0
    return found.output[0]


def test_pools_of_small_images_as_torch(torch):
    """Floor and ceil mode over a table of sizes: what PyTorch gives, or a refusal where it refuses."""
    for case in POOLED:
        size, *numbers, ceiling = case
        try:
            found = torch.nn.functional.max_pool2d(
                torch.zeros(1, 1, size, size), numbers[0], numbers[1], numbers[3], numbers[2], ceiling
            )
            theirs = found.shape[-1]
        except RuntimeError:
            theirs = 0
        assert pooled(case) == theirs, case


def test_pools_of_small_images_as_onnx():
    """The size that ONNX infers, wherever there is one."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    for case in POOLED[::3]:
        size, kernel, stride, dilation, pad, ceiling = case
        options = {"kernel_shape": [kernel], "strides": [stride], "dilations": [dilation], "pads": [pad] * 2}
        node = onnx.helper.make_node("MaxPool", ["x"], ["y"], ceil_mode=int(ceiling), **options)
        if pooled(case):
            assert inferred(onnx, node, (1, 1, size)) == (1, 1, pooled(case)), case


SIGNAL = ["", "full", "same", "valid", "same:wrap", "same:symm", "full:symm", "same:7", "full:wrap"]
WORDS = ("reflect", "grid-mirror", "mirror", "nearest", "constant", "grid-constant", "grid-wrap")
NDIMAGE = [f"same:{word}" for word in WORDS]
BOUNDARIES = {"": "fill", "7": "fill", "wrap": "wrap", "symm": "symm"}


def spread(w: np.ndarray, dilation: tuple[int, ...]) -> np.ndarray:
    """Weights with zeros between them."""
    wide = np.zeros([d * (k - 1) + 1 for k, d in zip(w.shape, dilation, strict=True)], w.dtype)
    wide[tuple(slice(None, None, d) for d in dilation)] = w
    return wide


@pytest.mark.parametrize("text", convolutions([*SIGNAL, *NDIMAGE], "x1", FEWER))
def test_like_scipy(text):
    """signal.convolve2d with its modes and boundaries, ndimage.convolve with its; strides are slices."""
    signal = pytest.importorskip("scipy.signal")
    ndimage = pytest.importorskip("scipy.ndimage")
    shape = one(text, "scipy", 1)
    layer, x = shape.layer, tensor(1)
    w = tensor(1, layer.kernel)
    mode, _, fill = (layer.padding or "full").partition(":")
    wide, plane = spread(w[..., 0], layer.dilation), x[..., 0]
    if f"same:{fill}" in NDIMAGE:
        theirs = ndimage.convolve(plane, wide, mode=fill)
    else:
        theirs = signal.convolve2d(plane, wide, mode, BOUNDARIES[fill], int(fill) if fill.isdigit() else 0)
    rows, columns = layer.stride or (1, 1)
    theirs = theirs[::rows, ::columns]
    assert theirs.shape == shape.output[1:3]
    assert np.array_equal(ours(shape, x, w[..., None])[..., 0], theirs)


BORDERS = {
    "reflect": "REFLECT",
    "reflect101": "REFLECT_101",
    "reflect_101": "REFLECT_101",
    "replicate": "REPLICATE",
    "constant": "CONSTANT",
    "default": "DEFAULT",
}


@pytest.mark.parametrize(
    "text", convolutions(["", "same", "valid", *(f"same:{b}" for b in BORDERS)], "x1", FEWER)
)
def test_like_opencv(text):
    """filter2D with its borders, its anchor and its default; strides are slices, valid is a crop."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    shape = one(text, "opencv", 1)
    layer, x = shape.layer, tensor(1)
    w = tensor(1, layer.kernel)
    amount, _, fill = (layer.padding or "same:default").partition(":")
    border = getattr(cv2, f"BORDER_{BORDERS.get(fill, 'DEFAULT')}")
    wide = spread(w[..., 0], layer.dilation)
    theirs = cv2.filter2D(x[..., 0], -1, wide, borderType=border)
    if amount == "valid":
        (top, left), (rows, columns) = (k // 2 for k in wide.shape), wide.shape
        theirs = theirs[top : top + SIZE[0] - rows + 1, left : left + SIZE[1] - columns + 1]
    steps = layer.stride or (1, 1)
    theirs = theirs[:: steps[0], :: steps[1]]
    assert theirs.shape == shape.output[1:3]
    assert np.array_equal(ours(shape, x, w[..., None])[..., 0], theirs)


@pytest.mark.parametrize("like", CONVENTIONS)
def test_every_word_of_a_library_is_tried(like):
    """Each amount and fill of a convention occurs in the table of its library."""
    said = [CONVENTIONS[like], *([SCIPY_NDIMAGE] if like == "scipy" else [])]
    tables = {
        "keras": KERAS_LAYERS,
        "torch": TORCH_LAYERS,
        "onnx": ONNX_LAYERS,
        "scipy": test_like_scipy.pytestmark[0].args[1],
        "opencv": test_like_opencv.pytestmark[0].args[1],
    }
    paddings = [LayerSpec.parse(text).padding or "" for text in tables[like]]
    tried = {normal_word(word) for padding in paddings for word in padding.split(":")}
    synonyms = {"zero", "zeros", "fill", "same-upper", "constant"}  # of what is the default
    wanted = {word for each in said for word in (*each.amounts, *each.fills)}
    assert wanted - synonyms <= tried


def test_every_table_holds_fifty_layers():
    """With fewer, a table would prove little."""
    tables = [
        KERAS_LAYERS,
        TORCH_LAYERS,
        ONNX_LAYERS,
        test_like_scipy.pytestmark[0].args[1],
        test_like_opencv.pytestmark[0].args[1],
    ]
    assert all(len(set(table)) >= 50 for table in tables), [len(table) for table in tables]


@pytest.mark.parametrize(
    ("like", "text", "words"),
    [
        ("keras", "3x3x4,padding=1", "takes valid and same; put a ZeroPadding2D layer before it"),
        ("keras", "3x3x4,padding=full", "keras.layers.Conv2D has no padding 'full'; allowed: valid, same"),
        ("keras", "3x3x4,padding=same:reflect", "no padding with 'reflect'; allowed: zero"),
        ("keras", "3x3x4,stride=2,dilation=2", "Keras does not support stride and dilation together"),
        ("keras", "pool3x3,ceil=yes", "Keras has no ceil mode"),
        ("torch", "3x3x4,padding=same,stride=2", "no padding 'same' for a stride above 1; allowed: numbers"),
        ("torch", "3x3x4,padding=1,0,1,1", "pads both sides equally"),
        ("torch", "3x3x4,padding=1,1,2,2", "pads both sides equally; allowed: N or ROWS,COLS"),
        ("torch", "3x20x4,padding=same:reflect", "pads 10 pixels by at most 9 with"),
        ("torch", "pool3x3,padding=2", "pads a pool by at most half of its size"),
        ("torch", "avgpool3x3,dilation=2", "no dilation for this pool"),
        ("torch", "3x3x4,padding=13:reflect", "pads 13 pixels by at most 12 with"),
        ("torch", "3x3x4,padding=11:circular", "pads 10 pixels by at most 10 with"),
        ("torch", "3x3x4,padding=1:symmetric", "has no padding with 'symmetric'"),
        ("onnx", "3x3x4,padding=full", "Conv of ONNX has no padding 'full'"),
        ("onnx", "3x3x4,padding=1:edge", "no padding with 'edge'"),
        ("onnx", "pool3x3,padding=same,ceil=yes", "no ceil mode with auto_pad"),
        ("scipy", "3x3x1,padding=1", "has the modes full, same and valid"),
        ("scipy", "3x3x1,padding=full:mirror", "scipy.ndimage.convolve has no padding 'full'"),
        (
            "scipy",
            "3x3x1,padding=same:replicate",
            "allowed: fill, zero, zeros, wrap, symm, reflect, grid-mirror",
        ),
        ("scipy", "3x3x1,padding=mirror", "fills follow a colon, as in same:mirror"),
        ("scipy", "pool2x2", "has no pooling"),
        ("opencv", "3x3x1,padding=same:wrap", "cv2.filter2D has no padding with 'wrap'"),
        ("opencv", "3x3x1,padding=full", "no padding 'full'"),
        ("opencv", "3x3x1,padding=1", "call cv2.copyMakeBorder before it"),
    ],
)
def test_what_a_library_refuses(like, text, words):
    """The reason, and what it takes instead."""
    with pytest.raises(ArgumentError) as caught:
        one(text, like)
    assert words in str(caught.value)


def test_the_libraries_refuse_it_too(keras, torch):
    """Keras and PyTorch raise where convcli says they do."""
    with pytest.raises(ValueError, match="not supported in conjunction"):
        keras.layers.Conv2D(2, 3, strides=2, dilation_rate=2)
    with pytest.raises(ValueError, match="padding"):
        keras.layers.Conv2D(2, 3, padding="full")
    x = torch.zeros(1, 4, *SIZE)
    with pytest.raises(ValueError, match="strided"):
        torch.nn.Conv2d(4, 4, 3, padding="same", stride=2)
    with pytest.raises(RuntimeError, match="half"):
        torch.nn.MaxPool2d(3, padding=2)(x)
    for padding, mode in ((13, "reflect"), (11, "circular")):
        with pytest.raises(RuntimeError, match=r"[Pp]adding"):
            torch.nn.Conv2d(
                4, 4, 3, padding=(padding, 0) if mode == "reflect" else padding, padding_mode=mode
            )(x)


CODED = [
    "3x3x5",
    "3x3x1,bias=no",
    "7x7x5,stride=2,padding=3",
    "3x4x6,padding=same,stride=2x3",
    "3x3x6,groups=2,padding=0x1x2x0",
    "3x3x4,groups=4,dilation=2",
    "depthwise3x3x2,padding=same",
    "2x3x6,dilation=2x1,padding=1:reflect",
    "3x3x6,padding=2,1:edge",
    "3x3x6,padding=0x2x0x1:wrap",
    "3x3x6,padding=1:symmetric,stride=2",
    "3x3x6,padding=1:5",
    "3x3x6,stride=2,dilation=2",
]
POOLS = [
    "pool2x2",
    "pool3x3,stride=2",
    "pool3x3,stride=2,ceil=yes",
    "pool14x14,stride=8,ceil=yes",
    "avgpool3x3,padding=same,stride=1",
    "pool3x3,stride=2,padding=1",
    "pool2x2,padding=2",
    "pool3x2,dilation=2,stride=1",
]


def evaluated(lines: tuple[str, ...], names: dict[str, Any]) -> Any:
    """What a piece of code makes: the layer, or y."""
    if lines[0].startswith("#"):
        return None
    text = "\n".join(lines)
    if text.startswith(("keras", "torch")):
        return eval(text, names)
    exec(text, names)
    return names["y"]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("text", CODED)
def test_the_code_computes_the_layer(keras, torch, text, channels, flip):
    """Keras, PyTorch, SciPy and OpenCV code of convolutions: the same shape and the same values."""
    if channels == 1 and "groups" in text:
        text = text.replace("groups=2,", "").replace("groups=4,", "")
    cv2, scipy = pytest.importorskip("cv2"), pytest.importorskip("scipy")
    pytest.importorskip("scipy.signal")
    layer = LayerSpec.parse(text)
    shape = next(chain(SIZE, channels, [replace(layer, flip=flip)], None))
    x, w = tensor(channels), tensor(int(np.prod(shape.weights[2:])), shape.weights[:2]).reshape(shape.weights)
    b = np.arange(shape.weights[3], dtype=np.float32) * layer.bias
    expected = ours(shape, x, w) + b
    turned = w[::-1, ::-1] if flip else w
    plain = shape.channels == (1, 1)
    names = {"x": x[..., 0] if plain else x, "w": w[..., 0, 0] if plain else w, "b": b}
    ran = 0
    for name, lines in codes(shape).items():
        made = evaluated(
            lines, {**names, "keras": keras, "torch": torch, "numpy": np, "scipy": scipy, "cv2": cv2}
        )
        if made is None:
            continue
        ran += 1
        if name == "torch":
            inner = made[-1] if isinstance(made, torch.nn.Sequential) else made
            inner.weight.data = torch.tensor(turned.transpose(3, 2, 0, 1).copy())
            if layer.bias:
                inner.bias.data = torch.tensor(b)
            made = (
                made(torch.tensor(x.transpose(2, 0, 1)[None].copy())).detach().numpy()[0].transpose(1, 2, 0)
            )
        elif name == "keras":
            made.build((None, *x.shape))
            first = made.get_weights()[0]
            made.set_weights([turned.reshape(first.shape), *([b] if layer.bias else [])])
            made = keras.ops.convert_to_numpy(made(x[None]))[0]
        assert np.allclose(made.reshape(expected.shape), expected, atol=1e-3), (name, lines)
    assert ran >= 2


@pytest.mark.parametrize("text", POOLS)
def test_the_code_pools_to_the_shape(keras, torch, text):
    """Keras and PyTorch code of pools: the same shape, or the reason why there is none."""
    shape = one(text, None)
    x = tensor(4)
    found = codes(shape)
    made = evaluated(found["torch"], {"torch": torch})
    theirs = made(torch.tensor(x.transpose(2, 0, 1)[None].copy()))
    assert tuple(theirs.shape) == (1, 4, *shape.output[1:3])
    made = evaluated(found["keras"], {"keras": keras})
    assert (made is None) == any(word in text for word in ("ceil=yes", "padding=2", "dilation", "padding=1"))
    if made is not None:
        assert tuple(made(x[None]).shape) == shape.output


@pytest.mark.parametrize(
    ("like", "padding", "call"),
    [
        ("scipy", None, "signal.convolve2d(x, w, 'full')"),
        ("scipy", "same:symm", "signal.convolve2d(x, w, 'same', 'symm')"),
        ("scipy", "same:reflect", "ndimage.convolve(x, w)"),
        ("scipy", "same:mirror", "ndimage.convolve(x, w, mode='mirror')"),
        ("opencv", None, "cv2.filter2D(x, -1, w)"),
        ("opencv", "same", "cv2.filter2D(x, -1, w)"),
        ("opencv", "same:constant", "cv2.filter2D(x, -1, w, borderType=cv2.BORDER_CONSTANT)"),
        ("opencv", "same:reflect", "cv2.filter2D(x, -1, w, borderType=cv2.BORDER_REFLECT)"),
        ("keras", None, "signal.correlate2d(x, w, 'valid')"),
        ("torch", "1:circular", "signal.correlate2d(x, w, 'same', 'wrap')"),
    ],
)
def test_apply_like(run, tmp_path, gray, like, padding, call):
    """Images filtered as SciPy, OpenCV and layers do it; an even kernel would show another anchor."""
    signal, ndimage = pytest.importorskip("scipy.signal"), pytest.importorskip("scipy.ndimage")
    cv2 = pytest.importorskip("cv2") if "cv2" in call else None
    w = np.array([[0, 1, 0], [2, -5, 1], [0, 1, 1]])
    w = w[:, 1:] if like in ("scipy", "opencv") else w
    source, out = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes(imagecodecs.png_encode(gray))
    kernel = "; ".join(" ".join(map(str, row)) for row in w)
    more = ["--padding", padding] if padding else []
    ran = run("apply", source, "-k", kernel, "--like", like, *more, "--map", "clip", "-o", out)
    assert ran.code == 0, ran.err
    names = {"signal": signal, "ndimage": ndimage, "cv2": cv2, "x": gray.astype(float), "w": w.astype(float)}
    assert np.array_equal(decoded(out), np.clip(eval(call, names), 0, 255))
    assert "padding and kernel direction as in" in ran.text
