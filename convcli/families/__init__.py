"""Presets with numbers of one's own, by name."""

from __future__ import annotations

from typing import Final

from convcli.families.averages import AVERAGES
from convcli.families.base import Family
from convcli.families.effects import EFFECTS
from convcli.families.slopes import SLOPES

FAMILIES: Final[dict[str, Family]] = {family.name: family for family in (*AVERAGES, *SLOPES, *EFFECTS)}
