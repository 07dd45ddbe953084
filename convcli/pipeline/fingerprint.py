"""A fingerprint of everything in some settings that affects the bytes of a result.

The settings are written out as text, field by field, and hashed. The text depends on values alone, not on how
the code names or arranges them, so that refactoring does not invalidate manifests. A field that has the value
it had before it existed is left out, so that new options do not either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, Final

from convcli.core.rational import Number
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.layers.stages import ActivationStage, ConvolutionStage, PoolStage, Stage
from convcli.pipeline.ignore import Ignore
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.settings import Settings

REVISION: Final = 3
"""Raise this when the same input and settings give other bytes, or the text of the same settings changes;
`--resume` then makes older results again."""

IGNORED: Final = ("force", "threads", "max_pixels", "max_memory", "notes")
"""Settings that do not affect the bytes of a result."""

_DIGITS: Final = 16


def fingerprint(settings: Settings) -> str:
    """``REVISION-DIGEST``: equal where an input gives the same bytes."""
    digest = hashlib.sha256(settings_text(settings).encode("utf-8", "surrogateescape"))
    return f"{REVISION}-{digest.hexdigest()[:_DIGITS]}"


def is_current(value: str) -> bool:
    """Whether a fingerprint is comparable with those of this version."""
    return value.startswith(f"{REVISION}-")


def settings_text(settings: Settings) -> str:
    """A line ``NAME VALUE`` for the kernel and for each setting that differs from the implied value."""
    texts = {name: text(settings) for name, (text, _) in FIELDS.items()}
    lines = [f"{name} {text}" for name, text in texts.items() if text != FIELDS[name][1]]
    return "\n".join(["convcli settings", *kernel_lines(settings.kernel), *lines, ""])


def kernel_lines(kernel: Kernel) -> list[str]:
    """The name, weights, biases and combination of a kernel.

    Weights are little-endian int64 numerators over one denominator where they are exact, else float64. They
    are hashed, in C order, because there may be millions.
    """
    exact = kernel.exact
    kind = f"int64/{exact.denominator}" if exact else "float64"
    values = exact.numerators.astype("<i8") if exact else kernel.weights.astype("<f8")
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    shape = "x".join(map(str, kernel.weights.shape))
    trained = kernel.layer.bias if kernel.layer else ()
    return [
        f"kernel {kernel.name!r}",
        f"weights {kind} {shape} {digest}",
        f"bias {_numbers(trained or kernel.biases)}",
        f"combine {kernel.combine or '-'}",
    ]


def _number(value: Number | int | None) -> str:
    """``3``, ``1/9`` or ``0.1``; ``-`` for None."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, (int, Fraction)) else repr(float(value))


def _numbers(values: Iterable[Number | int | None]) -> str:
    return ",".join(map(_number, values))


def _steps(values: tuple[int, ...]) -> str:
    """Steps along the axes; one alone is that of rows and of columns."""
    return _numbers(values * 2 if len(values) == 1 else values)


def _flag(value: bool) -> str:
    return "yes" if value else "no"


def _padding(padding: Padding) -> str:
    amount = padding.amount
    pairs = amount if isinstance(amount, str) else " ".join(map(_numbers, amount))
    return f"{pairs} {padding.fill.mode} {_number(padding.fill.value)}"


def _mapping(mapping: Mapping) -> str:
    return f"{mapping.kind} {_numbers((mapping.low, mapping.high))} {_numbers(mapping.percents)}"


def _ignore(ignore: Ignore | None) -> str:
    if ignore is None:
        return "-"
    own = f"mask {ignore.mask.digest}" if ignore.mask else f"value {_number(ignore.value)}"
    return f"{own} keep" if ignore.keep else own


def _frames(frames: slice) -> str:
    return _numbers((frames.start, frames.stop, frames.step))


def _stages(stages: tuple[Stage, ...]) -> str:
    """What each stage after the kernel computes; a chain of none is empty."""
    return "; ".join(_STAGE_TEXTS[stage.kind](stage) for stage in stages)


def _convolution(stage: ConvolutionStage) -> str:
    parts = [
        *kernel_lines(stage.kernel),
        f"stride {_steps(stage.stride)}",
        f"padding {_padding(stage.padding)}",
        f"dilation {_steps(stage.dilation)}",
        f"groups {stage.groups}",
        f"flip {_flag(stage.flip)}",
    ]
    return ", ".join(parts)


def _pool(stage: PoolStage) -> str:
    sizes = f"{stage.function} {_steps(stage.window)} stride {_steps(stage.stride)}"
    return (
        f"{sizes} padding {_padding(stage.padding)} dilation {_steps(stage.dilation)} "
        f"ceil {_flag(stage.ceiling)}"
    )


def _activation(stage: ActivationStage) -> str:
    return f"{stage.function} {_numbers(stage.arguments)}"


_STAGE_TEXTS: Final[dict[str, Callable[[Any], str]]] = {
    "convolution": _convolution,
    "pool": _pool,
    "activation": _activation,
}

FIELDS: Final[dict[str, tuple[Callable[[Settings], Any], str]]] = {
    "stride": (lambda settings: _steps(settings.stride), "1,1"),
    "padding": (lambda settings: _padding(settings.padding), "same reflect 0"),
    "dilation": (lambda settings: _steps(settings.dilation), "1,1"),
    "flip": (lambda settings: _flag(settings.flip), "no"),
    "transposed": (lambda settings: _flag(settings.transposed), "no"),
    "output_padding": (
        lambda settings: "-" if settings.output_padding is None else _steps(settings.output_padding),
        "-",
    ),
    "channels": (lambda settings: settings.channels or "-", "-"),
    "groups": (lambda settings: _number(settings.groups), "1"),
    "mapping": (lambda settings: _mapping(settings.mapping), "auto -,- 0,100"),
    "output": (lambda settings: settings.output.requested_format or "-", "-"),
    "double": (lambda settings: _flag(settings.double), "no"),
    "method": (lambda settings: settings.method, "auto"),
    "steady": (lambda settings: _flag(settings.steady), "no"),
    "alpha": (lambda settings: settings.alpha or "-", "-"),
    "ignore": (lambda settings: _ignore(settings.ignore), "-"),
    "nodata": (lambda settings: str(settings.nodata), "auto"),
    "linear": (lambda settings: _flag(settings.linear), "no"),
    "normalize": (lambda settings: settings.normalize.text if settings.normalize else "-", "-"),
    "depth": (lambda settings: settings.depth or "-", "-"),
    "strip": (lambda settings: _flag(settings.strip), "no"),
    "frames": (lambda settings: _frames(settings.frames), "-,-,-"),
    "axes": (lambda settings: settings.axes or "-", "-"),
    "level": (lambda settings: _number(settings.level), "0"),
    "hdu": (lambda settings: settings.hdu or "-", "-"),
    "stack": (lambda settings: _flag(settings.stack), "no"),
    "colormap": (lambda settings: settings.colormap, "gray"),
    "coding": (
        lambda settings: f"{_number(settings.coding.quality)} {_flag(settings.coding.small)}",
        "- no",
    ),
    "then": (lambda settings: _stages(settings.then), ""),
    "network": (lambda settings: settings.network.digest if settings.network else "-", "-"),
}
"""Each field of `Settings` but the kernel and those in `IGNORED`: its text, and the text that is left out."""
