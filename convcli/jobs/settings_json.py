"""Settings as JSON and back, for workers that run them elsewhere: values alone, nothing that is executed.

Numbers are texts: fractions as ``1/9``, floats in hexadecimal, so that nothing is rounded.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.errors import ArgumentError
from convcli.core.frozen import contents
from convcli.core.rational import Number
from convcli.formats.header import Coding
from convcli.geometry.padding import Fill, Padding
from convcli.kernels.kernel import Kernel
from convcli.pipeline.ignore import Ignore
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.nodata import Nodata
from convcli.pipeline.normalization import Normalization
from convcli.pipeline.settings import Settings

_DIGITS: Final = "<i8"
_NOT_FOR_WORKERS: Final = ("force", "threads", "max_pixels", "max_memory")
"""Settings that belong to the process, not to what is computed."""


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """The settings as what `json` writes, without those that have their defaults.

    Raises:
        ArgumentError: a setting that only one process can apply to a whole image.
    """
    check_settings(settings)
    defaults = contents(Settings(settings.kernel))
    given = {name: value for name, value in contents(settings).items() if value != defaults[name]}
    given["kernel"] = settings.kernel
    return {
        name: _CODECS[name][0](value) if name in _CODECS else value
        for name, value in given.items()
        if name not in _NOT_FOR_WORKERS
    }


def settings_of_json(fields: dict[str, Any], **changes: Any) -> Settings:
    """The settings of `settings_to_json`, with ``changes``."""
    values = {name: _CODECS[name][1](value) if name in _CODECS else value for name, value in fields.items()}
    return Settings(**{**values, **changes})


def check_settings(settings: Settings) -> None:
    """Refuse what cannot be computed in pieces.

    Raises:
        ArgumentError: with the option's name.
    """
    refused = {
        "--then": bool(settings.then),
        "--transposed": settings.transposed,
        "--model": settings.network is not None,
        "--ignore FILE": settings.ignore is not None and settings.ignore.mask is not None,
        f"--map {settings.mapping}": bool(settings.mapping.searched_percents),
    }
    for option, is_given in refused.items():
        if is_given:
            advice = "; use numbers instead of percentages" if option.startswith("--map") else ""
            raise ArgumentError(f"{option} cannot be used for an image that is filtered in pieces{advice}")


def number_to_json(number: Number | None) -> str | None:
    """``1/9`` for a fraction, ``0x1.8p+1`` for a float."""
    if number is None:
        return None
    return number.hex() if isinstance(number, float) else str(Fraction(number))


def number_of_json(text: str | None) -> Number | None:
    """The number of `number_to_json`."""
    if text is None:
        return None
    return float.fromhex(text) if "x" in text or text in ("nan", "inf", "-inf") else Fraction(text)


def mapping_to_json(mapping: Mapping) -> list[Any]:
    """``[kind, low, high, [first, last]]``."""
    return [mapping.kind, *map(number_to_json, (mapping.low, mapping.high)), _numbers(mapping.percents)]


def mapping_of_json(parts: Sequence[Any]) -> Mapping:
    """The mapping of `mapping_to_json`.

    Raises:
        ValueError, TypeError, ZeroDivisionError: they are none.
    """
    kind, low, high, percents = parts
    first, last = (Fraction(value) if value is not None else None for value in percents)
    return Mapping(kind, number_of_json(low), number_of_json(high), (first, last))


def _numbers(values: Sequence[Number | None]) -> list[str | None]:
    return [number_to_json(value) for value in values]


def _kernel_to_json(kernel: Kernel) -> dict[str, Any]:
    if kernel.exact:
        denominator, values = str(kernel.exact.denominator), kernel.exact.numerators.astype(_DIGITS)
    else:
        denominator, values = "", np.asarray(kernel.inexact)
    return {
        "name": kernel.name,
        "shape": list(kernel.shape),
        "denominator": denominator,
        "dtype": values.dtype.str,
        "weights": b64encode(values.tobytes()).decode(),
        "bias": _numbers(kernel.biases),
        "combine": kernel.combine,
    }


def _kernel_of_json(fields: dict[str, Any]) -> Kernel:
    values = np.frombuffer(b64decode(fields["weights"]), fields["dtype"]).reshape(fields["shape"])
    scale = Fraction(1, int(fields["denominator"])) if fields["denominator"] else 1
    bias = [number_of_json(value) for value in fields["bias"]]
    one = bias[0] if len(set(bias)) == 1 else bias
    return Kernel(values, scale=scale, bias=one, name=fields["name"], combine=fields["combine"])


def _padding_of_json(parts: Sequence[Any]) -> Padding:
    amount, mode, value = parts
    pairs = amount if isinstance(amount, str) else tuple((before, after) for before, after in amount)
    return Padding(pairs, Fill(mode, value))


def _ignore_of_json(parts: Sequence[Any]) -> Ignore:
    value, keep = parts
    return Ignore(Fraction(value) if value is not None else None, keep=keep)


_Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]

_CODECS: Final[dict[str, _Codec]] = {
    "kernel": (_kernel_to_json, _kernel_of_json),
    "stride": (list, tuple),
    "dilation": (list, tuple),
    "output_padding": (list, tuple),
    "padding": (lambda value: [value.amount, value.fill.mode, value.fill.value], _padding_of_json),
    "mapping": (mapping_to_json, mapping_of_json),
    "output": (lambda value: [value.spec, value.format], lambda parts: OutputSpec(*parts)),
    "ignore": (lambda value: [number_to_json(value.value), value.keep], _ignore_of_json),
    "nodata": (str, Nodata.parse),
    "normalize": (lambda value: value.text, Normalization.parse),
    "frames": (lambda value: [value.start, value.stop, value.step], lambda parts: slice(*parts)),
    "coding": (lambda value: [value.quality, value.small], lambda parts: Coding(*parts)),
    "notes": (list, tuple),
}
"""Of each field whose value `json` does not write as it is: how it is written and read."""
