"""The files of a result: where they go, in which format, and the layout of their pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convcli.core.frozen import frozen, replace
from convcli.formats import opening
from convcli.formats.capacity import OutputKind
from convcli.formats.header import Header, Layout
from convcli.pipeline.naming import OutputSpec, Target
from convcli.pipeline.planning.convolution import Convolution
from convcli.pipeline.planning.pixel_type import PixelType
from convcli.pipeline.settings import GRAY, Settings


@frozen
class Selection:
    """Which frames of a file one result takes.

    Attributes:
        frames: how many, over all sizes and types in the file.
        mixed: whether they differ in size or type.
        frame: the number of a frame that has an output of its own.
    """

    frames: int
    mixed: bool = False
    frame: int | None = None


@frozen(eq=False)
class OutputFiles:
    """The files of one result.

    Attributes:
        layout: of the pixels of each page.
        pages: number of maps that follow each other in one file.
    """

    layout: Layout
    targets: tuple[Target, ...]
    pages: int


def output_files(
    source: str,
    opened: opening.Opened,
    selection: Selection,
    convolution: Convolution,
    pixels: PixelType,
    settings: Settings,
) -> OutputFiles:
    """The files for the feature maps of an image.

    Raises:
        ConvcliError: no file can take the maps at that place, or in that format.
    """
    header, plan = opened.header, convolution.plan
    channels, maps = _channels(convolution, settings), plan.outcome.maps
    output = settings.output.stacked(channels * maps) if settings.stack else settings.output
    channels, files, pages = _arranged(output, channels, maps, settings.stack)
    is_array = settings.stack and not output.is_paged
    bands = is_array or (header.bands and channels == header.channels)
    rows, columns = convolution.geometry.output[-2:]
    frames = plan.problem.batch * plan.axes[0].output
    layout = Layout(rows, columns, channels, pixels.dtype, frames, bands)
    kind = _kind(layout, pages, selection)
    kind = replace(kind, options=_alternatives(kind, pixels, header, settings))
    targets = output.targets(source, settings.name, files, opened.format, kind)
    return OutputFiles(layout, tuple(targets), pages)


def _channels(convolution: Convolution, settings: Settings) -> int:
    """Channels of one map's pixels, alpha and the three of a color map included."""
    handling = convolution.color_handling
    lanes = convolution.plan.lanes - handling.weighted + (handling.alpha == "keep")
    return lanes + (2 if settings.colormap != GRAY else 0)


def _arranged(output: OutputSpec, channels: int, maps: int, stack: bool) -> tuple[int, int, int]:
    """(channels, files, pages) for all maps of an image."""
    if not stack:
        return channels, maps, 1
    return (channels, 1, maps) if output.is_paged else (channels * maps, 1, 1)


def _kind(layout: Layout, pages: int, selection: Selection) -> OutputKind:
    frames = selection.frames if selection.mixed else layout.frames * pages
    return OutputKind(
        layout.dtype,
        layout.channels,
        frames,
        selection.mixed,
        selection.frame or 0,
        layout.bands,
        layout.rows,
        layout.columns,
    )


def _alternatives(
    kind: OutputKind, pixels: PixelType, header: Header, settings: Settings
) -> tuple[tuple[str, OutputKind], ...]:
    """Options that give another kind of result of the same image, those that change least first."""
    several = []
    for depth, typed in (("", kind), *_other_depths(kind, pixels, header, settings)):
        for alpha, whole in (("", typed), *_other_alphas(typed, settings)):
            several.append((" ".join(option for option in (depth, alpha) if option), whole))
    single = [
        (
            " ".join(f"{options} --frames N, or {{frame}} in -o".split()),
            replace(whole, frames=1, mixed=False),
        )
        for options, whole in several
        if kind.frames > 1
    ]
    return (*several[1:], *single)


def _other_depths(
    kind: OutputKind, pixels: PixelType, header: Header, settings: Settings
) -> Iterator[tuple[str, OutputKind]]:
    """Options for another number type; negative values and those that are kept need another mapping too."""
    if settings.colormap != GRAY:
        return
    mapping = "" if pixels.mapping.kind != "raw" else "--map stretch "
    if header.dtype.kind == "i" and pixels.mapping.kind in ("clip", "abs"):
        mapping = "--map signed "
    for depth, dtype in (("16", np.uint16), ("8", np.uint8)):
        if kind.dtype != dtype:
            yield f"{mapping}--depth {depth}", replace(kind, dtype=np.dtype(dtype))
    if kind.dtype.kind != "f" or kind.dtype == np.float16:
        double = header.dtype == np.float64 or settings.double
        yield "--depth float", replace(kind, dtype=np.dtype(np.float64 if double else np.float32))


def _other_alphas(kind: OutputKind, settings: Settings) -> Iterator[tuple[str, OutputKind]]:
    """Options that remove the last of two or four channels, or take it as alpha."""
    if kind.channels not in (2, 4) or settings.stack:
        return
    dropping = "--alpha drop (without the last channel)" if kind.bands else "--alpha drop"
    yield dropping, replace(kind, channels=kind.channels - 1, bands=False)
    if kind.bands:
        yield "--alpha keep (the last channel becomes alpha)", replace(kind, bands=False)
