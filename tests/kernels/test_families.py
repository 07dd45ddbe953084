"""Parametric presets by their formulas: against other libraries, dense sampling and least squares."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels.families.registry import FAMILIES


def weights(text: str) -> np.ndarray:
    return convcli.load_kernel(text).weights


EXAMPLES = {
    "box": "box:3x5",
    "triangle": "triangle:7",
    "binomial": "binomial:9",
    "gaussian": "gaussian:1.2",
    "gaussian-cv": "gaussian-cv:11",
    "disk": "disk:2.5",
    "motion": "motion:7,30",
    "savgol": "savgol:5,3",
    "sobel-x": "sobel-x:9",
    "sobel-y": "sobel-y:9",
    "sobel": "sobel:9",
    "gaussian-dx": "gaussian-dx:1.5",
    "gaussian-dy": "gaussian-dy:1.5",
    "gaussian-dxx": "gaussian-dxx:1.5",
    "gaussian-dyy": "gaussian-dyy:1.5",
    "gaussian-dxy": "gaussian-dxy:1.5",
    "laplacian": "laplacian:0.2",
    "log": "log:1.4",
    "dog": "dog:1,1.6",
    "unsharp": "unsharp:1.5,0.7",
    "highboost": "highboost:1.5",
    "gabor": "gabor:8,30",
    "ones": "ones:2x3",
    "random": "random:3x3,seed=1",
}
SUMS = {"ones": 6, "highboost": 1.5, "gabor": None, "random": None}


def test_every_family_has_an_example():
    """Every family is covered by a test."""
    assert set(EXAMPLES) == set(FAMILIES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_sums(name):
    """Averages and sharpeners sum to 1, derivatives to 0; each has a description and a usage."""
    kernel = convcli.load_kernel(EXAMPLES[name])
    family = FAMILIES[name]
    expected = SUMS.get(name, 0 if {"edge", "derivative"} & set(family.tags) else 1)
    if expected is not None:
        assert float(kernel.sum) == pytest.approx(expected, abs=1e-12)
    assert kernel.about.description
    assert kernel.about.source
    assert set(kernel.about.tags) == set(family.tags)
    assert name in family.usage


def test_by_name_and_by_place():
    """Arguments are given in order or by name, and Greek letters are names too."""
    for one, other in [
        ("gaussian:1.5,7", "gaussian:size=7,sigma=1.5"),
        ("gaussian:σ=2", "gaussian:2"),
        ("gabor:8,30,zero-mean", "gabor:λ=8,θ=30,zero-mean=yes"),
        ("motion:7,30", "motion:angle=30,7"),
        ("log:2,positive", "log:positive,2"),
        ("disk", "disk:5"),
    ]:
        assert np.array_equal(weights(one), weights(other))


LIMITS = {
    "truncate": ("0.01", "100"),
    "radius": ("0.1", "200"),
    "length": ("1", "1000"),
    "angle": ("-360", "360"),
    "amount": ("0", "1e2"),
    "alpha": ("0", "1"),
    "sigma": ("0.1", "500"),
    "sigma1": ("0.01", "500"),
    "sigma2": ("1/100", "500"),
    "wavelength": ("1", "1000"),
    "ratio": ("0.05", "20"),
    "phase": ("-360", "360"),
    "seed": ("0", str(2**63 - 1)),
    "order": ("0", "6"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_limits_are_allowed(name):
    """The limits that a message states are accepted, and exact."""
    for parameter in FAMILIES[name].parameters:
        for text in LIMITS.get(parameter.name, ()):
            assert parameter.read(text) == Fraction(text), (name, parameter.name)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("gaussian:0.01", (1, 1)),
        ("gaussian:1,truncate=0.01", (1, 1)),
        ("disk:0.1", (3, 3)),
        ("gabor:8,ratio=0.05,size=9", (9, 9)),
        ("gabor:8,sigma=0.1,size=5", (5, 5)),
        ("log:0.01,size=3", (3, 3)),
    ],
)
def test_kernels_at_the_limits(text, shape):
    """Every value within the stated limits gives a kernel."""
    assert weights(text).shape == shape


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gaussian:0.0099999999999999999", "is not between 0.01 and 500"),
        ("disk:200.0000000000000001", "is not between 0.1 and 200"),
        ("gabor:8,ratio=0.0499", "ratio 0.0499 is not between 0.05 and 20"),
        ("random:3x3,seed=9223372036854775808", "between 0 and 9223372036854775807"),
        ("gaussian-dx:0.02,size=3", "all weights but the center are 0"),
        ("gaussian-dyy:0.01,size=5", "all weights but the center are 0"),
    ],
)
def test_beyond_the_limits(text, words):
    """A number just outside is refused with the limits; so is a derivative of one pixel."""
    with pytest.raises(KernelError, match=words):
        weights(text)


@pytest.mark.parametrize("radius", [0.3, 1, 2.5, 3, 7.25])
def test_disk_areas(radius):
    """The area of each pixel inside the circle, as dense sampling finds it; they sum to πr²."""
    from convcli.kernels.families.averages import disk_areas

    areas = disk_areas(radius)
    half, steps = len(areas) // 2, (np.arange(64) + 0.5) / 64 - 0.5
    place = (np.arange(-half, half + 1)[:, None] + steps).ravel()
    inside = place[:, None] ** 2 + place**2 < radius**2
    sampled = inside.reshape(len(areas), 64, len(areas), 64).mean((1, 3))
    assert areas.shape == sampled.shape == (2 * int(np.ceil(radius)) + 1,) * 2
    assert np.abs(areas - sampled).max() < 0.01
    assert areas.sum() == pytest.approx(np.pi * radius**2)


def test_motion():
    """0° has equal weights, 90° is its transpose, 45° rises to the right; even lengths fade out."""
    assert np.allclose(weights("motion:9,0"), np.full((1, 9), 1 / 9))
    assert np.allclose(weights("motion:9,90"), np.full((9, 1), 1 / 9))
    diagonal = weights("motion:9,45")
    assert np.allclose(diagonal, diagonal.T)
    assert diagonal[0, -1] > 0
    assert diagonal[0, 0] == 0
    assert np.allclose(weights("motion:9,-45"), diagonal[:, ::-1])
    assert weights("motion:4,0").shape == (1, 5)


@pytest.mark.parametrize(("size", "order"), [(5, 2), (7, 3), (9, 4), (5, 0)])
def test_savgol_is_the_least_squares_fit(size, order):
    """The value at the center of the fitted polynomial, as NumPy fits it; polynomials pass unchanged."""
    half = size // 2
    y, x = (axis.ravel() for axis in np.mgrid[-half : half + 1, -half : half + 1].astype(float))
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    design = np.stack([x**i * y**j for i, j in powers], 1)
    fit = np.linalg.pinv(design)[powers.index((0, 0))]
    kernel = convcli.load_kernel(f"savgol:{size},{order}")
    assert np.allclose(kernel.weights.ravel(), fit)
    assert kernel.exact is not None


def test_laplacians_of_gaussians():
    """LoG equals SciPy's in a wide window; DoG is close to it, with the opposite sign."""
    ndimage = pytest.importorskip("scipy.ndimage")
    impulse = np.zeros((41, 41))
    impulse[20, 20] = 1
    log = np.zeros((41, 41))
    log[8:33, 8:33] = weights("log:3")
    assert np.allclose(log, ndimage.gaussian_laplace(impulse, 3, radius=12), atol=2e-5)
    assert np.array_equal(weights("log:3,positive"), -weights("log:3"))
    near, dog = weights("log:3,size=39"), weights("dog:2.4,3.84")
    crop = slice((39 - len(dog)) // 2, (39 + len(dog)) // 2)
    assert np.corrcoef(near[crop, crop].ravel(), -dog.ravel())[0, 1] > 0.98


def test_derivatives_of_gaussians():
    """Exact for planes and parabolas, SciPy's up to a scale, positive to the right and downward."""
    ndimage = pytest.importorskip("scipy.ndimage")
    impulse = np.zeros((31, 31))
    impulse[15, 15] = 1
    for kind, order in {"dx": (0, 1), "dy": (1, 0), "dxy": (1, 1), "dxx": (0, 2)}.items():
        ours = weights(f"gaussian-{kind}:2")
        theirs = ndimage.gaussian_filter(impulse, 2, order=order, radius=8)[7:24, 7:24][::-1, ::-1]
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9999
    y, x = np.mgrid[-8:9, -8:9].astype(float)
    assert (weights("gaussian-dxx:2") * x * x / 2).sum() == pytest.approx(1)
    assert (weights("gaussian-dyy:2") * y * y / 2).sum() == pytest.approx(1)
    assert (weights("gaussian-dxx:2") * y * y).sum() == pytest.approx(0, abs=1e-12)


def test_opencv_agrees():
    """Gabor, Sobel of any size, OpenCV's own Gaussians and Scharr, as OpenCV computes them."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install -e '.[peers]'")
    for size in (1, 3, 5, 7, 9, 11, 15):
        row = cv2.getGaussianKernel(size, 0, cv2.CV_64F).ravel()
        assert np.allclose(weights(f"gaussian-cv:{size}"), np.multiply.outer(row, row), atol=1e-15)
    for size in (3, 5, 7, 9):
        across, down = (vector.ravel() for vector in cv2.getDerivKernels(1, 0, size, ktype=cv2.CV_64F))
        assert np.array_equal(weights(f"sobel-x:{size}"), np.multiply.outer(down, across))
    for angle, phase in [(0, 0), (30, 0), (90, 0), (135, 0), (0, 90), (30, 90), (200, 45), (-60, -130)]:
        values = (3.0, np.deg2rad(angle), 8.0, 0.7, np.deg2rad(phase))
        theirs = cv2.getGaborKernel((15, 15), *values, cv2.CV_64F)
        assert np.allclose(weights(f"gabor:8,{angle},3,0.7,{phase},size=15"), theirs, atol=1e-12)


def test_directions_of_angles():
    """A wave of 45° goes down to the right, motion of 45° goes up to the right."""
    wave, motion = weights("gabor:8,45,zero-mean"), weights("motion:9,45")
    spectrum = np.abs(np.fft.fft2(wave, (64, 64)))
    row, column = np.unravel_index(spectrum[:32].argmax(), (32, 64))
    assert row == column == 6
    assert motion[0, -1] > 0 == motion[0, 0]
    for name, words in (("gabor:8,45", "45°, clockwise"), ("motion:9,45", "45°, counterclockwise")):
        assert words in convcli.load_kernel(name).about.description


def test_gabor_of_90_degrees_is_a_slope():
    """A phase of 90° is odd, and positive where brightness increases along the wave, as slopes are."""
    ramp = np.arange(21.0)
    for angle, rising in ((0, ramp[None, :]), (90, ramp[:, None]), (45, ramp[:, None] + ramp)):
        wave = weights(f"gabor:8,{angle},3,phase=90,size=21")
        assert np.allclose(wave, -wave[::-1, ::-1])
        assert (wave * rising).sum() > 1


def test_gabor_without_a_mean():
    """``zero-mean`` responds with 0 to a constant area."""
    assert weights("gabor:8,30,zero-mean").sum() == pytest.approx(0, abs=1e-12)
    assert abs(weights("gabor:8,30").sum()) > 0.1


def test_random_normal():
    """Truncated at two standard deviations, with Glorot's variance, and reproducible by its seed."""
    drawn = weights("random:32x32x4x4,distribution=normal,seed=3")
    deviation = np.sqrt(2 / (32 * 32 * 8))
    assert drawn.std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(drawn).max() <= 2 * deviation / 0.8796
    assert np.array_equal(drawn, weights("random:32x32x4x4,distribution=normal,seed=3"))
