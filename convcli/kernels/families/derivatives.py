"""Derivatives of any size: Sobel's, those of a Gaussian, Laplacians, differences of Gaussians."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError
from convcli.core.rational import FloatArray
from convcli.kernels.bank import KernelSet
from convcli.kernels.families.base import Family, Parameter, number, plain, whole
from convcli.kernels.families.gaussian_samples import SIGMA, SIZE, radius_of, sampled
from convcli.kernels.kernel import About, Kernel

_GRADIENT: Final = ("edge", "gradient")
_LAPLACIAN: Final = ("edge", "laplacian")
_SOBEL_SIZE: Final = Parameter("size", whole("size", 3, 15, odd=True))
_SOURCE: Final = "a binomial times the difference of a smaller one, as OpenCV's getDerivKernels"
_DESCRIPTIONS: Final = {
    "dx": "First derivative along x",
    "dy": "First derivative along y",
    "dxx": "Second derivative along x",
    "dyy": "Second derivative along y",
    "dxy": "Mixed second derivative",
}
_ORDERS: Final = {"dx": (1, 0), "dy": (0, 1), "dxx": (2, 0), "dyy": (0, 2), "dxy": (1, 1)}


def _sobel_vectors(size: int) -> tuple[Any, Any]:
    smooth = np.array([comb(size - 1, k) for k in range(size)], np.int64)
    shorter = np.array([comb(size - 3, k) for k in range(size - 2)], np.int64)
    return smooth, np.convolve(shorter, [-1, 0, 1])


def _sobel_x(name: str, size: int, across: bool = True) -> Kernel:
    smooth, slope = _sobel_vectors(size)
    direction, edges = ("to the right", "vertical") if across else ("downward", "horizontal")
    about = About(
        f"Slope, positive where brightness increases {direction}; finds {edges} edges",
        _SOURCE,
        _GRADIENT,
        gain=Fraction(int(smooth.sum()) * int((slope * np.arange(size)).sum())),
    )
    weights = np.multiply.outer(smooth, slope)
    return Kernel(weights if across else weights.T, name=name, about=about)


def _sobel_y(name: str, size: int) -> Kernel:
    return _sobel_x(name, size, across=False)


def _sobel(name: str, size: int) -> KernelSet:
    gain = _sobel_x(name, size).about.gain
    about = About("Gradient magnitude, √(slope along x² + slope along y²)", _SOURCE, _GRADIENT, gain=gain)
    return KernelSet(name, (f"sobel-x:{size}", f"sobel-y:{size}"), "l2", about)


def _derivative(kind: str) -> Any:
    across, down = _ORDERS[kind]

    def make(name: str, sigma: Fraction, size: int | None) -> Kernel:
        radius = radius_of(sigma, size)
        if not radius:
            raise ValueError(f"sigma {plain(sigma)} gives a window of one pixel; give a size of 3 or more")
        if not sampled(float(sigma), radius)[1][radius + 1]:
            raise ValueError(f"sigma {plain(sigma)} is too small: all weights but the center are 0")
        weights = np.multiply.outer(
            _derived(float(sigma), radius, down), _derived(float(sigma), radius, across)
        )
        about = About(
            f"{_DESCRIPTIONS[kind]} of a Gaussian of σ = {plain(sigma)}",
            "Canny 1986; scaled to give 1 for an image whose derivative is 1",
            ("derivative", "edge"),
            gain=Fraction(1),
        )
        return Kernel(weights, name=name, about=about)

    return make


def _derived(sigma: float, radius: int, order: int) -> FloatArray:
    """A Gaussian's derivative in correlation order: exact for constants, and for t or t²/2."""
    steps, bell = sampled(sigma, radius)
    if order == 0:
        return bell
    if order == 1:
        slope = steps * bell
        return slope / float((slope * steps).sum())
    bend = (steps**2 - sigma**2) * bell
    bend -= bell * bend.sum()
    bend -= bend.mean()
    return bend / float((bend * steps**2 / 2).sum())


def _laplacian(name: str, alpha: Fraction) -> Kernel:
    cross, corner = (1 - alpha) / (1 + alpha), alpha / (1 + alpha)
    about = About(
        f"Curvature, α = {plain(alpha)}; negative center",
        "MATLAB's fspecial('laplacian')",
        _LAPLACIAN,
        gain=Fraction(1),
    )
    rows = [[corner, cross, corner], [cross, -4 / (1 + alpha), cross], [corner, cross, corner]]
    return Kernel(np.array(rows, object), name=name, about=about)


def _log(name: str, sigma: Fraction, size: int | None, positive: bool) -> Kernel:
    radius = radius_of(sigma, size)
    steps, bell = sampled(float(sigma), radius)
    squares = steps[:, None] ** 2 + steps**2
    weights = (squares - 2 * float(sigma) ** 2) / float(sigma) ** 4 * np.multiply.outer(bell, bell)
    weights -= weights.mean()
    about = About(
        f"Laplacian of a Gaussian of σ = {plain(sigma)}; {'positive' if positive else 'negative'} center",
        "Marr and Hildreth 1980; (x² + y² − 2σ²) / σ⁴ · G, minus its mean",
        _LAPLACIAN,
    )
    return Kernel(-weights if positive else weights, name=name, about=about)


def _dog(name: str, sigma1: Fraction, sigma2: Fraction | None) -> Kernel:
    wide = sigma1 * Fraction(8, 5) if sigma2 is None else sigma2
    if wide <= sigma1:
        raise KernelError(
            f"kernel {name!r}: sigma2 ({plain(wide)}) must be larger than sigma1 ({plain(sigma1)})"
        )
    radius = radius_of(wide, None)
    inner, outer = (sampled(float(sigma), radius)[1] for sigma in (sigma1, wide))
    about = About(
        f"Gaussian of σ = {plain(sigma1)} minus one of {plain(wide)}; positive center",
        "Marr and Hildreth 1980; with a ratio of 1.6 close to log, with the opposite sign",
        _LAPLACIAN,
    )
    return Kernel(np.multiply.outer(inner, inner) - np.multiply.outer(outer, outer), name=name, about=about)


DERIVATIVES: Final = (
    Family("sobel-x", "slope along x, at any size", (_SOBEL_SIZE,), _sobel_x, _GRADIENT),
    Family("sobel-y", "slope along y, at any size", (_SOBEL_SIZE,), _sobel_y, _GRADIENT),
    Family("sobel", "gradient magnitude, at any size", (_SOBEL_SIZE,), _sobel, _GRADIENT),
    *(
        Family(
            f"gaussian-{kind}",
            f"{_DESCRIPTIONS[kind].casefold()} of a Gaussian",
            (SIGMA, SIZE),
            _derivative(kind),
            ("derivative", "edge"),
        )
        for kind in _ORDERS
    ),
    Family(
        "laplacian",
        "curvature, from four neighbors (0) to the diagonal ones (1)",
        (Parameter("alpha", number("alpha", "0", "1")),),
        _laplacian,
        _LAPLACIAN,
    ),
    Family("log", "Laplacian of a Gaussian", (SIGMA, SIZE, Parameter("positive")), _log, _LAPLACIAN),
    Family(
        "dog",
        "difference of two Gaussians",
        (
            Parameter("sigma1", number("sigma1", "0.01", "500")),
            Parameter("sigma2", number("sigma2", "0.01", "500"), ""),
        ),
        _dog,
        _LAPLACIAN,
    ),
)
