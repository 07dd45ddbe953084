"""A self-contained HTML page to explore a convolution, without a server or requests.

The page repeats the arithmetic of the package in JavaScript: integers over a common denominator, held in
doubles below 2⁵³ and rounded once to nearest, ties to even. Its parts are in ``assets`` and are assembled
here into one file with the values of the image and every preset.
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
from convcli.engine.combine import UNSCALED
from convcli.files import input as files
from convcli.formats import opening
from convcli.formats.header import Header
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import library, load_kernel
from convcli.pipeline.settings import Settings
from convcli.visualize.display import RAW_REFUSED, check_displayable
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
LARGEST_PRESET: Final = 15  # rows or columns
SIDE: Final = 1024  # rows or columns of the image in the page


def page(source: files.Source, settings: Settings, side: int = SIDE) -> str:
    """The HTML page for one image.

    Args:
        source: a file, ``-`` for standard input, or an open input; of several frames, the first one is shown.
        settings: initial kernel, stride, padding, dilation, flip, channels and mapping.
        side: largest number of rows and columns; larger images are averaged in square boxes.

    Raises:
        ArgumentError: the page cannot show the image or the kernel.
        ConvcliError: the image cannot be read.
    """
    _check(settings)
    given = files.source_name(source)
    with files.open_source(source) as file:
        opened = opening.open_input(file, settings.max_pixels)[0]
        header = opened.header
        if header.dtype.kind not in "iu" or header.dtype.itemsize > 2:
            raise ArgumentError(f"the page shows images of 8 or 16 bits, not {header.dtype}")
        check_displayable(header.channels)
        _check_inputs(settings.kernel, header)
        pixels = opened.pixels()
    pixels = pixels[..., : header.channels - _has_extra_channel(header)]
    small, box = _fitted(pixels, side)
    name = "standard input" if given == files.STREAM else Path(given).name
    data = {**_picture(small, header), "source": given, "about": _about(header, box, small)}
    data |= {"frames": header.frames, "box": box}
    data["state"] = {**_state(settings), "at": _place(small, settings)}
    data["presets"] = [_kernel(kernel) for kernel in _presets(settings.kernel)]
    return _filled(one_line(name), data)


def _fitted(pixels: Array, side: int) -> tuple[Array, int]:
    """The image averaged in boxes until it fits, and the side of the boxes."""
    box = -(-max(pixels.shape[:2]) // side)
    if box == 1:
        return pixels, 1
    box = min(box, *pixels.shape[:2])
    mean = load_kernel(f"box{box}")
    return conv(pixels, mean, stride=box, channels="last", dtype=pixels.dtype), box


def _has_extra_channel(header: Header) -> bool:
    """Whether there is a channel after the colors, which the page and its command drop."""
    return header.alpha or header.bands


def _about(header: Header, box: int, pixels: Array) -> str:
    words = [f"{header.rows} × {header.columns}, {header.kind}"]
    if box > 1:
        rows, columns = pixels.shape[:2]
        words.append(f"shown as {rows} × {columns} (means of {box} × {box} pixels)")
    if _has_extra_channel(header):
        words.append("without the last band" if header.bands else "without alpha")
    if header.frames > 1:
        words.append(f"first of {header.frames} frames")
    return "; ".join(words)


def _picture(pixels: Array, header: Header) -> dict[str, Any]:
    """The values of the image: differences of rows, deflated, as base64."""
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
        "alpha": _has_extra_channel(header),
        "pixels": base64.b64encode(zlib.compress(raw.tobytes(), 9)).decode("ascii"),
    }


def _place(pixels: Array, settings: Settings) -> list[int]:
    """The initial output (row, column): at the steepest edge in the inner half of the image."""
    values = pixels.astype(np.float32).mean(axis=2)
    rows, columns = values.shape
    middle = values[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    steep = np.abs(np.diff(middle, axis=0, append=middle[-1:])) + np.abs(
        np.diff(middle, axis=1, append=middle[:, -1:])
    )
    row, column = divmod(int(steep.argmax()), steep.shape[1])
    down, across = (settings.stride * 2)[:2]
    return [(row + rows // 4) // down, (column + columns // 4) // across]


def _check(settings: Settings) -> None:
    """Refuse settings that the page has no fields for."""
    if settings.transposed:
        raise ArgumentError(
            "the page cannot show a transposed convolution; convcli explain and convcli animate do"
        )
    mapping, kernel = settings.mapping, settings.kernel
    if reason := _unshowable(kernel):
        raise ArgumentError(f"kernel {kernel.name} {reason}, which the page cannot show")
    if settings.padding.fill.mode == "ignore":
        raise ArgumentError("padding fill ignore cannot be used here: the page does not renormalize")
    if settings.then:
        names = ", ".join(stage.name for stage in settings.then)
        raise ArgumentError(
            f"the page shows a kernel alone, without {names}; use --activation none, "
            "or follow the chain with convcli explain"
        )
    if settings.groups > 1:
        raise ArgumentError(
            f"--groups {settings.groups} cannot be used here: the page does not support groups"
        )
    if mapping.kind == "raw":
        raise ArgumentError(RAW_REFUSED)
    if mapping.searched_percents:
        raise ArgumentError(
            f"--map {mapping} cannot be used here: the page does not support percentiles; "
            "use the limits that the report of convcli apply shows"
        )


def _state(settings: Settings) -> dict[str, Any]:
    """The initial state of the page."""
    padding, mapping, kernel = settings.padding, settings.mapping, settings.kernel
    fixed = mapping.low is not None and mapping.high is not None
    amount = padding.amount
    if amount == "causal":
        extent = (settings.dilation * 2)[1] * (kernel.size[1] - 1)
        amount = ((0, 0), (extent, 0))
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
    """The name that `load_kernel` finds the kernel by, apart from its bias; empty for weights and files."""
    try:
        named = load_kernel(kernel.name)
    except KernelError:
        return ""
    return kernel.name if named == kernel.biased(named.bias) else ""


def _presets(own: Kernel) -> list[Kernel]:
    """Every preset that the grid can show, and the own kernel if it has a name."""
    kernels = [entry.kernel for entry in library().entries() if entry.kernel is not None]
    listed = [
        kernel
        for kernel in kernels
        if max(kernel.size) <= LARGEST_PRESET and kernel.tensor_shape[2] == 1 and not _unshowable(kernel)
    ]
    if _own_name(own) and own.name not in {kernel.name for kernel in listed}:
        listed.append(load_kernel(own.name))
    return listed


def _unshowable(kernel: Kernel) -> str:
    """Why the page cannot show a kernel; empty if it can."""
    if kernel.spatial != 2:
        return "has three axes"
    if kernel.combine in UNSCALED:
        return f"combines maps with {kernel.combine}"
    if kernel.combine and kernel.tensor_shape[2] > 1:
        return f"combines maps of {kernel.tensor_shape[2]} input channels"
    return "combines maps that have a bias each" if kernel.combine and isinstance(kernel.bias, tuple) else ""


def _check_inputs(kernel: Kernel, header: Header) -> None:
    """Refuse a kernel over other channels than those of the page."""
    inputs, channels = kernel.tensor_shape[2], header.channels - _has_extra_channel(header)
    if inputs not in (1, channels):
        raise ArgumentError(
            f"kernel {kernel.name} takes {inputs} input channels; the page shows {channels} of this image"
        )


def _kernel(kernel: Kernel) -> dict[str, Any]:
    """A kernel as JSON types, with exact numbers as text."""
    numbers, scale = _numbers(kernel)
    several = isinstance(kernel.bias, tuple)
    planes = numbers.reshape(*kernel.size, -1, kernel.maps)
    return {
        "name": kernel.name,
        "description": kernel.about.description,
        "rows": kernel.size[0],
        "columns": kernel.size[1],
        "inputs": planes.shape[2],
        "maps": [
            [str(value) for value in planes[..., channel, index].ravel().tolist()]
            for index in range(kernel.maps)
            for channel in range(planes.shape[2])
        ],
        "scale": scale,
        "biases": [number_text(bias) for bias in kernel.biases[: None if several else 1]],
        "layer": several and kernel.layer is not None,
        "combine": kernel.combine,
    }


def _numbers(kernel: Kernel) -> tuple[Array, str]:
    """The weights and their scale: short integers, or else fractions or floats."""
    if kernel.exact is None:
        return kernel.weights, "1"
    numerators, denominator = kernel.exact.numerators, kernel.exact.denominator
    if np.abs(numerators).max() <= LARGEST_WEIGHT:
        return numerators, f"1/{denominator}"
    fractions = [Fraction(value, denominator) for value in numerators.ravel().tolist()]
    return np.array(fractions, object), "1"


def _filled(name: str, data: dict[str, Any]) -> str:
    """The page with its parts inserted."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    parts = {
        "{{title}}": html.escape(f"{name} · convcli"),
        "{{name}}": html.escape(name),
        "{{style}}": _part("style.css"),
        "{{script}}": "\n".join(map(_part, SCRIPTS)),
        "{{data}}": text.replace("<", "\\u003c"),
    }
    page = _part("page.html")
    for mark, part in parts.items():
        before, after = page.split(mark, 1)
        page = before + part + after
    return page


def _part(name: str) -> str:
    return resources.files("convcli.visualize.explore").joinpath("assets", name).read_text(encoding="utf-8")
