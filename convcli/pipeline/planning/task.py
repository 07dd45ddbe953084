"""Everything that is decided about an image from its header, before a pixel is decoded."""

from __future__ import annotations

from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.engine.computers import Computation
from convcli.formats import opening
from convcli.formats.header import Layout, Metadata
from convcli.geometry.axes import Geometry
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import Target
from convcli.pipeline.planning.channels import with_kernel_inputs
from convcli.pipeline.planning.convolution import convolution_of, cut_to_bands
from convcli.pipeline.planning.memory import check_memory, estimated_memory
from convcli.pipeline.planning.pixel_type import pixel_type
from convcli.pipeline.planning.result_metadata import result_metadata
from convcli.pipeline.planning.sizes import check_sizes
from convcli.pipeline.planning.targets import Selection, output_files
from convcli.pipeline.settings import Settings


@frozen(eq=False)
class Task:
    """The decisions for one image, or for frames of one size and type.

    Attributes:
        source: the input's name, or ``-`` for standard input.
        channels: ``each``, ``gray`` or ``sum``.
        metadata: what the result contains besides its pixels.
        metadata_notes: what it leaves out, in words.
        memory: about how many bytes the task takes.
        pages: number of maps that follow each other in one file.
        colormap: one of `colormaps.COLORMAPS`.
        frame: the number of a frame that has an output of its own.
    """

    source: str
    opened: opening.Opened
    geometry: Geometry
    channels: str
    color_handling: ColorHandling
    plan: Computation
    mapping: Mapping
    layout: Layout
    targets: tuple[Target, ...]
    metadata: Metadata
    metadata_notes: tuple[str, ...]
    memory: int
    pages: int = 1
    colormap: str = "gray"
    frame: int | None = None

    def mapping_text(self, mapping: Mapping) -> str:
        """What a mapping does to this image's values, in words."""
        return mapping.describe(self.layout.dtype, self.color_handling.white)


def prepare(source: str, runs: list[opening.Opened], settings: Settings) -> list[list[Task]]:
    """Decide everything about an opened file.

    Args:
        source: the file's name, or ``-`` for standard input.
        runs: its images, those of one size and type together.

    Returns:
        The tasks of each result: one, or several where one file takes frames of several sizes or types.

    Raises:
        ConvcliError: the file cannot be filtered with these settings.
    """
    if settings.network is None:
        runs = [replace(run, header=with_kernel_inputs(run.header, settings)) for run in runs]
    start, _, _ = settings.frames.indices(sum(run.header.frames for run in runs))
    runs = opening.selected(runs, settings.frames)
    if settings.network is not None:
        from convcli.pipeline.planning.maps_of_node import node_maps  # imported only for networks

        runs, settings = node_maps(settings.network, runs, settings)
    count = sum(run.header.frames for run in runs)
    if settings.kernel.spatial == 3:
        _check_volume(runs, settings)
        return [[_task(source, runs[0], Selection(count), settings)]]
    if count > 1 and settings.output.is_one_frame:
        frames = [run.only(index, index + 1) for run in runs for index in range(run.header.frames)]
        return [
            [_task(source, run, Selection(1, frame=number), settings)]
            for number, run in enumerate(frames, start)
        ]
    selection = Selection(count, mixed=len(runs) > 1)
    return [[_task(source, run, selection, settings) for run in runs]]


def _check_volume(runs: list[opening.Opened], settings: Settings) -> None:
    if len(runs) > 1:
        raise ArgumentError(
            f"kernel {settings.kernel.name} filters all frames as one volume; "
            "the frames differ in size or number type"
        )


def _task(source: str, opened: opening.Opened, selection: Selection, settings: Settings) -> Task:
    """The chain of decisions, each made from those before it."""
    header = opened.header
    convolution = convolution_of(header, settings)
    sizes, handling = convolution.geometry, convolution.color_handling
    check_sizes(sizes, settings.max_pixels or opening.MAX_PIXELS)
    pixels = pixel_type(header, convolution, settings)
    files = output_files(source, opened, selection, convolution, pixels, settings)
    plan = cut_to_bands(convolution.plan, files.targets[0].format, files.layout, settings.coding)
    adapted = result_metadata(header, convolution, pixels.mapping, files, settings)
    memory = estimated_memory(opened, sizes, handling, plan, files)
    check_memory(memory, settings.max_memory)
    return Task(
        source,
        opened,
        sizes,
        convolution.channels,
        handling,
        plan,
        pixels.mapping,
        files.layout,
        files.targets,
        adapted.metadata,
        adapted.notes,
        memory,
        files.pages,
        settings.colormap,
        selection.frame,
    )
