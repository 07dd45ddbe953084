"""`explain`: how one pixel of a feature map is computed, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Unpack

from convcli.core import markup
from convcli.core.errors import ArgumentError, literal
from convcli.geometry.axes import whole_numbers
from convcli.geometry.padding import Pair
from convcli.images.calls import single_settings
from convcli.images.inputs import Image, as_image
from convcli.images.keywords import KernelLike, Options, with_options
from convcli.pipeline.settings import Settings
from convcli.visualize.explain import chain, chain_output, output, pixel
from convcli.visualize.explain.view import Selection

Chosen = int | slice | str | Sequence[int | slice | str] | None
"""Indices, slices and names of maps or channels; None for those that fit on a page."""


class Explanation:
    """One pixel of a feature map: the patch, its product with the kernel, the sum and every later step."""

    def __init__(self, name: str, at: Pair, text: str, report: Callable[[], dict[str, Any]]) -> None:
        self._name, self.at, self._text, self._report = name, at, text, report

    @cached_property
    def report(self) -> dict[str, Any]:
        """The explanation as ``convcli explain --report json`` prints it."""
        return self._report()

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        row, column = self.at
        return f"<{type(self).__name__} of {self._name} at row {row}, column {column}>"

    def _repr_html_(self) -> str:
        return markup.block(self._text)


@with_options
def explain(
    image: Any,
    kernel: KernelLike,
    *,
    at: tuple[int, int],
    frame: int = 0,
    show_map: Chosen = None,
    show_channel: Chosen = None,
    dims: Any = None,
    **options: Unpack[Options],
) -> Explanation:
    """Return how one pixel of a feature map is computed, as ``convcli explain`` shows it.

    Args:
        image: as for `apply`.
        kernel: as for `apply`.
        at: (row, column) of the pixel in the feature map, from 0.
        frame: index of the frame or page.
        show_map: feature maps of a bank, by index or slice.
        show_channel: channels, by name (``"red"``), index or slice.
        dims: as for `apply`.
        options: as for `apply`.

    Raises:
        ConvcliError: as for `apply`; or the place is outside the feature map.
    """
    taken = as_image(image, dims)
    settings = single_settings(taken, kernel, dict(options))
    place = whole_numbers("at", at)
    if len(place) != 2:
        raise ArgumentError(f"at {literal(at)} is not (row, column)")
    selection = Selection(_maps(show_map), chosen_channels(show_channel))
    explained = _of_chain if settings.then else _of_pixel
    with taken.errors():
        return explained(taken, settings, (place[0], place[1]), frame, selection)


def _of_pixel(image: Image, settings: Settings, at: Pair, frame: int, selection: Selection) -> Explanation:
    maps = None if settings.kernel.combine else selection.map_indices(settings.kernel.maps)

    def made(briefly: bool) -> pixel.Explanation:
        return pixel.explain(image.source, settings, at, frame, maps, briefly=briefly)

    text = output.as_text(made(not selection.maps), selection)
    return Explanation(image.title, at, text, lambda: output.as_dict(made(False), selection))


def _of_chain(image: Image, settings: Settings, at: Pair, frame: int, selection: Selection) -> Explanation:
    def made(every: bool) -> chain.ChainExplanation:
        return chain.explain_chain(image.source, settings, at, frame, selection, every=every)

    text = chain_output.chain_text(made(False))
    return Explanation(image.title, at, text, lambda: chain_output.chain_dict(made(True)))


def _maps(chosen: Chosen) -> tuple[slice, ...]:
    found = chosen_channels(chosen)
    if any(isinstance(one, str) for one in found):
        raise ArgumentError(f"show_map {literal(chosen)} is not an index, a slice or a list of them")
    return tuple(one for one in found if isinstance(one, slice))


def chosen_channels(chosen: Chosen) -> tuple[str | slice, ...]:
    """Names and slices of what was chosen."""
    if chosen is None:
        return ()
    single = isinstance(chosen, (str, slice, int))
    return tuple(_span(one) for one in ([chosen] if single else chosen))  # type: ignore[union-attr]


def _span(one: Any) -> str | slice:
    if isinstance(one, str):
        return one.strip().casefold()
    if isinstance(one, slice):
        return one
    (index,) = whole_numbers("index", one)[:1]
    return slice(index, None if index == -1 else index + 1)
