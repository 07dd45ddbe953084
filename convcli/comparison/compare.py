"""Comparing two images, given as names of files or as arrays."""

from __future__ import annotations

import os
from contextlib import ExitStack
from math import inf
from numbers import Real
from typing import Any, Final

from convcli.arrays.arguments import named as named_arguments
from convcli.comparison.images import Image, image_in_memory, mismatch, opened
from convcli.comparison.result import Comparison, Side, Similarity
from convcli.comparison.settings import SSIM, CompareSettings
from convcli.comparison.strips import strip_pairs
from convcli.comparison.structure import Structure, window_fits, window_text
from convcli.comparison.tally import Tally
from convcli.core.dtypes import DType, span
from convcli.core.errors import ArgumentError, literal, quoted, suggest
from convcli.core.frozen import replace

_STATED_BYTES: Final = 2  # integers of up to so many bytes use the whole range of their type


@named_arguments
def compare(
    a: Any,
    b: Any,
    *,
    ssim: str = "uniform",
    data_range: float | None = None,
    ignore_alpha: bool = False,
    threads: int | None = None,
) -> Comparison:
    """Return how two images differ: largest, mean and RMS difference, PSNR, SSIM, and a histogram.

    Args:
        a: an image: a path or URL, ``"-"`` for standard input, the bytes of a file, an open binary file, a
            PIL image, a DataArray, or an array of any library: (columns), (rows, columns), (rows, columns,
            channels) or (frames, rows, columns, channels) of bool, integers or floats of up to 64 bits.
        b: the other image. Differences are ``b − a``.
        ssim: windows of the structural similarity: ``"uniform"``, 7×7 with sample covariance, as in
            `skimage.metrics.structural_similarity` by default; ``"gaussian"``, σ = 1.5 and 11×11 with
            population covariance, as in its paper; or ``"none"``.
        data_range: the difference between black and white for PSNR and SSIM. None takes the range of the
            type for integers of 8 and 16 bits; for others, 1 if all values are within 0 to 1, otherwise the
            difference between the largest and the smallest value of both images.
        ignore_alpha: leave alpha out on both sides.
        threads: largest number of threads; None means one per CPU.

    Returns:
        The comparison. ``identical`` says whether shapes and values are the same, NaN being equal to NaN;
        ``mismatch`` why values cannot be compared; ``largest``, ``mean``, ``mean_absolute``, ``rms``,
        ``psnr`` and ``ssim`` are numbers, or None where they are not defined.

    Raises:
        ArgumentError: an argument whose value, type or shape is not allowed.
        ConvcliError: a file that cannot be read.
    """
    if ssim not in SSIM:
        raise ArgumentError(
            f"ssim {quoted(str(ssim))} is not one of {', '.join(SSIM)}{suggest(str(ssim), SSIM)}"
        )
    if data_range is not None and not (isinstance(data_range, Real) and 0 < data_range < inf):
        raise ArgumentError(f"data_range is {literal(data_range)}; allowed: a finite number above 0")
    settings = CompareSettings(ssim, data_range, ignore_alpha, threads=threads)
    with ExitStack() as stack:
        one, other = (_image(name, value, settings, stack) for name, value in (("a", a), ("b", b)))
        return compared(one, other, settings)


def _image(name: str, value: Any, settings: CompareSettings, stack: ExitStack) -> Image:
    if isinstance(value, (str, os.PathLike)):
        return stack.enter_context(opened(os.fsdecode(value), settings))
    return image_in_memory(name, value, settings)


def compared(a: Image, b: Image, settings: CompareSettings) -> Comparison:
    """Compare two open images.

    Raises:
        ConvcliError: one of them is damaged, or changed while it was being read.
    """
    sides = a.side(), b.side()
    result = Comparison(*sides, mismatch(*sides), notes=_notes(*sides))
    if result.mismatch:
        return result
    stated = settings.data_range or stated_range(sides[0].dtype, sides[1].dtype)
    structure, tally = _structure(sides[0], settings, stated), Tally(spans=stated is None)
    for strip in strip_pairs(a, b):
        tally.add(strip)
        if structure is not None:
            structure.add(strip)
    data_range = stated or tally.data_range()
    if stated is None and data_range is not None and tally.differing:
        structure = _structure(sides[0], settings, data_range)
        for strip in strip_pairs(a, b) if structure is not None else ():
            structure.add(strip)  # type: ignore[union-attr]
    for image in (a, b):
        image.check_unchanged()
    result = replace(
        result,
        values=tally.values,
        differing=tally.differing,
        statistics=tally.statistics(),
        not_finite=tally.not_finite(),
        data_range=data_range,
    )
    return replace(result, similarity=_similarity(result, structure, settings.ssim))


def stated_range(a: DType, b: DType) -> float | None:
    """The difference between black and white that a type states; None for floats and wide integers."""
    spans = [span(kind) for kind in (a, b) if kind.kind in "iu" and kind.itemsize <= _STATED_BYTES]
    return float(max(most - least for least, most in spans)) if spans else None


def _structure(side: Side, settings: CompareSettings, data_range: float | None) -> Structure | None:
    """What computes the SSIM; None where it is not wanted, not possible, or the range is not known yet."""
    fits = (
        all(window_fits(settings.ssim, *shape[1:3]) for shape in side.shapes) if _wanted(settings) else False
    )
    return Structure(settings.ssim, data_range, settings.threads) if fits and data_range else None


def _wanted(settings: CompareSettings) -> bool:
    return settings.ssim != "none"


def _similarity(result: Comparison, structure: Structure | None, window: str) -> Similarity | None:
    if structure is not None:
        return structure.result()
    fits = window != "none" and all(window_fits(window, *shape[1:3]) for shape in result.a.shapes)
    return Similarity(1.0, window) if fits and result.identical else None


def _notes(a: Side, b: Side) -> tuple[str, ...]:
    notes = [f"{letter}: {note}" for letter, side in (("A", a), ("B", b)) for note in side.notes]
    if a.dtype != b.dtype:
        notes.append(f"different types: {a.dtype} and {b.dtype}; values are compared as they are")
    return tuple(notes)


def no_similarity(result: Comparison, window: str) -> str:
    """Why there is no SSIM, in words."""
    if window == "none" or result.mismatch:
        return ""
    if not all(window_fits(window, *shape[1:3]) for shape in result.a.shapes):
        return f"the image is smaller than {window_text(window)}"
    if result.data_range is None:
        return "the values have no range; state one with --data-range"
    return "no window has only finite values"
