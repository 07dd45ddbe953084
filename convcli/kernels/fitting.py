"""The kernel between two images: least squares over all windows, with what says how far to trust it.

Windows are the rows of a matrix, which is reduced block by block to its triangular factor R (QR by
Householder reflections). The normal equations would take less time, but they square the condition number,
which is large for images, because neighboring pixels are alike. Memory holds both images and one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod, sqrt
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, ConvcliError
from convcli.core.frozen import frozen
from convcli.core.numerals import counted, grouped, number_text, report_text, with_minus
from convcli.core.rational import FloatArray
from convcli.core.tables import SCHEMA
from convcli.geometry.axes import Geometry, geometry
from convcli.geometry.border import OUTSIDE, sources
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import About, Kernel

MOST_WEIGHTS: Final = 1024
_BLOCK: Final = 2**20  # numbers of a block
_SINGULAR: Final = 1e-11  # of the largest singular value
_LARGEST_DENOMINATOR: Final = 1000
_LARGEST_VALUE: Final = 1e120  # magnitude of values whose squares can be added
_CHI_SQUARE: Final = 4  # times the degrees of freedom
_SHARE: Final = 0.01  # of the residual's sum of squares
_NEAR: Final = 1 / 8  # of the step between fractions
_ROUNDING: Final = 1e-12  # of the norm of the results
_POOR: Final = 0.1  # residual, as a share of the spread


@frozen(eq=False)
class Fit:
    """A fitted kernel.

    Attributes:
        windows: number of equations: every window of every channel.
        condition: of the windows: the largest singular value over the smallest.
        rms, largest: of the residual: the second image minus the feature map.
        spread: standard deviation of the second image's values.
        denominator: of weights that were rounded to fractions; 0 if they were not.
        errors: standard error of each weight as fitted, (rows, columns).
    """

    kernel: Kernel
    windows: int
    condition: float
    rms: float
    largest: float
    spread: float
    denominator: int
    errors: FloatArray
    has_bias: bool


@frozen(eq=False)
class _Equations:
    """Windows of the first image, and the values of the second one that they give."""

    before: Array
    after: Array
    sizes: Geometry
    fill: Any
    bias: bool

    @property
    def unknowns(self) -> int:
        return prod(self.sizes.kernel) + self.bias

    @property
    def count(self) -> int:
        return int(self.after.size)

    def blocks(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Rows of the matrix with the values that they give."""
        rows, columns = self.sizes.output
        height = max(_BLOCK // (columns * self.before.shape[2] * (self.unknowns + 1)), 1)
        for top in range(0, rows, height):
            bottom = min(top + height, rows)
            target = self.after[top:bottom].astype(np.float64)
            yield self._windows(top, bottom), target.reshape(-1)

    def _windows(self, top: int, bottom: int) -> FloatArray:
        down, across = self.sizes.axes
        first, last = down.reach((top, bottom))
        left, right = across.reach((0, across.output))
        at_rows = sources(self.fill, down.size, first, last)
        at_columns = sources(self.fill, across.size, left, right)
        pixels = self.before[at_rows][:, at_columns].astype(np.float64)
        pixels[at_rows == OUTSIDE] = self.fill.value
        pixels[:, at_columns == OUTSIDE] = self.fill.value
        views = np.lib.stride_tricks.sliding_window_view(pixels, self.sizes.kernel, (0, 1))
        flat = views.reshape(-1, prod(self.sizes.kernel))
        return np.column_stack((flat, np.ones(len(flat)))) if self.bias else flat


def fitted(
    before: Array,
    after: Array,
    size: tuple[int, int],
    *,
    padding: Padding | None = None,
    bias: bool = False,
    rounding: bool = True,
    names: tuple[str, str] = ("the first image", "the second image"),
) -> Fit:
    """The kernel of this size that takes ``before`` closest to ``after``, in least squares.

    All channels count together. Weights are rounded to fractions of one small denominator if these reproduce
    the residual.

    Args:
        before, after: (rows, columns, channels).
        padding: of the convolution between them. Without it only windows inside ``before`` count, and
            ``after`` has the size of ``before`` or of a map without padding.
        bias: whether to fit a value that is added to the map.
        rounding: whether weights may be rounded to fractions.
        names: of the images, for messages.

    Raises:
        ConvcliError: sizes or channels that do not fit, values that are not finite, or images that do not
            determine the kernel.
    """
    equations = _equations(before, after, size, padding, bias, names)
    _check_flat(equations, names)
    triangle, total, squares = _reduced(equations)
    unknowns = equations.unknowns
    matrix = triangle[:unknowns, :unknowns]
    singular = np.linalg.svd(matrix, compute_uv=False)
    rank = int((singular > _SINGULAR * singular[0]).sum())
    if rank < unknowns:
        raise ConvcliError(_undetermined(equations, rank, names))
    solution: FloatArray = np.asarray(np.linalg.solve(matrix, triangle[:unknowns, unknowns]), np.float64)
    rest = float(triangle[unknowns, unknowns]) ** 2 if len(triangle) > unknowns else 0.0
    freedom = equations.count - unknowns
    variance = rest / freedom if freedom else 0.0
    denominator = _denominator(matrix, solution, prod(size), variance, rest, squares) if rounding else 0
    values = _values(solution, denominator)
    rms, largest = _residual(equations, np.array([float(value) for value in values]))
    inverse = np.linalg.inv(matrix)
    errors = np.sqrt(variance * (inverse**2).sum(axis=1))
    mean = total / equations.count
    return Fit(
        kernel=_kernel(values, size, bias, names),
        windows=equations.count,
        condition=float(singular[0] / singular[-1]),
        rms=rms,
        largest=largest,
        spread=sqrt(max(squares / equations.count - mean * mean, 0.0)),
        denominator=denominator,
        errors=errors[: prod(size)].reshape(size),
        has_bias=bias,
    )


def _equations(
    before: Array,
    after: Array,
    size: tuple[int, int],
    padding: Padding | None,
    bias: bool,
    names: tuple[str, str],
) -> _Equations:
    if prod(size) > MOST_WEIGHTS:
        raise ArgumentError(
            f"size {size[0]}×{size[1]} has {prod(size)} weights; allowed: up to {MOST_WEIGHTS}"
        )
    if before.shape[2] != after.shape[2]:
        channels = [counted(image.shape[2], "channel") for image in (before, after)]
        raise ConvcliError(
            f"{names[0]} has {channels[0]} and {names[1]} {channels[1]}; they must be the same"
        )
    for image, name in ((before, names[0]), (after, names[1])):
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise ConvcliError(f"{name} has values that are not finite")
        if image.dtype.kind == "f" and float(np.abs(image).max()) > _LARGEST_VALUE:
            raise ConvcliError(f"{name} has values beyond ±{_LARGEST_VALUE:g}, whose squares are too large")
    if padding and padding.fill.mode == "ignore":
        raise ArgumentError("padding fill ignore fits no kernel; use another fill")
    sizes = geometry(before.shape[:2], size, 1, padding)
    if padding is None and after.shape[:2] == before.shape[:2]:
        top, left = ((side - 1) // 2 for side in size)
        after = after[top : top + sizes.output[0], left : left + sizes.output[1]]
    if after.shape[:2] != sizes.output:
        got, inside = "×".join(map(str, after.shape[:2])), "×".join(map(str, sizes.output))
        allowed = (
            inside if padding else f"{'×'.join(map(str, before.shape[:2]))} or {inside}, or use --padding"
        )
        raise ConvcliError(f"{names[1]} has {got} pixels (expected: {allowed})")
    return _Equations(before, after, sizes, (padding or Padding()).fill, bias)


def _check_flat(equations: _Equations, names: tuple[str, str]) -> None:
    """Refuse what determines no kernel, with the plainest reason."""
    if equations.before.min() == equations.before.max():
        raise ConvcliError(
            f"{names[0]} is flat (every value is {equations.before.flat[0]}); no kernel follows"
        )
    if equations.count < equations.unknowns:
        raise ConvcliError(
            f"{names[0]} has {counted(equations.count, 'window')} for {equations.unknowns} unknowns; "
            "use a larger image or a smaller --size"
        )


def _undetermined(equations: _Equations, rank: int, names: tuple[str, str]) -> str:
    image = equations.before
    reason = "its windows are too much alike"
    if (image == image[:1]).all():
        reason = "all of its rows are the same"
    elif (image == image[:, :1]).all():
        reason = "all of its columns are the same"
    return (
        f"{names[0]} determines only {rank} of {equations.unknowns} unknowns: {reason}; "
        "use another image or a smaller --size"
    )


def _reduced(equations: _Equations) -> tuple[FloatArray, float, float]:
    """The triangular factor of the matrix with the results as its last column; their sum, and of squares."""
    triangle: FloatArray = np.zeros((0, equations.unknowns + 1))
    total = squares = 0.0
    for windows, target in equations.blocks():
        block = np.column_stack((windows, target))
        triangle = np.asarray(np.linalg.qr(np.concatenate((triangle, block)), mode="r"), np.float64)
        total += float(target.sum())
        squares += float(target @ target)
    return triangle, total, squares


def _denominator(
    matrix: FloatArray, solution: FloatArray, weights: int, variance: float, rest: float, squares: float
) -> int:
    """The smallest denominator whose fractions reproduce the residual, or 0.

    By ``matrix``, a change of the solution becomes one of the residual, of the same norm. Its square may be
    what chance explains, the variance times a chi-square of as many degrees of freedom as unknowns, or a
    hundredth of the residual's, because rounded pixels are not as random as that. And every weight must be
    much nearer to a fraction than weights that are none.

    Args:
        weights: how many of the unknowns are weights.
        rest, squares: the sums of squares of the residual and of the results.
    """
    most = max(_CHI_SQUARE * len(solution) * variance, _SHARE * rest) + squares * _ROUNDING**2
    for denominator in range(1, _LARGEST_DENOMINATOR + 1):
        steps = solution * denominator
        away = np.rint(steps) - steps
        change = matrix @ (away / denominator)
        is_near = np.abs(away).max() <= _NEAR and np.abs(steps[:weights]).max() >= _NEAR  # not all of them 0
        if is_near and float(change @ change) <= most:
            return denominator
    return 0


def _values(solution: FloatArray, denominator: int) -> list[Any]:
    if not denominator:
        return [float(value) for value in solution]
    return [Fraction(round(value * denominator), denominator) for value in solution.tolist()]


def _residual(equations: _Equations, values: FloatArray) -> tuple[float, float]:
    """The root of the mean square, and the largest magnitude."""
    squares = largest = 0.0
    for windows, target in equations.blocks():
        rest = target - windows @ values
        squares += float(rest @ rest)
        largest = max(largest, float(np.abs(rest).max()))
    return sqrt(squares / equations.count), largest


def _kernel(values: list[Any], size: tuple[int, int], bias: bool, names: tuple[str, str]) -> Kernel:
    weights = np.array(values[: prod(size)], object).reshape(size)
    about = About(f"Fitted from {names[0]} to {names[1]}", "least squares")
    return Kernel(weights, bias=values[-1] if bias else 0, name="fitted", about=about)


def as_rows(fit: Fit) -> list[tuple[str, str]]:
    """(label, text) of what the fit is worth."""
    if fit.denominator == 1:
        weights = "integers"
    elif fit.denominator:
        weights = f"multiples of 1/{fit.denominator}"
    else:
        weights = f"standard errors up to {_digits(float(fit.errors.max()))}"
    share = f", {_digits(100 * fit.rms / fit.spread)}% of the spread of values" if fit.spread else ""
    residual = f"RMS {_digits(fit.rms)}{share}; largest {_digits(fit.largest)}"
    rows = [
        ("weights", weights),
        ("residual", residual if fit.largest else "none: every value is reproduced exactly"),
        ("condition", f"{_digits(fit.condition)}, from {grouped(fit.windows)} windows"),
    ]
    if fit.has_bias:
        rows.insert(1, ("bias", with_minus(number_text(fit.kernel.biases[0]))))
    if fit.rms > _POOR * fit.spread:
        rows.append(("note", f"a kernel of this size explains AFTER poorly; {_advice(fit)}"))
    return rows


def _advice(fit: Fit) -> str:
    """What to change if the residual is large."""
    return f"write AFTER with --map raw, or try {'' if fit.has_bias else '--bias or '}a larger --size"


def _digits(value: float) -> str:
    return report_text(float(f"{value:.3g}"))


def as_dict(fit: Fit) -> dict[str, Any]:
    """The fit as JSON types."""
    return {
        "schema": SCHEMA,
        "size": list(fit.kernel.size),
        "weights": fit.kernel.weights.tolist(),
        "bias": float(fit.kernel.biases[0]) if fit.has_bias else None,
        "denominator": fit.denominator or None,
        "standard_errors": fit.errors.tolist(),
        "windows": fit.windows,
        "condition": fit.condition,
        "rms": fit.rms,
        "largest": fit.largest,
        "spread": fit.spread,
    }
