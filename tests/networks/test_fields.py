"""Sizes, parameters and receptive fields of whole networks, compared with PyTorch and onnx."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.networks.fields import receptive_fields
from convcli.networks.reading import read_network
from tests.networks.nets import NETS, Net, onnx


@pytest.fixture(params=list(NETS))
def net(request):
    return NETS[request.param]()


def test_sizes_and_parameters_are_those_of_onnx_and_pytorch(net, tmp_path):
    """The sizes of every tensor are those of onnx.shape_inference and of PyTorch's results.

    Parameters are the values of all float initializers that are weights.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    rows, columns, channels = net.image
    network = read_network(net.save(tmp_path / "net.onnx"), net.image)
    model = net.model()
    for dim, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, channels, rows, columns), strict=True
    ):
        dim.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(model).graph
    expected = {
        entry.name: tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)
        for entry in (*inferred.value_info, *inferred.output)
    }
    computed = net.values(torch.rand(1, channels, rows, columns))
    for node in network.nodes:
        (name,) = node.outputs
        assert network.sizes[name] == expected[name] == tuple(computed[name].shape), name
    weights = {tensor.name: tensor for tensor in net.weights if tensor.name.startswith("w")}
    used = {name: count for node in network.nodes for name, count in node.parameters.items()}
    assert used == {name: onnx.numpy_helper.to_array(tensor).size for name, tensor in weights.items()}


def test_receptive_fields_are_where_pytorch_has_gradients(net, tmp_path):
    """For positions of every feature map, the first and last pixel with a gradient are those of its field.

    Where a field reaches beyond the image, gradients lie inside it.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    rows, columns, channels = net.image
    network = read_network(net.save(tmp_path / "net.onnx"), net.image)
    fields = receptive_fields(network)
    x = torch.rand(1, channels, rows, columns, requires_grad=True)
    equal = 0
    for name, tensor in net.values(x).items():
        if tensor.ndim != 4 or name == "x":
            continue
        height, width = tensor.shape[2:]
        assert not fields[name].unknown
        for share in (0, 0.4, 0.5, 0.55, 1):
            place = int(share * (height - 1)), int(share * (width - 1))
            (gradient,) = torch.autograd.grad(tensor[0, :, *place].sum(), x, retain_graph=True)
            spans = [_span(field, output) for field, output in zip(fields[name].axes, place, strict=True)]
            if None in spans:
                assert not gradient.any()
                continue
            for axis, (span, length) in enumerate(zip(spans, (rows, columns), strict=True)):
                seen = gradient[0].abs().amax((0, 2 - axis)).nonzero().ravel().tolist()
                if 0 <= span[0] <= span[1] < length:
                    assert (seen[0], seen[-1]) == span, (name, axis, place)
                    equal += 1
                else:
                    assert span[0] <= seen[0] <= seen[-1] <= span[1], (name, axis, place)
    assert equal


def _span(field, output):
    """First and last pixel that one output depends on."""
    return field.span or (field.lattice and field.lattice.span(output))


def test_sizes_that_are_computed_from_the_image(tmp_path):
    """Paddings and slices whose numbers depend on the size of the image, as exporters write them."""
    net = Net((18, 24, 3))
    shape = net.node("Shape", ["x"])
    rows = net.node("Gather", [shape], None, [net.constant(np.array([2]))], axis=0)
    half = net.node("Div", [rows], None, [net.constant(np.array([2]))])
    starts = [net.constant(np.array([0])), half, net.constant(np.array([2]))]
    cut = net.node("Slice", [net.conv("x", 4, 3, pads=1)], None, starts)
    pads = net.node("ConstantOfShape", [net.constant(np.array([7]))], None, value=ZERO)
    pads = net.node("Concat", [pads], None, [net.constant(np.array([5]))], axis=0)
    padded = net.node("Pad", [cut], None, [pads])
    net.channels[padded] = 4
    last = net.conv(padded, 2, 3, s=2)
    network = read_network(net.save(tmp_path / "net.onnx"), net.image)
    assert network.sizes[cut] == (1, 4, 9, 24)
    assert network.sizes[padded] == (1, 4, 9, 29)
    assert network.sizes[last] == (1, 2, 4, 14)
    assert receptive_fields(network)[last].size == (5, 5)


ZERO = onnx.helper.make_tensor("zero", onnx.TensorProto.INT64, [1], [0])
