"""The families of presets: a family is one function and one `Family` in a module of this package."""

from __future__ import annotations

from typing import Final

from convcli.kernels.families.averages import AVERAGES
from convcli.kernels.families.base import Family
from convcli.kernels.families.derivatives import DERIVATIVES
from convcli.kernels.families.effects import EFFECTS

FAMILIES: Final[dict[str, Family]] = {family.name: family for family in (*AVERAGES, *DERIVATIVES, *EFFECTS)}
"""By name, in the order of lists."""
