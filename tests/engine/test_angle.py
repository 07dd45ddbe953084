"""The direction of a gradient: orientation, exact angles, NumPy's arctan2, and what has no direction."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.engine.combine import direction
from convcli.kernels.bank import combined
from tests.conftest import SAMPLES, decoded

COMPASS = {
    (0, 1): 0,
    (-1, 1): 45,
    (-1, 0): 90,
    (-1, -1): 135,
    (0, -1): 180,
    (1, -1): 225,
    (1, 0): 270,
    (1, 1): 315,
}
"""Where brightness increases, as (rows, columns), and the angle."""


@pytest.mark.parametrize("name", ["sobel", "scharr", "prewitt", "farid5", "sobel:5"])
@pytest.mark.parametrize(("way", "angle"), COMPASS.items())
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_compass(name, way, angle, dtype):
    """A ramp that rises to the right has 0°, one that rises upward 90°, exactly at all eight directions."""
    rows, columns = np.mgrid[:9, :9]
    ramp = (100 + 5 * (way[0] * rows + way[1] * columns)).astype(dtype)
    found = convcli.conv(ramp, combined(convcli.load_kernel(name), "angle"))
    exact = convcli.load_kernel(name).exact is not None
    distance = np.abs((found - angle + 180) % 360 - 180)
    assert np.all(distance == 0) if exact else np.all(distance < 1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64])
def test_like_arctan2(dtype):
    """The angle is ``numpy.degrees(numpy.arctan2(-y, x)) % 360`` of the two maps, as documented."""
    image = np.random.default_rng(5).integers(0, 256, (40, 50)).astype(dtype)
    x, y = (convcli.conv2d(image, name).astype(np.float64) for name in ("sobel-x", "sobel-y"))
    found = convcli.conv(image, "sobel:angle", dtype=np.float64)
    assert np.abs(found - np.degrees(np.arctan2(-y, x)) % 360).max() < 1e-12
    assert convcli.conv(image[:, ::-1], "sobel:angle").max() < 360


def test_special_values():
    """No gradient is 0; NaN stays NaN; infinity has a direction; what would round to 360 is 0."""
    tiny = 1e-30
    right = np.array([0.0, -0.0, np.nan, np.inf, np.inf, 1.0, -1.0, -1.0, 0.0])
    down = np.array([0.0, -0.0, 1.0, 1.0, -np.inf, tiny, tiny, -tiny, tiny])
    due = [0, 0, np.nan, 0, 45, 0, 180, 180, 270]
    for dtype in (np.float32, np.float64):
        found = direction(right, down, np.dtype(dtype))
        assert found.dtype == dtype
        assert np.array_equal(found, due, equal_nan=True)


def test_apply_writes_angles(run, tmp_path):
    """``--map raw`` writes degrees; without it, 0 … 360 become black … white, whatever the image holds."""
    scene, out = SAMPLES / "scene.png", tmp_path / "angle.tif"
    assert run("apply", scene, "-k", "sobel", "--combine", "angle", "--map", "raw", "-o", out).code == 0
    angles = imagecodecs.imread(out)
    assert angles.dtype == np.float32
    assert np.array_equal(angles[1:-1, 1:-1], convcli.conv(decoded(scene), "sobel:angle"))
    ran = run("apply", scene, "-k", "sobel:angle", "-o", tmp_path / "gray.png")
    assert "stretch: 0 → 0, 360 → 255" in ran.text
    assert "maps combined by angle" in ran.text
    assert np.array_equal(decoded(tmp_path / "gray.png"), np.rint(angles * (255 / 360)))


def test_same_bytes_in_every_cut(run, tmp_path):
    """Angles do not depend on the method or the threads."""
    files = []
    for index, options in enumerate([(), ("--threads", "1"), ("--method", "shift"), ("--method", "fft")]):
        files.append(tmp_path / f"{index}.npy")
        angle = ("-k", "sobel:angle", "--map", "raw", "-o", files[-1])
        assert run("apply", SAMPLES / "color.png", *angle, *options).code == 0
    assert len({file.read_bytes() for file in files}) == 1


def test_kernel_file(tmp_path):
    """``combine: angle`` in a kernel file."""
    file = tmp_path / "direction.yaml"
    file.write_text("members: [scharr-x, scharr-y]\ncombine: angle\n")
    assert convcli.load_kernel(str(file)).combine == "angle"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-k", "kirsch"), "kernel kirsch has 8 feature maps; combining by angle needs two, the slopes"),
        (("-k", "sobel-x"), "kernel sobel-x has 1 feature map; combining by angle needs two"),
        (("-k", "sobel", "--bias", "3"), "kernel sobel has a bias, which would change the direction"),
    ],
)
def test_refused(run, tmp_path, arguments, words):
    """Anything but two maps without a bias is refused in one line."""
    ran = run("apply", SAMPLES / "scene.png", *arguments, "--combine", "angle", "-o", tmp_path / "x.png")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert words in ran.err


def test_refused_in_python():
    """A `Kernel` cannot be made with angle and another number of maps."""
    with pytest.raises(KernelError, match="has 3 feature maps"):
        convcli.Kernel(np.ones((1, 1, 1, 3)), combine="angle")


def test_explained(run):
    """``explain`` shows the two slopes and the direction that apply writes."""
    ran = run("explain", SAMPLES / "scene.png", "-k", "sobel:angle", "--at", "20,30", "--map", "raw")
    assert ran.code == 0, ran.err
    assert "to the right and" in ran.text
    assert "apply rounds in floating point" not in ran.text
