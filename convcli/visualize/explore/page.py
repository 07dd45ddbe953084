"""One self-contained page on which a kernel slides over a picture: no server, no requests.

The page's arithmetic is that of the package, written in JavaScript: integers over a common denominator, held
by doubles while they are below 2⁵³, rounded once to nearest, ties to even. Its parts lie in ``convcli/page``
and are put into one file here, with the picture's values and every preset.
"""

from __future__ import annotations

import base64
import html
import json
import zlib
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.api import conv
from convcli.core.dtypes import Array, span
from convcli.core.errors import ArgumentError, KernelError, one_line
from convcli.core.numerals import number_text
from convcli.files import input as files
from convcli.formats import registry
from convcli.formats.header import Header
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import library, load_kernel
from convcli.pipeline.settings import Settings
from convcli.visualize.display import check_displayable
from convcli.visualize.explain.arithmetic import LARGEST_WEIGHT

SCRIPTS: Final = (
    "numbers.js",
    "mapping.js",
    "convolution.js",
    "view.js",
    "readout.js",
    "controls.js",
    "page.js",
)
LARGEST_PRESET: Final = 15  # rows and columns
SIDE: Final = 1024  # pixels


def page(source: str, settings: Settings, side: int = SIDE) -> str:
    """The page for one picture, with the settings that it begins with.

    Args:
        source: a file, or ``-`` for standard input; of several frames the first is shown.
        settings: kernel, stride, padding, dilation, flip, channels and mapping.
        side: pixels of the longer side; larger pictures are averaged in square boxes.

    Raises:
        ArgumentError: a picture or a kernel that the page cannot show.
        ConvcliError: the picture cannot be read.
    """
    with files.Input.open(source) as file:
        opened = registry.open_input(file, settings.max_pixels)[0]
        header = opened.header
        if header.dtype.kind not in "iu" or header.dtype.itemsize > 2:
            raise ArgumentError(f"the page shows pictures of 8 and 16 bits, this one holds {header.dtype}")
        check_displayable(header.channels)
        pixels = opened.pixels()
    pixels = pixels[..., : header.channels - _has_more(header)]
    small, box = _fitted(pixels, side)
    name = "picture" if source == files.STREAM else Path(source).name
    data = {**_picture(small, header), "source": source, "about": _about(header, box, small)}
    data |= {"frames": header.frames, "box": box}
    data["state"] = {**_state(settings), "at": _place(small, settings)}
    data["presets"] = [_kernel(kernel) for kernel in _presets(settings.kernel)]
    return _filled(one_line(name), data)


def _fitted(pixels: Array, side: int) -> tuple[Array, int]:
    """The picture averaged in boxes until it fits, and the boxes' side."""
    box = -(-max(pixels.shape[:2]) // side)
    if box == 1:
        return pixels, 1
    box = min(box, *pixels.shape[:2])
    mean = load_kernel(f"box{box}")
    return conv(pixels, mean, stride=box, channels="last", dtype=pixels.dtype), box


def _has_more(header: Header) -> bool:
    """Whether there is a channel behind the colors, which the page leaves out, and its command drops."""
    return header.alpha or header.bands


def _about(header: Header, box: int, pixels: Array) -> str:
    words = [f"{header.rows} × {header.columns}, {header.kind}"]
    if box > 1:
        rows, columns = pixels.shape[:2]
        words.append(f"shown as {rows} × {columns}, the means of {box} × {box} pixels")
    if _has_more(header):
        words.append("without its last band" if header.bands else "without its transparency")
    if header.frames > 1:
        words.append(f"the first of {header.frames} frames")
    return "; ".join(words)


def _picture(pixels: Array, header: Header) -> dict[str, Any]:
    """The values: differences between rows, deflated, as base64."""
    rows, columns, channels = pixels.shape
    low, high = span(pixels.dtype)
    raw = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).view(np.uint8).reshape(rows, -1)
    raw = np.concatenate([raw[:1], np.diff(raw, axis=0)])
    return {
        "rows": rows,
        "columns": columns,
        "channels": channels,
        "type": str(pixels.dtype),
        "black": low,
        "white": high,
        "alpha": _has_more(header),
        "pixels": base64.b64encode(zlib.compress(raw.tobytes(), 9)).decode("ascii"),
    }


def _place(pixels: Array, settings: Settings) -> list[int]:
    """Where the window begins: at the steepest edge of the picture's inner half, in the feature map."""
    values = pixels.astype(np.float32).mean(axis=2)
    rows, columns = values.shape
    middle = values[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    steep = np.abs(np.diff(middle, axis=0, append=middle[-1:])) + np.abs(
        np.diff(middle, axis=1, append=middle[:, -1:])
    )
    row, column = divmod(int(steep.argmax()), steep.shape[1])
    down, across = (settings.stride * 2)[:2]
    return [(row + rows // 4) // down, (column + columns // 4) // across]


def _state(settings: Settings) -> dict[str, Any]:
    """What the page begins with."""
    padding, mapping, kernel = settings.padding, settings.mapping, settings.kernel
    if reason := _unshowable(kernel):
        raise ArgumentError(f"kernel {kernel.name} {reason}, which the page does not show")
    if settings.groups > 1:
        raise ArgumentError(f"the page sums over all channels, not in {settings.groups} groups")
    if mapping.kind == "raw":
        raise ArgumentError("map raw makes no picture; allowed on the page: auto, clip, abs, signed, stretch")
    if mapping.searched_percents:
        raise ArgumentError(
            f"the page takes numbers or the whole range, not percentiles (--map {mapping}); "
            "apply --report shows the numbers that they stand for"
        )
    fixed = mapping.low is not None and mapping.high is not None
    amount = padding.amount
    if not isinstance(amount, str):
        amount = ",".join(str(number) for pair in (amount * 2)[:2] for number in pair)
    return {
        "kernel": {**_kernel(kernel), "name": _own_name(kernel)},
        "stride": list((settings.stride * 2)[:2]),
        "dilation": list((settings.dilation * 2)[:2]),
        "amount": amount,
        "fill": padding.fill.mode,
        "constant": padding.fill.value,
        "flip": settings.flip,
        "channels": settings.channels or "each",
        "mapping": mapping.kind,
        "limits": [number_text(mapping.low or 0), number_text(mapping.high or 0)] if fixed else None,
    }


def _own_name(kernel: Kernel) -> str:
    """The name under which the kernel is found again, bias apart; empty for typed weights and files."""
    try:
        found = load_kernel(kernel.name)
    except KernelError:
        return ""
    return kernel.name if found == kernel.biased(found.bias) else ""


def _presets(own: Kernel) -> list[Kernel]:
    """Every preset that the grid can show, and the kernel itself if it is one."""
    found = [entry.kernel for entry in library().entries() if entry.kernel is not None]
    listed = [kernel for kernel in found if max(kernel.size) <= LARGEST_PRESET and not _unshowable(kernel)]
    if _own_name(own) and own.name not in {kernel.name for kernel in listed}:
        listed.append(load_kernel(own.name))
    return listed


def _unshowable(kernel: Kernel) -> str:
    """Why the page cannot show a kernel; empty where it can."""
    if kernel.spatial != 2 or kernel.tensor_shape[2] != 1:
        return "has more axes than rows and columns"
    if kernel.combine == "argmax":
        return "gives the number of a map"
    return "has a bias for each map" if isinstance(kernel.bias, tuple) else ""


def _kernel(kernel: Kernel) -> dict[str, Any]:
    """A kernel as numbers in text, which stay exact."""
    numbers, scale = _numbers(kernel)
    (bias, *_) = kernel.biases
    planes = numbers.reshape(kernel.tensor_shape)[:, :, 0]
    return {
        "name": kernel.name,
        "description": kernel.about.description,
        "rows": kernel.size[0],
        "columns": kernel.size[1],
        "maps": [[str(value) for value in planes[..., m].ravel().tolist()] for m in range(kernel.maps)],
        "scale": scale,
        "bias": number_text(bias),
        "combine": kernel.combine,
    }


def _numbers(kernel: Kernel) -> tuple[Array, str]:
    """The weights and what they are multiplied by: short integers, or else fractions or floats."""
    if kernel.exact is None:
        return kernel.weights, "1"
    numerators, denominator = kernel.exact.numerators, kernel.exact.denominator
    if np.abs(numerators).max() <= LARGEST_WEIGHT:
        return numerators, f"1/{denominator}"
    fractions = [Fraction(value, denominator) for value in numerators.ravel().tolist()]
    return np.array(fractions, object), "1"


def _filled(name: str, data: dict[str, Any]) -> str:
    """The page with its parts put in their places."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    parts = {
        "{{title}}": html.escape(f"{name} · convcli"),
        "{{name}}": html.escape(name),
        "{{style}}": _part("style.css"),
        "{{script}}": "\n".join(map(_part, SCRIPTS)),
        "{{data}}": text.replace("<", "\\u003c"),
    }
    whole = _part("page.html")
    for mark, words in parts.items():
        before, after = whole.split(mark, 1)
        whole = before + words + after
    return whole


def _part(name: str) -> str:
    return resources.files("convcli.visualize.explore").joinpath("assets", name).read_text(encoding="utf-8")
