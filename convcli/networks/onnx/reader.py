"""The network of an ONNX model, with shapes from onnx and each operator as one of a few effects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from convcli.core.errors import one_line, quoted
from convcli.networks.effects import Effect, Elementwise, Opaque
from convcli.networks.graph import Network, Node, Sizes, no_values
from convcli.networks.onnx.constants import SHAPE_OF, Constants
from convcli.networks.onnx.file import (
    STANDARD,
    image_input,
    inferred,
    load,
    nested_graphs,
    required,
    sized,
    stated_sizes,
)
from convcli.networks.onnx.operator import Operator, Rule, Unclear
from convcli.networks.onnx.registry import OPERATORS, UNKNOWN
from convcli.networks.onnx.sorting import read_names, sort_nodes, unique_names
from convcli.networks.sizing import input_sizes

_MOST_ROUNDS: Final = 64  # of shapes that depend on sizes, which depend on shapes


def read(path: Path, image: tuple[int, int, int] | None) -> Network:
    """The network of an ONNX file for an image of (rows, columns, channels).

    Args:
        image: None for the sizes that the model states, which may be unknown.

    Raises:
        NetworkError: not an ONNX model, or one that this image does not fit.
    """
    place = one_line(str(path))
    onnx = required("onnx", place)
    for module in ("onnx.shape_inference", "onnx.reference"):
        required(module, place)
    model = load(path)
    sort_nodes(model.graph, place)
    entry = image_input(model, place)
    name = entry.name
    sizes, layout = input_sizes(stated_sizes(entry), image, place)
    model = sized(onnx, model, entry, sizes, place)
    for _ in range(_MOST_ROUNDS):
        reader = _Reader(onnx, model, place)
        network = reader.network(name, layout)
        if network.is_sized or image is None or not reader.constants.fold(model.graph.node):
            break
        model = inferred(onnx, model, place)
    return network


class _Reader:
    """One model whose shapes have been inferred."""

    def __init__(self, onnx: Any, model: Any, place: str) -> None:
        self.onnx, self.graph, self.place = onnx, model.graph, place
        self.version = next((entry.version for entry in model.opset_import if entry.domain in STANDARD), 1)
        entries = (*self.graph.input, *self.graph.value_info, *self.graph.output)
        self.sizes: dict[str, Sizes | None] = {entry.name: _sizes(entry) for entry in entries}
        self.constants = Constants(onnx, model, place, self.sizes)

    def network(self, image: str, layout: str) -> Network:
        """The network of this model."""
        names = unique_names(self.graph.node)
        pairs = zip(self.graph.node, names, strict=True)
        nodes = [made for node, name in pairs if (made := self._node(node, name))]
        outputs = tuple(entry.name for entry in self.graph.output)
        return Network(self.place, image, layout, tuple(nodes), self.sizes, outputs)

    def _node(self, node: Any, name: str) -> Node | None:
        """A node, or None if its outputs are constants."""
        attributes = {entry.name: self.onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        constant = self.constants.trained
        inputs = tuple(dict.fromkeys(used for used in read_names(node) if used not in constant))
        if node.op_type in SHAPE_OF or not inputs:
            self.constants.add(node, attributes)
            return None
        outputs = tuple(filter(None, node.output))
        for used in inputs if not outputs else (*inputs, *outputs):
            self.sizes.setdefault(used, None)
        return self._computed(node, name, attributes, inputs, outputs) if outputs else None

    def _computed(
        self,
        node: Any,
        name: str,
        attributes: Mapping[str, Any],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
    ) -> Node:
        """A node whose outputs depend on the image."""
        is_standard = node.domain in STANDARD
        rule = OPERATORS.get(node.op_type, UNKNOWN)
        operator = self._operator(node, rule, attributes, inputs, outputs[0])
        self._check_not_empty(operator, name, outputs)
        effect, details = _effect(node, operator, rule if is_standard else UNKNOWN)
        parameters = self.constants.parameters(node, rule)
        return Node(
            name,
            node.op_type if is_standard else f"{node.domain}.{node.op_type}",
            inputs,
            outputs,
            effect,
            details,
            parameters,
            rule.products(operator),
            isinstance(effect, Elementwise) and len(inputs) == 1 and not parameters,
            rule.sign(operator) if is_standard else "any",
        )

    def _operator(
        self, node: Any, rule: Rule, attributes: Mapping[str, Any], inputs: tuple[str, ...], result: str
    ) -> Operator:
        values, trained, known = self.constants.values, self.constants.trained, list(enumerate(node.input))
        weights = {index: self.sizes.get(used) or () for index, used in known if used and used in trained}
        return Operator(
            node.op_type,
            self.version,
            attributes,
            self.sizes[inputs[0]] or (),
            self.sizes[result] or (),
            {index: values[used] for index, used in known if used in values},
            weights,
            len(inputs),
            weights.get(rule.places[0] if rule.places else 1, ()),
        )

    def _check_not_empty(self, operator: Operator, name: str, outputs: tuple[str, ...]) -> None:
        made = [size for name in outputs for size in self.sizes[name] or ()]
        is_given = bool(operator.input) and 0 not in operator.input
        if is_given and any(size is not None and size <= 0 for size in made):
            raise no_values(f"node {quoted(name)}", operator.kind, operator.input, self.place)


def _effect(node: Any, operator: Operator, rule: Rule) -> tuple[Effect, str]:
    """What a node does, and its window as text."""
    if any(nested_graphs(entry) for entry in node.attribute):
        return Opaque(), ""
    try:
        return rule.effect(operator)
    except (Unclear, TypeError, ValueError, IndexError, ZeroDivisionError):
        return Opaque(), ""


def _sizes(entry: Any) -> Sizes | None:
    kind = entry.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
