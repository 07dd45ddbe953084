"""What a file format can hold of a result, and why it cannot hold another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import combinations
from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import OutputError, shown
from convcli.core.frozen import frozen, replace
from convcli.formats.base import Format
from convcli.formats.header import MAX_IMAGE_CHANNELS, kind_text
from convcli.formats.registry import formats, readable_suffixes
from convcli.storage.urls import Place

_MOST_REASONS: Final = 5


@frozen
class OutputKind:
    """What one file has to hold.

    Attributes:
        dtype, channels: of each frame.
        frames: how many.
        mixed: whether frames differ in size or type.
        frame: the number of the frame, where each goes to a file of its own.
        bands: whether no channel is alpha, as in `Layout`.
        rows, columns: of each frame.
        options: (command-line options in words, what would be written with them), to suggest.
    """

    dtype: DType
    channels: int
    frames: int = 1
    mixed: bool = False
    frame: int = 0
    bands: bool = False
    rows: int = 1
    columns: int = 1
    options: tuple[tuple[str, OutputKind], ...] = ()

    @property
    def kind(self) -> tuple[DType, int, int]:
        """As `Format.holds` takes it."""
        return self.dtype, self.channels, self.frames

    def __str__(self) -> str:
        """``RGB, 8-bit``; ``12 frames of several sizes or types (gray, 16-bit)``."""
        kind = kind_text(self.channels, self.dtype, self.bands)
        sizes = " of several sizes or types" if self.mixed else ""
        return f"{self.frames} frames{sizes} ({kind})" if self.frames > 1 else kind


def holds(candidate: Format, output: OutputKind) -> bool:
    """Whether the format keeps every value of the result."""
    several = not output.mixed or candidate.mixed_frames
    return candidate.holds(*output.kind) and several and _fits(candidate, output)


def takes(candidate: Format, output: OutputKind) -> bool:
    """Whether the result can be written in the format, perhaps with a loss."""
    return holds(candidate, output) or bool(loss(candidate, output))


def loss(candidate: Format, output: OutputKind) -> str:
    """What a result loses in a format that takes it but does not hold all of it, in words; else empty."""
    return candidate.loss(*output.kind) if not output.mixed and _fits(candidate, output) else ""


def _fits(candidate: Format, output: OutputKind) -> bool:
    """Whether sizes and channels are within the limits of the format."""
    return (
        max(output.rows, output.columns) <= (candidate.max_side or np.inf)
        and output.rows * output.columns <= (candidate.max_pixels or np.inf)
        and output.channels <= candidate.max_channels
        and (candidate.any_channels or not output.bands)
    )


def suffixes_for(output: OutputKind) -> list[str]:
    """The preferred suffix of every format that takes the result, for messages."""
    return [entry.suffixes[0] for entry in formats() if takes(entry, output)]


def suffix_error(path: Place, output: OutputKind) -> str:
    """The message on a file whose suffix stands for no format that is written."""
    read_only = readable_suffixes().get(path.suffix.casefold())
    reason = f"convcli reads {read_only} but does not write it" if read_only else "unknown suffix"
    return f"{shown(str(path))}: {reason}; allowed: {', '.join(suffixes_for(output))}"


def check(candidate: Format, output: OutputKind, path: Place | None) -> None:
    """Refuse a format that cannot hold a result: why, which ones can, and which options would help.

    Args:
        candidate: the format that was asked for.
        output: the result.
        path: of the file, or None for standard output.

    Raises:
        OutputError: naming the file.
    """
    if takes(candidate, output):
        return
    place = shown(str(path)) if path else "standard output"
    able = (entry for entry in formats() if entry.suggested and holds(entry, output))
    alternatives = ", ".join(entry.suffixes[0] for entry in able)
    alternatives = alternatives if path else f"{alternatives} (--format)"
    if not candidate.writable:
        raise OutputError(
            f"{place}: convcli reads {candidate.name} but does not write it; choose {alternatives}"
        )
    reason = _reason(candidate, output)
    helpful = (words for words, changed in output.options if takes(candidate, changed))
    advice = next((f"; or use {words}" for words in helpful), "")
    because = f": {reason}" if reason else ""
    raise OutputError(
        f"{place}: {candidate.name} cannot hold {sized(candidate, output)}{because}; "
        f"these can: {alternatives}{advice}"
    )


def sized(candidate: Format, output: OutputKind) -> str:
    """The result in words, with its size if that is what the format cannot hold."""
    small = replace(output, rows=1, columns=1)
    oversize = holds(candidate, small) and not holds(candidate, output)
    return f"{output.columns}×{output.rows} pixels ({output})" if oversize else str(output)


Change = Callable[[OutputKind], OutputKind]
"""Takes a property away from a result."""


def _reason(candidate: Format, output: OutputKind) -> str:
    """The fewest limits of the format without which it would take the result."""
    limits = list(_limits(candidate, output))
    for count in range(1, _MOST_REASONS + 1):
        for several in combinations(limits, count):
            if takes(candidate, reduce(lambda changed, limit: limit[1](changed), several, output)):
                return ", ".join(words for words, _ in several)
    return ""


def _limits(candidate: Format, output: OutputKind) -> Iterator[tuple[str, Change]]:
    """What may be too much for a format, in words, and the result without it."""
    if candidate.max_side and candidate.max_pixels:
        long = max(output.rows, output.columns) > candidate.max_side
        limit = f"{candidate.max_side} pixels a side" if long else f"{candidate.max_pixels} pixels"
        yield f"at most {limit}", lambda it: replace(it, rows=1, columns=1)
    if output.frames > 1:
        yield "a single image", lambda it: replace(it, frames=1, mixed=False)
    else:
        yield "animations only", lambda it: replace(it, frames=2)
    if output.mixed:
        yield "frames of one size and type", lambda it: replace(it, mixed=False)
    if output.channels > MAX_IMAGE_CHANNELS:
        limit = f"at most {candidate.max_channels} channels"
        yield limit, lambda it: replace(it, channels=3, bands=False)
    elif output.bands:
        yield "no extra channel but alpha", lambda it: replace(it, bands=False)
    if output.channels in (2, 4):
        yield "no alpha", lambda it: replace(it, channels=it.channels - 1)
    yield from _type_limits(output.dtype)


def _type_limits(dtype: DType) -> Iterator[tuple[str, Change]]:
    if dtype.kind == "i":
        yield "no negative values", lambda it: replace(it, dtype=np.dtype(f"u{it.dtype.itemsize}"))
    if dtype.kind == "f":
        yield "integers only", lambda it: replace(it, dtype=np.dtype(np.uint8))
    for size in (4, 2, 1):
        if dtype.itemsize > size and not (dtype.kind == "f" and size < np.float32().itemsize):
            yield f"at most {8 * size} bits", lambda it, size=size: _narrowed(it, size)  # type: ignore[misc]
    if dtype.kind != "f":
        yield "floats only", lambda it: replace(it, dtype=np.dtype(np.float32))


def _narrowed(output: OutputKind, size: int) -> OutputKind:
    return replace(output, dtype=np.dtype(f"{output.dtype.kind}{size}"))
