"""What is left to do after earlier runs, decided as ``make`` does from what results depend on.

A result is up to date if the manifest has rows of all its feature maps, made from this input with these
settings at this place, and both files are still as they were. Anything else is made again, and nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final

from convcli.batch.batch import Batch
from convcli.batch.inputs import InputFile
from convcli.batch.manifest import Manifest
from convcli.batch.records import EarlierRuns, RecordedRow
from convcli.batch.rows import absolute
from convcli.core.frozen import frozen, replace
from convcli.pipeline.fingerprint import fingerprint, is_current
from convcli.pipeline.settings import Settings

_NEW: Final = "new"
_OTHER_SETTINGS: Final = "settings differ"
_OTHER_VERSION: Final = "made by a version of convcli whose results may differ"
_INCOMPLETE: Final = "rows missing from the manifest"
_OTHER_INPUT: Final = "input changed"
_OTHER_OUTPUT: Final = "output missing or changed"


@frozen
class RemainingWork:
    """What a run has to do.

    Attributes:
        todo: for the number of each input that is not up to date, the numbers of the variants to make.
        reasons: how many results of earlier runs are made again, by reason.
        stale: SHA-256 of each file that an earlier run wrote, by its absolute name.
        earlier: the rows of earlier runs.
    """

    todo: Mapping[int, tuple[int, ...]]
    reasons: Mapping[str, int]
    stale: Mapping[str, str]
    earlier: EarlierRuns

    def __str__(self) -> str:
        """How many results are made again and why; empty where none is."""
        total = sum(self.reasons.values())
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(self.reasons.items()))
        return f"{total} result{'s' * (total > 1)} to redo ({reasons})" if total else ""


def remaining_work(batch: Batch, manifest: Manifest | None = None, lock: bool = True) -> RemainingWork:
    """What a batch has to do: everything, or with ``resume`` what its manifest does not show to be done.

    Args:
        lock: keep other runs from writing to the manifest until it is closed.

    Raises:
        ConvcliError: the manifest cannot be resumed.
    """
    if manifest is None or not batch.resume:
        return everything(batch)
    return compared(batch, manifest.earlier(lock))


def everything(batch: Batch) -> RemainingWork:
    """What a batch has to do without earlier runs."""
    variants = tuple(range(len(batch.variants)))
    return RemainingWork(dict.fromkeys(range(len(batch.sources)), variants), {}, {}, EarlierRuns())


def compared(batch: Batch, earlier: EarlierRuns) -> RemainingWork:
    """What a batch has to do after earlier runs."""
    todo, counts, comparison = dict[int, tuple[int, ...]](), Counter[str](), _Comparison(batch, earlier)
    for number, source in enumerate(batch.sources):
        reasons = comparison.reasons(source)
        counts.update(reason for reason in reasons if reason not in ("", _NEW))
        if any(reasons):
            todo[number] = tuple(variant for variant, reason in enumerate(reasons) if reason)
    return RemainingWork(todo, counts, _output_sums(earlier), earlier)


def _output_sums(earlier: EarlierRuns) -> dict[str, str]:
    states = {path: rows[0].output_state for path, rows in earlier.outputs.items()}
    return {path: state.sha256 for path, state in states.items() if state is not None}


class _Comparison:
    """Compares what a batch is to make with what earlier runs made."""

    def __init__(self, batch: Batch, earlier: EarlierRuns) -> None:
        self.batch, self.earlier = batch, earlier
        self.fingerprints: dict[tuple[int, str, bool], str] = {}

    def reasons(self, source: InputFile) -> list[str]:
        """Why the result of each variant has to be made; empty if it is up to date."""
        rows = self.earlier.inputs.get(absolute(source.path), [])
        settings = self.batch.settings_for(source)
        at_place = [[row for row in rows if self._is_at(source, some, row)] for some in settings]
        return [self._reason(source, variant, some) for variant, some in enumerate(at_place)]

    def _reason(self, source: InputFile, variant: int, rows: list[RecordedRow]) -> str:
        """Why a result has to be made, by the rows at its place."""
        same = [row for row in rows if self._has_settings(row, variant)]
        if not same:
            return _reason_without_rows(rows)
        input_state = max(same, key=lambda row: row.offset).input_state
        assert input_state is not None
        same = [row for row in same if row.input_state == input_state]  # not those of an older input
        if sorted(row.part for row in same) != list(range(min(same[0].parts, len(same) + 1))):
            return _INCOMPLETE
        if not input_state.matches(source.path):
            return _OTHER_INPUT
        outputs = {(row.output, row.output_state) for row in same}
        return "" if all(state and state.matches(path) for path, state in outputs) else _OTHER_OUTPUT

    def _is_at(self, source: InputFile, settings: Settings, row: RecordedRow) -> bool:
        """Whether a row's output is where these settings put it."""
        path = self.batch.output_path(source, settings, row.map, row.frame, Path(row.output).suffix)
        return absolute(str(path)) == absolute(row.output)

    def _has_settings(self, row: RecordedRow, variant: int) -> bool:
        """Whether a row was made with these settings, or in another way whose result is the same."""
        if row.fingerprint == self.batch.fingerprints[variant]:
            return True
        ways = product(("auto", row.method), (False, True)) if row.is_exact else ()
        return any(row.fingerprint == self._fingerprint(variant, *way) for way in ways)

    def _fingerprint(self, variant: int, method: str, steady: bool) -> str:
        """The fingerprint of a variant with another method."""
        key = variant, method, steady
        if key not in self.fingerprints:
            settings = replace(self.batch.variants[variant], method=method, steady=steady)
            self.fingerprints[key] = fingerprint(settings)
        return self.fingerprints[key]


def _reason_without_rows(others: list[RecordedRow]) -> str:
    """Why a result has to be made that has no rows; ``others`` are rows at its place."""
    if not others:
        return _NEW
    return _OTHER_SETTINGS if any(is_current(row.fingerprint) for row in others) else _OTHER_VERSION
