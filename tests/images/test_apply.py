"""`apply`: every kind of image gives the feature maps of the command line."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import convcli
from tests.conftest import SAMPLES


class OnDevice:
    """An array of a GPU library: it refuses implicit conversion and has ``get``."""

    def __init__(self, values):
        self.values = values

    def get(self):
        return self.values

    def __array__(self, *_, **__):
        raise TypeError("implicit conversion is not allowed")


OnDevice.__module__ = "cupy.core"


class Exchanged:
    """An array that only speaks DLPack."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.fixture
def color():
    """An RGB image of 8 bits."""
    return np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": (2, 1), "padding": "valid", "map": "stretch"},
        {"padding": 1, "dilation": 2, "map": "abs", "depth": 16},
        {"channels": "gray", "colormap": "diverging"},
        {"then": ["relu", "maxpool2x2"], "scale": "abs"},
        {"transposed": True, "stride": 2, "output_padding": 1},
        {"normalize": (0.5, 0.25), "depth": "float", "bias": 0.5},
        {"flip": True, "like": "scipy", "padding": "full", "precision": "double"},
    ],
)
def test_results_are_those_of_the_command_line(color, tmp_path, run, options):
    """Pixels, values and the report of an array are those of the command for a file with its values."""
    source = tmp_path / "color.png"
    Image.fromarray(color).save(source)
    words = [str(word) for pair in options.items() for word in _words(*pair)]
    raw = [*_without(words, "--map", "--depth", "--colormap"), "--map", "raw"]
    target, values = tmp_path / "a.npy", tmp_path / "raw.npy"
    ran = run("apply", source, "-k", "sobel-x", *words, "-o", target, "--report", "json")
    assert ran.code == 0, ran.err
    assert run("apply", source, "-k", "sobel-x", *raw, "-o", values).code == 0
    result = convcli.apply(color, "sobel-x", **options)
    written = np.load(target)
    assert np.array_equal(result.pixels[0].reshape(written.shape), written)
    stored = np.load(values)
    assert result.maps.dtype == stored.dtype
    assert np.array_equal(result.maps[0].reshape(stored.shape), stored)
    told, own = json.loads(ran.text), result.report
    for place in ("input", "output", "seconds", "metadata"):
        del told[place], own[place]
    assert own == told
    assert result.shape == result.maps.shape
    assert result.axes == ("map", "row", "column", "channel")[: result.maps.ndim]


def _words(name, value):
    option = f"--{name.replace('_', '-')}"
    if name == "then":
        return [word for stage in value for word in (option, stage)]
    if name == "normalize":
        return [option, "/".join(map(str, value))]
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return [option] if value is True else [option, value]


def _without(words, *options):
    places = [index for option in options if option in words for index in (words.index(option),)]
    return [word for index, word in enumerate(words) if index not in places and index - 1 not in places]


def test_every_kind_of_image_gives_the_same_maps(color, tmp_path):
    """Files, bytes, open files, PIL images and arrays of other libraries; conv takes the arrays, too."""
    file = tmp_path / "a.png"
    Image.fromarray(color).save(file)
    data = file.read_bytes()
    arrays = [color, color.tolist(), OnDevice(color), Exchanged(color), np.asfortranarray(color)]
    others = [file, str(file), data, bytearray(data), io.BytesIO(data), Image.open(io.BytesIO(data))]
    expected = convcli.apply(color, "box3").maps
    for image in (*arrays, *others):
        assert np.array_equal(convcli.apply(image, "box3").maps, expected), type(image)
    direct = convcli.conv(color, "box3", channels="last")
    for image in (color, *arrays[2:], Image.open(io.BytesIO(data))):
        assert np.array_equal(convcli.conv(image, "box3", channels="last"), direct), type(image)
    weights = convcli.load_kernel("sobel-x").weights
    for kernel in (weights, OnDevice(weights), Exchanged(weights), weights.tolist()):
        assert np.array_equal(convcli.apply(color, kernel).maps, convcli.apply(color, "sobel-x").maps)
        assert np.array_equal(convcli.conv2d(color[..., 0], kernel), convcli.conv2d(color[..., 0], "sobel-x"))


def test_tensors_of_pytorch(color):
    """Tensors with a gradient, channels that come first, and bfloat16, which NumPy does not have."""
    torch = pytest.importorskip("torch")
    values = torch.tensor(color[..., 0])
    expected = convcli.conv2d(color[..., 0].astype(np.float32), "sobel-x")
    graph = (values.float().requires_grad_() * 1)[None]
    assert np.array_equal(convcli.apply(graph[0], "sobel-x", padding="valid").maps[0], expected)
    assert np.array_equal(convcli.conv(graph, "sobel-x", channels="first")[0], expected)
    for tensor, order in ((graph, "1, 2, 0"), (graph[None], "0, 2, 3, 1")):
        with pytest.raises(convcli.ArgumentError, match=re.escape(f"use image.permute({order})")):
            convcli.apply(tensor, "box3")
    with pytest.raises(TypeError, match=r"'output'; save\(NAME\) of what is returned"):
        convcli.apply(values, "box3", output="a.png")
    small = values // 2
    assert np.array_equal(convcli.conv2d(small.bfloat16(), "identity"), (color[..., 0] // 2)[1:-1, 1:-1])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", ">u2", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 1), (6, 7, 2), (6, 7, 5), (3, 6, 7, 1)])
def test_types_and_shapes_of_arrays(dtype, shape):
    """Values come back through identity, with true as 255, whatever the type and the axes."""
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    result = convcli.apply(values, "identity", alpha="drop" if shape[-1:] == (2,) else None)
    expected = values.astype(np.float64) * (255 if dtype == "bool" else 1)
    expected = expected[..., :1] if shape == (6, 7, 2) else expected
    assert np.array_equal(result.maps.reshape(expected.shape), expected)
    assert ("frame" in result.axes, "channel" in result.axes) == (len(shape) == 4, shape == (6, 7, 5))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "image is of type NoneType and cannot be converted"),
        (np.zeros((2, 2, 2, 2, 2)), r"image has shape \(2, 2, 2, 2, 2\); allowed: \(rows, columns\)"),
        (np.zeros((0, 3)), r"image has shape \(0, 3\)"),
        (np.zeros((3, 3), complex), "image has type complex128; allowed"),
        (np.full((3, 3), 2**40), "image has int64 values from 1099511627776"),
        (np.ma.masked_array([[1, 2]], [[1, 0]]), "image masks 1 of 2 values"),
        (b"nothing", "^bytes: not an image in a known format"),
        ("missing.png", "^missing.png: No such file"),
        (io.StringIO("text"), "opened as text; open it in binary mode"),
    ],
)
def test_what_is_no_image(image, message):
    """One line that says what was got and what is allowed."""
    with pytest.raises(convcli.ConvcliError, match=message):
        convcli.apply(image, "box3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride 0 is not allowed"),
        ({"padding": -1}, "padding -1 is not a whole number"),
        ({"map": 3}, "map 3 is not a text"),
        ({"then": 3}, "then 3 is not a stage"),
        ({"channels": "ech"}, "channels 'ech' is not one of each, gray, sum .did you mean each"),
        ({"frames": "x"}, "frames 'x' is not an index or a slice"),
        ({"scale": "sun"}, "scale 'sun' is not one of none, sum, abs, gain"),
        ({"bias": "x"}, "bias 'x' is not a number"),
        ({"normalize": (1,)}, "is not a text or .mean, deviation"),
        ({"threads": 0}, "threads 0 is not a whole number from 1"),
        ({"until": "conv1"}, "until goes with model"),
        ({"dims": ("y", "x")}, "dims names dimensions of a DataArray"),
    ],
)
def test_wrong_options(gray, options, message):
    """The message names the keyword."""
    with pytest.raises(convcli.ConvcliError, match=message):
        convcli.apply(gray, "box3", **options)


def test_unknown_keywords_get_a_suggestion(gray):
    """Of a typo, and of another library's name."""
    for name, meant in (("strid", "stride"), ("dilation_rate", "dilation"), ("cmap", "colormap")):
        with pytest.raises(TypeError, match=f"did you mean {meant}"):
            convcli.apply(gray, "box3", **{name: 1})


def test_several_kernels(color, tmp_path):
    """A list gives a sequence of results, saved to a folder; one file does not hold them."""
    results = convcli.apply(color, ["box3", convcli.load_kernel("sobel:stack"), "box3"])
    assert [len(maps) for maps in results.maps] == [1, 2, 1]
    assert len(results.reports) == 4
    assert [result.name for result in results] == ["box3", "sobel:stack", "box3-2"]
    assert len(results[:2]) == 2
    assert len(results.save(f"{tmp_path}/", format="png")) == len(list(tmp_path.iterdir())) == 4
    with pytest.raises(convcli.ArgumentError, match="cannot all be written to"):
        results.save(tmp_path / "one.png")
    with pytest.raises(convcli.ArgumentError, match=r"2 feature maps; use \.reports"):
        results[1].report  # noqa: B018


def test_saved_files_are_those_of_the_command_line(tmp_path, run):
    """The bytes of `save`, metadata included; nothing is replaced without force, the input only with it."""
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes((SAMPLES / "scene.png").read_bytes())
    result = convcli.apply(source, "gaussian5")
    assert result.save(target) == [str(target)]
    run("apply", source, "-k", "gaussian5", "-o", tmp_path / "cli.png")
    assert target.read_bytes() == (tmp_path / "cli.png").read_bytes()
    for taken in (target, source):
        with pytest.raises(convcli.ConvcliError, match=r"out\.png|in\.png"):
            result.save(taken)
    source.unlink()
    assert result.pixels.shape == (1, 512, 512), "the image was read when apply was called"
    assert result.save(target, force=True, quality=None) == [str(target)]


def test_a_network(tmp_path):
    """``model`` takes the place of a kernel, and refuses one."""
    pytest.importorskip("onnxruntime")
    from tests.networks.nets import plain  # needs onnx

    model, image = tmp_path / "net.onnx", np.random.default_rng(0).random((16, 16, 3), np.float32)
    model.write_bytes(plain().model().SerializeToString())
    result = convcli.apply(image, model=model)
    assert result.axes == ("map", "row", "column")
    assert result.reports[0]["network"]["runtime"].startswith("onnxruntime")
    with pytest.raises(convcli.ArgumentError, match="cannot be combined with a kernel"):
        convcli.apply(image, "box3", model=model)
    with pytest.raises(convcli.ArgumentError, match="missing argument: a kernel, or model"):
        convcli.apply(image)


def test_labeled_arrays():
    """Coordinates are those of windows' centers; dimensions keep their names and order."""
    xr = pytest.importorskip("xarray")
    values = np.arange(3 * 20 * 24, dtype=np.uint16).reshape(3, 20, 24)
    coords = {"band": ["r", "g", "b"], "y": np.arange(20) * 10.0, "x": np.arange(24) * 5.0}
    array = xr.DataArray(values, coords, ("band", "y", "x"), "scene", {"units": "m"})
    made = convcli.apply(array, "box3", stride=2, padding="valid").to_xarray()
    same = convcli.dask.conv(array, "box3", dims=("y", "x"), channels="band", stride=2)
    assert made.dims == ("band", "y", "x")
    assert made.x.values.tolist() == [5.0 + 10 * step for step in range(11)]
    xr.testing.assert_identical(made, same)
    stack = convcli.apply(array[0], "sobel:stack").to_xarray()
    assert (stack.dims, stack["map"].values.tolist()) == (("map", "y", "x"), ["sobel-x", "sobel-y"])
    renamed = array.rename(y="a", x="b")
    with pytest.raises(convcli.ArgumentError, match="name those of rows and columns: dims="):
        convcli.apply(renamed, "box3")
    assert convcli.apply(renamed, "box3", dims=("a", "b")).shape == (1, 20, 24, 3)
    assert convcli.apply(values[0], "box3").to_xarray().dims == ("row", "column")


def test_arrays_in_chunks_stay_lazy():
    """The values are those in memory; what needs the whole image is refused."""
    da = pytest.importorskip("dask.array")
    values = np.random.default_rng(2).integers(0, 256, (20, 24, 3), np.uint8)
    lazy = convcli.apply(da.from_array(values, chunks=8), "gaussian:1", stride=2)
    assert np.array_equal(lazy.compute(), convcli.apply(values, "gaussian:1", stride=2).maps[0])
    with pytest.raises(convcli.ArgumentError, match="map cannot be used with an array in chunks"):
        convcli.apply(da.from_array(values), "box3", map="abs")
    for use in (
        lambda: convcli.apply(lazy.maps, ["box3", "box5"]),
        lambda: convcli.figure(lazy.maps, "box3"),
    ):
        with pytest.raises(convcli.ArgumentError, match="is an array in chunks"):
            use()
    with pytest.raises(convcli.ArgumentError, match="has no pixels"):
        lazy.pixels  # noqa: B018
