"""Two image files compared, and their difference image written."""

from __future__ import annotations

from convcli.comparison.compare import compared
from convcli.comparison.drawing import Drawing
from convcli.comparison.images import mismatch, opened
from convcli.comparison.result import Comparison
from convcli.comparison.settings import CompareSettings
from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.files.input import STREAM


def compare_files(
    a: str, b: str, settings: CompareSettings, drawing: Drawing | None = None, always: bool = True
) -> Comparison:
    """Compare two image files, objects at URLs or standard input (``-``).

    Args:
        drawing: writes the difference image, if there are differences that can be drawn.
        always: also write it if there are no differences.

    Raises:
        ConvcliError: one of them cannot be read, or the image cannot be written; the message names the file.
    """
    if a == b == STREAM:
        raise ArgumentError("standard input (-) is given twice")
    with opened(a, settings) as one, opened(b, settings) as other:
        sides = one.side(), other.side()
        task = None if drawing is None or mismatch(*sides) else drawing.prepared(*sides)
        result = compared(one, other, settings)
        if drawing is None or not (always or result.differing or result.mismatch):
            return result
        if task is None:
            return replace(result, notes=(*result.notes, "no difference image: the shapes differ"))
        task.write(one, other, result, drawing.force)
        notes = (*result.notes, *filter(None, [task.target.note]))
        return replace(result, output=str(task.target), notes=notes)
