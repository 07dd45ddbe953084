"""Keras models, read from their settings alone, compared with Keras."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from convcli.networks.fields import receptive_fields
from convcli.networks.reading import read_network

SIZE = (24, 20, 3)


@pytest.fixture
def keras(monkeypatch):
    """Keras with PyTorch."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    module = pytest.importorskip("keras", reason="Keras is not installed: pip install -e '.[peers]'")
    if module.backend.backend() != "torch":
        pytest.skip("Keras was imported with another backend")
    return module


def encoder(keras):
    """Convolutions of all kinds, normalized, with a branch."""
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.SeparableConv2D(6, 3, padding="same", depth_multiplier=2)(x)
    z = layers.Conv2D(6, (1, 3), dilation_rate=(1, 2), padding="same", groups=2, activation="relu")(x)
    x = layers.Add()([y, z])
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(layers.ZeroPadding2D(((1, 0), (2, 1)))(x))
    return keras.Model(image, layers.Concatenate()([x, layers.Conv2D(2, 1)(x)]))


def decoder(keras):
    """Enlargements, and a head that reads the whole image."""
    layers = keras.layers
    image = keras.Input(SIZE)
    x = layers.AveragePooling2D(2)(layers.Conv2D(4, 3, padding="same")(image))
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(layers.AveragePooling2D(3, 2, "same")(x))
    x = layers.Conv2DTranspose(3, 4, strides=2)(layers.Cropping2D(1)(x))
    x = layers.Conv2D(2, 3)(layers.UpSampling2D(2)(x))
    y = layers.Dense(5)(layers.GlobalAveragePooling2D()(layers.PReLU(shared_axes=[1, 2])(x)))
    return keras.Model(image, layers.Dense(3, activation="softmax")(y))


def sequential(keras):
    """A sequence with a model that is applied twice."""
    layers = keras.layers
    block = keras.Sequential(
        [keras.Input((None, None, 4)), layers.Conv2D(4, 3, padding="same"), layers.ReLU()], name="block"
    )
    image = keras.Input(SIZE)
    x = block(block(layers.Conv2D(4, 3)(image)))
    head = keras.Sequential([layers.Flatten(), layers.Dense(7), layers.Reshape((7, 1))], name="head")
    return keras.Model(image, head(x))


@pytest.mark.parametrize("make", [encoder, decoder, sequential])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore")
def test_sizes_and_parameters_are_those_of_keras(make, suffix, keras, tmp_path):
    """The sizes of every layer's result, and the number of all weights."""
    pytest.importorskip("h5py", reason="h5py is not installed: pip install -e '.[test]'")
    model = make(keras)
    model.save(tmp_path / f"net{suffix}")
    network = read_network(tmp_path / f"net{suffix}", SIZE)
    assert sum(count for node in network.nodes for count in node.parameters.values()) >= model.count_params()
    assert len({key for node in network.nodes for key in node.parameters}) == len(model.weights)
    total = {key: count for node in network.nodes for key, count in node.parameters.items()}
    assert sum(total.values()) == model.count_params()
    image = np.zeros((1, *SIZE), np.float32)
    checked = 0
    for layer in model.layers:
        if layer.name in network.sizes and not isinstance(layer, keras.Sequential):
            result = keras.Model(model.inputs, layer.output)(image)
            assert tuple(result.shape) == network.sizes[layer.name], layer.name
            checked += 1
    assert checked > 1
    assert network.sizes[network.outputs[0]] == tuple(model(image).shape)


@pytest.mark.parametrize("make", [encoder, decoder])
@pytest.mark.filterwarnings("ignore")
def test_fields_are_where_keras_has_gradients(make, keras, tmp_path):
    """With positive weights, pixels with a gradient are those of the field, inside the image."""
    import torch

    model = make(keras)
    random = np.random.default_rng(4)
    model.set_weights([random.uniform(0.1, 1, weight.shape) for weight in model.get_weights()])
    model.save(tmp_path / "net.keras")
    network = read_network(tmp_path / "net.keras", SIZE)
    fields, equal = receptive_fields(network), 0
    x = torch.rand(1, *SIZE, requires_grad=True)
    for layer in model.layers[1:]:
        result = keras.Model(model.inputs, layer.output)(x)
        if result.ndim != 4:
            continue
        for share in (0.4, 0.5, 0.6):
            place = [int(share * (size - 1)) for size in result.shape[1:3]]
            (gradient,) = torch.autograd.grad(result[0, place[0], place[1]].sum(), x, retain_graph=True)
            for axis, field in enumerate(fields[layer.name].axes):
                seen = gradient[0].abs().amax((1 - axis, 2)).nonzero().ravel().tolist()
                span = field.lattice.span(place[axis])
                if span[0] >= 0 and span[1] < SIZE[axis]:
                    assert (seen[0], seen[-1]) == span, (layer.name, axis, place)
                    equal += 1
    assert equal > 10


def archive(path, settings):
    """A Keras archive with these settings and no weights."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(settings))
    return path


def layer(kind, name, read=(), **config):
    """A layer as Keras 2 states it, with the layers that it reads."""
    inbound = [[[other, 0, 0, {}] for other in read]] if read else []
    return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": inbound}


INPUT = layer("InputLayer", "x", batch_input_shape=[None, None, None, 3])
CONV = {"filters": 4, "kernel_size": [3, 3]}


def functional(*layers, outputs="y"):
    config = {"layers": [INPUT, *layers], "input_layers": [["x", 0, 0]], "output_layers": [[outputs, 0, 0]]}
    return {"class_name": "Functional", "config": config}


def test_unknown_layers_are_named(run, tmp_path):
    """Sizes and fields after a layer that is not known are unknown; older settings are read too."""
    layers = [layer("Conv2D", "a", ["x"], **CONV), layer("Mystery", "b", ["a"]), layer("ReLU", "y", ["b"])]
    ran = run("shape", "24x20x3", "--model", archive(tmp_path / "net.keras", functional(*layers)))
    assert ran.code == 0, ran.err
    assert "Mystery" in ran.text
    assert "b: Mystery is not known" in ran.text
    assert "22×18×4" in ran.text


def test_nodes_are_in_the_order_in_which_they_are_read(tmp_path):
    """Layers that a file lists after those that read them."""
    names = [f"branch{index}" for index in range(8)]
    branches = [layer("ReLU", name, ["x"]) for name in reversed(names)]
    path = archive(tmp_path / "net.keras", functional(layer("Add", "y", names), *branches))
    assert [node.name for node in read_network(path, SIZE).nodes] == [*names, "y"]


CASES = {
    "cycle": (functional(layer("Add", "a", ["x", "b"]), layer("ReLU", "b", ["a"]), layer("ReLU", "y", ["b"])),
              "layers form a cycle: a → b → a"),
    "missing": (functional(layer("ReLU", "y", ["z"])), "layer 'z' is read, and does not exist"),
    "window": (functional(layer("Conv2D", "y", ["x"], filters=1, kernel_size=[99, 99])),
               "layer 'y' (Conv2D) makes no values of its 1×24×20×3 input"),
    "settings": ({"class_name": "Functional", "config": {"layers": 3}}, "damaged, or the settings of an"),
    "nothing": (functional(outputs="x"), "it has no layers"),
    "list": ([1, 2], "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_damaged_models_are_one_line(name, run, tmp_path):
    """Exit code 2 and one line with the file."""
    settings, words = CASES[name]
    path = archive(tmp_path / "net.keras", settings)
    ran = run("shape", "24x20x3", "--model", path)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert f"{path}: " in ran.err
    assert words in ran.err, ran.err


def test_nested_models_have_a_limit(run, tmp_path):
    """Models nested deeply are read, or one line; so are files that are no archive, and wrong channels."""
    settings = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer("ReLU", "a")]}}
    for _ in range(150):
        settings = {"class_name": "Sequential", "config": {"name": "s", "layers": [INPUT, settings]}}
    ran = run("shape", "24x20x3", "--model", archive(tmp_path / "net.keras", settings))
    assert ran.code in (0, 2)
    assert ran.err.count("\n") <= 1
    (tmp_path / "bad.keras").write_bytes(b"PK\x03\x04" + bytes(99))
    assert "not a Keras file" in run("shape", "24x20x3", "--model", tmp_path / "bad.keras").err
    path = archive(tmp_path / "c.keras", functional(layer("ReLU", "y", ["x"])))
    assert "takes 3 channels (RGB)" in run("shape", "24x20", "--model", path).err
