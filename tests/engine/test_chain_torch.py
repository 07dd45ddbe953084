"""Chains, pools and activations are those of PyTorch."""

from __future__ import annotations

import random

import numpy as np
import pytest

from convcli.core.errors import ArgumentError
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from tests.engine.test_chain import planned, run_chain

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

CHAINS, SETTINGS = 310, 300
ACTIVATIONS = (
    ("relu", lambda x: x.relu()),
    ("relu6", torch.nn.functional.relu6),
    ("abs", lambda x: x.abs()),
    ("leaky-relu:0.2", lambda x: torch.nn.functional.leaky_relu(x, 0.2)),
    ("clip:-1,2.5", lambda x: x.clamp(-1, 2.5)),
    ("sigmoid", lambda x: x.sigmoid()),
    ("tanh", lambda x: x.tanh()),
)


def by_torch(x, stage):
    """A stage of a chain in float64."""
    functional = torch.nn.functional
    if stage.kind == "activation":
        numbers = [float(number) for number in stage.arguments]
        return {
            "relu": x.relu,
            "abs": x.abs,
            "leaky-relu": lambda: functional.leaky_relu(x, *numbers),
            "clip": lambda: x.clamp(*numbers),
            "sigmoid": x.sigmoid,
            "tanh": x.tanh,
        }[stage.function]()
    if stage.kind == "pool":
        pads = [pair[0] for pair in stage.padding.pairs(x.shape[2:], stage.window, stage.stride)]
        options = {"stride": stage.stride, "padding": pads, "ceil_mode": stage.ceiling}
        if stage.function == "maxpool":
            return functional.max_pool2d(x, stage.window, dilation=stage.dilation, **options)
        return functional.avg_pool2d(x, stage.window, **options)
    weights = torch.tensor(stage.kernel.weights.reshape(stage.kernel.tensor_shape).copy())
    rows, columns, inputs, _ = weights.shape
    extents = [d * (k - 1) + 1 for d, k in zip(stage.dilation, (rows, columns), strict=True)]
    (top, bottom), (left, right) = stage.padding.pairs(x.shape[2:], extents, stage.stride)
    padded = functional.pad(x, (left, right, top, bottom))
    weights = weights.permute(3, 2, 0, 1)
    channels = x.shape[1]
    groups = 1
    if inputs == 1:
        weights, groups = weights.repeat(channels, 1, 1, 1), channels
    bias = torch.tensor([float(b) for b in stage.kernel.biases] * (channels if groups > 1 else 1)).double()
    if inputs == 1 and channels == 1:
        groups = 1
    return functional.conv2d(
        padded, weights, bias, stride=stage.stride, dilation=stage.dilation, groups=groups
    )


def drawn_pool(draw: random.Random) -> str:
    rows, columns = draw.randint(1, 4), draw.randint(1, 4)
    pads = draw.randint(0, rows // 2), draw.randint(0, columns // 2)
    text = f"{draw.choice(['maxpool', 'avgpool'])}{rows}x{columns}"
    text += f",stride={draw.randint(1, 3)},{draw.randint(1, 3)},padding={pads[0]},{pads[1]}"
    text += draw.choice(["", ",ceil=yes"])
    return text + (draw.choice(["", ",dilation=2,1"]) if text.startswith("max") and not any(pads) else "")


def test_pools_are_those_of_torch():
    """Any window, stride, padding and ceil mode, of floats and of integers; integers exactly."""
    for seed in range(SETTINGS):
        draw, numbers = random.Random(seed), np.random.default_rng(seed)
        text = drawn_pool(draw)
        sizes = numbers.integers(8, 14, 2)
        x = numbers.integers(-50, 50, (1, *sizes, 2)).astype(draw.choice(["int16", "float32"]))
        stage = parse_stage(text, load_kernel)
        expected = by_torch(torch.tensor(x).permute(0, 3, 1, 2).double(), stage)
        found = run_chain(x, planned(x, ["[1],padding=valid", text]))[:, 0].astype(float)
        assert np.allclose(np.moveaxis(found, -1, 1), expected.numpy(), rtol=1e-6, atol=1e-6), (seed, text)


@pytest.mark.parametrize(("text", "function"), ACTIVATIONS, ids=[text for text, _ in ACTIVATIONS])
def test_activations_are_those_of_torch(text, function):
    """Of floats of all magnitudes, infinities and NaN, and of integers."""
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e30, 88.8, -88.8], np.float32)
    drawn = np.random.default_rng(0).normal(0, 3, SETTINGS - len(special)).astype(np.float32)
    for values in (np.concatenate([special, drawn]), np.arange(-20, 21, dtype=np.int16)):
        x = values.reshape(1, 1, -1, 1)
        found = run_chain(x, planned(x, ["[1],padding=valid", text]))[0, 0, 0, :, 0].astype(float)
        expected = function(torch.tensor(values).double()).numpy()
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_float_chains_are_those_of_torch():
    """Stages of every kind over float images, banks and layers included, to float32."""
    skipped = 0
    for seed in range(CHAINS):
        draw, numbers = random.Random(seed), np.random.default_rng(seed)
        kernels = {
            "bank": Kernel(numbers.normal(0, 1, (3, 3, 1, 3)).astype(np.float32), name="bank"),
            "layer": Kernel(
                numbers.normal(0, 0.3, (3, 2, 3, 2)).astype(np.float32), name="layer", bias=(0.5, -1.25)
            ),
            "last": Kernel(numbers.normal(0, 0.3, (2, 3, 2, 2)).astype(np.float32), name="last"),
        }

        def convolution(name: str, draw: random.Random = draw) -> str:
            padding = draw.choice(["valid", "same", "1", "0,1,2,0"])
            stride, dilation = draw.choice("112"), draw.choice("112")
            return f"{name},padding={padding},stride={stride},dilation={dilation}"

        def between(draw: random.Random = draw) -> list[str]:
            return [draw.choice([*(text for text, _ in ACTIVATIONS), drawn_pool(draw)])]

        texts = [convolution("bank"), *between(), convolution("layer"), *between()]
        texts += [convolution(draw.choice(["box3", "sobel-x"])), convolution("last")] if seed % 2 else []
        x = numbers.uniform(0, 1, (1, 24, 27, 1)).astype(np.float32)
        load = lambda name, kernels=kernels: kernels.get(name) or load_kernel(name)  # noqa: E731
        try:
            plan = planned(x, texts, load=load)
        except ArgumentError:
            skipped += 1
            continue
        expected = torch.tensor(x).permute(0, 3, 1, 2).double()
        for text in texts:
            expected = by_torch(expected, parse_stage(text, load))
        found = run_chain(x, plan)[..., 0].astype(float)
        scale = max(float(expected.abs().max()), 1.0)
        assert np.abs(found - expected.numpy()).max() <= 1e-4 * scale, (seed, texts)
    assert CHAINS - skipped >= SETTINGS
