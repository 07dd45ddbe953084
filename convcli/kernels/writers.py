"""Kernels as files that read back as the same kernel, in the forms of this and other programs."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, one_line
from convcli.core.frozen import frozen
from convcli.core.numerals import float_text, number_text
from convcli.core.rational import SMALLEST, Number
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.foreign_text import fractions_of, texts_of, to_imagemagick, to_vips
from convcli.kernels.readers.rows import LARGEST_TABLE


@frozen
class Form:
    """A form of kernel files: its suffix, how it is written, and what it has room for.

    ``most`` is how many weights are read back, 0 where the file's size alone limits them;
    ``planes`` are maps of one input channel each.
    """

    suffix: str
    write: Callable[[Kernel], str | bytes]
    bias: bool = False
    maps: bool = False
    planes: bool = False
    most: int = LARGEST_TABLE


def write(kernel: Kernel, form: str) -> bytes:
    """The file of a kernel in a form of `FORMS`.

    Raises:
        KernelError: the form has no room for what the kernel is.
    """
    wanted = FORMS[form]
    missing = []
    plain = kernel.spatial == 2 and kernel.tensor_shape[-2] == 1
    if kernel.weights.ndim != 2 and not (wanted.maps or (wanted.planes and plain)):
        missing.append(f"weights of shape {kernel.shape}")
    if any(kernel.biases) and not wanted.bias:
        missing.append("a bias")
    if kernel.combine and form not in ("yaml", "json"):
        missing.append("maps that are combined")
    if missing:
        raise KernelError(
            f"{kernel.name} has {' and '.join(missing)}, which {form} cannot hold; use yaml or json"
        )
    if wanted.most and kernel.weights.size > wanted.most:
        raise KernelError(
            f"{kernel.name} has {kernel.weights.size} weights; {form} files hold up to {wanted.most}; use npy"
        )
    content = wanted.write(kernel)
    return content if isinstance(content, bytes) else content.encode()


def notes(kernel: Kernel, form: str) -> list[str]:
    """What a form keeps less of than the kernel has."""
    share = kernel.exact.denominator if kernel.exact else 1
    if form != "npy" and np.abs(kernel.weights[kernel.weights != 0]).min(initial=1) < SMALLEST:
        return [f"{kernel.name} has weights below 1e-300, which {form} files have as 0"]
    if form == "imagemagick" and _without(share, 2, 5) != 1:
        return [f"{kernel.name} has weights that no decimal number is; {form} gets them to 17 digits"]
    if form == "npy" and _without(share, 2) != 1:
        return [f"{kernel.name} has weights that no float is; {form} gets the nearest ones"]
    return []


def _without(number: int, *primes: int) -> int:
    """What is left of a number when some of its prime factors are taken away."""
    for prime in primes:
        while number % prime == 0:
            number //= prime
    return number


def facts(kernel: Kernel) -> dict[str, Any]:
    """What the keys of a YAML or JSON file say; weights as nested lists of integers, or of floats' texts."""
    about = kernel.about
    raw = kernel.exact.numerators.tolist() if kernel.exact else texts_of(kernel.weights)
    bias: Any = _full(kernel.bias) if not isinstance(kernel.bias, tuple) else list(map(_full, kernel.bias))
    found = {
        "name": kernel.name,
        "description": about.description,
        "source": about.source,
        "tags": list(about.tags),
        "aliases": list(about.aliases),
        "weights": raw,
        "scale": f"1/{kernel.exact.denominator}" if kernel.exact and kernel.exact.denominator != 1 else "",
        "bias": bias if any(kernel.biases) else "",
        "combine": kernel.combine or "",
        "gain": _full(about.gain) if about.gain else "",
    }
    return {key: value for key, value in found.items() if value not in ("", [])}


def to_yaml(kernel: Kernel) -> str:
    """A table of keys."""
    lines = []
    for key, value in facts(kernel).items():
        if key == "weights":
            lines += ["weights:", *(f"  - {_flow(row)}" for row in value)]
        elif key in ("name", "description", "source"):
            lines.append(f"{key}: {_quoted(value)}")
        elif key in ("tags", "aliases"):
            lines.append(f"{key}: [{', '.join(map(_quoted, value))}]")
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def to_json(kernel: Kernel) -> str:
    """An object with the same keys, a row of weights on a line."""
    lines = []
    for key, value in facts(kernel).items():
        if key == "weights":
            rows = ",\n".join(f"    {_flow(row)}" for row in value)
            lines.append(f'  "weights": [\n{rows}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def to_csv(kernel: Kernel) -> str:
    """Rows of numbers, fractions as fractions."""
    rows = fractions_of(kernel.exact) if kernel.exact else texts_of(kernel.weights)
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def to_npy(kernel: Kernel) -> bytes:
    """An array of NumPy: integers where all weights are, else float64."""
    whole = kernel.exact is not None and kernel.exact.denominator == 1
    file = io.BytesIO()
    np.save(file, kernel.exact.numerators if kernel.exact and whole else kernel.weights, allow_pickle=False)
    return file.getvalue()


FORMS: Final[dict[str, Form]] = {
    "yaml": Form(".yaml", to_yaml, bias=True, maps=True, most=2**16),
    "json": Form(".json", to_json, bias=True, maps=True),
    "csv": Form(".csv", to_csv),
    "mat": Form(".mat", to_vips, bias=True),
    "imagemagick": Form(".txt", to_imagemagick, planes=True),
    "npy": Form(".npy", to_npy, maps=True, most=0),
}


def form_of(suffix: str) -> str | None:
    """The form that files of this suffix have."""
    suffix = {".yml": ".yaml"}.get(suffix.casefold(), suffix.casefold())
    return next((name for name, form in FORMS.items() if form.suffix == suffix), None)


def _full(value: Number) -> str:
    return float_text(value) if isinstance(value, float) else number_text(value)


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][\w .()×/+-]*", text) and not text.endswith(" ")
    return text if plain else "'" + one_line(text).replace("'", "''") + "'"
