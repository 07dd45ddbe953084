"""What each standard operator does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from convcli.networks.effects import Opaque
from convcli.networks.onnx.elementwise import clip_sign, elementwise
from convcli.networks.onnx.matrices import einsum, gemm, gemm_products, matrix_product, matrix_products
from convcli.networks.onnx.operator import Described, Operator, Rule, kept_sign, positive
from convcli.networks.onnx.reductions import (
    along_axes,
    along_axis,
    group_normalization,
    instance_normalization,
    largest,
    layer_normalization,
    reduction,
    softmax,
)
from convcli.networks.onnx.resampling import resize
from convcli.networks.onnx.shapes import (
    concat,
    depth_to_space,
    gather,
    pad,
    reshape,
    slices,
    space_to_depth,
    split,
    transpose,
)
from convcli.networks.onnx.windows import (
    convolution,
    convolution_products,
    global_pool,
    transposed,
    transposed_products,
)

_ELEMENTWISE: Final = (
    *("Neg", "Sign", "Ceil", "Floor", "Round", "Reciprocal", "Log", "Erf", "Not"),
    *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Tanh", "IsInf", "IsNaN", "BitShift"),
    *("LeakyRelu", "ThresholdedRelu", "Elu", "Celu", "Selu", "Gelu", "Mish", "Swish"),
    *("HardSwish", "Softsign", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear"),
    *("Sub", "Div", "Mod", "Pow", "Where"),
    *("And", "Or", "Xor", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
)
_POSITIVE: Final = ("Abs", "Sqrt", "Exp", "Relu", "Sigmoid", "HardSigmoid", "Softplus")
"""Elementwise operators whose values are never below 0."""
_KEPT: Final = ("Identity", "Dropout", "LRN", "Add", "Mul", "Sum", "Mean", "Min", "Max")
"""Elementwise operators whose values are not below 0 where those of their inputs are not."""
_REDUCED: Final = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

OPERATORS: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_ELEMENTWISE, Rule(elementwise)),
    **dict.fromkeys(_POSITIVE, Rule(elementwise, positive)),
    **dict.fromkeys(_KEPT, Rule(elementwise, kept_sign)),
    "Clip": Rule(elementwise, clip_sign, "none"),
    "Expand": Rule(elementwise, constants="none"),
    **dict.fromkeys(("PRelu", "BatchNormalization"), Rule(elementwise, constants="all")),
    "Conv": Rule(convolution, constants="all", products=convolution_products),
    "ConvInteger": Rule(convolution, constants="all", places=(1,), products=convolution_products),
    "QLinearConv": Rule(convolution, constants="all", places=(3, 8), products=convolution_products),
    "ConvTranspose": Rule(transposed, constants="all", products=transposed_products),
    **dict.fromkeys(("MaxPool", "AveragePool"), Rule(convolution, kept_sign)),
    "LpPool": Rule(convolution),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), Rule(global_pool, kept_sign)),
    "GlobalLpPool": Rule(global_pool),
    "Gemm": Rule(gemm, constants="all", products=gemm_products),
    "MatMul": Rule(matrix_product, constants="all", products=matrix_products),
    "MatMulInteger": Rule(matrix_product, constants="all", places=(1,), products=matrix_products),
    "QLinearMatMul": Rule(matrix_product, constants="all", places=(3,), products=matrix_products),
    "Einsum": Rule(einsum),
    **dict.fromkeys([f"Reduce{kind}" for kind in _REDUCED], Rule(reduction)),
    **dict.fromkeys(("ArgMax", "ArgMin"), Rule(largest)),
    "Softmax": Rule(softmax, positive),
    **dict.fromkeys(("LogSoftmax", "Hardmax"), Rule(softmax)),
    "InstanceNormalization": Rule(instance_normalization, constants="all"),
    "GroupNormalization": Rule(group_normalization, constants="all"),
    "LayerNormalization": Rule(layer_normalization, constants="all"),
    "RMSNormalization": Rule(layer_normalization),
    "MeanVarianceNormalization": Rule(along_axes),
    **dict.fromkeys(("LpNormalization", "CumSum"), Rule(along_axis)),
    "Concat": Rule(concat, kept_sign),
    "Flatten": Rule(reshape, kept_sign),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), Rule(reshape)),
    "Transpose": Rule(transpose, kept_sign),
    "Pad": Rule(pad, constants="none"),
    "Slice": Rule(slices, constants="none"),
    "Split": Rule(split),
    "Gather": Rule(gather),
    "DepthToSpace": Rule(depth_to_space),
    "SpaceToDepth": Rule(space_to_depth),
    **dict.fromkeys(("Resize", "Upsample"), Rule(resize, constants="none")),
}
"""Other operators are named in the table, and nothing after them is guessed."""


def _opaque(operator: Operator) -> Described:
    return Opaque(), ""


UNKNOWN: Final = Rule(_opaque)
"""The rule of operators that are not in the table."""
