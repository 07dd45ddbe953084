"""``convcli explain``: how one pixel of a feature map is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.arguments import parse
from convcli.cli.command import Command
from convcli.cli.console import say
from convcli.cli.types import Value
from convcli.layers.loaded import LoadedKernel
from convcli.pipeline.options import FilterOptions

if TYPE_CHECKING:
    from convcli.pipeline.settings import Settings
    from convcli.visualize.explain.view import Selection


@click.command(cls=Command)
@click.argument("image", metavar="IMAGE", is_eager=True, type=Value("IMAGE", files=True))
@options.kernel
@options.place
@options.show_map
@options.show_channel
@options.window
@options.transposing
@options.mapping
@options.then
@options.weights
@options.groups
@options.kernel_path
@options.weights_order
@options.channels
@options.colors
@options.frame
@options.max_pixels
@options.storage
@options.method
@options.precision
@options.text_or_json
def explain(
    image: str,
    kernel: LoadedKernel,
    at: tuple[int, int],
    frame: int,
    report: str,
    maps: tuple[slice, ...],
    shown_channels: tuple[str | slice, ...],
    **parameters: Any,
) -> None:
    """Show how one pixel of a feature map is computed, step by step.

    \b
      convcli explain photo.png -k sharpen --at 0,0
      convcli explain photo.png -k sobel-x --stride 2,1 --padding valid --at 10,20
      convcli explain photo.png -k kirsch --at 10,20 --show-map 2:4
      convcli explain photo.png -k gaussian3 --then laplacian8 --at 10,20

    The steps are the patch, its product with the kernel, the sum, scale, bias and rounding. Options are
    the same as for apply, and the pixel is the one that apply writes. Only some of
    many maps or channels are shown; --show-map and --show-channel choose which. With --then, the pixel is
    traced back through every stage to the image.
    """
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.core.tables import to_json
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.resolving import settings_of
    from convcli.visualize.explain.view import Selection

    any_folder = OutputSpec("./")  # holds several maps
    settings = settings_of(parse(FilterOptions, parameters), kernel.kernel, any_folder)
    explained = _chain if settings.then else _pixel
    try:
        answer = explained(image, settings, at, frame, Selection(maps, shown_channels), report == "json")
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(image, error)) from error
    if isinstance(answer, str):
        say(answer, end="")
    else:
        say(to_json(answer))


def _pixel(
    image: str, settings: Settings, at: tuple[int, int], frame: int, selection: Selection, as_json: bool
) -> str | dict[str, Any]:
    """The explanation of a pixel of one convolution, as text or as JSON types."""
    from convcli.visualize.explain.output import as_dict, as_text
    from convcli.visualize.explain.pixel import explain

    maps = None if settings.kernel.combine else selection.map_indices(settings.kernel.maps)
    briefly = not (as_json or selection.maps)
    explanation = explain(image, settings, at, frame, maps, briefly=briefly)
    return as_dict(explanation, selection) if as_json else as_text(explanation, selection)


def _chain(
    image: str, settings: Settings, at: tuple[int, int], frame: int, selection: Selection, as_json: bool
) -> str | dict[str, Any]:
    """The explanation of a pixel of a chain, as text or as JSON types."""
    from convcli.visualize.explain.chain import explain_chain
    from convcli.visualize.explain.chain_output import chain_dict, chain_text

    explanation = explain_chain(image, settings, at, frame, selection, every=as_json)
    return chain_dict(explanation) if as_json else chain_text(explanation)
