"""What a piece tells about its part of a result: ranges and counts, never pixels."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Self

from convcli.core.frozen import frozen
from convcli.pipeline.maps.ranges import RangeCounter

RANGE, MAP = "range", "map"
"""The passes over an image: one finds the range of its values, the other writes its pixels."""

_COUNTS = ("below", "above", "nan", "infinite", "undefined", "taken")


@frozen
class Facts:
    """The facts about one piece in one pass.

    Attributes:
        piece: its number.
        maps: of each feature map, (lowest sum, highest sum, *counts*); sums before they are mapped.
        nan_pixels, ignored_pixels: pixels of the input that belong to this piece.
        checksums: CRC-32 of the pixels of each target, in the order in which they were written.
        written: bytes that the targets take.
        found, absent: objects of the source that were read, and that were not there (`Reader.objects_read`).
    """

    piece: int
    maps: tuple[tuple[Any, ...], ...]
    nan_pixels: int = 0
    ignored_pixels: int = 0
    checksums: tuple[int, ...] = ()
    written: int = 0
    found: int = 0
    absent: int = 0

    @classmethod
    def of(cls, piece: int, counters: Sequence[RangeCounter], **others: Any) -> Self:
        """The facts that counters have collected."""
        maps = (
            (counter.low, counter.high, *(getattr(counter, name) for name in _COUNTS)) for counter in counters
        )
        return cls(piece, tuple(maps), **others)

    def to_json(self) -> dict[str, Any]:
        """As `json` writes it; floats are in hexadecimal."""
        maps = [[*map(_sum_text, map_[:2]), *map_[2:]] for map_ in self.maps]
        return {
            "piece": self.piece,
            "maps": maps,
            "nan_pixels": self.nan_pixels,
            "ignored_pixels": self.ignored_pixels,
            "checksums": list(self.checksums),
            "written": self.written,
            "found": self.found,
            "absent": self.absent,
        }

    @classmethod
    def of_json(cls, fields: dict[str, Any]) -> Self:
        """The facts of `to_json`.

        Raises:
            ValueError, TypeError, KeyError: they are not.
        """
        maps = tuple((*map(_sum_of, map_[:2]), *map_[2:]) for map_ in fields["maps"])
        sizes = {len(map_) for map_ in maps} | {2 + len(_COUNTS)}
        counts = [
            fields[name] for name in ("piece", "nan_pixels", "ignored_pixels", "written", "found", "absent")
        ]
        counts += [count for map_ in maps for count in map_[2:]]
        if len(sizes) > 1 or not all(isinstance(count, int) and count >= 0 for count in counts):
            raise ValueError("not the facts of a piece")
        return cls(**{**fields, "maps": maps, "checksums": tuple(fields["checksums"])})


class Totals:
    """The facts of all pieces together, whatever their order; a piece counts once.

    Attributes:
        done: the numbers of the pieces.
        counters: of each feature map.
    """

    def __init__(self, maps: int) -> None:
        self.done: set[int] = set()
        self.counters = [RangeCounter() for _ in range(maps)]
        self.nan_pixels = self.ignored_pixels = self.written = 0
        self.objects_read = 0, 0

    def add(self, facts: Facts) -> None:
        """Add the facts of a piece, unless they are there already."""
        if facts.piece in self.done:
            return
        self.done.add(facts.piece)
        self.nan_pixels += facts.nan_pixels
        self.ignored_pixels += facts.ignored_pixels
        self.written += facts.written
        self.objects_read = self.objects_read[0] + facts.found, self.objects_read[1] + facts.absent
        for counter, (low, high, *counts) in zip(self.counters, facts.maps, strict=True):
            part = RangeCounter()
            part.low, part.high = low, high
            for name, count in zip(_COUNTS, counts, strict=True):
                setattr(part, name, count)
            counter.merge(part)


def _sum_text(value: float) -> str:
    return value.hex() if isinstance(value, float) else str(value)


def _sum_of(text: str) -> float:
    if text in ("inf", "-inf"):
        return inf if text == "inf" else -inf
    return float.fromhex(text) if "x" in text else int(text)
