"""Sharpening, Gabor filters, and the kernels of lessons: ones and random weights."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt
from typing import Any, Final

import numpy as np

from convcli.core.errors import quoted
from convcli.kernels.families.base import LARGEST_SIDE, Family, Parameter, number, plain, sides, whole
from convcli.kernels.families.gaussian_samples import SIZE, radius_of, sampled
from convcli.kernels.kernel import About, Kernel

_SHARPEN: Final = ("sharpen",)
_LESSON: Final = ("lesson",)
_DISTRIBUTIONS: Final = ("uniform", "normal")
_MOST_NORMAL: Final = 2**20
_TRUNCATION: Final = 2.0
"""Where a truncated normal distribution ends, in standard deviations."""
_TRUNCATED_DEVIATION: Final = 0.87962566103423978
"""The standard deviation of a standard normal distribution truncated at ±2."""


def _unsharp(
    name: str, sigma: Fraction | None, amount: Fraction | None, alpha: Fraction | None, size: int | None
) -> Kernel:
    if alpha is not None and (sigma, amount, size) == (None, None, None):
        return _unsharp_alpha(name, alpha)
    if sigma is None or amount is None or alpha is not None:
        raise ValueError("give either SIGMA,AMOUNT or alpha=A")
    radius = radius_of(sigma, size)
    _, bell = sampled(float(sigma), radius)
    weights = -float(amount) * np.multiply.outer(bell, bell)
    weights[radius, radius] += 1 + float(amount)
    about = About(
        f"Sharper by {plain(amount)} times what a Gaussian blur of σ = {plain(sigma)} removes",
        "unsharp masking: δ + amount·(δ − G)",
        _SHARPEN,
    )
    return Kernel(weights, name=name, about=about)


def _unsharp_alpha(name: str, alpha: Fraction) -> Kernel:
    cross, corner = (alpha - 1) / (1 + alpha), -alpha / (1 + alpha)
    rows = [[corner, cross, corner], [cross, (alpha + 5) / (1 + alpha), cross], [corner, cross, corner]]
    about = About(
        f"Sharper, the image minus laplacian:{plain(alpha)}", "MATLAB's fspecial('unsharp')", _SHARPEN
    )
    return Kernel(np.array(rows, object), name=name, about=about)


def _highboost(name: str, amount: Fraction) -> Kernel:
    rows = [[0, -1, 0], [-1, 4 + amount, -1], [0, -1, 0]]
    about = About(
        f"{plain(amount)} times the image minus laplacian4",
        "Gonzalez and Woods, Digital Image Processing",
        _SHARPEN,
    )
    return Kernel(np.array(rows, object), name=name, about=about)


def _gabor(name: str, **options: Any) -> Kernel:
    """exp(−(x'² + γ²y'²) / 2σ²)·cos(2πx'/λ + ψ), x' = x cos θ + y sin θ, rotated by 180° as in OpenCV.

    The formula is that of true convolution, so a phase of 90° responds to brightness that rises along the
    wave.
    """
    values = {key: float(value) for key, value in options.items() if value is not None and key != "zero-mean"}
    wavelength, ratio = values["wavelength"], values["ratio"]
    sigma = values.get("sigma", 0.56 * wavelength)
    radius = _gabor_radius(sigma, ratio, values["angle"]) if options["size"] is None else options["size"] // 2
    radians = np.deg2rad(values["angle"])
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    along, across = x * np.cos(radians) + y * np.sin(radians), y * np.cos(radians) - x * np.sin(radians)
    bell = np.exp(-(along**2 + ratio**2 * across**2) / (2 * sigma**2))
    weights = bell * np.cos(2 * np.pi * along / wavelength - np.deg2rad(values["phase"]))
    if options["zero-mean"]:
        weights -= bell * (weights.sum() / bell.sum())
    about = About(
        f"Wave of {wavelength:g} pixels along {_heading(values['angle'])} under a Gaussian of σ = {sigma:g}",
        "Daugman 1985; OpenCV's getGaborKernel",
        ("texture",),
    )
    return Kernel(weights, name=name, about=about)


def _heading(angle: float) -> str:
    """The angle and its direction: clockwise as in OpenCV, because rows count downward."""
    return f"{angle:g}°, clockwise," if angle else "0°"


def _gabor_radius(sigma: float, ratio: float, angle: float) -> int:
    """Three standard deviations along and across the wave, projected onto the axes."""
    radians = np.deg2rad(angle)
    spread = max(abs(np.cos(radians)), abs(np.sin(radians)))
    radius = int(np.ceil(3 * sigma * spread * max(1.0, 1 / ratio)))
    if radius > LARGEST_SIDE // 2:
        raise ValueError(f"radius {radius} is above {LARGEST_SIDE // 2}; give a size")
    return radius


def _ones(name: str, size: tuple[int, ...]) -> Kernel:
    about = About("All weights 1: the sum of the neighborhood", "every weight is 1", _LESSON)
    return Kernel(np.ones(size, np.int64), name=name, about=about)


def _random(name: str, size: tuple[int, ...], seed: int, distribution: str) -> Kernel:
    rows, columns, inputs, maps = size if len(size) == 4 else (*size, 1, 1)
    limit = sqrt(6 / (rows * columns * (inputs + maps)))
    raw = np.random.PCG64(seed).random_raw(rows * columns * inputs * maps)
    uniform = (raw >> np.uint64(11)) * 2.0**-53
    if distribution == "uniform":
        weights, words = limit * (2 * uniform - 1), f"in ±{limit:.4g}"
    else:
        deviation = limit / sqrt(3)
        weights = _normal(uniform) * (deviation / _TRUNCATED_DEVIATION)
        words = f"from a normal distribution truncated at ±2σ, σ = {deviation:.4g}"
    about = About(f"Random weights {words}, seed {seed}", f"Glorot and Bengio 2010 ({distribution})", _LESSON)
    return Kernel(weights.astype(np.float32).reshape(size), name=name, about=about)


def _normal(uniform: Any) -> Any:
    """Uniform numbers mapped to a normal distribution truncated at ±2, by the inverse of its CDF."""
    if uniform.size > _MOST_NORMAL:
        raise ValueError(f"{uniform.size} normal weights; allowed: up to {_MOST_NORMAL}")
    from statistics import NormalDist  # imported only if it is needed

    bell = NormalDist()
    low = bell.cdf(-_TRUNCATION)
    inner = np.clip(low + uniform * (1 - 2 * low), 1e-16, 1 - 1e-16)
    return np.array([bell.inv_cdf(float(value)) for value in inner])


def _distribution(text: str) -> str:
    if text.casefold() not in _DISTRIBUTIONS:
        raise ValueError(f"unknown distribution {quoted(text)}; allowed: {', '.join(_DISTRIBUTIONS)}")
    return text.casefold()


EFFECTS: Final = (
    Family(
        "unsharp",
        "unsharp masking",
        (
            Parameter("sigma", number("sigma", "0.01", "500"), ""),
            Parameter("amount", number("amount", "0", "100"), ""),
            Parameter("alpha", number("alpha", "0", "1"), ""),
            SIZE,
        ),
        _unsharp,
        _SHARPEN,
        usage_text="unsharp:SIGMA,AMOUNT[,size=…] or unsharp:alpha=A",
    ),
    Family(
        "highboost",
        "high-boost filter: a multiple of the image, sharpened",
        (Parameter("amount", number("amount", "0", "1000")),),
        _highboost,
        _SHARPEN,
    ),
    Family(
        "gabor",
        "Gabor filter; angles are clockwise, so 45 is down to the right",
        (
            Parameter("wavelength", number("wavelength", "1", "1000")),
            Parameter("angle", number("angle", "-360", "360"), "0"),
            Parameter("sigma", number("sigma", "0.1", "500"), ""),
            Parameter("ratio", number("ratio", "0.05", "20"), "0.5"),
            Parameter("phase", number("phase", "-360", "360"), "0"),
            SIZE,
            Parameter("zero-mean"),
        ),
        _gabor,
        ("texture",),
    ),
    Family(
        "ones", "sum of the neighborhood", (Parameter("size", sides(2, 3, 4)),), _ones, _LESSON, sized=True
    ),
    Family(
        "random",
        "random weights of an untrained layer",
        (
            Parameter("size", sides(2, 4), "3x3"),
            Parameter("seed", whole("seed", 0, 2**63 - 1), "0"),
            Parameter("distribution", _distribution, "uniform"),
        ),
        _random,
        _LESSON,
    ),
)
