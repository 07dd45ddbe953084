"""The tables of operators name what the libraries call by these names."""

from __future__ import annotations

import pytest

from convcli.networks.keras.registry import LAYERS
from convcli.networks.onnx.registry import OPERATORS

NEW = {"RMSNormalization", "Swish"}
"""Operators that only the newest versions of onnx have."""
OLD = {"ThresholdedReLU"}
"""Layers that only files of older versions of Keras have."""


def test_operators_are_those_of_onnx():
    """A name that onnx does not have would never be found in a model."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[test]'")
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    assert set(OPERATORS) - known <= NEW


def test_places_of_weights_are_inputs_called_so():
    """Where other constants are scales and zero points, the weights are the inputs that onnx calls so."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[test]'")
    for name, rule in OPERATORS.items():
        inputs = [entry.name.casefold() for entry in onnx.defs.get_schema(name).inputs] if rule.places else []
        assert {inputs[place] for place in rule.places} <= {"w", "b"}, name


@pytest.mark.filterwarnings("ignore")
def test_layers_are_those_of_keras(monkeypatch):
    """A name that Keras does not have would never be found in its files."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed: pip install -e '.[peers]'")
    assert {name for name in LAYERS if not hasattr(keras.layers, name)} <= OLD
