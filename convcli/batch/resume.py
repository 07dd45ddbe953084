"""What is left to do when an earlier run did some of it, told as by ``make`` from what results depend on.

A result is up to date where the manifest has rows of all its maps, made of this input by these settings and
put in this place, and both files are still as they were. Anything else is made again, and nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from convcli.batch.batch import Batch
from convcli.batch.inputs import InputFile
from convcli.batch.manifest import Earlier, Manifest, Said, absolute
from convcli.core.frozen import frozen
from convcli.pipeline.settings import Settings

NEW: Final = "not made yet"


@frozen
class RemainingWork:
    """What a run has to do.

    Attributes:
        due: by the number of each input that is not up to date, the numbers of its settings.
        reasons: how many results of earlier runs are made again, by the reason.
        stale: sums of the files that an earlier run wrote, by their absolute names.
        earlier: the rows of earlier runs.
    """

    due: Mapping[int, tuple[int, ...]]
    reasons: Mapping[str, int]
    stale: Mapping[str, str]
    earlier: Earlier

    def __str__(self) -> str:
        """Why results are made again; empty where none is."""
        parts = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        total = sum(self.reasons.values())
        return f"{total} result{'s' if total > 1 else ''} to redo: {parts}" if parts else ""


def work(batch: Batch, manifest: Manifest | None = None, lock: bool = True) -> RemainingWork:
    """What a batch has to do, as far as its manifest says what earlier runs did.

    Raises:
        ConvcliError: the manifest is none that can be resumed.
    """
    everything = tuple(range(len(batch.each)))
    if manifest is None or not batch.resume:
        return RemainingWork(dict.fromkeys(range(len(batch.sources)), everything), {}, {}, Earlier((), {}))
    earlier, due, reasons = manifest.earlier(lock), dict[int, tuple[int, ...]](), Counter[str]()
    for number, source in enumerate(batch.sources):
        found = [_reason(batch, earlier, source, *each) for each in enumerate(batch.settings(source))]
        reasons.update(reason for reason in found if reason not in ("", NEW))
        if any(found):
            due[number] = tuple(index for index, reason in enumerate(found) if reason)
    stale = {place: rows[0].states[1].sha256 for place, rows in earlier.outputs.items() if rows[0].states}
    return RemainingWork(due, reasons, stale, earlier)


def _reason(batch: Batch, earlier: Earlier, source: InputFile, index: int, settings: Settings) -> str:
    """Why results of an input are to be made; empty where they are up to date."""
    rows = [
        row for row in earlier.inputs.get(absolute(source.path), ()) if _is_at(batch, source, settings, row)
    ]
    made = [row for row in rows if row.settings == batch.sums[index]]
    if not made:
        return "made by other settings or another version" if rows else NEW
    read = max(made, key=lambda row: row.place).states
    assert read
    made = [row for row in made if row.states and row.states[0] == read[0]]  # not of an older input
    if sorted(row.part for row in made) != list(range(min(made[0].parts, len(made) + 1))):
        return "of which rows are missing"
    if not read[0].holds(source.path):
        return "whose input changed"
    outputs = {(row.output, row.states[1]) for row in made if row.states}
    return "" if all(state.holds(name) for name, state in outputs) else "whose file is gone or was changed"


def _is_at(batch: Batch, source: InputFile, settings: Settings, row: Said) -> bool:
    """Whether a row's output is where these settings put it."""
    place = batch.place(source, settings, row.map, row.frame, Path(row.output).suffix)
    return absolute(str(place)) == absolute(row.output)
