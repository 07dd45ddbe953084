"""Shapes of layers as text and as JSON."""

from __future__ import annotations

import json

from convcli.core.frozen import replace
from convcli.layers.chain import LayerSpec, chain
from convcli.layers.report import as_dict, as_text

LAYERS = [LayerSpec.parse("7x7x64,stride=2,padding=3"), LayerSpec.parse("pool3x3,stride=2,padding=1")]


def test_a_chain_as_text():
    """Each layer's formulas, shapes, cost and code, then the overview and the totals."""
    text = as_text(list(chain((224, 224), 3, LAYERS, None)), ["3", "1"])
    for words in (
        "layer 1: convolution 7×7, 3 → 64 channels",
        "7 · 7 · 3 · 64 + 64 = 9472",
        "112 · 112 · 64 values · 7 · 7 · 3 = 118 013 952",
        "layer 2: max pool 3×3, 64 → 64 channels",
        "padding        1:−∞: top 1, bottom 1, left 1, right 1",
        "torch.nn.MaxPool2d((3, 3), stride=(2, 2), padding=(1, 1))",
        "11 × 11 pixels per value, neighbors 4 × 4 apart",
        "(1, 56, 56, 64) NHWC, (1, 64, 56, 56) NCHW",
        "  2  max pool 3×3, 64 → 64 channels    (1, 56, 56, 64)      11 × 11           0\n",
    ):
        assert words in text, text


def test_a_library_is_named():
    """Its operation, and whether it flips the kernel."""
    layer = LayerSpec.parse("3x3x1,padding=valid")
    for like, words in [("torch", "does not flip the kernel"), ("keras", "does not flip the kernel")]:
        assert words in as_text(list(chain((9, 9), 1, [layer], like)), ["valid"])
    flipped = replace(layer, flip=True)
    assert "which flips the kernel" in as_text(list(chain((9, 9), 1, [flipped], "torch")), ["valid"])


def test_one_layer_and_several_as_json():
    """One layer is an object; several are in a list, with totals."""
    shapes = list(chain((224, 224), 3, LAYERS, None))
    one, both = as_dict(shapes[:1]), as_dict(shapes)
    assert json.loads(json.dumps(one)) == one
    assert one.items() >= both["layers"][0].items()
    assert [layer["output"]["nhwc"] for layer in both["layers"]] == [[1, 112, 112, 64], [1, 56, 56, 64]]
    assert (both["parameters"], both["receptive_field"], both["jump"]) == (9472, [11, 11], [4, 4])
    assert both["layers"][1]["code"]["scipy"] is None


def test_pixels_that_no_window_reads():
    """Each layer counts those of its own input, for dilated and cut windows."""
    layers = [LayerSpec.parse("3x3x1,stride=2,dilation=2"), LayerSpec.parse("pool2x2,stride=3,ceil=yes")]
    report = as_dict(list(chain((65, 65), 1, layers, None)))
    assert [layer["uncovered"] for layer in report["layers"]] == [3136, 31 * 31 - 21 * 21]
