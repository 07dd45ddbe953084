"""Names become kernels: the files of ``kernels/``, the parametric families, files and typed text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb, prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from convcli import kernelfile, kerneltable
from convcli.errors import KernelError, one_line, shown, suggest
from convcli.kernel import LARGEST_KERNEL, About, Kernel, KernelSet, bank
from convcli.rational import parse_number

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

LARGEST_SIDE: Final = 4096
_SPELLINGS: Final = {"gauss": "gaussian", "boxblur": "box", "mean": "box", "average": "box"}
_SHORT: Final = {"blur": "box3", "box": "box3", "ones": "ones3"}


def load_kernel(text: str | os.PathLike[str]) -> Kernel:
    """The kernel that ``text`` names: a preset, a ``.yaml`` or ``.csv`` file, or numbers.

    ``box3``, ``gaussian:1.5``, ``./mine.yaml`` and ``1 0 -1; 2 0 -2; 1 0 -1`` are all understood. Names
    match without regard to case, ``-`` and ``_``.

    Raises:
        KernelError: an unknown name (with the nearest known ones), or what is wrong in a file or text.
    """
    found = _found(text)
    return found if isinstance(found, Kernel) else _joined(found)


def preset(text: str) -> Kernel:
    """The preset of that name: ``NAME`` or ``NAME:argument,key=value``."""
    found = _named(text)
    return found if isinstance(found, Kernel) else _joined(found)


def _found(text: str | os.PathLike[str]) -> Kernel | KernelSet:
    if not isinstance(text, str) or text.lower().endswith(kernelfile.SUFFIXES):
        return kernelfile.read(Path(text))
    if kerneltable.is_table(text):
        return kerneltable.parse_text(text)
    return kernelfile.read(Path(text)) if os.sep in text else _named(text)


def _joined(found: KernelSet) -> Kernel:
    members = [_found(member) for member in found.members]
    for member in members:
        if isinstance(member, KernelSet):
            raise KernelError(f"{found.name}: the member {shown(member.name)} is a set itself")
    kernels = [member for member in members if isinstance(member, Kernel)]
    return bank(kernels, found.name, found.combine, found.about)


def _named(text: str) -> Kernel | KernelSet:
    name, _, arguments = text.strip().partition(":")
    plain = _plain(name)
    for spelling, proper in _SPELLINGS.items():
        if re.fullmatch(rf"{spelling}\d*", plain):
            plain = plain.replace(spelling, proper, 1)
    plain = plain if arguments else _SHORT.get(plain, plain)
    by_name = {_plain(stem): stem for stem in files()}
    if plain in by_name and not arguments:
        return _from_file(by_name[plain])
    stem = plain.rstrip("0123456789")
    size = plain[len(stem) :]
    if stem in FAMILIES and not (size and arguments):
        if not size and not arguments:
            raise KernelError(f"preset {shown(text)} needs more: {FAMILIES[stem].usage}")
        proper = stem + size + (f":{arguments.strip()}" if arguments else "")
        return FAMILIES[stem].build(proper, size or arguments)
    for file in files() if not arguments else ():
        if plain in map(_plain, _from_file(file).about.aliases):
            return _from_file(file)
    raise KernelError(f"no preset is called {shown(text)}{_hint(plain, text)}")


def _hint(plain: str, text: str) -> str:
    tag = plain.removesuffix("s")
    if tagged(tag):
        return f"; presets with that tag: {', '.join(kernel.name for kernel in tagged(tag))}"
    aliases = [alias for kernel in tagged() for alias in kernel.about.aliases]
    near = suggest(plain, [*names(), *aliases, *_SHORT, *FAMILIES])
    here = f"; a file of that name exists: ./{one_line(text)}" if text and _exists(text) else ""
    return (near or "; `convcli kernels` lists them") + here


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


@cache
def files() -> Mapping[str, Path | Traversable]:
    """The preset files by their plain names: in the installed package, or else in the checkout."""
    package = Path(__file__).resolve().parent
    root: Path | Traversable = package / "kernels"
    if not root.is_dir():
        root = package.parent / "kernels"
    if not root.is_dir():  # in a zipped wheel
        from importlib import resources

        root = resources.files("convcli").joinpath("kernels")
    found = {Path(entry.name).stem: entry for entry in root.iterdir() if entry.name.endswith(".yaml")}
    return dict(sorted(found.items()))


def names() -> list[str]:
    """Every fixed preset, aliases apart, and the parametric families' usual sizes."""
    return sorted({*files(), "box3", "box5", "gaussian3", "gaussian5", "gaussian7", "ones3"})


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.strip().casefold())


@cache
def _from_file(stem: str) -> Kernel | KernelSet:
    text = files()[stem].read_text(encoding="utf-8")
    from convcli.kernelyaml import parse_yaml

    return parse_yaml(text, f"kernels/{stem}.yaml", stem)


@dataclass(frozen=True, slots=True)
class Family:
    """A parametric preset."""

    usage: str
    description: str
    make: Callable[[str, list[str], dict[str, str]], Kernel]

    def build(self, text: str, arguments: str) -> Kernel:
        positional, named = _split(text, arguments)
        try:
            return self.make(text.strip(), positional, named)
        except (ValueError, TypeError) as error:
            raise KernelError(f"preset {shown(text)}: {error}; usage: {self.usage}") from error


def _split(text: str, arguments: str) -> tuple[list[str], dict[str, str]]:
    positional: list[str] = []
    named: dict[str, str] = {}
    for part in arguments.split(","):
        key, equals, value = part.strip().partition("=")
        if equals and not key.strip():
            raise KernelError(f"preset {shown(text)}: {shown(part)} has nothing before =")
        if equals and key in named:
            raise KernelError(f"preset {shown(text)}: {key} stands twice")
        if equals:
            named[key.strip()] = value.strip()
        else:
            positional.append(key)
    return positional, named


def _sides(text: str) -> tuple[int, ...]:
    parts = text.casefold().split("x")
    if not all(re.fullmatch(r"\d{1,6}", part) for part in parts):
        raise ValueError(f"{shown(text)} is no size such as 3 or 5x3")
    sides = tuple(int(part) for part in parts)
    if prod(sides) > LARGEST_KERNEL // (1 if len(sides) > 2 else 16):
        raise ValueError(f"{shown(text)} has too many weights")
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"size {shown(text)} is not between 1 and {LARGEST_SIDE}")
    return sides * 2 if len(sides) == 1 else sides


def _no_more(positional: list[str], named: dict[str, str]) -> None:
    if positional or named:
        raise ValueError(f"{shown(', '.join([*positional, *named]))} is not understood")


def _box(text: str, positional: list[str], named: dict[str, str]) -> Kernel:
    sides = _sides(positional.pop(0) if positional else "")
    _no_more(positional, named)
    if len(sides) != 2:
        raise ValueError(f"{len(sides)} sizes, allowed: 1 or 2")
    rows, columns = sides
    about = About(f"Mean of {rows}×{columns} neighbours", "the arithmetic mean", ("blur",))
    return Kernel(
        np.ones((rows, columns), np.int64), scale=Fraction(1, rows * columns), name=text, about=about
    )


def _ones(text: str, positional: list[str], named: dict[str, str]) -> Kernel:
    sides = _sides(positional.pop(0) if positional else "")
    _no_more(positional, named)
    if len(sides) not in (2, 4):
        raise ValueError(f"{len(sides)} sizes, allowed: 1, 2 or 4")
    return Kernel(
        np.ones(sides, np.int64),
        name=text,
        about=About(
            "A window of ones: the sum of the neighbours", "the lesson's window of ones", ("lesson",)
        ),
    )


def _gaussian(text: str, positional: list[str], named: dict[str, str]) -> Kernel:
    word = positional.pop(0) if positional else named.pop("sigma", "")
    if ":" not in text:
        _no_more(positional, named)
        return _binomial(text, int(word))
    sigma = float(parse_number(word))
    if not 0.01 <= sigma <= 500:
        raise ValueError(f"sigma {word} is not between 0.01 and 500")
    truncate = float(parse_number(named.pop("truncate", "4")))
    if not 0 < truncate <= 100:
        raise ValueError("truncate is not between 0 and 100")
    radius = int(truncate * sigma + 0.5)
    if "size" in named:
        size = _sides(named.pop("size"))[0]
        if size % 2 == 0:
            raise ValueError(f"size {size} is even; a Gaussian has a centre")
        radius = size // 2
    _no_more(positional, named)
    if not 0 <= radius <= LARGEST_SIDE // 2:
        raise ValueError(f"radius {radius} is not between 0 and {LARGEST_SIDE // 2}")
    steps = np.arange(-radius, radius + 1)
    curve = np.exp(-(steps**2) / (2 * sigma**2))
    curve /= curve.sum()
    about = About(f"Gaussian, σ = {word}, radius {radius}", "exp(−(x² + y²) / 2σ²), sum 1", ("blur",))
    return Kernel(np.multiply.outer(curve, curve), name=text, about=about)


def _binomial(text: str, size: int) -> Kernel:
    if not 3 <= size <= 15 or size % 2 == 0:
        raise ValueError(f"size {size} is not odd and between 3 and 15; gaussian:SIGMA has any width")
    row = np.array([comb(size - 1, k) for k in range(size)], object)
    about = About(
        f"Binomial {size}×{size}, a Gaussian of σ² = {Fraction(size - 1, 4)}",
        "Burt and Adelson 1983; a row of Pascal's triangle, twice",
        ("blur",),
    )
    return Kernel(np.multiply.outer(row, row), scale=Fraction(1, 4 ** (size - 1)), name=text, about=about)


def _random(text: str, positional: list[str], named: dict[str, str]) -> Kernel:
    sides = _sides(positional.pop(0)) if positional else (3, 3)
    seed = int(named.pop("seed", "0"))
    _no_more(positional, named)
    if len(sides) not in (2, 4) or seed < 0:
        raise ValueError("allowed: ROWSxCOLUMNS or ROWSxCOLUMNSxINxOUT, and a seed from 0")
    rows, columns, inputs, maps = sides if len(sides) == 4 else (*sides, 1, 1)
    limit = sqrt(6 / (rows * columns * (inputs + maps)))
    raw = np.random.PCG64(seed).random_raw(rows * columns * inputs * maps)
    uniform = (raw >> np.uint64(11)) * 2.0**-53
    weights = (limit * (2 * uniform - 1)).astype(np.float32).reshape(sides)
    about = About(
        f"Random weights in ±{limit:.4g}, seed {seed}", "Glorot and Bengio 2010 (uniform)", ("lesson",)
    )
    return Kernel(weights, name=text, about=about)


FAMILIES: Final[dict[str, Family]] = {
    "box": Family("boxN or box:ROWSxCOLUMNS", "mean of the neighbours", _box),
    "ones": Family("onesN or ones:ROWSxCOLUMNS", "sum of the neighbours", _ones),
    "gaussian": Family(
        "gaussianN (N odd) or gaussian:SIGMA[,size=N][,truncate=4]", "Gaussian blur", _gaussian
    ),
    "random": Family("random:ROWSxCOLUMNS[xINxOUT][,seed=N]", "a layer's weights before training", _random),
}


def tagged(tag: str | None = None) -> list[Kernel]:
    """Every listed preset, or those with a tag."""
    loaded = [preset(name) for name in names()]
    return [kernel for kernel in loaded if tag is None or tag in kernel.about.tags]
