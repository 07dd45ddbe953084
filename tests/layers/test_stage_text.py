"""Stages as text: what is read, and that anything else is an error in one line."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.core.errors import ArgumentError, ConvcliError
from convcli.geometry.padding import Padding
from convcli.kernels.library import load_kernel
from convcli.layers.activations import ACTIVATIONS
from convcli.layers.stage_text import parse_stage
from convcli.layers.stages import ActivationStage, ConvolutionStage, PoolStage

WORDS = (
    *("relu", "clip:", "maxpool", "avgpool", "2x2", "x", "×", "3", "0", "-1", ":", ",", "=", ";", " ", "1/3"),
    *(
        "stride=",
        "padding=",
        "same",
        "dilation=",
        "groups=",
        "flip=yes",
        "bias=",
        "ceil=",
        "box3",
        "gaussian:2",
    ),
    *("threshold:", "leaky-relu:", "RELU", "é", "\n", "e9", "[", "]", "@45", ".npy", "*", "+"),
)


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("relu", ActivationStage("relu")),
        (" ReLU ", ActivationStage("relu")),
        ("relu6", ActivationStage("clip", (Fraction(0), Fraction(6)))),
        ("leaky-relu:0.01", ActivationStage("leaky-relu", (Fraction(1, 100),))),
        ("leaky_relu:1/3", ActivationStage("leaky-relu", (Fraction(1, 3),))),
        ("clip:-1,2.5", ActivationStage("clip", (Fraction(-1), Fraction(5, 2)))),
        ("threshold:128", ActivationStage("threshold", (Fraction(128),))),
        ("maxpool2x2", PoolStage("maxpool", (2, 2), (2, 2), Padding())),
        ("pool3", PoolStage("maxpool", (3, 3), (3, 3), Padding())),
        ("avgpool3x2,stride=1,2", PoolStage("avgpool", (3, 2), (1, 2), Padding())),
        (
            "maxpool3x3,stride=2,padding=1,ceil=yes",
            PoolStage("maxpool", (3, 3), (2, 2), Padding(((1, 1),)), ceiling=True),
        ),
    ],
)
def test_functions_and_pools(text, stage):
    """Names in any case, exact parameters, and a pool's stride, which is its window by default."""
    assert parse_stage(text, load_kernel) == stage


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("box3", "box3", {}),
        ("gaussian:1,size=5,stride=2", "gaussian:1,size=5", {"stride": (2, 2)}),
        ("sobel-x,padding=1,2:edge,stride=2,1", "sobel-x", {"stride": (2, 1), "padding": "1,2:edge"}),
        ("1 0 -1; 2 0 -2,flip=yes,dilation=2", "inline", {"flip": True, "dilation": (2, 2)}),
        ("1,0,-1;2,0,-2,GROUPS=3", "inline", {"groups": 3}),
        ("emboss0,bias=-7/2", "emboss0", {"bias": Fraction(-7, 2)}),
    ],
)
def test_kernels_with_options(text, name, options):
    """Only an option's name ends a kernel's text, which may have commas itself."""
    stage = parse_stage(text, load_kernel)
    assert isinstance(stage, ConvolutionStage)
    assert stage.name == name
    if name != "inline":
        assert np.array_equal(stage.kernel.weights, load_kernel(name).weights)
    assert stage.padding == Padding.parse(options.pop("padding", "same:reflect"))
    assert stage.kernel.bias == options.pop("bias", stage.kernel.bias)
    expected = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "flip": False, **options}
    assert {key: getattr(stage, key) for key in expected} == expected


@given(st.lists(st.sampled_from(WORDS), max_size=8).map("".join))
def test_other_texts_are_one_line(text):
    """No text raises anything but an error of one line."""
    try:
        parse_stage(text, load_kernel)
    except ConvcliError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("padding", ["1:7", "same:wrap", "same:reflect", "same:ignore", "valid:edge", "1:0"])
@pytest.mark.parametrize("pool", ["maxpool3x3", "avgpool3x3"])
def test_pools_refuse_a_fill(pool, padding):
    """A pool has no use for a fill, so one that is given is not dropped in silence."""
    with pytest.raises(ArgumentError, match=f"no fill; use padding={padding.partition(':')[0]}$"):
        parse_stage(f"{pool},padding={padding}", load_kernel)


def test_every_activation_is_read_as_its_usage_says():
    """The usage of each activation, with numbers for its parameters, is valid."""
    for name, activation in ACTIVATIONS.items():
        text = activation.usage.replace("[", "").replace("]", "")
        text = text.replace("LOW", "1").replace("HIGH", "2").replace(":A", ":3")
        assert isinstance(parse_stage(text, load_kernel), ActivationStage), name
