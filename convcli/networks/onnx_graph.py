"""The graph of an ONNX model, with shapes from onnx and each operator as one of a few effects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from math import lcm, prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.errors import one_line, quoted
from convcli.core.frozen import frozen
from convcli.networks.graph import (
    Effect,
    Elementwise,
    Joining,
    Mixing,
    Network,
    NetworkError,
    Node,
    Opaque,
    Permuting,
    Reducing,
    Reshaping,
    Scaling,
    Sizes,
    Sliding,
    Taps,
    window_text,
)
from convcli.networks.onnx_file import SMALL, image_input, inferred, load, required, sized, stated_sizes
from convcli.networks.sizing import input_sizes

_MOST_ROUNDS: Final = 64  # of shapes that depend on sizes, which depend on shapes
_STANDARD: Final = ("", "ai.onnx")
_SHAPE_OF: Final = ("Shape", "Size")
"""Operators whose result depends on the shape of their input alone."""
_COMPUTED: Final = (
    *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Min", "Max", "Ceil", "Floor", "Equal", "Greater", "Less"),
    *("Cast", "Identity", "Where", "ReduceProd", "Concat", "Gather", "Slice", "Reshape", "Transpose"),
    *("Squeeze", "Unsqueeze", "ConstantOfShape", "Expand", "Not", "And", "Or"),
)
"""Operators that are computed for small constants: with a few inputs, their results are small."""
_UNTRAINED: Final = ("Resize", "Upsample", "Pad", "Clip", "Slice", "Expand")
"""Operators whose constants are settings."""
_WEIGHTED: Final = (
    *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv"),
    *("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "PRelu"),
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization"),
)
"""Operators all of whose constants are trained, even single numbers and those of Constant nodes."""
_PLACES: Final = {"QLinearConv": (3, 8), "QLinearMatMul": (3,), "ConvInteger": (1,), "MatMulInteger": (1,)}
"""Inputs with trained values, where others are scales and zero points."""


_POSITIVE: Final = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Exp", "Abs", "Sqrt")
"""Operators whose values are never below 0."""
_KEPT: Final = (
    *("Identity", "Dropout", "Add", "Mul", "Sum", "Max", "Min", "Mean", "Concat", "Transpose"),
    *("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "LRN", "Flatten"),
)
"""Operators whose values are not below 0 where those of their inputs are not."""


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
        if network.is_sized or image is None or not reader.fold():
            break
        model = inferred(onnx, model, place)
    return network


class _Unclear(Exception):  # noqa: N818 - caught where effects are asked for
    """What an operator does depends on values that are not known."""


@frozen(eq=False)
class _Operator:
    """A node with all that its effect depends on.

    Attributes:
        version: of the operator set.
        input, result: sizes of its first input and its first output.
        values: the small constants among its inputs, by position.
        weights: the sizes of constant inputs, by position.
        shared: how many of its inputs are not constants.
    """

    kind: str
    version: int
    attributes: Mapping[str, Any]
    input: Sizes
    result: Sizes
    values: Mapping[int, Any]
    weights: Mapping[int, Sizes]
    shared: int

    def number(self, name: str, default: int) -> int:
        return int(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def numbers(self, name: str, default: Iterable[int]) -> list[int]:
        return [int(value) for value in self.attributes.get(name, default)]

    def listed(self, name: str, position: int, default: Iterable[int] | None = None) -> list[int]:
        """Numbers that are an attribute in old versions, and an input in new ones."""
        if name in self.attributes:
            return [int(entry) for entry in np.ravel(self.attributes[name])]
        if position in self.values:
            return [int(entry) for entry in np.ravel(self.values[position])]
        if default is None or position in self.weights:
            raise _Unclear(name)
        return list(default)

    def axes(self, axes: Iterable[int]) -> frozenset[int]:
        """Axes of the input, counted from the front."""
        return frozenset(axis % max(len(self.input), 1) for axis in axes)

    @property
    def spatial(self) -> range:
        """The axes after batch and channels."""
        return range(2, len(self.input))


class _Reader:
    """One model whose shapes have been inferred."""

    def __init__(self, onnx: Any, model: Any, place: str) -> None:
        self.onnx, self.graph, self.place = onnx, model.graph, place
        self.opsets = list(model.opset_import)
        self.version = next((entry.version for entry in self.opsets if entry.domain in _STANDARD), 1)
        entries = (*self.graph.input, *self.graph.value_info, *self.graph.output)
        self.sizes: dict[str, Sizes | None] = {entry.name: _sizes(entry) for entry in entries}
        self.trained: dict[str, Mapping[str, int]] = {"": {}}
        """Every constant, with the trained tensors that it is made of: their numbers of values by name."""
        self.values: dict[str, Any] = {}
        for tensor in self.graph.initializer:
            self._add_tensor(tensor.name, tensor, trained=True)

    def network(self, image: str, layout: str) -> Network:
        """The network of this model."""
        names = _unique_names(self.graph.node)
        pairs = zip(self.graph.node, names, strict=True)
        nodes = [made for node, name in pairs if (made := self._node(node, name))]
        outputs = tuple(entry.name for entry in self.graph.output)
        return Network(self.place, image, layout, tuple(nodes), self.sizes, outputs)

    def fold(self) -> bool:
        """Replace nodes by their values where these are small constants, such as sizes.

        Returns whether there are any.
        Then onnx infers more shapes: it follows only some of the operators that compute with sizes.
        """
        folded = False
        for node in self.graph.node:
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

    def _node(self, node: Any, name: str) -> Node | None:
        """A node, or None if its outputs are constants."""
        attributes = {entry.name: self.onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        inputs = tuple(dict.fromkeys(used for used in read_names(node) if used not in self.trained))
        if node.op_type in _SHAPE_OF or not inputs:
            self._add_constants(node, attributes)
            return None
        for used in inputs:
            if used not in self.sizes:
                self.sizes[used] = None
        outputs = tuple(filter(None, node.output))
        if not outputs:
            return None
        for made in outputs:
            self.sizes.setdefault(made, None)
        operator = self._operator(node, attributes, inputs, outputs)
        self._check_not_empty(operator, name, outputs)
        effect, details = self._effect(node, operator)
        parameters = self._parameters(node, operator)
        return Node(
            name,
            node.op_type if node.domain in _STANDARD else f"{node.domain}.{node.op_type}",
            inputs,
            outputs,
            effect,
            details,
            parameters,
            _multiply_adds(operator),
            isinstance(effect, Elementwise) and len(inputs) == 1 and not parameters,
            _sign(operator) if node.domain in _STANDARD else "any",
        )

    def _operator(
        self, node: Any, attributes: Mapping[str, Any], inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> _Operator:
        known = list(enumerate(node.input))
        return _Operator(
            node.op_type,
            self.version,
            attributes,
            self.sizes.get(inputs[0]) or (),
            (self.sizes[outputs[0]] if outputs else None) or (),
            {index: self.values[used] for index, used in known if used in self.values},
            {index: self.sizes.get(used) or () for index, used in known if used and used in self.trained},
            len(inputs),
        )

    def _check_not_empty(self, operator: _Operator, name: str, outputs: tuple[str, ...]) -> None:
        if operator.input and 0 not in operator.input:
            for made in outputs:
                sizes = self.sizes[made] or ()
                if any(size is not None and size <= 0 for size in sizes):
                    where = f"{self.place}: node {quoted(name)} ({one_line(operator.kind)})"
                    shape = "×".join(map(str, operator.input))
                    raise NetworkError(f"{where} makes no values of its {shape} input; use a larger image")

    def _effect(self, node: Any, operator: _Operator) -> tuple[Effect, str]:
        """What a node does, and its window as text."""
        make = _EFFECTS.get(node.op_type) if node.domain in _STANDARD else None
        if make is None or any(_graphs(entry) for entry in node.attribute):
            return Opaque(), ""
        try:
            return make(operator)
        except (_Unclear, TypeError, ValueError, IndexError, ZeroDivisionError):
            return Opaque(), ""

    def _parameters(self, node: Any, operator: _Operator) -> Mapping[str, int]:
        """The trained tensors that a node uses."""
        if node.op_type in _UNTRAINED:
            return {}
        places = _PLACES.get(node.op_type, range(len(node.input)))
        trained: dict[str, int] = {}
        for place in places:
            used = node.input[place] if place < len(node.input) else ""
            trained |= self.trained.get(used, {})
        if node.op_type in _WEIGHTED:
            return {key.lstrip("\0"): count for key, count in trained.items()}
        return {key: count for key, count in trained.items() if count > 1 and not key.startswith("\0")}

    def _add_constants(self, node: Any, attributes: Mapping[str, Any]) -> None:
        """The outputs of a node that depends on no image."""
        first = "DequantizeLinear" in node.op_type
        behind: dict[str, int] = {}
        for used in list(node.input)[: 1 if first else None]:
            behind |= self.trained.get(used, {})
        for made in node.output:
            self.trained[made] = {} if node.op_type in _SHAPE_OF else behind
        if node.op_type == "Constant" and node.domain in _STANDARD:
            self._add_stored(node.output[0], attributes)
        elif node.op_type == "Shape":
            sizes = self.sizes.get(node.input[0])
            if sizes is not None and None not in sizes:
                part = slice(attributes.get("start", 0), attributes.get("end"))
                self.values[node.output[0]] = np.array(sizes[part], np.int64)
        elif node.op_type in _COMPUTED and node.domain in _STANDARD:
            self._compute(node)

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


def _sizes(entry: Any) -> Sizes | None:
    kind = entry.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)


def _unique_names(nodes: Any) -> list[str]:
    """A name for each node: its own, or that of its first output if another node has it too."""
    own = [node.name for node in nodes]
    counts = {name: own.count(name) for name in set(own)} if len(own) != len(set(own)) else {}
    return [
        node.name
        if node.name and counts.get(node.name, 1) == 1
        else next(filter(None, node.output), f"node {index}")
        for index, node in enumerate(nodes)
    ]


def sort_nodes(graph: Any, place: str) -> None:
    """Put nodes after those that they read.

    Raises:
        NetworkError: they form a cycle, or read or compute tensors that they cannot.
    """
    nodes = list(graph.node)
    stored = {entry.name for entry in (*graph.input, *graph.initializer)}
    stored |= {entry.values.name for entry in graph.sparse_initializer}
    made = [name for node in nodes for name in node.output if name]
    producers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    twice = next((name for name in made if name in stored), None) if len(producers) == len(made) else made[0]
    if twice is not None:
        raise NetworkError(f"{place}: damaged: tensor {quoted(twice)} is computed twice, or is an input")
    needed = {index: set(read_names(node)) - stored for index, node in enumerate(nodes)}
    for index, names in needed.items():
        for name in names - producers.keys():
            raise NetworkError(
                f"{place}: damaged: node {quoted(_label(nodes[index]))} reads {quoted(name)}, "
                "which nothing computes"
            )
    earlier = {index: {producers[name] for name in names} for index, names in needed.items()}
    if all(index > other for index, others in earlier.items() for other in others):
        return
    try:
        order = list(TopologicalSorter(earlier).static_order())
    except CycleError as error:
        cycle = " → ".join(one_line(_label(nodes[index])) for index in error.args[1][:5])
        raise NetworkError(f"{place}: nodes form a cycle: {cycle}") from error
    copies = [type(nodes[index]).FromString(nodes[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(copies)


def _label(node: Any) -> str:
    return str(node.name or next(filter(None, node.output), node.op_type))


def read_names(node: Any) -> Iterable[str]:
    """The names of the tensors that a node reads, in its nested graphs too."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in _graphs(attribute):
            yield from _used(graph)


def _graphs(attribute: Any) -> list[Any]:
    """The graphs inside an attribute."""
    return ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs)


def _used(graph: Any) -> Iterable[str]:
    """The names of tensors outside a nested graph that it reads."""
    own = {entry.name for entry in (*graph.input, *graph.initializer)}
    own |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        yield from (name for name in node.input if name and name not in own)
        for attribute in node.attribute:
            for nested in _graphs(attribute):
                yield from (name for name in _used(nested) if name not in own)


def _sign(operator: _Operator) -> str:
    """Whether values are never below 0: ``positive``, ``kept`` where inputs are not, or ``any``."""
    if operator.kind in _POSITIVE:
        return "positive"
    if operator.kind == "Clip":
        low = operator.attributes.get("min", operator.values.get(1))
        return "positive" if low is not None and np.size(low) == 1 and np.ravel(low)[0] >= 0 else "any"
    return "kept" if operator.kind in _KEPT and not operator.weights else "any"


def _multiply_adds(operator: _Operator) -> int | None:
    """The products of a convolution or a matrix product; 0 for other operators."""
    position = _PLACES.get(operator.kind, (1,))[0]
    weights = operator.weights.get(position)
    if operator.kind in ("Conv", "QLinearConv", "ConvInteger"):
        return _product(operator.result, weights and weights[1:])
    if operator.kind == "ConvTranspose":
        return _product(operator.input, weights and weights[1:])
    if operator.kind == "Gemm":
        axis = 0 if operator.number("transA", 0) else 1
        return _product(operator.result, operator.input[axis : axis + 1])
    if operator.kind in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return _product(operator.result, operator.input[-1:])
    return 0


def _product(*sizes: Sizes | None) -> int | None:
    """The product of all sizes; None if any is unknown."""
    total = 1
    for entry in sizes:
        if not entry or None in entry:
            return None
        total *= prod(size for size in entry if size is not None)
    return total


_Effect = tuple[Effect, str]


def _elementwise(operator: _Operator) -> _Effect:
    return Elementwise(), ""


def _convolution(operator: _Operator) -> _Effect:
    """A convolution, whose window is that of its weights, or a pool, whose window is an attribute."""
    position = _PLACES.get(operator.kind, (1,))[0]
    weights = operator.weights.get(position, ())
    window = operator.numbers("kernel_shape", [size or 0 for size in weights[2:]])
    axes = operator.spatial
    if not window or len(window) != len(axes):
        raise _Unclear
    strides = operator.numbers("strides", [1] * len(axes))
    dilations = operator.numbers("dilations", [1] * len(axes))
    taps = dict[int, Taps | Scaling]()
    for index, axis in enumerate(axes):
        extent = (window[index] - 1) * dilations[index] + 1
        before = _padding_before(operator, index, axis, extent, strides[index])
        taps[axis] = Taps(window[index], strides[index], dilations[index], before)
    groups = operator.number("group", 1)
    return Sliding(taps, _channels(weights)), window_text(window, strides, dilations, groups)


def _channels(weights: Sizes) -> frozenset[int]:
    """The channels are read together by what has weights; pools take each by itself."""
    return frozenset({1}) if weights else frozenset()


def _padding_before(operator: _Operator, index: int, axis: int, extent: int, stride: int) -> int:
    automatic = operator.text("auto_pad", "NOTSET")
    if not automatic.startswith("SAME"):
        pads = operator.numbers("pads", [0] * 2 * len(operator.spatial))
        return 0 if automatic == "VALID" else pads[index]
    size = operator.input[axis]
    if size is None:
        raise _Unclear
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2 if automatic == "SAME_UPPER" else total - total // 2


def _transposed(operator: _Operator) -> _Effect:
    weights, axes = operator.weights.get(1, ()), operator.spatial
    window = operator.numbers("kernel_shape", [size or 0 for size in weights[2:]])
    if not window or len(window) != len(axes):
        raise _Unclear
    strides = operator.numbers("strides", [1] * len(axes))
    dilations = operator.numbers("dilations", [1] * len(axes))
    pads = operator.numbers("pads", [0] * 2 * len(axes))
    extra = operator.numbers("output_padding", [0] * len(axes))
    automatic = operator.text("auto_pad", "NOTSET")
    taps = dict[int, Taps | Scaling]()
    for index, axis in enumerate(axes):
        extent = (window[index] - 1) * dilations[index] + 1
        before = 0 if automatic == "VALID" else pads[index]
        if automatic.startswith("SAME") or "output_shape" in operator.attributes:
            size, made = operator.input[axis], operator.result[axis]
            if size is None or made is None:
                raise _Unclear
            total = max(strides[index] * (size - 1) + extra[index] + extent - made, 0)
            before = total // 2 if automatic == "SAME_UPPER" else total - total // 2
        taps[axis] = Taps(window[index], 1, dilations[index], extent - 1 - before, up=strides[index])
    return Sliding(taps), window_text(window, strides, dilations, operator.number("group", 1), up=True)


def _global(operator: _Operator) -> _Effect:
    return Reducing(frozenset(operator.spatial), keeps=True), ""


def _reduction(operator: _Operator) -> _Effect:
    axes = operator.axes(operator.listed("axes", 1, range(len(operator.input))))
    if not axes and operator.number("noop_with_empty_axes", 0):
        return Elementwise(), ""
    axes = axes or frozenset(range(len(operator.input)))
    return Reducing(axes, bool(operator.number("keepdims", 1))), f"axes {', '.join(map(str, sorted(axes)))}"


def _largest(operator: _Operator) -> _Effect:
    axes = operator.axes([operator.number("axis", 0)])
    return Reducing(axes, bool(operator.number("keepdims", 1))), ""


def _softmax(operator: _Operator) -> _Effect:
    if operator.version >= 13:
        return Mixing(operator.axes([operator.number("axis", -1)])), ""
    first = operator.number("axis", 1) % max(len(operator.input), 1)
    return Mixing(frozenset(range(first, len(operator.input)))), ""


def _normalization(operator: _Operator) -> _Effect:
    """Normalizations whose mean and deviation are those of the tensor itself."""
    count = len(operator.input)
    match operator.kind:
        case "InstanceNormalization":
            axes = range(2, count)
        case "GroupNormalization":
            axes = range(1, count)
        case "MeanVarianceNormalization":
            return Mixing(operator.axes(operator.numbers("axes", (0, 2, 3)))), ""
        case "LpNormalization" | "CumSum":
            return Mixing(operator.axes([operator.number("axis", -1)])), ""
        case _:
            axes = range(operator.number("axis", -1) % max(count, 1), count)
    return Mixing(frozenset(axes)), ""


def _matrix_product(operator: _Operator) -> _Effect:
    if operator.shared > 1:
        return Joining(frozenset(range(max(len(operator.input), len(operator.result))))), ""
    if operator.kind == "Gemm":
        return Sliding({}, frozenset((0, 1))), ""
    if 0 in operator.weights:  # the constant is on the left
        return Sliding({}, operator.axes([-2])), ""
    return Sliding({}, operator.axes([-1])), ""


def _einsum(operator: _Operator) -> _Effect:
    return Joining(frozenset(range(max(len(operator.input), len(operator.result))))), ""


def _concat(operator: _Operator) -> _Effect:
    return Joining(operator.axes([operator.number("axis", 1)])), ""


def _reshape(operator: _Operator) -> _Effect:
    return Reshaping(), ""


def _transpose(operator: _Operator) -> _Effect:
    order = operator.numbers("perm", reversed(range(len(operator.input))))
    return Permuting(tuple(order)), ", ".join(map(str, order))


def _pad(operator: _Operator) -> _Effect:
    if "paddings" in operator.attributes:
        pads = operator.numbers("paddings", ())
    else:
        pads = operator.listed("pads", 1)
    count = len(pads) // 2
    axes = operator.listed("axes", 3, range(count))
    before = {axis % len(operator.input): Taps(before=pads[index]) for index, axis in enumerate(axes)}
    return Sliding(before, frozenset()), ""


def _slice(operator: _Operator) -> _Effect:
    starts = operator.listed("starts", 1)
    axes = operator.listed("axes", 3, range(len(starts)))
    steps = operator.listed("steps", 4, [1] * len(starts))
    taps = dict[int, Taps | Scaling]()
    for start, axis, step in zip(starts, axes, steps, strict=True):
        size = operator.input[axis % len(operator.input)]
        if size is None or step < 1:
            raise _Unclear
        first = min(max(start + size, 0) if start < 0 else start, size)
        taps[axis % len(operator.input)] = Taps(stride=step, before=-first)
    return Sliding(taps, frozenset()), ""


def _split(operator: _Operator) -> _Effect:
    return Sliding({}, operator.axes([operator.number("axis", 0)])), ""


def _gather(operator: _Operator) -> _Effect:
    if 1 not in operator.weights or operator.shared > 1:
        raise _Unclear
    axes = operator.axes([operator.number("axis", 0)])
    if operator.weights[1] == ():
        return Reducing(axes, keeps=False), ""
    if len(operator.weights[1]) == 1:
        return Sliding({}, axes), ""
    raise _Unclear


def _depth_to_space(operator: _Operator) -> _Effect:
    size = operator.number("blocksize", 1)
    taps = Taps(size, before=size - 1, up=size)
    return Sliding(dict.fromkeys(operator.spatial, taps)), f"{size}×{size}"


def _space_to_depth(operator: _Operator) -> _Effect:
    size = operator.number("blocksize", 1)
    return Sliding(dict.fromkeys(operator.spatial, Taps(size, size))), f"{size}×{size}"


def _resize(operator: _Operator) -> _Effect:
    mode = operator.text("mode", "nearest")
    reach = {"nearest": 0, "linear": 1, "bilinear": 1, "cubic": 2}.get(mode)
    if reach is None or operator.number("antialias", 0) or operator.number("exclude_outside", 0):
        raise _Unclear
    taps, factors = dict[int, Taps | Scaling](), []
    scales = _scales(operator)
    for axis, (size, made) in enumerate(zip(operator.input, operator.result, strict=True)):
        if size is None or made is None:
            raise _Unclear
        step = 1 / scales[axis] if scales else Fraction(size, made)
        factors.append(1 / step)
        if step != 1 or size != made:
            taps[axis] = _resampling(operator, reach, step, size, made)
    shown = "×".join(f"{float(factor):.3g}" for factor in factors[2:])
    return Sliding(taps, frozenset()), f"{mode} {shown}"


def _scales(operator: _Operator) -> list[Fraction]:
    """The stated factors, one for each axis; empty where sizes are stated."""
    position = 1 if operator.kind == "Upsample" or operator.version < 11 else 2
    stated = operator.attributes.get("scales", operator.values.get(position))
    if stated is None:
        return []
    factors = [Fraction(float(value)).limit_denominator(10_000) for value in np.ravel(stated)]
    return factors if len(factors) == len(operator.input) and all(factor > 0 for factor in factors) else []


def _resampling(operator: _Operator, reach: int, step: Fraction, size: int, made: int) -> Scaling:
    """From the place of an output to that of its input, as the operator's coordinates say."""
    old = operator.kind == "Upsample" or operator.version < 11
    coordinates = "asymmetric" if old else operator.text("coordinate_transformation_mode", "half_pixel")
    match coordinates:
        case "asymmetric":
            first = Fraction(0)
        case "align_corners":
            step, first = Fraction(size - 1, made - 1) if made > 1 else Fraction(0), Fraction(0)
        case "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric":
            first = step / 2 - Fraction(1, 2)
        case _:
            raise _Unclear
    if not step:
        raise _Unclear
    rounding = "floor" if old else operator.text("nearest_mode", "round_prefer_floor")
    if reach == 0:
        first += {"round_prefer_floor": Fraction(-1, 2), "round_prefer_ceil": Fraction(1, 2)}.get(rounding, 0)
        if rounding in ("round_prefer_floor", "ceil"):  # ⌈x⌉ = ⌊x + 1 − 1/d⌋ for places in steps of 1/d
            first += 1 - Fraction(1, lcm(step.denominator, first.denominator))
    return Scaling(step, first, reach)


_ELEMENTWISE: Final = (
    *("Abs", "Neg", "Sign", "Ceil", "Floor", "Round", "Reciprocal", "Sqrt", "Exp", "Log", "Erf", "Not"),
    *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Tanh", "IsInf", "IsNaN", "BitShift", "Clip"),
    *("Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Celu", "Selu", "Gelu", "Mish", "Swish"),
    *("Sigmoid", "HardSigmoid", "HardSwish", "Softplus", "Softsign"),
    *("Identity", "Cast", "CastLike", "Dropout", "QuantizeLinear", "DequantizeLinear", "Expand"),
    *("BatchNormalization", "LRN"),
    *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Sum", "Mean", "Min", "Max", "Where"),
    *("And", "Or", "Xor", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
)
_REDUCED: Final = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

_EFFECTS: Final[Mapping[str, Callable[[_Operator], _Effect]]] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(("Conv", "QLinearConv", "ConvInteger", "MaxPool", "AveragePool", "LpPool"), _convolution),
    "ConvTranspose": _transposed,
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _global),
    **dict.fromkeys(
        [f"Reduce{kind}" for kind in _REDUCED],
        _reduction,
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), _largest),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(
        (
            "InstanceNormalization",
            "GroupNormalization",
            "LayerNormalization",
            "RMSNormalization",
            "MeanVarianceNormalization",
            "LpNormalization",
            "CumSum",
        ),
        _normalization,
    ),
    **dict.fromkeys(("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"), _matrix_product),
    "Einsum": _einsum,
    "Concat": _concat,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    "Transpose": _transpose,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    **dict.fromkeys(("Resize", "Upsample"), _resize),
}
"""What each standard operator does; others are named in the table, and nothing after them is guessed."""
