"""Which input of a run may write which file: if several would write the same one, the first may.

Where results go is certain only once an input's header is read, because a format that cannot hold a result
is replaced by one that can. Each worker reads the headers of the inputs that could get in the way of its own,
so the answer depends neither on the number of workers nor on which of them is faster.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

from convcli.batch.batch import Batch
from convcli.batch.inputs import InputFile, path_resolver
from convcli.core.errors import ConvcliError, OutputError, shown
from convcli.files.folding import folded, name_folding
from convcli.files.input import Input
from convcli.pipeline import job
from convcli.storage.urls import Place


class Claims:
    """The outputs of a batch, each owned by the first input that would write it."""

    def __init__(self, batch: Batch) -> None:
        self.batch, self.resolve, self.folding = batch, path_resolver(), lru_cache(name_folding)
        stems = [{self.resolve(stem) for stem in batch.output_stems(source)} for source in batch.sources]
        self.rivals = connected_groups([{folded(stem, True, True) for stem in some} for some in stems])
        self.numbers = {batch.sources[number].path: number for number in self.rivals}
        self.outputs: dict[int, set[str]] = {}
        for folder in {os.path.dirname(stem) for number in self.rivals for stem in stems[number]}:  # noqa: PTH120
            self.folding(folder)  # once, before workers are forked

    def check(self, source: InputFile, outputs: Iterable[Place | None]) -> None:
        """Refuse the outputs of an input if one of them belongs to an earlier input.

        Raises:
            OutputError: names the output and its owner.
        """
        number = self.numbers.get(source.path)
        if number is None:
            return
        owners = self._owners(number)
        for output in outputs:
            owner = owners.get(self._key(output)) if output is not None else None
            if owner is not None:
                raise OutputError(_clash(source.path, str(output), self.batch.sources[owner].path))

    def _owners(self, number: int) -> dict[str, int]:
        """The owner of each output of the earlier inputs that could get in the way of this one."""
        owners: dict[str, int] = {}
        for rival in self.rivals[number]:
            outputs = self._outputs(rival) if rival < number else set()
            if owners.keys().isdisjoint(outputs):  # otherwise the rival is refused itself
                owners |= dict.fromkeys(outputs, rival)
        return owners

    def _outputs(self, number: int) -> set[str]:
        """The outputs of an input according to its header; none where it cannot be read."""
        if number not in self.outputs:
            source, self.outputs[number] = self.batch.sources[number], set()
            with suppress(ConvcliError), Input.open(source.path, pipes=False) as opened:
                todo = job.planned_results(source.path, opened, self.batch.settings_for(source))
                paths = [target.path for _, tasks in todo for target in tasks[0].targets]
                self.outputs[number] = {self._key(path) for path in paths if path is not None}
        return self.outputs[number]

    def _key(self, path: Place) -> str:
        """One text for all names of a file, also where the file system folds case or Unicode forms."""
        resolved = self.resolve(str(path))
        return folded(resolved, *self.folding(os.path.dirname(resolved)))  # noqa: PTH120


def _clash(source: str, output: str, owner: str) -> str:
    folders_differ = os.path.dirname(source) != os.path.dirname(owner)  # noqa: PTH120
    hint = "; put {dir}/ into the DESTINATION to keep them apart" if folders_differ else ""
    return (
        f"{shown(source)}: its output {shown(output)} is also that of {shown(owner)}, which comes first{hint}"
    )


def connected_groups(sets: Sequence[set[str]]) -> dict[int, list[int]]:
    """The sets that are connected by common members, directly or through others.

    Returns:
        For the number of each set that is connected to another one, the numbers of its group in order.
    """
    groups = [[number] for number in range(len(sets))]
    first_with: dict[str, int] = {}
    for number, members in enumerate(sets):
        for member in members:
            group, joined = groups[number], groups[first_with.setdefault(member, number)]
            if group is not joined:
                joined += group
                for moved in group:
                    groups[moved] = joined
    return {number: sorted(group) for number, group in enumerate(groups) if len(group) > 1}
