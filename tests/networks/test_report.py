"""The table of a network and its JSON form."""

from __future__ import annotations

import json

import pytest

from tests.conftest import SAMPLES
from tests.networks.nets import NETS, Net, onnx
from tests.pipeline.test_report_schema import SCHEMA, undescribed


@pytest.mark.parametrize("name", list(NETS))
def test_json_keeps_to_the_schema(name, run, tmp_path):
    """All nodes, with all keys described; totals are those of the nodes."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    net = NETS[name]()
    size = "x".join(map(str, net.image))
    ran = run("shape", size, "--model", net.save(tmp_path / "net.onnx"), "--report", "json")
    report = json.loads(ran.text)
    jsonschema.validate(report, {**SCHEMA, "anyOf": [{"$ref": "#/$defs/network"}]})
    jsonschema.validate(report, SCHEMA)
    assert undescribed(report, SCHEMA["$defs"]["network"]) == set()
    assert [node["name"] for node in report["nodes"]] == [node.name for node in net.nodes]
    assert report["multiply_adds"] == sum(node["multiply_adds"] for node in report["nodes"])
    assert report["parameters"] == sum(node["parameters"] for node in report["nodes"])


def test_the_table_fits_a_screen(run, tmp_path):
    """A line per node of at most 100 characters, also with long names and large numbers."""
    net = Net((1024, 1024, 3))
    x = "x"
    for index in range(60):
        x = net.conv(x, 512 if index < 3 else 16, 3, s=2 if index % 10 == 0 else 1, pads=1)
        net.nodes[-1].name = f"/backbone/stages.{index // 10}/blocks.{index % 10}/convolution/Conv"
        x = net.relu(x)
    ran = run("shape", "1024x1024x3", "--model", net.save(tmp_path / "net.onnx"))
    table = ran.text.split("\n\n")[0].splitlines()[1:]
    assert len(table) == 61
    assert max(map(len, table)) <= 100
    assert "Conv 3×3 s2 + Relu" in table[1]


def test_activations_are_put_into_lines_where_nothing_else_reads_them(run, tmp_path):
    """An activation of a branch is left out, not put into another line."""
    net = Net((8, 8, 3))
    x = net.conv("x", 4, 3, pads=1)
    gate = net.node("Sigmoid", [x], lambda value: value.sigmoid())
    net.node("Mul", [x, gate], lambda value, factor: value * factor)
    lines = run("shape", "8x8x3", "--model", net.save(tmp_path / "net.onnx")).text.splitlines()
    assert [line.split()[2] for line in lines[2:4]] == ["Conv", "Mul"]
    assert "Sigmoid" not in lines[2]


def test_shared_weights_count_once(run, tmp_path):
    """A layer that is used twice has its parameters in both lines, and once in the total."""
    net = Net((8, 8, 3))
    net.conv(net.conv("x", 3, 3, pads=1), 3, 3, pads=1)
    del net.nodes[1].input[1:]
    net.nodes[1].input.extend(net.nodes[0].input[1:])
    text = run("shape", "8x8x3", "--model", net.save(tmp_path / "net.onnx")).text
    assert text.count("  84  ") == 2
    assert "parameters     84\n" in text


def test_the_sample_has_the_layers_that_its_script_trains():
    """The committed network has the nodes and the sizes of weights of samples/train.py."""
    pytest.importorskip("torch")
    from samples import train

    made = train.model(train.network()).graph
    committed = onnx.load_model(str(SAMPLES / "corners.onnx")).graph
    assert [(node.op_type, node.name) for node in made.node] == [
        (node.op_type, node.name) for node in committed.node
    ]
    assert [tuple(one.dims) for one in made.initializer] == [tuple(one.dims) for one in committed.initializer]
