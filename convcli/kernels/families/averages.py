"""Averages of any size: boxes, tents, binomials, Gaussians, disks, motion blur, Savitzky-Golay."""

from __future__ import annotations

from fractions import Fraction
from math import comb, prod
from typing import Any, Final

import numpy as np

from convcli.core.rational import FloatArray
from convcli.kernels.families.base import Family, Parameter, number, plain, sides, whole
from convcli.kernels.families.gaussian_samples import SIGMA, SIZE, TRUNCATE, radius_of, sampled
from convcli.kernels.kernel import About, Kernel

_BLUR: Final = ("blur",)
_OPENCV: Final = {1: "1", 3: "1 2 1", 5: "1 4 6 4 1", 7: "2 7 14 18 14 7 2", 9: "4 13 30 51 60 51 30 13 4"}
"""The small Gaussians of OpenCV, by size."""


def _box(name: str, size: tuple[int, ...]) -> Kernel:
    about = About(f"Mean of a {'×'.join(map(str, size))} neighborhood", "the arithmetic mean", _BLUR)
    return Kernel(np.ones(size, np.int64), scale=Fraction(1, prod(size)), name=name, about=about)


def _triangle(name: str, size: int) -> Kernel:
    half = size // 2
    row = half + 1 - np.abs(np.arange(-half, half + 1))
    about = About(
        f"{size}×{size} tent: box{half + 1} applied twice",
        "a box convolved with itself; the Bartlett window",
        _BLUR,
    )
    return Kernel(np.multiply.outer(row, row), scale=Fraction(1, (half + 1) ** 4), name=name, about=about)


def _binomial(name: str, size: int) -> Kernel:
    row = np.array([comb(size - 1, k) for k in range(size)], object)
    about = About(
        f"Binomial {size}×{size}, close to a Gaussian of σ² = {Fraction(size - 1, 4)}",
        "Burt and Adelson 1983; a row of Pascal's triangle, twice",
        _BLUR,
    )
    return Kernel(np.multiply.outer(row, row), scale=Fraction(1, 4 ** (size - 1)), name=name, about=about)


def _gaussian(name: str, sigma: Fraction, size: int | None, truncate: Fraction) -> Kernel:
    radius = radius_of(sigma, size, truncate)
    _, bell = sampled(float(sigma), radius)
    about = About(f"Gaussian, σ = {plain(sigma)}, radius {radius}", "exp(−(x² + y²) / 2σ²), sum 1", _BLUR)
    return Kernel(np.multiply.outer(bell, bell), name=name, about=about)


def _gaussian_cv(name: str, size: int) -> Kernel:
    sigma = Fraction(3, 10) * (Fraction(size - 1, 2) - 1) + Fraction(8, 10)
    about = About(
        f"OpenCV's Gaussian of size {size}, with σ = 0.3((size − 1)/2 − 1) + 0.8",
        "OpenCV's getGaussianKernel(size, 0): tables up to size 9",
        _BLUR,
    )
    if size in _OPENCV:
        row = np.array(_OPENCV[size].split(), np.int64)
        return Kernel(
            np.multiply.outer(row, row), scale=Fraction(1, int(row.sum()) ** 2), name=name, about=about
        )
    _, bell = sampled(float(sigma), size // 2)
    return Kernel(np.multiply.outer(bell, bell), name=name, about=about)


def _disk(name: str, radius: Fraction) -> Kernel:
    areas = disk_areas(float(radius))
    about = About(
        f"Mean inside a circle of radius {plain(radius)}",
        "the area of each pixel inside the circle, sum 1",
        _BLUR,
    )
    return Kernel(areas / areas.sum(), name=name, about=about)


def disk_areas(radius: float) -> FloatArray:
    """The area of each pixel inside a circle around the center of the middle pixel.

    In one quadrant it is ∫ min(h, √(r² − x²)) dx between the pixel's sides, for its upper edge h minus the
    same for its lower edge.
    """
    half = int(np.ceil(radius))
    edges = np.concatenate(([0.0], np.arange(half + 1) + 0.5)).clip(0, radius)
    integrals = np.array([[_integral(radius, x, h) for x in edges] for h in edges])
    quarter = np.diff(np.diff(integrals, axis=0), axis=1)
    quarter[0] *= 2
    quarter[:, 0] *= 2
    upper = np.concatenate((quarter[:, :0:-1], quarter), axis=1)
    areas: FloatArray = np.concatenate((upper[:0:-1], upper))
    return areas


def _integral(radius: float, x: float, height: float) -> float:
    """∫ from 0 to ``x`` of min(height, √(r² − t²)) dt."""

    def primitive(t: float) -> float:
        inside = max(radius * radius - t * t, 0.0)
        return float((t * np.sqrt(inside) + radius**2 * np.arcsin(min(t / radius, 1.0))) / 2)

    meets = float(np.sqrt(max(radius * radius - height * height, 0.0)))
    return height * min(x, meets) + (primitive(x) - primitive(meets) if x > meets else 0.0)


def _motion(name: str, length: Fraction, angle: Fraction) -> Kernel:
    half, radians = (float(length) - 1) / 2, np.deg2rad(float(angle))
    reach = int(np.ceil(half)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    along, across = x * np.cos(radians) - y * np.sin(radians), x * np.sin(radians) + y * np.cos(radians)
    beyond = np.maximum(np.abs(along) - half, 0)
    weights = np.maximum(1 - np.hypot(beyond, across), 0)
    weights[weights < 1e-12] = 0
    rows, columns = (np.flatnonzero(weights.any(axis=axis)) for axis in (1, 0))
    weights = weights[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    about = About(
        f"Motion of {plain(length)} pixels at {plain(angle)}°, counterclockwise",
        "an antialiased line, sum 1; as MATLAB's fspecial",
        _BLUR,
    )
    return Kernel(weights / weights.sum(), name=name, about=about)


def _savgol(name: str, size: int, order: int) -> Kernel:
    if order >= size:
        raise ValueError(f"order {order} needs a size above {order}, not {size}")
    about = About(
        f"Least-squares fit of a polynomial of degree {order} over {size}×{size}",
        "Savitzky and Golay 1964, in two dimensions",
        _BLUR,
    )
    return Kernel(_least_squares(size, order), name=name, about=about)


def _least_squares(size: int, order: int) -> Any:
    """Exact weights (size, size) that give the fitted polynomial's value at the center.

    With the design matrix A of the monomials xⁱyʲ, i + j ≤ order, they are A(AᵀA)⁻¹e₀.
    """
    half = size // 2
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    moments = [sum(step**k for step in range(-half, half + 1)) for k in range(2 * order + 1)]
    normal = [
        [Fraction(moments[i + k] * moments[j + m]) for k, m in powers] + [Fraction(not (i or j))]
        for i, j in powers
    ]
    solution = _solved(normal)
    terms = dict(zip(powers, solution, strict=True))
    steps = range(-half, half + 1)
    weights = [[sum(c * x**i * y**j for (i, j), c in terms.items()) for x in steps] for y in steps]
    return np.array(weights, object)


def _solved(rows: list[list[Fraction]]) -> list[Fraction]:
    """The solution of a linear system, its right side in the last column, by Gaussian elimination."""
    for place in range(len(rows)):
        pivot = next(index for index in range(place, len(rows)) if rows[index][place])
        rows[place], rows[pivot] = rows[pivot], rows[place]
        rows[place] = [value / rows[place][place] for value in rows[place]]
        for index, row in enumerate(rows):
            if index != place and row[place]:
                factor = row[place]
                rows[index] = [a - factor * b for a, b in zip(row, rows[place], strict=True)]
    return [row[-1] for row in rows]


AVERAGES: Final = (
    Family("box", "mean of the neighborhood", (Parameter("size", sides(2, 3)),), _box, _BLUR, sized=True),
    Family(
        "triangle",
        "tent; a box applied twice",
        (Parameter("size", whole("size", 1, 401, odd=True)),),
        _triangle,
        _BLUR,
        sized=True,
    ),
    Family(
        "binomial",
        "Gaussian blur in integers; also named gaussian3 to gaussian15",
        (Parameter("size", whole("size", 1, 15, odd=True)),),
        _binomial,
        _BLUR,
        sized=True,
    ),
    Family(
        "gaussian",
        "Gaussian blur",
        (SIGMA, SIZE, Parameter("truncate", number("truncate", "0.01", "100"), str(TRUNCATE))),
        _gaussian,
        _BLUR,
    ),
    Family(
        "gaussian-cv",
        "Gaussian blur with OpenCV's rule for σ",
        (Parameter("size", whole("size", 1, 1023, odd=True)),),
        _gaussian_cv,
        _BLUR,
        sized=True,
    ),
    Family(
        "disk",
        "mean inside a circle",
        (Parameter("radius", number("radius", "0.1", "200"), "5"),),
        _disk,
        _BLUR,
    ),
    Family(
        "motion",
        "motion blur along a line; angles are counterclockwise, so 45 is up to the right",
        (
            Parameter("length", number("length", "1", "1000"), "9"),
            Parameter("angle", number("angle", "-360", "360"), "0"),
        ),
        _motion,
        _BLUR,
    ),
    Family(
        "savgol",
        "smoothing that preserves polynomials (Savitzky-Golay)",
        (
            Parameter("size", whole("size", 3, 31, odd=True)),
            Parameter("order", whole("order", 0, 6), "2"),
        ),
        _savgol,
        _BLUR,
    ),
)
