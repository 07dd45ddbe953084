"""What is decided from a header and settings alone: channels, sums, pixels, files and refusals."""

from __future__ import annotations

import io
import re

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import ConvcliError
from convcli.core.frozen import replace
from convcli.files.input import Input
from convcli.formats.header import Header
from convcli.formats.opening import open_input
from convcli.geometry.padding import Padding
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.channels import with_kernel_inputs
from convcli.pipeline.planning.convolution import convolution_of
from convcli.pipeline.planning.memory import over_limit
from convcli.pipeline.planning.pixel_type import pixel_type
from convcli.pipeline.planning.task import Task, prepare
from convcli.pipeline.settings import Settings

U1, U2, I2, F4, F8 = (np.dtype(name) for name in ("uint8", "uint16", "int16", "float32", "float64"))
GRAY, COLOR, CLEAR = (Header("png", 20, 30, channels, U1) for channels in (1, 3, 4))
GRAY16, FLOAT, DOUBLE = (Header("tiff", 20, 30, 1, dtype) for dtype in (U2, F4, F8))
FIVE = Header("npy", 20, 30, 5, U1)
VOLUME = Header("tiff", 20, 30, 1, U1, frames=6)


BLOCK = convcli.Kernel(np.ones((3, 3, 3)) / 16)


def settings(kernel: str | convcli.Kernel, **options: object) -> Settings:
    """Settings of a kernel or its text; mappings and padding as they are typed."""
    parsers = {"mapping": Mapping.parse, "padding": Padding.parse}
    return Settings(
        convcli.load_kernel(kernel) if isinstance(kernel, str) else kernel,
        **{name: parsers.get(name, lambda value: value)(value) for name, value in options.items()},
    )


@pytest.mark.parametrize(
    ("header", "kernel", "options", "channels", "lanes", "sums", "output"),
    [
        (GRAY, "box3", {}, "each", 1, "uint16", (20, 30)),
        (COLOR, "box3", {}, "each", 3, "uint16", (20, 30)),
        (COLOR, "box3", {"channels": "gray"}, "gray", 1, None, (20, 30)),
        (COLOR, "box3", {"channels": "sum"}, "sum", 1, None, (20, 30)),
        (COLOR, "box3", {"colormap": "viridis"}, "gray", 1, None, (20, 30)),
        (COLOR, "random:3x3x3x2", {}, "sum", 1, "float32", (20, 30)),
        (COLOR, "random:3x3x1x3", {"groups": 3}, "sum", 1, "float32", (20, 30)),
        (FIVE, "box3", {}, "each", 5, "uint16", (20, 30)),
        (FIVE, "random:3x3x5x1", {}, "sum", 1, "float32", (20, 30)),
        (GRAY, "sobel-x", {}, "each", 1, "int16", (20, 30)),
        (GRAY, "sobel-x", {"stride": (2, 3), "padding": "valid"}, "each", 1, "int16", (9, 10)),
        (GRAY, "sobel-x", {"dilation": (2, 2), "padding": "valid"}, "each", 1, "int16", (16, 26)),
        (GRAY, "box3", {"padding": "full"}, "each", 1, "uint16", (22, 32)),
        (GRAY16, "sobel-x", {}, "each", 1, "int32", (20, 30)),
        (FLOAT, "box3", {}, "each", 1, "float32", (20, 30)),
        (FLOAT, "box3", {"double": True}, "each", 1, "float64", (20, 30)),
        (VOLUME, BLOCK, {"padding": "valid"}, "each", 1, "uint16", (4, 18, 28)),
        (CLEAR, "box3", {}, "each", 4, "uint32", (20, 30)),
        (CLEAR, "sobel-x", {}, "each", 3, "int16", (20, 30)),
        (CLEAR, "random:3x3x4x1", {}, "sum", 1, "float32", (20, 30)),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("numpy_alone")
def test_what_is_computed(header, kernel, options, channels, lanes, sums, output):
    """Channels, lanes of the sums (alpha among them where it is filtered), their type, and sizes."""
    chosen = settings(kernel, **options)
    convolution = convolution_of(with_kernel_inputs(header, chosen), chosen)
    problem, dtype = convolution.plan.problem, convolution.plan.arithmetic.dtype
    assert (convolution.channels, problem.lanes) == (channels, lanes)
    assert sums in (None, str(dtype))
    assert convolution.geometry.output == output


@pytest.mark.parametrize(
    ("header", "kernel", "options", "handling"),
    [
        (COLOR, "box3", {}, ("none", "uint8")),
        (COLOR, "box3", {"linear": True}, ("none", "float32")),
        (CLEAR, "box3", {}, ("filter", "uint16")),
        (CLEAR, "box3", {"linear": True}, ("filter", "float32")),
        (CLEAR, "sobel-x", {}, ("keep", "uint8")),
        (CLEAR, "identity", {}, ("keep", "uint8")),
        (CLEAR, "box3", {"channels": "gray"}, ("keep", "uint8")),
        (CLEAR, "box3", {"alpha": "drop"}, ("drop", "uint8")),
        (CLEAR, "box3", {"stack": True}, ("drop", "uint8")),
        (replace(CLEAR, dtype=U2), "box3", {}, ("filter", "uint32")),
        (replace(CLEAR, dtype=np.dtype("uint32")), "box3", {}, ("keep", "uint32")),
        (replace(CLEAR, bands=True), "box3", {}, ("none", "uint8")),
    ],
)
def test_what_happens_to_alpha_and_light(header, kernel, options, handling):
    """Averages filter alpha if a type holds color times alpha; the type is that of the engine's input."""
    chosen = convolution_of(header, settings(kernel, **options)).color_handling
    assert (chosen.alpha, str(chosen.dtype)) == handling


@pytest.mark.parametrize(
    ("header", "kernel", "options", "pixels"),
    [
        (GRAY, "box3", {}, ("clip", "uint8")),
        (GRAY, "sobel-x", {}, ("signed", "uint8")),
        (GRAY, "sobel", {}, ("stretch", "uint8")),
        (GRAY, "box3", {"mapping": "raw"}, ("raw", "float32")),
        (GRAY, "box3", {"mapping": "raw", "double": True}, ("raw", "float64")),
        (GRAY, "box3", {"depth": "16"}, ("clip", "uint16")),
        (GRAY, "box3", {"depth": "float"}, ("clip", "float32")),
        (GRAY16, "box3", {}, ("clip", "uint16")),
        (GRAY16, "box3", {"depth": "8"}, ("clip", "uint8")),
        (replace(GRAY, dtype=I2), "sobel-x", {}, ("signed", "int16")),
        (FLOAT, "box3", {}, ("raw", "float32")),
        (DOUBLE, "box3", {}, ("raw", "float64")),
        (FLOAT, "sobel-x", {"mapping": "signed"}, ("signed", "uint16")),
        (FLOAT, "box3", {"depth": "8"}, ("clip", "uint8")),
        (GRAY, "box3", {"colormap": "viridis"}, ("clip", "uint8")),
        (GRAY16, "sobel-x", {"colormap": "viridis"}, ("signed", "uint8")),
        (GRAY, "box3", {"colormap": "diverging"}, ("signed", "uint8")),
        (FLOAT, "box3", {"colormap": "viridis"}, ("stretch", "uint8")),
    ],
)
def test_what_pixels_are(header, kernel, options, pixels):
    """The mapping that suits kernel and image, and the number type that --depth or the image decides."""
    chosen = settings(kernel, **options)
    made = pixel_type(header, convolution_of(header, chosen), chosen)
    assert (made.mapping.kind, str(made.dtype)) == pixels


def test_a_color_map_keeps_percentiles():
    """The range of --map signed:99% is that of the middle 99 %, also in the colors of diverging."""
    chosen = settings("sobel-x", mapping="signed:99%", colormap="diverging")
    assert pixel_type(GRAY, convolution_of(GRAY, chosen), chosen).mapping == Mapping.parse("signed:99%")


@pytest.mark.parametrize(
    ("header", "kernel", "options", "message"),
    [
        (COLOR, "random:3x3x2x1", {},
         "takes 2 input channels: it needs --channels sum and an image with 2 color"),
        (COLOR, "random:3x3x3x1", {"channels": "each"}, "takes 3 input channels: it needs --channels sum"),
        (GRAY, "random:3x3x1x3", {"groups": 3}, "takes 3 channels in 3 groups; this image has 1"),
        (COLOR, "box3", {"groups": 3}, "kernel box3 has 1 map, which cannot be split into 3 groups"),
        (COLOR, "random:3x3x1x3", {"groups": 3, "channels": "each"},
         "--channels each cannot be combined with --groups 3; use --channels sum"),
        (FIVE, "box3", {"channels": "gray"},
         "--channels gray needs a gray or RGB image; this one is 5 channels, 8-bit"),
        (CLEAR, "box3", {"alpha": "filter", "channels": "sum"},
         "--alpha filter cannot be used here: the colors are combined (--channels sum); use keep or drop"),
        (CLEAR, "sobel-x", {"alpha": "filter"},
         "--alpha filter cannot be used here: the weights do not sum to 1"),
        (CLEAR, "identity", {"alpha": "filter"}, "here: the kernel leaves every pixel unchanged"),
        (CLEAR, "box3", {"alpha": "keep", "stack": True},
         "--alpha keep cannot be used with --stack; use --alpha drop"),
        (GRAY, "box3", {"mapping": "raw", "depth": "8"},
         "--map raw writes floats and cannot be combined with --depth 8; use clip, signed or stretch"),
        (FLOAT, "box3", {"mapping": "clip"},
         "--map clip needs an image of integers, this one holds float32; use raw, signed or stretch"),
        (GRAY, "box3", {"colormap": "viridis", "mapping": "raw"},
         "--map raw keeps values, which cannot be colored"),
        (GRAY, "box3", {"colormap": "diverging", "mapping": "clip"},
         "--colormap diverging needs a mapping centered on 0, not --map clip; use auto, signed"),
        (GRAY, "box3", {"colormap": "viridis", "depth": "16"},
         "--colormap viridis writes 8 bits and cannot be combined with --depth 16"),
        (GRAY, "sobel", {"colormap": "viridis", "stack": True},
         "--stack holds values and cannot be combined with"),
        (COLOR, "box3", {"colormap": "viridis", "channels": "each"},
         "--colormap viridis colors one channel, the feature map has 3; use --channels gray or sum"),
    ],
)  # fmt: skip
def test_what_is_refused(header, kernel, options, message):
    """Options are called by their names, with what was got and what can be used instead."""
    chosen = settings(kernel, **options)
    with pytest.raises(ConvcliError, match=re.escape(message)):
        pixel_type(header, convolution_of(header, chosen), chosen)


def tasks(pixels: np.ndarray, chosen: Settings, source: str = "in/a.npy") -> list[list[Task]]:
    """The tasks for an NPY file of these pixels."""
    file = io.BytesIO()
    np.save(file, pixels)
    return prepare(source, open_input(Input(data=file.getvalue())), chosen)


STILL, FRAMES = np.zeros((20, 30), np.uint8), np.zeros((6, 20, 30, 1), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "kernel", "options", "spec", "shape", "targets"),
    [
        (STILL, "box3", {}, None, (20, 30, 1), ["in/a.box3.npy"]),
        (STILL, "box3", {}, "{stem}.png", (20, 30, 1), ["a.png"]),
        (STILL, "kirsch", {}, "o/", (20, 30, 1), [f"o/a.kirsch.{index}.npy" for index in range(8)]),
        (STILL, "kirsch", {"stack": True}, "o/", (20, 30, 8), ["o/a.kirsch.npy"]),
        (STILL, "kirsch", {"stack": True}, "x.tif", (20, 30, 1), ["x.tif"]),
        (STILL, "box3", {"colormap": "viridis"}, "x.png", (20, 30, 3), ["x.png"]),
        (FRAMES, "box3", {}, "x.npy", (20, 30, 1), ["x.npy"]),
        (FRAMES, "box3", {}, "{frame}.png", (20, 30, 1), ["0.png"]),
        (FRAMES, "box3", {"frames": slice(2, 3)}, "x.png", (20, 30, 1), ["x.png"]),
    ],
)
def test_which_files_are_made(pixels, kernel, options, spec, shape, targets):
    """Paths of the first result, and the rows, columns and channels of each page."""
    task = tasks(pixels, settings(kernel, output=OutputSpec(spec), **options))[0][0]
    assert [str(target.path) for target in task.targets] == targets
    assert task.layout.shape == shape


def test_frames_are_one_result_or_one_each():
    """All in one task, or with {frame} a task each that knows the number of its frame."""
    ((task,),) = tasks(FRAMES, settings("box3", output=OutputSpec("x.npy")))
    assert (task.layout.frames, task.plan.problem.batch, task.frame) == (6, 6, None)
    several = tasks(FRAMES, settings("box3", output=OutputSpec("{frame}.png"), frames=slice(2, None, 1)))
    assert [task.frame for (task,) in several] == [2, 3, 4, 5]
    assert {task.layout.frames for (task,) in several} == {1}


def test_strips_are_whole_bands_of_the_output():
    """A PNG's bands are encoded by the workers whose strips they are."""
    data = bytes(imagecodecs.png_encode(np.zeros((4000, 3000), np.uint8)))
    ((task,),) = prepare("a.png", open_input(Input(data=data)), settings("box3", threads=2))
    band = task.targets[0].format.band_height(task.layout, Settings.coding)
    assert task.plan.height % band == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_pixels": 650, "padding": "full"},
         "the feature map would have 704 pixels; allowed: 650 (--max-pixels)"),
        ({"max_memory": 1000}, "allowed: 1 kB (--max-memory)"),
        ({"output": OutputSpec("x.xyz")}, "x.xyz: unknown suffix; allowed: .png"),
        ({"output": OutputSpec("x.jpg"), "mapping": "raw"}, "x.jpg: jpeg cannot hold gray, float32"),
        ({"frames": slice(3, 4)}, "frame"),
    ],
)  # fmt: skip
def test_tasks_that_are_refused(options, message):
    """Limits, formats and frames are checked before a pixel is decoded."""
    with pytest.raises(ConvcliError, match=re.escape(message)):
        tasks(STILL, settings("box3", **options))


@pytest.mark.parametrize(
    ("needed", "limit", "text"),
    [
        (105 * 10**6, 10**8, "needs about 105 MB of memory; allowed: 100 MB (--max-memory)"),
        (1, 1999, "needs about 1 MB of memory; allowed: 1 kB (--max-memory)"),
        (10**6 + 1, 999, "needs about 2 MB of memory; allowed: 999 bytes (--max-memory)"),
    ],
)
def test_memory_over_the_limit(needed, limit, text):
    """Needs are rounded up, limits down, in a unit in which neither is 0."""
    assert over_limit(needed, limit) == text


def test_more_pixels_pages_and_maps_need_more_memory():
    """The estimate follows what is held at once."""

    def memory(pixels: np.ndarray, kernel: str | convcli.Kernel, **options: object) -> int:
        return tasks(pixels, settings(kernel, threads=1, **options))[0][0].memory

    large = np.zeros((2000, 2000), np.uint8)
    assert memory(STILL, "box3") < memory(large, "box3")
    paged = OutputSpec("x.tif")
    assert memory(large, "box3", output=paged) < memory(large, "kirsch", output=paged, stack=True)
    volume = np.zeros((40, 200, 200, 1), np.uint8)
    assert memory(volume[:3], BLOCK) < memory(volume, BLOCK)
