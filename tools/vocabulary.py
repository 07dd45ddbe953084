"""The words that options take and complete, as a Python module, from the registries that know them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from convcli.core.errors import cut
from convcli.engine.methods.registry import NAMES
from convcli.formats.registry import written_formats
from convcli.geometry import padding
from convcli.geometry.conventions import CONVENTIONS
from convcli.kernels.bank import COMBINE_CHOICES
from convcli.kernels.families.base import Family
from convcli.kernels.families.registry import FAMILIES
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import Library
from convcli.kernels.writers import FORMS
from convcli.layers.activations import ACTIVATIONS
from convcli.pipeline import mapping
from convcli.pipeline.colormaps import COLORMAPS

HEAD = '''"""The words that options take and complete; written by `python -m tools.generate`."""

from __future__ import annotations

from typing import Final

'''


def module() -> str:
    """The text of ``convcli/cli/vocabulary.py``."""
    kernels = {kernel.name: kernel.about.description for kernel in presets()}
    tags = {tag for kernel in presets() for tag in kernel.about.tags}
    words = {
        "kernel": kernels | {f"{name}:": family.usage for name, family in families().items()},
        "stage": {activation.usage.partition(":")[0]: activation.help for activation in ACTIVATIONS.values()}
        | {"maxpool2x2": "largest value of each window", "avgpool2x2": "average of each window"},
        "padding": _plain(padding.AMOUNTS),
        "like": _plain(CONVENTIONS),
        "combine": _plain(COMBINE_CHOICES),
        "map": _plain(mapping.KINDS),
        "colormap": _plain(COLORMAPS),
        "method": _plain(["auto", *NAMES]),
        "format": _plain(entry.name for entry in written_formats()),
        "form": _plain(FORMS),
        "tag": _plain(sorted(tags)),
    }
    fills = ", ".join(json.dumps(fill) for fill in padding.FILLS)
    lists = "".join(f'    "{name}": {{\n{_entries(list_)}    }},\n' for name, list_ in words.items())
    return (
        f"{HEAD}WORDS: Final = {{\n{lists}}}\n"
        f'FILLS: Final = ({fills})\n"""What follows the colon of a padding."""\n'
    )


def presets() -> list[Kernel]:
    """Every preset that convcli ships."""
    return [entry.kernel for entry in Library(()).entries() if entry.kernel is not None]


def families() -> Mapping[str, Family]:
    """The kernel families, which take parameters."""
    return FAMILIES


def _plain(words: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(words, "")


def _entries(words: Mapping[str, str]) -> str:
    return "".join(
        f"        {json.dumps(word)}: {json.dumps(cut(help_, 70), ensure_ascii=False)},\n"
        for word, help_ in words.items()
    )
