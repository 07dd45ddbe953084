"""Trains and writes corners.onnx, a small network that finds corners: ``python -m samples.train``.

Every training image is drawn anew: polygons, disks and lines in random colors over a gradient, with noise.
The target is 1 near the corners of polygons and 0 elsewhere. Training needs PyTorch and onnx, and takes some
minutes; results differ a little from machine to machine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
SIDE, BATCH, STEPS = 72, 32, 800
WIDTHS = (3, 8, 16, 24)
SCALE = 2  # shapes are drawn larger and reduced, so that their edges are smooth


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """An image, (rows, columns, 3) from −1 to 1, and the (column, row) of each visible corner."""
    large = SIDE * SCALE
    image = Image.fromarray(_gradient(rng, large))
    owner = Image.new("I", (large, large))  # which shape is seen at each pixel
    draw, mark = ImageDraw.Draw(image), ImageDraw.Draw(owner)
    corners = []
    for number in range(1, rng.integers(2, 7)):
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        center, radius = rng.uniform(0, large, 2), rng.uniform(8, 26) * SCALE
        kind = rng.integers(4)
        if kind == 0:
            box = [*(center - radius), *(center + radius)]
            draw.ellipse(box, fill=color)
            mark.ellipse(box, fill=number)
        elif kind == 1:
            end = center + rng.normal(0, radius, 2)
            draw.line([*center, *end], fill=color, width=int(rng.integers(2, 5)) * SCALE)
            mark.line([*center, *end], fill=0, width=1)
        else:
            points = _polygon(rng, center, radius)
            draw.polygon(points, fill=color)
            mark.polygon(points, fill=number)
            corners += [(*point, number) for point in points]
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255
    pixels += rng.normal(0, rng.uniform(0, 0.06), pixels.shape)
    seen = np.asarray(owner)
    visible = [
        (x / SCALE - 0.5, y / SCALE - 0.5)
        for x, y, number in corners
        if (seen[max(int(y) - 4, 0) : int(y) + 5, max(int(x) - 4, 0) : int(x) + 5] == number).any()
    ]
    return 2 * np.clip(pixels, 0, 1).astype(np.float32) - 1, visible


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    start, across, down = rng.uniform(0, 255, (3, 3)) * np.array([[1], [0.3], [0.3]])
    ramp = np.linspace(-0.5, 0.5, size)
    return np.clip(start + ramp[:, None, None] * down + ramp[None, :, None] * across, 0, 255).astype(np.uint8)


def _polygon(rng: np.random.Generator, center: np.ndarray, radius: float) -> list[tuple[float, float]]:
    count = int(rng.integers(3, 6))
    angles = (
        rng.uniform(0, 2 * np.pi) + (np.arange(count) + rng.uniform(-0.2, 0.2, count)) * 2 * np.pi / count
    )
    return [(center[0] + radius * np.cos(a), center[1] + radius * np.sin(a)) for a in angles]


def network() -> torch.nn.Sequential:
    layer = torch.nn.Conv2d
    a, b, c, d = WIDTHS
    return torch.nn.Sequential(
        layer(a, b, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        layer(b, c, 3),
        torch.nn.ReLU(),
        layer(c, d, 3),
        torch.nn.ReLU(),
        layer(d, 1, 1),
    )


def batch(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    images, targets = [], []
    places = np.arange((SIDE - 2) // 2 - 4) * 2 + 5.5  # centers of the receptive fields
    for _ in range(BATCH):
        pixels, corners = drawn(rng)
        near = np.zeros((len(places),) * 2, np.float32)
        for x, y in corners:
            near = np.maximum(near, np.hypot(places[:, None] - y, places[None] - x) < 2.3)
        images.append(pixels.transpose(2, 0, 1))
        targets.append(near)
    return torch.tensor(np.stack(images)), torch.tensor(np.stack(targets))[:, None]


def trained() -> torch.nn.Sequential:
    torch.manual_seed(4)
    torch.set_num_threads(1)
    rng, net = np.random.default_rng(0), network()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, STEPS)
    loss = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(6.0))
    mean = 0.0
    for step in range(STEPS):
        images, targets = batch(rng)
        value = loss(net(images), targets)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        mean = 0.98 * mean + 0.02 * value.item() if step else value.item()
        if step % 50 == 0:
            print(step, round(mean, 4), flush=True)
    return net


def model(net: torch.nn.Sequential) -> onnx.ModelProto:
    names = iter(("conv1", "conv2", "conv3", "score"))
    nodes, tensors, last = [], [], "image"
    count = 0
    for part in net:
        if isinstance(part, torch.nn.Conv2d):
            name = next(names)
            for kind, tensor in (("weight", part.weight), ("bias", part.bias)):
                tensors.append(numpy_helper.from_array(tensor.detach().numpy(), f"{name}.{kind}"))
            nodes.append(helper.make_node("Conv", [last, f"{name}.weight", f"{name}.bias"], [name], name))
        elif isinstance(part, torch.nn.ReLU):
            count += 1
            name = f"relu{count}"
            nodes.append(helper.make_node("Relu", [last], [name], name))
        else:
            name = "pool1"
            nodes.append(
                helper.make_node("MaxPool", [last], [name], name, kernel_shape=[2, 2], strides=[2, 2])
            )
        last = name
    nodes.append(helper.make_node("Sigmoid", [last], ["corners"], "corners"))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "corners",
        [value("image", TensorProto.FLOAT, ["batch", 3, "rows", "columns"])],
        [value("corners", TensorProto.FLOAT, ["batch", 1, "rows out", "columns out"])],
        tensors,
        doc_string="Finds the corners of drawn shapes; trained by samples/train.py.",
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="convcli"
    )
    onnx.checker.check_model(made)
    return made


if __name__ == "__main__":
    (HERE / "corners.onnx").write_bytes(model(trained()).SerializeToString())
