"""Presets with numbers of one's own, by name."""

from __future__ import annotations

from typing import Final

from convcli.kernels.families.averages import AVERAGES
from convcli.kernels.families.base import Family
from convcli.kernels.families.derivatives import SLOPES
from convcli.kernels.families.effects import EFFECTS

FAMILIES: Final[dict[str, Family]] = {family.name: family for family in (*AVERAGES, *SLOPES, *EFFECTS)}
