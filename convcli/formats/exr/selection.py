"""Which channels of an OpenEXR part are read, and in which order: layers together, red first, alpha last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import ArgumentError, ImageError, one_line, quoted, suggest
from convcli.core.frozen import frozen
from convcli.core.patterns import pattern
from convcli.formats.exr.headers import Channel, Part
from convcli.formats.header import MAX_IMAGE_CHANNELS

AXIS: Final = "c"
"""The name of the axis of channels in ``--axes``."""

_RANGE: Final = pattern(r"(\d{1,4})(?:\.\.(\d{1,4}))?")
_ORDER: Final = ("Y", "R", "G", "B", "A")
_PLAIN: Final = (["Y"], ["Y", "A"], ["R", "G", "B"], ["R", "G", "B", "A"])
_LISTED: Final = 12

DEFAULT_NAMES: Final = {1: ("Y",), 2: ("Y", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
"""Names of the channels of images by their number."""


@frozen
class Selection:
    """Channels of a part.

    Attributes:
        names: in the order of the pixels.
        dtype: that holds the values of all of them.
        is_converted: whether some have a narrower type.
        is_image: whether they are gray or RGB, with or without alpha.
    """

    names: tuple[str, ...]
    dtype: DType
    is_converted: bool
    is_image: bool


def ordered(channels: Sequence[Channel]) -> list[Channel]:
    """Channels by layers, those without a layer first; in a layer, colors first and alpha behind them."""

    def key(channel: Channel) -> tuple[str, int, str]:
        layer, _, word = channel.name.rpartition(".")
        return layer, _ORDER.index(word) if word in _ORDER else len(_ORDER), word

    return sorted(channels, key=key)


def selected(parts: Sequence[Part], axes: str) -> list[tuple[Part, Selection]]:
    """The parts with what is read of them; parts without a channel or layer that is named are left out.

    Args:
        axes: as ``--axes`` states it: a layer, a channel, or numbers; empty for all channels.

    Raises:
        ArgumentError: no part has such channels.
        ImageError: channels cannot be read together.
    """
    if not axes:
        return [(part, _selection(ordered(part.channels))) for part in parts]
    wanted = _wanted(axes)
    found = [(part, channels) for part in parts if (channels := _matching(part, wanted))]
    if not found:
        names = list(dict.fromkeys(one_line(c.name) for part in parts for c in ordered(part.channels)))
        layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names if "." in name))
        known = [*layers, *names]
        raise ArgumentError(
            f"--axes c={wanted}: there is no such channel or layer{suggest(wanted, known)}; "
            f"allowed: {', '.join(known[:_LISTED])}{', …' * (len(known) > _LISTED)}, or FIRST..LAST by number"
        )
    return [(part, _selection(channels)) for part, channels in found]


def _wanted(axes: str) -> str:
    name, equals, value = (word.strip() for word in axes.partition("="))
    if name.casefold() != AXIS or not equals or not value or "," in value:
        raise ArgumentError(
            f"--axes {quoted(axes)}: an OpenEXR file has the axis c only; "
            "write c=NAME, c=INDEX or c=FIRST..LAST"
        )
    return value


def _matching(part: Part, wanted: str) -> list[Channel]:
    """The channels of a name, of a layer, or with numbers in their order."""
    channels = ordered(part.channels)
    named = [channel for channel in channels if channel.name == wanted]
    named = named or [channel for channel in channels if channel.name.startswith(f"{wanted}.")]
    match = _RANGE.fullmatch(wanted)
    if named or not match:
        return named
    return channels[int(match[1]) : int(match[2] or match[1]) + 1]


def _selection(channels: Sequence[Channel]) -> Selection:
    thin = [channel.name for channel in channels if not channel.is_full]
    if thin:
        raise ImageError(
            f"exr with subsampled channels ({', '.join(map(one_line, thin[:_LISTED]))}); "
            "choose others with --axes c=NAME"
        )
    types = {channel.dtype for channel in channels}
    if len(types) > 1 and np.dtype(np.uint32) in types:
        whole = [one_line(channel.name) for channel in channels if channel.dtype.kind == "u"]
        raise ImageError(
            f"exr with integers ({', '.join(whole[:_LISTED])}) beside floats; "
            "choose channels of one type with --axes c=NAME"
        )
    words = [channel.name.rpartition(".")[2] for channel in channels]
    layers = {channel.name.rpartition(".")[0] for channel in channels}
    is_image = words in _PLAIN and len(layers) == 1
    dtype = np.dtype(np.float32) if len(types) > 1 else types.pop()
    names = tuple(channel.name for channel in channels)
    return Selection(names, dtype, len({c.dtype for c in channels}) > 1, is_image or len(names) == 1)


def written_names(stated: Sequence[str], count: int) -> tuple[str, ...]:
    """The names of the channels of a result: those of its input if there is one for each, else usual ones."""
    if len(stated) == count == len(set(stated)) and all(map(_is_valid, stated)):
        return tuple(stated)
    if count <= MAX_IMAGE_CHANNELS:
        return DEFAULT_NAMES[count]
    width = len(str(count - 1))
    return tuple(f"{number:0{width}}" for number in range(count))


def _is_valid(name: str) -> bool:
    return 0 < len(name.encode()) < 256 and "\0" not in name
