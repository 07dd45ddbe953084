"""Writes a small trained network beside this file: ``python samples/network.py``.

pnet.onnx is the first network of MTCNN (Zhang et al., Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks, 2016), which proposes where faces could be. Its weights are those of the
Python package mtcnn 1.0.0 (https://github.com/ipazc/mtcnn), under the license in pnet.LICENSE.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx

HERE = Path(__file__).resolve().parent
FLOAT = onnx.TensorProto.FLOAT


def network() -> Any:
    """The ONNX model: 3 × 3 convolutions with PReLU, for RGB images of any size, normalized to -1..1."""
    package = importlib.util.find_spec("mtcnn")
    assert package is not None and package.origin is not None
    weights = joblib.load(Path(package.origin).parent / "assets" / "weights" / "pnet.lz4")
    nodes: list[Any] = []
    tensors: list[Any] = []

    def add(kind: str, name: str, inputs: list[str], arrays: dict[str, np.ndarray], **attributes: Any) -> str:
        for key, array in arrays.items():
            tensors.append(
                onnx.numpy_helper.from_array(np.ascontiguousarray(array, np.float32), f"{name}.{key}")
            )
        used = [*inputs, *(f"{name}.{key}" for key in arrays)]
        nodes.append(onnx.helper.make_node(kind, used, [name], name=name, **attributes))
        return name

    def conv(name: str, x: str, place: int) -> str:
        kernel, bias = weights[place : place + 2]
        return add("Conv", name, [x], {"weight": kernel.transpose(3, 2, 0, 1), "bias": bias})

    def prelu(name: str, x: str, place: int) -> str:
        return add("PRelu", name, [x], {"slope": weights[place].reshape(-1, 1, 1)})

    x = prelu("prelu1", conv("conv1", "image", 0), 2)
    x = add("MaxPool", "pool1", [x], {}, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    x = prelu("prelu2", conv("conv2", x, 3), 5)
    x = prelu("prelu3", conv("conv3", x, 6), 8)
    conv("boxes", x, 9)
    add("Softmax", "faces", [conv("scores", x, 11)], {}, axis=1)
    graph = onnx.helper.make_graph(
        nodes,
        "pnet",
        [onnx.helper.make_tensor_value_info("image", FLOAT, ["n", 3, "rows", "columns"])],
        [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in ("boxes", "faces")],
        tensors,
        "The first network of MTCNN; weights of the package mtcnn, MIT License, see pnet.LICENSE",
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    (HERE / "pnet.onnx").write_bytes(network().SerializeToString())
