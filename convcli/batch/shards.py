"""The shards of a manifest: one for each list of a large batch, each a small manifest of its own.

A shard is named ``LABEL-KEYSTATE.jsonl``: the label of its list, the key of the list's first image, and the
list's state, of which zeros say that something is left to do. So a listing of the shards is all that a later
run needs to know which lists are finished. Sorted by name, shards are in the order of the images.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from convcli.batch.inputs import InputFile
from convcli.batch.manifest import header_line
from convcli.batch.records import EarlierRuns, encode, line_converter, read_recipes, read_rows
from convcli.batch.work_lists import KEY, UNFINISHED, Label, key_of, label_of, label_text
from convcli.core.frozen import frozen
from convcli.storage.folder import open_folder

_NAME: Final = re.compile(rf"(\d{{6,}}(?:\.\d{{3,}})*)-([0-9a-f]{{{KEY}}})([0-9a-f]{{{KEY}}})\.(?:jsonl|csv)")
_LONGEST: Final = 2**24  # bytes of a line


@frozen
class Shard:
    """A shard by its name."""

    name: str
    label: Label
    key: str
    state: str

    @property
    def is_finished(self) -> bool:
        """Whether all results of the list's images were made."""
        return self.state != UNFINISHED


class Shards:
    """The shards in a folder.

    Args:
        place: a local folder or a URL.
        form: ``jsonl`` or ``csv``.
    """

    def __init__(self, place: str, form: str = "jsonl") -> None:
        self.folder, self.form = open_folder(place), form

    def all(self) -> list[Shard]:
        """All shards in the order of their labels; there are as many as lists, not as images."""
        found = [_parsed(name) for name in self.folder.names()]
        return sorted(filter(None, found), key=lambda shard: (shard.label, shard.name))

    def read(self, shards: Iterable[Shard]) -> bytes:
        """One manifest with the rows of some shards; empty if they have none."""
        return joined(self.form, [self.folder.read(shard.name) or b"" for shard in shards])

    def write(self, label: Label, key: str, state: str, recipes: Mapping[str, Any], rows: bytes) -> Shard:
        """Write a shard.

        Args:
            recipes: what rows have in common, by the fingerprint of their settings.
        """
        shard = Shard(f"{label_text(label)}-{key}{state}.{self.form}", label, key, state)
        self.folder.write(shard.name, encode(header_line(self.form, recipes)) + rows)
        return shard

    def delete(self, shard: Shard) -> None:
        self.folder.delete(shard.name)

    def lines(self, shards: Iterable[Shard]) -> Iterator[bytes]:
        """The rows of some shards, without the lines at their heads."""
        for shard in shards:
            yield from _rows(self.form, self.folder.read(shard.name) or b"")

    def recipes(self, shards: Iterable[Shard]) -> dict[str, Any]:
        """What the heads of some shards say of the settings of their rows."""
        found: dict[str, Any] = {}
        for shard in shards:
            found |= read_recipes((self.folder.read(shard.name) or b"").partition(b"\n")[0])
        return found


def joined(form: str, manifests: Iterable[bytes]) -> bytes:
    """Several manifests as one; empty if they have no rows."""
    kept = [data for data in manifests if data]
    if not kept:
        return b""
    recipes = {name: recipe for data in kept for name, recipe in read_recipes(_head(data)).items()}
    return encode(header_line(form, recipes)) + b"".join(line for data in kept for line in _rows(form, data))


def _head(data: bytes) -> bytes:
    return data.partition(b"\n")[0]


def _rows(form: str, data: bytes) -> Iterator[bytes]:
    """The lines after the first, under the columns of this version."""
    file = io.BytesIO(data)
    convert = line_converter(form, file)
    file.seek(0)
    file.readline()
    for line in file:
        if line.endswith(b"\n"):
            yield convert(line)


def divide(manifest: Path, shards: Shards, size: int) -> None:
    """Write the rows of a manifest as shards of ``size`` images, which are compared again on resuming."""
    with manifest.open("rb") as listed, manifest.open("rb") as file:
        recipes = read_recipes(file.readline(_LONGEST))
        file.seek(0)
        convert = line_converter(shards.form, file)
        rows, images, first, number = list[bytes](), set[str](), "", 0
        for row in read_rows(shards.form, listed):
            if row.input not in images and len(images) >= size:
                shards.write((number,), first, UNFINISHED, recipes, b"".join(rows))
                rows, images, number = [], set(), number + 1
            first = first if images else key_of(InputFile(row.input))
            images.add(row.input)
            file.seek(row.offset)
            rows.append(convert(file.readline(_LONGEST)))
        if rows:
            shards.write((number,), first, UNFINISHED, recipes, b"".join(rows))


def earlier_runs(form: str, data: bytes) -> EarlierRuns:
    """The rows of a manifest in memory."""
    if not data:
        return EarlierRuns()
    recipes = read_recipes(_head(data)) if form == "jsonl" else {}
    return EarlierRuns(read_rows(form, io.BytesIO(data)), recipes, is_known=True)


def _parsed(name: str) -> Shard | None:
    match = _NAME.fullmatch(name)
    return Shard(name, label_of(match[1]), match[2], match[3]) if match else None
