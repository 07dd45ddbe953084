"""Small networks, each built as an ONNX model and as the same computation in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[test]'")
FLOAT = onnx.TensorProto.FLOAT


class Net:
    """A network under construction; every method adds a node and returns the name of its output.

    Args:
        image: (rows, columns, channels).
        fixed: whether the model states the size of its input.
    """

    def __init__(self, image: tuple[int, int, int], fixed: bool = False, opset: int = 17) -> None:
        rows, columns, channels = image
        self.image, self.opset = image, opset
        self.input_sizes: list[Any] = [1, channels, rows, columns] if fixed else ["n", channels, "h", "w"]
        self.channels = {"x": channels}
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.torch: list[tuple[str, Callable[..., Any], list[str]]] = []
        self.random = np.random.default_rng(1)

    def node(
        self,
        kind: str,
        inputs: list[str],
        compute: Callable[..., Any] | None = None,
        constants: list[str] | None = None,
        channels: int | None = None,
        **attributes: Any,
    ) -> str:
        """Any node: its output is called after its kind and number."""
        name = f"{kind.lower()}{len(self.nodes)}"
        used = [*inputs, *(constants or [])]
        self.nodes.append(onnx.helper.make_node(kind, used, [f"{name}:out"], name=name, **attributes))
        self.channels[f"{name}:out"] = self.channels.get(inputs[0], 0) if channels is None else channels
        if compute is not None:
            self.torch.append((f"{name}:out", compute, inputs))
        return f"{name}:out"

    def constant(self, values: Any, name: str = "") -> str:
        """An initializer."""
        array = np.asarray(values)
        name = name or f"constant{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(array, name))
        return name

    def trained(self, *shape: int) -> str:
        """An initializer of positive random weights, so that no gradients cancel."""
        values = self.random.uniform(0.1, 1, shape) / np.prod(shape[1:])
        return self.constant(values.astype(np.float32), f"w{len(self.weights)}")

    def _value(self, name: str) -> Any:
        import torch

        tensor = next(entry for entry in self.weights if entry.name == name)
        return torch.tensor(onnx.numpy_helper.to_array(tensor).copy())

    def conv(self, x: str, maps: int, size: Any, s: Any = 1, d: Any = 1, pads: Any = 0, g: int = 1) -> str:
        """A convolution; ``pads`` is a number, or top, left, bottom, right."""
        size, s, d = (value if isinstance(value, tuple) else (value, value) for value in (size, s, d))
        pads = pads if isinstance(pads, tuple) else (pads,) * 4
        w, b = self.trained(maps, self.channels[x] // g, *size), self.trained(maps)

        def compute(value: Any) -> Any:
            import torch

            top, left, bottom, right = pads
            padded = torch.nn.functional.pad(value, (left, right, top, bottom))
            return torch.nn.functional.conv2d(padded, self._value(w), self._value(b), s, 0, d, g)

        return self.node(
            "Conv",
            [x],
            compute,
            [w, b],
            maps,
            kernel_shape=size,
            strides=s,
            dilations=d,
            pads=pads,
            group=g,
        )

    def transposed(
        self, x: str, maps: int, size: int, s: int = 1, p: int = 0, d: int = 1, extra: int = 0
    ) -> str:
        w = self.trained(self.channels[x], maps, size, size)

        def compute(value: Any) -> Any:
            import torch

            return torch.nn.functional.conv_transpose2d(value, self._value(w), None, s, p, extra, 1, d)

        both = {"strides": (s, s), "dilations": (d, d), "pads": (p,) * 4, "output_padding": (extra, extra)}
        return self.node("ConvTranspose", [x], compute, [w], maps, kernel_shape=(size, size), **both)

    def pool(self, x: str, size: int, s: int, p: int = 0, kind: str = "MaxPool", ceil: bool = False) -> str:
        """A pool; PyTorch averages in its place, so that all of a window has a gradient."""

        def compute(value: Any) -> Any:
            import torch

            return torch.nn.functional.avg_pool2d(value, size, s, p, ceil)

        return self.node(
            kind,
            [x],
            compute,
            kernel_shape=(size, size),
            strides=(s, s),
            pads=(p,) * 4,
            ceil_mode=int(ceil),
        )

    def norm(self, x: str) -> str:
        count = self.channels[x]
        constants = [self.trained(count) for _ in range(4)]

        def compute(value: Any) -> Any:
            scale, shift, mean, variance = (self._value(name).reshape(1, -1, 1, 1) for name in constants)
            return (value - mean) / (variance + 1e-5) ** 0.5 * scale + shift

        return self.node("BatchNormalization", [x], compute, constants)

    def relu(self, x: str) -> str:
        return self.node("Relu", [x], lambda value: value.relu())

    def add(self, *inputs: str) -> str:
        return self.node("Sum" if len(inputs) > 2 else "Add", list(inputs), lambda *values: sum(values))

    def concat(self, *inputs: str) -> str:
        def compute(*values: Any) -> Any:
            import torch

            return torch.cat(values, 1)

        channels = sum(self.channels[name] for name in inputs)
        return self.node("Concat", list(inputs), compute, channels=channels, axis=1)

    def resize(self, x: str, factor: float, mode: str = "nearest") -> str:
        """PyTorch's upsampling, with the coordinates that its exporter states."""

        def compute(value: Any) -> Any:
            import torch

            extra = {} if mode == "nearest" else {"align_corners": False}
            torch_mode = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[mode]
            return torch.nn.functional.interpolate(value, scale_factor=factor, mode=torch_mode, **extra)

        scales = self.constant(np.array([1, 1, factor, factor], np.float32))
        places = {"coordinate_transformation_mode": "asymmetric" if mode == "nearest" else "half_pixel"}
        extra = {"nearest_mode": "floor"} if mode == "nearest" else {"cubic_coeff_a": -0.75}
        return self.node("Resize", [x, ""], compute, [scales], self.channels[x], mode=mode, **places, **extra)

    def mean(self, x: str) -> str:
        return self.node("GlobalAveragePool", [x], lambda value: value.mean((2, 3), keepdim=True))

    def dense(self, x: str, values: int) -> str:
        flat = self.node("Flatten", [x], lambda value: value.flatten(1))
        w, b = self.trained(self.channels[x], values), self.trained(values)
        return self.node(
            "Gemm", [flat], lambda value: value @ self._value(w) + self._value(b), [w, b], values
        )

    def model(self, *outputs: str) -> Any:
        """The ONNX model; without arguments, its output is that of the last node."""
        names = outputs or (f"{self.nodes[-1].name}:out",)
        graph = onnx.helper.make_graph(
            self.nodes,
            "net",
            [onnx.helper.make_tensor_value_info("x", FLOAT, self.input_sizes)],
            [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in names],
            self.weights,
        )
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def save(self, path: Path, *outputs: str) -> Path:
        path.write_bytes(self.model(*outputs).SerializeToString())
        return path

    def values(self, x: Any) -> dict[str, Any]:
        """Every tensor for an input, computed by PyTorch."""
        made = {"x": x}
        for name, compute, inputs in self.torch:
            made[name] = compute(*(made[entry] for entry in inputs if entry))
        return made


def plain() -> Net:
    net = Net((33, 37, 3))
    x = net.relu(net.conv("x", 4, 7, s=2, pads=3))
    x = net.relu(net.conv(net.pool(x, 3, 2, 1), 5, 3, pads=1))
    net.conv(x, 2, 1)
    return net


def normalized() -> Net:
    net = Net((32, 32, 3))
    x = net.relu(net.norm(net.conv("x", 4, 3, pads=1)))
    net.dense(net.mean(net.relu(net.norm(net.conv(x, 6, 3, s=2, pads=1)))), 10)
    return net


def grouped() -> Net:
    net = Net((24, 30, 3))
    x = net.conv(net.conv("x", 6, 3, g=3), 8, 3, g=2, pads=1)
    net.conv(net.conv(x, 8, (1, 5), g=8), 6, (5, 1), g=2)
    return net


def dilated() -> Net:
    net = Net((40, 44, 1))
    x = net.conv(net.conv(net.conv("x", 2, 3), 2, 3, d=2), 3, 3, d=(4, 3), pads=2)
    net.conv(x, 2, 2, s=3, d=5)
    return net


def asymmetric() -> Net:
    net = Net((21, 26, 3))
    x = net.conv("x", 3, (2, 4), s=(2, 1), pads=(0, 1, 1, 2))
    net.pool(net.conv(x, 3, 3, pads=(2, 0, 0, 1)), 2, 2, kind="AveragePool", ceil=False)
    return net


def branches() -> Net:
    net = Net((32, 28, 3))
    x = net.relu(net.conv("x", 4, 3, s=2, pads=1))
    wide = net.conv(net.conv(x, 4, 3, pads=1), 4, 5, pads=2)
    y = net.relu(net.add(wide, net.conv(x, 4, 1), x))
    net.concat(y, net.conv(y, 3, 3, d=3, pads=3), net.pool(y, 3, 1, 1))
    return net


def transposed() -> Net:
    net = Net((20, 24, 3))
    x = net.conv(net.conv("x", 4, 3, s=2, pads=1), 6, 3, s=2, pads=1)
    x = net.transposed(x, 4, 4, s=2, p=1)
    net.conv(net.transposed(x, 3, 3, s=2, p=1, extra=1), 2, 3, pads=1)
    return net


def unet() -> Net:
    net = Net((24, 32, 3))
    a = net.relu(net.conv("x", 4, 3, pads=1))
    b = net.relu(net.conv(net.pool(a, 2, 2), 5, 3, pads=1))
    c = net.relu(net.conv(net.pool(b, 2, 2), 6, 3, pads=1))
    b = net.relu(net.conv(net.concat(net.transposed(c, 4, 2, s=2), b), 5, 3, pads=1))
    net.conv(net.concat(net.resize(b, 2, "linear"), a), 2, 3, pads=1)
    return net


def enlarged() -> Net:
    net = Net((18, 22, 1))
    x = net.conv(net.resize("x", 3), 2, 3, pads=1)
    x = net.conv(net.pool(x, 2, 2), 2, 3, pads=1)
    net.conv(net.resize(x, 2, "cubic"), 1, 3, s=2)
    return net


def sparse() -> Net:
    """Transposed convolutions that leave gaps, which later windows close."""
    net = Net((16, 19, 1))
    x = net.transposed("x", 3, 2, s=3, d=2)
    net.conv(net.transposed(net.conv(x, 3, 4), 2, 1, s=2), 2, 5, s=2)
    return net


def attention() -> Net:
    """Weights for channels from a global average, as in squeeze-and-excitation."""
    net = Net((20, 20, 3))
    x = net.relu(net.conv("x", 4, 3, s=2, pads=1))
    gate = net.conv(net.relu(net.conv(net.mean(x), 2, 1)), 4, 1)
    x = net.node("Mul", [x, gate], lambda value, factor: value * factor)
    net.conv(x, 5, 3, pads=1)
    return net


NETS = {
    make.__name__: make
    for make in (
        plain,
        normalized,
        grouped,
        dilated,
        asymmetric,
        branches,
        transposed,
        unet,
        enlarged,
        sparse,
        attention,
    )
}
