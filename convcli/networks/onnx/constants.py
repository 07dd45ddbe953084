"""The constants of an ONNX model: small values, such as sizes, and trained tensors."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

import numpy as np

from convcli.core.errors import one_line
from convcli.networks.graph import NetworkError, Sizes
from convcli.networks.onnx.file import SMALL, STANDARD
from convcli.networks.onnx.operator import Rule

SHAPE_OF: Final = ("Shape", "Size")
"""Operators whose result depends on the shape of their input alone."""
_COMPUTED: Final = (
    *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Min", "Max", "Ceil", "Floor", "Equal", "Greater", "Less"),
    *("Cast", "Identity", "Where", "ReduceProd", "Concat", "Gather", "Slice", "Reshape", "Transpose"),
    *("Squeeze", "Unsqueeze", "ConstantOfShape", "Expand", "Not", "And", "Or"),
)
"""Operators that are computed for small constants: with a few inputs, their results are small."""


class Constants:
    """All tensors of a model that depend on no image.

    Attributes:
        sizes: of all tensors, by name; tensors of Constant nodes are added.
        trained: every constant, with the trained tensors that it is made of: their numbers of values by name.
        values: of small constants, by name.
    """

    def __init__(self, onnx: Any, model: Any, place: str, sizes: dict[str, Sizes | None]) -> None:
        self.onnx, self.place, self.sizes = onnx, place, sizes
        self.opsets = list(model.opset_import)
        self.trained: dict[str, Mapping[str, int]] = {"": {}}
        self.values: dict[str, Any] = {}
        for tensor in model.graph.initializer:
            self._add_tensor(tensor.name, tensor, trained=True)

    def add(self, node: Any, attributes: Mapping[str, Any]) -> None:
        """The outputs of a node that depends on no image."""
        first = "DequantizeLinear" in node.op_type
        behind: dict[str, int] = {}
        for used in list(node.input)[: 1 if first else None]:
            behind |= self.trained.get(used, {})
        for made in node.output:
            self.trained[made] = {} if node.op_type in SHAPE_OF else behind
        if node.op_type == "Constant" and node.domain in STANDARD:
            self._add_stored(node.output[0], attributes)
        elif node.op_type == "Shape":
            sizes = self.sizes.get(node.input[0])
            if sizes is not None and None not in sizes:
                part = slice(attributes.get("start", 0), attributes.get("end"))
                self.values[node.output[0]] = np.array(sizes[part], np.int64)
        elif node.op_type in _COMPUTED and node.domain in STANDARD:
            self._compute(node)

    def parameters(self, node: Any, rule: Rule) -> Mapping[str, int]:
        """The trained tensors that a node uses: their numbers of values by name."""
        trained: dict[str, int] = {}
        for place in rule.places or range(len(node.input)):
            used = node.input[place] if place < len(node.input) else ""
            trained |= self.trained.get(used, {})
        match rule.constants:
            case "none":
                return {}
            case "all":
                return {key.lstrip("\0"): count for key, count in trained.items()}
        return {key: count for key, count in trained.items() if count > 1 and not key.startswith("\0")}

    def fold(self, nodes: Any) -> bool:
        """Replace nodes by their values where these are small constants, such as sizes.

        Returns whether there are any.
        Then onnx infers more shapes: it follows only some of the operators that compute with sizes.
        """
        folded = False
        for node in nodes:
            known = all(name in self.values and not self.trained[name] for name in node.output)
            if node.op_type == "Constant" or not known or not node.output:
                continue
            name, value = node.output[0], self.values[node.output[0]]
            if len(node.output) == 1:
                node.CopyFrom(
                    self.onnx.helper.make_node(
                        "Constant", [], [name], node.name, value=self.onnx.numpy_helper.from_array(value)
                    )
                )
                folded = True
        return folded

    def _add_tensor(self, name: str, tensor: Any, trained: bool) -> None:
        """A constant that the file stores."""
        types = self.onnx.TensorProto
        is_float = tensor.data_type in (types.FLOAT, types.FLOAT16, types.DOUBLE, types.BFLOAT16)
        is_quantized = tensor.data_type in (types.INT8, types.UINT8, types.INT32) and len(tensor.dims) > 0
        self.sizes[name] = tuple(tensor.dims)
        self.trained[name] = {name: prod(tensor.dims)} if is_float or is_quantized else {}
        if not trained:
            self.trained[name] = {f"\0{key}": count for key, count in self.trained[name].items()}
        if prod(tensor.dims) <= SMALL and not tensor.external_data:
            try:
                self.values[name] = self.onnx.numpy_helper.to_array(tensor)
            except (ValueError, TypeError) as error:
                where = f"{self.place}:{one_line(name)}"
                raise NetworkError(f"{where}: damaged: {one_line(str(error))}") from error

    def _add_stored(self, name: str, attributes: Mapping[str, Any]) -> None:
        """The value of a Constant node."""
        for key, value in attributes.items():
            if key == "value":
                self._add_tensor(name, value, trained=False)
            elif key in ("value_int", "value_ints", "value_float", "value_floats"):
                self.values[name] = np.array(value)

    def _compute(self, node: Any) -> None:
        """The values of a node's outputs, where all inputs are small constants."""
        used = [entry for entry in node.input if entry]
        if not all(entry in self.values for entry in used):
            return
        if node.op_type in ("ConstantOfShape", "Expand") and not _is_small(self.values[used[-1]]):
            return
        helper = self.onnx.helper
        kinds = [helper.make_tensor_value_info(entry, 0, None) for entry in used]
        results = [helper.make_tensor_value_info(entry, 0, None) for entry in node.output]
        model = helper.make_model(helper.make_graph([node], "g", kinds, results), opset_imports=self.opsets)
        try:
            made = self.onnx.reference.ReferenceEvaluator(model).run(
                None, {entry: np.asarray(self.values[entry]) for entry in used}
            )
        except Exception:  # what a damaged or unusual node raises; its value stays unknown
            return
        self.values |= {
            name: np.asarray(value)
            for name, value in zip(node.output, made, strict=False)
            if np.size(value) <= SMALL
        }


def _is_small(shape: Any) -> bool:
    """Whether a tensor of this shape has few values."""
    sizes = [int(size) for size in np.ravel(shape)]
    return all(size >= 0 for size in sizes) and prod(sizes) <= SMALL
