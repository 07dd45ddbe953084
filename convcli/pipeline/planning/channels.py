"""What happens to the channels of an image: filtered separately, summed, or combined into brightness."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.core.numerals import counted
from convcli.core.rational import exact_number
from convcli.engine.filter import Filter
from convcli.formats.header import Header
from convcli.pipeline.settings import GRAY, Settings

LUMA: Final = tuple(Fraction(thousandths, 1000) for thousandths in (299, 587, 114))
"""Weights of red, green and blue in brightness: ITU-R BT.601."""


def with_kernel_inputs(header: Header, settings: Settings) -> Header:
    """The header, its last channel data instead of alpha where the kernel has an input for it.

    An explicit --alpha takes precedence.
    """
    if settings.alpha is not None:
        return replace(header, bands=False)
    inputs = settings.kernel.tensor_shape[-2] * settings.groups
    return replace(header, bands=True) if header.alpha and inputs == header.channels else header


def color_count(header: Header) -> int:
    """The number of channels that are not alpha."""
    return header.channels - header.alpha


def channel_mode(header: Header, settings: Settings) -> str:
    """How channels are filtered: ``each``, ``gray`` or ``sum``.

    Raises:
        ArgumentError: the kernel or the options do not fit the image's channels.
    """
    requested = _requested_mode(header, settings)
    if settings.groups > 1:
        _check_groups(requested, header, settings)
        return "sum"
    inputs, colors = settings.kernel.tensor_shape[-2], color_count(header)
    mode = requested or ("each" if inputs == 1 else "sum")
    if mode == "gray" and (header.bands or colors > 3):
        dropping = ", or --alpha drop to leave out the last band" if colors <= 4 else ""
        raise ArgumentError(
            f"--channels gray needs a gray or RGB image; this one is {header.kind}; "
            f"use --channels each or sum{dropping}"
        )
    if inputs > 1 and (mode != "sum" or inputs != colors):
        _refuse_inputs(header, settings)
    return mode


def _requested_mode(header: Header, settings: Settings) -> str | None:
    """--channels; a color map shows the brightness of a color image."""
    is_plain = settings.kernel.tensor_shape[-2] == settings.groups == 1
    shows_brightness = settings.colormap != GRAY and color_count(header) > 1 and is_plain
    return "gray" if shows_brightness and settings.channels is None else settings.channels


def _check_groups(requested: str | None, header: Header, settings: Settings) -> None:
    kernel, groups, colors = settings.kernel, settings.groups, color_count(header)
    inputs, maps = kernel.tensor_shape[-2:]
    if requested not in (None, "sum"):
        raise ArgumentError(
            f"--channels {requested} cannot be combined with --groups {groups}; use --channels sum"
        )
    if maps % groups:
        raise ArgumentError(
            f"kernel {kernel.name} has {counted(maps, 'map')}, which cannot be split into {groups} groups"
        )
    if inputs * groups != colors:
        raise ArgumentError(
            f"kernel {kernel.name} takes {inputs * groups} channels in {groups} groups; "
            f"this image has {colors}"
        )


def _refuse_inputs(header: Header, settings: Settings) -> None:
    kernel = settings.kernel
    inputs = kernel.tensor_shape[-2]
    colors = color_count(header)
    swapped = kernel.tensor_shape[1] == colors > 1 and not kernel.about.notes
    order = "; --weights-order oihw reads weights of a file as (out, in, rows, columns)" if swapped else ""
    raise ArgumentError(
        f"kernel {kernel.name} takes {inputs} input channels: it needs --channels sum "
        f"and an image with {inputs} color channels; this one has {colors}"
        + "".join(f" ({note})" for note in kernel.about.notes)
        + order
    )


def weighted(filter_: Filter, mode: str, colors: int, groups: int) -> Filter:
    """The filter over ``colors`` input channels, its weights multiplied by those of the channel mode."""
    if mode == "gray" and colors == 3:
        return filter_.per_input(LUMA)
    if mode != "each" and colors > 1 and filter_.inputs == groups == 1:
        return filter_.per_input((exact_number(1),) * colors)
    return filter_
