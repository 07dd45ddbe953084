"""Which input of a run may write which file: of several that would write the same one, the first.

Where results go is certain only once an input's header is read, because a format that cannot hold a result
is replaced by one that can. Whoever asks reads the headers of the inputs that could get in its way, so the
answer depends neither on the number of workers nor on which of them is faster.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

from convcli.batch.batch import Batch
from convcli.batch.inputs import InputFile, locator
from convcli.core.errors import ConvcliError, OutputError, one_line
from convcli.files.input import Input
from convcli.pipeline import job


class Claims:
    """The files that the inputs of a batch will write, each owned by the first input that wants it."""

    def __init__(self, batch: Batch) -> None:
        self.batch, self.located, self.folding = batch, locator(), lru_cache(folding)
        stems = [{self.located(stem) for stem in batch.stems(source)} for source in batch.sources]
        self.rivals = rivals([{_folded(stem, True, True) for stem in each} for each in stems])
        self.numbers = {batch.sources[number].path: number for number in self.rivals}
        self.wanted: dict[int, set[str]] = {}
        for folder in {os.path.dirname(stem) for number in self.rivals for stem in stems[number]}:  # noqa: PTH120
            self.folding(folder)  # once, before there are workers

    def check(self, source: InputFile, places: Iterable[Path | None]) -> None:
        """Refuse the places of an input where one of them belongs to an earlier input.

        Raises:
            OutputError: with the place and its owner.
        """
        number = self.numbers.get(source.path)
        if number is None:
            return
        owners = self._owners(number)
        for place in places:
            owner = owners.get(self._key(place)) if place is not None else None
            if owner is not None:
                raise OutputError(_clash(source.path, str(place), self.batch.sources[owner].path))

    def _owners(self, number: int) -> dict[str, int]:
        """The places of the inputs that come first and could get in the way, with the input of each."""
        owners: dict[str, int] = {}
        for rival in self.rivals[number]:
            wanted = self._wanted(rival) if rival < number else set()
            if owners.keys().isdisjoint(wanted):  # else it fails itself
                owners |= dict.fromkeys(wanted, rival)
        return owners

    def _wanted(self, number: int) -> set[str]:
        """The places that an input's header leads to; none where it cannot be read."""
        if number not in self.wanted:
            source, self.wanted[number] = self.batch.sources[number], set()
            with suppress(ConvcliError), Input.open(source.path, pipes=False) as opened:
                todo = job.planned_results(source.path, opened, self.batch.settings(source))
                places = [target.path for _, tasks in todo for target in tasks[0].targets]
                self.wanted[number] = {self._key(place) for place in places if place is not None}
        return self.wanted[number]

    def _key(self, place: Path) -> str:
        """One text for all names of a file, also where the file system folds case or Unicode forms."""
        found = self.located(str(place))
        return _folded(found, *self.folding(os.path.dirname(found)))  # noqa: PTH120


def _clash(source: str, place: str, owner: str) -> str:
    apart = os.path.dirname(source) != os.path.dirname(owner)  # noqa: PTH120
    hint = "; a DESTINATION with {dir}/ keeps their folders" if apart else ""
    return (
        f"{one_line(source)}: its output {one_line(place)} is also that of "
        f"{one_line(owner)}, which comes first{hint}"
    )


def rivals(names: Sequence[set[str]]) -> dict[int, list[int]]:
    """The groups of numbers whose sets are connected by common members, for each number of such a group."""
    groups = [[number] for number in range(len(names))]
    owners: dict[str, int] = {}
    for number, each in enumerate(names):
        for name in each:
            one, other = groups[number], groups[owners.setdefault(name, number)]
            if one is not other:
                other += one
                for member in one:
                    groups[member] = other
    return {number: sorted(group) for number, group in enumerate(groups) if len(group) > 1}


def _folded(name: str, case: bool, form: bool) -> str:
    name = normalize("NFC", name) if form else name
    return name.casefold() if case else name


def folding(folder: str) -> tuple[bool, bool]:
    """Whether names in a folder that differ in case alone, or in Unicode form alone, are one file.

    A folder that does not exist yet will be as the one is in which it is made.
    """
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):  # noqa: PTH112, PTH120
        folder = os.path.dirname(folder)  # noqa: PTH120
    name = os.path.join(folder, f".convcli-\u00e9{os.urandom(6).hex()}.tmp")  # noqa: PTH118
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return False, False
    try:
        return os.path.lexists(name.replace(".convcli", ".CONVCLI")), os.path.lexists(normalize("NFD", name))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
