"""Kernels as files that read back as the same kernel, in the forms of convcli and of other programs.

A writer is a function from a kernel to the text or bytes of its file, and one line in `FORMS`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, OutputError, one_line
from convcli.core.frozen import frozen
from convcli.core.numerals import float_text, number_text
from convcli.core.rational import SMALLEST, FloatArray, Number, Rational, exact_number
from convcli.kernels.bank import planes
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.rows import LARGEST_TABLE


@frozen
class Form:
    """A form of kernel files: how it is written, and what it can hold.

    Attributes:
        suffixes: the usual one first.
        write: the text or the bytes of a kernel's file.
        numbers: what weights are written as: ``fractions``, ``decimals`` (17 digits) or ``floats``.
        bias: whether it holds a bias.
        combine: whether it holds how maps are combined.
        channels: whether it holds weights of any shape.
        maps: whether it holds several maps of one input channel.
        largest: most weights that are read back; 0 if only the file's size limits them.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Kernel], str | bytes]
    numbers: str = "fractions"
    bias: bool = False
    combine: bool = False
    channels: bool = False
    maps: bool = False
    largest: int = LARGEST_TABLE


def write(kernel: Kernel, form_name: str) -> bytes:
    """The content of a kernel's file in a form of `FORMS`.

    Raises:
        KernelError: the form cannot hold the kernel.
    """
    form = FORMS[form_name]
    missing = []
    single_channel = kernel.spatial == 2 and kernel.tensor_shape[-2] == 1
    if kernel.weights.ndim != 2 and not (form.channels or (form.maps and single_channel)):
        missing.append(f"weights of shape {kernel.shape}")
    if any(kernel.biases) and not form.bias:
        missing.append("a bias")
    if kernel.combine and not form.combine:
        missing.append("maps that are combined")
    if missing:
        raise KernelError(
            f"{kernel.name} has {' and '.join(missing)}, which {form_name} cannot hold; use yaml or json"
        )
    if form.largest and kernel.weights.size > form.largest:
        raise KernelError(
            f"{kernel.name} has {kernel.weights.size} weights; {form_name} files hold up to {form.largest}; "
            "use npy"
        )
    content = form.write(kernel)
    return content if isinstance(content, bytes) else content.encode()


def notes(kernel: Kernel, form_name: str) -> list[str]:
    """What a file in this form loses of the kernel's precision."""
    numbers = FORMS[form_name].numbers
    denominator = kernel.exact.denominator if kernel.exact else 1
    if numbers != "floats" and np.abs(kernel.weights[kernel.weights != 0]).min(initial=1) < SMALLEST:
        return [f"{kernel.name} has weights below 1e-300; {form_name} files store them as 0"]
    if numbers == "decimals" and _without_factors(denominator, 2, 5) != 1:
        return [
            f"{kernel.name} has weights that no decimal number equals; {form_name} stores 17 digits of them"
        ]
    if numbers == "floats" and _without_factors(denominator, 2) != 1:
        return [f"{kernel.name} has weights that no float equals; {form_name} stores the nearest floats"]
    return []


def _without_factors(number: int, *primes: int) -> int:
    """The number divided by these primes as often as it can be."""
    for prime in primes:
        while number % prime == 0:
            number //= prime
    return number


def _entries(kernel: Kernel) -> dict[str, Any]:
    """The keys of a YAML or JSON file; weights as nested lists of integers, or of the texts of floats."""
    about = kernel.about
    raw = kernel.exact.numerators.tolist() if kernel.exact else _texts(kernel.weights)
    bias: Any = list(map(_text, kernel.bias)) if isinstance(kernel.bias, tuple) else _text(kernel.bias)
    entries = {
        "name": kernel.name,
        "description": about.description,
        "source": about.source,
        "tags": list(about.tags),
        "aliases": list(about.aliases),
        "weights": raw,
        "scale": f"1/{kernel.exact.denominator}" if kernel.exact and kernel.exact.denominator != 1 else "",
        "bias": bias if any(kernel.biases) else "",
        "combine": kernel.combine or "",
        "gain": _text(about.gain) if about.gain else "",
    }
    return {key: value for key, value in entries.items() if value not in ("", [])}


def _yaml(kernel: Kernel) -> str:
    """A mapping of keys, a row of weights on a line."""
    lines = []
    for key, value in _entries(kernel).items():
        if key == "weights":
            lines += ["weights:", *(f"  - {_flow(row)}" for row in value)]
        elif key in ("name", "description", "source"):
            lines.append(f"{key}: {_yaml_text(value)}")
        elif key in ("tags", "aliases"):
            lines.append(f"{key}: [{', '.join(map(_yaml_text, value))}]")
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _json(kernel: Kernel) -> str:
    """An object with the same keys, a row of weights on a line."""
    lines = []
    for key, value in _entries(kernel).items():
        if key == "weights":
            rows = ",\n".join(f"    {_flow(row)}" for row in value)
            lines.append(f'  "weights": [\n{rows}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _csv(kernel: Kernel) -> str:
    """Rows of numbers, fractions as fractions."""
    rows = _fractions(kernel.exact) if kernel.exact else _texts(kernel.weights)
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def _vips(kernel: Kernel) -> str:
    """The matrix of libvips: integers and their divisor if the weights are fractions."""
    rows, columns = kernel.size
    divisor = kernel.exact.denominator if kernel.exact else 1
    values = kernel.exact.numerators.tolist() if kernel.exact else _texts(kernel.weights)
    lines = [" ".join(map(str, row)) for row in values]
    return "\n".join([f"{columns} {rows} {divisor} {_decimal(kernel.biases[0])}", *lines]) + "\n"


def _imagemagick(kernel: Kernel) -> str:
    """ImageMagick's text; fractions such as 1/9 to 17 digits, because it reads decimals only.

    The origin of odd sizes is written. That of even sizes is not: both programs then take the upper left of
    the middle, and a written one would be an anchor, which moves when the kernel is flipped.
    """
    if kernel.weights.ndim != 2:
        return "; ".join(map(_imagemagick, planes(kernel))).replace("\n;", ";")
    rows, columns = kernel.size
    texts = (
        [map(_decimal, row) for row in _fractions(kernel.exact)] if kernel.exact else _texts(kernel.weights)
    )
    lines = [",".join(row) for row in texts]
    origin = f"+{columns // 2}+{rows // 2}" if rows % 2 and columns % 2 else ""
    return f"{columns}x{rows}{origin}: {' '.join(lines)}\n"


def _npy(kernel: Kernel) -> bytes:
    """A NumPy array: of integers if all weights are, else of float64."""
    integers = kernel.exact is not None and kernel.exact.denominator == 1
    file = io.BytesIO()
    np.save(
        file, kernel.exact.numerators if kernel.exact and integers else kernel.weights, allow_pickle=False
    )
    return file.getvalue()


FORMS: Final[dict[str, Form]] = {
    "yaml": Form((".yaml", ".yml"), _yaml, bias=True, combine=True, channels=True, largest=2**16),
    "json": Form((".json",), _json, bias=True, combine=True, channels=True),
    "csv": Form((".csv",), _csv),
    "mat": Form((".mat",), _vips, bias=True),
    "imagemagick": Form((".txt",), _imagemagick, numbers="decimals", maps=True),
    "npy": Form((".npy",), _npy, numbers="floats", channels=True, largest=0),
}
"""What ``convcli kernels export --format`` writes."""


def form_of(suffix: str) -> str | None:
    """The form of files with this suffix."""
    return next((name for name, form in FORMS.items() if suffix.casefold() in form.suffixes), None)


def form_of_file(name: str) -> str:
    """The form that the suffix of a kernel file stands for.

    Raises:
        OutputError: it stands for none.
    """
    form = form_of(Path(name).suffix)
    if form is None:
        known = ", ".join(form.suffixes[0] for form in FORMS.values())
        raise OutputError(f"{one_line(name)}: unknown suffix; allowed: {known}")
    return form


def _fractions(exact: Rational) -> list[list[Fraction]]:
    """Rows of exact weights."""
    unit = Fraction(1, exact.denominator)
    return [[int(value) * unit for value in row] for row in exact.numerators]


def _texts(weights: FloatArray) -> Any:
    """Weights that are not exact as nested lists of texts that read back as the same floats.

    A kernel is read as floats if one of its weights is not a short fraction, and one of these is not. Weights
    too small to be read are 0.
    """
    texts = [_float_text(value) for value in weights.ravel().tolist()]
    return np.array(texts, object).reshape(weights.shape).tolist()


def _float_text(value: float) -> str:
    if isinstance(exact_number(value), Fraction):
        return repr(value)
    return float_text(value) if abs(value) >= SMALLEST else "0.0"


def _decimal(value: Number) -> str:
    """A number without a fraction bar: an integer, or as floats are written."""
    if isinstance(value, float):
        return float_text(value)
    return number_text(value) if value.denominator == 1 else repr(float(value))


def _text(value: Number) -> str:
    return float_text(value) if isinstance(value, float) else number_text(value)


def _flow(value: Any) -> str:
    """A value or nested lists of values on one line, the same in YAML and JSON."""
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value) if isinstance(value, str) else repr(value)


def _yaml_text(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][\w .()×/+-]*", text) and not text.endswith(" ")
    return text if plain else "'" + one_line(text).replace("'", "''") + "'"
