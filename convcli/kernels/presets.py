"""The shipped presets: the files of ``kernels/``, and the families with parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convcli.kernels.bank import KernelSet
from convcli.kernels.kernel import Kernel

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

COMMON_SIZES: Final = ("box3", "box5", "triangle5", "gaussian3", "gaussian5", "gaussian7", "ones3")
"""Kernels of families that lists show with the fixed presets."""
SHORT: Final = {"blur": "box3", "box": "box3", "ones": "ones3"}
"""Short names of common presets."""
_SPELLINGS: Final = {"gauss": "gaussian", "boxblur": "box", "mean": "box", "average": "box"}


@lru_cache(64)
def shipped(name: str, arguments: str) -> Kernel | KernelSet | None:
    """The preset of this name or alias, or the kernel of a family; None if there is none.

    Args:
        arguments: what follows the colon of a family.

    Raises:
        KernelError: the family refuses the arguments.
    """
    word = _respelled(plain(name))
    if arguments:
        return _of_family(word, arguments)
    word = SHORT.get(word, word)
    by_name = {plain(stem): stem for stem in files()}
    if word in by_name:
        return _from_file(by_name[word])
    if kernel := _of_size(word):
        return kernel
    return _from_file(aliases()[word]) if word in aliases() else _of_family(word, "")


def _respelled(word: str) -> str:
    """The word with the usual spelling of a family: ``gauss5`` is ``gaussian5``."""
    for spelling, usual in _SPELLINGS.items():
        if re.fullmatch(rf"{spelling}\d*", word):
            word = word.replace(spelling, usual, 1)
    return word


def _of_size(word: str) -> Kernel | KernelSet | None:
    """The kernel of a family and a size, such as ``box5``; ``gaussian5`` is a binomial."""
    stem = word.rstrip("0123456789")
    size, name = word[len(stem) :], _family_names().get(stem)
    if not size or name is None:
        return None
    from convcli.kernels.families.registry import FAMILIES

    family = FAMILIES["binomial" if name == "gaussian" else name]
    return family.build(f"{name}{size}", [size]) if family.sized else None


def _of_family(word: str, arguments: str) -> Kernel | KernelSet | None:
    name = _family_names().get(word)
    if name is None:
        return None
    from convcli.kernels.families.registry import FAMILIES

    if not arguments:
        return FAMILIES[name].build(name, [])
    return FAMILIES[name].build(f"{name}:{arguments}", arguments.split(","))


def _family_names() -> dict[str, str]:
    """The names of families by `plain` name; fixed presets do without this import."""
    from convcli.kernels.families.registry import FAMILIES

    return {plain(name): name for name in FAMILIES}


@cache
def files() -> Mapping[str, Path | Traversable]:
    """The preset files by name: in the installed package, or in the checkout."""
    package = Path(__file__).resolve().parent
    root: Path | Traversable = package / "shipped"
    if not root.is_dir():
        root = package.parents[1] / "kernels"
    if not root.is_dir():  # in a zipped wheel
        from importlib import resources

        root = resources.files("convcli.kernels").joinpath("shipped")
    by_name = {Path(entry.name).stem: entry for entry in root.iterdir() if entry.name.endswith(".yaml")}
    return dict(sorted(by_name.items()))


@cache
def aliases() -> Mapping[str, str]:
    """The names of shipped presets by `plain` alias, found without parsing the files."""
    names_by_alias: dict[str, str] = {}
    for stem, entry in files().items():
        for line in re.findall(r"^aliases: \[(.*)\]$", entry.read_text(encoding="utf-8"), re.MULTILINE):
            names_by_alias |= {plain(alias): stem for alias in line.split(",")}
    return names_by_alias


@cache
def _from_file(stem: str) -> Kernel | KernelSet:
    from convcli.kernels.parsed_presets import PARSED
    from convcli.kernels.readers.document import parse
    from convcli.kernels.readers.nodes import node_of

    place = f"kernels/{stem}.yaml"
    if stem in PARSED:
        root = node_of(PARSED[stem], place)
    else:  # added to the folder since
        from convcli.kernels.readers.yaml_document import parsed

        root = parsed(files()[stem].read_text(encoding="utf-8"), place)
    (kernel,) = parse(root, place, stem).values()
    return kernel


def names() -> list[str]:
    """The names of all fixed presets and of common kernels of families, without aliases."""
    return sorted({*files(), *COMMON_SIZES})


def plain(name: str) -> str:
    """A name in the form in which names are compared: without case, spaces, ``-`` and ``_``."""
    return re.sub(r"[\s_-]", "", name.strip().casefold())
